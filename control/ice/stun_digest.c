#include "control/ice/priv/stun_digest.h"

#include <errno.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "control/ice/stun.h"

// CRC-32 of ITU V.42, reflected, a nibble at a time: the table is sixteen words and made by the
// compiler, and a flood of long packets costs an eighth of the bitwise loop.
#define CRC_BIT(c)    ((c) >> 1 ^ ((c)&1 ? UINT32_C(0xedb88320) : 0))
#define CRC_NIBBLE(n) CRC_BIT(CRC_BIT(CRC_BIT(CRC_BIT(UINT32_C(n)))))

static const uint32_t crc_nibbles[16] = {
	CRC_NIBBLE(0),
	CRC_NIBBLE(1),
	CRC_NIBBLE(2),
	CRC_NIBBLE(3),
	CRC_NIBBLE(4),
	CRC_NIBBLE(5),
	CRC_NIBBLE(6),
	CRC_NIBBLE(7),
	CRC_NIBBLE(8),
	CRC_NIBBLE(9),
	CRC_NIBBLE(10),
	CRC_NIBBLE(11),
	CRC_NIBBLE(12),
	CRC_NIBBLE(13),
	CRC_NIBBLE(14),
	CRC_NIBBLE(15),
};

uint32_t stun_fingerprint(const uint8_t *msg, size_t msg_bytes)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < msg_bytes; i++) {
		crc ^= msg[i];
		crc = crc >> 4 ^ crc_nibbles[crc & 15];
		crc = crc >> 4 ^ crc_nibbles[crc & 15];
	}
	return ~crc ^ STUN_FINGERPRINT_XOR;
}

// Feed the message with the length it had while it was signed.
static bool hmac_feed(EVP_MAC_CTX *ctx, const uint8_t *msg, size_t msg_bytes)
{
	size_t signed_bytes = msg_bytes + STUN_ATTR_HEADER_BYTES + STUN_INTEGRITY_BYTES;
	uint8_t head[4] = { msg[0], msg[1] };

	stun_set_be16(head + 2, (uint16_t)(signed_bytes - STUN_HEADER_BYTES));
	return EVP_MAC_update(ctx, head, sizeof(head)) &&
	       EVP_MAC_update(ctx, msg + sizeof(head), msg_bytes - sizeof(head));
}

int stun_hmac_sha1(const uint8_t *msg, size_t msg_bytes, const char *pwd, size_t pwd_bytes,
	uint8_t out[STUN_INTEGRITY_BYTES])
{
	char digest[] = "SHA1";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
	uint8_t tag[STUN_INTEGRITY_BYTES];
	size_t tag_bytes = 0;
	int ret = -EIO;

	if (ctx && EVP_MAC_init(ctx, (const uint8_t *)pwd, pwd_bytes, params) &&
		hmac_feed(ctx, msg, msg_bytes) &&
		EVP_MAC_final(ctx, tag, &tag_bytes, sizeof(tag)) && tag_bytes == sizeof(tag)) {
		memcpy(out, tag, sizeof(tag));
		ret = 0;
	}
	EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(mac);
	return ret;
}
