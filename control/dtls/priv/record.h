// The records of one datagram, told apart from what cannot be DTLS 1.2.
// Owner: the BIO, which shows OpenSSL only these, and dtls_conn_input, which refuses a datagram
// without any. Source: RFC 6347 4.1; checklist D19.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	RECORD_HEADER_BYTES = 13,
};

// Where a walk over a datagram stands.
struct record_cursor {
	const uint8_t *at;
	size_t bytes_left;
};

// Step to the next record that may be for us. Skips types, versions and epochs that no record of an
// association like ours has, and sealed ones without text; a record cut short ends the walk.
// record: into the datagram, header included, record_bytes of it.
// Return: false at the end.
bool record_next(struct record_cursor *, const uint8_t **record, size_t *record_bytes);
