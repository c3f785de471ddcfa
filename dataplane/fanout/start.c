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
	FRAME_MIN_TICKS = 45,	 // frames so near to each other are not a source's
	FRAME_MIN_US = 1000,	 // decoders take about a thousand small pictures a second
	LONGEST_MS = 3000,	 // a group that takes longer to send is not worth it
	SILENT_MS = 500,	 // nothing came for so long: nothing is foreseen
	INTERVAL_MS = 40,	 // between frames, where none came yet since a source took over
	SETTLE_MS = 2,		 // until all workers know that this one has viewers
	AGAIN_MS = 1000,	 // between two starts on demand; doubles,
	AGAIN_CALM_MS = 10000,	 // until there was none for so long
	AGAIN_MAX_BACKOFF = 3,
	PACKETS_PER_MS = 256, // of all viewers together: about a fifth of a core
	PACKETS_MIN = 32,     // in one round
	PACKETS_MAX = 1024,
	PROBE_MS = 1,
	PACKET_OVERHEAD_BYTES = 60, // of headers and tag
};

struct plan {
	struct start start;
	struct draw draw;
};

// ---- what there is -----------------------------------------------------------------------------

static const struct history *history_of(const struct worker *w, uint16_t stream)
{
	const struct keep *k = keep_find(w->edge, stream, w->streams[stream].generation);

	return k ? k->legs[LEG_VIDEO] : NULL;
}

static void note_frame(struct pictures *g, const struct history_meta *m)
{
	uint32_t frames = m->frame - g->frame, ticks = m->ts - g->ts;

	if ((int32_t)frames <= 0)
		return;
	g->frame = m->frame;
	g->ts = m->ts;
	if ((int32_t)ticks <= 0 || ticks / frames >= FRAME_MIN_TICKS)
		return;
	g->even_frame = m->frame;
	g->even_ts = m->ts;
	g->even_bytes = g->bytes;
	g->even_ns = m->rx_ns;
}

// Each packet is looked at once, whoever comes how often.
static void count_on(const struct history *h, struct pictures *g, uint64_t newest)
{
	struct history_meta m, key;

	if (history_look(h, g->key, &key) < 0)
		return;
	if (g->end == g->key) {
		g->frame = g->even_frame = key.frame;
		g->ts = g->even_ts = key.ts;
		g->even_ns = key.rx_ns;
	}
	for (; g->end <= newest; g->end++) {
		if (history_look(h, g->end, &m) < 0)
			continue;
		note_frame(g, &m);
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
	const struct pictures *g, uint64_t bytes_per_s, uint32_t frames, uint64_t now_ns)
{
	uint64_t even_ns = now_ns - g->even_ns;
	// What a source that took over sent all at once says nothing of what it will send.
	bool any = g->frame != g->even_frame && even_ns;
	uint64_t live = any ? (g->bytes - g->even_bytes) * NS_A_SECOND / even_ns : 0;
	uint64_t spare = live < bytes_per_s / 4 * 3 ? bytes_per_s - live : bytes_per_s / 4;

	return RTE_MAX((g->bytes - g->key_bytes) * NS_A_SECOND / spare,
		frames * (uint64_t)FRAME_MIN_US * 1000);
}

// Foresee which frame comes in when the others are through, and its timestamp.
// again: timestamps go on behind those that the viewer has.
// Return: 0; -ERANGE they cannot be made to.
static int foresee(struct plan *p, const struct pictures *g, const struct history_meta *newest,
	uint64_t now_ns, bool again)
{
	struct start *s = &p->start;
	uint32_t frames = newest->frame - g->even_frame, span = newest->ts - g->even_ts, more;
	uint64_t since_ns = now_ns - newest->rx_ns, key_ns = s->pace_from_ns - now_ns;
	uint64_t interval_ns = INTERVAL_MS * (uint64_t)NS_PER_MS, drawn;

	// A group of a source that took over, and nothing since: whoever asks again gets it now.
	if (frames == 0 && again)
		return -ERANGE;
	if (frames != 0) {
		if ((int32_t)frames < 0 || (int32_t)span <= 0)
			return -ERANGE;
		interval_ns = ticks_to_ns(span) / frames;
	}
	if (interval_ns == 0)
		return -ERANGE;
	if (since_ns > SILENT_MS * (uint64_t)NS_PER_MS) {
		if (again)
			return -ERANGE;
		s->last = newest->frame;
		p->draw.last_ts = newest->ts;
		drawn = ns_to_ticks(s->pace_ns);
	} else {
		more = (uint32_t)((since_ns + key_ns + s->pace_ns + interval_ns - 1) / interval_ns);
		s->last = newest->frame + more;
		s->pace_ns = more * interval_ns - since_ns - key_ns;
		p->draw.last_ts = newest->ts +
				  (uint32_t)ns_to_ticks(more * interval_ns - interval_ns / 4);
		drawn = ns_to_ticks(s->pace_ns);
	}
	if (again) {
		uint32_t after = newest->ts + (uint32_t)ns_to_ticks(since_ns) + 1;

		if ((int32_t)(p->draw.last_ts - after) <= 0)
			return -ERANGE;
		drawn = RTE_MIN(drawn, p->draw.last_ts - after);
	}
	p->draw.step = (uint32_t)(drawn / (s->last - s->first));
	if (again && p->draw.step == 0)
		return -ERANGE;
	p->draw.step = RTE_MAX(p->draw.step, 1u);
	return 0;
}

// Return: 0; -ENOENT no key frame, -ESTALE too long ago, -EFBIG too much to send, -ERANGE no
//         timestamps for it.
static int make_plan(struct worker *w, uint16_t stream, bool again, struct plan *out)
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
	age_ns = w->now_ns - key.rx_ns;
	if (bytes_per_s == 0 || (int64_t)age_ns < 0 || (int64_t)(w->now_ns - newest.rx_ns) < 0 ||
		age_ns > conf->media.start_max_ms * (uint64_t)NS_PER_MS)
		return -ESTALE;
	*s = (struct start){ .stream = stream,
		.first = key.frame,
		.last = newest.frame,
		.frame = key.frame,
		.seq = g.key,
		.begin_ns = w->now_ns,
		.pace_from_ns = w->now_ns,
		.bytes_per_s = bytes_per_s };
	if (g.key_bytes > BURST_BYTES)
		s->pace_from_ns += (g.key_bytes - BURST_BYTES) * NS_A_SECOND / bytes_per_s;
	if (newest.frame != key.frame) {
		s->pace_ns = pace_of(&g, bytes_per_s, newest.frame - key.frame, w->now_ns);
		if (s->pace_ns > LONGEST_MS * (uint64_t)NS_PER_MS)
			return -EFBIG;
		rc = foresee(&p, &g, &newest, w->now_ns, again);
		if (rc < 0)
			return rc;
	}
	if (again && newest.frame == key.frame)
		return -ERANGE; // the viewer is getting that very frame
	p.draw.last = s->last;
	p.draw.open = true;
	*out = p;
	return 0;
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

// Return: 0 and the leg is on its way; else it goes on as it was.
static int begin(struct worker *w, uint16_t stream, struct peer_leg *l, bool again)
{
	struct start_list *list = &w->starts;
	struct plan p;
	int rc = make_plan(w, stream, again, &p);

	if (rc == 0)
		rc = make_room(list);
	if (rc < 0)
		return rc;
	fan_leave(fan_of(w, stream), l);
	peer_leg_begin(l, p.start.seq, &p.draw);
	l->catching = 1;
	peer_course_of(l)->fan_at = list->n;
	if (list->n == 0)
		list->served_ns = w->now_ns;
	p.start.leg = l;
	list->slots[list->n++] = p.start;
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

void start_join(struct worker *w, struct peer *p)
{
	struct peer_leg *l = &p->legs[LEG_VIDEO];

	if (!l->enabled || l->started)
		return;
	if (allowed(w, p->stream) && begin(w, p->stream, l, false) == 0) {
		peer_state_of(l)->starts_instant++;
		peer_course_of(l)->key_again_ns = w->now_ns + AGAIN_MS * (uint64_t)NS_PER_MS;
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
	if (l->started && allowed(w, p->stream) && begin(w, p->stream, l, true) == 0) {
		peer_state_of(l)->keys_sent++;
		back_off(w, l);
		return;
	}
	peer_state_of(l)->keys_waited++;
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
	struct plain plain = { .payload = w->starts.plain[sealing->n],
		.payload_bytes = m->payload_bytes,
		.ts = draw_ts(draw, m->frame, m->ts),
		.marker = m->marker };
	struct stamp stamp;

	if (!sealing_take_one(w, sealing))
		return false;
	stamp_make(&stamp, l, m->payload_bytes);
	sealing_add(sealing, l, &stamp, &plain, (uint64_t)((int64_t)m->seq + l->index_shift));
	l->sent->packets++;
	l->sent->bytes += m->payload_bytes;
	s->bytes += m->payload_bytes + PACKET_OVERHEAD_BYTES;
	s->frame = m->frame;
	s->closed_up = plain.ts == m->ts && (draw->step == 0 || (int32_t)(m->frame - s->last) > 0);
	return true;
}

// The indices count before the packets exist: a crash in between wastes some, never repeats one.
static void send_run(struct worker *w, struct sealing *sealing, const struct peer_leg *l)
{
	uint64_t next = sealing->ops[sealing->n - 1].index + 1;

	if (next > l->sent->next_index)
		l->sent->next_index = next;
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

// A share of the worker's time: what it may send rises with the time that went by.
static unsigned int allowance(struct worker *w)
{
	uint64_t gone_ns = w->now_ns - w->starts.served_ns;
	uint64_t n = gone_ns / 1000 * PACKETS_PER_MS / 1000;
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
