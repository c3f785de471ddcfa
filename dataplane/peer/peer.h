// A viewer as its worker sees it: what is needed to seal and send to it, made from its slot in the
// region when a command says so, and thrown away on the next.
// Owner: one worker. What must outlive the process (indices, counters) stands in the region.
#pragma once

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/abi/region.h"
#include "dataplane/mem/slab.h"
#include "dataplane/port/frame.h"
#include "dataplane/srtp/srtp.h"

enum {
	PEER_MID_MAX_BYTES = 16, // what a one-byte header extension holds (RFC 8285 4.2)
	// Fixed header, 0xBEDE and length, id byte and MID, filled up to a word.
	PEER_RTP_HDR_MAX_BYTES = 12 + 4 + 20,
	PEER_OSN_BYTES = 2, // in front of a retransmission's payload (RFC 4588 4)
	PEER_HDR_ROOM_BYTES = SRTP_HEAD_LINES * SRTP_HEAD_LINE_BYTES,
	PEER_EPOCHS = 2,
	PEER_RECENT = 64,     // resends that are remembered for a round trip; a power of two
	PEER_FIR_SENDERS = 2, // whose requests are told apart from repetitions
};

static_assert(FRAME_HDR_MAX_BYTES + PEER_RTP_HDR_MAX_BYTES <= PEER_HDR_ROOM_BYTES,
	"all headers of a packet");

static_assert(40 + 8 + PEER_RTP_HDR_MAX_BYTES + PEER_OSN_BYTES + SRTP_TAG_MAX_BYTES ==
		      REGION_OVERHEAD_BYTES,
	"control judges packet sizes by it");

// How the timestamps of a catch-up are drawn together: a function of the frame, so that a packet
// that is sent again is the same to the bit.
struct draw {
	uint32_t last;	  // frame with which the viewer has caught up
	uint32_t last_ts; // its timestamp, of the stream's output
	uint32_t step;	  // between the frames up to it; 0: nothing is drawn
	uint32_t live;	  // from this frame on nothing is; unless open
	bool open;
};

// A stretch of a leg's output with one distance between its indices and the stream's numbers.
struct peer_epoch {
	int64_t first_index;
	int64_t index_shift;
	struct draw draw;
};

enum {
	PEER_RTX = LEG_COUNT, // video's retransmissions, as a leg without beginnings
	PEER_LEGS,
};

// What sealing one packet under one SSRC takes, and no more: the fan-out walks these, two or three
// lines a viewer.
struct peer_leg {
	// Ethernet to RTP with its extension: all but lengths, sums, marker, sequence, timestamp.
	_Alignas(REGION_LINE_BYTES) uint8_t hdr[PEER_HDR_ROOM_BYTES];
	struct srtp_session *srtp;     // the peer's
	struct region_peer_sent *sent; // rw
	struct frame_form form;
	int64_t index_shift; // of what was sent, while started
	int64_t first_index; // of what was sent, while started
	uint32_t ts_base;
	uint16_t slot;
	uint16_t seq_base;
	uint8_t kind; // its place among the peer's legs
	uint8_t rtp_hdr_bytes;
	uint8_t tag_bytes;
	uint8_t enabled;
	uint8_t started;
	uint8_t numbered; // next_index is this process's own, and exact
	uint8_t catching; // up: the fan-out passes it over, for fanout/start.c sends to it
};

// What a leg's beginnings take; the fan-out does without.
struct peer_course {
	struct peer_epoch epochs[PEER_EPOCHS]; // newest first
	uint64_t key_again_ns;		       // not before then is a key frame sent again
	uint32_t fan_at; // place in the stream's list of this worker, or among its catch-ups
	uint8_t n_epochs;
	uint8_t key_backoff; // how often key frames were asked for again, of late
};

// What a viewer may ask for again of a leg, for now. fanout/repair.c keeps it.
struct peer_repair {
	bool nack;	       // agreed on
	uint32_t attention;    // requests that are still looked at
	uint64_t attention_ns; // when it was reckoned; 0: never
	int64_t budget_bytes;  // that may be sent again; below 0 for a while after the last one
	uint64_t budget_ns;    // when it was reckoned; 0: never
};

enum {
	PEER_SENT_REPORTS = 4, // a power of two
};

// Sender reports that a viewer's next may answer, each as its LSR will say (RFC 3550 6.4.1), and
// when it left by our own clock: the report itself tells the source's time.
struct peer_sent {
	uint32_t lsr[PEER_SENT_REPORTS];
	uint32_t tx_us[PEER_SENT_REPORTS]; // CLOCK_MONOTONIC, the low bits
	uint32_t n;
};

struct peer {
	struct peer_leg legs[PEER_LEGS]; // first, as peer_of relies on
	struct peer_course courses[LEG_COUNT];
	struct peer_repair repair[LEG_COUNT];
	struct {
		uint16_t index; // its low bits, the lowest in favour of the leg
		uint16_t ms;	// of CLOCK_MONOTONIC, the low bits
	} recent[PEER_RECENT];	// resends, by the lowest bits of the index
	uint32_t rtt_us;	// smoothed over all reports; 0: unknown
	struct peer_sent sent[LEG_COUNT];
	struct slab *slab;
	struct srtp_session *srtp;
	struct region_peer_state *state; // rw
	struct frame_template frame;
	struct net_addr remote;
	uint32_t generation;
	uint32_t key_id;
	uint32_t stream_generation;
	uint16_t slot;
	uint16_t stream;
	uint8_t n_firs;
	struct {
		uint32_t sender;
		uint8_t seq;
	} firs[PEER_FIR_SENDERS]; // newest first (RFC 5104 4.3.1)
	char cname[REGION_CNAME_MAX + 1];
};

static_assert(offsetof(struct peer_leg, srtp) == PEER_HDR_ROOM_BYTES &&
		      sizeof(struct peer_leg) == PEER_HDR_ROOM_BYTES + REGION_LINE_BYTES,
	"headers, then one line of all that a packet needs");
static_assert(offsetof(struct peer, legs) == 0, "peer_of relies on it");

static inline struct peer *peer_of(const struct peer_leg *l)
{
	return (struct peer *)(uintptr_t)(l - l->kind);
}

// Of a leg that is no PEER_RTX.
static inline struct peer_course *peer_course_of(const struct peer_leg *l)
{
	return &peer_of(l)->courses[l->kind];
}

static inline struct region_peer_leg_state *peer_state_of(const struct peer_leg *l)
{
	return &peer_of(l)->state->legs[l->kind];
}

// Host byte order.
static inline uint32_t peer_leg_ssrc(const struct peer_leg *l)
{
	uint32_t ssrc_be;

	memcpy(&ssrc_be, l->hdr + l->form.hdr_bytes + 8, 4);
	return ntohl(ssrc_be);
}

// Make a peer from a slot that control says is READY. The slot is input: it is copied and checked.
// slab:    for objects of struct peer's size; outlives the peer.
// dscp, checksum: for the headers.
// Return: 0; -EINVAL a slot that contradicts itself, -ENOMEM, other of srtp_session_create.
int peer_create(struct slab *, struct region_peer *, uint16_t slot, struct srtp_engine *,
	uint8_t dscp, enum frame_checksum checksum, struct peer **out);

// Take a changed path from the slot; keys, indices and replay windows stay.
// Return: 0; -EINVAL as it is and nothing changed, -ESTALE the slot has other keys: make it anew.
int peer_repath(struct peer *, struct region_peer *, uint8_t dscp);

// A peer without a predecessor in this process goes on where one in another process ended: media
// begins anew, at a key frame, and indices run on with a leap.
void peer_rejoin(struct peer *);

// Send by way of this MAC from now on, until a path is set anew.
void peer_set_next_hop(struct peer *, const uint8_t mac[6]);

// NULL is fine. Keys are wiped.
void peer_destroy(struct peer *);

// An epoch begins. The leg's first packet has the first of its sequence numbers; a later one's the
// next; after another process the one past all that may have left.
// seq:  that packet's, of the stream's output.
// draw: NULL: none.
void peer_leg_begin(struct peer_leg *, uint64_t seq, const struct draw *);

// From now on the fan-out sends, with the stream's own timestamps.
// seq:   of the next packet: what is older goes out on demand alone.
// frame: of the newest packet that was sent; nothing is drawn in it any more.
void peer_leg_close_up(struct peer_leg *, uint64_t seq, uint32_t frame);

// Nothing is sent until an epoch begins, and nothing of before is found any more.
void peer_leg_pause(struct peer_leg *);

// The index of the next retransmission, used up by this call.
uint64_t peer_rtx_take(struct peer *);

// Which packet of the stream went out under an index.
// draw:   borrowed until an epoch begins.
// Return: 0; -ENOENT none, or longer ago than is remembered.
int peer_leg_locate(
	const struct peer_leg *, uint64_t index, uint64_t *seq, const struct draw **draw);

// The timestamp with which a packet goes out. Rises with the frame whatever the source does, until
// the stream's own is past what was drawn.
// ts:     of the stream's output, as all timestamps here.
static inline uint32_t draw_ts(const struct draw *d, uint32_t frame, uint32_t ts)
{
	int32_t ahead = (int32_t)(frame - d->last);
	uint32_t least = d->last_ts + (uint32_t)ahead;

	if (d->step == 0 || (!d->open && (int32_t)(frame - d->live) >= 0))
		return ts;
	if (ahead <= 0)
		return d->last_ts + (uint32_t)ahead * d->step;
	return (int32_t)(ts - least) > 0 ? ts : least;
}

// What all packets of one size begin with, but for a checksum over the payload.
// behind_udp: its bytes.
static inline void peer_head_make(
	const struct peer_leg *l, uint16_t behind_udp, struct srtp_head *out)
{
	const struct frame_sizes sizes = frame_sizes_make(&l->form, behind_udp);

	out->ts_base = l->ts_base;
	out->rtp_at = l->form.hdr_bytes;
	out->n_lines = l->form.hdr_bytes + l->rtp_hdr_bytes > SRTP_HEAD_LINE_BYTES ? 2 : 1;
	memcpy(out->bytes, l->hdr, SRTP_HEAD_LINE_BYTES);
	if (out->n_lines > 1)
		memcpy(out->bytes + SRTP_HEAD_LINE_BYTES, l->hdr + SRTP_HEAD_LINE_BYTES,
			SRTP_HEAD_LINE_BYTES);
	frame_put_sizes(&l->form, out->bytes, &sizes);
}
