#include "dataplane/ingest/gop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int gop_init(struct gop *g, uint32_t max_bytes)
{
	memset(g, 0, sizeof(*g));
	g->max_bytes = max_bytes;
	g->bytes = malloc(max_bytes);
	g->packets = malloc(GOP_MAX_PACKETS * sizeof(*g->packets));
	return g->bytes && g->packets ? 0 : -ENOMEM;
}

void gop_fini(struct gop *g)
{
	free(g->bytes);
	free(g->packets);
	memset(g, 0, sizeof(*g));
}

void gop_clear(struct gop *g)
{
	g->n_bytes = 0;
	g->n_packets = 0;
	g->has_key = false;
}

static int add(struct gop *g, const struct leg_packet *p, const uint8_t *payload, uint64_t rx_ns)
{
	if (g->n_packets == GOP_MAX_PACKETS || g->n_bytes + p->payload_bytes > g->max_bytes)
		return -ENOBUFS;
	memcpy(g->bytes + g->n_bytes, payload, p->payload_bytes);
	g->packets[g->n_packets++] =
		(struct gop_packet){ .p = *p, .off = g->n_bytes, .rx_ns = rx_ns };
	g->n_bytes += p->payload_bytes;
	g->has_key |= p->key;
	return 0;
}

void gop_put(struct gop *g, const struct leg_packet *p, const uint8_t *payload, uint64_t rx_ns)
{
	// An SPS and the slice behind it are one picture, and so are a key frame's slices.
	if (p->opens && p->in_order && (!gop_ready(g) || g->newest_ts != p->ts))
		gop_clear(g);
	else if (!gop_ready(g) || (int64_t)(p->seq - g->packets[0].p.seq) < 0)
		return;
	if (p->in_order) {
		g->newest_frame = p->frame;
		g->newest_ts = p->ts;
	}
	if (add(g, p, payload, rx_ns) < 0 || gop_n_before(g) >= GOP_MAX_FRAMES)
		gop_clear(g);
}

void gop_move(struct gop *g, uint64_t seq_by, uint32_t ts_by, uint32_t frame_by)
{
	g->newest_frame += frame_by;
	g->newest_ts += ts_by;
	for (uint32_t i = 0; i < g->n_packets; i++) {
		struct leg_packet *p = &g->packets[i].p;

		p->seq += seq_by;
		p->frame += frame_by;
		p->ts += ts_by;
	}
}
