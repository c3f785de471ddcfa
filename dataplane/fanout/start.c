// Instant start: a viewer who comes in the middle of a group of pictures gets it from the history,
// since its key frame, and plays on live. Each frame goes out when its timestamp is due, and these
// are drawn together, so that to the player it is one stream that never was late.
//
//	frame    key . . . . . . . newest . . . last
//	due      now      (start_mbps)          when it comes in
//
// `last` is the frame that will come in just when it is due: its timestamp is foreseen, a little
// less than what it will be, and the frames before it lie evenly between. Whoever catches up is not
// in the fan-out's list; all that the lane holds is in the history too, so that it joins the list
// when it has sent the newest packet of the history, and the fan-out leaves out what it sent.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/fanout/seal.h"
#include "dataplane/history/history.h"

enum {
	NS_PER_MS = 1000000,
	NS_A_SECOND = 1000000000,
	RUN_MAX = 32,		 // packets of one viewer in a row
	BURST_BYTES = 48 * 1024, // of the key frame leave at once, the rest at start_mbps
	FRAME_MIN_US = 1000,	 // decoders take about a thousand small pictures a second
	LONGEST_MS = 3000,	 // a group that takes longer to send is not worth it
	SILENT_MS = 500,	 // nothing came for so long: nothing is foreseen
	SETTLE_MS = 2,		 // until all workers know that this one has viewers
	AGAIN_MS = 1000,	 // between two starts on demand; doubles,
	AGAIN_CALM_MS = 10000,	 // until there was none for so long
	AGAIN_MAX_BACKOFF = 3,
	PACKETS_PER_MS = 256, // of all viewers together: about a fifth of a core, at least
	PACKETS_MIN = 32,     // in one round
	PACKETS_MAX = 1024,
	PROBE_MS = 1,
	PACKET_OVERHEAD_BYTES = 60, // of headers and tag
};

struct plan {
	struct start start;
	struct draw draw;
};

enum begin_why {
	BEGIN_JOIN,  // nothing was sent yet
	BEGIN_AGAIN, // on demand: the viewer plays
	BEGIN_OVER,  // so it does, but what follows is another source's
};

// ---- what there is -----------------------------------------------------------------------------

static const struct history *history_of(const struct worker *w, uint16_t stream)
{
	const struct keep *k = keep_find(w->edge, stream, w->streams[stream].generation);

	return k ? k->legs[LEG_VIDEO] : NULL;
}

// Each packet is looked at once, whoever comes how often.
static void count_on(const struct history *h, struct pictures *g, uint64_t newest)
{
	struct history_meta m, key;

	if (history_look(h, g->key, &key) < 0)
		return;
	for (; g->end <= newest; g->end++) {
		if (history_look(h, g->end, &m) < 0)
			continue;
		g->bytes += m.payload_bytes + PACKET_OVERHEAD_BYTES;
		if (m.frame == key.frame)
			g->key_bytes += m.payload_bytes + PACKET_OVERHEAD_BYTES;
	}
}

// Return: 0, the group so far and its first and newest packet; -ENOENT there is none.
static int look_at_group(struct worker *w, uint16_t stream, struct pictures *out,
	struct history_meta *key, struct history_meta *newest)
{
	const struct history *h = history_of(w, stream);
	struct pictures *g = &w->streams[stream].group;
	uint64_t from, to;

	if (!h || history_last_key(h, &from) < 0 || history_newest(h, &to) < 0)
		return -ENOENT;
	if (g->key != from || g->end > to + 1)
		*g = (struct pictures){ .key = from, .end = from };
	count_on(h, g, to);
	*out = *g;
	if (history_look(h, from, key) < 0 || history_look(h, to, newest) < 0)
		return -ENOENT;
	return 0;
}

// ---- the plan ----------------------------------------------------------------------------------

static uint64_t ticks_to_ns(uint64_t ticks)
{
	return ticks * NS_A_SECOND / leg_clock_hz(LEG_VIDEO);
}

static uint64_t ns_to_ticks(uint64_t ns)
{
	return ns * leg_clock_hz(LEG_VIDEO) / NS_A_SECOND;
}

// How long the group takes behind its key frame, with what comes in meanwhile.
static uint64_t pace_of(
	const struct pictures *g, uint64_t bytes_per_s, uint32_t frames, uint64_t age_ns)
{
	uint64_t live = age_ns ? g->bytes * NS_A_SECOND / age_ns : 0;
	uint64_t spare = live < bytes_per_s / 4 * 3 ? bytes_per_s - live : bytes_per_s / 4;

	return RTE_MAX((g->bytes - g->key_bytes) * NS_A_SECOND / spare,
		frames * (uint64_t)FRAME_MIN_US * 1000);
}

// Foresee which frame comes in when the others are through, and its timestamp.
// Return: 0; -ERANGE they say nothing of it.
static int foresee(struct plan *p, const struct history_meta *key,
	const struct history_meta *newest, uint64_t now_ns, enum begin_why why)
{
	struct start *s = &p->start;
	uint32_t frames = newest->frame - key->frame, span = newest->ts - key->ts, more;
	uint64_t since_ns = now_ns - newest->rx_ns, key_ns = s->pace_from_ns - now_ns;
	uint64_t interval_ns;

	if ((int32_t)frames <= 0 || (int32_t)span <= 0)
		return -ERANGE;
	interval_ns = ticks_to_ns(span) / frames;
	if (interval_ns == 0)
		return -ERANGE;
	if (since_ns > SILENT_MS * (uint64_t)NS_PER_MS) {
		p->draw.last_ts = newest->ts;
		return why == BEGIN_AGAIN ? -ERANGE : 0;
	}
	more = (uint32_t)((since_ns + key_ns + s->pace_ns + interval_ns - 1) / interval_ns);
	s->last = newest->frame + more;
	s->pace_ns = more * interval_ns - since_ns - key_ns;
	p->draw.last_ts = newest->ts + (uint32_t)ns_to_ticks(more * interval_ns - interval_ns / 4);
	return 0;
}

// The frames up to the last lie evenly behind what the viewer was shown; a tick apart where there
// is no more room.
static int draw_together(struct plan *p, enum begin_why why, uint32_t shown_ts)
{
	uint32_t frames = p->start.last - p->start.first, room;
	uint32_t drawn = (uint32_t)ns_to_ticks(p->start.pace_ns);

	p->draw.last = p->start.last;
	p->draw.open = true;
	if (why == BEGIN_OVER && (int32_t)(p->draw.last_ts - shown_ts) <= (int32_t)frames)
		p->draw.last_ts = shown_ts + frames + 1;
	room = p->draw.last_ts - shown_ts - 1;
	if (why != BEGIN_JOIN) {
		if ((int32_t)room < (int32_t)frames)
			return -ERANGE;
		drawn = RTE_MIN(drawn, room);
	}
	p->draw.step = frames ? RTE_MAX(drawn / frames, 1u) : why == BEGIN_OVER;
	p->start.shown_ts = p->draw.last_ts - frames * p->draw.step - 1;
	return 0;
}

// shown_ts: the newest that the viewer has; of no meaning to one who joins. Who asks again has the
//           newest there is.
// Return: 0; -ENOENT no key frame, -ESTALE too long ago, -EFBIG too much to send, -ERANGE no
//         timestamps for it.
static int make_plan(
	struct worker *w, uint16_t stream, enum begin_why why, uint32_t shown_ts, struct plan *out)
{
	const struct conf *conf = w->edge->conf;
	uint64_t bytes_per_s = conf->media.start_mbps * 1000000ULL / 8;
	struct history_meta key, newest;
	struct plan p = { 0 };
	struct start *s = &p.start;
	struct pictures g;
	int rc = look_at_group(w, stream, &g, &key, &newest);
	uint64_t age_ns;

	if (rc < 0)
		return rc;
	// Another worker, who owns the stream, may have begun its loop later than we ours.
	key.rx_ns = RTE_MIN(key.rx_ns, w->now_ns);
	newest.rx_ns = RTE_MIN(newest.rx_ns, w->now_ns);
	age_ns = w->now_ns - key.rx_ns;
	if (bytes_per_s == 0 ||
		(why != BEGIN_OVER && age_ns > conf->media.start_max_ms * (uint64_t)NS_PER_MS))
		return -ESTALE;
	if (why == BEGIN_AGAIN && newest.frame == key.frame)
		return -ERANGE; // the viewer is getting that very frame
	*s = (struct start){ .stream = stream,
		.first = key.frame,
		.last = newest.frame,
		.frame = key.frame,
		.seq = g.key,
		.begin_ns = w->now_ns,
		.pace_from_ns = w->now_ns,
		.bytes_per_s = bytes_per_s };
	p.draw.last_ts = key.ts;
	if (g.key_bytes > BURST_BYTES)
		s->pace_from_ns += (g.key_bytes - BURST_BYTES) * NS_A_SECOND / bytes_per_s;
	if (newest.frame != key.frame) {
		s->pace_ns = pace_of(&g, bytes_per_s, newest.frame - key.frame, age_ns);
		if (s->pace_ns > LONGEST_MS * (uint64_t)NS_PER_MS)
			return -EFBIG;
		rc = foresee(&p, &key, &newest, w->now_ns, why);
	}
	if (why == BEGIN_AGAIN)
		shown_ts = newest.ts + (uint32_t)ns_to_ticks(w->now_ns - newest.rx_ns);
	if (rc == 0)
		rc = draw_together(&p, why, shown_ts);
	if (rc == 0)
		*out = p;
	return rc;
}

// ---- who catches up ----------------------------------------------------------------------------

static int make_room(struct start_list *list)
{
	uint32_t cap = list->cap ? list->cap * 2 : 16;
	struct start *slots;

	if (!list->plain)
		list->plain = malloc(RUN_MAX * sizeof(*list->plain));
	if (!list->plain)
		return -ENOMEM;
	if (list->n < list->cap)
		return 0;
	slots = realloc(list->slots, cap * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	list->slots = slots;
	list->cap = cap;
	return 0;
}

static struct fan *fan_of(struct worker *w, uint16_t stream)
{
	return &w->streams[stream].fans[LEG_VIDEO];
}

static void set_out(struct start *s, struct peer_leg *l, const struct plan *p)
{
	peer_leg_begin(l, p->start.seq, &p->draw);
	*s = p->start;
	s->leg = l;
}

// Return: 0 and the leg is on its way; else it goes on as it was.
static int begin(struct worker *w, uint16_t stream, struct peer_leg *l, enum begin_why why,
	uint32_t shown_ts)
{
	struct start_list *list = &w->starts;
	struct plan p;
	int rc = make_plan(w, stream, why, shown_ts, &p);

	if (rc == 0)
		rc = make_room(list);
	if (rc < 0)
		return rc;
	fan_leave(fan_of(w, stream), l);
	l->catching = 1;
	peer_course_of(l)->fan_at = list->n;
	if (list->n == 0)
		list->served_ns = w->now_ns;
	set_out(&list->slots[list->n++], l, &p);
	return 0;
}

void start_drop(struct worker *w, struct peer_leg *l)
{
	struct start_list *list = &w->starts;
	struct start *last = &list->slots[--list->n];

	list->slots[peer_course_of(l)->fan_at] = *last;
	peer_course_of(last->leg)->fan_at = peer_course_of(l)->fan_at;
	if (list->turn >= list->n)
		list->turn = 0;
	l->catching = 0;
}

void start_fini(struct worker *w)
{
	free(w->starts.slots);
	free(w->starts.plain);
	w->starts = (struct start_list){ 0 };
}

static bool allowed(const struct worker *w, uint16_t stream)
{
	return !w->streams[stream].no_instant_start;
}

// Whoever has just been sent a key frame is not sent it again at once.
static void ask_later(const struct worker *w, struct peer_leg *l)
{
	uint64_t then_ns = w->now_ns + AGAIN_MS * (uint64_t)NS_PER_MS;

	peer_course_of(l)->key_again_ns = RTE_MAX(peer_course_of(l)->key_again_ns, then_ns);
}

void start_join(struct worker *w, struct peer *p)
{
	struct peer_leg *l = &p->legs[LEG_VIDEO];

	if (!l->enabled || l->started)
		return;
	if (allowed(w, p->stream) && begin(w, p->stream, l, BEGIN_JOIN, 0) == 0) {
		peer_state_of(l)->starts_instant++;
		ask_later(w, l);
		return;
	}
	peer_state_of(l)->starts_waited++;
	upstream_want(w, p->stream);
}

// Whoever asks again and again has a way that does not carry what is sent: he gets it less often.
static void back_off(struct worker *w, struct peer_leg *l)
{
	if (w->now_ns > peer_course_of(l)->key_again_ns + AGAIN_CALM_MS * (uint64_t)NS_PER_MS)
		peer_course_of(l)->key_backoff = 0;
	peer_course_of(l)->key_again_ns = w->now_ns + ((uint64_t)AGAIN_MS * NS_PER_MS
							      << peer_course_of(l)->key_backoff);
	if (peer_course_of(l)->key_backoff < AGAIN_MAX_BACKOFF)
		peer_course_of(l)->key_backoff++;
}

void start_again(struct worker *w, struct peer *p)
{
	struct peer_leg *l = &p->legs[LEG_VIDEO];

	if (l->catching) {
		peer_state_of(l)->keys_under_way++;
		return;
	}
	if (l->started && w->now_ns < peer_course_of(l)->key_again_ns) {
		peer_state_of(l)->keys_too_soon++;
		return;
	}
	upstream_want(w, p->stream);
	if (l->started && allowed(w, p->stream) && begin(w, p->stream, l, BEGIN_AGAIN, 0) == 0) {
		peer_state_of(l)->keys_sent++;
		back_off(w, l);
		return;
	}
	peer_state_of(l)->keys_waited++;
}

// ---- another source ----------------------------------------------------------------------------

// What follows is of no use to who has no picture of it.
static void wait_for_key(struct worker *w, uint16_t stream, struct peer_leg *l)
{
	peer_leg_pause(l);
	peer_state_of(l)->keys_waited++;
	upstream_want(w, stream);
}

// Those on their way to live begin anew, also who found the group when only some of it was there.
static void turn_starts(struct worker *w, uint16_t stream, uint32_t shown_ts)
{
	struct start_list *list = &w->starts;

	for (uint32_t i = list->n; i-- > 0;) {
		struct start *s = &list->slots[i];
		struct peer_leg *l = s->leg;
		struct plan p;

		if (s->stream != stream)
			continue;
		if ((int32_t)(s->shown_ts - shown_ts) < 0)
			s->shown_ts = shown_ts;
		if (make_plan(w, stream, BEGIN_OVER, s->shown_ts, &p) == 0) {
			set_out(s, l, &p);
			ask_later(w, l);
			continue;
		}
		start_drop(w, l);
		fan_join(fan_of(w, stream), l);
		wait_for_key(w, stream, l);
	}
}

static void turn_viewers(struct worker *w, uint16_t stream, uint32_t shown_ts)
{
	struct fan *fan = fan_of(w, stream);

	// The last takes the place of one that leaves: it had its turn.
	for (uint32_t i = fan->n_viewers; i-- > 0;) {
		struct peer_leg *l = fan->viewers[i];
		bool plays = l->started;

		if (!plays && !allowed(w, stream))
			continue;
		if (begin(w, stream, l, plays ? BEGIN_OVER : BEGIN_JOIN, shown_ts) == 0)
			ask_later(w, l);
		else if (plays)
			wait_for_key(w, stream, l);
	}
}

void start_over(struct worker *w)
{
	w->take_overs = atomic_load_explicit(&w->edge->take_overs, memory_order_acquire);
	for (uint16_t slot = 0; slot < w->edge->region->n_streams; slot++) {
		struct stream *s = &w->streams[slot];
		uint32_t ts = 0;
		uint64_t seq = s->generation ? keep_over(w->edge, slot, s->generation, &ts) : 0;

		if (seq == 0 || seq == s->fans[LEG_VIDEO].over_seq)
			continue;
		s->fans[LEG_VIDEO].over_seq = seq;
		turn_starts(w, slot, ts);
		turn_viewers(w, slot, ts);
	}
}

// ---- on its way --------------------------------------------------------------------------------

static uint64_t due_ns(const struct start *s, uint32_t frame)
{
	uint32_t gone = frame - s->first, all = s->last - s->first;

	if (gone == 0)
		return s->begin_ns;
	if ((int32_t)(frame - s->last) >= 0)
		return s->pace_from_ns + s->pace_ns;
	return s->pace_from_ns + s->pace_ns * gone / all;
}

static bool may_send(const struct worker *w, const struct start *s, const struct history_meta *m)
{
	uint64_t gone_ns = w->now_ns - s->begin_ns;
	uint64_t allowed = BURST_BYTES + gone_ns / 1000 * s->bytes_per_s / 1000000;

	return due_ns(s, m->frame) <= w->now_ns && s->bytes <= allowed;
}

// Return: false without an mbuf.
static bool add(
	struct worker *w, struct sealing *sealing, struct start *s, const struct history_meta *m)
{
	struct peer_leg *l = s->leg;
	const struct draw *draw = &peer_course_of(l)->epochs[0].draw;
	struct srtp_text *text = sealing_texts(sealing);
	const uint32_t ts = draw_ts(draw, m->frame, m->ts);
	uint64_t next = m->seq + (uint64_t)l->index_shift + 1;

	if (!sealing_take(w, sealing, 1))
		return false;
	// The index counts before the packet exists: a crash in between wastes it, never repeats
	// it.
	if (next > l->sent->next_index)
		l->sent->next_index = next;
	*text = (struct srtp_text){ .payload = w->starts.plain[sealing->n],
		.seq = m->seq,
		.ts = ts,
		.payload_bytes = m->payload_bytes,
		.marker = m->marker };
	sealing_add(sealing, l, text, l->index_shift, 1);
	l->sent->packets++;
	l->sent->bytes += m->payload_bytes;
	s->bytes += m->payload_bytes + PACKET_OVERHEAD_BYTES;
	s->frame = m->frame;
	s->shown_ts = ts;
	s->closed_up = ts == m->ts && (draw->step == 0 || (int32_t)(m->frame - s->last) > 0);
	return true;
}

static void send_run(struct worker *w, struct sealing *sealing, const struct peer_leg *l)
{
	if (l->sent->first_tx_ns == 0)
		l->sent->first_tx_ns = w->now_ns;
	sealing_end(w, sealing);
}

// Return: how many packets were sent; s->seq is behind them.
static unsigned int send_due(struct worker *w, struct start *s, uint64_t newest, unsigned int most)
{
	const struct history *h = history_of(w, s->stream);
	struct sealing sealing;
	struct history_meta m;
	unsigned int n;

	sealing_begin(&sealing);
	for (; s->seq <= newest && sealing.n < most; s->seq++) {
		// What is not there never came, or will be asked for.
		if (history_look(h, s->seq, &m) < 0)
			continue;
		if (!may_send(w, s, &m))
			break;
		if (history_get(h, s->seq, w->starts.plain[sealing.n], sizeof(*w->starts.plain),
			    &m) < 0)
			continue;
		if (!add(w, &sealing, s, &m)) {
			w->counters->drops[DROP_NO_MBUF]++;
			break;
		}
	}
	n = sealing.n;
	if (n)
		send_run(w, &sealing, s->leg);
	return n;
}

// All that the lane holds from here on it has not sent yet: nothing newer is in the history.
static bool joins(const struct worker *w, const struct start *s, uint64_t newest)
{
	return s->closed_up && s->seq > newest &&
	       w->now_ns - s->begin_ns > SETTLE_MS * (uint64_t)NS_PER_MS;
}

static unsigned int serve_one(struct worker *w, struct start *s, unsigned int most)
{
	const struct history *h = history_of(w, s->stream);
	struct peer_leg *l = s->leg;
	uint16_t stream = s->stream;
	uint64_t newest;
	unsigned int n;

	if (!h || history_newest(h, &newest) < 0)
		return 0;
	n = send_due(w, s, newest, RTE_MIN(most, (unsigned int)RUN_MAX));
	if (!joins(w, s, newest))
		return n;
	peer_leg_close_up(l, s->seq, s->frame);
	start_drop(w, l);
	fan_join(fan_of(w, stream), l);
	return n;
}

// Half of what the worker can send, as far as its viewers are among those that catch up: where all
// of them are, as after a take-over, they must come up with what follows.
static uint64_t packets_per_ms(const struct worker *w)
{
	uint64_t all = w->seal_cost ? w->counters->tsc_mhz * 1000ULL / w->seal_cost : 0;
	uint64_t share = all / 2 * w->starts.n / RTE_MAX(w->counters->n_peers, 1u);

	return RTE_MAX(share, (uint64_t)PACKETS_PER_MS);
}

// A share of the worker's time: what it may send rises with the time that went by.
static unsigned int allowance(struct worker *w)
{
	uint64_t gone_ns = w->now_ns - w->starts.served_ns;
	uint64_t n = gone_ns / 1000 * packets_per_ms(w) / 1000;
	const uint64_t least = PACKETS_MIN, most = PACKETS_MAX;

	w->starts.served_ns = w->now_ns;
	n = RTE_MAX(n, least);
	return (unsigned int)RTE_MIN(n, most);
}

// A port that stands still is given a packet now and then, to see whether it moves.
static bool port_takes(struct worker *w)
{
	if (!w->tx_stalled)
		return true;
	if (w->now_ns - w->starts.served_ns < PROBE_MS * (uint64_t)NS_PER_MS)
		return false;
	w->starts.served_ns = w->now_ns;
	return true;
}

unsigned int start_serve(struct worker *w)
{
	struct start_list *list = &w->starts;
	unsigned int left, idle = 0, sent = 0;

	if (list->n == 0 || !port_takes(w))
		return 0;
	left = w->tx_stalled ? 1 : allowance(w);
	// Round after round, a run each, until nobody has anything due.
	while (left && list->n && idle < list->n) {
		uint32_t n_before = list->n;
		unsigned int n = serve_one(w, &list->slots[list->turn], left);

		if (list->n == n_before)
			list->turn = (list->turn + 1) % list->n;
		idle = n ? 0 : idle + 1;
		left -= n;
		sent += n;
	}
	return sent;
}
