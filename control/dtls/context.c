#include "control/dtls/dtls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/srtp.h>

#include "control/dtls/priv/certificate.h"
#include "control/dtls/priv/context.h"
#include "control/dtls/priv/datagram_bio.h"
#include "control/dtls/priv/judge.h"

enum {
	// A self-signed RSA-4096 certificate has about 1300 bytes; OpenSSL's own limit is 100 KiB,
	// which a peer could make us allocate with one record.
	CLIENT_CERT_MAX_BYTES = 8 * 1024,
	PROFILE_LIST_BYTES = 128,
};

// Return: OpenSSL's name of a profile; NULL unknown.
static const char *profile_openssl_name(uint16_t profile)
{
	switch (profile) {
	case SRTP_PROFILE_CM80:
		return "SRTP_AES128_CM_SHA1_80";
	case SRTP_PROFILE_GCM128:
		return "SRTP_AEAD_AES_128_GCM";
	case SRTP_PROFILE_GCM256:
		return "SRTP_AEAD_AES_256_GCM";
	default:
		return NULL;
	}
}

// Write the profiles as OpenSSL takes them, "A:B".
// Return: 0; -EINVAL none, an unknown one, or one twice.
static int profiles_write(
	const uint16_t *profiles, size_t n_profiles, char list[PROFILE_LIST_BYTES])
{
	size_t used = 0;

	if (n_profiles == 0 || n_profiles > DTLS_MAX_PROFILES)
		return -EINVAL;
	for (size_t i = 0; i < n_profiles; i++) {
		const char *name = profile_openssl_name(profiles[i]);

		for (size_t k = 0; k < i; k++) {
			if (profiles[k] == profiles[i])
				return -EINVAL;
		}
		if (name == NULL)
			return -EINVAL;
		used += snprintf(
			list + used, PROFILE_LIST_BYTES - used, "%s%s", i == 0 ? "" : ":", name);
	}
	return 0;
}

// Settings do not depend on the system's openssl.cnf.
static bool ssl_ctx_set_protocol(SSL_CTX *ssl_ctx)
{
	SSL_CTX_set_options(ssl_ctx, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_TICKET |
					     SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
					     SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_clear_options(ssl_ctx, SSL_OP_COOKIE_EXCHANGE | SSL_OP_NO_EXTENDED_MASTER_SECRET);
	SSL_CTX_set_session_cache_mode(ssl_ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_security_level(ssl_ctx, 2);
	return SSL_CTX_set_min_proto_version(ssl_ctx, DTLS1_2_VERSION) == 1 &&
	       SSL_CTX_set_max_proto_version(ssl_ctx, DTLS1_2_VERSION) == 1 &&
	       SSL_CTX_set_cipher_list(ssl_ctx,
		       "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384") == 1 &&
	       SSL_CTX_set1_groups_list(ssl_ctx, "X25519:P-256:P-384") == 1;
}

static bool ssl_ctx_set_peer_rules(SSL_CTX *ssl_ctx, struct dtls_context *ctx)
{
	SSL_CTX_set_verify(ssl_ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_cert_verify_callback(ssl_ctx, judge_certificate, NULL);
	SSL_CTX_set_client_hello_cb(ssl_ctx, judge_hello, ctx);
	SSL_CTX_set_max_cert_list(ssl_ctx, CLIENT_CERT_MAX_BYTES);
	// Smaller write buffers; nothing of ours is longer than a datagram.
	return SSL_CTX_set_max_send_fragment(ssl_ctx, DTLS_MTU_BYTES) == 1;
}

static int ssl_ctx_set_certificate(SSL_CTX *ssl_ctx, struct dtls_context *ctx)
{
	EVP_PKEY *key;
	X509 *cert;
	int err = certificate_create(&key, &cert);

	if (err != 0)
		return err;
	err = certificate_fingerprint(cert, ctx->fingerprint);
	if (err == 0 && (SSL_CTX_use_certificate(ssl_ctx, cert) != 1 ||
				SSL_CTX_use_PrivateKey(ssl_ctx, key) != 1))
		err = -EIO;
	X509_free(cert);
	EVP_PKEY_free(key);
	return err;
}

static int context_set_up(struct dtls_context *ctx, const char *profile_list)
{
	ctx->bio_method = datagram_method_create();
	ctx->ssl_ctx = SSL_CTX_new(DTLS_server_method());
	if (ctx->bio_method == NULL || ctx->ssl_ctx == NULL)
		return -EIO;
	if (!ssl_ctx_set_protocol(ctx->ssl_ctx) || !ssl_ctx_set_peer_rules(ctx->ssl_ctx, ctx))
		return -EIO;
	// This one call returns 0 for success.
	if (SSL_CTX_set_tlsext_use_srtp(ctx->ssl_ctx, profile_list) != 0)
		return -EIO;
	return ssl_ctx_set_certificate(ctx->ssl_ctx, ctx);
}

static void log_openssl_error(void)
{
	const char *reason = ERR_reason_error_string(ERR_peek_error());

	fprintf(stderr, "dtls: OpenSSL cannot set up the server side: %s\n",
		reason != NULL ? reason : "no reason given");
}

int dtls_context_create(const uint16_t *profiles, size_t n_profiles, struct dtls_context **out)
{
	char profile_list[PROFILE_LIST_BYTES];
	struct dtls_context *ctx;
	int err = profiles_write(profiles, n_profiles, profile_list);

	if (err != 0)
		return err;
	ctx = calloc(1, sizeof(*ctx));
	if (ctx == NULL)
		return -ENOMEM;
	memcpy(ctx->profiles, profiles, n_profiles * sizeof(*profiles));
	ctx->n_profiles = n_profiles;
	ERR_clear_error();
	err = context_set_up(ctx, profile_list);
	if (err != 0) {
		log_openssl_error();
		dtls_context_destroy(ctx);
		ERR_clear_error();
		return err;
	}
	*out = ctx;
	return 0;
}

void dtls_context_destroy(struct dtls_context *ctx)
{
	if (ctx == NULL)
		return;
	SSL_CTX_free(ctx->ssl_ctx);
	BIO_meth_free(ctx->bio_method);
	free(ctx);
}

const char *dtls_context_fingerprint(const struct dtls_context *ctx)
{
	return ctx->fingerprint;
}
