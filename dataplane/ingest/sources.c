#include "dataplane/ingest/sources.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	NS_PER_MS = 1000000,
	STALE_MS = 2000,	 // pictures that ended so long ago are not shown
	CALM_MS = 10000,	 // a source that played so long was worth its turn
	LONGEST_TURN_MS = 10000, // that one is held for
	MAX_UNREST = 5,
	SAME_LINE_S = 5, // two sources' instants are not farther apart than by their delays
};

static enum region_role standing_by(const struct sources *s)
{
	return s->state->active == REGION_PRIMARY ? REGION_BACKUP : REGION_PRIMARY;
}

static void use_norms(struct sources *s)
{
	for (int leg = 0; leg < LEG_COUNT; leg++) {
		s->legs[s->state->active][leg].norm = &s->norm[leg];
		s->legs[standing_by(s)][leg].norm = &s->spare[leg];
	}
}

int sources_create(struct leg *primary, struct leg *backup, struct stream_clock *clock,
	struct region_leg_norm *norm, struct region_sources_state *state, uint32_t gop_bytes,
	uint64_t now_ns, struct sources **out)
{
	struct sources *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	if (gop_init(&s->gop, gop_bytes) < 0) {
		gop_fini(&s->gop);
		free(s);
		return -ENOMEM;
	}
	s->legs[REGION_PRIMARY] = primary;
	s->legs[REGION_BACKUP] = backup;
	s->clock = clock;
	s->norm = norm;
	s->state = state;
	s->since_ns = now_ns;
	use_norms(s);
	*out = s;
	return 0;
}

void sources_destroy(struct sources *s)
{
	if (!s)
		return;
	gop_fini(&s->gop);
	free(s);
}

// ---- who shall play ----------------------------------------------------------------------------

// Pictures may come seldom: two and a half of their distances are silence.
static uint64_t silent_after_ns(const struct leg *leg, uint32_t failover_ms)
{
	uint64_t ns = failover_ms * (uint64_t)NS_PER_MS;
	uint64_t least_ns = leg->kind == LEG_AUDIO ? SOURCES_SOUND_MS * (uint64_t)NS_PER_MS
						   : leg->frame_gap_ns * 5 / 2;

	return ns > least_ns ? ns : least_ns;
}

static unsigned int present_legs(const struct leg legs[LEG_COUNT])
{
	return (unsigned int)legs[LEG_VIDEO].present << LEG_VIDEO |
	       (unsigned int)legs[LEG_AUDIO].present << LEG_AUDIO;
}

// Return: a bit for each leg of which something goes out, or could.
static unsigned int alive(
	const struct sources *s, enum region_role source, uint32_t failover_ms, uint64_t now_ns)
{
	unsigned int mask = 0;

	for (int i = 0; i < LEG_COUNT; i++) {
		const struct leg *leg = &s->legs[source][i];

		if (leg->present && leg->norm->has_output &&
			now_ns - leg->norm->last_out_ns < silent_after_ns(leg, failover_ms))
			mask |= 1u << i;
	}
	return mask;
}

static void note_health(struct sources *s, unsigned int standing)
{
	if (s->state->active == REGION_PRIMARY || standing != present_legs(s->legs[REGION_PRIMARY]))
		s->healthy_ns = 0;
}

// Without pictures there is nothing to wait for; else for one that a decoder can begin with.
static bool can_begin(struct sources *s, unsigned int standing, bool at_key)
{
	if (!(standing & 1u << LEG_VIDEO))
		return !s->legs[standing_by(s)][LEG_VIDEO].present || !at_key;
	s->wants_key = at_key ? !gop_is_fresh(&s->gop) : !gop_ready(&s->gop);
	return !s->wants_key;
}

// Two sources that each come and go would have viewers see nothing but beginnings: the sooner one
// takes over after the other, the longer it plays at least, twice as long each time.
static uint64_t least_turn_ns(const struct sources *s, uint32_t failover_ms)
{
	uint64_t ms = (uint64_t)failover_ms << s->unrest;
	uint64_t most = failover_ms > LONGEST_TURN_MS ? failover_ms : LONGEST_TURN_MS;

	return (ms < most ? ms : most) * NS_PER_MS;
}

static void note_unrest(struct sources *s, enum region_switch why, uint64_t now_ns)
{
	if (now_ns - s->since_ns >= (LONGEST_TURN_MS + CALM_MS) * (uint64_t)NS_PER_MS)
		s->unrest = 0;
	else if (why == REGION_SWITCH_SILENCE && s->unrest < MAX_UNREST)
		s->unrest++;
}

bool sources_due(struct sources *s, const struct sources_policy *policy, uint64_t now_ns,
	enum region_switch *why)
{
	unsigned int playing = alive(s, s->state->active, policy->failover_ms, now_ns);
	unsigned int standing = alive(s, standing_by(s), policy->failover_ms, now_ns);

	s->wants_key = false;
	note_health(s, standing);
	if (!standing)
		return false;
	if (policy->pick != REGION_PICK_AUTO) {
		*why = REGION_SWITCH_HAND;
		return (policy->pick == REGION_PICK_BACKUP) !=
			       (s->state->active == REGION_BACKUP) &&
		       can_begin(s, standing, playing != 0);
	}
	if ((standing & ~playing) && !(playing & ~standing)) {
		*why = REGION_SWITCH_SILENCE;
		return now_ns - s->since_ns >= least_turn_ns(s, policy->failover_ms) &&
		       can_begin(s, standing, false);
	}
	if (s->state->active != REGION_BACKUP || !policy->failback ||
		standing != present_legs(s->legs[REGION_PRIMARY]))
		return false;
	if (!s->healthy_ns)
		s->healthy_ns = now_ns;
	*why = REGION_SWITCH_FAILBACK;
	return now_ns - s->healthy_ns >= policy->failback_s * 1000ULL * NS_PER_MS &&
	       can_begin(s, standing, true);
}

// ---- taking over -------------------------------------------------------------------------------

static void swap_norm(struct region_leg_norm *a, struct region_leg_norm *b)
{
	const size_t bytes = offsetof(struct region_leg_norm, clock_zero);
	char kept[sizeof(*a)];

	// All but what the clock of the output says to its readers.
	memcpy(kept, a, bytes);
	memcpy(a, b, bytes);
	memcpy(b, kept, bytes);
}

// The timestamp at CLOCK_MONOTONIC zero, as the newest packet has it.
static uint32_t arrival_zero(const struct region_leg_norm *n, enum leg_kind leg)
{
	return n->last_ts - leg_clock_span(leg, (int64_t)n->last_out_ns);
}

// The output's timestamp at CLOCK_MONOTONIC zero, though nothing may be known of its clock.
static uint32_t output_zero(const struct sources *s, enum leg_kind leg, uint64_t now_ns)
{
	const struct leg *legs = s->legs[s->state->active];
	const bool present[LEG_COUNT] = { legs[LEG_VIDEO].present, legs[LEG_AUDIO].present };
	uint32_t zero;

	if (stream_clock_zero(s->clock, leg, present, now_ns, &zero) == 0)
		return zero;
	return arrival_zero(&s->norm[leg], leg);
}

// How far the timestamps of the one that stands by are moved, so that both sources' instants meet.
static uint32_t moved_by(const struct sources *s, enum leg_kind leg, uint64_t now_ns)
{
	const struct leg *legs = s->legs[standing_by(s)];
	const bool present[LEG_COUNT] = { legs[LEG_VIDEO].present, legs[LEG_AUDIO].present };
	uint32_t zero;

	if (!s->norm[leg].has_output ||
		stream_clock_zero(&s->spare_clock, leg, present, now_ns, &zero) < 0)
		return 0;
	return output_zero(s, leg, now_ns) - zero;
}

// Whether it is far from what the packets themselves say: then a source reports what is not so.
static bool misled(const struct sources *s, enum leg_kind leg, uint32_t ts_by)
{
	uint32_t by_arrival = arrival_zero(&s->norm[leg], leg) - arrival_zero(&s->spare[leg], leg);
	int32_t most = (int32_t)(SAME_LINE_S * leg_clock_hz(leg));
	int32_t off = (int32_t)(ts_by - by_arrival);

	return s->norm[leg].has_output && s->spare[leg].has_output && (off > most || off < -most);
}

static void line_up(const struct sources *s, uint64_t now_ns, uint32_t ts_by[LEG_COUNT])
{
	bool lies = false;

	for (int leg = 0; leg < LEG_COUNT; leg++) {
		ts_by[leg] = moved_by(s, leg, now_ns);
		lies |= misled(s, leg, ts_by[leg]);
	}
	for (int leg = 0; lies && leg < LEG_COUNT; leg++)
		if (s->norm[leg].has_output && s->spare[leg].has_output)
			ts_by[leg] = arrival_zero(&s->norm[leg], leg) -
				     arrival_zero(&s->spare[leg], leg);
}

// Drawn together, what is kept must lie behind what was sent: else both legs are moved on alike.
static void keep_ahead(const struct sources *s, uint32_t ts_by[LEG_COUNT])
{
	const struct gop *g = &s->gop;
	int32_t short_by;

	if (!gop_ready(g) || !s->norm[LEG_VIDEO].has_output)
		return;
	short_by = (int32_t)(s->norm[LEG_VIDEO].last_ts + 1 + gop_n_before(g) - g->newest_ts -
			     ts_by[LEG_VIDEO]);
	if (short_by <= 0)
		return;
	ts_by[LEG_VIDEO] += (uint32_t)short_by;
	ts_by[LEG_AUDIO] += (uint32_t)((int64_t)short_by * leg_clock_hz(LEG_AUDIO) /
				       leg_clock_hz(LEG_VIDEO));
}

static bool has_gop(const struct sources *s, enum leg_kind kind)
{
	return kind == LEG_VIDEO && gop_ready(&s->gop);
}

// How far the numbers of what is kept are moved, to lie behind what was sent.
static uint64_t seq_by(const struct sources *s, const struct region_leg_norm *out)
{
	return (out->has_output ? out->next_seq : LEG_FIRST_SEQ) - s->gop.packets[0].p.seq;
}

static uint32_t frame_by(const struct sources *s)
{
	return s->legs[s->state->active][LEG_VIDEO].frame + 1 - s->gop.packets[0].p.frame;
}

// The leg that stood by begins anew behind what was sent.
static void begin_leg(struct leg *to, const struct leg *from)
{
	struct region_leg_norm *n = to->norm;

	// Nobody heard anything yet: there is nothing to be behind of.
	if (!from->norm->has_output && to->kind == LEG_AUDIO)
		return;
	n->next_seq = from->norm->next_seq;
	n->last_ts = from->norm->last_ts;
	n->last_out_ns = from->norm->last_out_ns;
	n->has_output = from->norm->has_output;
	to->frame = from->frame;
	memcpy(to->recent, from->recent, sizeof(to->recent));
	memset(&to->gate, 0, sizeof(to->gate));
	to->gate.closed = n->has_source;
}

// The leg that stood by has the output's numbers from now on.
static void switch_leg(struct sources *s, enum leg_kind kind, uint32_t ts_by)
{
	struct leg *to = &s->legs[standing_by(s)][kind];
	struct leg *from = &s->legs[s->state->active][kind];

	swap_norm(&s->norm[kind], &s->spare[kind]);
	to->norm = &s->norm[kind];
	from->norm = &s->spare[kind];
	stream_clock_move(&s->spare_clock, kind, ts_by);
	if (!has_gop(s, kind)) {
		leg_move(to, 0, ts_by, 0);
		begin_leg(to, from);
		return;
	}
	// What the first of it overtook would have numbers that were given.
	leg_close_before(to, s->gop.packets[0].p.seq);
	leg_move(to, seq_by(s, from->norm), ts_by, frame_by(s));
}

void sources_switch(struct sources *s, enum region_switch why, uint64_t now_ns)
{
	uint32_t ts_by[LEG_COUNT];
	struct stream_clock clock;

	// Old pictures are not shown, nor those without a key frame: an SPS alone may open a group.
	if (now_ns - s->spare[LEG_VIDEO].last_out_ns > STALE_MS * (uint64_t)NS_PER_MS ||
		!(gop_is_fresh(&s->gop) || s->gop.has_key))
		gop_clear(&s->gop);
	line_up(s, now_ns, ts_by);
	keep_ahead(s, ts_by);
	for (int leg = 0; leg < LEG_COUNT; leg++)
		switch_leg(s, leg, ts_by[leg]);
	if (gop_ready(&s->gop))
		gop_move(&s->gop, seq_by(s, &s->spare[LEG_VIDEO]), ts_by[LEG_VIDEO], frame_by(s));
	clock = *s->clock;
	*s->clock = s->spare_clock;
	s->spare_clock = clock;
	s->state->active = standing_by(s);
	use_norms(s);
	s->state->switches[why]++;
	s->state->why = (uint8_t)why;
	s->state->switched_ns = now_ns;
	note_unrest(s, why, now_ns);
	s->since_ns = now_ns;
	s->healthy_ns = 0;
}
