// What is lost in ones and twos is sent twice: numbers of its own for each, within a bound that
// leaves the first ones their budget. Checklist: E6, F27, F28.
#include "tests/unit/fanout/repair_kit.h"

static void expect_second(int i, uint16_t rtx_seq)
{
	uint8_t pkt[KIT_PKT_BYTES];
	uint16_t osn_off;
	int bytes = take_rtx(0, i, rtx_seq, pkt, &osn_off);

	assert_int_equal(bytes, osn_off + 2 + sent[i].payload_bytes);
	assert_memory_equal(pkt + osn_off + 2, sent[i].payload, sent[i].payload_bytes);
}

static void each_is_sent_twice(void **state)
{
	kit.conf.media.repair_copies = 2;
	play(0, SRTP_PROFILE_GCM128, true);
	hear_some();
	kit.edge.kept[0]->byte_rate[LEG_VIDEO] = 1000000;
	ask(13, 1 << 2);
	expect_rtx(0, 13, 65530);
	expect_second(13, 65531);
	expect_rtx(0, 16, 65532);
	expect_second(16, 65533);
	expect_nothing(0);
	assert_int_equal(leg_state(LEG_VIDEO)->resent, 4);
	assert_int_equal(leg_state(LEG_VIDEO)->copies, 2);
	assert_int_equal(rtx_state()->packets, 4);
	assert_int_equal(rtx_state()->next_index, 65534);
	ask(13, 0); // both are under way
	expect_nothing(0);
	assert_int_equal(misses(REGION_MISS_REPEATED), 1);
	kit_viewer_fini(&viewer);
}

// Its index protects the same bytes both times.
static void as_it_was_is_as_it_was_twice(void **state)
{
	kit.conf.media.repair_copies = 2;
	play(0, SRTP_PROFILE_CM80, false);
	kit.edge.kept[0]->byte_rate[LEG_VIDEO] = 1000000;
	ask(10, 1);
	for (int i = 0; i < 4; i++)
		expect_as_it_was(10 + i / 2);
	expect_nothing(0);
	kit_viewer_fini(&viewer);
}

// What is sent twice counts eight times as much the second time, and leaves half of 16 KiB to those
// that are asked for after it.
static void much_is_sent_once(void **state)
{
	const struct region_peer_leg_state *leg = leg_state(LEG_VIDEO);
	int n = 0;

	kit.conf.media.repair_copies = 2;
	play(0, SRTP_PROFILE_GCM128, true);
	while (leg->resent_bytes < 16384 - 8 * 700) {
		ask(n++, 0);
		assert_in_range(sent[n].payload_bytes, 600, 700);
	}
	assert_int_equal(leg->resent, n + 1);
	assert_int_equal(leg->copies, 1);
	assert_int_equal(misses(REGION_MISS_BUDGET), 0);
	kit_forget_sent(0);
	kit_viewer_fini(&viewer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		kit_test(each_is_sent_twice),
		kit_test(as_it_was_is_as_it_was_twice),
		kit_test(much_is_sent_once),
	};

	return cmocka_run_group_tests(tests, kit_group_setup, kit_group_teardown);
}
