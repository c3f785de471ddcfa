// Timestamps to instants: by the source's reports, else by arrival.
// Source: RFC 3550 6.4.1; checklist F15 to F17.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "dataplane/ingest/clock.h"

#define MS_NS  1000000LL
#define SEC_NS 1000000000LL

#define ASKED_LATER_NS (500 * MS_NS)

static const bool both[LEG_COUNT] = { true, true };

// A source whose crystal runs fast or slow, and a network that makes its packets wait.
struct source {
	struct stream_clock clock;
	uint32_t first_ts[LEG_COUNT];
	int64_t delay_ns[LEG_COUNT]; // encoding: from capture to sending
	int64_t jitter_ns;
	int64_t ppm;
	int64_t start_ns; // CLOCK_MONOTONIC of the source's zero
	int64_t ntp_ns;	  // its wall clock at zero
};

// The source's own time at a moment of ours.
static int64_t source_ns(const struct source *s, int64_t ns)
{
	return ns + ns / 1000000 * s->ppm;
}

static uint32_t capture_ts(const struct source *s, enum leg_kind leg, int64_t ns)
{
	return s->first_ts[leg] + leg_clock_span(leg, source_ns(s, ns));
}

static int64_t wait_ns(const struct source *s)
{
	return s->jitter_ns ? rand() % s->jitter_ns : 0;
}

static void send_frame(struct source *s, enum leg_kind leg, int64_t ns)
{
	stream_clock_packet(&s->clock, leg, capture_ts(s, leg, ns),
		(uint64_t)(s->start_ns + ns + s->delay_ns[leg] + wait_ns(s)));
}

static void send_report(struct source *s, enum leg_kind leg, int64_t ns)
{
	uint64_t wall = (uint64_t)(s->ntp_ns + source_ns(s, ns));
	uint64_t ntp = (wall / SEC_NS << 32) | ((wall % SEC_NS << 32) / SEC_NS);

	stream_clock_report(&s->clock, leg, capture_ts(s, leg, ns), ntp,
		(uint64_t)(s->start_ns + ns + MS_NS + wait_ns(s)));
}

// At which instant of ours the mapping puts what was captured at ns: asked once all of it arrived.
static int64_t instant_of(const struct source *s, enum leg_kind leg, int64_t ns)
{
	int64_t now_ns = s->start_ns + ns + ASKED_LATER_NS;
	uint32_t zero;

	assert_int_equal(stream_clock_zero(&s->clock, leg, both, (uint64_t)now_ns, &zero), 0);
	return now_ns +
	       (int64_t)(int32_t)(capture_ts(s, leg, ns) - zero - leg_clock_span(leg, now_ns)) *
		       SEC_NS / leg_clock_hz(leg);
}

static int64_t apart_ns(const struct source *s, int64_t ns)
{
	return instant_of(s, LEG_VIDEO, ns) - instant_of(s, LEG_AUDIO, ns);
}

// Both timestamps wrap within the first minute, and the machine has been up for days.
static struct source source_make(int64_t jitter_ns, int64_t ppm)
{
	srand(7);
	return (struct source){ .first_ts = { 0xffffffff - 20 * 90000, 0xffffffff - 40 * 48000 },
		.jitter_ns = jitter_ns,
		.ppm = ppm,
		.start_ns = 12 * 86400 * SEC_NS + 123456789,
		.ntp_ns = 3900000000 * SEC_NS + 5 };
}

// 25 pictures a second and 50 sound packets.
static void run_frames(struct source *s, int64_t from_s, int64_t to_s)
{
	for (int64_t ns = from_s * SEC_NS; ns < to_s * SEC_NS; ns += 20 * MS_NS) {
		if (ns % (40 * MS_NS) == 0)
			send_frame(s, LEG_VIDEO, ns);
		send_frame(s, LEG_AUDIO, ns);
	}
}

// F16: the encoder takes 180 ms for a picture and 5 ms for sound; reports do away with that.
static void reports_reproduce_the_offset(void **state)
{
	static const int64_t ppms[] = { 0, 100, -100 };

	for (int i = 0; i < 3; i++) {
		struct source s = source_make(30 * MS_NS, ppms[i]);

		s.delay_ns[LEG_VIDEO] = 180 * MS_NS;
		s.delay_ns[LEG_AUDIO] = 5 * MS_NS;
		for (int64_t t = 0; t < 3 * 3600; t += 5) {
			run_frames(&s, t, t + 5);
			send_report(&s, LEG_VIDEO, (t + 5) * SEC_NS);
			send_report(&s, LEG_AUDIO, (t + 5) * SEC_NS - 1300 * MS_NS);
			assert_in_range(apart_ns(&s, (t + 5) * SEC_NS) + MS_NS, 0, 2 * MS_NS);
		}
		// The instant itself keeps to the arrival of the reports, however long it runs.
		assert_in_range(instant_of(&s, LEG_VIDEO, 10800 * SEC_NS) - s.start_ns -
					10800 * SEC_NS + 70 * MS_NS,
			0, 140 * MS_NS);
	}
}

// Without reports arrival rules: what waited least shows the offset, whatever the jitter.
static void arrival_follows_drift_and_wrap(void **state)
{
	static const int64_t ppms[] = { 100, -100 };

	for (int i = 0; i < 2; i++) {
		struct source s = source_make(30 * MS_NS, ppms[i]);

		s.delay_ns[LEG_AUDIO] = 8 * MS_NS; // cannot be told from the way here
		run_frames(&s, 0, 10);
		for (int64_t t = 10; t < 15 * 3600; t += 300) {
			run_frames(&s, t, t + 300);
			assert_in_range(
				apart_ns(&s, (t + 300) * SEC_NS) + 15 * MS_NS, 0, 15 * MS_NS);
			assert_in_range(instant_of(&s, LEG_VIDEO, (t + 300) * SEC_NS) - s.start_ns -
						(t + 300) * SEC_NS + 2 * MS_NS,
				0, 10 * MS_NS);
		}
	}
}

static void one_leg_without_reports(void **state)
{
	static const bool video_alone[LEG_COUNT] = { true, false };
	struct source s = source_make(0, 0);
	uint32_t by_reports, by_arrival;
	uint64_t now_ns = (uint64_t)(s.start_ns + 5 * SEC_NS + ASKED_LATER_NS);

	s.delay_ns[LEG_VIDEO] = 300 * MS_NS;
	run_frames(&s, 0, 5);
	send_report(&s, LEG_VIDEO, 5 * SEC_NS);
	assert_in_range(apart_ns(&s, 5 * SEC_NS) - 299 * MS_NS, 0, 2 * MS_NS);
	// Without the other leg the one that reports rules.
	assert_int_equal(
		stream_clock_zero(&s.clock, LEG_VIDEO, video_alone, now_ns, &by_reports), 0);
	assert_int_equal(stream_clock_zero(&s.clock, LEG_VIDEO, both, now_ns, &by_arrival), 0);
	assert_in_range(by_reports - by_arrival, 299 * 90 - 90, 299 * 90 + 90);
	send_report(&s, LEG_AUDIO, 5 * SEC_NS);
	assert_in_range(apart_ns(&s, 5 * SEC_NS) + MS_NS, 0, 2 * MS_NS);
}

static void stale_reports_give_way(void **state)
{
	struct source s = source_make(0, 0);

	s.delay_ns[LEG_VIDEO] = 300 * MS_NS;
	run_frames(&s, 0, 5);
	send_report(&s, LEG_VIDEO, 5 * SEC_NS);
	send_report(&s, LEG_AUDIO, 5 * SEC_NS);
	run_frames(&s, 5, 24);
	assert_in_range(apart_ns(&s, 24 * SEC_NS) + MS_NS, 0, 2 * MS_NS);
	send_report(&s, LEG_AUDIO, 24 * SEC_NS);
	run_frames(&s, 24, 26);
	assert_in_range(apart_ns(&s, 26 * SEC_NS) - 299 * MS_NS, 0, 2 * MS_NS);
	send_report(&s, LEG_VIDEO, 26 * SEC_NS);
	assert_in_range(apart_ns(&s, 26 * SEC_NS) + MS_NS, 0, 2 * MS_NS);
}

static void reset_forgets_the_leg(void **state)
{
	struct source s = source_make(0, 0);
	uint32_t zero = 12345;

	assert_int_equal(stream_clock_zero(&s.clock, LEG_AUDIO, both, 1, &zero), -EAGAIN);
	assert_int_equal(zero, 12345);
	run_frames(&s, 0, 5);
	send_report(&s, LEG_VIDEO, 5 * SEC_NS);
	send_report(&s, LEG_AUDIO, 5 * SEC_NS);
	stream_clock_reset(&s.clock, LEG_AUDIO);
	assert_int_equal(stream_clock_zero(&s.clock, LEG_AUDIO, both, 1, &zero), -EAGAIN);
	assert_int_equal(zero, 12345);
	// The new source counts from elsewhere.
	s.first_ts[LEG_AUDIO] += 999999;
	run_frames(&s, 5, 8);
	assert_in_range(apart_ns(&s, 8 * SEC_NS) + MS_NS, 0, 2 * MS_NS);
}

// Our clock or its jumps by more than a network can explain: the mapping jumps along.
static void step_of_the_source_wall_clock(void **state)
{
	struct source s = source_make(0, 0);

	run_frames(&s, 0, 5);
	send_report(&s, LEG_VIDEO, 5 * SEC_NS);
	send_report(&s, LEG_AUDIO, 5 * SEC_NS);
	s.ntp_ns -= 3600 * SEC_NS;
	send_report(&s, LEG_VIDEO, 10 * SEC_NS);
	send_report(&s, LEG_AUDIO, 10 * SEC_NS);
	assert_in_range(apart_ns(&s, 10 * SEC_NS) + MS_NS, 0, 2 * MS_NS);
	assert_in_range(
		instant_of(&s, LEG_VIDEO, 10 * SEC_NS) - s.start_ns - 10 * SEC_NS, 0, 2 * MS_NS);
}

static void spans(void **state)
{
	static const struct {
		enum leg_kind leg;
		int64_t ns;
		uint32_t span;
	} rows[] = {
		{ LEG_VIDEO, 0, 0 },
		{ LEG_VIDEO, SEC_NS, 90000 },
		{ LEG_AUDIO, SEC_NS, 48000 },
		{ LEG_VIDEO, 11112, 1 },
		{ LEG_AUDIO, 20 * MS_NS, 960 },
		{ LEG_AUDIO, -20 * MS_NS, (uint32_t)-960 },
		{ LEG_VIDEO, -SEC_NS, (uint32_t)-90000 },
		// A year of uptime, modulo 2^32.
		{ LEG_VIDEO, 31536000 * SEC_NS + 500 * MS_NS,
			(uint32_t)(31536000ULL * 90000 + 45000) },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(leg_clock_span(rows[i].leg, rows[i].ns), rows[i].span);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spans),
		cmocka_unit_test(reports_reproduce_the_offset),
		cmocka_unit_test(arrival_follows_drift_and_wrap),
		cmocka_unit_test(one_leg_without_reports),
		cmocka_unit_test(stale_reports_give_way),
		cmocka_unit_test(reset_forgets_the_leg),
		cmocka_unit_test(step_of_the_source_wall_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
