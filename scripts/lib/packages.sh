# shellcheck shell=bash
# The Debian packages that building, testing and the demo need, and how they get here.
# Sourced after common.sh.
# shellcheck disable=SC2034 # the lists are read by name

PACKAGES_BUILD=(
	gcc libc6-dev linux-libc-dev clang-14 meson ninja-build pkg-config
	libdpdk-dev libsrtp2-dev libipsec-mb-dev libssl-dev libmicrohttpd-dev
	libbpf-dev libjansson-dev libinih-dev libcap-dev libcmocka-dev uthash-dev
	libcurl4-openssl-dev libgnutls28-dev libjwt-dev libsystemd-dev python3-yaml
)
PACKAGES_DEMO=(
	python3-minimal iproute2 ethtool ffmpeg curl util-linux fonts-dejavu-core
)
PACKAGES_TEST=(
	shellcheck systemd clang-format-14 prometheus python3-jsonschema mandoc man-db
	mmdebstrap qemu-system-x86 ovmf mtools dosfstools squashfs-tools
	openssh-client dnsmasq-base buildah chromium chromium-driver python3-selenium python3-aiortc python3-aiohttp
)
# What images/build takes; and what it puts into the image besides PACKAGES_RUN.
PACKAGES_IMAGE=(
	mmdebstrap squashfs-tools mtools dosfstools fdisk e2fsprogs cpio zstd kmod python3-minimal
	binutils openssl
)
PACKAGES_IMAGE_ROOT=(
	systemd-sysv udev usr-is-merged systemd-timesyncd openssh-server fdisk e2fsprogs util-linux
	procps less
)
PACKAGES_BENCH=(
	python3-matplotlib
)
# What a node needs to run the edge: libraries, DPDK's drivers for the usual NICs, tools.
PACKAGES_RUN=(
	libbpf1 libbsd0 libcap2 libgnutls30 libinih1 libipsec-mb1 libjansson4 libjwt0
	libmicrohttpd12 libsrtp2-1 libssl3 libsystemd0
	librte-eal23 librte-ethdev23 librte-hash23 librte-rcu23 librte-bus-pci23
	librte-bus-vdev23 librte-mempool-ring23 librte-net-af-xdp23 librte-net-virtio23
	librte-net-e1000-23 librte-net-igc23 librte-net-ixgbe23 librte-net-i40e23
	librte-net-iavf23 librte-net-ice23 librte-net-vmxnet3-23 librte-net-ena23
	driverctl kmod iproute2 ethtool openssl
)
# Brings RDMA with it, and services: on a node only where there is such a NIC; the image has it.
PACKAGES_RUN_MLX5=(librte-net-mlx5-23)

# Print those of the named packages that are not installed.
packages_missing()
{
	local name state
	declare -A have=()
	while read -r state name; do
		[[ $state != installed ]] || have[$name]=1
	done < <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)
	for name in "$@"; do
		[[ -n ${have[$name]:-} ]] || echo "$name"
	done
}

# packages_install GROUP...: group is build, demo, test, image or bench. One line of progress; the package
# manager is heard only when it fails.
packages_install()
{
	local group names=() missing log
	command -v dpkg-query >/dev/null || die "Debian 12 is needed: this system has no dpkg"
	for group in "$@"; do
		local -n list="PACKAGES_${group^^}"
		names+=("${list[@]}")
	done
	mapfile -t missing < <(packages_missing "${names[@]}")
	((${#missing[@]} > 0)) || return 0
	[[ $EUID -eq 0 ]] || die "packages are missing (${missing[*]}): run  sudo $ROOT/scripts/setup"
	note "installing ${#missing[@]} Debian packages: ${missing[*]}"
	log=$(mktemp)
	if ! { apt_get update && apt_get install -y --no-install-recommends "${missing[@]}"; } \
		>"$log" 2>&1; then
		tail -n 20 "$log" >&2
		rm -f "$log"
		die "packages could not be installed (see above): check the network and that the" \
			"sources are those of Debian 12, then run  sudo $ROOT/scripts/setup"
	fi
	rm -f "$log"
}

apt_get()
{
	DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 "$@" </dev/null
}
