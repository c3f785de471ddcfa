#include "dataplane/fanout/pace.h"

#include <rte_common.h>

enum {
	HZ = 90000,
	STEP_MIN = HZ / 1000, // less than a millisecond, more than a second: no frame interval
	STEP_MAX = HZ,
};

// Lost pictures and B-frames make some distances too long, never too short.
static void note_step(struct pace *p, int32_t step)
{
	if (step < STEP_MIN || step > STEP_MAX)
		return;
	p->steps[1] = p->steps[0];
	p->steps[0] = (uint32_t)step;
}

static void begin(struct pace *p, uint32_t ts, uint64_t rx_ns)
{
	if (p->begun)
		note_step(p, (int32_t)(ts - p->ts));
	if (p->n_put > PACE_FREE)
		p->n_usual = RTE_MAX(p->n_put, p->n_usual - p->n_usual / 4);
	p->begun = true;
	p->ts = ts;
	p->from_ns = rx_ns;
	p->n_put = 0;
	p->n_left = 0;
}

void pace_put(struct pace *p, uint32_t ts, bool begins, uint64_t rx_ns)
{
	if (!p->begun || (ts != p->ts && (begins || (int32_t)(ts - p->ts) > 0)))
		begin(p, ts, rx_ns);
	p->n_put++;
}

static uint64_t window_ns(const struct pace *p, uint32_t percent)
{
	uint64_t us = PACE_DEFAULT_US;

	if (p->steps[0])
		us = (p->steps[1] ? RTE_MIN(p->steps[0], p->steps[1]) : p->steps[0]) *
		     UINT64_C(1000000) / HZ;
	return RTE_MIN(us * percent / 100, (uint64_t)PACE_MAX_US) * 1000;
}

uint32_t pace_due(const struct pace *p, uint32_t waiting, uint32_t percent, uint64_t now_ns)
{
	uint32_t held = RTE_MIN(p->n_put - p->n_left, waiting), earlier = waiting - held;
	// What another worker received may be newer than our loop.
	uint64_t gone_ns = now_ns > p->from_ns ? now_ns - p->from_ns : 0;
	uint64_t all_ns = window_ns(p, percent), allowed;

	if (p->n_put <= PACE_FREE || gone_ns >= all_ns)
		return waiting;
	// The rate of the large ones of late: a picture that comes bit by bit is not held back
	// only because its size is not known yet.
	allowed = PACE_RUN + RTE_MAX(p->n_put, p->n_usual) * gone_ns / all_ns;
	if (allowed < p->n_left + (uint64_t)PACE_RUN)
		return earlier;
	return earlier + (uint32_t)RTE_MIN(allowed - p->n_left, (uint64_t)held);
}

void pace_take(struct pace *p, uint32_t waiting, uint32_t taken)
{
	uint32_t held = RTE_MIN(p->n_put - p->n_left, waiting), earlier = waiting - held;

	if (taken > earlier)
		p->n_left += taken - earlier;
}
