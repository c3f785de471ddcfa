// Which H.264 payload type answers which source (B28 to B32).
#include "tests/unit/sdp/fixture.h"

// Sources as encoders write them: constrained baseline (x264, VideoToolbox), baseline, main, high.
static const struct {
	const char *offer;
	uint32_t source;
	int type;
	bool mismatch;
} matrix[] = {
	{ "chromium-av", 0x42c01f, 108, false },
	{ "chromium-av", 0x42e028, 108, false },
	{ "chromium-av", 0x4d801f, 108, false },
	{ "chromium-av", 0x42001f, 102, false },
	{ "chromium-av", 0x42801f, 102, false },
	{ "chromium-av", 0x58c01f, 108, false },
	{ "chromium-av", 0x58801f, 102, false },
	{ "chromium-av", 0x4d401f, 116, false },
	{ "chromium-av", 0x4d0028, 116, false },
	{ "chromium-av", 0x640028, 41, false }, // High 4:4:4 contains it
	{ "chromium-av", 0x640c1f, 41, false },
	{ "chromium-av", 0xf4001f, 41, false },
	{ "chromium-av", 0x6e0028, 41, true },
	{ "hand-safari-av", 0x42c01f, 98, false },
	{ "hand-safari-av", 0x4d401f, 96, true },
	{ "hand-safari-av", 0x640c1f, 96, false },
	{ "hand-safari-av", 0x640028, 96, true },
	{ "hand-firefox-h264-av", 0x42c01f, 126, false },
	{ "hand-firefox-h264-av", 0x640028, 126, true },
	{ "hand-pion-av", 0x42c01f, 106, false },
	{ "hand-pion-av", 0x4d401f, 127, false },
	{ "hand-pion-av", 0x640028, 127, true },
	{ "aiortc-av", 0x42001f, 99, false },
	{ "aiortc-av", 0x42c01f, 101, false },
	{ "aiortc-av", 0x640028, 99, true },
	{ "webrtcbin-no-fmtp", 0x42c01f, 96, false }, // baseline by default contains it
	{ "webrtcbin-no-fmtp", 0x640028, 96, true },
	{ "webrtcbin-level-only", 0x42c01f, 96, false },
};

static void test_matrix(void **state)
{
	static struct fixture_offer offer;
	static struct fixture_run run;

	for (size_t i = 0; i < sizeof(matrix) / sizeof(matrix[0]); i++) {
		const struct sdp_negotiated_leg *video = &run.agreed.legs[LEG_VIDEO];

		fixture_load(matrix[i].offer, &offer);
		fixture_run_init(&run);
		fixture_source_profile(&run, matrix[i].source);
		assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
		assert_int_equal(video->payload_type, matrix[i].type);
		assert_int_equal(video->profile_mismatch, matrix[i].mismatch);
	}
}

// B29: mode 1 wins over the order of the offer, and over a nearer profile in mode 0.
static void test_mode_1_preferred(void **state)
{
	static struct fixture_offer offer;
	static struct fixture_run run;

	fixture_load("chromium-av", &offer);
	fixture_replace(&offer, "a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1",
		"a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=0");
	fixture_run_init(&run);
	fixture_source_profile(&run, 0x42c01f);
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
	assert_int_equal(run.agreed.legs[LEG_VIDEO].payload_type, 102);
	fixture_replace(&offer, "a=fmtp:114 level-asymmetry-allowed=1;packetization-mode=0",
		"a=fmtp:114 level-asymmetry-allowed=1;packetization-mode=1");
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
	assert_int_equal(run.agreed.legs[LEG_VIDEO].payload_type, 114);
}

// One payload type, 96, with this fmtp; what the answer says of it.
static const struct {
	const char *offered;
	const char *answered; // NULL: no fmtp line
	enum sdp_verdict verdict;
} fmtps[] = {
	{ "packetization-mode=1;profile-level-id=42e01f",
		"a=fmtp:96 packetization-mode=1;profile-level-id=42e01f", SDP_OK },
	{ " profile-level-id = 42E01F ; packetization-mode = 1 ;; x ; =y",
		"a=fmtp:96 packetization-mode=1;profile-level-id=42E01F", SDP_OK },
	{ "PROFILE-LEVEL-ID=42e01f;Packetization-Mode=0",
		"a=fmtp:96 packetization-mode=0;profile-level-id=42e01f", SDP_OK },
	{ "profile-level-id=42e01f;level-asymmetry-allowed=1;sprop-parameter-sets=Z0I=,aM4=",
		"a=fmtp:96 level-asymmetry-allowed=1;profile-level-id=42e01f", SDP_OK },
	{ "packetization-mode=1", "a=fmtp:96 packetization-mode=1", SDP_OK },
	{ "max-fs=3600", NULL, SDP_OK },
	{ "level-asymmetry-allowed=7;profile-level-id=42e01f", "a=fmtp:96 profile-level-id=42e01f",
		SDP_OK },
	{ "packetization-mode=2;profile-level-id=42e01f", NULL, SDP_CODEC_MISSING },
	{ "profile-level-id=42e01", NULL, SDP_CODEC_MISSING },
	{ "profile-level-id=42e01g", NULL, SDP_CODEC_MISSING },
	{ "profile-level-id=", NULL, SDP_CODEC_MISSING },
};

static void test_fmtp_mirrored(void **state)
{
	static struct fixture_offer offer;
	static struct fixture_run run;

	for (size_t i = 0; i < sizeof(fmtps) / sizeof(fmtps[0]); i++) {
		fixture_load("webrtcbin-video", &offer);
		fixture_replace(
			&offer, "packetization-mode=1;profile-level-id=42e01f", fmtps[i].offered);
		fixture_run_init(&run);
		assert_int_equal(fixture_negotiate(&run, &offer), fmtps[i].verdict);
		if (fmtps[i].answered != NULL)
			assert_int_equal(fixture_count_line(&run, fmtps[i].answered), 1);
		else
			assert_false(fixture_contains(&run, "a=fmtp"));
		run.answer[0] = '\0';
	}
}

// Strict: mode 1, a profile that contains the source's, a level as high.
static const struct {
	const char *offer;
	uint32_t source;
	enum sdp_verdict verdict;
	const char *cause;
} strict[] = {
	{ "webrtcbin-av", 0x42c01f, SDP_OK, "" },
	{ "webrtcbin-av", 0x42c00b, SDP_OK, "" },
	{ "webrtcbin-av", 0x42c028, SDP_UNUSABLE,
		"video section: expected an H264 profile and level that contain the source's" },
	{ "webrtcbin-av", 0x64001f, SDP_UNUSABLE,
		"video section: expected an H264 profile and level that contain the source's" },
	{ "webrtcbin-no-fmtp", 0x42c01f, SDP_UNUSABLE,
		"video section: expected H264 with packetization-mode=1" },
	{ "webrtcbin-level-only", 0x42c016, SDP_UNUSABLE,
		"video section: expected H264 with packetization-mode=1" },
	{ "chromium-av", 0x64001f, SDP_OK, "" },
};

static void test_strict(void **state)
{
	static struct fixture_offer offer;
	static struct fixture_run run;

	for (size_t i = 0; i < sizeof(strict) / sizeof(strict[0]); i++) {
		fixture_load(strict[i].offer, &offer);
		fixture_run_init(&run);
		fixture_source_profile(&run, strict[i].source);
		run.local.strict_h264 = true;
		assert_int_equal(fixture_negotiate(&run, &offer), strict[i].verdict);
		assert_string_equal(run.agreed.cause, strict[i].cause);
		run.local.strict_h264 = false;
		assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
	}
}

// Level 1b is above 1 and below 1.1, flagged or by its own number.
static void test_level_1b(void **state)
{
	static const struct {
		const char *offered;
		enum sdp_verdict verdict;
	} levels[] = {
		{ "42e00a", SDP_UNUSABLE },
		{ "42f00b", SDP_OK },
		{ "42e009", SDP_OK },
		{ "42e00b", SDP_OK },
	};
	static struct fixture_offer offer;
	static struct fixture_run run;

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		fixture_load("webrtcbin-av", &offer);
		fixture_replace(&offer, "42e01f", levels[i].offered);
		fixture_run_init(&run);
		fixture_source_profile(&run, 0x42f00b);
		run.local.strict_h264 = true;
		assert_int_equal(fixture_negotiate(&run, &offer), levels[i].verdict);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_matrix),
		cmocka_unit_test(test_mode_1_preferred),
		cmocka_unit_test(test_fmtp_mirrored),
		cmocka_unit_test(test_strict),
		cmocka_unit_test(test_level_1b),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
