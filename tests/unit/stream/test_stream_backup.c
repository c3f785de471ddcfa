// Streams with a backup: what PUT takes and refuses, what stands in the region and is taken up from
// there, and what is shown.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/stream/store_rig.h"

#define SETS	   "Z0LAH9kAUAW7ARAAAAMAEAAAAwPA8YMkgA==,aMuMsg=="
#define OTHER_SETS "Z2QAKKzZQHgCJ+WEAAADAAQAAAMA8DxgxlgA,aMuMsg=="

static const struct {
	const char *body, *error;
} refusals[] = {
	{ "{\"video\":{},\"backup\":true}",
		"backup: expected an object, {} for the defaults, found true" },
	{ "{\"video\":{},\"backup\":{\"codec\":1}}",
		"backup: expected no other members than video, audio, allowed_sources, failback "
		"and failback_s" },
	{ "{\"video\":{},\"backup\":{\"audio\":{}}}", "backup.audio: the stream has no such leg" },
	{ "{\"video\":{},\"backup\":{\"video\":{\"codec\":\"H264\"}}}",
		"backup.video: expected no other members than port, payload_type, group, "
		"profile_level_id and sprop_parameter_sets" },
	{ "{\"audio\":{},\"backup\":{\"audio\":{\"profile_level_id\":\"42e01f\"}}}",
		"backup.audio: expected no other members than port, payload_type and group" },
	{ "{\"video\":{\"port\":20006},\"backup\":{\"video\":{\"port\":20006}}}",
		"backup.video.port: expected another port than video's" },
	{ "{\"video\":{},\"backup\":{\"failback\":\"later\"}}",
		"backup.failback: expected auto or manual, found \"later\"" },
	{ "{\"video\":{},\"backup\":{\"failback_s\":0}}",
		"backup.failback_s: expected a number from 1 to 3600, found 0" },
	{ "{\"video\":{},\"source\":\"backup\"}",
		"source: expected none without a backup, found \"backup\"" },
	{ "{\"video\":{},\"backup\":{},\"source\":\"both\"}",
		"source: expected auto, primary or backup, found \"both\"" },
	{ "{\"video\":{},\"backup\":{\"video\":{\"sprop_parameter_sets\":\"Z\"}}}",
		"backup.video.sprop_parameter_sets: expected an SPS and a PPS in base64, with a "
		"comma between, found \"Z\"" },
};

static int parse(const char *body, struct stream_want *out, char *error)
{
	const struct conf conf = edge_conf();

	return stream_want_parse(&conf, body, strlen(body), out, error);
}

static void what_is_no_backup_is_refused(void **state)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
		struct stream_want want;
		char error[STREAM_ERROR_MAX];

		assert_int_equal(parse(refusals[i].body, &want, error), -EINVAL);
		assert_string_equal(error, refusals[i].error);
	}
}

// Its own profile and sets where it has some; else the primary's.
static void sets_are_its_own_or_the_primarys(void **state)
{
	struct stream_want want;
	char error[STREAM_ERROR_MAX];

	assert_int_equal(parse("{\"video\":{\"sprop_parameter_sets\":\"" SETS
			       "\",\"payload_type\":97},\"backup\":{}}",
				 &want, error),
		0);
	assert_int_equal(want.backup.legs[LEG_VIDEO].payload_type, 97);
	assert_memory_equal(&want.backup.sprop, &want.sprop, sizeof(want.sprop));
	assert_memory_equal(want.backup.legs[LEG_VIDEO].profile_level_id, "\x42\xc0\x1f", 3);
	assert_int_equal(
		parse("{\"video\":{\"sprop_parameter_sets\":\"" SETS
		      "\"},\"backup\":{\"video\":{\"sprop_parameter_sets\":\"" OTHER_SETS "\"}}}",
			&want, error),
		0);
	assert_memory_equal(want.legs[LEG_VIDEO].profile_level_id, "\x42\xc0\x1f", 3);
	assert_memory_equal(want.backup.legs[LEG_VIDEO].profile_level_id, "\x64\x00\x28", 3);
	assert_memory_equal(want.backup.sprop.units + 2, "\x67\x64\x00\x28", 4);
	// Sets of another profile are no use to it.
	assert_int_equal(parse("{\"video\":{\"sprop_parameter_sets\":\"" SETS
			       "\"},\"backup\":{\"video\":{\"profile_level_id\":\"640028\"}}}",
				 &want, error),
		0);
	assert_true(want.backup.legs[LEG_VIDEO].profile_known);
	assert_int_equal(want.backup.sprop.bytes, 0);
}

// All of it stands in the region, and another control takes it up from there.
static void a_pair_is_taken_up(void **state)
{
	struct rig *r = *state;
	struct stream *s = store_rig_put_done(r, "a",
		"{\"video\":{\"refuse_b_frames\":true},\"audio\":{\"stereo\":true},\"source\":"
		"\"backup\",\"backup\":{\"video\":{\"sprop_parameter_sets\":\"" OTHER_SETS
		"\"},\"audio\":{\"port\":20008,\"payload_type\":100},\"failback\":\"auto\","
		"\"failback_s\":7,\"allowed_sources\":[\"fd77::/64\"]}}");
	struct stream_want want = s->want;
	const struct region_stream_conf *conf = &stream_shared(s)->conf;

	assert_int_equal(conf->sprop[REGION_PRIMARY].bytes, 0);
	assert_memory_equal(conf->sprop[REGION_BACKUP].units + 2, "\x67\x64\x00\x28", 4);
	assert_int_equal(conf->backup[LEG_VIDEO].refuse_b_frames, 1);
	assert_int_equal(conf->backup[LEG_AUDIO].port, 20008);
	assert_int_equal(conf->pick, REGION_PICK_BACKUP);
	assert_int_equal(conf->failback_s, 7);
	assert_int_equal(edge_steered(r->link), 8);
	stream_store_destroy(r->store);
	assert_int_equal(stream_store_create(&r->conf, &r->store), 0);
	stream_store_attach(r->store, r->link);
	edge_run(r->link);
	s = stream_find(r->store, "a");
	assert_non_null(s);
	assert_memory_equal(&s->want, &want, sizeof(want));
	// A change that says nothing of the source leaves it, and no backup ends it.
	store_rig_put_done(r, "a", "{\"video\":{},\"audio\":{},\"backup\":{}}");
	assert_int_equal(s->want.pick, REGION_PICK_BACKUP);
	store_rig_put_done(r, "a", "{\"video\":{},\"audio\":{}}");
	assert_int_equal(s->want.pick, REGION_PICK_AUTO);
	assert_int_equal(edge_steered(r->link), 4);
}

static struct region_stream *worker_side(const struct rig *r, const struct stream *s)
{
	return &link_region(r->link)->streams[s->slot];
}

// What is shown is of the source whose it is, and so are rates; the one that plays is named.
static void each_source_is_described(void **state)
{
	struct rig *r = *state;
	struct stream *s = store_rig_put_done(r, "a", "{\"video\":{},\"backup\":{}}");
	struct region_stream *shared = worker_side(r, s);
	const char *active, *by, *leg_state, *command;
	int silence, hand, port, rate;
	json_t *doc, *problems;

	assert_int_equal(stream_active(s), REGION_PRIMARY);
	assert_false(stream_live(s));
	stream_store_sample(r->store, 1000);
	shared->sources = (struct region_sources_state){ .active = REGION_BACKUP,
		.why = REGION_SWITCH_SILENCE,
		.switched_ns = region_now_ns(),
		.switches = { [REGION_SWITCH_SILENCE] = 3, [REGION_SWITCH_HAND] = 2 } };
	shared->backup[LEG_VIDEO].up = 1;
	shared->backup[LEG_VIDEO].packets = 100;
	shared->backup[LEG_VIDEO].bytes = 100000;
	shared->backup[LEG_VIDEO].lint = 1u << LINT_NO_SENDER_REPORTS;
	stream_store_sample(r->store, 2000);
	assert_int_equal(stream_active(s), REGION_BACKUP);
	assert_true(stream_live(s));
	assert_int_equal(stream_leg_load(s, LEG_VIDEO), 100);
	doc = stream_describe(s);
	assert_int_equal(
		json_unpack(doc, "{s:{s:s, s:s, s:{s:i, s:i}}}", "source", "active", &active,
			"switched_by", &by, "switches", "silence", &silence, "hand", &hand),
		0);
	assert_string_equal(active, "backup");
	assert_string_equal(by, "silence");
	assert_int_equal(silence, 3);
	assert_int_equal(hand, 2);
	assert_int_equal(json_unpack(doc, "{s:{s:{s:{s:s, s:i, s:i, s:o}}}}", "backup", "legs",
				 "video", "state", &leg_state, "rtcp_port", &port, "bitrate_bps",
				 &rate, "problems", &problems),
		0);
	assert_string_equal(leg_state, "up");
	assert_int_equal(rate, 800000);
	assert_int_equal(json_array_size(problems), 1);
	assert_int_equal(
		json_unpack(doc, "{s:{s:{s:s}}}", "backup", "commands", "ffmpeg", &command), 0);
	assert_non_null(strstr(command, ":20002?pkt_size="));
	assert_null(strstr(command, ":20000"));
	// With the remedy for its own port.
	assert_int_equal(port, s->want.backup.legs[LEG_VIDEO].port + 1);
	assert_non_null(strstr(json_string_value(json_array_get(problems, 0)), "UDP port 20003"));
	json_decref(doc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_backup_is_refused),
		cmocka_unit_test(sets_are_its_own_or_the_primarys),
		TEST(a_pair_is_taken_up),
		TEST(each_source_is_described),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
