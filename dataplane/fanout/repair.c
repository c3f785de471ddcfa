// Repair: what a viewer says it did not get is taken from the leg's history, sealed once more and
// sent, within bounds: what one viewer asks for must not cost the others anything.
// Where retransmissions have an SSRC of their own the packet leaves under a number of theirs (RFC
// 4588); where not, it leaves as it was, to the bit: its index protects nothing else (E6).
// Source: RFC 4585 6.2.1; RFC 4588 4; checklist E6, E7, F26 to F29.
#include <errno.h>
#include <stdlib.h>

#include "dataplane/fanout/seal.h"
#include "dataplane/rtcp/rtcp.h"

enum {
	AHEAD = 4, // payloads that are fetched while one is copied
	ROOM_BYTES = RTE_ALIGN_CEIL(PEER_OSN_BYTES + WORKER_PAYLOAD_MAX_BYTES, REGION_LINE_BYTES),
	NS_PER_MS = 1000000,
	NS_PER_US = 1000,
	// A packet that left longer ago is of no use any more.
	WINDOW_MIN_MS = 1000,
	WINDOW_ROUND_TRIPS = 4,
	ROUND_TRIP_GUESS_MS = 30, // until the viewer's first report tells
	// A share of byte_rate is what may be sent again in a second; half a second of the leg in
	// one go, a key frame among it. No leg is so slow that its viewers get less than these.
	RATE_MIN_BYTES = 8 * 1024,
	BURST_MIN_BYTES = 16 * 1024,
	// A resend that is lost as well is missed for 100 ms and more: browsers, who are told no
	// round trip, ask again only then. So it goes out twice while half of the burst is left;
	// the second counts for so many, so that of what is lost in ones and twos all is doubled,
	// and next to nothing on a line that cannot carry more.
	SECOND_COUNTS = 8,
	COPIES_MAX = 2,
	// Looked at, of one viewer's leg: 10 for a NACK, 1 for each packet that it names. A viewer
	// that loses 10 % of 2000 packets a second and says so every 20 ms makes it 700 a second.
	ATTENTION_A_SECOND = 4000,
	ATTENTION_MAX = 2000,
	ATTENTION_A_NACK = 10,
};

// What was asked for, and where it went out.
struct request {
	struct peer *peer;
	struct peer_leg *leg;
	struct peer_repair *repair;
	enum leg_kind kind;
	struct keep *keep;
	uint64_t index;
	uint64_t seq; // of the stream's output
	uint32_t ts;  // as it was sent, but for the leg's base
	uint16_t n_copies;
	struct history_meta meta;
};

struct repairs {
	struct request granted[SEAL_BATCH];
	uint16_t n_granted;
	uint16_t n_packets; // copies and all: a batch at most
	struct sealing sealing;
	uint8_t payloads[SEAL_BATCH][ROOM_BYTES];
};

int repair_open(struct worker *w)
{
	w->repairs = worker_table(1, sizeof(*w->repairs));
	if (!w->repairs)
		return -ENOMEM;
	sealing_begin(&w->repairs->sealing);
	w->repairs->sealing.resends = true;
	return 0;
}

void repair_close(struct worker *w)
{
	free(w->repairs);
}

// ---- one packet --------------------------------------------------------------------------------

static uint64_t round_trip_ns(const struct peer *p)
{
	return p->rtt_us ? (uint64_t)p->rtt_us * NS_PER_US
			 : ROUND_TRIP_GUESS_MS * (uint64_t)NS_PER_MS;
}

// Since it was sent. What a catch-up sent came in long before: its timestamps, drawn together, say
// when it left.
static uint64_t age_ns(const struct worker *w, const struct request *q)
{
	const struct history *h = q->keep->legs[q->kind];
	struct history_meta newest;
	uint64_t seq;
	int32_t behind;

	if (q->ts == q->meta.ts || history_newest(h, &seq) < 0 || history_look(h, seq, &newest) < 0)
		return w->now_ns - q->meta.rx_ns;
	behind = RTE_MAX((int32_t)(newest.ts - q->ts), 0);
	return w->now_ns - newest.rx_ns + (uint64_t)behind * NS_PER_S / leg_clock_hz(q->kind);
}

static bool too_old(const struct worker *w, const struct request *q)
{
	uint64_t window_ns = RTE_MAX(
		WINDOW_MIN_MS * (uint64_t)NS_PER_MS, WINDOW_ROUND_TRIPS * round_trip_ns(q->peer));

	return age_ns(w, q) > window_ns;
}

// Both legs share the places: the lowest bits, which the place tells, say which leg it was.
static uint16_t name_recent(const struct request *q)
{
	return (uint16_t)((q->index & ~(uint64_t)(PEER_RECENT - 1)) | q->kind);
}

// The next request for a packet that was lost once more comes a round trip after the last resend,
// now and then a little sooner.
static bool just_resent(const struct worker *w, const struct request *q)
{
	uint32_t hold_ms = (uint32_t)(round_trip_ns(q->peer) * 7 / 8 / NS_PER_MS);
	uint32_t at = (uint32_t)q->index % PEER_RECENT;

	return q->peer->recent[at].index == name_recent(q) &&
	       (uint16_t)(w->now_ns / NS_PER_MS - q->peer->recent[at].ms) < hold_ms;
}

static void note_resent(const struct worker *w, const struct request *q)
{
	uint32_t at = (uint32_t)q->index % PEER_RECENT;

	q->peer->recent[at].index = name_recent(q);
	q->peer->recent[at].ms = (uint16_t)(w->now_ns / NS_PER_MS);
}

static uint32_t rate_of(const struct request *q)
{
	return atomic_load_explicit(&q->keep->byte_rate[q->kind], memory_order_relaxed);
}

static int64_t burst_of(const struct request *q)
{
	return RTE_MAX(rate_of(q) / 2, (uint32_t)BURST_MIN_BYTES);
}

// Return: whether the viewer may have so much more; it is taken off then.
static bool spend(const struct worker *w, const struct request *q, uint16_t bytes)
{
	struct peer_repair *r = q->repair;
	uint64_t share = (uint64_t)rate_of(q) * w->edge->conf->media.repair_percent / 100;
	int64_t burst = burst_of(q);
	uint64_t gone_ns = RTE_MIN(w->now_ns - r->budget_ns, (uint64_t)NS_PER_S);

	if (r->budget_ns == 0)
		r->budget_bytes = burst;
	share = RTE_MAX(share, (uint64_t)RATE_MIN_BYTES);
	if (r->budget_bytes < burst)
		r->budget_bytes = RTE_MIN(
			burst, r->budget_bytes + (int64_t)(share * gone_ns / NS_PER_S));
	r->budget_ns = w->now_ns;
	if (r->budget_bytes <= 0)
		return false;
	r->budget_bytes -= bytes;
	return true;
}

// Return: whether the viewer may have it a second time.
static bool spend_second(const struct worker *w, const struct request *q)
{
	int64_t cost = SECOND_COUNTS * (int64_t)q->meta.payload_bytes;

	if (w->edge->conf->media.repair_copies < 2 ||
		q->repair->budget_bytes - cost < burst_of(q) / 2)
		return false;
	q->repair->budget_bytes -= cost;
	return true;
}

// Where the history's copy goes, with room for OSN in front.
static uint8_t *next_payload(const struct worker *w)
{
	return w->repairs->payloads[w->repairs->sealing.n];
}

static void count_resent(const struct worker *w, const struct request *q, struct peer_leg *l,
	uint32_t bytes, uint16_t n)
{
	struct region_peer_leg_state *asked = peer_state_of(q->leg);

	if (l->sent->packets == 0)
		l->sent->first_tx_ns = w->now_ns;
	l->sent->packets += n;
	l->sent->bytes += bytes * n;
	asked->resent += n;
	asked->resent_bytes += bytes * n;
	asked->copies += n - 1u;
}

// As retransmissions, or as it was; the copies of one packet as one run. The history's copy stands
// in next_payload.
// Return: false when mbufs were lacking.
static bool seal_copies(struct worker *w, const struct request *q)
{
	struct peer_leg *rtx = &q->peer->legs[PEER_RTX];
	bool wrapped = q->kind == LEG_VIDEO && rtx->enabled;
	struct peer_leg *l = wrapped ? rtx : q->leg;
	uint8_t *osn = next_payload(w);
	uint16_t n = sealing_take(w, &w->repairs->sealing, q->n_copies);
	struct srtp_text *texts = sealing_texts(&w->repairs->sealing);

	osn[0] = (uint8_t)(q->index >> 8);
	osn[1] = (uint8_t)q->index;
	for (uint16_t i = 0; i < n; i++) {
		texts[i] = (struct srtp_text){ .payload = osn + (wrapped ? 0 : PEER_OSN_BYTES),
			.seq = wrapped ? peer_rtx_take(q->peer) : q->index,
			.ts = q->ts,
			.payload_bytes = (uint16_t)(q->meta.payload_bytes +
						    (wrapped ? PEER_OSN_BYTES : 0)),
			.marker = q->meta.marker };
	}
	if (n) {
		sealing_add(&w->repairs->sealing, l, texts, 0, n);
		count_resent(w, q, l, texts[0].payload_bytes, n);
	}
	return n == q->n_copies;
}

// By now another worker's stream may have gone on.
static void add(struct worker *w, const struct request *q)
{
	struct history_meta meta;

	if (history_get(q->keep->legs[q->kind], q->seq, next_payload(w) + PEER_OSN_BYTES,
		    WORKER_PAYLOAD_MAX_BYTES, &meta) < 0) {
		peer_state_of(q->leg)->missed[REGION_MISS_GONE]++;
		return;
	}
	if (!seal_copies(w, q)) {
		w->counters->drops[DROP_NO_MBUF]++;
		peer_state_of(q->leg)->sent.drops++;
	}
}

// Payloads of a while ago are in no near cache: each is fetched while those before it are copied.
void repair_flush(struct worker *w)
{
	struct repairs *r = w->repairs;

	for (uint16_t i = 0; r->n_granted && i < r->n_granted + AHEAD; i++) {
		if (i < r->n_granted)
			history_fetch(
				r->granted[i].keep->legs[r->granted[i].kind], r->granted[i].seq);
		if (i >= AHEAD)
			add(w, &r->granted[i - AHEAD]);
	}
	r->n_granted = 0;
	r->n_packets = 0;
	sealing_flush(w, &r->sealing);
}

// The viewer's numbers are those up to its newest.
static int find(struct worker *w, struct request *q, uint16_t seq16)
{
	uint64_t newest = q->leg->sent->next_index - 1;
	uint16_t behind = (uint16_t)((uint16_t)newest - seq16);
	const struct draw *draw;

	if (q->leg->sent->next_index == 0 || behind > INT16_MAX || behind > newest)
		return REGION_MISS_NEVER;
	q->index = newest - behind;
	if (peer_leg_locate(q->leg, q->index, &q->seq, &draw) < 0)
		return REGION_MISS_NEVER;
	if (just_resent(w, q))
		return REGION_MISS_REPEATED;
	if (!q->keep || !q->keep->legs[q->kind] ||
		history_look(q->keep->legs[q->kind], q->seq, &q->meta) < 0)
		return REGION_MISS_GONE;
	q->ts = draw_ts(draw, q->meta.frame, q->meta.ts);
	return too_old(w, q) ? REGION_MISS_GONE : REGION_MISS_COUNT;
}

static void grant(struct worker *w, const struct request *q)
{
	struct repairs *r = w->repairs;

	if (r->n_packets + q->n_copies > SEAL_BATCH)
		repair_flush(w);
	r->granted[r->n_granted++] = *q;
	r->n_packets += q->n_copies;
}

static void answer(struct worker *w, struct request *q, uint16_t seq16)
{
	struct region_peer_leg_state *state = peer_state_of(q->leg);
	int miss = find(w, q, seq16);

	if (miss == REGION_MISS_COUNT && w->n_waiting > WORKER_WAITING_MAX / 2)
		miss = REGION_MISS_BUSY;
	if (miss == REGION_MISS_COUNT && !spend(w, q, q->meta.payload_bytes))
		miss = REGION_MISS_BUDGET;
	if (miss != REGION_MISS_COUNT) {
		state->missed[miss]++;
		return;
	}
	note_resent(w, q);
	q->n_copies = spend_second(w, q) ? COPIES_MAX : 1;
	grant(w, q);
}

// ---- in ----------------------------------------------------------------------------------------

static bool take_attention(const struct worker *w, struct peer_repair *r, uint32_t cost)
{
	uint64_t gone_ns = RTE_MIN(w->now_ns - r->attention_ns, (uint64_t)NS_PER_S);
	uint32_t more = (uint32_t)(gone_ns * ATTENTION_A_SECOND / NS_PER_S);

	// Time that is worth less than one is not used up.
	if (more) {
		r->attention = RTE_MIN(r->attention + more, (uint32_t)ATTENTION_MAX);
		r->attention_ns = w->now_ns;
	}
	if (r->attention < cost)
		return false;
	r->attention -= cost;
	return true;
}

// Entry by entry, so that nothing is done for what is over the bounds but counting it.
static void read_entry(
	struct worker *w, struct request *q, const struct rtcp_nack *nack, bool heard)
{
	uint32_t n = 1 + (uint32_t)__builtin_popcount(nack->blp);

	if (!q->repair->nack) {
		peer_state_of(q->leg)->missed[REGION_MISS_UNASKED] += n;
		return;
	}
	if (!heard || !take_attention(w, q->repair, n)) {
		peer_state_of(q->leg)->missed[REGION_MISS_FLOOD] += n;
		return;
	}
	answer(w, q, nack->pid);
	for (int i = 0; i < 16; i++)
		if (nack->blp >> i & 1)
			answer(w, q, (uint16_t)(nack->pid + i + 1));
}

void repair_nack(struct worker *w, struct peer *p, const struct rtcp_packet *pkt)
{
	struct request q = { .peer = p,
		.keep = keep_find(w->edge, p->stream, p->stream_generation) };
	struct rtcp_nack nack;
	bool heard;

	if (!rtcp_nack_get(pkt, 0, &nack))
		return;
	if (p->legs[PEER_RTX].enabled && nack.ssrc == peer_leg_ssrc(&p->legs[PEER_RTX])) {
		p->state->legs[LEG_VIDEO].missed[REGION_MISS_RTX]++;
		return;
	}
	while (q.kind < LEG_COUNT &&
		!(p->legs[q.kind].enabled && peer_leg_ssrc(&p->legs[q.kind]) == nack.ssrc))
		q.kind++;
	if (q.kind == LEG_COUNT)
		return;
	q.leg = &p->legs[q.kind];
	q.repair = &p->repair[q.kind];
	p->state->legs[q.kind].nacks++;
	heard = take_attention(w, q.repair, ATTENTION_A_NACK);
	for (unsigned int i = 0; rtcp_nack_get(pkt, i, &nack); i++)
		read_entry(w, &q, &nack, heard);
}
