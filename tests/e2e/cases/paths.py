"""Ways to the viewers that change, and sources that pause."""

import time

from host import EDGE_IP4, VIEWER_IP4, VIEWER_NETNS, check, in_netns, udp_socket, wait_until
from millrace import Edge, Encoder, Netns, request
from relay import MEDIA_PORT, Relay
from viewers import Aiortc

SMALL = {"size": "320x180", "rate": 15, "bits": "200k"}
PUBLIC = "203.0.113.5"  # on the viewers' loopback: nothing leaves the namespace


def peer_address():
    peers = request("GET", "/api/v3/streams/live/peers").json()["peers"]
    check(len(peers) == 1, f"{len(peers)} viewers")
    return peers[0]["address"]


def check_replay_moves_nothing(relay):
    """C17: a captured check, sent again from elsewhere, is no move."""
    with udp_socket() as stranger:
        for data in relay.checks[-3:]:
            stranger.sendto(data, (EDGE_IP4, MEDIA_PORT))
        stranger.settimeout(1)
        try:
            got = stranger.recv(2048)
        except TimeoutError:
            got = None
    check(got is None, f"a stranger is answered: {got[:4] if got else None}")
    check(peer_address() == f"{VIEWER_IP4}:{relay.port}", f"media moved to {peer_address()}")


class NatRebinding:
    """Behind a 1:1 NAT the answer names the public address alone; when the viewer's NAT takes
    another port, media follows its next check, in the same session and under the same keys."""

    def run(self, context):
        options = {"media-address": EDGE_IP4, "media-public-address": f"{EDGE_IP4}={PUBLIC}"}
        with Netns(), Edge(context.logs, context.build, control=options) as edge:
            in_netns(VIEWER_NETNS, "ip", "addr", "add", f"{PUBLIC}/32", "dev", "lo")
            legs = edge.put_stream()["legs"]
            with Encoder(context.logs, legs, **SMALL) as encoder, Relay(PUBLIC) as relay, Aiortc(
                    context.logs, nominate=True) as viewer:
                answer = viewer.answered()["answer"]
                candidates = [line for line in answer.splitlines() if "a=candidate" in line]
                check(len(candidates) == 1 and f" {PUBLIC} {MEDIA_PORT} typ host" in candidates[0],
                      f"candidates: {candidates}")
                viewer.await_playing()
                wait_until(lambda: len(relay.checks) > 3, 10, "consent checks")
                check_replay_moves_nothing(relay)
                self.rebind(relay, viewer, encoder)
                check(edge.peers() == 1, f"{edge.peers()} sessions")
                viewer.quit()

    @staticmethod
    def rebind(relay, viewer, encoder):
        before, old_port = viewer.stats()[0], relay.port
        relay.rebind()
        check(relay.port != old_port, "the port is the old one")
        wait_until(lambda: peer_address() == f"{VIEWER_IP4}:{relay.port}", 5, "media to follow")
        after = viewer.await_all(
            lambda v: v["video"]["count"] > before["video"]["count"] + 5 * encoder.rate
            and v["audio"]["count"] > before["audio"]["count"] + 3 * 48000, 20,
            "picture and sound after the move")[0]
        check(after["dtls"] == "connected" and after["state"] == "connected", f"{after}")


class SourcePauses:
    """The encoder stops and another starts: the legs' failure is told, the viewer stays and its
    picture goes on in the same session."""

    def run(self, context):
        with Netns(), Edge(context.logs, context.build) as edge:
            legs = edge.put_stream()["legs"]
            with Aiortc(context.logs) as viewer:
                with Encoder(context.logs, legs, **SMALL):
                    viewer.await_playing()
                wait_until(lambda: not edge.stream()["live"], 5, "the legs to be down")
                for leg in ("video", "audio"):
                    check(f"{leg} fell silent" in edge.control.log(), f"{leg}: not in the log")
                    check(edge.stream()["legs"][leg]["state"] == "silent", f"{leg} is not silent")
                time.sleep(3)  # a pause that a viewer notices
                check(edge.stream()["viewers"] == 1, "the viewer is gone")
                before = viewer.stats()[0]
                with Encoder(context.logs, legs, **SMALL, name="encoder-2") as encoder:
                    after = viewer.await_all(
                        lambda v: v["video"]["count"] > before["video"]["count"] + 3 * encoder.rate
                        and v["audio"]["energy"] > before["audio"]["energy"], 20,
                        "the picture to go on")[0]
                    check(after["video"]["lost"] == 0, f"lost {after['video']['lost']}")
                    check(after["state"] == "connected", f"{after['state']}")
                    check(edge.stream()["legs"]["video"]["restarts"] == 1, "restarts counted")
                viewer.quit()
