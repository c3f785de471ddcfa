// Frames taken apart and put together; checksums are verified by a sum of the test's own.
// Source: RFC 791 3.1; RFC 768; RFC 8200 3, 8.1; RFC 1071; IEEE 802.1Q.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/port/frame.h"

#define REFUSED(reason) (-((int)DROP_##reason + 1))

enum {
	BUF_BYTES = 2048,
	PORT_ID = 3,
};

// A received packet without a pool: the data stands in heap memory of just its size.
static struct rte_mbuf received(const uint8_t *bytes, uint16_t n)
{
	uint8_t *data = malloc(n ? n : 1);

	memcpy(data, bytes, n);
	return (struct rte_mbuf){
		.buf_addr = data, .buf_len = n, .data_len = n, .pkt_len = n, .nb_segs = 1
	};
}

static int parse(const uint8_t *bytes, uint16_t n, struct frame *out)
{
	struct rte_mbuf m = received(bytes, n);
	int rc = frame_parse(&m, PORT_ID, out);

	free(m.buf_addr);
	return rc;
}

#define MACS	2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2
#define IPS_V4	198, 18, 77, 2, 198, 18, 77, 1
#define IP6(n)	0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n
#define PORTS	0x13, 0x88, 0x1f, 0xfd
#define PAYLOAD 'm', 'i', 'l', 'l', '!'

struct sample {
	const char *what;
	uint8_t bytes[112];
	uint16_t n;
	int rc;
	uint16_t payload_off;
};

// total: length of the IP packet; frag: flags and offset.
#define V4(ihl, total, frag, proto) \
	0x40 | (ihl), 0, 0, total, 0, 1, (frag) >> 8, (frag)&0xff, 64, proto, 0, 0, IPS_V4
#define V6(payload, next) 0x60, 0, 0, 0, 0, payload, next, 64, IP6(2), IP6(1)

static const struct sample samples[] = {
	{ "IPv4", { MACS, 8, 0, V4(5, 33, 0, 17), PORTS, 0, 13, 0, 0, PAYLOAD }, 47, 0, 42 },
	{ "IPv4, do not fragment",
		{ MACS, 8, 0, V4(5, 33, 0x4000, 17), PORTS, 0, 13, 0, 0, PAYLOAD }, 47, 0, 42 },
	{ "IPv4, Ethernet padding behind",
		{ MACS, 8, 0, V4(5, 33, 0, 17), PORTS, 0, 13, 0, 0, PAYLOAD }, 60, 0, 42 },
	{ "IPv4, UDP shorter than IP",
		{ MACS, 8, 0, V4(5, 36, 0, 17), PORTS, 0, 13, 0, 0, PAYLOAD }, 60, 0, 42 },
	{ "IPv4 with options",
		{ MACS, 8, 0, V4(7, 41, 0, 17), 1, 1, 1, 1, 1, 1, 1, 0, PORTS, 0, 13, 0, 0,
			PAYLOAD },
		55, 0, 50 },
	{ "IPv4, VLAN",
		{ MACS, 0x81, 0, 0xa0, 0x64, 8, 0, V4(5, 33, 0, 17), PORTS, 0, 13, 0, 0, PAYLOAD },
		51, 0, 46 },
	{ "IPv6", { MACS, 0x86, 0xdd, V6(13, 17), PORTS, 0, 13, 0, 0, PAYLOAD }, 67, 0, 62 },
	{ "IPv6, VLAN",
		{ MACS, 0x81, 0, 0xa0, 0x64, 0x86, 0xdd, V6(13, 17), PORTS, 0, 13, 0, 0, PAYLOAD },
		71, 0, 66 },
	{ "ARP", { MACS, 8, 6, V4(5, 33, 0, 17), PORTS, 0, 13, 0, 0, PAYLOAD }, 47, REFUSED(NOT_IP),
		0 },
	{ "IPv6 called IPv4", { MACS, 8, 0, V6(13, 17), PORTS, 0, 13, 0, 0, PAYLOAD }, 67,
		REFUSED(NOT_IP), 0 },
	{ "IPv4 called IPv6", { MACS, 0x86, 0xdd, V4(5, 33, 0, 17), PORTS, 0, 13, 0, 0, PAYLOAD },
		67, REFUSED(NOT_IP), 0 },
	{ "two VLAN tags",
		{ MACS, 0x81, 0, 0, 1, 0x81, 0, 0, 2, 8, 0, V4(5, 33, 0, 17), PORTS, 0, 13, 0, 0,
			PAYLOAD },
		55, REFUSED(NOT_IP), 0 },
	{ "TCP", { MACS, 8, 0, V4(5, 33, 0, 6), PORTS, 0, 13, 0, 0, PAYLOAD }, 47, REFUSED(NOT_IP),
		0 },
	{ "first fragment", { MACS, 8, 0, V4(5, 33, 0x2000, 17), PORTS, 0, 13, 0, 0, PAYLOAD }, 47,
		REFUSED(FRAGMENT), 0 },
	{ "later fragment", { MACS, 8, 0, V4(5, 33, 0x0001, 17), PORTS, 0, 13, 0, 0, PAYLOAD }, 47,
		REFUSED(FRAGMENT), 0 },
	{ "IPv6 with a fragment header",
		{ MACS, 0x86, 0xdd, V6(13, 44), PORTS, 0, 13, 0, 0, PAYLOAD }, 67, REFUSED(NOT_IP),
		0 },
	{ "header of four words", { MACS, 8, 0, V4(4, 33, 0, 17), PORTS, 0, 13, 0, 0, PAYLOAD }, 47,
		REFUSED(NOT_IP), 0 },
	{ "options beyond the packet",
		{ MACS, 8, 0, V4(15, 33, 0, 17), PORTS, 0, 13, 0, 0, PAYLOAD }, 47, REFUSED(NOT_IP),
		0 },
	{ "total length below the header",
		{ MACS, 8, 0, V4(5, 19, 0, 17), PORTS, 0, 13, 0, 0, PAYLOAD }, 47, REFUSED(NOT_IP),
		0 },
	{ "total length beyond the frame",
		{ MACS, 8, 0, V4(5, 34, 0, 17), PORTS, 0, 13, 0, 0, PAYLOAD }, 47, REFUSED(NOT_IP),
		0 },
	{ "no room for UDP", { MACS, 8, 0, V4(5, 27, 0, 17), PORTS, 0, 13, 0, 0, PAYLOAD }, 47,
		REFUSED(NOT_IP), 0 },
	{ "UDP beyond IP", { MACS, 8, 0, V4(5, 33, 0, 17), PORTS, 0, 14, 0, 0, PAYLOAD }, 60,
		REFUSED(NOT_IP), 0 },
	{ "UDP shorter than its header",
		{ MACS, 8, 0, V4(5, 33, 0, 17), PORTS, 0, 7, 0, 0, PAYLOAD }, 47, REFUSED(NOT_IP),
		0 },
	{ "IPv6 payload beyond the frame",
		{ MACS, 0x86, 0xdd, V6(14, 17), PORTS, 0, 13, 0, 0, PAYLOAD }, 67, REFUSED(NOT_IP),
		0 },
	{ "UDP beyond IPv6", { MACS, 0x86, 0xdd, V6(13, 17), PORTS, 0, 14, 0, 0, PAYLOAD }, 80,
		REFUSED(NOT_IP), 0 },
	{ "IPv6, UDP beyond length 0", { MACS, 0x86, 0xdd, V6(0, 17), PORTS, 0, 13, 0, 0, PAYLOAD },
		67, REFUSED(NOT_IP), 0 },
};

static void addresses_must_be(const struct net_path *path, bool v6)
{
	static const uint8_t remote4[16] = { 198, 18, 77, 2 }, local4[16] = { 198, 18, 77, 1 };
	static const uint8_t remote6[16] = { IP6(2) }, local6[16] = { IP6(1) };

	assert_int_equal(path->remote.family, v6 ? NET_IPV6 : NET_IPV4);
	assert_int_equal(path->local.family, v6 ? NET_IPV6 : NET_IPV4);
	assert_memory_equal(path->remote.ip, v6 ? remote6 : remote4, 16);
	assert_memory_equal(path->local.ip, v6 ? local6 : local4, 16);
	assert_int_equal(ntohs(path->remote.port_be), 5000);
	assert_int_equal(ntohs(path->local.port_be), 8189);
	assert_memory_equal(path->local_mac, "\2\0\0\0\0\1", 6);
	assert_memory_equal(path->remote_mac, "\2\0\0\0\0\2", 6);
	assert_int_equal(path->port_id, PORT_ID);
	assert_int_equal(path->remote.zero | path->local.zero, 0);
}

static void samples_are_judged(void **state)
{
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		const struct sample *s = &samples[i];
		struct frame f = { .payload_off = 9 }, untouched = f;
		int rc = parse(s->bytes, s->n, &f);

		if (rc != s->rc || (rc == 0 && f.payload_off != s->payload_off))
			fail_msg("%s: %d, payload at %u", s->what, rc, f.payload_off);
		if (rc < 0) {
			assert_memory_equal(&f, &untouched, sizeof(f));
			continue;
		}
		assert_int_equal(f.payload_bytes, 5);
		addresses_must_be(&f.path, strstr(s->what, "IPv6") != NULL);
		assert_int_equal(f.path.has_vlan, strstr(s->what, "VLAN") != NULL);
		assert_int_equal(f.path.vlan_tci, f.path.has_vlan ? 0xa064 : 0);
	}
}

static void cut_at_every_byte(void **state)
{
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		const struct sample *s = &samples[i];
		uint16_t needs = (uint16_t)(s->payload_off + 5 +
					    (strstr(s->what, "shorter") ? 3 : 0));

		for (uint16_t cut = 0; s->rc == 0 && cut <= s->n; cut++) {
			struct frame f;
			int rc = parse(s->bytes, cut, &f);

			if (rc != (cut < needs ? REFUSED(NOT_IP) : 0))
				fail_msg("%s, cut at %u: %d", s->what, cut, rc);
		}
	}
}

static void port_says_no(void **state)
{
	static const struct {
		uint64_t flags;
		uint16_t segs;
		int rc;
	} rows[] = {
		{ RTE_MBUF_F_RX_L4_CKSUM_BAD, 1, REFUSED(BAD_CHECKSUM) },
		{ RTE_MBUF_F_RX_IP_CKSUM_BAD, 1, REFUSED(BAD_CHECKSUM) },
		{ RTE_MBUF_F_RX_L4_CKSUM_GOOD | RTE_MBUF_F_RX_IP_CKSUM_GOOD, 1, 0 },
		{ RTE_MBUF_F_RX_L4_CKSUM_NONE | RTE_MBUF_F_RX_IP_CKSUM_NONE, 1, 0 },
		{ 0, 2, REFUSED(MULTI_SEGMENT) },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rte_mbuf m = received(samples[0].bytes, samples[0].n);
		struct frame f;

		m.ol_flags = rows[i].flags;
		m.nb_segs = rows[i].segs;
		assert_int_equal(frame_parse(&m, 0, &f), rows[i].rc);
		free(m.buf_addr);
	}
}

// ---- out ---------------------------------------------------------------------------------------

static uint32_t sum_be(const uint8_t *at, size_t n, uint32_t sum)
{
	for (size_t i = 0; i < n; i++)
		sum += i % 2 ? at[i] : (uint32_t)at[i] << 8;
	return sum;
}

static uint16_t fold_be(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

// RFC 8200 8.1, RFC 768: pseudo header, header and data sum up to all ones.
static uint16_t udp_sum(const uint8_t *ip, bool v6, const uint8_t *udp, uint16_t udp_bytes)
{
	uint32_t sum = sum_be(v6 ? ip + 8 : ip + 12, v6 ? 32 : 8, 17u + udp_bytes);

	return fold_be(sum_be(udp, udp_bytes, sum));
}

static struct net_path path_make(bool v6, bool vlan)
{
	struct net_path path = {
		.local_mac = { 2, 0, 0, 0, 0, 1 },
		.remote_mac = { 2, 0, 0, 0, 0, 2 },
		.has_vlan = vlan,
		.vlan_tci = vlan ? 0xa064 : 0,
		.port_id = PORT_ID,
	};

	assert_int_equal(net_ip_parse(v6 ? "fd77::1" : "198.18.77.1", &path.local), 0);
	assert_int_equal(net_ip_parse(v6 ? "fd77::2" : "198.18.77.2", &path.remote), 0);
	path.local.port_be = htons(8189);
	path.remote.port_be = htons(5000);
	return path;
}

static void stamp_into(const struct frame_template *t, uint8_t buf[BUF_BYTES],
	uint16_t payload_bytes, uint8_t fill, struct rte_mbuf *m)
{
	*m = (struct rte_mbuf){ .buf_addr = buf,
		.buf_len = BUF_BYTES,
		.data_off = FRAME_ROOM_BYTES,
		.data_len = payload_bytes,
		.pkt_len = payload_bytes,
		.nb_segs = 1 };
	for (uint16_t i = 0; i < payload_bytes; i++)
		buf[FRAME_ROOM_BYTES + i] = fill ? fill : (uint8_t)(i * 31 + payload_bytes);
	frame_stamp(t, m);
}

static void stamped_must_be(
	const struct rte_mbuf *m, const struct frame_template *t, bool v6, uint16_t payload_bytes)
{
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *) + t->form.l2_bytes;
	const uint8_t *udp = ip + (v6 ? 40 : 20);
	struct frame f;

	assert_int_equal(m->data_len, t->form.hdr_bytes + payload_bytes);
	assert_int_equal(m->pkt_len, m->data_len);
	assert_int_equal(frame_parse(m, PORT_ID, &f), 0);
	assert_int_equal(f.payload_bytes, payload_bytes);
	assert_int_equal(f.payload_off, t->form.hdr_bytes);
	assert_int_equal(v6 ? (ip[0] & 0xf) << 4 | ip[1] >> 4 : ip[1], 34 << 2); // DSCP
	assert_int_equal(v6 ? ip[7] : ip[8], 64);
	assert_true(udp[6] || udp[7]); // 0 would say: no checksum
	assert_int_equal(udp_sum(ip, v6, udp, (uint16_t)(payload_bytes + 8)), 0xffff);
	if (!v6)
		assert_int_equal(fold_be(sum_be(ip, 20, 0)), 0xffff);
}

// Reversed, the path of what was sent is the path that it was sent on.
static void stamped_is_right(void **state)
{
	for (int kind = 0; kind < 4; kind++) {
		const bool v6 = kind & 1, vlan = kind & 2;
		struct net_path path = path_make(v6, vlan);
		struct frame_template t;

		assert_int_equal(frame_template_make(&t, &path, 34, FRAME_CHECKSUM_SOFTWARE), 0);
		assert_int_equal(t.form.hdr_bytes, 14 + 4 * vlan + (v6 ? 40 : 20) + 8);
		for (uint16_t n = 0; n <= 1500; n++) {
			uint8_t buf[BUF_BYTES];
			struct rte_mbuf m;
			struct frame f;

			stamp_into(&t, buf, n, n % 3 ? 0 : 0xff, &m);
			stamped_must_be(&m, &t, v6, n);
			assert_int_equal(m.ol_flags, 0);
			assert_int_equal(frame_parse(&m, PORT_ID, &f), 0);
			assert_true(net_addr_equal(&f.path.remote, &path.local));
			assert_true(net_addr_equal(&f.path.local, &path.remote));
			assert_memory_equal(f.path.remote_mac, path.local_mac, 6);
			assert_memory_equal(f.path.local_mac, path.remote_mac, 6);
			assert_int_equal(f.path.vlan_tci, path.vlan_tci);
			assert_int_equal(f.path.has_vlan, path.has_vlan);
		}
	}
}

// A sum of all ones is sent as such: 0 means that there is none (RFC 768).
static void zero_checksum_is_sent_as_ones(void **state)
{
	struct net_path path = path_make(false, false);
	struct frame_template t;
	bool seen = false;

	assert_int_equal(frame_template_make(&t, &path, 34, FRAME_CHECKSUM_SOFTWARE), 0);
	for (uint32_t word = 0; word <= 0xffff; word++) {
		uint8_t buf[BUF_BYTES], *udp;
		struct rte_mbuf m;

		stamp_into(&t, buf, 2, 0, &m);
		m.data_off = FRAME_ROOM_BYTES;
		m.data_len = 2;
		buf[FRAME_ROOM_BYTES] = (uint8_t)(word >> 8);
		buf[FRAME_ROOM_BYTES + 1] = (uint8_t)word;
		frame_stamp(&t, &m);
		udp = rte_pktmbuf_mtod(&m, uint8_t *) + 34;
		assert_true(udp[6] || udp[7]);
		seen |= udp[6] == 0xff && udp[7] == 0xff;
	}
	assert_true(seen);
}

// What the port is asked to finish: the sum of the pseudo header stands in place of the checksum.
static void offload_form(void **state)
{
	for (int v6 = 0; v6 <= 1; v6++) {
		struct net_path path = path_make(v6, true);
		uint8_t buf[BUF_BYTES];
		struct frame_template t;
		const uint8_t *ip, *udp;
		struct rte_mbuf m;
		uint32_t want;

		assert_int_equal(frame_template_make(&t, &path, 34, FRAME_CHECKSUM_OFFLOAD), 0);
		stamp_into(&t, buf, 333, 0, &m);
		ip = buf + m.data_off + 18;
		udp = ip + (v6 ? 40 : 20);
		want = sum_be(v6 ? ip + 8 : ip + 12, v6 ? 32 : 8, 17 + 341);
		assert_int_equal(udp[6] << 8 | udp[7], fold_be(want));
		assert_int_equal(m.l2_len, 18);
		assert_int_equal(m.l3_len, v6 ? 40 : 20);
		assert_true(m.ol_flags == (RTE_MBUF_F_TX_UDP_CKSUM |
						  (v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4)));
		if (!v6)
			assert_int_equal(fold_be(sum_be(ip, 20, 0)), 0xffff); // finished
	}
}

static void templates_refused(void **state)
{
	struct net_path good = path_make(false, false), path;
	struct frame_template t, untouched;

	memset(&untouched, 0x5a, sizeof(untouched));
	t = untouched;
	assert_int_equal(frame_template_make(&t, &good, 64, FRAME_CHECKSUM_SOFTWARE), -EINVAL);
	path = good;
	path.local.family = NET_NONE;
	assert_int_equal(frame_template_make(&t, &path, 0, FRAME_CHECKSUM_SOFTWARE), -EINVAL);
	path.remote.family = NET_NONE;
	assert_int_equal(frame_template_make(&t, &path, 0, FRAME_CHECKSUM_SOFTWARE), -EINVAL);
	path.local.family = path.remote.family = 5;
	assert_int_equal(frame_template_make(&t, &path, 0, FRAME_CHECKSUM_SOFTWARE), -EINVAL);
	path = good;
	path.remote = path_make(true, false).remote;
	assert_int_equal(frame_template_make(&t, &path, 0, FRAME_CHECKSUM_SOFTWARE), -EINVAL);
	assert_memory_equal(&t, &untouched, sizeof(t));
	assert_int_equal(frame_template_make(&t, &good, 63, FRAME_CHECKSUM_SOFTWARE), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(samples_are_judged),
		cmocka_unit_test(cut_at_every_byte),
		cmocka_unit_test(port_says_no),
		cmocka_unit_test(stamped_is_right),
		cmocka_unit_test(zero_checksum_is_sent_as_ones),
		cmocka_unit_test(offload_form),
		cmocka_unit_test(templates_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
