# shellcheck shell=bash
# shellcheck disable=SC2034,SC2153 # others' variables
# An update into the slot that does not run. The file: a header of 4096 bytes (text, zeros behind), a
# signature of 4096 bytes (base64 of the header's, or zeros), then kernel, RAM disk and root, of the
# sizes and sums that the header names. It is read once, from the front, so that it may come by a
# pipe. Until all of it is written and read back, the boot loader knows nothing of the slot.
# Sourced after slots.sh.

HEADER_BYTES=4096
declare -A HEAD=()

verb_install()
{
	local file=$1
	need_slot
	[[ $file == - || -r $file ]] || die "$file cannot be read"
	if [[ $file == - ]]; then
		exec 3<&0
	else
		exec 3<"$file"
	fi
	esp_open rw
	[[ $(entry_state "$(entry_running)") == good ]] ||
		die "slot $SLOT, which runs, is on trial itself: wait for it, or  millrace-image confirm"
	head_read
	head_signature
	slot_write "$(other_slot)"
	esp_close
	echo "slot $(other_slot) holds ${HEAD[title]}; it is tried at the next start:  systemctl reboot"
}

# Read and judge the header before anything is touched.
head_read()
{
	local key value name
	head -c "$HEADER_BYTES" <&3 >"$RUN/header"
	[[ $(head -c 18 "$RUN/header" | tr -d '\0') == "MILLRACE-UPDATE 1"* ]] ||
		die "this is no update of millrace: images/build makes one, millrace.update"
	while read -r key value; do
		HEAD[$key]=$value
	done < <(tr -d '\0' <"$RUN/header" | tail -n +2)
	for name in vmlinuz initrd root; do
		[[ ${HEAD[$name]:-} =~ ^[0-9]{1,12}\ [0-9a-f]{64}$ ]] || die "the update is damaged: no $name in it"
	done
	[[ ${HEAD[title]:-} =~ ^[[:print:]]{1,200}$ && ${HEAD[options]:-} =~ ^[[:print:]]{0,1000}$ ]] ||
		die "the update is damaged: its header has no title"
	[[ ${HEAD[arch]:-} == "$(uname -m)" ]] || die "the update is for ${HEAD[arch]:-another machine}"
}

# A node with [node] update_key takes only what is signed with the key's other half (Ed25519).
head_signature()
{
	local key
	head -c "$HEADER_BYTES" <&3 | tr -d '\0' >"$RUN/signature"
	key=$(cat "$RUN/update_key" 2>/dev/null || true)
	[[ -n $key ]] || return 0
	[[ -s $RUN/signature ]] || die "the update is not signed, and [node] update_key asks for that"
	# What stands before the 32 bytes of an Ed25519 key in DER.
	{ printf '\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00' && base64 -d <<<"$key"; } >"$RUN/key.der"
	base64 -d "$RUN/signature" >"$RUN/signature.raw" 2>/dev/null || true
	openssl pkeyutl -verify -pubin -keyform DER -inkey "$RUN/key.der" -rawin \
		-in "$RUN/header" -sigfile "$RUN/signature.raw" >/dev/null 2>&1 ||
		die "the update is not signed with the key that [node] update_key names"
}

size_of()
{
	echo "${HEAD[$1]% *}"
}

slot_write()
{
	local slot=$1 device version old text
	device=$(partition "millrace-root-$slot") || die "there is no partition millrace-root-$slot"
	(($(size_of root) <= $(blockdev --getsize64 "$device"))) ||
		die "the root of the update is too large for $device"
	esp_room "$slot"
	version=$(entry_field "$(entry_running)" version)
	text=$(entry_text "$slot" "${HEAD[title]}" $((${version:-1} + 1)) "${HEAD[options]} millrace.slot=$slot" \
		"$(entry_words "$(entry_running)")") || die "the EFI partition cannot be read"
	# Before the slot loses what it has.
	options_fit < <(trial_entry "$(entry_serial "$slot")" <<<"$text") || die "$ESP_FAULT"
	mapfile -t old < <(slot_entries "$slot")
	entries_remove "${old[@]}"
	mkdir -p "$ESP/millrace/$slot"
	write_file vmlinuz "$ESP/millrace/$slot/vmlinuz"
	write_file initrd "$ESP/millrace/$slot/initrd.img"
	write_root "$device"
	entry_put "$slot" "+$(trial_starts)" <<<"$text" ||
		die "${ESP_FAULT:-the EFI partition cannot be written}; slot $slot is empty now"
}

# What the slot has now may go.
esp_room()
{
	local free
	free=$(($(df --output=avail -B 1K "$ESP" | tail -n 1) * 1024))
	# None are there before the first update.
	free=$((free + $({ cat "$ESP/millrace/$1/"* 2>/dev/null || true; } | wc -c)))
	((free >= $(size_of vmlinuz) + $(size_of initrd) + 65536)) ||
		die "disk full: the EFI partition has no room for the update's kernel"
}

write_file()
{
	rm -f "$2"
	head -c "$(size_of "$1")" <&3 >"$2" || die "disk full: ${2##*/} could not be written"
	sync -- "$2"
	echo 1 >"$PROCFS/sys/vm/drop_caches" 2>/dev/null || true
	[[ $(sha256sum <"$2") == "${HEAD[$1]#* } "* ]] ||
		die "the update is damaged or cut short at ${2##*/}; slot $(other_slot) is empty now"
}

# To the disk and back, past what the kernel keeps in memory.
write_root()
{
	local bytes
	bytes=$(size_of root)
	dd of="$1" bs=4M iflag=fullblock,count_bytes count="$bytes" conv=fsync status=none <&3 ||
		die "$1 could not be written"
	blockdev --flushbufs "$1"
	[[ $(dd if="$1" bs=4M iflag=direct,count_bytes count="$bytes" status=none | sha256sum) == \
		"${HEAD[root]#* } "* ]] ||
		die "the update is damaged or cut short at its root; slot $(other_slot) is empty now"
}
