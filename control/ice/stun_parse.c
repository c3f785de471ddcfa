#include "control/ice/stun.h"

#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>

#include "control/ice/priv/stun_attr.h"
#include "control/ice/priv/stun_digest.h"

// One attribute of the packet: type, length and where its value stands.
struct attr {
	uint16_t type;
	uint16_t value_bytes;
	size_t off; // of its header
	const uint8_t *value;
};

static bool header_ok(const uint8_t *pkt, size_t pkt_bytes)
{
	if (pkt_bytes < STUN_HEADER_BYTES || pkt_bytes > UINT16_MAX)
		return false;
	if (pkt[0] & 0xc0 || stun_get_be32(pkt + 4) != STUN_MAGIC_COOKIE)
		return false;
	if (pkt_bytes % 4 != 0)
		return false;
	return (size_t)stun_get_be16(pkt + 2) + STUN_HEADER_BYTES == pkt_bytes;
}

// Return: whether a whole attribute, padding included, stands at *off; then *off is past it.
static bool attr_next(const uint8_t *pkt, size_t pkt_bytes, size_t *off, struct attr *out)
{
	size_t value_off = *off + STUN_ATTR_HEADER_BYTES;
	size_t padded;

	if (value_off > pkt_bytes)
		return false;
	out->type = stun_get_be16(pkt + *off);
	out->value_bytes = stun_get_be16(pkt + *off + 2);
	out->value = pkt + value_off;
	out->off = *off;
	padded = ((size_t)out->value_bytes + 3) & ~(size_t)3;
	if (value_off + padded > pkt_bytes)
		return false;
	*off = value_off + padded;
	return true;
}

static int take_fingerprint(struct stun_msg *msg, const struct attr *attr)
{
	if (attr->value_bytes != STUN_FINGERPRINT_BYTES)
		return -EBADMSG;
	if (stun_get_be32(attr->value) != stun_fingerprint(msg->raw, attr->off))
		return -EBADMSG;
	msg->has_fingerprint = true;
	return 0;
}

static int take_integrity(struct stun_msg *msg, const struct attr *attr)
{
	if (attr->value_bytes != STUN_INTEGRITY_BYTES)
		return -EBADMSG;
	msg->integrity_off = (uint16_t)attr->off;
	return 0;
}

static int take_priority(struct stun_msg *msg, const struct attr *attr)
{
	if (attr->value_bytes != sizeof(msg->priority))
		return -EBADMSG;
	if (!msg->has_priority)
		msg->priority = stun_get_be32(attr->value);
	msg->has_priority = true;
	return 0;
}

static int take_role(struct stun_msg *msg, const struct attr *attr)
{
	if (attr->value_bytes != sizeof(msg->tie_breaker))
		return -EBADMSG;
	if (!msg->ice_controlled && !msg->ice_controlling)
		msg->tie_breaker = stun_get_be64(attr->value);
	if (attr->type == STUN_ATTR_ICE_CONTROLLED)
		msg->ice_controlled = true;
	else
		msg->ice_controlling = true;
	return 0;
}

static void take_username(struct stun_msg *msg, const struct attr *attr)
{
	if (msg->username)
		return;
	msg->username = (const char *)attr->value;
	msg->username_bytes = attr->value_bytes;
}

static void take_unknown(struct stun_msg *msg, const struct attr *attr)
{
	if (attr->type < STUN_OPTIONAL_FROM && msg->n_unknown < STUN_MAX_UNKNOWN)
		msg->unknown[msg->n_unknown++] = attr->type;
}

// Of an attribute that stands twice the first counts (5).
static int take_attr(struct stun_msg *msg, const struct attr *attr)
{
	if (attr->type == STUN_ATTR_FINGERPRINT)
		return take_fingerprint(msg, attr);
	// Nobody signed what follows MESSAGE-INTEGRITY (14.5).
	if (msg->integrity_off)
		return 0;
	switch (attr->type) {
	case STUN_ATTR_INTEGRITY:
		return take_integrity(msg, attr);
	case STUN_ATTR_PRIORITY:
		return take_priority(msg, attr);
	case STUN_ATTR_ICE_CONTROLLED:
	case STUN_ATTR_ICE_CONTROLLING:
		return take_role(msg, attr);
	case STUN_ATTR_USERNAME:
		take_username(msg, attr);
		return 0;
	case STUN_ATTR_USE_CANDIDATE:
		msg->use_candidate = true;
		return 0;
	// Understood, and without meaning in a short-term request: ignored (6.3).
	case STUN_ATTR_MAPPED_ADDRESS:
	case STUN_ATTR_XOR_MAPPED_ADDRESS:
	case STUN_ATTR_ERROR_CODE:
	case STUN_ATTR_UNKNOWN_ATTRIBUTES:
	case STUN_ATTR_REALM:
	case STUN_ATTR_NONCE:
		return 0;
	default:
		take_unknown(msg, attr);
		return 0;
	}
}

int stun_parse(const uint8_t *pkt, size_t pkt_bytes, struct stun_msg *out)
{
	size_t off = STUN_HEADER_BYTES;
	struct stun_msg msg = { 0 };
	struct attr attr;

	if (!header_ok(pkt, pkt_bytes))
		return -EBADMSG;
	msg.raw = pkt;
	msg.raw_bytes = (uint16_t)pkt_bytes;
	msg.type = stun_get_be16(pkt);
	msg.txid = pkt + STUN_HEADER_BYTES - STUN_TXID_BYTES;
	while (off < pkt_bytes) {
		// FINGERPRINT is the last attribute (14.7).
		if (msg.has_fingerprint || !attr_next(pkt, pkt_bytes, &off, &attr))
			return -EBADMSG;
		if (take_attr(&msg, &attr) < 0)
			return -EBADMSG;
	}
	*out = msg;
	return 0;
}

bool stun_integrity_ok(const struct stun_msg *msg, const char *pwd, size_t pwd_bytes)
{
	uint8_t expected[STUN_INTEGRITY_BYTES];
	const uint8_t *got;

	if (msg->integrity_off == 0)
		return false;
	if (stun_hmac_sha1(msg->raw, msg->integrity_off, pwd, pwd_bytes, expected) < 0)
		return false;
	got = msg->raw + msg->integrity_off + STUN_ATTR_HEADER_BYTES;
	return CRYPTO_memcmp(got, expected, sizeof(expected)) == 0;
}
