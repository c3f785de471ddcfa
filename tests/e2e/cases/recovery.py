"""A data plane that ends and comes back costs a gap, never a session."""

import os
import re
import signal
import socket
import sys
import threading
import time

from host import ROOT, check, wait_until
from millrace import Edge, Encoder, Netns, post_offer, request, try_request
from tap import Tap
from viewers import Aiortc
from cases.lifecycle import recorded_offer

sys.path.append(os.path.join(ROOT, "tests", "quality"))

from rig import Loss  # noqa: E402

SMALL = {"size": "320x180", "rate": 15, "bits": "200k"}
MAX_GAP_S = 12  # start of the EAL, and up to a key frame interval until a picture can begin
MAX_LEAP = 3000  # that receivers take for loss (RFC 3550 A.1)


def profile(edge):
    peers = request("GET", "/api/v3/streams/live/peers").json()["peers"]
    return peers[0]["profile"]


def go_on(crowd, encoder, before, seconds=30):
    """Every viewer decodes on, by three seconds of picture and sound, in the session it has."""
    def further(viewer):
        old = before[viewer["viewer"]]
        return (viewer["video"]["count"] >= old["video"]["count"] + 3 * encoder.rate and
                viewer["audio"]["energy"] > old["audio"]["energy"])
    return crowd.await_all(further, seconds, "three more seconds of picture and sound")


def rtx_of(crowd):
    """The SSRCs that retransmissions have. A viewer that was given no time for a moment may have
    lost something too: such legs come and go."""
    answers = [event["answer"] for event in crowd.process.seen if event["event"] == "answered"]
    return {int(ssrc).to_bytes(4, "big") for answer in answers
            for ssrc in re.findall(r"a=ssrc-group:FID \d+ (\d+)", answer)}


def media(legs, crowd):
    return {key: leg for key, leg in list(legs.items()) if key[1] not in rtx_of(crowd)}


def judge(tap, crowd, n_restarts):
    check(not tap.repeated, f"indices were used twice: {tap.repeated[:5]}")
    legs = media(tap.rtp, crowd)
    check(len(legs) == 2 * crowd.count, f"{len(legs)} legs were seen")
    for (port, ssrc), leg in legs.items():
        check(n_restarts == 0 or 64 < leg.longest_leap < MAX_LEAP,
              f"leg {ssrc.hex()} of port {port} leapt by {leg.longest_leap}")
    reports = media(tap.rtcp, crowd)
    check(reports and all(len(leg.indices) > 1 for leg in reports.values()), "no reports came")


def await_tap(tap, crowd):
    """A leap is seen only in a leg that was seen before it."""
    end = time.monotonic() + 10
    while True:
        seen = {ssrc.hex(): len(leg.indices) for (_, ssrc), leg in media(tap.rtp, crowd).items()}
        if len(seen) == 2 * crowd.count and min(seen.values()) > 5:
            return
        check(time.monotonic() < end, f"packets by leg after 10 s: {seen}")
        time.sleep(0.05)


def await_resent(tap, crowd, loss):
    """Lose packets until more are sent again than were before."""
    def resent():
        return sum(len(leg.indices) for (_, ssrc), leg in list(tap.rtp.items())
                   if ssrc in rtx_of(crowd))
    before = resent()
    loss.of_thousand(200)
    wait_until(lambda: resent() > before, 10, "a retransmission")
    loss.of_thousand(0)


def longest_gaps(stats):
    return {kind: max(viewer[kind]["longest_gap_s"] for viewer in stats)
            for kind in ("video", "audio")}


class DataplaneRestart:
    """Killed and started again, then ended and started again, beside a control that holds the
    region: viewers play on in the session they have, and no index is used twice."""

    def run(self, context):
        with Netns(), Edge(context.logs, context.build) as edge:
            legs = edge.put_stream()["legs"]
            with Encoder(context.logs, legs, **SMALL) as encoder, \
                    Aiortc(context.logs, count=2) as crowd:
                crowd.await_playing()
                with Tap(profile(edge)) as tap:
                    await_tap(tap, crowd)
                    for number in (signal.SIGKILL, signal.SIGTERM):
                        self.restart(edge, crowd, encoder, number, context.logs)
                    judge(tap, crowd, n_restarts=2)
                # Each is still the session that it was: it leaves by the URL that it has.
                crowd.leave(0)
                crowd.leave(1)
                edge.await_no_peers()

    def restart(self, edge, crowd, encoder, number, logs):
        before = {viewer["viewer"]: viewer for viewer in crowd.stats()}
        crowd.process.send("mark")
        began = time.monotonic()
        edge.dataplane.signal(number)
        edge.dataplane.wait(10)
        edge.dataplane.kill()
        wait_until(lambda: try_request("GET", "/readyz").status == 503, 5, "control to notice")
        refused = post_offer(recorded_offer())
        check(refused.status == 503 and refused.headers["Retry-After"],
              f"POST meanwhile: {refused.status} {refused.body}")
        peers = request("GET", "/api/v3/streams/live/peers").json()["peers"]
        check(len(peers) == 2, f"{len(peers)} viewers wait")
        edge.start_dataplane()
        started = time.monotonic() - began
        wait_until(edge.is_ready, 10, "control to find the data plane")
        stats = go_on(crowd, encoder, before)
        gaps = longest_gaps(stats)
        with open(os.path.join(logs, "gaps.txt"), "a") as file:
            file.write(f"signal {number}: ready after {started:.2f} s, longest gap {gaps}\n")
        check(max(gaps.values()) < MAX_GAP_S, f"longest gap {gaps}")
        check(edge.stream()["viewers"] == 2, "viewers are not known any more")


class DataplaneResized:
    """A data plane with other sizes cannot go on with the region: it says so and starts afresh,
    and control lets the old sessions go."""

    def run(self, context):
        with Netns(), Edge(context.logs, context.build) as edge:
            legs = edge.put_stream()["legs"]
            with Encoder(context.logs, legs, **SMALL):
                with Aiortc(context.logs) as crowd:
                    crowd.await_playing()
                    edge.dataplane.signal(signal.SIGKILL)
                    edge.dataplane.wait(10)
                    edge.dataplane.kill()
                    edge.dataplane_options["dataplane-max-peers"] = "100"
                    edge.start_dataplane()
                    wait_until(edge.is_ready, 10, "control to find the data plane")
                    edge.await_no_peers()
                line = "max_streams or max_peers have changed; viewers must join anew"
                check(line in edge.dataplane.log(), "the data plane does not say why")
                check("1 viewers must join anew" in edge.control.log(), "control does not say so")
                with Aiortc(context.logs, name="aiortc-anew") as crowd:
                    crowd.await_playing()
                    crowd.quit()


class Keeper:
    """The part of systemd that a service talks to: takes notifications, keeps descriptors."""

    def __init__(self, path):
        self.path = path
        self.said = []
        self.kept = {}
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(path)
        self._sock.settimeout(0.1)
        self._over = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._over:
            try:
                data, fds, _, _ = socket.recv_fds(self._sock, 4096, 4)
            except TimeoutError:
                continue
            fields = dict(line.split("=", 1) for line in data.decode().splitlines())
            self.said.append(fields)
            if "FDSTOREREMOVE" in fields:
                for fd in self.kept.pop(fields["FDNAME"], []):
                    os.close(fd)
            elif "FDSTORE" in fields:
                self.kept.setdefault(fields["FDNAME"], []).extend(fds)

    def heard(self, field):
        return any(field in fields for fields in self.said)

    def command(self, command):
        """The command as a service that is given what is kept. Its pid is known only to itself,
        and a descriptor survives many an exec best by its name."""
        fds = [(name, fd) for name, kept in self.kept.items() for fd in kept]
        opens = " ".join(f"{number}<>/proc/{os.getpid()}/fd/{fd}"
                         for number, (_, fd) in enumerate(fds, 3))
        names = ":".join(name for name, _ in fds)
        listen = f"LISTEN_PID=$$ LISTEN_FDS={len(fds)} LISTEN_FDNAMES={names}" if fds else ""
        script = (f"export NOTIFY_SOCKET={self.path} WATCHDOG_USEC=3000000 {listen}; "
                  f'exec {opens} "$0" "$@"')
        return ["sh", "-c", script, *command]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._over = True
        self._thread.join(5)
        self._sock.close()
        for fds in self.kept.values():
            for fd in fds:
                os.close(fd)


class ServiceRestart:
    """As services of systemd, whose store keeps the region: though both processes are killed at
    once, viewers play on. Both say that they are ready, and show life."""

    def run(self, context):
        with Netns():
            edge = Edge(context.logs, context.build)
            with Keeper(os.path.join(edge.run_dir, "notify")) as keeper:
                spawn = edge.spawn
                edge.spawn = lambda *a, **k: spawn(*a, wrap=keeper.command, **k)
                with edge:
                    self.play(context, edge, keeper)

    def play(self, context, edge, keeper):
        check(keeper.heard("READY"), "nobody said that it is ready")
        check(len(keeper.kept.get("region", ())) == 1, f"kept: {keeper.kept}")
        legs = edge.put_stream()["legs"]
        with Encoder(context.logs, legs, **SMALL) as encoder, \
                Aiortc(context.logs) as crowd, Loss(context.logs, context.build) as loss:
            crowd.await_playing()
            with Tap(profile(edge)) as tap:
                await_tap(tap, crowd)
                await_resent(tap, crowd, loss)
                before = {viewer["viewer"]: viewer for viewer in crowd.stats()}
                crowd.process.send("mark")
                for process in (edge.dataplane, edge.control):
                    process.signal(signal.SIGKILL)
                for process in (edge.dataplane, edge.control):
                    process.wait(10)
                    process.kill()
                edge.start_dataplane()
                edge.start_control()
                stats = go_on(crowd, encoder, before)
                await_resent(tap, crowd, loss)
                judge(tap, crowd, n_restarts=1)
            gaps = longest_gaps(stats)
            with open(os.path.join(context.logs, "gaps.txt"), "a") as file:
                file.write(f"both killed: longest gap {gaps}\n")
            check(len(keeper.kept["region"]) == 1, f"kept: {keeper.kept}")
            crowd.leave(0)
            edge.await_no_peers()
        self.watch(edge, keeper)

    def watch(self, edge, keeper):
        """A process shows life while it turns; stopped, it does not."""
        keeper.said.clear()
        wait_until(lambda: sum("WATCHDOG" in s for s in keeper.said) >= 2, 5, "signs of life")
        edge.control.signal(signal.SIGSTOP)
        edge.dataplane.signal(signal.SIGSTOP)
        try:
            time.sleep(0.2)
            keeper.said.clear()
            time.sleep(2)
            check(not keeper.heard("WATCHDOG"), "something shows life in its place")
        finally:
            edge.control.signal(signal.SIGCONT)
            edge.dataplane.signal(signal.SIGCONT)
