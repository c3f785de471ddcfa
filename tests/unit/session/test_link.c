// The link alone: who answers a command and how often, and what it makes of rings that another
// process fills.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "dataplane/abi/log.h"
#include "tests/unit/session/edge.h"

enum {
	WORKERS = 3,
	CASCADE = 5,
};

struct bench {
	struct edge edge;
	struct link *link;
	unsigned int n_punts, n_events;
	struct ring_packet punt;
	struct ring_event event;
	unsigned int n_sent;
	struct ring_packet sent;
};

// Of one command.
struct answer {
	unsigned int n;
	int status;
	struct bench *bench; // send another from inside, CASCADE of them
	int refused;	     // what sending says
};

static void on_punt(void *ctx, const struct ring_packet *p)
{
	struct bench *b = ctx;

	b->n_punts++;
	b->punt = *p;
}

static void on_event(void *ctx, const struct ring_event *e)
{
	struct bench *b = ctx;

	b->n_events++;
	b->event = *e;
}

static void on_sent(void *ctx, const struct ring_packet *p)
{
	struct bench *b = ctx;

	b->n_sent++;
	b->sent = *p;
}

static void on_answer(void *arg, int status)
{
	struct answer *a = arg;

	a->n++;
	a->status = status;
	if (a->bench && a->n < CASCADE)
		assert_int_equal(link_command(a->bench->link, 0, RING_FLUSH, 0, 0, on_answer, a),
			a->refused);
}

static uint64_t now_ms(void)
{
	return region_now_ns() / 1000000;
}

static void pump(struct bench *b)
{
	bool any;

	do {
		any = edge_step(&b->edge);
		any |= link_poll(b->link, now_ms());
	} while (any);
}

static int set_up(void **state)
{
	const struct region_sizes sizes = { WORKERS, 2, 4 };
	struct bench *b = calloc(1, sizeof(*b));
	const struct link_handlers handlers = { on_punt, on_event, b };

	assert_non_null(b);
	log_set_level(LOG_LEVEL_ERROR - 1);
	assert_int_equal(edge_create(&sizes, &b->edge), 0);
	b->edge.sent = on_sent;
	b->edge.ctx = b;
	assert_int_equal(edge_link(&b->edge, &handlers, NULL, &b->link), 0);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	link_close(b->link);
	edge_destroy(&b->edge);
	free(b);
	return 0;
}

// ---- commands ----------------------------------------------------------------------------------

static void a_command_goes_to_its_worker_and_is_answered(void **state)
{
	struct bench *b = *state;
	struct answer a = {};
	const struct edge_command *c;

	assert_int_equal(link_command(b->link, 1, RING_PEER_ADD, 3, 77, on_answer, &a), 0);
	assert_int_equal(a.n, 0);
	pump(b);
	assert_int_equal(a.n, 1);
	assert_int_equal(a.status, 0);
	assert_int_equal(b->edge.n_commands, 1);
	c = edge_last(&b->edge, RING_PEER_ADD);
	assert_int_equal(c->worker, 1);
	assert_int_equal(c->command.slot, 3);
	assert_int_equal(c->command.generation, 77);
	assert_int_equal(c->command.zero, 0);
	assert_int_equal(link_command(b->link, WORKERS, RING_FLUSH, 0, 0, on_answer, &a), -ENOBUFS);
}

static void a_command_to_all_is_answered_once(void **state)
{
	struct bench *b = *state;
	struct answer a = {};

	assert_int_equal(
		link_command(b->link, LINK_ALL_WORKERS, RING_STREAM_SET, 1, 1, on_answer, &a), 0);
	pump(b);
	assert_int_equal(b->edge.n_of[RING_STREAM_SET], WORKERS);
	assert_int_equal(a.n, 1);
	assert_int_equal(a.status, 0);
}

static void acknowledge(struct bench *b, uint16_t worker, int status)
{
	const struct edge_command *c = &b->edge.commands[b->edge.n_commands - 1];
	const struct ring_event ack = { .kind = RING_ACK, .seq = c->command.seq, .status = status };

	assert_int_equal(edge_event(&b->edge, worker, &ack), 0);
	pump(b);
}

static void the_first_failure_of_all_is_told(void **state)
{
	struct bench *b = *state;
	struct answer a = {};

	b->edge.manners[RING_STREAM_SET] = EDGE_SILENT;
	assert_int_equal(
		link_command(b->link, LINK_ALL_WORKERS, RING_STREAM_SET, 1, 1, on_answer, &a), 0);
	pump(b);
	acknowledge(b, 2, 0);
	acknowledge(b, 0, -ENOSPC);
	assert_int_equal(a.n, 0);
	acknowledge(b, 1, -EINVAL);
	assert_int_equal(a.n, 1);
	assert_int_equal(a.status, -ENOSPC);
}

static void doubled_answers_count_once(void **state)
{
	struct bench *b = *state;
	struct answer a = {};

	b->edge.manners[RING_STREAM_SET] = EDGE_SILENT;
	assert_int_equal(
		link_command(b->link, LINK_ALL_WORKERS, RING_STREAM_SET, 1, 1, on_answer, &a), 0);
	pump(b);
	for (int i = 0; i < 2 * WORKERS; i++)
		acknowledge(b, 0, i ? -EINVAL : 0);
	assert_int_equal(a.n, 0); // two workers have not said anything
	acknowledge(b, 1, 0);
	acknowledge(b, 2, 0);
	assert_int_equal(a.n, 1);
	assert_int_equal(a.status, 0);
	acknowledge(b, 2, 0);
	assert_int_equal(a.n, 1);
}

static void another_workers_answer_is_none(void **state)
{
	struct bench *b = *state;
	struct answer a = {};

	b->edge.manners[RING_PEER_REMOVE] = EDGE_SILENT;
	assert_int_equal(link_command(b->link, 1, RING_PEER_REMOVE, 0, 1, on_answer, &a), 0);
	pump(b);
	acknowledge(b, 0, -EINVAL);
	assert_int_equal(a.n, 0);
	acknowledge(b, 1, 0);
	assert_int_equal(a.n, 1);
	assert_int_equal(a.status, 0);
}

static void answers_to_nothing_are_dropped(void **state)
{
	static const int64_t offsets[] = { -4096, -1, 1, 4096, 8192 };
	struct bench *b = *state;
	struct ring_event ack = { .kind = RING_ACK, .status = -1 };
	struct answer a = {};
	uint64_t seq;

	b->edge.manners[RING_FLUSH] = EDGE_HOLD;
	assert_int_equal(link_command(b->link, 0, RING_FLUSH, 0, 0, on_answer, &a), 0);
	pump(b);
	seq = edge_last(&b->edge, RING_FLUSH)->command.seq;
	assert_int_equal(edge_event(&b->edge, 0, &ack), 0);
	for (int i = 0; i < 5; i++) {
		ack.seq = seq + (uint64_t)offsets[i];
		assert_int_equal(edge_event(&b->edge, 0, &ack), 0);
	}
	pump(b);
	assert_int_equal(a.n, 0);
	edge_release(&b->edge, 0);
	pump(b);
	assert_int_equal(a.n, 1);
	assert_int_equal(a.status, 0);
}

// The rings outlive the link: a worker may answer late what another control asked.
static void answers_to_a_link_before_are_dropped(void **state)
{
	struct bench *b = *state;
	const struct link_handlers handlers = { on_punt, on_event, b };
	struct answer before = {}, now = {};

	b->edge.manners[RING_FLUSH] = EDGE_HOLD;
	assert_int_equal(link_command(b->link, 0, RING_FLUSH, 0, 0, on_answer, &before), 0);
	pump(b);
	link_close(b->link);
	assert_int_equal(before.status, -ECONNRESET);
	assert_int_equal(edge_link(&b->edge, &handlers, NULL, &b->link), 0);
	edge_release(&b->edge, -EINVAL);
	assert_int_equal(link_command(b->link, 0, RING_FLUSH, 0, 0, on_answer, &now), 0);
	pump(b);
	assert_int_equal(now.n, 0);
	edge_release(&b->edge, 0);
	pump(b);
	assert_int_equal(now.n, 1);
	assert_int_equal(now.status, 0);
	assert_int_equal(before.n, 1);
}

// That one worker never had the thing must not hide that another cannot let go of it.
static void absence_is_the_least_of_failures(void **state)
{
	static const struct {
		int first, second, third, told;
	} cases[] = { { -ENOENT, 0, -EBUSY, -EBUSY }, { -EBUSY, -ENOENT, 0, -EBUSY },
		{ 0, -ENOENT, 0, -ENOENT }, { -ENOENT, -EINVAL, -EBUSY, -EINVAL } };
	struct bench *b = *state;

	b->edge.manners[RING_STREAM_REMOVE] = EDGE_SILENT;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct answer a = {};

		assert_int_equal(link_command(b->link, LINK_ALL_WORKERS, RING_STREAM_REMOVE, 0, 1,
					 on_answer, &a),
			0);
		pump(b);
		acknowledge(b, 0, cases[i].first);
		acknowledge(b, 1, cases[i].second);
		acknowledge(b, 2, cases[i].third);
		assert_int_equal(a.n, 1);
		assert_int_equal(a.status, cases[i].told);
	}
}

static void an_absurd_status_is_a_failure(void **state)
{
	static const struct {
		int32_t said, told;
	} cases[] = { { 0, 0 }, { -EINVAL, -EINVAL }, { -4095, -4095 }, { -4096, -EIO },
		{ -70000, -EIO }, { INT32_MIN, -EIO }, { 1, -EIO }, { 65536, -EIO },
		{ INT32_MAX, -EIO } };
	struct bench *b = *state;

	b->edge.manners[RING_FLUSH] = EDGE_REFUSE;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct answer a = {};

		b->edge.status = cases[i].said;
		assert_int_equal(link_command(b->link, 0, RING_FLUSH, 0, 0, on_answer, &a), 0);
		pump(b);
		assert_int_equal(a.n, 1);
		assert_int_equal(a.status, cases[i].told);
	}
}

static void a_command_may_follow_from_an_answer(void **state)
{
	struct bench *b = *state;
	struct answer a = { .bench = b };

	assert_int_equal(link_command(b->link, 0, RING_FLUSH, 0, 0, on_answer, &a), 0);
	pump(b);
	assert_int_equal(a.n, CASCADE);
	assert_int_equal(link_command(b->link, 0, RING_FLUSH, 0, 0, NULL, NULL), 0);
	pump(b);
	assert_int_equal(b->edge.n_of[RING_FLUSH], CASCADE + 1);
}

// ---- silence -----------------------------------------------------------------------------------

static void silence_is_an_answer_in_time(void **state)
{
	struct bench *b = *state;
	struct answer silent = {}, heard = {};
	uint64_t before_ms = now_ms(), after_ms;

	b->edge.manners[RING_PEER_ADD] = EDGE_SILENT;
	assert_int_equal(link_command(b->link, 0, RING_PEER_ADD, 0, 1, on_answer, &silent), 0);
	assert_int_equal(link_command(b->link, 0, RING_FLUSH, 0, 0, on_answer, &heard), 0);
	after_ms = now_ms();
	pump(b);
	assert_int_equal(heard.n, 1);
	link_poll(b->link, before_ms + LINK_ACK_MS - 1);
	assert_int_equal(silent.n, 0);
	link_poll(b->link, after_ms + LINK_ACK_MS);
	assert_int_equal(silent.n, 1);
	assert_int_equal(silent.status, -ETIMEDOUT);
	link_poll(b->link, after_ms + 10 * LINK_ACK_MS);
	assert_int_equal(silent.n, 1);
	assert_int_equal(heard.n, 1);
}

static void one_silent_worker_of_all_is_enough(void **state)
{
	struct bench *b = *state;
	struct answer a = {};

	b->edge.manners[RING_STREAM_SET] = EDGE_SILENT;
	assert_int_equal(
		link_command(b->link, LINK_ALL_WORKERS, RING_STREAM_SET, 1, 1, on_answer, &a), 0);
	pump(b);
	acknowledge(b, 0, 0);
	acknowledge(b, 2, -EINVAL);
	link_poll(b->link, now_ms() + LINK_ACK_MS);
	assert_int_equal(a.n, 1);
	assert_int_equal(a.status, -ETIMEDOUT);
	acknowledge(b, 1, 0);
	assert_int_equal(a.n, 1);
}

static void a_full_ring_takes_nothing_from_anybody(void **state)
{
	struct bench *b = *state;
	struct answer a = {};
	unsigned int n = 0;

	b->edge.manners[RING_FLUSH] = EDGE_ASLEEP;
	while (link_command(b->link, 1, RING_FLUSH, 0, 0, on_answer, &a) == 0)
		n++;
	assert_int_equal(n, REGION_COMMAND_SLOTS - 1);
	assert_int_equal(
		link_command(b->link, LINK_ALL_WORKERS, RING_STREAM_SET, 0, 1, on_answer, &a),
		-ENOBUFS);
	assert_int_equal(link_command(b->link, 0, RING_PEER_ADD, 0, 1, on_answer, &a), 0);
	b->edge.manners[RING_FLUSH] = EDGE_ACCEPT;
	pump(b);
	assert_int_equal(b->edge.n_of[RING_STREAM_SET], 0);
	assert_int_equal(a.n, n + 1);
	assert_int_equal(
		link_command(b->link, LINK_ALL_WORKERS, RING_STREAM_SET, 0, 1, on_answer, &a), 0);
	pump(b);
	assert_int_equal(a.n, n + 2);
}

static void too_many_under_way_are_refused(void **state)
{
	struct bench *b = *state;
	struct answer a = {};
	unsigned int n = 0;

	b->edge.manners[RING_FLUSH] = EDGE_SILENT;
	while (link_command(b->link, (uint16_t)(n % WORKERS), RING_FLUSH, 0, 0, on_answer, &a) ==
		0) {
		n++;
		edge_step(&b->edge);
		edge_forget(&b->edge);
	}
	assert_int_equal(n, 4096);
	link_poll(b->link, now_ms() + LINK_ACK_MS);
	assert_int_equal(a.n, n);
	assert_int_equal(a.status, -ETIMEDOUT);
	b->edge.manners[RING_FLUSH] = EDGE_ACCEPT;
	assert_int_equal(link_command(b->link, 0, RING_FLUSH, 0, 0, on_answer, &a), 0);
	pump(b);
	assert_int_equal(a.n, n + 1);
	assert_int_equal(a.status, 0);
}

// What an answer leads to has nowhere to go any more.
static void losing_answers_everything(void **state)
{
	struct bench *b = *state;
	const uint8_t pkt[] = { 1 };
	struct net_path path = {};
	struct answer one = {}, all = {}, cascade = { .bench = b, .refused = -ENOTCONN };

	b->edge.manners[RING_FLUSH] = EDGE_SILENT;
	assert_int_equal(link_command(b->link, 0, RING_FLUSH, 0, 0, on_answer, &one), 0);
	assert_int_equal(
		link_command(b->link, LINK_ALL_WORKERS, RING_FLUSH, 0, 0, on_answer, &all), 0);
	assert_int_equal(link_command(b->link, 0, RING_FLUSH, 0, 0, on_answer, &cascade), 0);
	pump(b);
	link_lose(b->link);
	assert_true(link_lost(b->link));
	assert_int_equal(link_inject(b->link, 0, &path, pkt, 1), -ENOTCONN);
	assert_int_equal(one.n, 1);
	assert_int_equal(one.status, -ECONNRESET);
	assert_int_equal(all.n, 1);
	assert_int_equal(all.status, -ECONNRESET);
	assert_int_equal(cascade.n, 1);
	assert_int_equal(cascade.status, -ECONNRESET);
	link_close(b->link);
	b->link = NULL;
	assert_int_equal(one.n, 1);
}

// The region of a link that was lost is offered to the next data plane, which may go on with it.
static void a_lost_region_is_offered_and_known_again(void **state)
{
	struct bench *b = *state;
	const struct link_handlers handlers = { on_punt, on_event, b };
	struct link *lost = b->link;
	struct stat theirs, ours;

	assert_int_equal(b->edge.offered_fd, -1);
	link_lose(lost);
	assert_int_equal(link_region(lost)->header->magic, REGION_MAGIC);
	assert_int_equal(edge_link(&b->edge, &handlers, lost, &b->link), 0);
	assert_int_equal(fstat(b->edge.offered_fd, &theirs), 0);
	assert_int_equal(fstat(b->edge.region.fd, &ours), 0);
	assert_int_equal(theirs.st_ino, ours.st_ino);
	assert_true(link_same_region(lost, b->link));
	link_close(lost);
	lost = b->link;
	link_lose(lost);
	assert_int_equal(edge_renew(&b->edge), 0);
	assert_int_equal(edge_link(&b->edge, &handlers, lost, &b->link), 0);
	assert_false(link_same_region(lost, b->link));
	link_close(lost);
}

// ---- what comes up -----------------------------------------------------------------------------

static void packets_come_up_and_go_down(void **state)
{
	struct bench *b = *state;
	struct net_path path = { .remote = { .ip = { 198, 18, 77, 2 }, .family = NET_IPV4 } };
	uint8_t pkt[RING_PACKET_MAX_BYTES] = { 22, [RING_PACKET_MAX_BYTES - 1] = 7 };

	assert_int_equal(edge_punt(&b->edge, 2, &path, pkt, sizeof(pkt)), 0);
	pump(b);
	assert_int_equal(b->n_punts, 1);
	assert_int_equal(b->punt.worker, 2); // whatever stood there
	assert_int_equal(b->punt.pkt_bytes, sizeof(pkt));
	assert_memory_equal(b->punt.pkt, pkt, sizeof(pkt));
	assert_memory_equal(&b->punt.path, &path, sizeof(path));
	assert_int_equal(link_inject(b->link, 1, &path, pkt, sizeof(pkt)), 0);
	pump(b);
	assert_int_equal(b->n_sent, 1);
	assert_int_equal(b->sent.worker, 1);
	assert_int_equal(b->sent.pkt_bytes, sizeof(pkt));
	assert_memory_equal(b->sent.pkt, pkt, sizeof(pkt));
	assert_memory_equal(&b->sent.path, &path, sizeof(path));
}

static void packets_that_cannot_be_are_not_sent(void **state)
{
	struct bench *b = *state;
	static const uint8_t pkt[RING_PACKET_MAX_BYTES + 1];
	const struct net_path path = {};

	assert_int_equal(link_inject(b->link, 0, &path, pkt, 0), -EMSGSIZE);
	assert_int_equal(link_inject(b->link, 0, &path, pkt, sizeof(pkt)), -EMSGSIZE);
	assert_int_equal(link_inject(b->link, WORKERS, &path, pkt, 1), -EINVAL);
	for (int i = 0; i < REGION_PACKET_SLOTS - 1; i++)
		assert_int_equal(link_inject(b->link, 0, &path, pkt, 1), 0);
	assert_int_equal(link_inject(b->link, 0, &path, pkt, 1), -ENOBUFS);
}

static void punts_of_no_size_are_dropped(void **state)
{
	static const uint16_t sizes[] = { 0, RING_PACKET_MAX_BYTES + 1, 65535 };
	struct bench *b = *state;

	for (int i = 0; i < 3; i++) {
		const struct ring_packet p = { .pkt_bytes = sizes[i], .worker = 999 };

		assert_int_equal(ring_put(b->edge.region.rings[0].punt, &p, sizeof(p)), 0);
	}
	pump(b);
	assert_int_equal(b->n_punts, 0);
}

static void events_are_handed_on_whatever_they_say(void **state)
{
	static const uint8_t kinds[] = { 0, RING_LEG_UP, RING_LEG_PARAMS, 200, 255 };
	struct bench *b = *state;

	for (unsigned int i = 0; i < 5; i++) {
		const struct ring_event e = {
			.kind = kinds[i], .slot = 65535, .leg = 255, .seq = 1
		};

		assert_int_equal(edge_event(&b->edge, i % WORKERS, &e), 0);
		pump(b);
		assert_int_equal(b->n_events, i + 1);
		assert_int_equal(b->event.kind, kinds[i]);
	}
}

static void a_busy_link_says_so_and_an_idle_one_asks_to_be_woken(void **state)
{
	struct bench *b = *state;
	const struct ring_event e = { .kind = RING_LEG_UP };
	const uint64_t one = 1;
	uint64_t left;

	atomic_store(&b->edge.region.header->control_waits, 0);
	assert_int_equal(edge_event(&b->edge, 0, &e), 0);
	assert_int_equal(write(b->edge.wake_fd, &one, sizeof(one)), sizeof(one));
	assert_true(link_poll(b->link, now_ms()));
	assert_false(link_poll(b->link, now_ms()));
	assert_int_equal(atomic_load(&b->edge.region.header->control_waits), 1);
	// The wake-up is used up.
	assert_int_equal(read(link_wake_fd(b->link), &left, sizeof(left)), -1);
	assert_int_equal(errno, EAGAIN);
}

// A flood in one ring does not keep the others waiting.
static void rings_take_turns(void **state)
{
	struct bench *b = *state;
	const struct net_path path = {};
	const struct ring_event e = { .kind = RING_LEG_UP };

	for (int i = 0; i < REGION_PACKET_SLOTS - 1; i++)
		assert_int_equal(edge_punt(&b->edge, 0, &path, "x", 1), 0);
	assert_int_equal(edge_event(&b->edge, WORKERS - 1, &e), 0);
	assert_true(link_poll(b->link, now_ms()));
	assert_int_equal(b->n_events, 1);
	assert_true(b->n_punts < REGION_PACKET_SLOTS - 1);
	pump(b);
	assert_int_equal(b->n_punts, REGION_PACKET_SLOTS - 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_command_goes_to_its_worker_and_is_answered),
		TEST(a_command_to_all_is_answered_once),
		TEST(the_first_failure_of_all_is_told),
		TEST(doubled_answers_count_once),
		TEST(another_workers_answer_is_none),
		TEST(answers_to_nothing_are_dropped),
		TEST(answers_to_a_link_before_are_dropped),
		TEST(absence_is_the_least_of_failures),
		TEST(an_absurd_status_is_a_failure),
		TEST(a_command_may_follow_from_an_answer),
		TEST(silence_is_an_answer_in_time),
		TEST(one_silent_worker_of_all_is_enough),
		TEST(a_full_ring_takes_nothing_from_anybody),
		TEST(too_many_under_way_are_refused),
		TEST(losing_answers_everything),
		TEST(a_lost_region_is_offered_and_known_again),
		TEST(packets_come_up_and_go_down),
		TEST(packets_that_cannot_be_are_not_sent),
		TEST(punts_of_no_size_are_dropped),
		TEST(events_are_handed_on_whatever_they_say),
		TEST(a_busy_link_says_so_and_an_idle_one_asks_to_be_woken),
		TEST(rings_take_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
