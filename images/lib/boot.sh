# shellcheck shell=bash
# Kernel, its modules, and the initial RAM disks. Sourced by images/build.

# Modules that an edge never needs; half of what Debian has.
MODULES_OUT=(sound drivers/gpu drivers/media drivers/video drivers/bluetooth drivers/staging drivers/iio
	drivers/comedi drivers/isdn drivers/nfc drivers/firewire drivers/parport
	drivers/pcmcia drivers/mtd drivers/w1 drivers/target drivers/accel drivers/hwmon drivers/leds
	drivers/infiniband/sw drivers/infiniband/ulp drivers/infiniband/hw/cxgb4 drivers/infiniband/hw/hfi1
	drivers/infiniband/hw/irdma drivers/infiniband/hw/mlx4 drivers/infiniband/hw/mthca
	drivers/infiniband/hw/ocrdma drivers/infiniband/hw/qedr drivers/infiniband/hw/qib
	drivers/infiniband/hw/usnic drivers/net/wireless drivers/net/can drivers/net/hamradio drivers/net/ieee802154 drivers/net/wwan
	drivers/net/fddi drivers/net/ppp drivers/usb/gadget drivers/usb/misc drivers/usb/serial arch/x86/kvm drivers/input/misc drivers/input/mouse
	drivers/input/joystick drivers/input/touchscreen drivers/input/tablet drivers/platform/chrome
	drivers/platform/surface drivers/net/ethernet/mellanox/mlxsw drivers/net/plip drivers/net/slip
	net/wireless net/mac80211 net/bluetooth net/nfc net/can net/ax25 net/netrom net/rose net/x25
	net/appletalk net/atm net/batman-adv net/ieee802154 net/mac802154 net/sunrpc net/rxrpc net/ceph
	net/tipc net/sctp net/dccp net/9p net/smc net/openvswitch net/rds net/lapb net/6lowpan
	fs/ocfs2 fs/btrfs fs/xfs fs/nfs fs/nfsd fs/smb fs/cifs fs/ksmbd fs/ceph fs/gfs2 fs/jfs fs/f2fs
	fs/reiserfs fs/ubifs fs/afs fs/coda fs/nilfs2 fs/udf fs/dlm fs/9p fs/orangefs fs/jffs2 fs/hfs
	fs/hfsplus fs/ufs fs/ntfs fs/ntfs3 fs/erofs fs/lockd fs/nfs_common fs/fscache fs/netfs)

boot_make()
{
	local deb exclude=() name
	mkdir -p "$WORK/out" "$WORK/kernel" "$WORK/initrd"
	deb=$(one_deb 'linux-image-*')
	for name in "${MODULES_OUT[@]}"; do
		exclude+=(--exclude="./lib/modules/*/kernel/$name")
	done
	dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$WORK/kernel" "${exclude[@]}" \
		--exclude='*/lib/test_*' ./boot ./lib/modules
	KERNEL=$(basename "$WORK"/kernel/lib/modules/*)
	cp "$WORK/kernel/boot/vmlinuz-$KERNEL" "$WORK/out/vmlinuz"
	mv "$WORK/kernel/lib/modules" "$WORK/root/usr/lib/modules"
	quietly "listing the kernel modules" depmod -b "$WORK/root" "$KERNEL"
	rm -f "$WORK/root/usr/lib/modules/$KERNEL/"{build,source}
	initrd_fill
	clamp "$WORK/root/usr/lib" "$WORK/initrd"
	initrd_pack "$WORK/initrd" | zstd -q -19 -T0 >"$WORK/initrd.small"
}

# clamp PATH...: nothing is newer than the image.
clamp()
{
	find "$@" -newermt "@$SOURCE_DATE_EPOCH" -exec touch --no-dereference -d "@$SOURCE_DATE_EPOCH" {} +
}

one_deb()
{
	local found=()
	mapfile -t found < <(find "$WORK/debs" -name "$1.deb" | sort -V)
	((${#found[@]} > 0)) || die "no package $1 was fetched"
	echo "${found[-1]}"
}

# busybox, our init, and the modules that find the root, with what they need.
initrd_fill()
{
	local tree=$WORK/initrd dir=lib/modules/$KERNEL name path
	mkdir -p "$tree"/{bin,dev,proc,sys,run,sysroot,"$dir"}
	dpkg-deb --fsys-tarfile "$(one_deb 'busybox-static_*')" | tar -xO ./bin/busybox >"$tree/bin/busybox"
	cp "$ROOT/images/initrd/init" "$tree/init"
	ln -s busybox "$tree/bin/sh"
	# Where the kernel looks for modprobe.
	ln -s bin "$tree/sbin"
	chmod 0755 "$tree/bin/busybox" "$tree/init"
	while read -r name; do
		modprobe -d "$WORK/root" -S "$KERNEL" --show-depends "$name" 2>/dev/null | awk '$1 == "insmod" { print $2 }' ||
			die "the kernel has no module $name: correct images/initrd/modules"
	done < <(sed 's/#.*//; /^[[:space:]]*$/d' "$ROOT/images/initrd/modules") | sort -u |
		while read -r path; do
			path=${path#*"/modules/$KERNEL/"}
			install -D -m 0644 "$WORK/root/usr/lib/modules/$KERNEL/$path" "$tree/$dir/$path"
		done
	cp "$WORK/root/usr/lib/modules/$KERNEL/"modules.{order,builtin,builtin.modinfo} "$tree/$dir/"
	quietly "listing the RAM disk's modules" depmod -b "$tree" "$KERNEL"
	rm -f "$tree/$dir/"modules.*.bin
}

initrd_pack()
{
	(cd "$1" && find . -print0 | sort -z |
		cpio --quiet --reproducible --null -o -H newc -R 0:0)
}

# The root, for the slots and for PXE: there it is the second part of the RAM disk.
root_pack()
{
	mksquashfs "$WORK/root" "$WORK/root.squashfs" -comp zstd -Xcompression-level 12 -b 128K \
		-noappend -no-progress -quiet
}
