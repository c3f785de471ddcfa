// Session keys from a master key and salt.
// Source: RFC 3711 4.3.1 (key derivation rate 0); RFC 7714 11.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "dataplane/abi/srtp_keys.h"

enum {
	SRTP_AUTH_KEY_BYTES = 20,
};

// The labels of RFC 3711 4.3.1 and 4.3.2, from the first of each three.
enum srtp_kdf_part {
	SRTP_KDF_RTP = 0,
	SRTP_KDF_RTCP = 3,
};

// What one direction of RTP or of RTCP is sealed with. Bytes past the profile's sizes are zero; GCM
// has no authentication key.
struct srtp_keys {
	uint8_t key[SRTP_MASTER_KEY_MAX_BYTES];
	uint8_t auth[SRTP_AUTH_KEY_BYTES];
	uint8_t salt[SRTP_MASTER_SALT_MAX_BYTES];
};

// The three keys of one part.
// profile: a valid one.
// Return:  0; -ENOMEM.
int srtp_kdf_derive(
	uint16_t profile, const struct srtp_master *, enum srtp_kdf_part, struct srtp_keys *out);

// out_bytes of the key stream that belongs to one label.
// key:    key_bytes (16 or 32), which chooses AES-128 or AES-256.
// salt:   14 bytes; a 12-byte salt padded with zeros on the right.
// Return: 0; -ENOMEM.
int srtp_kdf_expand(const uint8_t *key, size_t key_bytes, const uint8_t *salt, uint8_t label,
	uint8_t *out, size_t out_bytes);
