// H.264 payload types: what an fmtp says, and how well it suits a source.
// Source: RFC 6184 8.1, 8.2.2; RFC 7742 6.2; checklist B28 to B32.
#pragma once

#include "control/sdp/priv/text.h"
#include "control/sdp/sdp.h"

struct sdp_h264 {
	bool usable;		     // false: interleaved mode, or values that cannot be read
	uint8_t packetization_mode;  // 0 or 1
	uint8_t profile_level_id[3]; // RFC 6184 8.1's default when not offered
	// As offered, for the answer; at NULL: the key was absent.
	struct sdp_text profile_text;
	struct sdp_text mode_text;
	struct sdp_text asymmetry_text;
};

// How a payload type suits a source; lower is better within its kind.
struct sdp_h264_fit {
	bool contains; // a decoder of the offered profile decodes the source's
	bool level_ok;
	uint8_t rank;
};

struct sdp_h264 sdp_h264_read(struct sdp_text fmtp);

// leg: profile_known false makes constrained baseline best and everything fit.
struct sdp_h264_fit sdp_h264_judge(const struct sdp_h264 *, const struct sdp_stream_leg *leg);
