#include "dataplane/ingest/lint.h"

#include <stdlib.h>

#define NS_PER_S UINT64_C(1000000000)

enum {
	CLOCK_WINDOW_S = 5,
	PAUSE_PPM = 20000, // a source that paused or skipped, and no clock
};

static void put(struct region_leg_state *state, enum lint_reason reason, bool on)
{
	uint32_t bit = 1u << reason;

	state->lint = on ? state->lint | bit : state->lint & ~bit;
}

static bool is_on(const struct region_leg_state *state, enum lint_reason reason)
{
	return state->lint >> reason & 1;
}

void lint_restart(struct lint *l, uint64_t now_ns)
{
	l->clock = (struct lint_clock){ 0 };
	l->since_ns = now_ns;
}

static bool is_over(const struct lint_event *e, uint64_t now_ns)
{
	return now_ns - e->last_ns > LINT_CLEAR_S * NS_PER_S;
}

void lint_event(
	struct lint *l, struct region_leg_state *state, enum lint_reason reason, uint64_t now_ns)
{
	struct lint_event *e = reason == LINT_B_FRAMES ? &l->b_frames : &l->oversize;

	if (is_over(e, now_ns))
		e->n = 0;
	e->last_ns = now_ns;
	if (e->n < LINT_RAISE_AT)
		e->n++;
	if (e->n == LINT_RAISE_AT)
		put(state, reason, true);
}

// ---- the source's clock ------------------------------------------------------------------------

static void begin_window(struct lint_clock *c, uint64_t now_ns)
{
	c->window_min_ns = INT64_MAX;
	c->window_end_ns = now_ns + CLOCK_WINDOW_S * NS_PER_S;
}

static void set_base(struct lint_clock *c, uint64_t now_ns)
{
	c->has_base = true;
	c->base_ns = now_ns;
	c->base_min_ns = c->window_min_ns;
}

static void judge_drift(const struct lint_clock *c, struct region_leg_state *state, uint64_t now_ns)
{
	// Packets that come later and later against their timestamps: the source's clock is slow.
	int64_t ppm = (c->base_min_ns - c->window_min_ns) * 1000000 /
		      (int64_t)(now_ns - c->base_ns);

	if (llabs(ppm) > PAUSE_PPM)
		return;
	state->drift_ppm = (int32_t)ppm;
	state->drift_known = 1;
	if (llabs(ppm) > LINT_DRIFT_RAISE_PPM)
		put(state, LINT_CLOCK_DRIFT, true);
	else if (llabs(ppm) < LINT_DRIFT_CLEAR_PPM)
		put(state, LINT_CLOCK_DRIFT, false);
}

void lint_packet(struct lint *l, struct region_leg_state *state, enum leg_kind leg, uint32_t ts,
	uint64_t now_ns)
{
	struct lint_clock *c = &l->clock;
	int64_t hz = leg_clock_hz(leg), media_ns, off_ns;

	if (!c->begun) {
		*c = (struct lint_clock){ .begun = true, .ts = ts, .begin_ns = now_ns };
		begin_window(c, now_ns);
	}
	c->ticks += (int32_t)(ts - c->ts);
	c->ts = ts;
	media_ns = c->ticks / hz * (int64_t)NS_PER_S + c->ticks % hz * (int64_t)NS_PER_S / hz;
	off_ns = (int64_t)(now_ns - c->begin_ns) - media_ns;
	if (off_ns < c->window_min_ns)
		c->window_min_ns = off_ns;
	if (now_ns < c->window_end_ns)
		return;
	if (c->has_base && now_ns - c->base_ns >= LINT_CLOCK_SPAN_S * NS_PER_S) {
		judge_drift(c, state, now_ns);
		set_base(c, now_ns);
	} else if (!c->has_base) {
		set_base(c, now_ns);
	}
	begin_window(c, now_ns);
}

// ---- the profile -------------------------------------------------------------------------------

enum profile {
	PROFILE_CONSTRAINED_BASELINE,
	PROFILE_BASELINE,
	PROFILE_MAIN,
	PROFILE_EXTENDED,
	PROFILE_CONSTRAINED_HIGH,
	PROFILE_OTHER, // and profile_idc
};

// H.264 A.2, as RFC 6184 8.1 (table 5) puts them together.
static unsigned int profile_of(const uint8_t p[3])
{
	bool set0 = p[1] & 0x80, set1 = p[1] & 0x40;

	switch (p[0]) {
	case 66:
		return set1 ? PROFILE_CONSTRAINED_BASELINE : PROFILE_BASELINE;
	case 77:
		return set0 ? PROFILE_CONSTRAINED_BASELINE : PROFILE_MAIN;
	case 88:
		return set0 && set1 ? PROFILE_CONSTRAINED_BASELINE : PROFILE_EXTENDED;
	case 100:
		return (p[1] & 0x0c) == 0x0c ? PROFILE_CONSTRAINED_HIGH : PROFILE_OTHER + 100u;
	default:
		return PROFILE_OTHER + p[0];
	}
}

void lint_profile(const struct region_leg_conf *conf, struct region_leg_state *state)
{
	const uint8_t *declared = conf->profile_level_id, *sent = state->profile_level_id;

	put(state, LINT_PROFILE,
		conf->profile_known && state->profile_known &&
			(profile_of(declared) != profile_of(sent) || sent[2] > declared[2]));
}

// ---- what is missing ---------------------------------------------------------------------------

// Return: whether a leg that is up has gone without something for so long.
static bool misses(const struct lint *l, const struct region_leg_state *state, uint64_t last_ns,
	uint64_t seconds, uint64_t now_ns)
{
	uint64_t from_ns = last_ns > l->since_ns ? last_ns : l->since_ns;

	return state->up && l->since_ns && now_ns > from_ns &&
	       now_ns - from_ns > seconds * NS_PER_S;
}

void lint_check(struct lint *l, struct region_leg_state *state, enum leg_kind leg,
	bool unknown_sets, uint32_t key_frame_warn_s, uint64_t now_ns)
{
	if (is_on(state, LINT_B_FRAMES) && is_over(&l->b_frames, now_ns))
		put(state, LINT_B_FRAMES, false);
	if (is_on(state, LINT_OVERSIZE) && is_over(&l->oversize, now_ns))
		put(state, LINT_OVERSIZE, false);
	put(state, LINT_NO_SENDER_REPORTS, misses(l, state, l->report_ns, LINT_REPORTS_S, now_ns));
	if (leg != LEG_VIDEO)
		return;
	put(state, LINT_NO_KEY_FRAME,
		misses(l, state, state->last_key_ns, key_frame_warn_s, now_ns));
	put(state, LINT_NO_PARAMETER_SETS, unknown_sets);
}
