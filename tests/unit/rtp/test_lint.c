// What is found wrong with a leg that comes in, when it is said, and when it is over.
// Source: checklist F4, F7.
#include "tests/unit/rtp/leg_rig.h"

#include <string.h>

#define S_NS		(1000 * MS_NS)
#define REFUSED(reason) (-((int)DROP_##reason + 1))

enum {
	WARN_S = 12,
	FRAME = 3600, // 25 pictures a second
	FRAME_MS = 40,
};

static struct leg_rig r;
static uint16_t seq;
static uint32_t ts;

static bool found(enum lint_reason reason)
{
	lint_check(&r.leg.lint, &r.state, r.leg.kind, false, WARN_S, r.now_ns);
	return r.state.lint >> reason & 1;
}

static void begin(enum leg_kind kind)
{
	leg_rig_init(&r, kind);
	seq = 65500;
	ts = 0xfffff000;
}

static int picture_at(const uint8_t *payload, uint16_t bytes, uint32_t at)
{
	return leg_rig_give_payload(&r, seq++, at, payload, bytes);
}

// The next picture, of one packet.
static int picture(const uint8_t *payload, uint16_t bytes)
{
	r.now_ns += FRAME_MS * MS_NS;
	ts += FRAME;
	return picture_at(payload, bytes, ts);
}

// 0x88: first_mb 0, slice_type 7 (I); 0x9a: 5 (P); 0x9e: 6 (B).
static const uint8_t idr[] = { 0x65, 0x88, 1 }, p_slice[] = { 0x41, 0x9a, 1 },
		     b_slice[] = { 0x01, 0x9e, 1 };

static void plain_pictures(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(picture(p_slice, sizeof(p_slice)), 0);
}

// Two of them, and it is said; ten seconds without one, and it is over.
static void b_slices_are_found(void **state)
{
	begin(LEG_VIDEO);
	picture(idr, sizeof(idr));
	plain_pictures(10);
	picture(b_slice, sizeof(b_slice));
	assert_false(found(LINT_B_FRAMES));
	plain_pictures(LINT_CLEAR_S * 25 + 1);
	picture(b_slice, sizeof(b_slice)); // the first is long ago
	assert_false(found(LINT_B_FRAMES));
	picture(b_slice, sizeof(b_slice));
	assert_true(found(LINT_B_FRAMES));
	plain_pictures(LINT_CLEAR_S * 25);
	assert_true(found(LINT_B_FRAMES));
	plain_pictures(1);
	assert_false(found(LINT_B_FRAMES));
}

// Whatever their slices say, as in a packet that cannot be read.
static void times_out_of_order_are_found(void **state)
{
	begin(LEG_VIDEO);
	for (unsigned int i = 0; i < 2; i++) {
		plain_pictures(1);
		picture(p_slice, sizeof(p_slice));
		assert_false(found(LINT_B_FRAMES));
		assert_int_equal(picture_at(p_slice, sizeof(p_slice), ts - FRAME), 0);
	}
	assert_true(found(LINT_B_FRAMES));
}

static void b_frames_are_refused_where_asked(void **state)
{
	begin(LEG_VIDEO);
	r.leg.conf.refuse_b_frames = 1;
	plain_pictures(5);
	assert_int_equal(picture(b_slice, sizeof(b_slice)), 0);
	assert_int_equal(picture(b_slice, sizeof(b_slice)), REFUSED(INGEST_B_FRAMES));
	assert_int_equal(picture(p_slice, sizeof(p_slice)), REFUSED(INGEST_B_FRAMES));
	assert_true(found(LINT_B_FRAMES));
	for (unsigned int i = 0; i < 250; i++)
		assert_int_equal(picture(idr, sizeof(idr)), REFUSED(INGEST_B_FRAMES));
	assert_false(found(LINT_B_FRAMES));
	assert_int_equal(r.state.drops[DROP_INGEST_B_FRAMES], 252);
	// Let in again it is taken up anew: viewers see no gap.
	assert_int_equal(picture(idr, sizeof(idr)), 0);
	assert_int_equal(r.state.lost, 0);
	assert_int_equal(r.state.packets, 7);
	assert_true(r.changes & LEG_CHANGE_RESTART);
}

static void a_missing_key_frame_is_said(void **state)
{
	begin(LEG_VIDEO);
	plain_pictures(WARN_S * 25);
	assert_false(found(LINT_NO_KEY_FRAME));
	plain_pictures(2);
	assert_true(found(LINT_NO_KEY_FRAME));
	picture(idr, sizeof(idr));
	assert_false(found(LINT_NO_KEY_FRAME));
	plain_pictures(WARN_S * 25 + 1);
	assert_true(found(LINT_NO_KEY_FRAME));
	// Nothing comes at all: that is another matter.
	r.now_ns += 3 * S_NS;
	assert_true(leg_check_silence(&r.leg, r.now_ns));
	assert_false(found(LINT_NO_KEY_FRAME));
	r.now_ns += 100 * S_NS;
	plain_pictures(1);
	assert_false(found(LINT_NO_KEY_FRAME));
}

static void missing_reports_are_said(void **state)
{
	// Version 2, SR, six words: of SSRC, NTP, RTP time, counts.
	uint8_t report[28] = { 0x80, 200, 0, 6, 0x11, 0x22, 0x33, 0x44, 1, 2, 3, 4, 5, 6, 7, 8 };

	begin(LEG_AUDIO);
	plain_pictures(LINT_REPORTS_S * 25);
	assert_false(found(LINT_NO_SENDER_REPORTS));
	plain_pictures(2);
	assert_true(found(LINT_NO_SENDER_REPORTS));
	assert_false(found(LINT_NO_KEY_FRAME));
	assert_int_equal(
		leg_accept_rtcp(&r.leg, &r.clock, &r.from, report, sizeof(report), r.now_ns), 0);
	assert_false(found(LINT_NO_SENDER_REPORTS));
}

static void another_profile_is_said(void **state)
{
	static const struct {
		uint8_t declared[3], sent[3];
		bool other;
	} rows[] = {
		{ { 0x42, 0xe0, 0x1f }, { 0x42, 0xe0, 0x1f }, false },
		{ { 0x42, 0xe0, 0x1f }, { 0x42, 0xc0, 0x1e }, false }, // constrained too, and lower
		{ { 0x42, 0xe0, 0x1f }, { 0x4d, 0x80, 0x1f }, false }, // and by another name
		{ { 0x42, 0xe0, 0x1f }, { 0x42, 0xe0, 0x20 }, true },
		{ { 0x42, 0xe0, 0x1f }, { 0x42, 0x00, 0x1f }, true },
		{ { 0x42, 0xe0, 0x1f }, { 0x64, 0x00, 0x1f }, true },
		{ { 0x64, 0x0c, 0x28 }, { 0x64, 0x00, 0x28 }, true },
		{ { 0x64, 0x00, 0x28 }, { 0x64, 0x00, 0x1f }, false },
		{ { 0x4d, 0x40, 0x28 }, { 0x64, 0x00, 0x28 }, true },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t sps[] = { 0x67, rows[i].sent[0], rows[i].sent[1], rows[i].sent[2], 0x80 };

		begin(LEG_VIDEO);
		picture(sps, sizeof(sps));
		assert_false(found(LINT_PROFILE)); // none was declared
		r.leg.conf.profile_known = 1;
		memcpy(r.leg.conf.profile_level_id, rows[i].declared, 3);
		picture(sps, sizeof(sps));
		if (found(LINT_PROFILE) != rows[i].other)
			fail_msg("row %zu", i);
	}
}

static void long_packets_are_said(void **state)
{
	static const uint8_t large[RIG_MAX_BYTES + 1] = { 0x41, 0x9a };

	begin(LEG_VIDEO);
	plain_pictures(1);
	assert_int_equal(picture(large, sizeof(large)), REFUSED(INGEST_LONG));
	assert_false(found(LINT_OVERSIZE));
	assert_int_equal(picture(large, sizeof(large)), REFUSED(INGEST_LONG));
	assert_true(found(LINT_OVERSIZE));
	plain_pictures(LINT_CLEAR_S * 25 + 1);
	assert_false(found(LINT_OVERSIZE));
}

// A source whose clock is so many ppm fast, and whose packets wait up to 20 ms on the way.
static void drive(int ppm, unsigned int seconds)
{
	uint64_t step_ns = FRAME_MS * MS_NS * 1000000 / (uint64_t)(1000000 + ppm);

	for (uint64_t i = 0; i < seconds * 25; i++) {
		uint64_t wait_ns = i * 7919 % 20 * MS_NS;

		r.now_ns += step_ns;
		ts += FRAME;
		r.now_ns += wait_ns;
		assert_int_equal(picture_at(p_slice, sizeof(p_slice), ts), 0);
		r.now_ns -= wait_ns;
	}
}

static void drift_is_measured(void **state)
{
	static const struct {
		int ppm;
		bool said;
	} rows[] = { { 0, false }, { 100, false }, { -250, false }, { 400, true }, { -500, true } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin(LEG_VIDEO);
		drive(rows[i].ppm, 60);
		assert_false(r.state.drift_known);
		drive(rows[i].ppm, 15);
		assert_true(r.state.drift_known);
		assert_in_range(r.state.drift_ppm - rows[i].ppm + 20, 0, 40);
		assert_int_equal(found(LINT_CLOCK_DRIFT), rows[i].said);
		if (!rows[i].said)
			continue;
		drive(rows[i].ppm > 0 ? 250 : -250, 130); // not over yet
		assert_true(found(LINT_CLOCK_DRIFT));
		drive(100, 130);
		assert_false(found(LINT_CLOCK_DRIFT));
	}
}

static void a_pause_is_no_drift(void **state)
{
	begin(LEG_VIDEO);
	drive(0, 30);
	r.now_ns += 4 * S_NS; // and its clock stood still
	drive(0, 120);
	assert_false(found(LINT_CLOCK_DRIFT));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(b_slices_are_found),
		cmocka_unit_test(times_out_of_order_are_found),
		cmocka_unit_test(b_frames_are_refused_where_asked),
		cmocka_unit_test(a_missing_key_frame_is_said),
		cmocka_unit_test(missing_reports_are_said),
		cmocka_unit_test(another_profile_is_said),
		cmocka_unit_test(long_packets_are_said),
		cmocka_unit_test(drift_is_measured),
		cmocka_unit_test(a_pause_is_no_drift),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
