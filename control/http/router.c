#include "control/http/router.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/http/priv/request.h"

static const char *const method_names[HTTP_OTHER] = {
	[HTTP_GET] = "GET",
	[HTTP_HEAD] = "HEAD",
	[HTTP_POST] = "POST",
	[HTTP_PUT] = "PUT",
	[HTTP_PATCH] = "PATCH",
	[HTTP_DELETE] = "DELETE",
	[HTTP_OPTIONS] = "OPTIONS",
};

// Whether one segment of the pattern takes one of the path; a parameter is noted.
static bool match_segment(
	struct http_request *req, const char *pattern, size_t pattern_chars, const char *segment)
{
	if (pattern_chars < 2 || pattern[0] != '{')
		return strlen(segment) == pattern_chars &&
		       memcmp(segment, pattern, pattern_chars) == 0;
	if (segment[0] == '\0' || req->n_params == HTTP_MAX_PARAMS)
		return false;
	req->params[req->n_params].name = pattern + 1;
	req->params[req->n_params].name_bytes = pattern_chars - 2;
	req->params[req->n_params].value = segment;
	req->n_params++;
	return true;
}

static bool match_pattern(struct http_request *req, const char *pattern)
{
	unsigned int n_matched = 0;

	req->n_params = 0;
	// A slash at the end is a segment of no characters, but for that of the root.
	while (pattern[0] == '/' && (pattern[1] != '\0' || n_matched > 0)) {
		size_t n_chars = strcspn(++pattern, "/");
		const char *segment = http_path_segment(&req->split, n_matched++);

		if (!segment || !match_segment(req, pattern, n_chars, segment))
			return false;
		pattern += n_chars;
	}
	return n_matched == req->split.n_segments;
}

static http_handler route_handler(const struct http_route *route, enum http_method method)
{
	if (method >= HTTP_OTHER)
		return NULL;
	if (method == HTTP_HEAD && !route->on[HTTP_HEAD])
		return route->on[HTTP_GET];
	return route->on[method];
}

// List the methods of a route as Allow wants them.
static void write_allow(const struct http_route *route, char out[HTTP_ALLOW_MAX_BYTES])
{
	size_t used = 0;

	out[0] = '\0';
	for (unsigned int m = 0; m < HTTP_OTHER; m++) {
		if (m != HTTP_OPTIONS && !route_handler(route, m))
			continue;
		used += (size_t)snprintf(out + used, HTTP_ALLOW_MAX_BYTES - used, "%s%s",
			used ? ", " : "", method_names[m]);
	}
}

// All seven names with their separators, and the NUL.
_Static_assert(sizeof("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS") <= HTTP_ALLOW_MAX_BYTES,
	"Allow fits");

static void answer_options(struct http_request *req, const struct http_header *headers)
{
	struct http_answer answer = { .status = 204, .headers = headers };

	while (headers && headers[answer.n_headers].name)
		answer.n_headers++;
	http_request_answer(req, &answer);
}

static const struct http_route *find_route(
	struct http_request *req, const struct http_route *routes, size_t n_routes)
{
	for (size_t i = 0; i < n_routes; i++) {
		if (match_pattern(req, routes[i].pattern))
			return &routes[i];
	}
	return NULL;
}

// Return: the name of a parameter that is no id, its length in *bytes; NULL all are.
static const char *bad_param(const struct http_request *req, size_t *bytes)
{
	for (unsigned int i = 0; i < req->n_params; i++) {
		if (http_id_valid(req->params[i].value))
			continue;
		*bytes = req->params[i].name_bytes;
		return req->params[i].name;
	}
	return NULL;
}

static bool takes_body(enum http_method method)
{
	return method == HTTP_POST || method == HTTP_PUT || method == HTTP_PATCH;
}

static void dispatch_route(
	const struct http_route *route, http_guard guard, void *ctx, struct http_request *req)
{
	http_handler handler = route_handler(route, req->method);
	size_t name_bytes;
	const char *name;

	req->route = route->pattern;
	write_allow(route, req->allow);
	req->same_origin = route->same_origin;
	if (!handler && req->method != HTTP_OPTIONS) {
		http_request_refuse(req, 405, NULL, 0, "this path takes %s, not %s", req->allow,
			req->method_name);
		return;
	}
	name = bad_param(req, &name_bytes);
	if (name) {
		http_request_refuse(req, 400, NULL, 0,
			"{%.*s} in the path must be 1 to %d letters, digits or . _ ~ -",
			(int)name_bytes, name, HTTP_ID_MAX_CHARS);
		return;
	}
	if (guard && req->method != HTTP_OPTIONS && !guard(ctx, route, req))
		return;
	if (!takes_body(req->method) && http_request_is_too_large(req))
		http_request_refuse_body(req);
	else if (handler)
		handler(ctx, req);
	else
		answer_options(req, route->options_headers);
}

void http_router_dispatch(const struct http_route *routes, size_t n_routes, http_guard guard,
	void *ctx, struct http_request *req)
{
	const struct http_route *route;
	int err;

	// About the server as a whole (RFC 9110 9.3.7).
	if (req->method == HTTP_OPTIONS && strcmp(req->path, "*") == 0) {
		answer_options(req, NULL);
		return;
	}
	err = http_path_split(req->path, &req->split);
	if (err && err != -E2BIG) {
		http_request_refuse(req, 400, NULL, 0,
			"the path may hold letters, digits and . _ ~ - between its slashes, no . "
			"or ..");
		return;
	}
	route = err ? NULL : find_route(req, routes, n_routes);
	if (!route) {
		http_request_refuse(req, 404, NULL, 0, "nothing is here");
		return;
	}
	dispatch_route(route, guard, ctx, req);
}
