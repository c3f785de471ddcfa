#!/usr/bin/python3
"""What the compiler does not see: who includes whom, how long things are, how they are formatted.

usage: tests/lint.py [--root DIR] [includes|length|format|text ...]
One line a finding, "file:line: what is wrong"; exit status 1 if there is one.
"""

import argparse
import ast
import os
import re
import subprocess
import sys

MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 80
SKIPPED = re.compile(r"^(build.*|artifacts|node_modules|__pycache__|\..*)$")
C_SUFFIXES = (".c", ".h")
LONG_SUFFIXES = (".c", ".h", ".py", ".sh", ".js", ".html", ".build")
# The folders that know only their own side of the shared region.
SIDES = {"control": "dataplane", "dataplane": "control"}
SHARED = "dataplane/abi/"
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')
SHELL = re.compile(r"^#!.*\b(bash|sh)$")


def all_files(root):
    """Paths from root of everything that is ours and not a build's."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not SKIPPED.match(name) or name == ".ci")
        for name in sorted(names):
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                yield os.path.relpath(path, root)


def read(root, path):
    with open(os.path.join(root, path), errors="replace") as file:
        return file.read().splitlines()


def c_files(root):
    return [path for path in all_files(root) if path.endswith(C_SUFFIXES)]


def is_shell(root, path):
    if path.endswith(".sh"):
        return True
    if "." in os.path.basename(path):
        return False
    lines = read(root, path)
    return bool(lines and SHELL.match(lines[0]))


# ---- who includes whom

def judge_include(root, path, target):
    """Return what is wrong with path's including target, or None."""
    top = path.split("/")[0]
    if not os.path.exists(os.path.join(root, target)):
        return f'"{target}": no such file; includes go by the path from the root'
    if top in SIDES and target.startswith(SIDES[top] + "/") and not target.startswith(SHARED):
        return f'"{target}": {top} may include of {SIDES[top]} only {SHARED}'
    # A wire format that both sides share knows neither.
    if path.startswith(SHARED) and target.split("/")[0] in SIDES and not target.startswith(SHARED):
        return f'"{target}": {SHARED} includes nothing outside itself'
    if "/priv/" in target:
        owner = target[: target.index("/priv/")]
        # A folder's own unit tests, tests/unit/NAME/, may look inside.
        tests = "tests/unit/" + os.path.basename(owner)
        if os.path.dirname(path) not in (owner, owner + "/priv", tests):
            return f'"{target}" is private to {owner}/'
    return None


def check_includes(root):
    for path in c_files(root):
        for number, line in enumerate(read(root, path), 1):
            found = INCLUDE.match(line)
            wrong = found and judge_include(root, path, found.group(1))
            if wrong:
                yield f"{path}:{number}: {wrong}"


# ---- how long things are

def c_functions(lines):
    """(first line, length) of each body: clang-format puts a function's braces in column 0."""
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            yield start, number - start + 1
            start = None


def python_functions(lines):
    for node in ast.walk(ast.parse("\n".join(lines))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.end_lineno - node.lineno + 1


def functions(root, path, lines):
    if path.endswith(C_SUFFIXES) or is_shell(root, path):
        return c_functions(lines)
    if path.endswith(".py"):
        return python_functions(lines)
    return ()


def check_length(root):
    for path in all_files(root):
        if not path.endswith(LONG_SUFFIXES) and not is_shell(root, path):
            continue
        lines = read(root, path)
        if len(lines) > MAX_FILE_LINES:
            yield f"{path}:{MAX_FILE_LINES}: {len(lines)} lines, more than {MAX_FILE_LINES}"
        for number, length in functions(root, path, lines):
            if length > MAX_FUNCTION_LINES:
                yield f"{path}:{number}: function of {length} lines, more than {MAX_FUNCTION_LINES}"


# ---- how they are formatted

def check_format(root):
    paths = c_files(root)
    if not paths:
        return
    done = subprocess.run(["clang-format-14", "--dry-run", "-Werror", *paths], cwd=root,
                          stderr=subprocess.PIPE, text=True)
    for line in done.stderr.splitlines():
        found = re.match(r"(\S+):(\d+):\d+: error: ", line)
        if found:
            yield f"{found.group(1)}:{found.group(2)}: not as clang-format has it"
    if done.returncode and not done.stderr:
        yield f"clang-format-14 ended with status {done.returncode}"


def check_text(root):
    """Whitespace that .editorconfig forbids."""
    for path in all_files(root):
        if not path.endswith((*LONG_SUFFIXES, ".md", ".conf", ".supp")) and not is_shell(root, path):
            continue
        with open(os.path.join(root, path), "rb") as file:
            data = file.read()
        if data and not data.endswith(b"\n"):
            yield f"{path}:1: no line break at the end"
        for number, line in enumerate(data.split(b"\n"), 1):
            if line.endswith((b" ", b"\t", b"\r")):
                yield f"{path}:{number}: white space at the end of the line"


CHECKS = {
    "includes": check_includes,
    "length": check_length,
    "format": check_format,
    "text": check_text,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", default=os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    parser.add_argument("checks", nargs="*", metavar="|".join(CHECKS))
    options = parser.parse_args()
    unknown = [name for name in options.checks if name not in CHECKS]
    if unknown:
        parser.error(f"no check {', '.join(unknown)}")
    findings = 0
    for name in options.checks or CHECKS:
        for finding in CHECKS[name](options.root):
            print(finding)
            findings += 1
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
