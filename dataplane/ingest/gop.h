// The pictures of a source that stands by, since its last key frame: so that it can take over with
// a picture at once, however long its groups are. Bounded; what does not fit is let go, and the
// next key frame begins anew. Owner: the stream's worker.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/ingest/leg.h"

enum {
	GOP_MAX_PACKETS = 8192,
	GOP_MAX_FRAMES = 1024, // with those that were lost
};

struct gop_packet {
	struct leg_packet p;
	uint32_t off; // of the payload in the group's bytes
	uint64_t rx_ns;
};

struct gop {
	uint8_t *bytes;
	struct gop_packet *packets;
	uint32_t n_bytes, n_packets;
	uint32_t max_bytes;
	bool has_key;
	uint32_t newest_frame, newest_ts; // of what is in order
};

// max_bytes: of payloads; taken from the system as they are used.
// Return: 0; -ENOMEM. gop_fini is right after a failure too.
int gop_init(struct gop *, uint32_t max_bytes);
void gop_fini(struct gop *);

void gop_clear(struct gop *);

// A packet of the source that stands by.
void gop_put(struct gop *, const struct leg_packet *, const uint8_t *payload, uint64_t rx_ns);

// Whether a picture can be made of it.
static inline bool gop_ready(const struct gop *g)
{
	return g->n_packets != 0;
}

// Whether it is a key frame and nothing else yet.
static inline bool gop_is_fresh(const struct gop *g)
{
	return g->n_packets && g->newest_frame == g->packets[0].p.frame;
}

// Give everything other numbers, all by so much, modulo their size.
void gop_move(struct gop *, uint64_t seq_by, uint32_t ts_by, uint32_t frame_by);

// How many pictures lie before the newest one.
static inline uint32_t gop_n_before(const struct gop *g)
{
	return g->n_packets ? g->newest_frame - g->packets[0].p.frame : 0;
}
