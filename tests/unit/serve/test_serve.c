// The main thread's service, without workers: what an end on request leaves behind, and what a
// control that is away.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dataplane/serve.h"

// Whoever restarts it again and again must not have the region given up (REGION_MAX_STARTS).
static void an_end_on_request_is_no_fault_of_the_regions(void **state)
{
	const struct region_sizes sizes = { .n_workers = 1, .n_streams = 1, .n_peers = 1 };
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };
	char dir[] = "/tmp/millrace-serve.XXXXXX", path[sizeof(dir) + 16];
	struct region r;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/sock", dir);
	assert_int_equal(region_create(&sizes, &r), 0);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		struct signalfd_siginfo info;
		struct serve s;

		assert_int_equal(serve_init(&s, path), 0);
		assert_int_equal(serve_listen(&s, UINT32_MAX), 0);
		r.header->starts = REGION_MAX_STARTS;
		assert_int_equal(kill(getpid(), signals[i]), 0); // blocked: it waits to be read
		assert_int_equal(serve_run(&s, &r), 0);
		assert_int_equal(read(s.signal_fd, &info, sizeof(info)), sizeof(info));
		assert_int_equal(info.ssi_signo, signals[i]);
		assert_int_equal(r.header->starts, 0);
		serve_fini(&s);
	}
	region_fini(&r);
	assert_int_equal(rmdir(dir), 0);
}

// What happens to a data plane without a control: ended after stop_ms by a child that, from call_ms
// on, is its control (0: is none).
static bool is_alone(uint32_t consent_ms, unsigned int call_ms, unsigned int stop_ms)
{
	const struct region_sizes sizes = { .n_workers = 1, .n_streams = 1, .n_peers = 1 };
	char dir[] = "/tmp/millrace-serve.XXXXXX", path[sizeof(dir) + 16];
	struct signalfd_siginfo info;
	atomic_bool alone = false;
	struct region r;
	struct serve s;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/sock", dir);
	assert_int_equal(region_create(&sizes, &r), 0);
	assert_int_equal(serve_init(&s, path), 0);
	assert_int_equal(serve_listen(&s, UINT32_MAX), 0);
	s.alone = &alone;
	s.consent_ms = consent_ms;
	if (fork() == 0) {
		char reason[CHANNEL_REASON_MAX];
		struct channel_offer offer;
		int fd;

		usleep(call_ms * 1000);
		if (call_ms && channel_connect(path, -1, &fd, &offer, reason) < 0)
			_exit(1);
		usleep((stop_ms - call_ms) * 1000);
		kill(getppid(), SIGTERM);
		_exit(0);
	}
	assert_int_equal(serve_run(&s, &r), 0);
	assert_int_equal(read(s.signal_fd, &info, sizeof(info)), sizeof(info));
	s.left = false;
	serve_fini(&s);
	region_fini(&r);
	assert_int_equal(rmdir(dir), 0);
	wait(NULL);
	return alone;
}

static void nobody_has_consent_without_a_control(void **state)
{
	assert_false(is_alone(60000, 0, 300));
	assert_true(is_alone(200, 0, 1200));
	assert_false(is_alone(200, 800, 1500)); // it came, and stays
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_end_on_request_is_no_fault_of_the_regions),
		cmocka_unit_test(nobody_has_consent_without_a_control),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
