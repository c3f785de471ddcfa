"""Lint of what comes in, and what is done about it: sources that no browser would show right."""

import os
import re
import sys
import tempfile

from host import EDGE_IP4, ROOT, VIEWER_NETNS, Process, check, wait_until
from millrace import API_KEY, HTTP_PORT, Edge, Encoder, Netns, request
from viewers import Chromium

sys.path.append(os.path.join(ROOT, "tests", "quality"))

from rig import Loss  # noqa: E402


class PoorEncoder(Encoder):
    """Main profile, B-frames, key frames without SPS and PPS: only the SDP has them."""

    def __init__(self, logs, legs, sdp, **keywords):
        super().__init__(logs, legs, **keywords)
        at = self.command.index("-profile:v")
        self.command[at + 1] = "main"
        at = self.command.index("-tune")
        self.command[at:at + 2] = ["-flags", "+global_header"]
        at = self.command.index("-bf")
        self.command[at:at + 2] = ["-bf", "2"]
        self.command += ["-sdp_file", sdp]

    def __enter__(self):
        self.process = Process(self.name, self.command, self.logs, VIEWER_NETNS)
        return self


def video(edge):
    return edge.stream()["legs"]["video"]


def await_lint(edge, words, seconds=10):
    wait_until(lambda: video(edge)["lint"] == words, seconds, f"lint to be {words}")


def sprop(path):
    wait_until(lambda: os.path.exists(path) and "sprop" in open(path).read(), 10, "the SDP")
    return re.search(r"sprop-parameter-sets=([^;\s]+)", open(path).read()).group(1)


class IngestLint:
    """B-frames and missing parameter sets are named with their remedies; B-frames are refused where
    asked; given the sets by the API, key frames go out with them, and a browser shows the picture."""

    def run(self, context):
        size = {"size": "320x240", "bits": "500k"}
        with Netns(), Edge(context.logs, context.build) as edge:
            sdp = os.path.join(edge.run_dir, "source.sdp")
            legs = edge.put_stream(audio=False)["legs"]
            with PoorEncoder(context.logs, legs, sdp, **size):
                await_lint(edge, ["b_frames", "no_parameter_sets"])
                problems = " ".join(video(edge)["problems"])
                for remedy in ("-bf 0", "sprop_parameter_sets"):
                    check(remedy in problems, f"{remedy} is not in {problems}")
                metrics = request("GET", "/metrics").body
                line = 'millrace_stream_lint{stream="live",leg="video",reason="b_frames"} 1'
                check(line in metrics, "the metrics do not say so")
                edge.put_stream(video={"refuse_b_frames": True}, audio=False)
                wait_until(lambda: video(edge)["drops"].get("ingest_b_frames", 0) > 10, 5,
                           "B-frames to be refused")
                wait_until(lambda: not edge.stream()["live"], 5, "the stream to be down")
            os.unlink(sdp)
            with PoorEncoder(context.logs, legs, sdp, name="again", **size):
                edge.put_stream(video={"sprop_parameter_sets": sprop(sdp)}, audio=False)
                wait_until(lambda: video(edge)["parameter_sets_added"] > 0, 20,
                           "key frames to be given their sets")
                await_lint(edge, ["b_frames"])
                with Chromium(context.logs, seconds=2, screenshot="lint.png",
                              fragment=f"#key={API_KEY}") as chromium:
                    chromium.await_playing()
                    chromium.result()
                wait = edge.stream()["fanout_wait"]
                check(wait["packets"] > 0 and wait["max_ms"] < 60, f"{wait}")


class OperatorPages:
    """Player page and dashboard tell an operator what is wrong with the source, and show in charts
    what viewers report of the way to them."""

    def run(self, context):
        with Netns(), Edge(context.logs, context.build) as edge:
            sdp = os.path.join(edge.run_dir, "source.sdp")
            legs = edge.put_stream()["legs"]
            with PoorEncoder(context.logs, legs, sdp, size="640x360", bits="900k"), \
                    Loss(context.logs, context.build) as loss:
                edge.put_stream(video={"sprop_parameter_sets": sprop(sdp)})
                await_lint(edge, ["b_frames"], 20)
                loss.of_thousand(20)
                said = self.browse(context)
                loss.of_thousand(0)
        for page in ("player", "dashboard"):
            check(any("B-frames" in line for line in said[page]), f"{page}: {said[page]}")
            for chart in ("Loss:", "Round trip:", "Jitter:", "First packet:"):
                check(any(line.startswith(chart) for line in said[page]), f"{page}: {said[page]}")

    @staticmethod
    def browse(context):
        script = os.path.join(ROOT, "tests", "e2e", "browse_pages.py")
        with tempfile.TemporaryDirectory(prefix="millrace-chromium.") as home:
            browser = Process(
                "browse-pages", ["/usr/bin/python3", "-u", script, "--home", home, "--shots",
                                 context.logs, "--base", f"http://{EDGE_IP4}:{HTTP_PORT}", "--key",
                                 API_KEY], context.logs, VIEWER_NETNS, lines=True)
            try:
                end = browser.next_event(120, lambda e: e["event"] in ("done", "failed"), "its end")
                check(end["event"] == "done", f"{end}")
                return end
            finally:
                browser.kill()
