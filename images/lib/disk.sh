# shellcheck shell=bash
# The disk image, the update and the report. No loop device: each partition is a file first.
# Sourced by images/build.

ESP_MIB=256
SLOT_MIB=512
STATE_MIB=64
# The same in each image: they tell partitions from one another, not nodes.
DISK_ID=6d696c6c-7261-4365-8000-000000000000

disk_make()
{
	local title
	title=$(<"$WORK/root/usr/lib/millrace/title")
	(($(stat -c %s "$WORK/root.squashfs") <= SLOT_MIB * 1048576)) ||
		die "the root is larger than its slot of $SLOT_MIB MiB: leave packages out"
	pxe_make
	update_make "$title"
	quietly "making the EFI partition" esp_make "$title"
	quietly "making the state partition" state_make
	quietly "putting the disk together" disk_join
}

pxe_make()
{
	mkdir -p "$WORK/pxe"
	ln "$WORK/root.squashfs" "$WORK/pxe/root.squashfs"
	touch -d "@$SOURCE_DATE_EPOCH" "$WORK/pxe" "$WORK/pxe/root.squashfs"
	{
		cat "$WORK/initrd.small"
		# The kernel looks for the next archive at the next four bytes.
		head -c $(((4 - $(stat -c %s "$WORK/initrd.small") % 4) % 4)) /dev/zero
		initrd_pack "$WORK/pxe"
	} >"$WORK/out/initrd.img"
}

esp_make()
{
	local esp=$WORK/esp.img tree=$WORK/esp
	mkdir -p "$tree"/{EFI/BOOT,EFI/systemd,loader/entries,millrace/a,millrace/b}
	dpkg-deb --fsys-tarfile "$(one_deb 'systemd-boot-efi_*')" |
		tar -xO ./usr/lib/systemd/boot/efi/systemd-bootx64.efi >"$tree/EFI/BOOT/BOOTX64.EFI"
	cp "$tree/EFI/BOOT/BOOTX64.EFI" "$tree/EFI/systemd/systemd-bootx64.efi"
	printf 'timeout 0\neditor no\nauto-entries no\nauto-firmware no\n' >"$tree/loader/loader.conf"
	cp "$WORK/out/vmlinuz" "$tree/millrace/a/vmlinuz"
	cp "$WORK/initrd.small" "$tree/millrace/a/initrd.img"
	entry_text a "$1" 1 "$OPTIONS millrace.slot=a" "" >"$tree/loader/entries/millrace-a-1.conf"
	clamp "$tree"
	truncate -s "${ESP_MIB}M" "$esp"
	mkfs.vfat --invariant -F 32 -i 6d696c6c -n MR-ESP "$esp"
	# One by one, in one order: the FAT shall be the same each time.
	(cd "$tree" && find . -mindepth 1 -type d -printf '%P\0' | sort -z) |
		while IFS= read -r -d '' name; do mmd -i "$esp" "::$name"; done
	(cd "$tree" && find . -type f -printf '%P\0' | sort -z) |
		while IFS= read -r -d '' name; do mcopy -m -Q -i "$esp" "$tree/$name" "::$name"; done
}

state_make()
{
	truncate -s "${STATE_MIB}M" "$WORK/state.img"
	# Made for the disk that it grows into: what is told of a small one stays for good. 2^28 blocks are
	# 1 TiB; with places for four times as many a step of the growth would not fit the journal.
	E2FSPROGS_FAKE_TIME=$SOURCE_DATE_EPOCH mke2fs -q -t ext4 -L MR-STATE -m 0 -b 4096 -i 65536 -U "$DISK_ID" \
		-E "hash_seed=$DISK_ID,lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0,resize=268435456" \
		-O ^orphan_file,^metadata_csum_seed "$WORK/state.img"
}

# The two root slots and the state are plain Linux partitions: systemd shall not guess at them.
disk_join()
{
	local raw=$WORK/out/millrace.raw at=1 linux=0FC63DAF-8483-4772-8E79-3D69D8477DE4
	truncate -s $((1 + ESP_MIB + 2 * SLOT_MIB + STATE_MIB + 1))M "$raw"
	{
		printf 'label: gpt\nlabel-id: %s\nfirst-lba: 2048\n' "$DISK_ID"
		disk_part $at $ESP_MIB C12A7328-F81F-11D2-BA4B-00A0C93EC93B 1 millrace-esp
		disk_part $((at += ESP_MIB)) $SLOT_MIB $linux 2 millrace-root-a
		disk_part $((at += SLOT_MIB)) $SLOT_MIB $linux 3 millrace-root-b
		disk_part $((at += SLOT_MIB)) $STATE_MIB $linux 4 millrace-state
	} | sfdisk -q --no-reread --no-tell-kernel "$raw"
	disk_place "$WORK/esp.img" 1
	disk_place "$WORK/root.squashfs" $((1 + ESP_MIB))
	disk_place "$WORK/state.img" $((1 + ESP_MIB + 2 * SLOT_MIB))
}

# disk_part AT MIB TYPE NUMBER NAME
disk_part()
{
	echo "start=$(($1 * 2048)), size=$(($2 * 2048)), type=$3, uuid=${DISK_ID%?}$4, name=$5"
}

disk_place()
{
	dd if="$1" of="$WORK/out/millrace.raw" bs=1M seek="$2" conv=sparse,notrunc status=none
}

# As images/root/usr/lib/millrace/install.sh reads it.
update_make()
{
	local out=$WORK/out/millrace.update name file
	{
		printf 'MILLRACE-UPDATE 1\ntitle %s\narch x86_64\noptions %s\n' "$1" "$OPTIONS"
		for name in vmlinuz initrd root; do
			file=$(update_part "$name")
			echo "$name $(stat -c %s "$file") $(sha256sum <"$file" | cut -c 1-64)"
		done
	} >"$WORK/header"
	(($(stat -c %s "$WORK/header") <= 4096)) || die "the update's header is too long: fewer --options"
	truncate -s 4096 "$WORK/header"
	: >"$WORK/signature"
	[[ -z $SIGN ]] || openssl pkeyutl -sign -inkey "$SIGN" -rawin -in "$WORK/header" |
		base64 -w 0 >"$WORK/signature"
	truncate -s 4096 "$WORK/signature"
	cat "$WORK/header" "$WORK/signature" "$(update_part vmlinuz)" "$(update_part initrd)" \
		"$(update_part root)" >"$out"
}

update_part()
{
	case $1 in
	vmlinuz) echo "$WORK/out/vmlinuz" ;;
	initrd) echo "$WORK/initrd.small" ;;
	root) echo "$WORK/root.squashfs" ;;
	esac
}

report_make()
{
	local key=
	[[ -z $SIGN ]] || key=$(openssl pkey -in "$SIGN" -pubout -outform DER | tail -c 32 | base64)
	quietly "writing the report" "$ROOT/images/lib/report.py" --root "$WORK/root" --out "$WORK/out" \
		--debs "$WORK/debs" --squashfs "$WORK/root.squashfs" --initrd "$WORK/initrd.small" \
		--update-key "$key"
}
