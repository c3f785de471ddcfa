"""Encoders that die and come back, alone and with a backup: the viewer plays on."""

import json
import os
import statistics
import tempfile
import time

from host import EDGE_IP4, ROOT, VIEWER_NETNS, Process, check, wait_until
from millrace import API_KEY, HTTP_PORT, Edge, Encoder, Netns, request
from viewers import Aiortc

SYNC_MS = 80
SWITCH_S = 0.5
SMALL = {"size": "320x180", "rate": 25, "bits": "300k"}


def apart_ms(viewer):
    """Picture behind sound, by the timestamps, the reports and when packets came."""
    return 1000 * (viewer["video"]["late_s"] - viewer["audio"]["late_s"])


def sync_ms(crowd, samples=6):
    found = [now(crowd) for _ in range(samples)]
    return statistics.median(apart_ms(viewer) for viewer in found)


def check_unbroken(viewer):
    for kind in ("video", "audio"):
        check(viewer[kind]["ssrcs"] == 1, f"{viewer[kind]['ssrcs']} SSRCs of {kind}")
        check(viewer[kind]["lost"] == 0, f"{viewer[kind]['lost']} packets of {kind} lost")


def now(crowd):
    """The one viewer, by a report made from now on; those before it wait to be read."""
    begin = time.monotonic()
    event = crowd.process.next_event(
        10, lambda e: e["event"] == "stats" and e["time"] >= begin, "its report")
    return event["viewers"][0]


def more(crowd, kind_frames, seconds, what):
    before = now(crowd)["video"]["count"]
    return crowd.await_all(lambda v: v["video"]["count"] >= before + kind_frames, seconds, what)[0]


def ended(reason):
    """How many sessions ended for that reason."""
    name = f'millrace_sessions_ended_total{{reason="{reason}"}} '
    lines = [line for line in request("GET", "/metrics").body.splitlines() if line.startswith(name)]
    check(len(lines) == 1, f"{name}: {lines}")
    return int(lines[0].split()[-1])


def look_at_pages(context):
    """What dashboard and player page say of the sources."""
    script = os.path.join(ROOT, "tests", "e2e", "browse_sources.py")
    with tempfile.TemporaryDirectory(prefix="millrace-chromium.") as home:
        browser = Process("browse-sources", ["/usr/bin/python3", "-u", script, "--home", home,
                                             "--base", f"http://{EDGE_IP4}:{HTTP_PORT}", "--key",
                                             API_KEY], context.logs, VIEWER_NETNS, lines=True)
        try:
            end = browser.next_event(90, lambda e: e["event"] in ("done", "failed"), "its end")
            check(end["event"] == "done", end)
            check(browser.wait(20) == 0, browser.last_line())
            return end
        finally:
            browser.kill()


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
                    check_unbroken(now(crowd))
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

    @staticmethod
    def pick(source):
        answer = request("PUT", "/api/v3/streams/live/source", json.dumps({"source": source}),
                         {"Content-Type": "application/json"})
        check(answer.status == 200, f"PUT of the source: {answer.status} {answer.body}")
        return answer.json()

    def play(self, context, edge, crowd, primary, backup, shape):
        crowd.await_playing()
        more(crowd, 75, 10, "three seconds of picture")
        check(edge.stream()["source"]["active"] == "primary", "the backup plays too early")
        crowd.process.send("mark")
        primary.die()
        more(crowd, 2 * backup.rate, 10, "the backup's picture")
        viewer = now(crowd)
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
            self.pick("primary")
            wait_until(lambda: edge.stream()["source"]["active"] == "primary", 15,
                       "the primary to play at its next key frame")
            more(crowd, 2 * again.rate, 10, "the primary's picture")
            viewer = now(crowd)
            gap = viewer["video"]["longest_gap_s"]
            print(f"    back: longest gap {gap} s, apart {sync_ms(crowd):.0f} ms")
            check(gap <= SWITCH_S, f"{gap} s without a picture on the way back")
            check_unbroken(viewer)
            self.again(edge, crowd, again, backup)
            crowd.quit()

    def again(self, edge, crowd, primary, backup):
        """With the choice left to the edge, the backup is there once more."""
        check(self.pick("auto")["source"]["active"] == "primary", "auto changes the source")
        crowd.process.send("mark")
        primary.die()
        more(crowd, 2 * backup.rate, 10, "the backup's picture again")
        viewer, source = now(crowd), edge.stream()["source"]
        check(source["switches"] == {"silence": 2, "hand": 1, "failback": 0, "removed": 0}, source)
        gap = viewer["video"]["longest_gap_s"]
        check(gap <= SWITCH_S, f"{gap} s without a picture the second time")
        check_unbroken(viewer)


class Failback:
    """The primary plays again by itself once it was there for failback_s; the pages say which does."""

    def run(self, context):
        with Netns(), Edge(context.logs, context.build) as edge:
            stream = edge.put_stream(backup={"failback": "auto", "failback_s": 4})
            primary = Encoder(context.logs, stream["legs"], name="primary", **SMALL)
            with primary:
                edge.await_legs_up()
                with Encoder(context.logs, stream["backup"]["legs"], name="backup", **SMALL), \
                        Aiortc(context.logs) as crowd:
                    self.play(context, edge, crowd, primary)

    def play(self, context, edge, crowd, primary):
        crowd.await_playing()
        wait_until(lambda: edge.stream()["backup"]["legs"]["video"]["state"] == "up", 10,
                   "the backup to be up")
        more(crowd, 50, 10, "two seconds of picture")
        primary.die()
        wait_until(lambda: edge.stream()["source"]["active"] == "backup", 5, "the backup to play")
        pages = look_at_pages(context)
        check(pages["card"].startswith("backup plays; took over"), pages)
        check(pages["card"].endswith("the other fell silent"), pages)
        check(pages["player"] == "backup", pages)
        crowd.process.send("mark")
        with Encoder(context.logs, edge.stream()["legs"], name="primary-2", **SMALL) as again:
            edge.await_legs_up()
            begin = time.monotonic()
            wait_until(lambda: edge.stream()["source"]["active"] == "primary", 15,
                       "the primary to play by itself")
            after = time.monotonic() - begin
            more(crowd, 2 * again.rate, 10, "the primary's picture")
            source, viewer = edge.stream()["source"], now(crowd)
            gap = viewer["video"]["longest_gap_s"]
            print(f"    back after {after:.1f} s; longest gap {gap} s")
            check(after > 3, f"back after {after:.1f} s")
            check(source["switches"] == {"silence": 1, "hand": 0, "failback": 1, "removed": 0},
                  source)
            check(gap <= SWITCH_S, f"{gap} s without a picture on the way back")
            check_unbroken(viewer)
            crowd.quit()


class OtherLegs:
    """Another size plays on; a stream that has no sound any more ends its sessions."""

    def run(self, context):
        with Netns(), Edge(context.logs, context.build) as edge:
            legs = edge.put_stream()["legs"]
            first = Encoder(context.logs, legs, name="small", **SMALL)
            with first, Aiortc(context.logs) as crowd:
                crowd.await_playing()
                first.die()
                larger = {**SMALL, "size": "640x360"}
                with Encoder(context.logs, legs, name="large", **larger):
                    crowd.await_all(lambda v: v["video"]["size"] == [640, 360], 15, "the new size")
                    check_unbroken(now(crowd))
                    check(edge.peers() == 1 and ended("stream_changed") == 0, "it ended")
                    edge.put_stream(audio=False)
                    crowd.await_all(lambda v: v["dtls"] == "closed", 5, "close_notify")
                    edge.await_no_peers()
                    check(ended("stream_changed") == 1, "it ended for another reason")
                    crowd.quit()


class SourceStalls:
    """A source that pauses keeps its viewers for [whep] source_timeout_s, and no longer."""

    def run(self, context):
        with Netns(), Edge(context.logs, context.build,
                           control={"whep-source-timeout-s": "6"}) as edge:
            legs = edge.put_stream()["legs"]
            first = Encoder(context.logs, legs, name="first", **SMALL)
            with first, Aiortc(context.logs) as crowd:
                crowd.await_playing()
                first.die()
                time.sleep(4)
                check(edge.peers() == 1, "it ended too early")
                second = Encoder(context.logs, legs, name="second", **SMALL)
                with second:
                    more(crowd, 2 * second.rate, 15, "picture after the pause")
                    second.die()
                    silent = time.monotonic()
                    crowd.await_all(lambda v: v["dtls"] == "closed", 10, "close_notify")
                    gone = time.monotonic() - silent
                    check(gone > 4, f"it ended after {gone:.1f} s")
                    edge.await_no_peers()
                    check(ended("source_silent") == 1, "it ended for another reason")
                    crowd.quit()
