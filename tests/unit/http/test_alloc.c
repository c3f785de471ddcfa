// Memory that runs out, at each step. The linker sends the server's allocations through here.
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <microhttpd.h>

#include <cmocka.h>

#include "tests/unit/http/client.h"

void *__real_calloc(size_t n, size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
struct MHD_Response *__real_MHD_create_response_from_buffer(
	size_t bytes, void *body, enum MHD_ResponseMemoryMode);
struct MHD_Response *__wrap_MHD_create_response_from_buffer(
	size_t bytes, void *body, enum MHD_ResponseMemoryMode);

// The call that fails: 1 is the next; 0 or below none.
static atomic_int countdown;

static bool fails(void)
{
	return atomic_fetch_sub(&countdown, 1) == 1;
}

void *__wrap_calloc(size_t n, size_t bytes)
{
	return fails() ? NULL : __real_calloc(n, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
	return fails() ? NULL : __real_realloc(old, bytes);
}

struct MHD_Response *__wrap_MHD_create_response_from_buffer(
	size_t bytes, void *body, enum MHD_ResponseMemoryMode mode)
{
	return fails() ? NULL : __real_MHD_create_response_from_buffer(bytes, body, mode);
}

// One request with a body; the core thread answers it if it comes.
// Return: the status, 0 for a closed connection.
static int ask(struct http_server *srv)
{
	int fd = client_connect(srv);
	struct http_request *req;
	struct response r;

	client_send(fd, "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
			"Content-Length: 4\r\n\r\nbody");
	do {
		req = client_take_within(srv, 20);
	} while (!req && !client_is_closed(fd, 0));
	if (req)
		http_request_answer(
			req, &(struct http_answer){ .status = 200, .body = "ok", .body_bytes = 2 });
	client_read(fd, true, &r);
	close(fd);
	return r.status;
}

// The connection, the request, its body, the answer: in this order.
static void requests_fail_alone(void **state)
{
	static const int statuses[] = { 200, 0, 0, 0, 500, 200 };
	struct http_server_conf conf = client_conf();
	struct http_server *srv = client_server(&conf);

	for (int n = 0; n < (int)(sizeof(statuses) / sizeof(*statuses)); n++) {
		atomic_store(&countdown, n);
		assert_int_equal(ask(srv), statuses[n]);
		atomic_store(&countdown, 0);
		assert_int_equal(ask(srv), 200);
	}
	http_server_stop(srv);
}

static void start_fails_cleanly(void **state)
{
	struct http_server_conf conf = client_conf();
	struct http_server *srv = NULL;

	atomic_store(&countdown, 1);
	assert_int_equal(http_server_start(&conf, &srv), -ENOMEM);
	assert_null(srv);
	atomic_store(&countdown, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_fail_alone),
		cmocka_unit_test(start_fails_cleanly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
