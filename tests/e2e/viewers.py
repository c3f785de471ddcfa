"""Handles on the viewer programs, which run in the viewers' namespace."""

import os
import shutil
import tempfile

from host import EDGE_IP4, ROOT, VIEWER_NETNS, Failure, Process, check, wait_until
from millrace import HTTP_PORT

HERE = os.path.join(ROOT, "tests", "e2e")
PYTHON = "/usr/bin/python3"


class _Program:
    script = None

    def __init__(self, name, logs, *arguments):
        command = [PYTHON, "-u", os.path.join(HERE, self.script), *arguments]
        self.process = Process(name, command, logs, VIEWER_NETNS, lines=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()


class Aiortc(_Program):
    """count viewers of one stream, in one process."""

    script = "viewer_aiortc.py"

    def __init__(self, logs, stream="live", count=1, family=0, host=EDGE_IP4, name="aiortc",
                 scheme="http", token=None, nominate=False, apart=0):
        url_host = f"[{host}]" if ":" in host else host
        super().__init__(name, logs, "--url", f"{scheme}://{url_host}:{HTTP_PORT}/whep/{stream}",
                         "--viewers", str(count), "--family", str(family), "--apart", str(apart),
                         *(("--token", token) if token else ()),
                         *(("--nominate",) if nominate else ()))
        self.count = count

    def stats(self, seconds=10):
        """The next report, a list with one entry a viewer."""
        event = self.process.next_event(seconds, lambda e: e["event"] == "stats", "its report")
        return event["viewers"]

    def await_all(self, good, seconds, what, only=None):
        """Wait for a report in which good(viewer) holds for every viewer, or those named."""
        latest = []

        def look():
            latest[:] = [v for v in self.stats(seconds) if only is None or v["viewer"] in only]
            return all(good(viewer) for viewer in latest)
        try:
            wait_until(look, seconds, f"{what} at {len(only or range(self.count))} viewers")
        except Failure as failure:
            bad = [viewer for viewer in latest if not good(viewer)]
            raise Failure(f"{failure}; not so at: {bad}") from None
        return latest

    def await_playing(self, seconds=30, frames=10, kinds=("video", "audio")):
        def playing(viewer):
            return ("video" not in kinds or viewer["video"]["count"] >= frames) and (
                "audio" not in kinds or viewer["audio"]["energy"] > 0)
        return self.await_all(playing, seconds, "decoded picture and sound")

    def answered(self, seconds=10):
        """The next WHEP answer: its event, with status, location, offer and answer."""
        return self.process.next_event(seconds, lambda e: e["event"] == "answered", "an answer")

    def leave(self, viewer):
        self.process.send(f"leave {viewer}")
        left = self.process.next_event(10, lambda e: e["event"] == "left", "its DELETE")
        check(left["status"] in (200, 204), f"DELETE was answered {left['status']}")

    def quit(self, seconds=20):
        self.process.send("quit")
        self.process.next_event(seconds, lambda e: e["event"] == "done", "its end")


class Chromium(_Program):
    """One browser on the player page."""

    script = "viewer_chromium.py"

    def __init__(self, logs, stream="live", seconds=20, host=EDGE_IP4, screenshot=None,
                 name="chromium", fragment=""):
        url_host = f"[{host}]" if ":" in host else host
        self.home = tempfile.mkdtemp(prefix="millrace-chromium.")
        arguments = ["--url", f"http://{url_host}:{HTTP_PORT}/watch/{stream}{fragment}",
                     "--seconds", str(seconds), "--home", self.home]
        if screenshot:
            arguments += ["--screenshot", os.path.join(logs, screenshot)]
        super().__init__(name, logs, *arguments)
        self.seconds = seconds

    def __exit__(self, *_):
        super().__exit__()
        shutil.rmtree(self.home, ignore_errors=True)

    def _event(self, kind, seconds):
        event = self.process.next_event(
            seconds, lambda e: e["event"] in (kind, "failed"), f'"{kind}"')
        if event["event"] == "failed":
            raise Failure(f"chromium: {event['why']}; state {event['state']}; {event['console']}")
        return event

    def await_playing(self, seconds=60):
        return self._event("playing", seconds)

    def result(self):
        """first and last sample, seconds between them."""
        return self._event("done", self.seconds + 40)

    def samples(self):
        """What window.millrace.stats() said, once a second, so far."""
        return [event for event in self.process.seen if event["event"] == "sample"]
