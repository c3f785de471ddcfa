// Numbers of the STUN wire format, and its two ways to lay out an integer.
// Source: RFC 8489 5, 14, 18.3; RFC 8445 16.1.
#pragma once

#include <stdint.h>

enum {
	STUN_MAGIC_COOKIE = 0x2112a442,
	STUN_FINGERPRINT_XOR = 0x5354554e,
	STUN_ATTR_HEADER_BYTES = 4,
	STUN_INTEGRITY_BYTES = 20,
	STUN_FINGERPRINT_BYTES = 4,
	STUN_OPTIONAL_FROM = 0x8000, // below: not to be answered unless understood (14)
};

enum stun_attr {
	STUN_ATTR_MAPPED_ADDRESS = 0x0001,
	STUN_ATTR_USERNAME = 0x0006,
	STUN_ATTR_INTEGRITY = 0x0008,
	STUN_ATTR_ERROR_CODE = 0x0009,
	STUN_ATTR_UNKNOWN_ATTRIBUTES = 0x000a,
	STUN_ATTR_REALM = 0x0014,
	STUN_ATTR_NONCE = 0x0015,
	STUN_ATTR_XOR_MAPPED_ADDRESS = 0x0020,
	STUN_ATTR_PRIORITY = 0x0024,
	STUN_ATTR_USE_CANDIDATE = 0x0025,
	STUN_ATTR_FINGERPRINT = 0x8028,
	STUN_ATTR_ICE_CONTROLLED = 0x8029,
	STUN_ATTR_ICE_CONTROLLING = 0x802a,
};

static inline uint16_t stun_get_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t stun_get_be32(const uint8_t *p)
{
	return (uint32_t)stun_get_be16(p) << 16 | stun_get_be16(p + 2);
}

static inline uint64_t stun_get_be64(const uint8_t *p)
{
	return (uint64_t)stun_get_be32(p) << 32 | stun_get_be32(p + 4);
}

static inline void stun_set_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void stun_set_be32(uint8_t *p, uint32_t v)
{
	stun_set_be16(p, (uint16_t)(v >> 16));
	stun_set_be16(p + 2, (uint16_t)v);
}
