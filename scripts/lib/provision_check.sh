# shellcheck shell=bash
# Everything that can be known to be wrong before anything is changed: one line, and the end.
# Sourced after hardware.sh and record.sh.

check_all()
{
	check_system
	check_cores
	[[ -z $NIC ]] || check_nic
	check_interfaces
	check_release
	check_pages
	check_cmdline
	check_disk
}

check_system()
{
	local id='' version=''
	[[ -e $TARGET/etc/os-release ]] || die "$TARGET/ is no Debian 12: it has no /etc/os-release"
	id=$(sed -n 's/^ID=//p' "$TARGET/etc/os-release")
	version=$(sed -n 's/^VERSION_ID="\?\([0-9]*\)"\?/\1/p' "$TARGET/etc/os-release")
	[[ $id == debian && $version == 12 ]] ||
		die "Debian 12 is needed, and this is ${id:-unknown} ${version:-without a version}"
	[[ -x $TARGET/usr/bin/systemctl || -x $TARGET/bin/systemctl ]] ||
		die "systemd is needed: apt-get install systemd-sysv"
}

check_cores()
{
	local cpu present
	[[ -n $CORES && -n $HARDWARE ]] || return 0
	present=$(cpus_present)
	for cpu in $(list_expand "$CORES"); do
		grep -qx "$cpu" <<<"$present" ||
			die "--cores: there is no core $cpu here, but $(list_join <<<"$present")"
	done
	[[ -n $(cores_left) ]] || die "--cores: at least one core must be left to the kernel"
}

# Those that the workers do not get.
cores_left()
{
	comm -23 <(cpus_present | sort) <(list_expand "$CORES" | sort) | list_join
}

check_nic()
{
	[[ -n $HARDWARE ]] || return 0
	[[ -e $(nic_dir "$NIC") ]] ||
		die "--nic: there is no PCI device $NIC here; NICs are: $(nic_list || echo none)"
	[[ $(<"$(nic_dir "$NIC")/class") == 0x02* ]] ||
		die "--nic: $NIC is no NIC (PCI class $(<"$(nic_dir "$NIC")/class"));" \
			"NICs are: $(nic_list || echo none)"
	! nic_is_unknown "$NIC" || die "--nic: $NIC is a ConnectX-3 or older, and DPDK here has no driver" \
		"for it: use --interface, or another NIC"
	[[ $(nic_driver "$NIC") == vfio-pci ]] || check_nic_free
	[[ -z $NIC_STAYS ]] || { check_nic_shared && return; }
	[[ $(iommu_state) != none ]] ||
		die "no IOMMU: vfio-pci needs one; enable $(iommu_name) in the firmware setup, or" \
			"leave $NIC to the kernel and use --interface"
	check_nic_group
}

# What we bound in an earlier run we give back; what somebody else did stays theirs to take back.
check_nic_shared()
{
	[[ $(nic_driver "$NIC") != vfio-pci ]] || nics_unwanted | grep -qxF "$NIC" ||
		die "--nic: $NIC is with vfio-pci, and DPDK's driver for it works beside mlx5_core: give it back" \
			"with  driverctl unset-override $NIC"
}

check_nic_free()
{
	local name use
	for name in $(nic_interfaces "$NIC"); do
		if [[ -n $MGMT ]] && interfaces_below "$MGMT" | grep -qxF "$name"; then
			die "--nic: $NIC ($name) carries the management interface $MGMT"
		fi
		[[ -z $FORCE ]] || continue
		if default_route_interfaces | grep -qxF "$name"; then
			die "--nic: $NIC ($name) carries the default route; --force takes it all the same," \
				"and cuts this machine off"
		fi
		use=$(interface_use "$name")
		[[ -z $use ]] || die "--nic: $NIC is in use: $name $use; free it first (ip addr flush" \
			"dev $name), or give --force"
	done
}

check_interfaces()
{
	local there
	[[ -n $HARDWARE ]] || return 0
	[[ -z $MGMT || -e $SYSFS/class/net/$MGMT ]] || die "--mgmt: there is no interface $MGMT here"
	there=$(cd "$SYSFS/class/net" && printf '%s\n' * | paste -sd ' ')
	[[ -z $INTERFACE || -e $SYSFS/class/net/$INTERFACE ]] ||
		die "--interface: there is no interface $INTERFACE here; there are: $there"
}

# The kernel waits until nobody uses a NIC that vfio-pci shall give up.
check_release()
{
	local old
	for old in $(nics_unwanted); do
		[[ -z $LIVE || $(nic_driver "$old") != vfio-pci ]] || ! systemctl --quiet is-active \
			millrace-dataplane.service 2>/dev/null ||
			die "--nic: the data plane runs on $old, which is to go back to the kernel:" \
				"systemctl stop millrace.target  first"
	done
}

check_nic_group()
{
	local others
	others=$(nic_group_others "$NIC" | paste -sd ' ')
	[[ -z $others ]] ||
		die "--nic: $NIC shares its IOMMU group with $others, and vfio-pci takes a group whole:" \
			"unbind what is named, or take a NIC in another slot"
}

check_pages()
{
	local node have total want_mib=$((PAGES * 2))
	[[ -n $HARDWARE ]] || return 0
	for node in $(pages_nodes); do
		(($(node_big_pages "$node") < PAGES)) || continue
		[[ -e $(node_pages_file "$node") ]] ||
			die "this kernel offers no huge pages of 2 MiB: boot Debian's own kernel"
		have=$(<"$(node_pages_file "$node")")
		((have + $(node_big_pages "$node") < PAGES)) || continue
		total=$(node_memory_mib "$node" MemTotal)
		((want_mib <= total * 3 / 4)) ||
			die "--hugepages: too little memory on NUMA node $node: $PAGES huge pages are" \
				"$want_mib MiB, and of its $total MiB at most three quarters may be such"
	done
}

# Somebody else's setting of the same thing would be overridden, or override.
check_cmdline()
{
	local word ours base
	base=" $(boot_base) "
	for ours in $(boot_wanted); do
		for word in $base; do
			[[ ${word%%=*} == "${ours%%=*}" && $word != "$ours" ]] || continue
			[[ ${word%%=*} != @(hugepagesz|hugepages|iommu) ]] || continue
			die "the kernel command line has $word already, and $ours is wanted:" \
				"take it out of $(boot_where) first"
		done
	done
	check_cmdline_pages
}

# The kernel takes the number of each size once, and one without a size for the size before it.
check_cmdline_pages()
{
	local node all=0 words
	[[ -n $(boot_wanted_pages) ]] || return 0
	for node in $(boot_nodes); do
		all=$((all + $(boot_pages 2M "$node")))
	done
	((all == 0)) ||
		die "the kernel command line has $all huge pages of 2 MiB already, and $PAGES on each of" \
			"the NUMA nodes $(pages_nodes | list_join) are wanted: take them out of $(boot_where) first"
	words=" $(boot_base)"
	[[ ${words%% hugepagesz=*} != *" hugepages="* ]] ||
		die "the kernel command line has hugepages= without its size, and others are wanted beside" \
			"these: put hugepagesz=1G before it in $(boot_where) first"
}

# check_disk: the sum of what is needed on each file system.
check_disk()
{
	local path mib device free
	declare -A needed=() shown=()
	while read -r path mib; do
		device=$(stat -c %d "$TARGET$path")
		needed[$device]=$((${needed[$device]:-0} + mib))
		shown[$device]=$path
	done < <(disk_needs)
	for device in "${!needed[@]}"; do
		path=${shown[$device]}
		free=$(df --output=avail -B 1K "$TARGET$path" | tail -n 1)
		((free >= needed[$device] * 1024)) ||
			die "disk full: $((free / 1024)) MiB are free on the file system of $TARGET$path," \
				"${needed[$device]} MiB are needed"
	done
}

disk_needs()
{
	local tree_mib=1
	[[ -z $TREE ]] || tree_mib=$(($(du -sm "$TREE" | cut -f 1) + 1))
	echo "/etc 1"
	if (($(target_missing | wc -l) > 0)); then
		echo "/usr $((tree_mib + 120))"
		echo "/var 220"
	else
		echo "/usr $tree_mib"
		echo "/var 2"
	fi
	[[ $BOOT == none || ! -d $TARGET/boot ]] || echo "/boot 1"
}
