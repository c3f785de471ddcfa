// An offer as parsed: structure and transport attributes; what the RTP lines of a section say is
// read later, and only for sections that may be accepted (rtp.h).
// Written by sdp_parse.c; read by choice, transport and answer.
#pragma once

#include "control/sdp/priv/text.h"
#include "control/sdp/sdp.h"

enum {
	SDP_MAX_BUNDLES = 4, // more groups are not read: their sections count as unbundled
	SDP_WORD_MAX = 64,   // of what a rejected section echoes: media, proto, fmt, mid
	SDP_PORT_NORMAL = 9,
};

enum sdp_direction {
	SDP_SENDRECV = 0, // RFC 8866 6.7: the default
	SDP_SENDONLY,
	SDP_RECVONLY,
	SDP_INACTIVE,
};

enum sdp_setup {
	SDP_SETUP_ABSENT = 0,
	SDP_SETUP_ACTPASS,
	SDP_SETUP_ACTIVE,
	SDP_SETUP_PASSIVE,
	SDP_SETUP_HOLDCONN,
};

// What may stand at session level or in a section.
struct sdp_attributes {
	struct sdp_text ice_ufrag; // at NULL: absent
	struct sdp_text ice_pwd;
	struct sdp_fingerprint fingerprints[SDP_MAX_FINGERPRINTS];
	uint8_t n_fingerprints;
	bool any_fingerprint; // one was there, perhaps of a hash that is not kept
	enum sdp_setup setup;
	enum sdp_direction direction;
	bool has_direction;
	bool extmap_allow_mixed;
};

struct sdp_section {
	struct sdp_text media;
	struct sdp_text proto;
	struct sdp_text fmts; // as written, spaces between
	struct sdp_text body; // the lines after m=
	struct sdp_text mid;  // at NULL: absent
	uint32_t port;
	bool bundle_only;
	bool rtcp_mux;
	bool rtcp_rsize;
	struct sdp_attributes own;
};

struct sdp_offer {
	struct sdp_attributes session;
	bool ice_lite;
	struct sdp_text bundles[SDP_MAX_BUNDLES]; // the mids, spaces between
	uint8_t n_bundles;
	struct sdp_section sections[SDP_MAX_SECTIONS];
	uint8_t n_sections;
};

// Return: SDP_OK; SDP_MALFORMED or, past SDP_MAX_SECTIONS, SDP_UNUSABLE with cause filled.
enum sdp_verdict sdp_offer_parse(
	struct sdp_text text, struct sdp_offer *out, char cause[SDP_CAUSE_MAX]);

// Return: index of the section with that mid; -1 for none.
int sdp_offer_find_mid(const struct sdp_offer *, struct sdp_text mid);

// The direction that holds in a section: its own, else the session's.
enum sdp_direction sdp_section_direction(const struct sdp_offer *, const struct sdp_section *);
