// A data plane that dies and another that takes its region up: viewers and streams go on, and no
// index of a key is ever used twice. What the viewers get is opened with libsrtp2, whose own
// windows refuse a repetition.
#include "tests/unit/fanout/edge_kit.h"

#include <errno.h>
#include <string.h>

enum {
	IDR = 0x65,
	SLICE = 0x41,
	OPUS = 0x7c,
	PLI_BYTES = 12,
};

static const uint16_t profiles[] = { SRTP_PROFILE_GCM128, SRTP_PROFILE_CM80, SRTP_PROFILE_GCM256 };

static void feed(uint16_t worker, enum leg_kind leg, const struct kit_rtp *p)
{
	kit_feed_rtp(worker, 0, leg, p);
	kit_step(worker);
}

static struct region_peer_leg_state *leg_state(uint16_t slot, enum leg_kind leg)
{
	return &kit.region.peers[slot].state.legs[leg];
}

static void viewer_turn(struct kit_viewer *v, uint16_t slot)
{
	v->conf = &kit.region.peers[slot].conf; // the region is mapped anew
}

static uint16_t put32(uint8_t *at, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t)(v >> (24 - 8 * i));
	return 4;
}

// ---- what goes out -----------------------------------------------------------------------------

// Each profile; the encoder goes on with its own numbers, and stays the same stream.
static void viewers_go_on_behind_a_leap(void **state)
{
	const struct kit_rtp before = kit_rtp_make(10, 3000, IDR, true);
	const struct kit_rtp waits = kit_rtp_make(11, 6000, SLICE, true);
	const struct kit_rtp after = kit_rtp_make(12, 9000, IDR, true);
	const struct kit_rtp next = kit_rtp_make(13, 12000, SLICE, true);
	struct kit_viewer v[3];

	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	for (uint16_t slot = 0; slot < 3; slot++) {
		kit_peer_add(slot, 0, 0, profiles[slot]);
		kit_viewer_init(&v[slot], slot);
	}
	feed(0, LEG_VIDEO, &before);
	for (uint16_t slot = 0; slot < 3; slot++)
		kit_viewer_expect(&v[slot], 0, LEG_VIDEO, &before, v[slot].conf->legs[0].seq_base);
	kit_restart();
	assert_int_equal(kit.region.workers[0].n_peers, 3);
	feed(0, LEG_VIDEO, &waits); // no picture can begin with it
	assert_int_equal(kit_sent_count(0), 0);
	kit_feed_rtp(0, 0, LEG_VIDEO, &after);
	kit_feed_rtp(0, 0, LEG_VIDEO, &next);
	kit_step(0);
	for (uint16_t slot = 0; slot < 3; slot++) {
		struct kit_rtp want = after;
		uint32_t leap;

		viewer_turn(&v[slot], slot);
		leap = v[slot].conf->legs[0].seq_base + 1u + REGION_INDEX_JUMP;
		// The source is anchored anew: its time runs on from where the output was.
		want.ts = (uint32_t)kit.region.streams[0].norm[LEG_VIDEO].last_ts - 3000;
		kit_viewer_expect(&v[slot], 0, LEG_VIDEO, &want, (uint16_t)leap);
		want = next;
		want.ts = kit.region.streams[0].norm[LEG_VIDEO].last_ts;
		kit_viewer_expect(&v[slot], 0, LEG_VIDEO, &want, (uint16_t)(leap + 1));
		assert_int_equal(leg_state(slot, LEG_VIDEO)->sent.next_index, leap + 2);
		assert_int_equal(leg_state(slot, LEG_VIDEO)->sent.packets, 3);
		kit_viewer_fini(&v[slot]);
	}
	assert_int_equal(kit.region.streams[0].legs[LEG_VIDEO].packets, 3);
	assert_int_equal(kit.region.streams[0].legs[LEG_VIDEO].drops[DROP_INGEST_WAITS], 1);
	assert_int_equal(kit.region.streams[0].legs[LEG_VIDEO].key_frames, 2);
}

// Restarts without a packet between them do not add up to a leap that receivers would not follow.
static void leaps_do_not_add_up(void **state)
{
	const struct kit_rtp one = kit_rtp_make(1, 960, OPUS, false);
	const struct kit_rtp two = kit_rtp_make(2, 1920, OPUS, false);
	struct kit_viewer v;
	uint16_t base;
	struct kit_rtp want = two;

	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	kit_peer_add(0, 0, 0, SRTP_PROFILE_GCM128);
	kit_viewer_init(&v, 0);
	base = v.conf->legs[LEG_AUDIO].seq_base;
	feed(0, LEG_AUDIO, &one);
	kit_viewer_expect(&v, 0, LEG_AUDIO, &one, base);
	for (int i = 0; i < 40; i++)
		kit_restart();
	viewer_turn(&v, 0);
	feed(0, LEG_AUDIO, &two);
	want.ts = kit.region.streams[0].norm[LEG_AUDIO].last_ts;
	kit_viewer_expect(&v, 0, LEG_AUDIO, &want, (uint16_t)(base + 1 + REGION_INDEX_JUMP));
	kit_viewer_fini(&v);
}

// Nobody's consent is known: nothing is sent. A control that comes back finds its viewers, and no
// index comes twice.
static void without_control_nobody_is_served(void **state)
{
	const struct kit_rtp one = kit_rtp_make(1, 960, OPUS, false);
	const struct kit_rtp two = kit_rtp_make(2, 1920, OPUS, false);
	const struct kit_rtp three = kit_rtp_make(3, 2880, OPUS, false);
	struct kit_viewer v;
	uint64_t next;

	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	for (uint16_t slot = 0; slot < 3; slot++)
		kit_peer_add(slot, 0, 0, SRTP_PROFILE_GCM128);
	kit_viewer_init(&v, 0);
	feed(0, LEG_AUDIO, &one);
	assert_int_equal(kit_sent_count(0), 3);
	kit_forget_sent(0);
	next = leg_state(0, LEG_AUDIO)->sent.next_index;
	atomic_store(&kit.edge.alone, true);
	kit_step(0);
	assert_int_equal(kit.region.workers[0].n_peers, 0);
	feed(0, LEG_AUDIO, &two);
	assert_int_equal(kit_sent_count(0), 0);
	atomic_store(&kit.edge.alone, false);
	assert_int_equal(kit_command(0, RING_PEER_UPDATE, 0, 1), 0);
	assert_int_equal(kit.region.workers[0].n_peers, 1);
	feed(0, LEG_AUDIO, &three);
	kit_viewer_expect(&v, 0, LEG_AUDIO, &three, (uint16_t)(next + REGION_INDEX_JUMP));
	kit_viewer_fini(&v);
}

// The stream's numbers were lost, as where its slot was refused and set up anew: the viewer's own
// mark rules.
static void a_stream_that_begins_anew_repeats_no_index(void **state)
{
	struct kit_viewer v;
	struct kit_rtp p;
	uint64_t marked;

	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	kit_peer_add(0, 0, 0, SRTP_PROFILE_GCM128);
	kit_viewer_init(&v, 0);
	for (uint16_t i = 0; i < 50; i++) {
		p = kit_rtp_make(i, i * 960u, OPUS, false);
		feed(0, LEG_AUDIO, &p);
	}
	kit_forget_sent(0);
	marked = leg_state(0, LEG_AUDIO)->sent.next_index;
	kit.region.streams[0].state_generation = 77; // of another stream, for all that is known
	kit_restart();
	viewer_turn(&v, 0);
	assert_int_equal(kit.region.streams[0].legs[LEG_AUDIO].packets, 0);
	p = kit_rtp_make(900, 5, OPUS, false);
	feed(0, LEG_AUDIO, &p);
	kit_viewer_expect(&v, 0, LEG_AUDIO, &p, (uint16_t)(marked + REGION_INDEX_JUMP));
	kit_viewer_fini(&v);
}

// A packet that was overtaken by the one with which the viewer began again gets no number.
static void nothing_is_sent_below_the_leap(void **state)
{
	const struct kit_rtp before = kit_rtp_make(100, 3000, IDR, true);
	const struct kit_rtp after[] = { kit_rtp_make(120, 6000, SLICE, true),
		kit_rtp_make(122, 12000, IDR, true), kit_rtp_make(121, 9000, SLICE, true) };
	struct kit_viewer v;
	uint64_t first;

	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	kit_peer_add(0, 0, 0, SRTP_PROFILE_CM80);
	kit_viewer_init(&v, 0);
	feed(0, LEG_VIDEO, &before);
	kit_forget_sent(0);
	first = leg_state(0, LEG_VIDEO)->sent.next_index + REGION_INDEX_JUMP;
	kit_restart();
	for (int i = 0; i < 3; i++)
		feed(0, LEG_VIDEO, &after[i]);
	assert_int_equal(kit.region.streams[0].legs[LEG_VIDEO].packets, 2);
	assert_int_equal(kit_sent_count(0), 1);
	assert_int_equal(leg_state(0, LEG_VIDEO)->sent.first_index, first);
	assert_int_equal(leg_state(0, LEG_VIDEO)->sent.next_index, first + 1);
	kit_forget_sent(0);
	kit_viewer_fini(&v);
}

static void report_indices_leap(void **state)
{
	const struct kit_rtp one = kit_rtp_make(1, 960, OPUS, false);
	uint8_t pkt[KIT_PKT_BYTES];
	struct kit_viewer v;
	uint32_t before;

	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	kit_peer_add(0, 0, 0, SRTP_PROFILE_GCM128);
	kit_viewer_init(&v, 0);
	feed(0, LEG_AUDIO, &one);
	kit.reports = true;
	kit_step_ms(0, 1000);
	assert_true(kit_viewer_rtcp(&v, 0, pkt) > 0);
	kit_forget_sent(0);
	before = leg_state(0, LEG_AUDIO)->sent.rtcp_index;
	assert_true(before > 1);
	kit_restart();
	viewer_turn(&v, 0);
	assert_int_equal(leg_state(0, LEG_AUDIO)->sent.rtcp_index, before + REGION_RTCP_JUMP);
	kit_step_ms(0, 1000);
	assert_true(kit_viewer_rtcp(&v, 0, pkt) > 0);
	kit_forget_sent(0);
	kit_viewer_fini(&v);
}

// ---- what comes in -----------------------------------------------------------------------------

static uint16_t make_pli(struct kit_viewer *v, uint8_t pkt[KIT_PKT_BYTES])
{
	const uint8_t head[] = { 0x81, 206, 0, 2 };

	memset(pkt, 0, KIT_PKT_BYTES);
	memcpy(pkt, head, sizeof(head));
	put32(pkt + 4, 0x1234);
	put32(pkt + 8, v->conf->legs[LEG_VIDEO].ssrc);
	return kit_viewer_seal(v, pkt, PLI_BYTES);
}

// What was taken before the restart is not taken after it; what is new is.
static void old_feedback_stays_old(void **state)
{
	uint8_t old[KIT_PKT_BYTES], never[KIT_PKT_BYTES], fresh[KIT_PKT_BYTES];
	uint16_t bytes, unused;
	struct kit_viewer v;

	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	kit_peer_add(0, 0, 0, SRTP_PROFILE_GCM128);
	kit_viewer_init(&v, 0);
	unused = make_pli(&v, never);
	bytes = make_pli(&v, old);
	kit_feed(0, &v.addr, KIT_MEDIA_PORT, old, bytes);
	kit_step(0);
	assert_int_equal(leg_state(0, LEG_VIDEO)->plis, 1);
	kit_restart();
	viewer_turn(&v, 0);
	kit_feed(0, &v.addr, KIT_MEDIA_PORT, old, bytes);
	kit_feed(0, &v.addr, KIT_MEDIA_PORT, never, unused);
	kit_step(0);
	assert_int_equal(leg_state(0, LEG_VIDEO)->plis, 1);
	assert_int_equal(kit.region.workers[0].drops[DROP_SRTCP_REPLAY], 2);
	bytes = make_pli(&v, fresh);
	kit_feed(0, &v.addr, KIT_MEDIA_PORT, fresh, bytes);
	kit_step(0);
	assert_int_equal(leg_state(0, LEG_VIDEO)->plis, 2);
	kit_viewer_fini(&v);
}

// ---- what is not taken up ----------------------------------------------------------------------

static void only_viewers_that_play_are_taken_up(void **state)
{
	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	for (uint16_t slot = 0; slot < 7; slot++)
		kit_peer_add(slot, 0, 1, SRTP_PROFILE_GCM128);
	kit.region.peers[1].conf.phase = REGION_PEER_RESERVED;
	kit.region.peers[2].conf.phase = REGION_PEER_CLOSING;
	kit.region.peers[3].conf.generation = 2;
	kit.region.peers[4].conf.worker = KIT_WORKERS;
	kit.region.peers[5].conf.stream_generation++;
	kit.region.peers[6].conf.stream = KIT_STREAMS;
	kit_restart();
	assert_int_equal(kit.region.workers[1].n_peers, 1);
	assert_non_null(kit.workers[1].peers[0]);
	// Control takes up again what it had asked for and was not answered.
	kit.region.peers[1].conf.phase = REGION_PEER_READY;
	assert_int_equal(kit_command(1, RING_PEER_UPDATE, 1, 1), 0);
	assert_int_equal(kit_command(1, RING_PEER_REMOVE, 2, 1), 0);
	assert_int_equal(kit.region.workers[1].n_peers, 2);
}

static void streams_that_contradict_themselves_are_left(void **state)
{
	for (uint16_t slot = 0; slot < 3; slot++) {
		kit_stream_fill(slot, 0);
		assert_int_equal(kit_stream_set(slot), 0);
	}
	kit.region.streams[1].conf.legs[LEG_VIDEO].port = KIT_VIDEO_PORT; // stream 0 has it
	kit.region.streams[2].conf.owner = KIT_WORKERS;
	kit_restart();
	for (uint16_t w = 0; w < KIT_WORKERS; w++) {
		assert_int_equal(kit.workers[w].streams[0].generation, 1);
		assert_int_equal(kit.workers[w].streams[1].generation, 0);
		assert_int_equal(kit.workers[w].streams[2].generation, 0);
	}
	// The same stream once more, as control says it on coming back: nothing begins anew.
	kit.region.streams[0].legs[LEG_VIDEO].packets = 5;
	assert_int_equal(kit_stream_set(0), 0);
	assert_int_equal(kit.region.streams[0].legs[LEG_VIDEO].packets, 5);
}

// Numbers that cannot be: the viewer is not taken up, the stream begins anew.
static void damaged_numbers_are_refused(void **state)
{
	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	for (uint16_t slot = 0; slot < 5; slot++)
		kit_peer_add(slot, 0, 0, SRTP_PROFILE_GCM128);
	leg_state(1, LEG_VIDEO)->sent.next_index = 1ULL << 47;
	leg_state(2, LEG_AUDIO)->sent.first_index = UINT64_MAX;
	leg_state(3, LEG_AUDIO)->sent.index_shift = INT64_MIN;
	leg_state(4, LEG_AUDIO)->sent.index_shift = INT64_MAX;
	kit.region.streams[0].norm[LEG_AUDIO].next_seq = 1ULL << 63;
	kit_restart();
	assert_int_equal(kit.region.workers[0].n_peers, 1);
	assert_int_equal(kit.region.streams[0].norm[LEG_AUDIO].next_seq, 0);
}

// Of two workers each takes up its own viewers; what one receives reaches the other's.
static void two_workers_go_on(void **state)
{
	const struct kit_rtp one = kit_rtp_make(1, 960, OPUS, false);
	struct kit_viewer v;

	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	kit_peer_add(0, 0, 0, SRTP_PROFILE_GCM128);
	kit_peer_add(1, 0, 1, SRTP_PROFILE_GCM128);
	kit_restart();
	kit_viewer_init(&v, 1);
	feed(0, LEG_AUDIO, &one);
	kit_step(1);
	kit_viewer_expect(&v, 1, LEG_AUDIO, &one, v.conf->legs[LEG_AUDIO].seq_base);
	kit_forget_sent(0);
	kit_viewer_fini(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		kit_test(viewers_go_on_behind_a_leap),
		kit_test(leaps_do_not_add_up),
		kit_test(without_control_nobody_is_served),
		kit_test(a_stream_that_begins_anew_repeats_no_index),
		kit_test(nothing_is_sent_below_the_leap),
		kit_test(report_indices_leap),
		kit_test(old_feedback_stays_old),
		kit_test(only_viewers_that_play_are_taken_up),
		kit_test(streams_that_contradict_themselves_are_left),
		kit_test(damaged_numbers_are_refused),
		kit_test(two_workers_go_on),
	};

	return cmocka_run_group_tests(tests, kit_group_setup, kit_group_teardown);
}
