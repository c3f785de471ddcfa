// RTCP: golden bytes of what we build; lies in what we walk.
// Source: RFC 3550 6.1, 6.4.1, 6.4.2, 6.5, 6.6, A.2; RFC 4585 6.1; checklist F15, F18, F19, F24,
// F25.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/rtcp/rtcp.h"

static const struct rtcp_sender sender = { .ssrc = 0x11223344,
	.ntp = 0xe5f6a7b8c9daebfcULL,
	.ts = 0x89abcdef,
	.packets = 0x01020304,
	.octets = 0xfffefdfc,
	.cname = "abcdef" };

#define GOLDEN_SR                                                                                \
	0x80, 200, 0, 6, 0x11, 0x22, 0x33, 0x44, 0xe5, 0xf6, 0xa7, 0xb8, 0xc9, 0xda, 0xeb, 0xfc, \
		0x89, 0xab, 0xcd, 0xef, 1, 2, 3, 4, 0xff, 0xfe, 0xfd, 0xfc

static void report_is_golden(void **state)
{
	// CNAME of 6: SSRC 4, item 2 + 6, then zeros up to a word, at least one (6.5).
	static const uint8_t want[] = { GOLDEN_SR, 0x81, 202, 0, 4, 0x11, 0x22, 0x33, 0x44, 1, 6,
		'a', 'b', 'c', 'd', 'e', 'f', 0, 0, 0, 0 };
	uint8_t out[RTCP_MAX_BYTES];

	memset(out, 0xee, sizeof(out));
	assert_int_equal(rtcp_build_report(out, &sender), sizeof(want));
	assert_memory_equal(out, want, sizeof(want));
	assert_int_equal(out[sizeof(want)], 0xee);
}

static void bye_is_golden(void **state)
{
	static const uint8_t want[] = { GOLDEN_SR, 0x81, 202, 0, 4, 0x11, 0x22, 0x33, 0x44, 1, 6,
		'a', 'b', 'c', 'd', 'e', 'f', 0, 0, 0, 0, 0x81, 203, 0, 1, 0x11, 0x22, 0x33, 0x44 };
	uint8_t out[RTCP_MAX_BYTES];

	memset(out, 0xee, sizeof(out));
	assert_int_equal(rtcp_build_bye(out, &sender), sizeof(want));
	assert_memory_equal(out, want, sizeof(want));
	assert_int_equal(out[sizeof(want)], 0xee);
}

// 6.5: a chunk ends with at least one zero byte, on a word.
static void every_cname_length_fits(void **state)
{
	for (size_t n = 0; n <= 64; n++) {
		char name[80] = { 0 };
		struct rtcp_sender s = sender;
		uint8_t *out = malloc(RTCP_MAX_BYTES);
		struct rtcp_walk walk;
		struct rtcp_packet p;
		uint16_t bytes;

		memset(name, 'x', n);
		s.cname = name;
		bytes = rtcp_build_bye(out, &s);
		assert_int_equal(rtcp_walk_begin(&walk, out, bytes), 0);
		assert_true(rtcp_walk_next(&walk, &p) && p.type == RTCP_SR && p.count == 0);
		assert_true(rtcp_walk_next(&walk, &p) && p.type == RTCP_SDES && p.count == 1);
		assert_int_equal(p.body_bytes % 4, 0);
		assert_in_range(p.body_bytes, 4 + 2 + n + 1, 4 + 2 + n + 4);
		assert_int_equal(p.body[5], n);
		assert_int_equal(p.body[p.body_bytes - 1], 0);
		assert_true(rtcp_walk_next(&walk, &p) && p.type == RTCP_BYE && p.count == 1);
		assert_false(rtcp_walk_next(&walk, &p));
		free(out);
	}
}

struct compound {
	const char *what;
	uint8_t bytes[40];
	uint16_t n;
	int packets; // -1: refused
};

static const struct compound compounds[] = {
	{ "nothing", { 0 }, 0, -1 },
	{ "three bytes", { 0x80, 201, 0 }, 3, -1 },
	{ "empty RR", { 0x80, 201, 0, 1, 1, 2, 3, 4 }, 8, 1 },
	{ "header alone", { 0x80, 203, 0, 0 }, 4, 1 },
	{ "version 1", { 0x40, 201, 0, 1, 1, 2, 3, 4 }, 8, -1 },
	{ "version 3", { 0xc0, 201, 0, 1, 1, 2, 3, 4 }, 8, -1 },
	{ "a word too long", { 0x80, 201, 0, 2, 1, 2, 3, 4 }, 8, -1 },
	{ "longest length", { 0x80, 201, 0xff, 0xff, 1, 2, 3, 4 }, 8, -1 },
	{ "a word too short, rest is no packet", { 0x80, 201, 0, 0, 1, 2, 3, 4 }, 8, -1 },
	{ "a byte left over", { 0x80, 201, 0, 1, 1, 2, 3, 4, 0x80 }, 9, -1 },
	{ "RR and PLI", { 0x80, 201, 0, 1, 1, 2, 3, 4, 0x81, 206, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8 },
		20, 2 },
	{ "the second of version 0",
		{ 0x80, 201, 0, 1, 1, 2, 3, 4, 0x01, 206, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8 }, 20, -1 },
	{ "unknown type", { 0x80, 223, 0, 1, 1, 2, 3, 4 }, 8, 1 },
	{ "padding of 4 in the last", { 0xa0, 201, 0, 2, 1, 2, 3, 4, 0, 0, 0, 4 }, 12, 1 },
	{ "padding of all the body", { 0xa0, 201, 0, 2, 0, 0, 0, 0, 0, 0, 0, 8 }, 12, 1 },
	{ "padding into the header", { 0xa0, 201, 0, 2, 0, 0, 0, 0, 0, 0, 0, 12 }, 12, -1 },
	{ "padding of none", { 0xa0, 201, 0, 2, 1, 2, 3, 4, 0, 0, 0, 0 }, 12, -1 },
	{ "padding of 3", { 0xa0, 201, 0, 2, 1, 2, 3, 4, 0, 0, 0, 3 }, 12, -1 },
	{ "padding of 255", { 0xa0, 201, 0, 2, 1, 2, 3, 4, 0, 0, 0, 255 }, 12, -1 },
	{ "padding of a header alone", { 0xa0, 203, 0, 0 }, 4, -1 },
	{ "padding in the first", { 0xa0, 201, 0, 2, 1, 2, 3, 4, 0, 0, 0, 4, 0x80, 203, 0, 0 }, 16,
		-1 },
};

static void compounds_are_judged(void **state)
{
	for (size_t i = 0; i < sizeof(compounds) / sizeof(compounds[0]); i++) {
		const struct compound *c = &compounds[i];
		uint8_t *heap = malloc(c->n ? c->n : 1);
		struct rtcp_walk walk;
		struct rtcp_packet p;
		int n = 0, rc;

		memcpy(heap, c->bytes, c->n);
		rc = rtcp_walk_begin(&walk, heap, c->n);
		if (rc != (c->packets < 0 ? -EBADMSG : 0))
			fail_msg("%s: %d", c->what, rc);
		while (rc == 0 && rtcp_walk_next(&walk, &p)) {
			assert_true(p.body >= heap && p.body + p.body_bytes <= heap + c->n);
			n++;
		}
		if (rc == 0 && n != c->packets)
			fail_msg("%s: %d packets", c->what, n);
		free(heap);
	}
}

static void padding_is_not_body(void **state)
{
	static const uint8_t pkt[] = { 0xa0, 201, 0, 2, 1, 2, 3, 4, 0, 0, 0, 4 };
	struct rtcp_walk walk;
	struct rtcp_packet p;

	assert_int_equal(rtcp_walk_begin(&walk, pkt, sizeof(pkt)), 0);
	assert_true(rtcp_walk_next(&walk, &p));
	assert_int_equal(p.body_bytes, 4);
	assert_int_equal(p.count, 0);
}

// One block: SSRC 0xa1a2a3a4, fraction 25, lost -2, highest 0x00010005, jitter 7, LSR, DLSR.
#define BLOCK                                                                                   \
	0xa1, 0xa2, 0xa3, 0xa4, 25, 0xff, 0xff, 0xfe, 0, 1, 0, 5, 0, 0, 0, 7, 0xb1, 0xb2, 0xb3, \
		0xb4, 0xc1, 0xc2, 0xc3, 0xc4

static void report_blocks_are_read(void **state)
{
	static const uint8_t rr[] = { 0x81, 201, 0, 7, 1, 2, 3, 4, BLOCK };
	static const uint8_t sr[] = { 0x81, 200, 0, 12, 1, 2, 3, 4, 5, 5, 5, 5, 6, 6, 6, 6, 7, 7, 7,
		7, 8, 8, 8, 8, 9, 9, 9, 9, BLOCK };
	const struct {
		const uint8_t *bytes;
		uint16_t n;
	} rows[] = { { rr, sizeof(rr) }, { sr, sizeof(sr) } };

	for (int i = 0; i < 2; i++) {
		struct rtcp_walk walk;
		struct rtcp_packet p;
		struct rtcp_report r;

		assert_int_equal(rtcp_walk_begin(&walk, rows[i].bytes, rows[i].n), 0);
		assert_true(rtcp_walk_next(&walk, &p));
		assert_true(rtcp_report_get(&p, 0, &r));
		assert_int_equal(r.ssrc, 0xa1a2a3a4);
		assert_int_equal(r.fraction_lost, 25);
		assert_int_equal(r.lost, -2);
		assert_int_equal(r.highest_seq, 0x10005);
		assert_int_equal(r.jitter, 7);
		assert_int_equal(r.lsr, 0xb1b2b3b4);
		assert_int_equal(r.dlsr, 0xc1c2c3c4);
		assert_false(rtcp_report_get(&p, 1, &r));
	}
}

// The count may promise up to 31 blocks; only those that are there are read.
static void blocks_beyond_the_length(void **state)
{
	for (uint16_t body = 0; body <= 4 + 24 + 24; body += 4) {
		uint8_t *pkt = calloc(1, 4u + body);
		struct rtcp_walk walk;
		struct rtcp_packet p;
		struct rtcp_report r;
		unsigned int n = 0;

		pkt[0] = 0x9f;
		pkt[1] = RTCP_RR;
		pkt[3] = (uint8_t)(body / 4);
		assert_int_equal(rtcp_walk_begin(&walk, pkt, (uint16_t)(4 + body)), 0);
		assert_true(rtcp_walk_next(&walk, &p));
		while (rtcp_report_get(&p, n, &r))
			n++;
		assert_int_equal(n, body < 28 ? 0 : (body - 4) / 24);
		p.type = RTCP_SR;
		assert_int_equal(rtcp_report_get(&p, 0, &r), body >= 48);
		p.type = RTCP_APP;
		assert_false(rtcp_report_get(&p, 0, &r));
		free(pkt);
	}
}

static void sender_part(void **state)
{
	static const uint8_t sr[] = { GOLDEN_SR };
	struct rtcp_packet p = { .type = RTCP_SR, .body = sr + 4, .body_bytes = 24 };
	uint32_t ssrc, ts;
	uint64_t ntp;

	assert_true(rtcp_sender_get(&p, &ssrc, &ntp, &ts));
	assert_int_equal(ssrc, sender.ssrc);
	assert_true(ntp == sender.ntp);
	assert_int_equal(ts, sender.ts);
	p.body_bytes = 20;
	assert_false(rtcp_sender_get(&p, &ssrc, &ntp, &ts));
	p.body_bytes = 24;
	p.type = RTCP_RR;
	assert_false(rtcp_sender_get(&p, &ssrc, &ntp, &ts));
}

// RFC 4585 6.2.1, behind padding and in other formats too.
static void nacks_are_read_entry_by_entry(void **state)
{
	uint8_t pkt[] = { 0xa1, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0x12, 0x34, 0xff, 0xff, 0x80, 1, 0, 3,
		0, 0, 0, 0, 0, 4 };
	struct rtcp_walk walk;
	struct rtcp_packet p;
	struct rtcp_nack nack;

	assert_int_equal(rtcp_walk_begin(&walk, pkt, sizeof(pkt)), 0);
	assert_true(rtcp_walk_next(&walk, &p));
	assert_true(rtcp_nack_get(&p, 0, &nack));
	assert_int_equal(nack.ssrc, 0x1234);
	assert_int_equal(nack.pid, 65535);
	assert_int_equal(nack.blp, 0x8001);
	assert_true(rtcp_nack_get(&p, 1, &nack));
	assert_int_equal(nack.pid, 3);
	assert_int_equal(nack.blp, 0);
	assert_false(rtcp_nack_get(&p, 2, &nack)); // padding
	p.count = 15;
	assert_false(rtcp_nack_get(&p, 0, &nack));
	p.count = 1;
	p.type = RTCP_PSFB;
	assert_false(rtcp_nack_get(&p, 0, &nack));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(report_is_golden),
		cmocka_unit_test(bye_is_golden),
		cmocka_unit_test(every_cname_length_fits),
		cmocka_unit_test(compounds_are_judged),
		cmocka_unit_test(padding_is_not_body),
		cmocka_unit_test(report_blocks_are_read),
		cmocka_unit_test(blocks_beyond_the_length),
		cmocka_unit_test(sender_part),
		cmocka_unit_test(nacks_are_read_entry_by_entry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
