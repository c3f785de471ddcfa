// RTP headers in every form an encoder may send, and cut at every byte.
// Source: RFC 3550 5.1, 5.3.1, A.1; RFC 5761 4.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/ingest/rtp.h"

enum {
	PKT_BYTES = 512,
	EXTENSION_BIT = 0x10,
	PADDING_BIT = 0x20,
};

// What a packet is built of. A padding of -1: the bit is not set.
struct shape {
	const char *what;
	uint8_t first_byte; // version and what a case adds to it
	uint8_t n_csrc;
	int ext_words; // -1: no extension
	int padding;   // what the last byte says; -1: the bit is not set
	uint16_t payload_bytes;
	int rc;
	uint16_t seen_bytes; // of payload
};

// Every byte behind the header differs from its neighbours, so that a wrong offset shows.
static uint16_t build(const struct shape *s, uint8_t pkt[PKT_BYTES])
{
	static const uint8_t fixed[RTP_HEADER_BYTES] = { 0, 0xe0, 0xab, 0xcd, 0xde, 0xad, 0xbe,
		0xef, 0x12, 0x34, 0x56, 0x78 };
	uint16_t off = RTP_HEADER_BYTES;

	for (uint16_t i = 0; i < PKT_BYTES; i++)
		pkt[i] = (uint8_t)(i * 7 + 1);
	memcpy(pkt, fixed, sizeof(fixed));
	pkt[0] = (uint8_t)(s->first_byte | s->n_csrc);
	off = (uint16_t)(off + 4 * s->n_csrc);
	if (s->ext_words >= 0) {
		pkt[0] |= EXTENSION_BIT;
		pkt[off + 2] = (uint8_t)(s->ext_words >> 8);
		pkt[off + 3] = (uint8_t)s->ext_words;
		off = (uint16_t)(off + 4 + 4 * (s->ext_words & 0xff));
	}
	off = (uint16_t)(off + s->payload_bytes);
	if (s->padding >= 0) {
		pkt[0] |= PADDING_BIT;
		pkt[off - 1] = (uint8_t)s->padding;
	}
	return off;
}

static const struct shape shapes[] = {
	{ "plain", 0x80, 0, -1, -1, 100, 0, 100 },
	{ "one byte of payload", 0x80, 0, -1, -1, 1, 0, 1 },
	{ "version 0", 0x00, 0, -1, -1, 100, -EBADMSG, 0 },
	{ "version 1", 0x40, 0, -1, -1, 100, -EBADMSG, 0 },
	{ "version 3", 0xc0, 0, -1, -1, 100, -EBADMSG, 0 },
	{ "no payload", 0x80, 0, -1, -1, 0, -EMSGSIZE, 0 },
	{ "no payload behind CSRCs", 0x80, 3, -1, -1, 0, -EMSGSIZE, 0 },
	{ "no payload behind an extension", 0x80, 0, 2, -1, 0, -EMSGSIZE, 0 },
	{ "empty extension", 0x80, 0, 0, -1, 100, 0, 100 },
	{ "extension", 0x80, 0, 3, -1, 100, 0, 100 },
	{ "CSRCs and extension", 0x80, 15, 30, -1, 100, 0, 100 },
	{ "extension beyond the packet", 0x80, 0, 0x100, -1, 100, -EBADMSG, 0 },
	{ "longest extension there is", 0x80, 15, 0xff00, -1, 100, -EBADMSG, 0 },
	{ "padding of none", 0x80, 0, -1, 0, 100, -EBADMSG, 0 },
	{ "padding of itself", 0x80, 0, -1, 1, 100, 0, 99 },
	{ "padding of 4", 0x80, 0, -1, 4, 100, 0, 96 },
	{ "padding of all but one", 0x80, 0, -1, 99, 100, 0, 1 },
	{ "padding of all", 0x80, 0, -1, 100, 100, -EMSGSIZE, 0 },
	{ "padding into the header", 0x80, 0, -1, 101, 100, -EBADMSG, 0 },
	{ "padding of 255", 0x80, 0, -1, 255, 100, -EBADMSG, 0 },
	{ "padding into the CSRCs", 0x80, 2, -1, 20, 16, -EBADMSG, 0 },
	{ "padding into the extension", 0x80, 0, 4, 17, 16, -EBADMSG, 0 },
	{ "all of it together", 0x80, 15, 7, 8, 64, 0, 56 },
};

static void shapes_are_judged(void **state)
{
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		const struct shape *s = &shapes[i];
		uint8_t pkt[PKT_BYTES];
		uint16_t bytes = build(s, pkt);
		struct rtp_packet p = { .ssrc = 1 }, untouched = p;
		int rc = rtp_parse(pkt, bytes, &p);

		if (rc != s->rc || (rc == 0 && p.payload_bytes != s->seen_bytes))
			fail_msg("%s: %d, %u bytes of payload", s->what, rc, p.payload_bytes);
		if (rc < 0)
			assert_memory_equal(&p, &untouched, sizeof(p));
		else
			assert_int_equal(p.payload_off + s->payload_bytes, bytes);
	}
}

static void fields_are_read(void **state)
{
	const struct shape s = { "", 0x80, 2, 1, 3, 40, 0, 37 };
	uint8_t pkt[PKT_BYTES];
	uint16_t bytes = build(&s, pkt);
	struct rtp_packet p;

	assert_int_equal(rtp_parse(pkt, bytes, &p), 0);
	assert_int_equal(p.ssrc, 0x12345678);
	assert_int_equal(p.timestamp, 0xdeadbeef);
	assert_int_equal(p.seq, 0xabcd);
	assert_int_equal(p.payload_type, 0x60);
	assert_true(p.marker);
	assert_int_equal(p.payload_off, 12 + 8 + 8);
	assert_int_equal(p.payload_bytes, 37);
	pkt[1] = 0x7f;
	assert_int_equal(rtp_parse(pkt, bytes, &p), 0);
	assert_false(p.marker);
	assert_int_equal(p.payload_type, 127);
}

// A.1: header of n CSRCs is 12 + 4 n bytes; one byte less is no packet.
static void every_csrc_count(void **state)
{
	for (uint8_t n = 0; n <= 15; n++) {
		const struct shape s = { "", 0x80, n, -1, -1, 10, 0, 10 };
		uint8_t pkt[PKT_BYTES];
		uint16_t bytes = build(&s, pkt);
		struct rtp_packet p;

		assert_int_equal(rtp_parse(pkt, bytes, &p), 0);
		assert_int_equal(p.payload_off, 12 + 4 * n);
		assert_int_equal(p.payload_bytes, 10);
		assert_int_equal(rtp_parse(pkt, (uint16_t)(12 + 4 * n), &p), -EMSGSIZE);
		assert_true(rtp_parse(pkt, (uint16_t)(11 + 4 * n), &p) < 0);
	}
}

// Each piece in heap memory of just its size: a byte read past it is an error of its own.
static void cut_at_every_byte(void **state)
{
	const struct shape s = { "", 0x80, 2, 3, -1, 8, 0, 8 };
	const uint16_t hdr_bytes = 12 + 8 + 4 + 12;
	uint8_t pkt[PKT_BYTES];
	uint16_t bytes = build(&s, pkt);

	for (uint16_t cut = 0; cut <= bytes; cut++) {
		uint8_t *part = malloc(cut ? cut : 1);
		struct rtp_packet p;
		int rc, want = cut < 12		  ? -EMSGSIZE
			       : cut < hdr_bytes  ? -EBADMSG
			       : cut == hdr_bytes ? -EMSGSIZE
						  : 0;

		memcpy(part, pkt, cut);
		rc = rtp_parse(part, cut, &p);
		if (rc != want)
			fail_msg("cut at %u: %d, expected %d", cut, rc, want);
		if (rc == 0)
			assert_int_equal(p.payload_bytes, cut - hdr_bytes);
		free(part);
	}
}

// RFC 5761 4: RTP payload types 64 to 95 are RTCP's on a shared port.
static void rtcp_is_told_apart(void **state)
{
	for (int second = 0; second < 256; second++)
		assert_int_equal(rtp_is_rtcp((uint8_t)second), second >= 192 && second <= 223);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shapes_are_judged),
		cmocka_unit_test(fields_are_read),
		cmocka_unit_test(every_csrc_count),
		cmocka_unit_test(cut_at_every_byte),
		cmocka_unit_test(rtcp_is_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
