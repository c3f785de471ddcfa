#include "dataplane/ingest/gop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int gop_init(struct gop *g)
{
	memset(g, 0, sizeof(*g));
	g->bytes = malloc(GOP_MAX_BYTES);
	g->packets = malloc(GOP_MAX_PACKETS * sizeof(*g->packets));
	g->frame_ts = malloc(GOP_MAX_FRAMES * sizeof(*g->frame_ts));
	return g->bytes && g->packets && g->frame_ts ? 0 : -ENOMEM;
}

void gop_fini(struct gop *g)
{
	free(g->bytes);
	free(g->packets);
	free(g->frame_ts);
	memset(g, 0, sizeof(*g));
}

void gop_clear(struct gop *g)
{
	g->n_bytes = 0;
	g->n_packets = 0;
	g->n_frames = 0;
	g->n_drawn = 0;
}

static int add(struct gop *g, const struct leg_packet *p, uint32_t frame, const uint8_t *payload)
{
	if (g->n_packets == GOP_MAX_PACKETS || g->n_bytes + p->payload_bytes > GOP_MAX_BYTES)
		return -ENOBUFS;
	memcpy(g->bytes + g->n_bytes, payload, p->payload_bytes);
	g->packets[g->n_packets] =
		(struct gop_packet){ .p = *p, .frame = frame, .off = g->n_bytes };
	g->n_packets++;
	g->n_bytes += p->payload_bytes;
	return 0;
}

// Return: the access unit of that time; n_frames none.
static uint32_t find_frame(const struct gop *g, uint32_t n, uint32_t ts)
{
	for (uint32_t i = n; i > 0; i--)
		if (g->frame_ts[i - 1] == ts)
			return i - 1;
	return g->n_frames;
}

void gop_put(struct gop *g, const struct leg_packet *p, const uint8_t *payload)
{
	uint32_t frame;

	// An SPS and the slice behind it are one picture, and so are a key frame's slices.
	if (p->opens && p->in_order && (g->n_frames == 0 || g->frame_ts[g->n_frames - 1] != p->ts))
		gop_clear(g);
	else if (!gop_ready(g) || (int64_t)(p->seq - g->packets[0].p.seq) < 0)
		return;
	frame = find_frame(g, g->n_frames, p->ts);
	if (frame == g->n_frames && g->n_frames < GOP_MAX_FRAMES)
		g->frame_ts[g->n_frames++] = p->ts;
	if (frame == GOP_MAX_FRAMES || add(g, p, frame, payload) < 0)
		gop_clear(g);
}

void gop_draw(struct gop *g, uint64_t seq_by, uint32_t ts_by, uint32_t frame_by)
{
	uint32_t newest = g->n_frames - 1;

	for (uint32_t i = 0; i < g->n_packets; i++) {
		struct gop_packet *at = &g->packets[i];

		at->p.seq += seq_by;
		at->p.frame += frame_by;
		at->p.ts = g->frame_ts[newest] + ts_by - (newest - at->frame);
	}
	g->n_drawn = newest;
	g->drawn_by = ts_by;
}

int gop_append(struct gop *g, const struct leg_packet *p, const uint8_t *payload)
{
	uint32_t frame = find_frame(g, g->n_drawn, p->ts - g->drawn_by);
	struct leg_packet drawn = *p;

	// One that was overtaken belongs to its picture.
	if (!p->in_order && frame < g->n_drawn)
		drawn.ts = g->frame_ts[g->n_drawn] + g->drawn_by - (g->n_drawn - frame);
	return add(g, &drawn, frame, payload);
}
