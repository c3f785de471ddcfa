# shellcheck shell=bash
# shellcheck disable=SC2034,SC2153 # others' variables
# What follows from a configuration that was found good: /etc is written anew at each start, so that
# nothing of an earlier one is left. Sourced after judge.sh.

apply_all()
{
	apply_edge
	apply_name
	apply_network
	apply_logins
	apply_pages
	apply_cores
	apply_device
	apply_words
	printf "%s" "${NODE[update_key]:-}" >"$RUN/update_key"
	echo "${NODE[trial_timeout_s]:-180}" >"$RUN/trial_timeout_s"
	echo "${NODE[trial_starts]:-3}" >"$RUN/trial_starts"
	printf '%s\n' "${FROM:-defaults}" >"$RUN/source"
	printf '%s\n' "$FAULT" >"$RUN/fault"
}

# put FILE MODE <TEXT: below /etc, with the folders it takes.
put()
{
	local folder=$ETC/$1
	folder=${folder%/*}
	[[ -d $folder ]] || mkdir -p "$folder"
	cat >"$ETC/$1"
	[[ $2 == 0644 ]] || chmod "$2" "$ETC/$1"
}

# Without a configuration the image's own millrace.conf stands.
apply_edge()
{
	local name
	ln -sfn "$STATE/node/tls" "$ETC/millrace/tls"
	[[ -n $TAKEN ]] || { NODE=() && DEVICE='' && CORES='' && PAGES=0 && return; }
	install -D -m 0644 "$RUN/millrace.conf" "$ETC/millrace/millrace.conf"
	for name in "$TAKEN"/files/*; do
		[[ ! -f $name ]] || install -m 0640 -g millrace "$name" "$ETC/millrace/"
	done
}

apply_name()
{
	local name=${NODE[hostname]:-millrace-$(cut -c 1-6 "$ETC/machine-id")}
	put hostname 0644 <<<"$name"
	put hosts 0644 <<-END
		127.0.0.1 localhost
		::1 localhost ip6-localhost
		127.0.1.1 $name
	END
}

apply_network()
{
	local mr
	mr=$([[ -z $TAKEN ]] || edge_value dataplane exception_interface)
	# The data plane makes it, with all that it has.
	[[ -z $mr ]] || put systemd/network/05-exception.network 0644 <<-END
		[Match]
		Name=$mr
		[Link]
		Unmanaged=yes
	END
	{
		echo "[Match]"
		network_match
		echo "[Network]"
		network_address
		network_list NTP "${NODE[ntp]:-}"
	} | put systemd/network/10-management.network 0644
	if [[ -n ${NODE[dns]:-} ]]; then
		for mr in ${NODE[dns]//,/ }; do echo "nameserver $mr"; done | put resolv.conf 0644
	else
		unit_want millrace-dns.service systemd-networkd.service
	fi
}

network_match()
{
	case ${NODE[management]:-} in
	'') printf 'Name=en* eth*\nType=ether\n' ;;
	*:*) echo "MACAddress=${NODE[management]}" ;;
	*) echo "Name=${NODE[management]}" ;;
	esac
}

network_address()
{
	if [[ ${NODE[address]:-dhcp} == dhcp ]]; then
		echo "DHCP=yes"
	else
		network_list Address "${NODE[address]}"
		network_list Gateway "${NODE[gateway]:-}"
	fi
}

network_list()
{
	local word
	for word in ${2//,/ }; do
		echo "$1=$word"
	done
}

# Nobody can log in unless the configuration says so.
apply_logins()
{
	if [[ -n ${NODE[ssh_key]:-} ]]; then
		put ssh/authorized_keys/root 0600 <<<"${NODE[ssh_key]}"
		unit_want ssh.socket sockets.target
	fi
	[[ -z ${NODE[password_hash]:-} ]] || {
		awk -F : -v OFS=: -v hash="${NODE[password_hash]}" '$1 == "root" { $2 = hash } { print }' \
			"$ETC/shadow" >"$RUN/shadow"
		put shadow 0640 <"$RUN/shadow"
		chgrp shadow "$ETC/shadow"
		rm "$RUN/shadow"
		rm -f "$ETC/systemd/system/"{getty@.service,serial-getty@.service}
		unit_want getty@tty1.service getty.target
	}
}

unit_want()
{
	local from=/lib/systemd/system/$1
	[[ $1 != *@*.* ]] || from=/lib/systemd/system/${1%@*}@.service
	mkdir -p "$ETC/systemd/system/$2.wants"
	ln -sfn "$from" "$ETC/systemd/system/$2.wants/$1"
}

# Now, while memory is still in one piece.
apply_pages()
{
	local node file got
	((PAGES > 0)) || return 0
	for node in $NODES; do
		file=$(node_pages_file "$node")
		[[ -e $file ]] || { say "this kernel offers no huge pages of 2 MiB" && return; }
		(($(<"$file") >= PAGES)) || echo "$PAGES" >"$file"
		got=$(<"$file")
		((got >= PAGES)) || say "too few huge pages: the kernel found memory for $got of $PAGES on NUMA" \
			"node $node; ask for fewer with [node] hugepages"
	done
}

# What can be had without another start: programs and interrupts stay off the workers' cores.
apply_cores()
{
	local cpu file
	[[ -n $CORES ]] || return 0
	put systemd/system.conf.d/millrace.conf 0644 <<-END
		[Manager]
		CPUAffinity=$LEFT
	END
	for file in "$PROCFS"/irq/[0-9]*/smp_affinity_list; do
		{ echo "$LEFT" >"$file"; } 2>/dev/null || true
	done
	for cpu in $(list_expand "$CORES"); do
		echo "w /sys/devices/system/cpu/cpu$cpu/cpufreq/scaling_governor - - - - performance"
	done | put tmpfiles.d/millrace-host.conf 0644
}

# Before udev looks for drivers, so that the kernel's own never has it.
apply_device()
{
	local dir
	[[ -n $DEVICE ]] || return 0
	dir=$(nic_dir "$DEVICE")
	! nic_is_shared "$DEVICE" || { apply_shared && return; }
	modprobe -q vfio-pci
	echo vfio-pci | put "driverctl.d/pci-$DEVICE" 0644
	echo vfio-pci >"$dir/driver_override"
	[[ ! -e $dir/driver || $(nic_driver "$DEVICE") == vfio-pci ]] || echo "$DEVICE" >"$dir/driver/unbind"
	echo "$DEVICE" >"$SYSFS/bus/pci/drivers_probe"
	[[ $(nic_driver "$DEVICE") == vfio-pci ]] ||
		say "$DEVICE could not be bound to vfio-pci: it is with $(nic_driver "$DEVICE")"
}

# The kernel's driver has it now, and not when udev comes to it: the data plane would be there before.
# Its interface is the data plane's, too: what comes for it the kernel does not see.
apply_shared()
{
	put systemd/network/04-dataplane.network 0644 <<-END
		[Match]
		Path=pci-$DEVICE
		[Link]
		Unmanaged=yes
	END
	modprobe -qa mlx5_core mlx5_ib
	[[ $(nic_driver "$DEVICE") == mlx5_core ]] ||
		say "$DEVICE is not with mlx5_core, beside which DPDK uses it: it is with $(nic_driver "$DEVICE")"
}

# What only the kernel's command line can give, for the next start: millrace-image puts it there once
# this one has come up healthy.
apply_words()
{
	local words=${NODE[kernel]:-}
	[[ -z $CORES ]] ||
		words+=" isolcpus=managed_irq,domain,$CORES nohz_full=$CORES rcu_nocbs=$CORES irqaffinity=$LEFT"
	echo "$words" | xargs >"$RUN/words"
}
