// A BIO that keeps datagram borders: one datagram in at a time, each write handed on as one.
// OpenSSL 3.0 has no BIO_s_dgram_mem. Owner: the connection whose datagram_io it is.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <openssl/bio.h>

#include "control/dtls/dtls.h"

// What the BIO reads from and writes to. Must outlive the BIO.
struct datagram_io {
	dtls_send_cb send;
	void *send_arg;
	const uint8_t *pkt; // borrowed, to be read next; NULL: nothing there
	size_t pkt_bytes;
};

// Return: the method, to be freed with BIO_meth_free after the last BIO; NULL without memory.
BIO_METHOD *datagram_method_create(void);

// Return: the BIO, which borrows io; NULL without memory.
BIO *datagram_bio_create(const BIO_METHOD *, struct datagram_io *io);
