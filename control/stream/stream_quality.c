#include "control/stream/stream_quality.h"

#include <assert.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const double loss_bounds[] = { 0, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5 };
static const double missed_bounds[] = { 0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.9 };
static const double jitter_bounds_s[] = { 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2,
	0.5 };
static const double round_trip_bounds_s[] = { 0.001, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1,
	0.15, 0.2, 0.3, 0.5, 1 };
static const double first_packet_bounds_s[] = { 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10 };

#define SCALE(array)                       \
	{                                  \
		(array), COUNT_OF((array)) \
	}

static const struct stream_quality_scale scales[STREAM_QUALITY_KINDS] = {
	[STREAM_QUALITY_LOSS] = SCALE(loss_bounds),
	[STREAM_QUALITY_JITTER] = SCALE(jitter_bounds_s),
	[STREAM_QUALITY_ROUND_TRIP] = SCALE(round_trip_bounds_s),
	[STREAM_QUALITY_FIRST_PACKET] = SCALE(first_packet_bounds_s),
	[STREAM_QUALITY_MISSED] = SCALE(missed_bounds),
};

static_assert(COUNT_OF(round_trip_bounds_s) < STREAM_QUALITY_BUCKETS_MAX, "no bucket above");

const struct stream_quality_scale *stream_quality_scale(enum stream_quality_kind kind)
{
	return &scales[kind];
}

// How many of the two spans are not too old.
static int n_spans(const struct stream_quality *q, uint64_t now_ms)
{
	uint64_t gone_ms = now_ms > q->span_ms ? now_ms - q->span_ms : 0;

	if (gone_ms >= 2 * STREAM_QUALITY_SPAN_MS)
		return 0;
	return gone_ms >= STREAM_QUALITY_SPAN_MS ? 1 : 2;
}

static void turn_spans(struct stream_quality *q, uint64_t now_ms)
{
	int n = n_spans(q, now_ms);

	if (n == 2)
		return;
	if (n == 1)
		memcpy(q->spans[1], q->spans[0], sizeof(q->spans[1]));
	else
		memset(q->spans[1], 0, sizeof(q->spans[1]));
	memset(q->spans[0], 0, sizeof(q->spans[0]));
	q->span_ms = now_ms;
}

void stream_quality_note(struct stream_quality *q, enum leg_kind leg, enum stream_quality_kind kind,
	double value, uint64_t now_ms)
{
	const struct stream_quality_scale *scale = &scales[kind];
	size_t bucket = 0;

	turn_spans(q, now_ms);
	while (bucket < scale->n_bounds && value > scale->bounds[bucket])
		bucket++;
	q->all[leg][kind].buckets[bucket]++;
	q->all[leg][kind].sum += value;
	q->spans[0][leg][kind].buckets[bucket]++;
	q->spans[0][leg][kind].sum += value;
}

// Return: how many were noted lately, and by bucket.
static uint64_t add_up(const struct stream_quality *q, enum leg_kind leg,
	enum stream_quality_kind kind, uint64_t now_ms, uint64_t *buckets)
{
	uint64_t n = 0;

	memset(buckets, 0, STREAM_QUALITY_BUCKETS_MAX * sizeof(*buckets));
	for (int span = 0; span < n_spans(q, now_ms); span++) {
		for (size_t i = 0; i <= scales[kind].n_bounds; i++) {
			buckets[i] += q->spans[span][leg][kind].buckets[i];
			n += q->spans[span][leg][kind].buckets[i];
		}
	}
	return n;
}

double stream_quality_quantile(const struct stream_quality *q, enum leg_kind leg,
	enum stream_quality_kind kind, double share, uint64_t now_ms)
{
	const struct stream_quality_scale *scale = &scales[kind];
	uint64_t buckets[STREAM_QUALITY_BUCKETS_MAX];
	double wanted = (double)add_up(q, leg, kind, now_ms, buckets) * share, below = 0;

	if (wanted <= 0)
		return -1;
	for (size_t i = 0; i < scale->n_bounds; i++) {
		double low = i ? scale->bounds[i - 1] : 0, n = (double)buckets[i];

		if (below + n >= wanted)
			return low + (scale->bounds[i] - low) * (wanted - below) / n;
		below += n;
	}
	return scale->bounds[scale->n_bounds - 1];
}

static json_t *describe(const struct stream_quality *q, enum leg_kind leg,
	enum stream_quality_kind kind, double scale, uint64_t now_ms)
{
	double p50 = stream_quality_quantile(q, leg, kind, 0.5, now_ms);
	double p95 = stream_quality_quantile(q, leg, kind, 0.95, now_ms);
	uint64_t buckets[STREAM_QUALITY_BUCKETS_MAX];
	json_t *up_to, *counts;

	if (p50 < 0)
		return json_null();
	add_up(q, leg, kind, now_ms, buckets);
	up_to = json_array();
	counts = json_array();
	for (size_t i = 0; i <= scales[kind].n_bounds; i++) {
		if (i < scales[kind].n_bounds)
			json_array_append_new(up_to, json_real(scales[kind].bounds[i] * scale));
		json_array_append_new(counts, json_integer((json_int_t)buckets[i]));
	}
	return json_pack("{s:f, s:f, s:o, s:o}", "p50", p50 * scale, "p95", p95 * scale, "up_to",
		up_to, "counts", counts);
}

json_t *stream_quality_describe(const struct stream_quality *q, enum leg_kind leg, uint64_t now_ms)
{
	uint64_t buckets[STREAM_QUALITY_BUCKETS_MAX];

	return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o}", "reports",
		(json_int_t)add_up(q, leg, STREAM_QUALITY_LOSS, now_ms, buckets), "loss_percent",
		describe(q, leg, STREAM_QUALITY_LOSS, 100, now_ms), "jitter_ms",
		describe(q, leg, STREAM_QUALITY_JITTER, 1000, now_ms), "rtt_ms",
		describe(q, leg, STREAM_QUALITY_ROUND_TRIP, 1000, now_ms), "first_packet_ms",
		describe(q, leg, STREAM_QUALITY_FIRST_PACKET, 1000, now_ms),
		"repair_missed_percent", describe(q, leg, STREAM_QUALITY_MISSED, 100, now_ms));
}
