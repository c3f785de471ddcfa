// The core thread as a process of its own, from start to SIGTERM: what it owes to whom when it
// stops, and when the data plane goes and comes.
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/core.h"
#include "dataplane/abi/log.h"
#include "tests/unit/session/whep_kit.h"

enum {
	STEP_MS = 5,
	LIMIT_MS = 10000,
};

// What it takes for its good-byes at most; and so late into it that a worker's silence is not told
// of before the end.
#define FAREWELL_NS 3000000000ULL
#define LATE_NS	    1700000000ULL

struct control {
	struct edge edge;
	struct conf conf;
	pid_t pid;
	struct response last;
};

// ---- the process -------------------------------------------------------------------------------

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static uint16_t free_port(void)
{
	struct sockaddr_in addr = loopback(0);
	socklen_t bytes = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &bytes), 0);
	close(fd);
	return ntohs(addr.sin_port);
}

static void set_up_conf(struct control *c)
{
	struct conf *conf = &c->conf;

	snprintf(conf->dataplane.socket, sizeof(conf->dataplane.socket), "%s", c->edge.socket);
	assert_int_equal(net_ip_parse("198.18.77.1", &conf->media.addresses[0]), 0);
	conf->media.n_addresses = 1;
	conf->media.port = 8189;
	conf->ingest.first_port = 20000;
	conf->ingest.last_port = 20099;
	assert_int_equal(net_ip_parse("127.0.0.1", &conf->http.address), 0);
	conf->http.port = free_port();
	conf->http.max_body_bytes = OFFER_MAX_BYTES;
	conf->http.max_connections = 16;
	conf->whep.setup_timeout_s = STAGE_SETUP_S;
	conf->whep.consent_timeout_s = STAGE_CONSENT_S;
}

// Take what control sends for a moment, or until fd is readable.
static bool carry(struct control *c, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	edge_step(&c->edge);
	return poll(&p, 1, STEP_MS) == 1;
}

static int send_request(struct control *c, const char *head, const char *body)
{
	static char text[OFFER_MAX_BYTES + 1024];
	struct sockaddr_in addr = loopback(c->conf.http.port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	snprintf(text, sizeof(text), "%sHost: localhost\r\nContent-Length: %zu\r\n\r\n%s", head,
		strlen(body), body);
	client_send(fd, text);
	return fd;
}

static int read_answer(struct control *c, int fd)
{
	int left_ms = LIMIT_MS;

	while (!carry(c, fd) && left_ms > 0)
		left_ms -= STEP_MS;
	assert_true(left_ms > 0);
	client_read(fd, true, &c->last);
	close(fd);
	return c->last.status;
}

static int ask(struct control *c, const char *head, const char *body)
{
	return read_answer(c, send_request(c, head, body));
}

static int send_offer(struct control *c)
{
	return send_request(c, "POST /whep/cam HTTP/1.1\r\nContent-Type: " TYPE_SDP "\r\n",
		offer_read("chromium-av"));
}

static void wait_command(struct control *c, enum ring_command_kind kind)
{
	int left_ms = LIMIT_MS;

	while (c->edge.n_of[kind] == 0 && left_ms > 0) {
		carry(c, -1);
		left_ms -= STEP_MS;
	}
	assert_int_not_equal(c->edge.n_of[kind], 0);
}

static void wait_ready(struct control *c, int status)
{
	int tries = LIMIT_MS / STEP_MS;

	while (ask(c, "GET /readyz HTTP/1.1\r\n", "") != status && tries-- > 0)
		carry(c, -1);
	assert_int_equal(c->last.status, status);
}

static void put_stream(struct control *c)
{
	int status = ask(c,
		"PUT /api/v3/streams/cam HTTP/1.1\r\nContent-Type: application/json\r\n",
		"{\"video\": {}, \"audio\": {}}");

	if (status != 201)
		fail_msg("%d %s", status, c->last.body);
}

// Return: its exit status.
static int wait_end(struct control *c)
{
	int left_ms = LIMIT_MS, status;

	while (waitpid(c->pid, &status, WNOHANG) == 0 && left_ms > 0) {
		carry(c, -1);
		left_ms -= STEP_MS;
	}
	assert_true(left_ms > 0);
	c->pid = 0;
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int set_up(void **state)
{
	const struct region_sizes sizes = { STAGE_WORKERS, 4, 8 };
	struct control *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	log_set_level(LOG_LEVEL_ERROR - 1);
	assert_int_equal(edge_create(&sizes, &c->edge), 0);
	set_up_conf(c);
	*state = c;
	fflush(NULL);
	c->pid = fork();
	assert_true(c->pid >= 0);
	if (c->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		exit(core_run(&c->conf) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
	}
	assert_int_equal(edge_accept(&c->edge), 0);
	wait_ready(c, 200);
	put_stream(c);
	return 0;
}

static int tear_down(void **state)
{
	struct control *c = *state;

	if (c->pid > 0) {
		kill(c->pid, SIGKILL);
		waitpid(c->pid, NULL, 0);
	}
	edge_destroy(&c->edge);
	free(c);
	return 0;
}

// ---- tests -------------------------------------------------------------------------------------

static void it_says_good_bye_to_all(void **state)
{
	struct control *c = *state;

	assert_int_equal(read_answer(c, send_offer(c)), 201);
	assert_int_equal(read_answer(c, send_offer(c)), 201);
	edge_forget(&c->edge);
	kill(c->pid, SIGTERM);
	assert_int_equal(wait_end(c), EXIT_SUCCESS);
	assert_int_equal(c->edge.n_of[RING_PEER_REMOVE], 2);
	assert_int_equal(c->edge.n_of[RING_DRAIN], STAGE_WORKERS);
	assert_int_equal(c->edge.commands[c->edge.n_commands - 1].command.kind, RING_DRAIN);
	for (uint32_t i = 0; i < c->edge.region.n_peers; i++)
		assert_int_equal(c->edge.region.peers[i].conf.generation % 2, 0);
}

static void it_takes_nobody_while_it_stops(void **state)
{
	struct control *c = *state;

	c->edge.manners[RING_PEER_REMOVE] = EDGE_HOLD;
	assert_int_equal(read_answer(c, send_offer(c)), 201);
	kill(c->pid, SIGTERM);
	wait_command(c, RING_PEER_REMOVE);
	assert_int_equal(read_answer(c, send_offer(c)), 503);
	edge_release(&c->edge, 0);
	assert_int_equal(wait_end(c), EXIT_SUCCESS);
}

static void it_answers_what_waits_when_the_data_plane_dies(void **state)
{
	struct control *c = *state;
	int post, put;

	c->edge.manners[RING_PEER_ADD] = EDGE_SILENT;
	c->edge.manners[RING_STREAM_SET] = EDGE_SILENT;
	c->edge.manners[RING_DRAIN] = EDGE_SILENT;
	post = send_offer(c);
	wait_command(c, RING_PEER_ADD);
	edge_forget(&c->edge);
	put = send_request(c,
		"PUT /api/v3/streams/other HTTP/1.1\r\nContent-Type: application/json\r\n",
		"{\"video\": {}}");
	wait_command(c, RING_STREAM_SET);
	kill(c->pid, SIGTERM);
	// The data plane dies, too.
	shutdown(c->edge.conn_fd, SHUT_RDWR);
	assert_int_equal(read_answer(c, post), 503);
	assert_int_equal(read_answer(c, put), 503);
	assert_int_equal(wait_end(c), EXIT_SUCCESS);
}

// The later request still waits for its worker when the time for good-byes is up: it is answered
// before the server goes.
static void it_waits_for_a_silent_worker_no_longer_than_it_must(void **state)
{
	struct control *c = *state;
	uint64_t begin_ns;
	int post, put;

	for (int kind = 0; kind < EDGE_KINDS; kind++)
		c->edge.manners[kind] = EDGE_SILENT;
	post = send_offer(c);
	wait_command(c, RING_PEER_ADD);
	edge_forget(&c->edge);
	begin_ns = region_now_ns();
	kill(c->pid, SIGTERM);
	while (region_now_ns() - begin_ns < LATE_NS)
		carry(c, -1);
	put = send_request(c,
		"PUT /api/v3/streams/other HTTP/1.1\r\nContent-Type: application/json\r\n",
		"{\"video\": {}}");
	wait_command(c, RING_STREAM_SET);
	assert_int_equal(wait_end(c), EXIT_SUCCESS);
	assert_true(region_now_ns() - begin_ns < 2 * FAREWELL_NS);
	assert_int_equal(read_answer(c, post), 504);
	assert_int_equal(read_answer(c, put), 503);
}

static void a_data_plane_that_comes_back_finds_it_ready(void **state)
{
	struct control *c = *state;

	assert_int_equal(read_answer(c, send_offer(c)), 201);
	shutdown(c->edge.conn_fd, SHUT_RDWR);
	wait_ready(c, 503);
	assert_int_equal(read_answer(c, send_offer(c)), 503);
	assert_int_equal(edge_renew(&c->edge), 0);
	edge_forget(&c->edge);
	assert_int_equal(edge_accept(&c->edge), 0);
	wait_ready(c, 200);
	// Its stream is there again, its viewers are not.
	wait_command(c, RING_STREAM_SET);
	assert_int_equal(c->edge.n_of[RING_PEER_ADD], 0);
	assert_int_equal(read_answer(c, send_offer(c)), 201);
	kill(c->pid, SIGTERM);
	assert_int_equal(wait_end(c), EXIT_SUCCESS);
}

// The same region: who plays or connects waits for the data plane and goes on.
static void viewers_wait_for_a_data_plane_that_comes_back(void **state)
{
	struct control *c = *state;

	assert_int_equal(read_answer(c, send_offer(c)), 201);
	shutdown(c->edge.conn_fd, SHUT_RDWR);
	wait_ready(c, 503);
	assert_int_equal(read_answer(c, send_offer(c)), 503);
	assert_non_null(strstr(c->last.head, "Retry-After:"));
	assert_int_equal(ask(c, "GET /api/v3/streams/cam/peers HTTP/1.1\r\n", ""), 200);
	assert_non_null(strstr(c->last.body, "connecting"));
	assert_int_equal(edge_take_up(&c->edge), 0);
	edge_forget(&c->edge);
	assert_int_equal(edge_accept(&c->edge), 0);
	assert_true(c->edge.offered_fd >= 0);
	wait_ready(c, 200);
	wait_command(c, RING_STREAM_SET);
	assert_int_equal(ask(c, "GET /api/v3/streams/cam/peers HTTP/1.1\r\n", ""), 200);
	assert_non_null(strstr(c->last.body, "connecting"));
	assert_int_equal(c->edge.n_of[RING_PEER_REMOVE], 0);
	kill(c->pid, SIGTERM);
	assert_int_equal(wait_end(c), EXIT_SUCCESS);
	assert_int_equal(c->edge.n_of[RING_PEER_REMOVE], 1);
}

// Asked to leave its place to another control, it says good-bye to nobody.
static void it_leaves_without_a_word(void **state)
{
	struct control *c = *state;

	assert_int_equal(read_answer(c, send_offer(c)), 201);
	kill(c->pid, SIGQUIT);
	assert_int_equal(wait_end(c), EXIT_SUCCESS);
	assert_int_equal(c->edge.n_of[RING_PEER_REMOVE], 0);
	assert_int_equal(c->edge.n_of[RING_DRAIN], 0);
	assert_int_equal(c->edge.region.peers[0].conf.phase, REGION_PEER_RESERVED);
	assert_true(region_in_use(c->edge.region.peers[0].conf.generation));
}

// What its rings say is input.
static void odd_events_are_nothing_to_it(void **state)
{
	static const struct ring_event odd[] = { { .kind = 77, .slot = 65535, .leg = 255 },
		{ .kind = RING_LEG_UP, .slot = 65535, .leg = 0 },
		{ .kind = RING_LEG_DOWN, .slot = 0, .generation = 1, .leg = LEG_COUNT },
		{ .kind = RING_LEG_PARAMS, .slot = 0, .generation = 1, .leg = 255 },
		{ .kind = RING_ACK, .seq = 12345, .status = -77 } };
	struct control *c = *state;

	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		assert_int_equal(edge_event(&c->edge, 0, &odd[i]), 0);
	assert_int_equal(ask(c, "GET /healthz HTTP/1.1\r\n", ""), 200);
	assert_int_equal(read_answer(c, send_offer(c)), 201);
	kill(c->pid, SIGTERM);
	assert_int_equal(wait_end(c), EXIT_SUCCESS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_says_good_bye_to_all),
		TEST(it_takes_nobody_while_it_stops),
		TEST(it_answers_what_waits_when_the_data_plane_dies),
		TEST(it_waits_for_a_silent_worker_no_longer_than_it_must),
		TEST(a_data_plane_that_comes_back_finds_it_ready),
		TEST(viewers_wait_for_a_data_plane_that_comes_back),
		TEST(it_leaves_without_a_word),
		TEST(odd_events_are_nothing_to_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
