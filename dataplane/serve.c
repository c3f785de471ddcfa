#include "dataplane/serve.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/abi/channel.h"
#include "dataplane/abi/log.h"
#include "dataplane/abi/supervisor.h"
#include "dataplane/fanout/host.h"
#include "dataplane/fanout/steering.h"

enum {
	HELLO_MS = 1000,	 // control says hello within this, or is let go
	AWAIT_CONTROL_MS = 1000, // control looks for a data plane ten times a second
	SETTLE_MS = 10000,	 // a region that served so long is sound
	STEERING_MS = 20,	 // between looks at what the workers wish of the NIC
	NS_PER_MS = 1000000,
};

static int open_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP); // a closed terminal must not leave the program on the interface
	sigaddset(&set, SIGQUIT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

static void make_parent(const char *path)
{
	char copy[PATH_MAX];

	if (strlen(path) >= sizeof(copy))
		return;
	strcpy(copy, path);
	mkdir(dirname(copy), 0755); // what is wrong with it, listening will tell
}

int serve_init(struct serve *s, const char *path)
{
	int rc;

	*s = (struct serve){ .path = path,
		.listen_fd = -1,
		.lock_fd = -1,
		.signal_fd = -1,
		.wake_fd = -1,
		.control_fd = -1,
		.early_fd = -1,
		.early.region_fd = -1 };
	make_parent(path);
	rc = channel_lock(path, &s->lock_fd, &s->left);
	if (rc == -EADDRINUSE)
		log_error("another data plane holds %s; end it first, or name another with "
			  "--dataplane-socket",
			path);
	else if (rc < 0)
		log_error("cannot listen on %s: %s", path, strerror(-rc));
	if (rc < 0)
		return rc;
	s->signal_fd = open_signals();
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->signal_fd < 0 || s->wake_fd < 0)
		return -errno;
	return 0;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void serve_fini(struct serve *s)
{
	close_fd(&s->control_fd);
	close_fd(&s->early_fd);
	close_fd(&s->early.region_fd);
	close_fd(&s->signal_fd);
	close_fd(&s->wake_fd);
	if (s->lock_fd >= 0)
		channel_unlisten(s->path, s->listen_fd, s->lock_fd, s->left);
}

int serve_listen(struct serve *s, uint32_t gid)
{
	int rc = channel_listen(s->path, gid, &s->listen_fd);

	if (rc < 0)
		log_error("cannot listen on %s: %s", s->path, strerror(-rc));
	return rc;
}

// Return: a connection that has said hello; -errno, logged.
static int hear(struct serve *s, struct channel_hello *hello)
{
	int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	struct pollfd readable = { .fd = fd, .events = POLLIN };
	int rc;

	if (fd < 0)
		return -errno;
	rc = poll(&readable, 1, HELLO_MS) == 1 ? channel_hear(fd, hello) : -ETIMEDOUT;
	if (rc == 0)
		return fd;
	log_warn("a connection to %s was refused: %s", s->path, strerror(-rc));
	close(fd);
	return rc;
}

int serve_await_region(struct serve *s)
{
	struct pollfd caller = { .fd = s->listen_fd, .events = POLLIN };
	int fd;

	if (!s->left || poll(&caller, 1, AWAIT_CONTROL_MS) != 1)
		return -ENOENT;
	s->early_fd = hear(s, &s->early);
	if (s->early_fd < 0 || s->early.region_fd < 0)
		return -ENOENT;
	fd = s->early.region_fd;
	s->early.region_fd = -1;
	return fd;
}

static void answer(struct serve *s, int fd, const struct channel_hello *hello)
{
	const struct channel_offer offer = { .region_fd = s->region->fd, .wake_fd = s->wake_fd };
	int rc;

	// Before it can command anything; one that is refused does not count.
	if (s->alone && s->control_fd < 0 && hello->abi_version == REGION_ABI_VERSION)
		atomic_store(s->alone, false);
	rc = channel_answer(fd, hello, &offer,
		s->control_fd >= 0 ? "another control process is connected" : NULL);
	if (rc < 0) {
		log_warn("a connection to %s was refused: %s", s->path, strerror(-rc));
		close(fd);
		return;
	}
	s->control_fd = fd;
	log_info("control connected");
}

static void greet(struct serve *s)
{
	struct channel_hello hello;
	int fd = hear(s, &hello);

	if (fd < 0)
		return;
	// Too late: ours is in use.
	close_fd(&hello.region_fd);
	answer(s, fd, &hello);
}

static void greet_early(struct serve *s)
{
	if (s->early_fd >= 0)
		answer(s, s->early_fd, &s->early);
	s->early_fd = -1;
}

// Nothing is said on the connection after the greeting: whatever can be read is its end.
static void part(struct serve *s)
{
	char byte;

	if (recv(s->control_fd, &byte, 1, MSG_DONTWAIT) > 0)
		log_warn("control sent something unexpected; the connection is closed");
	else
		log_info("control left; media goes on");
	close_fd(&s->control_fd);
	s->parted_ms = region_now_ns() / NS_PER_MS;
}

// A worker that hangs keeps the service from showing life.
static bool workers_turn(const struct serve *s, uint64_t now_ms)
{
	uint64_t limit_ms = supervisor_watchdog_ms() / 3;

	for (uint16_t w = 0; w < s->region->n_workers; w++)
		if (now_ms > s->region->workers[w].heartbeat_ns / NS_PER_MS + limit_ms)
			return false;
	return true;
}

// Only control answers the viewers' checks: without it nobody's consent outlives its time (RFC 7675
// 5.1), and media must not go to where nobody may be any more.
static void watch_consent(struct serve *s, uint64_t now_ms)
{
	if (!s->alone || s->control_fd >= 0 || atomic_load(s->alone) ||
		now_ms - s->parted_ms < s->consent_ms)
		return;
	atomic_store(s->alone, true);
	log_warn("no control for %u s: viewers get nothing until it is back; is millrace-control "
		 "running?",
		s->consent_ms / 1000);
}

// Return: milliseconds until there may be something to tend.
static int tend(struct serve *s)
{
	uint64_t now_ms = region_now_ns() / NS_PER_MS, watchdog_ms = supervisor_watchdog_ms();
	uint64_t next_ms = s->steering ? STEERING_MS : HOST_WATCH_MS;

	if (s->settled_ms && now_ms >= s->settled_ms) {
		region_settled(s->region);
		s->settled_ms = 0;
	}
	watch_consent(s, now_ms);
	if (watchdog_ms && workers_turn(s, now_ms))
		supervisor_alive(now_ms);
	if (s->steering && steering_poll(s->steering))
		return 0;
	if (watchdog_ms && watchdog_ms / 10 < next_ms)
		next_ms = watchdog_ms / 10;
	return (int)next_ms;
}

int serve_run(struct serve *s, struct region *region)
{
	int rc = 0;

	s->region = region;
	s->parted_ms = region_now_ns() / NS_PER_MS;
	s->settled_ms = s->parted_ms + SETTLE_MS;
	greet_early(s);
	for (;;) {
		struct pollfd fds[] = {
			{ .fd = s->signal_fd, .events = POLLIN },
			{ .fd = s->listen_fd, .events = POLLIN },
			{ .fd = s->control_fd, .events = POLLIN },
		};

		if (poll(fds, 3, tend(s)) < 0 && errno != EINTR)
			rc = -errno;
		host_watch(s->host);
		if (rc < 0 || fds[0].revents)
			break;
		if (fds[2].revents)
			part(s);
		if (fds[1].revents)
			greet(s);
	}
	// Whoever ends when asked to has lasted, however short it was.
	if (rc == 0)
		region_settled(region);
	s->left = s->control_fd >= 0;
	return rc;
}
