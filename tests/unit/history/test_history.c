// A history gives back what was put, whole or not at all, whoever writes meanwhile.
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dataplane/history/history.h"

enum {
	SMALL_BYTES = 64 * 1024,
	MAX_BYTES = 1200,
	N_READERS = 3,
	N_RACED = 100000,
};

// Told by the sequence number, so that a mix of two packets shows. Of every size.
static uint16_t payload_make(uint64_t seq, uint8_t out[MAX_BYTES])
{
	uint64_t x = seq * 0x9e3779b97f4a7c15ULL | 1;
	uint16_t bytes = (uint16_t)(1 + x % MAX_BYTES);

	for (uint16_t i = 0; i < bytes; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		out[i] = (uint8_t)x;
	}
	return bytes;
}

static struct history_meta meta_make(uint64_t seq)
{
	uint8_t payload[MAX_BYTES];

	return (struct history_meta){ .seq = seq,
		.ts = (uint32_t)seq * 3000,
		.frame = (uint32_t)seq,
		.rx_ns = seq * 1000000,
		.payload_bytes = payload_make(seq, payload),
		.marker = seq & 1,
		.params = seq & 2,
		.begins = seq & 4,
		.key = seq & 8 };
}

static int put(struct history *h, uint64_t seq)
{
	struct history_meta m = meta_make(seq);
	uint8_t payload[MAX_BYTES];

	payload_make(seq, payload);
	return history_put(h, &m, payload);
}

// Return: whether it is there; it must be right then.
static bool there(const struct history *h, uint64_t seq)
{
	const struct history_meta want = meta_make(seq);
	uint8_t payload[MAX_BYTES], got[MAX_BYTES];
	struct history_meta m, looked;

	memset(&m, 0, sizeof(m));
	if (history_get(h, seq, got, sizeof(got), &m) < 0) {
		assert_int_equal(history_look(h, seq, &looked), -ENOENT);
		return false;
	}
	payload_make(seq, payload);
	assert_int_equal(m.seq, want.seq);
	assert_int_equal(m.ts, want.ts);
	assert_int_equal(m.frame, want.frame);
	assert_int_equal(m.rx_ns, want.rx_ns);
	assert_int_equal(m.payload_bytes, want.payload_bytes);
	assert_true(m.marker == want.marker && m.params == want.params && m.begins == want.begins &&
		    m.key == want.key);
	assert_memory_equal(got, payload, m.payload_bytes);
	assert_int_equal(history_look(h, seq, &looked), 0);
	assert_int_equal(looked.ts, want.ts);
	return true;
}

static void what_was_put_comes_back(void **state)
{
	struct history *h;
	uint8_t small[4];
	struct history_meta m;
	uint64_t seq;

	assert_int_equal(history_create(SMALL_BYTES, 16, &h), 0);
	assert_int_equal(history_newest(h, &seq), -ENOENT);
	assert_int_equal(history_last_key(h, &seq), -ENOENT);
	assert_false(there(h, 0));
	for (uint64_t i = 0; i < 5; i++)
		assert_int_equal(put(h, 65533 + i), 0);
	for (uint64_t i = 0; i < 5; i++)
		assert_true(there(h, 65533 + i));
	assert_false(there(h, 65532));
	assert_false(there(h, 65538));
	assert_false(there(h, 65533 + 16));
	assert_int_equal(history_newest(h, &seq), 0);
	assert_int_equal(seq, 65537);
	assert_true(meta_make(65534).payload_bytes > sizeof(small));
	assert_int_equal(history_get(h, 65534, small, sizeof(small), &m), -EMSGSIZE);
	history_destroy(h);
}

// Sixteen places: the seventeenth packet takes the first one's.
static void entries_wrap(void **state)
{
	struct history *h;

	assert_int_equal(history_create(1 << 20, 13, &h), 0);
	for (uint64_t seq = 100; seq < 1000; seq++) {
		assert_int_equal(put(h, seq), 0);
		assert_true(there(h, seq));
		for (uint64_t back = 0; back < 40 && seq - back >= 100; back++)
			assert_true(there(h, seq - back) == (back < 16));
	}
	history_destroy(h);
}

// Bytes run out long before places do: what is there is the newest, and about as much as fits.
static void bytes_wrap(void **state)
{
	struct history *h;
	uint64_t last = 2000;

	assert_int_equal(history_create(SMALL_BYTES, 4096, &h), 0);
	for (uint64_t seq = 0; seq <= last; seq++) {
		uint64_t kept = 0, n = 0;

		assert_int_equal(put(h, seq), 0);
		if (seq % 97 && seq != last)
			continue;
		for (; n <= seq && there(h, seq - n); n++)
			kept += meta_make(seq - n).payload_bytes;
		for (uint64_t older = n + 1; older <= seq; older++)
			assert_false(there(h, seq - older));
		assert_true(kept <= SMALL_BYTES);
		assert_true(n > seq || kept > SMALL_BYTES - MAX_BYTES - 8 * n);
	}
	history_destroy(h);
}

// The largest payload that can be.
static void one_packet_may_take_nearly_all(void **state)
{
	static uint8_t payload[HISTORY_PAYLOAD_MAX_BYTES], got[HISTORY_PAYLOAD_MAX_BYTES];
	struct history_meta m = { .payload_bytes = HISTORY_PAYLOAD_MAX_BYTES }, out;
	struct history *h;

	assert_int_equal(history_create(SMALL_BYTES, 16, &h), 0);
	for (m.seq = 0; m.seq < 5; m.seq++) {
		memset(payload, (int)m.seq + 1, sizeof(payload));
		assert_int_equal(history_put(h, &m, payload), 0);
		assert_int_equal(history_get(h, m.seq, got, sizeof(got), &out), 0);
		assert_memory_equal(got, payload, sizeof(got));
		if (m.seq)
			assert_int_equal(history_look(h, m.seq - 1, &out), -ENOENT);
	}
	history_destroy(h);
}

static void gaps_stay_and_late_packets_fill_them(void **state)
{
	struct history *h;
	uint64_t seq;

	assert_int_equal(history_create(SMALL_BYTES, 16, &h), 0);
	assert_int_equal(put(h, 10), 0);
	assert_int_equal(put(h, 13), 0);
	assert_false(there(h, 11) || there(h, 12));
	assert_int_equal(put(h, 12), 0);
	assert_int_equal(put(h, 12), -EEXIST);
	assert_true(there(h, 10) && there(h, 12) && there(h, 13) && !there(h, 11));
	assert_int_equal(history_newest(h, &seq), 0);
	assert_int_equal(seq, 13);
	// A leap over all places: what was is gone, though its entry was not written over.
	assert_int_equal(put(h, 40), 0);
	assert_int_equal(put(h, 24), -ESTALE);
	assert_int_equal(put(h, 11), -ESTALE);
	assert_int_equal(put(h, 25), 0);
	assert_true(there(h, 25) && there(h, 40));
	assert_int_equal(put(h, 41), 0);
	assert_false(there(h, 25));
	history_destroy(h);
}

static void put_frame(struct history *h, uint64_t seq, uint32_t frame, bool key)
{
	const struct history_meta m = {
		.seq = seq, .frame = frame, .ts = frame * 3000, .key = key, .payload_bytes = 1000
	};
	static const uint8_t payload[1000];

	assert_int_equal(history_put(h, &m, payload), 0);
}

static void expect_key(const struct history *h, uint64_t want)
{
	uint64_t seq = 0;

	assert_int_equal(history_last_key(h, &seq), 0);
	assert_int_equal(seq, want);
}

static void the_newest_key_frame_is_found(void **state)
{
	struct history *h;
	uint64_t seq;

	assert_int_equal(history_create(SMALL_BYTES, 256, &h), 0);
	put_frame(h, 10, 1, false);
	assert_int_equal(history_last_key(h, &seq), -ENOENT);
	put_frame(h, 11, 2, false); // parameter sets
	put_frame(h, 12, 2, false);
	put_frame(h, 13, 2, true);
	expect_key(h, 11);
	put_frame(h, 14, 2, true); // a second slice
	expect_key(h, 11);
	put_frame(h, 15, 3, false);
	expect_key(h, 11);
	put_frame(h, 16, 4, true);
	expect_key(h, 16);
	// The parameter sets of the next one were overtaken.
	put_frame(h, 19, 5, true);
	expect_key(h, 19);
	put_frame(h, 18, 5, false);
	expect_key(h, 18);
	put_frame(h, 17, 4, false);
	expect_key(h, 18);
	// An older one that comes late is not the newest.
	put_frame(h, 30, 9, true);
	put_frame(h, 29, 8, true);
	expect_key(h, 30);
	// Its room goes to newer packets.
	for (uint64_t i = 2; i < SMALL_BYTES / 1000; i++)
		put_frame(h, 29 + i, 10, false);
	expect_key(h, 30);
	put_frame(h, 29 + SMALL_BYTES / 1000, 10, false);
	assert_int_equal(history_last_key(h, &seq), -ENOENT);
	history_destroy(h);
}

static void sizes_are_judged(void **state)
{
	struct history *h = NULL;

	assert_int_equal(history_create(1000, 16, &h), -EINVAL);
	assert_int_equal(history_create(SMALL_BYTES, 0, &h), -EINVAL);
	assert_int_equal(history_create(SMALL_BYTES, UINT32_MAX, &h), -EINVAL);
	assert_int_equal(history_create(SIZE_MAX - 7, 16, &h), -ENOMEM);
	assert_null(h);
	history_destroy(NULL);
}

// ---- threads -----------------------------------------------------------------------------------

struct race {
	struct history *h;
	atomic_bool done;
	pthread_barrier_t start;
};

struct reader {
	struct race *race;
	pthread_t thread;
	uint64_t n_got, n_gone, n_wrong;
};

// Around where packets go: half of what a reader asks for is about to be overwritten.
static void *read_all(void *arg)
{
	struct reader *r = arg;
	uint8_t want[MAX_BYTES], got[MAX_BYTES];
	uint64_t newest = 0, x = (uintptr_t)r | 1;

	pthread_barrier_wait(&r->race->start);
	while (!atomic_load(&r->race->done)) {
		struct history_meta m;
		uint64_t seq;

		if (history_newest(r->race->h, &newest) < 0)
			continue;
		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		seq = newest - (x >> 33) % 130;
		if (seq > newest)
			continue;
		if (history_get(r->race->h, seq, got, sizeof(got), &m) < 0) {
			r->n_gone++;
			continue;
		}
		r->n_got++;
		if (m.seq != seq || m.frame != (uint32_t)seq || m.rx_ns != seq * 1000000 ||
			m.payload_bytes != payload_make(seq, want) ||
			memcmp(got, want, m.payload_bytes) != 0)
			r->n_wrong++;
	}
	return NULL;
}

static void readers_race_the_writer(void **state)
{
	struct race race = { 0 };
	struct reader readers[N_READERS] = { 0 };

	assert_int_equal(history_create(SMALL_BYTES, 64, &race.h), 0);
	pthread_barrier_init(&race.start, NULL, N_READERS + 1);
	for (int i = 0; i < N_READERS; i++) {
		readers[i].race = &race;
		pthread_create(&readers[i].thread, NULL, read_all, &readers[i]);
	}
	pthread_barrier_wait(&race.start);
	for (uint64_t seq = 0; seq < N_RACED; seq++)
		assert_int_equal(put(race.h, seq), 0);
	atomic_store(&race.done, true);
	for (int i = 0; i < N_READERS; i++) {
		pthread_join(readers[i].thread, NULL);
		assert_int_equal(readers[i].n_wrong, 0);
		assert_true(readers[i].n_got > 100);
		assert_true(readers[i].n_gone > 100);
	}
	pthread_barrier_destroy(&race.start);
	history_destroy(race.h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_put_comes_back),
		cmocka_unit_test(entries_wrap),
		cmocka_unit_test(bytes_wrap),
		cmocka_unit_test(one_packet_may_take_nearly_all),
		cmocka_unit_test(gaps_stay_and_late_packets_fill_them),
		cmocka_unit_test(the_newest_key_frame_is_found),
		cmocka_unit_test(sizes_are_judged),
		cmocka_unit_test(readers_race_the_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
