#!/usr/bin/python3
"""testfan short, for its correctness: what the workers send is opened with libsrtp2 and compared.

usage: check_testfan.py TESTFAN PAGE PROFILE|prompt|page
One line a finding; exit status 1 if there is one, 77 where the CPU lacks the fast engine.
"""

import json
import os
import re
import shutil
import subprocess
import sys

EAL = ["--no-huge", "--no-shconf", "--no-pci", "--no-telemetry", "-m208",
       "--vdev=net_null0,no-rx=1"]
PEERS = 12
LIMIT_S = 300
TRIES = 3
STARVED = "too much was dropped before it was sealed"
# What a run of each engine is; between them every stage has its turn.
RUNS = [
    ["--media=both", "--streams=3", "--rate=400"],
    ["--media=both", "--streams=1", "--rate=400", "--ip6", "--size=200", "--burst=1", "--latency"],
    ["--media=video", "--streams=2", "--rate=0", "--burst=40", "--size=1398",
     "--checksum=zero"],
]
# With viewers that ask for what they lose: every second of them is looked at, packet by packet.
NACK_RUNS = [
    ["--nack=10", "--media=both", "--streams=2", "--rate=300"],
    ["--nack=5", "--rtx=off", "--media=both", "--rate=300", "--ip6"],
]


def cores():
    """Two CPUs for two workers; one for both where there is no second."""
    cpus = sorted(os.sched_getaffinity(0))
    return f"--cores={cpus[0]},{cpus[-1]}"


def run(testfan, *own, text=None):
    return subprocess.run([testfan, *EAL, "--", cores(), *own], input=text, capture_output=True,
                          text=True, timeout=LIMIT_S)


def findings_of_run(engine, done):
    if done.returncode != 0:
        yield f"status {done.returncode}: {done.stderr.strip()}"
    try:
        said = json.loads(done.stdout)
    except ValueError:
        yield f"no JSON: {done.stdout[:200]!r}"
        return
    verify = said["verify"]
    if said["config"]["engine_in_use"] != engine:
        yield f"engine {said['config']['engine_in_use']}"
    if verify["checked"] == 0 or verify["failed"] != 0:
        yield f"verify: {verify}"
    if verify["viewers"] != PEERS:
        yield f"only {verify['viewers']} of {PEERS} viewers were sent anything"
    if len(said["workers"]) != 2:
        yield f"{len(said['workers'])} workers"
    drops = said["sum"]["drops"]
    if set(drops) - {"handoff_full", "overload"}:
        yield f"drops: {drops}"
    elif sum(drops.values()) > said["sum"]["sealed_packets"] / 4:
        yield f"{STARVED}: {drops}"
    if said["config"]["nack"]:
        yield from findings_of_repair(said)
    elif said["repair"] is not None:
        yield f"repair: {said['repair']}"


def findings_of_repair(said):
    """What was asked for came, what came was asked for, and was what it had been."""
    repair, verify = said["repair"], said["verify"]
    if repair["asked"] != repair["resent"] - repair["copies"] + sum(repair["missed"].values()):
        yield f"does not add up: {repair}"
    if repair["resent"] < repair["asked"] * 0.7 or repair["nacks"] < PEERS:
        yield f"{STARVED}: {repair}"
    if verify["resent"] + verify["skipped"] < repair["resent"] or verify["resent"] < PEERS:
        yield f"{repair['resent']} were resent, of which only these were seen: {verify}"
    if set(repair["missed"]) - {"just_resent", "overload", "never_sent", "too_old",
                                 "over_budget"}:
        yield f"missed: {repair}"
    share = float(said["config"]["nack"]) / 100
    if not share * 0.6 < repair["resent_share"] < share * 1.8:
        yield f"{STARVED}: {repair}"


def check_profile(testfan, profile):
    for engine in ("fast", "libsrtp2"):
        for options in RUNS + NACK_RUNS:
            own = ["--auto-start", "--json", "--duration=0.7", "--warmup=0", "--verify",
                   f"--peers={PEERS}", f"--profile={profile}", f"--engine={engine}", *options]
            for left in reversed(range(TRIES)):
                findings = list(findings_of_run(engine, run(testfan, *own)))
                # A machine that gave a worker no time for long is asked again.
                if not findings or not left or \
                        not all(finding.startswith(STARVED) for finding in findings):
                    break
            for finding in findings:
                yield f"{' '.join(own)}: {finding}"


FLOOD_S = 1.0
ATTENTION_A_SECOND = 4000  # fanout/repair.c


def findings_of_flood(said):
    """One viewer with a thousand NACKs a second gets what is looked at, and the rest is counted."""
    repair, sum_of = said["repair"], said["sum"]
    if repair["nacks"] < 1000 * FLOOD_S or sum_of["tx_packets"] < 30000 * FLOOD_S:
        yield f"{STARVED}: {repair} {sum_of}"
    if repair["missed"].get("too_many", 0) < repair["asked"] / 2:
        yield f"looked at too much: {repair}"
    if not 0 < repair["resent"] <= ATTENTION_A_SECOND * (said["seconds"] + 1):
        yield f"resent too much: {repair}"
    if set(sum_of["drops"]) - {"handoff_full", "overload"}:
        yield f"somebody paid for it: {sum_of['drops']}"


def check_flood(testfan):
    own = ["--auto-start", "--json", f"--duration={FLOOD_S}", "--warmup=0.3", "--peers=2",
           "--streams=2", "--rate=20000", "--size=200", "--nack=50"]
    for left in reversed(range(TRIES)):
        done = run(testfan, *own)
        if done.returncode != 0:
            return [f"{' '.join(own)}: status {done.returncode}: {done.stderr.strip()}"]
        findings = list(findings_of_flood(json.loads(done.stdout)))
        if not left or not all(finding.startswith(STARVED) for finding in findings):
            break
    return [f"{' '.join(own)}: {finding}" for finding in findings]


COMMANDS = [
    ("set peers 0", "peers: expected 1 to 65536; found 0"),
    ("set profile aes", "profile: expected gcm128, gcm256, cm80; found aes"),
    ("set engine x", "engine: expected fast, libsrtp2, auto; found x"),
    ("set nothing 1", "no setting nothing"),
    ("stop", "it does not run"),
    ("show fwd stats all", "start first"),
    ("set peers 5", None),
    ("set verify 1", None),
    ("set latency on", None),
    ("set nack 60", "nack: expected 0 to 50, such as 0.5; found 60"),
    ("set nack 20", None),
    ("set rtx off", None),
    ("start", "latency: expected rtx on and media video"),
    ("set rtx on", None),
    ("show config", "  peers     5 "),
    ("show config", "  nack      20 "),
    ("start", "started: 5 viewers of 1 streams on 2 workers"),
    ("start", "it runs already"),
    ("show port stats all", "net_null0"),
    ("show cycles", "crypto"),
    ("show latency", "closed loop"),
    ("show memory", "bytes a viewer"),
    ("clear fwd stats all", None),
    ("show fwd stats all", "packets asked for: "),
    ("stop", "viewers opened with libsrtp2 and compared, 0 failed"),
    ("start", "started: 5 viewers"),
    ("help", "show fwd stats all"),
    ("quit", None),
]


def check_toll(testfan):
    """Turns with feedback and without are set off against each other."""
    own = ["--auto-start", "--json", f"--peers={PEERS}", "--nack=2", "--toll", "--rounds=2",
           "--duration=0.3", "--warmup=0.2"]
    done = run(testfan, *own)
    if done.returncode != 0:
        yield f"status {done.returncode}: {done.stderr.strip()}"
        return
    said = json.loads(done.stdout)
    toll, repair = said["toll"], said["repair"]
    if toll["rounds"] != 2 or not repair["nacks"]:
        yield f"{toll} {repair}"
    if abs(toll["fall"] - toll["resent"] - toll["over"]) > 0.5 or toll["fall"] >= 1:
        yield f"does not add up: {toll}"


def check_prompt(testfan):
    done = run(testfan, text="".join(command + "\n" for command, _ in COMMANDS))
    if done.returncode != 0:
        yield f"status {done.returncode}: {done.stderr.strip()}"
    answers = done.stdout.split("testfan> ")
    for (command, want), answer in zip(COMMANDS, answers[1:]):
        if not answer.startswith(command):
            yield f"{command}: not what was typed: {answer!r}"
        elif want and want not in answer:
            yield f"{command}: lacks {want!r}: {answer!r}"
    if len(answers) < len(COMMANDS):
        yield f"{len(answers)} prompts: {done.stdout!r}"
    yield from check_toll(testfan)
    yield from check_flood(testfan)
    for bad in (["--profile=x"], ["--peers=0"], ["--json"], ["--load=x"], ["word"], ["--cores=a"],
                ["--nack=x"], ["--toll", "--nack=2"], ["--auto-start", "--toll"],
                ["--auto-start", "--toll", "--nack=2", "--rate=9"]):
        done = run(testfan, *bad)
        if done.returncode != 2 or "expected" not in done.stderr:
            yield f"{bad}: status {done.returncode}: {done.stderr!r}"


def check_page(testfan, page):
    """The page has every option, and no other."""
    if not shutil.which("mandoc"):
        sys.exit(77)
    yield from subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page],
                              capture_output=True, text=True).stdout.splitlines()
    said = subprocess.run([testfan, "--help"], capture_output=True, text=True).stdout
    options = set(re.findall(r"(?m)^  (--[a-z0-9-]+)|, (--version)$", said))
    options = {name for pair in options for name in pair if name}
    with open(page) as file:
        entries = set(re.findall(r"(?m)^\.It Fl -([a-z0-9-]+)", file.read()))
    entries = {f"--{name}" for name in entries}
    if len(options) < 20:
        yield f"--help: only {options} were understood"
    yield from (f"{page}: lacks {name}" for name in sorted(options - entries))
    yield from (f"{page}: no such option: {name}" for name in sorted(entries - options))


def main():
    testfan, page, what = sys.argv[1:]
    if what == "page":
        findings = list(check_page(testfan, page))
    elif what == "prompt":
        findings = list(check_prompt(testfan))
    else:
        with open("/proc/cpuinfo") as file:
            flags = file.read()
        if " aes" not in flags or " pclmulqdq" not in flags:
            return 77
        findings = list(check_profile(testfan, what))
    print("\n".join(findings))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
