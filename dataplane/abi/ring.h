// One side's view of a ring in the shared region. The memory is laid out as DPDK's rte_ring of
// elements, single producer and single consumer, and either side may be rte_ring's own calls. Ours
// rely on nothing that stands there but the other side's index, and that is judged: shape and own
// indices are kept here, where the other process cannot write.
// Owner: of each direction, the one thread that puts or gets.
#pragma once

#include <assert.h>
#include <stdint.h>

struct rte_ring;

struct ring {
	_Alignas(64) struct rte_ring *shared; // rings of two workers share no line
	uint32_t slots;			      // a power of two; one less fit
	uint32_t elem_bytes;
	uint32_t prod; // producer: index of the next element put
	uint32_t cons; // consumer: index of the next element got
};

static_assert(sizeof(struct ring) == 64, "views of two rings share no line");

// Make an empty ring in shared memory, which has room for it (ring_bytes).
// Return: 0; -EINVAL slots is not a power of two.
int ring_make(struct ring *, void *at, const char *name, uint32_t slots, uint32_t elem_bytes);

// Take a ring as the other process made it; indices go on where they are.
// Return: 0; -EINVAL of another shape.
int ring_attach(struct ring *, void *at, uint32_t slots, uint32_t elem_bytes);

// Shared memory that a ring takes.
uint64_t ring_bytes(uint32_t slots, uint32_t elem_bytes);

// After ring_attach, for the side that is ours: where the two indices contradict each other, begin
// with an empty ring. What was in it is lost.
void ring_mend_producer(struct ring *);
void ring_mend_consumer(struct ring *);

// Move one element; nothing is half done.
// elem_bytes: as the ring was made.
// Return:     0; -ENOBUFS full, -ENOENT empty, -EBADMSG the other side's index is impossible: the
//             ring stands still until it is right again.
int ring_put(struct ring *, const void *elem, uint32_t elem_bytes);
int ring_get(struct ring *, void *elem, uint32_t elem_bytes);

// What the shared indices say, never more than fits; any thread.
uint32_t ring_count(const struct ring *);
uint32_t ring_free_count(const struct ring *);
uint32_t ring_capacity(const struct ring *);
