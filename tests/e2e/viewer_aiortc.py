#!/usr/bin/python3
"""Viewers of one stream, by aiortc: WHEP, ICE, DTLS-SRTP, decoding; run in the viewers' namespace.

Writes one JSON object a line on stdout:
  {"event": "answered", "viewer": n, "status": 201, "location": "...", "offer": "...", "answer": "..."}
  {"event": "state", "viewer": n, "state": "connected"}
  {"event": "ended", "viewer": n, "kind": "video"}         a track came to its end
  {"event": "stats", "time": t, "viewers": [{...}, ...]}   every --report seconds
  {"event": "left", "viewer": n, "status": 204}
  {"event": "done"}
Reads commands, one a line, on stdin:
  leave n   DELETE the session of viewer n and close it
  mark      start the count of the longest gap between two frames anew
  quit      every viewer leaves; so does the end of --seconds, and the end of stdin
"""

import argparse
import array
import asyncio
import json
import re
import sys
import time
import urllib.parse

import aiohttp
import aioice
from aiortc import (RTCConfiguration, RTCPeerConnection, RTCRtpReceiver,
                    RTCSessionDescription)
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import RtcpSrPacket

SAMPLE_STEP = 8  # every eighth sample is enough to tell a tone from silence


def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


def keep_family(sdp, family):
    """The answer without the candidates of the other address family; 0 keeps both."""
    if not family:
        return sdp
    kept = []
    for line in sdp.splitlines():
        found = re.match(r"a=candidate:\S+ \d+ \S+ \d+ (\S+) ", line)
        if not found or (":" in found.group(1)) == (family == 6):
            kept.append(line)
    return "\r\n".join(kept) + "\r\n"


def nominate_always():
    """Consent checks with USE-CANDIDATE, as browsers send them: the edge follows those (C17)."""
    build = aioice.ice.Connection.build_request
    aioice.ice.Connection.build_request = lambda self, pair, nominate: build(self, pair, True)
    aioice.ice.CONSENT_INTERVAL = 1


class Track:
    """What one decoded track has brought so far."""

    def __init__(self):
        self.count = 0
        self.energy = 0.0
        self.size = None
        self.first = None
        self.last = None
        self.longest_gap = 0.0

    def take(self, frame):
        now = time.monotonic()
        self.first = self.first or now
        if self.last is not None:
            self.longest_gap = max(self.longest_gap, now - self.last)
        self.last = now
        if hasattr(frame, "samples"):
            self.count += frame.samples
            samples = array.array("h", bytes(frame.planes[0]))[::SAMPLE_STEP]
            self.energy += sum((value / 32768) ** 2 for value in samples)
        else:
            self.count += 1
            self.size = (frame.width, frame.height)

    def mark(self):
        self.longest_gap = 0.0


class Wire:
    """What came of one receiver before it was decoded: its SSRCs, and how late its newest packet was
    by its timestamp and the newest sender report."""

    def __init__(self, kind):
        self.hz = 90000 if kind == "video" else 48000
        self.ssrcs = set()
        self.report = None
        self.newest = None

    def take(self, packet):
        self.ssrcs.add(packet.ssrc)
        self.newest = (packet.timestamp, time.monotonic())

    def take_report(self, packet):
        if isinstance(packet, RtcpSrPacket):
            self.report = (packet.sender_info.ntp_timestamp / 2**32, packet.sender_info.rtp_timestamp)

    def late_s(self):
        if not self.report or not self.newest:
            return 0
        since = (self.newest[0] - self.report[1] + 2**31) % 2**32 - 2**31
        return self.newest[1] - (self.report[0] + since / self.hz)


def watch_wire():
    """Read along what every receiver is given."""
    rtp, rtcp = RTCRtpReceiver._handle_rtp_packet, RTCRtpReceiver._handle_rtcp_packet

    def wire(receiver):
        if not hasattr(receiver, "wire"):
            receiver.wire = Wire(receiver.track.kind if receiver.track else "video")
        return receiver.wire

    async def on_rtp(self, packet, arrival_time_ms):
        wire(self).take(packet)
        await rtp(self, packet, arrival_time_ms)

    async def on_rtcp(self, packet):
        wire(self).take_report(packet)
        await rtcp(self, packet)
    RTCRtpReceiver._handle_rtp_packet, RTCRtpReceiver._handle_rtcp_packet = on_rtp, on_rtcp


class Viewer:
    def __init__(self, number, options, http):
        self.number = number
        self.options = options
        self.http = http
        self.location = None
        self.posted = None
        self.tracks = {"video": Track(), "audio": Track()}
        self.tasks = []
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.pc.on("track", self.on_track)
        self.pc.on("connectionstatechange", self.on_state)

    def on_track(self, track):
        self.tasks.append(asyncio.ensure_future(self.consume(track)))

    def on_state(self):
        say("state", viewer=self.number, state=self.pc.connectionState)

    async def consume(self, track):
        try:
            while True:
                self.tracks[track.kind].take(await track.recv())
        except MediaStreamError:
            say("ended", viewer=self.number, kind=track.kind)

    async def join(self):
        for kind in self.options.kinds.split(","):
            self.pc.addTransceiver(kind, direction="recvonly")
        await self.pc.setLocalDescription(await self.pc.createOffer())
        offer = self.pc.localDescription.sdp
        headers = {"Content-Type": "application/sdp"}
        if self.options.token:
            headers["Authorization"] = f"Bearer {self.options.token}"
        self.posted = time.monotonic()
        async with self.http.post(self.options.url, data=offer, headers=headers) as response:
            body = await response.text()
            if response.status == 201:
                self.location = urllib.parse.urljoin(
                    self.options.url, response.headers["Location"]
                )
            say("answered", viewer=self.number, status=response.status,
                location=self.location, offer=offer, answer=body)
        if self.location:
            answer = keep_family(body, self.options.family)
            await self.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def leave(self):
        if self.location:
            location, self.location = self.location, None
            try:
                async with self.http.delete(location) as response:
                    say("left", viewer=self.number, status=response.status)
            except aiohttp.ClientError as error:
                say("left", viewer=self.number, status=0, error=str(error))
        await self.pc.close()

    async def stats(self):
        nothing = {"count": 0, "energy": 0.0, "size": None, "longest_gap_s": 0.0, "received": 0,
                   "lost": 0, "first_ms": None, "ssrcs": 0, "late_s": 0}
        out = {"viewer": self.number, "state": self.pc.connectionState, "dtls": None,
               "video": dict(nothing), "audio": dict(nothing)}
        for receiver in self.pc.getReceivers():
            if receiver.track is None:  # not answered yet
                continue
            kind = receiver.track.kind
            out["dtls"] = receiver.transport.state
            track = self.tracks[kind]
            if track.first:
                out[kind]["first_ms"] = round((track.first - self.posted) * 1000)
            out[kind].update(count=track.count, energy=track.energy, size=track.size,
                             longest_gap_s=round(track.longest_gap, 3))
            if hasattr(receiver, "wire"):
                out[kind].update(ssrcs=len(receiver.wire.ssrcs), late_s=receiver.wire.late_s())
            for report in (await receiver.getStats()).values():
                if report.type == "inbound-rtp":
                    out[kind]["received"] += report.packetsReceived
                    out[kind]["lost"] += report.packetsLost
        return out


class Crowd:
    def __init__(self, options, http):
        self.options = options
        self.viewers = [Viewer(n, options, http) for n in range(options.viewers)]
        self.over = asyncio.Event()

    async def report(self):
        while True:
            say("stats", time=time.monotonic(), viewers=[await v.stats() for v in self.viewers])
            await asyncio.sleep(self.options.report)

    async def obey(self):
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := (await reader.readline()).split():
            if line[0] == b"leave":
                await self.viewers[int(line[1])].leave()
            elif line[0] == b"mark":
                for viewer in self.viewers:
                    for track in viewer.tracks.values():
                        track.mark()
            elif line[0] == b"quit":
                break
        self.over.set()

    async def run(self):
        tasks = [asyncio.ensure_future(self.report()), asyncio.ensure_future(self.obey())]
        try:
            for viewer in self.viewers:
                await viewer.join()
                await asyncio.sleep(self.options.apart)
            over = asyncio.ensure_future(self.over.wait())
            await asyncio.wait([over, *tasks], timeout=self.options.seconds,
                               return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()  # raises what ended it
        finally:
            for task in tasks:
                task.cancel()
            for viewer in self.viewers:
                await viewer.leave()
        say("done")


async def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True, help="WHEP endpoint")
    parser.add_argument("--viewers", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=None)
    parser.add_argument("--report", type=float, default=0.5)
    parser.add_argument("--family", type=int, choices=(0, 4, 6), default=0)
    parser.add_argument("--token", help="sent as Authorization: Bearer")
    parser.add_argument("--kinds", default="video,audio")
    parser.add_argument("--apart", type=float, default=0, help="seconds between two joins")
    parser.add_argument("--nominate", action="store_true", help="in every check, once a second")
    options = parser.parse_args()
    watch_wire()
    if options.nominate:
        nominate_always()
    timeout = aiohttp.ClientTimeout(total=10)
    # Certificates of the tests are nobody's.
    connector = aiohttp.TCPConnector(ssl=False)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as http:
        await Crowd(options, http).run()


if __name__ == "__main__":
    asyncio.run(main())
