// Requests, answers, clients that leave, and the end of the server.
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/http/client.h"

enum {
	N_AT_ONCE = 500,
};

static struct http_server *server;

static void request_says_what_was_sent(void **state)
{
	int fd = client_connect(server);
	struct http_request *req;
	const char *body;
	char list[64];
	size_t n;

	client_send(fd,
		"POST /a%2Fb?q=1 HTTP/1.1\r\nHost: x\r\nIf-Match: \"a\"\r\nif-match: \"b\"\r\n"
		"CONTENT-TYPE: Application/SDP ; charset=utf-8\r\nContent-Length: 5\r\n\r\na");
	client_send_any(fd, "\0cd", 4);
	req = client_take(server);
	assert_int_equal(http_request_method(req), HTTP_POST);
	assert_string_equal(http_request_method_name(req), "POST");
	assert_string_equal(http_request_path(req), "/a%2Fb");
	assert_string_equal(http_request_header(req, "host"), "x");
	assert_null(http_request_header(req, "accept"));
	assert_int_equal(http_request_header_list(req, "If-Match", list, sizeof(list)), 0);
	assert_string_equal(list, "\"a\", \"b\"");
	assert_int_equal(http_request_header_list(req, "If-Match", list, 8), -ENOBUFS);
	assert_int_equal(http_request_header_list(req, "Accept", list, sizeof(list)), -ENOENT);
	assert_true(http_request_has_type(req, "application/sdp"));
	assert_false(http_request_has_type(req, "application/sd"));
	assert_false(http_request_has_type(req, "application/sdpx"));
	body = http_request_body(req, &n);
	assert_int_equal(n, 5);
	assert_memory_equal(body, "a\0cd\0", 6);
	assert_int_equal(http_request_peer(req)->family, NET_IPV4);
	assert_int_equal(http_request_peer(req)->ip[0], 127);
	assert_int_not_equal(http_request_peer(req)->port_be, 0);
	assert_true(client_answer(req, 200, "ok"));
	client_expect(fd, 200);
	close(fd);
}

static void answer_carries_status_fields_and_body(void **state)
{
	static const char fixed[] = "static";
	const struct http_header headers[] = { { "Location", "/r/1" }, { "ETag", "\"e\"" } };
	int fd = client_connect(server);
	struct response r;

	client_send(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	http_request_answer(client_take(server), &(struct http_answer){ .status = 201,
							 .body = fixed,
							 .body_bytes = 6,
							 .body_static = true,
							 .headers = headers,
							 .n_headers = 2 });
	client_read(fd, true, &r);
	assert_int_equal(r.status, 201);
	assert_string_equal(r.body, "static");
	assert_string_equal(client_field(&r, "Location"), "/r/1");
	assert_string_equal(client_field(&r, "ETag"), "\"e\"");
	assert_null(client_field(&r, "Content-Type"));
	close(fd);
}

static void two_requests_on_one_connection(void **state)
{
	int fd = client_connect(server);
	struct response r;

	client_send(fd, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
	for (unsigned int i = 0; i < 2; i++) {
		struct http_request *req = client_take(server);

		// The second is not read before the first is answered.
		assert_null(client_take_within(server, 20));
		client_answer(req, 200, http_request_path(req));
		client_read(fd, true, &r);
		assert_string_equal(r.body, i ? "/2" : "/1");
	}
	close(fd);
}

static void expect_continue(void **state)
{
	int fd = client_connect(server);
	struct response r;

	client_send(fd, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
			"Content-Length: 2\r\n\r\n");
	client_read(fd, false, &r);
	assert_int_equal(r.status, 100);
	client_send(fd, "ok");
	client_answer(client_take(server), 200, "");
	client_expect(fd, 200);
	close(fd);
}

static void chunked_body(void **state)
{
	int fd = client_connect(server);
	struct http_request *req;
	size_t n;

	client_send(fd, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
			"3\r\nabc\r\n");
	client_send(fd, "2;x=y\r\nde\r\n0\r\n\r\n");
	req = client_take(server);
	assert_string_equal(http_request_body(req, &n), "abcde");
	assert_int_equal(n, 5);
	client_answer(req, 200, "");
	client_expect(fd, 200);
	close(fd);
}

static void pipelined_garbage_ends_the_connection(void **state)
{
	int fd = client_connect(server);
	struct response r;

	client_send(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	client_send_any(fd, "\x16\x03\x01\0\x05\0\0\r\n\xff\xfe\r\n\r\n", 15);
	client_answer(client_take(server), 200, "first");
	client_read(fd, true, &r);
	assert_string_equal(r.body, "first");
	client_read(fd, true, &r);
	assert_in_range(r.status, 0, 499);
	assert_int_not_equal(r.status, 200);
	assert_null(http_server_next(server));
	assert_true(client_is_closed(fd, CLIENT_WAIT_MS));
	close(fd);
}

static void client_that_left_is_noticed(void **state)
{
	int fd = client_connect(server);
	struct http_request *req;

	client_send(fd, "POST /gone HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab");
	req = client_take(server);
	client_reset(fd);
	// The request is whole although its client is not.
	assert_string_equal(http_request_path(req), "/gone");
	assert_string_equal(http_request_body(req, NULL), "ab");
	assert_string_equal(http_request_header(req, "Host"), "x");
	assert_false(client_answer(req, 200, "nobody reads this"));
}

static void client_that_closed_quietly_is_harmless(void **state)
{
	int fd = client_connect(server);
	struct http_request *req;

	client_send(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	req = client_take(server);
	close(fd);
	client_answer(req, 200, "nobody reads this");
	assert_null(client_take_within(server, 50));
}

static void half_closed_client_gets_its_answer(void **state)
{
	int fd = client_connect(server);

	client_send(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_true(client_answer(client_take(server), 200, "late"));
	client_expect(fd, 200);
	close(fd);
}

static void half_sent_request_never_arrives(void **state)
{
	int fd = client_connect(server);

	client_send(fd, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf");
	assert_null(client_take_within(server, 50));
	client_reset(fd);
	assert_null(client_take_within(server, 50));
}

// Without the wake-up, each would wait for the next look at overdue connections, a second apart.
static void request_wakes_at_once(void **state)
{
	struct pollfd p = { .fd = http_server_event_fd(server), .events = POLLIN };
	time_t began = time(NULL);

	for (unsigned int i = 0; i < 6; i++) {
		int fd = client_connect(server);
		struct http_request *req;

		assert_null(http_server_next(server));
		client_send(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
		do {
			assert_int_equal(poll(&p, 1, CLIENT_WAIT_MS), 1);
			req = http_server_next(server);
		} while (!req);
		client_answer(req, 200, "");
		client_expect(fd, 200);
		close(fd);
	}
	assert_in_range(time(NULL) - began, 0, 3);
}

// All are asked first, then answered from the last to the first.
static void many_at_once_in_another_order(void **state)
{
	static int fds[N_AT_ONCE];
	static struct http_request *taken[N_AT_ONCE];
	struct http_server_conf conf = client_conf();
	struct http_server *big;
	struct response r;
	char text[128];

	conf.max_connections = N_AT_ONCE + 10;
	big = client_server(&conf);
	for (unsigned int i = 0; i < N_AT_ONCE; i++) {
		fds[i] = client_connect(big);
		snprintf(text, sizeof(text), "GET /%u HTTP/1.1\r\nHost: x\r\n\r\n", i);
		client_send(fds[i], text);
	}
	for (unsigned int i = 0; i < N_AT_ONCE; i++)
		taken[i] = client_take(big);
	for (unsigned int i = N_AT_ONCE; i-- > 0;)
		assert_true(client_answer(taken[i], 200, http_request_path(taken[i])));
	for (unsigned int i = 0; i < N_AT_ONCE; i++) {
		client_read(fds[i], true, &r);
		assert_int_equal(r.status, 200);
		snprintf(text, sizeof(text), "/%u", i);
		assert_string_equal(r.body, text);
		close(fds[i]);
	}
	http_server_stop(big);
}

static void stop_answers_what_is_pending(void **state)
{
	struct http_server_conf conf = client_conf();
	struct http_server *brief = client_server(&conf);
	int fds[8];
	int silent = client_connect(brief);
	int half = client_connect(brief);

	for (unsigned int i = 0; i < 8; i++) {
		fds[i] = client_connect(brief);
		client_send(fds[i], "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	}
	client_send(half, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf");
	// Some are with the core thread, some still queued.
	for (unsigned int i = 0; i < 5; i++)
		client_take(brief);
	client_reset(fds[0]);
	http_server_stop(brief);
	for (unsigned int i = 1; i < 8; i++) {
		// What libmicrohttpd had not read yet is closed without an answer.
		struct response r;

		client_read(fds[i], true, &r);
		assert_true(r.status == 503 || r.status == 0);
		if (i < 4)
			assert_int_equal(r.status, 503);
		if (r.status)
			assert_non_null(client_field(&r, "Retry-After"));
		close(fds[i]);
	}
	assert_true(client_is_closed(silent, 0));
	assert_true(client_is_closed(half, 0));
	close(silent);
	close(half);
}

// A client that keeps asking while the server stops.
static void stop_under_load(void **state)
{
	for (unsigned int round = 0; round < 20; round++) {
		struct http_server_conf conf = client_conf();
		struct http_server *brief = client_server(&conf);
		int fds[20];

		for (unsigned int i = 0; i < 20; i++) {
			fds[i] = client_connect(brief);
			client_send(fds[i], "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
		}
		http_server_next(brief);
		http_server_stop(brief);
		for (unsigned int i = 0; i < 20; i++) {
			struct response r;

			client_read(fds[i], true, &r);
			assert_true(r.status == 503 || r.status == 0);
			close(fds[i]);
		}
	}
}

static void start_says_what_is_wrong(void **state)
{
	struct http_server_conf conf = client_conf();
	struct http_server *none = NULL;

	conf.address.port_be = htons(http_server_port(server));
	assert_int_equal(http_server_start(&conf, &none), -EADDRINUSE);
	conf = client_conf();
	conf.address.family = NET_NONE;
	assert_int_equal(http_server_start(&conf, &none), -EINVAL);
	conf = client_conf();
	conf.max_body_bytes = 0;
	assert_int_equal(http_server_start(&conf, &none), -EINVAL);
	assert_null(none);
	http_server_stop(NULL);
}

// [::] serves IPv4 too, and the peer's address is written as IPv4.
static void dual_stack(void **state)
{
	struct http_server_conf conf = client_conf();
	struct http_server *both = NULL;
	struct http_request *req;
	int fd;

	memset(&conf.address, 0, sizeof(conf.address));
	conf.address.family = NET_IPV6;
	if (http_server_start(&conf, &both) == -EAFNOSUPPORT)
		skip();
	assert_non_null(both);
	fd = client_connect(both);
	client_send(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	req = client_take(both);
	assert_int_equal(http_request_peer(req)->family, NET_IPV4);
	assert_int_equal(http_request_peer(req)->ip[0], 127);
	client_answer(req, 200, "");
	client_expect(fd, 200);
	close(fd);
	http_server_stop(both);
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
		cmocka_unit_test(request_says_what_was_sent),
		cmocka_unit_test(answer_carries_status_fields_and_body),
		cmocka_unit_test(two_requests_on_one_connection),
		cmocka_unit_test(expect_continue),
		cmocka_unit_test(chunked_body),
		cmocka_unit_test(pipelined_garbage_ends_the_connection),
		cmocka_unit_test(client_that_left_is_noticed),
		cmocka_unit_test(client_that_closed_quietly_is_harmless),
		cmocka_unit_test(half_closed_client_gets_its_answer),
		cmocka_unit_test(half_sent_request_never_arrives),
		cmocka_unit_test(request_wakes_at_once),
		cmocka_unit_test(many_at_once_in_another_order),
		cmocka_unit_test(stop_answers_what_is_pending),
		cmocka_unit_test(stop_under_load),
		cmocka_unit_test(start_says_what_is_wrong),
		cmocka_unit_test(dual_stack),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
