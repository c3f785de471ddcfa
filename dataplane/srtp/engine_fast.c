// The fast engine: Intel's multi-buffer library, called directly.
// GCM goes packet by packet from the shared plaintext into the viewer's packet. CM with SHA-1 is
// gathered over a burst, because SHA-1 is quick only when several packets are hashed at once.
#include "dataplane/srtp/priv/fast.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "dataplane/mem/slab.h"
#include "dataplane/srtp/priv/engine.h"
#include "dataplane/srtp/priv/expanded.h"
#include "dataplane/srtp/priv/mgr.h"
#include "dataplane/srtp/priv/wire.h"

enum {
	FAST_BURST_MAX = 128, // as many as the library takes in one call
	FAST_LINE_BYTES = 64,
	// How many ops ahead a session's first line is fetched, and its keys.
	FAST_PREFETCH_HEADS = 16,
	FAST_PREFETCH_KEYS = 8,
	FAST_AES128_SCHEDULE_BYTES = 11 * 16,
	FAST_SHA1_BYTES = 20,
	FAST_CM_TAG_BYTES = 10,
	FAST_GCM_TAG_BYTES = 16,
	FAST_PKT_MAX_BYTES = 65507, // the library counts bytes to hash in 16 bits
	// What GCM authenticates of an encrypted RTCP packet without encrypting it (RFC 7714 9.2).
	FAST_RTCP_AAD_BYTES = SRTP_RTCP_CLEAR_BYTES + SRTP_RTCP_WORD_BYTES,
};

// Expanded keys of AES-CM with HMAC-SHA1: the schedule, and SHA-1's state after each padded key.
struct fast_cm {
	uint8_t schedule[FAST_AES128_SCHEDULE_BYTES];
	uint8_t inner[FAST_SHA1_BYTES];
	uint8_t outer[FAST_SHA1_BYTES];
};

// What sealing RTP reads stands together and expanded; keys of RTCP, which is rare, as derived.
struct fast_session {
	struct srtp_session base;
	struct srtp_keys rtcp_local;
	struct srtp_keys rtcp_remote;
	// From here on in lines that sealing reads.
	_Alignas(FAST_LINE_BYTES) uint16_t profile; // base.profile again
	uint8_t salt[SRTP_MASTER_SALT_MAX_BYTES];
	// The last member: only as much is allocated as the profile needs.
	_Alignas(FAST_LINE_BYTES) union {
		struct gcm_key_data gcm;
		struct fast_cm cm;
	} rtp;
};

// One burst of CM packets on its way through the library.
struct fast_burst {
	unsigned int n;
	unsigned int n_cipher; // one fewer for each empty payload
	IMB_JOB cipher[FAST_BURST_MAX];
	IMB_JOB hash[FAST_BURST_MAX];
	uint8_t iv[FAST_BURST_MAX][SRTP_CM_IV_BYTES];
	// The library writes all 20 bytes whatever tag length a job asks for, so a tag must not be
	// computed in place: it would run over the end of the packet.
	uint8_t tag[FAST_BURST_MAX][FAST_SHA1_BYTES];
	uint8_t *tag_at[FAST_BURST_MAX];
	int *status[FAST_BURST_MAX];
};

struct fast_engine {
	struct srtp_engine base;
	IMB_MGR *mgr;
	IMB_MGR *once;			       // for keys that serve one packet
	struct slab gcm_sessions, cm_sessions; // the two sizes of session
	struct expanded opened;		       // GCM keys that SRTCP was opened with
	struct fast_burst burst;
	// Keys of the RTCP packet at hand; wiped when it is done.
	_Alignas(FAST_LINE_BYTES) union {
		struct gcm_key_data gcm;
		struct fast_cm cm;
	} rtcp;
};

static struct fast_engine *fast_engine_of(const struct srtp_engine *engine)
{
	return (struct fast_engine *)(uintptr_t)engine;
}

static struct fast_session *fast_session_of(struct srtp_session *s)
{
	return (struct fast_session *)s;
}

static size_t size_round(size_t n)
{
	return (n + FAST_LINE_BYTES - 1) / FAST_LINE_BYTES * FAST_LINE_BYTES;
}

static size_t session_size(uint16_t profile)
{
	size_t rtp = srtp_is_gcm(profile) ? sizeof(struct gcm_key_data) : sizeof(struct fast_cm);

	return size_round(offsetof(struct fast_session, rtp) + rtp);
}

static struct slab *slab_of(struct fast_engine *e, uint16_t profile)
{
	return srtp_is_gcm(profile) ? &e->gcm_sessions : &e->cm_sessions;
}

static bool fast_is_usable(void)
{
	return (imb_get_feature_flags() & IMB_CPUFLAGS_SSE) == IMB_CPUFLAGS_SSE;
}

// What all jobs of a burst have in common is written once, when the engine is made.
static void burst_init(struct fast_burst *b)
{
	for (unsigned int i = 0; i < FAST_BURST_MAX; i++) {
		b->cipher[i].key_len_in_bytes = 16;
		b->cipher[i].iv_len_in_bytes = SRTP_CM_IV_BYTES;
		b->hash[i].auth_tag_output = b->tag[i];
		b->hash[i].auth_tag_output_len_in_bytes = FAST_CM_TAG_BYTES;
	}
}

static void engine_free(struct fast_engine *e)
{
	if (e->mgr)
		free_mb_mgr(e->mgr);
	if (e->once)
		free_mb_mgr(e->once);
	slab_fini(&e->gcm_sessions);
	slab_fini(&e->cm_sessions);
	expanded_fini(&e->opened);
	explicit_bzero(e, sizeof(*e));
	free(e);
}

static int fast_create(struct srtp_engine **out)
{
	size_t bytes = size_round(sizeof(struct fast_engine));
	struct fast_engine *e = aligned_alloc(FAST_LINE_BYTES, bytes);
	int ret;

	if (e == NULL)
		return -ENOMEM;
	memset(e, 0, bytes);
	e->base.ops = &srtp_engine_fast;
	burst_init(&e->burst);
	slab_init(&e->gcm_sessions, session_size(SRTP_PROFILE_GCM128));
	slab_init(&e->cm_sessions, session_size(SRTP_PROFILE_CM80));
	ret = mgr_create(false, &e->mgr);
	if (ret == 0)
		ret = mgr_create(true, &e->once);
	if (ret == 0)
		ret = expanded_init(&e->opened, session_size(SRTP_PROFILE_GCM128));
	if (ret == 0)
		*out = &e->base;
	else
		engine_free(e);
	return ret;
}

static void fast_destroy(struct srtp_engine *engine)
{
	engine_free(fast_engine_of(engine));
}

// HMAC's key block, xored with its pad and run through SHA-1 once (RFC 2104 4).
static void hmac_pad(IMB_MGR *mgr, const uint8_t *auth, uint8_t pad, uint8_t *out)
{
	uint8_t block[64];

	memset(block, pad, sizeof(block));
	for (int i = 0; i < SRTP_AUTH_KEY_BYTES; i++)
		block[i] ^= auth[i];
	IMB_SHA1_ONE_BLOCK(mgr, block, out);
	explicit_bzero(block, sizeof(block));
}

static void cm_expand(IMB_MGR *mgr, const struct srtp_keys *keys, struct fast_cm *out)
{
	_Alignas(16) uint8_t enc[FAST_AES128_SCHEDULE_BYTES];
	_Alignas(16) uint8_t dec[FAST_AES128_SCHEDULE_BYTES];

	IMB_AES_KEYEXP_128(mgr, keys->key, enc, dec);
	memcpy(out->schedule, enc, sizeof(enc));
	hmac_pad(mgr, keys->auth, 0x36, out->inner);
	hmac_pad(mgr, keys->auth, 0x5c, out->outer);
	explicit_bzero(enc, sizeof(enc));
	explicit_bzero(dec, sizeof(dec));
}

int srtp_fast_session_create(struct srtp_engine *engine, uint16_t profile,
	const struct srtp_keys *rtp, const struct srtp_keys *rtcp_local,
	const struct srtp_keys *rtcp_remote, struct srtp_session **out)
{
	struct fast_engine *e = fast_engine_of(engine);
	struct fast_session *s = slab_get(slab_of(e, profile));

	if (s == NULL)
		return -ENOMEM;
	memset(s, 0, session_size(profile));
	s->base.engine = engine;
	s->base.profile = profile;
	s->profile = profile;
	s->rtcp_local = *rtcp_local;
	s->rtcp_remote = *rtcp_remote;
	memcpy(s->salt, rtp->salt, sizeof(s->salt));
	if (srtp_is_gcm(profile))
		mgr_expand_gcm(e->mgr, profile, rtp->key, &s->rtp.gcm);
	else
		cm_expand(e->mgr, rtp, &s->rtp.cm);
	*out = &s->base;
	return 0;
}

static int fast_session_create(struct srtp_engine *engine, uint16_t profile,
	const struct srtp_master *local, const struct srtp_master *remote,
	struct srtp_session **out)
{
	struct srtp_keys keys[3];
	int ret;

	ret = srtp_kdf_derive(profile, local, SRTP_KDF_RTP, &keys[0]);
	if (ret == 0)
		ret = srtp_kdf_derive(profile, local, SRTP_KDF_RTCP, &keys[1]);
	if (ret == 0)
		ret = srtp_kdf_derive(profile, remote, SRTP_KDF_RTCP, &keys[2]);
	if (ret == 0)
		ret = srtp_fast_session_create(engine, profile, &keys[0], &keys[1], &keys[2], out);
	explicit_bzero(keys, sizeof(keys));
	return ret;
}

static void fast_session_destroy(struct srtp_session *s)
{
	struct slab *slab = slab_of(fast_engine_of(s->engine), s->profile);

	expanded_forget(&fast_engine_of(s->engine)->opened, s);
	explicit_bzero(s, session_size(s->profile));
	slab_put(slab, s);
}

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

static void gcm_seal_rtp(IMB_MGR *mgr, const struct fast_session *s, const struct srtp_seal_op *op,
	const uint8_t *iv)
{
	uint8_t *dst = op->pkt + op->hdr_bytes;

	gcm_encrypt(mgr, s->profile, &s->rtp.gcm, iv, op->pkt, op->hdr_bytes, op->payload,
		op->payload_bytes, dst, dst + op->payload_bytes);
}

// Add a cipher job to the burst. src and dst may be the same.
static void burst_add_cipher(struct fast_burst *b, const struct fast_cm *keys, const uint8_t *iv,
	const uint8_t *src, uint32_t bytes, uint8_t *dst)
{
	IMB_JOB *job = &b->cipher[b->n_cipher++];

	job->enc_keys = keys->schedule;
	job->iv = iv;
	job->src = src;
	job->dst = dst;
	job->msg_len_to_cipher_in_bytes = bytes;
}

// Add a hash job to the burst; its tag comes out in b->tag.
static void burst_add_hash(
	struct fast_burst *b, const struct fast_cm *keys, const uint8_t *src, uint32_t bytes)
{
	IMB_JOB *job = &b->hash[b->n++];

	job->src = src;
	job->msg_len_to_hash_in_bytes = bytes;
	job->u.HMAC._hashed_auth_key_xor_ipad = keys->inner;
	job->u.HMAC._hashed_auth_key_xor_opad = keys->outer;
}

// Run what the burst holds, all ciphers first: a hash covers its packet's ciphertext.
// Return: 0; -EIO the library left a job undone.
static int burst_run(IMB_MGR *mgr, struct fast_burst *b)
{
	unsigned int n_cipher = b->n_cipher;
	unsigned int n = b->n;
	int ret = 0;

	b->n_cipher = 0;
	b->n = 0;
	if (n_cipher > 0 &&
		IMB_SUBMIT_CIPHER_BURST_NOCHECK(mgr, b->cipher, n_cipher, IMB_CIPHER_CNTR,
			IMB_DIR_ENCRYPT, IMB_KEY_128_BYTES) != n_cipher)
		ret = -EIO;
	if (n > 0 && IMB_SUBMIT_HASH_BURST_NOCHECK(mgr, b->hash, n, IMB_AUTH_HMAC_SHA_1) != n)
		ret = -EIO;
	return ret;
}

// The ROC is hashed but not sent: it stands behind the ciphertext until the tag takes its place
// (RFC 3711 4.2).
static void cm_add_rtp(struct fast_burst *b, const struct fast_session *s,
	const struct srtp_seal_op *op, const uint8_t *iv, int *status)
{
	uint8_t *dst = op->pkt + op->hdr_bytes;
	uint8_t *tail = dst + op->payload_bytes;

	srtp_put_be32(tail, (uint32_t)(op->index >> 16));
	b->tag_at[b->n] = tail;
	b->status[b->n] = status;
	if (op->payload_bytes > 0)
		burst_add_cipher(b, &s->rtp.cm, iv, op->payload, op->payload_bytes, dst);
	burst_add_hash(b, &s->rtp.cm, op->pkt, (uint32_t)op->hdr_bytes + op->payload_bytes + 4);
}

// Seal the CM packets gathered so far.
// Return: how many.
static unsigned int cm_flush_rtp(struct fast_engine *e)
{
	struct fast_burst *b = &e->burst;
	unsigned int n = b->n;
	int ret = burst_run(e->mgr, b);

	for (unsigned int i = 0; i < n; i++) {
		memcpy(b->tag_at[i], b->tag[i], FAST_CM_TAG_BYTES);
		*b->status[i] = ret;
	}
	return ret == 0 ? n : 0;
}

static int op_check(const struct srtp_seal_op *op)
{
	uint32_t bytes = (uint32_t)op->hdr_bytes + op->payload_bytes + SRTP_TAG_MAX_BYTES;

	if (op->hdr_bytes < SRTP_RTP_HDR_MIN_BYTES || bytes > FAST_PKT_MAX_BYTES)
		return -EMSGSIZE;
	return 0;
}

// Judge every op and make its IV, well before it is loaded.
static void prepare(
	struct fast_burst *b, const struct srtp_seal_op *ops, unsigned int n, int *status)
{
	for (unsigned int i = 0; i < n; i++) {
		const struct fast_session *s = fast_session_of(ops[i].session);

		if (i + FAST_PREFETCH_HEADS < n)
			__builtin_prefetch(
				&fast_session_of(ops[i + FAST_PREFETCH_HEADS].session)->profile);
		status[i] = op_check(&ops[i]);
		if (status[i] < 0)
			continue;
		if (srtp_is_gcm(s->profile))
			srtp_iv_gcm(s->salt, srtp_get_be32(ops[i].pkt + 8), ops[i].index, b->iv[i]);
		else
			srtp_iv_cm(s->salt, srtp_get_be32(ops[i].pkt + 8), ops[i].index, b->iv[i]);
	}
}

// Fetch the keys of op i, where the op before it has others.
static void prefetch_keys(const struct srtp_seal_op *ops, unsigned int n, unsigned int i)
{
	if (i >= n || (i > 0 && ops[i].session == ops[i - 1].session))
		return;
	const struct fast_session *s = fast_session_of(ops[i].session);
	size_t bytes = srtp_is_gcm(s->profile) ? sizeof(s->rtp.gcm) : sizeof(s->rtp.cm);
	for (size_t off = 0; off < bytes; off += FAST_LINE_BYTES)
		__builtin_prefetch((const char *)&s->rtp + off, 0, 3);
}

// Seal a burst that fits the library.
static unsigned int seal_burst(
	struct fast_engine *e, const struct srtp_seal_op *ops, unsigned int n_ops, int *status)
{
	unsigned int n_sealed = 0;

	for (unsigned int i = 0; i < FAST_PREFETCH_KEYS; i++)
		prefetch_keys(ops, n_ops, i);
	prepare(&e->burst, ops, n_ops, status);
	for (unsigned int i = 0; i < n_ops; i++) {
		const struct fast_session *s = fast_session_of(ops[i].session);
		const uint8_t *iv = e->burst.iv[i];

		prefetch_keys(ops, n_ops, i + FAST_PREFETCH_KEYS);
		if (status[i] < 0)
			continue;
		if (srtp_is_gcm(s->profile)) {
			gcm_seal_rtp(e->mgr, s, &ops[i], iv);
			n_sealed++;
		} else {
			cm_add_rtp(&e->burst, s, &ops[i], iv, &status[i]);
		}
	}
	return n_sealed + cm_flush_rtp(e);
}

static unsigned int fast_seal_rtp(
	struct srtp_engine *engine, const struct srtp_seal_op *ops, unsigned int n_ops, int *status)
{
	unsigned int n_sealed = 0;

	for (unsigned int i = 0, n; i < n_ops; i += n) {
		n = n_ops - i < FAST_BURST_MAX ? n_ops - i : FAST_BURST_MAX;
		n_sealed += seal_burst(fast_engine_of(engine), ops + i, n, status + i);
	}
	return n_sealed;
}

// One AES-CM pass over a packet part in place, now.
static int cm_cipher_rtcp(
	struct fast_engine *e, const uint8_t *salt, uint8_t *pkt, uint32_t end, uint32_t index)
{
	struct fast_burst *b = &e->burst;

	if (end == SRTP_RTCP_CLEAR_BYTES)
		return 0;
	srtp_iv_cm(salt, srtp_get_be32(pkt + 4), index, b->iv[0]);
	burst_add_cipher(b, &e->rtcp.cm, b->iv[0], pkt + SRTP_RTCP_CLEAR_BYTES,
		end - SRTP_RTCP_CLEAR_BYTES, pkt + SRTP_RTCP_CLEAR_BYTES);
	return burst_run(e->mgr, b);
}

// The tag over the first bytes of a packet, left in burst.tag[0].
static int cm_hash_rtcp(struct fast_engine *e, const uint8_t *pkt, uint32_t bytes)
{
	burst_add_hash(&e->burst, &e->rtcp.cm, pkt, bytes);
	return burst_run(e->mgr, &e->burst);
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

static int fast_seal_rtcp(
	struct srtp_session *session, uint8_t *pkt, uint16_t pkt_bytes, uint32_t index)
{
	struct fast_session *s = fast_session_of(session);
	struct fast_engine *e = fast_engine_of(session->engine);
	const struct srtp_keys *keys = &s->rtcp_local;
	int ret;

	if (srtp_is_gcm(s->profile)) {
		mgr_expand_gcm(e->once, s->profile, keys->key, &e->rtcp.gcm);
		ret = gcm_seal_rtcp(e, s->profile, keys->salt, pkt, pkt_bytes, index);
	} else {
		cm_expand(e->mgr, keys, &e->rtcp.cm);
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
		mgr_expand_gcm(e->once, s->profile, s->rtcp_remote.key, key);
	return key;
}

static int fast_open_rtcp(struct srtp_session *session, uint8_t *pkt, uint16_t pkt_bytes)
{
	struct fast_session *s = fast_session_of(session);
	struct fast_engine *e = fast_engine_of(session->engine);
	const uint8_t *salt = s->rtcp_remote.salt;
	int ret;

	if (srtp_is_gcm(s->profile))
		return gcm_open_rtcp(e, s->profile, opening_key(e, s), salt, pkt, pkt_bytes);
	cm_expand(e->mgr, &s->rtcp_remote, &e->rtcp.cm);
	ret = cm_open_rtcp(e, salt, pkt, pkt_bytes);
	explicit_bzero(&e->rtcp, sizeof(e->rtcp));
	return ret;
}

static void fast_fetch_rtcp(const struct srtp_engine *engine, const struct srtp_session *s)
{
	expanded_fetch(&fast_engine_of(engine)->opened, s);
}

const struct srtp_engine_ops srtp_engine_fast = {
	.name = "fast",
	.is_usable = fast_is_usable,
	.create = fast_create,
	.destroy = fast_destroy,
	.session_create = fast_session_create,
	.session_destroy = fast_session_destroy,
	.session_bytes = session_size,
	.shared_bytes = expanded_bytes,
	.seal_rtp = fast_seal_rtp,
	.seal_rtcp = fast_seal_rtcp,
	.open_rtcp = fast_open_rtcp,
	.fetch_rtcp = fast_fetch_rtcp,
};
