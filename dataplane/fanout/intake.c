// Ingest: packets of a stream's legs come in, are judged by the worker that owns the stream, and
// leave, burst by burst, to every worker that has viewers of it.
#include <errno.h>

#include "dataplane/fanout/worker.h"
#include "dataplane/rtcp/rtcp.h"

enum {
	TURN_MS = 100, // between two times that all viewers have a report at once
	NS_PER_MS = 1000000,
};

static void event_leg(struct worker *w, uint8_t kind, struct ingest_ref ref)
{
	const struct ring_event event = { .kind = kind,
		.slot = ref.stream,
		.leg = ref.leg,
		.source = ref.source,
		.generation = w->streams[ref.stream].generation };

	command_event(w, &event);
}

static void tell_changes(struct worker *w, struct ingest_ref ref, unsigned int changes)
{
	if (changes & LEG_CHANGE_UP)
		event_leg(w, RING_LEG_UP, ref);
	if (changes & LEG_CHANGE_PARAMS)
		event_leg(w, RING_LEG_PARAMS, ref);
}

static struct batch *batch_of(struct worker *w, uint16_t stream, uint8_t leg)
{
	struct batch *b;

	for (uint16_t i = 0; i < w->n_batches; i++) {
		b = &w->batches[i];
		if (b->stream == stream && b->leg == leg && b->n < WORKER_BURST)
			return b;
	}
	if (w->n_batches == WORKER_BURST)
		intake_flush(w);
	b = &w->batches[w->n_batches++];
	b->stream = stream;
	b->leg = leg;
	b->n = 0;
	return b;
}

void intake_gather(struct worker *w, struct rte_mbuf *m, uint16_t stream, enum leg_kind leg,
	uint16_t payload_off, const struct leg_packet *p)
{
	struct batch *b = batch_of(w, stream, leg);

	*packet_of(m) = (struct packet){ .kind = PACKET_FAN,
		.leg = leg,
		.marker = p->marker,
		.key = p->key,
		.params = p->params,
		.begins = p->begins,
		.stream = stream,
		.generation = w->streams[stream].generation,
		.ts = p->ts,
		.frame = p->frame,
		.seq = p->seq,
		.rx_ns = w->now_ns,
		.payload_off = payload_off,
		.payload_bytes = p->payload_bytes };
	b->pkts[b->n++] = m;
	keep_packet(w, stream, leg, p, rte_pktmbuf_mtod_offset(m, const uint8_t *, payload_off));
}

// The leg has counted it by reason already, with its sender; the worker counts it once more among
// all drops.
static void refuse(struct worker *w, struct rte_mbuf *m, int rc)
{
	worker_drop(w, m, drop_of_error(rc));
}

static void accept_rtcp(struct worker *w, struct rte_mbuf *m, const struct frame *f,
	struct ingest_ref ref, struct stream *s, struct leg *leg)
{
	const uint8_t *pkt = rte_pktmbuf_mtod_offset(m, const uint8_t *, f->payload_off);
	int rc = leg_accept_rtcp(leg, stream_clock_of(s, ref.source), &f->path.remote, pkt,
		f->payload_bytes, w->now_ns);

	if (rc < 0) {
		refuse(w, m, rc);
		return;
	}
	upstream_learn(s, ref, f, rtcp_sender_ssrc(pkt));
	rte_pktmbuf_free(m);
}

// What was accepted goes out, or stands by.
static void forward(struct worker *w, struct rte_mbuf *m, uint16_t payload_off,
	struct ingest_ref ref, const struct leg_packet *p)
{
	const uint8_t *payload = rte_pktmbuf_mtod_offset(m, const uint8_t *, payload_off);

	if (!w->streams[ref.stream].sources || !backup_take(w, m, ref, p, payload))
		intake_gather(w, m, ref.stream, ref.leg, payload_off, p);
}

// Parameter sets go out before a key frame that came without, as a packet of their own.
static void add_sets(
	struct worker *w, struct ingest_ref ref, struct leg *leg, struct leg_packet *next)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->share->pool);
	struct leg_packet p = *next;

	if (!m) {
		w->counters->drops[DROP_NO_MBUF]++;
		return;
	}
	m->data_len = params_write(&leg->params, rte_pktmbuf_mtod(m, uint8_t *));
	m->pkt_len = m->data_len;
	leg_insert(leg, next, &p.seq);
	next->begins = false;
	p.payload_bytes = m->data_len;
	p.key = false;
	p.params = true;
	p.marker = false;
	leg->state->sets_added++;
	forward(w, m, 0, ref, &p);
}

// Return: whether the packet goes out.
static bool care_for(struct worker *w, uint8_t *payload, struct ingest_ref ref, struct leg *leg,
	struct leg_packet *p)
{
	switch (params_judge(&leg->params, payload, p)) {
	case PARAMS_OMIT:
		leg_omit(leg, p);
		leg->state->omitted++;
		return false;
	case PARAMS_LACK:
		add_sets(w, ref, leg, p);
		return true;
	case PARAMS_PASS:
		return true;
	}
	return true;
}

static void accept_rtp(struct worker *w, struct rte_mbuf *m, const struct frame *f,
	struct ingest_ref ref, struct stream *s, struct leg *leg)
{
	uint8_t *pkt = rte_pktmbuf_mtod_offset(m, uint8_t *, f->payload_off);
	struct leg_packet p;
	unsigned int changes;
	int rc = leg_accept(leg, stream_clock_of(s, ref.source), &f->path.remote, pkt,
		f->payload_bytes, w->edge->max_payload, w->now_ns, &p, &changes);

	if (rc < 0) {
		refuse(w, m, rc);
		return;
	}
	if ((changes & LEG_CHANGE_RESTART) && stream_plays(s, ref.source))
		s->clock_turned = true;
	if (changes)
		tell_changes(w, ref, changes);
	if (p.in_order && ref.leg == LEG_VIDEO && !care_for(w, pkt + p.payload_off, ref, leg, &p))
		rte_pktmbuf_free(m);
	else
		forward(w, m, (uint16_t)(f->payload_off + p.payload_off), ref, &p);
	// It may have been waited for.
	if (ref.leg == LEG_VIDEO && p.opens && !stream_plays(s, ref.source))
		backup_house(w, ref.stream);
}

void intake_packet(
	struct worker *w, struct rte_mbuf *m, const struct frame *f, struct ingest_ref ref)
{
	struct stream *s = &w->streams[ref.stream];
	struct leg *leg = stream_leg(s, ref);
	const uint8_t *pkt = rte_pktmbuf_mtod_offset(m, const uint8_t *, f->payload_off);

	if (s->owner != w->id) {
		packet_of(m)->kind = PACKET_RAW;
		packet_of(m)->port_id = f->path.port_id;
		worker_hand(w, s->owner, m);
		return;
	}
	// RTCP is taken on the RTP port too (RFC 5761).
	if (ref.rtcp || (f->payload_bytes >= 2 && pkt[0] >> 6 == 2 && rtp_is_rtcp(pkt[1])))
		accept_rtcp(w, m, f, ref, s, leg);
	else
		accept_rtp(w, m, f, ref, s, leg);
}

static void hand_to_others(struct worker *w, const struct batch *b)
{
	uint32_t mask = atomic_load_explicit(&w->edge->viewers_on[b->stream], memory_order_acquire);

	mask &= ~(1u << w->id);
	for (uint16_t to = 0; mask >> to; to++) {
		if (!(mask >> to & 1))
			continue;
		for (uint16_t i = 0; i < b->n; i++) {
			rte_mbuf_refcnt_update(b->pkts[i], 1);
			worker_hand(w, to, b->pkts[i]);
		}
	}
}

void intake_flush(struct worker *w)
{
	for (uint16_t i = 0; i < w->n_batches; i++) {
		struct batch *b = &w->batches[i];

		hand_to_others(w, b);
		lane_put(w, b->stream, b->leg, b->pkts, b->n);
	}
	w->n_batches = 0;
}

// turned: viewers shall know at once.
static void publish_clock(struct worker *w, struct stream *s, enum leg_kind leg, bool turned)
{
	const bool present[LEG_COUNT] = { s->legs[LEG_VIDEO].present, s->legs[LEG_AUDIO].present };
	struct region_leg_norm *n = &w->edge->region->streams[s - w->streams].norm[leg];
	uint32_t zero, version = atomic_load_explicit(&n->clock_version, memory_order_relaxed);
	uint64_t ntp = w->edge->ntp_base;

	if (stream_clock_zero(&s->clock, leg, present, w->now_ns, &zero) < 0)
		return;
	stream_clock_ntp(&s->clock, present, w->now_ns, &ntp);
	version |= 1; // also where one died between the two
	atomic_store_explicit(&n->clock_version, version, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	atomic_store_explicit(&n->clock_zero, 1ULL << 32 | zero, memory_order_relaxed);
	atomic_store_explicit(&n->clock_ntp, ntp, memory_order_relaxed);
	atomic_store_explicit(&n->clock_version, version + 1, memory_order_release);
	if (turned)
		atomic_fetch_add_explicit(&n->clock_turn, 1, memory_order_release);
}

static void check_leg(struct worker *w, struct ingest_ref ref)
{
	struct leg *leg = stream_leg(&w->streams[ref.stream], ref);

	lint_check(&leg->lint, leg->state, leg->kind, leg->params.unknown,
		w->edge->conf->ingest.key_frame_warn_s, w->now_ns);
	if (leg_check_silence(leg, w->now_ns))
		event_leg(w, RING_LEG_DOWN, ref);
}

// A source that begins anew all the time costs no more reports than that.
static bool take_turn(const struct worker *w, struct stream *s)
{
	if (!s->clock_turned || w->now_ns - s->turned_ns < TURN_MS * (uint64_t)NS_PER_MS)
		return false;
	s->clock_turned = false;
	s->turned_ns = w->now_ns;
	return true;
}

void intake_house(struct worker *w)
{
	for (uint16_t slot = 0; slot < w->edge->region->n_streams; slot++) {
		struct stream *s = &w->streams[slot];
		bool turned;

		if (!s->generation || s->owner != w->id)
			continue;
		backup_house(w, slot);
		upstream_house(w, slot);
		turned = take_turn(w, s);
		for (int leg = 0; leg < LEG_COUNT; leg++) {
			if (!s->legs[leg].present)
				continue;
			publish_clock(w, s, leg, turned);
			check_leg(w, (struct ingest_ref){ .stream = slot, .leg = leg });
			if (s->sources)
				check_leg(w, (struct ingest_ref){ .stream = slot,
						     .leg = leg,
						     .source = REGION_BACKUP });
		}
	}
}
