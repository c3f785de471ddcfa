// Fan-out: the packets of a run, one viewer after the other, so that each viewer's keys and headers
// are fetched once; sealed out of place from the shared plaintext into fresh mbufs.
#include <errno.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_prefetch.h>

#include "dataplane/fanout/worker.h"

enum {
	SEAL_BATCH = 64,
	RUN_MAX = WORKER_PREFIX_MAX + WORKER_BURST,
	// So many viewers ahead their lines are fetched; what those point at, one fewer.
	AHEAD = 3,
};

static_assert(WORKER_PAYLOAD_OFF >= (int)PEER_HDR_ROOM_BYTES, "headers stand before the payload");

// What is the same for all viewers of one packet.
struct plain {
	const uint8_t *payload;
	uint64_t seq; // of the stream's output
	uint32_t ts;
	uint16_t payload_bytes;
	bool marker;
};

// What is sent: packets kept from before and those that just came.
struct run {
	struct rte_mbuf *pkts[RUN_MAX];
	struct plain plain[RUN_MAX];
	uint16_t n;
	uint16_t fresh; // from here on they are new to viewers that play already
	uint16_t start; // from here on a viewer may begin; n: nowhere
	uint64_t highest_seq;
	uint64_t fresh_bytes; // of payload, from there on
	uint64_t start_bytes;
};

// Packets on their way through the engine, all of one leg. out is filled ahead of use.
struct sealing {
	struct srtp_seal_op ops[SEAL_BATCH];
	struct rte_mbuf *out[SEAL_BATCH];
	const struct peer_leg *legs[SEAL_BATCH];
	uint32_t bytes; // of the frames
	uint16_t n;
	uint16_t n_out;
	enum leg_kind leg;
	bool sums; // some want their checksum in software
};

// A packet that was counted ahead and did not come to be.
static void uncount(struct region_peer_sent *sent, uint16_t payload_bytes)
{
	sent->packets--;
	sent->bytes -= payload_bytes;
}

static void undo_one(struct worker *w, struct sealing *s, uint16_t i)
{
	struct region_peer_sent *sent = s->legs[i]->sent;

	uncount(sent, s->ops[i].payload_bytes);
	sent->drops++;
	s->bytes -= s->out[i]->pkt_len;
	worker_drop(w, s->out[i], DROP_SEAL);
}

// Return: how many are left.
static uint16_t undo_refused(struct worker *w, struct sealing *s, const int *status)
{
	uint16_t n = 0;

	for (uint16_t i = 0; i < s->n; i++) {
		if (status[i] != 0) {
			undo_one(w, s, i);
			continue;
		}
		s->legs[n] = s->legs[i];
		s->out[n++] = s->out[i];
	}
	return n;
}

static void put_sums(struct sealing *s)
{
	for (uint16_t i = 0; i < s->n; i++) {
		const struct frame_form *form = &s->legs[i]->form;
		struct rte_mbuf *m = s->out[i];

		if (form->checksum == FRAME_CHECKSUM_SOFTWARE)
			frame_put_sum(form, rte_pktmbuf_mtod(m, uint8_t *),
				(uint16_t)(m->data_len - form->hdr_bytes));
	}
}

static void seal(struct worker *w, struct sealing *s)
{
	int status[SEAL_BATCH];
	uint64_t from = rte_rdtsc();
	unsigned int n_sealed = srtp_seal_rtp(w->engine, s->ops, s->n, status);

	w->counters->seal_cycles += rte_rdtsc() - from;
	w->counters->sealed_packets += n_sealed;
	if (unlikely(n_sealed < s->n))
		s->n = undo_refused(w, s, status);
	if (s->sums)
		put_sums(s);
	tx_put_media(w, s->out, s->n, s->bytes);
	s->n = 0;
	s->n_out = 0;
	s->bytes = 0;
	s->sums = false;
}

// Return: whether there are mbufs for more packets.
static bool refill(struct worker *w, struct sealing *s)
{
	if (s->n)
		seal(w, s);
	if (rte_mempool_get_bulk(w->share->pool, (void **)s->out, SEAL_BATCH) < 0)
		return false;
	s->n_out = SEAL_BATCH;
	return true;
}

static inline bool have_room(struct worker *w, struct sealing *s)
{
	return likely(s->n < s->n_out) || refill(w, s);
}

static void no_room(struct worker *w, struct peer_leg *l)
{
	w->counters->drops[DROP_NO_MBUF]++;
	l->sent->drops++;
}

static void finish(struct worker *w, struct sealing *s)
{
	uint16_t unused = (uint16_t)(s->n_out - s->n);

	if (unused)
		rte_mempool_put_bulk(w->share->pool, (void **)(s->out + s->n), unused);
	if (s->n)
		seal(w, s);
}

// What the packets of one viewer and one payload size have in common. In words of the width in
// which they are stored again: a load that is wider than the store before it would wait for the
// cache.
struct stamp {
	uint64_t rearm; // mbuf fields, eight bytes each
	uint64_t ol_flags;
	uint64_t type_and_bytes;
	uint64_t bytes_and_mark;
	uint64_t tx_offload;
	struct frame_sizes sizes;
	uint16_t payload_bytes;
	uint16_t hdr_bytes;
	uint16_t bytes; // of the frame
	bool sum;	// in software
};

static_assert(
	offsetof(struct rte_mbuf, data_off) == offsetof(struct rte_mbuf, rearm_data) &&
		offsetof(struct rte_mbuf, refcnt) == offsetof(struct rte_mbuf, data_off) + 2 &&
		offsetof(struct rte_mbuf, nb_segs) == offsetof(struct rte_mbuf, refcnt) + 2 &&
		offsetof(struct rte_mbuf, port) == offsetof(struct rte_mbuf, nb_segs) + 2 &&
		offsetof(struct rte_mbuf, pkt_len) == offsetof(struct rte_mbuf, packet_type) + 4 &&
		offsetof(struct rte_mbuf, data_len) == offsetof(struct rte_mbuf, packet_type) + 8 &&
		offsetof(struct rte_mbuf, hash) == offsetof(struct rte_mbuf, data_len) + 4,
	"fields of an mbuf that are stored together");

static void stamp_make(
	struct stamp *t, const struct peer_leg *l, enum leg_kind leg, uint16_t payload_bytes)
{
	uint16_t behind_udp = (uint16_t)(l->rtp_hdr_bytes + payload_bytes + l->tag_bytes);
	uint64_t refcnt = 1, nb_segs = 1, port = RTE_MBUF_PORT_INVALID;

	t->payload_bytes = payload_bytes;
	t->hdr_bytes = (uint16_t)(l->form.hdr_bytes + l->rtp_hdr_bytes);
	t->bytes = (uint16_t)(l->form.hdr_bytes + behind_udp);
	t->sum = l->form.checksum == FRAME_CHECKSUM_SOFTWARE;
	t->sizes = frame_sizes_make(&l->form, behind_udp);
	t->rearm = (uint64_t)(WORKER_PAYLOAD_OFF - t->hdr_bytes) | refcnt << 16 | nb_segs << 32 |
		   port << 48;
	t->ol_flags = frame_ol_flags(&l->form);
	t->type_and_bytes = (uint64_t)t->bytes << 32;
	t->bytes_and_mark = t->bytes | (uint64_t)tx_mark_of(l->slot, leg) << 32;
	t->tx_offload = frame_tx_offload(&l->form);
}

static inline void stamp_mbuf(const struct stamp *t, struct rte_mbuf *m)
{
	memcpy(&m->rearm_data, &t->rearm, 8);
	m->ol_flags = t->ol_flags;
	memcpy(&m->packet_type, &t->type_and_bytes, 8);
	memcpy(&m->data_len, &t->bytes_and_mark, 8);
	if (t->ol_flags)
		m->tx_offload = t->tx_offload;
}

static inline void add_op(struct sealing *s, const struct peer_leg *l, const struct stamp *t,
	const struct plain *plain, uint64_t index)
{
	struct rte_mbuf *m = s->out[s->n];
	// As m->buf_addr says, but without waiting for m to come from the cache.
	uint8_t *payload_at = (uint8_t *)(m + 1) + sizeof(struct packet) + WORKER_PAYLOAD_OFF;

	stamp_mbuf(t, m);
	s->ops[s->n] = (struct srtp_seal_op){ .session = l->srtp,
		.payload = plain->payload,
		.pkt = peer_put_headers(l, payload_at - t->hdr_bytes, &t->sizes, (uint16_t)index,
			plain->ts, plain->marker),
		.hdr_bytes = l->rtp_hdr_bytes,
		.payload_bytes = plain->payload_bytes,
		.index = index };
	s->legs[s->n++] = l;
	s->bytes += t->bytes;
	s->sums |= t->sum;
}

// The viewer's first packet has the first of its sequence numbers; without an mbuf it waits on.
static bool begin(struct worker *w, struct sealing *s, struct peer_leg *l, uint64_t seq)
{
	if (!have_room(w, s)) {
		no_room(w, l);
		return false;
	}
	peer_leg_begin(l, seq, NULL);
	l->sent->first_tx_ns = w->now_ns;
	return true;
}

static void send_to_viewer(
	struct worker *w, struct sealing *s, struct peer_leg *l, const struct run *run)
{
	struct region_peer_sent *sent = l->sent;
	uint16_t i = l->started ? run->fresh : run->start;
	uint64_t next_index;
	struct stamp stamp;

	if (i == run->n || (!l->started && !begin(w, s, l, run->plain[i].seq)))
		return;
	// The indices count before the packets exist: a crash in between wastes some, never repeats
	// one.
	next_index = run->highest_seq + (uint64_t)l->index_shift + 1;
	if ((int64_t)next_index > (int64_t)sent->next_index)
		sent->next_index = next_index;
	stamp_make(&stamp, l, s->leg, run->plain[i].payload_bytes);
	sent->packets += run->n - i;
	sent->bytes += i == run->fresh ? run->fresh_bytes : run->start_bytes;
	for (; i < run->n; i++) {
		const struct plain *plain = &run->plain[i];
		int64_t index = (int64_t)plain->seq + l->index_shift;

		// A packet from before this viewer's first would need an index from before it too.
		if (unlikely(index < l->first_index)) {
			uncount(sent, plain->payload_bytes);
			continue;
		}
		if (unlikely(!have_room(w, s))) {
			uncount(sent, plain->payload_bytes);
			no_room(w, l);
			continue;
		}
		if (unlikely(plain->payload_bytes != stamp.payload_bytes))
			stamp_make(&stamp, l, s->leg, plain->payload_bytes);
		add_op(s, l, &stamp, plain, (uint64_t)index);
	}
}

// Video begins at the first packet of a key frame's access unit, sound anywhere.
static uint16_t find_start(const struct run *run, enum leg_kind leg)
{
	if (leg == LEG_AUDIO)
		return run->fresh;
	for (uint16_t i = 0; i < run->n; i++) {
		uint16_t from = i;

		if (!packet_of(run->pkts[i])->key)
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

static void add_plain(struct run *run, struct rte_mbuf *m)
{
	const struct packet *p = packet_of(m);

	run->plain[run->n] = (struct plain){
		.payload = rte_pktmbuf_mtod_offset(m, const uint8_t *, p->payload_off),
		.seq = p->seq,
		.ts = p->ts,
		.payload_bytes = p->payload_bytes,
		.marker = p->marker,
	};
	run->pkts[run->n++] = m;
	run->highest_seq = RTE_MAX(run->highest_seq, p->seq);
}

static uint64_t bytes_from(const struct run *run, uint16_t i)
{
	uint64_t bytes = 0;

	for (; i < run->n; i++)
		bytes += run->plain[i].payload_bytes;
	return bytes;
}

static void make_run(
	struct run *run, struct fan *fan, enum leg_kind leg, struct rte_mbuf **pkts, uint16_t n)
{
	run->n = 0;
	run->highest_seq = 0;
	for (uint16_t i = 0; i < fan->n_prefix; i++)
		add_plain(run, fan->prefix[i]);
	run->fresh = run->n;
	for (uint16_t i = 0; i < n; i++)
		add_plain(run, pkts[i]);
	run->start = find_start(run, leg);
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

static void send_to_all(struct worker *w, struct fan *fan, enum leg_kind leg, const struct run *run)
{
	struct sealing sealing;

	sealing.leg = leg;
	sealing.n = 0;
	sealing.n_out = 0;
	sealing.bytes = 0;
	sealing.sums = false;
	for (uint32_t i = 0; i < AHEAD && i < fan->n_viewers; i++)
		fetch_viewer(viewer_at(fan, i));
	for (uint32_t i = 0; i < fan->n_viewers; i++) {
		if (i + AHEAD < fan->n_viewers)
			fetch_viewer(viewer_at(fan, i + AHEAD));
		if (i + AHEAD - 1 < fan->n_viewers)
			rte_prefetch0(viewer_at(fan, i + AHEAD - 1)->sent);
		send_to_viewer(w, &sealing, viewer_at(fan, i), run);
	}
	finish(w, &sealing);
	next_turn(fan);
}

void fan_out(
	struct worker *w, struct fan *fan, enum leg_kind leg, struct rte_mbuf **pkts, uint16_t n)
{
	struct run run;

	make_run(&run, fan, leg, pkts, n);
	if (fan->n_viewers)
		send_to_all(w, fan, leg, &run);
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
