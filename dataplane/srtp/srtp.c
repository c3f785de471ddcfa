#include "dataplane/srtp/srtp.h"

#include <errno.h>

#include "dataplane/srtp/priv/engine.h"
#include "dataplane/srtp/priv/wire.h"

static const struct srtp_engine_ops *engine_ops(enum srtp_engine_kind kind)
{
	switch (kind) {
	case SRTP_ENGINE_FAST:
		return &srtp_engine_fast;
	case SRTP_ENGINE_LIBSRTP2:
		return &srtp_engine_libsrtp2;
	}
	return NULL;
}

bool srtp_engine_usable(enum srtp_engine_kind kind)
{
	const struct srtp_engine_ops *ops = engine_ops(kind);

	return ops != NULL && ops->is_usable();
}

int srtp_engine_create(enum srtp_engine_kind kind, struct srtp_engine **out)
{
	if (!srtp_engine_usable(kind))
		return -ENOTSUP;
	return engine_ops(kind)->create(out);
}

void srtp_engine_destroy(struct srtp_engine *engine)
{
	if (engine != NULL)
		engine->ops->destroy(engine);
}

const char *srtp_engine_name(const struct srtp_engine *engine)
{
	return engine->ops->name;
}

int srtp_session_create(struct srtp_engine *engine, uint16_t profile,
	const struct srtp_master *local, const struct srtp_master *remote,
	struct srtp_session **out)
{
	if (srtp_profile_sizes(profile).key_bytes == 0)
		return -EINVAL;
	return engine->ops->session_create(engine, profile, local, remote, out);
}

void srtp_session_destroy(struct srtp_session *s)
{
	if (s != NULL)
		s->engine->ops->session_destroy(s);
}

size_t srtp_engine_shared_bytes(const struct srtp_engine *engine)
{
	return engine->ops->shared_bytes ? engine->ops->shared_bytes() : 0;
}

size_t srtp_session_bytes(const struct srtp_session *s)
{
	return s->engine->ops->session_bytes(s->engine, s->profile);
}

unsigned int srtp_seal_rtp(
	struct srtp_engine *engine, const struct srtp_seal_op *ops, unsigned int n_ops, int *status)
{
	return engine->ops->seal_rtp(engine, ops, n_ops, status);
}

int srtp_seal_rtcp(struct srtp_session *s, uint8_t *pkt, uint16_t pkt_bytes, uint32_t index,
	uint16_t *out_bytes)
{
	uint32_t sealed = (uint32_t)pkt_bytes + SRTP_RTCP_WORD_BYTES +
			  srtp_profile_sizes(s->profile).tag_bytes;
	int ret;

	if (pkt_bytes < SRTP_RTCP_CLEAR_BYTES || sealed > UINT16_MAX)
		return -EMSGSIZE;
	if (index == 0 || index > SRTP_RTCP_INDEX_MAX)
		return -ERANGE;
	ret = s->engine->ops->seal_rtcp(s, pkt, pkt_bytes, index);
	if (ret == 0)
		*out_bytes = (uint16_t)sealed;
	return ret;
}

// The window, and behind it the keys as the fast engine has them.
void srtp_fetch_rtcp(const struct srtp_engine *engine, const struct srtp_session *s)
{
	if (engine->ops->fetch_rtcp)
		engine->ops->fetch_rtcp(engine, s);
	for (unsigned int off = 0; off < 256; off += 64)
		__builtin_prefetch((const char *)s + off, 0, 3);
}

// The replay window is asked before the tag is computed, as RFC 3711 3.3 orders it: a flood of
// captured packets costs no cipher. It moves only after the engine has found the tag good.
int srtp_open_rtcp(struct srtp_session *s, uint8_t *pkt, uint16_t pkt_bytes, uint16_t *out_bytes)
{
	uint32_t trailer = SRTP_RTCP_WORD_BYTES + srtp_profile_sizes(s->profile).tag_bytes;
	uint32_t ssrc, index;
	int ret;

	if (pkt_bytes < SRTP_RTCP_CLEAR_BYTES + trailer)
		return -EMSGSIZE;
	ssrc = srtp_get_be32(pkt + 4);
	index = srtp_get_be32(pkt + srtp_rtcp_word_at(s->profile, pkt_bytes));
	index &= SRTP_RTCP_INDEX_MAX;
	ret = srtp_replay_check(&s->replay, ssrc, index);
	if (ret < 0)
		return ret;
	ret = s->engine->ops->open_rtcp(s, pkt, pkt_bytes);
	if (ret < 0)
		return ret;
	srtp_replay_commit(&s->replay, ssrc, index);
	*out_bytes = (uint16_t)(pkt_bytes - trailer);
	return 0;
}

uint32_t srtp_rtcp_marks(
	const struct srtp_session *s, struct srtp_rtcp_mark out[SRTP_RTCP_SOURCES_MAX])
{
	return srtp_replay_marks(&s->replay, out);
}

void srtp_rtcp_resume(struct srtp_session *s, const struct srtp_rtcp_mark *marks, uint32_t n_marks)
{
	srtp_replay_resume(&s->replay, marks, n_marks);
}
