// Streams with two sources. What comes of the one that stands by is judged and kept. When it takes
// over, a viewer needs all of its group: a key frame alone goes the way of all that comes; more
// than that would be seconds of pictures at once, so each viewer catches up by himself (start.c),
// from a history that reads as if this source had played all along.
#include <string.h>

#include <rte_mbuf.h>

#include "dataplane/fanout/worker.h"

static void tell_switch(struct worker *w, uint16_t slot)
{
	const struct stream *s = &w->streams[slot];
	const struct ring_event event = { .kind = RING_SOURCE,
		.slot = slot,
		.source = s->sources->state->active,
		.generation = s->generation };

	command_event(w, &event);
}

static const uint8_t *payload_of(const struct gop *g, const struct gop_packet *k)
{
	return g->bytes + k->off;
}

static void send_kept(struct worker *w, uint16_t slot, const struct gop *g)
{
	for (uint32_t i = 0; i < g->n_packets; i++) {
		const struct gop_packet *k = &g->packets[i];
		struct rte_mbuf *m = rte_pktmbuf_alloc(w->share->pool);

		if (!m) {
			w->counters->drops[DROP_NO_MBUF]++;
			continue;
		}
		m->data_len = k->p.payload_bytes;
		m->pkt_len = k->p.payload_bytes;
		memcpy(rte_pktmbuf_mtod(m, uint8_t *), payload_of(g, k), k->p.payload_bytes);
		intake_gather(w, m, slot, LEG_VIDEO, 0, &k->p);
	}
	intake_flush(w);
}

// shown_ts: of the newest packet that the other source sent.
static void hand_on(struct worker *w, uint16_t slot, const struct gop *g, uint32_t shown_ts)
{
	for (uint32_t i = 0; i < g->n_packets; i++)
		keep_past(w, slot, LEG_VIDEO, &g->packets[i].p, payload_of(g, &g->packets[i]),
			g->packets[i].rx_ns);
	keep_take_over(w, slot, g->packets[0].p.seq, shown_ts);
}

static void take_over(struct worker *w, uint16_t slot, enum region_switch why)
{
	struct stream *s = &w->streams[slot];
	uint32_t shown_ts = s->sources->norm[LEG_VIDEO].last_ts;
	struct gop *g = &s->sources->gop;

	sources_switch(s->sources, why, w->now_ns);
	s->clock_turned = true;
	// Without a picture everybody waits for the next one.
	if (!gop_ready(g) && stream_playing(s, LEG_VIDEO)->present)
		upstream_want(w, slot);
	else if (gop_is_fresh(g))
		send_kept(w, slot, g);
	else if (gop_ready(g))
		hand_on(w, slot, g, shown_ts);
	gop_clear(g);
	tell_switch(w, slot);
}

bool backup_take(struct worker *w, struct rte_mbuf *m, struct ingest_ref ref,
	const struct leg_packet *p, const uint8_t *payload)
{
	struct sources *both = w->streams[ref.stream].sources;

	if (stream_plays(&w->streams[ref.stream], ref.source))
		return false;
	if (ref.leg == LEG_VIDEO)
		gop_put(&both->gop, p, payload, w->now_ns);
	rte_pktmbuf_free(m);
	return true;
}

void backup_house(struct worker *w, uint16_t slot)
{
	struct stream *s = &w->streams[slot];
	enum region_switch why;

	if (s->sources && sources_due(s->sources, &s->policy, w->now_ns, &why))
		take_over(w, slot, why);
}

// ---- pairs -------------------------------------------------------------------------------------

// The history takes it in one piece, and what comes while viewers read it.
static uint32_t gop_bytes(const struct worker *w)
{
	return ((uint32_t)w->edge->conf->media.history_mib << 20) / 4 * 3;
}

static int pair(struct worker *w, uint16_t slot, const struct region_stream_conf *conf)
{
	struct region_stream *shared = &w->edge->region->streams[slot];
	struct stream *s = &w->streams[slot];
	struct region_leg_norm none = { 0 }; // until they have their own
	int rc;

	for (int leg = 0; leg < LEG_COUNT; leg++)
		leg_init(&s->backup[leg], leg, &conf->backup[leg], &none, &shared->backup[leg]);
	rc = sources_create(s->legs, s->backup, &s->clock, shared->norm, &shared->sources,
		gop_bytes(w), w->now_ns, &s->sources);
	// Then the primary plays, whatever did before.
	if (rc < 0) {
		memset(s->backup, 0, sizeof(s->backup));
		shared->sources.active = REGION_PRIMARY;
	}
	return rc;
}

int backup_set(struct worker *w, uint16_t slot, const struct region_stream_conf *conf)
{
	bool paired = conf->backup[LEG_VIDEO].present || conf->backup[LEG_AUDIO].present;
	struct stream *s = &w->streams[slot];

	s->policy = (struct sources_policy){ .failover_ms = w->edge->conf->ingest.failover_ms,
		.pick = conf->pick,
		.failback = conf->failback != 0,
		.failback_s = conf->failback_s };
	if (!paired && s->sources && !stream_plays(s, REGION_PRIMARY))
		take_over(w, slot, REGION_SWITCH_REMOVED);
	if (!paired) {
		backup_end(w, slot);
		w->edge->region->streams[slot].sources.active = REGION_PRIMARY;
	}
	return paired && !s->sources ? pair(w, slot, conf) : 0;
}

void backup_end(struct worker *w, uint16_t slot)
{
	struct stream *s = &w->streams[slot];

	sources_destroy(s->sources);
	s->sources = NULL;
}
