// Viewers who come in the middle of a group of pictures: they get it at once, in one sequence with
// what is live, each packet once, in time that rises. What they get is opened with libsrtp2.
// Checklist: E6, F2, F9.
#include "tests/unit/fanout/start_kit.h"

#include <stdlib.h>
#include <unistd.h>

enum {
	NS_PER_MS = 1000000,
};

static const uint16_t profiles[] = { SRTP_PROFILE_GCM128, SRTP_PROFILE_CM80, SRTP_PROFILE_GCM256 };

// ---- joining -----------------------------------------------------------------------------------

static void peer_add_v6(uint16_t slot, uint16_t worker, uint16_t profile)
{
	struct region_peer_conf *conf = kit_peer_fill(slot, 0, worker, profile);

	conf->path.local = kit_addr("fd77::1", KIT_MEDIA_PORT);
	conf->path.remote = kit_addr("fd77::2", (uint16_t)(5000 + slot));
	conf->phase = REGION_PEER_RESERVED;
	assert_int_equal(kit_command(worker, RING_PEER_ADD, slot, 1), 0);
	conf->phase = REGION_PEER_READY;
	assert_int_equal(kit_command(worker, RING_PEER_UPDATE, slot, 1), 0);
}

// Each profile, by IPv4 and IPv6, on the stream's own worker and on the other: the key frame in a
// few steps, then all that came since, and what comes.
static void viewers_join_in_the_middle(void **state)
{
	struct player p[6];

	start_feed_group(60);
	for (uint16_t slot = 0; slot < 6; slot++) {
		uint16_t worker = slot / 3;

		if (slot % 2)
			peer_add_v6(slot, worker, profiles[slot % 3]);
		else
			kit_peer_add(slot, 0, worker, profiles[slot % 3]);
		player_init(&p[slot], slot, worker);
		for (int i = 0; i < 4; i++) {
			kit_step(worker);
			usleep(500);
		}
		assert_true(player_play(&p[slot]) >= KEY_SLICES + 2);
		assert_int_equal(start_state(slot)->starts_instant, 1);
		assert_int_equal(start_state(slot)->starts_waited, 0);
		assert_in_range(region_now_ns() - start_state(slot)->sent.first_tx_ns, 0,
			200 * (uint64_t)NS_PER_MS);
		start_go_live(p, slot + 1u, 5);
	}
	start_go_live(p, 6, 300);
	for (uint16_t slot = 0; slot < 6; slot++) {
		assert_int_equal(p[slot].at, fed.n);
		assert_true(p[slot].live);
		assert_int_equal(player_leg(&p[slot], slot)->catching, 0);
		assert_int_equal(start_state(slot)->sent.packets, fed.n - fed.key);
		assert_int_equal(start_state(slot)->sent.next_index,
			p[slot].v.conf->legs[LEG_VIDEO].seq_base + fed.n - fed.key);
		kit_viewer_fini(&p[slot].v);
	}
	for (uint16_t w = 0; w < KIT_WORKERS; w++)
		assert_int_equal(kit.workers[w].starts.n, 0);
	assert_int_equal(kit.region.workers[0].drops[DROP_TX_FULL], 0);
}

// What waits at the other worker is in the history already: it is sent from there, and left out
// when its turn in the lane comes. So are packets that came before anybody there looked on.
static void what_waits_in_the_lane_is_sent_once(void **state)
{
	struct player p;

	start_feed_group(20);
	kit_peer_add(0, 0, 1, SRTP_PROFILE_GCM128);
	player_init(&p, 0, 1);
	for (int round = 0; round < 150; round++) {
		if (round % 3 == 0) {
			start_feed_delta();
			kit_step(0); // worker 1 has it in its inbox
		}
		usleep((useconds_t)(rand() % 1000) + 500);
		if (round % 3 == 1)
			start_serve(&kit.workers[1]); // before the lane is looked at
		kit.workers[1].now_ns = region_now_ns();
		if (rand() % 3 == 0)
			kit_step(1);
		player_play(&p);
	}
	usleep(2000);
	kit_step(1);
	player_play(&p);
	assert_int_equal(p.at, fed.n);
	assert_true(p.live);
	assert_int_equal(player_leg(&p, 0)->catching, 0);
	kit_viewer_fini(&p.v);
}

// The lane has sent all to the others, and there is more than fits one turn: it is too early to
// join.
static void nobody_joins_before_the_live_edge(void **state)
{
	struct player p;

	start_feed_group(5);
	kit_peer_add(0, 0, 1, SRTP_PROFILE_GCM128);
	player_init(&p, 0, 1);
	for (int i = 0; i < 100; i++) {
		kit_step(1);
		player_play(&p);
		usleep(1000);
	}
	assert_int_equal(p.at, fed.n);
	assert_int_equal(player_leg(&p, 0)->catching, 1); // the last frame foreseen is to come
	for (int i = 0; i < 60; i++)
		start_feed_delta();
	kit_step(0);
	kit_step(0);
	kit.workers[1].starts.served_ns = region_now_ns();
	kit_step(1);
	assert_in_range(player_play(&p), 1, 60);
	assert_int_equal(player_leg(&p, 0)->catching, 1);
	kit_step_ms(1, 5);
	player_play(&p);
	assert_int_equal(player_leg(&p, 0)->catching, 0);
	assert_int_equal(p.at, fed.n);
	kit_viewer_fini(&p.v);
}

// Live time is less than was foreseen: it must catch up with what the viewer has before it is used.
static void a_source_may_slow_down(void **state)
{
	struct player p;

	start_feed_group(60);
	kit_peer_add(0, 0, 0, SRTP_PROFILE_GCM128);
	player_init(&p, 0, 0);
	fed.ticks = FRAME_TICKS / 3;
	start_go_live(&p, 1, 150);
	assert_false(p.live);
	start_go_live(&p, 1, 500);
	assert_true(p.live);
	assert_int_equal(p.at, fed.n);
	assert_int_equal(player_leg(&p, 0)->catching, 0);
	kit_viewer_fini(&p.v);
}

// Timestamps run as fast as the packets come: the player has no reason to wait.
static void frames_leave_when_they_are_due(void **state)
{
	uint64_t from, gone_us;
	struct player p;
	uint32_t first_ts;

	start_feed_group(150);
	kit_peer_add(0, 0, 0, SRTP_PROFILE_GCM128);
	player_init(&p, 0, 0);
	kit_step(0);
	player_play(&p);
	from = region_now_ns();
	first_ts = p.ts;
	for (int i = 0; i < 1200 && p.at < fed.n; i++) {
		unsigned int n;

		kit_step(0);
		n = player_play(&p);
		gone_us = (region_now_ns() - from) / 1000;
		// 150 frames take 150 ms at the least; none is ahead of its time, nor far behind.
		if (n)
			assert_in_range((uint64_t)(p.ts - first_ts) * 1000 / 90 + 20000, gone_us,
				gone_us + 23000);
		if (i % 20 == 19 && gone_us > (fed.n_frames - 151u) * 10000u)
			start_feed_delta();
		usleep(200);
	}
	assert_true(p.n > KEY_SLICES + 2 + 2 * 100);
	assert_in_range((region_now_ns() - from) / 1000, 140000, 600000);
	kit_forget_sent(0);
	kit_viewer_fini(&p.v);
}

// The port stood still, and nobody else has anything to send that would show that it moves again.
static void a_port_that_stood_still_is_tried(void **state)
{
	struct player p;

	start_feed_group(60);
	kit_peer_add(0, 0, 0, SRTP_PROFILE_GCM128);
	player_init(&p, 0, 0);
	player_play(&p);
	kit.workers[0].tx_stalled = true;
	for (int i = 0; i < 200; i++) {
		kit_step(0);
		player_play(&p);
		usleep(1000);
	}
	assert_int_equal(p.at, fed.n);
	kit_viewer_fini(&p.v);
}

static bool all_there(const struct player *p, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (p[i].at != fed.n)
			return false;
	return true;
}

// Viewers of one moment take turns: nobody waits for another's whole group.
static void many_at_once_take_turns(void **state)
{
	enum { N = 12 };
	struct player p[N];
	unsigned int least = UINT32_MAX, most = 0;

	start_feed_group(60);
	for (uint16_t slot = 0; slot < N; slot++) {
		struct region_peer_conf *conf = kit_peer_fill(slot, 0, 0, SRTP_PROFILE_GCM128);

		conf->phase = REGION_PEER_RESERVED;
		assert_int_equal(kit_command(0, RING_PEER_ADD, slot, 1), 0);
		conf->phase = REGION_PEER_READY;
	}
	for (uint16_t slot = 0; slot < N; slot++) {
		const struct ring_command c = {
			.seq = 1000u + slot, .kind = RING_PEER_UPDATE, .slot = slot, .generation = 1
		};

		assert_int_equal(ring_put(kit.region.rings[0].command, &c, sizeof(c)), 0);
	}
	kit_step(0); // obeys
	for (uint16_t slot = 0; slot < N; slot++)
		player_init(&p[slot], slot, 0);
	for (int i = 0; i < 3; i++) {
		kit.workers[0].starts.served_ns = region_now_ns(); // the smallest allowance
		kit_step(0);
		for (uint16_t slot = 0; slot < N; slot++)
			player_play(&p[slot]);
	}
	for (uint16_t slot = 0; slot < N; slot++) {
		least = p[slot].n < least ? p[slot].n : least;
		most = p[slot].n > most ? p[slot].n : most;
	}
	assert_true(most <= least + 32);
	assert_in_range(kit.region.workers[0].sealed_packets, 32, 3 * 40);
	// On a busy machine a single turn may be too few.
	for (int turns = 0; turns == 0 || (turns < 10 && !all_there(p, N)); turns++)
		start_go_live(p, N, 400);
	for (uint16_t slot = 0; slot < N; slot++) {
		assert_int_equal(p[slot].at, fed.n);
		kit_viewer_fini(&p[slot].v);
	}
}

// ---- no group to begin with --------------------------------------------------------------------

static void expect_wait(uint16_t slot)
{
	struct player p;

	kit_peer_add(slot, 0, 0, SRTP_PROFILE_GCM128);
	kit_step_ms(0, 5);
	assert_int_equal(kit_sent_count(0), 0);
	assert_int_equal(start_state(slot)->starts_waited, 1);
	assert_int_equal(start_state(slot)->starts_instant, 0);
	start_feed_key();
	player_init(&p, slot, 0);
	kit_step(0);
	assert_int_equal(player_play(&p), KEY_SLICES + 2);
	assert_true(p.live);
	kit_forget_sent(0);
	kit_viewer_fini(&p.v);
}

static void an_old_group_is_not_sent(void **state)
{
	kit.conf.media.start_max_ms = 20;
	start_feed_group(10);
	usleep(30000);
	expect_wait(0);
}

static void a_big_group_is_not_sent(void **state)
{
	kit.conf.media.start_mbps = 1; // more than 3 s
	start_feed_group(500);
	expect_wait(0);
}

static void a_stream_may_do_without(void **state)
{
	kit.region.streams[0].conf.no_instant_start = 1;
	assert_int_equal(kit_stream_set(0), 0);
	start_feed_group(10);
	expect_wait(0);
}

// The source may have ended: what there was is shown all the same.
static void a_silent_source_is_shown(void **state)
{
	struct player p;

	start_feed_group(10);
	usleep(600000);
	kit_peer_add(0, 0, 0, SRTP_PROFILE_GCM128);
	player_init(&p, 0, 0);
	for (int i = 0; i < 50; i++) {
		kit_step(0);
		player_play(&p);
		usleep(1000);
	}
	assert_int_equal(p.at, fed.n);
	assert_true(p.live);
	kit_forget_sent(0);
	kit_viewer_fini(&p.v);
}

// One who goes, and one who gets new keys, on the way.
static void the_way_may_end_early(void **state)
{
	struct region_peer_conf *conf;
	struct player p;
	uint64_t marked;

	start_feed_group(60);
	kit_peer_add(0, 0, 0, SRTP_PROFILE_GCM128);
	kit_peer_add(1, 0, 0, SRTP_PROFILE_GCM128);
	kit_step(0);
	assert_int_equal(kit.workers[0].starts.n, 2);
	assert_int_equal(kit_command(0, RING_PEER_REMOVE, 0, 1), 0);
	assert_int_equal(kit.workers[0].starts.n, 1);
	kit_forget_sent(0);
	conf = kit_peer_fill(1, 0, 0, SRTP_PROFILE_CM80);
	conf->key_id = 2;
	marked = start_state(1)->sent.next_index;
	assert_int_equal(kit_command(0, RING_PEER_UPDATE, 1, 1), 0);
	assert_int_equal(kit.workers[0].starts.n, 1);
	player_init(&p, 1, 0);
	p.seq = (uint16_t)marked; // on without a leap, under the new keys
	start_go_live(&p, 1, 200);
	assert_int_equal(p.at, fed.n);
	assert_int_equal(start_state(1)->sent.first_index, marked);
	kit_viewer_fini(&p.v);
	assert_int_equal(kit_command(0, RING_PEER_REMOVE, 1, 1), 0);
	assert_int_equal(kit_command(0, RING_STREAM_REMOVE, 0, 1), 0);
	kit_forget_sent(0);
}

// Another process has no history: its viewers wait for a key frame, behind a leap.
static void after_a_restart_they_wait(void **state)
{
	struct player p;
	uint64_t marked;

	start_feed_group(10);
	kit_peer_add(0, 0, 0, SRTP_PROFILE_GCM128);
	player_init(&p, 0, 0);
	start_go_live(&p, 1, 100);
	marked = start_state(0)->sent.next_index;
	kit_restart();
	assert_int_equal(kit.workers[0].starts.n, 0);
	start_feed_delta();
	kit_step(0);
	assert_int_equal(kit_sent_count(0), 0);
	start_feed_key();
	kit_step(0);
	assert_int_equal(kit_sent_count(0), KEY_SLICES + 2);
	assert_int_equal(start_state(0)->sent.first_index, marked + REGION_INDEX_JUMP);
	kit_forget_sent(0);
	kit_viewer_fini(&p.v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		start_test(viewers_join_in_the_middle),
		start_test(what_waits_in_the_lane_is_sent_once),
		start_test(nobody_joins_before_the_live_edge),
		start_test(a_source_may_slow_down),
		start_test(frames_leave_when_they_are_due),
		start_test(a_port_that_stood_still_is_tried),
		start_test(many_at_once_take_turns),
		start_test(an_old_group_is_not_sent),
		start_test(a_big_group_is_not_sent),
		start_test(a_stream_may_do_without),
		start_test(a_silent_source_is_shown),
		start_test(the_way_may_end_early),
		start_test(after_a_restart_they_wait),
	};

	return cmocka_run_group_tests(tests, kit_group_setup, kit_group_teardown);
}
