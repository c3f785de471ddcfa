#include "control/web/web.h"

#include <stdbool.h>
#include <string.h>

#include "control/web/priv/pages.h"

const struct web_page *web_find(const char *name)
{
	for (size_t i = 0; i < n_web_pages; i++) {
		if (strcmp(web_pages[i].name, name) == 0)
			return &web_pages[i];
	}
	return NULL;
}

// Whether If-None-Match lists the tag; weak comparison, so that W/ before it does not matter. Tags
// of ours hold no comma or quote, so looking for the quoted text is enough.
static bool has_tag(const struct http_request *req, const char *etag)
{
	char list[1024];

	if (http_request_header_list(req, "If-None-Match", list, sizeof(list)))
		return false;
	return strcmp(list, "*") == 0 || strstr(list, etag);
}

void web_answer(struct http_request *req, const char *name)
{
	const struct web_page *page = web_find(name);
	struct http_answer answer = { .status = 200, .body_static = true };

	if (!page) {
		http_request_refuse(req, 404, NULL, 0, "no such file");
		return;
	}
	const struct http_header headers[] = {
		{ "ETag", page->etag },
		// Asked for anew each time, and mostly answered with 304.
		{ "Cache-Control", "no-cache" },
		{ "Content-Security-Policy", "default-src 'self'; object-src 'none'; base-uri "
					     "'none'; form-action 'none'" },
		{ "Referrer-Policy", "no-referrer" },
	};

	answer.headers = headers;
	answer.n_headers = sizeof(headers) / sizeof(*headers);
	if (has_tag(req, page->etag)) {
		answer.status = 304;
	} else {
		answer.content_type = page->content_type;
		answer.body = page->body;
		answer.body_bytes = page->body_bytes;
	}
	http_request_answer(req, &answer);
}
