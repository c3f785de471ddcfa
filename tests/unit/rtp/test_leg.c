// One continuous numbered stream out of whatever encoders send.
// Source: RFC 3550 A.1; checklist F20, F21.
#include "tests/unit/rtp/leg_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REFUSED(reason) (-((int)DROP_##reason + 1))

enum {
	HZ = 90000,
};

static void numbers_run_on_over_wraps(void **state)
{
	struct leg_rig r;
	uint64_t first;

	leg_rig_init(&r, LEG_VIDEO);
	assert_int_equal(leg_rig_give(&r, 65000, 7), 0);
	assert_int_equal(r.changes, LEG_CHANGE_UP | LEG_CHANGE_RESTART);
	first = r.out.seq;
	for (uint32_t i = 1; i < 200000; i++) {
		r.now_ns += MS_NS;
		assert_int_equal(leg_rig_give(&r, (uint16_t)(65000 + i), 7 + 90 * i), 0);
		assert_int_equal(r.out.seq, first + i);
		assert_int_equal(r.out.ts, 7 + 90 * i);
		assert_true(r.out.in_order && r.out.begins);
		assert_int_equal(r.changes, 0);
	}
	assert_int_equal(r.state.packets, 200000);
	assert_int_equal(r.state.frames, 200000);
	assert_int_equal(r.state.lost, 0);
	assert_int_equal(r.state.restarts, 0);
	assert_int_equal(r.state.bytes, 200000 * 15);
}

// Each step: a sequence number, and where it comes out (from the first), or why it does not.
struct step {
	uint16_t seq;
	int rc;
	int out;
	bool in_order;
	uint64_t lost; // by then
};

static void play(const struct step *steps, size_t n, uint16_t base)
{
	struct leg_rig r;
	uint64_t first = 0;

	leg_rig_init(&r, LEG_AUDIO);
	for (size_t i = 0; i < n; i++) {
		const struct step *s = &steps[i];
		int rc = leg_rig_give(&r, (uint16_t)(base + s->seq), 1000);

		if (i == 0)
			first = r.out.seq;
		if (rc != s->rc || r.state.lost != s->lost ||
			(rc == 0 && (r.out.seq != first + (uint64_t)(int64_t)s->out ||
					    r.out.in_order != s->in_order)))
			fail_msg("base %u, step %zu: %d, out %ld, lost %lu", base, i, rc,
				(long)(r.out.seq - first), (unsigned long)r.state.lost);
	}
}

static const struct step gap_steps[] = {
	{ 100, 0, 0, true, 0 },
	{ 99, REFUSED(INGEST_LATE), 0, false, 0 }, // its number may have been another packet's
	{ 101, 0, 1, true, 0 },
	{ 105, 0, 5, true, 3 },
	{ 103, 0, 3, false, 2 },
	{ 103, REFUSED(INGEST_LATE), 0, false, 2 },
	{ 105, REFUSED(INGEST_LATE), 0, false, 2 },
	{ 102, 0, 2, false, 1 },
	{ 106, 0, 6, true, 1 },
	{ 104, 0, 4, false, 0 },
	{ 104, REFUSED(INGEST_LATE), 0, false, 0 },
	{ 99, REFUSED(INGEST_LATE), 0, false, 0 },
};

// The window: 63 behind the newest is in, 64 is out.
static const struct step window_steps[] = {
	{ 0, 0, 0, true, 0 },
	{ 200, 0, 200, true, 199 },
	{ 137, 0, 137, false, 198 },
	{ 136, REFUSED(INGEST_LATE), 0, false, 198 },
	{ 137, REFUSED(INGEST_LATE), 0, false, 198 },
	{ 201, 0, 201, true, 198 },
	{ 137, REFUSED(INGEST_LATE), 0, false, 198 },
	{ 138, 0, 138, false, 197 },
	{ 264, 0, 264, true, 259 },
	{ 201, REFUSED(INGEST_LATE), 0, false, 259 },
	{ 202, 0, 202, false, 258 },
};

// A skip of up to 2999 is a gap. What is farther away is let in only when its successor follows
// at once (A.1), and then goes on where the output ended.
static const struct step restart_steps[] = {
	{ 0, 0, 0, true, 0 },
	{ 2999, 0, 2999, true, 2998 },
	{ 5999, REFUSED(INGEST_LATE), 0, false, 2998 },
	{ 3000, 0, 3000, true, 2998 },			// it was a stray
	{ 6000, REFUSED(INGEST_LATE), 0, false, 2998 }, // not the stray's successor any more
	{ 20000, REFUSED(INGEST_LATE), 0, false, 2998 },
	{ 20002, REFUSED(INGEST_LATE), 0, false, 2998 },
	{ 20003, 0, 3001, true, 2998 },
	{ 20002, REFUSED(INGEST_LATE), 0, false, 2998 },
	{ 20004, 0, 3002, true, 2998 },
	{ 10, REFUSED(INGEST_LATE), 0, false, 2998 }, // backwards
	{ 11, 0, 3003, true, 2998 },
	{ 12, 0, 3004, true, 2998 },
};

static void gaps_stay_gaps_at_any_wrap(void **state)
{
	static const uint16_t bases[] = { 0, 30000, 65336, 65430, 65431, 65435, 65535 };

	for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		play(gap_steps, sizeof(gap_steps) / sizeof(gap_steps[0]), bases[i]);
		play(window_steps, sizeof(window_steps) / sizeof(window_steps[0]), bases[i]);
		play(restart_steps, sizeof(restart_steps) / sizeof(restart_steps[0]), bases[i]);
	}
}

// A burst that was held up is late, however many follow each other; what begins anew after a pause
// is another start of the encoder.
static void held_up_burst_is_late(void **state)
{
	struct leg_rig r;
	uint64_t seq;

	leg_rig_init(&r, LEG_AUDIO);
	assert_int_equal(leg_rig_give(&r, 999, 1000), 0);
	assert_int_equal(leg_rig_give(&r, 1200, 1000), 0);
	seq = r.out.seq;
	for (uint16_t i = 0; i < 100; i++)
		assert_int_equal(leg_rig_give(&r, (uint16_t)(1000 + i), 900), REFUSED(INGEST_LATE));
	assert_int_equal(leg_rig_give(&r, 1201, 1000), 0);
	assert_int_equal(r.out.seq, seq + 1);
	r.now_ns += LEG_SOURCE_GRACE_MS * MS_NS;
	assert_int_equal(leg_rig_give(&r, 1000, 900), REFUSED(INGEST_LATE));
	assert_int_equal(leg_rig_give(&r, 1001, 900), 0);
	assert_int_equal(r.out.seq, seq + 2);
	assert_int_equal(r.state.restarts, 1);
}

// F20: the encoder that comes back has other numbers; viewers see SEQ + 1 and a timestamp moved by
// the time that went by.
static void encoder_restart_is_continuous(void **state)
{
	struct leg_rig r;
	uint64_t seq;
	uint32_t ts;

	leg_rig_init(&r, LEG_VIDEO);
	assert_int_equal(leg_rig_give(&r, 500, 0xfffffff0), 0);
	assert_int_equal(leg_rig_give(&r, 501, 0xfffffff0 + 3000), 0);
	for (int turn = 1; turn <= 10; turn++) {
		seq = r.out.seq;
		ts = r.out.ts;
		r.now_ns += 1500 * MS_NS;
		r.ssrc += 77;
		assert_int_equal(
			leg_rig_give_key(&r, (uint16_t)(turn * 9999), 12345 * (uint32_t)turn), 0);
		assert_int_equal(r.changes & LEG_CHANGE_RESTART, LEG_CHANGE_RESTART);
		assert_int_equal(r.out.seq, seq + 1);
		assert_int_equal((uint32_t)(r.out.ts - ts), HZ * 3 / 2);
		assert_int_equal(r.state.restarts, turn);
	}
	// Within one millisecond the timestamp moves all the same.
	r.ssrc++;
	ts = r.out.ts;
	assert_int_equal(leg_rig_give_key(&r, 1, 2), 0);
	assert_int_equal((uint32_t)(r.out.ts - ts), 1);
}

// Pictures that lean on what nobody got are held back until the new source's first key frame, and
// take no number; sound goes on at once. The timestamp counts the whole time.
static void new_source_begins_at_a_key_frame(void **state)
{
	static const uint8_t sps[] = { 0x67, 0x42, 0xc0, 0x1f, 1 }, aud[] = { 0x09, 0x10 };
	static const struct {
		const uint8_t *lead; // a packet of the key frame's access unit before its slice
		uint16_t lead_bytes;
		bool through;
	} leads[] = { { NULL, 0, false }, { sps, sizeof(sps), true }, { aud, sizeof(aud), false } };

	for (size_t i = 0; i < sizeof(leads) / sizeof(leads[0]); i++) {
		struct leg_rig r;
		uint64_t seq;
		uint32_t ts;

		leg_rig_init(&r, LEG_VIDEO);
		assert_int_equal(leg_rig_give(&r, 500, 1000), 0);
		seq = r.out.seq;
		ts = r.out.ts;
		r.ssrc++;
		r.now_ns += 300 * MS_NS;
		for (uint16_t k = 0; k < 20; k++) {
			r.now_ns += 40 * MS_NS;
			assert_int_equal(
				leg_rig_give(&r, k, 777 + 3600u * k), REFUSED(INGEST_WAITS));
			assert_int_equal(r.changes, 0);
		}
		assert_int_equal(r.state.drops[DROP_INGEST_WAITS], 20);
		// A later slice of a key frame whose first is not there is no beginning.
		assert_int_equal(leg_rig_give_key(&r, 20, 777 + 3600u * 19), REFUSED(INGEST_WAITS));
		r.now_ns += 40 * MS_NS;
		if (leads[i].lead)
			assert_int_equal(leg_rig_give_payload(&r, 21, 777 + 3600u * 20,
						 leads[i].lead, leads[i].lead_bytes),
				leads[i].through ? 0 : REFUSED(INGEST_WAITS));
		assert_int_equal(leg_rig_give_key(&r, 22, 777 + 3600u * 20), 0);
		assert_int_equal(r.out.seq, seq + 1 + leads[i].through);
		assert_int_equal((uint32_t)(r.out.ts - ts), HZ / 1000 * 1140);
		assert_true(r.out.key && r.out.in_order);
		// What the key frame overtook would take a number that was given.
		assert_int_equal(leg_rig_give(&r, 19, 777 + 3600u * 19), REFUSED(INGEST_LATE));
		assert_int_equal(leg_rig_give(&r, 23, 777 + 3600u * 21), 0);
		assert_int_equal(r.out.seq, seq + 2 + leads[i].through);
		assert_int_equal(r.state.restarts, 1);
	}
}

static void report(struct leg_rig *r, uint32_t ts, uint64_t wall_ms)
{
	uint8_t pkt[28] = { 0x80, 200, 0, 6 };
	const uint32_t words[] = { htonl(r->ssrc), htonl((uint32_t)(3900000000 + wall_ms / 1000)),
		htonl((uint32_t)((wall_ms % 1000 << 32) / 1000)), htonl(ts) };

	memcpy(pkt + 4, words, sizeof(words));
	assert_int_equal(
		leg_accept_rtcp(&r->leg, &r->clock, &r->from, pkt, sizeof(pkt), r->now_ns), 0);
}

// F16, F20: an encoder that reports before it sends, as FFmpeg does, goes on on the line of its
// wall clock, however long its first packet took; another wall clock tells nothing.
static void restart_keeps_to_the_wall_clock(void **state)
{
	static const struct {
		int64_t wall_off_ms;
		uint32_t moved_ms;
	} rows[] = { { 0, 1500 }, { 3600000, 1700 }, { -3600000, 1700 }, { 800, 1700 } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct leg_rig r;
		uint32_t ts;

		leg_rig_init(&r, LEG_AUDIO);
		assert_int_equal(leg_rig_give(&r, 1, 5000), 0);
		ts = r.out.ts;
		report(&r, 5000, 10000);
		r.ssrc++;
		r.now_ns += 1700 * MS_NS; // 200 of them on the way from the microphone
		report(&r, 70000, (uint64_t)(11000 + rows[i].wall_off_ms));
		assert_int_equal(leg_rig_give(&r, 900, 70000 + 48 * 500), 0);
		if ((uint32_t)(r.out.ts - ts) != rows[i].moved_ms * 48)
			fail_msg("row %zu: moved %u", i, (uint32_t)(r.out.ts - ts));
	}
}

// The region outlives the data plane: same numbers go on, at a gap of time.
static void process_restart_is_continuous(void **state)
{
	struct leg_rig r;
	uint64_t seq;
	uint32_t ts;

	leg_rig_init(&r, LEG_AUDIO);
	for (uint16_t i = 0; i < 100; i++)
		assert_int_equal(leg_rig_give(&r, i, 960u * i), 0);
	seq = r.out.seq;
	ts = r.out.ts;
	leg_rig_restart(&r);
	r.now_ns += 2000 * MS_NS;
	assert_int_equal(leg_rig_give(&r, 200, 960 * 200), 0);
	assert_int_equal(r.out.seq, seq + 1);
	assert_int_equal((uint32_t)(r.out.ts - ts), 96000);
	assert_int_equal(leg_rig_give(&r, 199, 960 * 199), REFUSED(INGEST_LATE));
	assert_int_equal(leg_rig_give(&r, 99, 960 * 99), REFUSED(INGEST_LATE));
}

static void other_senders_wait_their_turn(void **state)
{
	static const struct {
		bool same_sender;
		unsigned int gone_ms;
		int rc;
	} turns[] = {
		{ true, 0, 0 },
		{ false, 0, REFUSED(INGEST_SSRC) },
		{ false, LEG_SOURCE_GRACE_MS - 1, REFUSED(INGEST_SSRC) },
		{ false, LEG_SOURCE_GRACE_MS, 0 },
	};

	for (size_t i = 0; i < sizeof(turns) / sizeof(turns[0]); i++) {
		struct net_addr other = rig_addr("198.18.77.3", 5000);
		struct leg_rig r;

		leg_rig_init(&r, LEG_VIDEO);
		assert_int_equal(leg_rig_give(&r, 10, 1000), 0);
		r.now_ns += turns[i].gone_ms * MS_NS;
		r.ssrc = 99;
		if (!turns[i].same_sender)
			r.from = other;
		assert_int_equal(leg_rig_give_key(&r, 40000, 5), turns[i].rc);
		assert_int_equal(r.norm.ssrc, turns[i].rc == 0 ? 99 : RIG_SSRC);
		assert_true(net_addr_equal(&r.state.source, &other) ==
			    (turns[i].rc == 0 && !turns[i].same_sender));
		if (turns[i].rc < 0)
			assert_true(net_addr_equal(&r.state.last_refused, &other));
	}
}

// F21. step: of the input's timestamp, after 40 ms of ours.
static void timestamp_jumps_are_anchored_anew(void **state)
{
	static const struct {
		enum leg_kind kind;
		int64_t step;
		bool anchored;
	} jumps[] = {
		{ LEG_VIDEO, 3600, false },
		{ LEG_VIDEO, 0, false },
		{ LEG_VIDEO, 5 * 90000, false },
		{ LEG_VIDEO, 5 * 90000 + 1, true },
		{ LEG_VIDEO, -90000, false },
		{ LEG_VIDEO, -90001, true },
		{ LEG_VIDEO, 0x7fffffff, true },
		{ LEG_VIDEO, -0x7fffffff, true },
		{ LEG_AUDIO, 5 * 48000, false },
		{ LEG_AUDIO, 5 * 48000 + 1, true },
		{ LEG_AUDIO, -48000, false },
		{ LEG_AUDIO, -48001, true },
	};

	for (size_t i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
		uint32_t base = i % 2 ? 0xffffff00 : 5000, want;
		struct leg_rig r;

		leg_rig_init(&r, jumps[i].kind);
		assert_int_equal(leg_rig_give(&r, 8, base), 0);
		assert_int_equal(leg_rig_give(&r, 10, base), 0);
		r.now_ns += 40 * MS_NS;
		want = jumps[i].anchored ? base + 40 * leg_clock_hz(jumps[i].kind) / 1000
					 : base + (uint32_t)jumps[i].step;
		assert_int_equal(leg_rig_give(&r, 11, base + (uint32_t)jumps[i].step), 0);
		if (r.out.ts != want || r.state.restarts != jumps[i].anchored)
			fail_msg("jump %zu: to %u, expected %u", i, r.out.ts, want);
		// And from there it goes on as the source does.
		assert_int_equal(leg_rig_give(&r, 13, base + (uint32_t)jumps[i].step + 7), 0);
		assert_int_equal(r.out.ts, want + 7);
		// What was overtaken is let in, unless it is from before the jump: it has the old
		// clock.
		assert_int_equal(leg_rig_give(&r, 12, base), 0);
		assert_int_equal(
			leg_rig_give(&r, 9, base), jumps[i].anchored ? REFUSED(INGEST_LATE) : 0);
	}
}

// Whatever comes, no output number is given twice: the viewers' keys and indices depend on it.
static void no_number_is_given_twice(void **state)
{
	const size_t n_bits = 1u << 28;
	uint8_t *given = calloc(1, n_bits / 8);
	uint64_t highest = 0, accepted = 0;
	struct leg_rig r;
	uint16_t seq = 0;
	uint32_t ts;

	assert_non_null(given);
	srand(1);
	leg_rig_init(&r, LEG_VIDEO);
	for (int i = 0; i < 400000; i++) {
		int what = rand() % 100;

		r.now_ns += (uint64_t)(rand() % 20) * MS_NS;
		if (what < 70)
			seq++;
		else if (what < 85)
			seq = (uint16_t)(seq + rand() % 160 - 80);
		else if (what < 95)
			seq = (uint16_t)(seq + rand() % 7000 - 3500);
		else
			seq = (uint16_t)rand();
		if (rand() % 500 == 0)
			r.ssrc = (uint32_t)(rand() % 3);
		if (rand() % 500 == 0)
			r.from = rig_addr(rand() % 2 ? "198.18.77.2" : "198.18.77.3", 1);
		if (rand() % 5000 == 0)
			leg_rig_restart(&r);
		ts = (uint32_t)rand() << (rand() % 16);
		if ((rand() % 4 ? leg_rig_give(&r, seq, ts) : leg_rig_give_key(&r, seq, ts)) < 0)
			continue;
		accepted++;
		assert_true(r.out.seq < r.norm.next_seq && r.norm.next_seq < n_bits);
		assert_true(r.norm.next_seq >= highest);
		assert_true(r.out.in_order == (r.out.seq + 1 == r.norm.next_seq));
		highest = r.norm.next_seq;
		assert_false(given[r.out.seq / 8] >> r.out.seq % 8 & 1);
		given[r.out.seq / 8] |= (uint8_t)(1 << r.out.seq % 8);
	}
	assert_true(accepted > 100000);
	free(given);
}

static uint32_t frame_of(struct leg_rig *r, uint16_t seq, uint32_t ts)
{
	assert_int_equal(leg_rig_give(r, seq, ts), 0);
	return r->out.frame;
}

// Overtaken packets are numbered with their access unit, or between those beside them.
static void frames_are_counted_whatever_the_order(void **state)
{
	struct leg_rig r;
	uint32_t first, then;

	leg_rig_init(&r, LEG_VIDEO);
	first = frame_of(&r, 65530, 3000);
	assert_int_equal(frame_of(&r, 65531, 3000), first);
	assert_int_equal(frame_of(&r, 65532, 6000), first + 1);
	// Of the one before, of the one that overtook it, and of none of these.
	then = frame_of(&r, 0, 12000);
	assert_int_equal(then, first + 1 + 4);
	assert_int_equal(frame_of(&r, 65533, 6000), first + 1);
	assert_int_equal(frame_of(&r, 65535, 12000), then);
	assert_int_equal(frame_of(&r, 65534, 9000), first + 2);
	assert_int_equal(frame_of(&r, 1, 12000), then);
	assert_int_equal(frame_of(&r, 2, 15000), then + 1);
	// A whole unit of two packets was overtaken.
	assert_int_equal(frame_of(&r, 5, 21000), then + 4);
	assert_int_equal(frame_of(&r, 4, 18000), then + 3);
	assert_int_equal(frame_of(&r, 3, 18000), then + 3);
	// An encoder that begins again is the next unit.
	r.ssrc++;
	assert_int_equal(leg_rig_give_key(&r, 40000, 7), 0);
	assert_int_equal(r.out.frame, then + 5);
	assert_int_equal(frame_of(&r, 40001, 7), then + 5);
}

// What comes late behind a move has its place and its access unit in the new numbers, over what was
// left out before the move too.
static void all_numbers_are_moved(void **state)
{
	struct leg_rig r;
	uint32_t first;
	uint64_t seq;

	leg_rig_init(&r, LEG_VIDEO);
	first = frame_of(&r, 10, 3000);
	seq = r.out.seq;
	assert_int_equal(frame_of(&r, 12, 9000), first + 2);
	leg_omit(&r.leg, &r.out);
	leg_move(&r.leg, 1000, 90, 50);
	assert_int_equal(frame_of(&r, 13, 12000), first + 53);
	assert_int_equal(r.out.seq, seq + 1002);
	assert_int_equal(r.out.ts, 12090);
	assert_int_equal(frame_of(&r, 11, 6000), first + 51);
	assert_int_equal(r.out.seq, seq + 1001);
	assert_int_equal(r.out.ts, 6090);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_run_on_over_wraps),
		cmocka_unit_test(gaps_stay_gaps_at_any_wrap),
		cmocka_unit_test(held_up_burst_is_late),
		cmocka_unit_test(encoder_restart_is_continuous),
		cmocka_unit_test(new_source_begins_at_a_key_frame),
		cmocka_unit_test(restart_keeps_to_the_wall_clock),
		cmocka_unit_test(process_restart_is_continuous),
		cmocka_unit_test(other_senders_wait_their_turn),
		cmocka_unit_test(timestamp_jumps_are_anchored_anew),
		cmocka_unit_test(no_number_is_given_twice),
		cmocka_unit_test(frames_are_counted_whatever_the_order),
		cmocka_unit_test(all_numbers_are_moved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
