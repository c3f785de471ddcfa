// The answers to a Binding request, whole packets.
// Source: RFC 8489 6.3.1, 9.1.3; RFC 8445 7.3.
#pragma once

#include <stdint.h>

#include "control/ice/ice.h"

// from: the source as seen.
// pwd:  the password that verified the request.
// Return: 0 and the size; -ENOBUFS it could not be built.
int ice_reply_success(const struct stun_msg *request, const struct net_addr *from, const char *pwd,
	uint8_t reply[STUN_REPLY_MAX_BYTES], uint16_t *out_bytes);

// code: 400, 401, 420 (with the request's unknown attributes) or 487.
// pwd:  the password that verified the request; NULL when none did, and then the reply is never
//       larger than the request, lest a forged source make us an amplifier (C27).
// Return: 0 and the size; -ENOBUFS it could not be built, -EMSGSIZE larger than the request.
int ice_reply_error(const struct stun_msg *request, uint16_t code, const char *pwd,
	uint8_t reply[STUN_REPLY_MAX_BYTES], uint16_t *out_bytes);
