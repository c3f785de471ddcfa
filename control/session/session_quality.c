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

// What was just sent again is no miss, and NACKs for retransmissions are counted as requests.
static uint64_t missed(const struct region_peer_leg_state *l)
{
	uint64_t n = 0;

	for (unsigned int why = 0; why < REGION_MISS_COUNT; why++)
		if (why != REGION_MISS_REPEATED && why != REGION_MISS_RTX)
			n += l->missed[why];
	return n;
}

// How far a counter has come since it was looked at; another data plane counts from 0.
static uint64_t grown(uint64_t now, uint64_t *noted)
{
	uint64_t before = now < *noted ? 0 : *noted;

	*noted = now;
	return now - before;
}

static void note_repair(struct session *s, enum leg_kind leg, uint64_t now_ms)
{
	const struct region_peer_leg_state *l = &session_slot(s)->state.legs[leg];
	uint64_t got = grown(l->resent, &s->resent_noted[leg]);
	uint64_t not_got = grown(missed(l), &s->missed_noted[leg]);

	if (got + not_got)
		note(s, leg, STREAM_QUALITY_MISSED, (double)not_got / (double)(got + not_got),
			now_ms);
}

void session_note_taken(struct session *s)
{
	for (int leg = 0; leg < LEG_COUNT; leg++) {
		const struct region_peer_leg_state *l = &session_slot(s)->state.legs[leg];

		s->first_noted[leg] = l->sent.first_tx_ns != 0;
		s->reports_noted[leg] = l->rr_count;
		s->resent_noted[leg] = l->resent;
		s->missed_noted[leg] = missed(l);
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
