#include "tests/unit/dtls/rig.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include <cmocka.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/srtp.h>
#include <openssl/x509.h>

enum {
	CLIENT_FIRST_WAIT_US = 1000 * 1000,
	GREASE_EXTENSION = 0x0a0a,
};

static struct timeval clock_now = { .tv_sec = 1700000000 };
static BIO_METHOD *client_bio_method;
static EVP_PKEY *identity_keys[RIG_IDENTITY_COUNT];
static X509 *identity_certs[RIG_IDENTITY_COUNT];

// libssl finds this one instead of the C library's.
int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	*now = clock_now;
	return 0;
}

void rig_clock_advance(struct rig *rig, unsigned int ms)
{
	clock_now.tv_sec += ms / 1000;
	clock_now.tv_usec += ms % 1000 * 1000;
	if (clock_now.tv_usec >= 1000000) {
		clock_now.tv_usec -= 1000000;
		clock_now.tv_sec++;
	}
	rig->elapsed_ms += ms;
}

void rig_deliver(struct rig *rig, const struct rig_datagram *datagram)
{
	struct rig_queue *queue = datagram->from_client ? &rig->to_server : &rig->to_client;

	assert_true(queue->n < RIG_QUEUE_DATAGRAMS);
	queue->datagrams[(queue->first + queue->n++) % RIG_QUEUE_DATAGRAMS] = *datagram;
}

static bool queue_take(struct rig_queue *queue, struct rig_datagram *out)
{
	if (queue->n == 0)
		return false;
	*out = queue->datagrams[queue->first];
	queue->first = (queue->first + 1) % RIG_QUEUE_DATAGRAMS;
	queue->n--;
	return true;
}

static void wire_send(struct rig *rig, struct rig_datagram *datagram)
{
	if (rig->script != NULL)
		rig->script(rig, datagram);
	else
		rig_deliver(rig, datagram);
}

static void server_send(void *arg, const uint8_t *pkt, size_t pkt_bytes)
{
	struct rig *rig = arg;
	struct rig_datagram datagram = { .ordinal = rig->n_from_server++, .bytes = pkt_bytes };

	assert_in_range(pkt_bytes, 1, DTLS_MTU_BYTES);
	memcpy(datagram.data, pkt, pkt_bytes);
	if (pkt_bytes > rig->max_from_server_bytes)
		rig->max_from_server_bytes = pkt_bytes;
	wire_send(rig, &datagram);
}

static int client_write(BIO *bio, const char *pkt, int pkt_bytes)
{
	struct rig *rig = BIO_get_data(bio);
	struct rig_datagram datagram = {
		.from_client = true,
		.ordinal = rig->n_from_client++,
		.bytes = pkt_bytes,
	};

	assert_in_range(pkt_bytes, 1, RIG_DATAGRAM_BYTES);
	memcpy(datagram.data, pkt, pkt_bytes);
	if (datagram.bytes > rig->max_from_client_bytes)
		rig->max_from_client_bytes = pkt_bytes;
	wire_send(rig, &datagram);
	return pkt_bytes;
}

static int client_read(BIO *bio, char *out, int out_cap)
{
	struct rig *rig = BIO_get_data(bio);
	struct rig_datagram datagram;

	BIO_clear_retry_flags(bio);
	if (!queue_take(&rig->to_client, &datagram)) {
		BIO_set_retry_read(bio);
		return -1;
	}
	assert_in_range(datagram.bytes, 0, out_cap);
	memcpy(out, datagram.data, datagram.bytes);
	return (int)datagram.bytes;
}

static long client_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	return cmd == BIO_CTRL_FLUSH;
}

static BIO *client_bio_create(struct rig *rig)
{
	BIO *bio;

	if (client_bio_method == NULL) {
		client_bio_method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "client");
		assert_non_null(client_bio_method);
		BIO_meth_set_read(client_bio_method, client_read);
		BIO_meth_set_write(client_bio_method, client_write);
		BIO_meth_set_ctrl(client_bio_method, client_ctrl);
	}
	bio = BIO_new(client_bio_method);
	assert_non_null(bio);
	BIO_set_data(bio, rig);
	BIO_set_init(bio, 1);
	return bio;
}

static void identity_create(enum rig_identity identity)
{
	bool rsa = identity == RIG_IDENTITY_RSA2048;
	long last = identity == RIG_IDENTITY_EXPIRED ? -3600 : 3600;
	EVP_PKEY *key = rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
	X509 *cert = X509_new();

	assert_non_null(key);
	assert_non_null(cert);
	X509_set_version(cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -7200);
	X509_gmtime_adj(X509_getm_notAfter(cert), last);
	X509_set_pubkey(cert, key);
	assert_int_not_equal(X509_sign(cert, key, EVP_sha256()), 0);
	identity_keys[identity] = key;
	identity_certs[identity] = cert;
}

static X509 *identity_cert(enum rig_identity identity)
{
	if (identity_certs[identity] == NULL)
		identity_create(identity);
	return identity_certs[identity];
}

static void __attribute__((destructor)) identities_destroy(void)
{
	for (int i = 0; i < RIG_IDENTITY_COUNT; i++) {
		X509_free(identity_certs[i]);
		EVP_PKEY_free(identity_keys[i]);
	}
	BIO_meth_free(client_bio_method);
}

struct sdp_fingerprint rig_fingerprint(enum rig_identity identity, uint16_t hash_bits)
{
	struct sdp_fingerprint fingerprint = { .hash_bits = hash_bits };
	const EVP_MD *hash = hash_bits == 512	? EVP_sha512()
			     : hash_bits == 384 ? EVP_sha384()
						: EVP_sha256();

	assert_int_equal(X509_digest(identity_cert(identity), hash, fingerprint.digest, NULL), 1);
	return fingerprint;
}

static unsigned int client_wait_us(SSL *ssl, unsigned int last_us)
{
	return last_us == 0 ? CLIENT_FIRST_WAIT_US : 2 * last_us;
}

static void client_info(const SSL *ssl, int where, int value)
{
	struct rig *rig = SSL_get_app_data(ssl);

	if (where == SSL_CB_READ_ALERT)
		rig->client_alert = value & 0xff;
}

static int padding_add(SSL *ssl, unsigned int type, unsigned int context, const unsigned char **out,
	size_t *out_bytes, X509 *cert, size_t chain_index, int *alert, void *arg)
{
	static const unsigned char zeros[RIG_DATAGRAM_BYTES];

	*out = zeros;
	*out_bytes = (size_t)arg;
	return 1;
}

static void client_set_identity(struct rig *rig, enum rig_identity identity)
{
	if (identity == RIG_IDENTITY_NONE)
		return;
	assert_int_equal(SSL_CTX_use_certificate(rig->client_ctx, identity_cert(identity)), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(rig->client_ctx, identity_keys[identity]), 1);
}

static void client_ctx_create(struct rig *rig, const struct rig_options *options)
{
	int version = options->client_version != 0 ? options->client_version : DTLS1_2_VERSION;
	const char *profiles = options->client_profiles;

	if (profiles == NULL)
		profiles = "SRTP_AEAD_AES_256_GCM:SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_128_GCM";
	rig->client_ctx = SSL_CTX_new(DTLS_client_method());
	assert_non_null(rig->client_ctx);
	SSL_CTX_set_options(rig->client_ctx, SSL_OP_NO_QUERY_MTU);
	if (version != DTLS1_2_VERSION)
		SSL_CTX_set_cipher_list(rig->client_ctx, "ALL:@SECLEVEL=0");
	SSL_CTX_set_min_proto_version(rig->client_ctx, version);
	SSL_CTX_set_max_proto_version(rig->client_ctx, version);
	if (profiles[0] != '\0')
		assert_int_equal(SSL_CTX_set_tlsext_use_srtp(rig->client_ctx, profiles), 0);
	if (options->hello_padding_bytes > 0)
		assert_int_equal(SSL_CTX_add_custom_ext(rig->client_ctx, GREASE_EXTENSION,
					 SSL_EXT_CLIENT_HELLO, padding_add, NULL,
					 (void *)options->hello_padding_bytes, NULL, NULL),
			1);
	client_set_identity(rig, options->identity);
}

static void client_create(struct rig *rig, const struct rig_options *options)
{
	BIO *bio = client_bio_create(rig);

	client_ctx_create(rig, options);
	rig->client = SSL_new(rig->client_ctx);
	assert_non_null(rig->client);
	SSL_set_bio(rig->client, bio, bio);
	SSL_set_app_data(rig->client, rig);
	SSL_set_mtu(rig->client, options->client_mtu != 0 ? options->client_mtu : 1200);
	SSL_set_info_callback(rig->client, client_info);
	DTLS_set_timer_cb(rig->client, client_wait_us);
	SSL_set_connect_state(rig->client);
}

void rig_replace_server(struct rig *rig, const struct sdp_fingerprint *fingerprints, size_t n)
{
	dtls_conn_destroy(rig->conn);
	assert_int_equal(
		dtls_conn_create(rig->ctx, fingerprints, n, server_send, rig, &rig->conn), 0);
}

void rig_start_server(struct rig *rig, const struct rig_options *options)
{
	static const uint16_t preferred[RIG_MAX_PROFILES] = { SRTP_PROFILE_GCM128,
		SRTP_PROFILE_CM80, SRTP_PROFILE_GCM256 };
	const uint16_t *profiles = options->server_profiles;
	uint16_t hash_bits = options->hash_bits != 0 ? options->hash_bits : 256;
	struct sdp_fingerprint fingerprint = {};
	size_t n_profiles = 0;

	if (profiles[0] == SRTP_PROFILE_NONE)
		profiles = preferred;
	while (n_profiles < RIG_MAX_PROFILES && profiles[n_profiles] != SRTP_PROFILE_NONE)
		n_profiles++;
	if (options->identity != RIG_IDENTITY_NONE)
		fingerprint = rig_fingerprint(options->identity, hash_bits);
	fingerprint.hash_bits = hash_bits;
	if (options->wrong_fingerprint)
		fingerprint.digest[hash_bits / 8 - 1] ^= 1;
	assert_int_equal(dtls_context_create(profiles, n_profiles, &rig->ctx), 0);
	assert_int_equal(
		dtls_conn_create(rig->ctx, &fingerprint, 1, server_send, rig, &rig->conn), 0);
}

void rig_start(struct rig *rig, const struct rig_options *options)
{
	rig_start_server(rig, options);
	client_create(rig, options);
}

int rig_setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	if (rig == NULL)
		return -1;
	rig->client_alert = -1;
	*state = rig;
	return 0;
}

int rig_teardown(void **state)
{
	struct rig *rig = *state;

	dtls_conn_destroy(rig->conn);
	dtls_context_destroy(rig->ctx);
	SSL_free(rig->client);
	SSL_CTX_free(rig->client_ctx);
	free(rig);
	return 0;
}

static void client_step(struct rig *rig)
{
	uint8_t ignored[256];
	int ret;

	if (rig->client == NULL || rig->client_failed)
		return;
	ERR_clear_error();
	if (!rig->connected) {
		ret = SSL_connect(rig->client);
		rig->connected = ret == 1;
	} else {
		ret = SSL_read(rig->client, ignored, sizeof(ignored));
	}
	if (ret <= 0 && SSL_get_error(rig->client, ret) != SSL_ERROR_WANT_READ)
		rig->client_failed = true;
	ERR_clear_error();
}

// Every call into our library must leave the thread's error queue empty.
static void server_step(struct rig *rig)
{
	struct rig_datagram datagram;

	while (queue_take(&rig->to_server, &datagram)) {
		if (rig->around_input != NULL)
			rig->around_input(rig, true);
		dtls_conn_input(rig->conn, datagram.data, datagram.bytes);
		if (rig->around_input != NULL)
			rig->around_input(rig, false);
		assert_int_equal(ERR_peek_error(), 0);
	}
}

void rig_pump(struct rig *rig)
{
	do {
		client_step(rig);
		server_step(rig);
		if (rig->client == NULL || rig->client_failed)
			rig->to_client.n = 0;
	} while (rig->to_client.n > 0 || rig->to_server.n > 0);
}

static bool rig_is_done(const struct rig *rig)
{
	enum dtls_state state = dtls_conn_state(rig->conn);

	if (rig->client_failed || state == DTLS_FAILED || state == DTLS_CLOSED)
		return true;
	return rig->connected && state == DTLS_ESTABLISHED;
}

// Return: how long both ends are content to wait; -1 for ever.
static int next_wait_ms(struct rig *rig)
{
	struct timeval left;
	int server_ms = dtls_conn_tick(rig->conn);
	int client_ms = -1;

	assert_int_equal(ERR_peek_error(), 0);
	DTLSv1_handle_timeout(rig->client);
	if (DTLSv1_get_timeout(rig->client, &left) == 1)
		client_ms = (int)(left.tv_sec * 1000 + (left.tv_usec + 999) / 1000);
	if (server_ms < 0 || client_ms < 0)
		return server_ms < 0 ? client_ms : server_ms;
	return server_ms < client_ms ? server_ms : client_ms;
}

void rig_run(struct rig *rig, unsigned int limit_ms)
{
	unsigned int end_ms = rig->elapsed_ms + limit_ms;

	rig_pump(rig);
	while (!rig_is_done(rig)) {
		int wait_ms = next_wait_ms(rig);

		rig_pump(rig);
		if (rig_is_done(rig) || wait_ms < 0 || rig->elapsed_ms + wait_ms > end_ms)
			break;
		rig_clock_advance(rig, wait_ms);
	}
}

void rig_assert_keys(struct rig *rig, uint16_t profile)
{
	static const char label[] = "EXTRACTOR-dtls_srtp";
	struct srtp_profile_sizes sizes = srtp_profile_sizes(profile);
	size_t key_bytes = sizes.key_bytes;
	size_t salt_bytes = sizes.salt_bytes;
	struct dtls_keys keys;
	uint8_t want[2 * (SRTP_MASTER_KEY_MAX_BYTES + SRTP_MASTER_SALT_MAX_BYTES)];

	assert_int_equal(dtls_conn_state(rig->conn), DTLS_ESTABLISHED);
	assert_int_equal(dtls_conn_keys(rig->conn, &keys), 0);
	assert_int_equal(keys.profile, profile);
	assert_int_equal(SSL_get_selected_srtp_profile(rig->client)->id, profile);
	assert_int_equal(SSL_export_keying_material(rig->client, want, 2 * (key_bytes + salt_bytes),
				 label, strlen(label), NULL, 0, 0),
		1);
	assert_memory_equal(keys.remote.key, want, key_bytes);
	assert_memory_equal(keys.local.key, want + key_bytes, key_bytes);
	assert_memory_equal(keys.remote.salt, want + 2 * key_bytes, salt_bytes);
	assert_memory_equal(keys.local.salt, want + 2 * key_bytes + salt_bytes, salt_bytes);
}
