#include "control/ice/ice.h"

#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "control/ice/priv/ice_chars.h"

static const char ice_alphabet[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

_Static_assert(sizeof(ice_alphabet) == 64 + 1, "six random bits a character");

bool ice_chars_ok(const char *text, size_t text_bytes)
{
	for (size_t i = 0; i < text_bytes; i++) {
		if (text[i] == '\0' || !strchr(ice_alphabet, text[i]))
			return false;
	}
	return true;
}

static void chars_from_bits(char *out, const uint8_t *bits, size_t n_chars)
{
	for (size_t i = 0; i < n_chars; i++)
		out[i] = ice_alphabet[bits[i] % 64];
	out[n_chars] = '\0';
}

int ice_credentials_make(struct ice_credentials *out)
{
	uint8_t bits[ICE_UFRAG_CHARS + ICE_PWD_CHARS];

	if (RAND_bytes(bits, sizeof(bits)) != 1)
		return -EIO;
	chars_from_bits(out->ufrag, bits, ICE_UFRAG_CHARS);
	chars_from_bits(out->pwd, bits + ICE_UFRAG_CHARS, ICE_PWD_CHARS);
	OPENSSL_cleanse(bits, sizeof(bits));
	return 0;
}

int ice_local_ufrag(const struct stun_msg *msg, char out[ICE_UFRAG_CHARS + 1])
{
	const char *colon;
	size_t ufrag_chars;

	if (!msg->username)
		return -ENOENT;
	colon = memchr(msg->username, ':', msg->username_bytes);
	if (!colon)
		return -ENOENT;
	ufrag_chars = (size_t)(colon - msg->username);
	if (ufrag_chars > ICE_UFRAG_CHARS)
		return -EMSGSIZE;
	// An empty one would match the empty slot of an agent that is not in a restart.
	if (ufrag_chars == 0 || !ice_chars_ok(msg->username, ufrag_chars))
		return -ENOENT;
	memcpy(out, msg->username, ufrag_chars);
	out[ufrag_chars] = '\0';
	return 0;
}
