"""What becomes of a start: kept or given up, whatever fails meanwhile. The clock is the test's."""

import os

from shell import SLOTS, Node, check
from slots import ENTRIES, GOOD_ENTRY, cut_at, entries, fresh

MARK = "options millrace.trial=1 oops=panic panic=10\n"
TRIAL_ENTRY = GOOD_ENTRY.replace("/a/", "/b/").replace("slot=a", "slot=b") + MARK
# healthy holds from the second HEALTHY_AT on; the EFI partition cannot be mounted MOUNT_FAILS times, nor by
# what UNMOUNTED names; with NO_TRIALS nothing is put on trial there.
CONFIRM = "\n".join(line for line in SLOTS.splitlines() if not line.startswith("esp_")) + """
set -euo pipefail
number() { cat "$HERE/$1" 2>/dev/null || echo "$2"; }
look_at_clock() { NOW_S=$(($(number clock 0) + ${STEP_S:-5})); echo $NOW_S >"$HERE/clock"; }
pause() { :; }
listening() { :; }
# What an entry is written with.
cat() { [[ $# -gt 0 || ! -e $HERE/full ]] && command cat "$@"; }
mv() { [[ -z ${NO_TRIALS:-} || ${!#} != *+* ]] && command mv "$@"; }
healthy() { (($(number clock 0) >= ${HEALTHY_AT:-0})); }
where_to_reach() { echo http://edge/; }
systemctl() { echo "systemctl $*"; }
sleep() { :; }
reboot() { echo "reboot $*"; }
modprobe() { :; }
umount() { :; }
mount()
{
	echo "$*" >>"$HERE/mounts"
	local tried
	tried=$(wc -l <"$HERE/mounts")
	((tried > ${MOUNT_FAILS:-0})) && [[ " ${FUNCNAME[*]} " != *" ${UNMOUNTED:-none} "* ]]
}
ln -sfn ../esp "$RUN/esp"
slots_open
verb_confirm
"""
NEVER = "9999"


def on_trial(node, marked=True):
    """Slot b runs, for the first of three times."""
    fresh(node)
    os.remove(node.at(ENTRIES, "millrace-b-9.conf"))
    node.write("run/slot", "b\n")
    node.write(f"{ENTRIES}/millrace-b-1+2-1.conf", TRIAL_ENTRY if marked else TRIAL_ENTRY.replace(MARK, ""))
    node.write("run/words", "isolcpus=1\n")
    node.machine.tell("cmdline", f"quiet millrace.slot=b{' millrace.trial=1' if marked else ''}")


def good(node):
    """Slot a runs, and is good."""
    fresh(node)
    node.write("run/words", "isolcpus=1\n")
    node.machine.tell("cmdline", "quiet millrace.slot=a isolcpus=1")


def confirm(node, status, *words, **variables):
    """What it says, which must have the words."""
    done = node.run(CONFIRM, **variables)
    check(done.returncode == status, f"status {done.returncode}: {done.stdout} {done.stderr}")
    for word in words:
        check(word in done.stdout, f"{word!r} is not in: {done.stdout}")
    return done.stdout


def has(node, slot, *names):
    check(entries(node, slot) == list(names), f"entries of {slot}: {entries(node, slot)}")


class DeadMan:
    """The far end of what the one reads who would end the trial."""

    def __init__(self, node):
        self.path = node.at("run/dead_man")

    def __enter__(self):
        os.mkfifo(self.path)
        self.fifo = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        return self

    def __exit__(self, *_):
        os.close(self.fifo)

    def told(self):
        """That it was kept, since this was last asked."""
        try:
            said = os.read(self.fifo, 100)
        except BlockingIOError:
            return False
        check(set(said.splitlines()) == {b"kept"}, f"told {said}")
        return True


class Kept:
    """A good trial is confirmed, its count goes, and nothing ends it any more."""

    def run(self, programs):
        for marked in (True, False):  # by an older image without
            with Node(programs) as node:
                on_trial(node, marked)
                with DeadMan(node) as dead_man:
                    said = confirm(node, 0, "slot b is healthy and kept", "serving: http://edge/ (slot b",
                                   HEALTHY_AT="170")
                    check(dead_man.told(), "the one who would end the trial was not told")
                check("reboot" not in said, said)
                has(node, "b", "millrace-b-2.conf")
                has(node, "a", "millrace-a-3.conf")
                text = node.read(f"{ENTRIES}/millrace-b-2.conf").decode()
                check(text == TRIAL_ENTRY.replace(MARK, ""), f"kept as {text}")


class KeptNoMore:
    """It is kept, and what comes after that fails: nothing ends it any more."""

    def run(self, programs):
        with Node(programs) as node, DeadMan(node) as dead_man:
            on_trial(node)
            node.write("run/words", "isolcpus=2\n")
            said = confirm(node, 3, "slot b is healthy and kept", "cannot be kept up", NO_TRIALS="1", STEP_S="30")
            check(dead_man.told() and "reboot" not in said, said)
            has(node, "b", "millrace-b-2.conf")


# How it is when confirm is started again; whether it can know then that it was kept.
AGAIN = (
    ({"HEALTHY_AT": NEVER}, True),
    ({"HEALTHY_AT": NEVER, "MOUNT_FAILS": "2"}, True),
    ({"HEALTHY_AT": NEVER, "UNMOUNTED": "not_healthy"}, True),
    ({"HEALTHY_AT": NEVER, "MOUNT_FAILS": NEVER}, False),
    ({"MOUNT_FAILS": "2"}, True),
    ({"MOUNT_FAILS": "2", "UNMOUNTED": "slot_keep"}, True),
    ({"MOUNT_FAILS": NEVER}, False),
    ({"NO_TRIALS": "1"}, True),
)


class KeptAndKilled:
    """Killed at each command from where it is kept until that is told, and started again: it is told if and
    only if it was kept, whatever fails then. Where that cannot be known, it is a trial."""

    def run(self, programs):
        cuts, found = 0, []
        while "told" not in found:
            state = self.cut(programs, cuts, *AGAIN[cuts % len(AGAIN)])
            if state not in ("told", *found):
                for again in AGAIN:
                    self.cut(programs, cuts, *again)
            found.append(state)
            cuts += 1
        check({"on trial", "kept", "kept and marked"} <= set(found), f"{found}")

    def cut(self, programs, cuts, again, knows):
        """How far it had come."""
        with Node(programs) as node, DeadMan(node) as dead_man:
            on_trial(node)
            node.write("run/words", "isolcpus=2\n")
            done = node.run(CONFIRM.replace("slots_open", cut_at(cuts, "entries_remove") + "slots_open"))
            check(done.returncode == -9, f"cut {cuts}: status {done.returncode} {done.stderr}")
            kept = "millrace-b-1+2-1.conf" not in entries(node, "b")
            marked = os.path.exists(node.at("run/kept"))
            check(kept or not marked, f"cut {cuts}: marked before it was kept")
            if dead_man.told():
                return "told"
            os.remove(node.at("mounts"))
            done = node.run(CONFIRM, STEP_S="30", **again)
            told = dead_man.told()
            kept_now = "millrace-b-1+2-1.conf" not in entries(node, "b")
            check(told == (done.returncode != 1) and (kept_now or not told) and (told or not kept_now or not knows),
                  f"cut {cuts}, {again}, marked {marked}, kept {kept}, then {kept_now}, told {told}, status"
                  f" {done.returncode}: {done.stdout}")
            return "kept and marked" if marked else "kept" if kept else "on trial"


class GivenUp:
    """A trial that is not healthy in time starts again; what is there is left to the boot loader."""

    def run(self, programs):
        for limit, earlier in ((None, None), (30, None), (None, 100)):
            with Node(programs) as node:
                on_trial(node)
                seconds = limit or 180
                if limit:
                    node.write("run/trial_timeout_s", f"{limit}\n")
                if earlier:  # one before us, that was killed
                    node.write("run/confirm_began", "0\n")
                    node.write("clock", f"{earlier}\n")
                said = confirm(node, 1, f"slot b, on trial, did not come up healthy within {seconds} s",
                               "systemctl --no-block reboot", "reboot -ff", HEALTHY_AT=NEVER)
                clock = int(node.read("clock"))
                check(seconds <= clock < seconds + 20, f"after {clock} s: {said}")
                has(node, "b", "millrace-b-1+2-1.conf")


class NotServing:
    """Without a trial a node that does not serve runs on, and says so."""

    def run(self, programs):
        with Node(programs) as node:
            good(node)
            said = confirm(node, 3, "not serving after 180 s", HEALTHY_AT=NEVER)
            check("reboot" not in said, said)
            has(node, "a", "millrace-a-3.conf")
        with Node(programs) as node:  # all that says how to start it has gone
            good(node)
            os.remove(node.at(ENTRIES, "millrace-a-3.conf"))
            for variables in ({}, {"HEALTHY_AT": NEVER}):
                said = confirm(node, 3, "serving", STEP_S="30", **variables)
                check("reboot" not in said, said)
                has(node, "a")


class LeftAlone:
    """A good entry with the words that are wanted: nothing is written."""

    def run(self, programs):
        with Node(programs) as node:
            good(node)
            before = os.stat(node.at(ENTRIES, "millrace-a-3.conf"))
            confirm(node, 0, "serving: http://edge/")
            after = os.stat(node.at(ENTRIES, "millrace-a-3.conf"))
            check((before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns), "written anew")
            check(b"rw," not in node.read("mounts"), "the EFI partition was opened to be written to")


class NoPartition:
    """The EFI partition cannot be mounted, or written: tried again for a while, and said."""

    def run(self, programs):
        self.comes_late(programs)
        self.never_comes(programs)
        self.is_full(programs)

    def comes_late(self, programs):
        with Node(programs) as node:
            on_trial(node)
            confirm(node, 0, "slot b is healthy and kept", "serving", MOUNT_FAILS="6")
            has(node, "b", "millrace-b-2.conf")
        with Node(programs) as node:
            good(node)
            os.rename(node.at(ENTRIES, "millrace-b-9.conf"), node.at(ENTRIES, "millrace-b-9+0-3.conf"))
            confirm(node, 0, "slot b (millrace old) did not come up healthy", MOUNT_FAILS="1")

    def never_comes(self, programs):
        with Node(programs) as node:
            on_trial(node)
            confirm(node, 1, "slot b, on trial, is healthy and cannot be kept: the EFI partition", "cannot be mounted",
                    "reboot -ff", MOUNT_FAILS=NEVER)
        with Node(programs) as node:
            on_trial(node)
            confirm(node, 1, "did not come up healthy", "reboot -ff", MOUNT_FAILS=NEVER, HEALTHY_AT=NEVER)
        with Node(programs) as node:
            good(node)
            said = confirm(node, 3, "serving: http://edge/, but the boot loader's entries cannot be kept up",
                           MOUNT_FAILS=NEVER)
            check("reboot" not in said, said)

    def is_full(self, programs):
        with Node(programs) as node:
            on_trial(node)
            node.write("full", "")
            confirm(node, 1, "cannot be kept: the EFI partition cannot be written", "reboot -ff")
            has(node, "b", "millrace-b-1+2-1.conf")
            check(node.read(f"{ENTRIES}/millrace-b-1+2-1.conf").decode() == TRIAL_ENTRY, "the entry changed")


class Words:
    """Other words for the kernel: on trial beside the good entry, kept or given up as a slot is."""

    def run(self, programs):
        with Node(programs) as node:
            good(node)
            node.write("run/words", "isolcpus=2\n")
            node.write("run/trial_starts", "2\n")
            confirm(node, 0, "on trial with the next start: isolcpus=2")
            has(node, "a", "millrace-a-3.conf", "millrace-a-4+2.conf")
            check(node.read(f"{ENTRIES}/millrace-a-3.conf").decode() == GOOD_ENTRY, "the good entry changed")
            tried = node.read(f"{ENTRIES}/millrace-a-4+2.conf").decode()
            wanted = GOOD_ENTRY.replace("isolcpus=1", "isolcpus=2")
            check(tried == wanted + MARK.replace("trial=1", "trial=4"), tried)
            self.again(node)
            self.tried(node, wanted)
        with Node(programs) as node:  # the mark of the trial, which comes last, must not be cut off
            good(node)
            for chars, status in ((1942, 3), (1941, 0)):
                node.write("run/words", "x" * chars + "\n")
                confirm(node, status, f"have {chars + 59} characters" if status else "with the next start", STEP_S="30")
            has(node, "a", "millrace-a-3.conf", "millrace-a-4+3.conf")

    def again(self, node):
        """The good entry once more: neither tried nor given up, nothing happens."""
        said = confirm(node, 0)
        check("on trial" not in said, said)
        has(node, "a", "millrace-a-3.conf", "millrace-a-4+2.conf")

    def tried(self, node, wanted):
        os.rename(node.at(ENTRIES, "millrace-a-4+2.conf"), node.at(ENTRIES, "millrace-a-4+1-1.conf"))
        node.machine.tell("cmdline", "quiet millrace.slot=a isolcpus=2 millrace.trial=4 panic=10")
        confirm(node, 1, "slot a, on trial, did not come up healthy", HEALTHY_AT=NEVER)
        os.remove(node.at("clock"))
        os.remove(node.at("run/confirm_began"))
        confirm(node, 0, "the kernel command line (isolcpus=2) is healthy and kept")
        has(node, "a", "millrace-a-5.conf")
        check(node.read(f"{ENTRIES}/millrace-a-5.conf").decode() == wanted, "kept otherwise")
        # The mark of this start stays in the kernel's command line, and what comes next is no trial.
        node.write("run/words", "isolcpus=3\n")
        confirm(node, 0, "on trial with the next start: isolcpus=3")
        said = confirm(node, 0)
        check("kept" not in said, said)
        has(node, "a", "millrace-a-5.conf", "millrace-a-6+2.conf")


class WordsGivenUp:
    """They are not tried for ever; others are, and none when they are what runs."""

    def run(self, programs):
        with Node(programs) as node:
            good(node)
            node.write(f"{ENTRIES}/millrace-a-4+0-3.conf",
                       GOOD_ENTRY.replace("isolcpus=1", "mem=1") + MARK.replace("trial=1", "trial=4"))
            node.write("run/words", "mem=1\n")
            node.write("run/source", "defaults\n")
            said = confirm(node, 0, "did not come up healthy and was given up: mem=1; it is isolcpus=1")
            check("on trial" not in said, said)
            has(node, "a", "millrace-a-3.conf", "millrace-a-4+0-3.conf")
            done = node.run(SLOTS + "slots_open; verb_status")
            check("slot a: good, millrace old, runs now\nslot a, other kernel words: failed, mem=1\n" in done.stdout,
                  f"status: {done.stdout} {done.stderr}")
            node.write("run/words", "mem=2\n")
            confirm(node, 0, "on trial with the next start: mem=2")
            has(node, "a", "millrace-a-3.conf", "millrace-a-5+3.conf")
            node.write("run/words", "isolcpus=1\n")
            confirm(node, 0)
            has(node, "a", "millrace-a-3.conf")


CASES = {"trial-kept": Kept, "trial-kept-no-more": KeptNoMore, "trial-kept-and-killed": KeptAndKilled,
         "trial-given-up": GivenUp, "trial-none": NotServing, "trial-left-alone": LeftAlone,
         "trial-no-partition": NoPartition, "trial-words": Words, "trial-words-given-up": WordsGivenUp}
