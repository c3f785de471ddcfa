"""Just enough ICE to send one connectivity check and recognise its answer (RFC 8445, 8489)."""

import hashlib
import hmac
import os
import re
import socket
import struct
import zlib

COOKIE = 0x2112A442
BINDING_REQUEST = 0x0001
BINDING_SUCCESS = 0x0101
USERNAME, INTEGRITY, PRIORITY, USE_CANDIDATE = 0x0006, 0x0008, 0x0024, 0x0025
FINGERPRINT, CONTROLLING = 0x8028, 0x802A


def _attribute(kind, value):
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def _message(kind, transaction, attributes, extra_bytes=0):
    return struct.pack("!HHI", kind, len(attributes) + extra_bytes, COOKIE) + transaction + attributes


def binding_request(transaction, username, password):
    attributes = (
        _attribute(USERNAME, username.encode())
        + _attribute(PRIORITY, struct.pack("!I", 0x6E0001FF))
        + _attribute(CONTROLLING, os.urandom(8))
        + _attribute(USE_CANDIDATE, b"")
    )
    # Each of the last two covers the header with a length that counts itself.
    covered = _message(BINDING_REQUEST, transaction, attributes, 24)
    attributes += _attribute(INTEGRITY, hmac.digest(password.encode(), covered, hashlib.sha1))
    covered = _message(BINDING_REQUEST, transaction, attributes, 8)
    attributes += _attribute(FINGERPRINT, struct.pack("!I", zlib.crc32(covered) ^ 0x5354554E))
    return _message(BINDING_REQUEST, transaction, attributes)


def _field(sdp, name):
    return re.search(rf"^a={name}:(\S+)", sdp, re.M).group(1)


def _candidate(answer):
    """The first IPv4 candidate's address and port."""
    found = re.search(r"^a=candidate:\S+ 1 udp \d+ ([0-9.]+) (\d+) typ host", answer, re.M | re.I)
    return found.group(1), int(found.group(2))


def ping(sock, offer, answer, seconds):
    """Send a check for the session; return whether it was answered with success in time."""
    transaction = os.urandom(12)
    username = f"{_field(answer, 'ice-ufrag')}:{_field(offer, 'ice-ufrag')}"
    sock.sendto(binding_request(transaction, username, _field(answer, "ice-pwd")),
                _candidate(answer))
    sock.settimeout(seconds)
    try:
        while True:
            data = sock.recv(2048)
            if data[8:20] == transaction:
                return struct.unpack("!H", data[:2])[0] == BINDING_SUCCESS
    except socket.timeout:
        return False
