// Source: sysfs-bus-pci, sysfs-kernel-mm-hugepages (Documentation/ABI).
#include "dataplane/port/means.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	ADDRESS_CHARS = 12,
	KIB_PER_MIB = 1024,
	VENDOR_MELLANOX = 0x15b3,
	// ConnectX-4 to those of today, and BlueField; as nic_is_shared in scripts/lib/hardware.sh.
	CONNECTX_FIRST = 0x1013,
	CONNECTX_LAST = 0x102f,
	BLUEFIELD_FIRST = 0xa2d0,
	BLUEFIELD_LAST = 0xa2df,
};

// Domain, bus, device and function, as sysfs writes them.
static bool is_address(const char *device, size_t chars)
{
	static const char form[] = "xxxx:xx:xx.x";

	if (chars != ADDRESS_CHARS)
		return false;
	for (size_t i = 0; i < chars; i++)
		if (form[i] == 'x' ? !isxdigit((unsigned char)device[i]) : device[i] != form[i])
			return false;
	return true;
}

// Return: the last part of what a link points to, or "".
static const char *link_name(const char *path, char target[PATH_MAX])
{
	ssize_t chars = readlink(path, target, PATH_MAX - 1);
	const char *slash;

	if (chars <= 0)
		return "";
	target[chars] = 0;
	slash = strrchr(target, '/');
	return slash ? slash + 1 : target;
}

// vfio-pci and its kin, uio_pci_generic and its, and those that share the device with DPDK.
static bool is_for_dpdk(const char *driver)
{
	return strstr(driver, "vfio") || strstr(driver, "uio") ||
	       strcmp(driver, "mlx5_core") == 0 || strcmp(driver, "mana") == 0;
}

// Return: 0 where there is no such file.
static unsigned int read_id(const char *sysfs, const char *address, const char *name)
{
	char path[PATH_MAX];
	unsigned int id = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/%s", sysfs, address, name);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%x", &id) != 1)
		id = 0;
	fclose(file);
	return id;
}

// Mellanox: DPDK uses them beside mlx5_core and never by vfio-pci; for older ones than that driver
// knows it has none at all.
static int check_mellanox(
	const char *sysfs, const char *address, const char *driver, char why[MEANS_TEXT_BYTES])
{
	unsigned int id = read_id(sysfs, address, "device");

	if ((id < CONNECTX_FIRST || id > CONNECTX_LAST) &&
		(id < BLUEFIELD_FIRST || id > BLUEFIELD_LAST)) {
		snprintf(why, MEANS_TEXT_BYTES,
			"%s is a ConnectX-3 or older, and DPDK here has no driver for it; use "
			"[dataplane] interface, or another NIC",
			address);
		return -ENXIO;
	}
	if (strcmp(driver, "mlx5_core") == 0)
		return 0;
	snprintf(why, MEANS_TEXT_BYTES,
		"%s is with %.32s, and DPDK uses it beside mlx5_core; give it back with: driverctl "
		"unset-override %s",
		address, *driver ? driver : "no driver", address);
	return -EBUSY;
}

int means_check_device(const char *sysfs, const char *device, char why[MEANS_TEXT_BYTES])
{
	int chars = (int)strcspn(device, ",");
	char path[PATH_MAX], target[PATH_MAX], address[ADDRESS_CHARS + 1] = "";
	const char *driver;

	if (!is_address(device, (size_t)chars))
		return 0;
	// DPDK takes capitals too; sysfs has none.
	for (int i = 0; i < chars; i++)
		address[i] = (char)tolower((unsigned char)device[i]);
	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s", sysfs, address);
	if (access(path, F_OK) < 0) {
		snprintf(why, MEANS_TEXT_BYTES,
			"there is no PCI device %.*s here; lspci lists those there are", chars,
			device);
		return -ENODEV;
	}
	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/driver", sysfs, address);
	driver = link_name(path, target);
	if (read_id(sysfs, address, "vendor") == VENDOR_MELLANOX)
		return check_mellanox(sysfs, address, driver, why);
	if (is_for_dpdk(driver))
		return 0;
	if (*driver) {
		snprintf(why, MEANS_TEXT_BYTES,
			"%.*s is in use by the kernel (%.32s); give it to DPDK with: driverctl "
			"set-override %.*s vfio-pci",
			chars, device, driver, chars, device);
		return -EBUSY;
	}
	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/iommu_group", sysfs, address);
	if (access(path, F_OK) < 0)
		snprintf(why, MEANS_TEXT_BYTES,
			"no IOMMU looks after %.*s, and vfio-pci needs one; enable VT-d or AMD-Vi "
			"in the firmware setup and boot with iommu=pt, on Intel with "
			"intel_iommu=on too",
			chars, device);
	else
		snprintf(why, MEANS_TEXT_BYTES,
			"%.*s has no driver; give it to DPDK with: driverctl set-override %.*s "
			"vfio-pci",
			chars, device, chars, device);
	return -ENXIO;
}

// Return: 0 where there is no such file.
static uint64_t read_number(const char *sysfs, const char *pages, const char *name)
{
	char path[PATH_MAX];
	uint64_t n = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/kernel/mm/hugepages/%s/%s_hugepages", sysfs, pages, name);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%" SCNu64, &n) != 1)
		n = 0;
	fclose(file);
	return n;
}

// As the EAL counts: what nobody was promised, and what the kernel would make on demand.
// Return: memory in pages of one size, KiB.
static uint64_t free_kib(const char *sysfs, const char *pages)
{
	uint64_t page_kib, have, used;

	if (sscanf(pages, "hugepages-%" SCNu64 "kB", &page_kib) != 1)
		return 0;
	have = read_number(sysfs, pages, "free") + read_number(sysfs, pages, "nr_overcommit");
	used = read_number(sysfs, pages, "resv") + read_number(sysfs, pages, "surplus");
	return have > used ? (have - used) * page_kib : 0;
}

int means_check_pages(const char *sysfs, uint32_t want_mib, char why[MEANS_TEXT_BYTES])
{
	char path[PATH_MAX];
	uint64_t kib = 0;
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/kernel/mm/hugepages", sysfs);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		kib += free_kib(sysfs, entry->d_name);
	if (dir)
		closedir(dir);
	if (kib / KIB_PER_MIB >= want_mib)
		return 0;
	snprintf(why, MEANS_TEXT_BYTES,
		"too few huge pages: %" PRIu64 " MiB of them are free, %" PRIu32
		" MiB are wanted ([dataplane] memory_mib); make more with: sysctl "
		"vm.nr_hugepages=N, or scripts/provision --hugepages N for good",
		kib / KIB_PER_MIB, want_mib);
	return -ENOMEM;
}
