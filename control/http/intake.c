// Reading a request to its end, on libmicrohttpd's thread.
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "control/http/priv/request.h"

enum {
	BODY_FIRST_BYTES = 4096,
	// A body above the limit is read and forgotten up to this many times the limit, so that the
	// client gets to see its answer, which need not be 413; then the connection is closed.
	DISCARD_FACTOR = 4,
};

// The router needs the path as it was sent: decoding first would hide an escaped slash or NUL.
size_t http_on_unescape(void *srv, struct MHD_Connection *mhd, char *text)
{
	return strlen(text);
}

void http_on_connection(void *arg, struct MHD_Connection *mhd, void **slot,
	enum MHD_ConnectionNotificationCode code)
{
	struct http_server *srv = arg;
	struct http_conn *conn = *slot;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		conn = calloc(1, sizeof(*conn));
		*slot = conn;
		if (!conn)
			return; // its first request is turned away
		conn->fd =
			MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
		conn->since_ms = http_now_ms();
		pthread_mutex_lock(&srv->lock);
		TAILQ_INSERT_TAIL(&srv->conns, conn, link);
		pthread_mutex_unlock(&srv->lock);
	} else if (conn) {
		// The socket is closed only after this, so whoever holds the lock may use it.
		pthread_mutex_lock(&srv->lock);
		TAILQ_REMOVE(&srv->conns, conn, link);
		pthread_mutex_unlock(&srv->lock);
		free(conn);
		*slot = NULL;
	}
}

static enum http_method parse_method(const char *name)
{
	static const struct {
		const char *name;
		enum http_method method;
	} methods[] = {
		{ "GET", HTTP_GET },
		{ "HEAD", HTTP_HEAD },
		{ "POST", HTTP_POST },
		{ "PUT", HTTP_PUT },
		{ "PATCH", HTTP_PATCH },
		{ "DELETE", HTTP_DELETE },
		{ "OPTIONS", HTTP_OPTIONS },
	};

	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
		if (strcmp(methods[i].name, name) == 0)
			return methods[i].method;
	}
	return HTTP_OTHER;
}

static void read_peer(struct MHD_Connection *mhd, struct net_addr *out)
{
	const struct sockaddr *sa =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;

	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)sa;

		out->family = NET_IPV4;
		out->port_be = in->sin_port;
		memcpy(out->ip, &in->sin_addr, 4);
	} else if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)sa;
		bool mapped = IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);

		out->family = mapped ? NET_IPV4 : NET_IPV6;
		out->port_be = in6->sin6_port;
		memcpy(out->ip, in6->sin6_addr.s6_addr + (mapped ? 12 : 0), mapped ? 4 : 16);
	}
}

// What the fields say about the request's shape.
struct framing {
	unsigned int n_hosts;
	unsigned int n_lengths;
	unsigned int n_encodings;
	bool malformed;
	bool chunked;
	uint64_t length;
};

static enum MHD_Result read_framing(
	void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct framing *f = arg;
	char *end;

	// A blank before the colon hides a field from one reader and not from another.
	f->malformed |= strpbrk(name, " \t") != NULL;
	if (strcasecmp(name, MHD_HTTP_HEADER_HOST) == 0)
		f->n_hosts++;
	if (strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
		f->n_encodings++;
		f->chunked = value && strcasecmp(value, "chunked") == 0;
	}
	if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) != 0)
		return MHD_YES;
	f->n_lengths++;
	if (!value || !isdigit((unsigned char)value[0])) {
		f->malformed = true;
		return MHD_YES;
	}
	// A number past 2^64 becomes the largest, which is above every limit.
	f->length = strtoull(value, &end, 10);
	f->malformed |= *end != '\0';
	return MHD_YES;
}

// Whether a body of this length is not worth reading, even to forget it: its client waits for our
// word, or it is longer than that.
static bool is_hopeless(const struct http_request *req, uint64_t length)
{
	size_t limit = req->srv->max_body_bytes;

	return length > limit && (http_request_header(req, MHD_HTTP_HEADER_EXPECT) ||
					 length > (uint64_t)limit * DISCARD_FACTOR);
}

// Judge what is known before the body (RFC 9112 3.2: one Host; 6.3: two framings at once are an
// attack).
// Return: 0 read on; else the status to refuse with, and why.
static unsigned int judge_fields(
	const struct http_request *req, const char *version, const char **why)
{
	struct framing f = { 0 };

	MHD_get_connection_values(req->mhd, MHD_HEADER_KIND, read_framing, &f);
	if (f.n_hosts > 1 || (!f.n_hosts && strcmp(version, MHD_HTTP_VERSION_1_1) == 0)) {
		*why = "one Host field was expected";
		return MHD_HTTP_BAD_REQUEST;
	}
	if (f.malformed || f.n_lengths + f.n_encodings > 1) {
		*why = "well-formed fields, with one framing of the body, were expected";
		return MHD_HTTP_BAD_REQUEST;
	}
	if (f.n_encodings && !f.chunked) {
		*why = "no transfer coding but chunked is known here";
		return MHD_HTTP_NOT_IMPLEMENTED;
	}
	if (strlen(req->path) > HTTP_PATH_MAX_BYTES) {
		*why = "the path is too long";
		return MHD_HTTP_URI_TOO_LONG;
	}
	if (is_hopeless(req, f.length)) {
		*why = "the body is larger than this server takes";
		return MHD_HTTP_CONTENT_TOO_LARGE;
	}
	return 0;
}

static enum MHD_Result send_response(struct http_request *req)
{
	enum MHD_Result sent;

	if (!req->response)
		return MHD_NO;
	sent = MHD_queue_response(req->mhd, req->status, req->response);
	MHD_destroy_response(req->response);
	req->response = NULL;
	return sent;
}

const unsigned int http_refusals[HTTP_N_REFUSALS] = {
	MHD_HTTP_BAD_REQUEST,
	MHD_HTTP_CONTENT_TOO_LARGE,
	MHD_HTTP_URI_TOO_LONG,
	MHD_HTTP_NOT_IMPLEMENTED,
};

static void count_refusal(struct http_server *srv, unsigned int status)
{
	for (unsigned int i = 0; i < HTTP_N_REFUSALS; i++) {
		if (http_refusals[i] == status)
			atomic_fetch_add_explicit(&srv->refused[i], 1, memory_order_relaxed);
	}
}

// Answer without the core thread. Where the next request would begin is not known then, so the
// connection ends.
static enum MHD_Result refuse(struct http_request *req, unsigned int status, const char *why)
{
	static const struct http_header last = { "Connection", "close" };

	count_refusal(req->srv, status);
	req->stage = HTTP_ANSWERED;
	req->status = status;
	req->response = http_response_error(req, status, &last, 1, why);
	return send_response(req);
}

static enum MHD_Result begin_request(struct http_server *srv, struct MHD_Connection *mhd,
	const char *path, const char *method, const char *version, void **slot)
{
	struct http_conn *conn =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
	struct http_request *req = conn ? calloc(1, sizeof(*req)) : NULL;
	unsigned int status;
	const char *why;

	if (!req)
		return MHD_NO;
	req->srv = srv;
	req->conn = conn;
	req->mhd = mhd;
	req->method = parse_method(method);
	req->method_name = method;
	req->path = path;
	read_peer(mhd, &req->peer);
	*slot = req;
	pthread_mutex_lock(&srv->lock);
	srv->n_requests++;
	pthread_mutex_unlock(&srv->lock);
	status = judge_fields(req, version, &why);
	return status ? refuse(req, status, why) : MHD_YES;
}

// Return: 0; -ENOMEM.
static int reserve_body(struct http_request *req, size_t bytes)
{
	size_t cap = req->body_cap ? req->body_cap : BODY_FIRST_BYTES;
	char *body;

	// Grows with what has come, never by what was announced.
	while (cap < bytes + 1)
		cap *= 2;
	if (cap == req->body_cap)
		return 0;
	body = realloc(req->body, cap);
	if (!body)
		return -ENOMEM;
	req->body = body;
	req->body_cap = cap;
	return 0;
}

static enum MHD_Result read_body(struct http_request *req, const char *data, size_t bytes)
{
	size_t limit = req->srv->max_body_bytes;

	if (req->discarded_bytes || req->body_bytes + bytes > limit) {
		// What is not whole is nobody's.
		req->discarded_bytes += req->body_bytes + bytes;
		req->body_bytes = 0;
		if (req->body)
			req->body[0] = '\0';
		return req->discarded_bytes > (uint64_t)limit * DISCARD_FACTOR ? MHD_NO : MHD_YES;
	}
	if (reserve_body(req, req->body_bytes + bytes))
		return MHD_NO;
	memcpy(req->body + req->body_bytes, data, bytes);
	req->body_bytes += bytes;
	req->body[req->body_bytes] = '\0';
	return MHD_YES;
}

enum MHD_Result http_on_access(void *arg, struct MHD_Connection *mhd, const char *url,
	const char *method, const char *version, const char *upload, size_t *upload_bytes,
	void **slot)
{
	struct http_request *req = *slot;
	enum MHD_Result result = MHD_YES;

	if (!req)
		return begin_request(arg, mhd, url, method, version, slot);
	if (*upload_bytes) {
		result = read_body(req, upload, *upload_bytes);
		*upload_bytes = 0;
		return result;
	}
	// Called again once the connection is resumed.
	if (req->stage == HTTP_ANSWERED)
		return send_response(req);
	http_server_queue(req->srv, req);
	return MHD_YES;
}

void http_on_completed(
	void *arg, struct MHD_Connection *mhd, void **slot, enum MHD_RequestTerminationCode code)
{
	struct http_server *srv = arg;
	struct http_request *req = *slot;

	if (!req)
		return;
	*slot = NULL;
	pthread_mutex_lock(&srv->lock);
	req->conn->since_ms = http_now_ms();
	if (--srv->n_requests == 0)
		pthread_cond_signal(&srv->idle);
	pthread_mutex_unlock(&srv->lock);
	if (req->response)
		MHD_destroy_response(req->response);
	free(req->body);
	free(req);
}
