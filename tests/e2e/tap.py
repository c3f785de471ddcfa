"""What the edge sends to viewers, as it comes in on their side: each sealed packet by its key's
index, so that an index that is used twice shows. Reads along on the interface; keeps no media."""

import hashlib
import socket
import struct
import threading

from host import VIEWER_NETNS, inside

MEDIA_PORT = 8189
ETH_P_ALL = 3
OUTGOING = 4  # sll_pkttype
AEAD_AES_128_GCM = "AEAD_AES_128_GCM"
TAG_BYTES = 10  # of AES128_CM_SHA1_80, behind the SRTCP index


class Leg:
    """The packets of one SSRC to one viewer."""

    def __init__(self):
        self.highest = None
        self.indices = {}  # index: digest of what it sealed
        self.longest_leap = 0

    def take(self, index, digest):
        """Return whether the index has sealed something else before."""
        if self.highest is not None:
            self.longest_leap = max(self.longest_leap, index - self.highest)
        self.highest = index if self.highest is None else max(index, self.highest)
        return self.indices.setdefault(index, digest) != digest

    def unwrap(self, seq):
        """The index of a sequence number, as a receiver guesses it (RFC 3711 3.3.1)."""
        if self.highest is None:
            return seq  # the edge begins below 32768
        return self.highest + (seq - self.highest + 0x8000) % 0x10000 - 0x8000


class Tap:
    """profile: of all viewers, by its name in the API."""

    def __init__(self, profile, interface="view0"):
        self._profile = profile
        with inside(VIEWER_NETNS):
            self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self._sock.bind((interface, ETH_P_ALL))
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
        self._sock.settimeout(0.1)
        self._over = False
        self.rtp = {}  # (port, SSRC): Leg
        self.rtcp = {}
        self.repeated = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._over:
            try:
                frame, (_, _, kind, *_) = self._sock.recvfrom(4096)
            except TimeoutError:
                continue
            if kind != OUTGOING:
                self._take(frame)

    def _take(self, frame):
        if frame[12:14] != b"\x08\x00" or frame[23] != socket.IPPROTO_UDP:
            return
        off = 14 + (frame[14] & 15) * 4
        source, port, length, _ = struct.unpack_from("!HHHH", frame, off)
        pkt = frame[off + 8:off + length]
        if source != MEDIA_PORT or len(pkt) < 12 or pkt[0] >> 6 != 2:
            return
        digest = hashlib.sha256(pkt).digest()
        if 192 <= pkt[1] <= 223:
            self._take_rtcp(port, pkt, digest)
        else:
            ssrc = pkt[8:12]
            leg = self.rtp.setdefault((port, ssrc), Leg())
            index = leg.unwrap(struct.unpack_from("!H", pkt, 2)[0])
            if leg.take(index, digest):
                self.repeated.append(("RTP", port, ssrc.hex(), index))

    def _take_rtcp(self, port, pkt, digest):
        at = len(pkt) - 4 - (0 if "GCM" in self._profile else TAG_BYTES)
        index = struct.unpack_from("!I", pkt, at)[0] & 0x7FFFFFFF
        ssrc = pkt[4:8]
        if self.rtcp.setdefault((port, ssrc), Leg()).take(index, digest):
            self.repeated.append(("RTCP", port, ssrc.hex(), index))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._over = True
        self._thread.join(5)
        self._sock.close()
