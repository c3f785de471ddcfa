// What the RTP lines of one section say: payload types, feedback, header extensions.
// Written by sdp_rtp.c from a section's body; read by choice and answer.
#pragma once

#include "control/sdp/priv/offer.h"

enum {
	SDP_PAYLOAD_TYPES = 128,
	SDP_EXT_ID_MAX = 14, // RFC 8285 4.2: one-byte headers
};

// Bits of sdp_payload.feedback, one for each line that the server can answer.
enum sdp_feedback {
	SDP_FB_NACK = 1 << 0,
	SDP_FB_PLI = 1 << 1,
	SDP_FB_FIR = 1 << 2,
};

struct sdp_payload {
	bool offered;		// in the m= line
	uint8_t feedback;	// enum sdp_feedback
	struct sdp_text rtpmap; // "H264/90000"; at NULL: absent
	struct sdp_text fmtp;
};

struct sdp_rtp {
	struct sdp_payload payloads[SDP_PAYLOAD_TYPES];
	uint8_t feedback_all;		  // of a=rtcp-fb:*
	uint8_t order[SDP_PAYLOAD_TYPES]; // as the m= line has them
	uint8_t n_order;
	uint8_t mid_ext_id; // 0: not offered
};

// One header line of feedback that the server knows.
struct sdp_feedback_line {
	const char *text; // "nack pli"
	enum sdp_feedback bit;
	bool legs[LEG_COUNT]; // on which it is answered
};

enum {
	SDP_N_FEEDBACK_LINES = 3,
};

extern const struct sdp_feedback_line sdp_feedback_lines[SDP_N_FEEDBACK_LINES];

// Unreadable lines and unknown payload types are left out.
void sdp_rtp_read(const struct sdp_section *, struct sdp_rtp *out);

// Feedback offered for a payload type, "*" included, that is answered on that leg.
uint8_t sdp_rtp_feedback(const struct sdp_rtp *, uint8_t payload_type, enum leg_kind);

// The offered type of retransmissions of a payload type (RFC 4588 8.1).
// Return: SDP_NO_RTX if there is none.
uint8_t sdp_rtp_rtx(const struct sdp_rtp *, uint8_t payload_type);

// Whether a payload type is of the leg's codec, at its clock.
bool sdp_payload_is(const struct sdp_payload *, enum leg_kind);
