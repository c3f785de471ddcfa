// millrace-load: joins many WHEP viewers and checks what they are sent; see --help.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "tests/load/clock.h"
#include "tests/load/viewer.h"

enum {
	EVENTS = 256,
	JOINS_AT_ONCE = 32,
	PROGRESS_US = 1000000,
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	interrupted = 1;
}

// ---- set up ------------------------------------------------------------------------------------

static void raise_limits(uint32_t viewers)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max < viewers + 1024ul)
		limit.rlim_max = viewers + 1024ul; // root may; others keep what they have
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
		getrlimit(RLIMIT_NOFILE, &limit);
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static void random_text(char *out, size_t chars)
{
	static const char set[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t bytes[64];

	RAND_bytes(bytes, (int)chars);
	for (size_t i = 0; i < chars; i++)
		out[i] = set[bytes[i] & 63];
	out[chars] = 0;
}

static int set_up(struct load *load)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	raise_limits(load->options.viewers);
	if (srtp_init() != srtp_err_status_ok)
		return -EIO;
	TAILQ_INIT(&load->all);
	TAILQ_INIT(&load->dead);
	for (int i = 0; i < WHEEL_SLOTS; i++)
		TAILQ_INIT(&load->wheel[i]);
	load->wheel_at = clock_us() / WHEEL_SLOT_US;
	random_text(load->local.ufrag, 8);
	random_text(load->local.pwd, 24);
	load->dtls = dtls_client_create(load->local.fingerprint);
	load->http = http_create(load->options.connections, load->options.fresh);
	load->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!load->dtls || !load->http || load->epoll_fd < 0)
		return -ENOMEM;
	return epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, http_fd(load->http), &event) < 0 ? -errno
											 : 0;
}

// ---- the loop ----------------------------------------------------------------------------------

static void reap(struct load *load)
{
	struct viewer *v;

	while ((v = TAILQ_FIRST(&load->dead))) {
		TAILQ_REMOVE(&load->dead, v, link);
		viewer_free(v);
	}
}

static void join_due(struct load *load, uint64_t began_us, uint64_t now_us)
{
	const struct load_options *o = &load->options;
	double due = o->viewers;

	if (o->join_rate > 0 && (double)(now_us - began_us) / 1e6 * o->join_rate + 1 < due)
		due = (double)(now_us - began_us) / 1e6 * o->join_rate + 1;
	for (int i = 0; load->report.started + 1 <= due; i++) {
		// All at once means before the first is answered.
		if (i == JOINS_AT_ONCE && o->join_rate > 0)
			return;
		if (viewer_start(load, load->report.started) < 0)
			return;
	}
	if (load->report.started == o->viewers && !load->leave_us)
		load->leave_us = now_us + (uint64_t)(o->seconds * 1e6);
}

// All leave, as fast as the HTTP connections allow.
static void leave_due(struct load *load, uint64_t now_us)
{
	struct viewer *v, *next;

	if (!load->leave_us || now_us < load->leave_us)
		return;
	for (v = TAILQ_FIRST(&load->all); v && load->requests < load->options.connections;
		v = next) {
		next = TAILQ_NEXT(v, link);
		if (v->state != VIEWER_LEAVING)
			viewer_leave(v, now_us);
	}
}

static void turn(struct load *load, uint64_t began_us)
{
	struct epoll_event events[EVENTS];
	int wait = http_wait_ms(load->http), n;
	uint64_t now;

	if (wait < 0 || wait > WHEEL_SLOT_US / 1000)
		wait = WHEEL_SLOT_US / 1000;
	if (load->options.join_rate > 250 && load->report.started < load->options.viewers)
		wait = wait > 1 ? 1 : wait;
	n = epoll_wait(load->epoll_fd, events, EVENTS, wait);
	for (int i = 0; i < n; i++) {
		// HTTP between the packets, so that its times are the edge's and not ours.
		if (i % 16 == 0)
			http_poll(load->http);
		if (events[i].data.ptr)
			viewer_readable(events[i].data.ptr);
	}
	http_poll(load->http);
	now = clock_us();
	wheel_run(load, now);
	if (interrupted)
		load->leave_us = 1;
	else
		join_due(load, began_us, now);
	leave_due(load, now);
	reap(load);
}

static void run(struct load *load)
{
	uint64_t began_us = clock_us(), progress_us = began_us, turn_us = began_us;

	do {
		uint64_t now;

		turn(load, began_us);
		now = clock_us();
		if (now - turn_us > load->report.longest_turn_us)
			load->report.longest_turn_us = now - turn_us;
		turn_us = now;
		if (!load->options.quiet && clock_us() >= progress_us + PROGRESS_US) {
			progress_us = clock_us();
			report_progress(&load->report, (double)(progress_us - began_us) / 1e6);
		}
	} while (!TAILQ_EMPTY(&load->all) ||
		 (!interrupted && load->report.started < load->options.viewers));
}

static void judge_expected(struct load *load)
{
	const struct load_options *o = &load->options;

	for (unsigned int i = 0; i < o->n_expect; i++)
		if (load->report.posts[o->expect[i].status] != o->expect[i].answers)
			report_fault(&load->report, FAULT_EXPECTED,
				"%u answers of %u, %u were expected",
				load->report.posts[o->expect[i].status], o->expect[i].status,
				o->expect[i].answers);
}

int main(int argc, char **argv)
{
	static struct load load;
	int rc;

	options_read(argc, argv, &load.options);
	rc = set_up(&load);
	if (rc < 0) {
		fprintf(stderr, "millrace-load: cannot start: %s\n", strerror(-rc));
		return 1;
	}
	run(&load);
	judge_expected(&load);
	if (!load.options.quiet && isatty(2))
		fputc('\n', stderr);
	if (load.options.json)
		report_json(&load.report);
	else
		report_text(&load.report);
	rc = report_n_faults(&load.report) > 0;
	reap(&load);
	http_destroy(load.http);
	dtls_client_destroy(load.dtls);
	report_fini(&load.report);
	close(load.epoll_fd);
	srtp_shutdown();
	return rc;
}
