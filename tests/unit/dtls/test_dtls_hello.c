// Hellos that OpenSSL's client cannot make: DTLS 1.3 and hybrid groups listed first, GREASE,
// extensions in any order, an MKI. Checklist D3, D6, D8.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/dtls/rig.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

enum {
	RECORD_HEADER_BYTES = 13,
	MESSAGE_HEADER_BYTES = 12,
	TYPE_ALERT = 21,
	TYPE_HANDSHAKE = 22,
	SERVER_HELLO = 2,
	EXT_USE_SRTP = 14,
	EXT_EXTENDED_MASTER_SECRET = 23,
	N_EXTENSIONS = 9,
};

struct extension {
	uint8_t bytes; // of body
	uint8_t type[2];
	uint8_t body[32];
};

static const struct extension firefox_like[N_EXTENSIONS] = {
	{ 0, { 0x3a, 0x3a }, {} },				      // GREASE
	{ 10, { 0, 10 }, { 0, 8, 0x11, 0xec, 0, 29, 0, 23, 0, 24 } }, // X25519MLKEM768 first
	{ 2, { 0, 11 }, { 1, 0 } },				      // ec_point_formats
	{ 8, { 0, 13 }, { 0, 6, 4, 3, 8, 4, 4, 1 } },		      // signature_algorithms
	{ 9, { 0, 14 }, { 0, 4, 0, 7, 0, 1, 2, 0xaa, 0xbb } },	      // use_srtp, MKI aabb
	{ 0, { 0, 23 }, {} },					      // extended_master_secret
	{ 5, { 0, 43 }, { 4, 0xfe, 0xfc, 0xfe, 0xfd } },	      // DTLS 1.3, 1.2
	{ 1, { 0xff, 1 }, { 0 } },				      // renegotiation_info
	{ 3, { 0xff, 0x5a }, { 1, 2, 3 } },			      // nobody's
};

// Bytes written one after another.
struct writer {
	size_t n;
	uint8_t data[512];
};

static void put(struct writer *w, const void *bytes, size_t n)
{
	assert_true(w->n + n <= sizeof(w->data));
	memcpy(w->data + w->n, bytes, n);
	w->n += n;
}

static void put_length(struct writer *w, size_t at, size_t length)
{
	w->data[at] = length >> 8;
	w->data[at + 1] = length;
}

// first, step: in which order the extensions go.
static void write_hello(struct writer *w, const struct extension *extensions, int first, int step)
{
	static const uint8_t headers[] = {
		TYPE_HANDSHAKE, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // record
		1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,			  // message 0, unfragmented
		0xfe, 0xfd,						  // DTLS 1.2
	};
	static const uint8_t random[32] = { 1, 2, 3 };
	static const uint8_t middle[] = {
		0, 0,						      // session, cookie
		0, 8, 0x2a, 0x2a, 0x13, 0x01, 0xc0, 0x2b, 0xc0, 0x2f, // GREASE, 1.3, ECDSA, RSA
		1, 0,						      // no compression
		0, 0,						      // extensions' length
	};
	size_t extensions_at;
	size_t message_bytes;

	put(w, headers, sizeof(headers));
	put(w, random, sizeof(random));
	put(w, middle, sizeof(middle));
	extensions_at = w->n;
	for (int i = 0, k = first; i < N_EXTENSIONS; i++, k = (k + step) % N_EXTENSIONS) {
		put(w, extensions[k].type, 2);
		put(w, (uint8_t[]){ 0, extensions[k].bytes }, 2);
		put(w, extensions[k].body, extensions[k].bytes);
	}
	put_length(w, extensions_at - 2, w->n - extensions_at);
	message_bytes = w->n - RECORD_HEADER_BYTES - MESSAGE_HEADER_BYTES;
	put_length(w, 11, message_bytes + MESSAGE_HEADER_BYTES);
	put_length(w, RECORD_HEADER_BYTES + 2, message_bytes);
	put_length(w, RECORD_HEADER_BYTES + 10, message_bytes);
}

// Return: the extension's body in a ServerHello; NULL absent.
static const uint8_t *find_extension(
	const struct rig_datagram *datagram, unsigned int type, size_t *bytes)
{
	const uint8_t *hello = datagram->data + RECORD_HEADER_BYTES + MESSAGE_HEADER_BYTES;
	// version, random, session and its length, cipher, compression
	size_t off = 2 + 32 + 1 + hello[34] + 2 + 1;
	size_t end = off + 2 + (hello[off] << 8 | hello[off + 1]);

	for (off += 2; off + 4 <= end; off += 4 + (hello[off + 2] << 8 | hello[off + 3])) {
		if ((unsigned int)(hello[off] << 8 | hello[off + 1]) != type)
			continue;
		*bytes = hello[off + 2] << 8 | hello[off + 3];
		return hello + off + 4;
	}
	return NULL;
}

static void assert_server_hello(const struct rig_datagram *datagram)
{
	// GCM-128 alone, and an empty MKI whatever was offered.
	static const uint8_t want_srtp[] = { 0, 2, 0, 7, 0 };
	const uint8_t *message = datagram->data + RECORD_HEADER_BYTES;
	const uint8_t *hello = message + MESSAGE_HEADER_BYTES;
	const uint8_t *ext;
	size_t ext_bytes;

	assert_int_equal(datagram->data[0], TYPE_HANDSHAKE);
	assert_int_equal(message[0], SERVER_HELLO);
	assert_memory_equal(hello, "\xfe\xfd", 2);
	assert_memory_equal(hello + 35 + hello[34], "\xc0\x2b\x00", 3);
	ext = find_extension(datagram, EXT_USE_SRTP, &ext_bytes);
	assert_non_null(ext);
	assert_int_equal(ext_bytes, sizeof(want_srtp));
	assert_memory_equal(ext, want_srtp, sizeof(want_srtp));
	assert_non_null(find_extension(datagram, EXT_EXTENDED_MASTER_SECRET, &ext_bytes));
}

static void test_any_order_of_extensions(void **state)
{
	static const int steps[] = { 1, 2, 4, 5, 7, 8 }; // coprime to their number

	for (int i = 0; i < N_EXTENSIONS * 6; i++) {
		struct writer hello = {};
		void *inner;
		struct rig *rig;

		assert_int_equal(rig_setup(&inner), 0);
		rig = inner;
		rig_start_server(rig, &(struct rig_options){});
		write_hello(&hello, firefox_like, i / 6, steps[i % 6]);
		assert_int_equal(dtls_conn_input(rig->conn, hello.data, hello.n), 0);
		assert_int_equal(dtls_conn_state(rig->conn), DTLS_HANDSHAKING);
		assert_int_equal(rig->to_client.n, 1);
		assert_server_hello(&rig->to_client.datagrams[0]);
		rig_teardown(&inner);
	}
}

// Every wrong length within use_srtp: refused by a fatal alert, nothing read past the end.
static void assert_use_srtp_refused(uint8_t ext_bytes, const uint8_t *body)
{
	struct extension extensions[N_EXTENSIONS];
	struct writer hello = {};
	void *inner;
	struct rig *rig;

	memcpy(extensions, firefox_like, sizeof(extensions));
	extensions[4].bytes = ext_bytes;
	memcpy(extensions[4].body, body, ext_bytes);
	assert_int_equal(rig_setup(&inner), 0);
	rig = inner;
	rig_start_server(rig, &(struct rig_options){});
	write_hello(&hello, extensions, 0, 1);
	assert_int_equal(dtls_conn_input(rig->conn, hello.data, hello.n), 0);
	assert_int_equal(dtls_conn_state(rig->conn), DTLS_FAILED);
	assert_int_equal(rig->to_client.n, 1);
	assert_int_equal(rig->to_client.datagrams[0].data[0], TYPE_ALERT);
	assert_int_equal(rig->to_client.datagrams[0].data[RECORD_HEADER_BYTES], SSL3_AL_FATAL);
	rig_teardown(&inner);
}

static void test_malformed_use_srtp_is_refused(void **state)
{
	static const struct {
		uint8_t bytes;
		uint8_t body[8];
	} cases[] = {
		{ 0, {} }, { 1, { 0 } }, { 2, { 0, 0 } }, { 3, { 0, 0, 0 } },
		{ 4, { 0, 2, 0, 7 } },		// no MKI length
		{ 5, { 0, 3, 0, 7, 0 } },	// odd list
		{ 5, { 0, 4, 0, 7, 0 } },	// list longer than the extension
		{ 5, { 0xff, 0xfe, 0, 7, 0 } }, // much longer
		{ 5, { 0, 2, 0, 7, 1 } },	// MKI cut off
		{ 6, { 0, 2, 0, 7, 0, 0 } },	// a byte too many
		{ 5, { 0, 2, 0, 2, 0 } },	// AES128_CM_SHA1_32 alone: not ours
		{ 7, { 0, 4, 0, 5, 0, 6, 0 } }, // NULL ciphers
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_use_srtp_refused(cases[i].bytes, cases[i].body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_any_order_of_extensions),
		TEST(test_malformed_use_srtp_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
