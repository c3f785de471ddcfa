// DTLS-SRTP, server role, over datagrams that somebody else carries.
// Owner: control's core thread; nothing here is shared between threads.
// Source: RFC 6347 (DTLS 1.2), 5764 (use_srtp), 8122 (fingerprints), 8827 6.5; checklist group D.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/sdp/sdp.h"
#include "dataplane/abi/srtp_keys.h"

enum {
	DTLS_MTU_BYTES = 1200,		  // largest UDP payload we send (D15)
	DTLS_FINGERPRINT_TEXT_BYTES = 96, // "AB:CD:…" of SHA-256 and NUL: 32 * 3
};

// Certificate, key and settings, one a process.
struct dtls_context;

// One association.
struct dtls_conn;

// Takes one datagram to send; called from inside the functions below and must not call them.
typedef void (*dtls_send_cb)(void *arg, const uint8_t *pkt, size_t pkt_bytes);

enum dtls_state {
	DTLS_HANDSHAKING,
	DTLS_ESTABLISHED, // fingerprint checked, keys there
	DTLS_CLOSED,	  // close_notify came or went
	DTLS_FAILED, // fatal alert sent or received, or the peer's certificate is not the offered
};

// What the handshake agreed.
struct dtls_keys {
	uint16_t profile;	   // enum srtp_profile
	struct srtp_master local;  // server write
	struct srtp_master remote; // client write
};

// Make a self-signed ECDSA P-256 certificate (D9).
// profiles: enum srtp_profile in the server's order of preference, n_profiles of them.
// Return:   0; -ENOMEM, -EINVAL no profile, an unknown one or one twice, -EIO OpenSSL failed
//           (logged).
int dtls_context_create(const uint16_t *profiles, size_t n_profiles, struct dtls_context **out);

// NULL is fine. Every association of it must be destroyed before.
void dtls_context_destroy(struct dtls_context *);

// Return: the SHA-256 fingerprint of the certificate that is really presented, "AB:CD:…".
const char *dtls_context_fingerprint(const struct dtls_context *);

// fingerprints: what the peer's certificate must match, one of them; copied.
// Return:       0; -ENOMEM, -EINVAL none given.
int dtls_conn_create(struct dtls_context *, const struct sdp_fingerprint *fingerprints,
	size_t n_fingerprints, dtls_send_cb, void *arg, struct dtls_conn **out);

// Frees without a word to the peer; see dtls_conn_close. NULL is fine. Keys are wiped.
void dtls_conn_destroy(struct dtls_conn *);

// One datagram from the peer; may call the send callback.
// pkt:    read within the call only.
// Return: 0, which says nothing about authenticity: look at the state; -EBADMSG no record in it has
//         the form of ours, or the association is over (counts against the peer, changes nothing).
int dtls_conn_input(struct dtls_conn *, const uint8_t *pkt, size_t pkt_bytes);

// Retransmit if a flight is overdue.
// Return: milliseconds until the next call is due, which input may change; -1 none is.
int dtls_conn_tick(struct dtls_conn *);

enum dtls_state dtls_conn_state(const struct dtls_conn *);

// A static phrase that says why it failed; "" otherwise.
const char *dtls_conn_error(const struct dtls_conn *);

// Return: 0 and the keys; -EAGAIN not established.
int dtls_conn_keys(const struct dtls_conn *, struct dtls_keys *out);

// Send close_notify; within a handshake nothing can be said. The state becomes DTLS_CLOSED, unless
// it is DTLS_FAILED.
void dtls_conn_close(struct dtls_conn *);
