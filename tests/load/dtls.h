// The DTLS client of a viewer: one certificate for the whole process, an association each.
// Source: RFC 6347; RFC 5764.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/load/offer.h"

struct dtls_client;
struct dtls_assoc;

enum {
	DTLS_SRTP_CM80 = 1,
	DTLS_SRTP_GCM128 = 7,
};

// Master keys as the exporter gives them: key, then salt, for libsrtp2.
struct dtls_srtp {
	unsigned int profile;
	uint8_t ours[30];
	uint8_t theirs[30];
};

typedef void (*dtls_out_cb)(void *arg, const uint8_t *pkt, size_t pkt_bytes);

// fingerprint: filled with that of the new certificate.
// Return: NULL OpenSSL cannot.
struct dtls_client *dtls_client_create(char fingerprint[3 * OFFER_DIGEST_BYTES]);
void dtls_client_destroy(struct dtls_client *);

// One association that offers this profile alone. The first flight goes out with dtls_start.
struct dtls_assoc *dtls_assoc_create(
	struct dtls_client *, unsigned int profile, dtls_out_cb out, void *arg);
void dtls_assoc_destroy(struct dtls_assoc *);

// What came of a datagram, or of time.
enum dtls_progress {
	DTLS_GOES_ON,
	DTLS_DONE, // keys can be had
	DTLS_BROKEN,
};
enum dtls_progress dtls_start(struct dtls_assoc *);
enum dtls_progress dtls_take(struct dtls_assoc *, const uint8_t *pkt, size_t pkt_bytes);
// Resends what is due. wait_us: until the next is.
enum dtls_progress dtls_timeout(struct dtls_assoc *, uint64_t *wait_us);

// After DTLS_DONE.
// Return: whether the certificate is the one that the answer named, and keys are there.
bool dtls_keys_of(
	struct dtls_assoc *, const uint8_t digest[OFFER_DIGEST_BYTES], struct dtls_srtp *);
void dtls_say_goodbye(struct dtls_assoc *);
