// A DTLS client of OpenSSL and an association of ours, joined by a wire that a test scripts.
// Time is the rig's own: it overrides gettimeofday, which is where OpenSSL's DTLS timers look.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "control/dtls/dtls.h"

enum {
	RIG_DATAGRAM_BYTES = 4096,
	RIG_QUEUE_DATAGRAMS = 64,
	RIG_MAX_PROFILES = 3,
};

// What the client authenticates itself with.
enum rig_identity {
	RIG_IDENTITY_P256,
	RIG_IDENTITY_RSA2048,
	RIG_IDENTITY_EXPIRED, // P-256
	RIG_IDENTITY_COUNT,
	RIG_IDENTITY_NONE,
};

struct rig_datagram {
	bool from_client;
	unsigned int ordinal; // from 0, per direction
	size_t bytes;
	uint8_t data[RIG_DATAGRAM_BYTES];
};

struct rig_queue {
	unsigned int first;
	unsigned int n;
	struct rig_datagram datagrams[RIG_QUEUE_DATAGRAMS];
};

struct rig_options {
	// Both empty: the server prefers GCM-128, CM80, GCM-256 and the client offers all.
	uint16_t server_profiles[RIG_MAX_PROFILES];
	const char *client_profiles; // OpenSSL's names; "": no use_srtp
	enum rig_identity identity;
	uint16_t hash_bits; // of the offered fingerprint; 0: 256
	bool wrong_fingerprint;
	int client_version;	    // 0: DTLS 1.2
	unsigned int client_mtu;    // 0: 1200
	size_t hello_padding_bytes; // an unknown extension of this size
};

struct rig {
	struct dtls_context *ctx;
	struct dtls_conn *conn;
	SSL_CTX *client_ctx;
	SSL *client;
	struct rig_queue to_server;
	struct rig_queue to_client;

	// Decides what becomes of a datagram by calling rig_deliver any number of times.
	// NULL: delivered once.
	void (*script)(struct rig *, const struct rig_datagram *);
	struct rig_datagram held[2]; // for scripts that reorder, one a direction

	// Called before and after each call that handles input of ours. NULL: not.
	void (*around_input)(struct rig *, bool begins);

	// What was seen.
	unsigned int n_from_client;
	unsigned int n_from_server;
	size_t max_from_server_bytes;
	size_t max_from_client_bytes;
	int client_alert; // description of the last alert the client read; -1 none
	bool connected;	  // the client is through
	bool client_failed;
	unsigned int elapsed_ms;
};

// For cmocka: *state becomes a struct rig.
int rig_setup(void **state);
int rig_teardown(void **state);

// Make both ends as the options say; nothing is sent yet.
void rig_start(struct rig *, const struct rig_options *);

// Make the server end alone.
void rig_start_server(struct rig *, const struct rig_options *);

// Put another association, with these fingerprints, in the place of the server's.
void rig_replace_server(struct rig *, const struct sdp_fingerprint *, size_t n);

void rig_deliver(struct rig *, const struct rig_datagram *);

// Carry datagrams until both ends are silent.
void rig_pump(struct rig *);

// Carry datagrams and let time pass until both ends are through, one has failed, or limit_ms.
void rig_run(struct rig *, unsigned int limit_ms);

// The clock that OpenSSL sees.
void rig_clock_advance(struct rig *, unsigned int ms);

// Assert that both ends agree on profile and keys, and that the client exports them as RFC 5764
// 4.2 lays them out.
void rig_assert_keys(struct rig *, uint16_t profile);

// The client's certificate under a hash, as an offer would state it.
struct sdp_fingerprint rig_fingerprint(enum rig_identity, uint16_t hash_bits);
