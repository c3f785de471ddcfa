#!/usr/bin/python3
"""Boot the appliance image under QEMU's software emulation, and see it serve.

usage: sudo tests/boot/run.py [--list] [--image DIR] [--results FILE] [--artifacts DIR] [CASE...]
DIR is what images/build put out. Prints "ok|FAIL|skip boot/NAME (reason) time" for each case; exit
status 1 if one failed. Consoles and logs are kept with the artifacts.
"""

import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True  # root shall leave no cache in the tree
TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path += [os.path.join(TESTS, "e2e"), TESTS]

import host  # noqa: E402 (the path comes first)

# So that a boot and the end-to-end cases may run beside each other.
host.VIEWER_NETNS = "mr-boot"

from cases import all_cases  # noqa: E402
from host import ROOT, Failure  # noqa: E402
from machine import Cable  # noqa: E402
from node import Yard  # noqa: E402
from results import report  # noqa: E402

LIMIT_S = 500


def on_alarm(*_):
    raise Failure(f"not over after {LIMIT_S} s")


def run_case(case, yard):
    """Return verdict, and reason or figure."""
    signal.alarm(LIMIT_S)
    try:
        return "ok", case().run(yard) or ""
    except Failure as failure:
        verdict = "FAIL", str(failure)
    except Exception:
        with open(os.path.join(yard.logs, "traceback.txt"), "w") as file:
            traceback.print_exc(file=file)
        verdict = "FAIL", traceback.format_exc().strip().splitlines()[-1]
    finally:
        signal.alarm(0)
    with contextlib.suppress(Exception):  # it is the case that failed
        yard.examine()
    yard.stop()  # the next one begins with a machine of its own
    return verdict


def why_not_here(options):
    if os.geteuid() != 0:
        return "root is needed: sudo scripts/test"
    if not shutil.which("qemu-system-x86_64"):
        return "qemu-system-x86 is missing: sudo scripts/setup test"
    if not os.path.exists(os.path.join(options.image, "millrace.raw")):
        return f"no image in {os.path.relpath(options.image)}: images/build --output it first"
    return None


def run_all(chosen, options):
    folder = tempfile.mkdtemp(prefix="millrace-boot.", dir="/var/tmp")
    failed = 0
    yard = None
    try:
        with Cable():
            yard = Yard(options.image, folder)
            for name, case in chosen.items():
                began = time.monotonic()
                yard.logs = os.path.join(options.artifacts, "boot", name)
                shutil.rmtree(yard.logs, ignore_errors=True)
                os.makedirs(yard.logs)
                verdict, reason = run_case(case, yard)
                failed += verdict == "FAIL"
                report(f"boot/{name}", verdict, reason, time.monotonic() - began, options.results)
            yard.stop()
    finally:
        if yard:
            yard.stop()
        shutil.rmtree(folder)
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--results", help="append the result lines to this file")
    parser.add_argument("--image", default=os.path.join(ROOT, "build", "image"))
    parser.add_argument("--artifacts", default=os.path.join(ROOT, "build", "artifacts"))
    parser.add_argument("names", nargs="*", metavar="CASE")
    options = parser.parse_args()
    known = all_cases()
    unknown = [name for name in options.names if name not in known]
    if unknown:
        sys.exit(f"run.py: no case {', '.join(unknown)}; there are: {' '.join(known)}")
    chosen = {name: known[name] for name in options.names or known}
    if options.list:
        print("\n".join(chosen))
        return 0
    signal.signal(signal.SIGALRM, on_alarm)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    obstacle = why_not_here(options)
    if obstacle:
        for name in chosen:
            report(f"boot/{name}", "skip", obstacle, 0, options.results)
        return 0
    return run_all(chosen, options)


if __name__ == "__main__":
    sys.exit(main())
