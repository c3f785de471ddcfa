// Viewers who ask for a key frame: they get the last one again, and the source is asked for
// another. Checklist: E6, F30, F31.
#include "tests/unit/fanout/start_kit.h"

static void put32(uint8_t *at, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t)(v >> (24 - 8 * i));
}

static void ask(struct player *p, uint8_t format, uint32_t sender, uint8_t fir_seq)
{
	uint32_t ssrc = p->v.conf->legs[LEG_VIDEO].ssrc;
	uint8_t pkt[KIT_PKT_BYTES] = { (uint8_t)(0x80 | format), 206, 0, format == 1 ? 2 : 4 };

	put32(pkt + 4, sender);
	put32(pkt + 8, format == 1 ? ssrc : 0);
	put32(pkt + 12, ssrc);
	pkt[16] = fir_seq;
	kit_feed(p->worker, &p->v.addr, KIT_MEDIA_PORT, pkt,
		kit_viewer_seal(&p->v, pkt, format == 1 ? 12 : 20));
	kit_step(p->worker);
}

static void expect_located(const struct player *p, uint64_t index, unsigned int fed_at)
{
	const struct draw *draw;
	uint64_t seq = 0, key_seq;

	assert_int_equal(peer_leg_locate(player_leg(p, 0), index, &seq, &draw), 0);
	assert_int_equal(
		history_last_key(keep_find(&kit.edge, 0, 1)->legs[LEG_VIDEO], &key_seq), 0);
	assert_int_equal(seq - key_seq, fed_at - fed.key);
}

// The picture broke: it begins again at the key frame, in the same sequence, in time that rises.
static void a_key_frame_is_sent_again(void **state)
{
	struct player p;
	uint64_t base, second;
	unsigned int played;

	start_feed_key();
	kit_step(0);
	kit_peer_add(0, 0, 0, SRTP_PROFILE_GCM128);
	player_init(&p, 0, 0);
	start_go_live(&p, 1, 100);
	assert_int_equal(p.at, fed.n);
	ask(&p, 1, 7, 0); // too soon
	assert_int_equal(start_state(0)->keys_too_soon, 1);
	start_go_live(&p, 1, 1000);
	start_feed_delta(); // the newest frame is new to the viewer too
	kit_step(0);
	player_play(&p);
	base = p.v.conf->legs[LEG_VIDEO].seq_base;
	second = start_state(0)->sent.next_index;
	played = p.n;
	player_play(&p);
	p.at = fed.key;
	for (int i = 0; i < 100; i++) {
		ask(&p, 1, 7, 0);
		player_play(&p);
	}
	start_go_live(&p, 1, 700);
	assert_int_equal(p.at, fed.n);
	assert_true(p.live);
	assert_int_equal(start_state(0)->keys_sent, 1);
	assert_true(start_state(0)->keys_under_way > 50);
	assert_int_equal(start_state(0)->plis, 101);
	expect_located(&p, base, fed.key);
	expect_located(&p, base + 50, fed.key + 50);
	expect_located(&p, second - 1, fed.key + played - 1);
	expect_located(&p, second, fed.key);
	expect_located(&p, second + 60, fed.key + 60);
	assert_int_equal(start_state(0)->sent.first_index, second);
	kit_viewer_fini(&p.v);
}

// Who asked again and again, and then was calm for more than ten seconds, begins anew.
static void calm_ends_the_back_off(void **state)
{
	struct peer_course *course;
	struct player p;

	start_feed_key();
	kit_step(0);
	kit_peer_add(0, 0, 0, SRTP_PROFILE_GCM128);
	player_init(&p, 0, 0);
	start_go_live(&p, 1, 100);
	course = &kit.workers[0].peers[0]->courses[LEG_VIDEO];
	course->key_backoff = 3;
	course->key_again_ns = region_now_ns() - 10100000000;
	start_feed_delta();
	kit_step(0);
	ask(&p, 1, 7, 0);
	assert_int_equal(start_state(0)->keys_sent, 1);
	assert_int_equal(course->key_backoff, 1);
	assert_in_range(course->key_again_ns - region_now_ns(), 500000000, 1000000000);
	start_go_live(NULL, 0, 300);
	kit_forget_sent(0);
	kit_viewer_fini(&p.v);
}

static void firs_are_told_apart(void **state)
{
	struct player p;

	start_feed_group(5);
	kit_peer_add(0, 0, 0, SRTP_PROFILE_GCM128);
	player_init(&p, 0, 0);
	ask(&p, 4, 7, 0);
	ask(&p, 4, 7, 0);
	ask(&p, 4, 8, 0); // another sender
	ask(&p, 4, 7, 0);
	ask(&p, 4, 7, 1);
	assert_int_equal(start_state(0)->firs, 5);
	assert_int_equal(start_state(0)->fir_repeats, 2);
	assert_int_equal(start_state(0)->keys_under_way, 3);
	kit_forget_sent(0);
	kit_viewer_fini(&p.v);
}

// ---- asking the source -------------------------------------------------------------------------

static void feed_sender_report(void)
{
	const struct net_addr encoder = kit_addr("198.18.77.3", 7777);
	uint8_t pkt[28] = { 0x80, 200, 0, 6 };

	put32(pkt + 4, 0xabc0); // as kit_feed_rtp has it
	put32(pkt + 8, 0xe5000000);
	kit_feed(0, &encoder, KIT_VIDEO_PORT + 1, pkt, sizeof(pkt));
	kit_step(0);
}

// The next of our PLIs to the source must be well made. Return: whether there is one.
static bool source_was_asked(void)
{
	uint8_t frame[KIT_PKT_BYTES], *rtcp;
	uint16_t bytes;

	while ((bytes = kit_sent_frame(0, frame)) > 0) {
		if (bytes < 42 || frame[36] != 7777 >> 8 || frame[37] != (7777 & 0xff))
			continue;
		assert_int_equal(frame[34] << 8 | frame[35], KIT_VIDEO_PORT + 1);
		rtcp = frame + 42;
		assert_memory_equal(rtcp, "\x80\xc9\0\1", 4); // RR, SDES, PLI
		assert_int_equal(rtcp[9], 202);
		rtcp = frame + bytes - 12;
		assert_memory_equal(rtcp, "\x81\xce\0\2", 4);
		assert_int_equal(start_get32(rtcp + 8), 0xabc0);
		assert_int_equal(start_get32(rtcp + 4), start_get32(frame + 46));
		return true;
	}
	return false;
}

static void the_source_is_asked_once_a_second(void **state)
{
	struct region_leg_state *leg = &kit.region.streams[0].legs[LEG_VIDEO];

	start_feed_delta();
	kit_step(0);
	kit_peer_add(0, 0, 0, SRTP_PROFILE_GCM128);
	kit_step_ms(0, 30);
	assert_false(source_was_asked()); // it was not heard yet
	feed_sender_report();
	for (uint16_t slot = 1; slot < 8; slot++)
		kit_peer_add(slot, 0, slot % 2, SRTP_PROFILE_GCM128);
	kit_step_ms(0, 400);
	assert_true(source_was_asked());
	assert_false(source_was_asked());
	for (int i = 0; i < 7; i++) {
		start_feed_delta();
		kit_step_ms(0, 100);
	}
	assert_true(source_was_asked()); // it did not hear, or is slow
	assert_false(source_was_asked());
	assert_int_equal(leg->key_requests, 2);
	start_feed_key();
	kit_step(0);
	kit_forget_sent(0);
	kit_forget_sent(1);
	for (int i = 0; i < 12; i++) {
		start_feed_delta();
		kit_step_ms(0, 100);
		kit_step(1);
		assert_false(source_was_asked());
		kit_forget_sent(1);
	}
	assert_int_equal(leg->key_requests, 2);
}

static void a_stream_may_leave_its_source_alone(void **state)
{
	kit.region.streams[0].conf.no_feedback = 1;
	assert_int_equal(kit_stream_set(0), 0);
	start_feed_delta();
	kit_step(0);
	feed_sender_report();
	kit_peer_add(0, 0, 0, SRTP_PROFILE_GCM128);
	kit_step_ms(0, 50);
	assert_false(source_was_asked());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		start_test(a_key_frame_is_sent_again),
		start_test(calm_ends_the_back_off),
		start_test(firs_are_told_apart),
		start_test(the_source_is_asked_once_a_second),
		start_test(a_stream_may_leave_its_source_alone),
	};

	return cmocka_run_group_tests(tests, kit_group_setup, kit_group_teardown);
}
