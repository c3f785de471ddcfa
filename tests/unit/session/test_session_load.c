// Which worker a viewer goes to: by the packets that viewers cost, not by how many they are.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/session/rig.h"

static uint16_t enter(struct stage *stage, bool with_video)
{
	struct viewer *v = viewer_create(stage);

	v->sdp.legs[LEG_VIDEO].accepted = with_video;
	assert_int_equal(viewer_post(v), 0);
	stage_pump(stage);
	assert_int_equal(v->status, 0);
	return viewer_slot(v)->conf.worker;
}

static void measure(struct stage *stage, double video_pps, double audio_pps)
{
	stage->stream->rates[REGION_PRIMARY][LEG_VIDEO].packet_rate = video_pps;
	stage->stream->rates[REGION_PRIMARY][LEG_AUDIO].packet_rate = audio_pps;
}

static void a_dear_viewer_is_worth_several(void **state)
{
	struct stage *stage = *state;
	uint16_t dear;

	measure(stage, 1000, 50);
	dear = enter(stage, true);
	for (int i = 0; i < 3; i++)
		assert_int_not_equal(enter(stage, false), dear);
}

// Nothing came yet: video counts more than sound all the same.
static void silent_streams_count_as_usual(void **state)
{
	struct stage *stage = *state;
	uint16_t dear;

	measure(stage, 0, 0);
	dear = enter(stage, true);
	for (int i = 0; i < 3; i++)
		assert_int_not_equal(enter(stage, false), dear);
}

static void equal_viewers_take_turns(void **state)
{
	struct stage *stage = *state;
	uint32_t n[STAGE_WORKERS] = { 0 };

	for (int i = 0; i < 4; i++)
		n[enter(stage, true)]++;
	assert_int_equal(n[0], 2);
	assert_int_equal(n[1], 2);
}

// A stream that costs less than it did is seen within a second.
static void rates_are_looked_at_again(void **state)
{
	struct stage *stage = *state;
	uint64_t now_ms = stage_now_ms();
	uint16_t dear;

	session_tick(stage->sessions, now_ms);
	measure(stage, 1000, 50);
	dear = enter(stage, true);
	assert_int_not_equal(enter(stage, false), dear);
	measure(stage, 2, 200); // the first 202, the second 200
	session_tick(stage->sessions, now_ms + 900);
	measure(stage, 2, 50); // too early, or the first would be the lighter at once
	assert_int_not_equal(enter(stage, false), dear);
	session_tick(stage->sessions, now_ms + 1100); // 52 against 100
	assert_int_equal(enter(stage, false), dear);
}

static void who_leaves_weighs_nothing(void **state)
{
	struct stage *stage = *state;
	uint16_t first;

	measure(stage, 1000, 50);
	enter(stage, true);
	session_end_all(stage->sessions, SESSION_END_DELETE);
	stage_pump(stage);
	first = enter(stage, false);
	assert_int_not_equal(enter(stage, false), first);
}

static void who_is_adopted_weighs_again(void **state)
{
	struct stage *stage = *state;
	uint16_t dear;

	measure(stage, 1000, 50);
	dear = viewer_slot(viewer_play(stage))->conf.worker;
	session_table_destroy(stage->sessions); // as a control that dies
	assert_int_equal(session_table_create(&stage->conf, stage->dtls, &stage->sessions), 0);
	session_table_attach(stage->sessions, stage->link, stream_first(stage->streams));
	stage_pump(stage);
	for (int i = 0; i < 3; i++)
		assert_int_not_equal(enter(stage, false), dear);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, stage_setup, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_dear_viewer_is_worth_several),
		TEST(silent_streams_count_as_usual),
		TEST(equal_viewers_take_turns),
		TEST(rates_are_looked_at_again),
		TEST(who_leaves_weighs_nothing),
		TEST(who_is_adopted_weighs_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
