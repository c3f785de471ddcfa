// Which addresses viewers are told. The interface's come from a getifaddrs of the test.
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/media_address.h"

enum {
	PORT = 8189,
	MAX_LISTED = 24,
};

static struct ifaddrs listed[MAX_LISTED];
static struct sockaddr_in6 addresses[MAX_LISTED]; // room for either family
static unsigned int n_listed, n_freed;
static bool broken;

int __wrap_getifaddrs(struct ifaddrs **out);
void __wrap_freeifaddrs(struct ifaddrs *all);

int __wrap_getifaddrs(struct ifaddrs **out)
{
	if (broken) {
		errno = ENOMEM;
		return -1;
	}
	*out = n_listed ? listed : NULL;
	return 0;
}

void __wrap_freeifaddrs(struct ifaddrs *all)
{
	n_freed++;
}

// text: NULL for an entry without an address, as a tunnel has.
static void list(const char *ifname, const char *text)
{
	struct ifaddrs *i = &listed[n_listed];
	struct sockaddr_in6 *v6 = &addresses[n_listed];
	struct sockaddr_in *v4 = (struct sockaddr_in *)v6;

	assert_true(n_listed < MAX_LISTED);
	*i = (struct ifaddrs){ .ifa_name = (char *)ifname };
	if (n_listed)
		listed[n_listed - 1].ifa_next = i;
	n_listed++;
	if (!text)
		return;
	i->ifa_addr = (struct sockaddr *)v6;
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1)
		v4->sin_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1)
		v6->sin6_family = AF_INET6;
	else
		i->ifa_addr->sa_family = AF_PACKET;
}

static int set_up(void **state)
{
	memset(listed, 0, sizeof(listed));
	memset(addresses, 0, sizeof(addresses));
	n_listed = n_freed = 0;
	broken = false;
	return 0;
}

// Assert that found are these, in this order, each with the media port.
static void expect(const struct net_addr *found, uint8_t n, const char *const *want)
{
	uint8_t i = 0;

	for (; want[i]; i++) {
		struct net_addr addr;

		assert_true(i < n);
		assert_int_equal(net_ip_parse(want[i], &addr), 0);
		addr.port_be = htons(PORT);
		assert_memory_equal(&found[i], &addr, sizeof(addr));
	}
	assert_int_equal(n, i);
}

static void the_interfaces_addresses(void **state)
{
	static const char *const want[] = { "198.18.77.1", "198.18.78.1", "fd77::1", NULL };
	const struct conf conf = { .media.port = PORT };
	struct net_addr found[CONF_MAX_ADDRESSES];

	list("edge0", "link");
	list("edge0", NULL);
	list("lo", "203.0.113.9");
	list("edge0", "fd77::1");
	list("edge0", "198.18.77.1");
	list("edge01", "203.0.113.10");
	list("edge", "203.0.113.11");
	list("edge0", "198.18.78.1");
	expect(found, media_addresses_find(&conf, "edge0", found), want);
	assert_int_equal(n_freed, 2);
}

static void what_no_viewer_could_reach(void **state)
{
	static const char *const want[] = { "169.253.0.1", "128.0.0.1", "fec0::1", NULL };
	const struct conf conf = { .media.port = PORT };
	struct net_addr found[CONF_MAX_ADDRESSES];

	list("edge0", "127.0.0.1");
	list("edge0", "127.255.0.1");
	list("edge0", "169.254.1.1");
	list("edge0", "169.253.0.1");
	list("edge0", "128.0.0.1");
	list("edge0", "::1");
	list("edge0", "fe80::1");
	list("edge0", "febf::1");
	list("edge0", "fec0::1");
	expect(found, media_addresses_find(&conf, "edge0", found), want);
}

// A device that the kernel does not see has those that the data plane answers for.
static void the_data_planes_own(void **state)
{
	static const char *const want[] = { "198.18.77.1", "fd77::1", NULL };
	struct conf conf = { .media.port = PORT, .dataplane.n_addresses = 2 };
	struct net_addr found[CONF_MAX_ADDRESSES];

	assert_int_equal(net_ip_parse("198.18.77.1", &conf.dataplane.addresses[0].addr), 0);
	assert_int_equal(net_ip_parse("fd77::1", &conf.dataplane.addresses[1].addr), 0);
	expect(found, media_addresses_find(&conf, "", found), want);
}

static void configured_ones_come_alone(void **state)
{
	static const char *const want[] = { "127.0.0.1", "fd77::5", NULL };
	struct conf conf = { .media = { .port = PORT, .n_addresses = 2 } };
	struct net_addr found[CONF_MAX_ADDRESSES];

	list("edge0", "198.18.77.1");
	assert_int_equal(net_ip_parse("127.0.0.1", &conf.media.addresses[0]), 0);
	assert_int_equal(net_ip_parse("fd77::5", &conf.media.addresses[1]), 0);
	expect(found, media_addresses_find(&conf, "edge0", found), want);
}

static void a_nat_has_the_public_one_told(void **state)
{
	static const char *const want[] = { "203.0.113.5", "198.18.77.2", "2001:db8::5", NULL };
	struct conf conf = { .media = { .port = PORT, .n_nats = 3 } };
	struct net_addr found[CONF_MAX_ADDRESSES];

	list("edge0", "198.18.77.1");
	list("edge0", "198.18.77.2");
	list("edge0", "fd77::1");
	net_ip_parse("198.18.77.9", &conf.media.nats[0].local); // not of this interface
	net_ip_parse("203.0.113.9", &conf.media.nats[0].public);
	net_ip_parse("198.18.77.1", &conf.media.nats[1].local);
	net_ip_parse("203.0.113.5", &conf.media.nats[1].public);
	net_ip_parse("fd77::1", &conf.media.nats[2].local);
	net_ip_parse("2001:db8::5", &conf.media.nats[2].public);
	expect(found, media_addresses_find(&conf, "edge0", found), want);
}

static void there_may_be_none(void **state)
{
	const struct conf conf = { .media.port = PORT };
	struct net_addr found[CONF_MAX_ADDRESSES];

	list("", "198.18.77.1");
	assert_int_equal(media_addresses_find(&conf, "", found), 0);
	assert_int_equal(media_addresses_find(&conf, "edge0", found), 0);
	broken = true;
	assert_int_equal(media_addresses_find(&conf, "edge0", found), 0);
}

static void there_may_be_too_many(void **state)
{
	static const char *const want[] = { "198.18.77.1", "198.18.77.2", "198.18.77.3",
		"198.18.77.4", "198.18.77.5", "198.18.77.6", "198.18.77.7", "198.18.77.8", NULL };
	const struct conf conf = { .media.port = PORT };
	struct net_addr found[CONF_MAX_ADDRESSES + 1];

	memset(found, 0xee, sizeof(found));
	for (int i = 0; i < 8; i++)
		list("edge0", want[i]);
	list("edge0", "198.18.77.9");
	list("edge0", "fd77::1");
	expect(found, media_addresses_find(&conf, "edge0", found), want);
	assert_int_equal(found[CONF_MAX_ADDRESSES].family, 0xee);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_interfaces_addresses),
		TEST(the_data_planes_own),
		TEST(what_no_viewer_could_reach),
		TEST(configured_ones_come_alone),
		TEST(a_nat_has_the_public_one_told),
		TEST(there_may_be_none),
		TEST(there_may_be_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
