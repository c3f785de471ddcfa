// Pacing: a picture of many packets leaves spread over a part of the frame interval, once a stream
// and worker, so that neither a queue nor a viewer's last mile sees all of it at line rate.
// A picture of few packets is not held. What is held is due when the next picture begins, at the
// latest: the delay is bounded by the share of the interval that is configured.
// Owner: the worker's thread. Time is handed in.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	PACE_FREE = 16, // packets of a picture that leave at once
	PACE_RUN = 8,	// packets that leave together: a viewer's keys are fetched once for them
	PACE_DEFAULT_US = 33333, // frame interval while the timestamps have not told
	PACE_MAX_US = 50000,	 // no picture is held longer, however slow the stream is
};

// The picture whose packets came last, and what is known of the stream.
struct pace {
	uint64_t from_ns; // when its first packet was received
	uint32_t ts;
	uint32_t n_put;	   // packets of it that took their place in line
	uint32_t n_left;   // of these, those that left it
	uint32_t n_usual;  // packets of the large ones of late: they set the rate
	uint32_t steps[2]; // timestamp distances between the last pictures; 0: not known
	bool begun;
};

// A packet took its place in line.
// begins: the first of its access unit, in order.
void pace_put(struct pace *, uint32_t ts, bool begins, uint64_t rx_ns);

// How many of those that wait may leave now. Whatever is of an earlier picture always may.
// waiting: all that wait in line.
// percent: of the frame interval; 0: no pacing.
uint32_t pace_due(const struct pace *, uint32_t waiting, uint32_t percent, uint64_t now_ns);

// So many left, of so many that waited.
void pace_take(struct pace *, uint32_t waiting, uint32_t taken);
