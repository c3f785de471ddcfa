#include "dataplane/fanout/seal.h"

#include <rte_cycles.h>

static_assert((int)SEAL_BATCH <= (int)SRTP_OP_PACKETS_MAX, "one op may be all of a batch");

static_assert(WORKER_PAYLOAD_OFF >= (int)PEER_HDR_ROOM_BYTES, "headers stand before the payload");

static_assert(
	offsetof(struct rte_mbuf, data_off) == offsetof(struct rte_mbuf, rearm_data) &&
		offsetof(struct rte_mbuf, refcnt) == offsetof(struct rte_mbuf, data_off) + 2 &&
		offsetof(struct rte_mbuf, nb_segs) == offsetof(struct rte_mbuf, refcnt) + 2 &&
		offsetof(struct rte_mbuf, port) == offsetof(struct rte_mbuf, nb_segs) + 2 &&
		offsetof(struct rte_mbuf, pkt_len) == offsetof(struct rte_mbuf, packet_type) + 4 &&
		offsetof(struct rte_mbuf, data_len) == offsetof(struct rte_mbuf, packet_type) + 8 &&
		offsetof(struct rte_mbuf, hash) == offsetof(struct rte_mbuf, data_len) + 4,
	"fields of an mbuf that are stored together");

// The leg that a viewer misses a packet of, under whichever SSRC it was sent.
static const struct peer_leg *missed_of(const struct peer_leg *l)
{
	return l->kind == PEER_RTX ? &peer_of(l)->legs[LEG_VIDEO] : l;
}

// What the mbufs of one viewer and one payload size have in common. In words of the width in which
// they are stored again: a load that is wider than the store before it would wait for the cache.
struct stamp {
	uint64_t rearm; // mbuf fields, eight bytes each
	uint64_t ol_flags;
	uint64_t type_and_bytes;
	uint64_t bytes_and_mark;
	uint16_t bytes; // of the frame
};

static inline struct stamp stamp_make(const struct peer_leg *l, uint16_t behind_udp)
{
	uint16_t hdr_bytes = (uint16_t)(l->form.hdr_bytes + l->rtp_hdr_bytes);
	uint16_t bytes = (uint16_t)(l->form.hdr_bytes + behind_udp);
	uint64_t refcnt = 1, nb_segs = 1, port = RTE_MBUF_PORT_INVALID;
	uint64_t mark = tx_mark_of(l->slot, l->kind == PEER_RTX ? LEG_VIDEO : l->kind);

	return (struct stamp){ .rearm = (uint64_t)(WORKER_PAYLOAD_OFF - hdr_bytes) | refcnt << 16 |
					nb_segs << 32 | port << 48,
		.ol_flags = frame_ol_flags(&l->form),
		.type_and_bytes = (uint64_t)bytes << 32,
		.bytes_and_mark = bytes | mark << 32,
		.bytes = bytes };
}

static inline void stamp_mbuf(const struct stamp *t, const struct peer_leg *l, struct rte_mbuf *m)
{
	memcpy(&m->rearm_data, &t->rearm, 8);
	m->ol_flags = t->ol_flags;
	memcpy(&m->packet_type, &t->type_and_bytes, 8);
	memcpy(&m->data_len, &t->bytes_and_mark, 8);
	if (t->ol_flags)
		m->tx_offload = frame_tx_offload(&l->form);
}

// An op of packets, up to the first of another size.
// Return: how many.
static inline uint16_t add_alike(struct sealing *s, const struct peer_leg *l,
	const struct srtp_text *texts, int64_t index_shift, uint16_t n)
{
	const uint16_t payload_bytes = texts[0].payload_bytes;
	const uint16_t behind_udp = (uint16_t)(l->rtp_hdr_bytes + payload_bytes + l->tag_bytes);
	const struct stamp t = stamp_make(l, behind_udp);
	// As m->buf_addr says, but without waiting for m to come from the cache.
	const size_t rtp_at = sizeof(struct rte_mbuf) + sizeof(struct packet) + WORKER_PAYLOAD_OFF -
			      l->rtp_hdr_bytes;
	struct rte_mbuf *const *out = s->out + s->n;
	uint8_t **pkts = s->pkts + s->n;
	uint16_t i;

	for (i = 0; i < n && texts[i].payload_bytes == payload_bytes; i++) {
		stamp_mbuf(&t, l, out[i]);
		pkts[i] = (uint8_t *)out[i] + rtp_at;
	}
	peer_head_make(l, behind_udp, &s->heads[s->n_ops]);
	s->ops[s->n_ops] = (struct srtp_seal_op){ .session = l->srtp,
		.texts = texts,
		.pkts = pkts,
		.head = &s->heads[s->n_ops],
		.index_shift = index_shift,
		.hdr_bytes = l->rtp_hdr_bytes,
		.n = i };
	s->legs[s->n_ops++] = l;
	s->n += i;
	s->bytes += (uint32_t)i * t.bytes;
	return i;
}

void sealing_add(struct sealing *s, const struct peer_leg *l, const struct srtp_text *texts,
	int64_t index_shift, uint16_t n)
{
	srtp_fetch(l->srtp);
	s->sums |= l->form.checksum == FRAME_CHECKSUM_SOFTWARE;
	for (uint16_t i = 0; i < n;)
		i += add_alike(s, l, texts + i, index_shift, n - i);
}

// at: in its op. Copies of a packet are of one size, and so of one op.
static void undo_one(struct worker *w, struct sealing *s, const struct peer_leg *l, uint16_t at,
	uint16_t payload_bytes, struct rte_mbuf *m)
{
	struct region_peer_leg_state *missed = peer_state_of(missed_of(l));

	l->sent->packets--;
	l->sent->bytes -= payload_bytes;
	missed->sent.drops++;
	if (s->resends) {
		missed->resent--;
		missed->resent_bytes -= payload_bytes;
		missed->copies -= at > 0;
	}
	s->bytes -= m->pkt_len;
	worker_drop(w, m, DROP_SEAL);
}

// Return: how many are left, in front.
static uint16_t undo_refused(struct worker *w, struct sealing *s, const int *status)
{
	uint16_t at = 0, n = 0;

	for (uint16_t op = 0; op < s->n_ops; op++) {
		for (uint16_t i = 0; i < s->ops[op].n; i++, at++) {
			if (status[at] != 0)
				undo_one(w, s, s->legs[op], i, s->ops[op].texts[i].payload_bytes,
					s->out[at]);
			else
				s->out[n++] = s->out[at];
		}
	}
	return n;
}

// status: of the packets; of one that was refused there is nothing to sum.
static void put_sums(struct sealing *s, const int *status)
{
	uint16_t at = 0;

	for (uint16_t op = 0; op < s->n_ops; op++) {
		const struct frame_form *form = &s->legs[op]->form;

		for (uint16_t i = 0; i < s->ops[op].n; i++, at++) {
			struct rte_mbuf *m = s->out[at];

			if (form->checksum == FRAME_CHECKSUM_SOFTWARE && status[at] == 0)
				frame_put_sum(form, rte_pktmbuf_mtod(m, uint8_t *),
					(uint16_t)(m->data_len - form->hdr_bytes));
		}
	}
}

// What was not used of out moves up.
static void give_to_port(struct worker *w, struct sealing *s, uint16_t n_used)
{
	uint16_t n_unused = (uint16_t)(s->n_out - n_used);

	tx_put_media(w, s->out, s->n, s->bytes);
	memmove(s->out, s->out + n_used, n_unused * sizeof(s->out[0]));
	s->n_out = n_unused;
	s->n_ops = 0;
	s->n = 0;
	s->bytes = 0;
	s->sums = false;
}

void sealing_flush(struct worker *w, struct sealing *s)
{
	uint16_t n_used = s->n;
	int status[SEAL_BATCH];
	uint64_t from = rte_rdtsc();
	unsigned int n_sealed;

	if (n_used == 0)
		return;
	n_sealed = srtp_seal_rtp(w->engine, s->ops, s->n_ops, status);
	w->counters->seal_cycles += rte_rdtsc() - from;
	w->counters->sealed_packets += n_sealed;
	if (s->sums)
		put_sums(s, status);
	if (unlikely(n_sealed < s->n))
		s->n = undo_refused(w, s, status);
	give_to_port(w, s, n_used);
}

bool sealing_refill(struct worker *w, struct sealing *s)
{
	sealing_flush(w, s);
	if (rte_mempool_get_bulk(w->share->pool, (void **)(s->out + s->n_out),
		    (unsigned int)(SEAL_BATCH - s->n_out)) < 0)
		return false;
	s->n_out = SEAL_BATCH;
	return true;
}

uint16_t sealing_take(struct worker *w, struct sealing *s, uint16_t n)
{
	n = RTE_MIN(n, (uint16_t)(SEAL_BATCH - s->n));
	while (s->n_out < s->n + n &&
		rte_mempool_get(w->share->pool, (void **)&s->out[s->n_out]) == 0)
		s->n_out++;
	return RTE_MIN(n, (uint16_t)(s->n_out - s->n));
}

void sealing_end(struct worker *w, struct sealing *s)
{
	sealing_flush(w, s);
	if (s->n_out)
		rte_mempool_put_bulk(w->share->pool, (void **)s->out, s->n_out);
	s->n_out = 0;
}
