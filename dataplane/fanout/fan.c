// Fan-out: the packets of a run, one viewer after the other, so that each viewer's keys and headers
// are fetched once; sealed out of place from the shared plaintext into fresh mbufs.
#include <errno.h>
#include <stdlib.h>

#include <rte_prefetch.h>

#include "dataplane/fanout/seal.h"

enum {
	RUN_MAX = WORKER_PREFIX_MAX + WORKER_BURST,
	// So many viewers ahead their lines are fetched; half as many, what those point at.
	AHEAD = 8,
};

static_assert(RUN_MAX <= (int)SEAL_BATCH, "a viewer's run is sealed at once");

// What is sent: packets kept from before and those that just came.
struct run {
	struct rte_mbuf *pkts[RUN_MAX];
	struct srtp_text texts[RUN_MAX];
	uint16_t n;
	uint16_t fresh; // from here on they are new to viewers that play already
	uint16_t start; // from here on a viewer may begin; n: nowhere
	uint64_t lowest_seq;
	uint64_t highest_seq;
	uint64_t fresh_bytes; // of payload, from there on
	uint64_t start_bytes;
};

static void no_room(struct worker *w, struct peer_leg *l, uint16_t n)
{
	w->counters->drops[DROP_NO_MBUF] += n;
	l->sent->drops += n;
}

// The viewer's first packet has the first of its sequence numbers.
static void begin(struct worker *w, struct peer_leg *l, uint64_t seq)
{
	peer_leg_begin(l, seq, NULL);
	l->sent->first_tx_ns = w->now_ns;
}

// A packet from before this viewer's first would need an index from before it too: it was counted
// ahead, and does not come to be.
static void add_from_first_on(
	struct sealing *s, struct peer_leg *l, const struct run *run, uint16_t i)
{
	for (; i < run->n; i++) {
		if ((int64_t)run->texts[i].seq + l->index_shift >= l->first_index) {
			sealing_add(s, l, &run->texts[i], l->index_shift, 1);
		} else {
			l->sent->packets--;
			l->sent->bytes -= run->texts[i].payload_bytes;
		}
	}
}

static void send_to_viewer(
	struct worker *w, struct sealing *s, struct peer_leg *l, const struct run *run)
{
	struct region_peer_sent *sent = l->sent;
	uint16_t from = l->started ? run->fresh : run->start;
	uint16_t n = (uint16_t)(run->n - from);
	uint64_t next_index;

	if (n == 0)
		return;
	// A viewer who has not begun waits on.
	if (unlikely(!sealing_has_room(w, s, n))) {
		no_room(w, l, n);
		return;
	}
	if (!l->started)
		begin(w, l, run->texts[from].seq);
	// The indices count before the packets exist: a crash in between wastes some, never repeats
	// one.
	next_index = run->highest_seq + (uint64_t)l->index_shift + 1;
	if ((int64_t)next_index > (int64_t)sent->next_index)
		sent->next_index = next_index;
	sent->packets += n;
	sent->bytes += from == run->fresh ? run->fresh_bytes : run->start_bytes;
	if (unlikely((int64_t)run->lowest_seq + l->index_shift < l->first_index))
		add_from_first_on(s, l, run, from);
	else
		sealing_add(s, l, run->texts + from, l->index_shift, n);
}

// Video begins at the first packet of a key frame's access unit, sound anywhere. What still waited
// of a source that another took over from is no beginning.
static uint16_t find_start(const struct run *run, const struct fan *fan, enum leg_kind leg)
{
	if (leg == LEG_AUDIO)
		return run->fresh;
	for (uint16_t i = 0; i < run->n; i++) {
		uint16_t from = i;

		if (!packet_of(run->pkts[i])->key || run->texts[i].seq < fan->over_seq)
			continue;
		while (from > 0 &&
			packet_of(run->pkts[from - 1])->ts == packet_of(run->pkts[i])->ts)
			from--;
		// A later slice of a picture whose head went by already is no beginning.
		if (packet_of(run->pkts[from])->begins)
			return from;
	}
	return run->n;
}

void fan_forget_prefix(struct fan *fan)
{
	while (fan->n_prefix > 0)
		rte_pktmbuf_free(fan->prefix[--fan->n_prefix]);
}

// The run's tail stays when all of it leads an access unit whose slices are still to come; the
// rest is let go.
static void keep_prefix(struct fan *fan, const struct run *run)
{
	uint16_t from = run->n;

	while (from > 0 && run->n - from < WORKER_PREFIX_MAX &&
		packet_of(run->pkts[from - 1])->params &&
		packet_of(run->pkts[from - 1])->ts == packet_of(run->pkts[run->n - 1])->ts)
		from--;
	for (uint16_t i = 0; i < from; i++)
		rte_pktmbuf_free(run->pkts[i]);
	fan->n_prefix = 0;
	for (uint16_t i = from; i < run->n; i++)
		fan->prefix[fan->n_prefix++] = run->pkts[i];
}

static void add_packet(struct run *run, struct rte_mbuf *m)
{
	const struct packet *p = packet_of(m);

	run->texts[run->n] = (struct srtp_text){
		.payload = rte_pktmbuf_mtod_offset(m, const uint8_t *, p->payload_off),
		.seq = p->seq,
		.ts = p->ts,
		.payload_bytes = p->payload_bytes,
		.marker = p->marker,
	};
	run->pkts[run->n++] = m;
	run->lowest_seq = RTE_MIN(run->lowest_seq, p->seq);
	run->highest_seq = RTE_MAX(run->highest_seq, p->seq);
}

static uint64_t bytes_from(const struct run *run, uint16_t i)
{
	uint64_t bytes = 0;

	for (; i < run->n; i++)
		bytes += run->texts[i].payload_bytes;
	return bytes;
}

static void make_run(
	struct run *run, struct fan *fan, enum leg_kind leg, struct rte_mbuf **pkts, uint16_t n)
{
	run->n = 0;
	run->lowest_seq = UINT64_MAX;
	run->highest_seq = 0;
	for (uint16_t i = 0; i < fan->n_prefix; i++)
		add_packet(run, fan->prefix[i]);
	run->fresh = run->n;
	for (uint16_t i = 0; i < n; i++)
		add_packet(run, pkts[i]);
	run->start = find_start(run, fan, leg);
	run->fresh_bytes = bytes_from(run, run->fresh);
	run->start_bytes = bytes_from(run, run->start);
}

static void fetch_viewer(const struct peer_leg *l)
{
	rte_prefetch0(l->hdr);
	rte_prefetch0(&l->srtp);
}

// The i-th viewer of a round that begins with whose turn it is.
static struct peer_leg *viewer_at(const struct fan *fan, uint32_t i)
{
	uint32_t at = fan->turn + i;

	return fan->viewers[at < fan->n_viewers ? at : at - fan->n_viewers];
}

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
	while (b) {
		uint32_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

// Where a slow port or an empty pool cuts a round short, it does so at another viewer each time: in
// steps of about two fifths, and so that every viewer is first once before one is again.
static void next_turn(struct fan *fan)
{
	uint32_t step = fan->n_viewers / 5 * 2 + 1;

	while (common_divisor(step, fan->n_viewers) != 1)
		step++;
	fan->turn = (fan->turn + step) % fan->n_viewers;
}

static void send_to_all(struct worker *w, struct fan *fan, const struct run *run)
{
	struct sealing sealing;

	sealing_begin(&sealing);
	for (uint32_t i = 0; i < AHEAD && i < fan->n_viewers; i++)
		fetch_viewer(viewer_at(fan, i));
	for (uint32_t i = 0; i < fan->n_viewers; i++) {
		if (i + AHEAD < fan->n_viewers)
			fetch_viewer(viewer_at(fan, i + AHEAD));
		if (i + AHEAD / 2 < fan->n_viewers)
			rte_prefetch0(viewer_at(fan, i + AHEAD / 2)->sent);
		send_to_viewer(w, &sealing, viewer_at(fan, i), run);
	}
	sealing_end(w, &sealing);
	next_turn(fan);
}

void fan_out(
	struct worker *w, struct fan *fan, enum leg_kind leg, struct rte_mbuf **pkts, uint16_t n)
{
	struct run run;

	make_run(&run, fan, leg, pkts, n);
	if (fan->n_viewers)
		send_to_all(w, fan, &run);
	if (leg == LEG_VIDEO)
		keep_prefix(fan, &run);
	else
		rte_pktmbuf_free_bulk(pkts, n);
}

// ---- who views ---------------------------------------------------------------------------------

static int make_place(struct fan *fan)
{
	uint32_t cap = fan->cap ? fan->cap * 2 : 16;
	struct peer_leg **viewers;

	if (fan->n_members < fan->cap)
		return 0;
	viewers = realloc(fan->viewers, cap * sizeof(struct peer_leg *));
	if (!viewers)
		return -ENOMEM;
	fan->viewers = viewers;
	fan->cap = cap;
	return 0;
}

void fan_join(struct fan *fan, struct peer_leg *l)
{
	peer_course_of(l)->fan_at = fan->n_viewers;
	fan->viewers[fan->n_viewers++] = l;
}

void fan_leave(struct fan *fan, struct peer_leg *l)
{
	struct peer_leg *last = fan->viewers[--fan->n_viewers];
	uint32_t at = peer_course_of(l)->fan_at;

	fan->viewers[at] = last;
	peer_course_of(last)->fan_at = at;
	if (fan->turn >= fan->n_viewers)
		fan->turn = 0;
}

int fan_add(struct worker *w, struct peer *p)
{
	struct stream *s = &w->streams[p->stream];

	for (int leg = 0; leg < LEG_COUNT; leg++)
		if (make_place(&s->fans[leg]) < 0)
			return -ENOMEM;
	for (int leg = 0; leg < LEG_COUNT; leg++) {
		if (!p->legs[leg].enabled)
			continue;
		s->fans[leg].n_members++;
		fan_join(&s->fans[leg], &p->legs[leg]);
	}
	s->n_peers++;
	atomic_fetch_or_explicit(
		&w->edge->viewers_on[p->stream], 1u << w->id, memory_order_release);
	return 0;
}

void fan_remove(struct worker *w, struct peer *p)
{
	struct stream *s = &w->streams[p->stream];

	for (int leg = 0; leg < LEG_COUNT; leg++) {
		struct peer_leg *l = &p->legs[leg];

		if (!l->enabled)
			continue;
		s->fans[leg].n_members--;
		if (l->catching)
			start_drop(w, l);
		else
			fan_leave(&s->fans[leg], l);
	}
	if (--s->n_peers == 0)
		atomic_fetch_and_explicit(
			&w->edge->viewers_on[p->stream], ~(1u << w->id), memory_order_release);
}
