"""The image's own shell scripts, run here: their files below a folder, their machine one of files."""

import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIB = os.path.join(ROOT, "images/root/usr/lib/millrace")
sys.path.insert(0, os.path.join(ROOT, "tests/host"))

from machine import Machine  # noqa: E402 (found only now)

# What millrace-image sources, with the disk's devices and the EFI partition as files below $HERE.
SLOTS = f"""
source {ROOT}/scripts/lib/common.sh; source {ROOT}/scripts/lib/hardware.sh
for part in place slots install health; do source {LIB}/$part.sh; done
LIB=$HERE/lib
esp_mount() {{ ESP=$HERE/esp; }}
esp_close() {{ :; }}
partition() {{ echo "$HERE/$1"; }}
blockdev() {{ [[ $1 != --getsize64 ]] || stat -c %s "$2"; }}
say() {{ echo "$*"; }}
"""

# What the start sources. A drive is a folder; whether the programs like a file says PROGRAMS.
START = f"""
source {ROOT}/scripts/lib/common.sh; source {ROOT}/scripts/lib/hardware.sh
for part in place state source judge apply; do source {LIB}/$part.sh; done
say() {{ echo "$*"; }}
drive_wait() {{ [[ -e $HERE/drive ]] && echo "$HERE/drive"; }}
partition() {{ [[ $1 == millrace-esp && -e $HERE/esp ]] && echo "$HERE/esp"; }}
mount_to_read() {{ rm -rf "$RUN/mount"; [[ ! -e $1/broken ]] && cp -r "$1" "$RUN/mount"; }}
umount() {{ :; }}
chgrp() {{ :; }}
install() {{ command install "${{@/#millrace/root}}"; }}
"""


class Failure(Exception):
    """The behaviour is not what the case expects."""


def check(truth, text):
    if not truth:
        raise Failure(text)


class Node:
    """A node's files below a folder of its own, in home."""

    # On a disk: what was written is read back past the kernel's memory.
    def __init__(self, programs, home="/var/tmp"):
        self.folder = tempfile.TemporaryDirectory(prefix="millrace-image-", dir=home)
        self.path = self.folder.name
        self.programs = programs
        self.machine = Machine(self.at("machine"))
        for name in ("etc", "var", "state/node", "run", "dev", "lib"):
            os.makedirs(self.at(name))
        self.write("etc/machine-id", "0123456789abcdef0123456789abcdef\n")
        self.write("lib/title", "millrace test\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def at(self, *path):
        return os.path.join(self.path, *path)

    def write(self, path, data):
        os.makedirs(os.path.dirname(self.at(path)), exist_ok=True)
        with open(self.at(path), "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)

    def read(self, path):
        with open(self.at(path), "rb") as file:
            return file.read()

    def environment(self, **variables):
        environment = {"PATH": f"{self.programs}:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C",
                       "HERE": self.path, "MILLRACE_SYSFS": self.at("machine/sys"),
                       "MILLRACE_PROCFS": self.at("machine/proc")}
        for name in ("etc", "var", "state", "run", "dev"):
            environment[f"MILLRACE_{name.upper()}"] = self.at(name)
        environment.update(variables)
        return environment

    def run(self, text, *arguments, **variables):
        return subprocess.run(["bash", "-c", text, "node", *arguments], text=True,
                              env=self.environment(**variables), stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
