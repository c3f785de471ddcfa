// The embedded pages, and how they are answered.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/web/web.h"
#include "tests/unit/http/client.h"

static struct http_server *server;

static void ask(const char *method, const char *name, const char *fields, struct response *out)
{
	char text[1024];
	int fd = client_connect(server);

	snprintf(text, sizeof(text), "%s / HTTP/1.1\r\nHost: x\r\n%s\r\n", method, fields);
	client_send(fd, text);
	web_answer(client_take(server), name);
	client_read(fd, strcmp(method, "HEAD") != 0, out);
	close(fd);
}

static void pages_are_whole(void **state)
{
	static const struct {
		const char *name;
		const char *type;
		const char *has;
	} pages[] = {
		{ "index.html", "text/html; charset=utf-8", "</html>\n" },
		{ "watch.html", "text/html; charset=utf-8", "/web/player.js" },
		{ "player.js", "text/javascript; charset=utf-8", "window.millrace = {" },
		{ "credentials.js", "text/javascript; charset=utf-8", "sessionStorage" },
		{ "whep.js", "text/javascript; charset=utf-8", "application/sdp" },
		{ "style.css", "text/css; charset=utf-8", ":root" },
		{ "icon.svg", "image/svg+xml", "</svg>\n" },
	};

	for (size_t i = 0; i < sizeof(pages) / sizeof(*pages); i++) {
		const struct web_page *page = web_find(pages[i].name);

		assert_non_null(page);
		assert_string_equal(page->content_type, pages[i].type);
		assert_int_equal(strlen(page->body), page->body_bytes);
		assert_non_null(strstr(page->body, pages[i].has));
		assert_int_equal(strlen(page->etag), 34);
	}
	assert_null(web_find("embed.py"));
	assert_null(web_find(""));
}

// Whatever a page asks this server for under /web/ must be there.
static void references_lead_somewhere(void **state)
{
	static const char *const names[] = { "index.html", "watch.html" };
	unsigned int n_found = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const char *at = web_find(names[i])->body;

		while ((at = strstr(at, "\"/web/"))) {
			char name[64];

			at += strlen("\"/web/");
			snprintf(name, sizeof(name), "%.*s", (int)strcspn(at, "\""), at);
			if (!web_find(name))
				fail_msg("%s refers to %s", names[i], name);
			n_found++;
		}
	}
	assert_in_range(n_found, 6, 100);
}

// The policy forbids what stands inside the HTML.
static void html_holds_no_script_or_style(void **state)
{
	static const char *const names[] = { "index.html", "watch.html" };
	static const char *const forbidden[] = { "<style", " style=", "<script>",
		" onclick=", " onload=", "javascript:" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		for (size_t f = 0; f < sizeof(forbidden) / sizeof(*forbidden); f++)
			assert_null(strstr(web_find(names[i])->body, forbidden[f]));
	}
}

static void get_and_head(void **state)
{
	const struct web_page *page = web_find("watch.html");
	struct response r;

	ask("GET", "watch.html", "", &r);
	assert_int_equal(r.status, 200);
	assert_int_equal(r.body_bytes, page->body_bytes);
	assert_memory_equal(r.body, page->body, page->body_bytes);
	assert_string_equal(client_field(&r, "Content-Type"), "text/html; charset=utf-8");
	assert_string_equal(client_field(&r, "ETag"), page->etag);
	assert_non_null(strstr(client_field(&r, "Content-Security-Policy"), "default-src 'self'"));
	ask("HEAD", "watch.html", "", &r);
	assert_int_equal(r.status, 200);
	assert_int_equal(strtoul(client_field(&r, "Content-Length"), NULL, 10), page->body_bytes);
	ask("GET", "nothing.js", "", &r);
	assert_int_equal(r.status, 404);
}

static void known_tag_is_not_sent_again(void **state)
{
	const struct web_page *page = web_find("player.js");
	char fields[256];
	struct response r;

	snprintf(fields, sizeof(fields), "If-None-Match: \"other\"\r\nIf-None-Match: W/%s\r\n",
		page->etag);
	ask("GET", "player.js", fields, &r);
	assert_int_equal(r.status, 304);
	assert_int_equal(r.body_bytes, 0);
	assert_string_equal(client_field(&r, "ETag"), page->etag);
	ask("GET", "player.js", "If-None-Match: *\r\n", &r);
	assert_int_equal(r.status, 304);
	ask("GET", "style.css", fields, &r);
	assert_int_equal(r.status, 200);
	ask("GET", "player.js", "If-None-Match: \"other\"\r\n", &r);
	assert_int_equal(r.status, 200);
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
		cmocka_unit_test(pages_are_whole),
		cmocka_unit_test(references_lead_somewhere),
		cmocka_unit_test(html_holds_no_script_or_style),
		cmocka_unit_test(get_and_head),
		cmocka_unit_test(known_tag_is_not_sent_again),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
