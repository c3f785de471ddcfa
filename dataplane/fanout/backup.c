// Streams with two sources. What comes of the one that stands by is judged and kept, and sent when
// it takes over.
#include <string.h>

#include <rte_mbuf.h>

#include "dataplane/fanout/worker.h"

enum {
	FEED_A_LOOP = 256,
	// For so long what was kept waits for what went before it, so that none of it is dropped:
	// all that comes leans on it. A worker that is behind for longer is behind with all it has.
	FEED_WAITS_MS = 2000,
	NS_PER_MS = 1000000,
};

static void tell_switch(struct worker *w, uint16_t slot)
{
	const struct stream *s = &w->streams[slot];
	const struct ring_event event = { .kind = RING_SOURCE,
		.slot = slot,
		.source = s->sources->state->active,
		.generation = s->generation };

	command_event(w, &event);
}

static void take_over(struct worker *w, uint16_t slot, enum region_switch why)
{
	struct stream *s = &w->streams[slot];

	sources_switch(s->sources, why, w->now_ns);
	w->n_feeding += s->sources->feeding;
	s->clock_turned = true;
	// Without a picture everybody waits for the next one.
	if (!s->sources->feeding && stream_playing(s, LEG_VIDEO)->present)
		upstream_want(w, slot);
	tell_switch(w, slot);
}

bool backup_take(struct worker *w, struct rte_mbuf *m, struct ingest_ref ref,
	const struct leg_packet *p, const uint8_t *payload)
{
	struct sources *both = w->streams[ref.stream].sources;

	if (stream_plays(&w->streams[ref.stream], ref.source)) {
		if (!both->feeding || ref.leg != LEG_VIDEO)
			return false;
		if (gop_append(&both->gop, p, payload) < 0)
			worker_drop(w, m, DROP_OVERLOAD);
		else
			rte_pktmbuf_free(m);
		return true;
	}
	if (ref.leg == LEG_VIDEO && !both->feeding)
		gop_put(&both->gop, p, payload);
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

// ---- sending what was kept ---------------------------------------------------------------------

static void send_kept(struct worker *w, uint16_t slot, struct rte_mbuf *m,
	const struct leg_packet *p, const uint8_t *payload)
{
	m->data_len = p->payload_bytes;
	m->pkt_len = p->payload_bytes;
	memcpy(rte_pktmbuf_mtod(m, uint8_t *), payload, p->payload_bytes);
	intake_gather(w, m, slot, LEG_VIDEO, 0, p);
}

static unsigned int feed_room(const struct worker *w, uint16_t slot)
{
	const struct sources *both = w->streams[slot].sources;

	if (w->now_ns - both->feed_ns > FEED_WAITS_MS * (uint64_t)NS_PER_MS)
		return FEED_A_LOOP;
	return RTE_MIN(lane_room(w, slot), (uint32_t)FEED_A_LOOP);
}

static unsigned int feed_stream(struct worker *w, uint16_t slot)
{
	unsigned int n, most = feed_room(w, slot);
	struct sources *both = w->streams[slot].sources;
	const struct leg_packet *p;
	const uint8_t *payload;
	struct rte_mbuf *m;

	for (n = 0; n < most; n++) {
		m = rte_pktmbuf_alloc(w->share->pool);
		if (!m)
			break;
		p = sources_feed(both, w->now_ns, &payload);
		if (!p) {
			rte_pktmbuf_free(m);
			break;
		}
		send_kept(w, slot, m, p, payload);
	}
	w->n_feeding -= !both->feeding;
	return n;
}

unsigned int backup_feed(struct worker *w)
{
	unsigned int n = 0;

	for (uint16_t slot = 0; slot < w->edge->region->n_streams; slot++)
		if (w->streams[slot].sources && w->streams[slot].sources->feeding)
			n += feed_stream(w, slot);
	intake_flush(w);
	return n;
}

// ---- pairs -------------------------------------------------------------------------------------

static int pair(struct worker *w, uint16_t slot, const struct region_stream_conf *conf)
{
	struct region_stream *shared = &w->edge->region->streams[slot];
	struct stream *s = &w->streams[slot];
	struct region_leg_norm none = { 0 }; // until they have their own
	int rc;

	for (int leg = 0; leg < LEG_COUNT; leg++)
		leg_init(&s->backup[leg], leg, &conf->backup[leg], &none, &shared->backup[leg]);
	rc = sources_create(s->legs, s->backup, &s->clock, shared->norm, &shared->sources,
		w->now_ns, &s->sources);
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
	if (!paired && s->sources && !stream_plays(s, REGION_PRIMARY)) {
		w->n_feeding -= s->sources->feeding;
		s->sources->feeding = false;
		gop_clear(&s->sources->gop); // there will be nobody to feed it
		take_over(w, slot, REGION_SWITCH_REMOVED);
	}
	if (!paired) {
		backup_end(w, slot);
		w->edge->region->streams[slot].sources.active = REGION_PRIMARY;
	}
	return paired && !s->sources ? pair(w, slot, conf) : 0;
}

void backup_end(struct worker *w, uint16_t slot)
{
	struct stream *s = &w->streams[slot];

	if (!s->sources)
		return;
	w->n_feeding -= s->sources->feeding;
	sources_destroy(s->sources);
	s->sources = NULL;
}
