// STUN messages against the vectors of RFC 5769, and against everything that is not STUN.
// Checklist: C3, C6, C7, C9, C10.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/ice/priv/stun_digest.h"
#include "control/ice/stun.h"

#define SHORT_TERM_PWD "VOkJxbRl1RmTxUk/WvJxBt"
#define VECTOR_TXID    "b7e7a701bc34d686fa87dfae"

enum {
	BUF_BYTES = 512,
};

// RFC 5769 2.1 to 2.4. The first three pad with spaces, which no reader may mind.
static const char request_hex[] = "00010058"
				  "2112a442" VECTOR_TXID "80220010"
				  "5354554e207465737420636c69656e74"
				  "00240004"
				  "6e0001ff"
				  "80290008"
				  "932ff9b151263b36"
				  "00060009"
				  "6576746a3a68367659202020"
				  "00080014"
				  "9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2"
				  "80280004"
				  "e57a3bcf";
static const char response_v4_hex[] = "0101003c"
				      "2112a442" VECTOR_TXID "8022000b"
				      "7465737420766563746f7220"
				      "00200008"
				      "0001a147e112a643"
				      "00080014"
				      "2b91f599fd9e90c38c7489f92af9ba53f06be7d7"
				      "80280004"
				      "c07d4c96";
static const char response_v6_hex[] = "01010048"
				      "2112a442" VECTOR_TXID "8022000b"
				      "7465737420766563746f7220"
				      "00200014"
				      "0002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
				      "00080014"
				      "a382954e4be67bf11784c97c8292c275bfe3ed41"
				      "80280004"
				      "c8fb0b4c";
static const char long_term_hex[] = "00010060"
				    "2112a442"
				    "78ad3433c6ad72c029da412e"
				    "00060012"
				    "e3839ee38388e383aae38383e382afe382b90000"
				    "0015001c"
				    "662f2f3439396b3935346436"
				    "4f4c33346f4c39465354767936347341"
				    "0014000b"
				    "6578616d706c652e6f726700"
				    "00080014"
				    "f67024656dd64a3e02b8e0712e85c9a28ca89666";
// MD5 of user, realm and password as 2.4 gives them (RFC 8489 9.2.2).
static const char long_term_key_hex[] = "e8ca7ad59d5eb0518e312911d2dab2a9";

static size_t from_hex(const char *hex, uint8_t *out, size_t cap_bytes)
{
	size_t n_bytes = strlen(hex) / 2;

	assert_true(n_bytes <= cap_bytes);
	for (size_t i = 0; i < n_bytes; i++) {
		char digits[3] = { hex[2 * i], hex[2 * i + 1] };

		out[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
	return n_bytes;
}

// A copy of exactly its size on the heap, so that the sanitizer sees a read past it.
static int parse_exact(const uint8_t *pkt, size_t pkt_bytes, bool *out_integrity)
{
	uint8_t *copy = malloc(pkt_bytes > 0 ? pkt_bytes : 1);
	struct stun_msg msg;
	int ret;

	assert_non_null(copy);
	memcpy(copy, pkt, pkt_bytes);
	ret = stun_parse(copy, pkt_bytes, &msg);
	*out_integrity = ret == 0 && stun_integrity_ok(&msg, SHORT_TERM_PWD, 22);
	free(copy);
	return ret;
}

static void test_vector_request(void **state)
{
	uint8_t pkt[BUF_BYTES];
	size_t pkt_bytes = from_hex(request_hex, pkt, sizeof(pkt));
	struct stun_msg msg;

	assert_int_equal(stun_parse(pkt, pkt_bytes, &msg), 0);
	assert_int_equal(msg.type, STUN_BINDING_REQUEST);
	assert_ptr_equal(msg.txid, pkt + 8);
	assert_int_equal(msg.username_bytes, 9);
	assert_memory_equal(msg.username, "evtj:h6vY", 9);
	assert_true(msg.has_priority && msg.has_fingerprint && msg.ice_controlled);
	assert_false(msg.ice_controlling || msg.use_candidate);
	assert_int_equal(msg.priority, 0x6e0001ff);
	assert_true(msg.tie_breaker == UINT64_C(0x932ff9b151263b36));
	assert_int_equal(msg.n_unknown, 0);
	assert_int_equal(msg.integrity_off, 76);
	assert_true(stun_integrity_ok(&msg, SHORT_TERM_PWD, 22));
	assert_false(stun_integrity_ok(&msg, SHORT_TERM_PWD, 21));
	assert_false(stun_integrity_ok(&msg, "VOkJxbRl1RmTxUk/WvJxBu", 22));
	assert_false(stun_integrity_ok(&msg, "", 0));
}

static void test_vector_responses(void **state)
{
	const char *vectors[] = { response_v4_hex, response_v6_hex };

	for (size_t i = 0; i < 2; i++) {
		uint8_t pkt[BUF_BYTES];
		size_t pkt_bytes = from_hex(vectors[i], pkt, sizeof(pkt));
		struct stun_msg msg;

		assert_int_equal(stun_parse(pkt, pkt_bytes, &msg), 0);
		assert_int_equal(msg.type, STUN_BINDING_SUCCESS);
		assert_true(msg.has_fingerprint);
		assert_null(msg.username);
		assert_true(stun_integrity_ok(&msg, SHORT_TERM_PWD, 22));
	}
}

static void test_vector_long_term(void **state)
{
	uint8_t pkt[BUF_BYTES], key[16];
	size_t pkt_bytes = from_hex(long_term_hex, pkt, sizeof(pkt));
	struct stun_msg msg;

	from_hex(long_term_key_hex, key, sizeof(key));
	assert_int_equal(stun_parse(pkt, pkt_bytes, &msg), 0);
	assert_false(msg.has_fingerprint);
	assert_int_equal(msg.username_bytes, 18);
	assert_int_equal(msg.n_unknown, 0); // REALM and NONCE are understood
	assert_true(stun_integrity_ok(&msg, (const char *)key, sizeof(key)));
}

// Put text the way the vectors pad it.
static void put_spaced(struct stun_writer *w, uint16_t attr, const char *text)
{
	uint16_t text_bytes = (uint16_t)strlen(text);
	uint16_t end = (uint16_t)(w->used_bytes + 4 + text_bytes);

	stun_put(w, attr, text, text_bytes);
	memset(w->buf + end, ' ', (size_t)(w->used_bytes - end));
}

static void end_as(struct stun_writer *w, const char *hex)
{
	uint8_t expected[BUF_BYTES];
	size_t expected_bytes = from_hex(hex, expected, sizeof(expected));
	uint16_t got_bytes = 0;

	assert_int_equal(stun_end(w, &got_bytes), 0);
	assert_int_equal(got_bytes, expected_bytes);
	assert_memory_equal(w->buf, expected, expected_bytes);
}

static void test_write_request(void **state)
{
	uint8_t buf[BUF_BYTES], txid[STUN_TXID_BYTES];
	struct stun_writer w;

	from_hex(VECTOR_TXID, txid, sizeof(txid));
	stun_begin(&w, buf, sizeof(buf), STUN_BINDING_REQUEST, txid);
	stun_put(&w, 0x8022, "STUN test client", 16);
	stun_put(&w, 0x0024, "\x6e\x00\x01\xff", 4);
	stun_put(&w, 0x8029, "\x93\x2f\xf9\xb1\x51\x26\x3b\x36", 8);
	put_spaced(&w, 0x0006, "evtj:h6vY");
	stun_put_integrity(&w, SHORT_TERM_PWD, 22);
	stun_put_fingerprint(&w);
	end_as(&w, request_hex);
}

static void test_write_responses(void **state)
{
	static const struct {
		struct net_addr addr;
		const char *hex;
	} rows[] = {
		{ { .ip = { 192, 0, 2, 1 }, .family = NET_IPV4 }, response_v4_hex },
		// C9: the same address, as a dual-stack socket shows it
		{ { .ip = { [10] = 0xff, [11] = 0xff, 192, 0, 2, 1 }, .family = NET_IPV6 },
			response_v4_hex },
		{ { .ip = { 0x20, 0x01, 0x0d, 0xb8, 0x12, 0x34, 0x56, 0x78, 0x00, 0x11, 0x22, 0x33,
			    0x44, 0x55, 0x66, 0x77 },
			  .family = NET_IPV6 },
			response_v6_hex },
	};
	uint8_t buf[BUF_BYTES], txid[STUN_TXID_BYTES];

	from_hex(VECTOR_TXID, txid, sizeof(txid));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct net_addr addr = rows[i].addr;
		struct stun_writer w;

		addr.port_be = htons(32853);
		stun_begin(&w, buf, sizeof(buf), STUN_BINDING_SUCCESS, txid);
		put_spaced(&w, 0x8022, "test vector");
		stun_put_xor_mapped_address(&w, &addr);
		stun_put_integrity(&w, SHORT_TERM_PWD, 22);
		stun_put_fingerprint(&w);
		end_as(&w, rows[i].hex);
	}
}

// 2.4 pads with zeros, as the writer does.
static void test_write_long_term(void **state)
{
	uint8_t buf[BUF_BYTES], txid[STUN_TXID_BYTES], key[16];
	struct stun_writer w;

	from_hex("78ad3433c6ad72c029da412e", txid, sizeof(txid));
	from_hex(long_term_key_hex, key, sizeof(key));
	memset(buf, 0xee, sizeof(buf));
	stun_begin(&w, buf, sizeof(buf), STUN_BINDING_REQUEST, txid);
	stun_put(&w, 0x0006, "マトリックス", 18);
	stun_put(&w, 0x0015, "f//499k954d6OL34oL9FSTvy64sA", 28);
	stun_put(&w, 0x0014, "example.org", 11);
	stun_put_integrity(&w, (const char *)key, sizeof(key));
	end_as(&w, long_term_hex);
}

static void test_write_overflow(void **state)
{
	uint8_t full[BUF_BYTES];
	size_t full_bytes = from_hex(response_v4_hex, full, sizeof(full));
	struct net_addr addr = { .ip = { 192, 0, 2, 1 }, .family = NET_IPV4 };
	struct net_addr none = { 0 };
	uint16_t out_bytes = 7777;
	struct stun_writer w;

	for (size_t cap_bytes = 0; cap_bytes <= full_bytes; cap_bytes++) {
		uint8_t *buf = malloc(cap_bytes > 0 ? cap_bytes : 1);

		assert_non_null(buf);
		stun_begin(&w, buf, (uint16_t)cap_bytes, STUN_BINDING_SUCCESS, full + 8);
		stun_put(&w, 0x8022, "test vector", 11);
		stun_put_xor_mapped_address(&w, &addr);
		stun_put_integrity(&w, SHORT_TERM_PWD, 22);
		stun_put_fingerprint(&w);
		assert_int_equal(stun_end(&w, &out_bytes), cap_bytes < full_bytes ? -ENOBUFS : 0);
		assert_int_equal(out_bytes, cap_bytes < full_bytes ? 7777 : full_bytes);
		free(buf);
	}
	stun_begin(&w, full, sizeof(full), STUN_BINDING_SUCCESS, full + 8);
	stun_put_xor_mapped_address(&w, &none);
	assert_int_equal(stun_end(&w, &out_bytes), -ENOBUFS);
}

static void test_write_error_and_unknown(void **state)
{
	static const uint8_t expected[] = { 0x01, 0x11, 0x00, 0x1c, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3,
		4, 5, 6, 7, 8, 9, 10, 11, 12, 0x00, 0x09, 0x00, 0x0a, 0, 0, 4, 20, 'N', 'o', 'v',
		'e', 'l', '!', 0, 0, 0x00, 0x0a, 0x00, 0x06, 0x00, 0x1e, 0x7f, 0xff, 0x00, 0x03, 0,
		0 };
	const uint16_t unknown[] = { 0x001e, 0x7fff, 0x0003 };
	uint8_t buf[BUF_BYTES];
	uint16_t got_bytes = 0;
	struct stun_writer w;

	memset(buf, 0xee, sizeof(buf));
	stun_begin(&w, buf, sizeof(buf), STUN_BINDING_ERROR, expected + 8);
	stun_put_error(&w, 420, "Novel!");
	stun_put_unknown(&w, unknown, 3);
	assert_int_equal(stun_end(&w, &got_bytes), 0);
	assert_int_equal(got_bytes, sizeof(expected));
	assert_memory_equal(buf, expected, sizeof(expected));
}

// C3. Rows are attributes behind a right header; the length is filled in.
static void test_parse_form(void **state)
{
	static const struct {
		const char *what;
		const char *attrs_hex;
		int ret;
	} rows[] = {
		{ "no attributes", "", 0 },
		{ "empty value", "00250000", 0 },
		{ "value without its padding", "8022000141", -EBADMSG },
		{ "value past the end", "0006000541414141", -EBADMSG },
		{ "padding past the end", "8022000541414141", -EBADMSG },
		{ "length of 64 KiB", "8022ffff41414141", -EBADMSG },
		{ "cut before the length", "802200044141414180220000", 0 },
		{ "priority of two bytes", "002400026e000000", -EBADMSG },
		{ "priority of eight bytes", "002400086e0001ff6e0001ff", -EBADMSG },
		{ "role of four bytes", "802a000400000000", -EBADMSG },
		{ "integrity of 16 bytes", "0008001000000000000000000000000000000000", -EBADMSG },
		{ "integrity of 24 bytes",
			"00080018000000000000000000000000000000000000000000000000", -EBADMSG },
		{ "fingerprint of no bytes", "80280000", -EBADMSG },
		{ "fingerprint wrong", "8028000400000000", -EBADMSG },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t pkt[BUF_BYTES] = { 0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42 };
		size_t attrs_bytes = from_hex(rows[i].attrs_hex, pkt + 20, sizeof(pkt) - 20);
		bool integrity;

		pkt[3] = (uint8_t)attrs_bytes;
		if (parse_exact(pkt, 20 + attrs_bytes, &integrity) != rows[i].ret)
			fail_msg("%s: not %d", rows[i].what, rows[i].ret);
		assert_false(integrity);
	}
}

static void test_parse_header(void **state)
{
	static const struct {
		const char *what;
		size_t off;
		uint8_t value;
	} rows[] = {
		{ "top bit", 0, 0x80 },
		{ "second bit", 0, 0x40 },
		{ "cookie", 4, 0x20 },
		{ "cookie's end", 7, 0x43 },
		{ "length too small by four", 3, 0x54 },
		{ "length too large by four", 3, 0x5c },
		{ "length not a multiple of four", 3, 0x57 },
		{ "length of the whole packet", 3, 0x6c },
	};
	uint8_t pkt[BUF_BYTES] = { 0 };
	bool integrity;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t pkt_bytes = from_hex(request_hex, pkt, sizeof(pkt));

		pkt[rows[i].off] = rows[i].value;
		if (parse_exact(pkt, pkt_bytes, &integrity) != -EBADMSG)
			fail_msg("%s: taken", rows[i].what);
	}
	// Right in itself, but the length field does not say so.
	from_hex(request_hex, pkt, sizeof(pkt));
	pkt[3] = 0x57;
	assert_int_equal(parse_exact(pkt, 20 + 0x57, &integrity), -EBADMSG);
	assert_int_equal(parse_exact(pkt, 0, &integrity), -EBADMSG);
}

// A datagram cannot be so long; a caller's mistake must not wrap the 16-bit size.
static void test_parse_too_long(void **state)
{
	enum { LONG_BYTES = 20 + 65532 };
	uint8_t *pkt = calloc(1, LONG_BYTES);
	bool integrity;

	assert_non_null(pkt);
	from_hex("0001fffc2112a442", pkt, 8);
	assert_int_equal(parse_exact(pkt, LONG_BYTES, &integrity), -EBADMSG);
	pkt[2] = 0xff;
	pkt[3] = 0xe8; // the longest that fits
	memcpy(pkt + 20, "\x80\x22\xff\xe4", 4);
	assert_int_equal(parse_exact(pkt, 20 + 0xffe8, &integrity), 0);
	free(pkt);
}

static void test_every_truncation(void **state)
{
	uint8_t pkt[BUF_BYTES];
	size_t pkt_bytes = from_hex(request_hex, pkt, sizeof(pkt));
	bool integrity;

	for (size_t cut = 0; cut < pkt_bytes; cut++) {
		assert_int_equal(parse_exact(pkt, cut, &integrity), -EBADMSG);
		// And with a length field that agrees: never authentic under a wrong tail.
		if (cut >= 20) {
			uint8_t cut_pkt[BUF_BYTES];
			int ret;

			memcpy(cut_pkt, pkt, cut);
			cut_pkt[3] = (uint8_t)(cut - 20);
			ret = parse_exact(cut_pkt, cut, &integrity);
			// Only whole attributes up to the cut pass, 100 is where FINGERPRINT stood.
			assert_int_equal(integrity, cut == 100);
			assert_true(ret == 0 || ret == -EBADMSG);
		}
	}
}

// C7: the CRC sees each one of them; C6: without the CRC, the HMAC does.
static void test_every_bit_flip(void **state)
{
	uint8_t pkt[BUF_BYTES];
	size_t pkt_bytes = from_hex(request_hex, pkt, sizeof(pkt));
	struct stun_msg msg;
	bool integrity;

	for (size_t bit = 0; bit < 8 * pkt_bytes; bit++) {
		pkt[bit / 8] ^= (uint8_t)(1 << bit % 8);
		// What parses is a packet whose FINGERPRINT the flip has hidden: refused with 400.
		if (stun_parse(pkt, pkt_bytes, &msg) == 0)
			assert_false(msg.has_fingerprint);
		parse_exact(pkt, pkt_bytes, &integrity);
		pkt[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	pkt[3] = (uint8_t)(pkt[3] - 8);
	for (size_t bit = 0; bit < 8 * 100; bit++) {
		pkt[bit / 8] ^= (uint8_t)(1 << bit % 8);
		parse_exact(pkt, 100, &integrity);
		assert_false(integrity);
		pkt[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	parse_exact(pkt, 100, &integrity);
	assert_true(integrity);
}

// 14.7. The CRC is right for the message as it stands, so that the place alone is at fault.
static void test_fingerprint_last(void **state)
{
	static const struct {
		uint16_t after; // an attribute behind it
		int ret;
	} rows[] = { { 0, 0 }, { 0x8022, -EBADMSG }, { 0x8028, -EBADMSG } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t buf[BUF_BYTES], txid[STUN_TXID_BYTES] = { 0 };
		uint16_t out_bytes = 0;
		struct stun_msg msg;
		struct stun_writer w;
		uint32_t crc_be;

		stun_begin(&w, buf, sizeof(buf), STUN_BINDING_REQUEST, txid);
		stun_put(&w, 0x8028, "....", 4);
		if (rows[i].after)
			stun_put(&w, rows[i].after, "....", 4);
		crc_be = htonl(stun_fingerprint(buf, 20));
		memcpy(buf + 24, &crc_be, sizeof(crc_be));
		crc_be = htonl(stun_fingerprint(buf, 28));
		if (rows[i].after)
			memcpy(buf + 32, &crc_be, sizeof(crc_be));
		assert_int_equal(stun_end(&w, &out_bytes), 0);
		assert_int_equal(stun_parse(buf, out_bytes, &msg), rows[i].ret);
	}
}

// C6: nothing behind MESSAGE-INTEGRITY counts, but FINGERPRINT.
static void test_unsigned_tail(void **state)
{
	uint8_t buf[BUF_BYTES], txid[STUN_TXID_BYTES] = { 3 };
	uint16_t out_bytes = 0;
	struct stun_msg msg;
	struct stun_writer w;

	stun_begin(&w, buf, sizeof(buf), STUN_BINDING_REQUEST, txid);
	stun_put(&w, 0x0006, "a:b", 3);
	stun_put_integrity(&w, SHORT_TERM_PWD, 22);
	stun_put(&w, 0x0025, NULL, 0);
	stun_put(&w, 0x0024, "\x7f\xff\xff\xff", 4);
	stun_put(&w, 0x8029, "12345678", 8);
	stun_put(&w, 0x0006, "x:y", 3);
	stun_put(&w, 0x7abc, "?", 1);
	stun_put(&w, 0x0008, "short", 5);
	stun_put_fingerprint(&w);
	assert_int_equal(stun_end(&w, &out_bytes), 0);
	assert_int_equal(stun_parse(buf, out_bytes, &msg), 0);
	assert_true(stun_integrity_ok(&msg, SHORT_TERM_PWD, 22));
	assert_memory_equal(msg.username, "a:b", 3);
	assert_false(msg.use_candidate || msg.has_priority || msg.ice_controlled);
	assert_int_equal(msg.n_unknown, 0);
	assert_true(msg.has_fingerprint);
}

// RFC 8489 5: of two the first counts. C10: at most eight unknown ones are kept.
static void test_repeated_attributes(void **state)
{
	uint8_t buf[BUF_BYTES], txid[STUN_TXID_BYTES] = { 4 };
	uint16_t out_bytes = 0;
	struct stun_msg msg;
	struct stun_writer w;

	stun_begin(&w, buf, sizeof(buf), STUN_BINDING_REQUEST, txid);
	stun_put(&w, 0x0006, "a:b", 3);
	stun_put(&w, 0x0006, "c:d", 3);
	stun_put(&w, 0x0024, "\x00\x00\x00\x01", 4);
	stun_put(&w, 0x0024, "\x00\x00\x00\x02", 4);
	stun_put(&w, 0x802a, "\0\0\0\0\0\0\0\x01", 8);
	stun_put(&w, 0x802a, "\0\0\0\0\0\0\0\x02", 8);
	for (uint16_t i = 0; i < 20; i++)
		stun_put(&w, (uint16_t)(0x7000 + i), NULL, 0);
	stun_put(&w, 0x8000, NULL, 0);
	stun_put(&w, 0xc057, "cost", 4);
	assert_int_equal(stun_end(&w, &out_bytes), 0);
	assert_int_equal(stun_parse(buf, out_bytes, &msg), 0);
	assert_memory_equal(msg.username, "a:b", 3);
	assert_int_equal(msg.priority, 1);
	assert_true(msg.tie_breaker == 1);
	assert_true(msg.ice_controlling);
	assert_int_equal(msg.n_unknown, STUN_MAX_UNKNOWN);
	for (uint16_t i = 0; i < STUN_MAX_UNKNOWN; i++)
		assert_int_equal(msg.unknown[i], 0x7000 + i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vector_request),
		cmocka_unit_test(test_vector_responses),
		cmocka_unit_test(test_vector_long_term),
		cmocka_unit_test(test_write_request),
		cmocka_unit_test(test_write_responses),
		cmocka_unit_test(test_write_long_term),
		cmocka_unit_test(test_write_overflow),
		cmocka_unit_test(test_write_error_and_unknown),
		cmocka_unit_test(test_parse_form),
		cmocka_unit_test(test_parse_header),
		cmocka_unit_test(test_parse_too_long),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_every_bit_flip),
		cmocka_unit_test(test_fingerprint_last),
		cmocka_unit_test(test_unsigned_tail),
		cmocka_unit_test(test_repeated_attributes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
