// More than can be sent: who is served first, what is dropped, and that it falls on all alike.
#include "tests/unit/fanout/edge_kit.h"

enum {
	NS_PER_MS = 1000000,
	UNIT_PACKETS = 8,
	LANE_PACKETS = 1024,
};

static struct worker *worker(void)
{
	return &kit.workers[0];
}

// One packet of stream 0 as the leg leaves it, waiting for its turn.
static void wait_in_line(uint64_t seq, bool key)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(kit.ports.workers[0].pool);

	assert_non_null(m);
	memset(rte_pktmbuf_append(m, 100), (int)seq, 100);
	*packet_of(m) = (struct packet){ .kind = PACKET_FAN,
		.leg = LEG_VIDEO,
		.marker = seq % UNIT_PACKETS == UNIT_PACKETS - 1,
		.key = key,
		.begins = seq % UNIT_PACKETS == 0,
		.generation = 1,
		.ts = (uint32_t)(seq / UNIT_PACKETS * 3000),
		.seq = seq,
		.rx_ns = worker()->now_ns,
		.payload_bytes = 100 };
	lane_put(worker(), 0, LEG_VIDEO, &m, 1);
}

static void stream_with_viewers(unsigned int n)
{
	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	for (uint16_t slot = 0; slot < n; slot++)
		kit_peer_add(slot, 0, 0, SRTP_PROFILE_GCM128);
	kit_forget_sent(0);
}

static uint64_t packets_of(uint16_t slot)
{
	return kit.region.peers[slot].state.legs[LEG_VIDEO].sent.packets;
}

static uint64_t drops_of(uint16_t slot)
{
	return kit.region.peers[slot].state.legs[LEG_VIDEO].sent.drops;
}

// All that waits, in as many loops as that takes on this machine.
static unsigned int serve_all(void)
{
	unsigned int n, sum = 0;

	while ((n = lane_serve(worker())) > 0)
		sum += n;
	return sum;
}

static uint64_t overload(void)
{
	return kit.region.workers[0].drops[DROP_OVERLOAD];
}

static void sound_goes_first(void **state)
{
	const struct kit_rtp sound = kit_rtp_make(1, 960, 0x78, false);
	struct kit_viewer v;
	uint8_t pkt[KIT_PKT_BYTES];
	struct net_addr to;

	stream_with_viewers(1);
	kit_viewer_init(&v, 0);
	for (uint16_t i = 0; i < 100; i++) {
		const struct kit_rtp p = kit_rtp_make(i, 3000, i ? 0x61 : 0x65, i == 99);

		kit_feed_rtp(0, 0, LEG_VIDEO, &p);
	}
	kit_feed_rtp(0, 0, LEG_AUDIO, &sound);
	kit_step(0);
	assert_int_equal(kit_sent_count(0), 101);
	assert_true(kit_sent(0, &to, pkt) > 0);
	assert_int_equal(pkt[1] & 127, v.conf->legs[LEG_AUDIO].payload_type);
	kit_viewer_fini(&v);
}

// The line is three quarters full: whole pictures are dropped, but no key frame until it is full.
static void whole_pictures_are_shed(void **state)
{
	const uint64_t kept = LANE_PACKETS / 4 * 3 + UNIT_PACKETS;
	uint64_t seq = 0;

	stream_with_viewers(2);
	for (; seq < 1200; seq++)
		wait_in_line(seq, seq < UNIT_PACKETS);
	// Each is missed by two viewers.
	assert_int_equal(overload(), 2 * (1200 - kept));
	for (; seq < 1200 + 2 * UNIT_PACKETS; seq++)
		wait_in_line(seq, true);
	assert_int_equal(overload(), 2 * (1200 - kept));
	for (; seq < 1600; seq++)
		wait_in_line(seq, true);
	assert_int_equal(overload(), 2 * (1600 - LANE_PACKETS));
	serve_all();
	tx_flush(worker());
	assert_int_equal(worker()->n_waiting, 0);
	assert_int_equal(packets_of(0), LANE_PACKETS);
	assert_int_equal(packets_of(1), LANE_PACKETS);
	// There is room again.
	wait_in_line(1600, false);
	assert_int_equal(overload(), 2 * (1600 - LANE_PACKETS));
	assert_int_equal(serve_all(), 1);
}

// What has waited too long holds no more back: new pictures go, then even key frames.
static void late_pictures_are_shed(void **state)
{
	uint64_t seq = 0;

	stream_with_viewers(1);
	for (; seq < 2 * UNIT_PACKETS; seq++)
		wait_in_line(seq, true);
	worker()->now_ns += 120 * (uint64_t)NS_PER_MS;
	for (; seq < 3 * UNIT_PACKETS; seq++)
		wait_in_line(seq, false);
	assert_int_equal(overload(), UNIT_PACKETS);
	for (; seq < 4 * UNIT_PACKETS; seq++)
		wait_in_line(seq, true);
	assert_int_equal(overload(), UNIT_PACKETS);
	worker()->now_ns += 150 * (uint64_t)NS_PER_MS;
	for (; seq < 5 * UNIT_PACKETS; seq++)
		wait_in_line(seq, true);
	assert_int_equal(overload(), 2 * UNIT_PACKETS);
	assert_int_equal(serve_all(), 3 * UNIT_PACKETS);
}

// What another worker handed over may bear a later time than this worker's loop.
static void packets_from_the_future_are_not_late(void **state)
{
	uint64_t seq = 0;

	stream_with_viewers(1);
	worker()->now_ns += 1000 * (uint64_t)NS_PER_MS;
	for (; seq < UNIT_PACKETS; seq++)
		wait_in_line(seq, true);
	worker()->now_ns -= NS_PER_MS;
	for (; seq < 3 * UNIT_PACKETS; seq++)
		wait_in_line(seq, false);
	assert_int_equal(overload(), 0);
	assert_int_equal(serve_all(), 3 * UNIT_PACKETS);
}

// All places are taken, by sixteen other legs: one that has little waiting still gets in, and has
// its part.
static void a_flood_does_not_shut_out_others(void **state)
{
	const uint64_t share = WORKER_WAITING_MAX / 17;

	stream_with_viewers(1);
	worker()->n_waiting += WORKER_WAITING_MAX;
	wait_in_line(0, false);
	worker()->turns[LEG_VIDEO].n += 15;
	for (uint64_t seq = 1; seq < LANE_PACKETS; seq++)
		wait_in_line(seq, true);
	assert_int_equal(overload(), LANE_PACKETS - share);
	worker()->turns[LEG_VIDEO].n -= 15;
	worker()->n_waiting -= WORKER_WAITING_MAX;
	lane_close(worker(), 0);
	assert_int_equal(worker()->n_waiting, 0);
}

// The port takes a third of each run: every viewer loses about as much as another.
static void slow_port_takes_from_all(unsigned int n_viewers)
{
	uint64_t sent = 0, dropped = 0, least = UINT64_MAX, most = 0;
	const uint64_t n = 240 * UNIT_PACKETS;

	stream_with_viewers(n_viewers);
	while (kit_fill_port(0))
		;
	for (uint64_t seq = 0; seq < n; seq++) {
		wait_in_line(seq, seq < UNIT_PACKETS);
		if (seq % UNIT_PACKETS != UNIT_PACKETS - 1)
			continue;
		for (unsigned int i = 0; i < UNIT_PACKETS * n_viewers / 3; i++, sent++)
			kit_forget_one(0);
		serve_all();
		tx_flush(worker());
	}
	for (uint16_t slot = 0; slot < n_viewers; slot++) {
		assert_int_equal(packets_of(slot), n);
		dropped += drops_of(slot);
		least = RTE_MIN(least, drops_of(slot));
		most = RTE_MAX(most, drops_of(slot));
	}
	assert_int_equal(kit.region.workers[0].drops[DROP_TX_FULL], dropped);
	assert_int_equal(sent + dropped, n * n_viewers);
	assert_in_range(most - least, 0, n / 12);
}

static void slow_port_is_fair(void **state)
{
	for (unsigned int n_viewers = 2; n_viewers <= KIT_PEERS; n_viewers++) {
		slow_port_takes_from_all(n_viewers);
		assert_int_equal(kit_teardown(state), 0);
		assert_int_equal(kit_setup(state), 0);
	}
}

// A port that stood still is not waited for again; once it moves it is.
static void stalled_port_is_forgiven(void **state)
{
	stream_with_viewers(1);
	while (kit_fill_port(0))
		;
	for (uint64_t seq = 0; seq < 2 * UNIT_PACKETS; seq++)
		wait_in_line(seq, true);
	serve_all();
	tx_flush(worker());
	assert_true(worker()->tx_stalled);
	assert_int_equal(kit.region.workers[0].tx_waits, 1);
	for (uint64_t seq = 2 * UNIT_PACKETS; seq < 3 * UNIT_PACKETS; seq++)
		wait_in_line(seq, true);
	serve_all();
	tx_flush(worker());
	assert_int_equal(kit.region.workers[0].tx_waits, 1); // not again
	for (int i = 0; i < UNIT_PACKETS; i++)
		kit_forget_one(0);
	for (uint64_t seq = 3 * UNIT_PACKETS; seq < 4 * UNIT_PACKETS; seq++)
		wait_in_line(seq, true);
	serve_all();
	tx_flush(worker());
	assert_false(worker()->tx_stalled);
	assert_int_equal(drops_of(0), 3 * UNIT_PACKETS);
}

// A stream that goes takes what waits with it, and its place in line does no harm.
static void stream_goes_while_packets_wait(void **state)
{
	stream_with_viewers(0);
	for (uint64_t seq = 0; seq < 10; seq++)
		wait_in_line(seq, true);
	assert_int_equal(worker()->n_waiting, 10);
	lane_close(worker(), 0);
	assert_int_equal(worker()->n_waiting, 0);
	assert_int_equal(serve_all(), 0);
	assert_int_equal(lane_open(worker(), 0), 0);
	wait_in_line(10, true);
	assert_int_equal(serve_all(), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		kit_test(sound_goes_first),
		kit_test(whole_pictures_are_shed),
		kit_test(late_pictures_are_shed),
		kit_test(packets_from_the_future_are_not_late),
		kit_test(a_flood_does_not_shut_out_others),
		kit_test(slow_port_is_fair),
		kit_test(stalled_port_is_forgiven),
		kit_test(stream_goes_while_packets_wait),
	};

	return cmocka_run_group_tests(tests, kit_group_setup, kit_group_teardown);
}
