// Which packet of the stream an index was, over epochs, and timestamps that are drawn together.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "dataplane/peer/peer.h"

static struct peer_leg *leg_make(struct peer *p, struct region_peer_sent *sent)
{
	*sent = (struct region_peer_sent){ 0 };
	*p = (struct peer){ .legs[LEG_VIDEO] = {
				    .sent = sent, .seq_base = 500, .kind = LEG_VIDEO } };
	return &p->legs[LEG_VIDEO];
}

static void expect(const struct peer_leg *l, uint64_t index, uint64_t want)
{
	const struct draw *draw;
	uint64_t seq = 0;

	assert_int_equal(peer_leg_locate(l, index, &seq, &draw), 0);
	assert_int_equal(seq, want);
}

static void expect_none(const struct peer_leg *l, uint64_t index)
{
	const struct draw *draw;
	uint64_t seq;

	assert_int_equal(peer_leg_locate(l, index, &seq, &draw), -ENOENT);
}

static void indices_are_found_over_epochs(void **unused)
{
	struct region_peer_sent sent;
	struct peer peer;
	struct peer_leg *l = leg_make(&peer, &sent);

	expect_none(l, 500);
	peer_leg_begin(l, 70000, NULL);
	expect_none(l, 500); // not sent yet
	sent.next_index = 510;
	expect(l, 500, 70000);
	expect(l, 509, 70009);
	expect_none(l, 510);
	expect_none(l, 499);

	// Back to an older packet; indices go on without a gap.
	peer_leg_begin(l, 70003, NULL);
	assert_int_equal(l->first_index, 510);
	sent.next_index = 520;
	expect(l, 509, 70009);
	expect(l, 510, 70003);
	expect(l, 519, 70012);

	// A third: the first is forgotten.
	peer_leg_begin(l, 70005, NULL);
	sent.next_index = 522;
	expect_none(l, 509);
	expect(l, 510, 70003);
	expect(l, 521, 70006);
}

// After another process there is a leap, and nothing in it was ever sent.
static void a_leap_is_nobodys(void **unused)
{
	struct region_peer_sent sent;
	struct peer peer;
	struct peer_leg *l = leg_make(&peer, &sent);

	sent.next_index = 1000;
	peer_leg_begin(l, 70000, NULL);
	assert_int_equal(l->first_index, 1000 + REGION_INDEX_JUMP);
	sent.next_index = 1000 + REGION_INDEX_JUMP + 1;
	expect_none(l, 1000);
	expect_none(l, 999 + REGION_INDEX_JUMP);
	expect(l, 1000 + REGION_INDEX_JUMP, 70000);
}

static void timestamps_close_up(void **unused)
{
	const struct draw none = { 0 };
	struct region_peer_sent sent;
	struct peer peer;
	struct peer_leg *l = leg_make(&peer, &sent);
	struct draw draw = { .last = 100, .last_ts = 5000, .step = 10, .open = true };
	uint32_t before = 0;

	assert_int_equal(draw_ts(&none, 7, 1234), 1234);
	assert_int_equal(draw_ts(&draw, 100, 99999), 5000);
	assert_int_equal(draw_ts(&draw, 90, 1), 4900);
	assert_int_equal(draw_ts(&draw, 101, 8000), 8000);
	// The source is slower than was foreseen: still they rise.
	assert_int_equal(draw_ts(&draw, 101, 4000), 5001);
	assert_int_equal(draw_ts(&draw, 102, 5002), 5002);

	peer_leg_begin(l, 70000, &draw);
	peer_leg_close_up(l, 70300, 103);
	assert_int_equal(l->first_index, 500 + 300);
	assert_int_equal(draw_ts(&peer.courses[LEG_VIDEO].epochs[0].draw, 102, 4000), 5002);
	assert_int_equal(draw_ts(&peer.courses[LEG_VIDEO].epochs[0].draw, 103, 4000), 4000);
	assert_int_equal(draw_ts(&peer.courses[LEG_VIDEO].epochs[0].draw, 99, 1), 4990);

	// Counters that wrap.
	draw = (struct draw){ .last = 3, .last_ts = 20, .step = 7, .open = true };
	for (uint32_t frame = UINT32_MAX - 5; frame != 10; frame++) {
		uint32_t ts = draw_ts(&draw, frame, 0);

		assert_true(frame == UINT32_MAX - 5 || (int32_t)(ts - before) > 0);
		before = ts;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(indices_are_found_over_epochs),
		cmocka_unit_test(a_leap_is_nobodys),
		cmocka_unit_test(timestamps_close_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
