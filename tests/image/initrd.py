"""The initial RAM disk's init, function by function, in the shell that it has there."""

import os
import re
import subprocess
import tempfile
import time

from shell import ROOT, check

INIT = os.path.join(ROOT, "images/initrd/init")
# What init has in the kernel's file systems is below this folder; what dead_man is told comes from TELL.
PLACES = re.compile(r"(?<!\w)/(sys/|proc/|run/|sysroot/|dev/kmsg)")
DEAD_MAN = """
HERE_S=1 GRACE_S=1 SLOT=b TRIAL=3
mkdir -p proc run dev sysroot/run
ln -s ../../run/millrace-node sysroot/run/millrace-node
KMSG
dead_man_start
usleep 100000
TELL
wait
"""
FIFO = "1<>run/millrace-node/dead_man"
TOLD = (
    # what it is told; whether it ends the trial; between which seconds
    ("", True, 0.8, 10),
    (f"echo kept {FIFO}", False, 0, 10),
    (f"echo 2 {FIFO}", True, 1.8, 12),
    (f"echo 60 {FIFO}; echo kept {FIFO}", False, 0, 10),
    ("echo 1 >run/millrace-node/trial_timeout_s; dead_man_tell", True, 1.8, 12),
    (f"echo 9 >run/millrace-node/trial_timeout_s; dead_man_tell; echo kept {FIFO}", False, 0, 10),
)
# name of the partition; where it is; whether its disk can be taken out
DISKS = {
    "vda2": ("pci0000:00/block/vda", 0),
    "vdb2": ("pci0000:00/block/vdb", 0),
    "sda2": ("pci0000:00/usb1/1-1/block/sda", 0),
    "sdb2": ("pci0000:00/ata1/block/sdb", 1),
}
CHOICES = (
    # the disks that are there; those that come while init looks on; whether it does; which is used, and when
    ("vda2", "", False, "/dev/vda2 after 0 s"),
    ("sda2", "", True, "/dev/sda2 after 4 s"),
    ("sda2", "vda2", True, "/dev/vda2 after 3 s"),
    ("sda2 sdb2", "vdb2", True, "/dev/vdb2 after 3 s"),
    ("vda2", "sda2", False, "/dev/vda2 after 0 s"),
    ("", "vda2", False, "/dev/vda2 after 3 s"),
    ("", "sda2", True, "/dev/sda2 after 7 s"),
    ("sda2 vda2", "", False, "/dev/vda2 after 0 s"),
    ("sda2 sdb2 vdb2", "", False, "/dev/vdb2 after 0 s"),
    ("vda2 vdb2", "", False, "failed: more than one disk holds the image (vda2 vdb2): take out all but one"),
    ("sda2 sdb2", "", True, "failed: more than one disk holds the image (sda2 sdb2): take out all but one"),
    ("", "", False, "failed: no partition millrace-root-a after 4 s"),
)
# Drivers of later disks are loaded at the third look; each takes a second by this clock.
FIND = """
say() { echo "$*"; }
fail() { echo "failed: $*"; exit 1; }
usleep() { :; }
uptime_s() { echo $LOOKS; }
load_drivers() { LOOKS=$((LOOKS + 1)); [ $LOOKS != 3 ] || mv later/* sys/class/block/; }
SLOT=a LOOKS=0 WAIT_S=4 STICK_WAIT_S=4
find_root
echo "$DEVICE after $LOOKS s"
"""
LOOKING = "looking 4 s for a disk that stays: only what can be taken out holds the image: "


class Init:
    """A folder with the image's own busybox, and init without its last line."""

    def __init__(self, options):
        self.folder = tempfile.TemporaryDirectory(prefix="millrace-initrd-")
        self.path = self.folder.name
        image = os.path.join(os.path.abspath(options.output), "millrace.raw")
        script = f"mtype -i {image}@@1M ::millrace/a/initrd.img | zstd -qdc | cpio --quiet -id bin/busybox"
        subprocess.run(["bash", "-c", f"set -o pipefail; {script}"], cwd=self.path, check=True)
        subprocess.run(["bin/busybox", "--install", "-s", os.path.join(self.path, "bin")], cwd=self.path,
                       check=True)
        with open(INIT) as file:
            self.text = file.read().replace("PATH=/bin\n", "").removesuffix("\nmain\n") + "\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def run(self, text):
        return subprocess.run(["bin/busybox", "sh", "-c", PLACES.sub(r"\1", self.text) + text], cwd=self.path,
                              env={"PATH": os.path.join(self.path, "bin")}, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60)

    def read(self, name):
        with open(os.path.join(self.path, name)) as file:
            return file.read()


class DeadMan:
    """A trial that nobody keeps is ended, at its time; one that is kept is not."""

    def run(self, options):
        for row in TOLD:
            with Init(options) as init:
                self.tell(init, *row)
                check(("slot b, on trial, was not kept in time" in init.read("dev/kmsg")) == row[1], f"{row}: kmsg")
        with Init(options) as init:  # the kernel's log is not to be written to
            self.tell(init, "", True, 0.8, 10, "mkdir dev/kmsg")

    def tell(self, init, tell, ends, least, most, kmsg=""):
        began = time.monotonic()
        done = init.run(DEAD_MAN.replace("TELL", tell).replace("KMSG", kmsg))
        took = time.monotonic() - began
        sysrq = init.read("proc/sysrq-trigger")
        check(sysrq == ("b\n" if ends else ""), f"{tell}: sysrq {sysrq!r} {done.stderr}")
        check(least <= took <= most, f"{tell}: after {took:.1f} s")


class TwoDisks:
    """Of several disks that hold the image, the one that is no stick, also where it comes later; or none."""

    def run(self, options):
        for choice in CHOICES:
            self.choose(options, *choice)
        with Init(options) as init:
            os.mkdir(os.path.join(init.path, "proc"))
            os.symlink("/proc/uptime", os.path.join(init.path, "proc/uptime"))
            before, said, after = self.uptime(), int(init.run("uptime_s").stdout), self.uptime()
            check(before <= said <= after, f"uptime {said}, not {before} to {after}")

    def uptime(self):
        with open("/proc/uptime") as file:
            return int(file.read().partition(".")[0])

    def choose(self, options, disks, later, looks_on, used):
        with Init(options) as init:
            self.plug(init.path, disks.split(), "sys/class/block")
            self.plug(init.path, later.split(), "later")
            done = init.run(FIND)
            expected = [LOOKING + (disks or later)] if looks_on else []
            check(done.stdout.splitlines() == [*expected, used],
                  f"{disks}, later {later}: {done.stdout} {done.stderr}")

    def plug(self, path, names, where):
        os.makedirs(os.path.join(path, where))
        for name in names:
            place, removable = DISKS[name]
            disk = os.path.join(path, "sys/devices", place)
            os.makedirs(os.path.join(disk, name))
            with open(os.path.join(disk, "removable"), "w") as file:
                file.write(f"{removable}\n")
            with open(os.path.join(disk, name, "uevent"), "w") as file:
                file.write(f"DEVNAME={name}\nPARTNAME=millrace-root-a\n")
            os.symlink(os.path.join(disk, name), os.path.join(path, where, name))


CASES = {"trial-dead-man": DeadMan, "two-disks": TwoDisks}
