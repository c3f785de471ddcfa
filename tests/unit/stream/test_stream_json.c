// PUT bodies, good and bad, and what is said about the bad ones.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/stream/edge_kit.h"

static int parse(const char *body, struct stream_want *out, char *error)
{
	const struct conf conf = edge_conf();

	return stream_want_parse(&conf, body, strlen(body), out, error);
}

#define GROUP_REFUSED(leg, found)                                                                 \
	leg ".group: expected a multicast address such as \"239.77.0.1\", outside 224.0.0.0/24, " \
	    "found \"" found "\""

static const struct {
	const char *body, *error;
} refusals[] = {
	{ "", "body: expected an object with video, audio or both, found nothing" },
	{ "{", "body: expected JSON; line 1, column 1: string or '}' expected near end of "
	       "file" },
	{ "{} x", "body: expected JSON; line 1, column 4: end of file expected near 'x'" },
	{ "{\"video\":{},\"video\":{}}",
		"body: expected JSON; line 1, column 19: duplicate object key near "
		"'\"video\"'" },
	{ "[]", "body: expected an object with video, audio or both, found an array" },
	{ "5", "body: expected an object with video, audio or both, found 5" },
	{ "null", "body: expected an object with video, audio or both, found null" },
	{ "{}", "body: expected video, audio or both, found neither" },
	{ "{\"max_peers\":3}", "body: expected video, audio or both, found neither" },
	{ "{\"vidoe\":{}}", "vidoe: no such member; expected video, audio, max_peers, "
			    "require_live, instant_start, feedback, allowed_sources, backup or "
			    "source" },
	{ "{\"a\\nb\\u00e9\":{}}", "a?b??: no such member; expected video, audio, max_peers, "
				   "require_live, instant_start, feedback, allowed_sources, "
				   "backup or source" },
	{ "{\"video\":{\"stereo\":true}}",
		"video.stereo: no such member; expected port, payload_type, codec, group, "
		"profile_level_id, sprop_parameter_sets or refuse_b_frames" },
	{ "{\"video\":{\"refuse_b_frames\":1}}",
		"video.refuse_b_frames: expected true or false, found 1" },
	{ "{\"audio\":{\"profile_level_id\":\"42e01f\"}}",
		"audio.profile_level_id: no such member; expected port, payload_type, codec, "
		"group or stereo" },
	{ "{\"video\":null}", "video: expected an object, {} for the defaults, found null" },
	{ "{\"video\":true}", "video: expected an object, {} for the defaults, found true" },
	{ "{\"video\":{\"port\":20001}}",
		"video.port: expected an even number from 20000 to 20008, found 20001" },
	{ "{\"video\":{\"port\":19998}}",
		"video.port: expected an even number from 20000 to 20008, found 19998" },
	{ "{\"video\":{\"port\":20010}}",
		"video.port: expected an even number from 20000 to 20008, found 20010" },
	{ "{\"video\":{\"port\":85536}}",
		"video.port: expected an even number from 20000 to 20008, found 85536" },
	{ "{\"video\":{\"port\":0}}",
		"video.port: expected an even number from 20000 to 20008, found 0" },
	{ "{\"video\":{\"port\":\"20000\"}}",
		"video.port: expected an even number from 20000 to 20008, found "
		"\"20000\"" },
	{ "{\"video\":{\"port\":20000.5}}",
		"video.port: expected an even number from 20000 to 20008, found the "
		"fraction 20000.5" },
	{ "{\"video\":{\"port\":20002},\"audio\":{\"port\":20002}}",
		"audio.port: expected another port than video's, found 20002" },
	{ "{\"audio\":{\"payload_type\":64}}",
		"audio.payload_type: expected a number from 0 to 63 or 96 to 127 (RFC "
		"5761), found 64" },
	{ "{\"audio\":{\"payload_type\":95}}",
		"audio.payload_type: expected a number from 0 to 63 or 96 to 127 (RFC "
		"5761), found 95" },
	{ "{\"audio\":{\"payload_type\":128}}",
		"audio.payload_type: expected a number from 0 to 63 or 96 to 127 (RFC "
		"5761), found 128" },
	{ "{\"audio\":{\"payload_type\":-1}}",
		"audio.payload_type: expected a number from 0 to 63 or 96 to 127 (RFC "
		"5761), found -1" },
	{ "{\"video\":{\"codec\":\"VP8\"}}", "video.codec: expected H264, found \"VP8\"" },
	{ "{\"audio\":{\"codec\":\"H264\"}}", "audio.codec: expected Opus, found \"H264\"" },
	{ "{\"audio\":{\"codec\":7}}", "audio.codec: expected Opus, found 7" },
	{ "{\"video\":{\"profile_level_id\":\"42e01\"}}",
		"video.profile_level_id: expected 6 hex digits such as \"42e01f\", found "
		"\"42e01\"" },
	{ "{\"video\":{\"profile_level_id\":\"0x42e0\"}}",
		"video.profile_level_id: expected 6 hex digits such as \"42e01f\", found "
		"\"0x42e0\"" },
	{ "{\"video\":{\"profile_level_id\":[]}}", "video.profile_level_id: expected 6 hex "
						   "digits such as \"42e01f\", found an "
						   "array" },
	{ "{\"audio\":{\"group\":\"198.18.77.1\"}}", GROUP_REFUSED("audio", "198.18.77.1") },
	{ "{\"video\":{\"group\":\"224.0.0.251\"}}", GROUP_REFUSED("video", "224.0.0.251") },
	{ "{\"video\":{\"group\":\"240.0.0.1\"}}", GROUP_REFUSED("video", "240.0.0.1") },
	{ "{\"video\":{\"group\":\"ff01::1\"}}", GROUP_REFUSED("video", "ff01::1") },
	{ "{\"video\":{\"group\":\"fe80::1\"}}", GROUP_REFUSED("video", "fe80::1") },
	{ "{\"video\":{\"group\":\"\"}}", GROUP_REFUSED("video", "") },
	{ "{\"audio\":{\"stereo\":1}}", "audio.stereo: expected true or false, found 1" },
	{ "{\"video\":{},\"max_peers\":65537}",
		"max_peers: expected a number from 0 to 65536, found 65537" },
	{ "{\"video\":{},\"instant_start\":\"no\"}",
		"instant_start: expected true or false, found \"no\"" },
	{ "{\"video\":{},\"feedback\":\"on\"}", "feedback: expected auto or off, found \"on\"" },
	{ "{\"video\":{},\"feedback\":true}", "feedback: expected auto or off, found true" },
	{ "{\"video\":{},\"require_live\":1}", "require_live: expected true or false, found 1" },
	{ "{\"video\":{},\"max_peers\":-1}",
		"max_peers: expected a number from 0 to 65536, found -1" },
	{ "{\"video\":{},\"max_peers\":{}}",
		"max_peers: expected a number from 0 to 65536, found an object" },
	{ "{\"video\":{},\"allowed_sources\":\"198.18.77.2\"}",
		"allowed_sources: expected an array of addresses, found \"198.18.77.2\"" },
	{ "{\"video\":{},\"allowed_sources\":[1,2,3,4,5,6,7,8,9]}",
		"allowed_sources: expected at most 8 addresses, found 9" },
	{ "{\"video\":{},\"allowed_sources\":[\"198.18.77.2\",\"198.18.77.2/33\"]}",
		"allowed_sources[1]: expected an address or address/prefix such as "
		"\"198.18.77.0/24\", found \"198.18.77.2/33\"" },
	{ "{\"video\":{},\"allowed_sources\":[\"fd77::/129\"]}",
		"allowed_sources[0]: expected an address or address/prefix such as "
		"\"198.18.77.0/24\", found \"fd77::/129\"" },
	{ "{\"video\":{},\"allowed_sources\":[\"198.18.77.0/\"]}",
		"allowed_sources[0]: expected an address or address/prefix such as "
		"\"198.18.77.0/24\", found \"198.18.77.0/\"" },
	{ "{\"video\":{},\"allowed_sources\":[\"::ffff:198.18.77.0/95\"]}",
		"allowed_sources[0]: expected an address or address/prefix such as "
		"\"198.18.77.0/24\", found \"::ffff:198.18.77.0/95\"" },
	{ "{\"video\":{},\"allowed_sources\":[\"host.example\"]}",
		"allowed_sources[0]: expected an address or address/prefix such as "
		"\"198.18.77.0/24\", found \"host.example\"" },
};

static void bodies_are_refused_with_one_line(void **state)
{
	struct stream_want want;
	char error[STREAM_ERROR_MAX];

	for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
		memset(&want, 0xa5, sizeof(want));
		assert_int_equal(parse(refusals[i].body, &want, error), -EINVAL);
		assert_string_equal(error, refusals[i].error);
		assert_int_equal(want.max_peers, 0xa5a5a5a5);
	}
}

static void empty_legs_take_the_defaults(void **state)
{
	struct stream_want want;
	char error[STREAM_ERROR_MAX];

	assert_int_equal(parse("{\"video\":{},\"audio\":{}}", &want, error), 0);
	assert_true(want.legs[LEG_VIDEO].present && want.legs[LEG_AUDIO].present);
	assert_int_equal(want.legs[LEG_VIDEO].port, 0);
	assert_int_equal(want.legs[LEG_VIDEO].payload_type, 96);
	assert_int_equal(want.legs[LEG_AUDIO].payload_type, 111);
	assert_false(want.legs[LEG_VIDEO].profile_known);
	assert_false(want.legs[LEG_AUDIO].stereo);
	assert_int_equal(want.max_peers, 0);
	assert_int_equal(want.n_sources, 0);
}

static void all_members_are_read(void **state)
{
	static const uint8_t profile[] = { 0x64, 0x00, 0x2A };
	struct stream_want want;
	char error[STREAM_ERROR_MAX];

	assert_int_equal(parse("{\"video\":{\"port\":20008,\"payload_type\":63,\"codec\":\"h264\","
			       "\"profile_level_id\":\"64002A\"},"
			       "\"audio\":{\"port\":20000,\"payload_type\":127,\"codec\":\"OPUS\","
			       "\"stereo\":true},\"max_peers\":65536}",
				 &want, error),
		0);
	assert_int_equal(want.legs[LEG_VIDEO].port, 20008);
	assert_int_equal(want.legs[LEG_VIDEO].payload_type, 63);
	assert_true(want.legs[LEG_VIDEO].profile_known);
	assert_memory_equal(want.legs[LEG_VIDEO].profile_level_id, profile, 3);
	assert_int_equal(want.legs[LEG_AUDIO].port, 20000);
	assert_int_equal(want.legs[LEG_AUDIO].payload_type, 127);
	assert_true(want.legs[LEG_AUDIO].stereo);
	assert_int_equal(want.max_peers, 65536);
}

#define SPS   "Z0LAH9kAUAW7ARAAAAMAEAAAAwPA8YMkgA=="
#define OTHER "Z2QAKKzZQHgCJ+XARAAAAwAEAAADAPA8YMZY"
#define PPS   "aMuMsg=="

static void parameter_sets_decide_the_profile(void **state)
{
	static const struct {
		const char *text;
		const char *profile;
	} cases[] = {
		{ SPS "," PPS, "\x42\xc0\x1f" },
		{ PPS "," SPS, "\x42\xc0\x1f" },
		{ OTHER "," PPS "," PPS, "\x64\x00\x28" },
		{ SPS "," PPS "\",\"profile_level_id\":\"42C01F", "\x42\xc0\x1f" },
	};
	char error[STREAM_ERROR_MAX], body[256];
	struct stream_want want;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		snprintf(body, sizeof(body), "{\"video\":{\"sprop_parameter_sets\":\"%s\"}}",
			cases[i].text);
		assert_int_equal(parse(body, &want, error), 0);
		assert_true(want.legs[LEG_VIDEO].profile_known);
		assert_memory_equal(want.legs[LEG_VIDEO].profile_level_id, cases[i].profile, 3);
		assert_true(want.sprop.bytes > 30);
	}
	// 16-bit size, NAL unit; and so on (RFC 6184 5.7.1).
	assert_memory_equal(want.sprop.units, "\x00\x19\x67\x42\xc0\x1f\xd9", 7);
	assert_memory_equal(want.sprop.units + 2 + 25, "\x00\x04\x68\xcb\x8c\xb2", 6);
	assert_int_equal(want.sprop.bytes, 2 + 25 + 2 + 4);
	assert_int_equal(parse("{\"video\":{\"sprop_parameter_sets\":\"\"}}", &want, error), 0);
	assert_int_equal(want.sprop.bytes, 0);
}

static void parameter_sets_must_add_up(void **state)
{
	static const char *const bad[] = { SPS, PPS, "Z0LA," PPS, SPS "," PPS ",", "," SPS "," PPS,
		SPS ",," PPS, SPS " ," PPS, SPS "," PPS "\\n", SPS ",aMuMsg",
		SPS ",aMuM!g==", SPS ",====", SPS ",=aMu", SPS "," OTHER "," PPS,
		SPS "," PPS ",ZQEC" /* a slice */, SPS ",6MuMsg==" /* forbidden bit */,
		SPS ",CMuMsg==" /* nal_ref_idc 0 */, "5" };
	char error[STREAM_ERROR_MAX], body[2048], many[1024] = SPS "," PPS;
	struct stream_want want;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		snprintf(body, sizeof(body), "{\"video\":{\"sprop_parameter_sets\":\"%s\"}}",
			bad[i]);
		if (parse(body, &want, error) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
		assert_non_null(strstr(error, "video.sprop_parameter_sets: expected an SPS"));
	}
	assert_int_equal(parse("{\"video\":{\"profile_level_id\":\"42e01f\","
			       "\"sprop_parameter_sets\":\"" SPS "," PPS "\"}}",
				 &want, error),
		-EINVAL);
	assert_string_equal(error, "video.sprop_parameter_sets: expected an SPS of "
				   "profile_level_id, found one of 42c01f");
	assert_int_equal(parse("{\"video\":{\"sprop_parameter_sets\":[]}}", &want, error), -EINVAL);
	while (strlen(many) < 900)
		strcat(many, "," PPS);
	snprintf(body, sizeof(body), "{\"video\":{\"sprop_parameter_sets\":\"%s\"}}", many);
	assert_int_equal(parse(body, &want, error), -EINVAL);
	assert_string_equal(
		error, "video.sprop_parameter_sets: expected at most 512 bytes of NAL units");
}

static void sources_are_masked(void **state)
{
	static const struct {
		const char *text;
		uint8_t family, bits, ip[16];
	} cases[] = {
		{ "198.18.77.2", NET_IPV4, 32, { 198, 18, 77, 2 } },
		{ "198.18.77.255/25", NET_IPV4, 25, { 198, 18, 77, 128 } },
		{ "255.1.1.1/0", NET_IPV4, 0, { 0 } },
		{ "::ffff:198.18.77.9/120", NET_IPV4, 24, { 198, 18, 77, 0 } },
		{ "fd77::2", NET_IPV6, 128, { 0xfd, 0x77, [15] = 2 } },
		{ "fd77:0:0:1:ffff::/65", NET_IPV6, 65, { 0xfd, 0x77, [7] = 1, [8] = 0x80 } },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct stream_want want;
		char error[STREAM_ERROR_MAX], body[128];

		snprintf(body, sizeof(body), "{\"audio\":{},\"allowed_sources\":[\"%s\"]}",
			cases[i].text);
		assert_int_equal(parse(body, &want, error), 0);
		assert_int_equal(want.n_sources, 1);
		assert_int_equal(want.sources[0].addr.family, cases[i].family);
		assert_int_equal(want.sources[0].prefix_bits, cases[i].bits);
		assert_memory_equal(want.sources[0].addr.ip, cases[i].ip, 16);
	}
}

// Lines stay within bounds whatever a client writes.
static void long_words_are_cut(void **state)
{
	struct stream_want want;
	char error[STREAM_ERROR_MAX], body[2048], word[1024];

	memset(word, 'x', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	snprintf(body, sizeof(body), "{\"%s\":1}", word);
	assert_int_equal(parse(body, &want, error), -EINVAL);
	assert_string_equal(error,
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx: no such member; expected video, audio, "
		"max_peers, require_live, instant_start, feedback, allowed_sources, backup or "
		"source");
	snprintf(body, sizeof(body), "{\"video\":{\"codec\":\"%s\"}}", word);
	assert_int_equal(parse(body, &want, error), -EINVAL);
	assert_string_equal(error,
		"video.codec: expected H264, found \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"");
	assert_int_equal(parse(word, &want, error), -EINVAL);
	assert_true(strlen(error) < STREAM_ERROR_MAX - 1);
}

static unsigned int allocations_left;

static void *scarce_malloc(size_t bytes)
{
	return allocations_left && allocations_left-- ? malloc(bytes) : NULL;
}

static void scarce_memory_leaks_nothing(void **state)
{
	const char *body = "{\"video\":{\"port\":20000},\"allowed_sources\":[\"198.18.77.2\"]}";
	struct stream_want want;
	char error[STREAM_ERROR_MAX];
	unsigned int n = 0;
	int rc;

	json_set_alloc_funcs(scarce_malloc, free);
	do {
		allocations_left = n++;
		rc = parse(body, &want, error);
		// jansson takes some of its own shortages for faults of the text.
		assert_true(rc == 0 || rc == -ENOMEM || rc == -EINVAL);
	} while (rc != 0 && n < 1000);
	json_set_alloc_funcs(malloc, free);
	assert_int_equal(rc, 0);
	assert_true(n > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies_are_refused_with_one_line),
		cmocka_unit_test(empty_legs_take_the_defaults),
		cmocka_unit_test(all_members_are_read),
		cmocka_unit_test(parameter_sets_decide_the_profile),
		cmocka_unit_test(parameter_sets_must_add_up),
		cmocka_unit_test(sources_are_masked),
		cmocka_unit_test(long_words_are_cut),
		cmocka_unit_test(scarce_memory_leaks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
