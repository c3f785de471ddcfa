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

# partition NAME: the block device of the partition with that GPT name, of the disk that the root is
# on if there are several.
partition()
{
	local file found=() root_disk
	mapfile -t found < <(grep -lx "PARTNAME=$1" "$SYSFS"/class/block/*/uevent 2>/dev/null)
	root_disk=$(disk_of_root)
	for file in "${found[@]}"; do
		[[ $(disk_of "$file") != "$root_disk" ]] || found=("$file")
	done
	((${#found[@]} > 0)) || return 1
	file=${found[0]%/uevent}
	echo "$DEV/${file##*/}"
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
