// A stream's histories are published by one atomic store and withdrawn by another; memory goes back
// once every worker has been through its loop since.
#include "dataplane/fanout/keep.h"

#include <errno.h>
#include <stdlib.h>

#include "dataplane/fanout/worker.h"

enum {
	VIDEO_MAX_PACKETS = 16384,
	AUDIO_MAX_BYTES = 256 * 1024,
	AUDIO_MAX_PACKETS = 2048,
	RATE_MS = 500,
	NS_PER_MS = 1000000,
};

_Atomic(struct keep *) *keep_table(uint16_t n_streams)
{
	return calloc(n_streams, sizeof(struct keep *));
}

static void destroy(struct keep *k)
{
	if (!k)
		return;
	for (int leg = 0; leg < LEG_COUNT; leg++)
		history_destroy(k->legs[leg]);
	free(k);
}

void keep_table_free(_Atomic(struct keep *) *table, uint16_t n_streams)
{
	for (uint16_t slot = 0; table && slot < n_streams; slot++)
		destroy(atomic_load(&table[slot]));
	free(table);
}

static int make(const struct conf *conf, enum leg_kind leg, struct history **out)
{
	if (leg == LEG_AUDIO)
		return history_create(AUDIO_MAX_BYTES, AUDIO_MAX_PACKETS, out);
	return history_create((size_t)conf->media.history_mib << 20, VIDEO_MAX_PACKETS, out);
}

// A leg that came later has its own history made beside the others': they are all new then, since
// readers have the old ones.
static bool has_all(const struct keep *k, const bool present[LEG_COUNT])
{
	for (int leg = 0; leg < LEG_COUNT; leg++)
		if (present[leg] && !k->legs[leg])
			return false;
	return true;
}

int keep_open(struct worker *w, uint16_t stream, uint32_t generation, const bool present[LEG_COUNT])
{
	struct keep *k = keep_find(w->edge, stream, generation);
	int rc = 0;

	if (k && has_all(k, present))
		return 0;
	k = calloc(1, sizeof(*k));
	if (!k)
		return -ENOMEM;
	k->generation = generation;
	k->rated_ns = w->now_ns;
	for (int leg = 0; rc == 0 && leg < LEG_COUNT; leg++)
		if (present[leg])
			rc = make(w->edge->conf, leg, &k->legs[leg]);
	if (rc < 0) {
		destroy(k);
		return rc;
	}
	keep_close(w, stream);
	atomic_store_explicit(&w->edge->kept[stream], k, memory_order_release);
	return 0;
}

void keep_close(struct worker *w, uint16_t stream)
{
	struct keep *k = atomic_exchange(&w->edge->kept[stream], NULL);

	if (!k)
		return;
	k->token = endpoints_leave(w->edge->endpoints);
	k->next = w->kept_dead;
	w->kept_dead = k;
}

void keep_past(struct worker *w, uint16_t stream, enum leg_kind leg, const struct leg_packet *p,
	const uint8_t *payload, uint64_t rx_ns)
{
	const struct history_meta meta = { .seq = p->seq,
		.rx_ns = rx_ns,
		.ts = p->ts,
		.frame = p->frame,
		.payload_bytes = p->payload_bytes,
		.marker = p->marker,
		.key = p->key,
		.begins = p->begins,
		.params = p->params };
	struct keep *k = keep_find(w->edge, stream, w->streams[stream].generation);

	if (k && k->legs[leg])
		history_put(k->legs[leg], &meta, payload);
}

void keep_packet(struct worker *w, uint16_t stream, enum leg_kind leg, const struct leg_packet *p,
	const uint8_t *payload)
{
	struct keep *k = keep_find(w->edge, stream, w->streams[stream].generation);

	keep_past(w, stream, leg, p, payload, w->now_ns);
	if (k)
		k->bytes[leg] += p->payload_bytes;
}

void keep_take_over(struct worker *w, uint16_t stream, uint64_t seq, uint32_t shown_ts)
{
	struct keep *k = keep_find(w->edge, stream, w->streams[stream].generation);

	if (!k)
		return;
	atomic_store_explicit(&k->over_ts, shown_ts, memory_order_relaxed);
	atomic_store_explicit(&k->over_seq, seq, memory_order_release);
	atomic_fetch_add_explicit(&w->edge->take_overs, 1, memory_order_release);
}

// A rate that falls is followed slowly: what is asked for again is of the time before.
static void rate(struct keep *k, uint64_t now_ns)
{
	uint64_t gone_ms = (now_ns - k->rated_ns) / NS_PER_MS;

	if (gone_ms < RATE_MS)
		return;
	k->rated_ns = now_ns;
	for (int leg = 0; leg < LEG_COUNT; leg++) {
		uint64_t was = atomic_load_explicit(&k->byte_rate[leg], memory_order_relaxed);
		uint64_t is = k->bytes[leg] * 1000 / gone_ms;

		is = RTE_MAX(is, was * 3 / 4);
		k->bytes[leg] = 0;
		atomic_store_explicit(&k->byte_rate[leg], (uint32_t)RTE_MIN(is, UINT32_MAX),
			memory_order_relaxed);
	}
}

void keep_tidy(struct worker *w)
{
	struct keep **at = &w->kept_dead;

	for (uint16_t slot = 0; slot < w->edge->region->n_streams; slot++) {
		struct stream *s = &w->streams[slot];
		struct keep *k = NULL;

		if (s->generation && s->owner == w->id)
			k = keep_find(w->edge, slot, s->generation);
		if (k)
			rate(k, w->now_ns);
	}
	while (*at) {
		struct keep *k = *at;

		if (!endpoints_left(w->edge->endpoints, k->token)) {
			at = &k->next;
			continue;
		}
		*at = k->next;
		destroy(k);
	}
}

void keep_fini(struct worker *w)
{
	while (w->kept_dead) {
		struct keep *k = w->kept_dead;

		w->kept_dead = k->next;
		destroy(k);
	}
}

struct keep *keep_find(const struct edge *edge, uint16_t stream, uint32_t generation)
{
	struct keep *k = atomic_load_explicit(&edge->kept[stream], memory_order_acquire);

	return k && k->generation == generation ? k : NULL;
}

uint64_t keep_over(
	const struct edge *edge, uint16_t stream, uint32_t generation, uint32_t *shown_ts)
{
	struct keep *k = keep_find(edge, stream, generation);
	uint64_t seq = k ? atomic_load_explicit(&k->over_seq, memory_order_acquire) : 0;

	if (seq)
		*shown_ts = atomic_load_explicit(&k->over_ts, memory_order_relaxed);
	return seq;
}
