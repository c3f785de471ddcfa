// Offers and ICE fragments as hostile text. The first byte chooses the source and the switches.
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "control/sdp/sdp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static const struct ice_credentials credentials = { .ufrag = "mR7+/aZ0",
	.pwd = "0123456789abcdefABCDEF+/" };

static const struct net_addr media = {
	.ip = { 198, 18, 77, 1 }, .port_be = 0xfd1f, .family = NET_IPV4
};

static const struct sdp_local server = {
	.ice = &credentials,
	.fingerprint_sha256 = "00:11",
	.candidates = &media,
	.n_candidates = 1,
	.origin_id = 1,
	.cname = "edge",
	.msid_stream = "stream",
	.ssrc = { 1, 2 },
	.rtx_ssrc = 3,
	.repair = true,
};

static void answer_check(const struct sdp_negotiated *agreed, const char *answer, size_t bytes)
{
	assert(bytes > 4 && bytes < SDP_ANSWER_MAX_BYTES);
	assert(memcmp(answer + bytes - 2, "\r\n", 2) == 0);
	assert(memchr(answer, '\0', bytes) == NULL);
	assert(agreed->n_fingerprints > 0 && agreed->n_fingerprints <= SDP_MAX_FINGERPRINTS);
	assert(agreed->legs[LEG_VIDEO].accepted || agreed->legs[LEG_AUDIO].accepted);
}

static void offer_try(uint8_t switches, const char *text, size_t bytes)
{
	static char answer[SDP_ANSWER_MAX_BYTES];
	struct sdp_stream_leg legs[LEG_COUNT] = { 0 };
	struct sdp_local local = server;
	struct sdp_negotiated agreed = { 0 };
	size_t answer_bytes = 0;

	legs[LEG_VIDEO].present = !(switches & 1);
	legs[LEG_AUDIO].present = !(switches & 2);
	legs[LEG_AUDIO].stereo = switches & 4;
	legs[LEG_VIDEO].profile_known = switches & 8;
	memcpy(legs[LEG_VIDEO].profile_level_id, "\x64\x00\x1f", 3);
	local.partial_accept = switches & 16;
	local.strict_h264 = switches & 32;
	if (sdp_negotiate(text, bytes, legs, &local, &agreed, answer, sizeof(answer),
		    &answer_bytes) == SDP_OK)
		answer_check(&agreed, answer, answer_bytes);
	else
		assert(agreed.cause[0] != '\0' && answer_bytes == 0);
}

static void fragment_try(const char *text, size_t bytes)
{
	struct sdp_fragment fragment = { 0 };
	char cause[SDP_CAUSE_MAX] = "";

	if (sdp_fragment_parse(text, bytes, &fragment, cause) != SDP_OK)
		assert(cause[0] != '\0');
	else if (fragment.has_credentials)
		assert(strlen(fragment.ice.ufrag) >= 4 && strlen(fragment.ice.pwd) >= 22);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	if (bytes == 0)
		return 0;
	offer_try(data[0], (const char *)data + 1, bytes - 1);
	fragment_try((const char *)data + 1, bytes - 1);
	return 0;
}
