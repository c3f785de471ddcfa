// RTCP with the viewers: what they report comes in, sender reports and good-byes go out.
#include <errno.h>
#include <string.h>

#include "dataplane/fanout/worker.h"
#include "dataplane/rtcp/rtcp.h"

enum {
	REPORT_ROUND_MS = 800, // every viewer once in this time: a report a second at the least
	REPORT_TICK_MS = 10,
	REPORTS_AT_ONCE = 256, // viewers a turn, where a source began anew
	NS_PER_MS = 1000000,
	AHEAD = 3, // viewers whose state is fetched while one is served
};

// ---- in ----------------------------------------------------------------------------------------

static struct peer_leg *leg_of_ssrc(struct peer *p, uint32_t ssrc)
{
	for (int i = 0; i < PEER_LEGS; i++)
		if (p->legs[i].enabled && peer_leg_ssrc(&p->legs[i]) == ssrc)
			return &p->legs[i];
	return NULL;
}

static void note_sent(struct peer_sent *sent, uint64_t ntp, uint64_t now_ns)
{
	sent->lsr[sent->n % PEER_SENT_REPORTS] = (uint32_t)(ntp >> 16);
	sent->tx_us[sent->n++ % PEER_SENT_REPORTS] = (uint32_t)(now_ns / 1000);
}

// Round trip from the echo of a report of ours: the time since it left, without the DLSR that the
// viewer kept it (1/65536 s; 6.4.1).
// Return: 0 not to be told.
static uint32_t round_trip_us(
	const struct worker *w, const struct peer_sent *sent, const struct rtcp_report *r)
{
	uint64_t held_us = (uint64_t)r->dlsr * 1000000 >> 16;

	for (uint32_t i = 0; i < PEER_SENT_REPORTS && i < sent->n; i++) {
		uint32_t at = (sent->n - 1 - i) % PEER_SENT_REPORTS;
		uint32_t gone_us = (uint32_t)(w->now_ns / 1000) - sent->tx_us[at];

		if (sent->lsr[at] == r->lsr)
			return gone_us > held_us ? (uint32_t)(gone_us - held_us) : 0;
	}
	return 0;
}

// As RFC 6298 2.3 does it; one late report does not make everybody late.
static void smooth_round_trip(struct peer *p, uint32_t rtt_us)
{
	p->rtt_us = p->rtt_us ? (uint32_t)(((uint64_t)p->rtt_us * 7 + rtt_us) / 8) : rtt_us;
}

static void read_report(
	struct worker *w, struct peer *p, struct peer_leg *l, const struct rtcp_report *r)
{
	struct region_peer_leg_state *state;
	uint32_t rtt_us;

	// Of what was sent again no times are kept.
	if (l->kind == PEER_RTX)
		return;
	rtt_us = round_trip_us(w, &p->sent[l->kind], r);
	if (rtt_us)
		smooth_round_trip(p, rtt_us);
	state = peer_state_of(l);
	state->rr_count++;
	state->rr_lost = (uint32_t)r->lost;
	state->rr_highest_seq = r->highest_seq;
	state->rr_jitter = r->jitter;
	state->rr_fraction_lost = r->fraction_lost;
	if (rtt_us)
		state->rtt_us = rtt_us;
}

static void read_reports(struct worker *w, struct peer *p, const struct rtcp_packet *pkt)
{
	struct rtcp_report r;

	for (unsigned int i = 0; rtcp_report_get(pkt, i, &r); i++) {
		struct peer_leg *l = leg_of_ssrc(p, r.ssrc);

		if (l)
			read_report(w, p, l, &r);
	}
}

// A FIR is repeated until it is answered; each sender counts its own.
// Return: whether this is a new one.
static bool take_fir(struct peer *p, uint32_t sender, uint8_t seq)
{
	uint8_t i = 0;
	bool fresh;

	while (i < p->n_firs && p->firs[i].sender != sender)
		i++;
	fresh = i == p->n_firs || p->firs[i].seq != seq;
	if (i == p->n_firs && p->n_firs < PEER_FIR_SENDERS)
		p->n_firs++;
	i = RTE_MIN(i, PEER_FIR_SENDERS - 1);
	memmove(p->firs + 1, p->firs, i * sizeof(p->firs[0]));
	p->firs[0].sender = sender;
	p->firs[0].seq = seq;
	return fresh;
}

static void read_firs(
	struct worker *w, struct peer *p, const struct rtcp_packet *pkt, uint32_t sender)
{
	struct peer_leg *l = &p->legs[LEG_VIDEO];
	struct rtcp_fir fir;

	for (unsigned int i = 0; rtcp_fir_get(pkt, i, &fir); i++) {
		if (fir.ssrc != peer_leg_ssrc(l))
			continue;
		peer_state_of(l)->firs++;
		if (take_fir(p, sender, fir.seq))
			start_again(w, p);
		else
			peer_state_of(l)->fir_repeats++;
	}
}

static void read_payload_feedback(struct worker *w, struct peer *p, const struct rtcp_packet *pkt)
{
	struct peer_leg *l = &p->legs[LEG_VIDEO];
	uint32_t sender, media;

	if (!l->enabled || !rtcp_feedback_get(pkt, &sender, &media))
		return;
	if (pkt->count == RTCP_FORMAT_FIR)
		read_firs(w, p, pkt, sender);
	if (pkt->count != RTCP_FORMAT_PLI || media != peer_leg_ssrc(l))
		return;
	peer_state_of(l)->plis++;
	start_again(w, p);
}

static void read_compound(struct worker *w, struct peer *p, struct rtcp_walk *walk)
{
	struct rtcp_packet pkt;

	while (rtcp_walk_next(walk, &pkt)) {
		if (pkt.type == RTCP_SR || pkt.type == RTCP_RR)
			read_reports(w, p, &pkt);
		else if (pkt.type == RTCP_PSFB)
			read_payload_feedback(w, p, &pkt);
		else if (pkt.type == RTCP_RTPFB)
			repair_nack(w, p, &pkt);
	}
}

static enum drop_reason drop_of(int rc)
{
	switch (rc) {
	case -ESTALE:
		return DROP_SRTCP_REPLAY;
	case -EMSGSIZE:
		return DROP_SRTCP_MALFORMED;
	case -ENOBUFS:
		return DROP_SRTCP_SSRCS;
	default:
		return DROP_SRTCP_AUTH;
	}
}

// Before anything comes of the packet, so that a restart cannot have it taken twice.
static void record_marks(struct peer *p)
{
	struct region_peer_state *s = p->state;

	s->marks_key_id = p->key_id;
	s->n_marks = srtp_rtcp_marks(p->srtp, s->marks);
}

static void read_packet(struct worker *w, const struct heard *h)
{
	uint8_t *pkt = rte_pktmbuf_mtod_offset(h->pkt, uint8_t *, h->off);
	struct rte_mbuf *m = h->pkt;
	struct peer *p = h->peer;
	struct rtcp_walk walk;
	uint16_t bytes;
	int rc = srtp_open_rtcp(p->srtp, pkt, h->bytes, &bytes);

	if (rc < 0) {
		worker_drop(w, m, drop_of(rc));
		return;
	}
	record_marks(p);
	p->state->last_rx_ns = w->now_ns;
	p->state->srtcp_packets++;
	if (rtcp_walk_begin(&walk, pkt, bytes) < 0) {
		worker_drop(w, m, DROP_SRTCP_MALFORMED);
		return;
	}
	read_compound(w, p, &walk);
	rte_pktmbuf_free(m);
}

static void fetch(const void *at, size_t bytes)
{
	for (size_t off = 0; off < bytes; off += REGION_LINE_BYTES)
		rte_prefetch0((const char *)at + off);
}

// Of thousands of viewers, whoever speaks next is in no near cache.
static void fetch_viewer(const struct heard *h)
{
	const struct peer *p = h->peer;

	rte_prefetch0(rte_pktmbuf_mtod_offset(h->pkt, const char *, h->off + h->bytes - 1));
	rte_prefetch0(p->legs[LEG_VIDEO].hdr);
	rte_prefetch0(&p->legs[LEG_VIDEO].srtp);
	fetch(&p->legs[PEER_RTX], sizeof(p->legs[PEER_RTX]));
	fetch(&p->courses[LEG_VIDEO], sizeof(p->courses[LEG_VIDEO]));
	fetch(&p->repair[LEG_VIDEO], sizeof(p->repair[LEG_VIDEO]));
	fetch(p->recent, sizeof(p->recent));
	rte_prefetch0(&p->srtp);
	rte_prefetch0(&p->key_id);
}

static void fetch_state(const struct worker *w, const struct heard *h)
{
	struct region_peer_state *s = h->peer->state;

	srtp_fetch_rtcp(w->engine, h->peer->srtp);
	fetch(s, offsetof(struct region_peer_state, legs));
	fetch(&s->legs[LEG_VIDEO], sizeof(s->legs[LEG_VIDEO]));
	rte_prefetch0(&s->rtx);
}

void feedback_take(struct worker *w, struct rte_mbuf *m, const struct frame *f, struct peer *p)
{
	if (w->n_heard == WORKER_BURST)
		feedback_serve(w);
	w->heard[w->n_heard++] = (struct heard){
		.pkt = m, .peer = p, .off = f->payload_off, .bytes = f->payload_bytes
	};
}

void feedback_serve(struct worker *w)
{
	for (uint16_t i = 0; i < w->n_heard + 2 * AHEAD; i++) {
		if (i < w->n_heard)
			fetch_viewer(&w->heard[i]);
		if (i >= AHEAD && i < w->n_heard + AHEAD)
			fetch_state(w, &w->heard[i - AHEAD]);
		if (i >= 2 * AHEAD)
			read_packet(w, &w->heard[i - 2 * AHEAD]);
	}
	w->n_heard = 0;
}

// ---- out ---------------------------------------------------------------------------------------

// What the stream's owner says of the leg's clock: two that belong together.
// Return: false nothing yet, or it is being written.
static bool read_clock(
	const struct worker *w, uint16_t stream, enum leg_kind leg, uint64_t *zero, uint64_t *ntp)
{
	const struct region_leg_norm *n = &w->edge->region->streams[stream].norm[leg];

	for (int tries = 0; tries < 3; tries++) {
		uint32_t version = atomic_load_explicit(&n->clock_version, memory_order_acquire);

		*zero = atomic_load_explicit(&n->clock_zero, memory_order_relaxed);
		*ntp = atomic_load_explicit(&n->clock_ntp, memory_order_relaxed);
		atomic_thread_fence(memory_order_acquire);
		if (version % 2 == 0 &&
			atomic_load_explicit(&n->clock_version, memory_order_relaxed) == version)
			return *zero >> 32 != 0;
	}
	return false;
}

// Return: false while the leg has sent nothing or its clock is not known.
static bool fill_sender(struct worker *w, struct peer *p, const struct peer_leg *l,
	enum leg_kind kind, struct rtcp_sender *out)
{
	uint64_t zero, ntp;

	if (!l->enabled || l->sent->packets == 0 || !read_clock(w, p->stream, kind, &zero, &ntp))
		return false;
	*out = (struct rtcp_sender){ .ssrc = peer_leg_ssrc(l),
		.ntp = worker_ntp(ntp, w->now_ns),
		.ts = (uint32_t)zero + leg_clock_span(kind, (int64_t)w->now_ns) + l->ts_base,
		.packets = (uint32_t)l->sent->packets,
		.octets = (uint32_t)l->sent->bytes,
		.cname = p->cname };
	return true;
}

static void send_rtcp(struct worker *w, struct peer *p, struct peer_leg *l,
	const struct rtcp_sender *sender, bool bye)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->share->pool);
	uint16_t bytes;
	uint8_t *at;
	int rc;

	if (!m) {
		w->counters->drops[DROP_NO_MBUF]++;
		return;
	}
	at = rte_pktmbuf_mtod(m, uint8_t *);
	bytes = bye ? rtcp_build_bye(at, sender) : rtcp_build_report(at, sender);
	// The index counts before the packet exists: a crash in between wastes one, never repeats
	// one.
	rc = srtp_seal_rtcp(p->srtp, at, bytes, l->sent->rtcp_index++, &bytes);
	if (rc < 0) {
		worker_drop(w, m, DROP_SEAL);
		return;
	}
	m->data_len = bytes;
	m->pkt_len = bytes;
	frame_stamp(&p->frame, m);
	l->sent->reports++;
	tx_put(w, m);
}

static void send_report(
	struct worker *w, struct peer *p, struct peer_leg *l, enum leg_kind kind, bool bye)
{
	struct rtcp_sender sender;

	if (!fill_sender(w, p, l, kind, &sender))
		return;
	if (l->kind != PEER_RTX)
		note_sent(&p->sent[kind], sender.ntp, w->now_ns);
	send_rtcp(w, p, l, &sender, bye);
}

static void send_reports(struct worker *w, struct peer *p, bool bye)
{
	for (int leg = 0; leg < LEG_COUNT; leg++)
		send_report(w, p, &p->legs[leg], leg, bye);
	send_report(w, p, &p->legs[PEER_RTX], LEG_VIDEO, bye);
}

void feedback_bye(struct worker *w, struct peer *p)
{
	send_reports(w, p, true);
}

// A slice of the viewers every tick, so that reports leave evenly.
void feedback_reports(struct worker *w)
{
	const uint64_t round_ns = REPORT_ROUND_MS * (uint64_t)NS_PER_MS;
	uint32_t n_slots = w->edge->region->n_peers;
	uint64_t gone_ns = w->now_ns - w->report_ns;
	uint32_t slice;

	if (gone_ns < REPORT_TICK_MS * (uint64_t)NS_PER_MS)
		return;
	if (gone_ns > round_ns) {
		gone_ns = round_ns;
		w->report_ns = w->now_ns - round_ns;
	}
	// Only the time of whole slots is used up, so that a small table has no shorter round.
	slice = (uint32_t)(gone_ns * n_slots / round_ns);
	w->report_ns += slice * round_ns / n_slots;
	for (uint32_t i = 0; i < slice; i++) {
		struct peer *p = w->peers[w->report_at];

		if (p)
			send_reports(w, p, false);
		w->report_at = (w->report_at + 1) % n_slots;
	}
}

// ---- at once -----------------------------------------------------------------------------------

static bool turned(const struct worker *w, uint16_t slot, uint32_t turns[LEG_COUNT])
{
	const struct region_stream *shared = &w->edge->region->streams[slot];
	bool any = false;

	for (int leg = 0; leg < LEG_COUNT; leg++) {
		turns[leg] = atomic_load_explicit(
			&shared->norm[leg].clock_turn, memory_order_acquire);
		any |= turns[leg] != w->streams[slot].reported_turn[leg];
	}
	return any;
}

static void report_leg(struct worker *w, const struct peer_leg *of, enum leg_kind leg)
{
	struct peer *p = w->peers[of->slot];

	if (!p)
		return;
	send_report(w, p, &p->legs[leg], leg, false);
	if (leg == LEG_VIDEO)
		send_report(w, p, &p->legs[PEER_RTX], leg, false);
}

// A bounded number of viewers a turn; with the last of them the stream is done. Those that catch up
// are first: whoever joins the others meanwhile is met there.
static void report_stream(struct worker *w, struct stream *s, const uint32_t turns[LEG_COUNT])
{
	const struct fan *fans = s->fans;
	uint32_t catching = w->starts.n;
	uint32_t most = RTE_MAX(fans[LEG_VIDEO].n_viewers, fans[LEG_AUDIO].n_viewers) + catching;
	uint32_t to = RTE_MIN(most, s->report_next + REPORTS_AT_ONCE);

	for (uint32_t i = s->report_next; i < to; i++) {
		if (i < catching) {
			if (&w->streams[w->starts.slots[i].stream] == s)
				report_leg(w, w->starts.slots[i].leg, LEG_VIDEO);
			continue;
		}
		for (int leg = 0; leg < LEG_COUNT; leg++)
			if (i - catching < fans[leg].n_viewers)
				report_leg(w, fans[leg].viewers[i - catching], leg);
	}
	s->report_next = to;
	if (to < most)
		return;
	s->report_next = 0;
	memcpy(s->reported_turn, turns, sizeof(s->reported_turn));
}

void feedback_house(struct worker *w)
{
	uint32_t turns[LEG_COUNT];

	for (uint16_t slot = 0; slot < w->edge->region->n_streams; slot++)
		if (w->streams[slot].generation && turned(w, slot, turns))
			report_stream(w, &w->streams[slot], turns);
}
