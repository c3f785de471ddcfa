// Answers the offer on stdin on stdout, so that other programs' parsers can judge our answers:
//   answer_stdin [audio|video|av] [profile-level-id]
// Exit: 0 answered; 1 refused, with the verdict and the cause on stderr.
#include <stdio.h>
#include <string.h>

#include "control/sdp/sdp.h"

static const struct ice_credentials credentials = { .ufrag = "mR7+/aZ0",
	.pwd = "0123456789abcdefABCDEF+/" };

#define FINGERPRINT                                        \
	"7B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:" \
	"DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08"

static void legs_fill(int argc, char **argv, struct sdp_stream_leg legs[LEG_COUNT])
{
	const char *source = argc > 1 ? argv[1] : "av";
	unsigned int id;

	legs[LEG_VIDEO].present = strcmp(source, "audio") != 0;
	legs[LEG_AUDIO].present = strcmp(source, "video") != 0;
	legs[LEG_AUDIO].stereo = true;
	if (argc > 2 && sscanf(argv[2], "%6x", &id) == 1) {
		legs[LEG_VIDEO].profile_known = true;
		legs[LEG_VIDEO].profile_level_id[0] = id >> 16;
		legs[LEG_VIDEO].profile_level_id[1] = id >> 8;
		legs[LEG_VIDEO].profile_level_id[2] = id;
	}
}

int main(int argc, char **argv)
{
	static char offer[SDP_OFFER_MAX_BYTES + 1], answer[SDP_ANSWER_MAX_BYTES];
	struct net_addr media = {
		.ip = { 198, 18, 77, 1 }, .port_be = htons(8189), .family = NET_IPV4
	};
	struct sdp_local local = {
		.ice = &credentials,
		.fingerprint_sha256 = FINGERPRINT,
		.candidates = &media,
		.n_candidates = 1,
		.origin_id = 4711,
		.cname = "millrace",
		.msid_stream = "stream",
		.ssrc = { 1001, 1002 },
		.rtx_ssrc = 1003,
		.repair = true,
	};
	struct sdp_stream_leg legs[LEG_COUNT] = { 0 };
	size_t offer_bytes = fread(offer, 1, sizeof(offer), stdin), answer_bytes = 0;
	struct sdp_negotiated agreed = { 0 };
	enum sdp_verdict verdict;

	legs_fill(argc, argv, legs);
	verdict = sdp_negotiate(
		offer, offer_bytes, legs, &local, &agreed, answer, sizeof(answer), &answer_bytes);
	if (verdict != SDP_OK) {
		fprintf(stderr, "%d %s\n", verdict, agreed.cause);
		return 1;
	}
	fwrite(answer, 1, answer_bytes, stdout);
	return 0;
}
