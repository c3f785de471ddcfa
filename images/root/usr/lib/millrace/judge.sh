# shellcheck shell=bash
# Whether a node's configuration can be used here: its text, and that this machine has what it asks
# for. Changes nothing but FAULT and what it has read. Sourced after place.sh and hardware.sh.
# shellcheck disable=SC2034 # read by those who source this

NODE_KEYS=" hostname management address gateway dns ntp ssh_key password_hash hugepages kernel
	update_key trial_timeout_s trial_starts "
declare -A NODE=()
DEVICE=     # [dataplane] device, where it is a PCI address
CORES=
LEFT=       # the cores that the workers do not get
PAGES=
NODES=      # NUMA nodes that the memory shall be on

# judge FOLDER: sets FAULT to the first thing that is wrong.
judge()
{
	NODE=()
	DEVICE='' CORES='' PAGES=''
	if LC_ALL=C grep -q '[^[:print:][:space:]]' "$1/millrace.conf" && ! iconv_ok "$1/millrace.conf"; then
		FAULT="it is damaged: millrace.conf is no text"
		return
	fi
	node_section <"$1/millrace.conf" >"$RUN/node.conf"
	edge_sections <"$1/millrace.conf" >"$RUN/millrace.conf"
	judge_node <"$RUN/node.conf"
	[[ -n $FAULT ]] || judge_edge
	[[ -n $FAULT ]] || judge_cores
	[[ -n $FAULT ]] || judge_pages
	[[ -n $FAULT ]] || judge_device
}

# Comments may be in any language.
iconv_ok()
{
	! LC_ALL=C tr -d '\011\012\015\040-\176\200-\377' <"$1" | grep -q .
}

node_section()
{
	awk '/^[ \t]*\[/ { inside = $0 ~ /^[ \t]*\[node\]/; next } inside { print }'
}

# Lines keep their numbers: what is wrong is named by them.
edge_sections()
{
	awk '/^[ \t]*\[/ { inside = $0 ~ /^[ \t]*\[node\]/ } { print inside ? "" : $0 }'
}

judge_node()
{
	local line key value
	while IFS= read -r line || [[ -n $line ]]; do
		line=${line%$'\r'}
		[[ ! $line =~ ^[[:space:]]*([#\;].*)?$ ]] || continue
		if [[ ! $line =~ ^[[:space:]]*([a-z_]+)[[:space:]]*=[[:space:]]*(.*)$ ]]; then
			FAULT="[node]: \"${line:0:60}\" is no  key = value"
			return
		fi
		key=${BASH_REMATCH[1]}
		value=${BASH_REMATCH[2]}
		value=${value%"${value##*[![:space:]]}"}
		if [[ $NODE_KEYS != *[[:space:]]"$key"[[:space:]]* ]]; then
			FAULT="[node]: there is no option $key"
			return
		fi
		judge_value "$key" "$value" || FAULT="[node] $key: ${value:0:60} is not what it takes"
		[[ $key != kernel || -n $FAULT ]] || judge_kernel "$value"
		[[ -z $FAULT ]] || return 0
		# One key a line; the others' last one holds.
		if [[ $key == ssh_key && -n ${NODE[ssh_key]:-} ]]; then
			NODE[ssh_key]+=$'\n'$value
		else
			NODE[$key]=$value
		fi
	done
}

judge_value()
{
	local word number='^[1-9][0-9]{0,6}$' name='^[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?$'
	case $1 in
	hostname) [[ $2 =~ $name ]] ;;
	management) [[ $2 =~ ^([A-Za-z0-9_.*-]{1,15}|([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2})$ ]] ;;
	address)
		[[ $2 == dhcp ]] || for word in ${2//,/ }; do
			[[ $word =~ ^[0-9A-Fa-f.:]+/[0-9]{1,3}$ ]] || return 1
		done
		;;
	gateway | dns)
		for word in ${2//,/ }; do
			[[ $word =~ ^[0-9A-Fa-f.:]+$ ]] || return 1
		done
		;;
	ntp)
		for word in ${2//,/ }; do
			[[ $word =~ $name || $word =~ ^[0-9A-Fa-f.:]+$ ]] || return 1
		done
		;;
	ssh_key) [[ $2 =~ ^(ssh-|ecdsa-|sk-)[A-Za-z0-9@.-]+\ [A-Za-z0-9+/=]+(\ .*)?$ ]] ;;
	password_hash) [[ $2 =~ ^\$(y|6|5|gy|7)\$[A-Za-z0-9./\$=,]+$ ]] ;;
	hugepages) [[ $2 =~ $number ]] ;;
	trial_timeout_s) [[ $2 =~ $number ]] && ((10 <= $2 && $2 <= 3600)) ;;
	trial_starts) [[ $2 =~ ^[1-9]$ ]] ;;
	kernel) [[ $2 =~ ^[A-Za-z0-9_.,:=/@\ +-]*$ ]] ;;
	update_key) [[ $2 =~ ^[A-Za-z0-9+/]{43}=$ ]] ;;
	esac
}

# Other words are on trial first, and can do no lasting harm; these would have the node start something
# that knows of no trial, or take away what ends one that fails: the reset after a panic or an oops, the
# initial RAM disk's dead_man, a watchdog that systemd feeds, and millrace-health.
judge_kernel()
{
	local word name
	# As many as an image may have, so that both and what cores want always fit the kernel's 2047.
	((${#1} <= 900)) || { FAULT="[node] kernel: at most 900 characters were expected" && return; }
	for word in $1; do
		name=${word%%=*}
		# To the kernel and to systemd - and _ in a name are the same.
		case ${name//-/_}${word#"$name"} in
		oops=panic) ;;
		millrace.* | root=* | init=* | rdinit=* | initrd=* | rd.* | panic=* | oops=* | pause_on_oops=* | \
			systemd.unit=* | systemd.run* | systemd.crash_reboot* | systemd.watchdog* | \
			systemd.confirm_spawn* | systemd.setenv=MILLRACE_* | systemd.mask=millrace* | \
			emergency | _b | rescue | single | _s | s | S | 1)
			judge_kernel_refuses "$word" "that is the image's own"
			;;
		__ | initcall_blacklist=*sysrq* | systemd.mask=default.target | systemd.mask=multi-user.target | \
			systemd.mask=basic.target | systemd.mask=sysinit.target | systemd.wants=*.target | \
			systemd.wants=systemd-*)
			judge_kernel_refuses "$word" "with it a start on trial that fails might not end"
			;;
		# As its path below /proc/sys, whatever stands between two names.
		sysctl[./]*)
			[[ ! $word =~ ^sysctl[./]+kernel[./]+panic(_on_oops)?= ]] ||
				judge_kernel_refuses "$word" "that is the image's own"
			;;
		esac
		[[ -z $FAULT ]] || return 0
	done
}

judge_kernel_refuses()
{
	FAULT="[node] kernel: $1 cannot be set: $2"
}

# The two programs judge their own.
judge_edge()
{
	local program said
	for program in millrace-control millrace-dataplane; do
		said=$("$program" --config="$RUN/millrace.conf" --check-config 2>&1 >/dev/null) && continue
		said=$(head -n 1 <<<"$said")
		FAULT="millrace.conf:${said#*"$RUN/millrace.conf":}"
		return
	done
}

# edge_value SECTION KEY: as the file has it; nothing if it does not.
edge_value()
{
	awk -v section="[$1]" -v key="$2" '
		/^[ \t]*\[/ { inside = $1 == section }
		inside && $0 ~ "^[ \t]*" key "[ \t]*=" {
			sub(/^[^=]*=[ \t]*/, ""); sub(/[ \t]+[#;].*$/, ""); sub(/[ \t\r]+$/, ""); text = $0
		}
		END { print text }' "$RUN/millrace.conf"
}

judge_cores()
{
	local cpu present said
	said=$(edge_value dataplane cores)
	# A comma, a blank or both stand between two, as the data plane has it.
	CORES=$(tr -s ' \t,' , <<<"$said")
	CORES=${CORES#,}
	CORES=${CORES%,}
	[[ -n $CORES ]] || return 0
	CORES=$(list_expand "$CORES" | list_join)
	if [[ -z $CORES ]]; then
		FAULT="[dataplane] cores: a list like 2-3,5 was expected, not $said"
		return
	fi
	present=$(cpus_present)
	for cpu in $(list_expand "$CORES"); do
		grep -qx "$cpu" <<<"$present" && continue
		FAULT="[dataplane] cores: there is no core $cpu here, but $(list_join <<<"$present")"
		return
	done
	LEFT=$(cores_left)
	[[ -n $LEFT ]] || FAULT="[dataplane] cores: at least one core must be left to the kernel"
}

cores_left()
{
	comm -23 <(cpus_present | sort) <(list_expand "$CORES" | sort) | list_join
}

# Where the memory shall be: on the nodes of the NIC and the workers.
pages_nodes()
{
	local cpu
	{
		[[ -z $DEVICE || ! -e $(nic_dir "$DEVICE") ]] || nic_node "$DEVICE"
		[[ -z $CORES ]] || for cpu in $(list_expand "$CORES"); do
			cpu_node "$cpu"
		done
		[[ -n $CORES ]] || cpu_node 1
	} | sort -nu
}

judge_pages()
{
	local node total memory
	DEVICE=$(edge_value dataplane device)
	[[ $DEVICE =~ ^[0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7] ]] && DEVICE=${BASH_REMATCH[0],,} ||
		DEVICE=
	memory=$(edge_value dataplane memory_mib)
	# The data plane's memory, and a quarter for what the EAL cannot use.
	# 10#: a leading zero does not make it octal.
	PAGES=$((10#${NODE[hugepages]:-$((10#${memory:-256} * 5 / 8))}))
	NODES=$(pages_nodes)
	for node in $NODES; do
		total=$(node_memory_mib "$node" MemTotal)
		((PAGES * 2 <= total * 3 / 4)) && continue
		FAULT="too little memory on NUMA node $node: $PAGES huge pages are $((PAGES * 2)) MiB, and of"
		FAULT+=" its $total MiB at most three quarters may be such"
		return
	done
}

judge_device()
{
	local others
	[[ -n $DEVICE ]] || return 0
	if [[ ! -e $(nic_dir "$DEVICE") ]]; then
		FAULT="[dataplane] device: there is no PCI device $DEVICE here; NICs are: $(nic_list || echo none)"
	elif [[ $(<"$(nic_dir "$DEVICE")/class") != 0x02* ]]; then
		FAULT="[dataplane] device: $DEVICE is no NIC; NICs are: $(nic_list || echo none)"
	elif nic_is_unknown "$DEVICE"; then
		FAULT="[dataplane] device: $DEVICE is a ConnectX-3 or older, and DPDK here has no driver for it:"
		FAULT+=" use [dataplane] interface, or another NIC"
	elif nic_is_shared "$DEVICE"; then
		:
	elif [[ $(iommu_state) == there ]]; then
		FAULT="[dataplane] device: there is an IOMMU, but the kernel does not use it, and vfio-pci needs"
		FAULT+=" it: start the kernel with  $(iommu_words)"
	elif [[ $(iommu_state) == none ]]; then
		FAULT="[dataplane] device: no IOMMU, and vfio-pci needs one: enable VT-d or AMD-Vi in the"
		FAULT+=" firmware setup, or use [dataplane] interface"
	else
		others=$(nic_group_others "$DEVICE" | paste -sd ' ')
		[[ -z $others ]] || FAULT="[dataplane] device: $DEVICE shares its IOMMU group with $others"
	fi
}
