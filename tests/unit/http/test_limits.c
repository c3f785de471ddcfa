// The limits: what is too large, too slow, too much or not HTTP.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/http/client.h"

static struct http_server *server;

// Send text on a new connection and expect this status, without the core thread's doing.
static void expect_refused(const char *text, int status)
{
	int fd = client_connect(server);

	client_send(fd, text);
	client_expect(fd, status);
	assert_null(http_server_next(server));
	assert_true(client_is_closed(fd, CLIENT_WAIT_MS));
	close(fd);
}

static void body_of_the_limit_passes(void **state)
{
	char body[4096];
	int fd = client_connect(server);
	size_t n;
	struct http_request *req;

	memset(body, 'x', sizeof(body));
	client_send(fd, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4096\r\n\r\n");
	client_send_any(fd, body, sizeof(body));
	req = client_take(server);
	http_request_body(req, &n);
	assert_int_equal(n, 4096);
	client_answer(req, 200, "");
	client_expect(fd, 200);
	close(fd);
}

// The refusal comes before a byte of the body is sent, where the client asks for a word before it
// sends, or where the body is too large even to be forgotten.
static void larger_body_is_refused_by_its_length(void **state)
{
	expect_refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 16385\r\n\r\n", 413);
	expect_refused("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
		       "Content-Length: 4097\r\n\r\n",
		413);
	expect_refused(
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551615\r\n\r\n", 413);
}

// A request with a body that is somewhat too large is the handler's, which has other things to say
// first (A23); what came of the body is forgotten.
static void expect_too_large(int fd)
{
	struct http_request *req = client_take(server);
	size_t n = 1;

	assert_true(http_request_is_too_large(req));
	assert_string_equal(http_request_body(req, &n), "");
	assert_int_equal(n, 0);
	http_request_refuse_body(req);
	client_expect(fd, 413);
}

static void larger_body_is_read_and_forgotten(void **state)
{
	static char body[16384];
	int fd = client_connect(server);
	struct http_request *req;

	memset(body, 'x', sizeof(body));
	client_send(fd, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4097\r\n\r\n");
	client_send_any(fd, body, 4097);
	expect_too_large(fd);
	client_send(fd, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 16384\r\n\r\n");
	client_send_any(fd, body, 16384);
	expect_too_large(fd);
	// The connection is as good as before.
	client_send(fd, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx");
	req = client_take(server);
	assert_false(http_request_is_too_large(req));
	client_answer(req, 200, "");
	client_expect(fd, 200);
	close(fd);
}

static void larger_chunked_body_is_refused(void **state)
{
	char chunk[1024 + 8] = "400\r\n";
	int fd = client_connect(server);

	memset(chunk + 5, 'x', 1024);
	memcpy(chunk + 1029, "\r\n", 2);
	client_send(fd, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (unsigned int i = 0; i < 5; i++)
		client_send_any(fd, chunk, 1031);
	client_send(fd, "0\r\n\r\n");
	expect_too_large(fd);
	close(fd);
}

static void endless_chunked_body_is_cut(void **state)
{
	char chunk[1024 + 8] = "400\r\n";
	int fd = client_connect(server);

	memset(chunk + 5, 'x', 1024);
	memcpy(chunk + 1029, "\r\n", 2);
	client_send(fd, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (unsigned int i = 0; i < 64; i++)
		client_send_any(fd, chunk, 1031);
	assert_true(client_is_closed(fd, CLIENT_WAIT_MS));
	close(fd);
}

static void doubtful_framing_is_refused(void **state)
{
	expect_refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
		       "Transfer-Encoding: chunked\r\n\r\n",
		400);
	expect_refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
		       "Content-Length: 4\r\n\r\n",
		400);
	expect_refused(
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501);
}

// libmicrohttpd refuses some of these by itself, without our fields.
static void expect_answered_by_library(const char *text, int status)
{
	int fd = client_connect(server);
	struct response r;

	client_send_any(fd, text, strlen(text));
	client_read(fd, true, &r);
	if (r.status != status)
		fail_msg("%.40s: %d, not %d", text, r.status, status);
	assert_null(http_server_next(server));
	// It may repeat itself before it closes.
	while (r.status)
		client_read(fd, true, &r);
	assert_true(client_is_closed(fd, CLIENT_WAIT_MS));
	close(fd);
}

static void malformed_requests_are_refused(void **state)
{
	expect_answered_by_library("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400);
	expect_answered_by_library("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1x\r\n\r\n", 400);
	expect_answered_by_library("GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", 400);
	expect_answered_by_library("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505);
	expect_refused("GET / HTTP/1.1\r\n\r\n", 400);
	expect_refused("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400);
	expect_refused("GET / HTTP/1.1\r\nHost: x\r\nContent-Length : 4\r\n\r\n", 400);
}

static void long_header_and_path_are_refused(void **state)
{
	char text[HTTP_HEADER_MEMORY_BYTES * 2];
	size_t n = (size_t)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: x\r\nX-Long: ");

	memset(text + n, 'a', HTTP_HEADER_MEMORY_BYTES);
	strcpy(text + n + HTTP_HEADER_MEMORY_BYTES, "\r\n\r\n");
	expect_answered_by_library(text, 431);
	strcpy(text, "GET /");
	memset(text + 5, 'a', HTTP_PATH_MAX_BYTES);
	strcpy(text + 5 + HTTP_PATH_MAX_BYTES, " HTTP/1.1\r\nHost: x\r\n\r\n");
	expect_refused(text, 414);
}

static void connections_above_the_limit_wait(void **state)
{
	struct http_server_conf conf = client_conf();
	struct http_server *small;
	int fds[3];

	conf.max_connections = 2;
	small = client_server(&conf);
	for (unsigned int i = 0; i < 3; i++) {
		fds[i] = client_connect(small);
		client_send(fds[i], "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	}
	for (unsigned int i = 0; i < 2; i++) {
		client_answer(client_take(small), 200, "");
		client_expect(fds[i], 200);
	}
	assert_null(client_take_within(small, 100));
	close(fds[0]);
	client_answer(client_take(small), 200, "");
	client_expect(fds[2], 200);
	close(fds[1]);
	close(fds[2]);
	http_server_stop(small);
}

static void connections_of_one_address_are_limited(void **state)
{
	struct http_server_conf conf = client_conf();
	struct http_server *small;
	int fds[3];

	conf.max_per_address = 2;
	small = client_server(&conf);
	for (unsigned int i = 0; i < 3; i++)
		fds[i] = client_connect(small);
	assert_true(client_is_closed(fds[2], CLIENT_WAIT_MS));
	assert_false(client_is_closed(fds[0], 0));
	for (unsigned int i = 0; i < 3; i++)
		close(fds[i]);
	http_server_stop(small);
}

// Each byte starts libmicrohttpd's own time-out anew, so that one alone would never end this.
static void drip(const char *start, const char *drop)
{
	struct http_server_conf conf = client_conf();
	struct http_server *strict;
	unsigned int n_drops = 0;
	int fd;

	conf.idle_ms = 60000;
	conf.request_ms = 300;
	strict = client_server(&conf);
	fd = client_connect(strict);
	client_send(fd, start);
	while (!client_is_closed(fd, 0)) {
		assert_true(++n_drops < CLIENT_WAIT_MS / 20);
		client_send_any(fd, drop, 1);
		assert_null(client_take_within(strict, 20));
	}
	close(fd);
	http_server_stop(strict);
}

static void dripping_client_is_cut_off(void **state)
{
	drip("GET / HTTP/1.1\r\nX: ", "x");
	drip("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n", "x");
}

static void idle_client_is_cut_off(void **state)
{
	struct http_server_conf conf = client_conf();
	struct http_server *strict;
	int fd;

	conf.idle_ms = 1000;
	strict = client_server(&conf);
	fd = client_connect(strict);
	client_send(fd, "GET /");
	assert_true(client_is_closed(fd, CLIENT_WAIT_MS));
	close(fd);
	http_server_stop(strict);
}

// It is we who take long here: that is nobody's fault.
static void pending_request_outlives_the_limits(void **state)
{
	struct http_server_conf conf = client_conf();
	struct http_server *strict;
	struct http_request *req;
	int fd;

	conf.idle_ms = 1000;
	conf.request_ms = 300;
	strict = client_server(&conf);
	fd = client_connect(strict);
	client_send(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	req = client_take(strict);
	assert_null(client_take_within(strict, 2500));
	assert_true(client_answer(req, 200, "late"));
	client_expect(fd, 200);
	close(fd);
	http_server_stop(strict);
}

static int start(void **state)
{
	struct http_server_conf conf = client_conf();

	server = client_server(&conf);
	return 0;
}

static int stop(void **state)
{
	http_server_stop(server);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(body_of_the_limit_passes),
		cmocka_unit_test(larger_body_is_refused_by_its_length),
		cmocka_unit_test(larger_body_is_read_and_forgotten),
		cmocka_unit_test(larger_chunked_body_is_refused),
		cmocka_unit_test(endless_chunked_body_is_cut),
		cmocka_unit_test(doubtful_framing_is_refused),
		cmocka_unit_test(malformed_requests_are_refused),
		cmocka_unit_test(long_header_and_path_are_refused),
		cmocka_unit_test(connections_above_the_limit_wait),
		cmocka_unit_test(connections_of_one_address_are_limited),
		cmocka_unit_test(dripping_client_is_cut_off),
		cmocka_unit_test(idle_client_is_cut_off),
		cmocka_unit_test(pending_request_outlives_the_limits),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
