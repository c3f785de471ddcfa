// Which section serves each leg, in which payload type, and which section carries the transport.
// Written by sdp_choose.c; read by transport and answer.
#pragma once

#include "control/sdp/priv/h264.h"
#include "control/sdp/priv/offer.h"

struct sdp_choice_leg {
	bool accepted;
	uint8_t section;
	uint8_t payload_type;
	uint8_t mid_ext_id;
	uint8_t feedback;	    // enum sdp_feedback
	uint8_t rtx_payload_type;   // video, with SDP_FB_NACK; SDP_NO_RTX: none
	struct sdp_text codec_name; // "opus" or "OPUS", as offered
	struct sdp_h264 h264;	    // video
	bool profile_mismatch;
};

struct sdp_choice {
	struct sdp_choice_leg legs[LEG_COUNT];
	struct sdp_text bundle; // the offered group of the accepted sections; at NULL: none
	uint8_t tagged;		// section whose transport values hold
	uint8_t offerer_tagged; // first of the group: speaks for bundle-only sections
	bool codec_missing[LEG_COUNT];
	bool missed[LEG_COUNT]; // by the viewer: the stream has no such leg
};

// Return: SDP_OK; SDP_CODEC_MISSING or SDP_UNUSABLE with cause filled (and codec_missing).
enum sdp_verdict sdp_choose(const struct sdp_offer *, const struct sdp_stream_leg *legs,
	const struct sdp_local *, struct sdp_choice *out, char cause[SDP_CAUSE_MAX]);

// Return: whether that section serves a leg; then which.
bool sdp_choice_leg_of(const struct sdp_choice *, uint8_t section, enum leg_kind *leg);
