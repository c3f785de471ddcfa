// How long a packet takes from its receive to the send to its last viewer. Open loop: from when it
// was due, so that a worker that is behind shows it.
// Threads: workers write, each its own; the main thread reads the histograms.
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "dataplane/testfan/drive.h"
#include "dataplane/testfan/source.h"

struct gauge;

struct gauge_result {
	double p50_us, p90_us, p99_us, max_us;
	uint64_t count;
};

// Hang a transmit callback on each worker's queue. Main thread, no worker running.
// Return: 0; -ENOMEM, -ENOTSUP.
int gauge_create(const struct edge *, const struct drive *, struct gauge **out);

// The workers must have ended. NULL is fine.
void gauge_destroy(struct gauge *);

// A packet came in. The worker that owns its stream.
// rx: TSC.
void gauge_rx(struct gauge *, uint16_t worker, const struct source_label *, uint64_t rx);

// Forget what was measured so far.
void gauge_clear(struct gauge *);

// After the workers ended: what had no successor yet.
void gauge_finish(struct gauge *);

void gauge_read(const struct gauge *, struct gauge_result *out);
