// A gateway's life, second by second.
// Source: RFC 1122 2.3.2.1; RFC 4861 6.3.4, 7.3.3.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "dataplane/host/gateway.h"

#define S 1000000000ULL

static struct host_gateway g;
static const uint8_t mac_a[6] = { 2, 0, 0, 0, 0, 0xa }, mac_b[6] = { 2, 0, 0, 0, 0xff, 0xb };

static void begin(const char *ip)
{
	struct net_addr addr = { 0 };

	if (strcmp(ip, "auto") == 0)
		addr.family = NET_IPV6;
	else if (*ip)
		assert_int_equal(net_ip_parse(ip, &addr), 0);
	host_gateway_init(&g, &addr);
}

static struct host_neighbour neighbour(const char *ip, const uint8_t mac[6])
{
	struct host_neighbour n = { 0 };

	assert_int_equal(net_ip_parse(ip, &n.ip), 0);
	memcpy(n.mac, mac, 6);
	return n;
}

static bool hear(const char *ip, const uint8_t mac[6], uint64_t now_ns)
{
	struct host_neighbour n = neighbour(ip, mac);

	return host_gateway_hear(&g, &n, now_ns);
}

static bool hear_router(const char *ip, const uint8_t mac[6], uint16_t lifetime_s, uint64_t now_ns)
{
	struct host_neighbour n = neighbour(ip, mac);

	n.router = true;
	n.lifetime_s = lifetime_s;
	return host_gateway_hear(&g, &n, now_ns);
}

static void is_at(const uint8_t *mac)
{
	uint8_t found[6];

	assert_int_equal(host_gateway_mac(&g, found), mac != NULL);
	if (mac)
		assert_memory_equal(found, mac, 6);
}

static void due(uint64_t now_ns, enum host_question want, bool want_changed)
{
	bool changed;

	assert_int_equal(host_gateway_due(&g, now_ns, &changed), want);
	assert_int_equal(changed, want_changed);
}

static void none_configured(void **state)
{
	begin("");
	due(100 * S, HOST_ASK_NOBODY, false);
	assert_false(hear("198.18.77.2", mac_a, S));
	is_at(NULL);
}

static void asked_until_it_answers(void **state)
{
	begin("198.18.77.2");
	due(10 * S, HOST_ASK_ALL, false);
	due(10 * S + S / 2, HOST_ASK_NOBODY, false);
	due(11 * S, HOST_ASK_ALL, false);
	assert_false(hear("198.18.77.3", mac_a, 11 * S));
	assert_false(hear("fd77::2", mac_a, 11 * S));
	is_at(NULL);
	assert_true(hear("198.18.77.2", mac_a, 11 * S));
	is_at(mac_a);
	assert_false(hear("198.18.77.2", mac_a, 12 * S));
	due(41 * S, HOST_ASK_NOBODY, false);
	due(42 * S, HOST_ASK_IT, false);
	assert_false(hear("198.18.77.2", mac_a, 42 * S));
	due(71 * S, HOST_ASK_NOBODY, false);
}

static void another_takes_over(void **state)
{
	begin("198.18.77.2");
	assert_true(hear("198.18.77.2", mac_a, S));
	assert_true(hear("198.18.77.2", mac_b, 2 * S));
	is_at(mac_b);
}

// RFC 4861 7.2.5: without Override what is known stays, and is asked.
static void another_claims_it_timidly(void **state)
{
	struct host_neighbour n = neighbour("fd77::2", mac_b);

	n.timid = true;
	begin("fd77::2");
	assert_true(hear("fd77::2", mac_a, S));
	for (int i = 0; i < 10; i++)
		assert_false(host_gateway_hear(&g, &n, 2 * S));
	is_at(mac_a);
	due(2 * S, HOST_ASK_NOBODY, false);
	due(3 * S, HOST_ASK_IT, false);
	assert_false(host_gateway_hear(&g, &n, 3 * S));
	due(3 * S + S / 2, HOST_ASK_NOBODY, false);
	memcpy(n.mac, mac_a, 6);
	assert_false(host_gateway_hear(&g, &n, 3 * S + S / 2)); // it is where it was
	due(32 * S, HOST_ASK_NOBODY, false);
	memcpy(n.mac, mac_b, 6);
	begin("fd77::2");
	assert_true(host_gateway_hear(&g, &n, 40 * S)); // better than nothing
	is_at(mac_b);
}

static void falls_silent(void **state)
{
	begin("fd77::2");
	assert_true(hear("fd77::2", mac_a, S));
	for (unsigned int i = 31; i < 34; i++)
		due(i * S, HOST_ASK_IT, false);
	for (unsigned int i = 34; i < 37; i++)
		due(i * S, HOST_ASK_ALL, false);
	is_at(mac_a);
	due(37 * S, HOST_ASK_ALL, true);
	is_at(NULL);
	due(46 * S, HOST_ASK_NOBODY, false); // rarely from here on
	due(47 * S, HOST_ASK_ALL, false);
	assert_true(hear("fd77::2", mac_a, 48 * S));
	is_at(mac_a);
	host_gateway_hurry(&g, 49 * S); // the link was away
	due(49 * S, HOST_ASK_IT, false);
}

static void advertised(void **state)
{
	begin("auto");
	due(S, HOST_ASK_ROUTERS, false);
	assert_false(hear("fd77::2", mac_a, S));
	assert_true(hear_router("fe80::2", mac_a, 60, 2 * S));
	is_at(mac_a);
	assert_false(hear_router("fe80::3", mac_b, 60, 3 * S)); // the first stays
	assert_false(hear_router("fe80::3", mac_b, 0, 3 * S));
	is_at(mac_a);
	due(32 * S, HOST_ASK_IT, false);
	assert_false(hear("fe80::2", mac_a, 32 * S));
	due(62 * S, HOST_ASK_ROUTERS, true); // its lifetime is over
	is_at(NULL);
	assert_true(hear_router("fe80::3", mac_b, 60, 63 * S));
	is_at(mac_b);
	assert_true(hear_router("fe80::3", mac_b, 0, 64 * S)); // says good-bye
	is_at(NULL);
	due(64 * S, HOST_ASK_ROUTERS, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(none_configured),
		cmocka_unit_test(asked_until_it_answers),
		cmocka_unit_test(another_takes_over),
		cmocka_unit_test(another_claims_it_timidly),
		cmocka_unit_test(falls_silent),
		cmocka_unit_test(advertised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
