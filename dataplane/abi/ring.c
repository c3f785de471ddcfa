#include "dataplane/abi/ring.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <rte_ring.h>
#include <rte_ring_elem.h>

uint64_t ring_bytes(uint32_t slots, uint32_t elem_bytes)
{
	return (uint64_t)rte_ring_get_memsize_elem(elem_bytes, slots);
}

uint32_t ring_capacity(const struct ring *r)
{
	return r->slots - 1;
}

static uint32_t load(const volatile uint32_t *index)
{
	return __atomic_load_n(index, __ATOMIC_ACQUIRE);
}

// head is for rte_ring's own calls, should the other side use those.
static void publish(volatile struct rte_ring_headtail *side, uint32_t index)
{
	side->head = index;
	__atomic_store_n(&side->tail, index, __ATOMIC_RELEASE);
}

static void *slot_at(const struct ring *r, uint32_t index)
{
	return (uint8_t *)&r->shared[1] + (size_t)(index & (r->slots - 1)) * r->elem_bytes;
}

int ring_make(struct ring *r, void *at, const char *name, uint32_t slots, uint32_t elem_bytes)
{
	int rc = rte_ring_init(at, name, slots, RING_F_SP_ENQ | RING_F_SC_DEQ);

	return rc < 0 ? -EINVAL : ring_attach(r, at, slots, elem_bytes);
}

int ring_attach(struct ring *r, void *at, uint32_t slots, uint32_t elem_bytes)
{
	struct rte_ring *shared = at;

	if (shared->size != slots || shared->mask != slots - 1 || shared->capacity != slots - 1 ||
		shared->prod.sync_type != RTE_RING_SYNC_ST ||
		shared->cons.sync_type != RTE_RING_SYNC_ST)
		return -EINVAL;
	*r = (struct ring){ .shared = shared,
		.slots = slots,
		.elem_bytes = elem_bytes,
		.prod = load(&shared->prod.tail),
		.cons = load(&shared->cons.tail) };
	return 0;
}

void ring_mend_producer(struct ring *r)
{
	if (r->prod - r->cons <= ring_capacity(r))
		return;
	r->prod = r->cons;
	publish(&r->shared->prod, r->prod);
}

void ring_mend_consumer(struct ring *r)
{
	if (r->prod - r->cons <= ring_capacity(r))
		return;
	r->cons = r->prod;
	publish(&r->shared->cons, r->cons);
}

int ring_put(struct ring *r, const void *elem, uint32_t elem_bytes)
{
	uint32_t used = r->prod - load(&r->shared->cons.tail);

	assert(elem_bytes == r->elem_bytes);
	if (used > ring_capacity(r)) {
		// Whoever mends the other side must find ours as it is.
		publish(&r->shared->prod, r->prod);
		return -EBADMSG;
	}
	if (used == ring_capacity(r))
		return -ENOBUFS;
	memcpy(slot_at(r, r->prod), elem, elem_bytes);
	publish(&r->shared->prod, ++r->prod);
	return 0;
}

int ring_get(struct ring *r, void *elem, uint32_t elem_bytes)
{
	uint32_t used = load(&r->shared->prod.tail) - r->cons;

	assert(elem_bytes == r->elem_bytes);
	if (used > ring_capacity(r)) {
		publish(&r->shared->cons, r->cons);
		return -EBADMSG;
	}
	if (used == 0)
		return -ENOENT;
	memcpy(elem, slot_at(r, r->cons), elem_bytes);
	publish(&r->shared->cons, ++r->cons);
	return 0;
}

uint32_t ring_count(const struct ring *r)
{
	uint32_t used = load(&r->shared->prod.tail) - load(&r->shared->cons.tail);

	return used < ring_capacity(r) ? used : ring_capacity(r);
}

uint32_t ring_free_count(const struct ring *r)
{
	return ring_capacity(r) - ring_count(r);
}
