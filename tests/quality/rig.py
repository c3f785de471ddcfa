"""What the measurements share: one edge, one browser, one last mile; handles on their programs."""

import contextlib
import json
import os
import shutil
import tempfile

from host import EDGE_IP4, ROOT, VIEWER_NETNS, Failure, Process, check, in_netns
from millrace import HTTP_PORT, Edge, Netns

HERE = os.path.join(ROOT, "tests", "quality")
PYTHON = "/usr/bin/python3"
PUBLIC = "203.0.113.5"  # on the viewers' loopback: nothing leaves the namespace
ONE_S = 1000.0


class _Program:
    def __init__(self, name, command, logs):
        self.process = Process(name, command, logs, VIEWER_NETNS, lines=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()


class Loss(_Program):
    """The program that loses packets on the viewers' interface, for as long as the context lasts."""

    def __init__(self, logs, build, everything=False):
        folder = os.path.join(build, "tests", "quality")
        super().__init__("lose", [
            os.path.join(folder, "millrace-lose"), "--program", os.path.join(folder, "lose.o"),
            "--interface", "view0", *(("--all",) if everything else ())], logs)

    def __enter__(self):
        self.process.next_event(10, lambda e: e["event"] == "attached", "its program to be attached")
        return self

    def _ask(self, line):
        self.process.send(line)
        return self.process.next_event(5, lambda e: e["event"] == "count", "its counts")

    def of_thousand(self, n):
        return self._ask(f"loss {n}")

    def burst(self, ms):
        """Return the wall time at which it began, ms."""
        return self._ask(f"burst {ms}")["at_ns"] / 1e6

    def counts(self):
        return self._ask("count")


class Mile(_Program):
    """delay_ms: each way."""

    def __init__(self, logs, delay_ms):
        super().__init__("mile", [
            PYTHON, "-u", os.path.join(HERE, "mile.py"), "--public", PUBLIC, "--delay-ms",
            str(delay_ms)], logs)

    def late(self):
        """How late it was: the worst of its reports so far, and the middle of their medians."""
        with contextlib.suppress(Failure):
            while True:
                self.process.next_event(0.01, lambda e: False, "nothing")
        reports = [event for event in self.process.seen if event["event"] == "late"]
        if not reports:
            return None
        medians = sorted(event["p50_ms"] for event in reports)
        return {"packets": sum(event["packets"] for event in reports),
                "p50_ms": medians[len(medians) // 2],
                "p99_ms": sorted(event["p99_ms"] for event in reports)[len(medians) // 2],
                "max_ms": max(event["max_ms"] for event in reports)}


class Browser(_Program):
    """Viewers in one Chromium, by name; see page.js."""

    def __init__(self, logs, name="chromium"):
        self.home = tempfile.mkdtemp(prefix="millrace-quality.")
        super().__init__(name, [
            PYTHON, "-u", os.path.join(HERE, "watch_chromium.py"), "--home", self.home, "--url",
            f"http://{EDGE_IP4}:{HTTP_PORT}/healthz"], logs)

    def __enter__(self):
        self.process.next_event(60, lambda e: e["event"] == "open", "the page")
        return self

    def __exit__(self, *_):
        super().__exit__()
        shutil.rmtree(self.home, ignore_errors=True)

    def call(self, name, *arguments, seconds=30):
        self.process.send(json.dumps({"call": name, "arguments": arguments}))
        event = self.process.next_event(
            seconds, lambda e: e["event"] in ("answer", "fault"), f"{name} to be answered")
        check(event["event"] == "answer", event.get("why"))
        return event["value"]

    def join(self, name, stream="live"):
        return self.call("join", name, stream, seconds=40)

    def leave(self, name):
        return self.call("leave", name)

    def stats(self, name):
        return self.call("stats", name)

    def frames(self, name, since=0):
        """[shown at, number, RTP timestamp] of each frame; wall time in ms."""
        return self.call("frames", name, since)["frames"]


@contextlib.contextmanager
def edge_for_viewers(logs, build, delay_ms=0, dataplane=None, control=None):
    """Network and edge, and a last mile with that delay each way if there is any.
    Yields (edge, mile); mile is None without a delay."""
    control = dict(control or {})
    if delay_ms:
        control.update({"media-address": EDGE_IP4, "media-public-address": f"{EDGE_IP4}={PUBLIC}"})
    with contextlib.ExitStack() as stack:
        stack.enter_context(Netns())
        edge = stack.enter_context(Edge(logs, build, dataplane, control))
        mile = None
        if delay_ms:
            in_netns(VIEWER_NETNS, "ip", "addr", "add", f"{PUBLIC}/32", "dev", "lo")
            mile = stack.enter_context(Mile(logs, delay_ms))
        yield edge, mile


def fps(before, after):
    """Frames decoded a second between two stats()."""
    decoded = after["video"]["framesDecoded"] - before["video"]["framesDecoded"]
    return ONE_S * decoded / (after["now"] - before["now"])


def longest_gap_ms(frames, since=0, until=float("inf")):
    """Between two frames shown one after the other, at least one of them in that time."""
    times = [shown for shown, *_ in frames]
    gaps = [(b - a) for a, b in zip(times, times[1:]) if b >= since and a <= until]
    return max(gaps, default=float("inf"))


def right_again_ms(frames, began, frame_ms, steady_ms=1000):
    """Milliseconds from began until pictures are right: the first frame from which on, for that long,
    every number can be read, they rise, and none comes three frames' time late; None: never."""
    after = [frame for frame in frames if frame[0] >= began]
    start = None
    for before, frame in zip(after, after[1:]):
        smooth = (frame[1] > before[1] >= 0 and frame[0] - before[0] <= 3 * frame_ms)
        if not smooth:
            start = None
        elif start is None:
            start = before[0]
        if start is not None and frame[0] - start >= steady_ms:
            return start - began
    return None


__all__ = ["Browser", "Loss", "Mile", "edge_for_viewers", "fps", "longest_gap_ms",
           "right_again_ms"]
