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
#include "dataplane/fanout/steering.h"

enum {
	HELLO_MS = 1000,  // control says hello within this, or is let go
	STEERING_MS = 20, // between looks at what the workers wish of the NIC
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

int serve_init(struct serve *s, const char *path, uint32_t gid)
{
	int rc;

	*s = (struct serve){ .path = path,
		.listen_fd = -1,
		.lock_fd = -1,
		.signal_fd = -1,
		.wake_fd = -1,
		.control_fd = -1 };
	make_parent(path);
	rc = channel_listen(path, gid, &s->listen_fd, &s->lock_fd);
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

void serve_fini(struct serve *s)
{
	if (s->control_fd >= 0)
		close(s->control_fd);
	if (s->signal_fd >= 0)
		close(s->signal_fd);
	if (s->wake_fd >= 0)
		close(s->wake_fd);
	if (s->lock_fd >= 0)
		channel_unlisten(s->path, s->listen_fd, s->lock_fd);
}

static void greet(struct serve *s)
{
	const struct channel_offer offer = { .region_fd = s->region->fd, .wake_fd = s->wake_fd };
	int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	struct pollfd hello = { .fd = fd, .events = POLLIN };
	int rc;

	if (fd < 0)
		return;
	rc = poll(&hello, 1, HELLO_MS) == 1 ? 0 : -ETIMEDOUT;
	if (rc == 0)
		rc = channel_answer(fd, &offer,
			s->control_fd >= 0 ? "another control process is connected" : NULL);
	if (rc < 0) {
		log_warn("a connection to %s was refused: %s", s->path, strerror(-rc));
		close(fd);
		return;
	}
	s->control_fd = fd;
	log_info("control connected");
}

// Nothing is said on the connection after the greeting: whatever can be read is its end.
static void part(struct serve *s)
{
	char byte;

	if (recv(s->control_fd, &byte, 1, MSG_DONTWAIT) > 0)
		log_warn("control sent something unexpected; the connection is closed");
	else
		log_info("control left; media goes on");
	close(s->control_fd);
	s->control_fd = -1;
}

// Return: milliseconds until it must be looked at again; -1: not before something else happens.
static int steer(struct steering *steering)
{
	if (!steering)
		return -1;
	return steering_poll(steering) ? 0 : STEERING_MS;
}

int serve_run(struct serve *s, const struct region *region)
{
	s->region = region;
	for (;;) {
		struct pollfd fds[] = {
			{ .fd = s->signal_fd, .events = POLLIN },
			{ .fd = s->listen_fd, .events = POLLIN },
			{ .fd = s->control_fd, .events = POLLIN },
		};

		if (poll(fds, 3, steer(s->steering)) < 0 && errno != EINTR)
			return -errno;
		if (fds[0].revents)
			return 0;
		if (fds[2].revents)
			part(s);
		if (fds[1].revents)
			greet(s);
	}
}
