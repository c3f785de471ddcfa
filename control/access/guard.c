#include "control/access/guard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "control/access/access.h"
#include "control/access/limiter.h"
#include "control/api.h"

#define BEARER	 "Bearer"
#define REALM	 BEARER " realm=\"millrace\""
#define NS_PER_S 1000000000
#define NO_KEY_ADVICE                                                                          \
	"no API key is configured, so the API answers only to this host itself; set [access] " \
	"api_keys_file to a file with a key on each line"

static uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

// ---- refusals ----------------------------------------------------------------------------------

static bool refuse_without_token(struct http_request *req)
{
	static const struct http_header challenge = { "WWW-Authenticate", REALM };

	http_request_refuse(
		req, 401, &challenge, 1, "a token is needed: send Authorization: Bearer with it");
	return false;
}

// Return: whether the verdict lets it pass.
static bool obey(struct http_request *req, enum access_verdict verdict, const char *what)
{
	static const struct http_header invalid = { "WWW-Authenticate",
		REALM ", error=\"invalid_token\"" };
	static const struct http_header scope = { "WWW-Authenticate",
		REALM ", error=\"insufficient_scope\"" };

	if (verdict == ACCESS_OK)
		return true;
	if (verdict == ACCESS_BAD_TOKEN)
		http_request_refuse(
			req, 401, &invalid, 1, "the token is not good here, or not any more");
	else
		http_request_refuse(req, 403, &scope, 1, "the token is not for %s", what);
	return false;
}

static bool within_limit(
	struct http_request *req, struct limiter *limiter, const struct limiter_key *key)
{
	uint64_t wait_ns = limiter_take(limiter, key, monotonic_ns());
	char seconds[24];
	const struct http_header retry = { "Retry-After", seconds };

	if (wait_ns == 0)
		return true;
	snprintf(seconds, sizeof(seconds), "%llu",
		(unsigned long long)((wait_ns + NS_PER_S - 1) / NS_PER_S));
	http_request_refuse(req, 429, &retry, 1, "too many requests; try again in %s s", seconds);
	return false;
}

// ---- what came ---------------------------------------------------------------------------------

enum credentials {
	CREDENTIALS_NONE,
	CREDENTIALS_TOKEN,
	CREDENTIALS_BAD, // another scheme, two fields, longer than any token of ours
};

struct bearer {
	enum credentials kind;
	char *token; // in field
	char field[ACCESS_TOKEN_MAX_CHARS + 64];
};

static void read_bearer(struct http_request *req, struct bearer *b)
{
	size_t n = strlen(BEARER);

	switch (http_request_header_list(req, "Authorization", b->field, sizeof(b->field))) {
	case 0:
		break;
	case -ENOENT:
		b->kind = CREDENTIALS_NONE;
		return;
	default:
		b->kind = CREDENTIALS_BAD;
		return;
	}
	b->kind = CREDENTIALS_BAD;
	if (strncasecmp(b->field, BEARER, n) != 0 || b->field[n] != ' ')
		return;
	b->token = b->field + n + strspn(b->field + n, " ");
	// Two fields were joined with a comma and a blank, which no token has.
	if (*b->token && !strpbrk(b->token, ", \t"))
		b->kind = CREDENTIALS_TOKEN;
}

// ---- whose it is -------------------------------------------------------------------------------

// Whether Host is localhost or a loopback address: any other name may be a foreign page's own,
// pointed at us (DNS rebinding), and any other address is one that a proxy was asked for.
static bool host_is_ours(const char *host)
{
	char name[INET6_ADDRSTRLEN + 2];
	struct net_addr ip;
	size_t n = host[0] == '[' ? strcspn(host, "]") : strcspn(host, ":");

	if (host[0] == '[') {
		host++;
		n--;
	}
	if (n >= sizeof(name))
		return false;
	memcpy(name, host, n);
	name[n] = '\0';
	return strcasecmp(name, "localhost") == 0 ||
	       (net_ip_parse(name, &ip) == 0 && net_ip_is_loopback(&ip));
}

static bool origin_is_host(const char *origin, const char *host)
{
	const char *authority = strstr(origin, "://");

	return authority && strcasecmp(authority + 3, host) == 0;
}

// Whether somebody on this host speaks, and for himself: neither a proxy that passes on what others
// say, nor a browser in which a page of another site does.
static bool is_own(const struct http_request *req)
{
	static const char *const passed_on[] = { "Forwarded", "X-Forwarded-For", "X-Real-IP",
		"Via" };
	const char *host = http_request_header(req, "Host");
	const char *origin = http_request_header(req, "Origin");

	if (!net_ip_is_loopback(http_request_peer(req)) || !host || !host_is_ours(host))
		return false;
	for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++) {
		if (http_request_header(req, passed_on[i]))
			return false;
	}
	return !origin || origin_is_host(origin, host);
}

// ---- the guards --------------------------------------------------------------------------------

static bool guard_api(struct api *api, struct http_request *req)
{
	bool keyless = !access_has_api_keys(api->access);
	struct bearer b;

	// A public prefix says that a proxy stands in front.
	if (keyless && !api->conf->whep.public_prefix[0] && is_own(req))
		return true;
	read_bearer(req, &b);
	if (keyless && (b.kind == CREDENTIALS_NONE || !access_has_jwt(api->access))) {
		http_request_refuse(req, 403, NULL, 0, NO_KEY_ADVICE);
		return false;
	}
	if (b.kind == CREDENTIALS_NONE)
		return refuse_without_token(req);
	if (b.kind == CREDENTIALS_BAD)
		return obey(req, ACCESS_BAD_TOKEN, NULL);
	return obey(req, access_judge_api(api->access, b.token, time(NULL)), "the API");
}

static bool guard_viewer(struct api *api, struct http_request *req, struct limiter *limiter)
{
	bool is_session = http_request_param(req, "resource") != NULL;
	const char *stream = http_request_param(req, "stream");
	struct access_holder holder = { 0 };
	struct limiter_key key = { .kind = LIMITER_HOLDER };
	enum access_verdict verdict;
	struct bearer b;

	// A path without a stream opens nothing: its handler says what is missing.
	if (!access_guards_viewers(api->access) || !stream)
		return true;
	read_bearer(req, &b);
	// Who knows the session's URL is its viewer (A40).
	if (b.kind == CREDENTIALS_NONE && is_session && !api->conf->access.strict_sessions)
		return true;
	if (b.kind == CREDENTIALS_NONE)
		return refuse_without_token(req);
	if (b.kind == CREDENTIALS_BAD)
		return obey(req, ACCESS_BAD_TOKEN, NULL);
	verdict = access_judge_viewer(api->access, b.token, stream, time(NULL), &holder);
	if (!obey(req, verdict, stream))
		return false;
	memcpy(key.bytes, holder.digest, sizeof(key.bytes));
	return !holder.known || within_limit(req, limiter, &key);
}

// What costs nothing and changes nothing is open: GET and HEAD (A30, A31).
static bool guard_whep(struct api *api, struct http_request *req)
{
	enum http_method method = http_request_method(req);
	struct limiter *limiter = method == HTTP_POST ? api->posts : api->changes;
	struct limiter_key key = limiter_key_of(http_request_peer(req));

	if (method == HTTP_GET || method == HTTP_HEAD)
		return true;
	return within_limit(req, limiter, &key) && guard_viewer(api, req, limiter);
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

bool access_guard(void *ctx, const struct http_route *route, struct http_request *req)
{
	if (begins(route->pattern, "/whep") || begins(route->pattern, "/api/v3/whep"))
		return guard_whep(ctx, req);
	if (begins(route->pattern, "/api/"))
		return guard_api(ctx, req);
	return true;
}
