// What a host says unasked, byte for byte.
// Source: RFC 826; RFC 5227 2.1.1, 2.3; RFC 4861 4.1, 4.3, 4.4, 7.2.6; RFC 4862 5.4.2.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "dataplane/host/compose.h"
#include "tests/unit/host/frames.h"

static const uint8_t their_mac[6] = { 2, 0, 0, 0, 0, 2 };

static struct host_addresses addresses(uint16_t vlan)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
	struct conf conf = { .dataplane = { .vlan = vlan, .n_addresses = 2 } };
	struct host_addresses us;

	assert_int_equal(net_ip_parse("198.18.77.1", &conf.dataplane.addresses[0].addr), 0);
	assert_int_equal(net_ip_parse("fd77::1", &conf.dataplane.addresses[1].addr), 0);
	conf.dataplane.addresses[0].bits = 24;
	conf.dataplane.addresses[1].bits = 64;
	host_addresses_make(&us, &conf, mac, false);
	assert_int_equal(us.n, 2);
	return us;
}

static void must_be(const uint8_t *frame, uint16_t n, const struct frame_sample *want)
{
	assert_int_equal(n, want->n);
	assert_memory_equal(frame, want->bytes, n);
}

static void announcements(void **state)
{
	struct host_addresses us = addresses(0);
	uint8_t frame[HOST_FRAME_MAX_BYTES];

	must_be(frame, host_compose_announcement(&us, &us.list[0], frame), &announce4);
	must_be(frame, host_compose_announcement(&us, &us.list[1], frame), &announce6);
}

static void probes(void **state)
{
	struct host_addresses us = addresses(0);
	uint8_t frame[HOST_FRAME_MAX_BYTES];

	must_be(frame, host_compose_probe(&us, &us.list[0], frame), &probe4);
	must_be(frame, host_compose_probe(&us, &us.list[1], frame), &probe6);
}

static void solicit(const char *whom, uint16_t vlan, bool alone, const struct frame_sample *want)
{
	struct host_addresses us = addresses(vlan);
	uint8_t frame[HOST_FRAME_MAX_BYTES];
	const struct host_address *from;
	struct net_addr addr;

	assert_int_equal(net_ip_parse(whom, &addr), 0);
	from = host_address_toward(&us, &addr);
	assert_non_null(from);
	must_be(frame, host_compose_solicitation(&us, from, &addr, alone ? their_mac : NULL, frame),
		want);
}

static void solicitations(void **state)
{
	struct host_addresses us = addresses(0);
	uint8_t frame[HOST_FRAME_MAX_BYTES];

	solicit("198.18.77.254", 0, false, &who4);
	solicit("198.18.77.254", 100, true, &who4_it_vlan);
	solicit("fd77::2", 0, false, &who6);
	solicit("fd77::2", 0, true, &who6_it);
	must_be(frame, host_compose_router_solicitation(&us, &us.list[1], frame), &routers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(announcements),
		cmocka_unit_test(probes),
		cmocka_unit_test(solicitations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
