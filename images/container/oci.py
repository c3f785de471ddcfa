#!/usr/bin/python3
"""Make an OCI archive with one layer of a root file system; the same bytes from the same root."""

import argparse
import gzip
import hashlib
import io
import json
import os
import tarfile
import tempfile
import time

EPOCH = int(os.environ["SOURCE_DATE_EPOCH"])
CONFIG = {"Cmd": ["/usr/sbin/millrace-control"], "StopSignal": "SIGTERM",
          "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
          "Volumes": {"/run/millrace": {}, "/var/lib/millrace": {}}}


def plain(member):
    member.mtime = min(int(member.mtime), EPOCH)
    member.uname = member.gname = ""
    return member


def layer_tar(root, file):
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for folder, folders, names in os.walk(root):
            folders.sort()
            links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
            inside = os.path.relpath(folder, root)
            if inside != ".":
                tar.add(folder, inside, recursive=False, filter=plain)
            for name in sorted(names + links):
                path = os.path.join(folder, name)
                tar.add(path, os.path.normpath(os.path.join(inside, name)), recursive=False, filter=plain)


class Archive:
    def __init__(self, path):
        self.tar = tarfile.open(path, "w", format=tarfile.GNU_FORMAT)

    def add(self, name, data):
        member = tarfile.TarInfo(name)
        member.size, member.mtime, member.mode = len(data), EPOCH, 0o644
        self.tar.addfile(member, io.BytesIO(data))

    def blob(self, kind, data):
        digest = hashlib.sha256(data).hexdigest()
        self.add(f"blobs/sha256/{digest}", data)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}",
                "size": len(data)}

    def document(self, kind, document):
        return self.blob(kind, json.dumps(document, sort_keys=True).encode())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True)
    parser.add_argument("--output", required=True)
    options = parser.parse_args()
    with tempfile.TemporaryFile() as file:
        layer_tar(options.root, file)
        file.seek(0)
        plain_layer = file.read()
    packed = gzip.compress(plain_layer, 6, mtime=0)
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(EPOCH))
    archive = Archive(options.output + ".new")
    layer = archive.blob("layer.v1.tar+gzip", packed)
    config = archive.document("config.v1+json", {
        "architecture": "amd64", "os": "linux", "created": made, "config": CONFIG,
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(plain_layer).hexdigest()]}})
    manifest = archive.document("manifest.v1+json", {
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config, "layers": [layer]})
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "millrace:latest"}
    archive.add("index.json", json.dumps({"schemaVersion": 2, "manifests": [manifest]}).encode())
    archive.add("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    archive.tar.close()
    os.rename(options.output + ".new", options.output)


if __name__ == "__main__":
    main()
