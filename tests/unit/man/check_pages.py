#!/usr/bin/python3
"""The manual pages: well-formed, and whole and true as to options.

usage: check_pages.py PROGRAM PAGE [PROGRAM PAGE ...] CONF_PAGE
PROGRAM --help, which is printed from the one table of options, says what there is. One line a
finding; exit status 1 if there is one, 77 where mandoc or man is missing.
"""

import os
import re
import shutil
import subprocess
import sys

GENERAL = {"--config", "--check-config", "--help", "--version"}
ANY = "--section-option"  # how the pages write any option
OPTION = re.compile(r"--[a-z][a-z0-9-]*[a-z0-9]")


def run(*command):
    return subprocess.run(command, capture_output=True, text=True,
                          env={**os.environ, "MANWIDTH": "400", "LC_ALL": "C.UTF-8"})


def text_of(page):
    """The page as it is read, without bold and underlines."""
    return re.sub(".\b", "", run("mandoc", "-T", "utf8", "-O", "width=400", page).stdout)


def check_form(page):
    lint = run("mandoc", "-T", "lint", "-W", "warning", page)
    yield from lint.stdout.splitlines()
    warned = run("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page)
    yield from (f"{page}: man: {line}" for line in warned.stderr.splitlines())


def options_of(program):
    """[(section, name, argument)] and what is said of each, in one string."""
    found, section = {}, None
    for line in run(program, "--help").stdout.splitlines():
        if line.startswith("["):
            section = line[1:line.index("]")]
        option = re.match(r"  (--[a-z0-9-]+)=", line)
        if option and section:
            name = option.group(1).removeprefix(f"--{section}-").replace("-", "_")
            found[option.group(1)] = (section, name)
    return found


def check_conf_page(page, options):
    """Every option stands below its section, by both its names."""
    section, entries = None, set()
    for line in text_of(page).splitlines():
        heading = re.fullmatch(r"   \[(\w+)\]", line)
        section = heading.group(1) if heading else section
        entry = re.fullmatch(r" +(\w+) \((--[a-z0-9-]+)\)", line)
        if entry:
            entries.add((section, *entry.groups()))
    wanted = {(section, name, argument) for argument, (section, name) in options.items()}
    yield from (f"{page}: lacks {entry}" for entry in sorted(wanted - entries, key=str))
    yield from (f"{page}: no such option: {entry}" for entry in sorted(entries - wanted, key=str))


def check_program_page(page, options):
    """Each general option has its entry; any other that is named exists."""
    text = text_of(page)
    named = set(OPTION.findall(text))
    entries = set(re.findall(r"^ {5}(--[a-z-]+)(?:=|$)", text, re.MULTILINE))
    yield from (f"{page}: lacks {name}" for name in sorted(GENERAL - entries))
    unknown = named - GENERAL - {ANY, *options}
    yield from (f"{page}: no such option: {name}" for name in sorted(unknown))


def main():
    *pairs, conf_page = sys.argv[1:]
    if not shutil.which("mandoc") or not shutil.which("man"):
        return 77
    findings = list(check_form(conf_page))
    for program, page in zip(pairs[::2], pairs[1::2]):
        options = options_of(program)
        if len(options) < 10:
            findings.append(f"{program} --help: only {len(options)} options were understood")
        findings += [*check_form(page), *check_program_page(page, options),
                     *check_conf_page(conf_page, options)]
    print("\n".join(findings))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
