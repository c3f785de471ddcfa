#include "control/dtls/priv/datagram_bio.h"

#include <string.h>

#include "control/dtls/priv/record.h"

// Only whole sound records are shown: what is cut short or of another kind never reaches OpenSSL.
static size_t copy_records(const struct datagram_io *io, char *out, size_t out_cap)
{
	struct record_cursor cursor = { .at = io->pkt, .bytes_left = io->pkt_bytes };
	const uint8_t *record;
	size_t record_bytes;
	size_t n = 0;

	while (record_next(&cursor, &record, &record_bytes)) {
		if (n + record_bytes > out_cap)
			break;
		memcpy(out + n, record, record_bytes);
		n += record_bytes;
	}
	return n;
}

static int datagram_read(BIO *bio, char *out, int out_cap)
{
	struct datagram_io *io = BIO_get_data(bio);
	size_t n = 0;

	BIO_clear_retry_flags(bio);
	if (io->pkt != NULL && out_cap > 0)
		n = copy_records(io, out, out_cap);
	// What did not fit is gone, as with recvfrom.
	io->pkt = NULL;
	if (n == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	return (int)n;
}

static int datagram_write(BIO *bio, const char *pkt, int pkt_bytes)
{
	struct datagram_io *io = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (pkt_bytes > 0)
		io->send(io->send_arg, (const uint8_t *)pkt, pkt_bytes);
	return pkt_bytes;
}

static long datagram_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	switch (cmd) {
	case BIO_CTRL_DGRAM_QUERY_MTU:
	case BIO_CTRL_DGRAM_GET_MTU:
	case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
		return DTLS_MTU_BYTES;
	case BIO_CTRL_FLUSH:
	case BIO_CTRL_DGRAM_SET_NEXT_TIMEOUT: // timers are dtls_conn_tick's
		return 1;
	default: // among them MTU_EXCEEDED and GET_MTU_OVERHEAD: no, and none
		return 0;
	}
}

BIO_METHOD *datagram_method_create(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "datagrams");

	if (method == NULL)
		return NULL;
	BIO_meth_set_read(method, datagram_read);
	BIO_meth_set_write(method, datagram_write);
	BIO_meth_set_ctrl(method, datagram_ctrl);
	return method;
}

BIO *datagram_bio_create(const BIO_METHOD *method, struct datagram_io *io)
{
	BIO *bio = BIO_new(method);

	if (bio == NULL)
		return NULL;
	BIO_set_data(bio, io);
	BIO_set_init(bio, 1);
	return bio;
}
