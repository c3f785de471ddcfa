// AES-GCM for short packets, many of each key, on CPUs with AVX-512 and vector AES. Whatever of a
// packet has blocks, its header, its payload and its lengths, is one row here, hashed with one
// reduction for 16 blocks, while the next 16 are enciphered. Intel's library goes through header,
// payload and lengths one after the other, each waiting for the one before.
// Writer: gcm_wide.c. Reader: the fast engine, which falls back to the library; testfan's floor.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/srtp/srtp.h"

enum {
	GCM_WIDE_POWERS = 21,
	GCM_WIDE_ROUNDS_128 = 10,
	GCM_WIDE_ROUNDS_256 = 14,
};

// What sealing reads of a key.
struct gcm_wide_key {
	// Of the hash key, the highest first; two blocks behind them are read and never count.
	_Alignas(64) uint8_t powers[GCM_WIDE_POWERS + 2][16];
	uint8_t rounds[GCM_WIDE_ROUNDS_256 + 1][16]; // the last that AES-128 needs is rounds[10]
};

// Return: whether this CPU and its system have what the rest of this header needs.
bool gcm_wide_is_usable(void);

// Return: the bytes of a key, from its start, that so many rounds need.
size_t gcm_wide_key_bytes(unsigned int n_rounds);

// schedule: n_rounds + 1 round keys of 16 bytes, as FIPS 197 5.2 expands them.
// n_rounds: one of the two above.
// out:      gcm_wide_key_bytes are written. A secret, the caller's to wipe.
void gcm_wide_key_init(const uint8_t *schedule, unsigned int n_rounds, struct gcm_wide_key *out);

// Wipe what sealing and gcm_wide_key_init have left of keys on this thread's stack: round keys,
// where registers were too few. Called as deep in it as they were, or less.
void gcm_wide_forget(void);

// Seal the packets of an op. Its session is not looked at.
// n_rounds: as the key was made for.
// salt:     12 bytes of the session's.
// op:       headers of 12 bytes or more with the SSRC of the first. Behind each header ciphertext
//           and 16 bytes of tag are written, and without a head nothing else.
// Source:   RFC 7714 8.1, 8.2; NIST SP 800-38D 7.1.
void gcm_wide_seal(const struct gcm_wide_key *, unsigned int n_rounds, const uint8_t *salt,
	const struct srtp_seal_op *op);
