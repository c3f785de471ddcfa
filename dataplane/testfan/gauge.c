#include "dataplane/testfan/gauge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>

#include "dataplane/fanout/worker.h"

enum {
	SLOTS = 2048,	  // packets of a leg that may be under way
	SUB_BUCKETS = 32, // a value is known to a 32nd of itself
	BUCKETS = 64 * SUB_BUCKETS,
};

// Of one worker.
struct gauge_worker {
	_Alignas(64) struct gauge *gauge;
	uint16_t id;
	const void *callback;
	_Atomic uint64_t *sent; // by stream, leg, slot: TSC of the newest send
	// Of the streams it owns:
	unsigned int epoch;
	uint64_t max;
	uint64_t buckets[BUCKETS];
};

struct gauge {
	const struct edge *edge;
	const struct drive *drive;
	size_t n_slots;	    // of all streams
	uint64_t *received; // by stream, leg, slot: TSC; 0: none
	atomic_uint epoch;
	struct gauge_worker workers[REGION_MAX_WORKERS];
};

static size_t slot_of(uint32_t stream, enum leg_kind leg, uint64_t number)
{
	return ((size_t)stream * LEG_COUNT + leg) * SLOTS + number % SLOTS;
}

static unsigned int bucket_of(uint64_t v)
{
	unsigned int shift;

	if (v < SUB_BUCKETS)
		return (unsigned int)v;
	shift = 63 - (unsigned int)__builtin_clzll(v) - 5;
	return (shift + 1) * SUB_BUCKETS + ((v >> shift) & (SUB_BUCKETS - 1));
}

// The middle of a bucket.
static double bucket_value(unsigned int bucket)
{
	unsigned int shift;

	if (bucket < SUB_BUCKETS)
		return bucket;
	shift = bucket / SUB_BUCKETS - 1;
	return ((double)(SUB_BUCKETS + bucket % SUB_BUCKETS) + 0.5) * (double)(1ULL << shift);
}

static uint16_t on_send(
	uint16_t port_id, uint16_t queue, struct rte_mbuf *pkts[], uint16_t n_pkts, void *arg)
{
	struct gauge_worker *w = arg;
	const struct gauge *g = w->gauge;
	uint64_t now = rte_rdtsc();

	for (uint16_t i = 0; i < n_pkts; i++) {
		const struct region_peer *peer;
		struct sent sent;
		uint16_t number;

		if (!drive_identify(g->drive, pkts[i], &sent) || sent.rtx)
			continue;
		// The stream's own numbers begin at a multiple of 65536, with the source's first.
		peer = &g->edge->region->peers[sent.viewer];
		number = (uint16_t)(sent.seq -
				    (uint16_t)peer->state.legs[sent.leg].sent.index_shift);
		atomic_store_explicit(&w->sent[slot_of(peer->conf.stream, sent.leg, number)], now,
			memory_order_relaxed);
	}
	return n_pkts;
}

static void settle(struct gauge *g, struct gauge_worker *to, size_t slot)
{
	uint64_t rx = g->received[slot], newest = 0;

	for (uint16_t w = 0; w < g->edge->n_workers; w++) {
		uint64_t tx = atomic_load_explicit(&g->workers[w].sent[slot], memory_order_relaxed);

		if (tx > newest)
			newest = tx;
	}
	g->received[slot] = 0;
	if (newest < rx)
		return; // nobody got it
	to->buckets[bucket_of(newest - rx)]++;
	if (newest - rx > to->max)
		to->max = newest - rx;
}

void gauge_rx(struct gauge *g, uint16_t worker, const struct source_label *label, uint64_t rx)
{
	struct gauge_worker *w = &g->workers[worker];
	size_t slot = slot_of(label->stream, label->leg, label->number);
	unsigned int epoch = atomic_load_explicit(&g->epoch, memory_order_relaxed);

	if (g->received[slot])
		settle(g, w, slot);
	if (w->epoch != epoch) {
		w->epoch = epoch;
		w->max = 0;
		memset(w->buckets, 0, sizeof(w->buckets));
	}
	g->received[slot] = rx;
}

void gauge_clear(struct gauge *g)
{
	atomic_fetch_add(&g->epoch, 1);
}

void gauge_finish(struct gauge *g)
{
	for (size_t slot = 0; slot < g->n_slots; slot++)
		if (g->received[slot])
			settle(g, &g->workers[0], slot);
}

int gauge_create(const struct edge *edge, const struct drive *drive, struct gauge **out)
{
	struct gauge *g = aligned_alloc(64, (sizeof(*g) + 63) / 64 * 64);

	if (!g)
		return -ENOMEM;
	memset(g, 0, sizeof(*g));
	g->edge = edge;
	g->drive = drive;
	g->n_slots = drive->settings->streams * LEG_COUNT * SLOTS;
	g->received = calloc(g->n_slots, sizeof(*g->received));
	*out = g;
	if (!g->received)
		return -ENOMEM;
	for (uint16_t id = 0; id < edge->n_workers; id++) {
		const struct port_queue *q = &edge->ports->workers[id].tx;
		struct gauge_worker *w = &g->workers[id];

		w->gauge = g;
		w->id = id;
		w->sent = calloc(g->n_slots, sizeof(*w->sent));
		if (!w->sent)
			return -ENOMEM;
		w->callback = rte_eth_add_tx_callback(q->port_id, q->queue, on_send, w);
		if (!w->callback)
			return -ENOTSUP;
	}
	return 0;
}

void gauge_destroy(struct gauge *g)
{
	if (!g)
		return;
	for (uint16_t id = 0; id < g->edge->n_workers; id++) {
		const struct port_queue *q = &g->edge->ports->workers[id].tx;
		struct gauge_worker *w = &g->workers[id];

		if (w->callback) {
			rte_eth_remove_tx_callback(q->port_id, q->queue, w->callback);
			rte_free((void *)w->callback);
		}
		free(w->sent);
	}
	free(g->received);
	free(g);
}

// Below which so many packets of all lie.
static double percentile(const uint64_t *buckets, uint64_t count, double share)
{
	uint64_t seen = 0, want = (uint64_t)((double)count * share);

	for (unsigned int b = 0; b < BUCKETS; b++) {
		seen += buckets[b];
		if (seen > want)
			return bucket_value(b);
	}
	return 0;
}

void gauge_read(const struct gauge *g, struct gauge_result *out)
{
	double us = (double)rte_get_tsc_hz() / 1e6;
	uint64_t *sum = calloc(BUCKETS, sizeof(*sum));
	uint64_t max = 0;

	*out = (struct gauge_result){};
	if (!sum)
		return;
	for (uint16_t w = 0; w < g->edge->n_workers; w++) {
		for (unsigned int b = 0; b < BUCKETS; b++)
			sum[b] += g->workers[w].buckets[b];
		if (g->workers[w].max > max)
			max = g->workers[w].max;
	}
	for (unsigned int b = 0; b < BUCKETS; b++)
		out->count += sum[b];
	out->p50_us = percentile(sum, out->count, 0.5) / us;
	out->p90_us = percentile(sum, out->count, 0.9) / us;
	out->p99_us = percentile(sum, out->count, 0.99) / us;
	out->max_us = (double)max / us;
	if (out->p99_us > out->max_us)
		out->p99_us = out->max_us; // the middle of its bucket was past it
	free(sum);
}
