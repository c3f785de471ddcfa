#!/usr/bin/python3
"""Provision a Debian that is made for it, and have the doctor look at it, on a machine of files.

usage: sudo tests/host/run.py [--list] [--results FILE] [--build DIR] [CASE...]
Prints "ok|FAIL|skip host/NAME (reason) time" for each; exit status 1 if one failed. Changes nothing
outside a temporary directory.
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

import examining
import provisioning
from results import report
from system import ROOT, Failure, Store

CASES = {**provisioning.CASES, **examining.CASES}
LIMIT_S = 400


def on_alarm(*_):
    raise Failure(f"not over after {LIMIT_S} s")


def run_case(case, store):
    """Return verdict and reason."""
    signal.alarm(LIMIT_S)
    try:
        case().run(store)
        return "ok", ""
    except Failure as failure:
        return "FAIL", str(failure)
    except Exception:
        traceback.print_exc()
        return "FAIL", traceback.format_exc().strip().splitlines()[-1]
    finally:
        signal.alarm(0)


def why_not_here(options):
    if os.geteuid() != 0:
        return "root is needed: sudo scripts/test"
    if not shutil.which("mmdebstrap"):
        return "mmdebstrap is missing: sudo scripts/setup test"
    if not os.path.exists(os.path.join(options.build, "dataplane", "millrace-dataplane")):
        return f"no data plane in {os.path.relpath(options.build)}: build first"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--results", help="append the result lines to this file")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("names", nargs="*", metavar="CASE")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in CASES]
    if unknown:
        sys.exit(f"run.py: no case {', '.join(unknown)}; there are: {' '.join(CASES)}")
    chosen = options.names or list(CASES)
    if options.list:
        print("\n".join(chosen))
        return 0
    if os.geteuid() == 0 and "MILLRACE_HOST_TEST" not in os.environ:
        # Mounts of our own, that nobody sees and that are gone with us.
        os.environ["MILLRACE_HOST_TEST"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", *sys.orig_argv])
    signal.signal(signal.SIGALRM, on_alarm)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    return run_all(chosen, options)


def run_all(chosen, options):
    obstacle = why_not_here(options)
    store = None if obstacle else Store(os.path.abspath(options.build))
    failed = 0
    try:
        for name in chosen:
            began = time.monotonic()
            verdict, reason = ("skip", obstacle) if obstacle else run_case(CASES[name], store)
            failed += verdict == "FAIL"
            report(f"host/{name}", verdict, reason, time.monotonic() - began, options.results)
    finally:
        if store:
            store.remove()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
