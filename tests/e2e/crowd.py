"""The load client, which joins any number of viewers and checks every packet."""

import json
import os

from host import EDGE_IP4, VIEWER_NETNS, Failure, Process, check
from millrace import HTTP_PORT


class Crowd:
    """One run of millrace-load.

    options: long options without dashes; True is an option without a value.
    """

    def __init__(self, logs, build, stream="live", name="load", prefix=(), **options):
        self.output = os.path.join(logs, f"{name}.json")
        command = [*prefix, os.path.join(build, "tests", "load", "millrace-load"), "--json",
                   "--url", f"http://{EDGE_IP4}:{HTTP_PORT}/whep/{stream}"]
        for key, value in options.items():
            dashed = "--" + key.replace("_", "-")
            command.append(dashed if value is True else f"{dashed}={value}")
        with open(self.output, "w"):
            pass
        shell = ["sh", "-c", 'out=$1; shift; exec "$@" >"$out"', "sh", self.output, *command]
        self.process = Process(name, shell, logs, VIEWER_NETNS)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()

    def result(self, seconds):
        """What it measured; Failure on any fault."""
        found = self.measured(seconds)
        check(found["n_faults"] == 0, f"faults: {found['faults']}")
        return found

    def measured(self, seconds):
        """What it measured, faults and all."""
        status = self.process.wait(seconds)
        with open(self.output) as file:
            text = file.read()
        if status not in (0, 1) or not text:
            raise Failure(f"millrace-load ended with status {status}: {self.process.last_line()}")
        return json.loads(text)
