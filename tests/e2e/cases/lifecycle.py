"""Sessions and streams come to an end, and what they held is free again."""

import os
import signal
import time

import stun
from host import ROOT, VIEWER_IP4, check, udp_socket, wait_until
from millrace import Edge, Encoder, Netns, PIN_DIR, post_offer, request
from viewers import Aiortc

SMALL = {"size": "320x180", "rate": 15, "bits": "200k"}
SETUP_S = 2


def recorded_offer():
    """Audio and video, received only, as aiortc sends it; nobody is behind it."""
    path = os.path.join(ROOT, "tests", "e2e", "fixtures", "aiortc-offer.sdp")
    with open(path, newline="") as file:
        return file.read()


class StreamRemoved:
    """Removing a stream closes its viewers, frees their slots and the stream's ports."""

    def run(self, context):
        with Netns(), Edge(context.logs, context.build) as edge:
            legs = edge.put_stream()["legs"]
            ports = [leg["port"] for leg in legs.values()]
            with Encoder(context.logs, legs, **SMALL), Aiortc(context.logs, count=3) as crowd:
                crowd.await_playing()
                edge.delete_stream()
                crowd.await_all(lambda v: v["dtls"] == "closed", 10, "close_notify")
                edge.await_no_peers()
                check(request("GET", "/api/v3/streams/live").status == 404, "the stream is there")
            again = edge.put_stream("other")["legs"]
            check([leg["port"] for leg in again.values()] == ports,
                  f"ports {ports} were not free again")


class SetupTimeoutNoIce:
    """An offer that nobody follows up on holds its slot for the set-up time and no longer."""

    def run(self, context):
        options = {"whep-setup-timeout-s": str(SETUP_S)}
        with Netns(), Edge(context.logs, context.build, control=options) as edge:
            edge.put_stream()
            answer = post_offer(recorded_offer())
            check(answer.status == 201, f"{answer.status}: {answer.body}")
            check_freed(edge)
            gone = request("PATCH", answer.headers["Location"], "a=end-of-candidates\r\n",
                           {"Content-Type": "application/trickle-ice-sdpfrag"})
            check(gone.status == 404, f"the session still answers: {gone.status}")


class SetupTimeoutNoDtls:
    """ICE alone does not keep a slot."""

    def run(self, context):
        options = {"whep-setup-timeout-s": str(SETUP_S)}
        with Netns(), Edge(context.logs, context.build, control=options) as edge:
            edge.put_stream()
            offer = recorded_offer()
            answer = post_offer(offer)
            check(answer.status == 201, f"{answer.status}: {answer.body}")
            with udp_socket(address=VIEWER_IP4) as sock:
                check(stun.ping(sock, offer, answer.body, 2), "the check was not answered")
                check_freed(edge, lambda: stun.ping(sock, offer, answer.body, 0.2))
                check(not stun.ping(sock, offer, answer.body, 0.5),
                      "a check is answered after the session's end")


def check_freed(edge, meanwhile=lambda: None):
    """One slot is held now, and not before its time but soon after it is free."""
    began = time.monotonic()
    check(edge.peers() == 1, f"{edge.peers()} slots held")

    def free():
        meanwhile()
        return edge.peers() == 0
    wait_until(free, SETUP_S + 4, "the slot to be free")
    held = time.monotonic() - began
    check(held > SETUP_S / 2, f"the slot was free after {held:.1f} s already")


class ViewerVanishes:
    """A viewer that is simply gone is given up after the consent time."""

    def run(self, context):
        options = {"whep-consent-timeout-s": "5"}
        with Netns(), Edge(context.logs, context.build, control=options) as edge:
            legs = edge.put_stream()["legs"]
            with Encoder(context.logs, legs, **SMALL), Aiortc(context.logs) as viewer:
                viewer.await_playing()
                viewer.process.signal(signal.SIGKILL)
                viewer.process.wait(5)
                check(edge.peers() == 1, "the slot was free at once")
                edge.await_no_peers(20)


class ControlRestart:
    """Control dies and comes back: no viewer loses a packet, and each can still leave."""

    def run(self, context):
        with Netns(), Edge(context.logs, context.build) as edge:
            legs = edge.put_stream()["legs"]
            with Encoder(context.logs, legs, **SMALL) as encoder, Aiortc(context.logs) as viewer:
                before = viewer.await_playing()[0]
                viewer.process.send("mark")
                edge.control.signal(signal.SIGKILL)
                edge.control.wait(5)
                edge.control.kill()
                edge.start_control()
                after = viewer.await_all(
                    lambda v: v["video"]["count"] > before["video"]["count"] + 5 * encoder.rate,
                    20, "five more seconds of picture")[0]
                for kind in ("video", "audio"):
                    check(after[kind]["lost"] == 0, f"lost {after[kind]['lost']} of {kind}")
                    check(after[kind]["longest_gap_s"] < 1, f"a gap in {kind}")
                check(edge.stream()["viewers"] == 1, "the viewer is not known any more")
                viewer.leave(0)
                edge.await_no_peers()


class DataplaneKilled:
    """A data plane that is killed leaves a program and pins behind: the next one takes them away."""

    def run(self, context):
        with Netns(), Edge(context.logs, context.build) as edge:
            edge.dataplane.signal(signal.SIGKILL)
            edge.dataplane.wait(5)
            edge.dataplane.kill()
            edge.start_dataplane()
            wait_until(edge.is_ready, 10, "control to find the new data plane")
            legs = edge.put_stream()["legs"]
            with Encoder(context.logs, legs, **SMALL), Aiortc(context.logs) as viewer:
                viewer.await_playing()
                viewer.quit()


class HangUp:
    """A closed terminal ends the data plane as a termination does: nothing stays on the interface."""

    def run(self, context):
        with Netns():
            edge = Edge(context.logs, context.build)
            try:
                edge.start_dataplane()
                edge.dataplane.signal(signal.SIGHUP)
                check(edge.dataplane.wait(10) == 0, f"ended with {edge.dataplane.last_line()}")
                check(not os.path.exists(PIN_DIR), "the pins are left")
                with Edge(context.logs, context.build):
                    pass
            finally:
                edge.dataplane.kill()
                edge.forget()
