"""An update into the other slot: what must hold whenever the power fails, and what is refused."""

import hashlib
import os
import shutil
import subprocess

from shell import SLOTS, Failure, Node, check

ENTRIES = "esp/loader/entries"
PARTS = {"vmlinuz": b"K" * 70000, "initrd": b"I" * 30000, "root": b"R" * 5000 + bytes(4096 * 3 - 5000)}
GOOD_ENTRY = """title millrace old
sort-key millrace
version 4
linux /millrace/a/vmlinuz
initrd /millrace/a/initrd.img
options quiet millrace.slot=a
options isolcpus=1
"""
INSTALL = SLOTS + """
set -euo pipefail
uname() { echo x86_64; }
slots_open
verb_install "$1"
"""
# Bash tells before each command; at the one that CUT names, nothing more is done. Counted from the
# function on that first changes something.
CUT = """
set -o functrace
eval "then_$(declare -f FROM)"
FROM() { LEFT=CUT; trap '((LEFT-- > 0)) || kill -9 $$' DEBUG; then_FROM "$@"; }
"""


def cut_at(number, function):
    return CUT.replace("CUT", str(number)).replace("FROM", function)


def update(parts=None, signature=b"", **head):
    parts = parts or PARTS
    lines = {"title": "millrace new", "arch": "x86_64", "options": "quiet"}
    for name, data in PARTS.items():
        lines[name] = f"{len(data)} {hashlib.sha256(data).hexdigest()}"
    lines.update(head)
    header = "MILLRACE-UPDATE 1\n" + "".join(f"{key} {value}\n" for key, value in lines.items())
    return header.encode().ljust(4096, b"\0"), signature, b"".join(parts.values())


def whole(header, signature, body):
    return header + signature.ljust(4096, b"\0") + body


def fresh(node):
    """Slot a runs and is good; b holds something older."""
    node.write("run/slot", "a\n")
    node.write(f"{ENTRIES}/millrace-a-3.conf", GOOD_ENTRY)
    node.write(f"{ENTRIES}/millrace-b-9.conf", GOOD_ENTRY.replace("/a/", "/b/").replace("slot=a", "slot=b"))
    for name in ("vmlinuz", "initrd.img"):
        node.write(f"esp/millrace/b/{name}", "old")
    node.machine.tell("sys/vm/drop_caches", "0")
    for slot in "ab":
        node.write(f"millrace-root-{slot}", bytes(1 << 16))
    node.write("update", whole(*update()))


def entries(node, slot):
    return sorted(name for name in os.listdir(node.at(ENTRIES))
                  if name.startswith(f"millrace-{slot}-") and name.endswith(".conf"))


def holds_update(node):
    return (node.read("esp/millrace/b/vmlinuz") == PARTS["vmlinuz"]
            and node.read("esp/millrace/b/initrd.img") == PARTS["initrd"]
            and node.read("millrace-root-b").startswith(PARTS["root"]))


def check_sound(node, what):
    """The boot loader finds a, and b only whole."""
    check(entries(node, "a") == ["millrace-a-3.conf"], f"{what}: entries of a: {entries(node, 'a')}")
    check(node.read(f"{ENTRIES}/millrace-a-3.conf") == GOOD_ENTRY.encode(), f"{what}: a's entry changed")
    for name in entries(node, "b"):
        if name != "millrace-b-9.conf":
            check(holds_update(node), f"{what}: {name} is there, and b is not whole")


class Install:
    def prepare(self, node):
        fresh(node)

    def run(self, programs):
        with Node(programs) as node:
            self.prepare(node)
            done = node.run(INSTALL, node.at("update"))
            check(done.returncode == 0, f"install: {done.stderr}")
            check_sound(node, "installed")
            check(entries(node, "b") == ["millrace-b-1+3.conf"], f"entries of b: {entries(node, 'b')}")
            text = node.read(f"{ENTRIES}/millrace-b-1+3.conf").decode()
            for line in ("title millrace new", "version 5", "options quiet millrace.slot=b",
                         "options isolcpus=1", "linux /millrace/b/vmlinuz"):
                check(line in text.splitlines(), f"no line {line} in {text}")


class FirstInstall(Install):
    """Slot b as the image has it: nothing is there."""

    def prepare(self, node):
        fresh(node)
        shutil.rmtree(node.at("esp/millrace/b"))
        os.remove(node.at(ENTRIES, "millrace-b-9.conf"))


class PowerCuts:
    """At each command of an installation in turn."""

    def run(self, programs):
        cuts = 0
        while True:
            with Node(programs) as node:
                fresh(node)
                text = INSTALL.replace("slots_open", cut_at(cuts, "slot_write") + "slots_open")
                done = node.run(text, node.at("update"))
                if done.returncode == 0:
                    break
                check(done.returncode == -9, f"cut {cuts}: status {done.returncode} {done.stderr}")
                check_sound(node, f"cut {cuts}")
                if cuts % 6 == 0:
                    again = node.run(INSTALL, node.at("update"))
                    check(again.returncode == 0 and holds_update(node), f"cut {cuts}, again: {again.stderr}")
            cuts += 1
        check(cuts > 40, f"only {cuts} places to cut")


class ConfirmCuts:
    """The slot that runs is kept, and gets other words: it has an entry at any time."""

    def run(self, programs):
        cuts = 0
        while True:
            with Node(programs) as node:
                fresh(node)
                os.rename(node.at(ENTRIES, "millrace-a-3.conf"), node.at(ENTRIES, "millrace-a-3+2-1.conf"))
                node.write("run/words", "isolcpus=2-3\n")
                done = node.run(f"{SLOTS}set -euo pipefail; slots_open\n"
                                f"{cut_at(cuts, 'slot_keep')}slot_keep\n")
                texts = [node.read(f"{ENTRIES}/{name}").decode() for name in entries(node, "a")]
                # A fallback, while other words are on trial.
                check(any("options isolcpus=1\n" in text for text in texts), f"cut {cuts}: {texts}")
                check(all("options quiet millrace.slot=a" in text for text in texts),
                      f"cut {cuts}: entries of a: {entries(node, 'a')}")
                if done.returncode == 0:
                    check(entries(node, "a") == ["millrace-a-4.conf", "millrace-a-5+3.conf"],
                          f"kept as {entries(node, 'a')}")
                    check(texts[0] == GOOD_ENTRY and "options isolcpus=2-3\n" in texts[1], texts)
                    break
                check(done.returncode == -9, f"cut {cuts}: status {done.returncode} {done.stderr}")
            cuts += 1
        check(cuts > 20, f"only {cuts} places to cut")


REFUSED = (
    # words of the one line; how the update or the node is wrong; whether b is empty afterwards
    ("no update of millrace", lambda node: node.write("update", b"PK\3\4" * 4000), False),
    ("no root in it", lambda node: node.write("update", whole(*update(root="many bytes"))), False),
    ("is for aarch64", lambda node: node.write("update", whole(*update(arch="aarch64"))), False),
    ("on trial", lambda node: os.rename(node.at(ENTRIES, "millrace-a-3.conf"),
                                        node.at(ENTRIES, "millrace-a-3+1-2.conf")), False),
    ("too large", lambda node: node.write("millrace-root-b", bytes(4096)), False),
    ("not signed", lambda node: node.write("run/update_key", "A" * 43 + "="), False),
    ("not signed with the key", lambda node: (node.write("run/update_key", "A" * 43 + "="), node.write(
        "update", whole(*update(signature=b"QUJD")))), False),
    ("would have 2042 characters, and 2000 fit", lambda node: node.write(
        f"{ENTRIES}/millrace-a-3.conf", GOOD_ENTRY.replace("isolcpus=1", "x" * 1982)), False),
    ("cut short at vmlinuz", lambda node: node.write(
        "update", whole(*update(parts={**PARTS, "vmlinuz": b"X" * 70000}))), True),
    ("cut short at its root", lambda node: node.write("update", whole(*update())[:-1000]), True),
)


class Refusals:
    def run(self, programs):
        for words, spoil, emptied in REFUSED:
            with Node(programs) as node:
                fresh(node)
                spoil(node)
                done = node.run(INSTALL, node.at("update"))
                said = done.stderr.strip().splitlines()
                check(done.returncode == 1 and len(said) == 1 and words in said[0],
                      f"{words}: status {done.returncode}, {said}")
                check(len(entries(node, "a")) == 1, f"{words}: entries of a {entries(node, 'a')}")
                left = [] if emptied else ["millrace-b-9.conf"]
                check(entries(node, "b") == left, f"{words}: entries of b {entries(node, 'b')}")


class Signed:
    def run(self, programs):
        with Node(programs) as node:
            fresh(node)
            key = node.at("key.pem")
            subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)
            public = subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"],
                                    check=True, capture_output=True).stdout[-32:]
            header, _, body = update()
            node.write("header", header)
            raw = subprocess.run(["openssl", "pkeyutl", "-sign", "-inkey", key, "-rawin", "-in",
                                  node.at("header")], check=True, capture_output=True).stdout
            encode = subprocess.run(["base64", "-w", "0"], input=raw, check=True, capture_output=True).stdout
            text = subprocess.run(["base64"], input=public, check=True, capture_output=True).stdout
            node.write("run/update_key", text.strip())
            node.write("update", whole(header.replace(b"millrace new", b"millrace bad"), encode, body))
            done = node.run(INSTALL, node.at("update"))
            check(done.returncode == 1 and "not signed with the key" in done.stderr, f"changed: {done.stderr}")
            node.write("update", whole(header, encode, body))
            done = node.run(INSTALL, node.at("update"))
            check(done.returncode == 0, f"signed: {done.stderr}")


# The real esp_open, with a mount that tells when two would meet.
TWO_AT_ONCE = """
mount() { [[ ! -e $HERE/mounted ]] || touch "$HERE/met"; touch "$HERE/mounted"; }
umount() { rm -f "$HERE/mounted"; }
modprobe() { :; }
slots_open
for i in 1 2 3 4 5; do
	( for n in 1 2 3; do esp_open ro; [[ -e $HERE/mounted ]] || touch "$HERE/met"; sleep 0.01; esp_close; done ) &
done
wait
"""


class OneAtATime:
    """status, install and the service never have the EFI partition together."""

    def run(self, programs):
        text = "\n".join(line for line in SLOTS.splitlines() if not line.startswith("esp_"))
        with Node(programs) as node:
            fresh(node)
            done = node.run(text + TWO_AT_ONCE)
            check(done.returncode == 0, f"status {done.returncode}: {done.stderr}")
            check(not os.path.exists(node.at("met")), "two had it at once")


class GivenUp:
    """What the boot loader left of a slot that never came up."""

    def run(self, programs):
        with Node(programs) as node:
            fresh(node)
            os.rename(node.at(ENTRIES, "millrace-b-9.conf"), node.at(ENTRIES, "millrace-b-9+0-3.conf"))
            for slot, state in (("a", "good"), ("b", "failed")):
                done = node.run(SLOTS + 'slots_open; esp_open ro; slot_state "$1"', slot)
                if done.stdout.strip() != state:
                    raise Failure(f"slot {slot} is said to be {done.stdout} {done.stderr}")
            node.write("run/source", "defaults\n")
            done = node.run(SLOTS + "slots_open; verb_status")
            check("slot b: failed, millrace old" in done.stdout and "slot a: good, millrace old, runs now"
                  in done.stdout, f"status: {done.stdout} {done.stderr}")


CASES = {"update": Install, "update-first": FirstInstall, "update-power-cuts": PowerCuts, "confirm-power-cuts": ConfirmCuts,
         "update-refusals": Refusals, "update-signed": Signed, "update-given-up": GivenUp,
         "one-at-a-time": OneAtATime}
