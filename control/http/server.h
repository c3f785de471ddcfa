// The HTTP server: whole requests in, answers out, whenever the answer is known.
// libmicrohttpd's one thread reads a request to its end within the limits below, suspends the
// connection and queues a struct http_request. The core thread is woken by a file descriptor, takes
// the request, and answers it at once or later; the answer resumes the connection.
// A request that was taken stays valid until it is answered, whatever the client does meanwhile:
// a suspended connection is not torn down. So every request taken must be answered once.
// Owner: control's core thread; all functions here are for that thread alone.
// Source: RFC 9110, 9112; Fetch (CORS); RFC 9457; checklist A12, A23, A33 to A36, A41.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/abi/net.h"

enum {
	HTTP_PATH_MAX_BYTES = 512, // of the request's path as sent; more is 414
	HTTP_PATH_MAX_SEGMENTS = 8,
	HTTP_ID_MAX_CHARS = 63,		      // a path parameter
	HTTP_DETAIL_MAX_BYTES = 256,	      // one line that says what went wrong, with its NUL
	HTTP_HEADER_MEMORY_BYTES = 16 * 1024, // request line and header fields; more is 431 or 414
};

enum http_method {
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_PUT,
	HTTP_PATCH,
	HTTP_DELETE,
	HTTP_OPTIONS,
	HTTP_OTHER, // TRACE, CONNECT and whatever else
	HTTP_N_METHODS,
};

struct http_server;
struct http_request;
struct http_tls;

struct http_server_conf {
	struct net_addr address; // port_be 0: any free port. [::] takes IPv4 too
	// More is 413: at once where more than four times that, or Expect, is announced; else the
	// handler's turn comes first.
	size_t max_body_bytes;
	uint32_t max_connections;   // further ones wait in the listen queue
	uint32_t max_per_address;   // connections of one client address; 0: no such limit
	uint32_t idle_ms;	    // a connection on which nothing moves is closed; 0: 15 s
	const struct http_tls *tls; // NULL: plain HTTP; borrowed, outlives the server
	uint32_t request_ms;	    // a request is read, or an answer written, within this; 0: 30 s
};

// Listen and start the thread.
// out:    destroyed by http_server_stop.
// Return: 0; -EINVAL address or a limit of 0; -ENOMEM; -EADDRINUSE, -EACCES, … from bind; -EIO
//         libmicrohttpd refused to start.
int http_server_start(const struct http_server_conf *, struct http_server **out);

// Stop listening, answer everything pending with 503, wait up to half a second for these answers
// to leave, end the thread, free. Every request not yet answered becomes invalid. NULL is fine.
void http_server_stop(struct http_server *);

// Return: the TCP port that is listened on, host byte order.
uint16_t http_server_port(const struct http_server *);

// Return: a descriptor for poll or epoll, readable when http_server_next has something to do. It is
//         the server's: neither read nor close it.
int http_server_event_fd(const struct http_server *);

// Take the oldest request. Call until it returns NULL; that also closes overdue connections, for
// which the descriptor wakes the caller about once a second.
// Return: the request, to be answered exactly once; NULL none is waiting.
struct http_request *http_server_next(struct http_server *);

// Told of each request that came through http_server_next, when it is answered; the request is
// still whole.
typedef void (*http_answered_cb)(void *arg, const struct http_request *, unsigned int status);

// Have every answer told from now on. cb: NULL no more.
void http_server_observe(struct http_server *, http_answered_cb cb, void *arg);

// What a request says. All pointers are the request's and end with its answer.

enum http_method http_request_method(const struct http_request *);

// Return: the method as sent.
const char *http_request_method_name(const struct http_request *);

// Return: the path as sent, escapes and all, without the query.
const char *http_request_path(const struct http_request *);

// Return: the first field of that name, whose case does not matter; NULL there is none.
const char *http_request_header(const struct http_request *, const char *name);

// All fields of that name, joined with ", " (RFC 9110 5.3): for If-Match, Accept and other lists.
// Return: 0; -ENOENT there is none; -ENOBUFS they do not fit.
int http_request_header_list(
	const struct http_request *, const char *name, char *out, size_t out_cap);

// Whether Content-Type names this media type; case and parameters do not matter (A1).
bool http_request_has_type(const struct http_request *, const char *media_type);

// Whether a body came that is above the limit: it was read and forgotten. A handler that takes a
// body asks this at its time and says http_request_refuse_body (A23: after 401, 403 and 404).
bool http_request_is_too_large(const struct http_request *);

// body_bytes: may be NULL.
// Return:     the body, never NULL, with a NUL behind it (and perhaps some inside).
const char *http_request_body(const struct http_request *, size_t *body_bytes);

// Return: the pattern of the route that the router found; NULL none yet, or none fits.
const char *http_request_route(const struct http_request *);

// Return: nanoseconds since the request was there as a whole.
uint64_t http_request_age_ns(const struct http_request *);

// How many requests the server of this one refused while it read them, before http_server_next
// could hand them out.
// i:      of a kind, from 0.
// Return: whether there is such a kind; its status and count.
bool http_request_refusals(
	const struct http_request *, unsigned int i, unsigned int *status, uint64_t *count);

// Return: the client's address; IPv4 even where it came through an IPv6 socket.
const struct net_addr *http_request_peer(const struct http_request *);

// A part of the path, by the name the route gives it ("stream" for "/whep/{stream}").
// Return: 1 to HTTP_ID_MAX_CHARS of letters, digits and . _ ~ -; NULL the route has no such name.
const char *http_request_param(const struct http_request *, const char *name);

struct http_header {
	const char *name;
	const char *value;
};

struct http_answer {
	unsigned int status;
	const char *content_type; // NULL: none
	const void *body;	  // NULL with body_bytes 0
	size_t body_bytes;
	bool body_static; // lives as long as the process: it is not copied
	const struct http_header *headers;
	size_t n_headers;
};

// Answer, and give the request up. CORS fields are added to every answer, to OPTIONS also those of
// a preflight; Allow where a route is known (OPTIONS, 405). HEAD gets the fields without the body.
// A field that cannot be sent (a line break in its value) makes the answer a 500.
// Return: false if nobody reads this answer: the connection is known to be dead, or a 500 had to be
// sent in its place. True is no
//         promise: a client that merely stopped sending may still be reading.
bool http_request_answer(struct http_request *, const struct http_answer *);

// Answer with an error, and give the request up: one line of text/plain, or problem+json where
// Accept names JSON (A41).
// headers: more fields, n_headers of them; may be NULL with 0.
// fmt:     what was expected, for people; cut at HTTP_DETAIL_MAX_BYTES.
// Return:  as http_request_answer.
bool http_request_refuse(struct http_request *, unsigned int status,
	const struct http_header *headers, size_t n_headers, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

// Answer with 413, and give the request up.
bool http_request_refuse_body(struct http_request *);
