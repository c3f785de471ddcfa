"""A viewer who comes in the middle of a group of pictures."""

import os

from host import check, wait_until
from millrace import Edge, Encoder, Netns
from viewers import Aiortc

JOINS = 10
GROUP_S = 10
P95_MS = 600  # in reach on an idle machine: 300
APART_S = 0.73  # against the beat of the groups
MEDIA = {"size": "320x180", "rate": 15, "bits": "300k", "group_s": GROUP_S}


def start_times_ms(context, name, seconds):
    """From POST to the first decoded frame, of joins at moments spread over a group."""
    with Aiortc(context.logs, count=JOINS, apart=APART_S, name=name) as crowd:
        viewers = crowd.await_all(lambda v: v["video"]["first_ms"] is not None, seconds, "a picture")
        lost = sum(viewer["video"]["lost"] for viewer in viewers)
        check(lost == 0, f"{name} lost {lost} packets")
        before = {v["viewer"]: v["video"]["count"] for v in viewers}
        crowd.await_all(lambda v: v["video"]["count"] > before[v["viewer"]] + MEDIA["rate"], 10,
                        "more picture")
        crowd.quit()
    return sorted(viewer["video"]["first_ms"] for viewer in viewers)


class InstantStart:
    """Groups of 10 s: pictures begin at once wherever a viewer joins; without, they wait."""

    def run(self, context):
        options = {"whep-max-peers-per-stream": str(JOINS)}
        with Netns(), Edge(context.logs, context.build, control=options) as edge:
            legs = edge.put_stream()["legs"]
            with Encoder(context.logs, legs, **MEDIA):
                edge.await_legs_up()
                wait_until(lambda: edge.stream()["legs"]["video"]["key_frames"] > 0, 10, "a key frame")
                instant = start_times_ms(context, "instant", 30)
                edge.await_no_peers()
                edge.put_stream(instant_start=False)
                waiting = start_times_ms(context, "waiting", 40)
        with open(os.path.join(context.logs, "times.txt"), "w") as file:
            print(f"instant {instant}\nwaiting {waiting}", file=file)
        p95 = instant[round(0.95 * (JOINS - 1))]
        check(p95 <= P95_MS, f"p95 of {instant} is {p95} ms")
        check(waiting[JOINS // 2] > 1000, f"who waits for a key frame waits longer: {waiting}")
