# shellcheck shell=bash
# shellcheck disable=SC2034,SC2153 # others' variables
# The state partition: all that outlives a start, and nothing of it is in the image.
# Sourced after place.sh.
#   $STATE/node       identity, configuration that was good, keys
#   $STATE/millrace   /var/lib/millrace
#   $STATE/systemd    /var/lib/systemd: random seed, clock
#   $STATE/journal    /var/log/journal

STATE_KEPT=

state_open()
{
	local device
	mkdir -p "$STATE"
	if ! device=$(partition millrace-state); then
		# Of several, none is known to be this node's own.
		state_none "there is $([[ -z $(partitions millrace-state) ]] || echo "more than one state partition, and so ")no state partition"
	elif ! state_mount "$device"; then
		state_none "the state partition $device cannot be used"
	else
		STATE_KEPT=yes
	fi
	[[ -d $STATE/node ]] || mkdir -m 0711 "$STATE/node"
	state_bind millrace "$VAR/lib/millrace" 0750 millrace
	state_bind systemd "$VAR/lib/systemd" 0755 root
	state_bind journal "$VAR/log/journal" 2755 root
}

state_none()
{
	say "$1: state goes to memory (RAM), and nothing of it is kept over a restart"
	mount -t tmpfs -o mode=0755,size=25% tmpfs "$STATE"
}

state_mount()
{
	local log
	state_grow "$1"
	log=$(e2fsck -p "$1" 2>&1)
	if (($? >= 4)); then
		say "the state partition $1 is damaged (${log##*$'\n'}): mending what can be mended"
		e2fsck -y "$1" >/dev/null 2>&1
		(($? < 4)) || return 1
	fi
	mount -t ext4 -o noatime,nosuid,nodev "$1" "$STATE" 2>/dev/null || return 1
	state_fill "$1"
}

# Less than 8 MiB more, in sectors, is not worth it.
STATE_WORTH=16384

# The image leaves it small; it gets what the disk has behind it. Where the power fails in between, the
# kernel finds the table as it was or as it shall be at the next start (where it is torn, the one at the
# disk's end: "gpt" on its command line), and state_fill makes up for the rest.
state_grow()
{
	local name=${1##*/} dir disk number end size
	dir=$SYSFS/class/block/$name
	disk=$(disk_of "$dir/partition")
	number=$(<"$dir/partition")
	end=$(($(<"$dir/start") + $(<"$dir/size")))
	size=$(<"$SYSFS/class/block/$disk/size")
	((size - end > STATE_WORTH + 34)) || return 0
	sfdisk -q --no-reread --no-tell-kernel --relocate gpt-bak-std "$DEV/$disk" >/dev/null 2>&1
	{ echo ', +' | sfdisk -q --no-reread --no-tell-kernel -N "$number" "$DEV/$disk" >/dev/null 2>&1 &&
		partx -u --nr "$number" "$DEV/$disk" 2>/dev/null; } || say "the state partition $1 could not grow"
}

# The file system takes what the partition has, whenever that grew. Its superblock says how much it has.
state_fill()
{
	local count=0 size=0
	{ read -r count && read -r size; } < <(dumpe2fs -h "$1" 2>/dev/null |
		sed -n 's/^Block \(count\|size\): *\([0-9]*\)$/\2/p')
	(($(<"$SYSFS/class/block/${1##*/}/size") - count * (size / 512) > STATE_WORTH)) || return 0
	resize2fs "$1" >/dev/null 2>&1 || say "the state partition $1 could not grow"
}

# state_bind NAME PATH MODE OWNER: PATH is kept.
state_bind()
{
	if [[ ! -d $STATE/$1 ]]; then
		mkdir -m "$3" "$STATE/$1"
		chown "$4:$(id -gn "$4")" "$STATE/$1"
		[[ ! -d $2 ]] || cp -a "$2/." "$STATE/$1"
	fi
	mkdir -p "$2"
	mount --bind "$STATE/$1" "$2"
}

# ---- what tells this node from every other: made here, once

state_identity()
{
	local id=$STATE/node/machine-id
	[[ -s $id && $(<"$id") =~ ^[0-9a-f]{32}$ ]] ||
		put_state "$id" 0444 "$(tr -d - <"$PROCFS/sys/kernel/random/uuid")"
	cp "$id" "$ETC/machine-id"
}

# put_state FILE MODE TEXT: there whole or not at all.
put_state()
{
	(umask 077 && printf '%s\n' "$3" >"$1.new")
	chmod "$2" "$1.new"
	sync -- "$1.new"
	mv -fT "$1.new" "$1"
	sync_dir "$(dirname -- "$1")"
}
