// Every recorded offer against every shape of source: the choice, and a sound answer.
#include "tests/unit/sdp/fixture.h"

enum {
	NONE = -1,
};

// What an audio and video source of unknown profile gets. Section and payload type a leg; NONE:
// the offer has no such section.
static const struct {
	const char *name;
	enum sdp_verdict verdict;
	int video_section, video_type;
	int audio_section, audio_type;
	int mid_ext_id; // of the first accepted section
	bool pli, fir;
	int rtx;   // video's; 0: none
	bool nack; // video's
} expected[] = {
	{ "aiortc-audio", SDP_OK, NONE, NONE, 0, 96, 1, false, false, 0, false },
	{ "aiortc-av", SDP_OK, 1, 101, 0, 96, 1, true, false, 102, true },
	{ "aiortc-data", SDP_OK, 1, 101, 0, 96, 1, true, false, 102, true },
	{ "aiortc-video", SDP_OK, 0, 101, NONE, NONE, 1, true, false, 102, true },
	{ "aiortc-video-first", SDP_OK, 0, 101, 1, 96, 1, true, false, 102, true },
	{ "chromium-audio", SDP_OK, NONE, NONE, 0, 111, 4, false, false, 0, false },
	{ "chromium-av", SDP_OK, 1, 108, 0, 111, 4, true, true, 109, true },
	{ "chromium-data", SDP_OK, 1, 108, 0, 111, 4, true, true, 109, true },
	{ "chromium-data-first", SDP_OK, 0, 108, 1, 111, 9, true, true, 109, true },
	{ "chromium-max-bundle", SDP_OK, 1, 108, 0, 111, 4, true, true, 109, true },
	{ "chromium-video", SDP_OK, 0, 108, NONE, NONE, 9, true, true, 109, true },
	{ "chromium-video-first", SDP_OK, 0, 108, 1, 111, 9, true, true, 109, true },
	{ "firefox-audio", SDP_OK, NONE, NONE, 0, 109, 3, false, false, 0, false },
	{ "firefox-av", SDP_CODEC_MISSING, NONE, NONE, NONE, NONE, 0, false, false, 0, false },
	{ "firefox-max-bundle", SDP_CODEC_MISSING, NONE, NONE, NONE, NONE, 0, false, false, 0,
		false },
	{ "firefox-video", SDP_CODEC_MISSING, NONE, NONE, NONE, NONE, 0, false, false, 0, false },
	{ "hand-firefox-h264-av", SDP_OK, 1, 126, 0, 109, 3, true, true, 127, true },
	{ "hand-libdatachannel-av", SDP_OK, 1, 96, 0, 111, 0, true, false, 0, true },
	{ "hand-pion-av", SDP_OK, 0, 106, 1, 111, 0, true, true, 107, true },
	{ "hand-safari-av", SDP_OK, 1, 98, 0, 111, 4, true, true, 99, true },
	{ "webrtcbin-audio", SDP_OK, NONE, NONE, 0, 111, 0, false, false, 0, false },
	{ "webrtcbin-av", SDP_OK, 1, 96, 0, 111, 0, true, true, 0, false },
	{ "webrtcbin-level-only", SDP_OK, 1, 96, 0, 111, 0, true, true, 0, false },
	{ "webrtcbin-max-bundle", SDP_OK, 1, 96, 0, 111, 0, true, true, 0, false },
	{ "webrtcbin-no-fmtp", SDP_OK, 1, 96, 0, 111, 0, true, true, 0, false },
	{ "webrtcbin-video-first", SDP_OK, 0, 96, 1, 111, 0, true, true, 0, false },
};

static void assert_leg(const struct sdp_negotiated_leg *leg, int section, int type)
{
	assert_int_equal(leg->accepted, section != NONE);
	if (section == NONE)
		return;
	assert_int_equal(leg->section, section);
	assert_int_equal(leg->payload_type, type);
	assert_false(leg->profile_mismatch);
}

static void test_choice_per_fixture(void **state)
{
	static struct fixture_offer offer;
	static struct fixture_run run;

	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		const struct sdp_negotiated_leg *video = &run.agreed.legs[LEG_VIDEO];
		const struct sdp_negotiated_leg *audio = &run.agreed.legs[LEG_AUDIO];

		fixture_load(expected[i].name, &offer);
		fixture_run_init(&run);
		assert_int_equal(fixture_negotiate(&run, &offer), expected[i].verdict);
		if (expected[i].verdict != SDP_OK) {
			assert_string_equal(run.agreed.cause, "offer lacks H264");
			assert_true(run.agreed.codec_missing[LEG_VIDEO]);
			assert_false(run.agreed.codec_missing[LEG_AUDIO]);
			continue;
		}
		assert_leg(video, expected[i].video_section, expected[i].video_type);
		if (video->accepted) {
			assert_int_equal(video->nack, expected[i].nack);
			assert_int_equal(video->rtx_payload_type,
				expected[i].rtx ? expected[i].rtx : SDP_NO_RTX);
		}
		assert_false(audio->accepted && audio->nack);
		assert_leg(audio, expected[i].audio_section, expected[i].audio_type);
		assert_int_equal(video->pli, expected[i].pli);
		assert_int_equal(video->fir, expected[i].fir);
		assert_int_equal(
			(audio->accepted ? audio : video)->mid_ext_id, expected[i].mid_ext_id);
	}
}

// Audio-only and video-only sources: the other section is rejected in either order (B7, G12).
static void test_source_shapes(void **state)
{
	static struct fixture_offer offer;
	static struct fixture_run run;
	unsigned int n_ok = 0;

	for (size_t i = 0; fixture_names[i] != NULL; i++) {
		fixture_load(fixture_names[i], &offer);
		for (enum leg_kind leg = 0; leg < LEG_COUNT; leg++) {
			fixture_run_init(&run);
			run.legs[leg].present = false;
			n_ok += fixture_negotiate(&run, &offer) == SDP_OK;
		}
	}
	// All but: audio-only offers to a video source, video-only ones to an audio source, and
	// Firefox's video without H.264.
	assert_int_equal(n_ok, 31 * 2 - 4 - 4 - 6);
}

// Line for line, once in full: a change of the answer is seen here.
static void test_answer_text(void **state)
{
	static const char wanted[] =
		"v=0\r\n"
		"o=- 9223372036854775807 1 IN IP4 0.0.0.0\r\n"
		"s=-\r\n"
		"t=0 0\r\n"
		"a=group:BUNDLE 1\r\n"
		"a=extmap-allow-mixed\r\n"
		"a=msid-semantic:WMS *\r\n"
		"a=ice-lite\r\n"
		"a=ice-options:trickle ice2\r\n"
		"a=ice-ufrag:mR7+/aZ0\r\n"
		"a=ice-pwd:0123456789abcdefABCDEF+/\r\n"
		"a=fingerprint:sha-256 7B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:"
		"DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08\r\n"
		"a=setup:passive\r\n"
		"m=audio 0 UDP/TLS/RTP/SAVPF 111\r\n"
		"c=IN IP4 0.0.0.0\r\n"
		"a=mid:0\r\n"
		"a=ice-ufrag:mR7+/aZ0\r\n"
		"a=ice-pwd:0123456789abcdefABCDEF+/\r\n"
		"a=fingerprint:sha-256 7B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:"
		"DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08\r\n"
		"a=setup:passive\r\n"
		"a=inactive\r\n"
		"a=rtcp-mux\r\n"
		"a=rtpmap:111 opus/48000/2\r\n"
		"m=video 9 UDP/TLS/RTP/SAVPF 108 109\r\n"
		"c=IN IP4 0.0.0.0\r\n"
		"a=mid:1\r\n"
		"a=ice-ufrag:mR7+/aZ0\r\n"
		"a=ice-pwd:0123456789abcdefABCDEF+/\r\n"
		"a=fingerprint:sha-256 7B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:"
		"DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08\r\n"
		"a=setup:passive\r\n"
		"a=sendonly\r\n"
		"a=msid:stream video\r\n"
		"a=rtcp-mux\r\n"
		"a=rtcp-mux-only\r\n"
		"a=rtcp-rsize\r\n"
		"a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n"
		"a=rtpmap:108 H264/90000\r\n"
		"a=rtcp-fb:108 nack\r\n"
		"a=rtcp-fb:108 nack pli\r\n"
		"a=rtcp-fb:108 ccm fir\r\n"
		"a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;"
		"profile-level-id=42e01f\r\n"
		"a=rtpmap:109 rtx/90000\r\n"
		"a=fmtp:109 apt=108\r\n"
		"a=ssrc-group:FID 4294967295 1003\r\n"
		"a=ssrc:4294967295 cname:edge\r\n"
		"a=ssrc:1003 cname:edge\r\n"
		"a=candidate:1 1 udp 2130706431 198.18.77.1 8189 typ host\r\n"
		"a=candidate:2 1 udp 2130706175 fd77::1 8189 typ host\r\n"
		"a=end-of-candidates\r\n";
	static struct fixture_offer offer;
	static struct fixture_run run;

	fixture_load("chromium-av", &offer);
	fixture_run_init(&run);
	run.legs[LEG_AUDIO].present = false;
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
	assert_string_equal(run.answer, wanted);
}

// B27: numbers of the first range are reused too, and the tagged section's credentials are kept.
static void test_aiortc_tagged_credentials(void **state)
{
	static struct fixture_offer offer;
	static struct fixture_run run;

	fixture_load("aiortc-av", &offer);
	fixture_run_init(&run);
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
	assert_string_equal(run.agreed.ice.ufrag, "hI23");
	// The rejected section is listed first, so the other one is tagged (B10).
	run.legs[LEG_AUDIO].present = false;
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
	assert_string_equal(run.agreed.ice.ufrag, "ZIzV");
	assert_string_equal(run.agreed.ice.pwd, "v3zquAiYganhst4uZzg518");
	assert_int_equal(run.agreed.n_fingerprints, 1);
	assert_int_equal(run.agreed.fingerprints[0].hash_bits, 256);
	assert_int_equal(run.agreed.fingerprints[0].digest[0], 0x5f);
}

// B11: a bundle-only section may leave the transport to the first of its group.
static void test_bundle_only_borrows(void **state)
{
	static struct fixture_offer offer;
	static struct fixture_run run;

	fixture_load("webrtcbin-max-bundle", &offer);
	fixture_replace(&offer, "a=bundle-only\r\na=rtcp-mux\r\n", "a=bundle-only\r\n");
	fixture_replace_all(&offer,
		"m=video 0 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\n"
		"a=setup:actpass\r\na=ice-ufrag:",
		"m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=x:");
	fixture_run_init(&run);
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
	run.legs[LEG_AUDIO].present = false;
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_UNUSABLE);
	assert_string_equal(run.agreed.cause, "expected a=ice-ufrag in the offer");
	*strstr(strstr(offer.text, "m=video"), "a=ice-pwd:") = 'b';
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
}

// Spellings that change nothing, and ones that are echoed.
static void test_tolerance(void **state)
{
	static const struct {
		const char *from, *to;
		const char *in_answer;
	} cases[] = {
		{ "\r\n", "\n", "a=rtpmap:108 H264/90000\r\n" },
		{ "UDP/TLS/RTP/SAVPF", "RTP/SAVPF", "m=video 9 RTP/SAVPF 108 109\r\n" },
		{ "UDP/TLS/RTP/SAVPF", "TCP/DTLS/RTP/SAVPF", "m=audio 9 TCP/DTLS/RTP/SAVPF 111" },
		{ "a=recvonly\r\n", "", "a=sendonly" },
		{ "a=recvonly", "a=sendrecv", "a=sendonly" },
		{ "a=setup:actpass", "a=setup:active", "a=setup:passive" },
		{ "a=setup:actpass\r\n", "", "a=setup:passive" },
		{ "sha-256", "SHA-256", "a=setup:passive" },
		{ "opus/48000/2", "OPUS/48000/2", "a=rtpmap:111 OPUS/48000/2\r\n" },
		{ "H264", "h264", "a=rtpmap:108 h264/90000\r\n" },
		{ "a=extmap:4 urn", "a=extmap:4/recvonly urn", "a=extmap:4 urn" },
		{ "a=group:BUNDLE 0 1", "a=group:BUNDLE 1 0", "a=group:BUNDLE 1 0\r\n" },
	};
	static struct fixture_offer offer;
	static struct fixture_run run;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fixture_load("chromium-av", &offer);
		if (cases[i].from[0] == '\r') {
			char *to = offer.text;

			for (char *at = offer.text; *at != '\0'; at++) {
				if (*at != '\r')
					*to++ = *at;
			}
			*to = '\0';
			offer.bytes = to - offer.text;
		} else if (strstr(cases[i].to, cases[i].from) == NULL) {
			fixture_replace_all(&offer, cases[i].from, cases[i].to);
		} else {
			fixture_replace(&offer, cases[i].from, cases[i].to);
		}
		fixture_run_init(&run);
		assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
		assert_true(fixture_contains(&run, cases[i].in_answer));
	}
}

// B3: any token is a mid, byte for byte.
static void test_mid_is_opaque(void **state)
{
	static struct fixture_offer offer;
	static struct fixture_run run;

	fixture_load("chromium-av", &offer);
	fixture_replace(&offer, "a=group:BUNDLE 0 1", "a=group:BUNDLE {0} sdparta_'1'");
	fixture_replace(&offer, "a=mid:0\r\n", "a=mid:{0}\r\n");
	fixture_replace(&offer, "a=mid:1\r\n", "a=mid:sdparta_'1'\r\n");
	fixture_run_init(&run);
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
	assert_string_equal(run.agreed.legs[LEG_VIDEO].mid, "sdparta_'1'");
	assert_int_equal(fixture_count_line(&run, "a=group:BUNDLE {0} sdparta_'1'"), 1);
}

// B33: stereo=1 is said for stereo sources alone; the rtpmap is the same.
static void test_stereo(void **state)
{
	static struct fixture_offer offer;
	static struct fixture_run run;

	fixture_load("chromium-av", &offer);
	for (int stereo = 0; stereo < 2; stereo++) {
		fixture_run_init(&run);
		run.legs[LEG_AUDIO].stereo = stereo;
		assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
		assert_int_equal(fixture_count_line(&run, "a=rtpmap:111 opus/48000/2"), 1);
		assert_int_equal(
			fixture_count_line(&run, "a=fmtp:111 stereo=1;sprop-stereo=1"), stereo);
	}
}

// B14: Firefox offers reduced size for video alone.
static void test_rsize(void **state)
{
	static struct fixture_offer offer;
	static struct fixture_run run;

	fixture_run_init(&run);
	fixture_load("hand-firefox-h264-av", &offer);
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
	assert_int_equal(fixture_count_line(&run, "a=rtcp-rsize"), 1);
	assert_false(run.agreed.rtcp_rsize);
	fixture_load("chromium-av", &offer);
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
	assert_int_equal(fixture_count_line(&run, "a=rtcp-rsize"), 2);
	assert_true(run.agreed.rtcp_rsize);
}

// B36: "*" speaks for every type.
static void test_feedback_wildcard(void **state)
{
	static struct fixture_offer offer;
	static struct fixture_run run;

	fixture_load("webrtcbin-av", &offer);
	fixture_replace(&offer, "a=rtcp-fb:96 nack pli", "a=rtcp-fb:* nack pli");
	fixture_replace(&offer, "a=rtcp-fb:96 ccm fir", "a=rtcp-fb:* nack");
	fixture_run_init(&run);
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
	assert_int_equal(fixture_count_line(&run, "a=rtcp-fb:96 nack pli"), 1);
	assert_true(run.agreed.legs[LEG_VIDEO].pli);
	assert_false(run.agreed.legs[LEG_VIDEO].fir);
}

// B34: by apt alone, whatever stands beside it; and with NACK.
static void test_rtx_of_the_chosen_type(void **state)
{
	static const struct {
		const char *from, *to;
		int rtx;
	} cases[] = {
		{ "apt=108", "rtx-time=3000; APT = 108 ", 109 },
		{ "apt=108", "apt=1080", SDP_NO_RTX },
		{ "apt=108", "rtx-time=108", SDP_NO_RTX },
		{ "a=fmtp:109 apt=108", "a=fmtp:107 apt=108", SDP_NO_RTX },
		{ "a=rtpmap:109 rtx/90000", "a=rtpmap:109 rtx/48000", SDP_NO_RTX },
		{ "a=rtcp-fb:108 nack\r\n", "", SDP_NO_RTX },
	};
	static struct fixture_offer offer;
	static struct fixture_run run;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fixture_load("chromium-av", &offer);
		fixture_replace(&offer, cases[i].from, cases[i].to);
		fixture_run_init(&run);
		assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
		assert_int_equal(run.agreed.legs[LEG_VIDEO].payload_type, 108);
		assert_int_equal(run.agreed.legs[LEG_VIDEO].rtx_payload_type, cases[i].rtx);
		assert_int_equal(
			run.agreed.legs[LEG_VIDEO].nack, i + 1 < sizeof(cases) / sizeof(cases[0]));
	}
}

// F29: players add it to Opus themselves. And none of it where nothing would be sent again.
static void test_nack_of_sound_and_of_nobody(void **state)
{
	static struct fixture_offer offer;
	static struct fixture_run run;

	fixture_load("chromium-av", &offer);
	fixture_replace(&offer, "a=rtcp-fb:111 transport-cc",
		"a=rtcp-fb:111 nack\r\na=rtcp-fb:111 transport-cc");
	fixture_run_init(&run);
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
	assert_true(run.agreed.legs[LEG_AUDIO].nack);
	assert_int_equal(fixture_count_line(&run, "a=rtcp-fb:111 nack"), 1);
	run.local.repair = false;
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
	assert_false(run.agreed.legs[LEG_AUDIO].nack || run.agreed.legs[LEG_VIDEO].nack);
	assert_false(fixture_contains(&run, " nack\r\n") || fixture_contains(&run, "rtx"));
}

// B38: ids past 14 and ones that differ between bundled sections are not answered.
static void test_extension_ids(void **state)
{
	static struct fixture_offer offer;
	static struct fixture_run run;

	fixture_load("chromium-av", &offer);
	fixture_replace_all(&offer, "a=extmap:4 urn:", "a=extmap:15 urn:");
	fixture_run_init(&run);
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
	assert_false(fixture_contains(&run, "a=extmap:"));
	fixture_replace(&offer, "a=extmap:15 urn:", "a=extmap:14 urn:");
	fixture_replace(&offer, "a=extmap:15 urn:", "a=extmap:13 urn:");
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
	assert_int_equal(run.agreed.legs[LEG_AUDIO].mid_ext_id, 14);
	assert_int_equal(run.agreed.legs[LEG_VIDEO].mid_ext_id, 0);
}

// B16: every digest of the tagged section, any case, session level where it has none.
static void test_fingerprints(void **state)
{
	static struct fixture_offer offer;
	static struct fixture_run run;
	char more[600] = "a=setup:actpass\r\na=fingerprint:Sha-512 ";

	for (int i = 0; i < 64; i++)
		strcat(more, i < 63 ? "aB:" : "aB\r\n");
	strcat(more, "a=fingerprint:sha-1 00:01\r\na=fingerprint:sha-384 ");
	for (int i = 0; i < 48; i++)
		strcat(more, i < 47 ? "01:" : "01");
	fixture_load("aiortc-av", &offer);
	fixture_replace(&offer, "a=setup:actpass", more);
	fixture_run_init(&run);
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
	assert_int_equal(run.agreed.n_fingerprints, 3);
	assert_int_equal(run.agreed.fingerprints[1].hash_bits, 512);
	assert_int_equal(run.agreed.fingerprints[1].digest[63], 0xab);
	assert_int_equal(run.agreed.fingerprints[2].hash_bits, 384);
	fixture_load("firefox-audio", &offer);
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
	assert_int_equal(run.agreed.n_fingerprints, 1);
}

// B26, B42: lines of other types and of the viewer's own sources change nothing.
static void test_noise_changes_nothing(void **state)
{
	static struct fixture_offer offer;
	static struct fixture_run plain, noisy;

	fixture_load("chromium-av", &offer);
	fixture_run_init(&plain);
	fixture_run_init(&noisy);
	assert_int_equal(fixture_negotiate(&plain, &offer), SDP_OK);
	fixture_replace(&offer, "a=rtpmap:96 VP8/90000\r\n",
		"a=rtpmap:96 VP8/90000\r\na=ssrc:1 cname:x\r\na=ssrc-group:FID 1 2\r\na=rid:h "
		"send\r\n"
		"a=simulcast:send h\r\nb=AS:100\r\na=fmtp:77 packetization-mode=1\r\n"
		"a=rtpmap:77 H264/90000\r\na=rtcp-fb:77 nack pli\r\na=fmtp:\r\na=rtcp-fb:\r\n"
		"a=rtpmap:999 H264/90000\r\na=extmap:\r\na=extmap:x y\r\nq=?\r\na=\r\n"
		"a=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\n");
	assert_int_equal(fixture_negotiate(&noisy, &offer), SDP_OK);
	assert_int_equal(plain.answer_bytes, noisy.answer_bytes);
	assert_memory_equal(plain.answer, noisy.answer, plain.answer_bytes);
}

// C24: a lone IPv4 address, then each next one lower.
static void test_candidate_priorities(void **state)
{
	static struct fixture_offer offer;
	static struct fixture_run run;

	fixture_load("webrtcbin-av", &offer);
	fixture_run_init(&run);
	run.local.n_candidates = 1;
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
	assert_int_equal(fixture_count_line(
				 &run, "a=candidate:1 1 udp 2130706431 198.18.77.1 8189 typ host"),
		1);
}

// B7: with partial_accept a codec that the viewer lacks rejects its section alone.
static void test_partial_accept(void **state)
{
	static struct fixture_offer offer;
	static struct fixture_run run;

	fixture_load("firefox-av", &offer);
	fixture_run_init(&run);
	run.local.partial_accept = true;
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
	assert_true(run.agreed.legs[LEG_AUDIO].accepted);
	assert_false(run.agreed.legs[LEG_VIDEO].accepted);
	assert_true(run.agreed.codec_missing[LEG_VIDEO]);
	fixture_load("firefox-video", &offer);
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_CODEC_MISSING);
}

// F22: what the viewer would have taken had the stream had it, and only that.
static void test_missed_legs(void **state)
{
	static const struct {
		const char *offer, *what, *by;
		bool missed;
	} cases[] = {
		{ "chromium-av", NULL, NULL, true },
		{ "chromium-video", NULL, NULL, false },
		{ "chromium-av", "opus/48000", "opvs/48000", false },
		{ "chromium-av", "a=recvonly", "a=sendonly", false },
	};
	static struct fixture_offer offer;
	static struct fixture_run run;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		fixture_load(cases[i].offer, &offer);
		if (cases[i].what)
			fixture_replace(&offer, cases[i].what, cases[i].by);
		fixture_run_init(&run);
		run.legs[LEG_AUDIO].present = false;
		assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
		assert_int_equal(run.agreed.missed[LEG_AUDIO], cases[i].missed);
		assert_false(run.agreed.missed[LEG_VIDEO]);
	}
	run.legs[LEG_AUDIO].present = true;
	fixture_load("chromium-av", &offer);
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
	assert_false(run.agreed.missed[LEG_AUDIO]);
}

// B8: one section a kind; of several the first good one.
static void test_second_section_rejected(void **state)
{
	static const char second[] =
		"m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:2\r\na=rtpmap:96 H264/90000\r\n"
		"a=rtcp-mux\r\n";
	static struct fixture_offer offer;
	static struct fixture_run run;

	fixture_load("chromium-av", &offer);
	fixture_replace(&offer, "a=group:BUNDLE 0 1", "a=group:BUNDLE 0 1 2");
	memcpy(offer.text + offer.bytes, second, sizeof(second));
	offer.bytes += sizeof(second) - 1;
	fixture_run_init(&run);
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
	assert_int_equal(run.agreed.legs[LEG_VIDEO].section, 1);
	fixture_replace_all(&offer, "H264/90000\r\na=rtcp-fb", "H265/90000\r\na=rtcp-fb");
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
	assert_int_equal(run.agreed.legs[LEG_VIDEO].section, 2);
}

// B9: a lone section needs no group, and then none is answered.
static void test_lone_section(void **state)
{
	static struct fixture_offer offer;
	static struct fixture_run run;

	fixture_load("chromium-video", &offer);
	fixture_replace(&offer, "a=group:BUNDLE 0\r\n", "");
	fixture_run_init(&run);
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
	assert_false(fixture_contains(&run, "a=group"));
	fixture_replace(&offer, "a=mid:0\r\n", "");
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
	assert_string_equal(run.agreed.legs[LEG_VIDEO].mid, "");
	assert_int_equal(run.agreed.legs[LEG_VIDEO].mid_ext_id, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choice_per_fixture),
		cmocka_unit_test(test_source_shapes),
		cmocka_unit_test(test_answer_text),
		cmocka_unit_test(test_aiortc_tagged_credentials),
		cmocka_unit_test(test_bundle_only_borrows),
		cmocka_unit_test(test_tolerance),
		cmocka_unit_test(test_mid_is_opaque),
		cmocka_unit_test(test_stereo),
		cmocka_unit_test(test_rsize),
		cmocka_unit_test(test_feedback_wildcard),
		cmocka_unit_test(test_rtx_of_the_chosen_type),
		cmocka_unit_test(test_nack_of_sound_and_of_nobody),
		cmocka_unit_test(test_extension_ids),
		cmocka_unit_test(test_fingerprints),
		cmocka_unit_test(test_noise_changes_nothing),
		cmocka_unit_test(test_candidate_priorities),
		cmocka_unit_test(test_partial_accept),
		cmocka_unit_test(test_missed_legs),
		cmocka_unit_test(test_second_section_rejected),
		cmocka_unit_test(test_lone_section),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
