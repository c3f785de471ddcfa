// Packets of viewers on their way out: gathered over viewers, sealed together with their headers
// before them, given to the port. The fan-out, beginnings (start) and resends (repair) all send so.
// Owner: the worker's thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/fanout/worker.h"

enum {
	SEAL_BATCH = WORKER_TX_BATCH,
};

// out is filled ahead of use. sealing_begin begins one; sealing_end ends it.
struct sealing {
	struct srtp_seal_op ops[SEAL_BATCH];
	struct srtp_head heads[SEAL_BATCH];	 // of each op
	const struct peer_leg *legs[SEAL_BATCH]; // of each op: under whose SSRC
	struct rte_mbuf *out[SEAL_BATCH];
	uint8_t *pkts[SEAL_BATCH];	    // of out: where their RTP headers go
	struct srtp_text texts[SEAL_BATCH]; // of who has none that last
	uint32_t bytes;			    // of the frames
	uint16_t n_ops;
	uint16_t n; // packets
	uint16_t n_out;
	bool sums;    // some want their checksum in software
	bool resends; // of what viewers asked for again
};

static inline void sealing_begin(struct sealing *s)
{
	s->n_ops = 0;
	s->n = 0;
	s->n_out = 0;
	s->bytes = 0;
	s->sums = false;
	s->resends = false;
}

// Packets for one viewer, in order; there must be room. The caller counts them, and has raised
// next_index.
// texts:       n, borrowed until they are sealed, as what they point to.
// index_shift: of the leg's indices from the texts' seq.
void sealing_add(struct sealing *, const struct peer_leg *, const struct srtp_text *texts,
	int64_t index_shift, uint16_t n);

// Where texts that would not last otherwise are written, for the sealing_add that comes next.
static inline struct srtp_text *sealing_texts(struct sealing *s)
{
	return s->texts + s->n;
}

// Seal what has gathered and send it. A packet that the engine refused never was: what was counted
// for it ahead is taken back.
void sealing_flush(struct worker *, struct sealing *);

// Fill up with mbufs, as many as a batch takes; what has gathered is flushed before, so a batch is
// as many whole runs as fit.
// Return: whether it is full; where not, what it had is there still.
bool sealing_refill(struct worker *, struct sealing *);

// Mbufs for n more, for who sends few, and keeps the payloads until he has it flushed.
// Return: for how many there is one; fewer when the pool has none left, or the batch is full.
uint16_t sealing_take(struct worker *, struct sealing *, uint16_t n);

// Flush, and give back what was not used.
void sealing_end(struct worker *, struct sealing *);

// n:      at most SEAL_BATCH.
// Return: whether there is an mbuf for each of n more.
static inline bool sealing_has_room(struct worker *w, struct sealing *s, uint16_t n)
{
	return likely(s->n + n <= s->n_out) || sealing_refill(w, s);
}
