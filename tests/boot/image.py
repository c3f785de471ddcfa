"""The image under test, and what a node is given with it: a disk of its own, a config drive."""

import os
import shutil
import subprocess

from host import check

ESP_OFFSET = "@@1M"
ENTRY = "::loader/entries/millrace-a-1.conf"
UPDATE_BLOCK = 4096  # the header of an update
# A root shell for the test, on a line that nobody else has: the image has none. And emulated timers
# that come late on a busy host are no reason to panic.
TEST_WORDS = "systemd.debug_shell=ttyS1 no_timer_check"

# As images/README.md has it for PXE.
PXE_WORDS = "console=tty0 console=ttyS0,115200 quiet panic=10 intel_iommu=on iommu=pt"
LINE_CHARS = 2048  # of the kernel's on x86, with the zero


def run(*command):
    done = subprocess.run(command, capture_output=True)
    check(done.returncode == 0, f"{' '.join(command)}: {done.stderr.decode().strip()}")
    return done.stdout


class Image:
    """folder: what images/build put out."""

    def __init__(self, folder):
        self.raw = os.path.join(folder, "millrace.raw")
        self.update = os.path.join(folder, "millrace.update")
        self.vmlinuz = os.path.join(folder, "vmlinuz")
        self.initrd = os.path.join(folder, "initrd.img")

    def copy(self, path):
        """A disk for one node."""
        run("cp", "--sparse=always", self.raw, path)
        return path

    def entry(self):
        return run("mtype", "-i", self.raw + ESP_OFFSET, ENTRY).decode()

    def direct(self, folder):
        """Kernel, RAM disk and command line of slot a, to be given past firmware and boot loader."""
        initrd = os.path.join(folder, "initrd.img")
        run("mcopy", "-n", "-o", "-i", self.raw + ESP_OFFSET, "::millrace/a/initrd.img", initrd)
        options = [line.partition(" ")[2] for line in self.entry().splitlines()
                   if line.startswith("options ")]
        return self.vmlinuz, initrd, " ".join([*options, TEST_WORDS])

    def for_network(self, folder, words):
        """What a server has for a node without a disk: kernel, RAM disk with the root in it, and iPXE's
        script, as images/README.md has it."""
        line = " ".join((PXE_WORDS, TEST_WORDS, words))
        check(len(line) < LINE_CHARS, f"the kernel command line has {len(line)} characters")
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        for path in (self.vmlinuz, self.initrd):
            os.symlink(os.path.abspath(path), os.path.join(folder, os.path.basename(path)))
        with open(os.path.join(folder, "boot.ipxe"), "w") as file:
            file.write(f"#!ipxe\nkernel vmlinuz {line}\ninitrd initrd.img\nboot\n")
        return folder

    def configure(self, disk, text, files):
        """A node's configuration on the EFI partition."""
        folder = config_folder(f"{disk}.files", text, files)
        run("mcopy", "-s", "-o", "-i", disk + ESP_OFFSET, *folder, "::")

    def give_shell(self, disk):
        """The same words for a disk that starts by firmware and boot loader."""
        text = self.entry().replace("\noptions ", f"\noptions {TEST_WORDS} ", 1)
        with open(f"{disk}.entry", "w") as file:
            file.write(text)
        run("mcopy", "-o", "-i", disk + ESP_OFFSET, f"{disk}.entry", ENTRY)

    def updated(self, path, words=""):
        """The update, as if it had been built with further words for the kernel."""
        with open(self.update, "rb") as file:
            header = file.read(UPDATE_BLOCK).rstrip(b"\0").decode()
            header = header.replace("\noptions ", f"\noptions {TEST_WORDS} {words} ", 1).encode()
            check(len(header) <= UPDATE_BLOCK, "the update's header is too long")
            with open(path, "wb") as out:
                out.write(header.ljust(UPDATE_BLOCK, b"\0"))
                shutil.copyfileobj(file, out, 1 << 20)
        return path


def config_drive(path, text, files=None):
    """A FAT that first start looks for by its label: millrace.conf, and files beside it."""
    parts = config_folder(f"{path}.files", text, files)
    new = f"{path}.new"
    run("mkfs.vfat", "-n", "MILLRACE", "-C", new, "2048")
    run("mcopy", "-s", "-i", new, *parts, "::")
    # In place: a machine may have it.
    shutil.copyfile(new, path)
    os.unlink(new)
    return path


def config_folder(folder, text, files=None):
    """What lies on a drive or on the EFI partition, as paths."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(os.path.join(folder, "millrace.d"))
    with open(os.path.join(folder, "millrace.conf"), "wb") as file:
        file.write(text if isinstance(text, bytes) else text.encode())
    for name, content in (files or {}).items():
        with open(os.path.join(folder, "millrace.d", name), "w") as file:
            file.write(content)
    return os.path.join(folder, "millrace.conf"), os.path.join(folder, "millrace.d")


def kernel_words(text):
    """A configuration as words of the kernel command line."""
    section, words = None, []
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif " = " in line:
            key, _, value = line.partition(" = ")
            words.append(f'"millrace.{section}.{key}={value}"')
    return " ".join(words)
