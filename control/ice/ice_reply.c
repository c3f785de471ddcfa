#include "control/ice/priv/ice_reply.h"

#include <errno.h>
#include <string.h>

static const char *error_reason(uint16_t code)
{
	switch (code) {
	case 401:
		return "Unauthenticated";
	case 420:
		return "Unknown Attribute";
	case 487:
		return "Role Conflict";
	default:
		return "Bad Request";
	}
}

int ice_reply_success(const struct stun_msg *request, const struct net_addr *from, const char *pwd,
	uint8_t reply[STUN_REPLY_MAX_BYTES], uint16_t *out_bytes)
{
	struct stun_writer w;

	stun_begin(&w, reply, STUN_REPLY_MAX_BYTES, STUN_BINDING_SUCCESS, request->txid);
	stun_put_xor_mapped_address(&w, from);
	stun_put_integrity(&w, pwd, strlen(pwd));
	stun_put_fingerprint(&w);
	return stun_end(&w, out_bytes);
}

int ice_reply_error(const struct stun_msg *request, uint16_t code, const char *pwd,
	uint8_t reply[STUN_REPLY_MAX_BYTES], uint16_t *out_bytes)
{
	struct stun_writer w;
	uint16_t reply_bytes;
	int ret;

	stun_begin(&w, reply, STUN_REPLY_MAX_BYTES, STUN_BINDING_ERROR, request->txid);
	stun_put_error(&w, code, error_reason(code));
	if (code == 420)
		stun_put_unknown(&w, request->unknown, request->n_unknown);
	if (pwd)
		stun_put_integrity(&w, pwd, strlen(pwd));
	stun_put_fingerprint(&w);
	ret = stun_end(&w, &reply_bytes);
	if (ret < 0)
		return ret;
	if (!pwd && reply_bytes > request->raw_bytes)
		return -EMSGSIZE;
	*out_bytes = reply_bytes;
	return 0;
}
