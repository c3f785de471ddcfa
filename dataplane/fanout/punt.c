// STUN and DTLS: up to control with the path they took, and down from it onto the wire.
#include <errno.h>

#include "dataplane/fanout/host.h"
#include "dataplane/fanout/worker.h"

void punt_packet(struct worker *w, struct rte_mbuf *m, const struct frame *f)
{
	struct ring_packet up;
	int rc;

	if (f->payload_bytes > RING_PACKET_MAX_BYTES) {
		worker_drop(w, m, DROP_PUNT_TOO_LONG);
		return;
	}
	up.rx_ns = w->now_ns;
	up.path = f->path;
	up.pkt_bytes = f->payload_bytes;
	up.worker = w->id;
	up.zero = 0;
	memcpy(up.pkt, rte_pktmbuf_mtod_offset(m, const void *, f->payload_off), f->payload_bytes);
	// The slot goes over whole: what is behind the packet must not be our stack.
	memset(up.pkt + f->payload_bytes, 0, RING_PACKET_MAX_BYTES - f->payload_bytes);
	w->notify = true;
	rc = ring_put(w->edge->region->rings[w->id].punt, &up, sizeof(up));
	if (rc == -EBADMSG)
		w->counters->ring_faults++;
	if (rc < 0) {
		worker_drop(w, m, DROP_PUNT_RING_FULL);
		return;
	}
	w->counters->punted_packets++;
	rte_pktmbuf_free(m);
}

// What control asks to send is input: only from our media port, only what fits.
static bool inject_valid(const struct worker *w, const struct ring_packet *down)
{
	return down->pkt_bytes > 0 && down->pkt_bytes <= RING_PACKET_MAX_BYTES &&
	       down->path.local.port_be == w->edge->media_port_be && down->path.remote.port_be != 0;
}

static void inject_one(struct worker *w, const struct ring_packet *down)
{
	struct frame_template frame;
	struct rte_mbuf *m;

	if (!inject_valid(w, down) ||
		frame_template_make(&frame, &down->path, w->edge->conf->media.dscp,
			w->edge->ports->checksum) < 0) {
		w->counters->drops[DROP_INJECT_BAD]++;
		return;
	}
	host_route_frame(w->edge->host, &frame, &down->path.remote);
	m = rte_pktmbuf_alloc(w->share->pool);
	if (!m) {
		w->counters->drops[DROP_NO_MBUF]++;
		return;
	}
	memcpy(rte_pktmbuf_append(m, down->pkt_bytes), down->pkt, down->pkt_bytes);
	frame_stamp(&frame, m);
	w->counters->injected_packets++;
	tx_put(w, m);
}

// All that waits, at most a ring full: a command that control gave afterwards may build on it.
unsigned int punt_inject(struct worker *w)
{
	struct ring *ring = w->edge->region->rings[w->id].inject;
	unsigned int n = ring_count(ring);
	struct ring_packet down;

	for (unsigned int i = 0; i < n; i++) {
		int rc = ring_get(ring, &down, sizeof(down));

		if (rc == -EBADMSG)
			w->counters->ring_faults++;
		if (rc < 0)
			return i;
		inject_one(w, &down);
	}
	return n;
}
