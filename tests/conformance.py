#!/usr/bin/python3
"""Check tests/conformance.md: no line of the checklist left out, no test named that is not there.

usage: tests/conformance.py [--root DIR]
One line a finding; exit status 1 if there is one. --missing lists what the table calls missing.
"""

import argparse
import os
import re
import sys

LINES = {"A": 46, "B": 42, "C": 29, "D": 21}  # whole groups; of E to G what is built
ROW = re.compile(r"^\| ([A-G]\d+) \| ([^|]+) \| ([^|]+) \|$")
NAME = re.compile(r"`([^`]+)`")
REASON = re.compile(r"\b(off|n/a|missing)\b")


def read(root, *path):
    try:
        with open(os.path.join(root, *path)) as file:
            return file.read()
    except FileNotFoundError:
        return ""


def camel(name):
    return "".join(word.capitalize() for word in name.split("_"))


def is_there(root, name):
    """Whether a test of that name is defined, and run."""
    if name.startswith("e2e/"):
        cases = os.path.join(root, "tests", "e2e", "cases")
        return any(f"class {camel(name[4:])}:" in read(cases, module)
                   for module in sorted(os.listdir(cases)))
    file, _, function = name.partition(":")
    text = read(root, "tests", "unit", f"{file}.c")
    return bool(re.search(rf"^static void {re.escape(function)}\(void \*\*", text, re.M)) and len(
        re.findall(rf"\b{re.escape(function)}\b", text)) > 1


def rows(root):
    for number, line in enumerate(read(root, "tests", "conformance.md").splitlines(), 1):
        found = ROW.match(line)
        if found:
            yield (number, *found.groups())


def findings(root):
    seen = []
    for number, line, _, shown in rows(root):
        seen.append(line)
        names = NAME.findall(shown)
        if not names and not REASON.search(shown):
            yield f"{number}: {line} names neither a test nor a reason"
        for name in names:
            if not is_there(root, name):
                yield f"{number}: {line}: there is no test {name}"
    wanted = [f"{group}{i + 1}" for group, n in LINES.items() for i in range(n)]
    seen = [line for line in seen if line[0] in LINES]
    if seen != wanted:
        wrong = sorted(set(wanted) ^ set(seen)) or "out of order, or twice"
        yield f"1: lines left out or too many: {wrong}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", default=os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    parser.add_argument("--missing", action="store_true")
    options = parser.parse_args()
    if options.missing:
        for _, line, what, shown in rows(options.root):
            if "missing:" in shown:
                print(f"{line} {what}: {shown[shown.index('missing'):]}")
        return 0
    found = list(findings(options.root))
    for finding in found:
        print(f"tests/conformance.md:{finding}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
