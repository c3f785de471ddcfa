#include "tests/load/report.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const fault_names[FAULT_COUNT] = {
	[FAULT_POST_STATUS] = "post_status",
	[FAULT_HTTP] = "http",
	[FAULT_ANSWER] = "answer",
	[FAULT_STUN] = "stun",
	[FAULT_CONSENT] = "consent",
	[FAULT_DTLS] = "dtls",
	[FAULT_FINGERPRINT] = "fingerprint",
	[FAULT_SETUP_TIMEOUT] = "setup_timeout",
	[FAULT_RTP_HEADER] = "rtp_header",
	[FAULT_RTP_AUTH] = "rtp_auth",
	[FAULT_SEQ_GAP] = "seq_gap",
	[FAULT_SEQ_REPEAT] = "seq_repeat",
	[FAULT_TIMESTAMP] = "timestamp",
	[FAULT_MARKER] = "marker",
	[FAULT_PAYLOAD] = "payload",
	[FAULT_RTCP_AUTH] = "rtcp_auth",
	[FAULT_SR_LATE] = "sr_late",
	[FAULT_SR_BAD] = "sr_bad",
	[FAULT_NO_MEDIA] = "no_media",
	[FAULT_DELETE_STATUS] = "delete_status",
	[FAULT_MEDIA_AFTER_LEAVE] = "media_after_leave",
	[FAULT_NO_BYE] = "no_bye",
	[FAULT_CLIENT_OVERRUN] = "client_overrun",
	[FAULT_EXPECTED] = "expected",
};

static const char *const timing_names[TIMING_COUNT] = {
	[TIMING_POST] = "post_ms",
	[TIMING_DELETE] = "delete_ms",
	[TIMING_ICE] = "ice_ms",
	[TIMING_SETUP] = "setup_ms",
	[TIMING_FIRST_MEDIA] = "first_media_ms",
	[TIMING_BYE] = "bye_ms",
};

static const double shares[] = { 0.5, 0.95, 0.99, 1 };
static const char *const share_names[] = { "p50", "p95", "p99", "max" };

void report_fault(struct load_report *r, enum load_fault kind, const char *fmt, ...)
{
	va_list args;

	if (r->faults[kind]++ > 0)
		return;
	va_start(args, fmt);
	vsnprintf(r->example[kind], sizeof(r->example[kind]), fmt, args);
	va_end(args);
}

// A sample that finds no memory is not there; the counts beside it are.
void report_time(struct load_report *r, enum load_timing kind, uint64_t us)
{
	struct load_samples *s = &r->times[kind];

	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 1024;
		double *at = realloc(s->at, cap * sizeof(*at));

		if (!at)
			return;
		s->at = at;
		s->cap = cap;
	}
	s->at[s->n++] = (double)us / 1000;
	s->sorted = false;
}

uint64_t report_n_faults(const struct load_report *r)
{
	uint64_t n = 0;

	for (int i = 0; i < FAULT_COUNT; i++)
		n += r->faults[i];
	return n;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

// Nearest rank.
static double percentile(struct load_samples *s, double share)
{
	size_t rank;

	if (!s->sorted && s->n)
		qsort(s->at, s->n, sizeof(*s->at), compare);
	s->sorted = true;
	rank = (size_t)(share * (double)s->n + 0.999999);
	return s->at[rank > 0 ? rank - 1 : 0];
}

// From the first POST to the last viewer that has keys.
static double joins_a_second(const struct load_report *r)
{
	double s = ((double)r->last_ready_us - (double)r->first_start_us) / 1e6;

	return r->ready && s > 0 ? r->ready / s : 0;
}

// How fast the POSTs were really sent.
static double posts_a_second(const struct load_report *r)
{
	double s = ((double)r->last_start_us - (double)r->first_start_us) / 1e6;

	return r->started > 1 && s > 0 ? (r->started - 1) / s : 0;
}

void report_progress(const struct load_report *r, double seconds)
{
	fprintf(stderr,
		"%s%6.1f s: %u asked, %u playing, %u left; %llu RTP, %llu opened; %llu faults%s",
		isatty(2) ? "\r\033[K" : "", seconds, r->started, r->now, r->left,
		(unsigned long long)r->rtp_packets, (unsigned long long)r->rtp_opened,
		(unsigned long long)report_n_faults(r), isatty(2) ? "" : "\n");
}

void report_text(struct load_report *r)
{
	printf("viewers %u, answered %u, ready %u, left %u; %.0f POSTs/s sent, %.0f joins/s "
	       "reached\n",
		r->started, r->answered, r->ready, r->left, posts_a_second(r), joins_a_second(r));
	printf("POST answers:");
	for (int i = 0; i < REPORT_STATUS_MAX; i++)
		if (r->posts[i])
			printf(" %d: %u", i, r->posts[i]);
	printf("\n%-16s %8s %8s %8s %8s\n", "", "p50", "p95", "p99", "max");
	for (int t = 0; t < TIMING_COUNT; t++) {
		if (r->times[t].n == 0)
			continue;
		printf("%-16s", timing_names[t]);
		for (size_t i = 0; i < 4; i++)
			printf(" %8.1f", percentile(&r->times[t], shares[i]));
		printf("\n");
	}
	printf("RTP %llu, opened %llu, compared across viewers %llu; RTCP %llu, SR %llu, RR sent "
	       "%llu; "
	       "checks %llu, answered %llu\n",
		(unsigned long long)r->rtp_packets, (unsigned long long)r->rtp_opened,
		(unsigned long long)r->rtp_compared, (unsigned long long)r->rtcp_packets,
		(unsigned long long)r->sender_reports, (unsigned long long)r->receiver_reports,
		(unsigned long long)r->checks_sent, (unsigned long long)r->checks_answered);
	printf("longest turn of this program's own loop %.1f ms\n",
		(double)r->longest_turn_us / 1000);
	for (int i = 0; i < FAULT_COUNT; i++)
		if (r->faults[i])
			printf("FAULT %s %llu: %s\n", fault_names[i],
				(unsigned long long)r->faults[i], r->example[i]);
}

static json_t *json_timing(struct load_samples *s)
{
	json_t *o = json_pack("{s:I}", "n", (json_int_t)s->n);

	for (size_t i = 0; s->n && i < 4; i++)
		json_object_set_new(o, share_names[i], json_real(percentile(s, shares[i])));
	return o;
}

static json_t *json_faults(const struct load_report *r)
{
	json_t *faults = json_object();

	for (int i = 0; i < FAULT_COUNT; i++)
		if (r->faults[i])
			json_object_set_new(faults, fault_names[i],
				json_pack("{s:I, s:s}", "n", (json_int_t)r->faults[i], "first",
					r->example[i]));
	return faults;
}

static json_t *json_posts(const struct load_report *r)
{
	json_t *posts = json_object();
	char name[16];

	for (int i = 0; i < REPORT_STATUS_MAX; i++) {
		if (!r->posts[i])
			continue;
		snprintf(name, sizeof(name), "%d", i);
		json_object_set_new(posts, name, json_integer(r->posts[i]));
	}
	return posts;
}

void report_json(struct load_report *r)
{
	json_t *o = json_pack("{s:I, s:I, s:I, s:I, s:f, s:f}", "viewers", (json_int_t)r->started,
		"answered", (json_int_t)r->answered, "ready", (json_int_t)r->ready, "left",
		(json_int_t)r->left, "posts_per_s", posts_a_second(r), "joins_per_s",
		joins_a_second(r));
	const struct {
		const char *name;
		uint64_t value;
	} counts[] = {
		{ "rtp", r->rtp_packets },
		{ "rtp_opened", r->rtp_opened },
		{ "rtp_compared", r->rtp_compared },
		{ "rtp_gaps", r->rtp_gaps },
		{ "rtcp", r->rtcp_packets },
		{ "sender_reports", r->sender_reports },
		{ "receiver_reports", r->receiver_reports },
		{ "checks_sent", r->checks_sent },
		{ "checks_answered", r->checks_answered },
		{ "longest_turn_ms", r->longest_turn_us / 1000 },
		{ "n_faults", report_n_faults(r) },
	};

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		json_object_set_new(o, counts[i].name, json_integer((json_int_t)counts[i].value));
	json_object_set_new(o, "posts", json_posts(r));
	json_object_set_new(o, "faults", json_faults(r));
	for (int t = 0; t < TIMING_COUNT; t++)
		json_object_set_new(o, timing_names[t], json_timing(&r->times[t]));
	json_dumpf(o, stdout, JSON_REAL_PRECISION(6));
	printf("\n");
	json_decref(o);
}

void report_fini(struct load_report *r)
{
	for (int t = 0; t < TIMING_COUNT; t++)
		free(r->times[t].at);
}
