#!/usr/bin/python3
"""A last mile with a delay: a NAT in user space before the edge, which passes each datagram on a
fixed time after it came, both ways alike. Run in the viewers' namespace.

usage: mile.py --public ADDRESS --delay-ms MS
Each viewer has a socket of its own towards the edge. Ends with stdin; every second, and then, it
writes one JSON object a line: how many it passed on, and how much later than due
  {"event": "late", "packets": 900, "p50_ms": 0.05, "p99_ms": 0.3, "max_ms": 1.2}   since the last
It asks for real-time priority, so that a busy machine does not add a delay of its own.
"""

import argparse
import collections
import contextlib
import json
import os
import selectors
import socket
import sys
import time

EDGE = ("198.18.77.1", 8189)
VIEWER_IP4 = "198.18.77.2"
REPORT_S = 1.0
SOCKET_BYTES = 4 << 20
MAX_VIEWERS = 256


def open_socket(address, port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BYTES)
    sock.bind((address, port))
    sock.setblocking(False)
    return sock


class Lateness:
    def __init__(self):
        self._late = []

    def note(self, seconds):
        self._late.append(seconds)

    def report(self):
        late, self._late = sorted(self._late), []
        if not late:
            return
        at = {"p50_ms": len(late) // 2, "p99_ms": len(late) * 99 // 100, "max_ms": len(late) - 1}
        print(json.dumps({"event": "late", "packets": len(late), **{
            name: round(1000 * late[index], 3) for name, index in at.items()}}), flush=True)


class Mile:
    def __init__(self, public, delay_s):
        self._delay_s = delay_s
        self._front = open_socket(public, EDGE[1])
        self._backs = {}  # viewer's address: socket towards the edge
        self._queue = collections.deque()  # due, socket, data, to: the delay is one, so in order
        self._late = Lateness()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._front, selectors.EVENT_READ, None)
        self._selector.register(sys.stdin, selectors.EVENT_READ, "stdin")

    def _back_of(self, viewer):
        if viewer not in self._backs and len(self._backs) < MAX_VIEWERS:
            self._backs[viewer] = open_socket(VIEWER_IP4, 0)
            self._selector.register(self._backs[viewer], selectors.EVENT_READ, viewer)
        return self._backs.get(viewer)

    def _take(self, sock, viewer):
        """All that waits; viewer: whose the socket is, None for the viewers' side."""
        with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
            while True:
                data, source = sock.recvfrom(2048)
                due = time.monotonic() + self._delay_s
                if viewer:
                    self._queue.append((due, self._front, data, viewer))
                else:
                    self._queue.append((due, self._back_of(source), data, EDGE))

    def _pass_on(self):
        while self._queue and self._queue[0][0] <= time.monotonic():
            due, sock, data, to = self._queue.popleft()
            self._late.note(time.monotonic() - due)
            if sock:
                with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
                    sock.sendto(data, to)

    def _wait(self):
        """Until something comes, or something is due. epoll counts in milliseconds and rounds up:
        what is due sooner than two is waited for by looking."""
        if not self._queue:
            return self._selector.select(REPORT_S)
        left = self._queue[0][0] - time.monotonic()
        if left > 0.002:
            return self._selector.select(left - 0.002)
        if left > 0:
            time.sleep(min(left, 0.0002))
        return self._selector.select(0)

    def run(self):
        next_report = time.monotonic() + REPORT_S
        while True:
            for key, _ in self._wait():
                if key.data == "stdin":
                    self._late.report()
                    return
                self._take(key.fileobj, key.data)
            self._pass_on()
            if time.monotonic() >= next_report:
                self._late.report()
                next_report += REPORT_S


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--public", required=True, help="address that the viewers are told")
    parser.add_argument("--delay-ms", type=float, required=True, help="each way")
    options = parser.parse_args()
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    Mile(options.public, options.delay_ms / 1000).run()


if __name__ == "__main__":
    sys.exit(main())
