#!/usr/bin/python3
"""The demo's live line: asks the edge's API once a second and says what is going on.

usage: MILLRACE_KEY=KEY live.py http://HOST:PORT
On a terminal one line is written over and over; elsewhere one line every five seconds.
Ends on SIGTERM.
"""

import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request

PLAIN_EVERY = 5


def ask(url):
    request = urllib.request.Request(url)
    if key := os.environ.get("MILLRACE_KEY"):
        request.add_header("Authorization", f"Bearer {key}")
    with urllib.request.urlopen(request, timeout=2) as answer:
        return json.load(answer)


def total(workers, key):
    return sum(worker.get(key, 0) for worker in workers)


def mbit(bits):
    return f"{bits / 1e6:.1f} Mbit/s"


class Rates:
    """Turns the workers' byte counters into bits a second between two looks."""

    def __init__(self):
        self.then = None

    def take(self, workers):
        now = (time.monotonic(), total(workers, "rx_bytes"), total(workers, "tx_bytes"))
        then, self.then = self.then, now
        if then is None or now[1] < then[1] or now[2] < then[2]:
            return 0.0, 0.0
        seconds = max(now[0] - then[0], 1e-3)
        return (now[1] - then[1]) * 8 / seconds, (now[2] - then[2]) * 8 / seconds


def describe(base, rates):
    streams = ask(base + "/api/v3/streams")
    if isinstance(streams, dict):
        streams = streams.get("streams", [])
    workers = ask(base + "/api/v3/dataplane").get("workers", [])
    rate_in, rate_out = rates.take(workers)
    viewers = sum(stream.get("viewers", 0) for stream in streams)
    states = ", ".join(
        f"{stream['id']} " + "/".join(leg.get("state", "?") for leg in stream["legs"].values())
        for stream in streams
    )
    load = " ".join(f"core {w['cpu']} {w['busy_percent']:.1f} %" for w in workers)
    return f"viewers {viewers} | in {mbit(rate_in)} | out {mbit(rate_out)} | {load} | {states}"


def main():
    base = sys.argv[1].rstrip("/")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    terminal = sys.stdout.isatty()
    rates = Rates()
    rounds = 0
    while True:
        try:
            line = describe(base, rates)
        except (OSError, ValueError, KeyError, urllib.error.URLError) as error:
            line = f"the edge does not answer: {error}"
        if terminal:
            print(f"\r\033[K{line}", end="", flush=True)
        elif rounds % PLAIN_EVERY == 1:
            print(line, flush=True)
        rounds += 1
        time.sleep(1)


if __name__ == "__main__":
    main()
