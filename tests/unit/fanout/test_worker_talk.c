// What is said around the media: reports and feedback, STUN and DTLS on their way to control and
// back, good-byes.
// Checklist: E11, E12, E13, F15, F18, F19, F24, F25, F30, F31; RFC 7983.
#include "tests/unit/fanout/edge_kit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/rtcp/rtcp.h"

static struct kit_viewer viewer;

static uint64_t drops(enum drop_reason reason)
{
	return kit.region.workers[0].drops[reason];
}

static void feed(enum leg_kind leg, uint16_t seq, uint32_t ts)
{
	const struct kit_rtp p = kit_rtp_make(seq, ts, leg == LEG_VIDEO ? 0x65 : 0x7c, true);

	kit_feed_rtp(0, 0, leg, &p);
	kit_step(0);
}

// A stream and a viewer that plays both legs.
static int play_setup(void **state)
{
	if (kit_setup(state) < 0)
		return -1;
	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	kit_peer_add(0, 0, 0, SRTP_PROFILE_GCM128);
	kit_viewer_init(&viewer, 0);
	feed(LEG_VIDEO, 1, 90000);
	feed(LEG_AUDIO, 1, 48000);
	kit_forget_sent(0);
	return 0;
}

static int play_teardown(void **state)
{
	kit_viewer_fini(&viewer);
	return kit_teardown(state);
}

#define play_test(f) cmocka_unit_test_setup_teardown(f, play_setup, play_teardown)

static const struct region_peer_leg *leg_conf(enum leg_kind leg)
{
	return &viewer.conf->legs[leg];
}

static struct region_peer_leg_state *leg_state(enum leg_kind leg)
{
	return &kit.region.peers[0].state.legs[leg];
}

// ---- reports -----------------------------------------------------------------------------------

struct report {
	uint32_t ssrc;
	uint64_t ntp;
	uint32_t ts;
	unsigned int n_bye;
};

// F18: an SR first, and the CNAME.
static struct report read_report(const uint8_t *pkt, uint16_t bytes)
{
	struct report r = { 0 };
	struct rtcp_walk walk;
	struct rtcp_packet p;

	assert_int_equal(rtcp_walk_begin(&walk, pkt, bytes), 0);
	assert_true(rtcp_walk_next(&walk, &p));
	assert_true(rtcp_sender_get(&p, &r.ssrc, &r.ntp, &r.ts));
	assert_true(rtcp_walk_next(&walk, &p));
	assert_int_equal(p.type, RTCP_SDES);
	assert_memory_equal(p.body + 4, "\1\4mill", 6);
	while (rtcp_walk_next(&walk, &p)) {
		assert_int_equal(p.type, RTCP_BYE);
		assert_memory_equal(p.body, pkt + 4, 4);
		r.n_bye++;
	}
	return r;
}

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
	kit_step_ms(0, 30);
	kit_forget_sent(0);
	feed(LEG_VIDEO, 2, 90000 + 20 * 90000); // a leap: anchored anew
	kit.reports = true;
	kit.workers[0].report_ns = region_now_ns();
	kit_step_ms(0, 40);
	kit.reports = false;
	while ((bytes = kit_viewer_rtcp(&viewer, 0, pkt)) > 0) {
		struct report r = read_report(pkt, bytes);

		n[r.ssrc == leg_conf(LEG_VIDEO)->ssrc ? LEG_VIDEO : LEG_AUDIO]++;
		assert_in_range(r.ntp >> 32, 0xaa000000, 0xaa000004);
	}
	assert_in_range(n[LEG_VIDEO], 1, 2);
	assert_in_range(n[LEG_AUDIO], 1, 2);
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

static void put32(uint8_t *at, uint32_t v)
{
	v = htonl(v);
	memcpy(at, &v, 4);
}

// RR of two blocks (video, unknown), PLI and FIR.
static uint16_t feedback_write(uint8_t *pkt, uint32_t lsr, uint32_t dlsr)
{
	memset(pkt, 0, 200);
	memcpy(pkt, "\x82\xc9\0\x0d", 4);
	put32(pkt + 4, 1); // F24: whoever reports
	put32(pkt + 8, leg_conf(LEG_VIDEO)->ssrc);
	put32(pkt + 12, 64u << 24 | 0xfffff0);
	put32(pkt + 16, 0x10007);
	put32(pkt + 20, 33);
	put32(pkt + 24, lsr);
	put32(pkt + 28, dlsr);
	put32(pkt + 32, 0xdeadbeef);
	memcpy(pkt + 56, "\x81\xce\0\2", 4);
	put32(pkt + 60, 1);
	put32(pkt + 64, leg_conf(LEG_VIDEO)->ssrc);
	memcpy(pkt + 68, "\x84\xce\0\4", 4);
	put32(pkt + 72, 1);
	put32(pkt + 80, leg_conf(LEG_VIDEO)->ssrc);
	return 88;
}

static void send_to_media_port(const uint8_t *pkt, uint16_t bytes)
{
	kit_feed(0, &viewer.addr, KIT_MEDIA_PORT, pkt, bytes);
	kit_step(0);
}

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

// ---- the encoder's side ------------------------------------------------------------------------

// RFC 5761: on the port above or on the media's own; whatever else comes there is counted twice,
// with the worker and with the leg.
static void encoder_reports_on_either_port(void **state)
{
	const struct net_addr encoder = kit_addr("198.18.77.3", 7000);
	const struct region_leg_state *leg = &kit.region.streams[0].legs[LEG_VIDEO];
	uint8_t sr[28] = { 0x80, 200, 0, 6 };

	put32(sr + 4, 0xabc0 + LEG_VIDEO);
	put32(sr + 8, 0xe5000000);
	kit_feed(0, &encoder, KIT_VIDEO_PORT, sr, sizeof(sr));
	kit_feed(0, &encoder, KIT_VIDEO_PORT + 1, sr, sizeof(sr));
	kit_step(0);
	assert_int_equal(leg->source_reports, 2);
	sr[3] = 7;
	kit_feed(0, &encoder, KIT_VIDEO_PORT, sr, sizeof(sr));
	kit_feed(0, &encoder, KIT_VIDEO_PORT + 1, (const uint8_t *)"", 0);
	kit_step(0);
	assert_int_equal(leg->drops[DROP_INGEST_RTCP_BAD], 2);
	assert_int_equal(drops(DROP_INGEST_RTCP_BAD), 2);
	kit_feed(0, &encoder, KIT_VIDEO_PORT, (const uint8_t *)"", 0);
	kit_feed(0, &encoder, KIT_VIDEO_PORT, (const uint8_t *)"not rtp at all", 14);
	kit_step(0);
	assert_int_equal(leg->drops[DROP_INGEST_SHORT], 1);
	assert_int_equal(leg->drops[DROP_INGEST_NOT_RTP], 1);
	assert_true(net_addr_equal(&leg->last_refused, &encoder));
}

static void a_leg_takes_its_own_group_alone(void **state)
{
	const struct net_addr encoder = kit_addr("198.18.77.3", 7000);
	static const char *const to[] = { "198.18.77.1", "239.77.0.1", "239.77.0.2" };
	struct region_leg_conf *conf = &kit.region.streams[0].conf.legs[LEG_VIDEO];
	const struct region_leg_state *leg = &kit.region.streams[0].legs[LEG_VIDEO];
	uint8_t sr[28] = { 0x80, 200, 0, 6 };

	put32(sr + 4, 0xabc0 + LEG_VIDEO);
	put32(sr + 8, 0xe5000000);
	// Without a group nothing that goes to one is ours; with one, nothing else is.
	for (unsigned int grouped = 0; grouped < 2; grouped++) {
		for (unsigned int i = 0; i < 3; i++) {
			const struct net_addr at = kit_addr(to[i], KIT_VIDEO_PORT + 1);
			uint64_t reports = leg->source_reports, refused = drops(DROP_NOT_OURS);
			bool ours = i == grouped;

			kit_feed_to(0, &encoder, &at, sr, sizeof(sr));
			kit_step(0);
			assert_int_equal(leg->source_reports - reports, ours);
			assert_int_equal(drops(DROP_NOT_OURS) - refused, !ours);
		}
		conf->group = kit_addr("239.77.0.1", 0);
		assert_int_equal(kit_stream_set(0), 0);
	}
	conf->group = kit_addr("198.18.77.1", 0);
	assert_int_equal(kit_command(0, RING_STREAM_SET, 0, 1), -EINVAL);
}

// ---- the media port ----------------------------------------------------------------------------

// RFC 7983 7: by first byte; F25, E16.
static void first_byte_decides(void **state)
{
	const struct net_addr stranger = kit_addr("198.18.77.2", 4999);

	for (int first = 0; first < 256; first++) {
		const uint8_t rtp[20] = { (uint8_t)first, 96 }, rtcp[20] = { (uint8_t)first, 201 };
		enum drop_reason want = first >= 128 && first <= 191 ? DROP_PEER_MEDIA
								     : DROP_DEMUX_UNKNOWN;
		uint64_t punted = kit.region.workers[0].punted_packets, before = drops(want);
		bool up = first <= 3 || (first >= 20 && first <= 63);
		struct ring_packet p;

		kit_feed(0, &stranger, KIT_MEDIA_PORT, rtp, sizeof(rtp));
		kit_step(0);
		assert_int_equal(kit.region.workers[0].punted_packets, punted + up);
		assert_int_equal(drops(want), before + !up);
		assert_int_equal(
			ring_get(kit.region.rings[0].punt, &p, sizeof(p)), up ? 0 : -ENOENT);
		before = drops(DROP_PEER_UNKNOWN);
		kit_feed(0, &stranger, KIT_MEDIA_PORT, rtcp, sizeof(rtcp));
		kit_step(0);
		assert_int_equal(drops(DROP_PEER_UNKNOWN), before + (first >= 128 && first <= 191));
		ring_get(kit.region.rings[0].punt, &p, sizeof(p));
	}
	kit_feed(0, &stranger, KIT_MEDIA_PORT, (const uint8_t *)"", 0);
	kit_feed(0, &stranger, KIT_MEDIA_PORT + 1, (const uint8_t *)"x", 1);
	kit_step(0);
	assert_int_equal(drops(DROP_NOT_OURS), 1);
}

static void stun_goes_up_with_its_path(void **state)
{
	uint8_t stun[RING_PACKET_MAX_BYTES + 1] = { 0, 1, 0, 8 };
	struct ring_packet up;
	uint64_t wakes = 0;

	atomic_store(&kit.region.header->control_waits, 1);
	for (int i = 4; i < 1600; i++)
		stun[i] = (uint8_t)i;
	kit_feed(0, &viewer.addr, KIT_MEDIA_PORT, stun, 28);
	kit_step(0);
	assert_int_equal(read(kit.edge.wake_fd, &wakes, sizeof(wakes)), sizeof(wakes));
	assert_int_equal(atomic_load(&kit.region.header->control_waits), 0);
	assert_int_equal(ring_get(kit.region.rings[0].punt, &up, sizeof(up)), 0);
	assert_int_equal(up.pkt_bytes, 28);
	assert_memory_equal(up.pkt, stun, 28);
	assert_true(net_addr_equal(&up.path.remote, &viewer.addr));
	assert_int_equal(up.path.local.port_be, htons(KIT_MEDIA_PORT));
	assert_memory_equal(up.path.remote_mac, "\2\0\0\0\0\2", 6);
	assert_memory_equal(up.path.local_mac, "\2\0\0\0\0\1", 6);
	assert_int_equal(up.rx_ns, kit.workers[0].now_ns);
	assert_int_equal(up.worker, 0);
	for (int i = 28; i < RING_PACKET_MAX_BYTES; i++)
		assert_int_equal(up.pkt[i], 0);
	// The longest that fits, and one more; control is not woken when it does not wait.
	kit_feed(0, &viewer.addr, KIT_MEDIA_PORT, stun, RING_PACKET_MAX_BYTES);
	kit_feed(0, &viewer.addr, KIT_MEDIA_PORT, stun, RING_PACKET_MAX_BYTES + 1);
	kit_step(0);
	assert_int_equal(ring_get(kit.region.rings[0].punt, &up, sizeof(up)), 0);
	assert_memory_equal(up.pkt, stun, RING_PACKET_MAX_BYTES);
	assert_int_equal(drops(DROP_PUNT_TOO_LONG), 1);
	assert_int_equal(read(kit.edge.wake_fd, &wakes, sizeof(wakes)), -1);
}

static void punt_ring_full_is_counted(void **state)
{
	for (int i = 0; i < REGION_PACKET_SLOTS + 9; i++) {
		kit_feed(0, &viewer.addr, KIT_MEDIA_PORT, (const uint8_t *)"\x16\xfe\xfd", 3);
		kit_step(0);
	}
	assert_int_equal(kit.region.workers[0].punted_packets, REGION_PACKET_SLOTS - 1);
	assert_int_equal(drops(DROP_PUNT_RING_FULL), 10);
}

static void inject(struct ring_packet *down)
{
	assert_int_equal(ring_put(kit.region.rings[0].inject, down, sizeof(*down)), 0);
	kit_step(0);
}

static struct ring_packet answer_make(uint16_t bytes)
{
	struct ring_packet down = { .path = viewer.conf->path, .pkt_bytes = bytes };

	memset(down.pkt, 0x5a, sizeof(down.pkt));
	return down;
}

static void what_control_injects_is_sent(void **state)
{
	static const uint16_t sizes[] = { 1, 100, 1200, RING_PACKET_MAX_BYTES };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct ring_packet down = answer_make(sizes[i]);
		uint8_t pkt[KIT_PKT_BYTES];
		struct net_addr to;

		inject(&down);
		assert_int_equal(kit_sent(0, &to, pkt), sizes[i]);
		assert_memory_equal(pkt, down.pkt, sizes[i]);
		assert_true(net_addr_equal(&to, &viewer.addr));
	}
	assert_int_equal(kit.region.workers[0].injected_packets, 4);
}

// C28: STUN answers go the way that media goes, IPv6 too.
static void all_that_leaves_is_marked(void **state)
{
	struct ring_packet down = answer_make(100);
	uint8_t pkt[KIT_PKT_BYTES];
	struct net_addr to;

	feed(LEG_AUDIO, 2, 48960);
	assert_true(kit_sent(0, &to, pkt) > 0);
	assert_int_equal(kit.sent_dscp, kit.conf.media.dscp);
	inject(&down);
	assert_int_equal(kit_sent(0, &to, pkt), 100);
	assert_int_equal(kit.sent_dscp, kit.conf.media.dscp);
	down.path.local = kit_addr("fd77::1", KIT_MEDIA_PORT);
	down.path.remote = kit_addr("fd77::2", 9);
	inject(&down);
	assert_int_equal(kit_sent(0, &to, pkt), 100);
	assert_int_equal(kit.sent_dscp, kit.conf.media.dscp);
}

// A crowd's worth of packets, then a command: they leave first, however many they are.
static void what_was_injected_before_a_command_leaves_before_it(void **state)
{
	const struct ring_packet down = answer_make(100);
	uint8_t pkt[KIT_PKT_BYTES];
	struct net_addr to;

	kit_step_ms(0, 20); // the clocks are told to all
	for (int i = 0; i < 100; i++)
		assert_int_equal(ring_put(kit.region.rings[0].inject, &down, sizeof(down)), 0);
	assert_int_equal(kit_command(0, RING_PEER_REMOVE, 0, 1), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(kit_sent(0, &to, pkt), 100);
	// And the good-byes.
	assert_int_equal(kit_sent_count(0), 2);
	kit_forget_sent(0);
}

static void impossible_injections_are_counted(void **state)
{
	for (int how = 0; how < 6; how++) {
		struct ring_packet down = answer_make(100);

		if (how == 0)
			down.pkt_bytes = 0;
		if (how == 1)
			down.pkt_bytes = RING_PACKET_MAX_BYTES + 1;
		if (how == 2)
			down.pkt_bytes = UINT16_MAX;
		if (how == 3)
			down.path.local.port_be = htons(22);
		if (how == 4)
			down.path.remote.port_be = 0;
		if (how == 5)
			down.path.remote = kit_addr("fd77::2", 9);
		inject(&down);
		assert_int_equal(drops(DROP_INJECT_BAD), how + 1);
		assert_int_equal(kit_sent_count(0), 0);
	}
}

// ---- the end -----------------------------------------------------------------------------------

// F19: BYE for both SSRCs, and nothing afterwards.
static void removal_says_bye(void **state)
{
	bool said[LEG_COUNT] = { false };
	uint8_t pkt[KIT_PKT_BYTES];
	uint16_t bytes;

	kit_step_ms(0, 20); // the clocks are told to all
	assert_int_equal(kit_command(0, RING_PEER_REMOVE, 0, 1), 0);
	while ((bytes = kit_viewer_rtcp(&viewer, 0, pkt)) > 0) {
		struct report r = read_report(pkt, bytes);

		assert_int_equal(r.n_bye, 1);
		said[r.ssrc == leg_conf(LEG_AUDIO)->ssrc] = true;
	}
	assert_true(said[LEG_VIDEO] && said[LEG_AUDIO]);
	assert_int_equal(kit.region.workers[0].n_peers, 0);
	assert_int_equal(kit.viewers_on[0], 0);
	feed(LEG_VIDEO, 2, 93000);
	feed(LEG_AUDIO, 2, 48960);
	assert_int_equal(kit_sent_count(0), 0);
	bytes = kit_viewer_seal(&viewer, pkt, feedback_write(pkt, 0, 0));
	send_to_media_port(pkt, bytes);
	assert_int_equal(drops(DROP_PEER_UNKNOWN), 1);
	assert_int_equal(kit_command(0, RING_PEER_REMOVE, 0, 1), 0); // gone is gone
}

static void drain_ends_everything(void **state)
{
	unsigned int n_bye = 0;
	uint8_t pkt[KIT_PKT_BYTES];
	uint16_t bytes;

	kit_peer_add(1, 0, 0, SRTP_PROFILE_CM80);
	kit_step_ms(0, 20);
	assert_int_equal(kit_command(0, RING_DRAIN, 0, 0), 0);
	while ((bytes = kit_viewer_rtcp(&viewer, 0, pkt)) > 0)
		n_bye += read_report(pkt, bytes).n_bye;
	assert_int_equal(n_bye, 2);
	assert_int_equal(kit.region.workers[0].n_peers, 0);
	feed(LEG_VIDEO, 2, 93000);
	assert_int_equal(drops(DROP_NOT_OURS), 1);
	assert_int_equal(kit_command(0, RING_STREAM_REMOVE, 0, 1), -ENOENT);
}

static void legs_come_and_go(void **state)
{
	kit_events(0);
	assert_int_equal(kit_count_events(RING_LEG_UP, LEG_VIDEO), 1);
	assert_int_equal(kit_count_events(RING_LEG_UP, LEG_AUDIO), 1);
	assert_int_equal(kit_count_events(RING_LEG_PARAMS, LEG_AUDIO), 1); // stereo
	kit_step_ms(0, LEG_DOWN_MS + 50);
	kit_events(0);
	assert_int_equal(kit_count_events(RING_LEG_DOWN, LEG_VIDEO), 1);
	assert_int_equal(kit_count_events(RING_LEG_DOWN, LEG_AUDIO), 1);
	assert_true(kit.region.workers[0].heartbeat_ns + 50000000 > region_now_ns());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		play_test(reports_follow_a_new_source_at_once),
		play_test(reports_come_every_second),
		kit_test(no_report_before_media),
		play_test(receiver_reports_and_plis_count),
		play_test(replay_and_forgery_are_dropped),
		play_test(malformed_inside_the_seal),
		play_test(feedback_by_the_other_worker),
		play_test(encoder_reports_on_either_port),
		play_test(a_leg_takes_its_own_group_alone),
		play_test(first_byte_decides),
		play_test(stun_goes_up_with_its_path),
		play_test(punt_ring_full_is_counted),
		play_test(what_control_injects_is_sent),
		play_test(all_that_leaves_is_marked),
		play_test(what_was_injected_before_a_command_leaves_before_it),
		play_test(impossible_injections_are_counted),
		play_test(removal_says_bye),
		play_test(drain_ends_everything),
		play_test(legs_come_and_go),
	};

	return cmocka_run_group_tests(tests, kit_group_setup, kit_group_teardown);
}
