// What a stream does to its sessions: other legs, and a source that falls silent. Checklist: F22,
// F23.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/session/rig.h"

static void put_stream(struct stage *stage, struct stream_want want)
{
	char error[STREAM_ERROR_MAX];
	bool existed;

	assert_int_equal(stream_set(stage->streams, "cam", &want, NULL, NULL, &existed, error), 0);
	stage_pump(stage);
	session_tick(stage->sessions, stage_now_ms());
}

// F22: who asked for sound when there was none may have it now; who did not is left alone. So is
// everybody while what he has is there, in whatever profile.
static void a_leg_that_comes_ends_those_who_asked_for_it(void **state)
{
	struct stage *stage = *state;
	struct stream_want want = stage->stream->want;
	struct viewer *v;

	want.legs[LEG_AUDIO].present = false;
	put_stream(stage, want);
	for (int asked = 0; asked < 2; asked++) {
		v = viewer_create(stage);
		v->sdp.legs[LEG_AUDIO].accepted = false;
		v->sdp.missed[LEG_AUDIO] = asked;
		assert_int_equal(viewer_post(v), 0);
		stage_pump(stage);
	}
	want.legs[LEG_VIDEO].profile_known = true;
	memcpy(want.legs[LEG_VIDEO].profile_level_id, "\x64\x00\x28", 3);
	put_stream(stage, want);
	stage_expect(stage, 0, 2, 0, 0);
	want.legs[LEG_AUDIO].present = true;
	put_stream(stage, want);
	stage_pump(stage);
	stage_expect(stage, 0, 1, 0, 0);
	assert_int_equal(stage_counts(stage)->ended[SESSION_END_STREAM_CHANGED], 1);
	assert_true(session_find(stage->sessions, session_resource(stage->viewers[0]->session)));
}

static void change_fails(struct stage *stage, struct stream_want want)
{
	char error[STREAM_ERROR_MAX];
	bool existed;

	stage->edge.manners[RING_STREAM_SET] = EDGE_HOLD;
	assert_int_equal(stream_set(stage->streams, "cam", &want, NULL, NULL, &existed, error), 0);
	stage_pump(stage);
	session_tick(stage->sessions, stage_now_ms());
	stage->edge.manners[RING_STREAM_SET] = EDGE_ACCEPT;
	edge_release(&stage->edge, -EADDRINUSE);
	stage_pump(stage);
	session_tick(stage->sessions, stage_now_ms());
}

// A change that the workers refuse is undone, and has cost nobody his session.
static void a_change_that_fails_ends_nothing(void **state)
{
	struct stage *stage = *state;
	struct stream_want want = stage->stream->want;

	viewer_play(stage);
	want.legs[LEG_AUDIO].present = false;
	change_fails(stage, want);
	assert_true(stage->stream->want.legs[LEG_AUDIO].present);
	stage_expect(stage, 0, 0, 1, 0);
}

enum { SOURCE_S = 20 };

// Any leg of any source will do; and the path is kept open meanwhile (C23).
static void a_source_may_pause(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	struct region_stream *shared = &stage->edge.region.streams[stage->stream->slot];
	uint64_t now_ms = stage_now_ms();

	stage->conf.whep.consent_timeout_s = 3600;
	stage->conf.whep.source_timeout_s = SOURCE_S;
	session_tick(stage->sessions, now_ms);
	for (int i = 1; i <= 4; i++) {
		struct region_leg_state *leg = i % 2 ? &shared->legs[LEG_AUDIO]
						     : &shared->backup[LEG_VIDEO];

		v->reply_bytes = 0;
		session_tick(stage->sessions, now_ms + i * 16000);
		stage_pump(stage);
		assert_true(v->reply_bytes > 0);
		leg->last_rx_ns = (now_ms + i * 16000) * 1000000;
	}
	session_tick(stage->sessions, now_ms + 64000 + SOURCE_S * 1000 - 1);
	stage_expect(stage, 0, 0, 1, 0);
	session_tick(stage->sessions, now_ms + 64000 + SOURCE_S * 1000);
	stage_expect(stage, 0, 0, 0, 1);
	assert_int_equal(stage_counts(stage)->ended[SESSION_END_SOURCE_SILENT], 1);
}

// Another data plane takes the region up: its sources have their time to come back.
static void a_restart_gives_sources_time(void **state)
{
	struct stage *stage = *state;

	viewer_play(stage);
	stage->conf.whep.source_timeout_s = 1;
	stage_lose(stage);
	usleep(1100 * 1000);
	stage_attach(stage);
	stage_pump(stage);
	session_tick(stage->sessions, stage_now_ms());
	stage_expect(stage, 0, 0, 1, 0);
	session_tick(stage->sessions, stage_now_ms() + 1000);
	stage_expect(stage, 0, 0, 0, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_leg_that_comes_ends_those_who_asked_for_it),
		TEST(a_change_that_fails_ends_nothing),
		TEST(a_source_may_pause),
		TEST(a_restart_gives_sources_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
