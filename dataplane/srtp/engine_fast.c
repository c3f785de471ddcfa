// The fast engine: Intel's multi-buffer library, called directly, and for GCM of RTP our own cipher
// where the CPU has what that takes.
// GCM goes packet by packet from the shared plaintext into the viewer's packet. CM with SHA-1 is
// gathered over a burst, because SHA-1 is quick only when several packets are hashed at once.
#include "dataplane/srtp/priv/fast.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/srtp/priv/fast_engine.h"
#include "dataplane/srtp/priv/mgr.h"

enum {
	// So many packets ahead keys are fetched.
	FAST_AHEAD_PACKETS = 8,
	FAST_PKT_MAX_BYTES = 65507, // the library counts bytes to hash in 16 bits
};

static_assert((int)SRTP_OP_PACKETS_MAX <= (int)FAST_BURST_MAX, "an op is sealed at once");

static size_t size_round(size_t n)
{
	return (n + FAST_LINE_BYTES - 1) / FAST_LINE_BYTES * FAST_LINE_BYTES;
}

static unsigned int rounds_of(uint16_t profile)
{
	return profile == SRTP_PROFILE_GCM256 ? GCM_WIDE_ROUNDS_256 : GCM_WIDE_ROUNDS_128;
}

static size_t rtp_size(const struct fast_engine *e, uint16_t profile)
{
	if (!srtp_is_gcm(profile))
		return sizeof(struct fast_cm);
	return e->is_wide ? gcm_wide_key_bytes(rounds_of(profile)) : sizeof(struct gcm_key_data);
}

static size_t session_size(const struct fast_engine *e, uint16_t profile)
{
	return size_round(offsetof(struct fast_session, rtp) + rtp_size(e, profile));
}

static size_t fast_session_bytes(const struct srtp_engine *engine, uint16_t profile)
{
	return session_size(fast_engine_of(engine), profile);
}

static struct slab *slab_of(struct fast_engine *e, uint16_t profile)
{
	switch (profile) {
	case SRTP_PROFILE_GCM128:
		return &e->gcm128_sessions;
	case SRTP_PROFILE_GCM256:
		return &e->gcm256_sessions;
	default:
		return &e->cm_sessions;
	}
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
	slab_fini(&e->gcm128_sessions);
	slab_fini(&e->gcm256_sessions);
	slab_fini(&e->cm_sessions);
	expanded_fini(&e->opened);
	explicit_bzero(e, sizeof(*e));
	free(e);
}

int srtp_fast_create(bool is_wide, struct srtp_engine **out)
{
	size_t bytes = size_round(sizeof(struct fast_engine));
	struct fast_engine *e = aligned_alloc(FAST_LINE_BYTES, bytes);
	int ret;

	if (e == NULL)
		return -ENOMEM;
	memset(e, 0, bytes);
	e->base.ops = &srtp_engine_fast;
	burst_init(&e->burst);
	e->is_wide = is_wide;
	slab_init(&e->gcm128_sessions, session_size(e, SRTP_PROFILE_GCM128));
	slab_init(&e->gcm256_sessions, session_size(e, SRTP_PROFILE_GCM256));
	slab_init(&e->cm_sessions, session_size(e, SRTP_PROFILE_CM80));
	ret = mgr_create(false, &e->mgr);
	if (ret == 0)
		ret = mgr_create(true, &e->once);
	if (ret == 0)
		ret = expanded_init(&e->opened, session_size(e, SRTP_PROFILE_GCM128));
	if (ret == 0)
		*out = &e->base;
	else
		engine_free(e);
	return ret;
}

static int fast_create(struct srtp_engine **out)
{
	return srtp_fast_create(gcm_wide_is_usable(), out);
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

void fast_cm_expand(IMB_MGR *mgr, const struct srtp_keys *keys, struct fast_cm *out)
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

static void expand_rtp(
	const struct fast_engine *e, const struct srtp_keys *keys, struct fast_session *s)
{
	if (!srtp_is_gcm(s->base.profile))
		fast_cm_expand(e->mgr, keys, &s->rtp.cm);
	else if (e->is_wide)
		mgr_expand_wide(e->mgr, rounds_of(s->base.profile), keys->key, &s->rtp.wide);
	else
		mgr_expand_gcm(e->mgr, s->base.profile, keys->key, &s->rtp.gcm);
}

int srtp_fast_session_create(struct srtp_engine *engine, uint16_t profile,
	const struct srtp_keys *rtp, const struct srtp_keys *rtcp_local,
	const struct srtp_keys *rtcp_remote, struct srtp_session **out)
{
	struct fast_engine *e = fast_engine_of(engine);
	struct fast_session *s = slab_get(slab_of(e, profile));

	if (s == NULL)
		return -ENOMEM;
	memset(s, 0, session_size(e, profile));
	s->base.engine = engine;
	s->base.profile = profile;
	s->rtcp_local = *rtcp_local;
	s->rtcp_remote = *rtcp_remote;
	memcpy(s->base.salt, rtp->salt, sizeof(s->base.salt));
	expand_rtp(e, rtp, s);
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
	struct fast_engine *e = fast_engine_of(s->engine);
	struct slab *slab = slab_of(e, s->profile);

	expanded_forget(&e->opened, s);
	explicit_bzero(s, session_size(e, s->profile));
	slab_put(slab, s);
	if (e->is_wide)
		gcm_wide_forget();
}

int fast_burst_run(IMB_MGR *mgr, struct fast_burst *b)
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
	const struct srtp_seal_op *op, unsigned int i, const uint8_t *iv, int *status)
{
	const struct srtp_text *text = &op->texts[i];
	uint8_t *pkt = op->pkts[i], *dst = pkt + op->hdr_bytes;
	uint8_t *tail = dst + text->payload_bytes;

	srtp_put_be32(tail, (uint32_t)(srtp_seal_index(op, i) >> 16));
	b->tag_at[b->n] = tail;
	b->status[b->n] = status;
	if (text->payload_bytes > 0)
		fast_burst_add_cipher(b, &s->rtp.cm, iv, text->payload, text->payload_bytes, dst);
	fast_burst_add_hash(b, &s->rtp.cm, pkt, (uint32_t)op->hdr_bytes + text->payload_bytes + 4);
}

// Seal the CM packets gathered so far.
// Return: how many.
static unsigned int cm_flush_rtp(struct fast_engine *e)
{
	struct fast_burst *b = &e->burst;
	unsigned int n = b->n;
	int ret = fast_burst_run(e->mgr, b);

	for (unsigned int i = 0; i < n; i++) {
		memcpy(b->tag_at[i], b->tag[i], FAST_CM_TAG_BYTES);
		*b->status[i] = ret;
	}
	return ret == 0 ? n : 0;
}

// The longest payload that may stand behind such a header; -1: none.
static int payload_most(uint16_t hdr_bytes)
{
	if (hdr_bytes < SRTP_RTP_HDR_MIN_BYTES)
		return -1;
	return FAST_PKT_MAX_BYTES - SRTP_TAG_MAX_BYTES - hdr_bytes;
}

// Judge an op's packets, write their heads and make their IVs, well before these are loaded. Our
// own cipher does so for each packet, in registers.
static void prepare_op(const struct srtp_seal_op *op, uint8_t (*iv)[SRTP_CM_IV_BYTES], int *status)
{
	const struct srtp_session *s = op->session;
	const int most = payload_most(op->hdr_bytes);
	uint32_t ssrc = most < 0 ? 0 : srtp_get_be32(srtp_seal_header(op, 0) + 8);

	for (unsigned int i = 0; i < op->n; i++) {
		status[i] = op->texts[i].payload_bytes > most ? -EMSGSIZE : 0;
		if (op->head)
			srtp_put_head(op, i);
		if (srtp_is_gcm(s->profile))
			srtp_iv_gcm(s->salt, ssrc, srtp_seal_index(op, i), iv[i]);
		else
			srtp_iv_cm(s->salt, ssrc, srtp_seal_index(op, i), iv[i]);
	}
}

static bool is_wide_op(const struct fast_engine *e, const struct srtp_seal_op *op)
{
	return e->is_wide && srtp_is_gcm(op->session->profile);
}

static void prepare(
	struct fast_engine *e, const struct srtp_seal_op *ops, unsigned int n_ops, int *status)
{
	unsigned int at = 0;

	for (unsigned int i = 0; i < n_ops; i++) {
		if (!is_wide_op(e, &ops[i]))
			prepare_op(&ops[i], e->burst.iv + at, status + at);
		at += ops[i].n;
	}
}

// Which keys have been fetched: those of the ops before op, and how many packets these have.
struct ahead {
	unsigned int op;
	unsigned int packets;
};

static inline void fetch(const void *at, size_t bytes)
{
	for (size_t off = 0; off < bytes; off += FAST_LINE_BYTES)
		__builtin_prefetch((const char *)at + off, 0, 3);
}

// Fetch the keys of ops, up to so many packets; not those that the op before has too.
static void fetch_keys(const struct fast_engine *e, struct ahead *a, const struct srtp_seal_op *ops,
	unsigned int n_ops, unsigned int packets)
{
	for (; a->op < n_ops && a->packets < packets; a->op++) {
		const struct srtp_seal_op *op = &ops[a->op];
		const struct fast_session *s = fast_session_of(op->session);

		a->packets += op->n;
		if (a->op == 0 || op->session != op[-1].session)
			fetch(&s->rtp, rtp_size(e, op->session->profile));
	}
}

// By the library. What all of an op's packets have in common is read once.
// Return: how many were sealed.
static unsigned int gcm_seal_op(IMB_MGR *mgr, const struct srtp_seal_op *op,
	uint8_t (*iv)[SRTP_CM_IV_BYTES], const int *status)
{
	const struct fast_session *s = fast_session_of(op->session);
	const aes_gcm_enc_dec_t encrypt = s->base.profile == SRTP_PROFILE_GCM256 ? mgr->gcm256_enc
										 : mgr->gcm128_enc;
	const uint32_t hdr_bytes = op->hdr_bytes;
	struct gcm_context_data ctx;
	unsigned int n_sealed = 0;

	for (unsigned int i = 0; i < op->n; i++) {
		const struct srtp_text *text = &op->texts[i];
		uint8_t *pkt = op->pkts[i], *dst = pkt + hdr_bytes;

		if (status[i] < 0)
			continue;
		encrypt(&s->rtp.gcm, &ctx, dst, text->payload, text->payload_bytes, iv[i], pkt,
			hdr_bytes, dst + text->payload_bytes, FAST_GCM_TAG_BYTES);
		n_sealed++;
	}
	return n_sealed;
}

// By our own cipher, in rows of those that are not refused: mostly one.
// Return: how many were sealed.
static unsigned int wide_seal_op(const struct srtp_seal_op *op, int *status)
{
	const struct fast_session *s = fast_session_of(op->session);
	const int most = payload_most(op->hdr_bytes);
	struct srtp_seal_op row = *op;
	unsigned int n_sealed = 0;

	for (unsigned int at = 0; at < op->n; at++) {
		row.texts = op->texts + at;
		row.pkts = op->pkts + at;
		for (row.n = 0; at < op->n && op->texts[at].payload_bytes <= most; at++) {
			status[at] = 0;
			row.n++;
		}
		if (row.n)
			gcm_wide_seal(&s->rtp.wide, rounds_of(s->base.profile), s->base.salt, &row);
		if (at < op->n)
			status[at] = -EMSGSIZE;
		n_sealed += row.n;
	}
	return n_sealed;
}

static void cm_gather_op(struct fast_burst *b, const struct srtp_seal_op *op,
	uint8_t (*iv)[SRTP_CM_IV_BYTES], int *status)
{
	for (unsigned int i = 0; i < op->n; i++)
		if (status[i] == 0)
			cm_add_rtp(b, fast_session_of(op->session), op, i, iv[i], &status[i]);
}

// Seal ops whose packets fit a burst.
static unsigned int seal_burst(
	struct fast_engine *e, const struct srtp_seal_op *ops, unsigned int n_ops, int *status)
{
	struct fast_burst *b = &e->burst;
	struct ahead ahead = { 0 };
	unsigned int at = 0, n_sealed = 0;

	fetch_keys(e, &ahead, ops, n_ops, FAST_AHEAD_PACKETS);
	prepare(e, ops, n_ops, status);
	for (unsigned int i = 0; i < n_ops; i++) {
		// The next viewer's at least, however many packets this one has, and past an op of
		// few that its own may have behind them.
		fetch_keys(e, &ahead, ops, n_ops, at + ops[i].n + FAST_AHEAD_PACKETS - 1u);
		if (is_wide_op(e, &ops[i]))
			n_sealed += wide_seal_op(&ops[i], status + at);
		else if (!srtp_is_gcm(ops[i].session->profile))
			cm_gather_op(b, &ops[i], b->iv + at, status + at);
		else
			n_sealed += gcm_seal_op(e->mgr, &ops[i], b->iv + at, status + at);
		at += ops[i].n;
	}
	return n_sealed + cm_flush_rtp(e);
}

// Return: how many ops one burst takes.
static unsigned int burst_length(
	const struct srtp_seal_op *ops, unsigned int n_ops, unsigned int *n_packets)
{
	unsigned int n;

	*n_packets = 0;
	for (n = 0; n < n_ops && *n_packets + ops[n].n <= FAST_BURST_MAX; n++) {
		assert(ops[n].n > 0);
		*n_packets += ops[n].n;
	}
	assert(n > 0);
	return n;
}

static unsigned int fast_seal_rtp(
	struct srtp_engine *engine, const struct srtp_seal_op *ops, unsigned int n_ops, int *status)
{
	unsigned int n_sealed = 0;

	while (n_ops > 0) {
		unsigned int n_packets, n = burst_length(ops, n_ops, &n_packets);

		n_sealed += seal_burst(fast_engine_of(engine), ops, n, status);
		ops += n;
		n_ops -= n;
		status += n_packets;
	}
	return n_sealed;
}

const struct srtp_engine_ops srtp_engine_fast = {
	.name = "fast",
	.is_usable = fast_is_usable,
	.create = fast_create,
	.destroy = fast_destroy,
	.session_create = fast_session_create,
	.session_destroy = fast_session_destroy,
	.session_bytes = fast_session_bytes,
	.shared_bytes = expanded_bytes,
	.seal_rtp = fast_seal_rtp,
	.seal_rtcp = fast_seal_rtcp,
	.open_rtcp = fast_open_rtcp,
	.fetch_rtcp = fast_fetch_rtcp,
};
