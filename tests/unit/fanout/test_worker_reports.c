// RTCP with the viewers: reports that go, reports and feedback that come.
// Source: RFC 3550 6.4; RFC 4585 6; checklist F15 to F20, F24.
#include <string.h>

#include "tests/unit/fanout/play_kit.h"

// F20: where the source begins anew, its viewers have a report at once, and it tells the source's
// own time where it told it (F16): by the wall clock of the source, not ours.
static void reports_follow_a_new_source_at_once(void **state)
{
	uint8_t sr[28] = { 0x80, 200, 0, 6 }, pkt[KIT_PKT_BYTES];
	const struct net_addr from = kit_addr("198.18.77.2", 5000);
	const uint32_t words[] = { 0, htonl(0xaa000000), 0, htonl(90000) };
	unsigned int n[LEG_COUNT] = { 0 };
	uint16_t bytes;

	kit_step_ms(0, 30);
	memcpy(sr + 4, words, sizeof(words));
	for (int leg = 0; leg < LEG_COUNT; leg++) {
		const uint32_t ssrc = htonl(kit.region.streams[0].norm[leg].ssrc);
		const uint32_t ts = htonl(leg == LEG_VIDEO ? 90000 : 48000);

		memcpy(sr + 4, &ssrc, 4);
		memcpy(sr + 16, &ts, 4);
		kit_feed(0, &from, leg == LEG_VIDEO ? KIT_VIDEO_PORT + 1 : KIT_AUDIO_PORT + 1, sr,
			sizeof(sr));
		kit_step(0);
	}
	assert_int_equal(kit.region.streams[0].legs[LEG_VIDEO].source_reports, 1);
	kit_step_ms(0, 120); // a while since it began
	kit_forget_sent(0);
	feed(LEG_VIDEO, 2, 90000 + 20 * 90000); // a leap: anchored anew
	kit.reports = true;
	kit.workers[0].report_ns = region_now_ns();
	kit_step_ms(0, 80);
	kit.reports = false;
	while ((bytes = kit_viewer_rtcp(&viewer, 0, pkt)) > 0) {
		struct report r = read_report(pkt, bytes);

		n[r.ssrc == leg_conf(LEG_VIDEO)->ssrc ? LEG_VIDEO : LEG_AUDIO]++;
		assert_in_range(r.ntp >> 32, 0xaa000000, 0xaa000004);
	}
	assert_in_range(n[LEG_VIDEO], 1, 2);
	assert_in_range(n[LEG_AUDIO], 1, 2);
}

// A source that begins anew all the time has nobody flooded with reports.
static void a_restless_source_is_no_flood(void **state)
{
	uint64_t from, gone_ms;
	unsigned int n = 0;
	uint8_t pkt[KIT_PKT_BYTES];

	kit_step_ms(0, 30);
	kit_forget_sent(0);
	kit.reports = true;
	from = kit.workers[0].report_ns = region_now_ns();
	for (uint16_t i = 0; i < 60; i++) {
		feed(LEG_AUDIO, (uint16_t)(2 + i), (i + 1) * 20u * 48000); // a leap
		kit_step_ms(0, 12);
	}
	gone_ms = (region_now_ns() - from) / 1000000;
	kit.reports = false;
	while (kit_viewer_rtcp(&viewer, 0, pkt) > 0)
		n++;
	assert_true(kit.region.streams[0].legs[LEG_AUDIO].restarts >= 60);
	// Of both legs, those of every round too.
	assert_in_range(n, 4, 2 * (gone_ms / 100 + 2 + gone_ms / 800 + 1));
}

// F15: within a second of the first packet, then again within the next; NTP and timestamp name one
// instant, and the counts leave out what is not payload.
static void reports_come_every_second(void **state)
{
	unsigned int seen[LEG_COUNT] = { 0 };
	uint8_t pkt[KIT_PKT_BYTES];
	uint16_t bytes;

	kit.reports = true;
	for (int second = 1; second <= 2; second++) {
		kit_step_ms(0, 1000);
		while ((bytes = kit_viewer_rtcp(&viewer, 0, pkt)) > 0) {
			struct report r = read_report(pkt, bytes);
			enum leg_kind leg = r.ssrc == leg_conf(LEG_VIDEO)->ssrc ? LEG_VIDEO
										: LEG_AUDIO;
			// Its packet arrived at arrived_ns: its timestamp and that NTP time.
			uint64_t arrived_ns = kit.region.streams[0].norm[leg].last_rx_ns;
			int64_t since_ns =
				(int64_t)((r.ntp - worker_ntp(kit.edge.ntp_base, arrived_ns)) *
						  1000 >>
					  32) *
				1000000;
			uint32_t first = leg == LEG_VIDEO ? 90000 : 48000;
			uint32_t want = first + leg_conf(leg)->ts_base +
					leg_clock_span(leg, since_ns);

			assert_int_equal(r.ssrc, leg_conf(leg)->ssrc);
			assert_in_range(
				r.ts - want + leg_clock_hz(leg) / 100, 0, leg_clock_hz(leg) / 50);
			assert_int_equal(r.n_bye, 0);
			assert_memory_equal(pkt + 20, "\0\0\0\1", 4);
			assert_memory_equal(pkt + 24, "\0\0\0\x9", 4); // 8 + seq bytes
			seen[leg]++;
		}
		// One more at once, as the source began.
		assert_in_range(seen[LEG_VIDEO], second, 2 * second + 1);
		assert_in_range(seen[LEG_AUDIO], second, 2 * second + 1);
	}
	assert_int_equal(leg_state(LEG_VIDEO)->sent.reports, seen[LEG_VIDEO]);
}

// Of a leg that sent nothing there is nothing to report.
static void no_report_before_media(void **state)
{
	uint8_t pkt[KIT_PKT_BYTES];

	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	kit_peer_add(0, 0, 0, SRTP_PROFILE_GCM128);
	kit_viewer_init(&viewer, 0);
	kit.reports = true;
	kit_step_ms(0, 900);
	assert_int_equal(kit_viewer_rtcp(&viewer, 0, pkt), 0);
	kit_viewer_fini(&viewer);
}

// ---- feedback ----------------------------------------------------------------------------------

// Return: what the viewer's next report echoes of the newest sender report.
static uint32_t newest_video_lsr(void)
{
	uint8_t pkt[KIT_PKT_BYTES];
	uint32_t lsr = 0;
	uint16_t bytes;

	kit.reports = true;
	kit_step_ms(0, 1000);
	kit.reports = false;
	while ((bytes = kit_viewer_rtcp(&viewer, 0, pkt)) > 0) {
		struct report r = read_report(pkt, bytes);

		if (r.ssrc == leg_conf(LEG_VIDEO)->ssrc)
			lsr = (uint32_t)(r.ntp >> 16);
	}
	assert_int_not_equal(lsr, 0);
	return lsr;
}

static void receiver_reports_and_plis_count(void **state)
{
	struct region_peer_state *s = &kit.region.peers[0].state;
	uint8_t pkt[KIT_PKT_BYTES];
	uint32_t lsr, rtt_us;
	uint16_t bytes;

	lsr = newest_video_lsr();
	// It left at least 250 ms ago and lay there for 100.
	kit_step_ms(0, 250);
	bytes = feedback_write(pkt, lsr, 65536 / 10);
	send_to_media_port(pkt, kit_viewer_seal(&viewer, pkt, bytes));
	assert_int_equal(s->srtcp_packets, 1);
	assert_int_equal(s->last_rx_ns, kit.workers[0].now_ns);
	assert_int_equal(leg_state(LEG_VIDEO)->rr_count, 1);
	assert_int_equal(leg_state(LEG_VIDEO)->rr_fraction_lost, 64);
	assert_int_equal(leg_state(LEG_VIDEO)->rr_lost, (uint32_t)-16);
	assert_int_equal(leg_state(LEG_VIDEO)->rr_highest_seq, 0x10007);
	assert_int_equal(leg_state(LEG_VIDEO)->rr_jitter, 33);
	assert_in_range(leg_state(LEG_VIDEO)->rtt_us, 149000, 1200000);
	assert_int_equal(leg_state(LEG_VIDEO)->plis, 1);
	assert_int_equal(leg_state(LEG_VIDEO)->firs, 1);
	assert_int_equal(leg_state(LEG_AUDIO)->rr_count, 0);
	// 6.4.1: LSR 0 says that no report came yet; and what we never sent, or left later than the
	// viewer says it had it, tells nothing.
	rtt_us = leg_state(LEG_VIDEO)->rtt_us;
	for (uint32_t i = 0; i < 3; i++) {
		bytes = feedback_write(pkt, i == 0 ? 0 : lsr + 2 - i, i == 2 ? 65536 * 60 : 0);
		send_to_media_port(pkt, kit_viewer_seal(&viewer, pkt, bytes));
		assert_int_equal(leg_state(LEG_VIDEO)->rr_count, 2 + i);
		assert_int_equal(leg_state(LEG_VIDEO)->rtt_us, rtt_us);
	}
}

static void replay_and_forgery_are_dropped(void **state)
{
	struct region_peer_state *s = &kit.region.peers[0].state;
	uint8_t pkt[KIT_PKT_BYTES], sealed[KIT_PKT_BYTES];
	uint16_t bytes = kit_viewer_seal(&viewer, sealed, feedback_write(sealed, 0, 0));

	for (uint16_t at = 0; at < bytes; at++) {
		memcpy(pkt, sealed, bytes);
		pkt[at] ^= at < 2 ? 1 : 0x10; // still RTCP by its first bytes
		send_to_media_port(pkt, bytes);
	}
	assert_int_equal(drops(DROP_SRTCP_AUTH), bytes);
	assert_int_equal(s->srtcp_packets, 0);
	assert_int_equal(leg_state(LEG_VIDEO)->plis, 0);
	send_to_media_port(sealed, bytes);
	assert_int_equal(s->srtcp_packets, 1);
	send_to_media_port(sealed, bytes);
	assert_int_equal(drops(DROP_SRTCP_REPLAY), 1);
	assert_int_equal(s->srtcp_packets, 1);
	assert_int_equal(leg_state(LEG_VIDEO)->plis, 1);
	send_to_media_port(sealed, 8);
	assert_int_equal(drops(DROP_SRTCP_MALFORMED), 1);
}

// Authentic, yet no RTCP: the viewer is alive, but what it says is not read.
static void malformed_inside_the_seal(void **state)
{
	uint8_t pkt[KIT_PKT_BYTES];
	uint16_t bytes = feedback_write(pkt, 0, 0);

	pkt[71] = 9; // the FIR's length
	send_to_media_port(pkt, kit_viewer_seal(&viewer, pkt, bytes));
	assert_int_equal(drops(DROP_SRTCP_MALFORMED), 1);
	assert_int_equal(kit.region.peers[0].state.srtcp_packets, 1);
	assert_int_equal(leg_state(LEG_VIDEO)->rr_count, 0);
}

// The viewer of another worker: its SRTCP is handed over.
static void feedback_by_the_other_worker(void **state)
{
	struct kit_viewer other;
	uint8_t pkt[KIT_PKT_BYTES];
	uint16_t bytes;

	kit_peer_add(1, 0, 1, SRTP_PROFILE_CM80);
	kit_viewer_init(&other, 1);
	bytes = feedback_write(pkt, 0, 0);
	bytes = kit_viewer_seal(&other, pkt, bytes);
	kit_feed(0, &other.addr, KIT_MEDIA_PORT, pkt, bytes);
	kit_step(0);
	assert_int_equal(kit.region.peers[1].state.srtcp_packets, 0);
	kit_step(1);
	assert_int_equal(kit.region.peers[1].state.srtcp_packets, 1);
	kit_viewer_fini(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		play_test(reports_follow_a_new_source_at_once),
		play_test(a_restless_source_is_no_flood),
		play_test(reports_come_every_second),
		kit_test(no_report_before_media),
		play_test(receiver_reports_and_plis_count),
		play_test(replay_and_forgery_are_dropped),
		play_test(malformed_inside_the_seal),
		play_test(feedback_by_the_other_worker),
	};

	return cmocka_run_group_tests(tests, kit_group_setup, kit_group_teardown);
}
