// A large picture leaves spread over a part of the frame interval: by a clock of our own.
#include "tests/unit/fanout/edge_kit.h"

enum {
	FRAME_TICKS = 3000, // 30 pictures a second
	KEY_PACKETS = 200,
	STEP_US = 100,
};

#define FRAME_NS (UINT64_C(1000000000) / 30)
#define HALF_NS	 (FRAME_NS / 2)

static uint64_t next_seq;
static uint32_t next_ts;

static struct worker *worker(void)
{
	return &kit.workers[0];
}

static struct region_wait *waits(void)
{
	return &kit.region.streams[0].waits[0];
}

// n packets of one picture come together.
static void picture_part(uint32_t n, uint32_t from, uint32_t all)
{
	for (uint32_t i = from; i < from + n; i++) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(kit.ports.workers[0].pool);

		assert_non_null(m);
		memset(rte_pktmbuf_append(m, 100), (int)i, 100);
		*packet_of(m) = (struct packet){ .kind = PACKET_FAN,
			.leg = LEG_VIDEO,
			.marker = i == all - 1,
			.key = i == 0 && all > 20,
			.begins = i == 0,
			.generation = 1,
			.ts = next_ts,
			.seq = next_seq++,
			.rx_ns = worker()->now_ns,
			.payload_bytes = 100 };
		lane_put(worker(), 0, LEG_VIDEO, &m, 1);
	}
}

static void picture(uint32_t n)
{
	next_ts += FRAME_TICKS;
	picture_part(n, 0, n);
}

static void begin(unsigned int percent)
{
	next_seq = 1;
	next_ts = 0xffffffff - FRAME_TICKS; // over the wrap of the timestamp
	kit.conf.media.pacing_percent = (uint8_t)percent;
	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	kit_peer_add(0, 0, 0, SRTP_PROFILE_GCM128);
	kit_forget_sent(0);
}

static unsigned int serve_at(uint64_t ns)
{
	unsigned int n;

	worker()->now_ns = ns;
	n = lane_serve(worker());
	tx_flush(worker());
	kit_forget_sent(0);
	return n;
}

// Two pictures of a few packets, so that the interval is known.
static uint64_t warm_up(void)
{
	uint64_t now = worker()->now_ns;

	for (int i = 0; i < 2; i++, now += FRAME_NS) {
		worker()->now_ns = now;
		picture(4);
		assert_int_equal(serve_at(now), 4);
	}
	return now;
}

// Serve until all has left; no burst over most.
// Return: how long it took.
static uint64_t drain(uint64_t from, unsigned int least, unsigned int most, unsigned int *runs)
{
	uint64_t now = from;

	for (*runs = 0; worker()->n_waiting; now += STEP_US * 1000) {
		unsigned int n = serve_at(now);

		assert_true(n <= most);
		assert_true(n == 0 || n >= least || worker()->n_waiting == 0);
		*runs += n > 0;
		assert_true(now < from + 10 * FRAME_NS);
	}
	return now - STEP_US * 1000 - from;
}

static void key_frame_is_spread(void **state)
{
	unsigned int runs;
	uint64_t now, took;

	begin(50);
	now = warm_up();
	worker()->now_ns = now;
	picture(KEY_PACKETS);
	took = drain(now, PACE_RUN, 2 * PACE_RUN, &runs);
	assert_in_range(took, HALF_NS * 9 / 10, HALF_NS);
	assert_in_range(runs, KEY_PACKETS / (2 * PACE_RUN), KEY_PACKETS / PACE_RUN);
	assert_int_equal(waits()->packets, 8 + KEY_PACKETS);
	assert_int_equal(waits()->paced, KEY_PACKETS);
	assert_in_range(waits()->max_ns, took, HALF_NS);
	assert_in_range(waits()->sum_ns / KEY_PACKETS, HALF_NS * 4 / 10, HALF_NS * 6 / 10);
}

static void share_is_obeyed(void **state)
{
	static const struct {
		unsigned int percent;
		uint64_t most_ns;
	} rows[] = { { 0, 0 }, { 10, FRAME_NS / 10 }, { 25, FRAME_NS / 4 } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned int runs;
		uint64_t now, took;

		if (i)
			kit_setup(state);
		begin(rows[i].percent);
		now = warm_up();
		worker()->now_ns = now;
		picture(KEY_PACKETS);
		took = drain(now, PACE_RUN, KEY_PACKETS, &runs);
		assert_true(took <= rows[i].most_ns && took >= rows[i].most_ns * 8 / 10);
		if (i + 1 < sizeof(rows) / sizeof(rows[0]))
			kit_teardown(state);
	}
}

// Few packets, sound, and what no timestamp has told of yet.
static void small_pictures_leave_at_once(void **state)
{
	uint64_t now;
	unsigned int runs;

	begin(50);
	now = worker()->now_ns;
	picture(PACE_FREE);
	assert_int_equal(serve_at(now), PACE_FREE);
	worker()->now_ns = now += FRAME_NS;
	picture(PACE_FREE + 1);
	assert_true(serve_at(now) < PACE_FREE + 1);
	assert_true(drain(now, 1, PACE_FREE, &runs) <= HALF_NS);
}

static void sound_is_never_paced(void **state)
{
	uint64_t now;

	begin(50);
	now = worker()->now_ns;
	for (int i = 0; i < 40; i++) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(kit.ports.workers[0].pool);

		memset(rte_pktmbuf_append(m, 100), i, 100);
		*packet_of(m) = (struct packet){ .leg = LEG_AUDIO,
			.generation = 1,
			.ts = 7,
			.seq = (uint64_t)i + 1,
			.rx_ns = now,
			.payload_bytes = 100 };
		lane_put(worker(), 0, LEG_AUDIO, &m, 1);
	}
	assert_int_equal(serve_at(now), 40);
}

// The interval is the default's until two pictures have told it, and never that of a slide show.
static void slow_streams_wait_no_longer(void **state)
{
	unsigned int runs;
	uint64_t now;

	begin(50);
	now = worker()->now_ns;
	picture(KEY_PACKETS);
	assert_true(drain(now, PACE_RUN, 2 * PACE_RUN, &runs) <= PACE_DEFAULT_US * 500);
	for (int i = 0; i < 2; i++) {
		worker()->now_ns = now += 500000000;
		next_ts += 14 * FRAME_TICKS;
		picture(4);
		assert_int_equal(serve_at(now), 4);
	}
	worker()->now_ns = now += 500000000;
	next_ts += 14 * FRAME_TICKS;
	picture(KEY_PACKETS);
	assert_in_range(
		drain(now, PACE_RUN, 2 * PACE_RUN, &runs), PACE_MAX_US * 900, PACE_MAX_US * 1000);
}

// What is left of a picture goes when the next one begins.
static void next_picture_takes_the_rest_along(void **state)
{
	uint64_t now;
	unsigned int n;

	begin(50);
	now = warm_up();
	worker()->now_ns = now;
	picture(KEY_PACKETS);
	n = serve_at(now);
	assert_int_equal(n, PACE_RUN);
	worker()->now_ns = now += 1000000;
	picture(4);
	assert_int_equal(serve_at(now), KEY_PACKETS - PACE_RUN + 4);
}

// A source that spreads its key frame itself is not held back once its size is known.
static void paced_source_is_not_held(void **state)
{
	uint64_t now, worst = 0;
	unsigned int runs;

	begin(50);
	now = warm_up();
	worker()->now_ns = now;
	picture(KEY_PACKETS);
	drain(now, PACE_RUN, 2 * PACE_RUN, &runs);
	now += FRAME_NS;
	waits()->max_ns = 0;
	next_ts += FRAME_TICKS;
	for (uint32_t i = 0; i < KEY_PACKETS; i += 4, now += FRAME_NS / 60) {
		worker()->now_ns = now;
		picture_part(4, i, KEY_PACKETS);
		serve_at(now);
		worst = RTE_MAX(worst, worker()->n_waiting);
	}
	drain(now, 1, 2 * PACE_RUN, &runs);
	assert_in_range(worst, 0, PACE_RUN);
	assert_in_range(waits()->max_ns, 0, FRAME_NS / 20);
}

// Pacing holds nothing back where there is much to do: the backlog's bounds stay as they are.
static void backlog_is_not_paced(void **state)
{
	uint64_t now;

	begin(50);
	now = warm_up();
	worker()->now_ns = now;
	picture(600);
	assert_true(serve_at(now) >= 600 - 512);
	assert_true(worker()->n_waiting <= 512);
	assert_int_equal(kit.region.workers[0].drops[DROP_OVERLOAD], 0);
	worker()->now_ns = now + FRAME_NS;
	picture(2000);
	assert_true(kit.region.workers[0].drops[DROP_OVERLOAD] > 0);
	assert_true(worker()->n_waiting <= 1024);
	serve_at(now + FRAME_NS);
	assert_true(worker()->n_waiting <= 512);
	serve_at(now + 2 * FRAME_NS);
	assert_int_equal(worker()->n_waiting, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		kit_test(key_frame_is_spread),
		kit_test(share_is_obeyed),
		kit_test(small_pictures_leave_at_once),
		kit_test(sound_is_never_paced),
		kit_test(slow_streams_wait_no_longer),
		kit_test(next_picture_takes_the_rest_along),
		kit_test(paced_source_is_not_held),
		kit_test(backlog_is_not_paced),
	};

	return cmocka_run_group_tests(tests, kit_group_setup, kit_group_teardown);
}
