// SDP for WHEP: read a viewer's offer, choose, write the answer; and the ICE fragments of PATCH.
// Pure: text in, structs and text out; no allocation outlives a call, no clock, no randomness.
// Owner: any thread.
// Source: RFC 8866 (SDP), 3264 (offer/answer), 9143 (BUNDLE), 8829/9429 (JSEP), 8839/8840 (ICE),
// 8122/8842 (DTLS), 6184 (H.264), 7587 (Opus), 8285 (extensions); checklist group B.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/ice/ice.h"
#include "dataplane/abi/net.h"
#include "dataplane/abi/leg.h"

enum {
	SDP_OFFER_MAX_BYTES = 128 * 1024,
	SDP_ANSWER_MAX_BYTES = 16 * 1024,
	SDP_MAX_SECTIONS = 16,
	SDP_MAX_FINGERPRINTS = 8,
	SDP_MID_MAX = 32,
	SDP_CAUSE_MAX = 160,
	SDP_CNAME_MAX = 32,
	SDP_MAX_CANDIDATES = 8,
	SDP_NO_RTX = 255,
};

// One digest that the DTLS certificate of the peer may have (RFC 8122 5).
struct sdp_fingerprint {
	uint16_t hash_bits; // 256, 384 or 512; other hashes are not kept
	uint8_t digest[64];
};

// How the offer is judged, by status as the HTTP layer answers it.
enum sdp_verdict {
	SDP_OK = 0,
	SDP_MALFORMED = 400,
	SDP_CODEC_MISSING = 406,
	SDP_UNUSABLE = 422,
};

// One leg of the stream, as the answer must describe it.
struct sdp_stream_leg {
	bool present;
	bool stereo;	    // audio
	bool profile_known; // video: profile_level_id is from the source's SPS or its configuration
	uint8_t profile_level_id[3]; // profile_idc, constraint flags, level_idc
};

// What the server brings to an answer. Borrowed for the call.
struct sdp_local {
	const struct ice_credentials *ice;
	const char *fingerprint_sha256;	   // "AB:CD:…", 32 bytes
	const struct net_addr *candidates; // most reachable first, ports set
	uint8_t n_candidates;
	uint64_t origin_id; // below 2^63, unique
	const char *cname;
	const char *msid_stream;
	uint32_t ssrc[LEG_COUNT];
	uint32_t rtx_ssrc;   // of video's retransmissions, where they are agreed on
	bool repair;	     // generic NACK is answered
	bool partial_accept; // a codec that the viewer lacks rejects its section only
	bool strict_h264;    // checklist B29, B30: no leniency
};

// What was agreed for one leg.
struct sdp_negotiated_leg {
	bool accepted;
	uint8_t section;      // index of the m= section
	uint8_t payload_type; // as offered
	char mid[SDP_MID_MAX + 1];
	uint8_t mid_ext_id; // RFC 8285 id of the MID extension; 0: not offered
	bool nack;
	uint8_t rtx_payload_type; // video, with nack; SDP_NO_RTX: a packet goes out again as it was
	bool pli;
	bool fir;
	bool profile_mismatch; // lenient: the source's profile is not the one answered (counted)
};

// What was agreed for the session.
struct sdp_negotiated {
	struct sdp_negotiated_leg legs[LEG_COUNT];
	struct ice_remote ice;
	struct sdp_fingerprint fingerprints[SDP_MAX_FINGERPRINTS];
	uint8_t n_fingerprints;
	bool rtcp_rsize;	// offered, and so answered, in every accepted section
	bool missed[LEG_COUNT]; // offered, but the stream has no such leg
	// On SDP_CODEC_MISSING and SDP_UNUSABLE and SDP_MALFORMED: one line for people.
	char cause[SDP_CAUSE_MAX];
	// On SDP_CODEC_MISSING: which legs' codecs the offer lacks.
	bool codec_missing[LEG_COUNT];
};

// Read and judge an offer.
// offer: offer_bytes of text, need not end in NUL; may hold anything.
// legs:  LEG_COUNT of them, indexed by enum leg_kind.
// out:   filled on SDP_OK, codec_missing too where partial_accept let a leg go; on another verdict
//        only cause and codec_missing are.
// answer: text of answer_bytes, a NUL behind it; holds nothing of use on another verdict.
enum sdp_verdict sdp_negotiate(const char *offer, size_t offer_bytes,
	const struct sdp_stream_leg *legs, const struct sdp_local *local,
	struct sdp_negotiated *out, char *answer, size_t answer_cap, size_t *answer_bytes);

// One fragment of a PATCH body (RFC 8840 9.2).
struct sdp_fragment {
	bool has_credentials;
	struct ice_remote ice;
	bool end_of_candidates;
	uint16_t n_candidates; // read and skipped: an ICE-lite agent needs none
};

// out:    filled on SDP_OK alone.
// Return: SDP_OK or SDP_MALFORMED with cause filled; only one of ufrag and pwd is malformed (A17).
enum sdp_verdict sdp_fragment_parse(
	const char *body, size_t body_bytes, struct sdp_fragment *out, char cause[SDP_CAUSE_MAX]);

// Write the answer fragment of an ICE restart.
// mid:    of the tagged section; empty: it has none.
// out:    text of out_bytes, a NUL behind it.
// Return: 0; -ENOBUFS.
int sdp_fragment_write(const struct sdp_local *, const char *mid, enum leg_kind tagged, char *out,
	size_t out_cap, size_t *out_bytes);
