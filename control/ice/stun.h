// STUN messages: parse what comes, write what goes. No state, no allocation, no clock.
// Used by control/ice only, and by tests and fuzzers.
// Source: RFC 8489 (section numbers below), RFC 8445 for the ICE attributes.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/abi/net.h"

enum {
	STUN_HEADER_BYTES = 20,
	STUN_TXID_BYTES = 12,
	STUN_MAX_UNKNOWN = 8,
	STUN_REPLY_MAX_BYTES = 256,
};

// Class and method together, as the first two bytes carry them (5).
enum stun_type {
	STUN_BINDING_REQUEST = 0x0001,
	STUN_BINDING_INDICATION = 0x0011,
	STUN_BINDING_SUCCESS = 0x0101,
	STUN_BINDING_ERROR = 0x0111,
};

// A parsed message. Pointers go into the caller's packet.
struct stun_msg {
	const uint8_t *raw;
	uint16_t raw_bytes;
	uint16_t type;
	const uint8_t *txid; // STUN_TXID_BYTES
	const char *username;
	uint16_t username_bytes;
	uint16_t integrity_off; // of the MESSAGE-INTEGRITY attribute; 0: absent
	bool has_fingerprint;	// and it verified: a wrong one fails the parse
	bool has_priority;
	bool use_candidate;
	bool ice_controlled;
	bool ice_controlling;
	uint32_t priority;
	uint64_t tie_breaker;
	uint8_t n_unknown; // comprehension-required attributes we do not know, the first few
	uint16_t unknown[STUN_MAX_UNKNOWN];
};

// Check and take apart one datagram.
// Return: 0; -EBADMSG not well-formed (5, 6.3, 14.7) or a FINGERPRINT that does not verify.
int stun_parse(const uint8_t *pkt, size_t pkt_bytes, struct stun_msg *out);

// Constant time in the comparison.
// Return: whether MESSAGE-INTEGRITY is there and verifies under the password (14.5).
bool stun_integrity_ok(const struct stun_msg *, const char *pwd, size_t pwd_bytes);

// Writes one message into the caller's buffer; an overflow is remembered and told at the end.
struct stun_writer {
	uint8_t *buf;
	uint16_t cap_bytes;
	uint16_t used_bytes;
	bool overflow;
};

void stun_begin(struct stun_writer *, uint8_t *buf, uint16_t cap_bytes, uint16_t type,
	const uint8_t txid[STUN_TXID_BYTES]);
void stun_put(struct stun_writer *, uint16_t attr, const void *value, uint16_t value_bytes);
void stun_put_xor_mapped_address(struct stun_writer *, const struct net_addr *);
void stun_put_error(struct stun_writer *, uint16_t code, const char *reason);
void stun_put_unknown(struct stun_writer *, const uint16_t *attrs, uint8_t n_attrs);
void stun_put_integrity(struct stun_writer *, const char *pwd, size_t pwd_bytes);
void stun_put_fingerprint(struct stun_writer *);

// Return: 0 and the size; -ENOBUFS it did not fit, or the crypto library could not sign it.
int stun_end(struct stun_writer *, uint16_t *out_bytes);
