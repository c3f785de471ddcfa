#include "tests/load/dtls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/srtp.h>
#include <openssl/ssl.h>

enum {
	MTU_BYTES = 1200,
	CERT_SECONDS = 30 * 24 * 3600,
};

struct dtls_client {
	SSL_CTX *ctx;
	BIO_METHOD *method;
};

struct dtls_assoc {
	SSL *ssl;
	dtls_out_cb out;
	void *arg;
	const uint8_t *pkt; // not read yet; NULL: none
	size_t pkt_bytes;
	unsigned int profile;
};

// ---- a BIO over one datagram -------------------------------------------------------------------

static int bio_read(BIO *bio, char *out, int cap)
{
	struct dtls_assoc *a = BIO_get_data(bio);
	size_t n = a->pkt_bytes;

	BIO_clear_retry_flags(bio);
	if (!a->pkt || cap <= 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	if (n > (size_t)cap)
		n = (size_t)cap;
	memcpy(out, a->pkt, n);
	a->pkt = NULL;
	return (int)n;
}

static int bio_write(BIO *bio, const char *pkt, int bytes)
{
	struct dtls_assoc *a = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (bytes > 0)
		a->out(a->arg, (const uint8_t *)pkt, (size_t)bytes);
	return bytes;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	switch (cmd) {
	case BIO_CTRL_DGRAM_QUERY_MTU:
	case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
		return MTU_BYTES;
	case BIO_CTRL_FLUSH:
		return 1;
	default:
		return 0;
	}
}

static BIO_METHOD *make_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "datagram");

	if (m && BIO_meth_set_read(m, bio_read) && BIO_meth_set_write(m, bio_write) &&
		BIO_meth_set_ctrl(m, bio_ctrl))
		return m;
	BIO_meth_free(m);
	return NULL;
}

// ---- the certificate ---------------------------------------------------------------------------

static bool fill_certificate(X509 *cert, EVP_PKEY *key)
{
	X509_NAME *name = X509_get_subject_name(cert);

	return X509_set_version(cert, 2) && ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) &&
	       X509_NAME_add_entry_by_txt(
		       name, "CN", MBSTRING_ASC, (const uint8_t *)"load", -1, -1, 0) &&
	       X509_set_issuer_name(cert, name) &&
	       X509_gmtime_adj(X509_getm_notBefore(cert), -3600) &&
	       X509_gmtime_adj(X509_getm_notAfter(cert), CERT_SECONDS) &&
	       X509_set_pubkey(cert, key) && X509_sign(cert, key, EVP_sha256());
}

static bool use_certificate(SSL_CTX *ctx, char fingerprint[3 * OFFER_DIGEST_BYTES])
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned int n = 0;
	bool good = key && cert && fill_certificate(cert, key) &&
		    SSL_CTX_use_certificate(ctx, cert) == 1 &&
		    SSL_CTX_use_PrivateKey(ctx, key) == 1 &&
		    X509_digest(cert, EVP_sha256(), digest, &n) == 1;

	for (unsigned int i = 0; good && i < n; i++)
		snprintf(fingerprint + 3 * i, 4, i + 1 < n ? "%02X:" : "%02X", digest[i]);
	X509_free(cert);
	EVP_PKEY_free(key);
	return good;
}

// The fingerprint in the answer is what counts: dtls_keys_of compares it.
static int accept_any(int ok, X509_STORE_CTX *store)
{
	return 1;
}

struct dtls_client *dtls_client_create(char fingerprint[3 * OFFER_DIGEST_BYTES])
{
	struct dtls_client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->method = make_method();
	c->ctx = SSL_CTX_new(DTLS_client_method());
	if (!c->method || !c->ctx || !use_certificate(c->ctx, fingerprint) ||
		SSL_CTX_set_min_proto_version(c->ctx, DTLS1_2_VERSION) != 1 ||
		SSL_CTX_set1_groups_list(c->ctx, "X25519:P-256") != 1 ||
		SSL_CTX_set_cipher_list(c->ctx, "ECDHE-ECDSA-AES128-GCM-SHA256") != 1) {
		ERR_print_errors_fp(stderr);
		dtls_client_destroy(c);
		return NULL;
	}
	SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, accept_any);
	SSL_CTX_set_options(c->ctx, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_TICKET);
	SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_OFF);
	return c;
}

void dtls_client_destroy(struct dtls_client *c)
{
	if (!c)
		return;
	SSL_CTX_free(c->ctx);
	BIO_meth_free(c->method);
	free(c);
}

// ---- one association ---------------------------------------------------------------------------

struct dtls_assoc *dtls_assoc_create(
	struct dtls_client *c, unsigned int profile, dtls_out_cb out, void *arg)
{
	struct dtls_assoc *a = calloc(1, sizeof(*a));
	SSL *ssl = SSL_new(c->ctx);
	BIO *bio = BIO_new(c->method);

	if (!a || !ssl || !bio) {
		free(a);
		SSL_free(ssl);
		BIO_free(bio);
		return NULL;
	}
	*a = (struct dtls_assoc){ .ssl = ssl, .out = out, .arg = arg, .profile = profile };
	BIO_set_data(bio, a);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	SSL_set_mtu(ssl, MTU_BYTES);
	SSL_set_connect_state(ssl);
	SSL_set_tlsext_use_srtp(ssl,
		profile == DTLS_SRTP_GCM128 ? "SRTP_AEAD_AES_128_GCM" : "SRTP_AES128_CM_SHA1_80");
	return a;
}

void dtls_assoc_destroy(struct dtls_assoc *a)
{
	if (!a)
		return;
	SSL_free(a->ssl);
	OPENSSL_cleanse(a, sizeof(*a));
	free(a);
}

static enum dtls_progress handshake(struct dtls_assoc *a)
{
	int ret, why;

	ERR_clear_error();
	ret = SSL_do_handshake(a->ssl);
	if (ret == 1)
		return DTLS_DONE;
	why = SSL_get_error(a->ssl, ret);
	return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? DTLS_GOES_ON
									 : DTLS_BROKEN;
}

enum dtls_progress dtls_start(struct dtls_assoc *a)
{
	return handshake(a);
}

enum dtls_progress dtls_take(struct dtls_assoc *a, const uint8_t *pkt, size_t pkt_bytes)
{
	enum dtls_progress progress;

	a->pkt = pkt;
	a->pkt_bytes = pkt_bytes;
	progress = handshake(a);
	a->pkt = NULL;
	return progress;
}

enum dtls_progress dtls_timeout(struct dtls_assoc *a, uint64_t *wait_us)
{
	struct timeval left;

	ERR_clear_error();
	if (DTLSv1_handle_timeout(a->ssl) < 0)
		return DTLS_BROKEN;
	*wait_us = 1000000;
	if (DTLSv1_get_timeout(a->ssl, &left) == 1)
		*wait_us = (uint64_t)left.tv_sec * 1000000 + (uint64_t)left.tv_usec + 1000;
	return DTLS_GOES_ON;
}

// RFC 5764 4.2: client key, server key, client salt, server salt.
static bool export_keys(struct dtls_assoc *a, struct dtls_srtp *out)
{
	static const char label[] = "EXTRACTOR-dtls_srtp";
	size_t salt = a->profile == DTLS_SRTP_GCM128 ? 12 : 14;
	uint8_t block[60];

	if (SSL_export_keying_material(
		    a->ssl, block, 32 + 2 * salt, label, sizeof(label) - 1, NULL, 0, 0) != 1)
		return false;
	out->profile = a->profile;
	memcpy(out->ours, block, 16);
	memcpy(out->theirs, block + 16, 16);
	memcpy(out->ours + 16, block + 32, salt);
	memcpy(out->theirs + 16, block + 32 + salt, salt);
	OPENSSL_cleanse(block, sizeof(block));
	return true;
}

bool dtls_keys_of(
	struct dtls_assoc *a, const uint8_t digest[OFFER_DIGEST_BYTES], struct dtls_srtp *out)
{
	SRTP_PROTECTION_PROFILE *chosen = SSL_get_selected_srtp_profile(a->ssl);
	X509 *cert = SSL_get0_peer_certificate(a->ssl);
	uint8_t seen[EVP_MAX_MD_SIZE];
	unsigned int n;

	return chosen && chosen->id == a->profile && cert &&
	       X509_digest(cert, EVP_sha256(), seen, &n) == 1 && n == OFFER_DIGEST_BYTES &&
	       memcmp(seen, digest, n) == 0 && export_keys(a, out);
}

void dtls_say_goodbye(struct dtls_assoc *a)
{
	ERR_clear_error();
	SSL_shutdown(a->ssl);
}
