// What is under test, whole: DPDK's ports, a region, the workers as millrace-dataplane runs them,
// and what testfan puts around them: sources, the part of control, the gauges.
// Main thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/abi/conf.h"
#include "dataplane/abi/region.h"
#include "dataplane/fanout/worker.h"
#include "dataplane/port/port.h"
#include "dataplane/testfan/check.h"
#include "dataplane/testfan/drive.h"
#include "dataplane/testfan/floor.h"
#include "dataplane/testfan/gauge.h"
#include "dataplane/testfan/measure.h"
#include "dataplane/testfan/nack.h"
#include "dataplane/testfan/settings.h"
#include "dataplane/testfan/source.h"

// What a viewer takes of the data plane's memory, in bytes.
struct rig_memory {
	double region_slot; // shared with control
	double peer;
	double srtp_session; // as the engine says
	double srtp_shared;  // of the engines, its part
	double tables;	     // by slot, by stream, by address
	double total;
	double heap_grown; // what the heap grew by when the viewers came, a viewer; 0: unknown
};

struct rig {
	struct settings settings; // of the run
	struct conf conf;
	struct port_set ports;
	struct region region;
	struct edge edge;
	struct drive drive;
	struct source_switches switches;
	struct source sources[REGION_MAX_WORKERS];
	struct gauge *gauge;
	struct check *check;
	struct nack *nack;
	bool built;
	bool running;
	uint64_t rate; // packets a second and stream that come in; 0: closed loop
	struct counts before, after;
	uint64_t heap_before, heap_after;
};

// After rte_eal_init: the ports, with a worker on each lcore but the main one.
// Return: 0; -errno, logged. rig_close is right after both.
int rig_open(struct rig *, enum conf_checksum);

// Who makes the checksums: "offload", "software" or "zero".
const char *rig_checksum(const struct rig *);

// The other way: EAL and ports as millrace-dataplane starts them, by AF_XDP on an interface.
// args:   options of its configuration, such as "--dataplane-interface=eth0".
int rig_open_interface(struct rig *, char **args, int n_args);
void rig_close(struct rig *);

// Build anew what the settings say, and let it run. With a load, capacity is measured first.
// stop_asked: looked at while that lasts.
// Return: 0; -EINTR; -errno, logged. rig_stop is right after both.
int rig_start(struct rig *, const struct settings *, bool (*stop_asked)(void));

// No more comes in; what is under way leaves; then the workers end. What was measured stays.
void rig_stop(struct rig *);

// Now and then while it runs: answer the rings, judge packets.
void rig_poll(struct rig *);

// Poll for so long.
// Return: whether it was to the end.
bool rig_run_for(struct rig *, double seconds, bool (*stop_asked)(void));

// Forget what was counted so far.
void rig_clear(struct rig *);

// Since rig_clear, until now or until rig_stop.
// Return: 0; -ENODATA never started, -ENOMEM.
int rig_measure(struct rig *, struct measure *out);

// The memory of viewers, as they are now.
// Return: 0; -ENODATA.
int rig_memory(const struct rig *, struct rig_memory *out);

// The bare cipher on all workers' cores at once, each with as many keys as it has viewers. Not
// running.
// out:    the mean of a core's times; Mpps of all together.
// Return: 0; -EBUSY; -errno of floor_run.
int rig_floor(const struct rig *, const struct settings *, bool by_library, unsigned int ms,
	struct floor_result *out);
