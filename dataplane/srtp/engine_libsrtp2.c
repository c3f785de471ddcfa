// The portable engine, and the oracle of the tests: libsrtp2.
// That library guesses the ROC and counts SRTCP indices itself, where our interface names both. So
// each session keeps what the library must believe for each SSRC, and brings it into line first.
#include "dataplane/srtp/priv/engine.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <srtp2/srtp.h>

#include "dataplane/srtp/priv/wire.h"

enum {
	LIB_TX_SSRC_MAX = 8, // two legs, each with its RTX, and room
	// The most that the library takes (it refuses 2^15); in steps of its own 32-bit words.
	LIB_TX_WINDOW = 32704,
	LIB_RX_WINDOW = 128,
	LIB_SEQ_MEDIAN = 1 << 15, // how far ahead the library follows SEQ by itself
	LIB_RTCP_CATCH_UP_MAX = 1 << 20,
	LIB_DUMMY_BYTES = SRTP_RTP_HDR_MIN_BYTES + SRTP_MAX_TRAILER_LEN + SRTP_RTCP_WORD_BYTES,
	// Heap of the three contexts with two SSRCs in use, as measured with Debian 12's libsrtp2
	// 2.5, which is built with NSS.
	LIB_GCM_CONTEXTS_BYTES = 65 * 1024,
	LIB_CM_CONTEXTS_BYTES = 99 * 1024,
};

// What the library knows of one SSRC that we send.
struct lib_tx {
	uint32_t ssrc;
	bool has_rtp;
	uint64_t rtp_highest; // ROC << 16 | SEQ
	uint32_t rtcp_index;  // last one sealed
};

struct lib_session {
	struct srtp_session base;
	srtp_t tx;
	srtp_t rx;
	srtp_t rx_clear; // the library refuses E=0 in a context that encrypts
	struct lib_tx streams[LIB_TX_SSRC_MAX];
	unsigned int n_streams;
};

// srtp_init and srtp_shutdown do not count their callers, and each worker has an engine.
static pthread_mutex_t lib_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned int n_lib_users;

static struct lib_session *lib_session_of(struct srtp_session *s)
{
	return (struct lib_session *)s;
}

static bool lib_is_usable(void)
{
	return true;
}

static int lib_create(struct srtp_engine **out)
{
	struct srtp_engine *e = calloc(1, sizeof(*e));
	int ret = 0;

	if (e == NULL)
		return -ENOMEM;
	e->ops = &srtp_engine_libsrtp2;
	pthread_mutex_lock(&lib_lock);
	if (n_lib_users == 0 && srtp_init() != srtp_err_status_ok)
		ret = -ENOTSUP;
	else
		n_lib_users++;
	pthread_mutex_unlock(&lib_lock);
	if (ret < 0) {
		free(e);
		return ret;
	}
	*out = e;
	return 0;
}

static void lib_destroy(struct srtp_engine *engine)
{
	pthread_mutex_lock(&lib_lock);
	if (--n_lib_users == 0)
		srtp_shutdown();
	pthread_mutex_unlock(&lib_lock);
	free(engine);
}

// services: what RTCP of this context is: encrypted, or authenticated alone.
// Return:   0; -ENOMEM, -ENOTSUP the library was built without the profile.
static int context_create(uint16_t profile, const struct srtp_master *master, srtp_ssrc_type_t type,
	srtp_sec_serv_t services, srtp_t *out)
{
	struct srtp_profile_sizes sizes = srtp_profile_sizes(profile);
	uint8_t key[SRTP_MASTER_KEY_MAX_BYTES + SRTP_MASTER_SALT_MAX_BYTES];
	srtp_policy_t policy = {
		.ssrc.type = type,
		.key = key,
		.window_size = type == ssrc_any_outbound ? LIB_TX_WINDOW : LIB_RX_WINDOW,
		.allow_repeat_tx = 1,
	};
	srtp_err_status_t err;

	memcpy(key, master->key, sizes.key_bytes);
	memcpy(key + sizes.key_bytes, master->salt, sizes.salt_bytes);
	// The library numbers the profiles as IANA does.
	err = srtp_crypto_policy_set_from_profile_for_rtp(&policy.rtp, (srtp_profile_t)profile);
	if (err == srtp_err_status_ok)
		err = srtp_crypto_policy_set_from_profile_for_rtcp(
			&policy.rtcp, (srtp_profile_t)profile);
	policy.rtcp.sec_serv = services;
	if (err == srtp_err_status_ok)
		err = srtp_create(out, &policy);
	explicit_bzero(key, sizeof(key));
	if (err == srtp_err_status_ok)
		return 0;
	return err == srtp_err_status_alloc_fail ? -ENOMEM : -ENOTSUP;
}

// The library wipes its keys itself.
static void lib_session_destroy(struct srtp_session *session)
{
	struct lib_session *s = lib_session_of(session);

	if (s->tx != NULL)
		srtp_dealloc(s->tx);
	if (s->rx != NULL)
		srtp_dealloc(s->rx);
	if (s->rx_clear != NULL)
		srtp_dealloc(s->rx_clear);
	free(s);
}

static int lib_session_create(struct srtp_engine *engine, uint16_t profile,
	const struct srtp_master *local, const struct srtp_master *remote,
	struct srtp_session **out)
{
	struct lib_session *s = calloc(1, sizeof(*s));
	int ret;

	if (s == NULL)
		return -ENOMEM;
	s->base.engine = engine;
	s->base.profile = profile;
	ret = context_create(profile, local, ssrc_any_outbound, sec_serv_conf_and_auth, &s->tx);
	if (ret == 0)
		ret = context_create(
			profile, remote, ssrc_any_inbound, sec_serv_conf_and_auth, &s->rx);
	if (ret == 0)
		ret = context_create(
			profile, remote, ssrc_any_inbound, sec_serv_auth, &s->rx_clear);
	if (ret < 0) {
		lib_session_destroy(&s->base);
		return ret;
	}
	*out = &s->base;
	return 0;
}

static size_t lib_session_bytes(const struct srtp_engine *engine, uint16_t profile)
{
	return sizeof(struct lib_session) +
	       (srtp_is_gcm(profile) ? LIB_GCM_CONTEXTS_BYTES : LIB_CM_CONTEXTS_BYTES);
}

// Return: the SSRC's record, made if it is new; NULL when there are too many.
static struct lib_tx *tx_get(struct lib_session *s, uint32_t ssrc)
{
	for (unsigned int i = 0; i < s->n_streams; i++)
		if (s->streams[i].ssrc == ssrc)
			return &s->streams[i];
	if (s->n_streams == LIB_TX_SSRC_MAX)
		return NULL;
	s->streams[s->n_streams] = (struct lib_tx){ .ssrc = ssrc };
	return &s->streams[s->n_streams++];
}

static int errno_of(srtp_err_status_t err)
{
	switch (err) {
	case srtp_err_status_ok:
		return 0;
	case srtp_err_status_alloc_fail:
		return -ENOMEM;
	case srtp_err_status_replay_fail:
	case srtp_err_status_replay_old:
	case srtp_err_status_pkt_idx_old:
		return -ESTALE;
	case srtp_err_status_key_expired:
		return -ERANGE;
	default:
		return -EIO;
	}
}

// Seal a packet that nobody will see, so that the library takes note of its SEQ. The key stream
// it spends on the way never leaves this function.
static int rtp_seal_dummy(srtp_t tx, uint32_t ssrc, uint16_t seq)
{
	_Alignas(4) uint8_t pkt[LIB_DUMMY_BYTES] = { 0x80 };
	int bytes = SRTP_RTP_HDR_MIN_BYTES;

	pkt[2] = (uint8_t)(seq >> 8);
	pkt[3] = (uint8_t)seq;
	srtp_put_be32(pkt + 8, ssrc);
	return errno_of(srtp_protect(tx, pkt, &bytes));
}

// Make the library's guess for the SEQ of the next packet the given index.
// It guesses right from its window's depth behind the highest index to 2^15 - 1 ahead of it. Past
// 2^15 srtp_set_stream_roc tells it; at 2^15 itself the library keeps the told ROC for ever, so
// one step is taken before. A ROC can be told only for an SSRC that it has seen.
// Return: 0; -ESTALE, or what sealing a dummy returns.
static int rtp_reach(srtp_t tx, struct lib_tx *st, uint64_t index)
{
	int ret = 0;

	if (!st->has_rtp) {
		if (index >> 16 > 0)
			ret = rtp_seal_dummy(tx, st->ssrc, (uint16_t)index);
		if (ret < 0)
			return ret;
		st->has_rtp = true;
		st->rtp_highest = index & 0xffff;
	}
	if (index + LIB_TX_WINDOW <= st->rtp_highest)
		return -ESTALE;
	if (index <= st->rtp_highest)
		return 0;
	if (index - st->rtp_highest == LIB_SEQ_MEDIAN)
		ret = rtp_seal_dummy(tx, st->ssrc, (uint16_t)(index - 1));
	else if (index - st->rtp_highest > LIB_SEQ_MEDIAN)
		ret = errno_of(srtp_set_stream_roc(tx, st->ssrc, (uint32_t)(index >> 16)));
	if (ret == 0)
		st->rtp_highest = index;
	return ret;
}

// The header size as the header itself tells it. The library goes by that, and by no argument.
static uint32_t rtp_hdr_bytes(const uint8_t *pkt, uint16_t have_bytes)
{
	uint32_t bytes = SRTP_RTP_HDR_MIN_BYTES + 4u * (pkt[0] & 0x0f);

	if (!(pkt[0] & 0x10))
		return bytes;
	if (bytes + 4 > have_bytes)
		return bytes + 4;
	return bytes + 4 + 4u * (pkt[bytes + 2] << 8 | pkt[bytes + 3]);
}

static int lib_seal_one(const struct srtp_seal_op *op, unsigned int i)
{
	struct lib_session *s = lib_session_of(op->session);
	const struct srtp_text *text = &op->texts[i];
	int bytes = op->hdr_bytes + text->payload_bytes;
	uint8_t *pkt = op->pkts[i];
	struct lib_tx *st;
	int ret;

	if (op->hdr_bytes < SRTP_RTP_HDR_MIN_BYTES)
		return -EMSGSIZE;
	if (op->head)
		srtp_put_head(op, i);
	if (rtp_hdr_bytes(pkt, op->hdr_bytes) != op->hdr_bytes)
		return -EINVAL;
	st = tx_get(s, srtp_get_be32(pkt + 8));
	if (st == NULL)
		return -ENOBUFS;
	ret = rtp_reach(s->tx, st, srtp_seal_index(op, i));
	if (ret < 0)
		return ret;
	memcpy(pkt + op->hdr_bytes, text->payload, text->payload_bytes);
	return errno_of(srtp_protect(s->tx, pkt, &bytes));
}

static unsigned int lib_seal_rtp(
	struct srtp_engine *engine, const struct srtp_seal_op *ops, unsigned int n_ops, int *status)
{
	unsigned int n_sealed = 0;

	for (const struct srtp_seal_op *op = ops; op < ops + n_ops; op++) {
		for (unsigned int i = 0; i < op->n; i++) {
			*status = lib_seal_one(op, i);
			n_sealed += *status++ == 0;
		}
	}
	return n_sealed;
}

// Count the library's SRTCP index up by one, with a packet that nobody will see.
static int rtcp_seal_dummy(srtp_t tx, uint32_t ssrc)
{
	_Alignas(4) uint8_t pkt[LIB_DUMMY_BYTES] = { 0x80, 201, 0, 1 };
	int bytes = SRTP_RTCP_CLEAR_BYTES;

	srtp_put_be32(pkt + 4, ssrc);
	return errno_of(srtp_protect_rtcp(tx, pkt, &bytes));
}

static int rtcp_reach(srtp_t tx, struct lib_tx *st, uint32_t index)
{
	if (index <= st->rtcp_index || index - st->rtcp_index > LIB_RTCP_CATCH_UP_MAX)
		return -ERANGE;
	while (st->rtcp_index + 1 < index) {
		int ret = rtcp_seal_dummy(tx, st->ssrc);

		if (ret < 0)
			return ret;
		st->rtcp_index++;
	}
	return 0;
}

static int lib_seal_rtcp(
	struct srtp_session *session, uint8_t *pkt, uint16_t pkt_bytes, uint32_t index)
{
	struct lib_session *s = lib_session_of(session);
	struct lib_tx *st = tx_get(s, srtp_get_be32(pkt + 4));
	int bytes = pkt_bytes;
	int ret;

	if (st == NULL)
		return -ENOBUFS;
	ret = rtcp_reach(s->tx, st, index);
	if (ret < 0)
		return ret;
	ret = errno_of(srtp_protect_rtcp(s->tx, pkt, &bytes));
	if (ret == 0)
		st->rtcp_index = index;
	return ret;
}

// The library's own replay windows see a part of the packets that ours has let through, so they
// refuse none of them.
static int lib_open_rtcp(struct srtp_session *session, uint8_t *pkt, uint16_t pkt_bytes)
{
	struct lib_session *s = lib_session_of(session);
	uint32_t word = srtp_get_be32(pkt + srtp_rtcp_word_at(session->profile, pkt_bytes));
	srtp_t rx = word & SRTP_RTCP_E_FLAG ? s->rx : s->rx_clear;
	int bytes = pkt_bytes;

	switch (srtp_unprotect_rtcp(rx, pkt, &bytes)) {
	case srtp_err_status_ok:
		return 0;
	case srtp_err_status_alloc_fail:
		return -ENOMEM;
	default:
		return -EBADMSG;
	}
}

const struct srtp_engine_ops srtp_engine_libsrtp2 = {
	.name = "libsrtp2",
	.is_usable = lib_is_usable,
	.create = lib_create,
	.destroy = lib_destroy,
	.session_create = lib_session_create,
	.session_destroy = lib_session_destroy,
	.session_bytes = lib_session_bytes,
	.seal_rtp = lib_seal_rtp,
	.seal_rtcp = lib_seal_rtcp,
	.open_rtcp = lib_open_rtcp,
};
