// A ring whose memory the other process scribbles over: whatever stands there, nothing outside it
// is read or written, what is wrong is refused, and when it is right again the ring goes on.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_ring.h>
#include <rte_ring_elem.h>

#include "dataplane/abi/region.h"

enum {
	SLOTS = 64,
	PAGE_BYTES = 4096,
};

// The ring ends where memory ends, and begins on a page of its own.
struct fence {
	uint8_t *base;
	uint64_t map_bytes;
	struct rte_ring *at;
};

static struct fence fence_make(uint32_t elem_bytes)
{
	uint64_t bytes = ring_bytes(SLOTS, elem_bytes);
	uint64_t pages = (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
	struct fence f = { .map_bytes = pages + 2 * PAGE_BYTES };

	f.base = mmap(NULL, f.map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(f.base, MAP_FAILED);
	assert_int_equal(mprotect(f.base + PAGE_BYTES, pages, PROT_READ | PROT_WRITE), 0);
	f.at = (struct rte_ring *)(f.base + PAGE_BYTES + pages - bytes);
	return f;
}

static void fence_free(struct fence *f)
{
	munmap(f->base, f->map_bytes);
}

// An element that tells its number in each of its bytes.
static void fill(uint8_t *elem, uint32_t elem_bytes, uint32_t number)
{
	for (uint32_t i = 0; i < elem_bytes; i++)
		elem[i] = (uint8_t)(number * 31 + i);
}

struct pair {
	struct ring in;	 // who puts
	struct ring out; // who gets
	uint32_t n_put, n_got;
	uint32_t elem_bytes;
};

static int put_next(struct pair *p)
{
	uint8_t elem[sizeof(struct ring_packet)];
	int rc;

	fill(elem, p->elem_bytes, p->n_put);
	rc = ring_put(&p->in, elem, p->elem_bytes);
	p->n_put += rc == 0;
	return rc;
}

// What comes must be what was put.
static int get_next(struct pair *p)
{
	uint8_t elem[sizeof(struct ring_packet)], want[sizeof(struct ring_packet)];
	int rc = ring_get(&p->out, elem, p->elem_bytes);

	if (rc < 0)
		return rc;
	fill(want, p->elem_bytes, p->n_got++);
	assert_memory_equal(elem, want, p->elem_bytes);
	return 0;
}

static struct pair pair_make(struct fence *f, uint32_t elem_bytes)
{
	struct pair p = { .elem_bytes = elem_bytes };

	assert_int_equal(ring_make(&p.in, f->at, "test", SLOTS, elem_bytes), 0);
	assert_int_equal(ring_attach(&p.out, f->at, SLOTS, elem_bytes), 0);
	for (int i = 0; i < SLOTS + 7; i++) { // so that both indices went around once
		assert_int_equal(put_next(&p), 0);
		assert_int_equal(get_next(&p), 0);
	}
	for (int i = 0; i < SLOTS / 2; i++)
		assert_int_equal(put_next(&p), 0);
	return p;
}

static void drain(struct pair *p)
{
	while (p->n_got < p->n_put)
		assert_int_equal(get_next(p), 0);
	assert_int_equal(get_next(p), -ENOENT);
	assert_int_equal(ring_count(&p->in), 0);
}

static bool is_index_of_producer(size_t off)
{
	return off == offsetof(struct rte_ring, prod.tail);
}

static bool is_index_of_consumer(size_t off)
{
	return off == offsetof(struct rte_ring, cons.tail);
}

static const uint32_t lies[] = { 0, 1, SLOTS, 0x7fffffff, 0x80000000, 0xfffffff0, UINT32_MAX };

// One word of the header is a lie while the producer works; -ENOBUFS and -EBADMSG only for the one
// index that is the consumer's to tell.
static void producer_survives(struct pair *p, struct fence *f, size_t off, uint32_t lie)
{
	uint32_t *word = (uint32_t *)((uint8_t *)f->at + off), good = *word;
	bool possible = p->in.prod - lie <= SLOTS - 1;
	int rc;

	*word = lie;
	rc = put_next(p);
	if (is_index_of_consumer(off) && !possible)
		assert_int_equal(rc, -EBADMSG);
	else if (rc != -ENOBUFS || !is_index_of_consumer(off))
		assert_int_equal(rc, 0);
	assert_true(ring_count(&p->in) <= SLOTS - 1);
	if (!is_index_of_producer(off) && off != offsetof(struct rte_ring, prod.head))
		*word = good;
}

static void consumer_survives(struct pair *p, struct fence *f, size_t off, uint32_t lie)
{
	uint32_t *word = (uint32_t *)((uint8_t *)f->at + off), good = *word;
	bool possible = lie - p->out.cons <= SLOTS - 1;
	int rc;

	if (is_index_of_producer(off) && possible)
		return; // to the consumer, elements that were put
	*word = lie;
	rc = get_next(p);
	assert_int_equal(rc, is_index_of_producer(off) ? -EBADMSG : 0);
	if (!is_index_of_consumer(off) && off != offsetof(struct rte_ring, cons.head))
		*word = good;
}

static void lies_are_harmless(uint32_t elem_bytes)
{
	struct fence f = fence_make(elem_bytes);

	for (size_t off = 0; off + 4 <= sizeof(struct rte_ring); off += 4) {
		for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
			struct pair p = pair_make(&f, elem_bytes);

			producer_survives(&p, &f, off, lies[i]);
			consumer_survives(&p, &f, off, lies[i]);
			// Own indices were told again, others' are right again: nothing was lost.
			assert_int_equal(put_next(&p), 0);
			drain(&p);
		}
	}
	fence_free(&f);
}

static void commands_survive(void **state)
{
	lies_are_harmless(sizeof(struct ring_command));
}

static void events_survive(void **state)
{
	lies_are_harmless(sizeof(struct ring_event));
}

static void packets_survive(void **state)
{
	lies_are_harmless(sizeof(struct ring_packet));
}

// What DPDK's own calls put, ours get, and the other way round.
static void is_an_rte_ring(void **state)
{
	const uint32_t bytes = sizeof(struct ring_event);
	struct fence f = fence_make(bytes);
	struct ring r;
	uint8_t in[sizeof(struct ring_event)], out[sizeof(struct ring_event)];

	assert_int_equal(ring_make(&r, f.at, "test", SLOTS, bytes), 0);
	for (uint32_t i = 0; i < 3 * SLOTS; i++) {
		fill(in, bytes, i);
		if (i % 2)
			assert_int_equal(ring_put(&r, in, bytes), 0);
		else
			assert_int_equal(
				rte_ring_sp_enqueue_bulk_elem(f.at, in, bytes, 1, NULL), 1);
		r.prod = f.at->prod.tail;
		assert_int_equal(rte_ring_count(f.at), 1);
		assert_int_equal(ring_count(&r), 1);
		assert_int_equal(ring_free_count(&r), SLOTS - 2);
		if (i % 4 < 2)
			assert_int_equal(ring_get(&r, out, bytes), 0);
		else
			assert_int_equal(
				rte_ring_sc_dequeue_bulk_elem(f.at, out, bytes, 1, NULL), 1);
		r.cons = f.at->cons.tail;
		assert_memory_equal(in, out, bytes);
	}
	fence_free(&f);
}

static void full_at_capacity(void **state)
{
	struct fence f = fence_make(4);
	struct pair p = { .elem_bytes = 4 };

	assert_int_equal(ring_make(&p.in, f.at, "test", SLOTS, 4), 0);
	assert_int_equal(ring_attach(&p.out, f.at, SLOTS, 4), 0);
	assert_int_equal(ring_make(&(struct ring){}, f.at, "test", SLOTS - 1, 4), -EINVAL);
	assert_int_equal(ring_attach(&(struct ring){}, f.at, SLOTS * 2, 4), -EINVAL);
	for (int i = 0; i < SLOTS - 1; i++)
		assert_int_equal(put_next(&p), 0);
	assert_int_equal(put_next(&p), -ENOBUFS);
	assert_int_equal(ring_free_count(&p.in), 0);
	drain(&p);
	fence_free(&f);
}

// A control that wrecked its indices died; the one that follows attaches, and both directions work.
static void next_control_mends(void **state)
{
	static const struct region_sizes sizes = { .n_workers = 1, .n_streams = 1, .n_peers = 1 };
	struct ring_command c = { .seq = 7 };
	struct ring_event e = { .seq = 8 };
	struct region edge, control;

	assert_int_equal(region_create(&sizes, &edge), 0);
	edge.rings[0].command->shared->prod.tail = 0x12345678;
	edge.rings[0].event->shared->cons.tail = 0x12345678;
	assert_int_equal(ring_get(edge.rings[0].command, &c, sizeof(c)), -EBADMSG);
	assert_int_equal(ring_put(edge.rings[0].event, &e, sizeof(e)), -EBADMSG);
	assert_int_equal(region_map(dup(edge.fd), &control), 0);
	assert_int_equal(ring_get(edge.rings[0].command, &c, sizeof(c)), -ENOENT);
	assert_int_equal(ring_put(control.rings[0].command, &c, sizeof(c)), 0);
	assert_int_equal(ring_get(edge.rings[0].command, &c, sizeof(c)), 0);
	assert_int_equal(c.seq, 7);
	assert_int_equal(ring_put(edge.rings[0].event, &e, sizeof(e)), 0);
	assert_int_equal(ring_get(control.rings[0].event, &e, sizeof(e)), 0);
	assert_int_equal(e.seq, 8);
	region_fini(&control);
	region_fini(&edge);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_survive),
		cmocka_unit_test(events_survive),
		cmocka_unit_test(packets_survive),
		cmocka_unit_test(is_an_rte_ring),
		cmocka_unit_test(full_at_capacity),
		cmocka_unit_test(next_control_mends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
