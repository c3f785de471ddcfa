# shellcheck shell=bash
# What the edge needs of the host besides packages: huge pages, a BPF file system, AF_XDP. Each
# function that changes something has its counterpart that puts back what was there before.
# Sourced after common.sh.

HUGE_DIR=/sys/kernel/mm/hugepages/hugepages-2048kB
HUGE_BEFORE=
BPFFS=/sys/fs/bpf
BPFFS_MOUNTED=

# Pages that nobody uses and nobody has been promised.
hugepages_free()
{
	echo $(($(<"$HUGE_DIR/free_hugepages") - $(<"$HUGE_DIR/resv_hugepages")))
}

# Make sure that so many huge pages of 2 MiB are free; end the script in one line if not.
hugepages_reserve()
{
	local want=$1 before got
	[[ -w $HUGE_DIR/nr_hugepages ]] ||
		die "this kernel offers no huge pages of 2 MiB: boot Debian's own kernel" \
			"(in a container: on the host)"
	(($(hugepages_free) < want)) || return 0
	before=$(<"$HUGE_DIR/nr_hugepages")
	HUGE_BEFORE=$before
	echo $((before + want - $(hugepages_free))) >"$HUGE_DIR/nr_hugepages"
	got=$(hugepages_free)
	if ((got < want)); then
		hugepages_restore
		die "the kernel found memory for only $got of $want huge pages of 2 MiB: close" \
			"programs, boot with hugepages=$want, or ask for fewer with" \
			"MILLRACE_HUGEPAGES=NUMBER"
	fi
}

hugepages_restore()
{
	[[ -n $HUGE_BEFORE ]] || return 0
	echo "$HUGE_BEFORE" >"$HUGE_DIR/nr_hugepages"
	HUGE_BEFORE=
}

bpffs_mount()
{
	[[ $(stat -f -c %T "$BPFFS" 2>/dev/null) != bpf_fs ]] || return 0
	mount -t bpf bpf "$BPFFS" 2>/dev/null ||
		die "no BPF file system can be mounted on $BPFFS: the kernel needs CONFIG_BPF_SYSCALL," \
			"a container needs --privileged"
	BPFFS_MOUNTED=yes
}

bpffs_unmount()
{
	[[ -n $BPFFS_MOUNTED ]] || return 0
	umount "$BPFFS"
	BPFFS_MOUNTED=
}

# 44 is AF_XDP; opening such a socket touches no interface.
host_has_af_xdp()
{
	/usr/bin/python3 -c 'import socket; socket.socket(44, socket.SOCK_RAW).close()' 2>/dev/null
}

host_check_xdp()
{
	host_has_af_xdp ||
		die "this kernel has no AF_XDP sockets: boot one with CONFIG_XDP_SOCKETS=y, such as" \
			"Debian's own (in a container: run with --privileged)"
}

# Whether the steering program loads and runs natively on an interface; it is taken off again, and
# so is what iproute2 makes for itself in the BPF file system.
# host_check_steer NETNS INTERFACE PROGRAM
host_check_steer()
{
	local said status=0 name new=() enter=(nsenter "--net=/run/netns/$1")
	for name in ip xdp tc; do
		[[ -e $BPFFS/$name ]] || new+=("$BPFFS/$name")
	done
	said=$("${enter[@]}" ip link set dev "$2" xdpdrv object "$3" section xdp 2>&1) || status=$?
	rm -rf "${new[@]}"
	((status == 0)) ||
		die "the kernel does not take the XDP program (${said##*$'\n'}): Linux 6.1 or newer is" \
			"needed, root's full rights (CAP_BPF, CAP_NET_ADMIN), and no lockdown of BPF"
	"${enter[@]}" ip link set dev "$2" xdpdrv off
}
