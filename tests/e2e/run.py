#!/usr/bin/python3
"""Run the end-to-end cases, one after the other, each in a test network of its own.

usage: sudo tests/e2e/run.py [--list] [--results FILE] [--artifacts DIR] [CASE...]
Prints "ok|FAIL|skip e2e/NAME (reason) time" for each; exit status 1 if one failed. Huge pages and
the BPF file system must be there: scripts/test sees to that (scripts/setup host, by hand).
"""

import argparse
import os
import shutil
import signal
import sys
import time
import traceback

sys.dont_write_bytecode = True  # root shall leave no cache in the tree
sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import cases
from host import ROOT, Failure, Skip
from results import report

LIMIT_S = 180


class Context:
    """What a case is given: directories."""

    def __init__(self, options, name):
        self.build = options.build
        self.build_asan = options.build_asan
        self.logs = os.path.join(options.artifacts, "e2e", name)
        shutil.rmtree(self.logs, ignore_errors=True)
        os.makedirs(self.logs)


def on_alarm(*_):
    raise Failure(f"not over after {LIMIT_S} s")


def run_case(case, context):
    """Return verdict and reason."""
    signal.alarm(LIMIT_S)
    try:
        case().run(context)
        return "ok", ""
    except Skip as skip:
        return "skip", str(skip)
    except Failure as failure:
        return "FAIL", str(failure)
    except Exception:
        with open(os.path.join(context.logs, "traceback.txt"), "w") as file:
            traceback.print_exc(file=file)
        return "FAIL", traceback.format_exc().strip().splitlines()[-1]
    finally:
        signal.alarm(0)


def why_not_here(options):
    if os.geteuid() != 0:
        return "root is needed: sudo scripts/test"
    if not os.path.exists(os.path.join(options.build, "dataplane", "millrace-dataplane")):
        return f"no data plane in {os.path.relpath(options.build)}: build first"
    return None


def choose(names):
    known = cases.all_cases()
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"run.py: no case {', '.join(unknown)}; there are: {' '.join(known)}")
    return {name: known[name] for name in names or known}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--results", help="append the result lines to this file")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--build-asan", default=os.path.join(ROOT, "build-asan"))
    parser.add_argument("--artifacts", default=os.path.join(ROOT, "build", "artifacts"))
    parser.add_argument("names", nargs="*", metavar="CASE")
    options = parser.parse_args()
    chosen = choose(options.names)
    if options.list:
        print("\n".join(chosen))
        return 0
    signal.signal(signal.SIGALRM, on_alarm)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    obstacle = why_not_here(options)
    failed = 0
    for name, case in chosen.items():
        began = time.monotonic()
        if obstacle:
            verdict, reason = "skip", obstacle
        else:
            verdict, reason = run_case(case, Context(options, name))
        failed += verdict == "FAIL"
        report(f"e2e/{name}", verdict, reason, time.monotonic() - began, options.results)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
