"""Encoders that die and come back, alone and with a backup: the viewer plays on."""

import json
import statistics
import time

from host import check, wait_until
from millrace import Edge, Encoder, Netns, request
from viewers import Aiortc

SYNC_MS = 80
SWITCH_S = 0.5
SMALL = {"size": "320x180", "rate": 25, "bits": "300k"}


def apart_ms(viewer):
    """Picture behind sound, by the timestamps, the reports and when packets came."""
    return 1000 * (viewer["video"]["late_s"] - viewer["audio"]["late_s"])


def sync_ms(crowd, samples=6):
    found = [crowd.stats()[0] for _ in range(samples)]
    return statistics.median(apart_ms(viewer) for viewer in found)


def check_unbroken(viewer):
    for kind in ("video", "audio"):
        check(viewer[kind]["ssrcs"] == 1, f"{viewer[kind]['ssrcs']} SSRCs of {kind}")
        check(viewer[kind]["lost"] == 0, f"{viewer[kind]['lost']} packets of {kind} lost")


def more(crowd, kind_frames, seconds, what):
    before = crowd.stats()[0]["video"]["count"]
    return crowd.await_all(lambda v: v["video"]["count"] >= before + kind_frames, seconds, what)[0]


class EncoderRestart:
    """Killed and started again within two seconds: plays on, sound and picture together."""

    def run(self, context):
        with Netns(), Edge(context.logs, context.build) as edge:
            legs = edge.put_stream()["legs"]
            first = Encoder(context.logs, legs, name="encoder-1", **SMALL)
            with first, Aiortc(context.logs) as crowd:
                crowd.await_playing()
                more(crowd, 50, 10, "two seconds of picture")
                before = sync_ms(crowd)
                check(abs(before) <= SYNC_MS, f"{before:.0f} ms apart before the restart")
                first.die()
                with Encoder(context.logs, legs, name="encoder-2", **SMALL) as again:
                    wait_until(lambda: edge.stream()["legs"]["video"]["restarts"] == 1, 10,
                               "the restart to be seen")
                    played = more(crowd, 3 * again.rate, 15, "three seconds of picture")
                    after = sync_ms(crowd)
                    print(f"    apart {before:.0f} ms before, {after:.0f} ms after; longest gap "
                          f"{played['video']['longest_gap_s']} s")
                    check(abs(after) <= SYNC_MS, f"{after:.0f} ms apart after the restart")
                    check_unbroken(crowd.stats()[0])
                    crowd.quit()


class Failover:
    """The primary is killed: the backup's picture within half a second; back by hand."""

    def run(self, context):
        with Netns(), Edge(context.logs, context.build) as edge:
            stream = edge.put_stream(backup={})
            check(stream["source"]["active"] == "primary", stream["source"])
            long_groups = {**SMALL, "group_s": 10}
            primary = Encoder(context.logs, stream["legs"], name="primary", **long_groups)
            with primary:
                edge.await_legs_up()
                with Encoder(context.logs, stream["backup"]["legs"], name="backup",
                             **long_groups) as backup, Aiortc(context.logs) as crowd:
                    self.play(context, edge, crowd, primary, backup, long_groups)

    def play(self, context, edge, crowd, primary, backup, shape):
        crowd.await_playing()
        more(crowd, 75, 10, "three seconds of picture")
        check(edge.stream()["source"]["active"] == "primary", "the backup plays too early")
        crowd.process.send("mark")
        primary.die()
        more(crowd, 2 * backup.rate, 10, "the backup's picture")
        viewer = crowd.stats()[0]
        gap = viewer["video"]["longest_gap_s"]
        source = edge.stream()["source"]
        print(f"    longest gap {gap} s, sound {viewer['audio']['longest_gap_s']} s")
        check(source["active"] == "backup" and source["switched_by"] == "silence", source)
        check(source["switches"] == {"silence": 1, "hand": 0, "failback": 0, "removed": 0}, source)
        check(gap <= SWITCH_S, f"{gap} s without a picture")
        check_unbroken(viewer)
        metrics = request("GET", "/metrics").body
        count = 'millrace_stream_source_switches_total{stream="live",reason="silence"} 1'
        check(count in metrics, "no metric")
        with Encoder(context.logs, edge.stream()["legs"], name="primary-2", **shape) as again:
            edge.await_legs_up()
            time.sleep(1)  # a primary that is back does not play by itself
            check(edge.stream()["source"]["active"] == "backup", "back by itself")
            crowd.process.send("mark")
            answer = request("PUT", "/api/v3/streams/live/source", json.dumps({"source": "primary"}),
                             {"Content-Type": "application/json"})
            check(answer.status == 200, f"PUT of the source: {answer.status} {answer.body}")
            wait_until(lambda: edge.stream()["source"]["active"] == "primary", 15,
                       "the primary to play at its next key frame")
            more(crowd, 2 * again.rate, 10, "the primary's picture")
            viewer = crowd.stats()[0]
            gap = viewer["video"]["longest_gap_s"]
            print(f"    back: longest gap {gap} s, apart {sync_ms(crowd):.0f} ms")
            check(gap <= SWITCH_S, f"{gap} s without a picture on the way back")
            check_unbroken(viewer)
            crowd.quit()
