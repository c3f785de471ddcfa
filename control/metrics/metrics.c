#include "control/metrics/metrics.h"

#include <string.h>

#include "control/metrics/priv/parts.h"
#include "control/metrics/priv/registry.h"
#include "dataplane/abi/region.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define NS_PER_S	1e9

enum counted {
	WHEP_REQUESTS,
	WHEP_DURATION,
	CAP_REJECTIONS,
	CODEC_MISMATCHES,
	ICE_ESTABLISHMENT,
	LEG_FAILURES,
	DTLS_HANDSHAKES,
};

static const double request_bounds_s[] = { 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
	1, 2.5 };
static const double ice_bounds_s[] = { 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
	40 };

static const struct metric metrics[] = {
	[WHEP_REQUESTS] = METRIC_COUNTS("millrace_whep_requests_total",
		"WHEP requests answered; stream is empty where none of that name is known.",
		"route", "code", "stream"),
	[WHEP_DURATION] = { .name = "millrace_whep_request_duration_seconds",
		.help = "Time from a whole WHEP request to its answer.",
		.type = METRIC_HISTOGRAM,
		.labels = { "route", "stream" },
		.bounds = request_bounds_s,
		.n_bounds = COUNT_OF(request_bounds_s) },
	[CAP_REJECTIONS] = METRIC_COUNTS("millrace_cap_rejections_total",
		"POSTs refused because the edge or the stream has all its viewers.", "stream",
		"scope"),
	[CODEC_MISMATCHES] = METRIC_COUNTS("millrace_codec_mismatches_total",
		"Offers without a codec of the stream, or with another H.264 profile.", "stream",
		"kind"),
	[ICE_ESTABLISHMENT] = { .name = "millrace_ice_establishment_seconds",
		.help = "Time from the answer to a POST to the first nominated pair.",
		.type = METRIC_HISTOGRAM,
		.labels = { "stream" },
		.bounds = ice_bounds_s,
		.n_bounds = COUNT_OF(ice_bounds_s) },
	[LEG_FAILURES] = METRIC_COUNTS("millrace_leg_failures_total",
		"Times that a leg fell silent while it had viewers.", "stream", "leg"),
	[DTLS_HANDSHAKES] = METRIC_COUNTS("millrace_dtls_handshakes_total",
		"DTLS handshakes that are over; profile is empty where none was agreed.", "result",
		"profile"),
};

static struct registry *counts;

// Made with the first count.
static struct registry *registry(void)
{
	if (!counts && registry_create(metrics, COUNT_OF(metrics), &counts) < 0)
		return NULL;
	return counts;
}

static void add(enum counted what, const char *const *values)
{
	struct registry *r = registry();

	if (r)
		registry_add(r, what, values, 1);
}

static void observe(enum counted what, const char *const *values, double seconds)
{
	struct registry *r = registry();

	if (r)
		registry_observe(r, what, values, seconds);
}

static const char *id_of(const struct stream *s)
{
	return s ? s->id : "";
}

// ---- WHEP --------------------------------------------------------------------------------------

// Return: NULL a request that is not counted.
static const char *route_name(const struct http_request *req)
{
	const char *pattern = http_request_route(req);

	if (!pattern || !strstr(pattern, "/whep"))
		return NULL;
	switch (http_request_method(req)) {
	case HTTP_POST:
		return "subscribe";
	case HTTP_DELETE:
		return "unsubscribe";
	case HTTP_PATCH:
		return "trickle";
	case HTTP_OPTIONS:
		return "preflight";
	default:
		return NULL;
	}
}

void metrics_answered(void *streams, const struct http_request *req, unsigned int status)
{
	const char *route = route_name(req), *named = http_request_param(req, "stream"), *id;
	char code[16];

	if (!route)
		return;
	id = id_of(named ? stream_find(streams, named) : NULL);
	snprintf(code, sizeof(code), "%u", status);
	add(WHEP_REQUESTS, METRIC_VALUES(route, code, id));
	observe(WHEP_DURATION, METRIC_VALUES(route, id),
		(double)http_request_age_ns(req) / NS_PER_S);
}

void metrics_cap_rejected(const struct stream *s, enum metrics_scope scope)
{
	const char *name = scope == METRICS_CAP_GLOBAL ? "global" : "stream";

	add(CAP_REJECTIONS, METRIC_VALUES(id_of(s), name));
}

void metrics_codec_mismatch(const struct stream *s, enum leg_kind leg)
{
	add(CODEC_MISMATCHES, METRIC_VALUES(id_of(s), leg == LEG_VIDEO ? "h264" : "opus"));
}

// ---- sessions and legs -------------------------------------------------------------------------

void metrics_ice_established(const struct stream *s, uint64_t since_ns)
{
	uint64_t now_ns = region_now_ns();
	uint64_t took_ns = now_ns > since_ns ? now_ns - since_ns : 0;

	observe(ICE_ESTABLISHMENT, METRIC_VALUES(id_of(s)), (double)took_ns / NS_PER_S);
}

void metrics_dtls_over(enum metrics_handshake result, uint16_t profile)
{
	static const char *const names[] = {
		[METRICS_DTLS_OK] = "ok",
		[METRICS_DTLS_FAILED] = "failed",
		[METRICS_DTLS_TIMEOUT] = "timeout",
	};

	add(DTLS_HANDSHAKES,
		METRIC_VALUES(names[result], profile ? srtp_profile_name(profile) : ""));
}

void metrics_leg_silent(const struct stream *s, enum leg_kind leg)
{
	if (s->n_peers)
		add(LEG_FAILURES, METRIC_VALUES(s->id, leg_name(leg)));
}

void metrics_stream_gone(const struct stream *s)
{
	// No name is the label of all that is no stream's.
	if (counts && s->id[0])
		registry_forget(counts, "stream", s->id);
}

// ---- all of it ---------------------------------------------------------------------------------

void metrics_fini(void)
{
	registry_destroy(counts);
	counts = NULL;
}

void metrics_write_counted(FILE *out)
{
	const struct registry *r = registry();

	if (r)
		registry_write(r, out);
}
