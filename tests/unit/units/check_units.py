#!/usr/bin/python3
"""The units: systemd finds no fault, they run what was built with options that it has, and their
rights are as few as promised. And user and directories come to be.

usage: check_units.py --program PROGRAM... --sysusers FILE --tmpfiles FILE UNIT...
One line a finding; exit status 1 if there is one, 77 where systemd is missing.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

# By systemd-analyze security, tenths. What is left to the data plane: root until it runs, four
# capabilities, raw sockets, devices.
EXPOSURE = {"millrace-control.service": 20, "millrace-dataplane.service": 33}


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True,
                          env={**os.environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0"})
    return done.returncode, (done.stdout + done.stderr).strip()


def stage(units, programs, folder):
    """The units in a folder, to run the programs that were built; return their paths."""
    built = {os.path.basename(program): os.path.abspath(program) for program in programs}
    staged = []
    for unit in units:
        with open(unit) as file:
            text = file.read()
        staged.append(os.path.join(folder, os.path.basename(unit)))
        with open(staged[-1], "w") as file:
            file.write(re.sub(r"^ExecStart=\S*/(millrace-\w+)",
                              lambda found: f"ExecStart={built[found.group(1)]}", text, flags=re.M))
    return staged


def check_options(path):
    """What it starts knows the options."""
    for program, options in re.findall(r"^ExecStart=(\S*/millrace-\w+)(.*)$", open(path).read(),
                                       re.M):
        _, known = run(program, "--help")
        for option in options.split():
            if option.split("=")[0] not in known:
                yield f"{os.path.basename(path)}: {program} has no option {option}"


def check_units(staged):
    status, said = run("systemd-analyze", "verify", "--man=no", *staged)
    if status or said:
        yield from (said or f"systemd-analyze verify: status {status}").splitlines()
    for path in staged:
        limit = EXPOSURE.get(os.path.basename(path))
        if limit is None:
            continue
        status, said = run("systemd-analyze", "security", "--offline=true", "--no-pager",
                           f"--threshold={limit}", path)
        verdict = said.splitlines()[-1] if said else "nothing"
        print(verdict)
        if status:
            yield f"expected at most {limit / 10}: {verdict}"
        yield from check_options(path)


def check_system(sysusers, tmpfiles, folder):
    """User and directories, in a root of their own."""
    os.makedirs(os.path.join(folder, "etc"))
    status, said = run("systemd-sysusers", f"--root={folder}", os.path.abspath(sysusers))
    if status:
        yield f"sysusers: {said}"
        return
    with open(os.path.join(folder, "etc/passwd")) as file:
        if not re.search("^millrace:", file.read(), re.M):
            yield "sysusers: no user millrace"
    status, said = run("systemd-tmpfiles", f"--root={folder}", "--create", os.path.abspath(tmpfiles))
    if status or said:
        yield f"tmpfiles: {said}"
    elif not os.path.isdir(os.path.join(folder, "run/millrace")):
        yield "tmpfiles: no /run/millrace"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", action="append")
    parser.add_argument("--sysusers")
    parser.add_argument("--tmpfiles")
    parser.add_argument("units", nargs="+")
    options = parser.parse_args()
    if not shutil.which("systemd-analyze"):
        print("systemd is not installed")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        findings = list(check_units(stage(options.units, options.program, folder)))
        if os.geteuid() == 0:  # owners are set
            findings += check_system(options.sysusers, options.tmpfiles,
                                     os.path.join(folder, "root"))
    print("\n".join(findings))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
