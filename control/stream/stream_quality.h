// How well a stream reaches its viewers: histograms over all of them, so that a thousand viewers
// cost no more series than one. Owner: control's core thread. Written by sessions, read by metrics
// and the API.
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/abi/leg.h"

// What is noted of a viewer's leg.
enum stream_quality_kind {
	STREAM_QUALITY_LOSS,	     // share of packets that a receiver report tells lost
	STREAM_QUALITY_JITTER,	     // seconds, of the same report
	STREAM_QUALITY_ROUND_TRIP,   // seconds
	STREAM_QUALITY_FIRST_PACKET, // seconds from POST to the first packet sent; once a viewer
	STREAM_QUALITY_MISSED,	     // share of the packets that it asked for again and did not get
	STREAM_QUALITY_KINDS,
};

enum {
	STREAM_QUALITY_BUCKETS_MAX = 14,
	STREAM_QUALITY_SPAN_MS = 10000,
};

// A kind's buckets: upper bounds, rising; one more bucket lies above them.
struct stream_quality_scale {
	const double *bounds;
	size_t n_bounds;
};

struct stream_histogram {
	uint64_t buckets[STREAM_QUALITY_BUCKETS_MAX];
	double sum;
};

// Zeroed to begin with.
struct stream_quality {
	struct stream_histogram all[LEG_COUNT][STREAM_QUALITY_KINDS];
	// Of the span under way, and of the one before it.
	struct stream_histogram spans[2][LEG_COUNT][STREAM_QUALITY_KINDS];
	uint64_t span_ms; // when the one under way began
};

const struct stream_quality_scale *stream_quality_scale(enum stream_quality_kind);

// Count one value. now_ms: rises.
void stream_quality_note(struct stream_quality *, enum leg_kind, enum stream_quality_kind,
	double value, uint64_t now_ms);

// The value that a share q of those noted lately (this span and the one before) does not exceed, by
// straight lines within the buckets; the last bound where it lies above that.
// Return: -1 nothing was noted.
double stream_quality_quantile(const struct stream_quality *, enum leg_kind,
	enum stream_quality_kind, double q, uint64_t now_ms);

// One leg as the API shows it.
// Return: a new reference; NULL no memory.
json_t *stream_quality_describe(const struct stream_quality *, enum leg_kind, uint64_t now_ms);
