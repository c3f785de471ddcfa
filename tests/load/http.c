#include "tests/load/http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <unistd.h>

#include <curl/curl.h>

#include "tests/load/clock.h"

enum {
	BODY_MAX_BYTES = 16384,
	LOCATION_MAX_BYTES = 600,
	REQUEST_LIMIT_MS = 30000,
};

struct exchange {
	CURL *easy;
	http_done_cb cb;
	void *arg;
	uint64_t began_us;
	TAILQ_ENTRY(exchange) link; // waiting
	size_t body_bytes;
	char body[BODY_MAX_BYTES];
	char location[LOCATION_MAX_BYTES];
	char error[CURL_ERROR_SIZE];
};

struct http {
	CURLM *multi;
	int epoll_fd;
	uint64_t due_us; // 0: no timer
	bool fresh;
	uint32_t connections, n_active;
	// For a connection; ours, so that a request's time counts from when it was wanted.
	TAILQ_HEAD(, exchange) waiting;
	struct curl_slist *sdp_headers;
};

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct http *h = arg;
	struct epoll_event event = { .data.fd = fd };

	if (what == CURL_POLL_REMOVE) {
		epoll_ctl(h->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
		return 0;
	}
	event.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) |
		       (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
	epoll_ctl(h->epoll_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
	curl_multi_assign(h->multi, fd, h);
	return 0;
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
	struct http *h = arg;

	h->due_us = ms < 0 ? 0 : clock_us() + (uint64_t)ms * 1000;
	return 0;
}

struct http *http_create(uint32_t connections, bool fresh)
{
	struct http *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	curl_global_init(CURL_GLOBAL_NOTHING);
	h->multi = curl_multi_init();
	h->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	h->fresh = fresh;
	h->connections = connections;
	TAILQ_INIT(&h->waiting);
	h->sdp_headers = curl_slist_append(NULL, "Content-Type: application/sdp");
	// Not "Expect: 100-continue", which costs a round trip.
	h->sdp_headers = curl_slist_append(h->sdp_headers, "Expect:");
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)connections);
	return h;
}

void http_destroy(struct http *h)
{
	struct exchange *x;

	if (!h)
		return;
	while ((x = TAILQ_FIRST(&h->waiting))) {
		TAILQ_REMOVE(&h->waiting, x, link);
		curl_easy_cleanup(x->easy);
		free(x);
	}
	curl_multi_cleanup(h->multi);
	curl_slist_free_all(h->sdp_headers);
	close(h->epoll_fd);
	free(h);
	curl_global_cleanup();
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct exchange *x = arg;

	if (x->body_bytes + n >= sizeof(x->body))
		return 0; // ends the request with an error
	memcpy(x->body + x->body_bytes, data, n);
	x->body_bytes += n;
	return n;
}

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
	static const char name[] = "location:";
	struct exchange *x = arg;
	size_t from = sizeof(name) - 1, to = n;

	if (n <= from || strncasecmp(data, name, from) != 0)
		return n;
	while (from < to && data[from] == ' ')
		from++;
	while (to > from && (data[to - 1] == '\r' || data[to - 1] == '\n'))
		to--;
	if (to - from < sizeof(x->location)) {
		memcpy(x->location, data + from, to - from);
		x->location[to - from] = 0;
	}
	return n;
}

// Hand requests to libcurl, as many as have a connection.
static void start_waiting(struct http *h)
{
	struct exchange *x;

	while (h->n_active < h->connections && (x = TAILQ_FIRST(&h->waiting))) {
		TAILQ_REMOVE(&h->waiting, x, link);
		h->n_active++;
		curl_multi_add_handle(h->multi, x->easy);
	}
}

static void start(struct http *h, CURL *easy, struct exchange *x, const char *url)
{
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, x);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, x);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, x->error);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)REQUEST_LIMIT_MS);
	if (h->fresh) {
		curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
		curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
	}
	x->easy = easy;
	x->began_us = clock_us();
	TAILQ_INSERT_TAIL(&h->waiting, x, link);
	start_waiting(h);
}

static CURL *prepare(http_done_cb cb, void *arg, struct exchange **out)
{
	struct exchange *x = calloc(1, sizeof(*x));
	CURL *easy = curl_easy_init();

	if (!x || !easy) {
		free(x);
		curl_easy_cleanup(easy);
		return NULL;
	}
	x->cb = cb;
	x->arg = arg;
	*out = x;
	return easy;
}

int http_post(struct http *h, const char *url, const char *body, http_done_cb cb, void *arg)
{
	struct exchange *x;
	CURL *easy = prepare(cb, arg, &x);

	if (!easy)
		return -ENOMEM;
	curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, body);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, h->sdp_headers);
	start(h, easy, x, url);
	return 0;
}

int http_delete(struct http *h, const char *url, http_done_cb cb, void *arg)
{
	struct exchange *x;
	CURL *easy = prepare(cb, arg, &x);

	if (!easy)
		return -ENOMEM;
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "DELETE");
	start(h, easy, x, url);
	return 0;
}

int http_fd(const struct http *h)
{
	return h->epoll_fd;
}

int http_wait_ms(const struct http *h)
{
	uint64_t now = clock_us();

	if (h->due_us == 0)
		return -1;
	return h->due_us <= now ? 0 : (int)((h->due_us - now + 999) / 1000);
}

static void finish(struct http *h, CURL *easy, CURLcode code)
{
	struct http_result result = { .us = clock_us() };
	struct exchange *x;
	char *private;

	curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
	x = (struct exchange *)private;
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &result.status);
	result.us -= x->began_us;
	result.error = "";
	if (code != CURLE_OK) {
		result.status = 0;
		result.error = x->error[0] ? x->error : curl_easy_strerror(code);
	}
	x->body[x->body_bytes] = 0;
	result.body = x->body;
	result.location = x->location;
	curl_multi_remove_handle(h->multi, easy);
	h->n_active--;
	x->cb(x->arg, &result);
	curl_easy_cleanup(easy);
	free(x);
}

void http_poll(struct http *h)
{
	struct epoll_event events[64];
	int n = epoll_wait(h->epoll_fd, events, 64, 0), running;
	struct CURLMsg *msg;

	for (int i = 0; i < n; i++) {
		int mask = (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
			   (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
			   (events[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);

		curl_multi_socket_action(h->multi, events[i].data.fd, mask, &running);
	}
	if (h->due_us && h->due_us <= clock_us()) {
		h->due_us = 0;
		curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
	while ((msg = curl_multi_info_read(h->multi, &running)))
		if (msg->msg == CURLMSG_DONE)
			finish(h, msg->easy_handle, msg->data.result);
	start_waiting(h);
}
