"""A Debian 12 of the test's own, made once and copied for each case; what is in it; scripts in it."""

import contextlib
import hashlib
import os
import shutil
import stat
import subprocess
import tempfile

from machine import Machine

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SRV = "srv/millrace"  # where a system keeps the scripts, the built programs and the false machine

# What installing and purging packages leaves in any Debian, and what is not the system's state.
NOT_STATE = ("proc", "sys", "dev", "run", "tmp", "var/log", "var/cache/ldconfig", SRV,
             "var/lib/apt/extended_states", "var/lib/apt/lists/auxfiles",
             "var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/lib/dpkg/status-old",
             "var/cache/debconf/config.dat-old", "var/cache/debconf/templates.dat-old",
             "etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-")

# As Debian's: what stands in /etc/default/grub and below goes into grub.cfg.
UPDATE_GRUB = """#!/bin/sh
set -e
. /etc/default/grub
for file in /etc/default/grub.d/*.cfg; do [ ! -e "$file" ] || . "$file"; done
echo "linux /vmlinuz $GRUB_CMDLINE_LINUX $GRUB_CMDLINE_LINUX_DEFAULT" >/boot/grub/grub.cfg
"""
KERNEL_INSTALL = """#!/bin/sh
{ echo "$@"; cat /etc/kernel/cmdline; } >/boot/entry.conf
"""
GRUB = 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX=""\n'


class Failure(Exception):
    """The behaviour is not what the case expects."""


def check(truth, text):
    if not truth:
        raise Failure(text)


class Store:
    """All systems of one run, in memory; its mounts are seen by nobody else (run.py)."""

    def __init__(self, build):
        self.build = build
        self.path = tempfile.mkdtemp(prefix="millrace-host-")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2g", "tmpfs", self.path], check=True)
        self.copies = 0
        self.kept = {}
        self.layers = {}  # path of a copy -> what it is made of, uppermost first

    def remove(self):
        subprocess.run(["umount", "--lazy", "--recursive", self.path], check=True)
        os.rmdir(self.path)

    def base(self):
        """A fresh Debian with systemd and a boot loader's files, and our things in /srv."""
        return self.once("base", self.make_base)

    def once(self, name, make):
        """The path of a system that several cases begin with, made by the first of them."""
        if name not in self.kept:
            self.kept[name] = Failure(f"the system {name} could not be made by the case before")
            self.kept[name] = make()
        if isinstance(self.kept[name], Failure):
            raise self.kept[name]
        return self.kept[name]

    def make_base(self):
        path = os.path.join(self.path, "base")
        done = subprocess.run(
            ["mmdebstrap", "--mode=root", "--variant=minbase", "--include=systemd-sysv,udev",
             "--dpkgopt=force-unsafe-io", "--dpkgopt=path-exclude=/usr/share/doc/*",
             "--dpkgopt=path-exclude=/usr/share/locale/*", "--format=directory", "bookworm", path],
            stdin=subprocess.DEVNULL, capture_output=True, text=True)
        check(done.returncode == 0, f"mmdebstrap: {done.stderr.strip()[-200:]}")
        system = System(path)
        system.write("etc/default/grub", GRUB)
        system.write("boot/grub/grub.cfg", "linux /vmlinuz  quiet\n")
        system.write("usr/sbin/update-grub", UPDATE_GRUB, 0o755)
        os.chmod(system.at("etc/default"), 0o755)
        shutil.copytree(os.path.join(ROOT, "scripts"), system.at(SRV, "scripts"))
        subprocess.run(["/usr/bin/meson", "install", "-C", self.build, "--no-rebuild", "--destdir",
                        system.at(SRV, "tree")], check=True, stdout=subprocess.DEVNULL)
        merge_prefix(system.at(SRV, "tree"))
        target = f"{SRV}/tree/usr/lib/systemd/system/millrace.target"
        if not os.path.exists(system.at(target)):
            system.write(target, "[Install]\nWantedBy=multi-user.target\n")
        return path

    @contextlib.contextmanager
    def copy(self, path=None):
        """A copy of a system, the base without one; gone afterwards."""
        system = self.make_copy(path or self.base())
        try:
            yield system
        finally:
            subprocess.run(["umount", system.path], check=True)
            shutil.rmtree(os.path.dirname(system.path))

    def make_copy(self, path):
        """What is changed in the copy is kept apart; what it is a copy of stays as it is."""
        self.copies += 1
        folder = os.path.join(self.path, f"copy{self.copies}")
        for name in ("system", "changed", "work"):
            os.makedirs(os.path.join(folder, name))
        copy, below = os.path.join(folder, "system"), self.layers.get(path, [path])
        subprocess.run(["mount", "-t", "overlay", "overlay", copy, "-o",
                        f"lowerdir={':'.join(below)},upperdir={folder}/changed,"
                        f"workdir={folder}/work"], check=True)
        self.layers[copy] = [os.path.join(folder, "changed"), *below]
        return System(copy)


def merge_prefix(tree):
    """The tests' build has the prefix /usr/local; a node's has /usr."""
    local = os.path.join(tree, "usr/local")
    if os.path.isdir(local):
        os.rename(os.path.join(local, "etc"), os.path.join(tree, "etc"))
        for name in os.listdir(local):
            os.rename(os.path.join(local, name), os.path.join(tree, "usr", name))
        os.rmdir(local)


class System:
    def __init__(self, path):
        self.path = path
        if not os.path.exists(self.at(SRV, "machine")):
            Machine(self.at(SRV, "machine"))
        self.machine = Machine.__new__(Machine)
        self.machine.sys = self.at(SRV, "machine/sys")
        self.machine.proc = self.at(SRV, "machine/proc")

    def at(self, *path):
        return os.path.join(self.path, *path)

    def read(self, path):
        with open(self.at(path)) as file:
            return file.read()

    def write(self, path, text, mode=0o644):
        os.makedirs(os.path.dirname(self.at(path)), exist_ok=True)
        with open(self.at(path), "w") as file:
            file.write(text)
        os.chmod(self.at(path), mode)

    def inside(self, *command, before="true", network=True):
        """Run in it as on a machine of its own, with the false /sys."""
        mounts = f"""mount -t proc proc "$0/proc" && mount --bind "$0/{SRV}/machine/sys" "$0/sys" &&
            {before} && exec chroot "$0" "$@" """
        spaces = ["--mount", "--propagation", "private"] + ([] if network else ["--net"])
        return subprocess.run(
            ["unshare", *spaces, "bash", "-c", mounts, self.path,
             "env", "LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
             f"MILLRACE_PROCFS=/{SRV}/machine/proc", *command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            timeout=120)

    def provision(self, *arguments, **how):
        return self.inside(f"/{SRV}/scripts/provision", f"--tree=/{SRV}/tree", *arguments, **how)

    def doctor(self, *arguments):
        return self.inside(f"/{SRV}/scripts/doctor", *arguments)

    def state(self, look=None):
        """path -> kind, mode, owner and contents of all that is there."""
        look = look or describe
        found = {}
        for folder, folders, names in os.walk(self.path):
            inner = os.path.relpath(folder, self.path)
            keep = [name for name in folders if os.path.normpath(f"{inner}/{name}") not in NOT_STATE]
            for name in keep + names:
                path = os.path.normpath(os.path.join(inner, name))
                if path not in NOT_STATE:
                    found[path] = look(self.at(path))
            folders[:] = [name for name in keep if not os.path.islink(os.path.join(folder, name))]
        found.update({f"sysfs:{path}": text for path, text in self.sysfs().items()})
        return found

    def sysfs(self):
        """The false machine's settings: whatever can be written there."""
        found = {}
        for folder, _, names in os.walk(self.machine.sys):
            for name in names:
                path = os.path.join(folder, name)
                if name in ("nr_hugepages", "scaling_governor") and not os.path.islink(path):
                    with open(path) as file:
                        found[os.path.relpath(path, self.machine.sys)] = file.read().strip()
        return found


def describe(path):
    status = os.lstat(path)
    kind = stat.S_IFMT(status.st_mode)
    content = ""
    if stat.S_ISLNK(kind):
        content = os.readlink(path)
    elif stat.S_ISREG(kind):
        with open(path, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    return stat.filemode(status.st_mode), status.st_uid, status.st_gid, content


def describe_quickly(path):
    """Whoever writes a file changes its time."""
    status = os.lstat(path)
    who = status.st_mode, status.st_uid, status.st_gid
    return who if stat.S_ISDIR(status.st_mode) else (*who, status.st_size, status.st_mtime_ns)


def differences(before, after):
    """At most a few of the paths that are not in both alike."""
    paths = sorted(path for path in before.keys() | after.keys()
                   if before.get(path) != after.get(path))
    signs = [f"{'+' if path not in before else '-' if path not in after else '~'}{path}"
             for path in paths]
    return " ".join(signs[:8]) + (f" and {len(signs) - 8} more" if len(signs) > 8 else "")


def check_same(before, after, what):
    check(before == after, f"{what}: {differences(before, after)}")
