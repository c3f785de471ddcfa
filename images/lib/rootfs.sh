# shellcheck shell=bash
# shellcheck disable=SC2153 # ROOT is common.sh's
# The root file system: Debian's packages, our programs, and what makes an appliance of it.
# Sourced by images/build.

# Documentation in any language is on the network, and nobody installs a package here.
LEFT_OUT=(doc locale man info lintian bash-completion zsh bug)
# Units that an edge has no use for, or that cost it seconds at start: what udev would bind is bound
# before (driverctl), users are in the image (sysusers), modules that are wanted are loaded when used.
MASKED=(dpdk.service driverctl@.service e2scrub_reap.service e2scrub_all.timer fstrim.timer
	dpkg-db-backup.timer systemd-logind.service getty@.service serial-getty@.service
	console-getty.service getty-static.service systemd-networkd-wait-online.service
	systemd-pstore.service systemd-rfkill.service systemd-rfkill.socket
	systemd-hwdb-update.service systemd-update-done.service systemd-journal-catalog-update.service
	ldconfig.service systemd-firstboot.service systemd-machine-id-commit.service
	systemd-remount-fs.service systemd-update-utmp.service systemd-update-utmp-runlevel.service
	systemd-boot-system-token.service systemd-repart.service systemd-sysusers.service
	systemd-binfmt.service proc-sys-fs-binfmt_misc.automount systemd-modules-load.service
	systemd-pcrphase.service systemd-pcrphase-sysinit.service systemd-initctl.socket
	systemd-ask-password-console.path systemd-ask-password-wall.path dev-mqueue.mount
	sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount
	sys-fs-fuse-connections.mount modprobe@.service remote-fs.target cryptsetup.target
	integritysetup.target veritysetup.target
	iwpmd.service rdma-ndd.service rdma-load-modules@.service rdma-hw.target)
# Partitions are ours to mount; what stands in no table need not be looked for.
GENERATORS=(cryptsetup gpt-auto hibernate-resume integritysetup rc-local system-update sysv veritysetup)

rootfs_make()
{
	local include arguments=() name mirror=()
	include=$(printf '%s\n' "${PACKAGES_RUN[@]}" "${PACKAGES_RUN_MLX5[@]}" "${PACKAGES_IMAGE_ROOT[@]}" \
		"${EXTRA[@]}" | paste -sd ,)
	for name in "${LEFT_OUT[@]}"; do
		arguments+=("--dpkgopt=path-exclude=/usr/share/$name/*")
	done
	[[ -z $MIRROR ]] || mirror=("$MIRROR")
	# Perl would come with usrmerge, which has nothing to do on a root that is made merged.
	printf 'Package: usrmerge\nPin: release *\nPin-Priority: -1\n' >"$WORK/pin"
	mkdir -p "$WORK/debs"
	[[ -z $CACHE ]] || arguments+=(
		"--skip=download/empty,essential/unlink"
		--setup-hook="mkdir -p \"\$1/var/cache/apt/archives\" && find '$CACHE' -maxdepth 1 -name '*.deb' -exec cp -t \"\$1/var/cache/apt/archives\" {} +")
	mmdebstrap --mode=root --variant=essential --format=directory --include="$include" \
		--dpkgopt=force-unsafe-io "${arguments[@]}" \
		--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
		--setup-hook="install -D -m 0644 '$WORK/pin' \"\$1/etc/apt/preferences.d/pin\"" \
		--customize-hook="'$ROOT/images/lib/fetch' \"\$1\" '$WORK/debs' '$CACHE'" \
		bookworm "$WORK/root" "${mirror[@]}"
	rm "$WORK/root/etc/apt/preferences.d/pin"
}

# What scripts/provision does to an installed Debian, and the record of it not.
rootfs_provision()
{
	"$ROOT/scripts/provision" --root "$WORK/root" --tree "$TREE" --boot none
	rm -rf "$WORK/root/var/lib/millrace-provision"
}

rootfs_settle()
{
	local root=$WORK/root unit
	cp -r "$ROOT/images/root/." "$root/"
	cp "$ROOT/scripts/lib/common.sh" "$ROOT/scripts/lib/hardware.sh" "$root/usr/lib/millrace/"
	image_title >"$root/usr/lib/millrace/title"
	for unit in "${MASKED[@]}"; do
		ln -sfn /dev/null "$root/etc/systemd/system/$unit"
	done
	mkdir -p "$root/etc/systemd/system-generators"
	for unit in "${GENERATORS[@]}"; do
		ln -sfn /dev/null "$root/etc/systemd/system-generators/systemd-$unit-generator"
	done
	# It would write into /root.
	ln -sfn /dev/null "$root/etc/tmpfiles.d/provision.conf"
	# The edge does not wait for the clock.
	sed '/^Before=/d; s/^After=.*/After=millrace.target/; s/^WantedBy=.*/WantedBy=multi-user.target/' \
		"$root/lib/systemd/system/systemd-timesyncd.service" \
		>"$root/etc/systemd/system/systemd-timesyncd.service"
	rm -f "$root/etc/systemd/system/sysinit.target.wants/systemd-timesyncd.service"
	ln -sfn /etc/systemd/system/systemd-timesyncd.service \
		"$root/etc/systemd/system/multi-user.target.wants/systemd-timesyncd.service"
	# Started by its socket, and only where somebody may log in.
	rm -f "$root"/etc/systemd/system/{multi-user.target.wants/ssh.service,sshd.service}
	unit_enable systemd-networkd.service multi-user.target
	unit_enable millrace-health.service multi-user.target
	unit_enable millrace-keys.service multi-user.target
	ln -sfn /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
	mkdir -p "$root/state"
	rootfs_clean
}

unit_enable()
{
	local dir=$WORK/root/etc/systemd/system/$2.wants path=/lib/systemd/system/$1
	mkdir -p "$dir"
	ln -sfn "$path" "$dir/$1"
}

# What is another's at each build, and what shall be each node's own.
rootfs_clean()
{
	local root=$WORK/root
	rm -f "$root"/etc/ssh/ssh_host_* "$root"/etc/{hostname,resolv.conf,passwd-,group-,shadow-,gshadow-,subuid-,subgid-} \
		"$root"/var/lib/dpkg/*-old "$root"/var/cache/debconf/*-old "$root"/var/lib/systemd/random-seed \
		"$root"/etc/.pwd.lock "$root"/var/cache/ldconfig/aux-cache
	: >"$root/etc/machine-id"
	rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt "$root"/var/log/* "$root"/run/* "$root"/tmp/* \
		"$root"/var/lib/dbus "${root:?}"/boot/* "$root"/usr/share/{doc,man,info,locale,lintian} \
		"$root"/etc/apt "$root"/root/.ssh "$root"/usr/lib/udev/hwdb.{d,bin} "$root"/var/cache/debconf
	rm -f "$root"/var/lib/dpkg/info/*.{symbols,templates,shlibs,triggers}
	mkdir -p "$root/var/log/journal" "$root/var/lib/systemd"
	# The days of the last change of a password are those of the build.
	sed -i -E "s/^([^:]*:[^:]*:)[0-9]+:/\\1$((SOURCE_DATE_EPOCH / 86400)):/" "$root/etc/shadow"
	find "$root" -xdev -newermt "@$SOURCE_DATE_EPOCH" -exec touch --no-dereference -d "@$SOURCE_DATE_EPOCH" {} +
}

image_title()
{
	local commit
	commit=$(git -C "$ROOT" rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
	echo "millrace $(sed -n "s/^  version: '\(.*\)',/\1/p" "$ROOT/meson.build") $commit $(date -u -d "@$SOURCE_DATE_EPOCH" +%F)"
}
