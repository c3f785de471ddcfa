#!/usr/bin/python3
"""The appliance image: its shell logic here, and the image itself, built twice.

usage: sudo tests/image/run.py [--list] [--results FILE] [--build DIR] [--output DIR] [CASE...]
Prints "ok|FAIL|skip image/NAME (reason) time" for each; exit status 1 if one failed. The image that
was built stays in DIR (default: build/image).
"""

import argparse
import concurrent.futures
import os
import sys
import time
import traceback

sys.dont_write_bytecode = True  # root shall leave no cache in the tree
sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import built
import config
import health
import initrd
import recipe
import slots
import state
from results import report
from shell import ROOT, Failure

# What takes root, packages, and the image that was built.
BUILT = {**built.CASES, **initrd.CASES, **recipe.CASES}
CASES = {**config.CASES, **slots.CASES, **health.CASES, **state.CASES, **BUILT}


def run_case(name, options):
    """Return verdict, reason and seconds."""
    began = time.monotonic()
    verdict, reason = judge_case(CASES[name], options)
    return verdict, reason, time.monotonic() - began


def judge_case(case, options):
    """Return verdict and reason."""
    obstacle = built.obstacle() if case in BUILT.values() else None
    if obstacle:
        return "skip", obstacle
    try:
        if case in BUILT.values():
            return "ok", case().run(options) or ""
        case().run(options.programs)
        return "ok", ""
    except Failure as failure:
        return "FAIL", str(failure)
    except Exception:
        traceback.print_exc()
        return "FAIL", traceback.format_exc().strip().splitlines()[-1]


def programs_of(build):
    """One folder with both programs, as a PATH has them."""
    folder = os.path.join(build, "programs")
    os.makedirs(folder, exist_ok=True)
    for name in ("control", "dataplane"):
        link = os.path.join(folder, f"millrace-{name}")
        if not os.path.islink(link):
            os.symlink(f"../{name}/millrace-{name}", link)
    return folder


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--results", help="append the result lines to this file")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--output", default=os.path.join(ROOT, "build", "image"))
    parser.add_argument("names", nargs="*", metavar="CASE")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in CASES]
    if unknown:
        sys.exit(f"run.py: no case {', '.join(unknown)}; there are: {' '.join(CASES)}")
    chosen = options.names or list(CASES)
    if options.list:
        print("\n".join(chosen))
        return 0
    options.programs = programs_of(os.path.abspath(options.build))
    return 1 if run_all(chosen, options) else 0


def run_all(chosen, options):
    """How many failed. The shell logic runs two at a time, and what only looks at the image, once it is built."""
    failed = 0
    logic = [name for name in chosen if CASES[name] not in BUILT.values()]
    beside = [name for name in chosen if CASES[name] in built.READERS]
    alone = [name for name in chosen if name not in logic + beside]
    for names, at_a_time in ((logic, 2), (alone, 1), (beside, 2)):
        with concurrent.futures.ThreadPoolExecutor(at_a_time) as pool:
            for name, said in zip(names, pool.map(lambda name: run_case(name, options), names)):
                failed += said[0] == "FAIL"
                report(f"image/{name}", *said, options.results)
    return failed


if __name__ == "__main__":
    sys.exit(main())
