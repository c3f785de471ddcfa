# shellcheck shell=bash
# The steps of provisioning. Each looks what is there, and changes what is not as it should be.
# Sourced after provision_check.sh and provision_boot.sh.

USER_NAME=millrace
STATE_DIR=/var/lib/millrace
CONF=/etc/millrace/millrace.conf
TUNING=/etc/tmpfiles.d/millrace-host.conf
NIC_FIRST=/etc/systemd/system/millrace-dataplane.service.d/nic.conf

steps_all()
{
	pages_step
	packages_step
	user_step
	tree_step
	conf_step
	own_dir "$STATE_DIR" 0750 "$USER_NAME"
	boot_step
	nic_step
	tuning_step
	units_step
}

# ---- huge pages, now; the kernel command line has them at the next start

# The nodes of the NIC and the workers, or all.
pages_nodes()
{
	local cpu
	if [[ -z $HARDWARE ]]; then
		echo 0
	elif [[ -z $NIC$CORES ]]; then
		nodes_online
	else
		{
			[[ -z $NIC ]] || nic_node "$NIC"
			[[ -z $CORES ]] || for cpu in $(list_expand "$CORES"); do
				cpu_node "$cpu"
			done
		} | sort -nu
	fi
}

pages_step()
{
	local node file big want have got
	[[ -n $LIVE ]] || return 0
	for node in $(pages_nodes); do
		big=$(node_big_pages "$node")
		((big == 0)) || note "NUMA node $node has huge pages of 1 GiB: they count as $big"
		want=$((PAGES - big))
		((want > 0)) || continue
		file=$(node_pages_file "$node")
		have=$(<"$file")
		((have < want)) || continue
		change "raise the huge pages of NUMA node $node from $have to $want" || continue
		record pages "$node" "$have"
		echo "$want" 2>/dev/null >"$file" || true
		got=$(<"$file")
		((got >= want)) ||
			die "too few huge pages: the kernel found memory for $got of $want on NUMA node" \
				"$node; close programs, or ask for fewer with --hugepages"
	done
}

undo_pages()
{
	echo "$2" >"$(node_pages_file "$1")"
}

# ---- packages and the user

target_packages()
{
	printf '%s\n' "${PACKAGES_RUN[@]}"
	[[ -z $NIC_STAYS ]] || printf '%s\n' "${PACKAGES_RUN_MLX5[@]}"
	target_has_clock || echo systemd-timesyncd
}

# One daemon that sets the clock is enough, whichever it is.
target_has_clock()
{
	local name
	for name in chrony ntpsec ntp openntpd; do
		[[ ! -e $TARGET/var/lib/dpkg/info/$name.list ]] || return 0
	done
	return 1
}

target_missing()
{
	local names=()
	mapfile -t names < <(target_packages)
	in_target_dpkg packages_missing "${names[@]}"
}

# packages_missing asks dpkg-query, which takes another root's database.
in_target_dpkg()
{
	DPKG_ADMINDIR=$TARGET/var/lib/dpkg "$@"
}

packages_step()
{
	local missing=() all=()
	mapfile -t missing < <(target_missing)
	((${#missing[@]} > 0)) || return 0
	change "install packages: ${missing[*]}" || return 0
	[[ -n $(find "$TARGET/var/lib/apt/lists" -name '*_Packages*' -print -quit) ]] ||
		record apt_lists
	target_apt update
	mapfile -t all < <(in_target apt-get -s --no-install-recommends install "${missing[@]}" |
		awk '$1 == "Inst" && $3 !~ /^\[/ { print $2 }')
	((${#all[@]} == 0)) || install_recorded "${missing[@]}" -- "${all[@]}"
	in_target apt-get clean
}

# install_recorded NAME... -- NAME...: those wanted, and those that come with them.
install_recorded()
{
	local names=() before n
	while [[ $1 != -- ]]; do
		names+=("$1")
		shift
	done
	make_state
	before=$(accounts)
	n=$(record_lines)
	record accounts "${n:=0}"
	record packages "${@:2}"
	target_apt install -y --no-install-recommends "${names[@]}"
	comm -13 <(echo "$before") <(accounts) >"$STATE/accounts.$n"
}

accounts()
{
	{
		sed 's/:.*//; s/^/user /' "$TARGET/etc/passwd"
		sed 's/:.*//; s/^/group /' "$TARGET/etc/group"
	} | sort
}

# Packages leave the users behind that they made.
undo_accounts()
{
	local kind name
	[[ ! -e $STATE/accounts.$1 ]] || while read -r kind name; do
		"undo_$kind" "$name"
	done < <(sort -r "$STATE/accounts.$1")
}

undo_apt_lists()
{
	rm -rf "$TARGET"/var/lib/apt/lists/*
	in_target apt-get clean
}

target_apt()
{
	DEBIAN_FRONTEND=noninteractive in_target apt-get -q -o DPkg::Lock::Timeout=120 "$@" \
		>"$WORK/log" 2>&1 </dev/null || {
		grep -E '^(E:|W:|dpkg: error)' "$WORK/log" | tail -n 5 >&2 || true
		die "apt-get $1 failed (see above): check the network and that the sources are those" \
			"of Debian 12"
	}
}

user_step()
{
	if [[ -z $(target_id group "$USER_NAME" 3) ]] && change "make group $USER_NAME"; then
		record group "$USER_NAME"
		in_target groupadd --system "$USER_NAME"
	fi
	if [[ -z $(target_id passwd "$USER_NAME" 3) ]] && change "make user $USER_NAME"; then
		record user "$USER_NAME"
		in_target useradd --system --gid "$USER_NAME" --no-create-home --home-dir "$STATE_DIR" \
			--shell /usr/sbin/nologin "$USER_NAME"
	fi
}

# ---- programs, units, configuration

# Whatever the build installs, but for the configuration: that is merged.
tree_step()
{
	local path mode
	[[ -n $TREE ]] || return 0
	while read -r mode path; do
		[[ $path != "$CONF" ]] || continue
		put_file "$TREE$path" "$path" "$mode"
	done < <(cd "$TREE" && find . -type f -printf '%m %P\n' | sort -k 2 | sed 's| | /|')
}

# What is there stays; what was asked for here is set.
conf_step()
{
	local from=$TARGET$CONF
	[[ -n $TREE ]] || return 0
	[[ -e $from ]] || from=$TREE$CONF
	cp "$from" "$WORK/conf"
	if conf_is_due nic "$NIC" || conf_is_due interface "$INTERFACE"; then
		conf_set dataplane device "$NIC"
		conf_set dataplane interface "$INTERFACE"
	fi
	! conf_is_due cores "$CORES" || conf_set dataplane cores "$CORES"
	[[ -e $TARGET$CONF ]] || conf_set dataplane group "$USER_NAME"
	put_file "$WORK/conf" "$CONF" 0644
}

# conf_is_due OPTION VALUE: what was said in a run before may have been changed by hand since.
conf_is_due()
{
	is_given "$1" || [[ -n $2 && ! -e $TARGET$CONF ]]
}

# conf_set SECTION KEY VALUE: in $WORK/conf, at the place where the key stands, commented out or not.
# Without a value a key that is set is commented out.
conf_set()
{
	awk -v section="[$1]" -v key="$2" -v value="$3" '
		function is_key() { return inside && $0 ~ "^#?" key "[ \t]*=" }
		FNR == 1 { inside = 0 }
		/^\[/ { inside = $1 == section }
		NR == FNR {
			if (is_key() && (!at || $0 !~ /^#/)) at = FNR
			if (inside) last = FNR
			next
		}
		FNR == at && value != "" { print key " = " value; next }
		FNR == at && $0 !~ /^#/ { print "#" $0; next }
		{ print }
		FNR == last && !at && value != "" { print key " = " value }
		END { if (!last && value != "") print section "\n" key " = " value }
	' "$WORK/conf" "$WORK/conf" >"$WORK/conf.new"
	mv "$WORK/conf.new" "$WORK/conf"
}

# ---- the NIC

# driverctl binds by these files at each start; now, too, where the IOMMU works already.
nic_step()
{
	local old
	for old in $(nics_unwanted); do
		nic_release "$old"
	done
	[[ -n $NIC && -z $NIC_STAYS ]] || put_text "$NIC_FIRST" 0644 ""
	[[ -n $NIC ]] || return 0
	[[ -z $NIC_STAYS ]] || {
		note "$NIC stays with mlx5_core: DPDK uses it beside the kernel"
		return
	}
	put_text "/etc/driverctl.d/pci-$NIC" 0644 vfio-pci
	# udev starts that whenever it comes to it, and nothing would wait for it.
	put_text "$NIC_FIRST" 0644 "$WRITTEN
[Unit]
Wants=driverctl@pci-$NIC.service
After=driverctl@pci-$NIC.service"
	[[ -n $LIVE && $(nic_driver "$NIC") != vfio-pci ]] || return 0
	if [[ $(iommu_state) != active ]]; then
		REBOOT="${REBOOT:-the IOMMU is not in use yet}; then $NIC goes to vfio-pci"
		return
	fi
	change "bind $NIC to vfio-pci (now: $(nic_driver "$NIC"))" || return 0
	record bind "$NIC"
	driverctl load-override "$NIC" || die "$NIC could not be bound to vfio-pci (see above)"
	[[ $(nic_driver "$NIC") == vfio-pci ]] ||
		die "$NIC could not be bound to vfio-pci: it is with $(nic_driver "$NIC")"
}

# Those that an earlier run took, and this one does not want.
nics_unwanted()
{
	local old
	for old in $(recorded made | sed -n 's|^/etc/driverctl.d/pci-||p' | sort -u); do
		[[ -n $NIC && -z $NIC_STAYS && $old == "$NIC" || ! -e $TARGET/etc/driverctl.d/pci-$old ]] ||
			echo "$old"
	done
}

nic_release()
{
	if [[ -n $LIVE && $(nic_driver "$1") == vfio-pci ]] && change "give $1 back to the kernel"; then
		record rebind "$1"
		driverctl --nosave unset-override "$1"
	fi
	put_text "/etc/driverctl.d/pci-$1" 0644 ""
}

undo_bind()
{
	[[ $(nic_driver "$1") != vfio-pci ]] || driverctl --nosave unset-override "$1"
}

# The NIC goes on to where an older line of the record has it.
undo_rebind()
{
	:
}

# ---- governor; interrupts are kept off by the kernel command line (irqaffinity, managed_irq)

tuning_step()
{
	local cpu file text=
	if [[ -n $CORES ]]; then
		text=$(echo "$WRITTEN" && for cpu in $(list_expand "$CORES"); do
			echo "w /sys/devices/system/cpu/cpu$cpu/cpufreq/scaling_governor - - - - performance"
		done)
	fi
	put_text "$TUNING" 0644 "$text"
	[[ -n $LIVE && -n $CORES ]] || return 0
	for cpu in $(list_expand "$CORES"); do
		file=$SYSFS/devices/system/cpu/cpu$cpu/cpufreq/scaling_governor
		[[ -e $file && $(<"$file") != performance ]] || continue
		change "set the governor of core $cpu to performance (now: $(<"$file"))" || continue
		record governor "$cpu" "$(<"$file")"
		echo performance >"$file"
	done
}

undo_governor()
{
	echo "$2" >"$SYSFS/devices/system/cpu/cpu$1/cpufreq/scaling_governor"
}

# ---- units

units_step()
{
	local dir
	[[ -n $TREE ]] || return 0
	for dir in /usr/lib/systemd/system /lib/systemd/system; do
		[[ -e $TREE$dir/millrace.target ]] || continue
		target_reload
		unit_enable millrace.target
		target_start
		return
	done
}

# target_can_start [always]: systemd runs here, the start would not be in vain, and is wanted (or not:
# always).
target_can_start()
{
	[[ -n $LIVE && -n $TREE && -n $START${1:-} && -d /run/systemd/system ]] || return 1
	[[ -n $NIC$INTERFACE ]] ||
		grep -qsE '^(device|interface)[[:space:]]*=[[:space:]]*[^[:space:]]' "$CONF"
}

target_start()
{
	local name
	[[ -z $REBOOT ]] && target_can_start || return 0
	! systemctl --quiet is-active millrace.target || return 0
	change "start millrace.target" || return 0
	record started millrace.target
	# It waits until both say that they are ready, and fails with neither.
	systemctl start millrace.target || true
	for name in millrace-dataplane millrace-control; do
		systemctl --quiet is-active "$name" || DOWN=${DOWN:-$name}
	done
}

# For the note of a reboot.
target_will_start()
{
	! target_can_start always || echo "; millrace.target starts with it"
}

undo_started()
{
	systemctl stop "$1" millrace-dataplane.service millrace-control.service
}

unit_enable()
{
	[[ $(in_target systemctl is-enabled "$1" 2>/dev/null) != enabled ]] || return 0
	change "enable $1" || return 0
	# What the next start would make. Undo takes it after the services have ended.
	if [[ -n $LIVE && -d /run/systemd/system && ! -e /run/millrace ]]; then
		record own_dir /run/millrace
		systemd-tmpfiles --create --prefix=/run/millrace
	fi
	record enabled "$1"
	in_target systemctl --quiet enable "$1"
}

target_reload()
{
	[[ -z $LIVE || -n $DRY_RUN || ! -d /run/systemd/system ]] || systemctl daemon-reload
}

undo_enabled()
{
	# Not the target alone: that would not wait until its services have ended, whose user, files
	# and NIC go next.
	[[ -z $LIVE || ! -d /run/systemd/system ]] ||
		systemctl stop "$1" millrace-dataplane.service millrace-control.service
	in_target systemctl --quiet disable "$1"
}
