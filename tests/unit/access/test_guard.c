// The guard, through a real server: which request needs what, and how it is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/access/guard.h"
#include "control/api.h"
#include "tests/unit/access/access_kit.h"
#include "tests/unit/http/client.h"

#define N(rows)	  (sizeof(rows) / sizeof((rows)[0]))
#define BEARER	  "Authorization: Bearer "
#define API	  BEARER "api-0123456789abcdef\r\n"
#define VIEWER	  BEARER "viewer-0123456789abcdef\r\n"
#define LIVE_ONLY BEARER "live-0123456789abcdef\r\n"
#define UNKNOWN	  BEARER "nobody-0123456789abcdef\r\n"
#define POST_LIVE "POST /whep/live"
#define END_LIVE  "DELETE /whep/live/abc"

static struct http_server *server;
static struct api api;

static void served(void *ctx, struct http_request *req)
{
	http_request_answer(req, &(struct http_answer){ .status = 204 });
}

#define ALL                                                                     \
	{                                                                       \
		[HTTP_GET] = served, [HTTP_POST] = served, [HTTP_PUT] = served, \
		[HTTP_PATCH] = served, [HTTP_DELETE] = served                   \
	}

static const struct http_route routes[] = {
	{ .pattern = "/whep/{stream}", .on = ALL },
	{ .pattern = "/whep/{stream}/{resource}", .on = ALL },
	{ .pattern = "/api/v3/whep/{stream}", .on = ALL },
	{ .pattern = "/api/v3/whep/{stream}/{resource}", .on = ALL },
	{ .pattern = "/api/v3/streams", .on = ALL },
	{ .pattern = "/api/v3/not/made/yet", .on = ALL },
	{ .pattern = "/watch/{stream}", .on = ALL },
};

// line: method and path; fields: each with its CRLF.
static void ask(const char *line, const char *host, const char *fields, struct response *out)
{
	static char text[16 * 1024];
	int fd = client_connect(server);

	snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: %s\r\n%s\r\n", line, host, fields);
	client_send(fd, text);
	http_router_dispatch(routes, N(routes), access_guard, &api, client_take(server));
	client_read(fd, true, out);
	close(fd);
}

static void configure(struct conf *conf, uint32_t posts, uint32_t changes)
{
	char fault[SECRET_FAULT_MAX];

	access_destroy(api.access);
	limiter_destroy(api.posts);
	limiter_destroy(api.changes);
	api.conf = conf;
	assert_int_equal(access_create(conf, &api.access, fault), 0);
	assert_int_equal(limiter_create(posts ? 1 : 0, posts, &api.posts), 0);
	assert_int_equal(limiter_create(changes ? 1 : 0, changes, &api.changes), 0);
}

struct row {
	const char *line, *fields;
	int status;
	const char *challenge; // in WWW-Authenticate; NULL: no such field
};

static void expect_all(const struct row *rows, size_t n)
{
	struct response r;

	for (size_t i = 0; i < n; i++) {
		const char *challenge;

		ask(rows[i].line, "127.0.0.1:8080", rows[i].fields, &r);
		challenge = client_field(&r, "WWW-Authenticate");
		if (r.status != rows[i].status || !challenge != !rows[i].challenge ||
			(challenge && strcmp(challenge, rows[i].challenge) != 0))
			fail_msg("row %zu, %s: %d, %s", i, rows[i].line, r.status,
				challenge ? challenge : "no challenge");
		assert_string_equal(client_field(&r, "Access-Control-Allow-Origin"), "*");
	}
}

#define ASKED	"Bearer realm=\"millrace\""
#define INVALID ASKED ", error=\"invalid_token\""
#define SCOPE	ASKED ", error=\"insufficient_scope\""

static void nothing_configured(void **state)
{
	static const struct row rows[] = {
		{ "GET /api/v3/streams", "", 204, NULL },
		{ "PUT /api/v3/streams", "", 204, NULL },
		{ "GET /api/v3/streams", UNKNOWN, 204, NULL },
		{ "GET /api/v3/streams", "Origin: http://127.0.0.1:8080\r\n", 204, NULL },
		// A proxy on this host, and a page of another site in a browser on this host.
		{ "GET /api/v3/streams", "X-Forwarded-For: 192.0.2.1\r\n", 403, NULL },
		{ "GET /api/v3/streams", "Forwarded: for=192.0.2.1\r\n", 403, NULL },
		{ "GET /api/v3/streams", "X-Real-IP: 192.0.2.1\r\n", 403, NULL },
		{ "GET /api/v3/streams", "Via: 1.1 x\r\n", 403, NULL },
		{ "GET /api/v3/streams", "Via: 1.1 x\r\n" UNKNOWN, 403, NULL },
		{ "GET /api/v3/streams", "Origin: http://evil.example\r\n", 403, NULL },
		{ "GET /api/v3/streams", "Origin: null\r\n", 403, NULL },
		{ "GET /api/v3/not/made/yet", "Via: 1.1 x\r\n", 403, NULL },
		{ POST_LIVE, "", 204, NULL },
		{ POST_LIVE, UNKNOWN, 204, NULL },
		{ END_LIVE, "Authorization: what is this\r\n", 204, NULL },
		{ "GET /watch/live", "Via: 1.1 x\r\n", 204, NULL },
	};
	static const struct {
		const char *host;
		int status;
	} hosts[] = { { "localhost", 204 }, { "LOCALHOST:80", 204 }, { "[::1]:8080", 204 },
		{ "127.0.0.1", 204 }, { "evil.example:8080", 403 },
		{ "localhost.evil.example", 403 }, { "127.0.0.1.evil.example", 403 }, { "", 403 },
		{ "[", 403 }, { ":", 403 }, { "198.18.77.1:8080", 403 }, { "[fd77::1]", 403 } };
	struct response r;

	configure(kit_conf(), 0, 0);
	expect_all(rows, N(rows));
	for (size_t i = 0; i < N(hosts); i++) {
		ask("GET /api/v3/streams", hosts[i].host, "", &r);
		if (r.status != hosts[i].status)
			fail_msg("Host %s: %d", hosts[i].host, r.status);
	}
	ask("GET /api/v3/streams", "x", "", &r);
	assert_non_null(strstr(r.body, "api_keys_file"));
	strcpy(kit_conf()->whep.public_prefix, "/edge1");
	ask("GET /api/v3/streams", "localhost", "", &r);
	assert_int_equal(r.status, 403);
	kit_conf()->whep.public_prefix[0] = 0;
}

static void keys_configured(void **state)
{
	static const struct row rows[] = {
		{ "GET /api/v3/streams", "", 401, ASKED },
		{ "GET /api/v3/streams", API, 204, NULL },
		{ "GET /api/v3/streams", "authorization: bearer  api-0123456789abcdef\r\n", 204,
			NULL },
		{ "GET /api/v3/streams", VIEWER, 403, SCOPE },
		{ "GET /api/v3/streams", UNKNOWN, 401, INVALID },
		{ "GET /api/v3/streams", API UNKNOWN, 401, INVALID },
		{ "GET /api/v3/streams", API API, 401, INVALID },
		{ "GET /api/v3/streams", "Authorization: Basic YTpi\r\n", 401, INVALID },
		{ "GET /api/v3/streams", "Authorization: Bearer\r\n", 401, INVALID },
		{ "GET /api/v3/streams", "Authorization: Bearerapi-0123456789abcdef\r\n", 401,
			INVALID },
		{ "GET /api/v3/streams", "Authorization: api-0123456789abcdef\r\n", 401, INVALID },
		{ "OPTIONS /api/v3/streams", "", 204, NULL },
		{ "PATCH /watch/live", "", 204, NULL },
		{ POST_LIVE, "", 401, ASKED },
		{ POST_LIVE, UNKNOWN, 401, INVALID },
		{ POST_LIVE, VIEWER, 204, NULL },
		{ POST_LIVE, API, 204, NULL },
		{ POST_LIVE, LIVE_ONLY, 204, NULL },
		{ "POST /whep/other", LIVE_ONLY, 403, SCOPE },
		{ "POST /api/v3/whep/live", "", 401, ASKED },
		{ "POST /api/v3/whep/other", LIVE_ONLY, 403, SCOPE },
		{ "POST /api/v3/whep/other", VIEWER, 204, NULL },
		{ "OPTIONS /whep/live", "", 204, NULL },
		{ "OPTIONS /whep/live/abc", UNKNOWN, 204, NULL },
		{ "GET /whep/live", "", 204, NULL },
		{ "TRACE /whep/live", "", 405, NULL },
		// The session's URL is enough, but what is said must be right (A40).
		{ END_LIVE, "", 204, NULL },
		{ "PATCH /whep/live/abc", "", 204, NULL },
		{ END_LIVE, UNKNOWN, 401, INVALID },
		{ END_LIVE, "Authorization: Basic YTpi\r\n", 401, INVALID },
		{ END_LIVE, LIVE_ONLY, 204, NULL },
		{ "PATCH /api/v3/whep/other/abc", LIVE_ONLY, 403, SCOPE },
	};
	static const struct row strict[] = {
		{ END_LIVE, "", 401, ASKED },
		{ "PATCH /api/v3/whep/live/abc", "", 401, ASKED },
		{ END_LIVE, LIVE_ONLY, 204, NULL },
		{ "OPTIONS /whep/live/abc", "", 204, NULL },
	};
	static char longest[ACCESS_TOKEN_MAX_CHARS * 2 + 64];
	const struct row too_long[] = { { POST_LIVE, longest, 401, INVALID } };
	struct conf *conf = kit_conf();
	size_t n = (size_t)sprintf(longest, BEARER);

	strcpy(conf->access.api_keys_file, kit_text("api", 0600, "api-0123456789abcdef\n"));
	strcpy(conf->access.viewer_keys_file,
		kit_text("viewers", 0600, "viewer-0123456789abcdef\nlive-0123456789abcdef live\n"));
	configure(conf, 0, 0);
	expect_all(rows, N(rows));
	memset(longest + n, 'a', ACCESS_TOKEN_MAX_CHARS * 2);
	strcpy(longest + n + ACCESS_TOKEN_MAX_CHARS * 2, "\r\n");
	expect_all(too_long, 1);
	conf->access.strict_sessions = true;
	expect_all(strict, N(strict));
}

// What other addresses took in this holder's name.
static void take_holder(const char *name, unsigned int n)
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	struct limiter_key key = { .kind = LIMITER_HOLDER };
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	SHA256((const unsigned char *)name, strlen(name), digest);
	memcpy(key.bytes, digest, sizeof(key.bytes));
	while (n--)
		limiter_take(
			api.posts, &key, (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec);
}

// Only a JWT key: it opens the API from afar, and this host needs none.
static void jwt_configured(void **state)
{
	static char token[KIT_TOKEN_BYTES], good[KIT_TOKEN_BYTES + 64],
		viewer[KIT_TOKEN_BYTES + 64], proxied[KIT_TOKEN_BYTES + 64];
	const struct row rows[] = {
		{ "GET /api/v3/streams", "", 204, NULL },
		{ "GET /api/v3/streams", "Via: x\r\n", 403, NULL },
		{ "GET /api/v3/streams", "Via: x\r\n" UNKNOWN, 401, INVALID },
		{ "GET /api/v3/streams", good, 204, NULL },
		{ "GET /api/v3/streams", proxied, 403, SCOPE },
		{ POST_LIVE, "", 401, ASKED },
		{ POST_LIVE, viewer, 204, NULL },
		{ "POST /whep/other", viewer, 403, SCOPE },
	};
	struct conf *conf = kit_conf();

	strcpy(conf->access.jwt_key_file, kit_text("jwt", 0600, KIT_SECRET));
	kit_hmac("{\"alg\":\"HS256\"}", "{\"scope\":\"millrace-api\"}", KIT_SECRET, 32, token);
	snprintf(good, sizeof(good), "Via: x\r\n" BEARER "%s\r\n", token);
	kit_hmac("{\"alg\":\"HS256\"}", "{\"stream\":\"live\",\"sub\":\"ann\"}", KIT_SECRET, 32,
		token);
	snprintf(viewer, sizeof(viewer), BEARER "%s\r\n", token);
	snprintf(proxied, sizeof(proxied), "Via: x\r\n" BEARER "%s\r\n", token);
	configure(conf, 0, 0);
	expect_all(rows, N(rows));
	// One holder at ten addresses is one holder: its bucket is beside the address's, and empty.
	configure(conf, 3, 0);
	take_holder("ann", 3);
	expect_all(&(struct row){ POST_LIVE, viewer, 429, NULL }, 1);
}

static void limits(void **state)
{
	struct response r;

	configure(kit_conf(), 3, 5);
	for (unsigned int i = 0; i < 3; i++) {
		ask(POST_LIVE, "x", "", &r);
		assert_int_equal(r.status, 204);
	}
	ask("POST /api/v3/whep/other", "x", "", &r);
	assert_int_equal(r.status, 429);
	assert_string_equal(client_field(&r, "Retry-After"), "1");
	assert_string_equal(client_field(&r, "Access-Control-Allow-Origin"), "*");
	for (unsigned int i = 0; i < 5; i++) {
		ask(i % 2 ? END_LIVE : "PATCH /whep/live/abc", "x", "", &r);
		assert_int_equal(r.status, 204);
	}
	ask(END_LIVE, "x", "", &r);
	assert_int_equal(r.status, 429);
	// Nothing else is counted.
	for (unsigned int i = 0; i < 10; i++) {
		ask(i % 2 ? "OPTIONS /whep/live" : "GET /whep/live", "x", "", &r);
		assert_int_equal(r.status, 204);
		ask("PUT /api/v3/streams", "127.0.0.1", "", &r);
		assert_int_equal(r.status, 204);
	}
}

static int start(void **state)
{
	struct http_server_conf conf = client_conf();

	server = client_server(&conf);
	return kit_start(state);
}

static int stop(void **state)
{
	http_server_stop(server);
	access_destroy(api.access);
	limiter_destroy(api.posts);
	limiter_destroy(api.changes);
	return kit_stop(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_configured),
		cmocka_unit_test(keys_configured),
		cmocka_unit_test(jwt_configured),
		cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
