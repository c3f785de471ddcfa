// Fragments, disorder, duplicates, loss and the retransmit timer. Checklist D4, D5, D13-D15.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/dtls/rig.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

enum {
	LIMIT_MS = 20000,
	HELLO_PADDING_BYTES = 1216, // a key share of X25519MLKEM768, near enough
	SERVER_FIRST_WAIT_MS = 200,
	CLIENT_FIRST_WAIT_MS = 1000,
};

static const struct rig_options small_client = {
	.client_mtu = 300,
	.hello_padding_bytes = HELLO_PADDING_BYTES,
};

// Every second datagram of a direction overtakes the one before it.
static void script_swap(struct rig *rig, const struct rig_datagram *datagram)
{
	struct rig_datagram *held = &rig->held[datagram->from_client];

	if (held->bytes == 0) {
		*held = *datagram;
		return;
	}
	rig_deliver(rig, datagram);
	rig_deliver(rig, held);
	held->bytes = 0;
}

static void script_duplicate(struct rig *rig, const struct rig_datagram *datagram)
{
	rig_deliver(rig, datagram);
	rig_deliver(rig, datagram);
}

// Disorder, and each datagram a second time when the direction's next pair has passed.
static void script_swap_and_duplicate(struct rig *rig, const struct rig_datagram *datagram)
{
	script_swap(rig, datagram);
	rig_deliver(rig, datagram);
}

static void test_undisturbed(void **state)
{
	struct rig *rig = *state;

	rig_start(rig, &(struct rig_options){});
	rig_run(rig, LIMIT_MS);
	rig_assert_keys(rig, SRTP_PROFILE_GCM128);
	assert_int_equal(rig->elapsed_ms, 0);
	// No HelloVerifyRequest: hello, server's flight, client's flight, server's last.
	assert_int_equal(rig->n_from_client, 2);
	assert_int_equal(rig->n_from_server, 2);
	assert_in_range(rig->max_from_server_bytes, 100, DTLS_MTU_BYTES);
	assert_int_equal(dtls_conn_tick(rig->conn), -1);
}

static void test_fragmented_hello(void **state)
{
	struct rig *rig = *state;

	rig_start(rig, &small_client);
	rig_run(rig, LIMIT_MS);
	rig_assert_keys(rig, SRTP_PROFILE_GCM128);
	assert_int_equal(rig->elapsed_ms, 0);
	assert_in_range(rig->max_from_client_bytes, 200, 300);
	assert_in_range(rig->n_from_client, 7, 20);
}

// What the wire does to either of two clients must not keep them from connecting.
static void run_scripted(void (*script)(struct rig *, const struct rig_datagram *))
{
	static const struct rig_options plain = {};
	const struct rig_options *clients[] = { &plain, &small_client };

	for (int i = 0; i < 2; i++) {
		void *state;
		struct rig *rig;

		assert_int_equal(rig_setup(&state), 0);
		rig = state;
		rig->script = script;
		rig_start(rig, clients[i]);
		rig_run(rig, LIMIT_MS);
		assert_true(rig->connected);
		rig_assert_keys(rig, SRTP_PROFILE_GCM128);
		rig_teardown(&state);
	}
}

static void test_reordered(void **state)
{
	run_scripted(script_swap);
}

static void test_duplicated(void **state)
{
	run_scripted(script_duplicate);
}

static void test_reordered_and_duplicated(void **state)
{
	run_scripted(script_swap_and_duplicate);
}

static struct {
	bool from_client;
	unsigned int ordinal;
} lost;

static void script_lose_one(struct rig *rig, const struct rig_datagram *datagram)
{
	if (datagram->from_client != lost.from_client || datagram->ordinal != lost.ordinal)
		rig_deliver(rig, datagram);
}

static void test_any_one_datagram_lost(void **state)
{
	for (lost.ordinal = 0; lost.ordinal < 10; lost.ordinal++) {
		lost.from_client = false;
		run_scripted(script_lose_one);
		lost.from_client = true;
		run_scripted(script_lose_one);
	}
}

static unsigned int silent_until_ms;

static void script_server_unheard(struct rig *rig, const struct rig_datagram *datagram)
{
	if (datagram->from_client || rig->elapsed_ms >= silent_until_ms)
		rig_deliver(rig, datagram);
}

// D13: our timer brings it through before the client's own would have.
static void test_server_flight_lost(void **state)
{
	struct rig *rig = *state;

	rig->script = script_server_unheard;
	silent_until_ms = SERVER_FIRST_WAIT_MS;
	rig_start(rig, &(struct rig_options){});
	rig_run(rig, LIMIT_MS);
	rig_assert_keys(rig, SRTP_PROFILE_GCM128);
	assert_int_equal(rig->elapsed_ms, SERVER_FIRST_WAIT_MS);
}

static void test_server_flight_lost_twice(void **state)
{
	struct rig *rig = *state;

	rig->script = script_server_unheard;
	silent_until_ms = SERVER_FIRST_WAIT_MS + 1;
	rig_start(rig, &(struct rig_options){});
	rig_run(rig, LIMIT_MS);
	rig_assert_keys(rig, SRTP_PROFILE_GCM128);
	assert_int_equal(rig->elapsed_ms, 3 * SERVER_FIRST_WAIT_MS);
}

static void script_lose_early_client_flight(struct rig *rig, const struct rig_datagram *datagram)
{
	bool is_hello = datagram->from_client && datagram->ordinal == 0;

	if (!datagram->from_client || is_hello || rig->elapsed_ms >= CLIENT_FIRST_WAIT_MS)
		rig_deliver(rig, datagram);
}

static void test_client_flight_lost(void **state)
{
	struct rig *rig = *state;

	rig->script = script_lose_early_client_flight;
	rig_start(rig, &(struct rig_options){});
	rig_run(rig, LIMIT_MS);
	rig_assert_keys(rig, SRTP_PROFILE_GCM128);
	assert_int_equal(rig->elapsed_ms, CLIENT_FIRST_WAIT_MS);
}

static void script_lose_last_flight(struct rig *rig, const struct rig_datagram *datagram)
{
	bool is_first = datagram->ordinal == 0;

	if (datagram->from_client || is_first || rig->elapsed_ms >= silent_until_ms)
		rig_deliver(rig, datagram);
}

// D14: the server is through and has no timer; only the client's repetition makes it resend.
static void run_last_flight_lost(struct rig *rig, unsigned int n_times, unsigned int end_ms)
{
	struct dtls_keys before;
	struct dtls_keys after;

	rig->script = script_lose_last_flight;
	silent_until_ms = end_ms;
	rig_start(rig, &(struct rig_options){});
	rig_pump(rig);
	assert_int_equal(dtls_conn_keys(rig->conn, &before), 0);
	assert_int_equal(dtls_conn_tick(rig->conn), -1);
	assert_false(rig->connected);
	rig_run(rig, LIMIT_MS);
	assert_true(rig->connected);
	rig_assert_keys(rig, SRTP_PROFILE_GCM128);
	assert_int_equal(dtls_conn_keys(rig->conn, &after), 0);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_int_equal(rig->elapsed_ms, end_ms);
	// OpenSSL's client repeats its flight as one datagram a message.
	assert_int_equal(rig->n_from_client, 2 + 5 * n_times);
}

static void test_last_flight_lost(void **state)
{
	run_last_flight_lost(*state, 1, CLIENT_FIRST_WAIT_MS);
}

static void test_last_flight_lost_twice(void **state)
{
	run_last_flight_lost(*state, 2, 3 * CLIENT_FIRST_WAIT_MS);
}

static void script_client_hello_only(struct rig *rig, const struct rig_datagram *datagram)
{
	if (datagram->from_client && datagram->ordinal == 0)
		rig_deliver(rig, datagram);
}

// A silent client: 200 ms, 400, 800, ..., and in the end the handshake fails by itself.
static void test_timer_doubles(void **state)
{
	struct rig *rig = *state;
	int want_ms = SERVER_FIRST_WAIT_MS;
	int n_ticks = 0;
	int wait_ms;

	rig->script = script_client_hello_only;
	rig_start(rig, &(struct rig_options){});
	assert_int_equal(dtls_conn_tick(rig->conn), -1);
	rig_pump(rig);
	wait_ms = dtls_conn_tick(rig->conn);
	while (wait_ms >= 0 && n_ticks < 20) {
		unsigned int n_sent = rig->n_from_server;

		assert_int_equal(wait_ms, want_ms);
		rig_clock_advance(rig, wait_ms / 2);
		assert_int_equal(dtls_conn_tick(rig->conn), wait_ms / 2);
		assert_int_equal(rig->n_from_server, n_sent);
		rig_clock_advance(rig, wait_ms / 2);
		wait_ms = dtls_conn_tick(rig->conn);
		if (wait_ms >= 0)
			assert_true(rig->n_from_server > n_sent);
		want_ms = want_ms * 2 < 60000 ? want_ms * 2 : 60000;
		n_ticks++;
	}
	assert_in_range(n_ticks, 8, 19);
	assert_int_equal(dtls_conn_state(rig->conn), DTLS_FAILED);
	assert_string_not_equal(dtls_conn_error(rig->conn), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_undisturbed),
		TEST(test_fragmented_hello),
		TEST(test_reordered),
		TEST(test_duplicated),
		TEST(test_reordered_and_duplicated),
		TEST(test_any_one_datagram_lost),
		TEST(test_server_flight_lost),
		TEST(test_server_flight_lost_twice),
		TEST(test_client_flight_lost),
		TEST(test_last_flight_lost),
		TEST(test_last_flight_lost_twice),
		TEST(test_timer_doubles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
