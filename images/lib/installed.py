#!/usr/bin/python3
"""Names, from a meson build's directory, of what it builds and installs; a NUL behind each.

usage: meson introspect --installed DIR | installed.py DIR
"""

import json
import os
import sys

build = os.path.abspath(sys.argv[1])
for path in json.load(sys.stdin):
    # What is not there after configuring is built.
    if path.startswith(build + "/") and not path.endswith((".service", ".target")):
        sys.stdout.write(os.path.relpath(path, build) + "\0")
