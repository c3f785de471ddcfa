#include "tests/unit/http/client.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct http_server_conf client_conf(void)
{
	struct http_server_conf conf = {
		.max_body_bytes = 4096,
		.max_connections = 64,
		.idle_ms = 10000,
		.request_ms = 20000,
	};

	conf.address.family = NET_IPV4;
	conf.address.ip[0] = 127;
	conf.address.ip[3] = 1;
	return conf;
}

struct http_server *client_server(const struct http_server_conf *conf)
{
	struct http_server *srv = NULL;

	assert_int_equal(http_server_start(conf, &srv), 0);
	assert_int_not_equal(http_server_port(srv), 0);
	return srv;
}

int client_connect(const struct http_server *srv)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons(http_server_port(srv)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct timeval wait = { .tv_sec = CLIENT_WAIT_MS / 1000 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

void client_send(int fd, const char *text)
{
	size_t n = strlen(text);

	assert_int_equal(send(fd, text, n, MSG_NOSIGNAL), (ssize_t)n);
}

void client_send_any(int fd, const void *data, size_t bytes)
{
	const char *at = data;

	while (bytes) {
		ssize_t n = send(fd, at, bytes, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		at += n;
		bytes -= (size_t)n;
	}
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct http_request *client_take_within(struct http_server *srv, int wait_ms)
{
	struct pollfd p = { .fd = http_server_event_fd(srv), .events = POLLIN };
	int64_t until_ms = now_ms() + wait_ms;

	for (;;) {
		struct http_request *req = http_server_next(srv);
		int64_t left_ms = until_ms - now_ms();

		if (req || left_ms <= 0)
			return req;
		poll(&p, 1, (int)left_ms);
	}
}

struct http_request *client_take(struct http_server *srv)
{
	struct http_request *req = client_take_within(srv, CLIENT_WAIT_MS);

	assert_non_null(req);
	return req;
}

// Read up to and with the empty line. Return: false if the connection ends before it.
static bool read_head(int fd, char *out, size_t out_cap)
{
	size_t used = 0;

	while (used + 1 < out_cap) {
		if (recv(fd, out + used, 1, 0) != 1)
			return false;
		out[++used] = '\0';
		if (used >= 4 && memcmp(out + used - 4, "\r\n\r\n", 4) == 0)
			return true;
	}
	fail_msg("the head of the response is longer than %zu bytes", out_cap);
	return false;
}

void client_read(int fd, bool has_body, struct response *out)
{
	const char *length;

	memset(out, 0, sizeof(*out));
	if (!read_head(fd, out->head, sizeof(out->head)))
		return;
	assert_int_equal(sscanf(out->head, "HTTP/1.%*d %d", &out->status), 1);
	length = client_field(out, "Content-Length");
	if (!has_body || !length)
		return;
	out->body_bytes = strtoul(length, NULL, 10);
	assert_true(out->body_bytes < sizeof(out->body));
	if (out->body_bytes)
		assert_int_equal(recv(fd, out->body, out->body_bytes, MSG_WAITALL),
			(ssize_t)out->body_bytes);
}

const char *client_field(const struct response *response, const char *name)
{
	static char value[1024];
	size_t n = strlen(name);

	for (const char *line = strstr(response->head, "\r\n"); line; line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, name, n) != 0 || line[n] != ':')
			continue;
		snprintf(value, sizeof(value), "%.*s", (int)strcspn(line + n + 2, "\r"),
			line + n + 2);
		return value;
	}
	return NULL;
}

bool client_is_closed(int fd, int wait_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n;
	char c;

	if (poll(&p, 1, wait_ms) != 1)
		return false;
	n = recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);
	return n == 0 || (n < 0 && errno != EAGAIN);
}

void client_reset(int fd)
{
	struct linger hard = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(fd);
}

bool client_answer(struct http_request *req, unsigned int status, const char *text)
{
	return http_request_answer(req, &(struct http_answer){
						.status = status,
						.content_type = "text/plain",
						.body = text,
						.body_bytes = strlen(text),
					});
}

void client_expect(int fd, int status)
{
	struct response r;

	client_read(fd, true, &r);
	assert_int_equal(r.status, status);
	assert_string_equal(client_field(&r, "Access-Control-Allow-Origin"), "*");
}
