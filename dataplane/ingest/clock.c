#include "dataplane/ingest/clock.h"

#include <errno.h>
#include <string.h>

enum {
	WINDOW_MS = 1000,
	SNAP_MS = 100,	     // a mapping off by more jumps, by less it moves a quarter at a time
	STEP_MS = 1000,	     // reports that say so much else are by another clock
	REPORT_FRESH_S = 20, // FFmpeg reports every 5 s
	NS_PER_MS = 1000000,
};

static int64_t media_ns(enum leg_kind leg, uint32_t from_ts, uint32_t ts)
{
	return (int64_t)(int32_t)(ts - from_ts) * 1000000000 / leg_clock_hz(leg);
}

uint32_t leg_clock_span(enum leg_kind leg, int64_t ns)
{
	// Split, so that days of uptime do not overflow the product.
	int64_t s = ns / 1000000000, rest = ns % 1000000000;

	return (uint32_t)(s * leg_clock_hz(leg) + rest * leg_clock_hz(leg) / 1000000000);
}

uint64_t stream_clock_ntp_to_ns(uint64_t ntp)
{
	return (ntp >> 32) * 1000000000 + ((ntp & 0xffffffff) * 1000000000 >> 32);
}

void stream_clock_reset(struct stream_clock *c, enum leg_kind leg)
{
	memset(&c->legs[leg], 0, sizeof(c->legs[leg]));
	c->has_source = false;
}

void stream_clock_restart(struct stream_clock *c, enum leg_kind leg, uint64_t now_ns)
{
	struct leg_clock *l = &c->legs[leg];

	l->window_min_ns = INT64_MAX;
	l->window_end_ns = now_ns + WINDOW_MS * (uint64_t)NS_PER_MS;
}

int stream_clock_at_ntp(
	const struct stream_clock *c, enum leg_kind leg, uint64_t ntp_ns, uint32_t *out_ts)
{
	const struct leg_clock *l = &c->legs[leg];

	if (!l->has_report)
		return -EAGAIN;
	*out_ts = l->report_ts + leg_clock_span(leg, (int64_t)(ntp_ns - l->report_ntp_ns));
	return 0;
}

void stream_clock_move(struct stream_clock *c, enum leg_kind leg, uint32_t ts_by)
{
	c->legs[leg].anchor_ts += ts_by;
	c->legs[leg].report_ts += ts_by;
}

static void close_window(struct leg_clock *l, uint64_t rx_ns)
{
	int64_t off = l->window_min_ns - l->offset_ns;

	if (off > SNAP_MS * (int64_t)NS_PER_MS || off < -SNAP_MS * (int64_t)NS_PER_MS)
		l->offset_ns = l->window_min_ns;
	else
		l->offset_ns += off / 4;
	l->window_min_ns = INT64_MAX;
	l->window_end_ns = rx_ns + WINDOW_MS * (uint64_t)NS_PER_MS;
}

void stream_clock_packet(struct stream_clock *c, enum leg_kind leg, uint32_t ts, uint64_t rx_ns)
{
	struct leg_clock *l = &c->legs[leg];
	int64_t offset;

	if (!l->anchored) {
		l->anchored = true;
		l->anchor_ts = ts;
		l->offset_ns = (int64_t)rx_ns;
		l->window_min_ns = INT64_MAX;
		l->window_end_ns = rx_ns + WINDOW_MS * (uint64_t)NS_PER_MS;
	}
	offset = (int64_t)rx_ns - media_ns(leg, l->anchor_ts, ts);
	if (offset < l->window_min_ns)
		l->window_min_ns = offset;
	if (rx_ns < l->window_end_ns)
		return;
	close_window(l, rx_ns);
	// Carry the anchor along: a 32-bit timestamp distance is good for hours, not for weeks.
	l->offset_ns += media_ns(leg, l->anchor_ts, ts);
	l->anchor_ts = ts;
}

// The wall clock of the reports is another: what the other legs reported keeps its instant.
static void step_source(struct stream_clock *c, int64_t shift_ns)
{
	for (int leg = 0; leg < LEG_COUNT; leg++)
		c->legs[leg].report_ntp_ns += (uint64_t)(c->source_shift_ns - shift_ns);
	c->source_shift_ns = shift_ns;
}

void stream_clock_report(
	struct stream_clock *c, enum leg_kind leg, uint32_t ts, uint64_t ntp, uint64_t rx_ns)
{
	struct leg_clock *l = &c->legs[leg];
	int64_t shift;

	shift = (int64_t)(rx_ns - stream_clock_ntp_to_ns(ntp));
	// One shift for all legs keeps their distance exact. The fastest report is nearest to the
	// truth; a slow rise lets a drifting source clock through.
	if (c->has_source && (shift - c->source_shift_ns > STEP_MS * (int64_t)NS_PER_MS ||
				     c->source_shift_ns - shift > STEP_MS * (int64_t)NS_PER_MS))
		step_source(c, shift);
	else if (!c->has_source || shift < c->source_shift_ns)
		c->source_shift_ns = shift;
	else
		c->source_shift_ns += (shift - c->source_shift_ns) / 64;
	c->has_source = true;
	l->has_report = true;
	l->report_ts = ts;
	l->report_ntp_ns = stream_clock_ntp_to_ns(ntp);
	l->report_rx_ns = rx_ns;
}

static bool reports_rule(
	const struct stream_clock *c, const bool present[LEG_COUNT], uint64_t now_ns)
{
	bool any = false;

	for (int leg = 0; leg < LEG_COUNT; leg++) {
		const struct leg_clock *l = &c->legs[leg];

		if (!present[leg] || !l->anchored)
			continue;
		if (!l->has_report || now_ns - l->report_rx_ns > REPORT_FRESH_S * 1000000000ULL)
			return false;
		any = true;
	}
	return any && c->has_source;
}

int stream_clock_zero(const struct stream_clock *c, enum leg_kind leg,
	const bool present[LEG_COUNT], uint64_t now_ns, uint32_t *out)
{
	const struct leg_clock *l = &c->legs[leg];

	if (!l->anchored)
		return -EAGAIN;
	if (reports_rule(c, present, now_ns))
		*out = l->report_ts -
		       leg_clock_span(leg, (int64_t)l->report_ntp_ns + c->source_shift_ns);
	else
		*out = l->anchor_ts - leg_clock_span(leg, l->offset_ns);
	return 0;
}

int stream_clock_ntp(
	const struct stream_clock *c, const bool present[LEG_COUNT], uint64_t now_ns, uint64_t *out)
{
	int64_t s, rest;

	if (!reports_rule(c, present, now_ns))
		return -EAGAIN;
	s = -c->source_shift_ns / 1000000000;
	rest = -c->source_shift_ns % 1000000000;
	if (rest < 0) {
		s--;
		rest += 1000000000;
	}
	*out = ((uint64_t)s << 32) + (((uint64_t)rest << 32) / 1000000000);
	return 0;
}
