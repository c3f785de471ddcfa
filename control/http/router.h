// Which handler answers which path and method.
// Pure apart from the answers it gives itself: 400, 404, 405, and OPTIONS where a route has no
// handler for it.
// Owner: control's core thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "control/http/server.h"

// Must answer the request, now or later.
typedef void (*http_handler)(void *ctx, struct http_request *);

// One line of the table. A pattern's segments are text or "{name}", which takes any valid id; a
// slash at its end stands for itself.
// The first pattern that fits the path decides; so "/watch/{stream}" comes after "/watch/help".
struct http_route {
	const char *pattern;
	// HEAD without a handler goes to GET's, OPTIONS without one is answered 204.
	http_handler on[HTTP_OTHER];
	// Pages of other origins may not send what needs a preflight (PUT, DELETE, JSON, …).
	bool same_origin;
	// For the automatic OPTIONS answer, e.g. Accept-Post; ends with a NULL name. May be NULL.
	const struct http_header *options_headers;
};

// Asked once path and method are found good, but never of OPTIONS (A23, A33).
// Return: true: go on to the handler; false: it has answered.
typedef bool (*http_guard)(void *ctx, const struct http_route *, struct http_request *);

// Find the route and call its handler, or answer: 400 the path or a parameter is not well formed,
// 404 no pattern fits, 405 the pattern has no such method, 413 a body above the limit came to a
// method that takes none (where one is taken, the handler looks).
// routes: n_routes of them; they and their strings outlive the request.
// guard:  NULL: all may pass.
// State:  the request is answered or the handler's.
void http_router_dispatch(const struct http_route *routes, size_t n_routes, http_guard guard,
	void *ctx, struct http_request *);
