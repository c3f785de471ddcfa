// The way out: frames gather and leave in full bursts; what the port does not take after a bounded
// number of tries is dropped and counted, so that a slow port cannot stall the worker.
#include <rte_ethdev.h>
#include <rte_pause.h>

#include "dataplane/fanout/worker.h"

void tx_put(struct worker *w, struct rte_mbuf *m)
{
	w->tx[w->n_tx++] = m;
	if (w->n_tx == WORKER_TX_BATCH)
		tx_flush(w);
}

static uint16_t send_burst(struct worker *w)
{
	const struct port_queue *q = &w->share->tx;
	uint16_t sent = 0;

	for (int tries = 0; sent < w->n_tx && tries < WORKER_TX_RETRIES; tries++) {
		uint16_t n = rte_eth_tx_burst(q->port_id, q->queue, w->tx + sent, w->n_tx - sent);

		if (n == 0)
			rte_pause();
		sent += n;
	}
	return sent;
}

void tx_flush(struct worker *w)
{
	uint64_t bytes = 0;
	uint16_t sent;

	if (w->n_tx == 0)
		return;
	// A sent mbuf is the driver's: add up before.
	for (uint16_t i = 0; i < w->n_tx; i++)
		bytes += w->tx[i]->pkt_len;
	sent = send_burst(w);
	for (uint16_t i = sent; i < w->n_tx; i++) {
		bytes -= w->tx[i]->pkt_len;
		worker_drop(w, w->tx[i], DROP_TX_FULL);
	}
	w->counters->tx_bursts++;
	w->counters->tx_packets += sent;
	w->counters->tx_bytes += bytes;
	w->n_tx = 0;
}
