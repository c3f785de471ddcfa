#include "tests/load/viewer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "tests/load/clock.h"

enum {
	CHECK_FIRST_US = 250000, // doubles
	CHECK_EVERY_US = 5000000,
	CHECKS_LOST_MAX = 3,
	REPORT_EVERY_US = 2000000,
	BYE_LIMIT_US = 1500000,
	MEDIA_AFTER_US = 500000,
	NO_MEDIA_US = 2000000, // who stays so long must have had a packet
	LOOK_AGAIN_US = 1000000,
	DATAGRAM_MAX_BYTES = 2048,
	DATAGRAMS_AT_ONCE = 32,
};

// ---- the end -----------------------------------------------------------------------------------

// From here on nothing happens to it but viewer_free.
static void die(struct viewer *v)
{
	struct load *load = v->load;

	if (v->state == VIEWER_DEAD)
		return;
	if (v->ready_us)
		load->report.now--;
	wheel_take(v);
	if (v->fd >= 0)
		close(v->fd);
	v->fd = -1;
	v->state = VIEWER_DEAD;
	TAILQ_REMOVE(&load->all, v, link);
	TAILQ_INSERT_TAIL(&load->dead, v, link);
}

void viewer_free(struct viewer *v)
{
	media_fini(&v->media);
	dtls_assoc_destroy(v->dtls);
	free(v->session_url);
	free(v);
}

static void judge_stay(struct viewer *v)
{
	bool long_enough = v->ready_us && clock_us() > v->ready_us + NO_MEDIA_US;

	if (long_enough && !v->media_seen && !v->load->options.no_media)
		report_fault(&v->load->report, FAULT_NO_MEDIA, "viewer %u: not one packet", v->id);
}

static void on_deleted(void *arg, const struct http_result *result)
{
	struct viewer *v = arg;
	struct load_report *r = &v->load->report;

	v->load->requests--;
	if (result->status == 0)
		report_fault(r, FAULT_HTTP, "viewer %u, DELETE: %s", v->id, result->error);
	else if (result->status != 204 && result->status != 200)
		report_fault(r, FAULT_DELETE_STATUS, "viewer %u: %ld", v->id, result->status);
	else
		report_time(r, TIMING_DELETE, result->us);
	r->left++;
	v->delete_done = true;
	v->left_us = clock_us();
	// A BYE can only be read by those who open packets.
	if (!v->media.in || v->media.bye)
		die(v);
	else
		wheel_put(v, v->left_us + LOOK_AGAIN_US / 10);
}

void viewer_leave(struct viewer *v, uint64_t now_us)
{
	struct load *load = v->load;
	bool del = load->options.leave == LEAVE_DELETE;

	if (v->asked_to_leave)
		return;
	v->asked_to_leave = true;
	if (v->state == VIEWER_ASKING)
		return; // once the answer is there
	judge_stay(v);
	v->state = VIEWER_LEAVING;
	v->left_us = now_us;
	if (del && v->session_url) {
		load->requests++;
		if (http_delete(load->http, v->session_url, on_deleted, v) == 0)
			return;
		load->requests--;
	}
	if (load->options.leave == LEAVE_CLOSE && v->dtls)
		dtls_say_goodbye(v->dtls);
	load->report.left++;
	v->delete_done = true;
	if (load->options.leave == LEAVE_CLOSE && v->media.in)
		wheel_put(v, now_us + LOOK_AGAIN_US / 10);
	else
		die(v);
}

// Leaves at once, by DELETE or silently: it has failed.
static void give_up(struct viewer *v)
{
	viewer_leave(v, clock_us());
}

static void tick_leaving(struct viewer *v, uint64_t now_us)
{
	if (!v->delete_done || (!v->media.bye && now_us < v->left_us + BYE_LIMIT_US)) {
		wheel_put(v, now_us + LOOK_AGAIN_US / 10);
		return;
	}
	if (!v->media.bye && v->media_seen)
		report_fault(&v->load->report, FAULT_NO_BYE, "viewer %u: none within %d ms", v->id,
			BYE_LIMIT_US / 1000);
	die(v);
}

// ---- ICE ---------------------------------------------------------------------------------------

static void send_check(struct viewer *v)
{
	uint8_t pkt[STUN_CHECK_MAX_BYTES];
	size_t bytes = stun_check_write(
		v->load->local.ufrag, v->answer.ufrag, v->answer.pwd, v->check_id, pkt);

	v->load->report.checks_sent++;
	send(v->fd, pkt, bytes, 0);
}

// A new transaction; the one before must have been answered by now.
static void check_consent(struct viewer *v, uint64_t now_us)
{
	v->checks_lost = v->check_answered ? 0 : v->checks_lost + 1;
	if (v->checks_lost == CHECKS_LOST_MAX)
		report_fault(&v->load->report, FAULT_CONSENT, "viewer %u: %d checks unanswered",
			v->id, CHECKS_LOST_MAX);
	RAND_bytes(v->check_id, sizeof(v->check_id));
	v->check_answered = false;
	// RFC 7675 5.1: between 0.8 and 1.2 times five seconds.
	v->check_us = now_us + CHECK_EVERY_US / 5 * 4 +
		      v->check_id[0] * (CHECK_EVERY_US / 5 * 2 / 256);
	send_check(v);
}

static void tick_checking(struct viewer *v, uint64_t now_us)
{
	if (now_us >= v->check_us) {
		send_check(v);
		v->check_wait_us *= 2;
		v->check_us = now_us + v->check_wait_us;
	}
	wheel_put(v, v->check_us);
}

static void dtls_out(void *arg, const uint8_t *pkt, size_t pkt_bytes)
{
	struct viewer *v = arg;

	if (v->fd >= 0)
		send(v->fd, pkt, pkt_bytes, 0);
}

static void follow_dtls(struct viewer *v, enum dtls_progress progress);

static void begin_dtls(struct viewer *v)
{
	enum load_profile p = v->load->options.profile;
	bool cm80 = p == LOAD_CM80 || (p == LOAD_MIXED && v->id % 2);

	v->state = VIEWER_SHAKING;
	v->dtls = dtls_assoc_create(
		v->load->dtls, cm80 ? DTLS_SRTP_CM80 : DTLS_SRTP_GCM128, dtls_out, v);
	follow_dtls(v, v->dtls ? dtls_start(v->dtls) : DTLS_BROKEN);
}

static void take_stun(struct viewer *v, const uint8_t *pkt, size_t bytes)
{
	struct load_report *r = &v->load->report;
	const char *wrong;

	if (bytes >= 20 && pkt[0] == 0 && pkt[1] == 1)
		report_fault(r, FAULT_STUN, "viewer %u: a request of a lite agent", v->id);
	// Of a check before: late, not wrong. And who has left is a stranger.
	if (v->state == VIEWER_LEAVING || bytes < 20 ||
		memcmp(pkt + 8, v->check_id, STUN_ID_BYTES) != 0)
		return;
	wrong = stun_check_judge(
		pkt, bytes, v->answer.pwd, v->check_id, (const struct sockaddr *)&v->self);
	if (wrong) {
		report_fault(r, FAULT_STUN, "viewer %u: %s", v->id, wrong);
		return;
	}
	if (!v->check_answered)
		r->checks_answered++;
	v->check_answered = true;
	if (v->state == VIEWER_CHECKING) {
		report_time(r, TIMING_ICE, clock_us() - v->answered_us);
		begin_dtls(v);
	}
}

// ---- DTLS --------------------------------------------------------------------------------------

static bool is_sampled(const struct viewer *v)
{
	uint32_t every = v->load->options.verify_every;

	return every && v->id % every == 0;
}

static void become_ready(struct viewer *v)
{
	struct load *load = v->load;
	struct dtls_srtp keys;
	uint64_t now = clock_us();

	if (!dtls_keys_of(v->dtls, v->answer.digest, &keys)) {
		report_fault(
			&load->report, FAULT_FINGERPRINT, "viewer %u: not the one answered", v->id);
		give_up(v);
		return;
	}
	if (is_sampled(v) && !media_set_keys(&v->media, &keys))
		report_fault(
			&load->report, FAULT_DTLS, "viewer %u: libsrtp2 refuses the keys", v->id);
	explicit_bzero(&keys, sizeof(keys));
	// Forty kilobytes, only to close it in the end.
	if (load->options.leave != LEAVE_CLOSE) {
		dtls_assoc_destroy(v->dtls);
		v->dtls = NULL;
	}
	v->state = VIEWER_PLAYING;
	v->ready_us = load->report.last_ready_us = now;
	load->report.ready++;
	load->report.now++;
	report_time(&load->report, TIMING_SETUP, now - v->began_us);
	v->check_us = now + CHECK_EVERY_US;
	v->report_us = now + REPORT_EVERY_US;
	wheel_put(v, now);
}

static void follow_dtls(struct viewer *v, enum dtls_progress progress)
{
	uint64_t wait_us = 0;

	if (progress == DTLS_DONE) {
		become_ready(v);
		return;
	}
	if (progress == DTLS_BROKEN || dtls_timeout(v->dtls, &wait_us) == DTLS_BROKEN) {
		report_fault(
			&v->load->report, FAULT_DTLS, "viewer %u: the handshake failed", v->id);
		give_up(v);
		return;
	}
	v->dtls_us = clock_us() + wait_us;
	wheel_put(v, v->dtls_us);
}

// ---- what comes --------------------------------------------------------------------------------

static void take_media(struct viewer *v, uint8_t *pkt, size_t bytes, uint64_t now_us)
{
	bool late = v->state == VIEWER_LEAVING && v->delete_done &&
		    now_us > v->left_us + MEDIA_AFTER_US;

	if (v->state != VIEWER_PLAYING && v->state != VIEWER_LEAVING)
		return;
	if (late && !(pkt[1] >= 192 && pkt[1] <= 223))
		report_fault(&v->load->report, FAULT_MEDIA_AFTER_LEAVE, "viewer %u: %llu ms after",
			v->id, (unsigned long long)(now_us - v->left_us) / 1000);
	if (!v->media_seen && bytes > 1 && !(pkt[1] >= 192 && pkt[1] <= 223)) {
		v->media_seen = true;
		report_time(&v->load->report, TIMING_FIRST_MEDIA,
			now_us > v->ready_us ? now_us - v->ready_us : 0);
	}
	media_take(&v->media, pkt, bytes, now_us);
	if (v->state == VIEWER_LEAVING && v->media.bye && v->delete_done) {
		report_time(&v->load->report, TIMING_BYE,
			now_us > v->left_us ? now_us - v->left_us : 0);
		die(v);
	}
}

static void take_datagram(struct viewer *v, uint8_t *pkt, size_t bytes, uint64_t came_us)
{
	if (pkt[0] <= 3)
		take_stun(v, pkt, bytes);
	else if (pkt[0] >= 20 && pkt[0] <= 63 && v->state == VIEWER_SHAKING)
		follow_dtls(v, dtls_take(v->dtls, pkt, bytes));
	else if (pkt[0] >= 128 && pkt[0] <= 191)
		take_media(v, pkt, bytes, came_us);
}

// How many datagrams the kernel threw away because we were slow.
static void note_overruns(struct viewer *v, const struct cmsghdr *c)
{
	uint32_t overruns;

	memcpy(&overruns, CMSG_DATA(c), sizeof(overruns));
	if (overruns != v->overruns)
		report_fault(&v->load->report, FAULT_CLIENT_OVERRUN,
			"viewer %u: %u packets came faster than they were read", v->id,
			overruns - v->overruns);
	v->overruns = overruns;
}

// When the kernel had it, which may be long before we read it; on our clock.
static uint64_t arrival_us(const struct cmsghdr *c)
{
	struct timespec wall, then;
	int64_t age_us;

	memcpy(&then, CMSG_DATA(c), sizeof(then));
	clock_gettime(CLOCK_REALTIME, &wall);
	age_us = (wall.tv_sec - then.tv_sec) * 1000000 + (wall.tv_nsec - then.tv_nsec) / 1000;
	return clock_us() - (uint64_t)(age_us > 0 ? age_us : 0);
}

// Return: when the datagram came.
static uint64_t read_control(struct viewer *v, struct msghdr *msg)
{
	uint64_t came_us = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SO_RXQ_OVFL)
			note_overruns(v, c);
		else if (c->cmsg_type == SCM_TIMESTAMPNS)
			came_us = arrival_us(c);
	}
	return came_us ? came_us : clock_us();
}

void viewer_readable(struct viewer *v)
{
	uint8_t pkt[DATAGRAM_MAX_BYTES] __attribute__((aligned(8)));
	uint8_t control[64] __attribute__((aligned(8)));

	for (int i = 0; i < DATAGRAMS_AT_ONCE && v->state != VIEWER_DEAD; i++) {
		struct iovec iov = { pkt, sizeof(pkt) };
		struct msghdr msg = { .msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control) };
		ssize_t n = recvmsg(v->fd, &msg, MSG_DONTWAIT);

		if (n <= 0)
			return;
		take_datagram(v, pkt, (size_t)n, read_control(v, &msg));
	}
}

// ---- POST --------------------------------------------------------------------------------------

static int open_socket(struct viewer *v)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = v };
	socklen_t self_bytes = sizeof(v->self);
	int on = 1;

	v->fd = socket(v->answer.candidate.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (v->fd < 0)
		return -errno;
	setsockopt(v->fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on));
	setsockopt(v->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
	if (connect(v->fd, (const struct sockaddr *)&v->answer.candidate,
		    v->answer.candidate_bytes) < 0 ||
		getsockname(v->fd, (struct sockaddr *)&v->self, &self_bytes) < 0 ||
		epoll_ctl(v->load->epoll_fd, EPOLL_CTL_ADD, v->fd, &event) < 0)
		return -errno;
	return 0;
}

static bool is_expected(const struct load_options *o, long status)
{
	for (unsigned int i = 0; i < o->n_expect; i++)
		if (o->expect[i].status == (unsigned int)status)
			return true;
	return o->n_expect == 0 && status == 201;
}

static const char *read_created(struct viewer *v, const struct http_result *result)
{
	const char *wrong = offer_read_answer(result->body, &v->answer);
	int rc;

	if (wrong)
		return wrong;
	if (result->location[0] != '/')
		return "no Location, or not a path";
	if (asprintf(&v->session_url, "%s%s", v->load->options.origin, result->location) < 0)
		return "no memory";
	rc = open_socket(v);
	return rc < 0 ? strerror(-rc) : NULL;
}

static void on_answer(void *arg, const struct http_result *result)
{
	struct viewer *v = arg;
	struct load_report *r = &v->load->report;
	const char *wrong;

	v->load->requests--;
	if (result->status == 0)
		report_fault(r, FAULT_HTTP, "viewer %u, POST: %s", v->id, result->error);
	else if (!is_expected(&v->load->options, result->status))
		report_fault(r, FAULT_POST_STATUS, "viewer %u: %ld %.80s", v->id, result->status,
			result->body);
	if (result->status > 0 && result->status < REPORT_STATUS_MAX)
		r->posts[result->status]++;
	r->answered += result->status > 0;
	if (result->status > 0)
		report_time(r, TIMING_POST, result->us);
	if (result->status != 201) {
		die(v);
		return;
	}
	v->state = VIEWER_CHECKING;
	v->answered_us = clock_us();
	wrong = read_created(v, result);
	if (wrong)
		report_fault(r, FAULT_ANSWER, "viewer %u: %s", v->id, wrong);
	media_init(&v->media, &v->answer, r, v->load->sources, v->id, v->load->options.sampled);
	if (v->asked_to_leave)
		report_fault(
			r, FAULT_SETUP_TIMEOUT, "viewer %u: answered when all were leaving", v->id);
	if (wrong || v->asked_to_leave) {
		v->asked_to_leave = false;
		give_up(v);
		return;
	}
	RAND_bytes(v->check_id, sizeof(v->check_id));
	v->check_us = v->answered_us;
	v->check_wait_us = CHECK_FIRST_US / 2;
	tick_checking(v, v->answered_us);
}

int viewer_start(struct load *load, unsigned int id)
{
	struct viewer *v = calloc(1, sizeof(*v));
	char offer[OFFER_MAX_BYTES];

	if (!v)
		return -ENOMEM;
	v->load = load;
	v->id = id;
	v->fd = -1;
	v->began_us = load->report.last_start_us = clock_us();
	if (load->report.started++ == 0)
		load->report.first_start_us = v->began_us;
	TAILQ_INSERT_TAIL(&load->all, v, link);
	offer_write(&load->local, v->began_us, offer);
	load->requests++;
	if (http_post(load->http, load->options.url, offer, on_answer, v) == 0)
		return 0;
	load->requests--;
	die(v);
	return -ENOMEM;
}

// ---- time --------------------------------------------------------------------------------------

static void tick_playing(struct viewer *v, uint64_t now_us)
{
	uint8_t report[MEDIA_REPORT_MAX_BYTES];
	uint64_t next = now_us + LOOK_AGAIN_US;
	double stay = v->load->options.stay;
	size_t bytes;

	if (stay > 0 && now_us >= v->ready_us + (uint64_t)(stay * 1e6)) {
		viewer_leave(v, now_us);
		return;
	}
	if (now_us >= v->check_us)
		check_consent(v, now_us);
	if (now_us >= v->report_us) {
		v->report_us = now_us + REPORT_EVERY_US;
		bytes = media_write_report(&v->media, report, now_us);
		if (bytes)
			send(v->fd, report, bytes, 0);
		media_judge_reports(&v->media, now_us);
	}
	if (v->check_us < next)
		next = v->check_us;
	if (stay > 0 && v->ready_us + (uint64_t)(stay * 1e6) < next)
		next = v->ready_us + (uint64_t)(stay * 1e6);
	wheel_put(v, next);
}

void viewer_tick(struct viewer *v, uint64_t now_us)
{
	bool setting_up = v->state == VIEWER_CHECKING || v->state == VIEWER_SHAKING;

	if (setting_up && now_us > v->began_us + (uint64_t)(v->load->options.setup_s * 1e6)) {
		report_fault(&v->load->report, FAULT_SETUP_TIMEOUT, "viewer %u: %s", v->id,
			v->state == VIEWER_CHECKING ? "no check was answered" : "no keys");
		give_up(v);
		return;
	}
	if (v->state == VIEWER_CHECKING)
		tick_checking(v, now_us);
	else if (v->state == VIEWER_SHAKING)
		follow_dtls(v, DTLS_GOES_ON);
	else if (v->state == VIEWER_PLAYING)
		tick_playing(v, now_us);
	else if (v->state == VIEWER_LEAVING)
		tick_leaving(v, now_us);
}
