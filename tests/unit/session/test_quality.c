// What viewers report goes into their stream's histograms: each report once, whoever leaves or
// comes.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/session/rig.h"

static uint64_t n_noted(const struct stage *stage, enum leg_kind leg, enum stream_quality_kind kind)
{
	const struct stream_histogram *h = &stage->stream->quality.all[leg][kind];
	uint64_t n = 0;

	for (size_t i = 0; i <= stream_quality_scale(kind)->n_bounds; i++)
		n += h->buckets[i];
	return n;
}

static double sum_of(const struct stage *stage, enum leg_kind leg, enum stream_quality_kind kind)
{
	return stage->stream->quality.all[leg][kind].sum;
}

static void reports_are_noted_once(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	struct region_peer_leg_state *l = &viewer_slot(v)->state.legs[LEG_VIDEO];
	uint64_t now_ms = stage_now_ms();

	session_tick(stage->sessions, now_ms);
	assert_int_equal(n_noted(stage, LEG_VIDEO, STREAM_QUALITY_LOSS), 0);
	l->rr_count = 7;
	l->rr_fraction_lost = 64;
	l->rr_jitter = 900;
	l->rtt_us = 30000;
	session_tick(stage->sessions, now_ms + 500); // too early to look
	assert_int_equal(n_noted(stage, LEG_VIDEO, STREAM_QUALITY_LOSS), 0);
	session_tick(stage->sessions, now_ms + 1000);
	session_tick(stage->sessions, now_ms + 2000);
	assert_int_equal(n_noted(stage, LEG_VIDEO, STREAM_QUALITY_LOSS), 1);
	assert_true(sum_of(stage, LEG_VIDEO, STREAM_QUALITY_LOSS) == 0.25);
	assert_true(sum_of(stage, LEG_VIDEO, STREAM_QUALITY_JITTER) == 0.01);
	assert_true(sum_of(stage, LEG_VIDEO, STREAM_QUALITY_ROUND_TRIP) == 0.03);
	assert_int_equal(n_noted(stage, LEG_AUDIO, STREAM_QUALITY_LOSS), 0);
	l->rr_count = 1; // another data plane counts from the beginning
	l->rtt_us = 0;	 // and does not know
	session_tick(stage->sessions, now_ms + 3000);
	assert_int_equal(n_noted(stage, LEG_VIDEO, STREAM_QUALITY_LOSS), 2);
	assert_int_equal(n_noted(stage, LEG_VIDEO, STREAM_QUALITY_ROUND_TRIP), 1);
}

static void the_first_packet_is_noted_once(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	struct region_peer *slot = viewer_slot(v);
	uint64_t now_ms = stage_now_ms();

	slot->state.legs[LEG_AUDIO].sent.first_tx_ns = slot->session.created_ns + 250000000;
	session_tick(stage->sessions, now_ms);
	slot->state.legs[LEG_AUDIO].sent.first_tx_ns += 5000000000; // begun again
	session_tick(stage->sessions, now_ms + 1000);
	assert_int_equal(n_noted(stage, LEG_AUDIO, STREAM_QUALITY_FIRST_PACKET), 1);
	assert_true(sum_of(stage, LEG_AUDIO, STREAM_QUALITY_FIRST_PACKET) == 0.25);
	assert_int_equal(n_noted(stage, LEG_VIDEO, STREAM_QUALITY_FIRST_PACKET), 0);
}

static void repairs_are_noted_as_shares(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	struct region_peer_leg_state *l = &viewer_slot(v)->state.legs[LEG_VIDEO];
	uint64_t now_ms = stage_now_ms();

	l->resent = 6;
	l->missed[REGION_MISS_GONE] = 1;
	l->missed[REGION_MISS_BUDGET] = 1;
	l->missed[REGION_MISS_REPEATED] = l->missed[REGION_MISS_RTX] = 9;
	session_tick(stage->sessions, now_ms);
	session_tick(stage->sessions, now_ms + 1000);
	assert_int_equal(n_noted(stage, LEG_VIDEO, STREAM_QUALITY_MISSED), 1);
	assert_true(sum_of(stage, LEG_VIDEO, STREAM_QUALITY_MISSED) == 0.25);
	l->resent = 3; // another data plane counts from 0
	l->missed[REGION_MISS_GONE] = l->missed[REGION_MISS_BUDGET] = 0;
	session_tick(stage->sessions, now_ms + 2000);
	assert_int_equal(n_noted(stage, LEG_VIDEO, STREAM_QUALITY_MISSED), 2);
	assert_true(sum_of(stage, LEG_VIDEO, STREAM_QUALITY_MISSED) == 0.25);
	assert_int_equal(n_noted(stage, LEG_AUDIO, STREAM_QUALITY_MISSED), 0);
}

// A viewer that asks without end: his counters wrap, the stream's do not.
static void counters_that_wrap_are_summed_up(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	struct region_peer_leg_state *l = &viewer_slot(v)->state.legs[LEG_VIDEO];
	const struct stream_repair *sum = &session_stream(v->session)->repair[LEG_VIDEO];
	uint64_t now_ms = stage_now_ms(), before;

	for (int half = 1; half <= 2; half++) {
		l->missed[REGION_MISS_FLOOD] = half * (UINT32_MAX / 2 - 1);
		session_tick(stage->sessions, now_ms += 1000);
	}
	before = sum->missed[REGION_MISS_FLOOD];
	assert_int_equal(before, UINT32_MAX - 3);
	l->missed[REGION_MISS_FLOOD] += 10;
	session_tick(stage->sessions, now_ms += 1000);
	assert_int_equal(sum->missed[REGION_MISS_FLOOD], before + 10);
}

// Another control knows that it was not there when all this came.
static void what_was_before_is_not_noted_again(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	struct region_peer *slot = viewer_slot(v);

	slot->state.legs[LEG_VIDEO].sent.first_tx_ns = slot->session.created_ns + 1;
	slot->state.legs[LEG_VIDEO].rr_count = 7;
	session_table_destroy(stage->sessions);
	assert_int_equal(session_table_create(&stage->conf, stage->dtls, &stage->sessions), 0);
	session_table_attach(stage->sessions, stage->link, stream_first(stage->streams));
	stage_pump(stage);
	stage_expect(stage, 0, 0, 1, 0);
	session_tick(stage->sessions, stage_now_ms());
	assert_int_equal(n_noted(stage, LEG_VIDEO, STREAM_QUALITY_FIRST_PACKET), 0);
	assert_int_equal(n_noted(stage, LEG_VIDEO, STREAM_QUALITY_LOSS), 0);
	slot->state.legs[LEG_VIDEO].rr_count++;
	session_tick(stage->sessions, stage_now_ms() + 1000);
	assert_int_equal(n_noted(stage, LEG_VIDEO, STREAM_QUALITY_LOSS), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reports_are_noted_once),
		TEST(the_first_packet_is_noted_once),
		TEST(repairs_are_noted_as_shares),
		TEST(counters_that_wrap_are_summed_up),
		TEST(what_was_before_is_not_noted_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
