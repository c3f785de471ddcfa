// What is said around the media: reports and feedback, STUN and DTLS on their way to control and
// back, good-byes.
// Checklist: E11, E12, E13, F15, F18, F19, F24, F25, F30, F31; RFC 7983.
#include "tests/unit/fanout/play_kit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/rtcp/rtcp.h"

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
