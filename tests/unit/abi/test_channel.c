// The socket on which the processes meet: one listener, one greeting, and no descriptor lost
// whatever is said.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "dataplane/abi/channel.h"
#include "dataplane/abi/region.h"

// A message as it stands on the wire.
struct wire {
	uint32_t magic;
	uint32_t abi_version;
	int32_t status;
	char reason[CHANNEL_REASON_MAX];
};

static char folder[64], path[108];
static int listen_fd, lock_fd;

static int fd_count(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static int listen_at(const char *at, uint32_t gid, int *fd, int *lock)
{
	bool left;
	int mine, rc = channel_lock(at, &mine, &left);

	if (rc < 0)
		return rc;
	rc = channel_listen(at, gid, fd);
	if (rc < 0)
		channel_unlisten(at, -1, mine, false);
	else
		*lock = mine;
	return rc;
}

// What the data plane does with a connection that can be read.
static int greet_one(int conn, const struct channel_offer *offer, const char *refuse)
{
	struct channel_hello hello = { .region_fd = -1 };
	int rc = channel_hear(conn, &hello);

	if (rc == 0)
		rc = channel_answer(conn, &hello, offer, refuse);
	if (hello.region_fd >= 0)
		close(hello.region_fd);
	return rc;
}

static int listen_up(void **state)
{
	strcpy(folder, "/tmp/millrace-channel.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/sock", folder);
	return listen_at(path, UINT32_MAX, &listen_fd, &lock_fd);
}

static int listen_down(void **state)
{
	channel_unlisten(path, listen_fd, lock_fd, false);
	return rmdir(folder); // fails where something was left behind
}

// ---- listening ---------------------------------------------------------------------------------

static void second_listener_is_told(void **state)
{
	int fd = -7, lock = -7, before = fd_count();

	assert_int_equal(listen_at(path, UINT32_MAX, &fd, &lock), -EADDRINUSE);
	assert_int_equal(fd, -7);
	assert_int_equal(lock, -7);
	assert_int_equal(fd_count(), before);
	assert_int_equal(access(path, F_OK), 0); // the first one's socket stays
}

static void dead_socket_is_taken(void **state)
{
	struct channel_offer offer;
	char reason[CHANNEL_REASON_MAX];
	int conn;

	// As when the process ended without a word.
	close(listen_fd);
	close(lock_fd);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(channel_connect(path, -1, &conn, &offer, reason), -ECONNREFUSED);
	assert_int_equal(listen_at(path, UINT32_MAX, &listen_fd, &lock_fd), 0);
}

static void socket_is_for_the_group(void **state)
{
	struct stat st;

	channel_unlisten(path, listen_fd, lock_fd, false);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(
		listen_at(path, geteuid() == 0 ? 12345 : getegid(), &listen_fd, &lock_fd), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	assert_int_equal(st.st_gid, geteuid() == 0 ? 12345 : getegid());
}

static void impossible_paths(void **state)
{
	char text[300], lock[310];
	int fd, lock2, before = fd_count();

	snprintf(text, sizeof(text), "%s/none/sock", folder);
	assert_int_equal(listen_at(text, UINT32_MAX, &fd, &lock2), -ENOENT);
	// A file name may be longer than a socket address is.
	memset(text, 'x', sizeof(text));
	memcpy(text, folder, strlen(folder));
	text[strlen(folder)] = '/';
	text[130] = 0;
	assert_int_equal(listen_at(text, UINT32_MAX, &fd, &lock2), -ENAMETOOLONG);
	strcat(text, ".lock");
	unlink(text);
	// Nobody makes us lock a file of his choice.
	snprintf(text, sizeof(text), "%s/other", folder);
	snprintf(lock, sizeof(lock), "%s.lock", text);
	assert_int_equal(symlink("/dev/null", lock), 0);
	assert_int_equal(listen_at(text, UINT32_MAX, &fd, &lock2), -ELOOP);
	unlink(lock);
	assert_int_equal(fd_count(), before);
}

// ---- the data plane's side ---------------------------------------------------------------------

static struct wire hello(void)
{
	return (struct wire){ .magic = CHANNEL_MAGIC, .abi_version = REGION_ABI_VERSION };
}

static int dial(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void say(int fd, const void *bytes, size_t n, const int *fds, size_t n_fds)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))] = { 0 };
	struct iovec iov = { .iov_base = (void *)bytes, .iov_len = n };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n_fds) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		hdr.msg_control = control;
		hdr.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	assert_int_equal(sendmsg(fd, &hdr, MSG_NOSIGNAL), (ssize_t)n);
}

static void hellos_are_judged(void **state)
{
	static const struct {
		uint32_t magic, version;
		int bytes; // more or less than there should be
		size_t n_fds;
		int rc;
	} rows[] = {
		{ CHANNEL_MAGIC, REGION_ABI_VERSION, 0, 0, 0 },
		{ 0x12345678, REGION_ABI_VERSION, 0, 0, -EPROTO },
		{ CHANNEL_MAGIC, REGION_ABI_VERSION + 1, 0, 0, -EPROTONOSUPPORT },
		{ CHANNEL_MAGIC, 0, 0, 0, -EPROTONOSUPPORT },
		{ CHANNEL_MAGIC, REGION_ABI_VERSION, -1, 0, -EPROTO },
		{ CHANNEL_MAGIC, REGION_ABI_VERSION, -(int)sizeof(struct wire) + 1, 0, -EPROTO },
		{ CHANNEL_MAGIC, REGION_ABI_VERSION, 1, 0, -EPROTO },
		{ CHANNEL_MAGIC, REGION_ABI_VERSION, 0, 1, 0 },	      // a region from before
		{ CHANNEL_MAGIC, REGION_ABI_VERSION, 0, 2, -EPROTO }, // descriptors uncalled for
		{ CHANNEL_MAGIC, REGION_ABI_VERSION, 0, 3, -EPROTO },
		{ CHANNEL_MAGIC, REGION_ABI_VERSION, 0, 8, -EPROTO },
		{ 0x12345678, REGION_ABI_VERSION, 0, 2, -EPROTO },
	};
	const struct channel_offer offer = { .region_fd = 1, .wake_fd = 2 };
	const int fds[8] = { 0, 1, 2, 0, 1, 2, 0, 1 };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct {
			struct wire msg;
			char more[8];
		} said = { .msg = { .magic = rows[i].magic, .abi_version = rows[i].version } };
		int before = fd_count(), mine = dial(), theirs = accept(listen_fd, NULL, NULL), rc;

		say(mine, &said, sizeof(struct wire) + (size_t)rows[i].bytes, fds, rows[i].n_fds);
		rc = greet_one(theirs, &offer, NULL);
		if (rc != rows[i].rc)
			fail_msg("row %zu: %d", i, rc);
		close(mine);
		close(theirs);
		assert_int_equal(fd_count(), before);
	}
}

static void hang_up_before_hello(void **state)
{
	const struct channel_offer offer = { .region_fd = 1, .wake_fd = 2 };
	int mine = dial(), theirs = accept(listen_fd, NULL, NULL);

	close(mine);
	assert_int_equal(greet_one(theirs, &offer, NULL), -EPROTO);
	close(theirs);
}

// Gone between hello and answer: an error, not a signal.
static void hang_up_before_answer(void **state)
{
	const struct channel_offer offer = { .region_fd = 1, .wake_fd = 2 };
	int mine = dial(), theirs = accept(listen_fd, NULL, NULL);
	const struct wire h = hello();

	say(mine, &h, sizeof(h), NULL, 0);
	close(mine);
	assert_true(greet_one(theirs, &offer, NULL) < 0);
	close(theirs);
}

// ---- control's side ----------------------------------------------------------------------------

// A data plane of one greeting: a true one, or one that says what it likes.
struct server {
	const struct channel_offer *offer;
	const char *refuse;
	const void *instead; // of an answer; NULL: channel_answer
	size_t instead_bytes;
	size_t n_fds;
	int rc;
	int conn_fd;
	int held_fd; // what control holds; 0: nothing
	int heard_fd;
};

static int hear_region(struct server *s)
{
	struct channel_hello hello;
	int rc = channel_hear(s->conn_fd, &hello);

	s->heard_fd = hello.region_fd;
	return rc == 0 ? channel_answer(s->conn_fd, &hello, s->offer, s->refuse) : rc;
}

static void *serve(void *arg)
{
	struct server *s = arg;
	struct pollfd p = { .fd = listen_fd, .events = POLLIN };
	const int fds[3] = { 0, 1, 2 };
	char sink[sizeof(struct wire)];

	poll(&p, 1, 5000);
	s->conn_fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (!s->instead) {
		p = (struct pollfd){ .fd = s->conn_fd, .events = POLLIN };
		poll(&p, 1, 5000);
		s->rc = s->held_fd ? hear_region(s) : greet_one(s->conn_fd, s->offer, s->refuse);
		return NULL;
	}
	s->rc = (int)recv(s->conn_fd, sink, sizeof(sink), 0);
	if (s->instead_bytes)
		say(s->conn_fd, s->instead, s->instead_bytes, fds, s->n_fds);
	else
		shutdown(s->conn_fd, SHUT_RDWR);
	return NULL;
}

static int greet(struct server *s, int *conn, struct channel_offer *out, char *reason)
{
	pthread_t thread;
	int rc;

	assert_int_equal(pthread_create(&thread, NULL, serve, s), 0);
	rc = channel_connect(path, s->held_fd ? s->held_fd : -1, conn, out, reason);
	pthread_join(thread, NULL);
	return rc;
}

static bool same_file(int a, int b)
{
	struct stat sa, sb;

	return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
	       sa.st_ino == sb.st_ino;
}

static void region_is_handed_over(void **state)
{
	const struct region_sizes sizes = { 1, 1, 1 };
	struct region made, mapped;
	struct channel_offer offer, got = { -1, -1 };
	struct server s = { .offer = &offer };
	char reason[CHANNEL_REASON_MAX];
	int before, conn = -1;
	uint64_t woken = 0;

	assert_int_equal(region_create(&sizes, &made), 0);
	before = fd_count();
	offer = (struct channel_offer){ .region_fd = made.fd, .wake_fd = eventfd(5, EFD_CLOEXEC) };
	assert_int_equal(greet(&s, &conn, &got, reason), 0);
	assert_int_equal(s.rc, 0);
	assert_true(same_file(got.region_fd, made.fd));
	assert_int_equal(fcntl(got.region_fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(fcntl(got.wake_fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(read(got.wake_fd, &woken, sizeof(woken)), sizeof(woken));
	assert_int_equal(woken, 5);
	assert_int_equal(region_map(got.region_fd, &mapped), 0);
	mapped.streams[0].conf.generation = 99;
	assert_int_equal(made.streams[0].conf.generation, 99);
	// Each side sees the other's end.
	close(s.conn_fd);
	assert_int_equal(recv(conn, reason, 1, 0), 0);
	close(conn);
	region_fini(&mapped);
	close(got.wake_fd);
	close(offer.wake_fd);
	assert_int_equal(fd_count(), before);
	region_fini(&made);
}

// A control that holds the region of a data plane that left offers it with its hello.
static void held_region_is_offered(void **state)
{
	const struct region_sizes sizes = { 1, 1, 1 };
	struct region held;
	struct channel_offer offer, got;
	struct server s = { .offer = &offer };
	char reason[CHANNEL_REASON_MAX];
	int before, conn = -1;

	assert_int_equal(region_create(&sizes, &held), 0);
	before = fd_count();
	offer = (struct channel_offer){ .region_fd = held.fd, .wake_fd = held.fd };
	s.held_fd = held.fd;
	assert_int_equal(greet(&s, &conn, &got, reason), 0);
	assert_int_equal(s.rc, 0);
	assert_true(same_file(s.heard_fd, held.fd));
	assert_int_equal(fcntl(s.heard_fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	close(s.heard_fd);
	close(s.conn_fd);
	close(conn);
	close(got.region_fd);
	close(got.wake_fd);
	assert_int_equal(fd_count(), before);
	region_fini(&held);
}

// Who may find a control that holds a region is told by the lock that was left.
static void a_lock_left_behind_is_told(void **state)
{
	bool left = true;

	channel_unlisten(path, listen_fd, lock_fd, false);
	assert_int_equal(channel_lock(path, &lock_fd, &left), 0);
	assert_false(left);
	channel_unlisten(path, -1, lock_fd, true); // one that ended with a control connected
	assert_int_equal(channel_lock(path, &lock_fd, &left), 0);
	assert_true(left);
	close(lock_fd); // one that was killed
	assert_int_equal(channel_lock(path, &lock_fd, &left), 0);
	assert_true(left);
	channel_unlisten(path, -1, lock_fd, false);
	assert_int_equal(listen_at(path, UINT32_MAX, &listen_fd, &lock_fd), 0);
}

static void second_control_hears_why(void **state)
{
	const struct channel_offer offer = { .region_fd = 1, .wake_fd = 2 };
	struct server s = { .offer = &offer, .refuse = "another control process is connected" };
	struct channel_offer got = { -7, -7 };
	char reason[CHANNEL_REASON_MAX];
	int before = fd_count(), conn = -7;

	assert_int_equal(greet(&s, &conn, &got, reason), -EBUSY);
	assert_int_equal(s.rc, -EBUSY);
	assert_string_equal(reason, "another control process is connected");
	assert_int_equal(conn, -7);
	assert_int_equal(got.region_fd, -7);
	close(s.conn_fd);
	assert_int_equal(fd_count(), before);
}

static void answers_are_judged(void **state)
{
	struct wire good = hello(), wrong_magic = hello(), refused = hello(), odd = hello();
	const struct {
		const struct wire *msg;
		size_t bytes;
		size_t n_fds;
		int rc;
	} rows[] = {
		{ &good, sizeof(good), 2, 0 },
		{ &good, sizeof(good), 0, -EPROTO },
		{ &good, sizeof(good), 1, -EPROTO },
		{ &good, sizeof(good), 3, -EPROTO },
		{ &good, sizeof(good) - 1, 2, -EPROTO },
		{ &good, 0, 0, -EPROTO }, // hangs up
		{ &wrong_magic, sizeof(good), 2, -EPROTO },
		{ &refused, sizeof(good), 0, -EPROTONOSUPPORT },
		{ &refused, sizeof(good), 2, -EPROTO }, // refused, yet hands something over
		{ &odd, sizeof(good), 0, -EPROTO },
	};

	wrong_magic.magic++;
	refused.status = -EPROTONOSUPPORT;
	memset(refused.reason, 'r', sizeof(refused.reason));
	odd.status = 5;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct server s = { .instead = rows[i].msg,
			.instead_bytes = rows[i].bytes,
			.n_fds = rows[i].n_fds };
		struct channel_offer got;
		char reason[CHANNEL_REASON_MAX];
		int before = fd_count(), conn, rc = greet(&s, &conn, &got, reason);

		if (rc != rows[i].rc)
			fail_msg("row %zu: %d", i, rc);
		if (rc == -EPROTONOSUPPORT)
			assert_int_equal(strnlen(reason, sizeof(reason)), sizeof(reason) - 1);
		if (rc == 0) {
			close(conn);
			close(got.region_fd);
			close(got.wake_fd);
		}
		close(s.conn_fd);
		assert_int_equal(fd_count(), before);
	}
}

static void nobody_there(void **state)
{
	struct channel_offer got;
	char reason[CHANNEL_REASON_MAX], text[200];
	int before = fd_count(), conn;

	snprintf(text, sizeof(text), "%s/none", folder);
	assert_int_equal(channel_connect(text, -1, &conn, &got, reason), -ENOENT);
	memset(text, 'x', sizeof(text));
	text[150] = 0;
	assert_int_equal(channel_connect(text, -1, &conn, &got, reason), -ENAMETOOLONG);
	assert_int_equal(fd_count(), before);
	assert_string_equal(reason, "");
}

#define listening_test(f) cmocka_unit_test_setup_teardown(f, listen_up, listen_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		listening_test(second_listener_is_told),
		listening_test(dead_socket_is_taken),
		listening_test(socket_is_for_the_group),
		listening_test(impossible_paths),
		listening_test(hellos_are_judged),
		listening_test(hang_up_before_hello),
		listening_test(hang_up_before_answer),
		listening_test(region_is_handed_over),
		listening_test(held_region_is_offered),
		listening_test(a_lock_left_behind_is_told),
		listening_test(second_control_hears_why),
		listening_test(answers_are_judged),
		listening_test(nobody_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
