#include "dataplane/testfan/nack.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_malloc.h>
#include <rte_ring.h>
#include <rte_udp.h>

#include "dataplane/fanout/worker.h"
#include "dataplane/rtcp/rtcp.h"

enum {
	ROUND_TRIP_MS = 30,
	AGAIN_MS = ROUND_TRIP_MS + 5, // a resend that was lost too is asked for after so long
	REPORT_MS = 1000,
	REPORT_DELAY_MS = 500, // since the sender report that it answers
	PASS_MS = 2,
	PASSES = 64,  // that are remembered: more than a round trip of them
	ENTRIES = 16, // of one NACK
	AGAIN = 1 << 16,
	RING = 4096,
	POOL_MBUFS = 8191,
	ROOM_BYTES = RTE_PKTMBUF_HEADROOM + 384,
	ASKED = 1024, // that are remembered of a leg, for whoever verifies
	NS_PER_MS = 1000000,
	SENDER_SSRC = 1, // as a browser's that sends nothing
	VERSION_2 = 2 << 6,
	FORMAT_NACK = 1,
	REPORT_BYTES = 24,
};

// One leg of a viewer.
struct loser {
	int64_t index_shift; // as the worker's
	uint64_t next;	     // of the stream's output: the next packet that it loses
	uint32_t lost;	     // so far
	bool started;
	uint16_t *asked; // the last ones; NULL: not verified
	uint16_t asked_at;
};

struct viewer {
	struct srtp_session *srtp;
	struct loser legs[LEG_COUNT];
	uint64_t report_ns; // when its next is due
	uint32_t index;	    // next of SRTCP
};

// A packet whose resend was lost.
struct again {
	uint64_t due_ns;
	uint64_t seq;
	uint32_t viewer;
	enum leg_kind leg;
};

// How far the streams had come at one time.
struct pass {
	uint64_t ns;
	uint64_t *next_seq; // by stream and leg
};

struct nack_worker {
	const void *callback;
	struct rte_ring *ring;
	struct rte_mempool *pool;
	struct rte_mbuf *staged[WORKER_BURST]; // worker: what it receives next
	uint16_t n_staged;
};

struct nack {
	const struct edge *edge;
	const struct port_set *ports;
	uint16_t n_workers;
	uint64_t n_viewers;
	const struct drive *drive;
	struct srtp_engine *engine;
	struct rte_mempool *pool;
	struct viewer *viewers;
	struct pass passes[PASSES];
	uint32_t n_passes, n_ripe; // made; of these, a round trip old
	struct again *again;
	uint32_t again_head, again_tail;
	uint64_t chance; // state of the generator
	double log_kept; // of the share that is not lost
	bool deliver;
	struct nack_losses losses;
	struct nack_worker workers[REGION_MAX_WORKERS];
};

// What one viewer's packet to us is made in.
struct packet_room {
	struct rte_mbuf *m;
	uint8_t *rtcp;
	uint16_t bytes;
};

// ---- chance ------------------------------------------------------------------------------------

// 0 < value <= 1.
static double draw(struct nack *n)
{
	n->chance ^= n->chance << 13;
	n->chance ^= n->chance >> 7;
	n->chance ^= n->chance << 17;
	return (double)((n->chance >> 11) + 1) / (double)(1ULL << 53);
}

// How many packets come through before one is lost (geometric distribution).
static uint64_t kept_between(struct nack *n)
{
	return (uint64_t)(log(draw(n)) / n->log_kept);
}

static bool is_lost(struct nack *n)
{
	return draw(n) * 100 <= n->drive->settings->nack;
}

// ---- packets -----------------------------------------------------------------------------------

static void put16(uint8_t *at, uint16_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static void put32(uint8_t *at, uint32_t v)
{
	put16(at, (uint16_t)(v >> 16));
	put16(at + 2, (uint16_t)v);
}

static uint16_t hdr_bytes(const struct net_path *path)
{
	return (uint16_t)(RTE_ETHER_HDR_LEN + sizeof(struct rte_udp_hdr) +
			  (path->remote.family == NET_IPV6 ? sizeof(struct rte_ipv6_hdr)
							   : sizeof(struct rte_ipv4_hdr)));
}

// From the viewer to us.
static void put_headers(const struct net_path *path, uint8_t *at, uint16_t payload_bytes)
{
	struct rte_ether_hdr *eth = (struct rte_ether_hdr *)at;
	struct rte_ipv4_hdr *ip4 = (struct rte_ipv4_hdr *)(eth + 1);
	struct rte_ipv6_hdr *ip6 = (struct rte_ipv6_hdr *)(eth + 1);
	bool v6 = path->remote.family == NET_IPV6;
	struct rte_udp_hdr *udp = v6 ? (struct rte_udp_hdr *)(ip6 + 1)
				     : (struct rte_udp_hdr *)(ip4 + 1);
	uint16_t udp_bytes = (uint16_t)(sizeof(*udp) + payload_bytes);

	memcpy(&eth->dst_addr, path->local_mac, 6);
	memcpy(&eth->src_addr, path->remote_mac, 6);
	eth->ether_type = rte_cpu_to_be_16(v6 ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4);
	*udp = (struct rte_udp_hdr){ .src_port = path->remote.port_be,
		.dst_port = path->local.port_be,
		.dgram_len = rte_cpu_to_be_16(udp_bytes) };
	if (v6) {
		*ip6 = (struct rte_ipv6_hdr){ .vtc_flow = RTE_BE32(6u << 28),
			.payload_len = rte_cpu_to_be_16(udp_bytes),
			.proto = IPPROTO_UDP,
			.hop_limits = 64 };
		memcpy(ip6->src_addr, path->remote.ip, 16);
		memcpy(ip6->dst_addr, path->local.ip, 16);
		udp->dgram_cksum = rte_ipv6_udptcp_cksum(ip6, udp);
		return;
	}
	*ip4 = (struct rte_ipv4_hdr){ .version_ihl = RTE_IPV4_VHL_DEF,
		.total_length = rte_cpu_to_be_16((uint16_t)(sizeof(*ip4) + udp_bytes)),
		.time_to_live = 64,
		.next_proto_id = IPPROTO_UDP };
	memcpy(&ip4->src_addr, path->remote.ip, 4);
	memcpy(&ip4->dst_addr, path->local.ip, 4);
	ip4->hdr_checksum = rte_ipv4_cksum(ip4);
	udp->dgram_cksum = rte_ipv4_udptcp_cksum(ip4, udp);
}

static const struct net_path *path_of(const struct nack *n, uint32_t viewer)
{
	return &n->edge->region->peers[viewer].conf.path;
}

static bool begin(struct nack *n, uint32_t viewer, struct packet_room *out)
{
	*out = (struct packet_room){ .m = rte_pktmbuf_alloc(n->pool) };
	if (!out->m) {
		n->losses.no_mbuf++;
		return false;
	}
	out->rtcp = rte_pktmbuf_mtod_offset(out->m, uint8_t *, hdr_bytes(path_of(n, viewer)));
	return true;
}

static void finish(struct nack *n, uint32_t viewer, struct packet_room *p)
{
	const struct net_path *path = path_of(n, viewer);
	uint16_t worker = n->edge->region->peers[viewer].conf.worker;
	struct viewer *v = &n->viewers[viewer];
	uint16_t bytes;

	if (srtp_seal_rtcp(v->srtp, p->rtcp, p->bytes, v->index++, &bytes) < 0) {
		rte_pktmbuf_free(p->m);
		return;
	}
	put_headers(path, rte_pktmbuf_mtod(p->m, uint8_t *), bytes);
	p->m->data_len = (uint16_t)(hdr_bytes(path) + bytes);
	p->m->pkt_len = p->m->data_len;
	p->m->port = n->ports->workers[worker].rx[0].port_id;
	if (n->deliver && rte_ring_sp_enqueue(n->workers[worker].ring, p->m) == 0)
		return;
	n->losses.ring_full += n->deliver;
	rte_pktmbuf_free(p->m);
}

static uint32_t ssrc_of(const struct nack *n, uint32_t viewer, enum leg_kind leg)
{
	return n->edge->region->peers[viewer].conf.legs[leg].ssrc;
}

// Reduced size, one entry a packet (RFC 5506; RFC 4585 6.2.1).
static void send_nack(struct nack *n, uint32_t viewer, enum leg_kind leg, const uint64_t *seqs,
	unsigned int n_seqs)
{
	struct loser *l = &n->viewers[viewer].legs[leg];
	struct packet_room p;

	if (!begin(n, viewer, &p))
		return;
	p.rtcp[0] = VERSION_2 | FORMAT_NACK;
	p.rtcp[1] = RTCP_RTPFB;
	put16(p.rtcp + 2, (uint16_t)(2 + n_seqs));
	put32(p.rtcp + 4, SENDER_SSRC);
	put32(p.rtcp + 8, ssrc_of(n, viewer, leg));
	for (unsigned int i = 0; i < n_seqs; i++) {
		uint16_t seq16 = (uint16_t)(seqs[i] + (uint64_t)l->index_shift);

		put16(p.rtcp + 12 + 4 * i, seq16);
		put16(p.rtcp + 14 + 4 * i, 0);
		if (l->asked)
			l->asked[l->asked_at++ % ASKED] = seq16;
	}
	p.bytes = (uint16_t)(12 + 4 * n_seqs);
	finish(n, viewer, &p);
}

// RFC 3550 6.4.2; the sender report that it answers is one that would have come in between.
static uint8_t *put_report(
	const struct nack *n, uint32_t viewer, enum leg_kind leg, uint64_t highest, uint8_t *at)
{
	const struct loser *l = &n->viewers[viewer].legs[leg];
	uint64_t ago_ns = (ROUND_TRIP_MS + REPORT_DELAY_MS) * (uint64_t)NS_PER_MS;
	uint64_t ntp = worker_ntp(n->edge->ntp_base, region_now_ns() - ago_ns);

	put32(at, ssrc_of(n, viewer, leg));
	put32(at + 4,
		(uint32_t)(n->drive->settings->nack * 256 / 100) << 24 | (l->lost & 0xffffff));
	put32(at + 8, (uint32_t)(highest + (uint64_t)l->index_shift));
	put32(at + 12, leg_clock_hz(leg) / 1000);
	put32(at + 16, (uint32_t)(ntp >> 16));
	put32(at + 20, REPORT_DELAY_MS * 65536u / 1000);
	return at + REPORT_BYTES;
}

static void send_report(struct nack *n, uint32_t viewer, const uint64_t *next_seq)
{
	struct packet_room p;
	uint8_t *at, count = 0;

	if (!begin(n, viewer, &p))
		return;
	at = p.rtcp + 8;
	for (int leg = 0; leg < LEG_COUNT; leg++) {
		if (!n->viewers[viewer].legs[leg].started)
			continue;
		at = put_report(n, viewer, leg, next_seq[leg] - 1, at);
		count++;
	}
	p.bytes = (uint16_t)(at - p.rtcp);
	p.rtcp[0] = VERSION_2 | count;
	p.rtcp[1] = RTCP_RR;
	put16(p.rtcp + 2, (uint16_t)(p.bytes / 4 - 1));
	put32(p.rtcp + 4, SENDER_SSRC);
	finish(n, viewer, &p);
}

// ---- what a viewer does ------------------------------------------------------------------------

// It has what its worker says it was begun with.
static void look(struct nack *n, uint32_t viewer, enum leg_kind leg)
{
	const struct region_peer *slot = &n->edge->region->peers[viewer];
	struct viewer *v = &n->viewers[viewer];
	struct loser *l = &v->legs[leg];

	if (!slot->conf.legs[leg].enabled ||
		!__atomic_load_n(&slot->state.legs[leg].sent.started, __ATOMIC_ACQUIRE))
		return;
	// What the viewer writes with is what the worker reads with.
	if (!v->srtp && srtp_session_create(n->engine, slot->conf.profile, &slot->conf.remote,
				&slot->conf.local, &v->srtp) < 0)
		return;
	l->started = true;
	l->index_shift = slot->state.legs[leg].sent.index_shift;
	l->next = slot->state.legs[leg].sent.first_index - (uint64_t)l->index_shift +
		  kept_between(n);
}

static void ask_again(struct nack *n, uint32_t viewer, enum leg_kind leg, uint64_t seq)
{
	if (!is_lost(n) || n->again_tail - n->again_head == AGAIN)
		return;
	n->again[n->again_tail++ % AGAIN] =
		(struct again){ .due_ns = region_now_ns() + AGAIN_MS * (uint64_t)NS_PER_MS,
			.seq = seq,
			.viewer = viewer,
			.leg = leg };
}

// end: one past what it could have had by now.
static void lose(struct nack *n, uint32_t viewer, enum leg_kind leg, uint64_t end)
{
	struct loser *l = &n->viewers[viewer].legs[leg];
	uint64_t seqs[ENTRIES];
	unsigned int n_seqs;

	do {
		for (n_seqs = 0; n_seqs < ENTRIES && l->next < end; n_seqs++) {
			seqs[n_seqs] = l->next;
			ask_again(n, viewer, leg, l->next);
			l->next += 1 + kept_between(n);
		}
		l->lost += n_seqs;
		if (n_seqs)
			send_nack(n, viewer, leg, seqs, n_seqs);
	} while (n_seqs == ENTRIES);
}

static void serve_viewer(struct nack *n, uint32_t viewer, const struct pass *ripe, uint64_t now_ns)
{
	const uint64_t *next_seq = ripe->next_seq +
				   n->edge->region->peers[viewer].conf.stream * LEG_COUNT;
	struct viewer *v = &n->viewers[viewer];
	bool started = false;

	for (int leg = 0; leg < LEG_COUNT; leg++) {
		if (!v->legs[leg].started)
			look(n, viewer, leg);
		if (v->legs[leg].started)
			lose(n, viewer, leg, next_seq[leg]);
		started |= v->legs[leg].started;
	}
	if (!started || now_ns < v->report_ns)
		return;
	v->report_ns += REPORT_MS * (uint64_t)NS_PER_MS;
	if (v->report_ns < now_ns)
		v->report_ns = now_ns;
	send_report(n, viewer, next_seq);
}

static void serve_again(struct nack *n, uint64_t now_ns)
{
	while (n->again_head != n->again_tail) {
		const struct again a = n->again[n->again_head % AGAIN];

		if (a.due_ns > now_ns)
			return;
		n->again_head++;
		ask_again(n, a.viewer, a.leg, a.seq);
		send_nack(n, a.viewer, a.leg, &a.seq, 1);
	}
}

// ---- time --------------------------------------------------------------------------------------

static void note_pass(struct nack *n, uint64_t now_ns)
{
	struct pass *p = &n->passes[n->n_passes++ % PASSES];
	const struct region *region = n->edge->region;

	p->ns = now_ns;
	for (uint16_t s = 0; s < region->n_streams; s++)
		for (int leg = 0; leg < LEG_COUNT; leg++)
			p->next_seq[s * LEG_COUNT + leg] = __atomic_load_n(
				&region->streams[s].norm[leg].next_seq, __ATOMIC_RELAXED);
}

// Return: how far all had come a round trip ago; NULL it is not so long yet.
static const struct pass *ripe_pass(struct nack *n, uint64_t now_ns)
{
	uint64_t trip_ns = ROUND_TRIP_MS * (uint64_t)NS_PER_MS;

	while (n->n_ripe < n->n_passes && now_ns - n->passes[n->n_ripe % PASSES].ns >= trip_ns)
		n->n_ripe++;
	return n->n_ripe ? &n->passes[(n->n_ripe - 1) % PASSES] : NULL;
}

void nack_poll(struct nack *n)
{
	uint64_t now_ns = region_now_ns();
	const struct pass *ripe;

	if (n->n_passes &&
		now_ns - n->passes[(n->n_passes - 1) % PASSES].ns < PASS_MS * (uint64_t)NS_PER_MS)
		return;
	note_pass(n, now_ns);
	ripe = ripe_pass(n, now_ns);
	for (uint32_t i = 0; ripe && i < n->n_viewers; i++)
		serve_viewer(n, i, ripe, now_ns);
	serve_again(n, now_ns);
}

void nack_deliver(struct nack *n, bool on)
{
	n->deliver = on;
}

bool nack_asked(const struct nack *n, const struct sent *what)
{
	const struct loser *l = &n->viewers[what->viewer].legs[what->leg];
	unsigned int known = 0;

	while (l->asked && known < ASKED && l->asked[known] != what->seq)
		known++;
	return l->asked && known < ASKED;
}

void nack_read(const struct nack *n, struct nack_losses *out)
{
	*out = n->losses;
}

// ---- making ------------------------------------------------------------------------------------

// A NIC puts packets into its host's cache, and its driver writes the mbufs on the worker's core.
// These come from another core, and are fetched a round before they are received.
static void stage(struct nack_worker *w)
{
	w->n_staged = (uint16_t)rte_ring_sc_dequeue_burst(
		w->ring, (void **)w->staged, WORKER_BURST, NULL);
	for (uint16_t i = 0; i < w->n_staged; i++) {
		const char *data = (char *)rte_mbuf_buf_addr(w->staged[i], w->pool) +
				   RTE_PKTMBUF_HEADROOM;

		rte_prefetch0(w->staged[i]);
		rte_prefetch0(data);
		rte_prefetch0(data + REGION_LINE_BYTES);
	}
}

static uint16_t on_receive(uint16_t port_id, uint16_t queue, struct rte_mbuf *pkts[],
	uint16_t n_pkts, uint16_t max_pkts, void *arg)
{
	struct nack_worker *w = arg;

	if (w->n_staged > max_pkts - n_pkts)
		return n_pkts;
	memcpy(pkts + n_pkts, w->staged, w->n_staged * sizeof(*pkts));
	n_pkts = (uint16_t)(n_pkts + w->n_staged);
	stage(w);
	return n_pkts;
}

static int serve_worker(struct nack *n, uint16_t id)
{
	const struct port_queue *q = &n->ports->workers[id].rx[0];
	struct nack_worker *w = &n->workers[id];
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "nack%u", id);
	w->pool = n->pool;
	w->ring = rte_ring_create(name, RING, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (!w->ring)
		return -ENOMEM;
	w->callback = rte_eth_add_rx_callback(q->port_id, q->queue, on_receive, w);
	return w->callback ? 0 : -ENOTSUP;
}

static int make_passes(struct nack *n)
{
	for (int i = 0; i < PASSES; i++) {
		n->passes[i].next_seq = calloc(
			n->edge->region->n_streams, LEG_COUNT * sizeof(*n->passes[i].next_seq));
		if (!n->passes[i].next_seq)
			return -ENOMEM;
	}
	return 0;
}

// Reports are spread over the time.
static void init_viewer(struct nack *n, uint32_t viewer)
{
	n->viewers[viewer].index = 1;
	n->viewers[viewer].report_ns = region_now_ns() +
				       (uint64_t)(draw(n) * REPORT_MS * NS_PER_MS);
}

static int make_viewers(struct nack *n)
{
	const struct settings *s = n->drive->settings;

	n->viewers = calloc(s->peers, sizeof(*n->viewers));
	if (!n->viewers)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->peers; i++) {
		init_viewer(n, i);
		for (int leg = 0; s->verify && i % s->verify == 0 && leg < LEG_COUNT; leg++) {
			n->viewers[i].legs[leg].asked = calloc(ASKED, sizeof(uint16_t));
			if (!n->viewers[i].legs[leg].asked)
				return -ENOMEM;
		}
	}
	return 0;
}

int nack_create(const struct edge *edge, const struct drive *drive, struct nack **out)
{
	struct nack *n = calloc(1, sizeof(*n));
	bool fast = srtp_engine_usable(SRTP_ENGINE_FAST);
	int rc;

	if (!n)
		return -ENOMEM;
	*out = n;
	n->edge = edge;
	n->ports = edge->ports;
	n->n_workers = edge->n_workers;
	n->n_viewers = drive->settings->peers;
	n->drive = drive;
	n->chance = 0x9e3779b97f4a7c15;
	n->log_kept = log(1 - drive->settings->nack / 100);
	n->deliver = true;
	n->again = calloc(AGAIN, sizeof(*n->again));
	n->pool = rte_pktmbuf_pool_create(
		"nacks", POOL_MBUFS, 256, sizeof(struct packet), ROOM_BYTES, SOCKET_ID_ANY);
	if (!n->again || !n->pool)
		return -ENOMEM;
	rc = make_passes(n);
	if (rc == 0)
		rc = make_viewers(n);
	if (rc == 0)
		rc = srtp_engine_create(fast ? SRTP_ENGINE_FAST : SRTP_ENGINE_LIBSRTP2, &n->engine);
	for (uint16_t id = 0; rc == 0 && id < edge->n_workers; id++)
		rc = serve_worker(n, id);
	return rc;
}

static void release_worker(struct nack *n, uint16_t id)
{
	const struct port_queue *q = &n->ports->workers[id].rx[0];
	struct nack_worker *w = &n->workers[id];
	void *m;

	if (w->callback) {
		rte_eth_remove_rx_callback(q->port_id, q->queue, w->callback);
		rte_free((void *)w->callback);
	}
	rte_pktmbuf_free_bulk(w->staged, w->n_staged);
	while (w->ring && rte_ring_sc_dequeue(w->ring, &m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(w->ring);
}

void nack_destroy(struct nack *n)
{
	if (!n)
		return;
	for (uint16_t id = 0; id < n->n_workers; id++)
		release_worker(n, id);
	for (uint64_t i = 0; n->viewers && i < n->n_viewers; i++) {
		srtp_session_destroy(n->viewers[i].srtp);
		for (int leg = 0; leg < LEG_COUNT; leg++)
			free(n->viewers[i].legs[leg].asked);
	}
	srtp_engine_destroy(n->engine);
	for (int i = 0; i < PASSES; i++)
		free(n->passes[i].next_seq);
	rte_mempool_free(n->pool);
	free(n->again);
	free(n->viewers);
	free(n);
}
