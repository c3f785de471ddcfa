// What is said to systemd, heard by a socket of the test's own; and descriptors taken from it.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "dataplane/abi/supervisor.h"

static char path[64];
static int heard_fd = -1; // socket that hears
static int came_fd = -1;  // descriptor that came with the last message

static int hear_up(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	snprintf(path, sizeof(path), "/tmp/millrace-notify.%d", getpid());
	strcpy(addr.sun_path, path);
	heard_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (bind(heard_fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -1;
	return setenv("NOTIFY_SOCKET", path, 1);
}

static int hear_down(void **state)
{
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	close(heard_fd);
	if (came_fd >= 0)
		close(came_fd);
	came_fd = -1;
	return unlink(path);
}

// Return: the next message in a static buffer; "" none waits.
static const char *hear(void)
{
	static char text[512];
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { .iov_base = text, .iov_len = sizeof(text) - 1 };
	struct msghdr hdr = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(heard_fd, &hdr, MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&hdr);

	text[n < 0 ? 0 : n] = 0;
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(&came_fd, CMSG_DATA(c), sizeof(came_fd));
	return text;
}

static bool same_file(int a, int b)
{
	struct stat sa, sb;

	return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && sa.st_ino == sb.st_ino;
}

static void life_is_told(void **state)
{
	supervisor_ready("serving");
	assert_string_equal(hear(), "READY=1\nSTATUS=serving");
	supervisor_stopping();
	assert_string_equal(hear(), "STOPPING=1");
	assert_string_equal(hear(), "");
}

// Three times within the time that is given, however often it is called.
static void life_is_shown_at_its_pace(void **state)
{
	unsigned int n = 0;

	assert_int_equal(supervisor_watchdog_ms(), 0);
	supervisor_alive(1000);
	assert_string_equal(hear(), "");
	setenv("WATCHDOG_USEC", "3000000", 1);
	assert_int_equal(supervisor_watchdog_ms(), 3000);
	for (uint64_t ms = 5000; ms < 8000; ms += 50) {
		supervisor_alive(ms);
		n += strcmp(hear(), "WATCHDOG=1") == 0;
	}
	assert_int_equal(n, 3);
}

static void a_descriptor_is_kept_in_place_of_the_last(void **state)
{
	int fd = memfd_create("kept", MFD_CLOEXEC);

	assert_int_equal(supervisor_keep_fd("region", fd), 0);
	assert_string_equal(hear(), "FDSTOREREMOVE=1\nFDNAME=region");
	assert_int_equal(came_fd, -1);
	assert_string_equal(hear(), "FDSTORE=1\nFDNAME=region");
	assert_true(same_file(came_fd, fd));
	close(fd);
}

static void without_systemd_nothing_happens(void **state)
{
	unsetenv("NOTIFY_SOCKET");
	supervisor_ready("serving");
	supervisor_stopping();
	assert_int_equal(supervisor_keep_fd("region", heard_fd), -ENOTCONN);
	assert_int_equal(supervisor_take_fd("region"), -ENOENT);
	assert_string_equal(hear(), "");
}

// In a process of its own, whose low descriptors are those of the service.
static int take_in_child(const char *names, const int *fds, int n)
{
	char text[16];
	int got, want;

	snprintf(text, sizeof(text), "%d", getpid());
	setenv("LISTEN_PID", text, 1);
	snprintf(text, sizeof(text), "%d", n);
	setenv("LISTEN_FDS", text, 1);
	setenv("LISTEN_FDNAMES", names, 1);
	for (int i = 0; i < n; i++)
		dup2(fds[i], 3 + i);
	got = supervisor_take_fd("region");
	want = n > 1 ? 4 : -ENOENT;
	if (got != want || (got >= 0 && !(fcntl(got, F_GETFD) & FD_CLOEXEC)))
		return 1;
	// One of each name: the second of ours is closed, the other's is not.
	if (n > 2 && fcntl(5, F_GETFD) >= 0)
		return 2;
	return fcntl(3, F_GETFD) >= 0 ? 0 : 3;
}

static void kept_descriptors_are_taken(void **state)
{
	static const struct {
		const char *names;
		int n;
	} rows[] = { { "other", 1 }, { "other:region", 2 }, { "other:region:region", 3 } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int fds[3], status;
		pid_t pid;

		for (int j = 0; j < 3; j++)
			fds[j] = fcntl(heard_fd, F_DUPFD, 100);
		pid = fork();
		if (pid == 0)
			_exit(take_in_child(rows[i].names, fds, rows[i].n));
		waitpid(pid, &status, 0);
		if (status != 0)
			fail_msg("row %zu: %#x", i, status);
		for (int j = 0; j < 3; j++)
			close(fds[j]);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, hear_up, hear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(life_is_told),
		TEST(life_is_shown_at_its_pace),
		TEST(a_descriptor_is_kept_in_place_of_the_last),
		TEST(without_systemd_nothing_happens),
		TEST(kept_descriptors_are_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
