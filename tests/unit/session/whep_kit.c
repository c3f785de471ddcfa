#include "tests/unit/session/whep_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/routes.h"

static void set_up_candidates(struct api *api)
{
	assert_int_equal(net_ip_parse("198.18.77.1", &api->candidates[0]), 0);
	assert_int_equal(net_ip_parse("fd77::1", &api->candidates[1]), 0);
	api->candidates[0].port_be = api->candidates[1].port_be = htons(8189);
	api->n_candidates = 2;
}

// As they come: everybody may watch, this host may use the API, and nobody comes too often.
static void set_up_access(struct api *api)
{
	char fault[SECRET_FAULT_MAX];

	assert_int_equal(access_create(api->conf, &api->access, fault), 0);
	assert_int_equal(limiter_create(0, 0, &api->posts), 0);
	assert_int_equal(limiter_create(0, 0, &api->changes), 0);
}

int house_setup(void **state)
{
	struct http_server_conf conf = client_conf();
	struct house *h = calloc(1, sizeof(*h));
	void *stage;

	assert_non_null(h);
	stage_setup(&stage);
	h->stage = stage;
	h->api = (struct api){ .conf = &h->stage->conf,
		.streams = h->stage->streams,
		.sessions = h->stage->sessions,
		.dtls = h->stage->dtls,
		.link = h->stage->link };
	set_up_candidates(&h->api);
	set_up_access(&h->api);
	conf.max_body_bytes = OFFER_MAX_BYTES;
	h->http = client_server(&conf);
	*state = h;
	return 0;
}

// The server last: what is torn down before answers its requests.
int house_teardown(void **state)
{
	struct house *h = *state;
	void *stage = h->stage;

	stage_teardown(&stage);
	http_server_stop(h->http);
	access_destroy(h->api.access);
	limiter_destroy(h->api.posts);
	limiter_destroy(h->api.changes);
	free(h);
	return 0;
}

void house_lose_link(struct house *h)
{
	h->api.link = NULL;
	stage_detach(h->stage);
}

// ---- offers ------------------------------------------------------------------------------------

const char *offer_read(const char *name)
{
	static char text[OFFER_MAX_BYTES];
	char path[512];
	size_t bytes;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s.sdp", OFFERS_DIR, name);
	file = fopen(path, "rb");
	assert_non_null(file);
	bytes = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[bytes] = '\0';
	return text;
}

const char *offer_change(const char *name, const char *what, const char *with)
{
	static char text[OFFER_MAX_BYTES];
	const char *at = offer_read(name), *hit;
	size_t used = 0;

	assert_non_null(strstr(at, what));
	while ((hit = strstr(at, what))) {
		used += (size_t)snprintf(
			text + used, sizeof(text) - used, "%.*s%s", (int)(hit - at), at, with);
		at = hit + strlen(what);
	}
	snprintf(text + used, sizeof(text) - used, "%s", at);
	return text;
}

// ---- requests ----------------------------------------------------------------------------------

int house_send(struct house *h, const char *method, const char *path, const char *headers,
	const char *body)
{
	static char text[OFFER_MAX_BYTES + 4096];
	int fd = client_connect(h->http);

	snprintf(text, sizeof(text),
		"%s %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %zu\r\n\r\n%s", method,
		path, headers, strlen(body), body);
	client_send(fd, text);
	routes_dispatch(&h->api, client_take(h->http));
	return fd;
}

int house_read(struct house *h, int fd)
{
	client_read(fd, true, &h->last);
	close(fd);
	return h->last.status;
}

int house_ask(struct house *h, const char *method, const char *path, const char *headers,
	const char *body)
{
	int fd = house_send(h, method, path, headers, body);

	stage_pump(h->stage);
	return house_read(h, fd);
}

int house_post(struct house *h, const char *path, const char *offer)
{
	return house_ask(h, "POST", path, "Content-Type: " TYPE_SDP "\r\n", offer);
}

int house_patch(struct house *h, const char *path, const char *headers, const char *fragment)
{
	char lines[512];

	snprintf(lines, sizeof(lines), "Content-Type: " TYPE_FRAGMENT "\r\n%s", headers);
	return house_ask(h, "PATCH", path, lines, fragment);
}

const char *house_field(struct house *h, const char *name)
{
	return client_field(&h->last, name);
}

void house_expect_field(struct house *h, const char *name, const char *value)
{
	const char *got = house_field(h, name);

	if (!value)
		assert_null(got);
	else if (!got)
		fail_msg("the answer has no %s", name);
	else
		assert_string_equal(got, value);
}

void house_enter(struct house *h, char location[HTTP_PATH_MAX_BYTES])
{
	assert_int_equal(house_post(h, "/whep/cam", offer_read("chromium-av")), 201);
	assert_non_null(house_field(h, "Location"));
	snprintf(location, HTTP_PATH_MAX_BYTES, "%s", house_field(h, "Location"));
}
