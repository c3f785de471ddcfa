# shellcheck shell=bash
# shellcheck disable=SC2034,SC2153 # others' variables
# Where the node's configuration comes from: the first of these that is there, alone.
#   1. a config drive: file system labelled MILLRACE, or GPT partition named millrace-config
#   2. the kernel command line: millrace.SECTION.KEY=VALUE
#   3. millrace.conf on the EFI partition
#   4. what was good the last time
#   5. nothing: the defaults
# One that is there and is not good counts as 4, then 5, and never as one further up or down: nobody
# shall wonder whose settings these are. Sourced after place.sh.

MAX_FILES=64
MAX_KIB=1024
TAKEN=      # directory with millrace.conf, and files/ beside it
FROM=       # what the node runs with, in words
FAULT=      # why it is not what was meant

# Settle on TAKEN, FROM and FAULT.
configure()
{
	local name
	for name in drive cmdline esp; do
		# Keys may be among the files.
		rm -rf "$RUN/new" && (umask 077 && mkdir -p "$RUN/new/files")
		FROM=
		"source_$name" "$RUN/new" || [[ -n $FROM ]] || continue
		[[ -n $FAULT ]] || judge "$RUN/new"
		if [[ -z $FAULT ]]; then
			TAKEN=$RUN/new
			keep_good
			say "configuration: $FROM"
		else
			say_fault "$FROM"
		fi
		return
	done
	take_good "" || say "configuration: none was given (config drive labelled MILLRACE, kernel" \
		"command line, or millrace.conf on the EFI partition): defaults, no data plane"
}

# One line: what is wrong, and with what the node comes up instead.
say_fault()
{
	local what="configuration: $1 is not used: $FAULT"
	take_good "$what; " || say "$what; defaults are used, no data plane"
}

# take_good BEFORE: the configuration that was good last, if there is one.
take_good()
{
	local good=$STATE/node/good before=$FAULT
	[[ -s $good/millrace.conf ]] || return 1
	FAULT=
	judge "$good"
	if [[ -n $FAULT ]]; then
		say "configuration: the last good one no longer fits: $FAULT"
		FAULT=${before:-$FAULT}
		return 1
	fi
	FAULT=$before
	TAKEN=$good
	FROM="last good one, of $(date -u -r "$good/millrace.conf" '+%F %R') UTC"
	say "${1:-configuration: }${1:+the }$FROM${1:+ is used}"
}

# Kept under one of two names; which of them holds is a link, changed in one step.
keep_good()
{
	local dir=$STATE/node next=good.1
	! diff -rq "$TAKEN" "$dir/good" >/dev/null 2>&1 || return 0
	[[ $(readlink -- "$dir/good") != good.1 ]] || next=good.2
	rm -rf "${dir:?}/$next"
	if (umask 077 && cp -r "$TAKEN" "$dir/$next") && find "$dir/$next" -exec sync -- {} + &&
		ln -sfn "$next" "$dir/link.new" && mv -fT "$dir/link.new" "$dir/good"; then
		sync_dir "$dir"
	else
		say "configuration: it could not be kept on the state partition: is that full?"
	fi
}

# ---- each source: fill the directory $1. Return 1 where there is none; FROM says that there is.

source_drive()
{
	local device
	device=$(drive_wait) || return 1
	FROM="config drive $device"
	if ! mount_to_read "$device" auto; then
		FAULT="it is damaged: it cannot be mounted"
		return
	fi
	take_folder "$RUN/mount" "$1"
	umount "$RUN/mount"
}

# USB devices come when they like; nothing else is late here.
drive_wait()
{
	local left=0 device
	if [[ -e $SYSFS/bus/usb/devices/usb1 ]]; then
		modprobe -qa usb-storage uas sd_mod sr_mod 2>/dev/null
		left=15
	fi
	while true; do
		device=$(drive_find)
		[[ -z $device ]] || { echo "$device" && return; }
		((left-- > 0)) || return 1
		sleep 0.2
	done
}

drive_find()
{
	local devices
	mapfile -t devices < <(drive_candidates)
	((${#devices[@]} > 0)) || return 0
	blkid -c /dev/null -o full "${devices[@]}" 2>/dev/null | awk -F ': ' '
		/ (LABEL|LABEL_FATBOOT)="(MILLRACE|millrace)"/ || / PARTLABEL="millrace-config"/ { print $1; exit }'
}

# What may be one: no disk that is partitioned, and none of our own partitions.
drive_candidates()
{
	local dir name parts
	for dir in "$SYSFS"/class/block/*; do
		name=${dir##*/}
		parts=("$dir/$name"*)
		[[ $name != @(loop|ram)* && ! -e ${parts[0]} && $(<"$dir/size") != 0 ]] || continue
		[[ ! -e $dir/partition || $(<"$dir/uevent") != *PARTNAME=millrace-@(esp|root|state)* ]] || continue
		echo "$DEV/$name"
	done
}

source_cmdline()
{
	local text
	text=$(conf_of_words "$(<"$PROCFS/cmdline")")
	[[ -n $text ]] || return 1
	FROM="kernel command line"
	printf '%s\n' "$text" >"$1/millrace.conf"
}

# conf_of_words LINE: millrace.SECTION.KEY=VALUE as millrace.conf has it. Quotes keep blanks.
conf_of_words()
{
	local rest=$1 word words=() last=
	local pattern='^[[:space:]]*(([^[:space:]"]|"[^"]*")+)(.*)$'
	while [[ $rest =~ $pattern ]]; do
		word=${BASH_REMATCH[1]//\"/}
		rest=${BASH_REMATCH[3]}
		[[ ! $word =~ ^millrace\.([a-z]+)\.([a-z0-9_]+)=(.*)$ ]] ||
			words+=("${BASH_REMATCH[1]} ${BASH_REMATCH[2]} = ${BASH_REMATCH[3]}")
	done
	((${#words[@]} > 0)) || return 0
	printf '%s\n' "${words[@]}" | sort -s -k 1,1 | while read -r word rest; do
		[[ $word == "$last" ]] || echo "[$word]"
		last=$word
		echo "$rest"
	done
}

source_esp()
{
	local device
	device=$(partition millrace-esp) || return 1
	mount_to_read "$device" vfat || return 1
	if [[ -e $RUN/mount/millrace.conf ]]; then
		FROM="millrace.conf on the EFI partition $device"
		take_folder "$RUN/mount" "$1"
	fi
	umount "$RUN/mount"
	[[ -n $FROM ]]
}

mount_to_read()
{
	mkdir -p "$RUN/mount"
	modprobe -qa vfat nls_ascii nls_cp437 isofs 2>/dev/null
	mount -t "$2" -o ro,nosuid,nodev,noexec "$1" "$RUN/mount" 2>"$RUN/mount.log"
}

# take_folder FOLDER INTO: millrace.conf, and what lies beside it in millrace.d. Read whole before
# anything is made of it.
take_folder()
{
	local name size
	if [[ ! -f $1/millrace.conf ]]; then
		FAULT="it has no millrace.conf"
	elif (($(stat -c %s "$1/millrace.conf") > MAX_KIB * 1024)); then
		FAULT="millrace.conf is longer than $MAX_KIB KiB"
	elif [[ -e $1/SHA256SUMS ]] && ! (cd "$1" && sha256sum --status --strict -c SHA256SUMS 2>/dev/null); then
		FAULT="it is damaged: its files are not those of its SHA256SUMS"
	elif ! cp "$1/millrace.conf" "$2/millrace.conf" 2>/dev/null; then
		FAULT="it is damaged: millrace.conf cannot be read"
	elif [[ -d $1/millrace.d ]]; then
		size=$(du -sk "$1/millrace.d" 2>/dev/null | cut -f 1)
		if ((${size:-MAX_KIB + 1} > MAX_KIB || $(find "$1/millrace.d" -type f | wc -l) > MAX_FILES)); then
			FAULT="millrace.d holds more than $MAX_FILES files or $MAX_KIB KiB"
			return
		fi
		for name in "$1"/millrace.d/*; do
			[[ -f $name && ! -L $name ]] || continue
			if [[ ${name##*/} == @(millrace.conf|tls) ]]; then
				FAULT="millrace.d/${name##*/}: the node has a file of that name; none was expected here"
				return
			fi
			cp "$name" "$2/files/" 2>/dev/null || FAULT="it is damaged: ${name##*/} cannot be read"
		done
	fi
}
