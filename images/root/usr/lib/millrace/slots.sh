# shellcheck shell=bash
# shellcheck disable=SC2034,SC2153 # others' variables
# The boot loader's entries on the EFI partition: loader/entries/millrace-SLOT-SERIAL.conf, and with
# +LEFT or +LEFT-DONE behind the serial while the slot is on trial; systemd-boot counts these down,
# and boots one with +0 only where there is nothing else. An entry is never changed in place: the
# new one is there before the old one goes, so that the power may fail in between.
# Sourced after place.sh.

ESP=
ENTRIES=loader/entries

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
	local device
	exec {ESP_LOCK}>"$RUN/esp.lock"
	flock -w 300 "$ESP_LOCK" || die "another millrace-image is at work"
	device=$(partition millrace-esp) || die "there is no EFI partition"
	ESP=$RUN/esp
	mkdir -p "$ESP"
	# One that was killed may have left it.
	umount "$ESP" 2>/dev/null || true
	modprobe -qa vfat nls_ascii nls_cp437 nls_iso8859-1 2>/dev/null || true
	mount -t vfat -o "$1,umask=0077,nosuid,nodev,noexec" "$device" "$ESP" ||
		die "the EFI partition $device cannot be mounted"
	trap esp_close EXIT
}

esp_close()
{
	[[ -n $ESP ]] || return 0
	sync -f "$ESP"
	umount "$ESP"
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

# good, trial N, failed, or empty
slot_state()
{
	local name
	name=$(slot_entries "$1" | head -n 1)
	case $name in
	'') echo empty ;;
	*+0*.conf) echo failed ;;
	*+*.conf) name=${name#*+} && echo "trial ${name%%[-.]*}" ;;
	*) echo good ;;
	esac
}

# entry_field SLOT FIELD: of its newest entry.
entry_field()
{
	local name
	name=$(slot_entries "$1" | head -n 1)
	[[ -z $name ]] || awk -v field="$2" '$1 == field { sub(/^[^ ]* */, ""); print; exit }' \
		"$ESP/$ENTRIES/$name"
}

# entry_put SLOT COUNT <TEXT: the slot's entry; those there were go. COUNT is such as +3, or nothing.
entry_put()
{
	local old name serial=0 dir=$ESP/$ENTRIES
	mapfile -t old < <(slot_entries "$1")
	((${#old[@]} == 0)) || [[ ! ${old[0]} =~ ^millrace-.-([0-9]{1,9}) ]] || serial=${BASH_REMATCH[1]}
	name=millrace-$1-$((10#$serial + 1))$2.conf
	cat >"$dir/new" && sync -- "$dir/new"
	mv -fT "$dir/new" "$dir/$name"
	sync -f "$dir"
	entries_remove "${old[@]}"
}

entries_remove()
{
	local name
	for name in "$@"; do
		rm -f "$ESP/$ENTRIES/$name"
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

# The entry as it stands, with other words on its second line of options.
entry_with_words()
{
	local name
	name=$(slot_entries "$1" | head -n 1)
	awk -v words="$2" '$1 == "options" && n++ { next } { print }
		END { if (words != "") print "options " words }' "$ESP/$ENTRIES/$name"
}

entry_words()
{
	local name
	name=$(slot_entries "$1" | head -n 1)
	awk '$1 == "options" && n++ { sub(/^options +/, ""); print }' "$ESP/$ENTRIES/$name"
}

verb_status()
{
	local slot text
	if [[ -n $SLOT ]]; then
		esp_open ro
		for slot in a b; do
			text=$(slot_state "$slot")
			[[ $text != trial* ]] || text="on trial, ${text#* } starts left"
			printf 'slot %s: %s%s%s\n' "$slot" "$text" \
				"$([[ $text == empty ]] || echo ", $(entry_field "$slot" title)")" \
				"$([[ $slot != "$SLOT" ]] || echo ", runs now")"
		done
		esp_close
	else
		echo "slot: none; started from the network"
	fi
	echo "configuration: $(<"$RUN/source")"
	[[ -z $(<"$RUN/fault") ]] || echo "configuration that was meant: $(<"$RUN/fault")"
}
