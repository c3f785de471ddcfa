// ICE, DTLS and rtcp-mux of the one bundled transport.
#pragma once

#include "control/sdp/priv/choose.h"

// Whether ufrag and pwd are what RFC 8839 5.4 allows: length within bounds, ice-chars only.
bool sdp_is_ice_ufrag(struct sdp_text);
bool sdp_is_ice_pwd(struct sdp_text);

// text: of at most ICE_REMOTE_MAX bytes.
void sdp_ice_copy(struct sdp_text, char out[ICE_REMOTE_MAX + 1]);

// Read the tagged section's values, the session's where it has none, and for a bundle-only section
// the offerer-tagged section's (RFC 9143 7.1.3).
// Return: SDP_OK with ice and fingerprints of out filled; else cause filled.
enum sdp_verdict sdp_transport_read(const struct sdp_offer *, const struct sdp_choice *,
	struct sdp_negotiated *out, char cause[SDP_CAUSE_MAX]);
