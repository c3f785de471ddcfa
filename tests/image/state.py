"""The state partition takes the disk that it is on, and whenever the power fails on the way."""

import os
import subprocess

from shell import START, Node, check

SECTOR = 512
MIB_SECTORS = 2048
IMAGE_MIB, STATE_MIB, DISK_MIB = 18, 16, 64
# Less than it may leave: what sfdisk aligns to, and what the file system has no use for.
LEFT_MIB = 2
KEPT = "made by the node itself\n"
# A disk and its partition are two files here. partx is the kernel that looks at the partition table.
HERE = START + """
mount() { :; }
partx()
{
	local sectors
	sectors=$(sfdisk -d "$HERE/dev/vda" | sed -n 's/.*size= *\\([0-9]*\\).*/\\1/p')
	echo "$sectors" >"$HERE/machine/sys/block/vda/vda1/size"
	truncate -s $((sectors * 512)) "$HERE/dev/vda1"
}
"""
# Bash tells before each command; at the one that LEFT names, nothing more is done.
CUT = "set -T; LEFT={}; trap '((LEFT-- > 0)) || kill -9 $$' DEBUG; state_mount \"$DEV/vda1\"; trap - DEBUG\n"


def call(*command, text=""):
    done = subprocess.run(command, input=text, capture_output=True, text=True,
                          env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"})
    check(done.returncode == 0, f"{' '.join(command)}: {done.stdout} {done.stderr}")
    return done.stdout


class Growth:
    """At each command in turn: after the next start, all of the disk is the state's."""

    def run(self, programs):
        cuts = 0
        while True:
            # In memory, where nothing waits for a disk.
            with Node(programs, "/dev/shm") as node:
                self.image_on_disk(node)
                done = node.run(HERE + CUT.format(cuts))
                whole = done.returncode == 0
                if not whole:
                    check(done.returncode == -9, f"cut {cuts}: status {done.returncode} {done.stderr}")
                    done = node.run(HERE + "partx; state_mount \"$DEV/vda1\"")
                check(done.returncode == 0 and not done.stdout, f"cut {cuts}: {done.stdout} {done.stderr}")
                self.check_all_taken(node, f"cut {cuts}")
                if whole:
                    self.check_at_rest(node)
                    break
            cuts += 1
        check(cuts > 25, f"only {cuts} places to cut")

    def image_on_disk(self, node):
        """As it was written to a larger disk: the table's copy is where the image ended."""
        disk, state = node.at("dev/vda"), node.at("dev/vda1")
        for path, mib in ((disk, IMAGE_MIB), (state, STATE_MIB)):
            with open(path, "wb") as file:
                file.truncate(mib << 20)
        call("sfdisk", "-q", "--no-reread", "--no-tell-kernel", disk,
             text=f"label: gpt\nstart={MIB_SECTORS}, size={STATE_MIB * MIB_SECTORS}\n")
        os.truncate(disk, DISK_MIB << 20)
        node.write("content/kept", KEPT)
        call("mke2fs", "-q", "-t", "ext4", "-d", node.at("content"), state)
        node.machine.put("block/vda/size", str(DISK_MIB * MIB_SECTORS))
        for name, value in (("partition", 1), ("start", MIB_SECTORS), ("size", STATE_MIB * MIB_SECTORS)):
            node.machine.put(f"block/vda/vda1/{name}", str(value))
        node.machine.link("class/block/vda", "../../block/vda")
        node.machine.link("class/block/vda1", "../../block/vda/vda1")

    def check_all_taken(self, node, what):
        state = node.at("dev/vda1")
        sectors = int(node.machine.read("block/vda/vda1/size"))
        check(sectors >= (DISK_MIB - 1 - LEFT_MIB) * MIB_SECTORS, f"{what}: the partition has {sectors} sectors")
        said = dict(line.split(":", 1) for line in call("dumpe2fs", "-h", state).splitlines() if ":" in line)
        size = int(said["Block count"]) * int(said["Block size"])
        check(size >= (sectors - LEFT_MIB * MIB_SECTORS) * SECTOR, f"{what}: of {sectors} sectors it has {size} bytes")
        call("e2fsck", "-fn", state)
        check(call("debugfs", "-R", "cat /kept", state) == KEPT, f"{what}: what was kept is gone")

    def check_at_rest(self, node):
        """What has grown is left alone."""
        done = node.run(HERE + """
            sfdisk() { echo "sfdisk $*" >>"$HERE/again"; }
            resize2fs() { echo "resize2fs $*" >>"$HERE/again"; }
            state_mount "$DEV/vda1" """)
        check(done.returncode == 0 and not done.stdout, f"again: {done.stdout} {done.stderr}")
        check(not os.path.exists(node.at("again")), "what has grown was made to grow again")


CASES = {"state-growth": Growth}
