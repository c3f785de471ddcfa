// Fan-out: the packets of a burst, one viewer after the other, so that each viewer's keys are
// touched once; sealed out of place from the shared plaintext into fresh mbufs.
#include <errno.h>
#include <stdlib.h>

#include <rte_cycles.h>

#include "dataplane/fanout/worker.h"

enum {
	SEAL_BATCH = 64,
	RUN_MAX = WORKER_PREFIX_MAX + WORKER_BURST,
};

// Packets on their way through the engine.
struct sealing {
	struct srtp_seal_op ops[SEAL_BATCH];
	struct rte_mbuf *out[SEAL_BATCH];
	struct peer *peers[SEAL_BATCH];
	struct peer_leg *legs[SEAL_BATCH];
	unsigned int n;
};

// What is sent: packets kept from before and those that just came.
struct run {
	struct rte_mbuf *pkts[RUN_MAX];
	uint16_t n;
	uint16_t fresh; // from here on they are new to viewers that play already
	uint16_t start; // from here on a viewer may begin; n: nowhere
};

static void finish_one(struct worker *w, struct sealing *s, unsigned int i)
{
	const struct srtp_seal_op *op = &s->ops[i];
	struct region_peer_leg_state *state = s->legs[i]->state;
	struct rte_mbuf *m = s->out[i];
	uint16_t bytes = (uint16_t)(op->hdr_bytes + op->payload_bytes + s->peers[i]->tag_bytes);

	m->data_len = bytes;
	m->pkt_len = bytes;
	frame_stamp(&s->peers[i]->frame, m);
	state->packets++;
	state->bytes += op->payload_bytes;
	s->peers[i]->state->tx_bytes += m->pkt_len - s->peers[i]->frame.l2_bytes;
	if (state->first_tx_ns == 0)
		state->first_tx_ns = w->now_ns;
	tx_put(w, m);
}

static void seal(struct worker *w, struct sealing *s)
{
	int status[SEAL_BATCH];
	uint64_t from;

	if (s->n == 0)
		return;
	from = rte_rdtsc();
	w->counters->sealed_packets += srtp_seal_rtp(w->engine, s->ops, s->n, status);
	w->counters->seal_cycles += rte_rdtsc() - from;
	for (unsigned int i = 0; i < s->n; i++) {
		if (status[i] == 0) {
			finish_one(w, s, i);
		} else {
			s->peers[i]->state->drops++;
			worker_drop(w, s->out[i], DROP_SEAL);
		}
	}
	s->n = 0;
}

static void add_op(struct worker *w, struct sealing *s, struct peer *p, struct peer_leg *l,
	struct rte_mbuf *in, struct rte_mbuf *out)
{
	const struct packet *pkt = packet_of(in);
	uint64_t index = (uint64_t)((int64_t)pkt->seq + l->state->index_shift);
	uint8_t *at = rte_pktmbuf_mtod(out, uint8_t *);
	uint16_t hdr_bytes = peer_put_rtp_header(l, at, (uint16_t)index, pkt->ts, pkt->marker);

	if (index >= l->state->next_index)
		l->state->next_index = index + 1;
	s->ops[s->n] = (struct srtp_seal_op){ .session = p->srtp,
		.payload = rte_pktmbuf_mtod_offset(in, const uint8_t *, pkt->payload_off),
		.pkt = at,
		.hdr_bytes = hdr_bytes,
		.payload_bytes = pkt->payload_bytes,
		.index = index };
	s->out[s->n] = out;
	s->peers[s->n] = p;
	s->legs[s->n] = l;
	if (++s->n == SEAL_BATCH)
		seal(w, s);
}

// The viewer's first packet has the first of its sequence numbers.
static void begin(struct peer_leg *l, const struct packet *first)
{
	l->state->index_shift = (int64_t)l->seq_base - (int64_t)first->seq;
	l->state->started = 1;
}

static void send_to_peer(struct worker *w, struct sealing *s, struct peer *p, enum leg_kind leg,
	const struct run *run)
{
	struct peer_leg *l = &p->legs[leg];
	struct rte_mbuf *out[RUN_MAX];
	uint16_t i = l->state->started ? run->fresh : run->start;
	uint16_t n = (uint16_t)(run->n - i);

	if (n == 0)
		return;
	if (rte_pktmbuf_alloc_bulk(w->share->pool, out, n) < 0) {
		w->counters->drops[DROP_NO_MBUF] += n;
		p->state->drops += n;
		return;
	}
	if (!l->state->started)
		begin(l, packet_of(run->pkts[i]));
	for (uint16_t o = 0; i < run->n; i++, o++) {
		// A packet from before this viewer's first would need an index from before it too.
		if ((int64_t)packet_of(run->pkts[i])->seq + l->state->index_shift < l->seq_base)
			rte_pktmbuf_free(out[o]);
		else
			add_op(w, s, p, l, run->pkts[i], out[o]);
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

static void make_run(
	struct run *run, struct fan *fan, enum leg_kind leg, struct rte_mbuf **pkts, uint16_t n)
{
	run->n = 0;
	if (leg == LEG_VIDEO)
		for (uint16_t i = 0; i < fan->n_prefix; i++)
			run->pkts[run->n++] = fan->prefix[i];
	run->fresh = run->n;
	for (uint16_t i = 0; i < n; i++)
		run->pkts[run->n++] = pkts[i];
	run->start = find_start(run, leg);
}

void fan_out(struct worker *w, uint16_t slot, enum leg_kind leg, struct rte_mbuf **pkts, uint16_t n)
{
	struct stream *stream = &w->streams[slot];
	struct sealing sealing = { .n = 0 };
	struct run run;

	if (packet_of(pkts[0])->generation != stream->generation) {
		rte_pktmbuf_free_bulk(pkts, n);
		return;
	}
	make_run(&run, &stream->fan, leg, pkts, n);
	for (uint32_t i = 0; i < stream->fan.n_peers; i++) {
		struct peer *p = stream->fan.peers[i];

		if (p->legs[leg].enabled)
			send_to_peer(w, &sealing, p, leg, &run);
	}
	seal(w, &sealing);
	if (leg == LEG_VIDEO)
		keep_prefix(&stream->fan, &run);
	else
		rte_pktmbuf_free_bulk(pkts, n);
}

int fan_add(struct worker *w, struct peer *p)
{
	struct fan *fan = &w->streams[p->stream].fan;

	if (fan->n_peers == fan->cap) {
		uint32_t cap = fan->cap ? fan->cap * 2 : 16;
		struct peer **peers = realloc(fan->peers, cap * sizeof(struct peer *));

		if (!peers)
			return -ENOMEM;
		fan->peers = peers;
		fan->cap = cap;
	}
	p->fan_at = fan->n_peers;
	fan->peers[fan->n_peers++] = p;
	atomic_fetch_or_explicit(
		&w->edge->viewers_on[p->stream], 1u << w->id, memory_order_release);
	return 0;
}

void fan_remove(struct worker *w, struct peer *p)
{
	struct fan *fan = &w->streams[p->stream].fan;
	struct peer *last = fan->peers[--fan->n_peers];

	fan->peers[p->fan_at] = last;
	last->fan_at = p->fan_at;
	if (fan->n_peers == 0)
		atomic_fetch_and_explicit(
			&w->edge->viewers_on[p->stream], ~(1u << w->id), memory_order_release);
}
