#include "control/dtls/priv/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "control/dtls/priv/context.h"
#include "control/dtls/priv/keys.h"
#include "control/dtls/priv/record.h"

enum {
	RETRANSMIT_FIRST_US = 200 * 1000,     // D13: 100 to 400 ms
	RETRANSMIT_MAX_US = 60 * 1000 * 1000, // RFC 6347 4.2.4.1
};

static unsigned int retransmit_wait_us(SSL *ssl, unsigned int last_us)
{
	if (last_us == 0)
		return RETRANSMIT_FIRST_US;
	return last_us < RETRANSMIT_MAX_US / 2 ? 2 * last_us : RETRANSMIT_MAX_US;
}

static void conn_end(struct dtls_conn *conn, enum dtls_state state)
{
	conn->state = state;
	OPENSSL_cleanse(&conn->keys, sizeof(conn->keys));
}

// error: what to say if no callback of ours has said it better.
static void conn_fail(struct dtls_conn *conn, const char *error)
{
	if (conn->error == NULL)
		conn->error = error != NULL ? error : "OpenSSL gave no reason";
	conn_end(conn, DTLS_FAILED);
}

// OpenSSL's reason strings are constants of the library.
static const char *openssl_reason(void)
{
	return ERR_reason_error_string(ERR_peek_error());
}

static void conn_establish(struct dtls_conn *conn)
{
	if (keys_export(conn->ssl, &conn->keys) != 0) {
		conn_fail(conn, "no SRTP keys came out of the handshake");
		return;
	}
	conn->state = DTLS_ESTABLISHED;
}

// ret: of SSL_accept or SSL_read, not a success.
static void conn_judge(struct dtls_conn *conn, int ret)
{
	switch (SSL_get_error(conn->ssl, ret)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		break;
	case SSL_ERROR_ZERO_RETURN:
		dtls_conn_close(conn);
		break;
	default:
		conn_fail(conn, openssl_reason());
	}
}

// Application data is read and ignored. Reading is also what makes OpenSSL see alerts and resend
// our last flight when the peer repeats its own (D14).
static void conn_read(struct dtls_conn *conn)
{
	uint8_t ignored[1024];
	int ret;

	do {
		ret = SSL_read(conn->ssl, ignored, sizeof(ignored));
	} while (ret > 0);
	conn_judge(conn, ret);
	// Everything is read by now, so the record buffers (17 KiB) need not wait with us. OpenSSL
	// does not do this for DTLS by SSL_MODE_RELEASE_BUFFERS; it allocates them when needed.
	if (conn->state == DTLS_ESTABLISHED)
		SSL_free_buffers(conn->ssl);
}

static void conn_accept(struct dtls_conn *conn)
{
	int ret = SSL_accept(conn->ssl);

	if (ret == 1)
		conn_establish(conn);
	else
		conn_judge(conn, ret);
}

static SSL *conn_ssl_create(const struct dtls_context *ctx, struct dtls_conn *conn)
{
	SSL *ssl = SSL_new(ctx->ssl_ctx);
	BIO *bio = datagram_bio_create(ctx->bio_method, &conn->io);

	if (ssl == NULL || bio == NULL) {
		BIO_free(bio);
		SSL_free(ssl);
		return NULL;
	}
	SSL_set_bio(ssl, bio, bio);
	SSL_set_app_data(ssl, conn);
	SSL_set_mtu(ssl, DTLS_MTU_BYTES);
	DTLS_set_timer_cb(ssl, retransmit_wait_us);
	SSL_set_accept_state(ssl);
	return ssl;
}

int dtls_conn_create(struct dtls_context *ctx, const struct sdp_fingerprint *fingerprints,
	size_t n_fingerprints, dtls_send_cb send, void *arg, struct dtls_conn **out)
{
	struct dtls_conn *conn;

	if (n_fingerprints == 0)
		return -EINVAL;
	conn = calloc(1, sizeof(*conn) + n_fingerprints * sizeof(*fingerprints));
	if (conn == NULL)
		return -ENOMEM;
	conn->io = (struct datagram_io){ .send = send, .send_arg = arg };
	conn->state = DTLS_HANDSHAKING;
	conn->n_fingerprints = n_fingerprints;
	memcpy(conn->fingerprints, fingerprints, n_fingerprints * sizeof(*fingerprints));
	conn->ssl = conn_ssl_create(ctx, conn);
	ERR_clear_error();
	if (conn->ssl == NULL) {
		free(conn);
		return -ENOMEM;
	}
	*out = conn;
	return 0;
}

void dtls_conn_destroy(struct dtls_conn *conn)
{
	if (conn == NULL)
		return;
	SSL_free(conn->ssl);
	OPENSSL_cleanse(&conn->keys, sizeof(conn->keys));
	free(conn);
}

static bool is_over(const struct dtls_conn *conn)
{
	return conn->state == DTLS_CLOSED || conn->state == DTLS_FAILED;
}

int dtls_conn_input(struct dtls_conn *conn, const uint8_t *pkt, size_t pkt_bytes)
{
	struct record_cursor cursor = { .at = pkt, .bytes_left = pkt_bytes };
	const uint8_t *record;
	size_t record_bytes;

	if (is_over(conn) || !record_next(&cursor, &record, &record_bytes))
		return -EBADMSG;
	ERR_clear_error();
	conn->io.pkt = pkt;
	conn->io.pkt_bytes = pkt_bytes;
	if (conn->state == DTLS_HANDSHAKING)
		conn_accept(conn);
	// Also what came behind the Finished in the same datagram.
	if (conn->state == DTLS_ESTABLISHED)
		conn_read(conn);
	conn->io.pkt = NULL;
	ERR_clear_error();
	return 0;
}

int dtls_conn_tick(struct dtls_conn *conn)
{
	struct timeval left;

	// An established association resends only when the peer repeats itself.
	if (conn->state != DTLS_HANDSHAKING)
		return -1;
	ERR_clear_error();
	if (DTLSv1_handle_timeout(conn->ssl) < 0)
		conn_fail(conn, openssl_reason());
	ERR_clear_error();
	if (is_over(conn) || DTLSv1_get_timeout(conn->ssl, &left) != 1)
		return -1;
	return (int)(left.tv_sec * 1000 + (left.tv_usec + 999) / 1000);
}

enum dtls_state dtls_conn_state(const struct dtls_conn *conn)
{
	return conn->state;
}

const char *dtls_conn_error(const struct dtls_conn *conn)
{
	return conn->state == DTLS_FAILED ? conn->error : "";
}

int dtls_conn_keys(const struct dtls_conn *conn, struct dtls_keys *out)
{
	if (conn->state != DTLS_ESTABLISHED)
		return -EAGAIN;
	*out = conn->keys;
	return 0;
}

void dtls_conn_close(struct dtls_conn *conn)
{
	if (is_over(conn))
		return;
	ERR_clear_error();
	// OpenSSL cannot say it inside a handshake; there the peer finds out by itself.
	// It does not look whether conn_read has freed the buffer it writes the alert to.
	if (conn->state == DTLS_ESTABLISHED && SSL_alloc_buffers(conn->ssl) == 1)
		SSL_shutdown(conn->ssl);
	ERR_clear_error();
	conn_end(conn, DTLS_CLOSED);
}
