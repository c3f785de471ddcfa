"""scripts/demo does what it says, and leaves the machine as it was."""

import glob
import os
import re
import signal
import subprocess
import uuid

from host import ROOT, VIEWER_NETNS, Failure, Process, check, wait_until
from millrace import request
from viewers import Aiortc

HUGE = "/sys/kernel/mm/hugepages/hugepages-2048kB"
MARK = "MILLRACE_DEMO_MARK"


def number_of(name):
    with open(f"{HUGE}/{name}") as file:
        return int(file.read())


def machine():
    """All that the demo might change, in a form that can be compared."""
    links = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout
    with open("/proc/self/mounts") as file:
        mounts = sorted(line for line in file if "bpf" in line or "netns" in line)
    return {
        "namespaces": sorted(glob.glob("/run/netns/*")),
        "interfaces": sorted(line.split()[0] for line in links.splitlines()),
        "huge pages": number_of("nr_hugepages"),
        "BPF pins": sorted(glob.glob("/sys/fs/bpf/millrace/*")),
        "mounts": mounts,
        "directories": sorted(glob.glob("/tmp/millrace-demo.*") + glob.glob("/run/millrace*")),
    }


def marked(mark):
    """Processes that carry the mark in their environment."""
    found = []
    for path in glob.glob("/proc/[0-9]*/environ"):
        try:
            with open(path, "rb") as file:
                if mark.encode() in file.read():
                    found.append(int(path.split("/")[2]))
        except OSError:
            pass
    return found


class _Demo:
    """The demo, compared before and after."""

    def __init__(self, logs, *arguments):
        self.mark = uuid.uuid4().hex
        self.before = machine()
        # More pages than are free, so that it has something to put back.
        pages = number_of("free_hugepages") + 4
        self.process = Process(
            "demo", [os.path.join(ROOT, "scripts", "demo"), "--viewer-netns", VIEWER_NETNS,
                     *arguments], logs, env={MARK: self.mark, "MILLRACE_HUGEPAGES": str(pages)})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.alive():
            self.process.signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except Failure:
                pass
        self.process.kill()

    def await_url(self):
        def printed():
            check(self.process.alive(), f"the demo gave up: {self.process.last_line()}")
            found = re.search(r"http://(\S+?):8080(/watch/live)\b", self.process.log())
            return found and found.groups()
        return wait_until(printed, 120, "the page's URL")

    def await_key(self):
        def printed():
            found = re.search(r"http://\S+?:8080/#key=(\S+)", self.process.log())
            return found and found.group(1)
        return wait_until(printed, 10, "the dashboard's URL")

    def check_end(self, seconds):
        status = self.process.wait(seconds)
        check(status == 0, f"status {status}: {self.process.last_line()}")
        left = marked(self.mark)
        check(not left, f"processes left: {left}")
        after = machine()
        for key, value in self.before.items():
            check(after[key] == value, f"{key}: {value} before, {after[key]} after")


def rates(demo, viewers):
    """Mbit/s in and out, of each line of state with so many viewers."""
    line = rf"^viewers {viewers} \| in ([\d.]+) Mbit/s \| out ([\d.]+) Mbit/s \| core \d+ [\d.]+ %"
    return [(float(a), float(b)) for a, b in re.findall(line, demo.process.log(), re.M)]


class DemoDuration:
    """It plays to a viewer, prints URL, commands and state, and ends after its time."""

    def run(self, context):
        with _Demo(context.logs, "--duration", "15") as demo:
            host, path = demo.await_url()
            page = request("GET", path, host=host)
            check(page.status == 200 and "<video" in page.body, f"the page: {page.status}")
            with Aiortc(context.logs, host=host) as viewer:
                viewer.await_playing(12)
                wait_until(lambda: any(rate > 0.5 for _, rate in rates(demo, 1)), 12,
                           "a line of state with one viewer and what it is sent")
                viewer.quit()
            demo.check_end(40)
            log = demo.process.log()
            check("ffmpeg " in log, "no command for one's own encoder")
            lines = rates(demo, 0) + rates(demo, 1)
            check(len(lines) >= 2, f"{len(lines)} lines of state")
            check(any(rate > 0.5 for rate, _ in lines), f"bit rates {lines}")


class DemoInterrupted:
    """Ctrl-C ends it clean; --no-encoder waits for somebody else's."""

    def run(self, context):
        with _Demo(context.logs, "--no-encoder") as demo:
            host, _ = demo.await_url()
            key = demo.await_key()
            legs = request("GET", "/api/v3/streams/live", host=host, key=key).json()["legs"]
            check(all(leg["state"] == "waiting" for leg in legs.values()), f"legs {legs}")
            demo.process.signal(signal.SIGINT)
            demo.check_end(30)
