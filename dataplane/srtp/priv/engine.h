// What an engine offers to the dispatch in srtp.c, and what its sessions begin with.
// Writer: one file an engine. Reader: srtp.c.
#pragma once

#include "dataplane/srtp/priv/replay.h"
#include "dataplane/srtp/srtp.h"

// The dispatch has checked profiles, sizes, indices and the replay window; an engine is the
// ciphers alone. Return values are those of the public functions of the same name.
struct srtp_engine_ops {
	const char *name;
	bool (*is_usable)(void);
	int (*create)(struct srtp_engine **out);
	void (*destroy)(struct srtp_engine *);
	int (*session_create)(struct srtp_engine *, uint16_t profile,
		const struct srtp_master *local, const struct srtp_master *remote,
		struct srtp_session **out);
	void (*session_destroy)(struct srtp_session *);
	size_t (*session_bytes)(const struct srtp_engine *, uint16_t profile);
	size_t (*shared_bytes)(void); // NULL: nothing is kept for all sessions together
	unsigned int (*seal_rtp)(
		struct srtp_engine *, const struct srtp_seal_op *, unsigned int n_ops, int *status);
	int (*seal_rtcp)(struct srtp_session *, uint8_t *pkt, uint16_t pkt_bytes, uint32_t index);
	// Return: 0; -EBADMSG tag, -ENOMEM. On failure the packet's bytes are undefined.
	int (*open_rtcp)(struct srtp_session *, uint8_t *pkt, uint16_t pkt_bytes);
	// Fetch what open_rtcp reads beside the session, and read nothing of it; NULL: nothing.
	void (*fetch_rtcp)(const struct srtp_engine *, const struct srtp_session *);
};

struct srtp_engine {
	const struct srtp_engine_ops *ops;
};

struct srtp_session {
	struct srtp_engine *engine;
	uint16_t profile;
	uint8_t salt[SRTP_MASTER_SALT_MAX_BYTES]; // of the RTP that is sent; unused by libsrtp2
	struct srtp_replay replay;		  // of the SRTCP that comes in
};

// ROC << 16 | SEQ of one of an op's packets.
static inline uint64_t srtp_seal_index(const struct srtp_seal_op *op, unsigned int i)
{
	return op->texts[i].seq + (uint64_t)op->index_shift;
}

extern const struct srtp_engine_ops srtp_engine_fast;
extern const struct srtp_engine_ops srtp_engine_libsrtp2;
