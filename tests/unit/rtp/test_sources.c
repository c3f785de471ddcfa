// Two sources of one stream: who plays when, and what the output is over a change.
// Source: checklist F16, F20.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "dataplane/ingest/sources.h"

#define MS_NS 1000000ULL

enum {
	FRAME_MS = 40,
	GROUP_FRAMES = 250, // ten seconds
	VIDEO_HZ = 90000,
	AUDIO_HZ = 48000,
	GOP_BYTES = 6 << 20,
};

// An encoder whose picture k and sound packet 2k are of one instant.
struct encoder {
	enum region_role role;
	uint16_t seq[LEG_COUNT];
	uint32_t ts[LEG_COUNT];
	uint32_t n; // pictures so far
	bool dumb;  // sends no sound
	bool bare;  // its key frames are given parameter sets
};

static struct {
	struct leg legs[REGION_ROLE_COUNT][LEG_COUNT];
	struct region_leg_state states[REGION_ROLE_COUNT][LEG_COUNT];
	struct region_leg_norm norm[LEG_COUNT];
	struct region_sources_state state;
	struct stream_clock clock;
	struct sources *sources;
	struct sources_policy policy;
	uint64_t now_ns;
	struct encoder encoders[REGION_ROLE_COUNT];
	// The output.
	uint64_t next_seq[LEG_COUNT];
	uint32_t last_ts[LEG_COUNT];
	uint32_t last_frame[LEG_COUNT];
	uint64_t last_ns[LEG_COUNT];
	bool any[LEG_COUNT];
	bool led; // by sets: the next packet is of the same picture
	unsigned int n_keys, n_out;
	unsigned int group_frames;
} t;

static void take_output(enum leg_kind leg, const struct leg_packet *p)
{
	if (t.any[leg])
		assert_int_equal(p->seq, t.next_seq[leg]);
	if (t.any[leg] && !t.led) {
		assert_true((int32_t)(p->ts - t.last_ts[leg]) > 0);
		assert_int_equal(p->frame, t.last_frame[leg] + 1);
	}
	t.any[leg] = true;
	t.next_seq[leg] = p->seq + 1;
	t.last_ts[leg] = p->ts;
	t.last_frame[leg] = p->frame;
	t.led = p->params;
	t.last_ns[leg] = t.now_ns;
	t.n_keys += p->key;
	t.n_out++;
}

// What was kept has the source's own distances, and so much room that it can be drawn together
// behind what was sent.
static void take_kept(void)
{
	struct gop *g = &t.sources->gop;
	uint32_t shown_ts = t.last_ts[LEG_VIDEO];
	bool shown = t.any[LEG_VIDEO];

	for (uint32_t i = 0; i < g->n_packets; i++) {
		if (i)
			t.last_ts[LEG_VIDEO] = g->packets[i].p.ts - 1;
		else
			t.any[LEG_VIDEO] = false;
		take_output(LEG_VIDEO, &g->packets[i].p);
		assert_true(g->packets[i].rx_ns <= t.now_ns);
		if (i && !g->packets[i - 1].p.params)
			assert_int_equal(g->packets[i].p.ts - g->packets[i - 1].p.ts,
				VIDEO_HZ / 1000 * FRAME_MS);
	}
	if (g->n_packets && shown)
		assert_true((int32_t)(t.last_ts[LEG_VIDEO] - shown_ts) > (int32_t)gop_n_before(g));
	gop_clear(g);
}

static void switch_if_due(void)
{
	enum region_switch why;

	if (!sources_due(t.sources, &t.policy, t.now_ns, &why))
		return;
	sources_switch(t.sources, why, t.now_ns);
	take_kept();
}

// As the worker does with what a leg accepted.
static void forward(const struct encoder *e, enum leg_kind kind, const struct leg_packet *p,
	const uint8_t *payload)
{
	bool plays = t.state.active == e->role;

	if (plays)
		take_output(kind, p);
	else if (kind == LEG_VIDEO)
		gop_put(&t.sources->gop, p, payload, t.now_ns);
}

static void add_sets(const struct encoder *e, struct leg_packet *key, const uint8_t *payload)
{
	struct leg_packet sets = *key;

	leg_insert(&t.legs[e->role][LEG_VIDEO], key, &sets.seq);
	key->begins = false;
	sets.key = false;
	sets.params = true;
	forward(e, LEG_VIDEO, &sets, payload);
}

static void give(struct encoder *e, enum leg_kind kind)
{
	uint8_t pkt[15] = { 0x80, 96 };
	const uint16_t seq = htons(e->seq[kind]++);
	const uint32_t ts = htonl(e->ts[kind]), ssrc = htonl(7 + e->role);
	const struct net_addr from = { .family = NET_IPV4, .ip = { 198, 18, 77, 2 } };
	bool plays = t.state.active == e->role;
	unsigned int changes;
	struct leg_packet p;

	memcpy(pkt + 2, &seq, 2);
	memcpy(pkt + 4, &ts, 4);
	memcpy(pkt + 8, &ssrc, 4);
	pkt[12] = kind == LEG_AUDIO ? 0x78 : e->n % t.group_frames == 0 ? 0x65 : 0x41;
	if (leg_accept(&t.legs[e->role][kind], plays ? &t.clock : &t.sources->spare_clock, &from,
		    pkt, sizeof(pkt), 1200, t.now_ns, &p, &changes) < 0)
		return;
	if (e->bare && p.key && p.in_order)
		add_sets(e, &p, pkt + 12);
	forward(e, kind, &p, pkt + 12);
	if (!plays && p.opens)
		switch_if_due();
}

// Each of the encoders that are named sends a picture and two packets of sound; then time goes by.
static void play(unsigned int roles, unsigned int frames)
{
	for (unsigned int i = 0; i < frames; i++) {
		for (int role = 0; role < REGION_ROLE_COUNT; role++) {
			struct encoder *e = &t.encoders[role];

			if (roles >> role & 1) {
				give(e, LEG_VIDEO);
				for (int k = 0; k < 2 && !e->dumb; k++) {
					give(e, LEG_AUDIO);
					e->ts[LEG_AUDIO] += AUDIO_HZ / 50;
				}
			} else {
				e->ts[LEG_AUDIO] += AUDIO_HZ / 25;
			}
			e->ts[LEG_VIDEO] += VIDEO_HZ / 1000 * FRAME_MS;
			e->n++;
		}
		for (int ms = 0; ms < FRAME_MS; ms += 10) {
			t.now_ns += 10 * MS_NS;
			switch_if_due();
		}
	}
}

static int setup(void **state)
{
	const struct region_leg_conf conf = { .present = 1, .payload_type = 96 };

	memset(&t, 0, sizeof(t));
	t.now_ns = 3600000 * MS_NS;
	t.policy.failover_ms = 200;
	t.group_frames = GROUP_FRAMES;
	for (int role = 0; role < REGION_ROLE_COUNT; role++) {
		for (int leg = 0; leg < LEG_COUNT; leg++)
			leg_init(
				&t.legs[role][leg], leg, &conf, &t.norm[leg], &t.states[role][leg]);
		t.encoders[role] = (struct encoder){ .role = role,
			.seq = { 65000, 100 },
			.ts = { 0xfffff000u + (uint32_t)role * 77777777, 99u + (uint32_t)role },
			.n = (uint32_t)role * 130 };
	}
	// The backup's first key frame is a while off.
	return sources_create(
		t.legs[0], t.legs[1], &t.clock, t.norm, &t.state, GOP_BYTES, t.now_ns, &t.sources);
}

static int teardown(void **state)
{
	sources_destroy(t.sources);
	return 0;
}

enum { PRIMARY = 1 << REGION_PRIMARY, BACKUP = 1 << REGION_BACKUP, BOTH = PRIMARY | BACKUP };

// The clock's line of the output, as reports to viewers tell it.
static uint32_t zero(enum leg_kind leg)
{
	static const bool present[LEG_COUNT] = { true, true };
	uint32_t out;

	assert_int_equal(stream_clock_zero(&t.clock, leg, present, t.now_ns, &out), 0);
	return out;
}

static uint64_t n_switches(void)
{
	uint64_t n = 0;

	for (int why = 0; why < REGION_SWITCH_COUNT; why++)
		n += t.state.switches[why];
	return n;
}

// F20: whoever plays, the output is one, and its time goes on; long groups are no wait.
static void backup_takes_over_from_a_silent_primary(void **state)
{
	uint32_t before[LEG_COUNT];

	play(BOTH, 200); // the backup's key frame was at 120
	assert_int_equal(t.state.active, REGION_PRIMARY);
	before[LEG_VIDEO] = zero(LEG_VIDEO);
	before[LEG_AUDIO] = zero(LEG_AUDIO);
	t.n_keys = 0;
	t.n_out = 0;
	play(BACKUP, 3); // 160 ms since the last picture
	assert_int_equal(t.state.active, REGION_PRIMARY);
	assert_int_equal(t.n_out, 0);
	play(BACKUP, 6);
	assert_int_equal(t.state.active, REGION_BACKUP);
	assert_int_equal(n_switches(), 1);
	assert_int_equal(t.state.switches[REGION_SWITCH_SILENCE], 1);
	// Its key frame once, all since then, and what came meanwhile.
	assert_int_equal(t.n_keys, 1);
	assert_in_range(t.n_out, 200 + 9 - 120, 200 + 9 - 120 + 2 * 9);
	// The newest picture is where the primary's would be.
	for (int leg = 0; leg < LEG_COUNT; leg++) {
		int32_t moved = (int32_t)(zero(leg) - before[leg]);
		uint32_t late = zero(leg) + leg_clock_span(leg, (int64_t)t.last_ns[leg]) -
				t.last_ts[leg];

		assert_in_range(moved + 90, 0, 180);
		assert_in_range(late + leg_clock_hz(leg) / 20, 0, leg_clock_hz(leg) / 10);
	}
	play(BACKUP, 300);
	assert_int_equal(n_switches(), 1);
}

// What came before the first picture of a backup, and was overtaken by it, has no number left.
static void overtaken_by_the_first_is_late(void **state)
{
	struct encoder *e = &t.encoders[REGION_BACKUP];
	struct encoder late;

	e->bare = true;
	play(BOTH, 119);
	late = *e;
	e->seq[LEG_VIDEO]++; // the picture before its key frame is on its way
	play(PRIMARY, 1);
	play(BOTH, 1);
	play(BACKUP, 9);
	assert_int_equal(t.state.active, REGION_BACKUP);
	give(&late, LEG_VIDEO);
	assert_int_equal(t.states[REGION_BACKUP][LEG_VIDEO].drops[DROP_INGEST_LATE], 1);
}

// What a source reports of its sound, an hour off, would silence the other's for so long.
static void sound_goes_on_behind_a_liar(void **state)
{
	const uint64_t ntp = 3900000000ULL << 32;

	play(BOTH, 200);
	stream_clock_report(&t.clock, LEG_VIDEO, t.last_ts[LEG_VIDEO], ntp, t.now_ns);
	stream_clock_report(
		&t.clock, LEG_AUDIO, t.last_ts[LEG_AUDIO] - 3600u * AUDIO_HZ, ntp, t.now_ns);
	play(BACKUP, 20);
	assert_int_equal(t.state.active, REGION_BACKUP);
	assert_in_range(t.now_ns - t.last_ns[LEG_AUDIO], 0, FRAME_MS * MS_NS);
	assert_in_range(t.now_ns - t.last_ns[LEG_VIDEO], 0, FRAME_MS * MS_NS);
}

// A backup without a picture has to wait for one; then it needs nobody to ask.
static void backup_without_a_key_frame_waits(void **state)
{
	play(BOTH, 60);
	play(BACKUP, 50);
	assert_int_equal(t.state.active, REGION_PRIMARY);
	play(BACKUP, 20); // its key frame is at 120
	assert_int_equal(t.state.active, REGION_BACKUP);
	assert_int_equal(t.n_keys, 2);
}

// Never a mix: where sound alone falls silent, both legs change.
static void silent_sound_is_silence(void **state)
{
	play(BOTH, 200);
	t.encoders[REGION_PRIMARY].dumb = true;
	play(BOTH, 11);
	assert_int_equal(t.state.active, REGION_PRIMARY);
	play(BOTH, 4);
	assert_int_equal(t.state.active, REGION_BACKUP);
	// And a source with less than the other does not come back.
	play(BOTH, 300);
	assert_int_equal(n_switches(), 1);
}

// Two that come and go: the changes get rarer, and a good while of one of them ends that.
static void two_that_falter_change_less_and_less(void **state)
{
	unsigned int n_first, n_second;

	t.group_frames = 4;
	play(BOTH, 20);
	for (int i = 0; i < 10; i++)
		play(i % 2 ? PRIMARY : BACKUP, 10);
	n_first = (unsigned int)n_switches();
	for (int i = 0; i < 20; i++)
		play(i % 2 ? PRIMARY : BACKUP, 10);
	n_second = (unsigned int)n_switches() - n_first;
	assert_in_range(n_first, 3, 7);
	assert_in_range(n_second, 1, 3);
	play(BOTH, 600);
	n_first = (unsigned int)n_switches();
	for (int i = 0; i < 2; i++)
		play(t.state.active == REGION_PRIMARY ? BACKUP : PRIMARY, 10);
	assert_int_equal(n_switches(), n_first + 2);
}

// Sound that nobody heard yet is behind nothing, whatever its timestamps.
static void sound_may_come_with_the_backup(void **state)
{
	t.encoders[REGION_PRIMARY].dumb = true;
	t.encoders[REGION_BACKUP].ts[LEG_AUDIO] = 0x90000000;
	play(BOTH, 200);
	assert_int_equal(t.state.active, REGION_BACKUP);
	assert_true(t.any[LEG_AUDIO]);
	assert_int_equal(t.last_ns[LEG_AUDIO], t.now_ns - FRAME_MS * MS_NS);
}

// A picture that was overtaken as a whole is shown where it belongs.
static void overtaken_pictures_keep_their_place(void **state)
{
	static const uint8_t payload[100];
	static const uint32_t order[] = { 0, 1, 3, 2, 4 };
	struct gop *g = &t.sources->gop;

	for (uint32_t i = 0; i < 5; i++) {
		const uint32_t frame = order[i];
		const struct leg_packet p = { .seq = 100 + frame,
			.ts = 5000 + 3600 * frame,
			.frame = 7 + frame,
			.in_order = frame != 2,
			.opens = frame == 0,
			.payload_bytes = sizeof(payload) };

		gop_put(g, &p, payload, frame);
	}
	gop_move(g, 1000, 50, 10);
	for (uint32_t i = 0; i < 5; i++) {
		assert_int_equal(g->packets[i].p.seq, 1100 + order[i]);
		assert_int_equal(g->packets[i].p.frame, 17 + order[i]);
		assert_int_equal(g->packets[i].p.ts, 5050 + 3600 * order[i]);
		assert_int_equal(g->packets[i].rx_ns, order[i]);
	}
}

static void back_by_hand_at_a_key_frame(void **state)
{
	play(BOTH, 200);
	play(BACKUP, 20);
	assert_int_equal(t.state.active, REGION_BACKUP);
	play(BOTH, 300); // manual: it stays
	assert_int_equal(t.state.active, REGION_BACKUP);
	t.policy.pick = REGION_PICK_PRIMARY;
	t.n_keys = 0;
	while (t.encoders[REGION_PRIMARY].n % GROUP_FRAMES != 0) {
		assert_int_equal(t.state.active, REGION_BACKUP);
		play(BOTH, 1);
	}
	play(BOTH, 1);
	assert_int_equal(t.state.active, REGION_PRIMARY);
	play(BOTH, 20);
	assert_int_equal(t.state.switches[REGION_SWITCH_HAND], 1);
	assert_int_equal(t.state.why, REGION_SWITCH_HAND);
	// Whatever comes of it, it is kept.
	play(BACKUP, 100);
	assert_int_equal(t.state.active, REGION_PRIMARY);
	t.policy.pick = REGION_PICK_AUTO;
	play(BACKUP, 10);
	assert_int_equal(t.state.active, REGION_BACKUP);
}

static void back_by_policy_after_health(void **state)
{
	t.policy.failback = true;
	t.policy.failback_s = 12;
	play(BOTH, 200);
	play(BACKUP, 20);
	assert_int_equal(t.state.active, REGION_BACKUP);
	play(BOTH, 280); // its key frame is at 250; 500 is the next
	assert_int_equal(t.state.active, REGION_BACKUP);
	play(BOTH, 251); // at 500 it had 10 s
	assert_int_equal(t.state.active, REGION_PRIMARY);
	assert_int_equal(t.state.switches[REGION_SWITCH_FAILBACK], 1);
	assert_int_equal(n_switches(), 2);
}

// An SPS may open a group that no key frame is in: nothing begins with that.
static void gop_without_a_key_frame_is_not_handed_on(void **state)
{
	static const uint8_t payload[100];
	struct leg_packet p = { .seq = 100,
		.frame = 7,
		.in_order = true,
		.opens = true,
		.params = true,
		.payload_bytes = sizeof(payload) };
	struct gop *g = &t.sources->gop;

	play(BOTH, 10);
	for (int i = 0; i < 5; i++) {
		gop_put(g, &p, payload, t.now_ns);
		p = (struct leg_packet){ .seq = p.seq + 1,
			.frame = p.frame + 1,
			.ts = p.ts + 3600,
			.in_order = true,
			.payload_bytes = sizeof(payload) };
	}
	assert_true(gop_ready(g));
	sources_switch(t.sources, REGION_SWITCH_SILENCE, t.now_ns);
	assert_false(gop_ready(g));
}

// What is too much is let go, and the next key frame begins anew.
static void gop_is_bounded(void **state)
{
	static const uint8_t payload[1200];
	struct leg_packet p = { .in_order = true,
		.begins = true,
		.opens = true,
		.key = true,
		.payload_bytes = sizeof(payload) };
	struct gop *g = &t.sources->gop;

	for (int turn = 0; turn < 2; turn++) {
		gop_put(g, &p, payload, 0);
		assert_true(gop_ready(g));
		p.opens = p.key = p.begins = false;
		for (int i = 0; i < GOP_MAX_PACKETS && gop_ready(g); i++) {
			p.seq++;
			gop_put(g, &p, payload, 0);
			assert_true(g->n_bytes <= GOP_BYTES);
		}
		assert_false(gop_ready(g));
		gop_put(g, &p, payload, 0);
		assert_false(gop_ready(g));
		p.opens = p.key = p.begins = true;
		p.seq++;
		p.ts += 9000;
	}
}

#define test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(backup_takes_over_from_a_silent_primary),
		test(overtaken_by_the_first_is_late),
		test(sound_goes_on_behind_a_liar),
		test(backup_without_a_key_frame_waits),
		test(silent_sound_is_silence),
		test(two_that_falter_change_less_and_less),
		test(sound_may_come_with_the_backup),
		test(overtaken_pictures_keep_their_place),
		test(back_by_hand_at_a_key_frame),
		test(back_by_policy_after_health),
		test(gop_without_a_key_frame_is_not_handed_on),
		test(gop_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
