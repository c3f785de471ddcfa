#include "control/ice/stun.h"

#include <errno.h>
#include <string.h>

#include "control/ice/priv/stun_attr.h"
#include "control/ice/priv/stun_digest.h"

enum {
	FAMILY_IPV4 = 1, // as the address attributes count families (14.1)
	FAMILY_IPV6 = 2,
	ERROR_HEADER_BYTES = 4,
	REASON_MAX_BYTES = 127, // 14.8
};

void stun_begin(struct stun_writer *w, uint8_t *buf, uint16_t cap_bytes, uint16_t type,
	const uint8_t txid[STUN_TXID_BYTES])
{
	*w = (struct stun_writer){ .buf = buf, .cap_bytes = cap_bytes };
	if (cap_bytes < STUN_HEADER_BYTES) {
		w->overflow = true;
		return;
	}
	stun_set_be16(buf, type);
	stun_set_be16(buf + 2, 0);
	stun_set_be32(buf + 4, STUN_MAGIC_COOKIE);
	memcpy(buf + 8, txid, STUN_TXID_BYTES);
	w->used_bytes = STUN_HEADER_BYTES;
}

// Make room for one attribute, zeroed. The header's length always covers what was put so far:
// both digests are taken over a message that ends with their own attribute.
// Return: where the value goes; NULL on overflow.
static uint8_t *put_space(struct stun_writer *w, uint16_t attr, uint16_t value_bytes)
{
	size_t padded = ((size_t)value_bytes + 3) & ~(size_t)3;
	size_t end = w->used_bytes + STUN_ATTR_HEADER_BYTES + padded;
	uint8_t *at = w->buf + w->used_bytes;

	if (w->overflow || end > w->cap_bytes) {
		w->overflow = true;
		return NULL;
	}
	stun_set_be16(at, attr);
	stun_set_be16(at + 2, value_bytes);
	memset(at + STUN_ATTR_HEADER_BYTES, 0, padded);
	w->used_bytes = (uint16_t)end;
	stun_set_be16(w->buf + 2, (uint16_t)(end - STUN_HEADER_BYTES));
	return at + STUN_ATTR_HEADER_BYTES;
}

void stun_put(struct stun_writer *w, uint16_t attr, const void *value, uint16_t value_bytes)
{
	uint8_t *at = put_space(w, attr, value_bytes);

	if (at && value_bytes > 0)
		memcpy(at, value, value_bytes);
}

// Return: the IPv4 part of a v4-mapped IPv6 address, as a dual-stack socket shows it; else NULL.
static const uint8_t *v4_mapped(const struct net_addr *addr)
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

	if (addr->family != NET_IPV6 || memcmp(addr->ip, prefix, sizeof(prefix)) != 0)
		return NULL;
	return addr->ip + sizeof(prefix);
}

void stun_put_xor_mapped_address(struct stun_writer *w, const struct net_addr *addr)
{
	const uint8_t *ip = addr->family == NET_IPV4 ? addr->ip : v4_mapped(addr);
	size_t ip_bytes = ip ? 4 : 16;
	uint8_t value[4 + 16];

	if ((addr->family != NET_IPV4 && addr->family != NET_IPV6) || w->overflow) {
		w->overflow = true;
		return;
	}
	if (!ip)
		ip = addr->ip;
	value[0] = 0;
	value[1] = ip_bytes == 4 ? FAMILY_IPV4 : FAMILY_IPV6;
	stun_set_be16(value + 2, ntohs(addr->port_be) ^ (uint16_t)(STUN_MAGIC_COOKIE >> 16));
	// The mask is the cookie and the transaction id, as they stand in the header (14.2).
	for (size_t i = 0; i < ip_bytes; i++)
		value[4 + i] = ip[i] ^ w->buf[4 + i];
	stun_put(w, STUN_ATTR_XOR_MAPPED_ADDRESS, value, (uint16_t)(4 + ip_bytes));
}

void stun_put_error(struct stun_writer *w, uint16_t code, const char *reason)
{
	size_t reason_bytes = strnlen(reason, REASON_MAX_BYTES);
	uint8_t value[ERROR_HEADER_BYTES + REASON_MAX_BYTES] = { 0 };

	value[2] = (uint8_t)(code / 100);
	value[3] = (uint8_t)(code % 100);
	memcpy(value + ERROR_HEADER_BYTES, reason, reason_bytes);
	stun_put(w, STUN_ATTR_ERROR_CODE, value, (uint16_t)(ERROR_HEADER_BYTES + reason_bytes));
}

void stun_put_unknown(struct stun_writer *w, const uint16_t *attrs, uint8_t n_attrs)
{
	uint8_t *at = put_space(w, STUN_ATTR_UNKNOWN_ATTRIBUTES, (uint16_t)(2 * n_attrs));

	for (uint8_t i = 0; at && i < n_attrs; i++)
		stun_set_be16(at + 2 * i, attrs[i]);
}

void stun_put_integrity(struct stun_writer *w, const char *pwd, size_t pwd_bytes)
{
	uint16_t off = w->used_bytes;
	uint8_t *at = put_space(w, STUN_ATTR_INTEGRITY, STUN_INTEGRITY_BYTES);

	// A message that cannot be signed is as little to be sent as one that did not fit.
	if (at && stun_hmac_sha1(w->buf, off, pwd, pwd_bytes, at) < 0)
		w->overflow = true;
}

void stun_put_fingerprint(struct stun_writer *w)
{
	uint16_t off = w->used_bytes;
	uint8_t *at = put_space(w, STUN_ATTR_FINGERPRINT, STUN_FINGERPRINT_BYTES);

	if (at)
		stun_set_be32(at, stun_fingerprint(w->buf, off));
}

int stun_end(struct stun_writer *w, uint16_t *out_bytes)
{
	if (w->overflow)
		return -ENOBUFS;
	*out_bytes = w->used_bytes;
	return 0;
}
