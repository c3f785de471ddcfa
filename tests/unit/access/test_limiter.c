// The limiter, with a clock of its own: rate, burst, sources, and a flood of addresses.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "control/access/limiter.h"

#define S UINT64_C(1000000000)

static struct limiter_key source(const char *ip)
{
	struct net_addr a;

	assert_int_equal(net_ip_parse(ip, &a), 0);
	a.port_be = (uint16_t)rand(); // another connection
	return limiter_key_of(&a);
}

static unsigned int take_all(struct limiter *l, const struct limiter_key *key, uint64_t now)
{
	unsigned int n = 0;

	while (n < 100000 && limiter_take(l, key, now) == 0)
		n++;
	return n;
}

static void burst_then_rate(void **state)
{
	struct limiter_key key = source("198.18.77.2");
	struct limiter *l;
	unsigned int n = 0;

	assert_int_equal(limiter_create(50, 200, &l), 0);
	for (uint64_t start = 0; start < 100 * S; start += 50 * S) {
		// However long it rested, no more than the burst.
		assert_int_equal(take_all(l, &key, start), 200);
		assert_int_equal(limiter_take(l, &key, start), S / 50);
		assert_int_equal(limiter_take(l, &key, start + S / 50 - 1), 1);
		n = 0;
		for (uint64_t t = 1; t <= 10 * S; t += S / 1000)
			n += limiter_take(l, &key, start + t) == 0;
		assert_in_range(n, 499, 500);
	}
	limiter_destroy(l);
}

static void bounds(void **state)
{
	struct limiter_key key = source("198.18.77.2");
	struct limiter *l = NULL;

	assert_int_equal(limiter_create(1, 0, &l), -EINVAL);
	assert_int_equal(limiter_create(1000000001, 1, &l), -EINVAL);
	assert_null(l);
	assert_int_equal(limiter_create(0, 0, &l), 0);
	assert_int_equal(take_all(l, &key, 1), 100000);
	limiter_destroy(l);
	assert_int_equal(limiter_create(1, 1, &l), 0);
	assert_int_equal(take_all(l, &key, 0), 1);
	assert_int_equal(limiter_take(l, &key, 0), S);
	assert_int_equal(limiter_take(l, &key, S), 0);
	limiter_destroy(l);
	assert_int_equal(limiter_create(1000000, 1000000, &l), 0);
	assert_int_equal(take_all(l, &key, 0), 100000);
	limiter_destroy(l);
	limiter_destroy(NULL);
}

static void sources(void **state)
{
	static const struct {
		const char *ip;
		bool fresh;
	} rows[] = {
		{ "198.18.77.2", true }, { "198.18.77.2", false }, { "198.18.77.3", true },
		{ "fd77::1", true }, { "fd77::2", false }, // the same /64
		{ "fd77::ffff:ffff:ffff:ffff", false }, { "fd77:0:0:1::1", true },
		{ "::ffff:198.18.77.3", false },
		{ "c612:4d02::1", true }, // the bytes of 198.18.77.2
	};
	struct limiter_key holder = source("198.18.77.2");
	struct limiter *l;

	assert_int_equal(limiter_create(1, 1, &l), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct limiter_key key = source(rows[i].ip);

		if ((limiter_take(l, &key, 0) == 0) != rows[i].fresh)
			fail_msg("row %zu: %s", i, rows[i].ip);
	}
	holder.kind = LIMITER_HOLDER;
	assert_int_equal(limiter_take(l, &holder, 0), 0);
	limiter_destroy(l);
}

// A million addresses take no more memory than one, and do not free one that is over its limit
// while emptier buckets stand beside it.
static void flood(void **state)
{
	struct limiter_key greedy = source("198.18.77.2");
	struct limiter *l;
	size_t before, got = 0;

	assert_int_equal(limiter_create(10, 20, &l), 0);
	assert_int_equal(take_all(l, &greedy, 0), 20);
	before = mallinfo2().uordblks + mallinfo2().hblkhd;
	for (uint32_t i = 1; i <= 1000000; i++) {
		struct net_addr a = { .family = NET_IPV4 };
		struct limiter_key key;

		memcpy(a.ip, &i, sizeof(i));
		key = limiter_key_of(&a);
		assert_int_equal(limiter_take(l, &key, i), 0);
		got += limiter_take(l, &greedy, i) == 0;
	}
	assert_int_equal(mallinfo2().uordblks + mallinfo2().hblkhd, before);
	assert_int_equal(got, 0);
	limiter_destroy(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(burst_then_rate),
		cmocka_unit_test(bounds),
		cmocka_unit_test(sources),
		cmocka_unit_test(flood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
