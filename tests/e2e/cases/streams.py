"""Streams by their API: what is kept, and what a viewer notices of it."""

import json
import os
import signal

from host import ROOT, check, wait_until
from millrace import Edge, Encoder, Netns, post_offer, request
from viewers import Aiortc

SMALL = {"size": "320x180", "rate": 15, "bits": "200k"}


def kill(process):
    process.signal(signal.SIGKILL)
    process.wait(5)
    process.kill()


def ports(stream):
    return {kind: leg["port"] for kind, leg in stream["legs"].items()}


def recorded_offer():
    path = os.path.join(ROOT, "tests", "e2e", "fixtures", "aiortc-offer.sdp")
    with open(path, newline="") as file:
        return file.read()


class RequireLive:
    """POST to a silent stream that must be live is 409; once it sends, the same POST is served."""

    def run(self, context):
        with Netns(), Edge(context.logs, context.build) as edge:
            legs = edge.put_stream(require_live=True)["legs"]
            answer = post_offer(recorded_offer())
            check(answer.status == 409, f"{answer.status}: {answer.body}")
            check(int(answer.headers["Retry-After"]) > 0, "no Retry-After")
            with Encoder(context.logs, legs, **SMALL) as encoder:
                edge.await_legs_up()
                with Aiortc(context.logs) as viewer:
                    viewer.await_playing()
                    wait_until(lambda: self.video(edge)["key_frame_interval_ms"], 6, "two key frames")
                    interval = self.video(edge)["key_frame_interval_ms"]
                    check(abs(interval - 2000) <= 1000 / encoder.rate, f"{interval} ms, not 2000")
                    viewer.quit()
            wait_until(lambda: not edge.stream()["live"], 5, "the stream to be silent")
            check(post_offer(recorded_offer()).status == 409, "a silent stream takes viewers")
            problems = self.video(edge)["problems"]
            check(any("nothing comes" in line for line in problems), f"problems: {problems}")

    @staticmethod
    def video(edge):
        return edge.stream()["legs"]["video"]


class StreamsKept:
    """Both programs are killed: every stream is set up again, with the ports that it had."""

    def run(self, context):
        with Netns(), Edge(context.logs, context.build) as edge:
            path = edge.control_options["control-state"]
            edge.put_stream("other", video={"port": 20010}, audio=False, max_peers=3)
            before = ports(edge.put_stream())
            edge.put_stream("gone")
            edge.delete_stream("gone")

            def kept():
                with open(path) as file:
                    return sorted(json.load(file)["streams"]) == ["live", "other"]
            wait_until(lambda: os.path.exists(path) and kept(), 2, "the streams to be kept")
            kill(edge.control)
            kill(edge.dataplane)
            edge.start_dataplane()
            edge.start_control()
            check(ports(edge.stream()) == before, f"{ports(edge.stream())}, before {before}")
            other = edge.stream("other")
            check(ports(other) == {"video": 20010} and other["max_peers"] == 3, f"{other}")
            check(request("GET", "/api/v3/streams/gone").status == 404, "a removed stream is back")
            with Encoder(context.logs, edge.stream()["legs"], **SMALL), Aiortc(
                    context.logs) as viewer:
                viewer.await_playing()
                viewer.quit()


class StreamsDamaged:
    """A damaged file is put aside and named; streams can be made and kept all the same."""

    def run(self, context):
        with Netns(), Edge(context.logs, context.build) as edge:
            path = edge.control_options["control-state"]
            edge.put_stream()
            for process in (edge.control, edge.dataplane):
                check(process.stop(20) == 0, f"{process.name}: {process.last_line()}")
            with open(path, "r+") as file:
                text = file.read()
                file.truncate(len(text) // 2)
            edge.start_dataplane()
            edge.start_control()
            check(request("GET", "/api/v3/streams/live").status == 404, "half a file was used")
            aside = [name for name in os.listdir(edge.run_dir)
                     if name.startswith("streams.json.damaged-")]
            check(len(aside) == 1, f"put aside: {aside}")
            check(aside[0] in edge.control.log(), "the log does not name it")
            with open(os.path.join(edge.run_dir, aside[0])) as file:
                check(file.read() == text[:len(text) // 2], "it is not what it was")
            edge.put_stream("again")
            wait_until(lambda: os.path.exists(path), 2, "the new stream to be kept")
