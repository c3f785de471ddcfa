"""A viewer sees and hears the stream."""

import os
import statistics

from host import EDGE_IP6, check
from millrace import Edge, Encoder, Netns
from viewers import Aiortc, Chromium

SYNC_MS = 80
SMALL = {"size": "320x180", "rate": 15, "bits": "200k"}


def check_sync(offsets_ms):
    """Judged by the median: one sample falls between two packets of either leg."""
    check(offsets_ms and None not in offsets_ms, "no synchronisation between picture and sound")
    middle = statistics.median(offsets_ms)
    check(abs(middle) <= SYNC_MS, f"picture and sound {middle:.0f} ms apart")


def check_browser(chromium, rate, cipher="AEAD_AES_128_GCM"):
    """The encoder's frame rate within 5 %, nothing frozen, sound, in sync, the better cipher."""
    result = chromium.result()
    samples = chromium.samples()
    first, last, seconds = result["first"], result["last"], result["seconds"]
    shown = (last["framesDecoded"] - first["framesDecoded"]) / seconds
    check(abs(shown - rate) <= rate * 0.05, f"{shown:.2f} frames a second of {rate}")
    frozen = last["freezeCount"] - first["freezeCount"]
    check(frozen == 0, f"{frozen} freezes")
    energy = last["totalAudioEnergy"] - first["totalAudioEnergy"]
    check(energy > 0, "no sound")
    check_sync([sample["avSyncMs"] for sample in samples])
    check(last["srtpCipher"].endswith(cipher), f"cipher {last['srtpCipher']}")


class ChromiumPlays:
    """Chromium on the player page plays 20 s of 720p without a flaw."""

    def run(self, context):
        with Netns(), Edge(context.logs, context.build) as edge:
            legs = edge.put_stream()["legs"]
            with Encoder(context.logs, legs) as encoder:
                edge.await_legs_up()
                with Chromium(context.logs, screenshot="playing.png") as chromium:
                    chromium.await_playing()
                    check_browser(chromium, encoder.rate)
                size = (chromium.samples()[-1]["width"], chromium.samples()[-1]["height"])
                check(size == (1280, 720), f"the picture is {size}")
                check(os.path.getsize(os.path.join(context.logs, "playing.png")) > 10000,
                      "no screenshot")


class TwoKindsOfViewer:
    """Chromium (GCM) and aiortc (CM-SHA1) on one stream at the same time."""

    def run(self, context):
        with Netns(), Edge(context.logs, context.build) as edge:
            legs = edge.put_stream()["legs"]
            with Encoder(context.logs, legs, size="640x360", bits="800k") as encoder:
                edge.await_legs_up()
                with Chromium(context.logs, seconds=8) as chromium, Aiortc(context.logs) as aiortc:
                    chromium.await_playing()
                    before = aiortc.await_playing()[0]
                    check_browser(chromium, encoder.rate)
                    after = aiortc.await_all(
                        lambda v: v["video"]["count"] > before["video"]["count"] + encoder.rate,
                        15, "more picture")[0]
                    check(after["video"]["lost"] == 0, f"aiortc lost {after['video']['lost']}")
                    aiortc.quit()


class TwentyViewers:
    """Twenty viewers decode; one leaves, and the others do not notice."""

    def run(self, context):
        options = {"whep-max-peers-per-stream": "64"}
        with Netns(), Edge(context.logs, context.build, control=options) as edge:
            legs = edge.put_stream()["legs"]
            with Encoder(context.logs, legs, **SMALL) as encoder, Aiortc(
                    context.logs, count=20) as crowd:
                crowd.await_playing(seconds=60)
                check(edge.stream()["viewers"] == 20, f"{edge.stream()['viewers']} viewers counted")
                crowd.process.send("mark")
                crowd.leave(7)
                others = [number for number in range(20) if number != 7]
                before = {v["viewer"]: v for v in crowd.stats()}
                after = crowd.await_all(
                    lambda v: v["video"]["count"] >= before[v["viewer"]]["video"]["count"]
                    + 3 * encoder.rate, 30, "three more seconds of picture", only=others)
                self.check_unbroken(after)
                check(edge.stream()["viewers"] == 19, f"{edge.stream()['viewers']} viewers counted")
                crowd.quit(60)
                edge.await_no_peers()

    def check_unbroken(self, viewers):
        for viewer in viewers:
            for kind in ("video", "audio"):
                lost, gap = viewer[kind]["lost"], viewer[kind]["longest_gap_s"]
                check(lost == 0, f"viewer {viewer['viewer']} lost {lost} packets of {kind}")
                check(gap < 1.0, f"viewer {viewer['viewer']}: {gap} s without {kind}")


class Ipv6Aiortc:
    """A viewer that has IPv6 alone."""

    def run(self, context):
        with Netns(), Edge(context.logs, context.build, control={"http-address": "::"}) as edge:
            legs = edge.put_stream()["legs"]
            with Encoder(context.logs, legs, **SMALL), Aiortc(
                    context.logs, family=6, host=EDGE_IP6) as viewer:
                answer = viewer.answered()
                check(answer["status"] == 201, f"{answer['status']}: {answer['answer']}")
                check(f" {EDGE_IP6} " in answer["answer"], "no IPv6 candidate in the answer")
                played = viewer.await_playing()[0]
                check(played["video"]["lost"] == 0, f"lost {played['video']['lost']}")
                viewer.quit()


class Ipv6Chromium:
    """The player page by its IPv6 address."""

    def run(self, context):
        control = {"http-address": "::", "media-address": EDGE_IP6}
        with Netns(), Edge(context.logs, context.build, control=control) as edge:
            legs = edge.put_stream()["legs"]
            with Encoder(context.logs, legs, size="640x360", bits="800k") as encoder:
                edge.await_legs_up()
                with Chromium(context.logs, seconds=6, host=EDGE_IP6) as chromium:
                    chromium.await_playing()
                    check_browser(chromium, encoder.rate)
