// What an association does once it stands: junk, replays, renegotiation, alerts, the end.
// Checklist D12, D16, D18, D19.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/dtls/rig.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

enum {
	LIMIT_MS = 5000,
	MAX_SEEN = 16,
};

// What the client sent, for replays.
static struct rig_datagram seen[MAX_SEEN];
static unsigned int n_seen;

static void script_remember(struct rig *rig, const struct rig_datagram *datagram)
{
	if (datagram->from_client && n_seen < MAX_SEEN)
		seen[n_seen++] = *datagram;
	rig_deliver(rig, datagram);
}

static void script_client_muted(struct rig *rig, const struct rig_datagram *datagram)
{
	if (!datagram->from_client)
		rig_deliver(rig, datagram);
	else if (n_seen < MAX_SEEN)
		seen[n_seen++] = *datagram;
}

static void establish(struct rig *rig)
{
	n_seen = 0;
	rig->script = script_remember;
	rig_start(rig, &(struct rig_options){});
	rig_run(rig, LIMIT_MS);
	assert_true(rig->connected);
	rig_assert_keys(rig, SRTP_PROFILE_GCM128);
}

// The client says something that reaches us only by the test's hand.
static struct rig_datagram *client_says(struct rig *rig, const char *text)
{
	rig->script = script_client_muted;
	n_seen = 0;
	assert_int_equal(SSL_write(rig->client, text, (int)strlen(text)), (int)strlen(text));
	assert_int_equal(n_seen, 1);
	return &seen[0];
}

static int input(struct rig *rig, const struct rig_datagram *datagram)
{
	return dtls_conn_input(rig->conn, datagram->data, datagram->bytes);
}

static void test_application_data_is_ignored(void **state)
{
	struct rig *rig = *state;
	unsigned int n_sent;

	establish(rig);
	n_sent = rig->n_from_server;
	assert_int_equal(input(rig, client_says(rig, "hello")), 0);
	rig_assert_keys(rig, SRTP_PROFILE_GCM128);
	assert_int_equal(rig->n_from_server, n_sent);
}

static void test_not_dtls_is_counted(void **state)
{
	static const uint8_t rtp[64] = { 0x80, 0x60 };
	static const uint8_t tls_1_2[] = { 22, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0 };
	static const uint8_t epoch_2[] = { 22, 0xfe, 0xfd, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0 };
	static const uint8_t in_clear[] = { 23, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0 };
	static const uint8_t cut[] = { 22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0 };
	// A body with place for nonce and tag alone.
	static const uint8_t no_text[13 + 24] = { 23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 0, 24 };
	struct rig *rig = *state;

	rig_start(rig, &(struct rig_options){});
	for (int round = 0; round < 2; round++) {
		assert_int_equal(dtls_conn_input(rig->conn, rtp, sizeof(rtp)), -EBADMSG);
		assert_int_equal(dtls_conn_input(rig->conn, rtp, 0), -EBADMSG);
		assert_int_equal(dtls_conn_input(rig->conn, tls_1_2, sizeof(tls_1_2)), -EBADMSG);
		assert_int_equal(dtls_conn_input(rig->conn, epoch_2, sizeof(epoch_2)), -EBADMSG);
		assert_int_equal(dtls_conn_input(rig->conn, in_clear, sizeof(in_clear)), -EBADMSG);
		assert_int_equal(dtls_conn_input(rig->conn, no_text, sizeof(no_text)), -EBADMSG);
		for (size_t n = 0; n <= sizeof(cut); n++)
			assert_int_equal(dtls_conn_input(rig->conn, cut, n), -EBADMSG);
		rig_run(rig, LIMIT_MS);
		rig_assert_keys(rig, SRTP_PROFILE_GCM128);
	}
}

// Junk records before a good one in the same datagram do not hide it.
static void script_junk_in_front(struct rig *rig, const struct rig_datagram *datagram)
{
	static const uint8_t junk[] = {
		23, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, // application data in clear
		22, 0xfe, 0xfd, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1, 0, // epoch 9
		99, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,	 // unknown type
		23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 0, 1, 0, // a later epoch, unreadable
	};
	struct rig_datagram longer = *datagram;

	if (datagram->from_client) {
		memcpy(longer.data, junk, sizeof(junk));
		memcpy(longer.data + sizeof(junk), datagram->data, datagram->bytes);
		longer.bytes += sizeof(junk);
	}
	rig_deliver(rig, &longer);
}

static void test_junk_within_handshake(void **state)
{
	struct rig *rig = *state;

	rig->script = script_junk_in_front;
	rig_start(rig, &(struct rig_options){});
	rig_run(rig, LIMIT_MS);
	assert_int_equal(rig->elapsed_ms, 0);
	rig_assert_keys(rig, SRTP_PROFILE_GCM128);
}

static void test_every_flipped_bit_is_dropped(void **state)
{
	struct rig *rig = *state;
	struct rig_datagram *datagram;
	unsigned int n_sent;

	establish(rig);
	n_sent = rig->n_from_server;
	datagram = client_says(rig, "some application data");
	for (size_t bit = 0; bit < 8 * datagram->bytes; bit++) {
		datagram->data[bit / 8] ^= 1 << bit % 8;
		input(rig, datagram);
		datagram->data[bit / 8] ^= 1 << bit % 8;
		assert_int_equal(dtls_conn_state(rig->conn), DTLS_ESTABLISHED);
	}
	assert_int_equal(input(rig, datagram), 0);
	rig_assert_keys(rig, SRTP_PROFILE_GCM128);
	assert_int_equal(rig->n_from_server, n_sent);
}

static void test_junk_of_all_types_is_dropped(void **state)
{
	struct rig *rig = *state;
	uint8_t junk[512];

	establish(rig);
	for (unsigned int i = 0; i < 20000; i++) {
		size_t bytes = 14 + i * 7 % (sizeof(junk) - 14);

		for (size_t k = 0; k < bytes; k++)
			junk[k] = (uint8_t)((i + 1) * 2654435761u >> k % 24) ^ k;
		memcpy(junk, (uint8_t[]){ 20 + i % 4, 0xfe, 0xfd, 0, i >> 2 & 1 }, 5);
		junk[11] = (bytes - 13) >> 8;
		junk[12] = bytes - 13;
		dtls_conn_input(rig->conn, junk, bytes);
	}
	rig_assert_keys(rig, SRTP_PROFILE_GCM128);
}

// RFC 6347 4.1.2.7: nobody on the path may end it without the keys.
static void test_alert_in_clear_is_dropped(void **state)
{
	static const uint8_t handshake_failure[] = { 21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 1, 0, 0, 2,
		2, 40 };
	static const uint8_t close_notify[] = { 21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 1, 1, 0, 2, 1,
		0 };
	struct rig *rig = *state;

	establish(rig);
	dtls_conn_input(rig->conn, handshake_failure, sizeof(handshake_failure));
	dtls_conn_input(rig->conn, close_notify, sizeof(close_notify));
	rig_assert_keys(rig, SRTP_PROFILE_GCM128);
}

static void test_replays_are_dropped(void **state)
{
	struct rig *rig = *state;
	unsigned int n_handshake;
	unsigned int n_sent;

	establish(rig);
	n_handshake = n_seen;
	assert_true(n_handshake >= 2);
	n_sent = rig->n_from_server;
	for (int round = 0; round < 30; round++) {
		for (unsigned int i = 0; i < n_handshake; i++)
			input(rig, &seen[i]);
	}
	rig_assert_keys(rig, SRTP_PROFILE_GCM128);
	assert_int_equal(rig->n_from_server, n_sent);
	assert_int_equal(dtls_conn_tick(rig->conn), -1);
}

// The client's stack takes the refusal as fatal and says so; that is kept from us.
static void test_renegotiation_is_refused(void **state)
{
	struct rig *rig = *state;
	struct dtls_keys before;
	struct dtls_keys after;

	establish(rig);
	assert_int_equal(dtls_conn_keys(rig->conn, &before), 0);
	rig->script = script_client_muted;
	n_seen = 0;
	assert_int_equal(SSL_renegotiate(rig->client), 1);
	SSL_do_handshake(rig->client);
	assert_int_equal(n_seen, 1);
	assert_int_equal(input(rig, &seen[0]), 0);
	rig_pump(rig);
	assert_int_equal(rig->client_alert, SSL_AD_NO_RENEGOTIATION);
	assert_int_equal(dtls_conn_state(rig->conn), DTLS_ESTABLISHED);
	assert_int_equal(dtls_conn_keys(rig->conn, &after), 0);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_int_equal(dtls_conn_tick(rig->conn), -1);
}

static void test_client_closes(void **state)
{
	struct rig *rig = *state;
	struct dtls_keys keys;

	establish(rig);
	SSL_shutdown(rig->client);
	rig_pump(rig);
	assert_int_equal(dtls_conn_state(rig->conn), DTLS_CLOSED);
	assert_string_equal(dtls_conn_error(rig->conn), "");
	assert_int_equal(dtls_conn_keys(rig->conn, &keys), -EAGAIN);
	assert_int_equal(dtls_conn_tick(rig->conn), -1);
	// RFC 5246 7.2.1: answered in kind.
	assert_int_equal(rig->client_alert, SSL_AD_CLOSE_NOTIFY);
	assert_int_equal(input(rig, &seen[0]), -EBADMSG);
}

static void test_server_closes(void **state)
{
	struct rig *rig = *state;
	unsigned int n_sent;

	establish(rig);
	n_sent = rig->n_from_server;
	dtls_conn_close(rig->conn);
	dtls_conn_close(rig->conn);
	assert_int_equal(dtls_conn_state(rig->conn), DTLS_CLOSED);
	assert_int_equal(rig->n_from_server, n_sent + 1);
	rig_pump(rig);
	assert_int_equal(rig->client_alert, SSL_AD_CLOSE_NOTIFY);
}

static void test_close_within_handshake(void **state)
{
	struct rig *rig = *state;

	rig->script = script_client_muted;
	n_seen = 0;
	rig_start(rig, &(struct rig_options){});
	rig_pump(rig);
	assert_int_equal(input(rig, &seen[0]), 0);
	dtls_conn_close(rig->conn);
	assert_int_equal(dtls_conn_state(rig->conn), DTLS_CLOSED);
	assert_int_equal(dtls_conn_tick(rig->conn), -1);
	assert_int_equal(input(rig, &seen[0]), -EBADMSG);
}

static void test_failed_stays_failed(void **state)
{
	struct rig *rig = *state;

	rig_start(rig, &(struct rig_options){ .wrong_fingerprint = true });
	rig_run(rig, LIMIT_MS);
	dtls_conn_close(rig->conn);
	assert_int_equal(dtls_conn_state(rig->conn), DTLS_FAILED);
	assert_string_not_equal(dtls_conn_error(rig->conn), "");
}

// The client rejects us in the middle of the handshake, by an alert in clear.
static int reject_server(X509_STORE_CTX *store, void *arg)
{
	X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
	return 0;
}

static void test_fatal_alert_fails(void **state)
{
	struct rig *rig = *state;

	rig_start(rig, &(struct rig_options){});
	SSL_CTX_set_cert_verify_callback(rig->client_ctx, reject_server, NULL);
	SSL_set_verify(rig->client, SSL_VERIFY_PEER, NULL);
	rig_run(rig, LIMIT_MS);
	rig_pump(rig);
	assert_int_equal(dtls_conn_state(rig->conn), DTLS_FAILED);
	assert_non_null(strstr(dtls_conn_error(rig->conn), "alert"));
}

// The same under the keys: the client's stack answers a refused renegotiation by a fatal alert.
static void test_fatal_alert_after_handshake_fails(void **state)
{
	struct rig *rig = *state;
	struct dtls_keys keys;

	establish(rig);
	assert_int_equal(SSL_renegotiate(rig->client), 1);
	SSL_do_handshake(rig->client);
	rig_pump(rig);
	assert_int_equal(dtls_conn_state(rig->conn), DTLS_FAILED);
	assert_int_equal(dtls_conn_keys(rig->conn, &keys), -EAGAIN);
}

// D12: between the first flight and the Finished there are no keys.
static void test_no_keys_before_finished(void **state)
{
	struct rig *rig = *state;
	struct dtls_keys keys;

	rig->script = script_client_muted;
	n_seen = 0;
	rig_start(rig, &(struct rig_options){});
	rig_pump(rig);
	assert_int_equal(dtls_conn_keys(rig->conn, &keys), -EAGAIN);
	input(rig, &seen[0]);
	assert_int_equal(dtls_conn_state(rig->conn), DTLS_HANDSHAKING);
	assert_int_equal(dtls_conn_keys(rig->conn, &keys), -EAGAIN);
}

// The rig destroys what it finds: nothing begun, and handshakes stopped after each datagram.
static unsigned int n_let_through;

static void script_stop_after(struct rig *rig, const struct rig_datagram *datagram)
{
	if (rig->n_from_client + rig->n_from_server <= n_let_through)
		rig_deliver(rig, datagram);
}

static void test_destroyed_at_any_point(void **state)
{
	for (n_let_through = 0; n_let_through < 15; n_let_through++) {
		void *inner;
		struct rig *rig;

		assert_int_equal(rig_setup(&inner), 0);
		rig = inner;
		rig->script = script_stop_after;
		rig_start(rig, &(struct rig_options){ .client_mtu = 300 });
		rig_pump(rig);
		rig_teardown(&inner);
	}
	dtls_conn_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_application_data_is_ignored),
		TEST(test_not_dtls_is_counted),
		TEST(test_junk_within_handshake),
		TEST(test_every_flipped_bit_is_dropped),
		TEST(test_junk_of_all_types_is_dropped),
		TEST(test_alert_in_clear_is_dropped),
		TEST(test_replays_are_dropped),
		TEST(test_renegotiation_is_refused),
		TEST(test_client_closes),
		TEST(test_server_closes),
		TEST(test_close_within_handshake),
		TEST(test_failed_stays_failed),
		TEST(test_fatal_alert_fails),
		TEST(test_fatal_alert_after_handshake_fails),
		TEST(test_no_keys_before_finished),
		TEST(test_destroyed_at_any_point),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
