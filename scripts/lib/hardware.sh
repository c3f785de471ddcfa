# shellcheck shell=bash
# What the machine has, read from sysfs and procfs: NICs, IOMMU, cores, NUMA nodes. Changes nothing.
# MILLRACE_SYSFS and MILLRACE_PROCFS name other trees than /sys and /proc, for tests.
# Sourced after common.sh.

SYSFS=${MILLRACE_SYSFS:-/sys}
PROCFS=${MILLRACE_PROCFS:-/proc}

# ---- lists of numbers

# list_expand LIST: 1-3,7 one a line. Return: 1 if it is no list.
list_expand()
{
	local item i items=()
	[[ $1 =~ ^[0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?)*$ ]] || return 1
	IFS=, read -r -a items <<<"$1"
	for item in "${items[@]}"; do
		((10#${item%-*} <= 10#${item#*-})) || return 1
		for ((i = 10#${item%-*}; i <= 10#${item#*-}; i++)); do
			echo "$i"
		done
	done
}

# list_join: numbers, one a line, as the kernel writes them: 1-3,7
list_join()
{
	sort -nu | awk '
		NR > 1 && $1 == last + 1 { last = $1; next }
		NR > 1 { put() }
		{ first = last = $1 }
		END { if (NR) put(); print out }
		function put() { out = out (out ? "," : "") first (last > first ? "-" last : "") }'
}

# ---- cores and nodes

cpus_present()
{
	list_expand "$(<"$SYSFS/devices/system/cpu/present")"
}

nodes_online()
{
	if [[ -e $SYSFS/devices/system/node/online ]]; then
		list_expand "$(<"$SYSFS/devices/system/node/online")"
	else
		echo 0
	fi
}

cpu_node()
{
	local dir
	for dir in "$SYSFS/devices/system/cpu/cpu$1"/node*; do
		[[ ! -e $dir ]] || { echo "${dir##*/node}" && return; }
	done
	echo 0
}

# node_memory_mib NODE MemTotal|MemFree
node_memory_mib()
{
	local file=$SYSFS/devices/system/node/node$1/meminfo
	[[ -e $file ]] || file=$PROCFS/meminfo
	awk -v key="$2:" '{ for (i = 1; i < NF; i++) if ($i == key) print int($(i + 1) / 1024) }' "$file"
}

# node_pages_file NODE [KIB]: the number of a node's huge pages, of 2 MiB unless told, as a file to
# read and write.
node_pages_file()
{
	local dir=$SYSFS/devices/system/node/node$1
	[[ -d $dir ]] || dir=$SYSFS/kernel/mm
	echo "$dir/hugepages/hugepages-${2:-2048}kB/nr_hugepages"
}

# What the huge pages of 1 GiB that a node has are worth, in such of 2 MiB. The data plane takes both.
node_big_pages()
{
	local n
	n=$(cat "$(node_pages_file "$1" 1048576)" 2>/dev/null) || n=0
	echo $((n * 512))
}

# ---- NICs

nic_dir()
{
	echo "$SYSFS/bus/pci/devices/$1"
}

nic_list()
{
	local dir nics=()
	for dir in "$SYSFS/bus/pci/devices"/*; do
		[[ ! -e $dir/class || $(<"$dir/class") != 0x02* ]] ||
			nics+=("${dir##*/} ($(nic_driver "${dir##*/}") $(nic_interfaces "${dir##*/}" | xargs))")
	done
	((${#nics[@]} > 0)) && printf '%s\n' "${nics[@]}" | sed 's/ )/)/' | paste -sd ' '
}

nic_driver()
{
	local link
	link=$(nic_dir "$1")/driver
	if [[ -L $link ]]; then
		basename -- "$(readlink -- "$link")"
	else
		echo "no driver"
	fi
}

# The kernel's interfaces on a PCI device, also behind virtio.
nic_interfaces()
{
	local dir
	for dir in "$(nic_dir "$1")"/net/* "$(nic_dir "$1")"/virtio*/net/*; do
		[[ ! -e $dir ]] || echo "${dir##*/}"
	done
}

# Those whose driver in DPDK works beside the kernel's own, which must stay: ConnectX-4 and later,
# BlueField. By what they are; before udev they have no driver at all.
nic_is_shared()
{
	[[ $(nic_id "$1") =~ ^0x15b3:0x(10(1[3-9a-f]|2[0-9a-f])|a2d[0-9a-f])$ ]]
}

# The same maker's before them: no driver of DPDK that is installed here knows them.
nic_is_unknown()
{
	[[ $(nic_id "$1") == 0x15b3:* ]] && ! nic_is_shared "$1"
}

# vendor:device
nic_id()
{
	cat "$(nic_dir "$1")/"{vendor,device} 2>/dev/null | paste -sd :
}

nic_node()
{
	local node
	node=$(cat "$(nic_dir "$1")/numa_node" 2>/dev/null) || node=-1
	((node >= 0)) || node=0
	echo "$node"
}

# Interfaces that carry a default route, and what these stand on (a VLAN's, bond's or bridge's ports).
default_route_interfaces()
{
	{
		awk 'NR > 1 && $2 == "00000000" && $8 == "00000000" { print $1 }' \
			"$PROCFS/net/route" 2>/dev/null || true
		awk '$1 ~ /^0+$/ && $2 == "00" && $NF != "lo" { print $NF }' \
			"$PROCFS/net/ipv6_route" 2>/dev/null || true
	} | sort -u | while read -r name; do
		interfaces_below "$name"
	done
}

interfaces_below()
{
	local lower
	echo "$1"
	for lower in "$SYSFS/class/net/$1"/lower_*; do
		[[ ! -e $lower && ! -L $lower ]] || interfaces_below "${lower##*/lower_}"
	done
}

# Say what an interface is used for; nothing if it is free.
interface_use()
{
	local upper
	for upper in "$SYSFS/class/net/$1"/upper_*; do
		[[ ! -e $upper && ! -L $upper ]] || { echo "is part of ${upper##*/upper_}" && return; }
	done
	if awk -v name="$1" 'NR > 1 && $1 == name { found = 1 } END { exit !found }' \
		"$PROCFS/net/route" 2>/dev/null ||
		awk -v name="$1" '$NF == name && $4 == "00" { found = 1 } END { exit !found }' \
			"$PROCFS/net/if_inet6" 2>/dev/null; then
		echo "has an address"
	fi
}

# ---- IOMMU

# active: the kernel uses it. there: the firmware has one. none.
iommu_state()
{
	if [[ -n $(ls -A "$SYSFS/kernel/iommu_groups" 2>/dev/null) ]]; then
		echo active
	elif [[ -e $SYSFS/firmware/acpi/tables/DMAR || -e $SYSFS/firmware/acpi/tables/IVRS ]]; then
		echo there
	else
		echo none
	fi
}

# Whose it is, or would be: by the firmware's table, without one by the CPU. Nothing where that is unknown.
iommu_maker()
{
	if [[ -e $SYSFS/firmware/acpi/tables/DMAR ]]; then
		echo Intel
	elif [[ -e $SYSFS/firmware/acpi/tables/IVRS ]]; then
		echo AMD
	else
		sed -n 's/^vendor_id.*GenuineIntel$/Intel/p; s/^vendor_id.*\(AuthenticAMD\|HygonGenuine\)$/AMD/p' \
			"$PROCFS/cpuinfo" 2>/dev/null | head -n 1
	fi
}

# What the firmware setup calls it.
iommu_name()
{
	case $(iommu_maker) in
	Intel) echo VT-d ;;
	AMD) echo "AMD-Vi (IOMMU)" ;;
	*) echo "VT-d or AMD-Vi" ;;
	esac
}

# What makes the kernel use the one that is there. AMD's it uses unless it is told not to.
iommu_words()
{
	if [[ $(iommu_maker) == AMD ]]; then
		echo "iommu=pt, and without amd_iommu=off and iommu=off"
	else
		echo "intel_iommu=on iommu=pt"
	fi
}

# Devices of the NIC's group that would have to leave their driver too.
nic_group_others()
{
	local dir name driver
	for dir in "$(nic_dir "$1")"/iommu_group/devices/*; do
		name=${dir##*/}
		[[ -e $dir && $name != "$1" ]] || continue
		driver=$(nic_driver "$name")
		[[ $driver == @(vfio-pci|pcieport|pci-stub|"no driver") ]] || echo "$name ($driver)"
	done
}
