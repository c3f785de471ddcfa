// The HTTP handlers of /api/v3/streams.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/api.h"
#include "control/stream/priv/store.h"

#define STREAMS_PATH "/api/v3/streams/"

// ---- answers -----------------------------------------------------------------------------------

// Answer with a document, whose reference is taken.
static void answer_json(struct http_request *req, unsigned int status, json_t *doc,
	const struct http_header *headers, size_t n_headers)
{
	char *text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;

	json_decref(doc);
	if (!text) {
		http_request_refuse(req, 500, NULL, 0, "out of memory");
		return;
	}
	http_request_answer(req, &(struct http_answer){ .status = status,
					 .content_type = "application/json",
					 .body = text,
					 .body_bytes = strlen(text),
					 .headers = headers,
					 .n_headers = n_headers });
	free(text);
}

static unsigned int status_of(int err)
{
	switch (err) {
	case -EINVAL:
		return 400;
	case -EEXIST:
	case -EBUSY:
	case -EALREADY:
	case -EADDRINUSE:
	case -EADDRNOTAVAIL:
		return 409;
	case -ENOTCONN:
	case -ENOSPC:
	case -ENOBUFS:
	case -ECONNRESET:
	case -ESHUTDOWN:
		return 503;
	case -ETIMEDOUT:
		return 504;
	default:
		return 500;
	}
}

static void refuse(struct http_request *req, int err, const char *line)
{
	static const struct http_header retry = { "Retry-After", "2" };
	unsigned int status = status_of(err);
	bool later = status == 503 || err == -EBUSY;

	http_request_refuse(req, status, &retry, later ? 1 : 0, "%s", line);
}

// What a worker or the link said after a command was sent; a body cannot be at fault then.
static void refuse_late(struct http_request *req, int err)
{
	char line[STREAM_ERROR_MAX];

	if (err == -ETIMEDOUT)
		snprintf(line, sizeof(line), "a worker of the data plane did not confirm in time");
	else if (err == -ECONNRESET)
		snprintf(line, sizeof(line), "the data plane left meanwhile; try again");
	else if (err == -ESHUTDOWN)
		snprintf(line, sizeof(line), "the server is stopping");
	else
		snprintf(line, sizeof(line), "a worker of the data plane refused: %s",
			strerror(-err));
	refuse(req, err == -EINVAL ? -EIO : err, line);
}

// Return: the stream that the path names; NULL it has been answered with 404.
static struct stream *find_or_refuse(struct api *api, struct http_request *req)
{
	const char *id = http_request_param(req, "id");
	struct stream *s = stream_find(api->streams, id ? id : "");

	if (!s)
		http_request_refuse(req, 404, NULL, 0,
			"no stream %s; create it with PUT " STREAMS_PATH "%s", id ? id : "",
			id ? id : "");
	return s;
}

// ---- GET ---------------------------------------------------------------------------------------

void stream_api_list(void *ctx, struct http_request *req)
{
	struct api *api = ctx;
	json_t *list = json_array();
	int rc = list ? 0 : -ENOMEM;

	for (struct stream *s = stream_first(api->streams); s && rc == 0; s = s->next) {
		if (!s->leaving)
			rc = json_array_append_new(list, stream_describe(s));
	}
	if (rc) {
		json_decref(list);
		list = NULL;
	}
	answer_json(req, 200, list ? json_pack("{s:o}", "streams", list) : NULL, NULL, 0);
}

void stream_api_get(void *ctx, struct http_request *req)
{
	struct stream *s = find_or_refuse(ctx, req);

	if (s)
		answer_json(req, 200, stream_describe(s), NULL, 0);
}

struct peer_list {
	json_t *peers;
	bool failed; // no memory
};

static void add_peer(void *arg, const struct session *session)
{
	struct peer_list *list = arg;

	if (json_array_append_new(list->peers, session_describe(session)) < 0)
		list->failed = true;
}

void stream_api_peers(void *ctx, struct http_request *req)
{
	struct api *api = ctx;
	struct stream *s = find_or_refuse(api, req);
	struct peer_list list = { .peers = s ? json_array() : NULL };

	if (!s)
		return;
	if (list.peers)
		session_visit(api->sessions, s, add_peer, &list);
	if (list.failed) {
		json_decref(list.peers);
		list.peers = NULL;
	}
	answer_json(req, 200, list.peers ? json_pack("{s:o}", "peers", list.peers) : NULL, NULL, 0);
}

void stream_api_peer(void *ctx, struct http_request *req)
{
	struct api *api = ctx;
	const char *resource = http_request_param(req, "resource");
	struct stream *s = find_or_refuse(api, req);
	const struct session *session;

	if (!s)
		return;
	session = session_find(api->sessions, resource ? resource : "");
	if (!session || session_stream(session) != s) {
		http_request_refuse(req, 404, NULL, 0, "no such viewer of stream %s", s->id);
		return;
	}
	answer_json(req, 200, session_describe(session), NULL, 0);
}

// ---- PUT ---------------------------------------------------------------------------------------

// A request that waits for the workers; freed with its answer.
struct waiting {
	struct http_request *req;
	bool existed;
};

static void on_set(void *arg, struct stream *s, int status)
{
	struct waiting *w = arg;
	struct http_request *req = w->req;
	bool existed = w->existed;
	char location[sizeof(STREAMS_PATH) + REGION_STREAM_ID_MAX];
	const struct http_header header = { "Location", location };

	free(w);
	if (status || !s) {
		refuse_late(req, status ? status : -EIO);
		return;
	}
	snprintf(location, sizeof(location), STREAMS_PATH "%s", s->id);
	answer_json(req, existed ? 200 : 201, stream_describe(s), &header, existed ? 0 : 1);
}

static bool type_accepted(const struct http_request *req)
{
	return !http_request_header(req, "Content-Type") ||
	       http_request_has_type(req, "application/json");
}

static void set_from_body(struct api *api, struct http_request *req, const struct stream_want *want)
{
	const char *id = http_request_param(req, "id");
	struct waiting *w = calloc(1, sizeof(*w));
	char error[STREAM_ERROR_MAX];
	int rc;

	if (!w) {
		http_request_refuse(req, 500, NULL, 0, "out of memory");
		return;
	}
	w->req = req;
	rc = stream_set(api->streams, id ? id : "", want, on_set, w, &w->existed, error);
	if (rc == 0)
		return;
	free(w);
	refuse(req, rc, error);
}

void stream_api_put(void *ctx, struct http_request *req)
{
	struct api *api = ctx;
	struct stream_want want;
	char error[STREAM_ERROR_MAX];
	size_t body_bytes;
	const char *body = http_request_body(req, &body_bytes);
	int rc;

	if (http_request_is_too_large(req)) {
		http_request_refuse_body(req);
		return;
	}
	if (!type_accepted(req)) {
		http_request_refuse(req, 415, NULL, 0,
			"Content-Type: expected application/json, found %.80s",
			http_request_header(req, "Content-Type"));
		return;
	}
	rc = stream_want_parse(api->conf, body, body_bytes, &want, error);
	if (rc < 0)
		refuse(req, rc, error);
	else
		set_from_body(api, req, &want);
}

// ---- which source ------------------------------------------------------------------------------

static void pick_source(struct api *api, struct http_request *req, struct stream *s)
{
	size_t body_bytes;
	const char *body = http_request_body(req, &body_bytes);
	json_t *root = json_loadb(body ? body : "", body_bytes, JSON_REJECT_DUPLICATES, NULL);
	const char *text = json_string_value(json_object_get(root, "source"));
	struct stream_want want = s->want;
	bool known = false;

	for (int i = 0; text && json_object_size(root) == 1 && i <= REGION_PICK_BACKUP; i++) {
		if (strcmp(text, stream_pick_name(i)) != 0)
			continue;
		want.pick = (enum region_pick)i;
		known = true;
	}
	json_decref(root);
	want.pick_kept = false;
	if (!known)
		refuse(req, -EINVAL,
			"body: expected {\"source\": \"auto\"}, \"primary\" or \"backup\"");
	else if (!want.backup.present)
		refuse(req, -EEXIST, "the stream has no backup");
	else
		set_from_body(api, req, &want);
}

void stream_api_pick(void *ctx, struct http_request *req)
{
	struct stream *s = find_or_refuse(ctx, req);

	if (!s)
		return;
	if (http_request_is_too_large(req))
		http_request_refuse_body(req);
	else if (!type_accepted(req))
		http_request_refuse(req, 415, NULL, 0, "Content-Type: expected application/json");
	else
		pick_source(ctx, req, s);
}

// ---- DELETE ------------------------------------------------------------------------------------

static void on_removed(void *arg, struct stream *s, int status)
{
	struct http_request *req = arg;

	if (status)
		refuse_late(req, status);
	else
		http_request_answer(req, &(struct http_answer){ .status = 204 });
}

void stream_api_delete(void *ctx, struct http_request *req)
{
	struct api *api = ctx;
	struct stream *s = find_or_refuse(api, req);
	int rc;

	if (!s)
		return;
	stream_leave(s);
	session_end_stream(api->sessions, s, SESSION_END_STREAM_GONE);
	rc = stream_remove(s, on_removed, req);
	if (rc < 0)
		refuse(req, rc, "the stream is being removed");
}
