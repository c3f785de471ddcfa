// The way out: frames gather and leave in full bursts. A port that is busy is waited for, a bounded
// time; what it does not take then is dropped and counted. A port that has stood still so long is
// not waited for again until it moves, so that it cannot stall the worker.
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_pause.h>

#include "dataplane/fanout/worker.h"

enum {
	TX_WAIT_US = 200,      // 64 packets of 1200 bytes take 61 us at 10 Gbit/s
	TX_WAIT_MAX_US = 1000, // of one burst, though the port moves: all else waits too
};

void tx_put(struct worker *w, struct rte_mbuf *m)
{
	m->hash.usr = 0;
	w->tx_bytes += m->pkt_len;
	w->tx[w->n_tx++] = m;
	if (w->n_tx == WORKER_TX_BATCH)
		tx_flush(w);
}

void tx_put_media(struct worker *w, struct rte_mbuf **pkts, uint16_t n, uint32_t bytes)
{
	uint16_t room = (uint16_t)(WORKER_TX_BATCH - w->n_tx);
	uint16_t part = RTE_MIN(n, room);

	w->tx_bytes += bytes;
	memcpy(w->tx + w->n_tx, pkts, part * sizeof(struct rte_mbuf *));
	w->n_tx += part;
	if (w->n_tx < WORKER_TX_BATCH)
		return;
	tx_flush(w);
	memcpy(w->tx, pkts + part, (n - part) * sizeof(struct rte_mbuf *));
	w->n_tx = (uint16_t)(n - part);
}

// Keep giving the port what it did not take at once, as long as it moves.
// Return: how many it took in all.
static uint16_t send_rest(struct worker *w, uint16_t sent)
{
	const struct port_queue *q = &w->share->tx;
	const uint64_t us = rte_get_tsc_hz() / 1000000;
	const uint64_t from = rte_rdtsc();
	uint64_t now = from, since = from;

	w->counters->tx_waits++;
	while (sent < w->n_tx && now - since < us * TX_WAIT_US &&
		now - from < us * TX_WAIT_MAX_US) {
		uint16_t n;

		rte_pause();
		n = rte_eth_tx_burst(q->port_id, q->queue, w->tx + sent, w->n_tx - sent);
		now = rte_rdtsc();
		if (n)
			since = now;
		sent += n;
	}
	return sent;
}

static void drop_unsent(struct worker *w, struct rte_mbuf *m)
{
	uint32_t mark = m->hash.usr;
	struct peer *p = mark ? w->peers[(mark - 1) >> 1] : NULL;

	if (p)
		p->legs[(mark - 1) & 1].sent->drops++;
	worker_drop(w, m, DROP_TX_FULL);
}

void tx_flush(struct worker *w)
{
	const struct port_queue *q = &w->share->tx;
	uint16_t sent;

	if (w->n_tx == 0)
		return;
	sent = rte_eth_tx_burst(q->port_id, q->queue, w->tx, w->n_tx);
	// It moved: what came before is over. It has stood still a whole wait: do not wait again.
	if (sent)
		w->tx_stalled = false;
	if (unlikely(sent < w->n_tx) && !w->tx_stalled) {
		uint16_t before = sent;

		sent = send_rest(w, sent);
		w->tx_stalled = sent == before;
	}
	for (uint16_t i = sent; i < w->n_tx; i++) {
		w->tx_bytes -= w->tx[i]->pkt_len;
		drop_unsent(w, w->tx[i]);
	}
	w->counters->tx_bursts++;
	w->counters->tx_packets += sent;
	w->counters->tx_bytes += w->tx_bytes;
	w->tx_bytes = 0;
	w->n_tx = 0;
}
