// What handlers may ask of a request.
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "control/http/priv/request.h"

enum http_method http_request_method(const struct http_request *req)
{
	return req->method;
}

const char *http_request_method_name(const struct http_request *req)
{
	return req->method_name;
}

const char *http_request_path(const struct http_request *req)
{
	return req->path;
}

const char *http_request_header(const struct http_request *req, const char *name)
{
	return MHD_lookup_connection_value(req->mhd, MHD_HEADER_KIND, name);
}

struct joined {
	const char *name;
	char *out;
	size_t cap;
	size_t used;
	unsigned int n_fields;
	bool full;
};

static enum MHD_Result join_field(
	void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct joined *j = arg;
	const char *separator = j->n_fields ? ", " : "";
	size_t n_value = value ? strlen(value) : 0;
	size_t n_separator = strlen(separator);

	if (strcasecmp(name, j->name) != 0)
		return MHD_YES;
	if (j->used + n_separator + n_value + 1 > j->cap) {
		j->full = true;
		return MHD_NO;
	}
	memcpy(j->out + j->used, separator, n_separator);
	if (n_value)
		memcpy(j->out + j->used + n_separator, value, n_value);
	j->used += n_separator + n_value;
	j->out[j->used] = '\0';
	j->n_fields++;
	return MHD_YES;
}

int http_request_header_list(
	const struct http_request *req, const char *name, char *out, size_t out_cap)
{
	struct joined j = { .name = name, .out = out, .cap = out_cap };

	MHD_get_connection_values(req->mhd, MHD_HEADER_KIND, join_field, &j);
	if (j.full)
		return -ENOBUFS;
	return j.n_fields ? 0 : -ENOENT;
}

bool http_request_has_type(const struct http_request *req, const char *media_type)
{
	const char *type = http_request_header(req, MHD_HTTP_HEADER_CONTENT_TYPE);
	size_t n = strlen(media_type);

	if (!type || strncasecmp(type, media_type, n) != 0)
		return false;
	// What follows may be white space and parameters (RFC 9110 8.3.1).
	type += n;
	type += strspn(type, " \t");
	return *type == '\0' || *type == ';';
}

bool http_request_is_too_large(const struct http_request *req)
{
	return req->discarded_bytes > 0;
}

const char *http_request_body(const struct http_request *req, size_t *body_bytes)
{
	if (body_bytes)
		*body_bytes = req->body_bytes;
	return req->body ? req->body : "";
}

const char *http_request_route(const struct http_request *req)
{
	return req->route;
}

uint64_t http_request_age_ns(const struct http_request *req)
{
	return http_now_ns() - req->whole_ns;
}

bool http_request_refusals(
	const struct http_request *req, unsigned int i, unsigned int *status, uint64_t *count)
{
	if (i >= HTTP_N_REFUSALS)
		return false;
	*status = http_refusals[i];
	*count = atomic_load_explicit(&req->srv->refused[i], memory_order_relaxed);
	return true;
}

const struct net_addr *http_request_peer(const struct http_request *req)
{
	return &req->peer;
}

const char *http_request_param(const struct http_request *req, const char *name)
{
	size_t n = strlen(name);

	for (unsigned int i = 0; i < req->n_params; i++) {
		if (req->params[i].name_bytes == n && memcmp(req->params[i].name, name, n) == 0)
			return req->params[i].value;
	}
	return NULL;
}
