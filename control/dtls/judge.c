#include "control/dtls/priv/judge.h"

#include "control/dtls/priv/certificate.h"
#include "control/dtls/priv/conn.h"
#include "control/dtls/priv/context.h"

static bool has_profile(const struct dtls_context *ctx, uint16_t profile)
{
	for (size_t i = 0; i < ctx->n_profiles; i++) {
		if (ctx->profiles[i] == profile)
			return true;
	}
	return false;
}

// ext: a use_srtp body: length of the list in bytes, the list, an MKI. OpenSSL judges its syntax
// later; here only nothing is read past the end.
static bool shares_profile(const struct dtls_context *ctx, const uint8_t *ext, size_t ext_bytes)
{
	size_t list_end = ext_bytes >= 2 ? 2 + (size_t)(ext[0] << 8 | ext[1]) : 0;

	for (size_t off = 2; off + 2 <= list_end && off + 2 <= ext_bytes; off += 2) {
		if (has_profile(ctx, ext[off] << 8 | ext[off + 1]))
			return true;
	}
	return false;
}

int judge_hello(SSL *ssl, int *alert, void *arg)
{
	const struct dtls_context *ctx = arg;
	struct dtls_conn *conn = SSL_get_app_data(ssl);
	const unsigned char *ext;
	size_t ext_bytes;

	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_use_srtp, &ext, &ext_bytes) == 1 &&
		shares_profile(ctx, ext, ext_bytes))
		return SSL_CLIENT_HELLO_SUCCESS;
	conn->error = "no SRTP profile in common";
	*alert = SSL_AD_HANDSHAKE_FAILURE;
	return SSL_CLIENT_HELLO_ERROR;
}

int judge_certificate(X509_STORE_CTX *store, void *arg)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct dtls_conn *conn = SSL_get_app_data(ssl);
	const X509 *cert = X509_STORE_CTX_get0_cert(store);

	if (certificate_matches(cert, conn->fingerprints, conn->n_fingerprints)) {
		X509_STORE_CTX_set_error(store, X509_V_OK);
		return 1;
	}
	conn->error = "the certificate is not the one whose fingerprint was offered";
	// The code that OpenSSL translates to bad_certificate.
	X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
	return 0;
}
