// A viewer as its worker sees it: what is needed to seal and send to it, made from its slot in the
// region when a command says so, and thrown away on the next.
// Owner: one worker. What must outlive the process (indices, counters) stands in the region.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/abi/region.h"
#include "dataplane/port/frame.h"
#include "dataplane/srtp/srtp.h"

enum {
	PEER_MID_MAX_BYTES = 16, // what a one-byte header extension holds (RFC 8285 4.2)
	// Fixed header, 0xBEDE and length, id byte and MID, filled up to a word.
	PEER_RTP_HDR_MAX_BYTES = 12 + 4 + 20,
};

static_assert(40 + 8 + PEER_RTP_HDR_MAX_BYTES + SRTP_TAG_MAX_BYTES == REGION_OVERHEAD_BYTES,
	"control judges packet sizes by it");

struct peer_leg {
	struct region_peer_leg_state *state; // rw
	uint32_t ts_base;
	uint32_t ssrc;
	uint16_t seq_base;
	uint8_t enabled;
	uint8_t hdr_bytes;
	uint8_t hdr[PEER_RTP_HDR_MAX_BYTES]; // all but marker, sequence and timestamp
};

struct peer {
	struct srtp_session *srtp;
	struct region_peer_state *state; // rw
	struct frame_template frame;
	struct peer_leg legs[LEG_COUNT];
	struct net_addr remote;
	uint32_t generation;
	uint32_t key_id;
	uint32_t stream_generation;
	uint16_t slot;
	uint16_t stream;
	uint32_t fan_at; // place in the stream's list of this worker
	uint8_t tag_bytes;
	char cname[REGION_CNAME_MAX + 1];
};

// Make a peer from a slot that control says is READY. The slot is input: it is copied and checked.
// dscp, offload: for the headers.
// Return: 0; -EINVAL a slot that contradicts itself, -ENOMEM, other of srtp_session_create.
int peer_create(struct region_peer *, uint16_t slot, struct srtp_engine *, uint8_t dscp,
	bool offload, struct peer **out);

// Take a changed path from the slot; keys, indices and replay windows stay.
// Return: 0; -EINVAL as it is and nothing changed, -ESTALE the slot has other keys: make it anew.
int peer_repath(struct peer *, struct region_peer *, uint8_t dscp);

// NULL is fine. Keys are wiped.
void peer_destroy(struct peer *);

// Write the RTP header of one packet.
// Return: bytes.
static inline uint16_t peer_put_rtp_header(
	const struct peer_leg *l, uint8_t *at, uint16_t seq, uint32_t ts, bool marker)
{
	uint32_t ts_be = htonl(ts + l->ts_base);
	uint16_t seq_be = htons(seq);

	memcpy(at, l->hdr, l->hdr_bytes);
	at[1] |= (uint8_t)(marker << 7);
	memcpy(at + 2, &seq_be, 2);
	memcpy(at + 4, &ts_be, 4);
	return l->hdr_bytes;
}
