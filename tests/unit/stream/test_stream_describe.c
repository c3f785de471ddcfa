// The description of a stream, word for word.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/stream/edge_kit.h"

#define NS_PER_MS UINT64_C(1000000)

struct rig {
	struct conf conf;
	struct link *link;
	struct stream_store *store;
};

static int set_up(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->conf = edge_conf();
	r->conf.dataplane.mtu = 1280;
	assert_int_equal(stream_store_create(&r->conf, &r->store), 0);
	r->link = edge_create(EDGE_STREAMS, false);
	stream_store_attach(r->store, r->link);
	*state = r;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *r = *state;

	edge_destroy(r->link);
	stream_store_destroy(r->store);
	free(r);
	return 0;
}

static struct stream *put(struct rig *r, const char *body)
{
	struct stream_want want;
	char error[STREAM_ERROR_MAX];
	bool existed;

	assert_int_equal(stream_want_parse(&r->conf, body, strlen(body), &want, error), 0);
	assert_int_equal(stream_set(r->store, "cam", &want, NULL, NULL, &existed, error), 0);
	edge_run(r->link);
	return stream_find(r->store, "cam");
}

static struct region_leg_state *leg_of(struct rig *r, enum leg_kind leg)
{
	return &link_region(r->link)->streams[0].legs[leg];
}

static void set_address(struct rig *r, const char *text)
{
	struct net_addr addr;

	assert_int_equal(net_ip_parse(text, &addr), 0);
	stream_store_set_address(r->store, &addr);
}

static void expect_text(json_t *doc, const char *expected)
{
	char *text = json_dumps(doc, JSON_COMPACT);

	assert_non_null(text);
	assert_string_equal(text, expected);
	free(text);
}

static void expect_wait(const struct stream *s, int packets, int paced, double mean, double max)
{
	json_t *doc = stream_describe(s);
	int packets_shown, paced_shown;
	double mean_shown, max_shown;

	assert_int_equal(json_unpack(doc, "{s:{s:i, s:i, s:f, s:f}}", "fanout_wait", "packets",
				 &packets_shown, "paced_packets", &paced_shown, "mean_ms",
				 &mean_shown, "max_ms", &max_shown),
		0);
	assert_int_equal(packets_shown, packets);
	assert_int_equal(paced_shown, paced);
	assert_float_equal(mean_shown, mean, 1e-9);
	assert_float_equal(max_shown, max, 1e-9);
	json_decref(doc);
}

static void a_silent_stream_is_waiting(void **state)
{
	struct rig *r = *state;
	struct stream *s = put(r, "{\"video\":{},\"audio\":{\"stereo\":true},\"max_peers\":40,"
				  "\"allowed_sources\":[\"198.18.77.2\",\"fd77::/64\"]}");
	json_t *doc;

	set_address(r, "198.18.77.1");
	doc = stream_describe(s);
	expect_text(doc,
		"{\"id\":\"cam\",\"slot\":0,\"viewers\":0,\"max_peers\":40,\"require_live\":false,"
		"\"instant_start\":true,\"feedback\":\"auto\",\"live\":false,"
		"\"allowed_sources\":[\"198.18.77.2\",\"fd77::/64\"],"
		"\"source\":{\"active\":\"primary\",\"pick\":\"auto\",\"switches\":{\"silence\":0,"
		"\"hand\":0,"
		"\"failback\":0,\"removed\":0},\"switched_ms\":null,\"switched_by\":null},"
		"\"backup\":null,\"legs\":{"
		"\"video\":{\"state\":\"waiting\",\"port\":20000,\"rtcp_port\":20001,"
		"\"group\":null,\"payload_type\":96,\"codec\":\"H264\",\"packets\":0,\"bytes\":0,"
		"\"frames\":0,"
		"\"lost\":0,\"restarts\":0,\"source_reports\":0,\"bitrate_bps\":0,"
		"\"packet_rate\":0.0,\"frame_rate\":0.0,\"key_frames\":0,\"key_requests\":0,"
		"\"parameter_sets_added\":0,\"packets_omitted\":0,"
		"\"key_frame_age_ms\":null,\"key_frame_interval_ms\":null,\"profile_level_id\":"
		"null,\"sprop_parameter_sets\":null,\"refuse_b_frames\":false,\"source\":null,"
		"\"last_seen_ms\":null,\"drops\":{},\"clock_drift_ppm\":null,\"lint\":[],"
		"\"problems\":[]},"
		"\"audio\":{\"state\":\"waiting\",\"port\":20002,\"rtcp_port\":20003,"
		"\"group\":null,\"payload_type\":111,\"codec\":\"Opus\",\"packets\":0,\"bytes\":0,"
		"\"frames\":0,"
		"\"lost\":0,\"restarts\":0,\"source_reports\":0,\"bitrate_bps\":0,"
		"\"packet_rate\":0.0,\"frame_rate\":0.0,\"stereo\":true,\"source\":null,"
		"\"last_seen_ms\":null,\"drops\":{},\"clock_drift_ppm\":null,\"lint\":[],"
		"\"problems\":[]}},"
		"\"fanout_wait\":{\"packets\":0,\"paced_packets\":0,\"mean_ms\":0.0,"
		"\"max_ms\":0.0},"
		"\"quality\":{\"video\":{\"reports\":0,\"loss_percent\":null,\"jitter_ms\":null,"
		"\"rtt_ms\":null,"
		"\"first_packet_ms\":null,\"repair_missed_percent\":null},\"audio\":{\"reports\":0,"
		"\"loss_percent\":null,\"jitter_"
		"ms\":null,\"rtt_ms\":null,"
		"\"first_packet_ms\":null,\"repair_missed_percent\":null}},"
		"\"commands\":{\"ffmpeg\":\"ffmpeg -re -stream_loop -1 -i INPUT -map 0:v:0 "
		"-c:v libx264 -profile:v baseline -preset veryfast -tune zerolatency -bf 0 -g 60 "
		"-pix_fmt yuv420p -payload_type 96 -f rtp "
		"'rtp://198.18.77.1:20000?pkt_size=1200' -map 0:a:0 -c:a libopus -ar 48000 -ac 2 "
		"-payload_type 111 -f rtp 'rtp://198.18.77.1:20002?pkt_size=1200'\","
		"\"gstreamer\":\"gst-launch-1.0 videotestsrc is-live=true ! "
		"video/x-raw,width=1280,height=720,framerate=30/1 ! videoconvert ! x264enc "
		"tune=zerolatency speed-preset=veryfast bframes=0 key-int-max=60 bitrate=2500 ! "
		"video/x-h264,profile=constrained-baseline ! rtph264pay mtu=1200 pt=96 "
		"config-interval=-1 ! udpsink host=198.18.77.1 port=20000 audiotestsrc "
		"is-live=true ! audioconvert ! audioresample ! audio/x-raw,rate=48000,channels=2 "
		"! opusenc ! rtpopuspay mtu=1200 pt=111 ! udpsink host=198.18.77.1 port=20002\"}}");
	json_decref(doc);
}

// Of all workers; the longest of late, no matter in which span, until it is long ago.
static void what_pictures_wait_is_told(void **state)
{
	struct rig *r = *state;
	struct stream *s = put(r, "{\"video\":{}}");
	struct region_wait *waits = ((struct region_stream *)(uintptr_t)stream_shared(s))->waits;
	const uint64_t span_ns = REGION_WAIT_SPAN_MS * NS_PER_MS;
	uint64_t now_ns = region_now_ns();

	waits[0] = (struct region_wait){ .packets = 300,
		.paced = 200,
		.sum_ns = 1200 * NS_PER_MS,
		.max_ns = 9 * NS_PER_MS,
		.last_max_ns = 11 * NS_PER_MS,
		.since_ns = now_ns };
	waits[REGION_MAX_WORKERS - 1] = (struct region_wait){
		.packets = 100, .paced = 1, .sum_ns = 0, .max_ns = 3, .since_ns = now_ns
	};
	expect_wait(s, 400, 201, 3, 11);
	waits[0].since_ns = now_ns - span_ns; // none came since: 11 ms are two spans ago
	expect_wait(s, 400, 201, 3, 9);
	waits[0].since_ns = now_ns - 2 * span_ns;
	expect_wait(s, 400, 201, 3, 3e-6);
}

static void a_playing_leg_shows_what_comes(void **state)
{
	struct rig *r = *state;
	struct stream *s = put(r, "{\"video\":{\"profile_level_id\":\"42e01f\"}}");
	struct region_leg_state *leg = leg_of(r, LEG_VIDEO);
	const char *state_text, *profile, *source;
	json_int_t age, seen;
	json_t *doc = stream_describe(s);

	assert_int_equal(
		json_unpack(doc, "{s:{s:{s:s}}}", "legs", "video", "profile_level_id", &profile),
		0);
	assert_string_equal(profile, "42e01f");
	json_decref(doc);
	*leg = (struct region_leg_state){ .packets = 5,
		.up = 1,
		.last_key_ns = region_now_ns() - 3000000000,
		.profile_known = 1,
		.profile_level_id = { 0x64, 0, 0x2a } };
	assert_int_equal(net_ip_parse("fd77::2", &leg->source), 0);
	leg->source.port_be = htons(5000);
	link_region(r->link)->streams[0].legs[LEG_VIDEO].last_rx_ns = region_now_ns() - 70000000;
	doc = stream_describe(s);
	assert_int_equal(json_unpack(doc, "{s:{s:{s:s,s:s,s:s,s:I,s:I}}}", "legs", "video", "state",
				 &state_text, "profile_level_id", &profile, "source", &source,
				 "key_frame_age_ms", &age, "last_seen_ms", &seen),
		0);
	assert_string_equal(state_text, "up");
	assert_string_equal(profile, "64002a");
	assert_string_equal(source, "[fd77::2]:5000");
	assert_in_range(age, 3000, 60000);
	assert_in_range(seen, 70, 60000);
	json_decref(doc);
	leg->up = 0;
	doc = stream_describe(s);
	assert_int_equal(
		json_unpack(doc, "{s:{s:{s:s}}}", "legs", "video", "state", &state_text), 0);
	assert_string_equal(state_text, "silent");
	json_decref(doc);
}

static void commands_send_to_the_group(void **state)
{
	struct rig *r = *state;
	json_t *all = stream_describe(put(
		r, "{\"video\":{\"group\":\"239.77.0.1\"},\"audio\":{\"group\":\"ff05::77\"}}"));
	const json_t *doc = json_object_get(all, "commands");
	const char *ffmpeg = json_string_value(json_object_get(doc, "ffmpeg"));
	const char *gstreamer = json_string_value(json_object_get(doc, "gstreamer"));

	assert_non_null(strstr(ffmpeg, "'rtp://239.77.0.1:20000?"));
	assert_non_null(strstr(ffmpeg, "'rtp://[ff05::77]:20002?"));
	assert_non_null(strstr(gstreamer, "host=239.77.0.1 port=20000"));
	assert_non_null(strstr(gstreamer, "host=ff05::77 port=20002"));
	json_decref(all);
}

static void expect_problem(const struct stream *s, const char *begin)
{
	const char *line = NULL;
	json_t *doc = stream_describe(s), *lines;

	assert_int_equal(json_unpack(doc, "{s:{s:{s:o}}}", "legs", "video", "problems", &lines), 0);
	line = json_string_value(json_array_get(lines, 0));
	assert_int_equal(json_array_size(lines), begin ? 1 : 0);
	if (begin && strncmp(line, begin, strlen(begin)) != 0)
		fail_msg("%s", line);
	json_decref(doc);
}

static void key_frames_and_silence_are_told(void **state)
{
	struct rig *r = *state;
	struct stream *s = put(r, "{\"video\":{},\"audio\":{},\"require_live\":true}");
	struct region_leg_state *leg = leg_of(r, LEG_VIDEO);
	json_t *doc;
	json_int_t interval = 0;
	int live = -1, required = -1;

	*leg = (struct region_leg_state){ .packets = 5, .up = 1, .key_interval_ms = 2000 };
	doc = stream_describe(s);
	assert_int_equal(
		json_unpack(doc, "{s:{s:{s:I}},s:b,s:b}", "legs", "video", "key_frame_interval_ms",
			&interval, "live", &live, "require_live", &required),
		0);
	assert_int_equal(interval, 2000);
	assert_true(live && required && stream_live(s));
	json_decref(doc);
	expect_problem(s, NULL);
	leg->key_interval_ms = 10240;
	expect_problem(s, "key frames come only every 10.2 s: ");
	leg->key_interval_ms = 2000;
	leg->up = 0;
	expect_problem(s, "nothing comes any more: ");
	assert_false(stream_live(s));
	leg_of(r, LEG_AUDIO)->up = 1;
	assert_true(stream_live(s));
	stream_store_attach(r->store, NULL);
	assert_false(stream_live(s));
}

// Each finding is a word for programs and a line for people.
static void lint_is_told(void **state)
{
	static const struct {
		enum lint_reason reason;
		const char *begin; // NULL: drops tell
	} rows[] = {
		{ LINT_B_FRAMES,
			"pictures come out of their order (B-frames), which browsers show with "
			"jerks or not at all: set -bf 0 in FFmpeg" },
		{ LINT_NO_KEY_FRAME, "no key frame for more than 13 s" },
		{ LINT_NO_PARAMETER_SETS, "key frames come without SPS and PPS" },
		{ LINT_PROFILE, "the picture is of profile-level-id 640028, declared is 42e01f" },
		{ LINT_OVERSIZE, NULL },
		{ LINT_NO_SENDER_REPORTS, "no sender reports, so that sound and picture may drift "
					  "apart: let RTCP through to UDP port 20001" },
		{ LINT_CLOCK_DRIFT, "the source's clock is 412 ppm slow: " },
	};
	struct rig *r = *state;
	struct stream *s = put(r, "{\"video\":{\"profile_level_id\":\"42e01f\"}}");
	struct region_leg_state *leg = leg_of(r, LEG_VIDEO);

	assert_int_equal(sizeof(rows) / sizeof(rows[0]), LINT_COUNT);
	r->conf.ingest.key_frame_warn_s = 13;
	for (size_t i = 0; i < LINT_COUNT; i++) {
		const char *word = NULL;
		json_int_t drift = 0;
		json_t *doc;

		*leg = (struct region_leg_state){ .packets = 5,
			.up = 1,
			.lint = 1u << rows[i].reason,
			.drift_known = 1,
			.drift_ppm = -412,
			.profile_known = 1,
			.profile_level_id = { 0x64, 0, 0x28 } };
		expect_problem(s, rows[i].begin);
		doc = stream_describe(s);
		assert_int_equal(json_unpack(doc, "{s:{s:{s:[s!],s:I}}}", "legs", "video", "lint",
					 &word, "clock_drift_ppm", &drift),
			0);
		assert_string_equal(word, lint_name(rows[i].reason));
		assert_int_equal(drift, -412);
		json_decref(doc);
	}
}

static void each_problem_names_its_remedy(void **state)
{
	static const struct {
		enum drop_reason reason;
		uint64_t n;
		const char *line; // NULL: none
	} cases[] = {
		{ DROP_INGEST_PAYLOAD_TYPE, 37,
			"37 packets with the wrong payload type, last from 198.18.77.2:5000: "
			"expected 96; set -payload_type 96" },
		{ DROP_INGEST_LONG, 1,
			"1 packet too long, last from 198.18.77.2:5000: expected at most 1410 "
			"bytes "
			"of RTP; set pkt_size=1200 in FFmpeg's rtp:// URL, or mtu=1200 on "
			"GStreamer's payloader" },
		{ DROP_INGEST_SOURCE, 2,
			"2 packets from a sender that is not allowed, last from 198.18.77.2:5000: "
			"expected one of allowed_sources; add the sender there" },
		{ DROP_INGEST_NOT_RTP, 2,
			"2 packets that are not RTP, last from 198.18.77.2:5000: expected RTP "
			"version 2; send with FFmpeg's -f rtp or GStreamer's rtph264pay" },
		{ DROP_INGEST_SHORT, 2,
			"2 packets too short, last from 198.18.77.2:5000: expected an RTP header "
			"of "
			"at least 12 bytes and a payload; look for a sender that only probes the "
			"port" },
		{ DROP_INGEST_SSRC, 2,
			"2 packets of a second sender, last from 198.18.77.2:5000: expected only "
			"198.18.77.3:6000, which still sends; stop one of them, or give it a "
			"stream "
			"of its own" },
		{ DROP_INGEST_RTCP_BAD, 2,
			"2 packets that are not the RTCP they claim to be, last from "
			"198.18.77.2:5000: expected compound RTCP that begins with a report (RFC "
			"3550 6.1)" },
		{ DROP_INGEST_LATE, 11,
			"11 packets late or repeated, last from 198.18.77.2:5000: expected each "
			"once and near its turn; look for a path that reorders or doubles packets, "
			"or a second sender" },
		{ DROP_INGEST_LATE, 10, NULL }, // one in a hundred
	};
	struct rig *r = *state;
	struct stream *s = put(r, "{\"video\":{}}");
	struct region_leg_state *leg = leg_of(r, LEG_VIDEO);

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		json_t *doc, *leg_doc, *lines, *drops;

		*leg = (struct region_leg_state){ .packets = 1000, .up = 1 };
		net_ip_parse("198.18.77.2", &leg->last_refused);
		leg->last_refused.port_be = htons(5000);
		net_ip_parse("198.18.77.3", &leg->source);
		leg->source.port_be = htons(6000);
		leg->drops[cases[i].reason] = cases[i].n;
		doc = stream_describe(s);
		leg_doc = json_object_get(json_object_get(doc, "legs"), "video");
		drops = json_object_get(leg_doc, "drops");
		assert_int_equal(json_object_size(drops), 1);
		assert_int_equal(
			json_integer_value(json_object_get(drops, drop_name(cases[i].reason))),
			cases[i].n);
		lines = json_object_get(leg_doc, "problems");
		assert_int_equal(json_array_size(lines), cases[i].line ? 1 : 0);
		if (cases[i].line)
			assert_string_equal(
				json_string_value(json_array_get(lines, 0)), cases[i].line);
		json_decref(doc);
	}
}

static void commands_follow_address_profile_and_path(void **state)
{
	struct rig *r = *state;
	struct stream *s = put(r, "{\"video\":{\"profile_level_id\":\"4d001f\"}}");
	const char *ffmpeg, *gstreamer;
	json_t *doc;

	set_address(r, "fd77::1");
	link_region(r->link)->header->mtu = 1280;
	doc = stream_describe(s);
	assert_int_equal(json_unpack(doc, "{s:{s:s,s:s}}", "commands", "ffmpeg", &ffmpeg,
				 "gstreamer", &gstreamer),
		0);
	assert_non_null(strstr(ffmpeg, "'rtp://[fd77::1]:20000?pkt_size=1190'"));
	assert_non_null(strstr(ffmpeg, "-profile:v main "));
	assert_null(strstr(ffmpeg, "libopus"));
	assert_non_null(strstr(gstreamer, "mtu=1190 pt=96"));
	assert_non_null(strstr(gstreamer, "profile=main ! rtph264pay"));
	assert_non_null(strstr(gstreamer, "udpsink host=fd77::1 port=20000"));
	json_decref(doc);
}

static void without_a_data_plane_there_is_no_slot(void **state)
{
	struct rig *r = *state;
	struct stream *s = put(r, "{\"audio\":{}}");
	json_t *doc;

	leg_of(r, LEG_AUDIO)->packets = 9;
	stream_store_attach(r->store, NULL);
	doc = stream_describe(s);
	assert_true(json_is_null(json_object_get(doc, "slot")));
	assert_int_equal(
		json_integer_value(json_object_get(
			json_object_get(json_object_get(doc, "legs"), "audio"), "packets")),
		0);
	json_decref(doc);
}

static unsigned int allocations_left;

static void *scarce_malloc(size_t bytes)
{
	return allocations_left && allocations_left-- ? malloc(bytes) : NULL;
}

static void scarce_memory_leaks_nothing(void **state)
{
	struct rig *r = *state;
	struct stream *s = put(r, "{\"video\":{},\"audio\":{},\"allowed_sources\":[\"fd77::2\"]}");
	unsigned int n = 0;
	json_t *doc;

	leg_of(r, LEG_VIDEO)->drops[DROP_INGEST_LONG] = 3;
	leg_of(r, LEG_VIDEO)->drops[DROP_INGEST_SHORT] = 3;
	json_set_alloc_funcs(scarce_malloc, free);
	do {
		allocations_left = n++;
		doc = stream_describe(s);
	} while (!doc && n < 1000);
	assert_non_null(doc);
	json_decref(doc);
	json_set_alloc_funcs(malloc, free);
	assert_true(n > 50);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_silent_stream_is_waiting),
		TEST(a_playing_leg_shows_what_comes),
		TEST(what_pictures_wait_is_told),
		TEST(key_frames_and_silence_are_told),
		TEST(commands_send_to_the_group),
		TEST(lint_is_told),
		TEST(each_problem_names_its_remedy),
		TEST(commands_follow_address_profile_and_path),
		TEST(without_a_data_plane_there_is_no_slot),
		TEST(scarce_memory_leaks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
