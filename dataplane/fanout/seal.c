#include "dataplane/fanout/seal.h"

#include <rte_cycles.h>

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

void stamp_make(struct stamp *t, const struct peer_leg *l, uint16_t payload_bytes)
{
	uint16_t behind_udp = (uint16_t)(l->rtp_hdr_bytes + payload_bytes + l->tag_bytes);
	uint64_t refcnt = 1, nb_segs = 1, port = RTE_MBUF_PORT_INVALID;
	uint64_t mark = tx_mark_of(l->slot, l->kind == PEER_RTX ? LEG_VIDEO : l->kind);

	t->payload_bytes = payload_bytes;
	t->hdr_bytes = (uint16_t)(l->form.hdr_bytes + l->rtp_hdr_bytes);
	t->bytes = (uint16_t)(l->form.hdr_bytes + behind_udp);
	t->sum = l->form.checksum == FRAME_CHECKSUM_SOFTWARE;
	t->sizes = frame_sizes_make(&l->form, behind_udp);
	t->rearm = (uint64_t)(WORKER_PAYLOAD_OFF - t->hdr_bytes) | refcnt << 16 | nb_segs << 32 |
		   port << 48;
	t->ol_flags = frame_ol_flags(&l->form);
	t->type_and_bytes = (uint64_t)t->bytes << 32;
	t->bytes_and_mark = t->bytes | mark << 32;
	t->tx_offload = frame_tx_offload(&l->form);
}

static void undo_one(struct worker *w, struct sealing *s, uint16_t i)
{
	struct region_peer_sent *sent = s->legs[i]->sent;
	struct region_peer_leg_state *missed = peer_state_of(missed_of(s->legs[i]));

	sent->packets--;
	sent->bytes -= s->ops[i].payload_bytes;
	missed->sent.drops++;
	if (s->resends) {
		missed->resent--;
		missed->resent_bytes -= s->ops[i].payload_bytes;
	}
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

// What was not used of out moves up.
static void give_to_port(struct worker *w, struct sealing *s, uint16_t n_ops)
{
	uint16_t n_unused = (uint16_t)(s->n_out - n_ops);

	tx_put_media(w, s->out, s->n, s->bytes);
	memmove(s->out, s->out + n_ops, n_unused * sizeof(s->out[0]));
	s->n_out = n_unused;
	s->n = 0;
	s->bytes = 0;
	s->sums = false;
}

void sealing_flush(struct worker *w, struct sealing *s)
{
	uint16_t n_ops = s->n;
	int status[SEAL_BATCH];
	uint64_t from = rte_rdtsc();
	unsigned int n_sealed;

	if (n_ops == 0)
		return;
	n_sealed = srtp_seal_rtp(w->engine, s->ops, s->n, status);
	w->counters->seal_cycles += rte_rdtsc() - from;
	w->counters->sealed_packets += n_sealed;
	if (unlikely(n_sealed < s->n))
		s->n = undo_refused(w, s, status);
	if (s->sums)
		put_sums(s);
	give_to_port(w, s, n_ops);
}

bool sealing_refill(struct worker *w, struct sealing *s)
{
	sealing_flush(w, s);
	if (rte_mempool_get_bulk(w->share->pool, (void **)s->out, SEAL_BATCH) < 0)
		return false;
	s->n_out = SEAL_BATCH;
	return true;
}

bool sealing_take_one(struct worker *w, struct sealing *s)
{
	if (s->n < s->n_out)
		return true;
	if (s->n == SEAL_BATCH || rte_mempool_get(w->share->pool, (void **)&s->out[s->n]) < 0)
		return false;
	s->n_out = s->n + 1;
	return true;
}

void sealing_end(struct worker *w, struct sealing *s)
{
	sealing_flush(w, s);
	if (s->n_out)
		rte_mempool_put_bulk(w->share->pool, (void **)s->out, s->n_out);
	s->n_out = 0;
}
