#include "dataplane/abi/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "dataplane/abi/region.h"

enum {
	CHANNEL_ANSWER_MS = 5000,
	CHANNEL_MAX_FDS = 2,
};

// Both directions: control sends it with the region that it holds, if it holds one, the data plane
// with two descriptors.
struct channel_msg {
	uint32_t magic;
	uint32_t abi_version;
	int32_t status; // answer: 0 or -errno
	char reason[CHANNEL_REASON_MAX];
};

static int fill_address(const char *path, struct sockaddr_un *out)
{
	memset(out, 0, sizeof(*out));
	out->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(out->sun_path))
		return -ENAMETOOLONG;
	strncpy(out->sun_path, path, sizeof(out->sun_path) - 1);
	return 0;
}

static int lock_path(const char *path, char out[PATH_MAX])
{
	return snprintf(out, PATH_MAX, "%s.lock", path) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int open_locked(const char *lock, int *out, bool *left)
{
	const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW;
	int fd = open(lock, flags | O_CREAT | O_EXCL, 0600);
	int rc;

	*left = fd < 0 && errno == EEXIST;
	if (*left)
		fd = open(lock, flags | O_CREAT, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		rc = errno == EWOULDBLOCK ? -EADDRINUSE : -errno;
		close(fd);
		return rc;
	}
	*out = fd;
	return 0;
}

// The lock, not the socket, says who is alive: it goes with the process, whatever ends it.
int channel_lock(const char *path, int *lock_fd, bool *left)
{
	struct sockaddr_un addr;
	char lock[PATH_MAX];
	struct stat st;
	int fd = -1, rc;

	rc = fill_address(path, &addr);
	if (rc == 0)
		rc = lock_path(path, lock);
	if (rc < 0)
		return rc;
	for (;;) {
		rc = open_locked(lock, &fd, left);
		if (rc < 0)
			return rc;
		// One that ended between our open and our lock took the file's name with it.
		if (fstat(fd, &st) == 0 && st.st_nlink > 0)
			break;
		close(fd);
	}
	*lock_fd = fd;
	return 0;
}

int channel_listen(const char *path, uint32_t gid, int *listen_fd)
{
	struct sockaddr_un addr;
	int fd, rc;

	rc = fill_address(path, &addr);
	if (rc < 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	unlink(path);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		goto err;
	if (gid != UINT32_MAX && chown(path, (uid_t)-1, gid) < 0)
		goto err_unlink;
	if (chmod(path, 0660) < 0 || listen(fd, 4) < 0)
		goto err_unlink;
	*listen_fd = fd;
	return 0;

err_unlink:
	unlink(path);
err:
	rc = -errno;
	close(fd);
	return rc;
}

void channel_unlisten(const char *path, int listen_fd, int lock_fd, bool leave_lock)
{
	char lock[PATH_MAX];

	if (listen_fd >= 0) {
		unlink(path);
		close(listen_fd);
	}
	if (!leave_lock && lock_path(path, lock) == 0)
		unlink(lock);
	close(lock_fd);
}

static int send_msg(int fd, const struct channel_msg *msg, const int *fds, int n_fds)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(CHANNEL_MAX_FDS * sizeof(int))] = {};
	struct iovec iov = { .iov_base = (void *)msg, .iov_len = sizeof(*msg) };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n_fds > 0) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		hdr.msg_control = control;
		hdr.msg_controllen = CMSG_SPACE((size_t)n_fds * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN((size_t)n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, (size_t)n_fds * sizeof(int));
	}
	return sendmsg(fd, &hdr, MSG_NOSIGNAL) == (ssize_t)sizeof(*msg) ? 0 : -errno;
}

// Take the descriptors out of a message; all are closed when there are too many or too few.
// Return: how many came; -EPROTO.
static int take_fds(struct msghdr *hdr, int *fds, int n_least, int n_most)
{
	int got[CHANNEL_MAX_FDS + 2], n_got = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(hdr); c; c = CMSG_NXTHDR(hdr, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; CMSG_LEN((i + 1) * sizeof(int)) <= c->cmsg_len; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (n_got < (int)(sizeof(got) / sizeof(got[0])))
				got[n_got++] = fd;
			else
				close(fd);
		}
	}
	if (n_got >= n_least && n_got <= n_most) {
		for (int i = 0; i < n_got; i++)
			fds[i] = got[i];
		return n_got;
	}
	while (n_got > 0)
		close(got[--n_got]);
	return -EPROTO;
}

// Return: how many descriptors came; -EPROTO, -errno.
static int receive_msg(int fd, struct channel_msg *msg, int *fds, int n_least, int n_most)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE((CHANNEL_MAX_FDS + 2) * sizeof(int))];
	struct iovec iov = { .iov_base = msg, .iov_len = sizeof(*msg) };
	struct msghdr hdr = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(fd, &hdr, MSG_CMSG_CLOEXEC);
	int n_fds;
	bool good;

	if (n < 0)
		return -errno;
	good = n == (ssize_t)sizeof(*msg) && !(hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) &&
	       msg->magic == CHANNEL_MAGIC;
	if (good)
		msg->reason[CHANNEL_REASON_MAX - 1] = 0;
	n_fds = good && msg->status == 0 ? take_fds(&hdr, fds, n_least, n_most)
					 : take_fds(&hdr, fds, 0, 0);
	return good ? n_fds : -EPROTO;
}

static int refuse_with(int fd, struct channel_msg *msg, int status, const char *reason)
{
	msg->status = status;
	snprintf(msg->reason, sizeof(msg->reason), "%s", reason);
	send_msg(fd, msg, NULL, 0);
	return status;
}

int channel_hear(int conn_fd, struct channel_hello *out)
{
	struct channel_msg msg;
	int region_fd = -1;
	int rc = receive_msg(conn_fd, &msg, &region_fd, 0, 1);

	if (rc < 0)
		return rc;
	*out = (struct channel_hello){ .abi_version = msg.abi_version, .region_fd = region_fd };
	return 0;
}

int channel_answer(int conn_fd, const struct channel_hello *hello,
	const struct channel_offer *offer, const char *refuse)
{
	struct channel_msg answer = { .magic = CHANNEL_MAGIC, .abi_version = REGION_ABI_VERSION };
	const int fds[CHANNEL_MAX_FDS] = { offer->region_fd, offer->wake_fd };
	char text[CHANNEL_REASON_MAX];

	if (hello->abi_version != REGION_ABI_VERSION) {
		snprintf(text, sizeof(text), "data plane speaks ABI %d, control ABI %u",
			REGION_ABI_VERSION, hello->abi_version);
		return refuse_with(conn_fd, &answer, -EPROTONOSUPPORT, text);
	}
	if (refuse)
		return refuse_with(conn_fd, &answer, -EBUSY, refuse);
	return send_msg(conn_fd, &answer, fds, CHANNEL_MAX_FDS);
}

static int ask(int fd, int region_fd, struct channel_offer *out, char reason[CHANNEL_REASON_MAX])
{
	struct channel_msg msg = { .magic = CHANNEL_MAGIC, .abi_version = REGION_ABI_VERSION };
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	int fds[CHANNEL_MAX_FDS], rc;

	rc = send_msg(fd, &msg, &region_fd, region_fd >= 0);
	if (rc < 0)
		return rc;
	rc = poll(&pfd, 1, CHANNEL_ANSWER_MS);
	if (rc <= 0)
		return rc == 0 ? -ETIMEDOUT : -errno;
	rc = receive_msg(fd, &msg, fds, CHANNEL_MAX_FDS, CHANNEL_MAX_FDS);
	if (rc < 0)
		return rc;
	if (msg.status != 0) {
		memcpy(reason, msg.reason, CHANNEL_REASON_MAX);
		return msg.status < 0 ? msg.status : -EPROTO;
	}
	out->region_fd = fds[0];
	out->wake_fd = fds[1];
	return 0;
}

int channel_connect(const char *path, int region_fd, int *conn_fd, struct channel_offer *out,
	char reason[CHANNEL_REASON_MAX])
{
	struct sockaddr_un addr;
	int fd, rc;

	reason[0] = 0;
	rc = fill_address(path, &addr);
	if (rc < 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		rc = -errno;
	else
		rc = ask(fd, region_fd, out, reason);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	*conn_fd = fd;
	return 0;
}
