// What is answered, byte for byte; what is learned; and what is refused, one broken rule at a time.
// Source: RFC 826; RFC 5227; RFC 792; RFC 1122 3.2.1.3, 3.2.2.6; RFC 4443; RFC 4861 6.1.2, 7.1.1,
// 7.1.2, 7.2.4.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "dataplane/host/judge.h"
#include "dataplane/host/wire.h"
#include "tests/unit/host/frames.h"

static const uint8_t our_mac[6] = { 2, 0, 0, 0, 0, 1 }, their_mac[6] = { 2, 0, 0, 0, 0, 2 };

static struct host_addresses addresses(uint16_t vlan)
{
	struct conf conf = { .dataplane = { .vlan = vlan, .n_addresses = 2 } };
	struct host_addresses us;

	assert_int_equal(net_ip_parse("198.18.77.1", &conf.dataplane.addresses[0].addr), 0);
	assert_int_equal(net_ip_parse("fd77::1", &conf.dataplane.addresses[1].addr), 0);
	conf.dataplane.addresses[0].bits = 24;
	conf.dataplane.addresses[1].bits = 64;
	host_addresses_make(&us, &conf, our_mac, true);
	return us;
}

// The frame stands at the end of heap memory of just the room that is promised.
static struct host_judgement judge(const struct host_addresses *us, const uint8_t *bytes,
	uint16_t n, uint8_t answer[HOST_ROOM_BYTES])
{
	uint16_t cap = n > HOST_ROOM_BYTES ? n : HOST_ROOM_BYTES;
	uint8_t *frame = malloc(cap);
	struct host_judgement j;

	memset(frame, 0xee, cap);
	memcpy(frame, bytes, n);
	host_judge(us, frame, n, cap, &j);
	if (j.verdict != HOST_REPLY)
		assert_memory_equal(frame, bytes, n);
	memcpy(answer, frame, HOST_ROOM_BYTES);
	free(frame);
	return j;
}

static void answers(void **state)
{
	static const struct {
		const struct frame_sample *ask, *say;
		uint16_t vlan;
		enum region_host_count kind;
	} rows[] = {
		{ &arp_ask, &arp_say, 0, REGION_HOST_ARP_REPLY },
		{ &arp_ask_vlan, &arp_say_vlan, 0, REGION_HOST_ARP_REPLY },
		{ &arp_ask_vlan, &arp_say_vlan, 100, REGION_HOST_ARP_REPLY },
		{ &arp_probe, &arp_probe_say, 0, REGION_HOST_ARP_REPLY },
		{ &ping_ask, &ping_say, 0, REGION_HOST_ECHO_REPLY },
		{ &ping_ask_vlan, &ping_say_vlan, 0, REGION_HOST_ECHO_REPLY },
		{ &ping6_ask, &ping6_say, 0, REGION_HOST_ECHO_REPLY },
		{ &ping6_ask_vlan, &ping6_say_vlan, 100, REGION_HOST_ECHO_REPLY },
		{ &ns_ask, &ns_say, 0, REGION_HOST_ADVERT },
		{ &ns_ask_vlan, &ns_say_vlan, 0, REGION_HOST_ADVERT },
		{ &ns_bare, &ns_say, 0, REGION_HOST_ADVERT },
		{ &ns_probe, &ns_probe_say, 0, REGION_HOST_ADVERT },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct host_addresses us = addresses(rows[i].vlan);
		uint8_t answer[HOST_ROOM_BYTES];
		struct host_judgement j = judge(&us, rows[i].ask->bytes, rows[i].ask->n, answer);

		assert_int_equal(j.verdict, HOST_REPLY);
		assert_int_equal(j.kind, rows[i].kind);
		assert_int_equal(j.echo, rows[i].kind == REGION_HOST_ECHO_REPLY);
		assert_false(j.conflict);
		assert_int_equal(j.bytes, rows[i].say->n);
		assert_memory_equal(answer, rows[i].say->bytes, rows[i].say->n);
	}
}

// A request without its padding is answered by a whole frame, and none of ours leaks into it.
static void short_request(void **state)
{
	struct host_addresses us = addresses(0);
	uint8_t answer[HOST_ROOM_BYTES];
	struct host_judgement j = judge(&us, arp_ask.bytes, ETH_BYTES + ARP_BYTES, answer);

	assert_int_equal(j.verdict, HOST_REPLY);
	assert_int_equal(j.bytes, ETH_MIN_BYTES);
	assert_memory_equal(answer, arp_say.bytes, ETH_MIN_BYTES);
}

static void learned(void **state)
{
	static const struct {
		const struct frame_sample *frame;
		const char *ip; // NULL nothing
		enum host_verdict verdict;
	} rows[] = {
		{ &arp_ask, "198.18.77.2", HOST_REPLY },
		{ &arp_reply, "198.18.77.2", HOST_PASS },
		{ &arp_probe, NULL, HOST_REPLY },
		{ &ns_ask, "fd77::2", HOST_REPLY },
		{ &ns_bare, NULL, HOST_REPLY },
		{ &ns_probe, NULL, HOST_REPLY },
		{ &na, "fd77::2", HOST_PASS },
		{ &ra, "fe80::2", HOST_PASS },
		{ &ping_ask, NULL, HOST_REPLY },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct host_addresses us = addresses(0);
		struct net_addr want = { 0 };
		uint8_t answer[HOST_ROOM_BYTES];
		struct host_judgement j = judge(
			&us, rows[i].frame->bytes, rows[i].frame->n, answer);

		if (rows[i].ip)
			assert_int_equal(net_ip_parse(rows[i].ip, &want), 0);
		assert_int_equal(j.verdict, rows[i].verdict);
		assert_true(net_addr_equal(&j.neighbour.ip, &want));
		if (rows[i].ip)
			assert_memory_equal(j.neighbour.mac, their_mac, 6);
		assert_int_equal(j.neighbour.router, rows[i].frame == &ra);
		assert_int_equal(j.neighbour.lifetime_s, rows[i].frame == &ra ? 1800 : 0);
	}
}

// ---- one thing changed -------------------------------------------------------------------------

enum sums {
	AS_THEY_ARE,
	MENDED, // else the checksum alone would refuse it
};

struct change {
	const struct frame_sample *frame;
	const char *what;
	enum host_verdict verdict;
	enum sums sums;
	uint16_t at;
	uint8_t to[20];
	uint8_t n;
	uint16_t cut; // to so many bytes; 0: not
};

#define V4	ETH_BYTES
#define C4	(ETH_BYTES + IP4_BYTES)
#define V6	ETH_BYTES
#define C6	(ETH_BYTES + IP6_BYTES)
#define IS(...) { __VA_ARGS__ }, sizeof((uint8_t[]){ __VA_ARGS__ }), 0

static const struct change changes[] = {
	{ &arp_ask, "from a group", HOST_BAD, 0, 6, IS(1) },
	{ &arp_ask, "our own, come back", HOST_OTHER, 0, 11, IS(1) },
	{ &arp_ask, "to another card", HOST_OTHER, 0, 0, IS(2, 0, 0, 0, 0, 3) },
	{ &arp_ask, "of no Ethernet", HOST_BAD, 0, 15, IS(6) },
	{ &arp_ask, "of no IPv4", HOST_BAD, 0, 16, IS(0x86, 0xdd) },
	{ &arp_ask, "MAC of 8 bytes", HOST_BAD, 0, 18, IS(8) },
	{ &arp_ask, "address of 16 bytes", HOST_BAD, 0, 19, IS(16) },
	{ &arp_ask, "sender at a group's MAC", HOST_BAD, 0, 22, IS(3) },
	{ &arp_ask, "sender at no MAC", HOST_BAD, 0, 22, IS(0, 0, 0, 0, 0, 0) },
	{ &arp_ask, "sender is a group", HOST_BAD, 0, 28, IS(224) },
	{ &arp_ask, "sender is broadcast", HOST_BAD, 0, 28, IS(255, 255, 255, 255) },
	{ &arp_ask, "sender is loopback", HOST_BAD, 0, 28, IS(127) },
	{ &arp_ask, "cut", HOST_BAD, 0, 0, { 0xff }, 1, ETH_BYTES + ARP_BYTES - 1 },
	{ &arp_ask, "another's address", HOST_PASS, 0, 41, IS(9) },
	{ &arp_ask, "another operation", HOST_PASS, 0, 21, IS(3) },
	{ &arp_ask, "no header", HOST_BAD, 0, 0, { 0xff }, 1, ETH_BYTES - 1 },
	{ &arp_ask_vlan, "half a tag", HOST_BAD, 0, 0, { 0xff }, 1, ETH_BYTES + 3 },

	{ &ping_ask, "another's address", HOST_PASS, MENDED, V4 + IP4_DST + 3, IS(9) },
	{ &ping_ask, "header sum", HOST_BAD, 0, V4 + IP4_TTL, IS(16) },
	{ &ping_ask, "sum", HOST_BAD, 0, C4 + 12, IS('x') },
	{ &ping_ask, "code", HOST_BAD, MENDED, C4 + 1, IS(1) },
	{ &ping_ask, "to all cards", HOST_BAD, 0, 0, IS(255, 255, 255, 255, 255, 255) },
	{ &ping_ask, "longer than the frame", HOST_BAD, MENDED, V4 + IP4_TOTAL, IS(0, 47) },
	{ &ping_ask, "shorter than a ping", HOST_BAD, MENDED, V4 + IP4_TOTAL, IS(0, 27) },
	{ &ping_ask, "cut", HOST_PASS, 0, 0, { 2 }, 1, C4 + 7 },
	{ &ping_ask, "a fragment", HOST_PASS, MENDED, V4 + IP4_FRAGMENT, IS(0x20) },
	{ &ping_ask, "options", HOST_PASS, 0, V4, IS(0x46) },
	{ &ping_ask, "an answer", HOST_PASS, MENDED, C4, IS(0) },
	{ &ping_ask, "from a group", HOST_BAD, MENDED, V4 + IP4_SRC, IS(224) },
	{ &ping_ask, "from broadcast", HOST_BAD, MENDED, V4 + IP4_SRC, IS(255, 255, 255, 255) },
	{ &ping_ask, "from the link's broadcast", HOST_BAD, MENDED, V4 + IP4_SRC + 3, IS(255) },
	{ &ping_ask, "from nobody", HOST_BAD, MENDED, V4 + IP4_SRC, IS(0, 0, 0, 0) },
	{ &ping_ask, "from loopback", HOST_BAD, MENDED, V4 + IP4_SRC, IS(127) },
	{ &ping_ask, "from ourselves", HOST_BAD, MENDED, V4 + IP4_SRC + 3, IS(1) },

	{ &ping6_ask, "another's address", HOST_PASS, MENDED, V6 + IP6_DST + 15, IS(9) },
	{ &ping6_ask, "sum", HOST_BAD, 0, C6 + 12, IS('x') },
	{ &ping6_ask, "code", HOST_BAD, MENDED, C6 + 1, IS(1) },
	{ &ping6_ask, "to all cards", HOST_BAD, 0, 0, IS(0x33, 0x33, 0, 0, 0, 1) },
	{ &ping6_ask, "from a group", HOST_BAD, MENDED, V6 + IP6_SRC, IS(0xff) },
	{ &ping6_ask, "from nobody", HOST_BAD, MENDED, V6 + IP6_SRC,
		IS(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) },
	{ &ping6_ask, "from ourselves", HOST_BAD, MENDED, V6 + IP6_SRC + 15, IS(1) },
	{ &ping6_ask, "longer than the frame", HOST_BAD, MENDED, V6 + IP6_LENGTH, IS(0, 14) },
	{ &ping6_ask, "shorter than a ping", HOST_BAD, MENDED, V6 + IP6_LENGTH, IS(0, 7) },
	{ &ping6_ask, "an extension header", HOST_PASS, 0, V6 + IP6_NEXT, IS(0) },
	{ &ping6_ask, "another message", HOST_PASS, MENDED, C6, IS(1) },

	{ &ns_ask, "forwarded", HOST_BAD, 0, V6 + IP6_HOPS, IS(254) },
	{ &ns_ask, "sum", HOST_BAD, 0, C6 + 5, IS(1) },
	{ &ns_ask, "code", HOST_BAD, MENDED, C6 + 1, IS(1) },
	{ &ns_ask, "for a group", HOST_BAD, MENDED, C6 + ND_TARGET, IS(0xff) },
	{ &ns_ask, "for another", HOST_PASS, MENDED, C6 + ND_TARGET + 15, IS(9) },
	{ &ns_ask, "cut short", HOST_BAD, MENDED, V6 + IP6_LENGTH, IS(0, 23) },
	{ &ns_ask, "option of length 0", HOST_BAD, MENDED, C6 + ND_NS_BYTES + 1, IS(0) },
	{ &ns_ask, "option beyond", HOST_BAD, MENDED, C6 + ND_NS_BYTES + 1, IS(2) },
	{ &ns_ask, "half an option", HOST_BAD, MENDED, V6 + IP6_LENGTH, IS(0, 25) },
	{ &ns_ask, "at a group's MAC", HOST_BAD, MENDED, C6 + ND_NS_BYTES + 2, IS(3) },
	{ &ns_ask, "from a group", HOST_BAD, MENDED, V6 + IP6_SRC, IS(0xff) },
	{ &ns_ask, "a probe with an option", HOST_BAD, MENDED, V6 + IP6_SRC,
		IS(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) },
	{ &ns_probe, "a probe to one alone", HOST_BAD, MENDED, V6 + IP6_DST,
		IS(0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1) },

	{ &na, "forwarded", HOST_BAD, 0, V6 + IP6_HOPS, IS(64) },
	{ &na, "for a group", HOST_BAD, MENDED, C6 + ND_TARGET, IS(0xff) },
	{ &na, "asked for by a group", HOST_BAD, MENDED, V6 + IP6_DST, IS(0xff) },
	{ &na, "option of length 0", HOST_BAD, MENDED, C6 + ND_NS_BYTES + 1, IS(0) },
	{ &ra, "forwarded", HOST_BAD, 0, V6 + IP6_HOPS, IS(254) },
	{ &ra, "not from the link", HOST_BAD, MENDED, V6 + IP6_SRC, IS(0xfd, 0x77) },
	{ &ra, "cut short", HOST_BAD, MENDED, V6 + IP6_LENGTH, IS(0, 15) },
	{ &ra, "option of length 0", HOST_BAD, MENDED, C6 + ND_RA_BYTES + 1, IS(0) },
};

// Both sums anew, by the lengths that the headers name as far as the frame has them.
static void mend(uint8_t *frame, uint16_t n)
{
	uint8_t *ip = frame + ETH_BYTES, *icmp;
	uint32_t bytes;

	if (wire_get16(frame + 12) == ETH_TYPE_IPV4) {
		icmp = ip + IP4_BYTES;
		bytes = wire_get16(ip + IP4_TOTAL) - IP4_BYTES;
		wire_put16(ip + IP4_SUM, 0);
		wire_put16(ip + IP4_SUM, wire_fold(wire_sum(ip, IP4_BYTES, 0)));
	} else {
		icmp = ip + IP6_BYTES;
		bytes = wire_get16(ip + IP6_LENGTH);
	}
	wire_put16(icmp + ICMP_SUM, 0);
	if ((uint32_t)(icmp - frame) + bytes > n)
		return;
	wire_put16(icmp + ICMP_SUM, wire_fold(wire_sum(icmp, bytes,
					    icmp == ip + IP6_BYTES ? wire_pseudo6(ip, bytes) : 0)));
}

static void one_thing_changed(void **state)
{
	struct host_addresses us = addresses(0);

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		const struct change *c = &changes[i];
		uint16_t n = c->cut ? c->cut : c->frame->n;
		uint8_t frame[96], answer[HOST_ROOM_BYTES];
		struct host_judgement j;

		memcpy(frame, c->frame->bytes, sizeof(frame));
		memcpy(frame + c->at, c->to, c->n);
		if (c->sums == MENDED)
			mend(frame, n);
		j = judge(&us, frame, n, answer);
		if (j.verdict != c->verdict)
			print_error("%s\n", c->what);
		assert_int_equal(j.verdict, c->verdict);
		if (j.verdict != HOST_PASS)
			assert_int_equal(j.neighbour.ip.family, NET_NONE);
	}
}

// RFC 4861 7.2.5: an advertisement without Override; all else that is said is said to be taken.
static void timid(void **state)
{
	static const struct {
		const struct frame_sample *frame;
		uint8_t flags; // of an advertisement
		bool timid;
	} rows[] = {
		{ &na, ND_FLAG_SOLICITED, true },
		{ &na, ND_FLAG_SOLICITED | ND_FLAG_OVERRIDE, false },
		{ &ns_ask, 0, false },
		{ &arp_reply, 0, false },
	};
	struct host_addresses us = addresses(0);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t frame[96], answer[HOST_ROOM_BYTES];

		memcpy(frame, rows[i].frame->bytes, sizeof(frame));
		if (rows[i].frame == &na) {
			frame[C6 + ND_FLAGS] = rows[i].flags;
			mend(frame, rows[i].frame->n);
		}
		assert_int_equal(
			judge(&us, frame, rows[i].frame->n, answer).neighbour.timid, rows[i].timid);
	}
}

// One byte behind the frame would make packet and sums good: what lies there is nobody's.
static void longer_than_the_frame(void **state)
{
	static const struct {
		const struct frame_sample *frame;
		uint16_t at;
	} rows[] = { { &ping_ask, V4 + IP4_TOTAL }, { &ping6_ask, V6 + IP6_LENGTH } };
	struct host_addresses us = addresses(0);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint16_t n = rows[i].frame->n, ip_bytes = (uint16_t)(n - ETH_BYTES + 1);
		uint8_t frame[HOST_ROOM_BYTES] = { 0 };
		struct host_judgement j;

		memcpy(frame, rows[i].frame->bytes, n);
		frame[n] = 0xee;
		wire_put16(
			frame + rows[i].at, (uint16_t)(i == 0 ? ip_bytes : ip_bytes - IP6_BYTES));
		mend(frame, (uint16_t)(n + 1));
		host_judge(&us, frame, (uint16_t)(n + 1), sizeof(frame), &j);
		assert_int_equal(j.verdict, HOST_REPLY); // so long it would be good
		memcpy(frame, rows[i].frame->bytes, n);
		wire_put16(
			frame + rows[i].at, (uint16_t)(i == 0 ? ip_bytes : ip_bytes - IP6_BYTES));
		mend(frame, (uint16_t)(n + 1));
		host_judge(&us, frame, n, sizeof(frame), &j);
		assert_int_equal(j.verdict, HOST_BAD);
	}
}

static void conflicts(void **state)
{
	static const struct {
		const struct frame_sample *frame;
		uint16_t at;
		uint8_t to;
		const char *ip;
	} rows[] = {
		{ &arp_ask, ETH_BYTES + ARP_SPA + 3, 1, "198.18.77.1" },
		{ &arp_reply, ETH_BYTES + ARP_SPA + 3, 1, "198.18.77.1" },
		{ &na, C6 + ND_TARGET + 15, 1, "fd77::1" },
		{ &ns_ask, V6 + IP6_SRC + 15, 1, "fd77::1" },
	};
	struct host_addresses us = addresses(0);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t frame[96], answer[HOST_ROOM_BYTES];
		struct host_judgement j;
		struct net_addr ip;

		memcpy(frame, rows[i].frame->bytes, sizeof(frame));
		frame[rows[i].at] = rows[i].to;
		if (wire_get16(frame + 12) == ETH_TYPE_IPV6)
			mend(frame, rows[i].frame->n);
		assert_int_equal(net_ip_parse(rows[i].ip, &ip), 0);
		j = judge(&us, frame, rows[i].frame->n, answer);
		assert_int_equal(j.verdict, HOST_OTHER);
		assert_true(j.conflict);
		assert_true(net_addr_equal(&j.claimed, &ip));
		assert_memory_equal(j.claimant, "\2\0\0\0\0\2", 6);
	}
}

static void vlans(void **state)
{
	static const struct {
		const struct frame_sample *frame;
		uint16_t vlan;
		enum host_verdict verdict;
	} rows[] = {
		{ &arp_ask, 100, HOST_OTHER },
		{ &arp_ask_vlan, 101, HOST_OTHER },
		{ &arp_ask_vlan, 100, HOST_REPLY },
	};
	uint8_t answer[HOST_ROOM_BYTES];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct host_addresses us = addresses(rows[i].vlan);

		assert_int_equal(judge(&us, rows[i].frame->bytes, rows[i].frame->n, answer).verdict,
			rows[i].verdict);
	}
}

// RFC 4291 2.7.1 and appendix A; RFC 2464 4, 7; RFC 1112 6.4.
static void derived_addresses(void **state)
{
	static const uint8_t link_local[16] = { 0xfe, 0x80, [11] = 0xff, [12] = 0xfe, [15] = 1 };
	static const uint8_t group6_mac[6] = { 0x33, 0x33, 0xff, 0x0e, 0x83, 0x14 };
	static const uint8_t group4_mac[6] = { 1, 0, 0x5e, 0x12, 0x22, 0x38 };
	struct host_addresses us = addresses(0);
	struct net_addr addr, group = { .family = NET_IPV6 };
	uint8_t mac[6];

	assert_int_equal(us.n, 3);
	assert_non_null(host_address_find(&us, NET_IPV6, link_local));
	assert_int_equal(net_ip_parse("4037::1:800:200e:8314", &addr), 0);
	host_solicited_node(addr.ip, group.ip);
	assert_int_equal(net_ip_parse("ff02::1:ff0e:8314", &addr), 0);
	assert_true(net_ip_equal(&group, &addr));
	host_group_mac(&group, mac);
	assert_memory_equal(mac, group6_mac, 6);
	assert_int_equal(net_ip_parse("239.146.34.56", &addr), 0);
	host_group_mac(&addr, mac);
	assert_memory_equal(mac, group4_mac, 6);
	assert_int_equal(net_ip_parse("198.18.78.1", &addr), 0);
	assert_false(host_on_link(&us, &addr));
	assert_int_equal(net_ip_parse("198.18.77.200", &addr), 0);
	assert_true(host_on_link(&us, &addr));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
		cmocka_unit_test(short_request),
		cmocka_unit_test(learned),
		cmocka_unit_test(one_thing_changed),
		cmocka_unit_test(timid),
		cmocka_unit_test(longer_than_the_frame),
		cmocka_unit_test(conflicts),
		cmocka_unit_test(vlans),
		cmocka_unit_test(derived_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
