// The daemon, the queue to the core thread, and the end of both.
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "control/http/priv/request.h"
#include "control/http/priv/tls.h"

enum {
	LISTEN_BACKLOG = 512,
	IDLE_MS = 15000,
	REQUEST_MS = 30000,
	TICK_MS = 1000,
	STOP_WAIT_MS = 500,
};

uint64_t http_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t http_now_ms(void)
{
	return http_now_ns() / 1000000;
}

void http_server_queue(struct http_server *srv, struct http_request *req)
{
	static const struct http_header retry = { "Retry-After", "2" };
	bool stopping;

	// Suspended first: the answer may come before this function returns.
	MHD_suspend_connection(req->mhd);
	pthread_mutex_lock(&srv->lock);
	stopping = srv->stopping;
	if (!stopping) {
		req->conn->held = true;
		req->stage = HTTP_PENDING;
		req->whole_ns = http_now_ns();
		TAILQ_INSERT_TAIL(&srv->pending, req, pending_link);
		TAILQ_INSERT_TAIL(&srv->queue, req, queue_link);
		eventfd_write(srv->queue_fd, 1);
	}
	pthread_mutex_unlock(&srv->lock);
	if (stopping)
		http_server_resume(req, MHD_HTTP_SERVICE_UNAVAILABLE,
			http_response_error(req, MHD_HTTP_SERVICE_UNAVAILABLE, &retry, 1,
				"the server is stopping"));
}

// Whether somebody may still read what we send. A client that only stopped sending counts.
static bool is_connected(int fd)
{
	struct pollfd p = { .fd = fd };

	return poll(&p, 1, 0) <= 0 || !(p.revents & (POLLHUP | POLLERR));
}

bool http_server_resume(
	struct http_request *req, unsigned int status, struct MHD_Response *response)
{
	struct http_server *srv = req->srv;
	struct MHD_Connection *mhd = req->mhd;
	bool connected, pending;

	pthread_mutex_lock(&srv->lock);
	pending = req->stage == HTTP_PENDING;
	if (pending)
		TAILQ_REMOVE(&srv->pending, req, pending_link);
	req->status = status;
	req->response = response;
	req->stage = HTTP_ANSWERED;
	req->conn->held = false;
	req->conn->since_ms = http_now_ms();
	// The socket stays open as long as the connection is suspended.
	connected = is_connected(req->conn->fd);
	pthread_mutex_unlock(&srv->lock);
	if (pending && srv->answered)
		srv->answered(srv->answered_arg, req, status);
	MHD_resume_connection(mhd);
	return connected;
}

// Close connections whose client takes too long, drop by drop (libmicrohttpd's own time-out starts
// anew with each byte).
static void close_overdue(struct http_server *srv)
{
	uint64_t now_ms = http_now_ms();
	struct http_conn *conn;

	pthread_mutex_lock(&srv->lock);
	TAILQ_FOREACH (conn, &srv->conns, link) {
		if (!conn->held && conn->since_ms + srv->request_ms < now_ms)
			shutdown(conn->fd, SHUT_RDWR);
	}
	pthread_mutex_unlock(&srv->lock);
}

struct http_request *http_server_next(struct http_server *srv)
{
	struct http_request *req;
	eventfd_t n_queued;
	uint64_t n_ticks;

	pthread_mutex_lock(&srv->lock);
	req = TAILQ_FIRST(&srv->queue);
	if (req)
		TAILQ_REMOVE(&srv->queue, req, queue_link);
	else
		eventfd_read(srv->queue_fd, &n_queued);
	pthread_mutex_unlock(&srv->lock);
	if (!req && read(srv->tick_fd, &n_ticks, sizeof(n_ticks)) == sizeof(n_ticks))
		close_overdue(srv);
	return req;
}

void http_server_observe(struct http_server *srv, http_answered_cb cb, void *arg)
{
	srv->answered = cb;
	srv->answered_arg = arg;
}

int http_server_event_fd(const struct http_server *srv)
{
	return srv->event_fd;
}

uint16_t http_server_port(const struct http_server *srv)
{
	return srv->port;
}

static int watch(int epoll_fd, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int open_events(struct http_server *srv)
{
	const struct itimerspec tick = {
		.it_interval = { .tv_sec = TICK_MS / 1000 },
		.it_value = { .tv_sec = TICK_MS / 1000 },
	};
	int err;

	srv->event_fd = epoll_create1(EPOLL_CLOEXEC);
	srv->queue_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	srv->tick_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (srv->event_fd < 0 || srv->queue_fd < 0 || srv->tick_fd < 0)
		return -errno;
	if (timerfd_settime(srv->tick_fd, 0, &tick, NULL))
		return -errno;
	err = watch(srv->event_fd, srv->queue_fd);
	return err ? err : watch(srv->event_fd, srv->tick_fd);
}

// Return: sockaddr_bytes; 0 no address.
static socklen_t fill_sockaddr(const struct net_addr *address, struct sockaddr_storage *out)
{
	struct sockaddr_in *in = (struct sockaddr_in *)out;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (address->family == NET_IPV4) {
		in->sin_family = AF_INET;
		in->sin_port = address->port_be;
		memcpy(&in->sin_addr, address->ip, 4);
		return sizeof(*in);
	}
	if (address->family == NET_IPV6) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = address->port_be;
		memcpy(&in6->sin6_addr, address->ip, 16);
		return sizeof(*in6);
	}
	return 0;
}

static int bind_and_listen(int fd, const struct sockaddr_storage *addr, socklen_t addr_bytes)
{
	int on = 1;
	int off = 0;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)))
		return -errno;
	// [::] takes IPv4 as well, whatever the system's default is.
	if (addr->ss_family == AF_INET6 &&
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)))
		return -errno;
	if (bind(fd, (const struct sockaddr *)addr, addr_bytes) || listen(fd, LISTEN_BACKLOG))
		return -errno;
	return 0;
}

static int open_listener(const struct net_addr *address, int *out_fd, uint16_t *out_port)
{
	struct sockaddr_storage addr;
	socklen_t addr_bytes = fill_sockaddr(address, &addr);
	int fd;
	int err;

	if (!addr_bytes)
		return -EINVAL;
	fd = socket(addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	err = bind_and_listen(fd, &addr, addr_bytes);
	if (!err && getsockname(fd, (struct sockaddr *)&addr, &addr_bytes))
		err = -errno;
	if (err) {
		close(fd);
		return err;
	}
	*out_fd = fd;
	// The port stands at the same place in both families.
	*out_port = ntohs(((struct sockaddr_in *)&addr)->sin_port);
	return 0;
}

static int start_daemon(struct http_server *srv, const struct http_server_conf *conf, int fd)
{
	unsigned int flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC;
	uint64_t idle_ms = conf->idle_ms ? conf->idle_ms : IDLE_MS;
	struct MHD_OptionItem options[] = {
		{ MHD_OPTION_LISTEN_SOCKET, fd, NULL },
		{ MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)http_on_completed, srv },
		{ MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)http_on_connection, srv },
		{ MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)http_on_unescape, srv },
		{ MHD_OPTION_CONNECTION_MEMORY_LIMIT, HTTP_HEADER_MEMORY_BYTES, NULL },
		{ MHD_OPTION_CONNECTION_LIMIT, conf->max_connections, NULL },
		{ MHD_OPTION_PER_IP_CONNECTION_LIMIT, conf->max_per_address, NULL },
		{ MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)((idle_ms + 999) / 1000), NULL },
		// From here on for HTTPS alone.
		{ conf->tls ? MHD_OPTION_HTTPS_CERT_CALLBACK : MHD_OPTION_END, 0,
			(void *)(intptr_t)http_tls_on_certificate },
		{ MHD_OPTION_HTTPS_PRIORITIES, 0, HTTP_TLS_PRIORITIES },
		{ MHD_OPTION_END, 0, NULL },
	};
	sigset_t all;
	sigset_t before;

	if (conf->tls)
		flags |= MHD_USE_TLS;
	// libmicrohttpd's thread must take no signal: those are the core thread's.
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	srv->daemon = MHD_start_daemon(flags, 0, NULL, NULL, http_on_access, srv, MHD_OPTION_ARRAY,
		options, MHD_OPTION_END);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return srv->daemon ? 0 : -EIO;
}

static struct http_server *alloc_server(const struct http_server_conf *conf)
{
	struct http_server *srv = calloc(1, sizeof(*srv));
	pthread_condattr_t monotonic;

	if (!srv)
		return NULL;
	srv->max_body_bytes = conf->max_body_bytes;
	srv->request_ms = conf->request_ms ? conf->request_ms : REQUEST_MS;
	srv->event_fd = srv->queue_fd = srv->tick_fd = -1;
	TAILQ_INIT(&srv->queue);
	TAILQ_INIT(&srv->pending);
	TAILQ_INIT(&srv->conns);
	pthread_mutex_init(&srv->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&srv->idle, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return srv;
}

static void free_server(struct http_server *srv)
{
	int fds[] = { srv->event_fd, srv->queue_fd, srv->tick_fd };

	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	pthread_cond_destroy(&srv->idle);
	pthread_mutex_destroy(&srv->lock);
	free(srv);
}

int http_server_start(const struct http_server_conf *conf, struct http_server **out)
{
	struct http_server *srv;
	int listen_fd = -1;
	int err;

	if (!conf->max_body_bytes || !conf->max_connections)
		return -EINVAL;
	srv = alloc_server(conf);
	if (!srv)
		return -ENOMEM;
	err = open_events(srv);
	if (!err)
		err = open_listener(&conf->address, &listen_fd, &srv->port);
	// From here on the socket is libmicrohttpd's.
	if (!err)
		err = start_daemon(srv, conf, listen_fd);
	if (err) {
		free_server(srv);
		return err;
	}
	*out = srv;
	return 0;
}

// Answer everything pending; http_server_queue answers whatever comes later.
static void refuse_pending(struct http_server *srv)
{
	static const struct http_header retry = { "Retry-After", "2" };
	struct http_request *req;

	do {
		pthread_mutex_lock(&srv->lock);
		srv->stopping = true;
		TAILQ_INIT(&srv->queue);
		req = TAILQ_FIRST(&srv->pending);
		pthread_mutex_unlock(&srv->lock);
		if (req)
			http_request_refuse(req, MHD_HTTP_SERVICE_UNAVAILABLE, &retry, 1,
				"the server is stopping");
	} while (req);
}

// Wait until the last answers have left.
static void wait_idle(struct http_server *srv)
{
	struct timespec until;
	int err = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += STOP_WAIT_MS * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	pthread_mutex_lock(&srv->lock);
	while (srv->n_requests && !err)
		err = pthread_cond_timedwait(&srv->idle, &srv->lock, &until);
	pthread_mutex_unlock(&srv->lock);
}

void http_server_stop(struct http_server *srv)
{
	MHD_socket listen_fd;

	if (!srv)
		return;
	listen_fd = MHD_quiesce_daemon(srv->daemon);
	refuse_pending(srv);
	wait_idle(srv);
	MHD_stop_daemon(srv->daemon);
	if (listen_fd != MHD_INVALID_SOCKET)
		close(listen_fd);
	free_server(srv);
}
