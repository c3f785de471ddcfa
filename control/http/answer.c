// Every answer is put together here.
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "control/http/priv/request.h"

static const struct http_header common_headers[] = {
	{ "Access-Control-Allow-Origin", "*" },
	{ "Access-Control-Expose-Headers",
		"Location, ETag, Link, Accept-Patch, Accept-Post, Retry-After, WWW-Authenticate" },
	{ "X-Content-Type-Options", "nosniff" },
};

// Players of other sites need these (Fetch, "CORS-preflight fetch"; A34, A36).
static const struct http_header preflight_headers[] = {
	{ "Access-Control-Allow-Methods", "GET, HEAD, POST, PATCH, DELETE, OPTIONS" },
	{ "Access-Control-Allow-Headers", "Content-Type, Authorization, If-Match, If-None-Match" },
	{ "Access-Control-Max-Age", "86400" },
	{ "Vary", "Origin" },
};

static bool add_headers(
	struct MHD_Response *response, const struct http_header *headers, size_t n_headers)
{
	for (size_t i = 0; i < n_headers; i++) {
		if (MHD_add_response_header(response, headers[i].name, headers[i].value) != MHD_YES)
			return false;
	}
	return true;
}

static bool add_own_headers(
	struct MHD_Response *response, const struct http_request *req, unsigned int status)
{
	bool options = req->method == HTTP_OPTIONS;
	const struct http_header allow = { MHD_HTTP_HEADER_ALLOW, req->allow };

	if (!add_headers(
		    response, common_headers, sizeof(common_headers) / sizeof(*common_headers)))
		return false;
	if (options && !req->same_origin &&
		!add_headers(response, preflight_headers,
			sizeof(preflight_headers) / sizeof(*preflight_headers)))
		return false;
	if (req->allow[0] && (options || status == MHD_HTTP_METHOD_NOT_ALLOWED))
		return add_headers(response, &allow, 1);
	return true;
}

struct MHD_Response *http_response_build(
	const struct http_request *req, const struct http_answer *answer)
{
	const struct http_header type = { MHD_HTTP_HEADER_CONTENT_TYPE, answer->content_type };
	// libmicrohttpd only reads the body, though it takes it without const.
	struct MHD_Response *response = MHD_create_response_from_buffer(answer->body_bytes,
		(void *)(uintptr_t)answer->body,
		answer->body_static ? MHD_RESPMEM_PERSISTENT : MHD_RESPMEM_MUST_COPY);

	if (!response)
		return NULL;
	if (add_own_headers(response, req, answer->status) &&
		add_headers(response, &type, answer->content_type ? 1 : 0) &&
		add_headers(response, answer->headers, answer->n_headers))
		return response;
	MHD_destroy_response(response);
	return NULL;
}

static bool wants_json(const struct http_request *req)
{
	char accept[512];

	return http_request_header_list(req, MHD_HTTP_HEADER_ACCEPT, accept, sizeof(accept)) == 0 &&
	       strcasestr(accept, "json");
}

// Return: an RFC 9457 document, freed by the caller; NULL out of memory, or detail is not UTF-8.
static char *problem_text(unsigned int status, const char *detail)
{
	const char *title = MHD_get_reason_phrase_for(status);
	json_t *problem = json_pack("{s:s, s:s, s:i, s:s, s:s}", "type", "about:blank", "title",
		title, "status", (int)status, "detail", detail, "error", detail);
	char *text = problem ? json_dumps(problem, JSON_COMPACT) : NULL;

	json_decref(problem);
	return text;
}

// One line, whatever of the client's words went into it.
static void write_line(const char *detail, char out[HTTP_DETAIL_MAX_BYTES + 1])
{
	size_t n = strnlen(detail, HTTP_DETAIL_MAX_BYTES - 1);

	for (size_t i = 0; i < n; i++)
		out[i] = (unsigned char)detail[i] < ' ' || detail[i] == 0x7f ? ' ' : detail[i];
	out[n] = '\n';
	out[n + 1] = '\0';
}

struct MHD_Response *http_response_error(const struct http_request *req, unsigned int status,
	const struct http_header *headers, size_t n_headers, const char *detail)
{
	struct http_answer answer = {
		.status = status, .headers = headers, .n_headers = n_headers
	};
	char line[HTTP_DETAIL_MAX_BYTES + 1];
	char *problem = NULL;
	struct MHD_Response *response;

	write_line(detail, line);
	if (wants_json(req)) {
		line[strlen(line) - 1] = '\0';
		problem = problem_text(status, line);
		answer.content_type = "application/problem+json";
		answer.body = problem;
	}
	if (!problem) {
		write_line(detail, line);
		answer.content_type = "text/plain; charset=utf-8";
		answer.body = line;
	}
	answer.body_bytes = strlen(answer.body);
	response = http_response_build(req, &answer);
	free(problem);
	return response;
}

bool http_request_answer(struct http_request *req, const struct http_answer *answer)
{
	unsigned int status = answer->status;
	struct MHD_Response *response = http_response_build(req, answer);
	bool built = response != NULL;

	if (!built) {
		status = MHD_HTTP_INTERNAL_SERVER_ERROR;
		response = http_response_error(
			req, status, NULL, 0, "the answer could not be put together");
	}
	return http_server_resume(req, status, response) && built;
}

bool http_request_refuse(struct http_request *req, unsigned int status,
	const struct http_header *headers, size_t n_headers, const char *fmt, ...)
{
	char detail[HTTP_DETAIL_MAX_BYTES];
	struct MHD_Response *response;
	va_list args;

	va_start(args, fmt);
	vsnprintf(detail, sizeof(detail), fmt, args);
	va_end(args);
	response = http_response_error(req, status, headers, n_headers, detail);
	if (!response) {
		status = MHD_HTTP_INTERNAL_SERVER_ERROR;
		response = http_response_error(
			req, status, NULL, 0, "the answer could not be put together");
	}
	return http_server_resume(req, status, response);
}

bool http_request_refuse_body(struct http_request *req)
{
	return http_request_refuse(req, MHD_HTTP_CONTENT_TOO_LARGE, NULL, 0,
		"the body is larger than the %zu bytes that this server takes",
		req->srv->max_body_bytes);
}
