"""Runs testfan for a point, on net_null or over veth, and keeps what it says."""

import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile

from host import EDGE_NETNS, VIEWER_NETNS, Failure, Netns, Process, in_netns
from plan import options_of

EDGE_ADDRESS, FIRST_VIEWER = "198.18.77.1", "198.18.77.2"
LIMIT_S = 300
TRIES = 3


def cores(workers, n_cpus=None):
    """A worker on each of these; core 0 is left to the rest where there are enough."""
    n_cpus = n_cpus or os.cpu_count()
    first = 1 if n_cpus > workers else 0
    return ",".join(str(first + i) for i in range(workers))


def _alone():
    """In the child: ahead of what else runs, and room for AF_XDP's memory."""
    os.setsid()
    with contextlib.suppress(OSError):
        os.nice(-20)
    # Each session is a group of its own to the scheduler, whatever its threads' niceness.
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w") as file:
        file.write("-20")
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY,) * 2)


def last_line(text):
    return (text.strip().splitlines() or ["(no output)"])[-1]


class Testfan:
    """On no device at all."""

    def __init__(self, build):
        self.binary = os.path.join(build, "dataplane", "testfan", "testfan")
        self.enter = []

    def own(self, point):
        # A NIC makes the checksums; no device makes none, and nobody misses them.
        return ["--checksum=zero"]

    def run(self, point, seconds, options=()):
        """Its JSON for one run; a run that fails is not the end of an hour's work."""
        for left in reversed(range(TRIES)):
            try:
                return self.run_once(point, seconds, options)
            except Failure as failure:
                if left == 0:
                    raise
                print(f"\nbench: once more: {failure}", file=sys.stderr, flush=True)
        return None

    def run_once(self, point, seconds, options):
        extra = [f"--engine={point['engine']}"] if "engine" in point else []
        with tempfile.NamedTemporaryFile(suffix=".json") as out:
            command = [*self.enter, self.binary, "--", "--auto-start", f"--json={out.name}",
                       f"--duration={seconds}", f"--cores={cores(point['workers'])}",
                       *options_of(point), *extra, *self.own(point), *options]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S,
                                      preexec_fn=_alone)
            except subprocess.TimeoutExpired:
                raise Failure(f"{' '.join(command)}: not over after {LIMIT_S} s") from None
            if done.returncode:
                raise Failure(f"{' '.join(command)}: {last_line(done.stderr)}")
            return json.load(out)


class OverVeth(Testfan):
    """Into the viewers' namespace, where an XDP program counts what arrives, and drops it."""

    def __init__(self, build, logs):
        super().__init__(build)
        self.enter = ["nsenter", f"--net=/run/netns/{EDGE_NETNS}"]
        self.stack = contextlib.ExitStack()
        self.load = os.path.join(build, "tests", "load")
        self.steer = os.path.join(build, "ebpf", "steer.o")
        self.logs = logs
        self.counter = None
        self.mac = None

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(Netns(queues=2))
            self.counter = Process(
                "count", [os.path.join(self.load, "millrace-count"), "--program",
                          os.path.join(self.load, "count.o"), "--interface", "view0",
                          "--every", "0"], self.logs, VIEWER_NETNS, lines=True)
            stack.callback(self.counter.kill)
            self.counter.next_event(20, what="the counting program")
            link = json.loads(in_netns(VIEWER_NETNS, "ip", "-j", "link", "show", "view0"))
            self.mac = link[0]["address"]
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def own(self, point):
        return ["--interface=edge0", f"--steer-program={self.steer}", f"--eth-peer={self.mac}",
                f"--tx-ip={EDGE_ADDRESS},{FIRST_VIEWER}"]

    def arrived(self):
        self.counter.send("")
        ports = self.counter.next_event(20, what="the counts")["ports"]
        return sum(sum(port[kind] for kind in ("video", "audio", "other", "rtcp"))
                   for port in ports.values())

    def sent(self):
        """What the edge's end of the link was given."""
        said = in_netns(EDGE_NETNS, "ip", "-s", "-j", "link", "show", "dev", "edge0")
        stats = json.loads(said)[0]["stats64"]["tx"]
        return stats["packets"] + stats["dropped"]

    def run_once(self, point, seconds, options):
        arrived, sent = self.arrived(), self.sent()
        found = super().run_once(point, seconds, options)
        # Over the whole run, warm-up and all.
        found["arrived"] = (self.arrived() - arrived) / max(1, self.sent() - sent)
        return found


def median(values):
    values = sorted(values)
    n = len(values)
    return values[n // 2] if n % 2 else (values[n // 2 - 1] + values[n // 2]) / 2


def condense(point, runs):
    """A point's line in results.json: medians over the rounds."""
    figures = {name: median([run["sum"][name] for run in runs])
               for name in ("mpps", "gbps", "cycles_per_packet", "crypto_cycles_per_packet",
                            "rest_cycles_per_packet", "tx_burst_fill")}
    mpps = [run["sum"]["mpps"] for run in runs]
    sealed = sum(run["sum"]["sealed_packets"] for run in runs)
    dropped = sum(sum(run["sum"]["drops"].get(reason, 0) for reason in ("tx_full", "no_mbuf", "overload"))
                  for run in runs)
    out = {**point, **figures, "spread": max(mpps) / max(1e-9, min(mpps)) - 1,
           "dropped": dropped / max(1, sealed), "mpps_by_round": mpps,
           "bytes_per_peer": runs[-1]["memory"]["bytes_per_peer"]}
    if "arrived" in runs[0]:
        out["arrived"] = min(run["arrived"] for run in runs)
    return out
