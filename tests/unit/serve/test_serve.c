// The main thread's service, without workers: what an end on request leaves behind.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_end_on_request_is_no_fault_of_the_regions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
