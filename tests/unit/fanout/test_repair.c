// A viewer says what it lacks and has it again: as a retransmission or as it was, once a round
// trip, within its budget; whatever else it says costs a counter.
// Checklist: E6, E7, F1, F11, F15, F19, F26 to F29.
#include "tests/unit/fanout/repair_kit.h"

// ---- what is sent again ------------------------------------------------------------------------

// The viewer's SEQ wraps behind packet 15, that of its retransmissions behind the sixth of them.
static void a_retransmission_unwraps_to_the_original(void **state)
{
	static const uint16_t profiles[] = { SRTP_PROFILE_GCM128, SRTP_PROFILE_CM80,
		SRTP_PROFILE_GCM256 };

	for (int k = 0; k < 3; k++) {
		play(0, profiles[k], true);
		hear_some();
		// F26: PID 65533, bits 0, 2, 5 and 15: 65534, 0, 3, 13.
		ask(13, 1 << 0 | 1 << 2 | 1 << 5 | 1 << 15);
		expect_rtx(0, 13, 65530);
		expect_rtx(0, 14, 65531);
		expect_rtx(0, 16, 65532);
		expect_rtx(0, 19, 65533);
		expect_rtx(0, 29, 65534);
		expect_nothing(0);
		hear(30);
		ask(31, 3);
		expect_rtx(0, 31, 65535);
		expect_rtx(0, 32, 0);
		expect_rtx(0, 33, 1);
		assert_int_equal(leg_state(LEG_VIDEO)->nacks, 2);
		assert_int_equal(leg_state(LEG_VIDEO)->resent, 8);
		assert_int_equal(leg_state(LEG_VIDEO)->sent.packets, N_SENT);
		assert_int_equal(rtx_state()->packets, 8);
		assert_int_equal(rtx_state()->next_index, 65538);
		assert_int_equal(rtx_state()->bytes, leg_state(LEG_VIDEO)->resent_bytes);
		kit_viewer_fini(&viewer);
		if (k < 2) {
			kit_teardown(state);
			kit_setup(state);
		}
	}
}

// E6, E7: same bytes on the wire, on both sides of the wrap.
static void without_rtx_a_packet_leaves_as_it_was(void **state)
{
	play(0, SRTP_PROFILE_CM80, false);
	ask(10, 0xffff);
	for (int i = 10; i < 27; i++)
		expect_as_it_was(i);
	expect_nothing(0);
	assert_int_equal(leg_state(LEG_VIDEO)->resent, 17);
	assert_int_equal(leg_state(LEG_VIDEO)->sent.packets, N_SENT + 17);
	assert_int_equal(rtx_state()->packets, 0);
	kit_viewer_fini(&viewer);
}

static void sound_leaves_as_it_was(void **state)
{
	uint8_t first[KIT_PKT_BYTES], again[KIT_PKT_BYTES];
	uint16_t bytes;

	play(0, SRTP_PROFILE_GCM128, true);
	feed(LEG_AUDIO, 0);
	bytes = kit_sent_to(0, &viewer.addr, first);
	feed(LEG_AUDIO, 1);
	kit_forget_sent(0);
	ask_for(0, leg_conf(LEG_AUDIO)->ssrc, (uint32_t)first_seq << 16);
	assert_int_equal(kit_sent_to(0, &viewer.addr, again), bytes);
	assert_memory_equal(first, again, bytes);
	assert_int_equal(leg_state(LEG_AUDIO)->resent, 1);
	kit_viewer_fini(&viewer);
}

// The stream is another worker's.
static void any_worker_reads_the_history(void **state)
{
	play(1, SRTP_PROFILE_GCM128, true);
	hear_some();
	ask_for(1, leg_conf(LEG_VIDEO)->ssrc, (uint32_t)seq_of(20) << 16 | 1);
	expect_rtx(1, 20, 65530);
	expect_rtx(1, 21, 65531);
	// A stream that goes takes it along, once both workers are past it.
	assert_int_equal(kit_command(1, RING_PEER_REMOVE, 0, 1), 0);
	kit_forget_sent(1);
	assert_int_equal(kit_command(0, RING_STREAM_REMOVE, 0, 1), 0);
	assert_non_null(kit.workers[0].kept_dead);
	kit_step_ms(0, 30);
	assert_non_null(kit.workers[0].kept_dead);
	kit_step(1);
	kit_step_ms(0, 30);
	assert_null(kit.workers[0].kept_dead);
	kit_viewer_fini(&viewer);
}

// F15, F19: the SSRC of retransmissions has its own reports and good-bye, once it is in use.
static void retransmissions_are_reported(void **state)
{
	uint8_t pkt[KIT_PKT_BYTES];
	unsigned int n_reports = 0, n_byes = 0;
	uint16_t bytes;

	play(0, SRTP_PROFILE_GCM128, true);
	hear_some();
	kit_step_ms(0, 20); // the stream's clock is looked at
	ask(20, 3);
	for (int i = 20; i < 23; i++)
		expect_rtx(0, i, (uint16_t)(65510 + i));
	kit.reports = true;
	kit.workers[0].report_ns = region_now_ns();
	kit_step_ms(0, 900);
	while ((bytes = kit_viewer_rtcp(&viewer, 0, pkt)) > 0) {
		if (get32(pkt + 4) != leg_conf(LEG_VIDEO)->rtx_ssrc)
			continue;
		n_reports++;
		assert_int_equal(get32(pkt + 20), 3);
		assert_int_equal(get32(pkt + 24), sent[20].payload_bytes + sent[21].payload_bytes +
							  sent[22].payload_bytes + 6);
	}
	assert_in_range(n_reports, 1, 2);
	assert_int_equal(kit_command(0, RING_PEER_REMOVE, 0, 1), 0);
	while ((bytes = kit_viewer_rtcp(&viewer, 0, pkt)) > 0)
		n_byes += get32(pkt + bytes - 4) == leg_conf(LEG_VIDEO)->rtx_ssrc;
	assert_int_equal(n_byes, 1);
	kit_viewer_fini(&viewer);
}

// No number of theirs is used twice, whoever died.
static void retransmissions_go_on_behind_a_leap(void **state)
{
	play(0, SRTP_PROFILE_GCM128, true);
	hear_some();
	ask(20, 0);
	expect_rtx(0, 20, 65530);
	kit_restart();
	viewer.conf = &kit.region.peers[0].conf;
	ask(20, 0);
	assert_int_equal(misses(REGION_MISS_NEVER), 1);
	expect_nothing(0);
	sent[0] = kit_rtp_make(900, 900000, IDR, true);
	kit_feed_rtp(0, 0, LEG_VIDEO, &sent[0]);
	kit_step(0);
	sealed_bytes[0] = kit_sent_to(0, &viewer.addr, sealed[0]);
	first_seq = (uint16_t)(first_seq + N_SENT + REGION_INDEX_JUMP);
	ask(0, 0);
	expect_rtx(0, 0, (uint16_t)(65531 + REGION_INDEX_JUMP));
	kit_viewer_fini(&viewer);
}

// ---- what is not -------------------------------------------------------------------------------

static void what_was_never_sent(void **state)
{
	play(0, SRTP_PROFILE_GCM128, true);
	ask(-1, 0);
	ask(-1000, 0);
	ask(N_SENT, 0);
	ask(N_SENT + 20000, 0xffff);
	assert_int_equal(misses(REGION_MISS_NEVER), 20);
	ask_for(0, leg_conf(LEG_VIDEO)->rtx_ssrc, 65530u << 16);
	assert_int_equal(misses(REGION_MISS_RTX), 1);
	ask_for(0, 0xdeadbeef, (uint32_t)seq_of(3) << 16);
	expect_nothing(0);
	assert_int_equal(leg_state(LEG_VIDEO)->nacks, 4);
	assert_int_equal(leg_state(LEG_VIDEO)->resent, 0);
	kit_viewer_fini(&viewer);
}

static void what_was_not_agreed_on(void **state)
{
	play(0, SRTP_PROFILE_GCM128, true);
	kit.workers[0].peers[0]->repair[LEG_VIDEO].nack = false;
	ask(3, 7);
	assert_int_equal(misses(REGION_MISS_UNASKED), 4);
	expect_nothing(0);
	kit_viewer_fini(&viewer);
}

// A second request for the same within one round trip is answered by what is under way.
static void once_a_round_trip(void **state)
{
	play(0, SRTP_PROFILE_GCM128, true);
	kit.workers[0].peers[0]->rtt_us = 100000;
	ask(3, 1);
	ask(3, 0);
	ask(4, 1);
	assert_int_equal(leg_state(LEG_VIDEO)->resent, 3);
	assert_int_equal(misses(REGION_MISS_REPEATED), 2);
	usleep(101000);
	ask(3, 0);
	assert_int_equal(leg_state(LEG_VIDEO)->resent, 4);
	assert_int_equal(misses(REGION_MISS_REPEATED), 2);
	kit_viewer_fini(&viewer);
}

// Both legs are remembered in one place, and packets of one SEQ are not taken for each other.
static void once_each_for_picture_and_sound(void **state)
{
	play(0, SRTP_PROFILE_GCM128, true);
	kit.workers[0].peers[0]->rtt_us = 100000;
	feed(LEG_AUDIO, 0);
	ask(0, 0);
	ask_for(0, leg_conf(LEG_AUDIO)->ssrc, (uint32_t)first_seq << 16);
	assert_int_equal(leg_state(LEG_VIDEO)->resent, 1);
	assert_int_equal(leg_state(LEG_AUDIO)->resent, 1);
	ask_for(0, leg_conf(LEG_AUDIO)->ssrc, (uint32_t)first_seq << 16);
	assert_int_equal(leg_state(LEG_AUDIO)->missed[REGION_MISS_REPEATED], 1);
	kit_viewer_fini(&viewer);
}

// At least a second, and four round trips.
static void what_is_of_no_use_any_more(void **state)
{
	play(0, SRTP_PROFILE_GCM128, true);
	usleep(1050000);
	ask(3, 0);
	assert_int_equal(misses(REGION_MISS_GONE), 1);
	kit.workers[0].peers[0]->rtt_us = 500000;
	ask(3, 0);
	assert_int_equal(misses(REGION_MISS_GONE), 1);
	assert_int_equal(leg_state(LEG_VIDEO)->resent, 1);
	kit_viewer_fini(&viewer);
}

// A gap of the input is none of ours.
static void what_never_came_in(void **state)
{
	struct kit_rtp after;

	play(0, SRTP_PROFILE_GCM128, true);
	after = kit_rtp_make((uint16_t)(65500 + N_SENT + 2), 500000, SLICE, true);
	kit_feed_rtp(0, 0, LEG_VIDEO, &after);
	kit_step(0);
	kit_forget_sent(0);
	ask(N_SENT, 3);
	assert_int_equal(misses(REGION_MISS_GONE), 2);
	assert_int_equal(leg_state(LEG_VIDEO)->resent, 1);
	kit_viewer_fini(&viewer);
}

// 16 KiB to begin with; then the share of what the stream has a second.
static void no_more_than_the_budget(void **state)
{
	uint64_t first;

	play(0, SRTP_PROFILE_GCM128, true);
	kit.workers[0].peers[0]->rtt_us = 1;
	for (int i = 0; i < 40; i++)
		ask(17, 0xffff);
	first = leg_state(LEG_VIDEO)->resent_bytes;
	assert_in_range(first, 16384, 16384 + 2500);
	assert_true(misses(REGION_MISS_BUDGET) > 100);
	// Half of 400 kB a second for 50 ms.
	kit.edge.kept[0]->byte_rate[LEG_VIDEO] = 400000;
	kit_forget_sent(0);
	usleep(50000);
	for (int i = 0; i < 4; i++)
		ask(17, 0xffff);
	assert_in_range(leg_state(LEG_VIDEO)->resent_bytes - first, 8000, 30000);
	kit_forget_sent(0);
	kit_viewer_fini(&viewer);
}

// The stream's bit rate is measured.
static void the_rate_is_the_streams(void **state)
{
	uint64_t bytes = 0;

	play(0, SRTP_PROFILE_GCM128, true);
	kit_step_ms(0, 520);
	kit_step(0);
	for (int i = 0; i < N_SENT; i++)
		bytes += sent[i].payload_bytes;
	assert_in_range(kit.edge.kept[0]->byte_rate[LEG_VIDEO], bytes, bytes * 2);
	kit_viewer_fini(&viewer);
}

// A worker that is behind has no time for it.
static void new_packets_come_first(void **state)
{
	play(0, SRTP_PROFILE_GCM128, true);
	kit.workers[0].n_waiting += WORKER_WAITING_MAX;
	ask(3, 1);
	kit.workers[0].n_waiting -= WORKER_WAITING_MAX;
	assert_int_equal(misses(REGION_MISS_BUSY), 2);
	expect_nothing(0);
	kit_viewer_fini(&viewer);
}

// ---- malice ------------------------------------------------------------------------------------

// A thousand, each for all that there is: bounded in what is looked at and in what is sent.
static void a_flood_costs_a_counter(void **state)
{
	uint32_t entries[MAX_ENTRIES];
	struct kit_rtp p;
	uint64_t asked = 0, answered;

	play(0, SRTP_PROFILE_GCM128, true);
	hear_some();
	for (int i = 0; i < MAX_ENTRIES; i++)
		entries[i] = (uint32_t)seq_of(i % N_SENT) << 16 | 0xffff;
	for (int k = 0; k < 1000; k++) {
		uint8_t pkt[KIT_PKT_BYTES];

		say(0, pkt, nack_write(pkt, leg_conf(LEG_VIDEO)->ssrc, entries, MAX_ENTRIES));
		asked += MAX_ENTRIES * 17;
		kit_forget_sent(0);
	}
	answered = leg_state(LEG_VIDEO)->resent;
	assert_in_range(answered, 1, 2 * N_SENT);
	assert_true(misses(REGION_MISS_FLOOD) > asked * 9 / 10);
	for (int reason = 0; reason < REGION_MISS_COUNT; reason++)
		answered += misses(reason);
	assert_int_equal(answered, asked);
	// New packets come as if nothing were.
	p = feed(LEG_VIDEO, N_SENT);
	kit_viewer_expect(&viewer, 0, LEG_VIDEO, &p, seq_of(N_SENT));
	kit_viewer_fini(&viewer);
}

static void forged_and_replayed(void **state)
{
	const uint32_t entry = (uint32_t)seq_of(5) << 16;
	uint8_t pkt[KIT_PKT_BYTES], bent[KIT_PKT_BYTES];
	uint16_t bytes;

	play(0, SRTP_PROFILE_GCM128, true);
	bytes = nack_write(pkt, leg_conf(LEG_VIDEO)->ssrc, &entry, 1);
	bytes = kit_viewer_seal(&viewer, pkt, bytes);
	memcpy(bent, pkt, bytes);
	bent[bytes - 5] ^= 1;
	kit_feed(0, &viewer.addr, KIT_MEDIA_PORT, bent, bytes);
	kit_step(0);
	assert_int_equal(kit.region.workers[0].drops[DROP_SRTCP_AUTH], 1);
	assert_int_equal(leg_state(LEG_VIDEO)->nacks, 0);
	kit_feed(0, &viewer.addr, KIT_MEDIA_PORT, pkt, bytes);
	kit_feed(0, &viewer.addr, KIT_MEDIA_PORT, pkt, bytes);
	kit_step(0);
	assert_int_equal(kit.region.workers[0].drops[DROP_SRTCP_REPLAY], 1);
	assert_int_equal(leg_state(LEG_VIDEO)->nacks, 1);
	kit_forget_sent(0);
	kit_viewer_fini(&viewer);
}

// A length that runs past the packet's end: nothing of it is read.
static void longer_than_it_is(void **state)
{
	static const uint16_t words[] = { 4, 350, 0x3fff, 0xffff };
	const uint32_t entry = (uint32_t)seq_of(5) << 16 | 0xffff;
	uint8_t pkt[KIT_PKT_BYTES];

	play(0, SRTP_PROFILE_GCM128, true);
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		uint16_t bytes = nack_write(pkt, leg_conf(LEG_VIDEO)->ssrc, &entry, 1);

		put32(pkt + 8, 0x81cd0000u | words[i]);
		say(0, pkt, bytes);
		assert_int_equal(
			kit.region.workers[0].drops[DROP_SRTCP_MALFORMED], (uint64_t)i + 1);
	}
	expect_nothing(0);
	assert_int_equal(leg_state(LEG_VIDEO)->nacks, 0);
	kit_viewer_fini(&viewer);
}

// A NACK without an entry, and feedback of other kinds.
static void nothing_to_say(void **state)
{
	uint8_t pkt[KIT_PKT_BYTES];

	play(0, SRTP_PROFILE_GCM128, true);
	say(0, pkt, nack_write(pkt, leg_conf(LEG_VIDEO)->ssrc, NULL, 0));
	for (uint8_t format = 0; format < 32; format++) {
		const uint32_t entry = (uint32_t)seq_of(format) << 16;
		uint16_t bytes = nack_write(pkt, leg_conf(LEG_VIDEO)->ssrc, &entry, 1);

		pkt[8] = (uint8_t)(0x80 | format);
		if (format != 1)
			say(0, pkt, bytes);
	}
	expect_nothing(0);
	assert_int_equal(leg_state(LEG_VIDEO)->nacks, 0);
	kit_viewer_fini(&viewer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		kit_test(a_retransmission_unwraps_to_the_original),
		kit_test(without_rtx_a_packet_leaves_as_it_was),
		kit_test(sound_leaves_as_it_was),
		kit_test(any_worker_reads_the_history),
		kit_test(retransmissions_are_reported),
		kit_test(retransmissions_go_on_behind_a_leap),
		kit_test(what_was_never_sent),
		kit_test(what_was_not_agreed_on),
		kit_test(once_a_round_trip),
		kit_test(once_each_for_picture_and_sound),
		kit_test(what_is_of_no_use_any_more),
		kit_test(what_never_came_in),
		kit_test(no_more_than_the_budget),
		kit_test(the_rate_is_the_streams),
		kit_test(new_packets_come_first),
		kit_test(a_flood_costs_a_counter),
		kit_test(forged_and_replayed),
		kit_test(longer_than_it_is),
		kit_test(nothing_to_say),
	};

	return cmocka_run_group_tests(tests, kit_group_setup, kit_group_teardown);
}
