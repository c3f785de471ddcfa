"""The Containerfile, built by Debian's buildah, and without a registry: its base is made here."""

import glob
import os
import subprocess
import tempfile

from shell import ROOT, check

RECIPE = os.path.join(ROOT, "images/container/Containerfile")
BASES = ("docker.io/library/debian:12", "docker.io/library/debian:12-slim")
# The build stage makes this of the same source for minutes; it is laid out from the build of the image.
STAGED = ("images/container/needed.sh", "scripts/lib/packages.sh")


class Store:
    """Images and containers of the test's own, gone with the context."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="millrace-recipe-", dir="/var/tmp")
        self.path = self.folder.name
        return self

    def __exit__(self, *_):
        subprocess.run([*self.command(), "rm", "--all"], capture_output=True)
        self.folder.cleanup()

    def at(self, *path):
        return os.path.join(self.path, *path)

    def command(self):
        return ("buildah", "--root", self.at("store"), "--runroot", self.at("run"), "--storage-driver", "vfs")

    def run(self, *arguments):
        done = subprocess.run([*self.command(), *arguments], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL)
        check(done.returncode == 0, f"buildah {arguments[0]}: status {done.returncode}: {done.stderr[-300:]}")
        return done.stdout.strip()

    def files(self, image):
        """Where the files of an image are."""
        return self.run("mount", self.run("from", "--pull=never", image))


class Containerfile:
    """What it copies is the tree and no more; in the image that it makes both programs run."""

    def run(self, options):
        with Store() as store:
            self.check_context(store)
            self.make_base(store)
            self.lay_out(store)
            store.run("build", "--isolation=chroot", "--network=host", "--pull=never", "--tag=millrace",
                      f"--build-context=build={store.at('stage')}", f"--file={RECIPE}", ROOT)
            root = store.files("localhost/millrace")
            for name in ("control", "dataplane"):
                said = subprocess.run(["chroot", root, f"/usr/sbin/millrace-{name}", "--version"],
                                      capture_output=True, text=True)
                check(said.returncode == 0 and "ABI" in said.stdout, f"{name}: {said.stdout}{said.stderr}")
            owner = os.stat(f"{root}/var/lib/millrace")
            check(owner.st_uid != 0 and owner.st_mode & 0o777 == 0o750, "/var/lib/millrace is not the user's")
            check(not os.listdir(f"{root}/tmp") and not os.listdir(f"{root}/var/lib/apt/lists"), "something is left")

    def check_context(self, store):
        """Neither history nor what builds leave, which is gigabytes; and all of the source."""
        recipe = store.at("recipe")
        with open(recipe, "w") as file:
            file.write("FROM scratch\nCOPY . /\n")
        store.run("build", "--tag=context", f"--file={recipe}", ROOT)
        found = set(os.listdir(store.files("localhost/context")))
        wanted = {line.partition("/")[0] for line in subprocess.run(
            ["git", "-C", ROOT, "ls-files"], check=True, capture_output=True, text=True).stdout.splitlines()}
        check(found == wanted and ".git" not in found, f"copied besides, or not: {sorted(found ^ wanted)}")

    def make_base(self, store):
        """Debian with apt, as the base images have it."""
        cache = os.path.join(ROOT, "build", "image-cache")
        base = store.at("base.tar")
        fill = f'mkdir -p "$1/var/cache/apt/archives" && cp -t "$1/var/cache/apt/archives" {cache}/*.deb'
        done = subprocess.run(
            ["mmdebstrap", "--mode=root", "--variant=apt", "--dpkgopt=force-unsafe-io", "--skip=download/empty",
             "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
             *([f"--setup-hook={fill}"] if glob.glob(f"{cache}/*.deb") else []), "bookworm", base],
            capture_output=True, text=True, stdin=subprocess.DEVNULL)
        check(done.returncode == 0, f"mmdebstrap: {done.stderr[-300:]}")
        container = store.run("from", "scratch")
        store.run("add", container, base, "/")
        store.run("commit", "--quiet", container, BASES[0])
        store.run("tag", *BASES)

    def lay_out(self, store):
        for name in STAGED:
            path = store.at("stage/src", name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            subprocess.run(["cp", os.path.join(ROOT, name), path], check=True)
        subprocess.run(["/usr/bin/meson", "install", "-C", os.path.join(ROOT, "build-image"), "--no-rebuild",
                        "--strip", "--destdir", store.at("stage/tree")], check=True, stdout=subprocess.DEVNULL)


CASES = {"containerfile": Containerfile}
