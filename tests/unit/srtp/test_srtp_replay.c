// The replay window alone: its edges by table, the rest against a model (RFC 3711 3.3.2).
#include "tests/unit/srtp/srtp_kit.h"

#include <errno.h>
#include <string.h>

#include "dataplane/srtp/priv/replay.h"

enum {
	SSRC = 0x1234,
	MODEL_INDICES = 1024,
	MODEL_STEPS = 200000,
};

static void edges_hold(void **state)
{
	static const struct {
		uint32_t first, index;
		int expected;
	} cases[] = {
		{ 1000, 1000, -ESTALE },
		{ 1000, 1001, 0 },
		{ 1000, 999, 0 },
		{ 1000, 1000 - 63, 0 },
		{ 1000, 1000 - 64, 0 },
		{ 1000, 1000 - 127, 0 },
		{ 1000, 1000 - 128, -ESTALE },
		{ 1000, 0, -ESTALE },
		{ 5, 0, 0 },
		{ 0, 0, -ESTALE },
		{ 0, 0x7fffffff, 0 },
		{ 0x7fffffff, 0x7fffffff - 127, 0 },
		{ 0x7fffffff, 0x7fffffff - 128, -ESTALE },
		{ 0x7fffffff, 0, -ESTALE },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct srtp_replay r = {};

		assert_int_equal(srtp_replay_check(&r, SSRC, cases[i].first), 0);
		srtp_replay_commit(&r, SSRC, cases[i].first);
		assert_int_equal(srtp_replay_check(&r, SSRC, cases[i].index), cases[i].expected);
		if (cases[i].expected < 0)
			continue;
		srtp_replay_commit(&r, SSRC, cases[i].index);
		assert_int_equal(srtp_replay_check(&r, SSRC, cases[i].index), -ESTALE);
		assert_int_equal(srtp_replay_check(&r, SSRC, cases[i].first), -ESTALE);
	}
}

// Shifts by every distance, past both words and past the window.
static void slides_keep_what_was_seen(void **state)
{
	for (uint32_t by = 1; by < SRTP_REPLAY_WINDOW + 4; by++) {
		struct srtp_replay r = {};

		srtp_replay_commit(&r, SSRC, 500);
		srtp_replay_commit(&r, SSRC, 502);
		srtp_replay_commit(&r, SSRC, 502 + by);
		for (uint32_t index = 499; index < 503 + by; index++) {
			bool seen = index == 500 || index == 502 || index == 502 + by;
			bool behind = 502 + by - index >= SRTP_REPLAY_WINDOW;

			assert_int_equal(
				srtp_replay_check(&r, SSRC, index), seen || behind ? -ESTALE : 0);
		}
	}
}

static void agrees_with_a_model(void **state)
{
	static bool seen[MODEL_INDICES];
	struct srtp_replay r = {};
	uint32_t highest = 0;
	bool has_any = false;

	for (int i = 0; i < MODEL_STEPS; i++) {
		uint32_t top = highest + 3 < MODEL_INDICES ? highest + 3 : MODEL_INDICES;
		uint32_t low = top > 200 ? top - 200 : 0;
		uint32_t index = low + kit_random(top - low);
		bool stale = has_any && index <= highest &&
			     (seen[index] || highest - index >= SRTP_REPLAY_WINDOW);

		assert_int_equal(srtp_replay_check(&r, SSRC, index), stale ? -ESTALE : 0);
		if (stale || kit_random(3) == 0)
			continue;
		srtp_replay_commit(&r, SSRC, index);
		seen[index] = true;
		has_any = true;
		if (index > highest)
			highest = index;
	}
	assert_true(highest > MODEL_INDICES / 2);
}

static void check_moves_nothing(void **state)
{
	struct srtp_replay r = {}, before;

	srtp_replay_commit(&r, SSRC, 7);
	before = r;
	srtp_replay_check(&r, SSRC, 9);
	srtp_replay_check(&r, SSRC, 7);
	srtp_replay_check(&r, SSRC + 1, 1);
	assert_memory_equal(&r, &before, sizeof(r));
}

static void senders_are_apart_and_capped(void **state)
{
	struct srtp_replay r = {};

	for (uint32_t i = 0; i < SRTP_REPLAY_SSRC_MAX; i++) {
		assert_int_equal(srtp_replay_check(&r, SSRC + i, 7), 0);
		srtp_replay_commit(&r, SSRC + i, 7);
	}
	assert_int_equal(srtp_replay_check(&r, SSRC + SRTP_REPLAY_SSRC_MAX, 7), -ENOBUFS);
	for (uint32_t i = 0; i < SRTP_REPLAY_SSRC_MAX; i++) {
		assert_int_equal(srtp_replay_check(&r, SSRC + i, 7), -ESTALE);
		assert_int_equal(srtp_replay_check(&r, SSRC + i, 8), 0);
	}
}

// A window that begins where another ended takes nothing that the other may have taken.
static void resumed_windows_begin_behind_the_mark(void **state)
{
	struct srtp_replay r = {}, next = {};
	struct srtp_rtcp_mark marks[SRTP_RTCP_SOURCES_MAX + 1];

	assert_int_equal(srtp_replay_marks(&r, marks), 0);
	srtp_replay_commit(&r, SSRC, 500);
	srtp_replay_commit(&r, SSRC, 450); // much between the two never came
	srtp_replay_commit(&r, SSRC + 1, 3);
	assert_int_equal(srtp_replay_marks(&r, marks), 2);
	srtp_replay_resume(&next, marks, 2);
	for (uint32_t index = 0; index <= 500; index++)
		assert_int_equal(srtp_replay_check(&next, SSRC, index), -ESTALE);
	assert_int_equal(srtp_replay_check(&next, SSRC, 501), 0);
	assert_int_equal(srtp_replay_check(&next, SSRC + 1, 3), -ESTALE);
	assert_int_equal(srtp_replay_check(&next, SSRC + 1, 4), 0);
	assert_int_equal(srtp_replay_check(&next, SSRC + 2, 1), 0);
	// What stands in the region is input: more marks than there can be are cut.
	memset(marks, 0, sizeof(marks));
	srtp_replay_resume(&next, marks, UINT32_MAX);
	assert_int_equal(srtp_replay_marks(&next, marks), SRTP_REPLAY_SSRC_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(edges_hold),
		cmocka_unit_test(slides_keep_what_was_seen),
		cmocka_unit_test(agrees_with_a_model),
		cmocka_unit_test(check_moves_nothing),
		cmocka_unit_test(senders_are_apart_and_capped),
		cmocka_unit_test(resumed_windows_begin_behind_the_mark),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
