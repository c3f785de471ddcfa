// Hostile datagrams into an association. The first byte says how the rest is used:
// 0  datagrams for a fresh association, each after its length in two bytes;
// 1  the same for an established one;
// 2  changes to a client's hello: offset in two bytes, new value;
// 3  changes to the client's second flight.
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "control/dtls/dtls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_bytes);

enum {
	N_FLIGHTS = 2,
};

static struct dtls_context *server_ctx;
static SSL_CTX *client_ctx;
static struct sdp_fingerprint fingerprint = { .hash_bits = 256 };

static void require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_dtls: %s\n", what);
	abort();
}

static void client_set_up(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();

	client_ctx = SSL_CTX_new(DTLS_client_method());
	require(key != NULL && cert != NULL && client_ctx != NULL, "no client");
	X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	require(X509_sign(cert, key, EVP_sha256()) > 0, "no certificate");
	X509_digest(cert, EVP_sha256(), fingerprint.digest, NULL);
	SSL_CTX_use_certificate(client_ctx, cert);
	SSL_CTX_use_PrivateKey(client_ctx, key);
	SSL_CTX_set_options(client_ctx, SSL_OP_NO_QUERY_MTU);
	SSL_CTX_set_tlsext_use_srtp(client_ctx, "SRTP_AES128_CM_SHA1_80");
	X509_free(cert);
	EVP_PKEY_free(key);
}

static void set_up(void)
{
	static const uint16_t profiles[] = { SRTP_PROFILE_GCM128, SRTP_PROFILE_CM80 };

	require(dtls_context_create(profiles, 2, &server_ctx) == 0, "no server");
	client_set_up();
}

// arg: the client's memory BIO, NULL without a client.
static void send_to_client(void *arg, const uint8_t *pkt, size_t pkt_bytes)
{
	require(pkt_bytes > 0 && pkt_bytes <= DTLS_MTU_BYTES, "a datagram of no or too many bytes");
	if (arg != NULL)
		BIO_write(arg, pkt, (int)pkt_bytes);
}

static void change(uint8_t *flight, size_t flight_bytes, const uint8_t *data, size_t data_bytes)
{
	for (size_t off = 0; off + 3 <= data_bytes; off += 3) {
		size_t at = data[off] << 8 | data[off + 1];

		if (at < flight_bytes)
			flight[at] = data[off + 2];
	}
}

// The client's side is a pair of memory BIOs. Both ends' whole flights are read at once.
// changed_flight: which of the client's flights data changes, from 0.
static void handshake(struct dtls_conn *conn, SSL *client, int changed_flight, const uint8_t *data,
	size_t data_bytes)
{
	uint8_t flight[16 * 1024];

	for (int i = 0; i < N_FLIGHTS && dtls_conn_state(conn) == DTLS_HANDSHAKING; i++) {
		int n;

		SSL_connect(client);
		ERR_clear_error();
		n = BIO_read(SSL_get_wbio(client), flight, sizeof(flight));
		if (n <= 0)
			break;
		if (i == changed_flight)
			change(flight, n, data, data_bytes);
		dtls_conn_input(conn, flight, n);
		require(ERR_peek_error() == 0, "the error queue is not empty");
	}
}

static void feed(struct dtls_conn *conn, const uint8_t *data, size_t data_bytes)
{
	size_t off = 0;

	while (off + 2 <= data_bytes) {
		size_t pkt_bytes = data[off] << 8 | data[off + 1];
		uint8_t *pkt;

		off += 2;
		if (pkt_bytes > data_bytes - off)
			pkt_bytes = data_bytes - off;
		// A block of its own, so that a read past its end is seen.
		pkt = malloc(pkt_bytes > 0 ? pkt_bytes : 1);
		require(pkt != NULL, "no memory");
		memcpy(pkt, data + off, pkt_bytes);
		dtls_conn_input(conn, pkt, pkt_bytes);
		require(ERR_peek_error() == 0, "the error queue is not empty");
		free(pkt);
		dtls_conn_tick(conn);
		off += pkt_bytes;
	}
}

static void fuzz_fresh(const uint8_t *data, size_t data_bytes)
{
	struct dtls_conn *conn;

	require(dtls_conn_create(server_ctx, &fingerprint, 1, send_to_client, NULL, &conn) == 0,
		"no association");
	feed(conn, data, data_bytes);
	require(dtls_conn_state(conn) != DTLS_ESTABLISHED, "established without a client's key");
	dtls_conn_destroy(conn);
}

static SSL *client_create(void)
{
	SSL *client = SSL_new(client_ctx);
	BIO *to_client = BIO_new(BIO_s_mem());
	BIO *from_client = BIO_new(BIO_s_mem());

	require(client != NULL && to_client != NULL && from_client != NULL, "no client");
	BIO_set_mem_eof_return(to_client, -1);
	BIO_set_mem_eof_return(from_client, -1);
	SSL_set_bio(client, to_client, from_client);
	SSL_set_mtu(client, DTLS_MTU_BYTES);
	SSL_set_connect_state(client);
	return client;
}

// changed_flight: N_FLIGHTS none; then data are datagrams for the established association.
static void fuzz_with_client(int changed_flight, const uint8_t *data, size_t data_bytes)
{
	SSL *client = client_create();
	struct dtls_conn *conn;

	require(dtls_conn_create(server_ctx, &fingerprint, 1, send_to_client, SSL_get_rbio(client),
			&conn) == 0,
		"no association");
	handshake(conn, client, changed_flight, data, data_bytes);
	if (changed_flight == N_FLIGHTS) {
		require(dtls_conn_state(conn) == DTLS_ESTABLISHED, "the handshake fails");
		feed(conn, data, data_bytes);
		// Nothing in there can be authentic.
		require(dtls_conn_state(conn) == DTLS_ESTABLISHED, "junk ended the association");
	}
	dtls_conn_destroy(conn);
	SSL_free(client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_bytes)
{
	if (server_ctx == NULL)
		set_up();
	if (data_bytes == 0)
		return 0;
	switch (data[0] % 4) {
	case 0:
		fuzz_fresh(data + 1, data_bytes - 1);
		break;
	case 1:
		fuzz_with_client(N_FLIGHTS, data + 1, data_bytes - 1);
		break;
	case 2:
		fuzz_with_client(0, data + 1, data_bytes - 1);
		break;
	default:
		fuzz_with_client(1, data + 1, data_bytes - 1);
	}
	return 0;
}
