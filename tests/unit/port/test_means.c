// What is wrong with a machine, on trees like /sys.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/port/means.h"

#define NIC "0000:01:00.0"

static char sysfs[] = "/tmp/millrace-means-XXXXXX";
static char why[MEANS_TEXT_BYTES];

static const char *at(const char *path)
{
	static char full[PATH_MAX];

	snprintf(full, sizeof(full), "%s/%s", sysfs, path);
	return full;
}

static void make_dirs(const char *path)
{
	char full[PATH_MAX];

	snprintf(full, sizeof(full), "%s/%s/", sysfs, path);
	for (char *slash = strchr(full + strlen(sysfs), '/'); slash;
		slash = strchr(slash + 1, '/')) {
		*slash = 0;
		assert_true(mkdir(full, 0700) == 0 || errno == EEXIST);
		*slash = '/';
	}
}

static void put(const char *path, const char *text)
{
	FILE *file = fopen(at(path), "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void bind(const char *driver)
{
	const char *link = "bus/pci/devices/" NIC "/driver";
	char target[64];

	unlink(at(link));
	snprintf(target, sizeof(target), "../../../../bus/pci/drivers/%s", driver);
	assert_int_equal(*driver ? symlink(target, at(link)) : 0, 0);
}

static int setup(void **state)
{
	strcpy(strrchr(sysfs, '-') + 1, "XXXXXX");
	if (!mkdtemp(sysfs))
		return -1;
	make_dirs("bus/pci/devices/" NIC);
	make_dirs("kernel/mm/hugepages/hugepages-2048kB");
	make_dirs("kernel/mm/hugepages/hugepages-1048576kB");
	put("kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "128\n");
	put("kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", "0\n");
	return 0;
}

static int teardown(void **state)
{
	char command[sizeof(sysfs) + 16];

	snprintf(command, sizeof(command), "rm -r %s", sysfs);
	return system(command);
}

static void device(void **state)
{
	static const struct {
		const char *driver;
		int rc;
		const char *words;
	} rows[] = {
		{ "vfio-pci", 0, NULL },
		{ "uio_pci_generic", 0, NULL },
		{ "igb_uio", 0, NULL },
		{ "mlx5_core", 0, NULL },
		{ "mana", 0, NULL },
		{ "mlx4_core", -EBUSY, "in use by the kernel (mlx4_core)" },
		{ "igb", -EBUSY, "in use by the kernel (igb)" },
		{ "virtio-pci", -EBUSY, "driverctl set-override " NIC " vfio-pci" },
		{ "", -ENXIO, "no IOMMU" },
		{ "", -ENXIO, "boot with iommu=pt, on Intel with intel_iommu=on too" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bind(rows[i].driver);
		assert_int_equal(means_check_device(sysfs, NIC, why), rows[i].rc);
		if (rows[i].words)
			assert_non_null(strstr(why, rows[i].words));
		assert_int_equal(means_check_device(sysfs, NIC ",queues=2", why), rows[i].rc);
	}
	make_dirs("bus/pci/devices/" NIC "/iommu_group");
	assert_int_equal(means_check_device(sysfs, NIC, why), -ENXIO);
	assert_non_null(strstr(why, NIC " has no driver"));
}

// A ConnectX is used beside the kernel's driver.
static void shared(void **state)
{
	static const char *ids[] = { "0x1013", "0x1017", "0x102f", "0xa2d0", "0xa2df" };
	static const char *wrong[] = { "vfio-pci", "uio_pci_generic", "mlx4_core", "" };

	put("bus/pci/devices/" NIC "/vendor", "0x15b3\n");
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		put("bus/pci/devices/" NIC "/device", ids[i]);
		bind("mlx5_core");
		assert_int_equal(means_check_device(sysfs, NIC, why), 0);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		bind(wrong[i]);
		assert_int_equal(means_check_device(sysfs, NIC, why), -EBUSY);
		assert_non_null(strstr(why, *wrong[i] ? wrong[i] : "no driver"));
		assert_non_null(strstr(why, "driverctl unset-override " NIC));
	}
}

// For one before them there is no driver, whoever has it.
static void too_old(void **state)
{
	static const char *ids[] = { "0x1003", "0x1007", "0x1012", "0x1030", "0xa2cf", "0xa2e0" };
	static const char *drivers[] = { "mlx4_core", "mlx5_core", "vfio-pci", "" };

	put("bus/pci/devices/" NIC "/vendor", "0x15b3\n");
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		put("bus/pci/devices/" NIC "/device", ids[i]);
		for (size_t j = 0; j < sizeof(drivers) / sizeof(drivers[0]); j++) {
			bind(drivers[j]);
			assert_int_equal(means_check_device(sysfs, NIC, why), -ENXIO);
			assert_non_null(strstr(why, NIC " is a ConnectX-3 or older"));
			assert_non_null(strstr(why, "[dataplane] interface"));
		}
	}
}

// DPDK takes capitals, sysfs has none.
static void capitals(void **state)
{
	make_dirs("bus/pci/devices/0000:0a:00.0");
	assert_int_equal(means_check_device(sysfs, "0000:0A:00.0", why), -ENXIO);
	assert_non_null(strstr(why, "no IOMMU"));
}

static void other_devices(void **state)
{
	assert_int_equal(means_check_device(sysfs, "0000:09:00.0", why), -ENODEV);
	assert_non_null(strstr(why, "no PCI device 0000:09:00.0 here"));
	assert_int_equal(means_check_device(sysfs, "net_null0", why), 0);
	assert_int_equal(means_check_device(sysfs, "09:00.0", why), 0); // the EAL knows more forms
	assert_int_equal(means_check_device(sysfs, "0000:09:00.00", why), 0);
	assert_int_equal(means_check_device(sysfs, "../../../../x", why), 0);
}

static void pages(void **state)
{
	assert_int_equal(means_check_pages(sysfs, 256, why), 0);
	assert_int_equal(means_check_pages(sysfs, 257, why), -ENOMEM);
	assert_non_null(strstr(why, "256 MiB of them are free, 257 MiB are wanted"));
	put("kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", "1\n");
	assert_int_equal(means_check_pages(sysfs, 1280, why), 0);
	assert_int_equal(means_check_pages(sysfs, 1281, why), -ENOMEM);
	put("kernel/mm/hugepages/hugepages-2048kB/nr_overcommit_hugepages", "12\n");
	put("kernel/mm/hugepages/hugepages-2048kB/surplus_hugepages", "2\n");
	put("kernel/mm/hugepages/hugepages-2048kB/resv_hugepages", "3\n");
	assert_int_equal(means_check_pages(sysfs, 1294, why), 0);
	assert_int_equal(means_check_pages(sysfs, 1295, why), -ENOMEM);
	assert_int_equal(means_check_pages("/nowhere", 16, why), -ENOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(device, setup, teardown),
		cmocka_unit_test_setup_teardown(shared, setup, teardown),
		cmocka_unit_test_setup_teardown(too_old, setup, teardown),
		cmocka_unit_test_setup_teardown(capitals, setup, teardown),
		cmocka_unit_test_setup_teardown(other_devices, setup, teardown),
		cmocka_unit_test_setup_teardown(pages, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
