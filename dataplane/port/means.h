// What DPDK needs of the machine, looked at before DPDK starts: there a fault is one line that says
// what mends it, and from the EAL several that do not. Main thread.
#pragma once

#include <stdint.h>

enum {
	MEANS_TEXT_BYTES = 320,
};

// Whether a PCI device is there and free for DPDK.
// sysfs:  "/sys", except in tests.
// device: such as 0000:01:00.0, arguments behind a comma; any other kind passes.
// why:    what is wrong and what mends it, on an error.
// Return: 0; -ENODEV no such device, -ENXIO no driver that DPDK can use, -EBUSY the kernel has it.
int means_check_device(const char *sysfs, const char *device, char why[MEANS_TEXT_BYTES]);

// Whether so much memory is free in huge pages of any size.
// Return: 0; -ENOMEM.
int means_check_pages(const char *sysfs, uint32_t want_mib, char why[MEANS_TEXT_BYTES]);
