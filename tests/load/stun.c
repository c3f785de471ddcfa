#include "tests/load/stun.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "tests/load/wire.h"

enum {
	HEADER_BYTES = 20,
	COOKIE = 0x2112a442,
	REQUEST = 0x0001,
	SUCCESS = 0x0101,
	ATTR_USERNAME = 0x0006,
	ATTR_INTEGRITY = 0x0008,
	ATTR_XOR_MAPPED = 0x0020,
	ATTR_PRIORITY = 0x0024,
	ATTR_USE_CANDIDATE = 0x0025,
	ATTR_FINGERPRINT = 0x8028,
	ATTR_CONTROLLING = 0x802a,
	SHA1_BYTES = 20,
	PRIORITY = 1853824767, // of a peer-reflexive candidate, as browsers say
};

static uint32_t crc32_of(const uint8_t *at, size_t n)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < n; i++) {
		crc ^= at[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

// Append an attribute and bring the length in the header up to date.
static size_t add(uint8_t *msg, size_t used, uint16_t type, const void *value, size_t bytes)
{
	size_t padded = (bytes + 3) & ~(size_t)3;

	wire_put16(msg + used, type);
	wire_put16(msg + used + 2, (uint16_t)bytes);
	memset(msg + used + 4, 0, padded);
	if (bytes)
		memcpy(msg + used + 4, value, bytes);
	used += 4 + padded;
	wire_put16(msg + 2, (uint16_t)(used - HEADER_BYTES));
	return used;
}

static void hmac(const char *pwd, const uint8_t *msg, size_t bytes, uint8_t out[SHA1_BYTES])
{
	HMAC(EVP_sha1(), pwd, (int)strlen(pwd), msg, bytes, out, NULL);
}

size_t stun_check_write(const char *local_ufrag, const char *remote_ufrag, const char *remote_pwd,
	const uint8_t id[STUN_ID_BYTES], uint8_t out[STUN_CHECK_MAX_BYTES])
{
	uint8_t priority[4], digest[SHA1_BYTES] = { 0 }, crc[4] = { 0 };
	char username[160];
	size_t used = HEADER_BYTES;
	int n = snprintf(username, sizeof(username), "%s:%s", remote_ufrag, local_ufrag);

	wire_put16(out, REQUEST);
	wire_put32(out + 4, COOKIE);
	memcpy(out + 8, id, STUN_ID_BYTES);
	wire_put32(priority, PRIORITY);
	used = add(out, used, ATTR_USERNAME, username, (size_t)n);
	used = add(out, used, ATTR_CONTROLLING, id, 8);
	used = add(out, used, ATTR_USE_CANDIDATE, NULL, 0);
	used = add(out, used, ATTR_PRIORITY, priority, sizeof(priority));
	// Both cover a header that counts themselves.
	used = add(out, used, ATTR_INTEGRITY, digest, sizeof(digest));
	hmac(remote_pwd, out, used - 4 - SHA1_BYTES, out + used - SHA1_BYTES);
	used = add(out, used, ATTR_FINGERPRINT, crc, sizeof(crc));
	wire_put32(out + used - 4, crc32_of(out, used - 8) ^ 0x5354554e);
	return used;
}

static bool integrity_ok(const uint8_t *pkt, size_t off, const char *pwd)
{
	uint8_t copy[STUN_CHECK_MAX_BYTES], digest[SHA1_BYTES];

	memcpy(copy, pkt, off);
	wire_put16(copy + 2, (uint16_t)(off + 4 + SHA1_BYTES - HEADER_BYTES));
	hmac(pwd, copy, off, digest);
	return memcmp(digest, pkt + off + 4, SHA1_BYTES) == 0;
}

static bool mapped_ok(
	const uint8_t *value, size_t bytes, const uint8_t *pkt, const struct sockaddr *self)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)self;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)self;
	bool four = self->sa_family == AF_INET;
	const uint8_t *ip = four ? (const uint8_t *)&in->sin_addr : in6->sin6_addr.s6_addr;
	size_t ip_bytes = four ? 4 : 16;
	uint16_t port = ntohs(four ? in->sin_port : in6->sin6_port);

	if (bytes != 4 + ip_bytes || value[1] != (four ? 1 : 2) ||
		(wire_get16(value + 2) ^ (COOKIE >> 16)) != port)
		return false;
	for (size_t i = 0; i < ip_bytes; i++)
		if ((value[4 + i] ^ pkt[4 + i]) != ip[i])
			return false;
	return true;
}

const char *stun_check_judge(const uint8_t *pkt, size_t pkt_bytes, const char *remote_pwd,
	const uint8_t id[STUN_ID_BYTES], const struct sockaddr *self)
{
	bool mapped = false, integrity = false, fingerprint = false;

	if (pkt_bytes < HEADER_BYTES || pkt_bytes > STUN_CHECK_MAX_BYTES ||
		wire_get32(pkt + 4) != COOKIE || wire_get16(pkt + 2) + 20u != pkt_bytes)
		return "not a STUN message";
	if (memcmp(pkt + 8, id, STUN_ID_BYTES) != 0)
		return "another transaction";
	if (wire_get16(pkt) != SUCCESS)
		return "an error response";
	for (size_t off = HEADER_BYTES; off + 4 <= pkt_bytes;) {
		uint16_t type = wire_get16(pkt + off), bytes = wire_get16(pkt + off + 2);

		if (off + 4 + bytes > pkt_bytes)
			return "an attribute past the end";
		if (type == ATTR_XOR_MAPPED)
			mapped = mapped_ok(pkt + off + 4, bytes, pkt, self);
		if (type == ATTR_INTEGRITY && bytes == SHA1_BYTES)
			integrity = integrity_ok(pkt, off, remote_pwd);
		if (type == ATTR_FINGERPRINT && bytes == 4)
			fingerprint = wire_get32(pkt + off + 4) ==
				      (crc32_of(pkt, off) ^ 0x5354554e);
		off += 4 + ((bytes + 3u) & ~3u);
	}
	if (!mapped)
		return "XOR-MAPPED-ADDRESS is not ours";
	if (!integrity)
		return "MESSAGE-INTEGRITY does not verify";
	return fingerprint ? NULL : "FINGERPRINT is missing or wrong";
}
