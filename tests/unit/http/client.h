// What the HTTP tests share: a server whose core thread is the test itself, and a client on plain
// sockets. Everything fails the test rather than wait for more than some seconds.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "control/http/server.h"

enum {
	CLIENT_WAIT_MS = 10000,
	CLIENT_TEXT_MAX = 64 * 1024,
};

struct response {
	int status; // 0: the connection was closed without an answer
	char head[16 * 1024];
	char body[CLIENT_TEXT_MAX];
	size_t body_bytes;
};

// A server on 127.0.0.1 with limits that suit the tests.
struct http_server_conf client_conf(void);
struct http_server *client_server(const struct http_server_conf *);

int client_connect(const struct http_server *);

// All of text goes out, or the test fails. client_send_any gives up silently when the server has
// closed the connection.
void client_send(int fd, const char *text);
void client_send_any(int fd, const void *data, size_t bytes);

// The next request on the server's queue.
struct http_request *client_take(struct http_server *);

// Return: NULL if none comes within wait_ms.
struct http_request *client_take_within(struct http_server *, int wait_ms);

// Read one response; has_body false for the answer to HEAD.
void client_read(int fd, bool has_body, struct response *out);

// Answer with this text, and read an answer that has this status and our fields.
bool client_answer(struct http_request *, unsigned int status, const char *text);
void client_expect(int fd, int status);

// Return: the value of a field in out->head, in a static buffer; NULL there is none.
const char *client_field(const struct response *, const char *name);

// Whether the server has closed the connection, or does so within wait_ms.
bool client_is_closed(int fd, int wait_ms);

// Close with a reset.
void client_reset(int fd);
