# shellcheck shell=bash
# What the doctor looks at besides the machine: the programs, what they are linked with, their
# configuration and their units. Sourced by scripts/doctor.

check_programs()
{
	local name file missing versions=() abis=()
	for name in millrace-dataplane millrace-control; do
		file=$(program "$name")
		[[ -n $file ]] || {
			wrong programs "$name is not installed" "scripts/provision --build DIR"
			return
		}
		missing=$(ldd "$file" 2>/dev/null | awk '/not found/ { print $1 }' | xargs)
		[[ -z $missing ]] || {
			wrong programs "$name lacks $missing" "scripts/provision (installs the packages), or: apt-file search ${missing%% *}"
			return
		}
		versions+=("$("$file" --version 2>/dev/null | awk '{ print $2 }')")
		abis+=("$("$file" --version 2>/dev/null | sed -n 's/.*(ABI \([0-9]*\)).*/\1/p')")
	done
	ok programs "millrace-dataplane ${versions[0]}, millrace-control ${versions[1]}"
	if [[ -n ${abis[0]} && ${abis[0]} == "${abis[1]}" ]]; then
		ok abi "both programs have ABI ${abis[0]}"
	else
		wrong abi "millrace-dataplane has ABI ${abis[0]:-unknown}, millrace-control ${abis[1]:-unknown}: they do not meet" \
			"install both from one build: scripts/provision --build DIR"
	fi
	check_running
}

# What runs may be older than what is installed.
check_running()
{
	local name pid exe
	for name in millrace-dataplane millrace-control; do
		pid=$(pid_of "$name")
		[[ -n $pid ]] || continue
		exe=$(readlink "$PROCFS/$pid/exe" 2>/dev/null) || continue
		if [[ $exe == *" (deleted)" ]]; then
			warn running "$name is not the installed one any more" "systemctl restart $name"
		else
			ok running "$name, process $pid"
		fi
	done
}

check_versions()
{
	local found drivers=() name shown=()
	found=$(dpkg-query -W -f '${Version}\n' 'librte-eal*' 2>/dev/null | sort -V | tail -n 1)
	[[ -n $found ]] || found=$(ldconfig -p 2>/dev/null | sed -n 's/.*librte_eal\.so\.\([0-9]*\) .*/ABI \1/p' | head -n 1)
	drivers=(/usr/lib/*/dpdk/pmds-*/librte_net_*.so.[0-9][0-9])
	[[ -e ${drivers[0]} ]] || drivers=()
	if [[ -z $found ]]; then
		wrong dpdk "not installed" "apt-get install librte-eal23 librte-ethdev23 (scripts/provision installs all)"
	elif [[ $found != ABI* && $(printf '%s\n' 22.11 "$found" | sort -V | head -n 1) != 22.11 ]]; then
		wrong dpdk "$found; 22.11 or newer is needed" "apt-get install librte-eal23"
	elif ((${#drivers[@]} == 0)); then
		wrong dpdk "$found, but no driver for any NIC" "apt-get install librte-net-virtio23 (or that of your NIC)"
	else
		ok dpdk "$found, drivers for $(printf '%s\n' "${drivers[@]}" | sed 's/.*librte_net_//; s/\.so.*//' | xargs)"
	fi
	for name in libsrtp2-1 libipsec-mb1 libssl3 libmicrohttpd12 libbpf1; do
		found=$(dpkg-query -W -f '${Version}' "$name" 2>/dev/null) && [[ -n $found ]] && shown+=("$name $found")
	done
	((${#shown[@]} == 0)) || ok libraries "$(printf '%s, ' "${shown[@]}" | sed 's/, $//')"
}

check_conf()
{
	local file said
	file=$(program millrace-control)
	[[ -n $file ]] || return 0
	if [[ ! -r $CONF ]]; then
		warn configuration "$CONF is not there: defaults hold" "scripts/provision --build DIR"
	elif said=$("$file" --check-config --config="$CONF" 2>&1 >/dev/null); then
		ok configuration "$CONF"
	else
		wrong configuration "$(tail -n 1 <<<"$said")" "correct $CONF; judge it with: millrace-control --check-config --config=$CONF"
	fi
}

check_certificate()
{
	local file end
	file=$(value http tls_certificate "")
	if [[ -z $file ]]; then
		ok certificate "none: HTTP is plain; viewers' DTLS makes its own"
	elif [[ ! -r $file ]]; then
		wrong certificate "$file cannot be read" "correct [http] tls_certificate in $CONF"
	elif ! has_command openssl; then
		warn certificate "$file cannot be judged" "apt-get install openssl"
	elif ! end=$(openssl x509 -in "$file" -noout -enddate 2>/dev/null); then
		wrong certificate "$file is no PEM certificate" "correct [http] tls_certificate in $CONF"
	elif ! openssl x509 -in "$file" -noout -checkend 0 >/dev/null; then
		wrong certificate "$file expired on ${end#*=}" "renew it, then: systemctl kill -s HUP millrace-control"
	elif ! openssl x509 -in "$file" -noout -checkend $((14 * 86400)) >/dev/null; then
		warn certificate "$file expires on ${end#*=}" "renew it, then: systemctl kill -s HUP millrace-control"
	else
		ok certificate "$file, until ${end#*=}"
	fi
}

check_units()
{
	local name state
	has_command systemctl && [[ -d /run/systemd/system ]] || return 0
	for name in millrace-dataplane millrace-control; do
		[[ -n $(systemctl cat "$name" 2>/dev/null) ]] || continue
		state=$(systemctl show -p ActiveState --value "$name")
		case $state in
		failed) wrong "$name" "its unit has failed" "journalctl -u $name -n 20" ;;
		active) ok "$name" "runs" ;;
		*) warn "$name" "its unit is $state" "systemctl start millrace.target" ;;
		esac
	done
}
