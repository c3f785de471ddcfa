"""The initial RAM disk's init, function by function, in the shell that it has there."""

import os
import subprocess
import tempfile
import time

from shell import ROOT, check

INIT = os.path.join(ROOT, "images/initrd/init")
# The descriptors that dead_man has; what it is told comes from TELL, a second after it began.
DEAD_MAN = """
HERE_S=1 SLOT=b TRIAL=3
mkfifo fifo
dead_man 3>sysrq 4<>fifo 5>kmsg &
usleep 100000
TELL
wait
"""
TOLD = (
    # what it is told; whether it ends the trial; between which seconds
    ("", True, 0.8, 10),
    ("echo kept 1<>fifo", False, 0, 10),
    ("echo 2 1<>fifo", True, 1.8, 12),
    ("echo 60 1<>fifo; echo kept 1<>fifo", False, 0, 10),
)
# name of the partition; where it is; whether its disk can be taken out
DISKS = {
    "vda2": ("pci0000:00/block/vda", 0),
    "vdb2": ("pci0000:00/block/vdb", 0),
    "sda2": ("pci0000:00/usb1/1-1/block/sda", 0),
    "sdb2": ("pci0000:00/ata1/block/sdb", 1),
}
CHOICES = (
    # the disks that are there; which one is used
    ("vda2", "/dev/vda2"),
    ("sda2", "/dev/sda2"),
    ("sda2 vda2", "/dev/vda2"),
    ("sda2 sdb2 vdb2", "/dev/vdb2"),
    ("vda2 vdb2", None),
    ("sda2 sdb2", None),
)


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
        return subprocess.run(["bin/busybox", "sh", "-c", self.text.replace("/sys/", "sys/") + text], cwd=self.path,
                              env={"PATH": os.path.join(self.path, "bin")}, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60)

    def read(self, name):
        with open(os.path.join(self.path, name)) as file:
            return file.read()


class DeadMan:
    """A trial that nobody keeps is ended, at its time; one that is kept is not."""

    def run(self, options):
        for tell, ends, least, most in TOLD:
            with Init(options) as init:
                began = time.monotonic()
                done = init.run(DEAD_MAN.replace("TELL", tell))
                took = time.monotonic() - began
                check(done.returncode == 0 and not done.stderr, f"{tell}: {done.returncode} {done.stderr}")
                check(init.read("sysrq") == ("b\n" if ends else ""), f"{tell}: sysrq {init.read('sysrq')!r}")
                check(("slot b, on trial, was not kept in time" in init.read("kmsg")) == ends, f"{tell}: kmsg")
                check(least <= took <= most, f"{tell}: after {took:.1f} s")


class TwoDisks:
    """Of several disks that hold the image, the one that is no stick; or none."""

    def run(self, options):
        for disks, used in CHOICES:
            with Init(options) as init:
                self.plug(init.path, disks.split())
                done = init.run("fail() { echo \"failed: $*\"; exit 1; }; SLOT=a; find_root; echo $DEVICE")
                said = done.stdout.strip()
                if used:
                    check(said == used, f"{disks}: {said} {done.stderr}")
                else:
                    check(f"more than one disk holds the image ({disks})" in said, f"{disks}: {said} {done.stderr}")

    def plug(self, path, names):
        os.makedirs(os.path.join(path, "sys/class/block"))
        for name in names:
            place, removable = DISKS[name]
            disk = os.path.join(path, "sys/devices", place)
            os.makedirs(os.path.join(disk, name))
            with open(os.path.join(disk, "removable"), "w") as file:
                file.write(f"{removable}\n")
            with open(os.path.join(disk, name, "uevent"), "w") as file:
                file.write(f"DEVNAME={name}\nPARTNAME=millrace-root-a\n")
            os.symlink(os.path.join(disk, name), os.path.join(path, "sys/class/block", name))


CASES = {"trial-dead-man": DeadMan, "two-disks": TwoDisks}
