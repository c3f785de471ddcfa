// Sort what was received: media port by first byte (RFC 7983), ingest ports by number.
#include "dataplane/fanout/host.h"
#include "dataplane/fanout/worker.h"
#include "dataplane/ingest/rtp.h"

enum demux_class {
	DEMUX_STUN,
	DEMUX_DTLS,
	DEMUX_RTP,
	DEMUX_RTCP,
	DEMUX_UNKNOWN,
};

static enum demux_class classify(const uint8_t *payload, uint16_t bytes)
{
	if (bytes == 0)
		return DEMUX_UNKNOWN;
	if (payload[0] <= 3)
		return DEMUX_STUN;
	if (payload[0] >= 20 && payload[0] <= 63)
		return DEMUX_DTLS;
	if (payload[0] >= 128 && payload[0] <= 191 && bytes >= 2)
		return rtp_is_rtcp(payload[1]) ? DEMUX_RTCP : DEMUX_RTP;
	return DEMUX_UNKNOWN;
}

// SRTCP goes to the worker that owns the viewer.
static void demux_rtcp(struct worker *w, struct rte_mbuf *m, const struct frame *f)
{
	struct endpoint at;
	struct peer *p;

	if (endpoints_find(w->edge->endpoints, &f->path.remote, &at) < 0) {
		worker_drop(w, m, DROP_PEER_UNKNOWN);
		return;
	}
	if (at.worker != w->id) {
		packet_of(m)->kind = PACKET_RAW;
		packet_of(m)->port_id = f->path.port_id;
		worker_hand(w, at.worker, m);
		return;
	}
	p = w->peers[at.slot];
	if (p)
		feedback_take(w, m, f, p);
	else
		worker_drop(w, m, DROP_PEER_UNKNOWN);
}

static void demux_media(struct worker *w, struct rte_mbuf *m, const struct frame *f)
{
	const uint8_t *payload = rte_pktmbuf_mtod_offset(m, const uint8_t *, f->payload_off);

	switch (classify(payload, f->payload_bytes)) {
	case DEMUX_STUN:
	case DEMUX_DTLS:
		punt_packet(w, m, f);
		break;
	case DEMUX_RTCP:
		demux_rtcp(w, m, f);
		break;
	case DEMUX_RTP:
		worker_drop(w, m, DROP_PEER_MEDIA);
		break;
	case DEMUX_UNKNOWN:
		worker_drop(w, m, DROP_DEMUX_UNKNOWN);
		break;
	}
}

// A leg with a group takes what is sent to that, any other leg what is sent to us alone.
static bool ingest_address_fits(
	const struct worker *w, struct ingest_ref ref, const struct frame *f)
{
	const struct net_addr *group = &stream_leg(&w->streams[ref.stream], ref)->conf.group;

	if (group->family == NET_NONE)
		return !net_ip_is_multicast(&f->path.local);
	return net_ip_equal(group, &f->path.local);
}

static void demux_one(struct worker *w, struct rte_mbuf *m, uint8_t port_id)
{
	struct ingest_ref ref;
	struct frame f;
	int rc = frame_parse(m, port_id, &f);

	if (rc < 0) {
		host_take(w, m, drop_of_error(rc));
		return;
	}
	if (f.path.local.port_be == w->edge->media_port_be && !net_ip_is_multicast(&f.path.local)) {
		demux_media(w, m, &f);
		return;
	}
	ref = w->ingest[rte_be_to_cpu_16(f.path.local.port_be)];
	if (ref.stream == UINT16_MAX || !ingest_address_fits(w, ref, &f))
		host_take(w, m, DROP_NOT_OURS);
	else
		intake_packet(w, m, &f, ref);
}

void demux_burst(struct worker *w, struct rte_mbuf **pkts, uint16_t n, uint8_t port_id)
{
	for (uint16_t i = 0; i < n && i < 4; i++)
		rte_prefetch0(rte_pktmbuf_mtod(pkts[i], void *));
	for (uint16_t i = 0; i < n; i++) {
		if (i + 4 < n)
			rte_prefetch0(rte_pktmbuf_mtod(pkts[i + 4], void *));
		w->counters->rx_bytes += pkts[i]->pkt_len;
		demux_one(w, pkts[i], port_id);
	}
	w->counters->rx_packets += n;
	w->counters->rx_bursts++;
}

// Fan-out packets of one leg lie in a row as they were handed over; each row is one burst.
static void demux_handed(struct worker *w, struct rte_mbuf **pkts, unsigned int n)
{
	unsigned int i = 0;

	while (i < n) {
		const struct packet *first = packet_of(pkts[i]);
		unsigned int row = 1;

		if (first->kind == PACKET_RAW) {
			demux_one(w, pkts[i++], first->port_id);
			continue;
		}
		while (i + row < n && packet_of(pkts[i + row])->kind == PACKET_FAN &&
			packet_of(pkts[i + row])->stream == first->stream &&
			packet_of(pkts[i + row])->generation == first->generation &&
			packet_of(pkts[i + row])->leg == first->leg)
			row++;
		lane_put(w, first->stream, first->leg, pkts + i, (uint16_t)row);
		i += row;
	}
}

void demux_inbox(struct worker *w)
{
	struct rte_mbuf *pkts[WORKER_BURST];

	for (uint16_t from = 0; from < w->edge->n_workers; from++) {
		unsigned int left = WORKER_INBOX_SLOTS, n;

		while (from != w->id && left) {
			n = rte_ring_sc_dequeue_burst(
				w->inbox[from], (void **)pkts, WORKER_BURST, NULL);
			demux_handed(w, pkts, n);
			left = n < WORKER_BURST ? 0 : left - n;
		}
	}
}
