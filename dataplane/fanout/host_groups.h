// The multicast groups that the port of a host must let in: its own, and those of the streams'
// legs. Worker 0 gathers them, the main thread has the port take them.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct host_addresses;
struct worker;

enum {
	HOST_GROUPS_MAX = 256,
};

struct host_groups {
	// Worker 0 writes while it is not set, the main thread reads while it is.
	_Atomic bool fresh;
	uint32_t n;
	uint8_t macs[HOST_GROUPS_MAX][6];

	uint64_t sum; // worker 0: rw
	bool refused; // main thread: rw
};

// Worker 0, now and then.
void host_groups_gather(
	struct host_groups *, const struct host_addresses *us, const struct worker *);

// Main thread. all: the kernel has groups that we are not told of, IGMP's questions among them.
void host_groups_watch(struct host_groups *, const uint16_t *ports, uint16_t n_ports, bool all);
