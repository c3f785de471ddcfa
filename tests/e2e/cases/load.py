"""Many viewers by the load client. Correctness only: times are for tests/load/run."""

import argparse
import os
import sys

from crowd import Crowd
from host import ROOT, check, wait_until
from millrace import Edge, Encoder, Netns

sys.path.append(os.path.join(ROOT, "tests", "load"))

import deliver  # noqa: E402

SMALL = {"size": "320x180", "rate": 15, "bits": "200k"}
# All viewers have one address here.
NO_LIMITS = {"limits-stun-pps": "0", "limits-dtls-pps": "0"}


def check_sound(found, viewers):
    """Everybody played, packets were opened and compared, reports went both ways."""
    check(found["ready"] == viewers and found["left"] == viewers,
          f"{found['ready']} of {viewers} ready, {found['left']} left")
    check(found["rtp"] > 0 and found["rtp_opened"] == found["rtp"],
          f"{found['rtp_opened']} of {found['rtp']} packets opened")
    check(found["rtp_compared"] > found["rtp"] / 4,
          f"{found['rtp_compared']} of {found['rtp']} packets compared across viewers")


def rss_kib(pid):
    """Memory of the process's own that is resident."""
    with open(f"/proc/{pid}/status") as file:
        fields = dict(line.split(":", 1) for line in file if ":" in line)
    return int(fields["RssAnon"].split()[0])


class CrowdPlays:
    """Sixty viewers with both profiles: every packet opens and is the same for all."""

    def run(self, context):
        options = {"whep-max-peers-per-stream": "100", **NO_LIMITS}
        with Netns(), Edge(context.logs, context.build, control=options) as edge:
            legs = edge.put_stream()["legs"]
            with Encoder(context.logs, legs, **SMALL):
                edge.await_legs_up()
                with Crowd(context.logs, context.build, viewers=60, join_rate=30, seconds=5,
                           profile="mixed") as crowd:
                    found = crowd.result(60)
                check_sound(found, 60)
                check(found["sender_reports"] >= 60, f"{found['sender_reports']} sender reports")
                edge.await_no_peers()


class CapExact:
    """1000 POSTs at once against a cap of 100: exactly 100 sessions and 900 answers of 503."""

    def run(self, context):
        for total, stream in (("100", "1000"), ("1000", "100")):
            options = {"whep-max-peers": total, "whep-max-peers-per-stream": stream,
                       "http-max-connections": "1100"}
            with Netns(), Edge(context.logs, context.build,
                               control={**options, **NO_LIMITS}) as edge:
                edge.put_stream()
                with Crowd(context.logs, context.build, viewers=1000, join_rate=0, seconds=3,
                           connections=1000, no_media=True,
                           expect="201=100,503=900") as crowd:
                    found = crowd.result(60)
                check(found["ready"] == 100, f"{found['ready']} sessions came to play")
                edge.await_no_peers()


class JoinsAndLeaves:
    """Viewers come and go quickly: each is served, and nothing of them stays."""

    def run(self, context):
        options = {"whep-max-peers-per-stream": "1000", **NO_LIMITS}
        with Netns(), Edge(context.logs, context.build, control=options) as edge:
            legs = edge.put_stream()["legs"]
            with Encoder(context.logs, legs, **SMALL):
                edge.await_legs_up()
                with Crowd(context.logs, context.build, viewers=300, join_rate=100, seconds=10,
                           stay=2.5, profile="mixed") as crowd:
                    check_sound(crowd.result(60), 300)
                edge.await_no_peers()
            # A viewer takes some 40 KiB; control starts with less than 2 MiB.
            wait_until(lambda: rss_kib(edge.control.pid) < 5000, 10,
                       "control to give back the memory of its viewers")


class FarEndCounts:
    """What is counted where it arrives is what was sent, and a part of it is opened."""

    def run(self, context):
        options = argparse.Namespace(
            build=context.build, client_core=None, viewers=20, profile="mixed", bytes=1000, fps=25,
            offered=[4000], settle_s=1, step_s=3, sample_every_ms=300, sample_ms=100,
            far_mode="native")
        control = {"whep-max-peers-per-stream": "100", **NO_LIMITS}
        with Netns(), Edge(context.logs, context.build, control=control) as edge:
            found = deliver.measure(options, edge, edge.put_stream()["legs"])
            edge.await_no_peers()
        step, crowd = found["steps"][0], found["load"]
        check(crowd["n_faults"] == 0, f"faults: {crowd['faults']}")
        check(crowd["rtp_opened"] == crowd["rtp"] > 0 and crowd["rtp_compared"] > crowd["rtp"] / 4,
              f"{crowd['rtp']} came, {crowd['rtp_opened']} opened, {crowd['rtp_compared']} compared")
        # The counters are read one after the other: a frame may lie between.
        for name in ("offered_pps", "sealed_pps", "tx_pps"):
            check(abs(step[name] / step["delivered_pps"] - 1) < 0.1,
                  f"{name} {step[name]:.0f}, delivered {step['delivered_pps']:.0f}")
        check(step["other"] == 0, f"{step['other']} packets of no payload type")
        for leg, rate in (("audio", 50), ("video", 150)):
            check(step[leg]["min"] > 0.9 * rate and step[leg]["max"] < 1.1 * rate,
                  f"{leg} a viewer: {step[leg]}")
        # A third of it went on to the sockets; most of it did not.
        check(0 < step["sampled"] < step["delivered_pps"] * step["seconds"] * 0.6,
              f"{step['sampled']} let through")
