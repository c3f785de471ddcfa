#include "dataplane/ingest/leg.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "dataplane/ingest/h264.h"
#include "dataplane/rtcp/rtcp.h"

#define NS_PER_MS 1000000ULL

enum {
	OPUS_TOC_STEREO = 0x04, // RFC 6716 3.1
};

void leg_init(struct leg *leg, enum leg_kind kind, const struct region_leg_conf *conf,
	struct region_leg_norm *norm, struct region_leg_state *state)
{
	*leg = (struct leg){
		.kind = kind, .present = conf->present, .conf = *conf, .norm = norm, .state = state
	};
	// The window of what was seen did not survive: whoever sends now starts a new stretch.
	norm->has_source = 0;
}

int leg_refuse(struct leg *leg, const struct net_addr *from, enum drop_reason reason)
{
	leg->state->drops[reason]++;
	leg->state->last_refused = *from;
	return drop_as_error(reason);
}

static bool prefix_matches(const struct region_source *s, const struct net_addr *from)
{
	unsigned int whole = s->prefix_bits / 8, rest = s->prefix_bits % 8;
	uint8_t mask = (uint8_t)(0xff00 >> rest);

	if (s->addr.family != from->family || s->prefix_bits > 128)
		return false;
	if (memcmp(s->addr.ip, from->ip, whole) != 0)
		return false;
	return rest == 0 || ((s->addr.ip[whole] ^ from->ip[whole]) & mask) == 0;
}

static bool source_allowed(const struct leg *leg, const struct net_addr *from)
{
	if (leg->conf.n_sources == 0)
		return true;
	for (unsigned int i = 0; i < leg->conf.n_sources && i < REGION_MAX_SOURCES; i++)
		if (prefix_matches(&leg->conf.sources[i], from))
			return true;
	return false;
}

// Whether a report of the new source came before it, on the clock of the one before.
static bool place_by_report(const struct leg *leg, const struct stream_clock *clock,
	const struct rtp_packet *p, uint64_t now_ns, uint32_t by_arrival, uint32_t *out_ts)
{
	int32_t since = (int32_t)(p->timestamp - leg->early.ts), off;
	uint64_t ntp_ns = stream_clock_ntp_to_ns(leg->early.ntp);
	int32_t most = (int32_t)leg_clock_span(leg->kind, LEG_SAME_CLOCK_MS * NS_PER_MS);

	if (leg->early.rx_ns == 0 || leg->early.ssrc != p->ssrc ||
		now_ns - leg->early.rx_ns > LEG_EARLY_REPORT_MS * NS_PER_MS)
		return false;
	ntp_ns += (uint64_t)((int64_t)since * 1000000000 / leg_clock_hz(leg->kind));
	if (stream_clock_at_ntp(clock, leg->kind, ntp_ns, out_ts) < 0)
		return false;
	off = (int32_t)(*out_ts - by_arrival);
	return off < most && off > -most;
}

// Continue the output behind its end, moved on by the time that went by: by the source's wall clock
// where that can be told, so that sound and picture stay together; else by ours.
static void anchor_timestamp(struct leg *leg, const struct stream_clock *clock,
	const struct rtp_packet *p, uint64_t now_ns)
{
	struct region_leg_norm *n = leg->norm;
	uint32_t out_ts = p->timestamp, by_arrival;

	if (n->has_output) {
		by_arrival = n->last_ts +
			     leg_clock_span(leg->kind, (int64_t)(now_ns - n->last_out_ns));
		if (!place_by_report(leg, clock, p, now_ns, by_arrival, &out_ts))
			out_ts = by_arrival;
		if ((int32_t)(out_ts - n->last_ts) < 1)
			out_ts = n->last_ts + 1;
	}
	n->ts_shift = out_ts - p->timestamp;
}

static void anchor_sequence(struct leg *leg, uint16_t in_seq)
{
	struct region_leg_norm *n = leg->norm;

	if (!n->has_output)
		n->next_seq = LEG_FIRST_SEQ;
	n->in_highest = LEG_FIRST_SEQ + in_seq;
	n->seq_shift = (int64_t)n->next_seq - (int64_t)n->in_highest;
	leg->n_turns = 0;
	// Nothing before the first is let in: its output number may have been another packet's.
	leg->seen = UINT64_MAX;
	leg->probation = false;
}

// What is behind keeps the place that its gap has in the output, whatever was put in or left out
// since.
static uint64_t output_of(const struct leg *leg, uint64_t in_seq)
{
	int64_t shift = leg->norm->seq_shift;

	for (uint64_t i = 0; i < LEG_WINDOW && i < leg->n_turns; i++) {
		const struct leg_turn *turn = &leg->turns[(leg->n_turns - 1 - i) % LEG_WINDOW];

		if (in_seq >= turn->from)
			break;
		shift = turn->shift;
	}
	return (uint64_t)((int64_t)in_seq + shift);
}

static void move_output(struct leg *leg, uint64_t from, int by)
{
	struct region_leg_norm *n = leg->norm;

	leg->turns[leg->n_turns++ % LEG_WINDOW] = (struct leg_turn){ .from = from,
		.shift = n->seq_shift };
	n->seq_shift += by;
	n->next_seq = (uint64_t)((int64_t)n->next_seq + by);
}

void leg_move(struct leg *leg, uint64_t seq_by, uint32_t ts_by, uint32_t frame_by)
{
	struct leg_recent was[LEG_WINDOW];

	leg->norm->seq_shift += (int64_t)seq_by;
	leg->norm->next_seq += seq_by;
	leg->norm->ts_shift += ts_by;
	leg->norm->last_ts += ts_by;
	leg->frame_ts += ts_by;
	leg->lint.clock.ts += ts_by;
	leg->frame += frame_by;
	for (int i = 0; i < LEG_WINDOW; i++)
		leg->turns[i].shift += (int64_t)seq_by;
	memcpy(was, leg->recent, sizeof(was));
	memset(leg->recent, 0, sizeof(leg->recent));
	for (int i = 0; i < LEG_WINDOW; i++) {
		struct leg_recent *at = &leg->recent[(was[i].seq + seq_by) % LEG_WINDOW];

		if (was[i].seq == 0)
			continue;
		*at = was[i];
		at->seq += seq_by;
		at->ts += ts_by;
		at->frame += frame_by;
	}
}

void leg_close_before(struct leg *leg, uint64_t seq)
{
	for (unsigned int i = 0; i < LEG_WINDOW; i++)
		if ((int64_t)(output_of(leg, leg->norm->in_highest - i) - seq) < 0)
			leg->seen |= 1ULL << i;
}

void leg_insert(struct leg *leg, struct leg_packet *p, uint64_t *out)
{
	assert(p->in_order && p->seq + 1 == leg->norm->next_seq);
	move_output(leg, leg->norm->in_highest, 1);
	*out = p->seq++;
}

void leg_omit(struct leg *leg, const struct leg_packet *p)
{
	assert(p->in_order && p->seq + 1 == leg->norm->next_seq);
	move_output(leg, leg->norm->in_highest + 1, -1);
}

static void anchor(
	struct leg *leg, struct stream_clock *clock, const struct rtp_packet *p, uint64_t now_ns)
{
	anchor_sequence(leg, p->seq);
	anchor_timestamp(leg, clock, p, now_ns);
	stream_clock_restart(clock, leg->kind, now_ns);
}

static void adopt_source(struct leg *leg, struct stream_clock *clock, const struct net_addr *from,
	const struct rtp_packet *p, uint64_t now_ns)
{
	leg->norm->ssrc = p->ssrc;
	leg->state->source = *from;
	anchor(leg, clock, p, now_ns);
	leg->norm->has_source = 1;
	leg->key_seen = false;
	leg->frame_gap_ns = 0;
	memset(&leg->gate, 0, sizeof(leg->gate));
	leg->gate.closed = leg->kind == LEG_VIDEO && leg->norm->has_output;
	if (leg->norm->has_output)
		leg->state->restarts++;
}

enum step {
	STEP_FORWARD, // newest so far
	STEP_BEHIND,  // overtaken, but not late
	STEP_LATE,    // repeated or past the window
	STEP_JUMP,    // far away, once: wait for the next to tell
	STEP_RESTART, // far away, twice in a row
};

// Where the packet stands to the newest one; the window moves.
static enum step step_sequence(struct leg *leg, uint16_t seq, uint64_t now_ns, uint64_t *in_seq)
{
	struct region_leg_norm *n = leg->norm;
	int16_t delta = (int16_t)(seq - (uint16_t)n->in_highest);

	if (delta > 0 && delta < LEG_MAX_SKIP) {
		leg->seen = delta < LEG_WINDOW ? leg->seen << delta | 1 : 1;
		n->in_highest += (uint64_t)delta;
		leg->state->lost += (uint64_t)delta - 1;
		leg->probation = false;
		*in_seq = n->in_highest;
		return STEP_FORWARD;
	}
	if (delta <= 0 && delta > -LEG_WINDOW) {
		uint64_t bit = 1ULL << -delta;

		if (leg->seen & bit)
			return STEP_LATE;
		leg->seen |= bit;
		if (leg->state->lost)
			leg->state->lost--;
		*in_seq = n->in_highest - (uint64_t)-delta;
		return STEP_BEHIND;
	}
	// A burst that was held up is late, however long it is; an encoder that restarts pauses.
	if (delta <= 0 && delta > -LEG_MAX_SKIP &&
		now_ns - n->last_rx_ns < LEG_SOURCE_GRACE_MS * NS_PER_MS)
		return STEP_LATE;
	if (leg->probation && seq == leg->probation_seq)
		return STEP_RESTART;
	leg->probation = true;
	leg->probation_seq = (uint16_t)(seq + 1);
	return delta <= 0 && delta > -LEG_MAX_SKIP ? STEP_LATE : STEP_JUMP;
}

// A clock that runs backward or leaps is taken up anew, not passed on.
static bool timestamp_jumps(const struct leg *leg, uint32_t in_ts)
{
	int32_t delta = (int32_t)(in_ts + leg->norm->ts_shift - leg->norm->last_ts);
	int32_t hz = (int32_t)leg_clock_hz(leg->kind);

	return delta > LEG_MAX_FORWARD_S * hz || delta < -LEG_MAX_BACKWARD_S * hz;
}

static void take_early_report(struct leg *leg, struct stream_clock *clock, uint64_t now_ns)
{
	uint64_t rx_ns = leg->early.rx_ns;

	leg->early.rx_ns = 0;
	if (rx_ns == 0 || leg->early.ssrc != leg->norm->ssrc ||
		now_ns - rx_ns > LEG_EARLY_REPORT_MS * NS_PER_MS)
		return;
	stream_clock_report(
		clock, leg->kind, leg->early.ts + leg->norm->ts_shift, leg->early.ntp, rx_ns);
	leg->state->source_reports++;
	leg->lint.report_ns = rx_ns;
}

// Return: 0 and the input's extended sequence number; else a drop.
static int place(struct leg *leg, struct stream_clock *clock, const struct net_addr *from,
	const struct rtp_packet *p, uint64_t now_ns, uint64_t *in_seq, unsigned int *changes)
{
	struct region_leg_norm *n = leg->norm;
	bool fresh = !n->has_source;

	if (!fresh && p->ssrc != n->ssrc) {
		bool same_sender = net_addr_equal(from, &leg->state->source);

		if (!same_sender && now_ns - n->last_rx_ns < LEG_SOURCE_GRACE_MS * NS_PER_MS)
			return leg_refuse(leg, from, DROP_INGEST_SSRC);
		fresh = true;
	}
	if (!fresh) {
		switch (step_sequence(leg, p->seq, now_ns, in_seq)) {
		case STEP_BEHIND:
			return 0;
		case STEP_LATE:
		case STEP_JUMP:
			return leg_refuse(leg, from, DROP_INGEST_LATE);
		case STEP_FORWARD:
			if (!leg->gate.closed && timestamp_jumps(leg, p->timestamp)) {
				leg->seen = UINT64_MAX; // what is behind has the old clock
				anchor_timestamp(leg, clock, p, now_ns);
				stream_clock_restart(clock, leg->kind, now_ns);
				leg->state->restarts++;
				*changes |= LEG_CHANGE_RESTART;
			}
			return 0;
		case STEP_RESTART:
			break;
		}
	}
	adopt_source(leg, clock, from, p, now_ns);
	if (!leg->gate.closed)
		take_early_report(leg, clock, now_ns);
	*in_seq = n->in_highest;
	*changes |= LEG_CHANGE_RESTART;
	return 0;
}

// Pictures that lean on what nobody got are no use; sound that overlaps with what was sent neither.
static bool gate_opens(
	struct leg *leg, const struct rtp_packet *p, const uint8_t *payload, uint64_t in_seq)
{
	struct h264_payload h;
	bool begins = !leg->gate.any || leg->gate.marker || leg->gate.ts != p->timestamp;

	if (in_seq != leg->norm->in_highest)
		return false;
	if (leg->kind == LEG_AUDIO)
		return (int32_t)(p->timestamp + leg->norm->ts_shift - leg->norm->last_ts) > 0;
	h264_inspect(payload, p->payload_bytes, &h);
	if (begins)
		leg->gate.slices = false;
	if (h.has_sps || (h.key && !leg->gate.slices))
		return true;
	leg->gate.any = true;
	leg->gate.marker = p->marker;
	leg->gate.ts = p->timestamp;
	leg->gate.slices |= !h.params;
	return false;
}

// What was held back took no numbers.
static void open_gate(struct leg *leg, struct stream_clock *clock, const struct rtp_packet *p,
	uint64_t now_ns, uint64_t *in_seq)
{
	leg->gate.closed = false;
	if (leg->kind == LEG_AUDIO) {
		anchor_sequence(leg, p->seq);
	} else {
		anchor(leg, clock, p, now_ns);
		take_early_report(leg, clock, now_ns);
	}
	*in_seq = leg->norm->in_highest;
}

static void note_video(struct leg *leg, const uint8_t *payload, struct leg_packet *out,
	uint64_t now_ns, unsigned int *changes)
{
	struct region_leg_state *s = leg->state;
	struct h264_payload h;

	h264_inspect(payload, out->payload_bytes, &h);
	out->key = h.key;
	out->params = h.params;
	out->opens = h.has_sps || (h.key && out->begins);
	// Count a key frame once, at its first slice.
	if (h.key && (s->key_frames == 0 || leg->frame_ts != out->ts)) {
		if (leg->key_seen)
			s->key_interval_ms = (out->ts - leg->frame_ts) /
					     (leg_clock_hz(LEG_VIDEO) / 1000);
		leg->key_seen = true;
		s->key_frames++;
		s->last_key_ns = now_ns;
		leg->frame_ts = out->ts;
	}
	if (h.has_sps &&
		(!s->profile_known || memcmp(s->profile_level_id, h.profile_level_id, 3) != 0)) {
		memcpy(s->profile_level_id, h.profile_level_id, 3);
		s->profile_known = 1;
		*changes |= LEG_CHANGE_PARAMS;
	}
	if (h.has_sps)
		lint_profile(&leg->conf, s);
	// Pictures out of their order: by their type, or by their time.
	if ((h.b_slice && !leg->conf.refuse_b_frames) ||
		(out->begins && (int32_t)(out->ts - leg->norm->last_ts) < 0 &&
			leg->norm->has_output && !(*changes & LEG_CHANGE_RESTART)))
		lint_event(&leg->lint, s, LINT_B_FRAMES, now_ns);
}

static void note_audio(struct leg *leg, const uint8_t *payload, unsigned int *changes)
{
	uint8_t stereo = (payload[0] & OPUS_TOC_STEREO) != 0;

	// Encoders mix mono and stereo frames at will: a stream that ever had stereo is stereo.
	if (stereo && !leg->state->stereo) {
		leg->state->stereo = 1;
		*changes |= LEG_CHANGE_PARAMS;
	}
}

// An overtaken packet is of its neighbours' access unit when it has their timestamp, else of one of
// its own between theirs: what was skipped there left a number for it.
static uint32_t frame_between(const struct leg *leg, uint64_t seq, uint32_t ts)
{
	uint64_t below = seq - 1, above = seq + 1;
	uint32_t frame;

	while (above < leg->norm->next_seq && leg->recent[above % LEG_WINDOW].seq != above)
		above++;
	while (below + LEG_WINDOW > seq && leg->recent[below % LEG_WINDOW].seq != below)
		below--;
	frame = leg->recent[above % LEG_WINDOW].frame;
	if (leg->recent[above % LEG_WINDOW].ts == ts)
		return frame;
	if (below + LEG_WINDOW <= seq)
		return frame - (uint32_t)(above - seq);
	if (leg->recent[below % LEG_WINDOW].ts == ts)
		return leg->recent[below % LEG_WINDOW].frame;
	below = leg->recent[below % LEG_WINDOW].frame + (seq - below);
	return (int32_t)((uint32_t)below - frame) > 0 ? frame : (uint32_t)below;
}

// Before the output moves on.
static void number_frame(struct leg *leg, struct leg_packet *p)
{
	uint64_t skipped = leg->norm->has_output ? p->seq - leg->norm->next_seq : 0;

	if (p->begins)
		leg->frame += 1 + (uint32_t)skipped;
	p->frame = p->in_order ? leg->frame : frame_between(leg, p->seq, p->ts);
	leg->recent[p->seq % LEG_WINDOW].seq = p->seq;
	leg->recent[p->seq % LEG_WINDOW].ts = p->ts;
	leg->recent[p->seq % LEG_WINDOW].frame = p->frame;
}

static void note_gap(struct leg *leg, uint64_t now_ns)
{
	uint64_t gap_ns = now_ns - leg->norm->last_out_ns;

	if (!leg->norm->has_output || gap_ns > LEG_GAP_MAX_MS * NS_PER_MS)
		return;
	leg->frame_gap_ns = leg->frame_gap_ns ? (leg->frame_gap_ns * 7 + gap_ns) / 8 : gap_ns;
}

static void note_output(struct leg *leg, struct stream_clock *clock, const struct leg_packet *p,
	uint64_t now_ns, unsigned int *changes)
{
	struct region_leg_norm *n = leg->norm;
	struct region_leg_state *s = leg->state;

	if (p->begins) {
		s->frames++;
		note_gap(leg, now_ns);
	}
	n->next_seq = p->seq + 1;
	n->last_ts = p->ts;
	n->last_out_ns = now_ns;
	n->has_output = 1;
	stream_clock_packet(clock, leg->kind, p->ts, now_ns);
	if (!s->up) {
		s->up = 1;
		*changes |= LEG_CHANGE_UP;
	}
}

static int parse(struct leg *leg, const struct net_addr *from, const uint8_t *pkt,
	uint16_t pkt_bytes, uint16_t max_bytes, uint64_t now_ns, struct rtp_packet *p)
{
	int rc;

	if (!source_allowed(leg, from))
		return leg_refuse(leg, from, DROP_INGEST_SOURCE);
	rc = rtp_parse(pkt, pkt_bytes, p);
	if (rc < 0)
		return leg_refuse(
			leg, from, rc == -EMSGSIZE ? DROP_INGEST_SHORT : DROP_INGEST_NOT_RTP);
	if (p->payload_type != leg->conf.payload_type)
		return leg_refuse(leg, from, DROP_INGEST_PAYLOAD_TYPE);
	if (p->payload_bytes > max_bytes) {
		lint_event(&leg->lint, leg->state, LINT_OVERSIZE, now_ns);
		return leg_refuse(leg, from, DROP_INGEST_LONG);
	}
	return 0;
}

// A source with B-frames is let in no more until it has sent none for a while; then it is another.
static int refuse_b_frames(struct leg *leg, const struct net_addr *from, const struct rtp_packet *p,
	const uint8_t *payload, uint64_t now_ns)
{
	struct h264_payload h;

	if (!leg->conf.refuse_b_frames || leg->kind != LEG_VIDEO ||
		(leg->norm->has_source && leg->norm->ssrc != p->ssrc))
		return 0;
	h264_inspect(payload, p->payload_bytes, &h);
	if (h.b_slice)
		lint_event(&leg->lint, leg->state, LINT_B_FRAMES, now_ns);
	if (!(leg->state->lint & 1u << LINT_B_FRAMES))
		return 0;
	leg->norm->has_source = 0;
	return leg_refuse(leg, from, DROP_INGEST_B_FRAMES);
}

int leg_accept(struct leg *leg, struct stream_clock *clock, const struct net_addr *from,
	const uint8_t *pkt, uint16_t pkt_bytes, uint16_t max_bytes, uint64_t now_ns,
	struct leg_packet *out, unsigned int *changes)
{
	struct rtp_packet p;
	uint64_t in_seq = 0;
	int rc;

	*changes = 0;
	rc = parse(leg, from, pkt, pkt_bytes, max_bytes, now_ns, &p);
	if (rc == 0)
		rc = refuse_b_frames(leg, from, &p, pkt + p.payload_off, now_ns);
	if (rc < 0)
		return rc;
	rc = place(leg, clock, from, &p, now_ns, &in_seq, changes);
	if (rc < 0)
		return rc;
	leg->norm->last_rx_ns = now_ns;
	leg->state->last_rx_ns = now_ns;
	if (leg->gate.closed) {
		if (!gate_opens(leg, &p, pkt + p.payload_off, in_seq)) {
			*changes = 0;
			leg->state->drops[DROP_INGEST_WAITS]++;
			return drop_as_error(DROP_INGEST_WAITS);
		}
		open_gate(leg, clock, &p, now_ns, &in_seq);
		*changes |= LEG_CHANGE_RESTART;
	}
	if ((*changes & LEG_CHANGE_RESTART) || !leg->state->up)
		lint_restart(&leg->lint, now_ns);
	*out = (struct leg_packet){ .seq = output_of(leg, in_seq),
		.ts = p.timestamp + leg->norm->ts_shift,
		.payload_off = p.payload_off,
		.payload_bytes = p.payload_bytes,
		.marker = p.marker,
		.in_order = in_seq == leg->norm->in_highest };
	out->begins = out->in_order && (!leg->norm->has_output || out->ts != leg->norm->last_ts);
	number_frame(leg, out);
	leg->state->packets++;
	leg->state->bytes += pkt_bytes;
	if (leg->kind == LEG_VIDEO)
		note_video(leg, pkt + p.payload_off, out, now_ns, changes);
	else
		note_audio(leg, pkt + p.payload_off, changes);
	if (out->in_order) {
		lint_packet(&leg->lint, leg->state, leg->kind, out->ts, now_ns);
		note_output(leg, clock, out, now_ns, changes);
	}
	return 0;
}

int leg_accept_rtcp(struct leg *leg, struct stream_clock *clock, const struct net_addr *from,
	const uint8_t *pkt, uint16_t pkt_bytes, uint64_t now_ns)
{
	struct rtcp_walk walk;
	struct rtcp_packet p;
	uint32_t ssrc, ts;
	uint64_t ntp;

	if (!source_allowed(leg, from))
		return leg_refuse(leg, from, DROP_INGEST_SOURCE);
	if (rtcp_walk_begin(&walk, pkt, pkt_bytes) < 0)
		return leg_refuse(leg, from, DROP_INGEST_RTCP_BAD);
	while (rtcp_walk_next(&walk, &p)) {
		if (!rtcp_sender_get(&p, &ssrc, &ntp, &ts) || ntp == 0)
			continue;
		if (!leg->norm->has_source || ssrc != leg->norm->ssrc || leg->gate.closed) {
			leg->early.ssrc = ssrc;
			leg->early.ts = ts;
			leg->early.ntp = ntp;
			leg->early.rx_ns = now_ns;
			continue;
		}
		stream_clock_report(clock, leg->kind, ts + leg->norm->ts_shift, ntp, now_ns);
		leg->state->source_reports++;
		leg->lint.report_ns = now_ns;
	}
	return 0;
}

bool leg_check_silence(struct leg *leg, uint64_t now_ns)
{
	if (!leg->state->up || now_ns - leg->norm->last_rx_ns < LEG_DOWN_MS * NS_PER_MS)
		return false;
	leg->state->up = 0;
	return true;
}
