// The pages, as they were when the program was built.
// Routes that the pages expect: GET / is index.html, GET /watch/{stream} is watch.html, and
// GET /web/{file} any file by its name.
// Owner: nobody; read only.
#pragma once

#include <stddef.h>

#include "control/http/server.h"

struct web_page {
	const char *name; // "player.js"
	const char *content_type;
	const char *etag; // strong, quoted; changes with the bytes
	const char *body; // body_bytes, with a NUL behind them
	size_t body_bytes;
};

// Return: the page of that name; NULL there is none.
const struct web_page *web_find(const char *name);

// Answer GET or HEAD with a page: 200, 304 where If-None-Match has its tag, or 404. The answer
// carries a Content-Security-Policy that allows this server's own files only.
// State:  the request is answered.
// Source: RFC 9110 13.1.2.
void web_answer(struct http_request *, const char *name);
