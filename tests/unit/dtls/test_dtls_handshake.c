// What a handshake agrees on, and whom it refuses. Checklist D2, D7, D9-D12, D16, D17.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/ec.h>
#include <openssl/srtp.h>
#include <openssl/x509.h>

#include "tests/unit/dtls/rig.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

enum {
	CM80 = SRTP_PROFILE_CM80,
	GCM128 = SRTP_PROFILE_GCM128,
	GCM256 = SRTP_PROFILE_GCM256,
};

static void no_send(void *arg, const uint8_t *pkt, size_t pkt_bytes)
{
}

static void run_with(struct rig_options options, struct rig *rig)
{
	rig_start(rig, &options);
	rig_run(rig, 5000);
}

static void assert_agreed(struct rig_options options, uint16_t profile)
{
	void *state;

	assert_int_equal(rig_setup(&state), 0);
	run_with(options, state);
	rig_assert_keys(state, profile);
	assert_string_equal(dtls_conn_error(((struct rig *)state)->conn), "");
	rig_teardown(&state);
}

static void assert_refused(struct rig *rig, int alert)
{
	struct dtls_keys keys;

	assert_int_equal(dtls_conn_state(rig->conn), DTLS_FAILED);
	assert_int_equal(rig->client_alert, alert);
	assert_false(rig->connected);
	assert_int_equal(dtls_conn_keys(rig->conn, &keys), -EAGAIN);
	assert_int_equal(dtls_conn_tick(rig->conn), -1);
}

static void test_each_profile_alone(void **state)
{
	assert_agreed((struct rig_options){ .client_profiles = "SRTP_AES128_CM_SHA1_80" }, CM80);
	assert_agreed((struct rig_options){ .client_profiles = "SRTP_AEAD_AES_128_GCM" }, GCM128);
	assert_agreed((struct rig_options){ .client_profiles = "SRTP_AEAD_AES_256_GCM" }, GCM256);
}

// The client's order never decides; each profile gets its turn in front on either side.
static void test_server_preference_decides(void **state)
{
	static const uint16_t orders[][RIG_MAX_PROFILES] = {
		{ GCM128, CM80, GCM256 },
		{ GCM128, GCM256, CM80 },
		{ CM80, GCM128, GCM256 },
		{ CM80, GCM256, GCM128 },
		{ GCM256, CM80, GCM128 },
		{ GCM256, GCM128, CM80 },
	};
	static const char *const offers[] = {
		"SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_256_GCM",
		"SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_256_GCM:SRTP_AEAD_AES_128_GCM",
		"SRTP_AEAD_AES_256_GCM:SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80",
	};

	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		for (size_t k = 0; k < sizeof(offers) / sizeof(offers[0]); k++) {
			struct rig_options options = { .client_profiles = offers[k] };

			memcpy(options.server_profiles, orders[i], sizeof(orders[i]));
			assert_agreed(options, orders[i][0]);
		}
	}
}

static void test_second_choice_when_first_is_not_offered(void **state)
{
	assert_agreed((struct rig_options){ .server_profiles = { GCM128, CM80 },
			      .client_profiles = "SRTP_AEAD_AES_256_GCM:SRTP_AES128_CM_SHA1_80" },
		CM80);
}

static void test_no_shared_profile_is_fatal(void **state)
{
	struct rig *rig = *state;

	run_with((struct rig_options){ .server_profiles = { GCM128, CM80 },
			 .client_profiles = "SRTP_AEAD_AES_256_GCM" },
		rig);
	assert_refused(rig, SSL_AD_HANDSHAKE_FAILURE);
	assert_string_equal(dtls_conn_error(rig->conn), "no SRTP profile in common");
}

static void test_no_use_srtp_is_fatal(void **state)
{
	struct rig *rig = *state;

	run_with((struct rig_options){ .client_profiles = "" }, rig);
	assert_refused(rig, SSL_AD_HANDSHAKE_FAILURE);
}

static void test_wrong_fingerprint_is_refused(void **state)
{
	static const uint16_t hashes[] = { 256, 384, 512 };

	for (size_t i = 0; i < 3; i++) {
		void *inner;

		assert_int_equal(rig_setup(&inner), 0);
		run_with((struct rig_options){ .wrong_fingerprint = true, .hash_bits = hashes[i] },
			inner);
		assert_refused(inner, SSL_AD_BAD_CERTIFICATE);
		assert_non_null(strstr(
			dtls_conn_error(((struct rig *)inner)->conn), "fingerprint was offered"));
		rig_teardown(&inner);
	}
}

// A digest counts under the hash it was offered with, and only whole.
static void test_digest_under_another_hash_is_refused(void **state)
{
	struct rig *rig = *state;
	struct sdp_fingerprint offered[2] = {
		rig_fingerprint(RIG_IDENTITY_P256, 256),
		rig_fingerprint(RIG_IDENTITY_P256, 512),
	};

	offered[0].hash_bits = 512;
	offered[1].hash_bits = 160; // not a hash of ours
	rig_start(rig, &(struct rig_options){});
	rig_replace_server(rig, offered, 2);
	rig_run(rig, 5000);
	assert_refused(rig, SSL_AD_BAD_CERTIFICATE);
}

static void test_one_of_several_fingerprints_is_enough(void **state)
{
	struct rig *rig = *state;
	struct sdp_fingerprint offered[3] = {
		rig_fingerprint(RIG_IDENTITY_RSA2048, 256),
		{ .hash_bits = 160 },
		rig_fingerprint(RIG_IDENTITY_P256, 384),
	};

	rig_start(rig, &(struct rig_options){});
	rig_replace_server(rig, offered, 3);
	rig_run(rig, 5000);
	rig_assert_keys(rig, GCM128);
}

static void test_longer_hashes(void **state)
{
	assert_agreed((struct rig_options){ .hash_bits = 384 }, GCM128);
	assert_agreed((struct rig_options){ .hash_bits = 512 }, GCM128);
}

static void test_no_client_certificate_is_refused(void **state)
{
	struct rig *rig = *state;

	run_with((struct rig_options){ .identity = RIG_IDENTITY_NONE }, rig);
	assert_refused(rig, SSL_AD_HANDSHAKE_FAILURE);
	assert_string_not_equal(dtls_conn_error(rig->conn), "");
}

static void test_client_certificates(void **state)
{
	assert_agreed((struct rig_options){ .identity = RIG_IDENTITY_RSA2048 }, GCM128);
	assert_agreed((struct rig_options){ .identity = RIG_IDENTITY_EXPIRED }, GCM128);
}

static void test_dtls_1_0_is_refused(void **state)
{
	struct rig *rig = *state;

	run_with((struct rig_options){ .client_version = DTLS1_VERSION }, rig);
	assert_refused(rig, SSL_AD_PROTOCOL_VERSION);
}

static void test_what_was_negotiated(void **state)
{
	struct rig *rig = *state;

	run_with((struct rig_options){}, rig);
	assert_int_equal(SSL_version(rig->client), DTLS1_2_VERSION);
	assert_string_equal(SSL_get_cipher(rig->client), "ECDHE-ECDSA-AES128-GCM-SHA256");
	assert_int_equal(SSL_get_extms_support(rig->client), 1);
	assert_null(SSL_get_current_compression(rig->client));
	assert_false(SSL_SESSION_has_ticket(SSL_get_session(rig->client)));
	assert_false(SSL_SESSION_is_resumable(SSL_get_session(rig->client)));
}

// D9: what is presented is what the answer says.
static void test_our_certificate(void **state)
{
	struct rig *rig = *state;
	uint8_t digest[32];
	char text[DTLS_FINGERPRINT_TEXT_BYTES];
	X509 *cert;

	run_with((struct rig_options){}, rig);
	cert = SSL_get1_peer_certificate(rig->client);
	assert_non_null(cert);
	assert_int_equal(X509_digest(cert, EVP_sha256(), digest, NULL), 1);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(text + 3 * i, 4, i == 31 ? "%02X" : "%02X:", digest[i]);
	assert_string_equal(dtls_context_fingerprint(rig->ctx), text);
	assert_int_equal(X509_get_signature_nid(cert), NID_ecdsa_with_SHA256);
	assert_int_equal(EVP_PKEY_get_bits(X509_get0_pubkey(cert)), 256);
	assert_int_equal(X509_verify(cert, X509_get0_pubkey(cert)), 1);
	assert_true(X509_cmp_current_time(X509_get0_notBefore(cert)) < 0);
	assert_true(X509_cmp_current_time(X509_get0_notAfter(cert)) > 0);
	X509_free(cert);
}

static void test_contexts_differ(void **state)
{
	static const uint16_t profiles[] = { CM80 };
	struct dtls_context *one;
	struct dtls_context *other;

	assert_int_equal(dtls_context_create(profiles, 1, &one), 0);
	assert_int_equal(dtls_context_create(profiles, 1, &other), 0);
	assert_string_not_equal(dtls_context_fingerprint(one), dtls_context_fingerprint(other));
	dtls_context_destroy(one);
	dtls_context_destroy(other);
	dtls_context_destroy(NULL);
}

static void test_arguments_are_checked(void **state)
{
	static const uint16_t unknown[] = { CM80, 2 };
	static const uint16_t twice[] = { CM80, CM80 };
	static const uint16_t many[] = { CM80, GCM128, GCM256, CM80 };
	struct sdp_fingerprint fingerprint = { .hash_bits = 256 };
	struct dtls_context *ctx = NULL;
	struct dtls_conn *conn = NULL;

	assert_int_equal(dtls_context_create(unknown, 0, &ctx), -EINVAL);
	assert_int_equal(dtls_context_create(unknown, 2, &ctx), -EINVAL);
	assert_int_equal(dtls_context_create(twice, 2, &ctx), -EINVAL);
	assert_int_equal(dtls_context_create(many, 4, &ctx), -EINVAL);
	assert_null(ctx);
	assert_int_equal(dtls_context_create(many, 3, &ctx), 0);
	assert_int_equal(dtls_conn_create(ctx, &fingerprint, 0, no_send, NULL, &conn), -EINVAL);
	assert_null(conn);
	dtls_conn_destroy(conn);
	dtls_context_destroy(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_each_profile_alone),
		TEST(test_server_preference_decides),
		TEST(test_second_choice_when_first_is_not_offered),
		TEST(test_no_shared_profile_is_fatal),
		TEST(test_no_use_srtp_is_fatal),
		TEST(test_wrong_fingerprint_is_refused),
		TEST(test_digest_under_another_hash_is_refused),
		TEST(test_one_of_several_fingerprints_is_enough),
		TEST(test_longer_hashes),
		TEST(test_no_client_certificate_is_refused),
		TEST(test_client_certificates),
		TEST(test_dtls_1_0_is_refused),
		TEST(test_what_was_negotiated),
		TEST(test_our_certificate),
		TEST(test_contexts_differ),
		TEST(test_arguments_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
