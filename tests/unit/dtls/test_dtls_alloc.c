// Each allocation of OpenSSL's fails once, in turn; and what an established association keeps.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include <cmocka.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "tests/unit/dtls/rig.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

enum {
	NEVER = 0,
	// More than half of it is a message buffer that OpenSSL keeps for DTLS; record buffers
	// would come on top.
	MAX_IDLE_BYTES = 44 * 1024,
};

static bool armed;
static unsigned int n_until_failure; // NEVER: counts only
static unsigned int n_allocations;
static size_t live_bytes;

static bool must_fail(void)
{
	return armed && ++n_allocations == n_until_failure;
}

static void *counted_malloc(size_t bytes, const char *file, int line)
{
	void *p = must_fail() ? NULL : malloc(bytes);

	if (p != NULL)
		live_bytes += malloc_usable_size(p);
	return p;
}

static void counted_free(void *p, const char *file, int line)
{
	if (p != NULL)
		live_bytes -= malloc_usable_size(p);
	free(p);
}

static void *counted_realloc(void *old, size_t bytes, const char *file, int line)
{
	size_t old_bytes = old != NULL ? malloc_usable_size(old) : 0;
	void *p;

	if (bytes == 0) {
		counted_free(old, file, line);
		return NULL;
	}
	p = must_fail() ? NULL : realloc(old, bytes);
	if (p != NULL)
		live_bytes += malloc_usable_size(p) - old_bytes;
	return p;
}

static void no_send(void *arg, const uint8_t *pkt, size_t pkt_bytes)
{
}

static void arm(unsigned int n)
{
	armed = true;
	n_allocations = 0;
	n_until_failure = n;
}

static void test_conn_create_fails_cleanly(void **state)
{
	struct sdp_fingerprint fingerprint = { .hash_bits = 256 };
	struct rig *rig = *state;
	struct dtls_conn *conn = NULL;
	size_t before_bytes;
	unsigned int n = 0;
	int err;

	rig_start_server(rig, &(struct rig_options){});
	before_bytes = live_bytes;
	do {
		arm(++n);
		err = dtls_conn_create(rig->ctx, &fingerprint, 1, no_send, NULL, &conn);
		armed = false;
		assert_int_equal(ERR_peek_error(), 0);
		if (err != 0) {
			assert_int_equal(err, -ENOMEM);
			assert_null(conn);
			assert_int_equal(live_bytes, before_bytes);
		}
	} while (err != 0);
	assert_in_range(n, 10, 1000);
	dtls_conn_destroy(conn);
	assert_int_equal(live_bytes, before_bytes);
}

static void fail_within_input(struct rig *rig, bool begins)
{
	armed = begins;
}

// Return: whether the nth allocation was reached.
static bool run_handshake(unsigned int n)
{
	void *state;
	struct rig *rig;
	bool reached;

	assert_int_equal(rig_setup(&state), 0);
	rig = state;
	rig_start(rig, &(struct rig_options){});
	rig->around_input = fail_within_input;
	arm(n);
	armed = false;
	rig_run(rig, 8000);
	reached = n_allocations >= n;
	if (dtls_conn_state(rig->conn) == DTLS_ESTABLISHED)
		rig_assert_keys(rig, SRTP_PROFILE_GCM128);
	else if (dtls_conn_state(rig->conn) == DTLS_FAILED)
		assert_string_not_equal(dtls_conn_error(rig->conn), "");
	rig_teardown(&state);
	return reached;
}

static void test_handshake_survives_want_of_memory(void **state)
{
	unsigned int n = 1;

	while (run_handshake(n))
		n += 1 + n / 64;
	assert_in_range(n, 100, 100000);
}

// Thousands of these wait side by side.
static void test_established_is_lean(void **state)
{
	struct rig *rig = *state;
	size_t full_bytes;

	rig_start(rig, &(struct rig_options){});
	rig_run(rig, 1000);
	rig_assert_keys(rig, SRTP_PROFILE_GCM128);
	full_bytes = live_bytes;
	dtls_conn_destroy(rig->conn);
	rig->conn = NULL;
	assert_in_range(full_bytes - live_bytes, 1, MAX_IDLE_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_conn_create_fails_cleanly),
		TEST(test_handshake_survives_want_of_memory),
		TEST(test_established_is_lean),
	};

	if (CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free) != 1)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
