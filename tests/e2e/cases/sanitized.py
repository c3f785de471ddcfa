"""Both daemons built with the address and the undefined-behaviour sanitizer."""

import os

from host import Skip, check
from millrace import Edge, Encoder, Netns, post_offer
from viewers import Aiortc


class Asan:
    """Viewers come, watch, leave; a stream comes and goes; nothing is reported or leaked."""

    def run(self, context):
        if not os.path.exists(os.path.join(context.build_asan, "dataplane", "millrace-dataplane")):
            raise Skip("no build with sanitizers: scripts/test e2e asan makes it")
        with Netns(), Edge(context.logs, context.build_asan) as edge:
            legs = edge.put_stream()["legs"]
            with Encoder(context.logs, legs, size="320x180", rate=15, bits="200k"):
                with Aiortc(context.logs, count=3) as crowd:
                    crowd.await_playing(seconds=60)
                    crowd.leave(1)
                    check(post_offer("nonsense").status == 400, "a broken offer was not refused")
                    crowd.await_all(lambda v: v["video"]["count"] > 60, 30, "more", only=(0, 2))
                    edge.delete_stream()
                    edge.await_no_peers(10)
                edge.put_stream("again")
