#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "dataplane/abi/net.h"

static void test_good_addresses(void **state)
{
	static const struct {
		const char *text;
		const char *shown;
		enum net_family family;
	} rows[] = {
		{ "0.0.0.0", "0.0.0.0:0", NET_IPV4 },
		{ "198.18.77.2", "198.18.77.2:0", NET_IPV4 },
		{ "255.255.255.255", "255.255.255.255:0", NET_IPV4 },
		{ "::", "[::]:0", NET_IPV6 },
		{ "::1", "[::1]:0", NET_IPV6 },
		{ "FD77::0002", "[fd77::2]:0", NET_IPV6 },
		{ "::198.18.77.2", "[::198.18.77.2]:0", NET_IPV6 },
		{ "::fffe:198.18.77.2", "[::fffe:c612:4d02]:0", NET_IPV6 },
		// v4-mapped (RFC 4291 2.5.5.2), in both spellings
		{ "::ffff:198.18.77.2", "198.18.77.2:0", NET_IPV4 },
		{ "::ffff:c612:4d02", "198.18.77.2:0", NET_IPV4 },
	};
	char text[NET_ADDR_TEXT_BYTES];
	struct net_addr addr;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(&addr, 0xa5, sizeof(addr));
		assert_int_equal(net_ip_parse(rows[i].text, &addr), 0);
		assert_string_equal(net_addr_text(&addr, text), rows[i].shown);
		assert_int_equal(addr.family, rows[i].family);
		assert_int_equal(addr.zero, 0);
	}
}

// Equality is one memcmp: a mapped address must leave nothing behind in the other bytes.
static void test_mapped_equals_plain(void **state)
{
	struct net_addr plain, mapped;

	assert_int_equal(net_ip_parse("198.18.77.2", &plain), 0);
	assert_int_equal(net_ip_parse("::ffff:198.18.77.2", &mapped), 0);
	assert_true(net_addr_equal(&plain, &mapped));
	assert_true(net_ip_equal(&plain, &mapped));
	mapped.port_be = htons(5000);
	assert_false(net_addr_equal(&plain, &mapped));
	assert_true(net_ip_equal(&plain, &mapped));
}

static void test_bad_addresses(void **state)
{
	static const char *const rows[] = { "", " ", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4",
		"1.2.3.4 ", " 1.2.3.4", "1.2.3.4:80", "0x1.2.3.4", "16909060", "[::1]", "::1%lo",
		":::", "1::2::3", "12345::", "fd77::2/64", "edge.example", "::ffff:1.2.3.256" };
	struct net_addr addr, before;

	memset(&before, 0xa5, sizeof(before));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		addr = before;
		assert_int_equal(net_ip_parse(rows[i], &addr), -EINVAL);
		assert_memory_equal(&addr, &before, sizeof(addr));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_addresses),
		cmocka_unit_test(test_mapped_equals_plain),
		cmocka_unit_test(test_bad_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
