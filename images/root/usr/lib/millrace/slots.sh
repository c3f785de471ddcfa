# shellcheck shell=bash
# shellcheck disable=SC2034,SC2153 # others' variables
# The boot loader's entries on the EFI partition: loader/entries/millrace-SLOT-SERIAL.conf, and with
# +LEFT or +LEFT-DONE behind the serial while it is on trial; systemd-boot counts these down, and
# boots one with +0 only where there is nothing else. On trial is either a slot, after an update, or
# beside the slot's good entry one with other words for the kernel. An entry is never changed in
# place: the new one is there before the old one goes, so that the power may fail in between.
# Sourced after place.sh.

ESP=
ESP_FAULT=
ESP_WAIT_S=300
ENTRIES=loader/entries
# What else the kernel is told in a start on trial; the last that is said counts. Whatever goes wrong
# in it shall end it, so that the boot loader counts the next.
TRIAL_WORDS="oops=panic panic=10"
# The kernel takes 2047 characters, some of them from the boot loader, and cuts off the rest.
OPTIONS_CHARS=2000

slots_open()
{
	SLOT=$(cat "$RUN/slot" 2>/dev/null) || die "this system does not run from an image of millrace"
}

need_slot()
{
	[[ -n $SLOT ]] || die "this node was started without a disk's slot (PXE): its image is where it" \
		"was fetched from"
}

other_slot()
{
	[[ $SLOT == a ]] && echo b || echo a
}

# esp_open ro|rw: one at a time, whoever else asks waits.
esp_open()
{
	ESP_WAIT_S=300
	esp_mount "$1" || die "$ESP_FAULT"
}

# esp_mount ro|rw: as esp_open, but returns 1 where that fails; ESP_FAULT says why.
esp_mount()
{
	local device
	exec {ESP_LOCK}>"$RUN/esp.lock"
	ESP_FAULT=
	if ! flock -w "$ESP_WAIT_S" "$ESP_LOCK"; then
		ESP_FAULT="another millrace-image is at work"
	elif ! device=$(partition millrace-esp); then
		ESP_FAULT="there is no EFI partition"
	else
		mkdir -p "$RUN/esp"
		# One that was killed may have left it.
		umount "$RUN/esp" 2>/dev/null || true
		modprobe -qa vfat nls_ascii nls_cp437 nls_iso8859-1 2>/dev/null || true
		mount -t vfat -o "$1,umask=0077,nosuid,nodev,noexec" "$device" "$RUN/esp" 2>/dev/null ||
			ESP_FAULT="the EFI partition $device cannot be mounted"
	fi
	[[ -z $ESP_FAULT ]] || { exec {ESP_LOCK}>&- && return 1; }
	ESP=$RUN/esp
	trap esp_close EXIT
}

esp_close()
{
	[[ -n $ESP ]] || return 0
	sync -f "$ESP"
	umount "$ESP" || umount -l "$ESP"
	ESP=
	exec {ESP_LOCK}>&-
	trap - EXIT
}

# Names of a slot's entries, the newest first.
slot_entries()
{
	local name
	for name in "$ESP/$ENTRIES/millrace-$1-"*.conf; do
		[[ ! -e $name ]] || echo "${name##*/}"
	done | sort -rV
}

# entry_like SLOT PATTERN: the newest of a slot whose name is such; nothing where there is none.
entry_like()
{
	local name
	while read -r name; do
		# shellcheck disable=SC2053 # it is a pattern
		[[ $name != $2 ]] || { echo "$name" && return; }
	done < <(slot_entries "$1")
}

entry_counted()
{
	entry_like "$1" '*+*'
}

# What stands for a slot: the good one, or else what is on trial.
entry_of()
{
	local name
	name=$(entry_like "$1" '!(*+*)')
	echo "${name:-$(entry_counted "$1")}"
}

# The serial of the trial that this start is, by the kernel's command line; nothing where it is none.
trial_serial()
{
	[[ ! " $(<"$PROCFS/cmdline") " =~ \ millrace\.trial=([0-9]{1,9})\  ]] || echo "${BASH_REMATCH[1]}"
}

# The entry that this system was started from.
entry_running()
{
	local serial name=
	serial=$(trial_serial)
	[[ -z $serial ]] || name=$(entry_like "$SLOT" "millrace-?-$serial+*")
	echo "${name:-$(entry_of "$SLOT")}"
}

# How often a trial is started before it is given up.
trial_starts()
{
	cat "$RUN/trial_starts" 2>/dev/null || echo 3
}

# entry_state NAME: good, trial N, failed, or empty.
entry_state()
{
	local name=$1
	case $name in
	'') echo empty ;;
	*+0*.conf) echo failed ;;
	*+*.conf) name=${name#*+} && echo "trial ${name%%[-.]*}" ;;
	*) echo good ;;
	esac
}

slot_state()
{
	entry_state "$(entry_of "$1")"
}

# entry_field NAME FIELD
entry_field()
{
	[[ -z $1 ]] || awk -v field="$2" '$1 == field { sub(/^[^ ]* */, ""); print; exit }' "$ESP/$ENTRIES/$1"
}

# What the next entry of a slot is numbered.
entry_serial()
{
	local newest="" serial=0
	read -r newest < <(slot_entries "$1") || true
	[[ ! $newest =~ ^millrace-.-([0-9]{1,9}) ]] || serial=${BASH_REMATCH[1]}
	echo $((10#$serial + 1))
}

# trial_entry SERIAL <TEXT: with the mark of a trial, which comes last.
trial_entry()
{
	cat && echo "options millrace.trial=$1 $TRIAL_WORDS"
}

# entry_put SLOT COUNT <TEXT: an entry of the slot. COUNT is such as +3, and what was on trial before
# goes; or nothing, and all others go. Return: 1 where it could not be written, nothing goes then; or with
# ESP_FAULT, where it would lose the mark of a trial, which comes last.
entry_put()
{
	local old name serial dir=$ESP/$ENTRIES
	serial=$(entry_serial "$1")
	name=millrace-$1-$serial$2.conf
	# Step by step: were one to fail, what is there must stay.
	if [[ -n $2 ]]; then
		mapfile -t old < <(slot_entries "$1" | sed '/+/!d')
		trial_entry "$serial" >"$dir/new" || return 1
		options_fit <"$dir/new" || return 1
	else
		mapfile -t old < <(slot_entries "$1")
		cat >"$dir/new" || return 1
	fi
	sync -- "$dir/new" || return 1
	mv -fT "$dir/new" "$dir/$name" || return 1
	sync -f "$dir" || return 1
	entries_remove "${old[@]}"
}

options_fit()
{
	local chars
	chars=$(awk '$1 == "options" { sub(/^options +/, ""); n += length + 1 } END { print n - 1 }')
	((chars <= OPTIONS_CHARS)) ||
		{ ESP_FAULT="its kernel command line would have $chars characters, and $OPTIONS_CHARS fit" && return 1; }
}

entries_remove()
{
	local name
	for name in "$@"; do
		rm -f "$ESP/$ENTRIES/$name" || return 1
	done
	sync -f "$ESP/$ENTRIES"
}

# entry_text SLOT TITLE VERSION OPTIONS WORDS
entry_text()
{
	cat <<-END
		title $2
		sort-key millrace
		version $3
		linux /millrace/$1/vmlinuz
		initrd /millrace/$1/initrd.img
		options $4
	END
	[[ -z $5 ]] || echo "options $5"
}

# entry_with_words NAME WORDS: its text, with other words on the second line of options, and without
# the third.
entry_with_words()
{
	[[ -n $1 ]] || return 1
	awk -v words="$2" '$1 == "options" && n++ { next } { print }
		END { if (words != "") print "options " words }' "$ESP/$ENTRIES/$1"
}

# entry_words NAME: what the configuration has the kernel told.
entry_words()
{
	[[ -z $1 ]] || awk '$1 == "options" && n++ && $2 !~ /^millrace\.trial=/ { sub(/^options +/, ""); print }' \
		"$ESP/$ENTRIES/$1"
}

verb_status()
{
	local slot
	if [[ -n $SLOT ]]; then
		esp_open ro
		for slot in a b; do
			status_slot "$slot"
		done
		esp_close
	else
		echo "slot: none; started from the network"
	fi
	echo "configuration: $(<"$RUN/source")"
	[[ -z $(<"$RUN/fault") ]] || echo "configuration that was meant: $(<"$RUN/fault")"
}

status_slot()
{
	local name counted text
	name=$(entry_of "$1")
	text=$(status_words "$name")
	[[ -z $name ]] || text+=", $(entry_field "$name" title)"
	[[ $1 != "$SLOT" ]] || text+=", runs now"
	echo "slot $1: $text"
	counted=$(entry_counted "$1")
	[[ -z $counted || $counted == "$name" ]] ||
		echo "slot $1, other kernel words: $(status_words "$counted"), $(words_named "$counted")"
}

status_words()
{
	local state
	state=$(entry_state "$1")
	# The last of its starts is this one.
	[[ $state != failed || $1 != "$(entry_running)" ]] || state="trial 0"
	case $state in
	trial*) echo "on trial, ${state#* } starts left" ;;
	*) echo "$state" ;;
	esac
}

# words_named NAME: the entry's words, to be read.
words_named()
{
	local words
	words=$(entry_words "$1")
	echo "${words:-none}"
}
