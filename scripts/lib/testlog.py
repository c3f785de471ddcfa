#!/usr/bin/python3
"""Turn meson's testlog.json into lines: verdict, name, microseconds, reason; tabs between.

usage: testlog.py FILE
No file, or no test in it, is itself a failure.
"""

import json
import sys

VERDICTS = {"OK": "ok", "EXPECTEDFAIL": "ok", "SKIP": "skip"}


def rows(path):
    try:
        with open(path) as file:
            tests = [json.loads(line) for line in file]
    except OSError:
        tests = []
    if not tests:
        yield "FAIL", "tests", 0, "meson ran none"
    for test in tests:
        verdict = VERDICTS.get(test["result"], "FAIL")
        reason = "" if verdict == "ok" else last_words(test)
        yield verdict, test["name"].split(" / ")[-1], int(test["duration"] * 1e6), reason


def last_words(test):
    said = (test.get("stderr") or test.get("stdout") or "").strip().splitlines()
    status = f"{test['result'].lower()}, status {test['returncode']}"
    return f"{status}: {said[-1].strip()[:160]}" if said else status


def main():
    for row in rows(sys.argv[1]):
        print("\t".join(str(field).replace("\t", " ") for field in row))


if __name__ == "__main__":
    main()
