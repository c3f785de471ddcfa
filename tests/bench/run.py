#!/usr/bin/python3
"""The size report: what this machine carries. scripts/bench runs it with all it takes.

usage: tests/bench/run.py --build DIR --output DIR [--quick] [--rounds N] [--seconds S]
                          [null] [veth] [shows] [delivery]
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[1:1] = [os.path.join(ROOT, "tests", "e2e")]

import facts  # noqa: E402
import plan  # noqa: E402
import report  # noqa: E402
from host import Failure  # noqa: E402
from measure import OverVeth, Testfan, condense, median  # noqa: E402

PARTS = ("null", "veth", "shows", "delivery")
PORT_OF = {"null": "net_null", "veth": "af_xdp"}
OVERHEAD_S = 2.5  # of one testfan run: start, warm-up, end


class Progress:
    """On stderr: what is measured, how much is done, how long it will still take."""

    def __init__(self, total):
        self.total, self.done, self.began = total, 0, time.monotonic()
        self.left_s = total * OVERHEAD_S

    def step(self, what):
        elapsed = time.monotonic() - self.began
        if self.done >= 3:
            self.left_s = elapsed / self.done * (self.total - self.done)
        end = "" if sys.stderr.isatty() else "\n"
        clear = "\r\033[K" if sys.stderr.isatty() else ""
        print(f"{clear}bench: {self.done}/{self.total}, about {self.left_s / 60:.0f} min to go: "
              f"{what}", end=end, file=sys.stderr, flush=True)
        self.done += 1

    def end(self):
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def name_of(point):
    return " ".join(str(point[key]) for key in plan.KEY)


def measure_points(options, points, testfan, progress, found):
    """All points once a round, so that a slow minute hits no point's every round."""
    runs = {name_of(point): [] for point in points}
    try:
        for _ in range(options.rounds):
            for point in points:
                progress.step(name_of(point))
                runs[name_of(point)].append(testfan.run(point, options.seconds))
    finally:
        found += [condense(point, runs[name_of(point)]) for point in points
                  if runs[name_of(point)]]


def show_ratio(options, line, testfan, progress):
    """The two in turns, so that a core that gets slower meanwhile does so for both."""
    extra = ["--floor", "--rounds=1"] if "cipher" in line else []
    ratios, ciphers = [], []
    for _ in range(options.rounds):
        progress.step(line["what"])
        over, under = (testfan.run(point, options.seconds, extra) for point in line["ratio"])
        ratios.append(over["sum"]["mpps"] / under["sum"]["mpps"])
        if extra:
            ciphers.append(over["floor"]["mpps"] / under["floor"]["mpps"])
    return {"reached": median(ratios), **({"cipher": median(ciphers)} if ciphers else {})}


def n_runs(options, line):
    """What takes turns within one run has its median there."""
    return 1 if {"--floor", "--toll"} & set(line.get("options", ())) else options.rounds


def show_single(options, line, testfan, progress):
    outer, inner = line["member"]
    found = []
    for _ in range(n_runs(options, line)):
        progress.step(line["what"])
        seconds = line.get("seconds", options.seconds)
        found.append(testfan.run(line["single"], seconds, line["options"])[outer][inner])
    return {"reached": median(found)}


def measure_shows(options, testfan, progress):
    for line in plan.SHOWS:
        if "ratio" in line and max(p["workers"] for p in line["ratio"]) > os.cpu_count():
            continue
        how = show_ratio if "ratio" in line else show_single
        found = how(options, line, testfan, progress)
        yield {"what": line["what"], "asked": line["asked"], "sense": line["sense"], **found,
               "good": plan.is_reached(line, found["reached"])}


def n_show_runs(options):
    return sum(n_runs(options, line) for line in plan.SHOWS)


def measure_delivery(options, progress):
    """500 real viewers: tests/load/run has them."""
    progress.step("delivery to 500 viewers over veth")
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        done = subprocess.run([os.path.join(ROOT, "tests", "load", "run"), "--build", options.build,
                               "--json", out.name, "deliver"], capture_output=True, text=True)
        if done.returncode not in (0, 1) or os.path.getsize(out.name) == 0:
            raise Failure(f"tests/load/run deliver: {(done.stderr.splitlines() or ['?'])[-1]}")
        found = json.load(out)
    shows = [{"what": check["what"], "asked": check["asked"], "reached": check["reached"],
              "sense": "most" if check["asked"] == 0 else "least", "good": check["good"]}
             for check in found["checks"]]
    return shows, found


def measure_parts(options, wanted, results, progress):
    if "null" in wanted:
        measure_points(options, wanted["null"], Testfan(options.build), progress,
                       results["points"])
    if "veth" in wanted:
        with tempfile.TemporaryDirectory(prefix="millrace-bench.") as logs, \
                OverVeth(options.build, logs) as testfan:
            measure_points(options, wanted["veth"], testfan, progress, results["points"])
    if "shows" in options.parts:
        for line in measure_shows(options, Testfan(options.build), progress):
            results["shows"].append(line)
    if "delivery" in options.parts:
        shows, results["delivery"] = measure_delivery(options, progress)
        results["shows"] += shows


def measure(options):
    results = {"facts": facts.gather(ROOT), "rounds": options.rounds, "seconds": options.seconds,
               "points": [], "shows": []}
    others = facts.Others()
    wanted = {part: list(plan.points([PORT_OF[part]], os.cpu_count(), options.quick))
              for part in options.parts if part in PORT_OF}
    total = sum(len(points) for points in wanted.values()) * options.rounds
    progress = Progress(total + ("shows" in options.parts) * n_show_runs(options)
                        + ("delivery" in options.parts))
    try:
        measure_parts(options, wanted, results, progress)
    except Failure as failure:  # what was measured by then is not lost
        results["failed"] = str(failure)
    progress.end()
    results["others"] = others.share()
    return results


def write(results, folder):
    from draw import draw  # wants matplotlib, which measuring does not
    os.makedirs(folder, exist_ok=True)
    results["drawings"] = draw(results["points"], folder)
    with open(os.path.join(folder, "results.json"), "w") as file:
        json.dump(results, file, indent=1)
        file.write("\n")
    with open(os.path.join(folder, "README.md"), "w") as file:
        file.write(report.markdown(results))


def on_signal(*_):
    raise KeyboardInterrupt  # namespaces are taken back on the way out


def main():
    signal.signal(signal.SIGTERM, on_signal)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--again", action="store_true", help="write the page of what is there anew")
    parser.add_argument("parts", nargs="*", metavar="|".join(PARTS))
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.seconds = options.seconds or (1 if options.quick else 2)
    options.parts = options.parts or PARTS
    if set(options.parts) - set(PARTS):
        parser.error(f"no part {', '.join(set(options.parts) - set(PARTS))}")
    try:
        if options.again:
            with open(os.path.join(options.output, "results.json")) as file:
                results = json.load(file)
        else:
            results = measure(options)
        write(results, options.output)
    except Failure as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    with contextlib.suppress(BrokenPipeError):
        for line in results["shows"]:
            print(f"{'ok  ' if line['good'] else 'MISS'} {line['what']}: "
                  f"{report.reached(line)} (asked: {line['asked']:g})")
        print(f"report: {os.path.join(options.output, 'README.md')}")
    if results.get("failed"):
        print(f"bench: not finished: {results['failed']}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
