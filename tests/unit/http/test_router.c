// Routes, methods, CORS and error bodies, through a real server.
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/http/router.h"
#include "tests/unit/http/client.h"

static struct http_server *server;

static void say(struct http_request *req, const char *text)
{
	http_request_answer(req, &(struct http_answer){
					 .status = 200,
					 .content_type = "text/plain",
					 .body = text,
					 .body_bytes = strlen(text),
				 });
}

static void on_root(void *ctx, struct http_request *req)
{
	say(req, "root");
}

static void on_stream(void *ctx, struct http_request *req)
{
	char text[200];

	assert_null(http_request_param(req, "resource"));
	assert_null(http_request_param(req, "strea"));
	snprintf(text, sizeof(text), "%s %s", (const char *)ctx, http_request_param(req, "stream"));
	say(req, text);
}

static void on_resource(void *ctx, struct http_request *req)
{
	char text[200];

	snprintf(text, sizeof(text), "%s/%s", http_request_param(req, "stream"),
		http_request_param(req, "resource"));
	say(req, text);
}

static void on_own_options(void *ctx, struct http_request *req)
{
	const struct http_header link = { "Link", "<stun:a.example>; rel=\"ice-server\"" };

	http_request_answer(
		req, &(struct http_answer){ .status = 204, .headers = &link, .n_headers = 1 });
}

static void on_broken_header(void *ctx, struct http_request *req)
{
	const struct http_header broken = { "Location", "/a\r\nSet-Cookie: x=1" };

	http_request_answer(
		req, &(struct http_answer){ .status = 201, .headers = &broken, .n_headers = 1 });
}

static const struct http_header accept_post[] = {
	{ "Accept-Post", "application/sdp" },
	{ NULL, NULL },
};

static const struct http_route routes[] = {
	{ .pattern = "/", .on = { [HTTP_GET] = on_root } },
	{ .pattern = "/broken", .on = { [HTTP_GET] = on_broken_header } },
	{ .pattern = "/whep/help", .on = { [HTTP_GET] = on_root } },
	{ .pattern = "/whep/{stream}",
		.on = { [HTTP_GET] = on_stream, [HTTP_POST] = on_stream },
		.options_headers = accept_post },
	{ .pattern = "/whep/{stream}/{resource}",
		.on = { [HTTP_PATCH] = on_resource,
			[HTTP_DELETE] = on_resource,
			[HTTP_OPTIONS] = on_own_options } },
	{ .pattern = "/api/{stream}", .on = { [HTTP_PUT] = on_stream }, .same_origin = true },
};

// Turns everybody away whom it is asked about.
static bool nobody(void *ctx, const struct http_route *route, struct http_request *req)
{
	assert_string_equal(ctx, "context");
	assert_int_equal(route->pattern[0], '/');
	http_request_refuse(req, 401, NULL, 0, "nobody");
	return false;
}

static http_guard guard;

// One request from the first line to the answer.
// fields: further lines, each with its CRLF.
static void ask(const char *method, const char *path, const char *fields, struct response *out)
{
	char text[4096];
	int fd = client_connect(server);

	snprintf(
		text, sizeof(text), "%s %s HTTP/1.1\r\nHost: edge\r\n%s\r\n", method, path, fields);
	client_send(fd, text);
	http_router_dispatch(
		routes, sizeof(routes) / sizeof(*routes), guard, "context", client_take(server));
	client_read(fd, strcmp(method, "HEAD") != 0, out);
	close(fd);
	assert_string_equal(client_field(out, "Access-Control-Allow-Origin"), "*");
	assert_non_null(strstr(client_field(out, "Access-Control-Expose-Headers"), "Location"));
	assert_string_equal(client_field(out, "X-Content-Type-Options"), "nosniff");
}

static const struct {
	const char *method;
	const char *path;
	int status;
	const char *body; // NULL: not compared
} cases[] = {
	{ "GET", "/", 200, "root" },
	{ "GET", "/?a=b", 200, "root" },
	{ "GET", "http://other.example/", 200, "root" },
	{ "GET", "/whep/help", 200, "root" },
	{ "GET", "/whep/live", 200, "context live" },
	{ "POST", "/whep/live?token=/../x", 200, "context live" },
	{ "POST", "/wh%65p/l%69ve", 200, "context live" },
	{ "PATCH", "/whep/live/abc", 200, "live/abc" },
	{ "PUT", "/api/live", 200, "context live" },
	{ "GET", "/broken", 500, "the answer could not be put together\n" },
	{ "GET", "/nothing", 404, "nothing is here\n" },
	{ "GET", "/whep", 404, NULL },
	{ "GET", "/whep/", 404, NULL },
	{ "GET", "//whep/live", 404, NULL },
	{ "DELETE", "/whep/live/abc/", 404, NULL },
	{ "GET", "/1/2/3/4/5/6/7/8/9", 404, NULL },
	{ "PUT", "/whep/live", 405, "this path takes GET, HEAD, POST, OPTIONS, not PUT\n" },
	{ "TRACE", "/whep/live", 405, NULL },
	{ "get", "/whep/live", 405, NULL },
	{ "POST", "/whep/live/abc", 405, "this path takes PATCH, DELETE, OPTIONS, not POST\n" },
	{ "GET", "/whep/../etc/passwd", 400, NULL },
	{ "GET", "/whep/%2e%2e/passwd", 400, NULL },
	{ "GET", "/whep/live%00", 400, NULL },
	{ "GET", "/whep/a%2fb", 400, NULL },
	{ "GET", "/whep/%252e", 400, NULL },
	{ "GET", "*", 400, NULL },
	{ "POST", "/whep/0123456789012345678901234567890123456789012345678901234567890123", 400,
		"{stream} in the path must be 1 to 63 letters, digits or . _ ~ -\n" },
};

static void statuses(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct response r;

		ask(cases[i].method, cases[i].path, "", &r);
		if (r.status != cases[i].status)
			fail_msg("%s %s: %d, not %d", cases[i].method, cases[i].path, r.status,
				cases[i].status);
		if (cases[i].body)
			assert_string_equal(r.body, cases[i].body);
		assert_null(client_field(&r, "Set-Cookie"));
	}
}

static void head_follows_get(void **state)
{
	struct response r;

	ask("HEAD", "/whep/live", "", &r);
	assert_int_equal(r.status, 200);
	assert_string_equal(client_field(&r, "Content-Length"), "12");
	assert_string_equal(client_field(&r, "Content-Type"), "text/plain");
}

static void options_and_preflight(void **state)
{
	struct response r;

	ask("OPTIONS", "/whep/live", "", &r);
	assert_int_equal(r.status, 204);
	assert_int_equal(r.body_bytes, 0);
	assert_string_equal(client_field(&r, "Allow"), "GET, HEAD, POST, OPTIONS");
	assert_string_equal(client_field(&r, "Accept-Post"), "application/sdp");
	assert_string_equal(client_field(&r, "Access-Control-Allow-Methods"),
		"GET, HEAD, POST, PATCH, DELETE, OPTIONS");
	assert_string_equal(client_field(&r, "Access-Control-Allow-Headers"),
		"Content-Type, Authorization, If-Match, If-None-Match");
	assert_string_equal(client_field(&r, "Access-Control-Max-Age"), "86400");
	ask("OPTIONS", "*", "", &r);
	assert_int_equal(r.status, 204);
}

// Path and method come before the guard, everything else after it; OPTIONS never needs it.
static void guard_has_its_turn(void **state)
{
	static const struct {
		const char *method, *path, *fields;
		int status;
	} guarded[] = {
		{ "GET", "/", "", 401 },
		{ "HEAD", "/", "", 401 },
		{ "POST", "/whep/live", "", 401 },
		{ "DELETE", "/whep/live/abc", "", 401 },
		{ "GET", "/nothing", "", 404 },
		{ "PUT", "/whep/live", "", 405 },
		{ "POST", "/whep/a%2fb", "", 400 },
		{ "OPTIONS", "/whep/live", "", 204 },
		{ "OPTIONS", "/whep/live/abc", "", 204 },
		{ "OPTIONS", "/api/live", "", 204 },
		{ "OPTIONS", "*", "", 204 },
	};
	struct response r;

	guard = nobody;
	for (size_t i = 0; i < sizeof(guarded) / sizeof(*guarded); i++) {
		ask(guarded[i].method, guarded[i].path, guarded[i].fields, &r);
		if (r.status != guarded[i].status)
			fail_msg("%s %s: %d, not %d", guarded[i].method, guarded[i].path, r.status,
				guarded[i].status);
	}
	guard = NULL;
}

// A body above the limit is nothing to a route that takes one, until its handler asks; but no other
// method is answered as if it had not come.
static void body_too_large_comes_after_the_guard(void **state)
{
	static char text[8192];
	static const char *const heads[] = {
		"DELETE /whep/live/abc HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n",
		"PUT /api/live HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n",
		"PUT /whep/live HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n",
	};
	static const int without[] = { 413, 200, 405 }, with[] = { 401, 401, 405 };

	for (size_t i = 0; i < 6; i++) {
		size_t n = (size_t)snprintf(text, sizeof(text), "%s", heads[i / 2]);
		int status = i % 2 ? with[i / 2] : without[i / 2];
		int fd = client_connect(server);

		memset(text + n, 'x', 5000);
		client_send_any(fd, text, n + 5000);
		http_router_dispatch(routes, sizeof(routes) / sizeof(*routes),
			i % 2 ? nobody : NULL, "context", client_take(server));
		client_expect(fd, status);
		close(fd);
	}
}

static void own_options_handler(void **state)
{
	struct response r;

	ask("OPTIONS", "/whep/live/abc", "", &r);
	assert_int_equal(r.status, 204);
	assert_string_equal(client_field(&r, "Allow"), "PATCH, DELETE, OPTIONS");
	assert_non_null(client_field(&r, "Link"));
	assert_non_null(client_field(&r, "Access-Control-Allow-Methods"));
}

static void same_origin_route_has_no_preflight(void **state)
{
	struct response r;

	ask("OPTIONS", "/api/live", "", &r);
	assert_int_equal(r.status, 204);
	assert_string_equal(client_field(&r, "Allow"), "PUT, OPTIONS");
	assert_null(client_field(&r, "Access-Control-Allow-Methods"));
	assert_null(client_field(&r, "Access-Control-Allow-Headers"));
}

static void refused_method_says_what_is_allowed(void **state)
{
	struct response r;

	ask("POST", "/whep/live/abc", "", &r);
	assert_string_equal(client_field(&r, "Allow"), "PATCH, DELETE, OPTIONS");
	assert_null(client_field(&r, "Access-Control-Allow-Methods"));
}

static void errors_are_one_line_of_text(void **state)
{
	struct response r;

	ask("GET", "/nothing", "", &r);
	assert_string_equal(client_field(&r, "Content-Type"), "text/plain; charset=utf-8");
	ask("GET", "/nothing", "Accept: text/html\r\n", &r);
	assert_string_equal(client_field(&r, "Content-Type"), "text/plain; charset=utf-8");
}

// RFC 9457 3, and the member "error" that some players read.
static void errors_are_problems_for_json(void **state)
{
	struct response r;
	json_t *problem;

	ask("GET", "/nothing", "Accept: text/html\r\nAccept: Application/JSON;q=0.5\r\n", &r);
	assert_int_equal(r.status, 404);
	assert_string_equal(client_field(&r, "Content-Type"), "application/problem+json");
	problem = json_loads(r.body, 0, NULL);
	assert_non_null(problem);
	assert_string_equal(json_string_value(json_object_get(problem, "type")), "about:blank");
	assert_string_equal(json_string_value(json_object_get(problem, "title")), "Not Found");
	assert_int_equal(json_integer_value(json_object_get(problem, "status")), 404);
	assert_string_equal(
		json_string_value(json_object_get(problem, "detail")), "nothing is here");
	assert_string_equal(
		json_string_value(json_object_get(problem, "error")), "nothing is here");
	json_decref(problem);
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
		cmocka_unit_test(statuses),
		cmocka_unit_test(head_follows_get),
		cmocka_unit_test(options_and_preflight),
		cmocka_unit_test(guard_has_its_turn),
		cmocka_unit_test(body_too_large_comes_after_the_guard),
		cmocka_unit_test(own_options_handler),
		cmocka_unit_test(same_origin_route_has_no_preflight),
		cmocka_unit_test(refused_method_says_what_is_allowed),
		cmocka_unit_test(errors_are_one_line_of_text),
		cmocka_unit_test(errors_are_problems_for_json),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
