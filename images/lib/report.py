#!/usr/bin/python3
"""What is in the image, how large, and the SHA-256 of everything: report.json and report.txt."""

import argparse
import hashlib
import json
import os
import re
import subprocess
import time


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") \
            else hash_of(file)


def hash_of(file):
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def root_files(root):
    """Path -> size and sum, or where a link points."""
    files = {}
    for folder, folders, names in os.walk(root):
        for name in sorted(names + [each for each in folders
                                    if os.path.islink(os.path.join(folder, each))]):
            path = os.path.join(folder, name)
            key = "/" + os.path.relpath(path, root)
            info = os.lstat(path)
            if os.path.islink(path):
                files[key] = {"link": os.readlink(path)}
            elif os.path.isfile(path):
                files[key] = {"bytes": info.st_size, "mode": f"{info.st_mode & 0o7777:04o}",
                              "sha256": sha256(path)}
    return dict(sorted(files.items()))


def merged(path):
    """dpkg's lists may still name /lib where the root has /usr/lib."""
    return re.sub(r"^/(bin|sbin|lib|lib64)/", r"/usr/\1/", path)


def installed(root, files):
    """Packages, each with what its files take in the root."""
    text = subprocess.run(
        ["dpkg-query", f"--admindir={root}/var/lib/dpkg", "-W",
         "-f", "${binary:Package}\t${Version}\t${Architecture}\n"],
        check=True, capture_output=True, text=True).stdout
    packages, owned = [], set()
    for line in text.splitlines():
        name, version, arch = line.split("\t")
        size = 0
        for path in file_list(root, name):
            path = merged(path)
            if path in files and path not in owned:
                owned.add(path)
                size += files[path].get("bytes", 0)
        packages.append({"name": name.split(":")[0], "version": version, "arch": arch, "bytes": size})
    return packages, owned


def file_list(root, name):
    for each in (name, name.split(":")[0]):
        try:
            with open(f"{root}/var/lib/dpkg/info/{each}.list") as file:
                return file.read().splitlines()
        except FileNotFoundError:
            continue
    return []


def unpacked(debs, files, owned):
    """The packages that the kernel, busybox and the boot loader are from."""
    packages = []
    for name in sorted(os.listdir(debs)):
        if not name.endswith(".deb"):
            continue
        text = subprocess.run(["dpkg-deb", "-W", "--showformat=${Package}\t${Version}\t${Architecture}",
                               os.path.join(debs, name)], check=True, capture_output=True, text=True).stdout
        package, version, arch = text.split("\t")
        size = 0
        if package.startswith("linux-image"):
            for path, what in files.items():
                if path.startswith("/usr/lib/modules/"):
                    owned.add(path)
                    size += what.get("bytes", 0)
        packages.append({"name": package, "version": version, "arch": arch, "bytes": size,
                         "unpacked": True})
    return packages


def is_ours(path):
    return "millrace" in path or path in ("/usr/bin/testfan", "/usr/sbin/testfan")


def own(files, owned):
    names = [path for path in files if path not in owned and is_ours(path)]
    owned.update(names)
    return {"name": "millrace", "version": "", "arch": "amd64",
            "bytes": sum(files[path].get("bytes", 0) for path in names)}


def zstd_bytes(path):
    done = subprocess.run(["zstd", "-q", "-3", "-T0", "-c", path], check=True, stdout=subprocess.PIPE)
    return len(done.stdout)


def collect(options):
    files = root_files(options.root)
    packages, owned = installed(options.root, files)
    packages += unpacked(options.debs, files, owned)
    with open(f"{options.root}/usr/lib/millrace/title") as file:
        title = file.read().strip()
    ours = own(files, owned)
    ours["version"] = title.split(" ", 1)[1]
    packages.append(ours)
    rest = sum(what.get("bytes", 0) for path, what in files.items() if path not in owned)
    outputs = {name: {"bytes": os.path.getsize(os.path.join(options.out, name)),
                      "sha256": sha256(os.path.join(options.out, name))}
               for name in sorted(os.listdir(options.out))}
    outputs["millrace.raw"]["zstd_bytes"] = zstd_bytes(os.path.join(options.out, "millrace.raw"))
    parts = {name: {"bytes": os.path.getsize(path), "sha256": sha256(path)}
             for name, path in (("root.squashfs", options.squashfs), ("initrd.img of a slot", options.initrd))}
    return {"title": title, "epoch": int(os.environ["SOURCE_DATE_EPOCH"]), "outputs": outputs,
            "parts": parts, "update_key": options.update_key,
            "root_bytes": sum(what.get("bytes", 0) for what in files.values()),
            "unowned_bytes": rest, "packages": sorted(packages, key=lambda each: each["name"]),
            "files": files}


def mib(size):
    return f"{size / 1048576:9.1f} MiB"


def readable(report):
    raw = report["outputs"]["millrace.raw"]
    lines = [f"image: {report['title']}, disk image {mib(raw['zstd_bytes']).strip()} under zstd -3",
             f"time of all files: {time.strftime('%F %T', time.gmtime(report['epoch']))} UTC"]
    if report["update_key"]:
        lines.append(f"signed; on the nodes: [node] update_key = {report['update_key']}")
    lines += ["", "What was made:"]
    for name, what in {**report["outputs"], **report["parts"]}.items():
        lines.append(f"  {mib(what['bytes'])}  {what['sha256']}  {name}")
    lines += ["", f"Packages of the root ({mib(report['root_bytes']).strip()} of files), the largest first:"]
    for each in sorted(report["packages"], key=lambda each: (-each["bytes"], each["name"])):
        lines.append(f"  {mib(each['bytes'])}  {each['name']} {each['version']}")
    lines += [f"  {mib(report['unowned_bytes'])}  of no package (made while installing)", "",
              "report.json has the size and SHA-256 of each file."]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--root", "--out", "--debs", "--squashfs", "--initrd", "--update-key"):
        parser.add_argument(name, required=True)
    options = parser.parse_args()
    report = collect(options)
    with open(os.path.join(options.out, "report.json"), "w") as file:
        json.dump(report, file, indent=1)
        file.write("\n")
    with open(os.path.join(options.out, "report.txt"), "w") as file:
        file.write(readable(report))


if __name__ == "__main__":
    main()
