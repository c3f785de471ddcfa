// Media on its way through a worker: numbered, sealed, addressed, begun at a key frame, handed
// between workers. What comes out is opened with libsrtp2.
// Checklist: E3, E6, F1 to F3, F8, F9, F11, F20.
#include "tests/unit/fanout/edge_kit.h"

#include <errno.h>
#include <string.h>

enum {
	STAP_A = 0x78,
	SPS = 0x67,
	PPS = 0x68,
	IDR = 0x65,
	SLICE = 0x41,
	OPUS = 0x7c,
};

static const uint16_t profiles[] = { SRTP_PROFILE_GCM128, SRTP_PROFILE_CM80, SRTP_PROFILE_GCM256 };

static void feed(uint16_t worker, enum leg_kind leg, const struct kit_rtp *p)
{
	kit_feed_rtp(worker, 0, leg, p);
	kit_step(worker);
}

static uint16_t seq_of(uint16_t slot, enum leg_kind leg, int behind_first)
{
	return (uint16_t)(kit.region.peers[slot].conf.legs[leg].seq_base + behind_first);
}

// Three viewers with a profile each, SEQ bases that wrap at 32768, timestamps that wrap at 2^32.
static void media_reaches_every_profile(void **state)
{
	struct kit_viewer v[3];

	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	for (uint16_t slot = 0; slot < 3; slot++) {
		kit_peer_add(slot, 0, 0, profiles[slot]);
		kit_viewer_init(&v[slot], slot);
	}
	for (int i = 0; i < 300; i++) {
		const struct kit_rtp video = kit_rtp_make((uint16_t)(65400 + i),
			(uint32_t)(i / 3 * 3000), i % 60 ? SLICE : IDR, i % 3 == 2);
		const struct kit_rtp audio = kit_rtp_make(
			(uint16_t)i, (uint32_t)(i * 960 + 9), OPUS, i == 0);

		feed(0, LEG_VIDEO, &video);
		for (uint16_t slot = 0; slot < 3; slot++)
			kit_viewer_expect(
				&v[slot], 0, LEG_VIDEO, &video, seq_of(slot, LEG_VIDEO, i));
		feed(0, LEG_AUDIO, &audio);
		for (uint16_t slot = 0; slot < 3; slot++)
			kit_viewer_expect(
				&v[slot], 0, LEG_AUDIO, &audio, seq_of(slot, LEG_AUDIO, i));
		assert_int_equal(kit_sent_count(0), 0);
	}
	assert_int_equal(kit.region.workers[0].sealed_packets, 3 * 600);
	assert_int_equal(kit.region.workers[0].tx_packets, 3 * 600);
	assert_int_equal(kit.region.workers[0].rx_packets, 600);
	for (uint16_t slot = 0; slot < 3; slot++) {
		assert_int_equal(kit.region.peers[slot].state.legs[LEG_VIDEO].sent.packets, 300);
		assert_int_equal(kit.region.peers[slot].state.legs[LEG_VIDEO].sent.next_index,
			v[slot].conf->legs[LEG_VIDEO].seq_base + 300u);
		assert_int_equal(kit.region.peers[slot].state.legs[LEG_VIDEO].sent.drops, 0);
		kit_viewer_fini(&v[slot]);
	}
}

// What waits at the port is sealed in one go; each viewer gets it whole and in order.
static void whole_burst_at_once(void **state)
{
	struct kit_rtp pkts[100];
	struct kit_viewer v[2];

	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	for (uint16_t slot = 0; slot < 2; slot++) {
		kit_peer_add(slot, 0, 0, profiles[slot]);
		kit_viewer_init(&v[slot], slot);
	}
	for (uint16_t i = 0; i < 100; i++) {
		pkts[i] = kit_rtp_make(i, i / 10u, i ? SLICE : IDR, i % 10 == 9);
		kit_feed_rtp(0, 0, LEG_VIDEO, &pkts[i]);
	}
	kit_step(0);
	for (uint16_t slot = 0; slot < 2; slot++)
		for (int i = 0; i < 100; i++)
			kit_viewer_expect(
				&v[slot], 0, LEG_VIDEO, &pkts[i], seq_of(slot, LEG_VIDEO, i));
	assert_int_equal(kit_sent_count(0), 0);
	kit_viewer_fini(&v[0]);
	kit_viewer_fini(&v[1]);
}

// F9: nothing before a key frame, then from the first packet of its access unit, though the parts
// of that came in bursts of their own.
static void viewer_waits_for_a_key_frame(void **state)
{
	const struct kit_rtp before[] = { kit_rtp_make(10, 1000, SLICE, true),
		kit_rtp_make(11, 2000, SPS, false), kit_rtp_make(12, 2000, SLICE, true) };
	const struct kit_rtp unit[] = { kit_rtp_make(13, 3000, SPS, false),
		kit_rtp_make(14, 3000, PPS, false), kit_rtp_make(15, 3000, IDR, false),
		kit_rtp_make(16, 3000, IDR, true), kit_rtp_make(17, 4000, SLICE, true) };
	struct kit_viewer v;

	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	kit_peer_add(0, 0, 0, SRTP_PROFILE_GCM128);
	kit_viewer_init(&v, 0);
	for (int i = 0; i < 3; i++)
		feed(0, LEG_VIDEO, &before[i]);
	feed(0, LEG_VIDEO, &unit[0]);
	feed(0, LEG_VIDEO, &unit[1]);
	assert_int_equal(kit_sent_count(0), 0);
	assert_int_equal(kit.region.peers[0].state.legs[LEG_VIDEO].sent.started, 0);
	feed(0, LEG_VIDEO, &unit[2]);
	assert_int_equal(kit_sent_count(0), 3);
	feed(0, LEG_VIDEO, &unit[3]);
	feed(0, LEG_VIDEO, &unit[4]);
	for (int i = 0; i < 5; i++)
		kit_viewer_expect(&v, 0, LEG_VIDEO, &unit[i], seq_of(0, LEG_VIDEO, i));
	assert_int_equal(kit_sent_count(0), 0);
	// Who plays already gets the next key frame's parts once, as they come.
	for (int i = 0; i < 3; i++) {
		const struct kit_rtp p = kit_rtp_make(
			(uint16_t)(18 + i), 5000, unit[i].payload[0], false);

		feed(0, LEG_VIDEO, &p);
		kit_viewer_expect(&v, 0, LEG_VIDEO, &p, seq_of(0, LEG_VIDEO, 5 + i));
		assert_int_equal(kit_sent_count(0), 0);
	}
	kit_viewer_fini(&v);
}

// All of it in one burst, delta frames in front: the viewer begins in the middle of the burst.
static void viewer_begins_inside_a_burst(void **state)
{
	const struct kit_rtp pkts[] = { kit_rtp_make(10, 1000, SLICE, false),
		kit_rtp_make(11, 1000, SLICE, true), kit_rtp_make(12, 2000, SPS, false),
		kit_rtp_make(13, 2000, IDR, true), kit_rtp_make(14, 3000, SLICE, true) };
	struct kit_viewer v;

	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	kit_peer_add(0, 0, 0, SRTP_PROFILE_CM80);
	kit_viewer_init(&v, 0);
	for (int i = 0; i < 5; i++)
		kit_feed_rtp(0, 0, LEG_VIDEO, &pkts[i]);
	kit_step(0);
	for (int i = 2; i < 5; i++)
		kit_viewer_expect(&v, 0, LEG_VIDEO, &pkts[i], seq_of(0, LEG_VIDEO, i - 2));
	assert_int_equal(kit_sent_count(0), 0);
	kit_viewer_fini(&v);
}

// A later slice of an IDR picture is an IDR slice too, but no place to begin.
static void nobody_begins_amid_a_picture(void **state)
{
	const struct kit_rtp pkts[] = { kit_rtp_make(10, 1000, SPS, false),
		kit_rtp_make(11, 1000, IDR, false), kit_rtp_make(12, 1000, IDR, false),
		kit_rtp_make(13, 1000, IDR, true), kit_rtp_make(14, 2000, IDR, true) };
	struct kit_viewer early, late;

	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	kit_peer_add(0, 0, 0, SRTP_PROFILE_GCM128);
	kit_viewer_init(&early, 0);
	for (int i = 0; i < 2; i++)
		feed(0, LEG_VIDEO, &pkts[i]);
	kit_peer_add(1, 0, 0, SRTP_PROFILE_GCM128);
	kit_viewer_init(&late, 1);
	for (int i = 2; i < 5; i++)
		feed(0, LEG_VIDEO, &pkts[i]);
	for (int i = 0; i < 5; i++)
		kit_viewer_expect(&early, 0, LEG_VIDEO, &pkts[i], seq_of(0, LEG_VIDEO, i));
	kit_viewer_expect(&late, 0, LEG_VIDEO, &pkts[4], seq_of(1, LEG_VIDEO, 0));
	assert_int_equal(kit_sent_count(0), 0);
	kit_viewer_fini(&early);
	kit_viewer_fini(&late);
}

// A gap stays a gap, and what was overtaken comes with its own number; what is older than the
// viewer's first does not come at all.
static void gaps_and_order_pass_through(void **state)
{
	static const struct {
		uint16_t seq;
		int behind_first; // -1: not sent
	} rows[] = { { 20, 0 }, { 19, -1 }, { 22, 2 }, { 25, 5 }, { 23, 3 }, { 21, 1 }, { 21, -1 },
		{ 26, 6 } };
	const struct kit_rtp first = kit_rtp_make(18, 1, SLICE, true);
	struct kit_viewer v;

	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	kit_peer_add(0, 0, 0, SRTP_PROFILE_GCM128);
	kit_viewer_init(&v, 0);
	feed(0, LEG_VIDEO, &first); // so that 19 is not late for the leg itself
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct kit_rtp p = kit_rtp_make(rows[i].seq, 1000, i ? SLICE : IDR, true);

		feed(0, LEG_VIDEO, &p);
		if (rows[i].behind_first >= 0)
			kit_viewer_expect(
				&v, 0, LEG_VIDEO, &p, seq_of(0, LEG_VIDEO, rows[i].behind_first));
		assert_int_equal(kit_sent_count(0), 0);
	}
	assert_int_equal(kit.region.workers[0].drops[DROP_INGEST_LATE], 1);
	kit_viewer_fini(&v);
}

static void media_without_mid_and_with_a_leg_off(void **state)
{
	const struct kit_rtp audio = kit_rtp_make(1, 960, OPUS, false);
	const struct kit_rtp video = kit_rtp_make(1, 960, IDR, false);
	struct region_peer_conf *conf;
	struct kit_viewer v;

	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	conf = kit_peer_fill(0, 0, 0, SRTP_PROFILE_CM80);
	conf->legs[LEG_VIDEO].enabled = 0;
	conf->legs[LEG_AUDIO].mid_ext_id = 0;
	assert_int_equal(kit_command(0, RING_PEER_UPDATE, 0, 1), 0);
	kit_viewer_init(&v, 0);
	feed(0, LEG_VIDEO, &video);
	assert_int_equal(kit_sent_count(0), 0);
	feed(0, LEG_AUDIO, &audio);
	kit_viewer_expect(&v, 0, LEG_AUDIO, &audio, seq_of(0, LEG_AUDIO, 0));
	kit_viewer_fini(&v);
}

// ---- changes -----------------------------------------------------------------------------------

// The viewer moved: the same session goes on at the new address.
static void path_changes_keys_stay(void **state)
{
	struct kit_rtp p = kit_rtp_make(1, 960, OPUS, false);
	struct region_peer_conf *conf;
	struct kit_viewer v;

	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	kit_peer_add(0, 0, 0, SRTP_PROFILE_GCM128);
	kit_viewer_init(&v, 0);
	feed(0, LEG_AUDIO, &p);
	kit_viewer_expect(&v, 0, LEG_AUDIO, &p, seq_of(0, LEG_AUDIO, 0));
	conf = &kit.region.peers[0].conf;
	conf->path.local = kit_addr("fd77::1", KIT_MEDIA_PORT);
	conf->path.remote = kit_addr("fd77::2", 6000);
	assert_int_equal(kit_command(0, RING_PEER_UPDATE, 0, 1), 0);
	v.addr = conf->path.remote;
	p = kit_rtp_make(2, 1920, OPUS, false);
	feed(0, LEG_AUDIO, &p);
	kit_viewer_expect(&v, 0, LEG_AUDIO, &p, seq_of(0, LEG_AUDIO, 1));
	kit_viewer_fini(&v);
}

// New keys: numbers run on. A slot that is refused leaves the old session as it was.
static void keys_change_numbers_run_on(void **state)
{
	struct kit_rtp p = kit_rtp_make(1, 960, OPUS, false);
	struct region_peer_conf *conf;
	struct kit_viewer v;

	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	kit_peer_add(0, 0, 0, SRTP_PROFILE_GCM128);
	kit_viewer_init(&v, 0);
	feed(0, LEG_AUDIO, &p);
	kit_viewer_expect(&v, 0, LEG_AUDIO, &p, seq_of(0, LEG_AUDIO, 0));
	conf = &kit.region.peers[0].conf;
	conf->key_id = 2;
	conf->local.key[0] ^= 1;
	conf->profile = SRTP_PROFILE_NONE;
	assert_int_equal(kit_command(0, RING_PEER_UPDATE, 0, 1), -EINVAL);
	conf->profile = SRTP_PROFILE_GCM128;
	p = kit_rtp_make(2, 1920, OPUS, false);
	feed(0, LEG_AUDIO, &p);
	kit_viewer_expect(&v, 0, LEG_AUDIO, &p, seq_of(0, LEG_AUDIO, 1));
	assert_int_equal(kit_command(0, RING_PEER_UPDATE, 0, 1), 0);
	kit_viewer_fini(&v);
	kit_viewer_init(&v, 0);
	assert_int_equal(kit.region.workers[0].n_peers, 1);
	p = kit_rtp_make(3, 2880, OPUS, false);
	feed(0, LEG_AUDIO, &p);
	kit_viewer_expect(&v, 0, LEG_AUDIO, &p, seq_of(0, LEG_AUDIO, 2));
	kit_viewer_fini(&v);
}

// Out of buffers: counted with the worker and the viewer, and the viewer begins as if nothing had
// been, with the first of its numbers.
static void no_buffers_left(void **state)
{
	struct rte_mempool *pool = kit.ports.workers[0].pool;
	const struct kit_rtp p[] = { kit_rtp_make(1, 960, OPUS, false),
		kit_rtp_make(2, 1920, OPUS, false), kit_rtp_make(3, 2880, OPUS, false) };
	struct rte_mbuf *taken[8192];
	struct kit_viewer v;
	unsigned int n = 0;

	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	kit_peer_add(0, 0, 0, SRTP_PROFILE_GCM128);
	kit_viewer_init(&v, 0);
	kit_feed_rtp(0, 0, LEG_AUDIO, &p[0]);
	kit_feed_rtp(0, 0, LEG_AUDIO, &p[1]);
	while (n < 8192 && (taken[n] = rte_pktmbuf_alloc(pool)))
		n++;
	kit_step(0);
	assert_int_equal(kit.region.workers[0].drops[DROP_NO_MBUF], 2);
	assert_int_equal(kit.region.peers[0].state.legs[LEG_AUDIO].sent.drops, 2);
	assert_int_equal(kit_sent_count(0), 0);
	rte_pktmbuf_free_bulk(taken, n);
	feed(0, LEG_AUDIO, &p[2]);
	kit_viewer_expect(&v, 0, LEG_AUDIO, &p[2], seq_of(0, LEG_AUDIO, 0));
	kit_viewer_fini(&v);
}

// ---- two workers -------------------------------------------------------------------------------

// The encoder's packets reach worker 1, worker 0 owns the stream, and both have viewers.
static void two_workers_hand_over(void **state)
{
	struct kit_viewer v[2];

	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	for (uint16_t slot = 0; slot < 2; slot++) {
		kit_peer_add(slot, 0, slot, profiles[slot]);
		kit_viewer_init(&v[slot], slot);
	}
	for (int i = 0; i < 200; i += 2) {
		const struct kit_rtp p[] = { kit_rtp_make((uint16_t)i, (uint32_t)i * 3000,
						     i % 50 ? SLICE : IDR, true),
			kit_rtp_make((uint16_t)(i + 1), (uint32_t)i * 3000 + 3000, SLICE, true) };

		kit_feed_rtp(1, 0, LEG_VIDEO, &p[0]);
		kit_step(1);
		kit_step(0);
		// Worker 1 has the first still to send when the second is received.
		kit_feed_rtp(0, 0, LEG_VIDEO, &p[1]);
		kit_step(0);
		kit_step(1);
		for (uint16_t slot = 0; slot < 2; slot++)
			for (int k = 0; k < 2; k++)
				kit_viewer_expect(&v[slot], slot, LEG_VIDEO, &p[k],
					seq_of(slot, LEG_VIDEO, i + k));
	}
	assert_int_equal(kit.region.workers[1].handed_off, 100);
	assert_int_equal(kit.region.workers[0].handed_off, 200);
	assert_int_equal(kit.region.streams[0].legs[LEG_VIDEO].packets, 200);
	kit_viewer_fini(&v[0]);
	kit_viewer_fini(&v[1]);
}

// A worker without viewers of the stream is not bothered; one that does not keep up loses packets,
// counted, and no mbuf.
static void inbox_overflow_is_counted(void **state)
{
	uint64_t given = 0;

	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	for (uint16_t i = 0; i < 10; i++) {
		const struct kit_rtp p = kit_rtp_make(i, i, OPUS, false);

		feed(0, LEG_AUDIO, &p);
	}
	assert_int_equal(kit.region.workers[0].handed_off, 0);
	kit_peer_add(0, 0, 1, SRTP_PROFILE_GCM128);
	for (uint16_t i = 10; given < WORKER_INBOX_SLOTS + 100; i++, given++) {
		const struct kit_rtp p = kit_rtp_make(i, i, OPUS, false);

		feed(0, LEG_AUDIO, &p);
	}
	assert_int_equal(kit.region.workers[0].handed_off, WORKER_INBOX_SLOTS - 1);
	assert_int_equal(kit.region.workers[0].drops[DROP_HANDOFF_FULL], 101);
	kit_step(1);
	assert_int_equal(kit_sent_count(1), WORKER_INBOX_SLOTS - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		kit_test(media_reaches_every_profile),
		kit_test(whole_burst_at_once),
		kit_test(viewer_waits_for_a_key_frame),
		kit_test(viewer_begins_inside_a_burst),
		kit_test(nobody_begins_amid_a_picture),
		kit_test(gaps_and_order_pass_through),
		kit_test(media_without_mid_and_with_a_leg_off),
		kit_test(path_changes_keys_stay),
		kit_test(keys_change_numbers_run_on),
		kit_test(no_buffers_left),
		kit_test(two_workers_hand_over),
		kit_test(inbox_overflow_is_counted),
	};

	return cmocka_run_group_tests(tests, kit_group_setup, kit_group_teardown);
}
