// Packets of viewers on their way out: gathered over viewers with their headers in place, sealed
// together, given to the port. The fan-out, beginnings (start) and resends (repair) all send so.
// Owner: the worker's thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/fanout/worker.h"

enum {
	SEAL_BATCH = WORKER_TX_BATCH,
};

// out is filled ahead of use. Zero n, n_out and bytes begin one; sealing_end ends it.
struct sealing {
	struct srtp_seal_op ops[SEAL_BATCH];
	struct rte_mbuf *out[SEAL_BATCH];
	const struct peer_leg *legs[SEAL_BATCH]; // under whose SSRC
	uint32_t bytes;				 // of the frames
	uint16_t n;
	uint16_t n_out;
	bool sums;    // some want their checksum in software
	bool resends; // of what viewers asked for again
};

// What is sent, the same for all viewers.
struct plain {
	const uint8_t *payload; // not written to; there until it was sealed
	uint32_t ts;		// as it is sent, but for the leg's base
	uint16_t payload_bytes;
	bool marker;
};

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

void stamp_make(struct stamp *, const struct peer_leg *, uint16_t payload_bytes);

// Seal what has gathered and send it. A packet that the engine refused never was: what was counted
// for it ahead is taken back.
void sealing_flush(struct worker *, struct sealing *);

// Fill up with mbufs, as many as a batch takes; a full one is flushed before.
// Return: whether there are any.
bool sealing_refill(struct worker *, struct sealing *);

// An mbuf for one more, for who sends few, and keeps the payloads until he has it flushed.
// Return: false when there is none, or the batch is full.
bool sealing_take_one(struct worker *, struct sealing *);

// Flush, and give back what was not used.
void sealing_end(struct worker *, struct sealing *);

static inline void sealing_begin(struct sealing *s)
{
	s->n = 0;
	s->n_out = 0;
	s->bytes = 0;
	s->sums = false;
	s->resends = false;
}

// Return: whether there is an mbuf for one more.
static inline bool sealing_has_room(struct worker *w, struct sealing *s)
{
	return likely(s->n < s->n_out) || sealing_refill(w, s);
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

// One packet for one viewer; there must be room. The caller counts it, and has raised next_index.
static inline void sealing_add(struct sealing *s, const struct peer_leg *l, const struct stamp *t,
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
