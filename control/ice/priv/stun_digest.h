// The two digests of a STUN message: FINGERPRINT's CRC-32 and MESSAGE-INTEGRITY's HMAC-SHA1.
// Thread: any.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "control/ice/priv/stun_attr.h"

// Return: the FINGERPRINT value over a message up to that attribute, XOR included.
// Source: RFC 8489 14.7.
uint32_t stun_fingerprint(const uint8_t *msg, size_t msg_bytes);

// Sign the message up to MESSAGE-INTEGRITY, as if its length field ended with that attribute;
// the message itself is not touched.
// msg_bytes: offset of the attribute, at least a header.
// Return:    0; -EIO the crypto library refused.
// Source:    RFC 8489 14.5.
int stun_hmac_sha1(const uint8_t *msg, size_t msg_bytes, const char *pwd, size_t pwd_bytes,
	uint8_t out[STUN_INTEGRITY_BYTES]);
