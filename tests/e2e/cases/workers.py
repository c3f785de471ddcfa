"""More than one worker."""

import os

from host import Skip, check
from millrace import Edge, Encoder, Netns
from viewers import Aiortc


class TwoWorkers:
    """Two workers share four viewers of one stream; every viewer decodes."""

    def run(self, context):
        if os.cpu_count() < 2:
            raise Skip("two cores are needed")
        with Netns(queues=2), Edge(
                context.logs, context.build, dataplane={"dataplane-cores": "0,1"}) as edge:
            legs = edge.put_stream()["legs"]
            with Encoder(context.logs, legs, size="320x180", rate=15, bits="200k") as encoder:
                with Aiortc(context.logs, count=4) as crowd:
                    crowd.await_playing(frames=3 * encoder.rate)
                    workers = edge.state()["workers"]
                    check(len(workers) == 2, f"{len(workers)} workers")
                    spread = sorted(worker["peers"] for worker in workers)
                    check(spread == [2, 2], f"viewers a worker: {spread}")
                    for worker in workers:
                        check(worker["tx_packets"] > 0, f"core {worker['cpu']} sent nothing")
                    for viewer in crowd.stats():
                        check(viewer["video"]["lost"] == 0,
                              f"viewer {viewer['viewer']} lost {viewer['video']['lost']}")
                    crowd.quit()


class PortableEngine:
    """The portable SRTP engine in place of the fast one: the same picture and sound."""

    def run(self, context):
        with Netns(), Edge(
                context.logs, context.build,
                dataplane={"dataplane-engine": "libsrtp2"}) as edge:
            check(edge.state()["engine"] == "libsrtp2", f"engine {edge.state()['engine']}")
            legs = edge.put_stream()["legs"]
            with Encoder(context.logs, legs, size="320x180", rate=15, bits="200k") as encoder:
                with Aiortc(context.logs, count=2) as crowd:
                    crowd.await_playing(frames=3 * encoder.rate)
                    crowd.quit()
