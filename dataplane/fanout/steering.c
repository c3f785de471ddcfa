#include "dataplane/fanout/steering.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_ring.h>
#include <rte_ring_elem.h>

#include "dataplane/abi/log.h"
#include "dataplane/fanout/worker.h"
#include "dataplane/port/flow.h"

enum {
	WISHES_A_POLL = 32,
	WISH_WORDS = (sizeof(struct flow_wish) + 7) / 8,
};

// A slot's newest wish. Written by the worker that owns the slot, read by the main thread, which
// takes it as it is or not at all: whoever is writing queues the slot again.
struct wish {
	_Atomic uint32_t version; // odd: being written
	atomic_bool queued;
	_Atomic uint64_t words[WISH_WORDS]; // struct flow_wish
};

struct steering {
	struct flow_table *flows;
	struct region_header *header;
	struct rte_ring *queue; // slots; workers put, the main thread gets
	uint32_t n_slots;
	_Atomic uint64_t age;
	struct wish wishes[];
};

// ---- workers -----------------------------------------------------------------------------------

static void write_wish(struct wish *at, const struct flow_wish *wish)
{
	uint32_t version = atomic_load_explicit(&at->version, memory_order_relaxed);
	uint64_t words[WISH_WORDS] = { 0 };

	memcpy(words, wish, sizeof(*wish));
	atomic_store_explicit(&at->version, version + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	for (int i = 0; i < WISH_WORDS; i++)
		atomic_store_explicit(&at->words[i], words[i], memory_order_relaxed);
	atomic_store_explicit(&at->version, version + 2, memory_order_release);
}

static void put_wish(struct steering *s, uint32_t slot, const struct flow_wish *wish)
{
	struct wish *at = &s->wishes[slot];

	write_wish(at, wish);
	if (!atomic_exchange(&at->queued, true))
		rte_ring_mp_enqueue_elem(s->queue, &slot, sizeof(slot));
}

static const struct port_queue *queue_at(const struct worker *w, uint16_t port_id)
{
	for (uint16_t i = 0; i < w->share->n_rx; i++)
		if (w->share->rx[i].port_id == port_id)
			return &w->share->rx[i];
	return NULL;
}

void steering_want(struct worker *w, const struct peer *p)
{
	struct steering *s = w->edge->steering;
	struct flow_wish wish = { .wanted = true };
	const struct port_queue *queue;

	if (!s)
		return;
	// Control's, as any slot; what is not the path that the viewer was made with is no path.
	wish.path = w->edge->region->peers[p->slot].conf.path;
	queue = queue_at(w, wish.path.port_id);
	wish.age = atomic_fetch_add_explicit(&s->age, 1, memory_order_relaxed) + 1;
	if (queue)
		wish.queue = queue->queue;
	if (!queue || !net_addr_equal(&wish.path.remote, &p->remote) ||
		wish.path.local.port_be != w->edge->media_port_be)
		wish.wanted = false;
	put_wish(s, p->slot, &wish);
}

void steering_drop(struct worker *w, uint16_t slot)
{
	const struct flow_wish none = { .wanted = false };

	if (w->edge->steering)
		put_wish(w->edge->steering, slot, &none);
}

// ---- main thread -------------------------------------------------------------------------------

static bool read_wish(struct wish *at, struct flow_wish *out)
{
	uint32_t version = atomic_load_explicit(&at->version, memory_order_acquire);
	uint64_t words[WISH_WORDS];

	for (int i = 0; i < WISH_WORDS; i++)
		words[i] = atomic_load_explicit(&at->words[i], memory_order_relaxed);
	atomic_thread_fence(memory_order_acquire);
	if (version % 2 || atomic_load_explicit(&at->version, memory_order_relaxed) != version)
		return false;
	memcpy(out, words, sizeof(*out));
	return true;
}

static void publish(struct steering *s)
{
	const struct flow_counts counts = flow_table_counts(s->flows);

	atomic_store(&s->header->flow_rules, counts.rules);
	atomic_store(&s->header->flow_waiting, counts.waiting);
	atomic_store(&s->header->flow_refusals, counts.refusals);
}

unsigned int steering_poll(struct steering *s)
{
	struct flow_wish wish;
	unsigned int n = 0;
	uint32_t slot;

	while (n < WISHES_A_POLL && rte_ring_sc_dequeue_elem(s->queue, &slot, sizeof(slot)) == 0) {
		n++;
		// Before the wish is read: a later one queues the slot again.
		atomic_store(&s->wishes[slot].queued, false);
		if (read_wish(&s->wishes[slot], &wish))
			flow_set(s->flows, slot, &wish);
	}
	if (n)
		publish(s);
	return n;
}

int steering_create(const struct edge *edge, struct steering **out)
{
	const uint32_t n_slots = edge->region->n_peers;
	struct steering *s;
	int rc;

	*out = NULL;
	// Each queue of an AF_XDP interface is a port of its own; there is nothing to steer with.
	if (edge->conf->dataplane.flow_steering == CONF_STEERING_OFF || edge->n_workers < 2 ||
		edge->ports->interface[0] || edge->ports->n_ports != 1)
		return 0;
	s = calloc(1, sizeof(*s) + n_slots * sizeof(s->wishes[0]));
	if (!s)
		return -ENOMEM;
	s->header = edge->region->header;
	s->n_slots = n_slots;
	rc = flow_table_create(edge->ports->ports[0], edge->n_workers, n_slots, &s->flows);
	if (rc == 0) {
		s->queue = rte_ring_create_elem("flow_wishes", sizeof(uint32_t),
			rte_align32pow2(n_slots + 1), SOCKET_ID_ANY, RING_F_SC_DEQ);
		rc = s->queue ? 0 : -ENOMEM;
	}
	if (rc < 0) {
		steering_destroy(s);
		log_info("flow steering: %s",
			rc == -ENOTSUP ? "the port cannot; workers hand packets on" : "no memory");
		return rc == -ENOTSUP ? 0 : rc;
	}
	atomic_store(&s->header->flow_steering, 1);
	log_info("flow steering: the port brings viewers' packets to their workers");
	*out = s;
	return 0;
}

void steering_destroy(struct steering *s)
{
	struct flow_counts counts;

	if (!s)
		return;
	if (s->flows) {
		counts = flow_table_counts(s->flows);
		log_info("flow steering: %u rules in the NIC, %llu refused", counts.rules,
			(unsigned long long)counts.refusals);
	}
	flow_table_destroy(s->flows);
	rte_ring_free(s->queue);
	free(s);
}
