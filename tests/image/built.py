"""The image itself: built twice, looked into, and the builder where it cannot build."""

import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time

from shell import ROOT, Failure, check

BUILDER = "images/build"
OUTPUTS = ("initrd.img", "millrace.raw", "millrace.update", "report.json", "report.txt", "vmlinuz")
LIMIT_S = 360
LIMIT_BYTES = 200 << 20
ESP_FILES = {"/EFI/BOOT/BOOTX64.EFI", "/EFI/systemd/systemd-bootx64.efi", "/loader/loader.conf",
             "/loader/entries/millrace-a-1.conf", "/millrace/a/vmlinuz", "/millrace/a/initrd.img"}
# What an edge needs at run time, each of another package.
NEEDED = ("/usr/sbin/millrace-control", "/usr/sbin/millrace-dataplane", "/usr/sbin/millrace-image",
          "/usr/sbin/millrace-doctor", "/usr/lib/systemd/system/millrace.target",
          "/usr/sbin/sshd", "/usr/bin/openssl", "/usr/sbin/e2fsck", "/usr/sbin/sfdisk")
MODULES_NEEDED = ("vfio-pci", "virtio_net", "e1000e", "igb", "ixgbe", "i40e", "ice", "tun", "vfat",
                  "i6300esb", "iTCO_wdt", "sp5100_tco", "wdat_wdt")
MODULES_UNWANTED = ("sound/", "drivers/gpu/", "drivers/media/", "net/wireless/", "drivers/net/wireless/")


def obstacle():
    if os.geteuid() != 0:
        return "root is needed: sudo scripts/test"
    if not shutil.which("mmdebstrap") or not shutil.which("mksquashfs"):
        return "packages are missing: sudo scripts/setup image"
    if not shutil.which("buildah"):
        return "packages are missing: sudo scripts/setup test"
    return None


def build(output, *arguments, tree=ROOT, umask=-1, **variables):
    cache = os.path.join(ROOT, "build", "image-cache")
    os.makedirs(cache, exist_ok=True)
    command = [os.path.join(tree, BUILDER), "--output", output, "--cache", cache, *arguments]
    return subprocess.run(command, umask=umask,
                          env={**os.environ, "SOURCE_DATE_EPOCH": "1767225600", **variables},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)


def sha256(path):
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
        return digest.hexdigest()


def report(options):
    with open(os.path.join(options.output, "report.json")) as file:
        return json.load(file)


def partition(options, name):
    """Where in the disk image it is: offset and size in bytes."""
    disk = os.path.join(options.output, "millrace.raw")
    said = subprocess.run(["sfdisk", "--json", disk], check=True, capture_output=True, text=True).stdout
    for each in json.loads(said)["partitiontable"]["partitions"]:
        if each["name"] == f"millrace-{name}":
            return each["start"] * 512, each["size"] * 512
    raise Failure(f"the disk has no partition millrace-{name}")


def unpacked(options, folder):
    """The root of slot a, out of the disk image."""
    root = os.path.join(folder, "root")
    disk = os.path.join(options.output, "millrace.raw")
    subprocess.run(["unsquashfs", "-q", "-n", "-o", str(partition(options, "root-a")[0]), "-d", root, disk],
                   check=True, stdout=subprocess.DEVNULL)
    return root


class Build:
    def run(self, options):
        began = time.monotonic()
        done = build(options.output)
        took = time.monotonic() - began
        check(done.returncode == 0, f"status {done.returncode}: {done.stderr[-300:]}")
        check(sorted(os.listdir(options.output)) == sorted(OUTPUTS), f"made {os.listdir(options.output)}")
        check(took <= LIMIT_S, f"it took {took:.0f} s, more than {LIMIT_S}")
        size = report(options)["outputs"]["millrace.raw"]["zstd_bytes"]
        check(size <= LIMIT_BYTES, f"the disk image has {size} bytes under zstd, more than {LIMIT_BYTES}")
        return f"{size >> 20} MiB under zstd, at most {LIMIT_BYTES >> 20}; at most {LIMIT_S} s"


class Reproducible:
    """Again, from a copy of the tree compiled elsewhere, with another umask and time of day."""

    def run(self, options):
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            tree, programs = os.path.join(folder, "copy/of/tree"), os.path.join(folder, "programs")
            os.makedirs(tree)
            subprocess.run(["cp", "-a", "-t", tree, *(os.path.join(ROOT, name) for name in os.listdir(ROOT)
                                                      if not name.startswith("build"))], check=True)
            subprocess.run(["/usr/bin/meson", "setup", programs, tree, "--prefix=/usr", "--buildtype=release",
                            "-Db_ndebug=false"], check=True, stdout=subprocess.DEVNULL)
            again = os.path.join(folder, "again")
            done = build(again, f"--build={programs}", tree=tree, umask=0o077, TMPDIR=folder,
                         TZ="Asia/Tokyo")
            check(done.returncode == 0, f"status {done.returncode}: {done.stderr[-300:]}")
            other = [name for name in OUTPUTS if sha256(os.path.join(again, name))
                     != sha256(os.path.join(options.output, name))]
            check(not other, f"not the same bytes: {', '.join(other)}{self.files(options, again)}")

    def files(self, options, again):
        """Which files of the root are others."""
        with open(os.path.join(again, "report.json")) as file:
            there, here = json.load(file)["files"], report(options)["files"]
        other = [path for path in sorted({*here, *there}) if here.get(path) != there.get(path)]
        return f"; in the root: {' '.join(other)}" if other else ""


class Contents:
    """The report tells the truth, and what is in there is what shall be."""

    def run(self, options):
        told = report(options)
        for name, what in told["outputs"].items():
            path = os.path.join(options.output, name)
            check(what["sha256"] == sha256(path) and what["bytes"] == os.path.getsize(path), f"{name}: not so")
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            root = unpacked(options, folder)
            self.check_files(told["files"], root)
        files = told["files"]
        missing = [path for path in NEEDED if path not in files]
        check(not missing, f"missing: {missing}")
        modules = [path.split("/kernel/", 1)[1] for path in files if "/kernel/" in path and path.endswith(".ko")]
        names = {os.path.basename(path)[:-3].replace("_", "-") for path in modules}
        missing = [name for name in MODULES_NEEDED if name.replace("_", "-") not in names]
        check(not missing, f"modules missing: {missing}")
        unwanted = [path for path in modules if path.startswith(MODULES_UNWANTED)]
        check(not unwanted, f"modules that an edge never needs: {unwanted[:3]}")
        packages = {each["name"]: each for each in told["packages"]}
        check({"millrace", "libc6", "busybox-static", "systemd-boot-efi", "librte-net-e1000-23"} <= set(packages),
              f"packages: {sorted(packages)}")
        owned = sum(each["bytes"] for each in told["packages"]) + told["unowned_bytes"]
        check(owned == told["root_bytes"], f"packages sum up to {owned}, the root to {told['root_bytes']}")
        check(told["unowned_bytes"] < 8 << 20, f"{told['unowned_bytes']} bytes are of no package")

    def check_files(self, files, root):
        found = 0
        for path, what in files.items():
            if "sha256" in what:
                check(sha256(root + path) == what["sha256"], f"{path} is not as reported")
                found += 1
        real = sum(os.path.isfile(path) and not os.path.islink(path) for folder, _, names in os.walk(root)
                   for path in (os.path.join(folder, name) for name in names))
        check(found == real, f"{real} files, {found} reported")


class NothingSecret:
    """No key, no password, no identity: in the root, the EFI partition, the state and the RAM disks."""

    def run(self, options):
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            root = unpacked(options, folder)
            self.check_files(root)
            self.check_root(root)
            self.check_state(options, folder)
            self.check_ram_disks(options, folder)
        disk = os.path.join(options.output, "millrace.raw")
        listed = subprocess.run(["mdir", "-/", "-b", "-a", "-i", f"{disk}@@1M", "::"], check=True,
                                capture_output=True, text=True).stdout.splitlines()
        files = {line.removeprefix("::") for line in listed if not line.endswith("/")}
        check(files == ESP_FILES, f"on the EFI partition: {sorted(files ^ ESP_FILES)}")

    def check_root(self, root):
        with open(f"{root}/etc/machine-id") as file:
            check(file.read() == "", "a machine-id is in it")
        with open(f"{root}/etc/shadow") as file:
            open_ones = [line for line in file if line.split(":")[1] not in ("*", "!", "!*", "!!")]
        check(not open_ones, f"passwords: {open_ones}")
        for name in ("state", "root", "var/lib/millrace", "var/log/journal"):
            left = [each for each in os.listdir(f"{root}/{name}") if each not in (".bashrc", ".profile")]
            check(not left, f"/{name} holds {left}")

    def check_state(self, options, folder):
        """Nothing was ever written to it: what is not the file system's own is zeros."""
        state = os.path.join(folder, "state.img")
        start, size = partition(options, "state")
        with open(os.path.join(options.output, "millrace.raw"), "rb") as disk, open(state, "wb") as file:
            disk.seek(start)
            file.write(disk.read(size))
        os.mkdir(os.path.join(folder, "state"))
        done = subprocess.run(["debugfs", "-R", f"rdump / {folder}/state", state], capture_output=True, text=True)
        check(os.listdir(f"{folder}/state") == ["lost+found"] and not os.listdir(f"{folder}/state/lost+found"),
              f"the state holds {os.listdir(f'{folder}/state')} {done.stderr}")

    def check_ram_disks(self, options, folder):
        """That of the slot, and that for PXE: the same, and the root behind it."""
        small, tree = os.path.join(folder, "initrd.img"), os.path.join(folder, "ram-disk")
        disk = os.path.join(options.output, "millrace.raw")
        subprocess.run(["mcopy", "-i", f"{disk}@@{partition(options, 'esp')[0]}", "::millrace/a/initrd.img",
                        small], check=True)
        os.mkdir(tree)
        subprocess.run(f"zstd -dc {small} | cpio -id --quiet -D {tree}", shell=True, check=True)
        check(sorted(os.listdir(tree)) == ["bin", "dev", "init", "lib", "proc", "run", "sbin", "sys", "sysroot"],
              f"the RAM disk holds {os.listdir(tree)}")
        self.check_files(tree)
        with open(small, "rb") as file:
            first = file.read()
        with open(os.path.join(options.output, "initrd.img"), "rb") as file:
            check(file.read(len(first)) == first, "the RAM disk for PXE begins otherwise than the slot's")
            rest = file.read().lstrip(b"\0")
        inside = os.path.join(folder, "pxe")
        os.mkdir(inside)
        subprocess.run(["cpio", "-id", "--quiet", "-D", inside], input=rest, check=True)
        check(os.listdir(inside) == ["root.squashfs"], f"for PXE there is besides: {os.listdir(inside)}")
        check(sha256(f"{inside}/root.squashfs") == report(options)["parts"]["root.squashfs"]["sha256"],
              "for PXE there is another root")

    def check_files(self, root):
        private = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=\s]{60}")
        for folder, _, names in os.walk(root):
            for name in names:
                path = os.path.join(folder, name)
                inside = path[len(root):]
                check(not re.search(r"ssh_host_|/random-seed$|authorized_keys|/etc/hostname$|/etc/resolv.conf$", inside),
                      f"{inside} is in it")
                if os.path.isfile(path) and not os.path.islink(path) and os.path.getsize(path) < 1 << 20:
                    with open(path, "rb") as file:
                        check(not private.search(file.read()), f"{inside} holds a private key")


class Units:
    """systemd finds no fault in the units as they stand in the image, and a fault in ours it would find."""

    OURS = ("lib/systemd/system/millrace-health.service", "lib/systemd/system/millrace-keys.service",
            "lib/systemd/system/millrace-dns.service", "etc/systemd/system/ssh.service.d/keys.conf")

    def run(self, options):
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            root = unpacked(options, folder)
            names = sorted({name.replace("@.", "@x.") for home in (
                f"{root}/lib/systemd/system", *glob.glob(f"{root}/etc/systemd/system/*.wants"))
                for name in os.listdir(home) if self.is_verified(root, home, name)})
            check({"millrace-dataplane.service", "systemd-timesyncd.service", "ssh.service"} <= set(names), f"{names}")
            said = self.findings(root, names)
            check(not said, said)
            for path in self.OURS:
                self.spoil(root, path, names)
            return f"{len(names)} units"

    def is_verified(self, root, home, name):
        """Ours, and what is wanted; what is masked has no say."""
        link = f"{root}/etc/systemd/system/{name}"
        masked = os.path.islink(link) and os.readlink(link) == "/dev/null"
        ours = name.startswith(("millrace", "ssh.")) and not name.endswith(".d")
        return (ours or home.endswith(".wants")) and "@tty" not in name and not masked

    def findings(self, root, names):
        done = subprocess.run(["systemd-analyze", f"--root={root}", "--man=no", "verify", *names],
                              capture_output=True, text=True, env={**os.environ, "SYSTEMD_COLORS": "0"})
        said = done.stdout + done.stderr or (f"status {done.returncode}" if done.returncode else "")
        # It looks at the first command of a kind, and at none that may fail.
        for path in self.OURS:
            with open(f"{root}/{path}") as file:
                for program in re.findall(r"^Exec\w+=-?(/\S+)", file.read(), re.M):
                    if not os.access(root + program, os.X_OK):
                        said += f"{path}: there is no {program}\n"
        return said.strip()

    def spoil(self, root, path, names):
        with open(f"{root}/{path}", "r+") as file:
            text = file.read()
            file.write("\n[Service]\nExecStartPre=-/usr/lib/none\n[Unit]\nAfterwards=x\n")
            file.flush()
            said = self.findings(root, names)
            for words in (f"{path}: there is no /usr/lib/none", "'Afterwards'"):
                check(words in said, f"a fault in {path} is not seen: {said}")
            file.truncate(len(text))


class FixedBaseline:
    """Not built for the machine that built it."""

    def run(self, options):
        with open(os.path.join(ROOT, "build-image", "compile_commands.json")) as file:
            commands = {each["command"] for each in json.load(file) if "/dataplane/" in each["file"]}
        flags = {word for command in commands for word in command.split() if word.startswith("-march=")}
        check(flags == {"-march=corei7"}, f"the data plane is compiled with {flags}")


class Container:
    """The OCI archive: sums and layers fit, and both programs run on what is in it."""

    def run(self, options):
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            tree, archive = os.path.join(folder, "tree"), os.path.join(folder, "millrace.oci")
            subprocess.run(["/usr/bin/meson", "install", "-C", os.path.join(ROOT, "build-image"),
                            "--no-rebuild", "--destdir", tree], check=True, stdout=subprocess.DEVNULL)
            done = subprocess.run(
                [os.path.join(ROOT, "images/container/build"), "--output", archive, "--tree", tree,
                 "--cache", os.path.join(ROOT, "build", "image-cache")], stdin=subprocess.DEVNULL,
                env={**os.environ, "SOURCE_DATE_EPOCH": "1767225600"}, capture_output=True, text=True)
            check(done.returncode == 0, f"status {done.returncode}: {done.stderr[-300:]}")
            root = self.unpack(archive, folder)
            for name in ("control", "dataplane"):
                said = subprocess.run(["chroot", root, f"/usr/sbin/millrace-{name}", "--version"],
                                      capture_output=True, text=True)
                check(said.returncode == 0 and "ABI" in said.stdout, f"{name}: {said.stdout}{said.stderr}")
            owner = os.stat(f"{root}/var/lib/millrace")
            check(owner.st_uid != 0 and owner.st_mode & 0o777 == 0o750, "/var/lib/millrace is not the user's")

    def unpack(self, archive, folder):
        parts, root = os.path.join(folder, "parts"), os.path.join(folder, "root")
        os.makedirs(parts)
        subprocess.run(["tar", "-C", parts, "-xf", archive], check=True)
        blobs = os.path.join(parts, "blobs/sha256")
        for name in os.listdir(blobs):
            check(sha256(os.path.join(blobs, name)) == name, f"the blob {name} has another sum")
        with open(os.path.join(parts, "index.json")) as file:
            manifest = self.blob(blobs, json.load(file)["manifests"][0])
        config = self.blob(blobs, manifest["config"])
        os.makedirs(root)
        layer = os.path.join(blobs, manifest["layers"][0]["digest"].split(":")[1])
        subprocess.run(["tar", "-C", root, "-xzf", layer], check=True)
        unpacked_layer = subprocess.run(["gzip", "-dc", layer], check=True, capture_output=True).stdout
        digest = "sha256:" + hashlib.sha256(unpacked_layer).hexdigest()
        check(config["rootfs"]["diff_ids"] == [digest], "the configuration names another layer")
        return root

    def blob(self, blobs, what):
        with open(os.path.join(blobs, what["digest"].split(":")[1])) as file:
            return json.load(file)


class Refusals:
    """One line each, and nothing is left."""

    def run(self, options):
        small = 'mount -t tmpfs -o size=64m tmpfs "$0" && exec "$@"'
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            out = os.path.join(folder, "out")
            os.makedirs(out)
            here = ["unshare", "--mount", "--propagation", "private", "bash", "-c", small]
            self.expect(folder, "root is needed", ["setpriv", "--reuid=65534", "--clear-groups"], [])
            self.expect(folder, "disk full", [*here, out], [])
            empty = os.path.join(folder, "dpkg")
            os.makedirs(os.path.join(empty, "info"))
            open(os.path.join(empty, "status"), "w").close()
            self.expect(folder, "packages are missing", ["env", f"DPKG_ADMINDIR={empty}"], [])
            self.expect(folder, "no Ed25519 key", [], ["--sign=/dev/null"])
            self.expect(folder, "there is no build", [], ["--build=/nowhere"])
            self.expect(folder, "there is no usr/sbin", [], ["--tree=/nowhere"])
            check(sorted(os.listdir(folder)) == ["dpkg", "out"],
                  f"left behind: {os.listdir(folder)}")
            check(not os.listdir(out), f"made: {os.listdir(out)}")

    def expect(self, folder, words, before, arguments):
        done = subprocess.run([*before, os.path.join(ROOT, BUILDER), "--output", os.path.join(folder, "out"), *arguments],
                              env={**os.environ, "TMPDIR": folder}, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=60)
        said = done.stderr.strip().splitlines()
        check(done.returncode == 1 and len(said) == 1 and words in said[0] and not done.stdout,
              f"{words}: status {done.returncode}, {said} {done.stdout}")


CASES = {"build": Build, "reproducible": Reproducible, "contents": Contents,
         "nothing-secret": NothingSecret, "units": Units, "fixed-baseline": FixedBaseline,
         "container": Container, "builder-refusals": Refusals}
READERS = set(CASES.values()) - {Build}
