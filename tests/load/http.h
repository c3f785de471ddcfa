// HTTP requests that run beside each other, with libcurl. One event loop: poll http_fd, call
// http_poll when it is readable or http_wait_ms has passed.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct http;

struct http_result {
	long status; // 0: no answer, and error says why
	const char *error;
	const char *body; // text; "" without one
	const char *location;
	uint64_t us; // request to whole answer
};

typedef void (*http_done_cb)(void *arg, const struct http_result *);

// connections: at one time; fresh: a new one for each request.
// Return: NULL no memory.
struct http *http_create(uint32_t connections, bool fresh);
void http_destroy(struct http *);

// POST body as application/sdp. cb is called once, from http_poll; body is copied.
// Return: 0; -ENOMEM.
int http_post(struct http *, const char *url, const char *body, http_done_cb cb, void *arg);
int http_delete(struct http *, const char *url, http_done_cb cb, void *arg);

int http_fd(const struct http *);
// Return: milliseconds until http_poll is due; -1 only on events.
int http_wait_ms(const struct http *);
void http_poll(struct http *);
