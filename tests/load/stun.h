// Connectivity checks from the viewer's side, written apart from the edge's own code so that one
// tests the other. Source: RFC 8489, RFC 8445 7.1.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
	STUN_CHECK_MAX_BYTES = 512,
	STUN_ID_BYTES = 12,
};

// A Binding request with USE-CANDIDATE.
// Return: its length.
size_t stun_check_write(const char *local_ufrag, const char *remote_ufrag, const char *remote_pwd,
	const uint8_t id[STUN_ID_BYTES], uint8_t out[STUN_CHECK_MAX_BYTES]);

// A response to it, of a viewer that sends from self.
// Return: NULL good; else what is wrong with it.
const char *stun_check_judge(const uint8_t *pkt, size_t pkt_bytes, const char *remote_pwd,
	const uint8_t id[STUN_ID_BYTES], const struct sockaddr *self);
