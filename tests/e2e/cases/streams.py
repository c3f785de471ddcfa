"""Streams by their API: what is kept, and what a viewer notices of it."""

import json
import os
import signal
import time

from host import (EDGE_IP4, EDGE_NETNS, ROOT, VIEWER_NETNS, check, in_netns, udp_socket,
                  wait_until)
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


GROUP, OTHER_GROUP = "239.77.0.1", "239.77.0.2"


class Multicast:
    """A stream whose legs come by a multicast group: joined, played, and nothing of another group."""

    def run(self, context):
        with Netns(), Edge(context.logs, context.build) as edge:
            in_netns(VIEWER_NETNS, "ip", "route", "add", "239.77.0.0/16", "dev", "view0")
            legs = edge.put_stream(video={"group": GROUP}, audio={"group": GROUP})["legs"]
            check(self.joined(GROUP), "the group is not joined")
            with Encoder(context.logs, legs, **SMALL), Aiortc(context.logs) as viewer:
                played = viewer.await_playing()[0]
                check(played["video"]["lost"] == 0, f"lost {played['video']['lost']}")
                before = edge.stream()["legs"]["video"]["packets"]
                self.check_others_refused(edge, legs["video"]["port"])
                check(edge.stream()["legs"]["video"]["packets"] > before, "nothing more came")
                viewer.quit()
            edge.delete_stream()
            wait_until(lambda: not self.joined(GROUP), 5, "the group to be left")

    @staticmethod
    def joined(group):
        return f"inet  {group}" in in_netns(EDGE_NETNS, "ip", "maddress", "show", "dev", "edge0")

    @staticmethod
    def check_others_refused(edge, port):
        """What goes to another group, or to the edge's own address, does not reach the leg."""
        def drops():
            return sum(worker["drops"].get("not_ours", 0) for worker in edge.state()["workers"])
        refused = edge.stream()["legs"]["video"]["drops"]
        with udp_socket() as sock:
            for address in (OTHER_GROUP, EDGE_IP4):
                for _ in range(20):
                    sock.sendto(b"not rtp at all", (address, port))
        time.sleep(0.2)  # nothing shall happen
        now = edge.stream()["legs"]["video"]["drops"]
        check(now == refused, f"strangers reached the leg: {now}, before {refused}")
        check(drops() == 0, f"{drops()} of them passed the steering program")
        with udp_socket() as sock:
            sock.sendto(b"not rtp at all", (GROUP, port))
        wait_until(lambda: edge.stream()["legs"]["video"]["drops"] != refused, 2,
                   "one to the group to be judged")


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
