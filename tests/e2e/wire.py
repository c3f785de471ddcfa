"""A host on the link, by a packet socket: what it asks is answered by the edge alone or not at all.

Frames are made and taken apart here byte by byte, so that nothing of the kernel's helps the edge.
"""

import errno
import socket
import struct
import time

from host import VIEWER_NETNS, inside

ETH_ARP, ETH_IP4, ETH_IP6 = 0x0806, 0x0800, 0x86dd
OUTGOING = 4  # PACKET_OUTGOING


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def icmp6_checksum(src, dst, message):
    return checksum(src + dst + struct.pack("!II", len(message), 58) + message)


class Wire:
    """Everything on view0, as raw frames.

    ip4, ip6: addresses that this host claims; no interface of the kernel's has them.
    """

    def __init__(self, ip4="198.18.77.77", ip6="fd77::77", mac="02:00:00:00:00:77"):
        with inside(VIEWER_NETNS):
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
        self.sock.bind(("view0", 0))
        self.ip4 = socket.inet_aton(ip4)
        self.ip6 = socket.inet_pton(socket.AF_INET6, ip6)
        self.mac = bytes.fromhex(mac.replace(":", ""))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, dst, ethertype, payload, vlan=None):
        tag = struct.pack("!HH", 0x8100, vlan) if vlan is not None else b""
        frame = dst + self.mac + tag + struct.pack("!H", ethertype) + payload
        self.sock.send(frame.ljust(60, b"\0"))

    def collect(self, look, seconds=2, most=1, after=None):
        """Received frames for which look(ethertype, payload) holds.

        after: seconds to wait for another one once there is one; None: as long as for the first.
        """
        found = []
        end = time.monotonic() + seconds
        while len(found) < most:
            self.sock.settimeout(max(0.001, end - time.monotonic()))
            try:
                frame, (_, _, kind, *_) = self.sock.recvfrom(2048)
            except TimeoutError:
                break
            except OSError as error:  # said once, when the interface went down meanwhile
                if error.errno != errno.ENETDOWN:
                    raise
                continue
            ethertype, = struct.unpack_from("!H", frame, 12)
            if kind != OUTGOING and look(ethertype, frame[14:]):
                found.append(frame)
                if after is not None:
                    end = time.monotonic() + after
        return found

    def arp(self, target, seconds=2, most=1):
        """MACs that answer."""
        target = socket.inet_aton(target)
        self.send(b"\xff" * 6, ETH_ARP, struct.pack("!HHBBH", 1, 0x800, 6, 4, 1) + self.mac +
                  self.ip4 + bytes(6) + target)
        replies = self.collect(lambda kind, arp: kind == ETH_ARP and arp[6:8] == b"\0\2"
                               and arp[14:18] == target and arp[24:28] == self.ip4, seconds, most, after=0.2)
        return [frame[22:28].hex(":") for frame in replies]

    def solicit(self, target, seconds=2, most=1):
        """MACs that answer a neighbour solicitation."""
        target = socket.inet_pton(socket.AF_INET6, target)
        group = bytes.fromhex("ff0200000000000000000001ff") + target[13:]
        body = target + b"\1\1" + self.mac
        message = b"\x87\0\0\0" + bytes(4) + body
        message = b"\x87\0" + struct.pack("!H", icmp6_checksum(self.ip6, group, message)) + message[4:]
        self.send(b"\x33\x33" + group[12:], ETH_IP6, struct.pack("!IHBB", 6 << 28, len(message), 58,
                  255) + self.ip6 + group + message)
        replies = self.collect(lambda kind, ip: kind == ETH_IP6 and ip[6] == 58 and ip[40] == 136
                               and ip[48:64] == target and ip[24:40] == self.ip6, seconds, most, after=0.2)
        return [frame[14 + 66:14 + 72].hex(":") for frame in replies]

    def ping4(self, mac, target, size=56, seconds=2, most=1):
        """Answers to one echo request, as payloads."""
        target = socket.inet_aton(target)
        body = bytes(range(256)) * (size // 256) + bytes(range(size % 256))
        message = b"\x08\0\0\0\x12\x34\0\1" + body
        message = b"\x08\0" + struct.pack("!H", checksum(message)) + message[4:]
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(message), 1, 0, 64, 1, 0)
        head += self.ip4 + target
        head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
        self.send(bytes.fromhex(mac.replace(":", "")), ETH_IP4, head + message)
        replies = self.collect(lambda kind, ip: kind == ETH_IP4 and ip[9] == 1 and ip[20] == 0
                               and ip[12:16] == target and checksum(ip[20:28 + size]) == 0
                               and checksum(ip[:20]) == 0, seconds, most, after=0.2)
        return [frame[14 + 28:14 + 28 + size] == body for frame in replies]

    def ping6(self, mac, target, size=56, seconds=2, most=1):
        target = socket.inet_pton(socket.AF_INET6, target)
        body = bytes(i % 251 for i in range(size))
        message = b"\x80\0\0\0\x12\x34\0\1" + body
        message = b"\x80\0" + struct.pack("!H", icmp6_checksum(self.ip6, target, message)) + message[4:]
        self.send(bytes.fromhex(mac.replace(":", "")), ETH_IP6, struct.pack(
            "!IHBB", 6 << 28, len(message), 58, 64) + self.ip6 + target + message)
        replies = self.collect(lambda kind, ip: kind == ETH_IP6 and ip[6] == 58 and ip[40] == 129
                               and ip[8:24] == target, seconds, most, after=0.2)
        return [frame[14 + 48:14 + 48 + size] == body for frame in replies]

    def announcements(self, seconds):
        """Addresses that are announced unasked meanwhile."""
        frames = self.collect(
            lambda kind, p: (kind == ETH_ARP and p[6:8] == b"\0\1" and p[14:18] == p[24:28]) or
            (kind == ETH_IP6 and p[6] == 58 and p[40] == 136 and p[24:40] ==
             bytes.fromhex("ff020000000000000000000000000001")), seconds, most=100)
        return {socket.inet_ntoa(frame[28:32]) if frame[12:14] == b"\x08\x06" else
                socket.inet_ntop(socket.AF_INET6, frame[14 + 48:14 + 64]) for frame in frames}
