// SRTCP by the fast engine: reports are rare and short, so their keys are expanded as they come.
#include "dataplane/srtp/priv/fast_engine.h"

#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>

#include "dataplane/srtp/priv/mgr.h"

enum {
	// What GCM authenticates of an encrypted RTCP packet without encrypting it (RFC 7714 9.2).
	FAST_RTCP_AAD_BYTES = SRTP_RTCP_CLEAR_BYTES + SRTP_RTCP_WORD_BYTES,
};

static void gcm_encrypt(IMB_MGR *mgr, uint16_t profile, const struct gcm_key_data *key,
	const uint8_t *iv, const uint8_t *aad, uint32_t aad_bytes, const uint8_t *src,
	uint32_t bytes, uint8_t *dst, uint8_t *tag)
{
	struct gcm_context_data ctx;

	if (profile == SRTP_PROFILE_GCM256)
		IMB_AES256_GCM_ENC(mgr, key, &ctx, dst, src, bytes, iv, aad, aad_bytes, tag,
			FAST_GCM_TAG_BYTES);
	else
		IMB_AES128_GCM_ENC(mgr, key, &ctx, dst, src, bytes, iv, aad, aad_bytes, tag,
			FAST_GCM_TAG_BYTES);
}

// One AES-CM pass over a packet part in place, now.
static int cm_cipher_rtcp(
	struct fast_engine *e, const uint8_t *salt, uint8_t *pkt, uint32_t end, uint32_t index)
{
	struct fast_burst *b = &e->burst;

	if (end == SRTP_RTCP_CLEAR_BYTES)
		return 0;
	srtp_iv_cm(salt, srtp_get_be32(pkt + 4), index, b->iv[0]);
	fast_burst_add_cipher(b, &e->rtcp.cm, b->iv[0], pkt + SRTP_RTCP_CLEAR_BYTES,
		end - SRTP_RTCP_CLEAR_BYTES, pkt + SRTP_RTCP_CLEAR_BYTES);
	return fast_burst_run(e->mgr, b);
}

// The tag over the first bytes of a packet, left in burst.tag[0].
static int cm_hash_rtcp(struct fast_engine *e, const uint8_t *pkt, uint32_t bytes)
{
	fast_burst_add_hash(&e->burst, &e->rtcp.cm, pkt, bytes);
	return fast_burst_run(e->mgr, &e->burst);
}

static int cm_seal_rtcp(
	struct fast_engine *e, const uint8_t *salt, uint8_t *pkt, uint32_t bytes, uint32_t index)
{
	uint32_t tag_at = bytes + SRTP_RTCP_WORD_BYTES;
	int ret = cm_cipher_rtcp(e, salt, pkt, bytes, index);

	if (ret < 0)
		return ret;
	srtp_put_be32(pkt + bytes, SRTP_RTCP_E_FLAG | index);
	ret = cm_hash_rtcp(e, pkt, tag_at);
	if (ret == 0)
		memcpy(pkt + tag_at, e->burst.tag[0], FAST_CM_TAG_BYTES);
	return ret;
}

static int cm_open_rtcp(struct fast_engine *e, const uint8_t *salt, uint8_t *pkt, uint32_t bytes)
{
	uint32_t tag_at = bytes - FAST_CM_TAG_BYTES;
	uint32_t word_at = tag_at - SRTP_RTCP_WORD_BYTES;
	uint32_t word = srtp_get_be32(pkt + word_at);
	int ret = cm_hash_rtcp(e, pkt, tag_at);

	if (ret < 0)
		return ret;
	if (CRYPTO_memcmp(e->burst.tag[0], pkt + tag_at, FAST_CM_TAG_BYTES) != 0)
		return -EBADMSG;
	if (!(word & SRTP_RTCP_E_FLAG))
		return 0;
	return cm_cipher_rtcp(e, salt, pkt, word_at, word & SRTP_RTCP_INDEX_MAX);
}

static int gcm_seal_rtcp(struct fast_engine *e, uint16_t profile, const uint8_t *salt, uint8_t *pkt,
	uint32_t bytes, uint32_t index)
{
	uint8_t *text = pkt + SRTP_RTCP_CLEAR_BYTES;
	uint8_t *word = pkt + bytes + FAST_GCM_TAG_BYTES;
	uint8_t aad[FAST_RTCP_AAD_BYTES];
	uint8_t iv[SRTP_GCM_IV_BYTES];

	srtp_iv_gcm(salt, srtp_get_be32(pkt + 4), index, iv);
	srtp_put_be32(word, SRTP_RTCP_E_FLAG | index);
	memcpy(aad, pkt, SRTP_RTCP_CLEAR_BYTES);
	memcpy(aad + SRTP_RTCP_CLEAR_BYTES, word, SRTP_RTCP_WORD_BYTES);
	gcm_encrypt(e->once, profile, &e->rtcp.gcm, iv, aad, sizeof(aad), text,
		bytes - SRTP_RTCP_CLEAR_BYTES, text, pkt + bytes);
	return 0;
}

static void gcm_decrypt_rtcp(struct fast_engine *e, uint16_t profile,
	const struct gcm_key_data *key, const uint8_t *iv, uint8_t *pkt, uint32_t tag_at,
	const uint8_t *word, uint8_t *tag)
{
	uint8_t *text = pkt + SRTP_RTCP_CLEAR_BYTES;
	uint32_t bytes = tag_at - SRTP_RTCP_CLEAR_BYTES;
	uint8_t aad[FAST_RTCP_AAD_BYTES];
	struct gcm_context_data ctx;

	memcpy(aad, pkt, SRTP_RTCP_CLEAR_BYTES);
	memcpy(aad + SRTP_RTCP_CLEAR_BYTES, word, SRTP_RTCP_WORD_BYTES);
	if (profile == SRTP_PROFILE_GCM256)
		IMB_AES256_GCM_DEC(e->once, key, &ctx, text, text, bytes, iv, aad, sizeof(aad), tag,
			FAST_GCM_TAG_BYTES);
	else
		IMB_AES128_GCM_DEC(e->once, key, &ctx, text, text, bytes, iv, aad, sizeof(aad), tag,
			FAST_GCM_TAG_BYTES);
	explicit_bzero(&ctx, sizeof(ctx));
}

// With E=0 all of the packet is associated data, the index word behind it and nothing is
// encrypted (RFC 7714 9.3). The word moves up into the tag's place, where the library can read
// both as one piece; the tag was taken out before.
static int gcm_open_rtcp(struct fast_engine *e, uint16_t profile, const struct gcm_key_data *key,
	const uint8_t *salt, uint8_t *pkt, uint32_t bytes)
{
	uint32_t word_at = bytes - SRTP_RTCP_WORD_BYTES;
	uint32_t tag_at = word_at - FAST_GCM_TAG_BYTES;
	uint32_t word = srtp_get_be32(pkt + word_at);
	uint8_t iv[SRTP_GCM_IV_BYTES];
	uint8_t expected[FAST_GCM_TAG_BYTES], tag[FAST_GCM_TAG_BYTES];

	srtp_iv_gcm(salt, srtp_get_be32(pkt + 4), word & SRTP_RTCP_INDEX_MAX, iv);
	memcpy(tag, pkt + tag_at, sizeof(tag));
	if (word & SRTP_RTCP_E_FLAG) {
		gcm_decrypt_rtcp(e, profile, key, iv, pkt, tag_at, pkt + word_at, expected);
	} else {
		srtp_put_be32(pkt + tag_at, word);
		gcm_encrypt(e->once, profile, key, iv, pkt, tag_at + SRTP_RTCP_WORD_BYTES, pkt, 0,
			pkt, expected);
	}
	return CRYPTO_memcmp(expected, tag, sizeof(tag)) == 0 ? 0 : -EBADMSG;
}

int fast_seal_rtcp(struct srtp_session *session, uint8_t *pkt, uint16_t pkt_bytes, uint32_t index)
{
	struct fast_session *s = fast_session_of(session);
	struct fast_engine *e = fast_engine_of(session->engine);
	const struct srtp_keys *keys = &s->rtcp_local;
	int ret;

	if (srtp_is_gcm(s->base.profile)) {
		mgr_expand_gcm(e->once, s->base.profile, keys->key, &e->rtcp.gcm);
		ret = gcm_seal_rtcp(e, s->base.profile, keys->salt, pkt, pkt_bytes, index);
	} else {
		fast_cm_expand(e->mgr, keys, &e->rtcp.cm);
		ret = cm_seal_rtcp(e, keys->salt, pkt, pkt_bytes, index);
	}
	explicit_bzero(&e->rtcp, sizeof(e->rtcp));
	return ret;
}

static const struct gcm_key_data *opening_key(struct fast_engine *e, const struct fast_session *s)
{
	bool fresh;
	struct gcm_key_data *key = expanded_get(&e->opened, s, &fresh);

	if (fresh)
		mgr_expand_gcm(e->once, s->base.profile, s->rtcp_remote.key, key);
	return key;
}

int fast_open_rtcp(struct srtp_session *session, uint8_t *pkt, uint16_t pkt_bytes)
{
	struct fast_session *s = fast_session_of(session);
	struct fast_engine *e = fast_engine_of(session->engine);
	const uint8_t *salt = s->rtcp_remote.salt;
	int ret;

	if (srtp_is_gcm(s->base.profile))
		return gcm_open_rtcp(e, s->base.profile, opening_key(e, s), salt, pkt, pkt_bytes);
	fast_cm_expand(e->mgr, &s->rtcp_remote, &e->rtcp.cm);
	ret = cm_open_rtcp(e, salt, pkt, pkt_bytes);
	explicit_bzero(&e->rtcp, sizeof(e->rtcp));
	return ret;
}

void fast_fetch_rtcp(const struct srtp_engine *engine, const struct srtp_session *s)
{
	expanded_fetch(&fast_engine_of(engine)->opened, s);
}
