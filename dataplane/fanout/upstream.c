// Up to the source: a key frame is asked for when a viewer wants one newer than the last, or when a
// source could take over if it had one, at most once a second a source, however many want it. It is
// one that has sent RTCP, and it is answered where that came from. What we say of its packets is no
// more than that we are there. Source: RFC 4585 6.3.1, 3.1; checklist F30.
#include <rte_random.h>

#include "dataplane/fanout/worker.h"
#include "dataplane/rtcp/rtcp.h"

enum {
	ASK_MS = 1000,
	NS_PER_MS = 1000000,
};

void upstream_want(struct worker *w, uint16_t stream)
{
	atomic_store_explicit(&w->edge->key_wanted[stream], w->now_ns, memory_order_relaxed);
}

void upstream_learn(struct stream *s, struct ingest_ref ref, const struct frame *f, uint32_t ssrc)
{
	const struct region_leg_norm *norm = stream_leg(s, ref)->norm;
	struct upstream *up = &s->upstream[ref.source];

	// A group is nobody's own address to answer from.
	if (ref.leg != LEG_VIDEO || ssrc != norm->ssrc || !norm->has_source ||
		net_ip_is_multicast(&f->path.local))
		return;
	up->path = f->path;
	up->known = true;
	up->media_ssrc = ssrc;
	while (up->ssrc == 0 || up->ssrc == ssrc)
		up->ssrc = (uint32_t)rte_rand();
}

static void ask(struct worker *w, const struct upstream *up)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->share->pool);
	struct frame_template frame;

	if (!m) {
		w->counters->drops[DROP_NO_MBUF]++;
		return;
	}
	if (frame_template_make(
		    &frame, &up->path, w->edge->conf->media.dscp, w->edge->ports->checksum) < 0) {
		rte_pktmbuf_free(m);
		return;
	}
	m->data_len = rtcp_build_pli(
		rte_pktmbuf_mtod(m, uint8_t *), up->ssrc, "millrace", up->media_ssrc);
	m->pkt_len = m->data_len;
	frame_stamp(&frame, m);
	tx_put(w, m);
}

static void ask_now_and_then(struct worker *w, struct stream *s, enum region_role source)
{
	const struct ingest_ref video = { .leg = LEG_VIDEO, .source = source };
	const struct leg *leg = stream_leg(s, video);
	struct upstream *up = &s->upstream[source];

	if (!up->known || up->media_ssrc != leg->norm->ssrc || !leg->state->up || s->no_feedback ||
		(up->asked_ns && w->now_ns - up->asked_ns < ASK_MS * (uint64_t)NS_PER_MS))
		return;
	up->asked_ns = w->now_ns;
	leg->state->key_requests++;
	ask(w, up);
}

void upstream_house(struct worker *w, uint16_t slot)
{
	_Atomic uint64_t *wanted = &w->edge->key_wanted[slot];
	uint64_t since = atomic_load_explicit(wanted, memory_order_relaxed);
	struct stream *s = &w->streams[slot];
	const struct leg *leg = stream_playing(s, LEG_VIDEO);

	// One that would take over, if it had a picture to begin with.
	if (s->sources && s->sources->wants_key)
		ask_now_and_then(w, s, stream_standing_by(s));
	if (since == 0)
		return;
	if (!leg->present || leg->state->last_key_ns > since)
		atomic_compare_exchange_strong(wanted, &since, 0);
	else
		ask_now_and_then(w, s, stream_active(s));
}
