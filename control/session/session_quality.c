// What viewers tell of the way to them goes into their stream's histograms: each new receiver
// report, looked for once a second, and once how long the first packet took.
#include "control/session/priv/session.h"

#define NS_PER_S 1e9

static void note(const struct session *s, enum leg_kind leg, enum stream_quality_kind kind,
	double value, uint64_t now_ms)
{
	stream_quality_note(&s->stream->quality, leg, kind, value, now_ms);
}

static void note_first(struct session *s, enum leg_kind leg, uint64_t now_ms)
{
	const struct region_peer *slot = session_slot(s);
	uint64_t first_ns = slot->state.legs[leg].sent.first_tx_ns;

	if (!first_ns || s->first_noted[leg])
		return;
	s->first_noted[leg] = true;
	if (first_ns >= slot->session.created_ns)
		note(s, leg, STREAM_QUALITY_FIRST_PACKET,
			(double)(first_ns - slot->session.created_ns) / NS_PER_S, now_ms);
}

static void note_report(struct session *s, enum leg_kind leg, uint64_t now_ms)
{
	const struct region_peer_leg_state *l = &session_slot(s)->state.legs[leg];

	if (l->rr_count == s->reports_noted[leg])
		return;
	s->reports_noted[leg] = l->rr_count;
	note(s, leg, STREAM_QUALITY_LOSS, l->rr_fraction_lost / 256.0, now_ms);
	note(s, leg, STREAM_QUALITY_JITTER, (double)l->rr_jitter / leg_clock_hz(leg), now_ms);
	if (l->rtt_us)
		note(s, leg, STREAM_QUALITY_ROUND_TRIP, l->rtt_us / 1e6, now_ms);
}

// How far a counter has come since it was looked at. One of 32 bits may have wrapped; another data
// plane counts from 0.
static uint64_t grown32(uint32_t now, uint64_t *noted)
{
	uint32_t gone = now - (uint32_t)*noted;

	*noted = now;
	return gone <= INT32_MAX ? gone : now;
}

static uint64_t grown64(uint64_t now, uint64_t *noted)
{
	uint64_t before = now < *noted ? 0 : *noted;

	*noted = now;
	return now - before;
}

static struct stream_repair repair_grown(
	const struct region_peer_leg_state *now, struct stream_repair *noted)
{
	struct stream_repair out = { .nacks = grown32(now->nacks, &noted->nacks),
		.resent = grown32(now->resent, &noted->resent),
		.copies = grown32(now->copies, &noted->copies),
		.resent_bytes = grown64(now->resent_bytes, &noted->resent_bytes),
		.plis = grown32(now->plis, &noted->plis),
		.firs = grown32(now->firs, &noted->firs) };

	for (unsigned int why = 0; why < REGION_MISS_COUNT; why++)
		out.missed[why] = grown32(now->missed[why], &noted->missed[why]);
	// Both are written while we read them.
	out.resent -= out.copies < out.resent ? out.copies : out.resent;
	return out;
}

static void sum_up(struct stream_repair *sum, const struct stream_repair *more)
{
	sum->nacks += more->nacks;
	sum->resent += more->resent;
	sum->copies += more->copies;
	sum->resent_bytes += more->resent_bytes;
	sum->plis += more->plis;
	sum->firs += more->firs;
	for (unsigned int why = 0; why < REGION_MISS_COUNT; why++)
		sum->missed[why] += more->missed[why];
}

// What was just sent again is no miss, and NACKs for retransmissions are counted as requests.
static uint64_t missed(const struct stream_repair *r)
{
	uint64_t n = 0;

	for (unsigned int why = 0; why < REGION_MISS_COUNT; why++)
		if (why != REGION_MISS_REPEATED && why != REGION_MISS_RTX)
			n += r->missed[why];
	return n;
}

static void note_repair(struct session *s, enum leg_kind leg, uint64_t now_ms)
{
	struct stream_repair more = repair_grown(
		&session_slot(s)->state.legs[leg], &s->repair_noted[leg]);
	uint64_t not_got = missed(&more);

	sum_up(&s->stream->repair[leg], &more);
	if (more.resent + not_got)
		note(s, leg, STREAM_QUALITY_MISSED,
			(double)not_got / (double)(more.resent + not_got), now_ms);
}

void session_note_last(struct session *s)
{
	for (int leg = 0; leg < LEG_COUNT; leg++)
		note_repair(s, leg, s->table->now_ms);
}

void session_note_taken(struct session *s)
{
	for (int leg = 0; leg < LEG_COUNT; leg++) {
		const struct region_peer_leg_state *l = &session_slot(s)->state.legs[leg];

		s->first_noted[leg] = l->sent.first_tx_ns != 0;
		s->reports_noted[leg] = l->rr_count;
		repair_grown(l, &s->repair_noted[leg]);
	}
}

void session_note_all(struct session_table *t, uint64_t now_ms)
{
	if (now_ms - t->noted_ms < SESSION_NOTE_MS)
		return;
	t->noted_ms = now_ms;
	for (struct session *s = t->all; s; s = s->next) {
		if (s->state != SESSION_READY)
			continue;
		for (int leg = 0; leg < LEG_COUNT; leg++) {
			note_first(s, leg, now_ms);
			note_report(s, leg, now_ms);
			note_repair(s, leg, now_ms);
		}
	}
}
