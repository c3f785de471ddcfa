// What the workers' counters say: taken once, set off against an earlier taking, worked out.
// Main thread.
#pragma once

#include <stdint.h>

#include "dataplane/abi/region.h"
#include "dataplane/testfan/check.h"
#include "dataplane/testfan/gauge.h"
#include "dataplane/testfan/source.h"

// What viewers asked for again, and what came of it.
struct repair {
	uint64_t nacks;
	uint64_t resent, resent_bytes;
	uint64_t copies; // of resent, second ones
	uint64_t missed[REGION_MISS_COUNT];
};

// The counters at one time.
struct counts {
	uint64_t ns;
	struct region_worker workers[REGION_MAX_WORKERS];
	struct {
		uint64_t packets, missed, no_mbuf, cycles;
	} sources[REGION_MAX_WORKERS];
	uint64_t cpu_ns;	// that the workers had, together
	uint64_t payload_bytes; // sent to viewers, once
	struct repair repair;
	uint32_t n_viewers;
	struct viewer_counts {
		uint64_t packets, drops;
	} * viewers; // owned
};

// Of a worker, or the sum of all. What is a packet here, is one to a viewer; it counts when sealed.
struct figures {
	uint64_t rx_packets, tx_packets, tx_bytes, sealed_packets;
	uint64_t source_missed, source_no_mbuf;
	uint64_t drops[DROP_COUNT];
	double mpps, gbps;
	double cycles_per_packet, crypto_cycles, rest_cycles;
	double source_cycles; // testfan's own, per packet; in none of the others
	double rx_burst_fill, tx_burst_fill;
	double busy; // share of the time
};

struct spread {
	uint64_t min, max;
	double mean;
};

struct measure {
	double seconds;
	uint16_t n_workers;
	struct figures workers[REGION_MAX_WORKERS];
	struct figures sum;
	uint16_t cpus[REGION_MAX_WORKERS];
	double viewers_per_core;
	double cpu_seconds; // of all workers: what others took of their cores is not in it
	struct spread delivered, dropped;
	struct repair repair;
};

// Packets that were asked for.
uint64_t repair_asked(const struct repair *);

// Packets that went out for the first time.
static inline uint64_t measure_fanned(const struct measure *m)
{
	return m->sum.sealed_packets - m->repair.resent;
}

// Return: 0; -ENOMEM. counts_fini is right after both.
int counts_take(
	const struct region *, const struct source *sources, uint32_t n_viewers, struct counts *);
void counts_fini(struct counts *);

void measure_make(const struct counts *before, const struct counts *after, uint16_t n_workers,
	uint64_t bitrate, struct measure *out);
