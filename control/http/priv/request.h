// One request and its connection, as the files of this folder share them.
// Until a request is queued it belongs to libmicrohttpd's thread, from then until its answer to the
// core thread, and then to the first again. The hand-over goes through the server's lock.
#pragma once

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "control/http/path.h"
#include "control/http/router.h"
#include "control/http/server.h"

enum {
	HTTP_MAX_PARAMS = 4,
	HTTP_ALLOW_MAX_BYTES = 64,
	HTTP_N_REFUSALS = 4, // kinds of refusal while reading
};

enum http_stage {
	HTTP_READING,  // libmicrohttpd's thread
	HTTP_PENDING,  // suspended: queued or with the core thread
	HTTP_ANSWERED, // libmicrohttpd's thread writes
};

// One TCP connection. Guarded by the server's lock.
struct http_conn {
	TAILQ_ENTRY(http_conn) link;
	int fd;
	uint64_t since_ms; // when the present wait for the client began
	bool held;	   // the client waits for us
};

struct http_request {
	struct http_server *srv;
	struct http_conn *conn;
	struct MHD_Connection *mhd;
	TAILQ_ENTRY(http_request) pending_link; // guarded by the server's lock
	TAILQ_ENTRY(http_request) queue_link;	// same
	enum http_stage stage;			// same

	enum http_method method;
	const char *method_name; // libmicrohttpd's, as path is
	const char *path;
	struct net_addr peer;
	uint64_t whole_ns; // when it was read to its end; monotonic
	char *body;	   // NULL while empty
	size_t body_bytes;
	size_t body_cap;
	uint64_t discarded_bytes; // of a body above the limit

	// The router's findings.
	const char *route; // pattern; NULL: none
	struct http_path split;
	struct {
		const char *name; // in the route's pattern, name_bytes long
		size_t name_bytes;
		const char *value; // in split
	} params[HTTP_MAX_PARAMS];
	unsigned int n_params;
	char allow[HTTP_ALLOW_MAX_BYTES]; // "": no route is known
	bool same_origin;

	// The answer. NULL response: close the connection.
	struct MHD_Response *response;
	unsigned int status;
};

TAILQ_HEAD(http_requests, http_request);
TAILQ_HEAD(http_conns, http_conn);

struct http_server {
	struct MHD_Daemon *daemon;
	size_t max_body_bytes;
	uint32_t request_ms;
	uint16_t port;
	int event_fd;		   // epoll over the two below
	int queue_fd;		   // eventfd: queue is not empty
	int tick_fd;		   // timerfd: look for overdue connections
	http_answered_cb answered; // the core thread's, as its argument
	void *answered_arg;
	// libmicrohttpd's thread: rw, core thread: ro; by http_refusals
	_Atomic uint64_t refused[HTTP_N_REFUSALS];

	pthread_mutex_t lock; // guards all below; never held while libmicrohttpd is called
	pthread_cond_t idle;  // n_requests fell to 0
	struct http_requests queue;
	struct http_requests pending; // all that are suspended, queued or taken
	struct http_conns conns;
	size_t n_requests; // between their first callback and their last
	bool stopping;
};

// Monotonic.
uint64_t http_now_ns(void);
uint64_t http_now_ms(void);

// The statuses that intake.c refuses with.
extern const unsigned int http_refusals[HTTP_N_REFUSALS];

// Callbacks of libmicrohttpd (intake.c).
enum MHD_Result http_on_access(void *srv, struct MHD_Connection *, const char *url,
	const char *method, const char *version, const char *upload, size_t *upload_bytes,
	void **req);
void http_on_completed(
	void *srv, struct MHD_Connection *, void **req, enum MHD_RequestTerminationCode);
void http_on_connection(
	void *srv, struct MHD_Connection *, void **conn, enum MHD_ConnectionNotificationCode);
size_t http_on_unescape(void *srv, struct MHD_Connection *, char *text);

// Suspend the connection and queue the request for the core thread; 503 when the server stops.
void http_server_queue(struct http_server *, struct http_request *);

// Give a suspended request its answer and resume its connection. The request is gone afterwards.
// Return: as http_request_answer.
bool http_server_resume(struct http_request *, unsigned int status, struct MHD_Response *);

// Build the answer with all its fields (answer.c).
// Return: the response; NULL out of memory, or a field that cannot be sent.
struct MHD_Response *http_response_build(const struct http_request *, const struct http_answer *);

// The same for an error; falls back to an answer without a body.
struct MHD_Response *http_response_error(const struct http_request *, unsigned int status,
	const struct http_header *headers, size_t n_headers, const char *detail);
