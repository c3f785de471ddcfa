"""Delivery: what real DTLS-SRTP viewers are sent over veth, counted where it arrives.

The viewers are the load client's: their own keys each, and each opens a part of what it is sent.
Their sockets could not take it all, so an XDP program on their interface counts every packet, by
viewer and payload type, and drops most. Offered is what the feed sent times the viewers; what is
missing at the far end is told apart: lost before the data plane, dropped by it and counted, lost
behind it.
"""

import contextlib
import json
import os
import time

from crowd import Crowd
from host import (EDGE_IP4, EDGE_NETNS, VIEWER_NETNS, Failure, Process, check, in_netns,
                  wait_until)

AUDIO_PPS = 50
CPU_STATES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


class Asked(Process):
    """A child that answers each line with one JSON line."""

    def ask(self, line=""):
        self.send(line)
        return self.next_event(20, what="an answer")


def core(options):
    """For all that is not the edge: the worker's core is full."""
    return options.client_core or "0"


class FarEnd(Asked):
    def __init__(self, options, logs):
        load = os.path.join(options.build, "tests", "load")
        super().__init__("count", [
            "taskset", "-c", core(options), os.path.join(load, "millrace-count"),
            "--program", os.path.join(load, "count.o"), "--interface", "view0",
            "--every", str(options.sample_every_ms), "--open", str(options.sample_ms),
            "--mode", options.far_mode], logs, VIEWER_NETNS, lines=True)
        self.next_event(20, what="the counting program")


class Feed(Asked):
    """Pinned with the viewers: it stands for the encoder and the network before the edge."""

    def __init__(self, options, logs, legs):
        super().__init__("feed", [
            "taskset", "-c", core(options), "nice", "-n", "-10",
            os.path.join(options.build, "tests", "load", "millrace-feed"), "--to", EDGE_IP4,
            "--video", str(legs["video"]["port"]), "--audio", str(legs["audio"]["port"]),
            "--bytes", str(options.bytes), "--fps", str(options.fps), "--pps", "100"],
            logs, VIEWER_NETNS, lines=True)
        self.next_event(20, what="the feed")


def worker_thread(running):
    """Thread id of the data plane's one worker."""
    tasks = f"/proc/{running.dataplane.pid}/task"
    for tid in os.listdir(tasks):
        with open(f"{tasks}/{tid}/comm") as file:
            if file.read().startswith("rte-worker"):
                return int(tid)
    raise Failure("the data plane has no worker thread")


def prefer(pid):
    """A core of its own, as far as a machine with other things to do can give one."""
    for tid in os.listdir(f"/proc/{pid}/task"):
        os.setpriority(os.PRIO_PROCESS, int(tid), -20)
    # Each session is a group of its own to the scheduler, whatever its threads' niceness.
    with contextlib.suppress(OSError), open(f"/proc/{pid}/autogroup", "w") as file:
        file.write("-20")


def scheduled(pid, tid):
    """Seconds that a thread ran, and that it waited for its core."""
    with open(f"/proc/{pid}/task/{tid}/schedstat") as file:
        ran, waited, _ = map(int, file.read().split())
    return ran / 1e9, waited / 1e9


def cpu_times(core):
    with open("/proc/stat") as file:
        for line in file:
            fields = line.split()
            if fields[0] == f"cpu{core}":
                return dict(zip(CPU_STATES, map(int, fields[1:9])))
    return dict.fromkeys(CPU_STATES, 0)


def link_drops():
    """What the links dropped on the way to the data plane, and from it."""
    stats = {}
    for netns, name in ((EDGE_NETNS, "edge0"), (VIEWER_NETNS, "view0")):
        said = in_netns(netns, "ip", "-s", "-j", "link", "show", "dev", name)
        stats[name] = json.loads(said)[0]["stats64"]
    return {"before": stats["edge0"]["rx"]["dropped"] + stats["view0"]["tx"]["dropped"],
            "behind": stats["edge0"]["tx"]["dropped"] + stats["view0"]["rx"]["dropped"]}


class Snapshot:
    """Every counter at one time."""

    def __init__(self, running, feed, far):
        self.feed = feed.ask()
        self.at = time.monotonic()
        self.far = far.ask()
        self.worker = running.state()["workers"][0]
        self.legs = running.stream()["legs"]
        self.ran, self.waited = scheduled(running.dataplane.pid, worker_thread(running))
        self.cpu = cpu_times(running.dataplane_options["dataplane-cores"])
        self.links = link_drops()


def spread(values):
    values = sorted(values)
    return {"min": values[0], "mean": sum(values) / len(values), "max": values[-1]}


def per_viewer(before, after, kind, seconds):
    rates = []
    for port, counts in after.far["ports"].items():
        was = before.far["ports"].get(port, {}).get(kind, 0)
        rates.append((counts[kind] - was) / seconds)
    return spread(rates)


def all_see_video(counts, viewers):
    return sum(port["video"] > 0 for port in counts["ports"].values()) == viewers


def compare(before, after, viewers):
    """What happened between two snapshots."""
    # The far end's own clock: reading it takes long while it is busy.
    seconds = (after.far["ns"] - before.far["ns"]) / 1e9
    rise = {key: after.worker[key] - before.worker[key]
            for key in ("sealed_packets", "tx_packets", "rx_packets")}
    drops = {reason: n - before.worker["drops"].get(reason, 0)
             for reason, n in after.worker["drops"].items()}
    fed = {key: after.feed[key] - before.feed[key] for key in ("video", "audio")}
    taken = sum(after.legs[leg]["packets"] - before.legs[leg]["packets"]
                for leg in ("video", "audio"))
    far = {kind: sum(c[kind] for c in after.far["ports"].values())
           - sum(c[kind] for c in before.far["ports"].values())
           for kind in ("video", "audio", "rtcp", "other", "passed", "bytes")}
    cpu = {key: after.cpu[key] - before.cpu[key] for key in CPU_STATES}
    fed_s = (after.feed["us"] - before.feed["us"]) / 1e6
    offered = (fed["video"] + fed["audio"]) * viewers / fed_s
    return {
        "seconds": seconds,
        "offered_pps": offered,
        "taken_pps": taken * viewers / seconds,
        "sealed_pps": rise["sealed_packets"] / seconds,
        "tx_pps": rise["tx_packets"] / seconds,
        "delivered_pps": (far["video"] + far["audio"]) / seconds,
        "delivered_gbps": far["bytes"] * 8 / seconds / 1e9,
        "video": per_viewer(before, after, "video", seconds),
        "audio": per_viewer(before, after, "audio", seconds),
        "other": far["other"],
        "sampled": far["passed"],
        "drops_per_s": {reason: n / seconds for reason, n in drops.items() if n},
        # Before: ingest packets, each meant for all viewers; behind: one viewer's each.
        "link_drops_per_s": {way: (after.links[way] - before.links[way]) / seconds
                             for way in after.links},
        # Above a percent or two somebody else had the worker's core.
        "worker_waited": (after.waited - before.waited) / (after.at - before.at),
        "worker_cpu": {key: n / max(1, sum(cpu.values())) for key, n in cpu.items() if n},
        "feed_late_ms": after.feed["late_us"] / 1000,
        "feed_refused": after.feed["refused"] - before.feed["refused"],
    }


# Says that something was sent which must never be; the rest (late reports, checks without answer)
# may come of asking too much.
GRAVE = ("rtp_auth", "rtp_header", "seq_repeat", "payload", "rtcp_auth", "timestamp", "marker",
         "fingerprint", "answer", "media_after_leave")


def verdict(found):
    """What is asked of delivery, as (what, reached, asked, whether)."""
    steps = found["steps"]
    best = max(step["delivered_pps"] for step in steps)
    most = max(steps, key=lambda step: step["offered_pps"])
    kept = most["delivered_pps"] / best
    grave = sum(found["load"]["faults"].get(kind, {"n": 0})["n"] for kind in GRAVE)
    yield "delivered, packets/s on one worker core", best, 600000, best >= 600000
    if most["offered_pps"] >= 1180000:
        yield "delivered at twice that offered, of the best", kept, 0.9, kept >= 0.9
        yield ("audio of the least served viewer then, packets/s", most["audio"]["min"], 49,
               most["audio"]["min"] >= 49)
        even = most["video"]["min"] / max(1, most["video"]["mean"])
        yield "video of the least served viewer then, of the mean", even, 0.95, even >= 0.95
    opened = found["load"]["rtp_opened"]
    yield "packets opened by the viewers with their keys", opened, 1, opened > 0
    yield "packets that were not what they should be", grave, 0, grave == 0


def table(steps):
    yield ("offered/s  taken/s  sealed/s      tx/s delivered  Gbit/s | video a viewer min/mean/max"
           "  audio min/mean/max | drops/s; links before and behind; worker core")
    for s in steps:
        v, a = s["video"], s["audio"]
        drops = " ".join(f"{k} {n:.0f}" for k, n in s["drops_per_s"].items()) or "none"
        cpu = " ".join(f"{k} {100 * n:.0f}%" for k, n in s["worker_cpu"].items() if n > 0.005)
        yield (f"{s['offered_pps']:9.0f} {s['taken_pps']:8.0f} {s['sealed_pps']:9.0f} "
               f"{s['tx_pps']:9.0f} {s['delivered_pps']:9.0f} {s['delivered_gbps']:7.2f} | "
               f"{v['min']:7.0f}/{v['mean']:7.0f}/{v['max']:7.0f} "
               f"{a['min']:8.1f}/{a['mean']:5.1f}/{a['max']:5.1f} | "
               f"{drops}; {s['link_drops_per_s']['before']:.0f} {s['link_drops_per_s']['behind']:.0f}; "
               f"{cpu}, waited {100 * s['worker_waited']:.1f}%")


def measure(options, running, legs, between=lambda step: None):
    """The sweep. Return {"steps": [...], "viewers": what the load client found}."""
    steps = []
    with contextlib.ExitStack() as stack:
        prefer(running.dataplane.pid)
        far = FarEnd(options, running.logs)
        stack.callback(far.kill)
        feed = Feed(options, running.logs, legs)
        stack.callback(feed.kill)
        running.await_legs_up()
        join_s = options.viewers / 250
        a_step = options.settle_s + options.step_s + 1.5
        load = stack.enter_context(Crowd(
            running.logs, options.build, prefix=["taskset", "-c", core(options)],
            viewers=options.viewers, join_rate=250, sampled=True, profile=options.profile,
            verify="all", seconds=3 + join_s + a_step * len(options.offered)))
        wait_until(lambda: running.state()["peers"]["ready"] == options.viewers, 60,
                   "all viewers to be ready")
        # A picture begins at a key frame: who waits for one still has nothing to lose.
        wait_until(lambda: all_see_video(far.ask(), options.viewers), 20, "video for all viewers")
        for offered in options.offered:
            feed.ask(f"{max(1, offered / options.viewers - AUDIO_PPS):.3f}")
            time.sleep(options.settle_s)  # not for an event: rates are to be even
            before = Snapshot(running, feed, far)
            between(offered)
            time.sleep(max(0, options.step_s - (time.monotonic() - before.at)))
            steps.append(compare(before, Snapshot(running, feed, far), options.viewers))
        feed.ask("100")
        found = load.measured(120)
    check(len(steps) == len(options.offered), "not every step was measured")
    return {"viewers": options.viewers, "profile": options.profile, "steps": steps, "load": found}
