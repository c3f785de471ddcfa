# shellcheck shell=bash
# Where things are on a node that runs from the image, and how it speaks. Sourced first.
# shellcheck disable=SC2034 # read by those who source this

ETC=${MILLRACE_ETC:-/etc}
VAR=${MILLRACE_VAR:-/var}
STATE=${MILLRACE_STATE:-/state}
RUN=${MILLRACE_RUN:-/run/millrace-node}
DEV=${MILLRACE_DEV:-/dev}
SLOT=

# say TEXT...: one line on every console, and in the journal.
say()
{
	local name
	{ echo "<5>millrace: $*" >"$DEV/kmsg"; } 2>/dev/null || true
	for name in $(cat "$SYSFS/class/tty/console/active" 2>/dev/null || echo console); do
		{ echo "millrace: $*" >"$DEV/$name"; } 2>/dev/null || true
	done
}

# partition NAME: the block device of the partition with that GPT name; of several, that on the disk
# that the root is on. Return: 1 where there is none, or none more than others.
partition()
{
	local name found=() root_disk
	mapfile -t found < <(partitions "$1")
	root_disk=$(disk_of_root)
	for name in "${found[@]}"; do
		[[ $(disk_of "$SYSFS/class/block/$name/uevent") != "$root_disk" ]] || found=("$name")
	done
	((${#found[@]} == 1)) || return 1
	echo "$DEV/${found[0]}"
}

partitions()
{
	local file
	grep -lx "PARTNAME=$1" "$SYSFS"/class/block/*/uevent 2>/dev/null | while read -r file; do
		basename -- "${file%/uevent}"
	done
}

# Two disks that hold the image have the same names in all.
say_twice()
{
	local found=()
	mapfile -t found < <(partitions millrace-state)
	((${#found[@]} < 2)) || say "more than one disk holds the image (${found[*]}):" \
		"$(disk_of_root | sed 's/^$/none of them/') is used; take out the others"
}

# The disk of a partition, by a file in its directory in sysfs.
disk_of()
{
	basename -- "$(dirname -- "$(readlink -f -- "$(dirname -- "$1")")")"
}

disk_of_root()
{
	local id
	id=$(awk '$2 == "/" && $3 == "squashfs" { print $1 }' "$PROCFS/mounts" | tail -n 1)
	[[ ! -e $SYSFS/class/block/${id##*/}/partition ]] || disk_of "$SYSFS/class/block/${id##*/}/partition"
}

# sync_dir PATH: what was made and renamed in it is on the disk.
sync_dir()
{
	sync -- "$1"
}
