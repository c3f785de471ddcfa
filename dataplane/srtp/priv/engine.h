// What an engine offers to the dispatch in srtp.c, what its sessions begin with, and how all
// engines read an op. Writer: one file an engine. Reader: srtp.c; gcm_wide.c reads ops.
#pragma once

#include <endian.h>
#include <string.h>

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

// The RTP header of one of an op's packets, with a head all but what differs from packet to packet.
static inline const uint8_t *srtp_seal_header(const struct srtp_seal_op *op, unsigned int i)
{
	return op->head ? op->head->bytes + op->head->rtp_at : op->pkts[i];
}

// Write the head of one of an op's packets; the op has one.
// Return: the RTP header's first eight bytes, as they stand there.
static inline uint64_t srtp_put_head(const struct srtp_seal_op *op, unsigned int i)
{
	const struct srtp_head *h = op->head;
	const struct srtp_text *text = &op->texts[i];
	const uint8_t *header = h->bytes + h->rtp_at;
	uint8_t *at = op->pkts[i] - h->rtp_at;
	uint64_t first = htobe64((uint64_t)(header[0] << 8 | header[1] | text->marker << 7) << 48 |
				 (srtp_seal_index(op, i) & 0xffff) << 32 |
				 (uint32_t)(text->ts + h->ts_base));

	memcpy(at, h->bytes, SRTP_HEAD_LINE_BYTES);
	if (h->n_lines > 1)
		memcpy(at + SRTP_HEAD_LINE_BYTES, h->bytes + SRTP_HEAD_LINE_BYTES,
			SRTP_HEAD_LINE_BYTES);
	memcpy(op->pkts[i], &first, sizeof(first));
	return first;
}

extern const struct srtp_engine_ops srtp_engine_fast;
extern const struct srtp_engine_ops srtp_engine_libsrtp2;
