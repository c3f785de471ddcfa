// WHEP: a viewer's offer becomes a session, its fragments reach the ICE agent, its DELETE ends it.
// Source: draft-ietf-wish-whep-03; checklist group A.
#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "control/api.h"
#include "control/metrics/metrics.h"
#include "control/whep/if_match.h"
#include "dataplane/abi/log.h"

#define TYPE_SDP      "application/sdp"
#define TYPE_FRAGMENT "application/trickle-ice-sdpfrag"

// A POST that waits for the worker to confirm the slot.
struct waiting {
	struct http_request *req;
	char location[HTTP_PATH_MAX_BYTES];
	size_t answer_bytes;
	char answer[SDP_ANSWER_MAX_BYTES];
};

// ---- POST --------------------------------------------------------------------------------------

static void refuse_busy(struct http_request *req, const char *text)
{
	const struct http_header retry = { "Retry-After", "5" };

	http_request_refuse(req, 503, &retry, 1, "%s", text);
}

// Sessions that nobody finishes must not take the place of viewers (A43).
static bool too_many_connect(const struct api *api)
{
	const struct session_counts *counts = session_table_counts(api->sessions);
	uint32_t cap = api->conf->whep.max_connecting;

	return cap && counts->reserving + counts->connecting >= cap;
}

// The guards in the order of the contract: total cap, stream, the stream's cap,
// and whether it must be live.
// Return: the stream, or NULL and the request is answered.
static struct stream *admit(struct api *api, struct http_request *req)
{
	static const struct http_header live_retry = { "Retry-After", "2" };
	const char *id = http_request_param(req, "stream");
	struct stream *stream;

	if (!api->link) {
		refuse_busy(req, "the data plane is not there; try again in a moment");
		return NULL;
	}
	if (api->draining) {
		refuse_busy(req, "this edge is shutting down; try another");
		return NULL;
	}
	if (session_table_used(api->sessions) >= session_table_cap(api->sessions)) {
		metrics_cap_rejected(stream_find(api->streams, id), METRICS_CAP_GLOBAL);
		refuse_busy(req, "this edge is full; try another or later");
		return NULL;
	}
	if (too_many_connect(api)) {
		refuse_busy(req, "too many viewers are just connecting; try again in a moment");
		return NULL;
	}
	stream = stream_find(api->streams, id);
	if (!stream) {
		http_request_refuse(req, 404, NULL, 0, "no such stream: %s", id);
		return NULL;
	}
	if (stream->n_peers >= stream_peer_cap(stream)) {
		metrics_cap_rejected(stream, METRICS_CAP_STREAM);
		refuse_busy(req, "per-stream peer cap reached");
		return NULL;
	}
	if (stream->want.require_live && !stream_live(stream)) {
		http_request_refuse(req, 409, &live_retry, 1,
			"stream %s sends nothing now; try again when it does", id);
		return NULL;
	}
	return stream;
}

// The configured facts of a leg of the source that plays, and what the worker saw in its packets,
// which is newer.
static void describe_legs(const struct stream *stream, struct sdp_stream_leg legs[LEG_COUNT])
{
	const struct region_stream *shared = stream_shared(stream);

	for (int leg = 0; leg < LEG_COUNT; leg++) {
		const struct stream_leg_want *want = stream_leg_of(
			stream, stream_active(stream), leg);
		const struct region_leg_state *seen = shared ? stream_leg_state(shared,
								       stream_active(stream), leg)
							     : NULL;

		legs[leg] = (struct sdp_stream_leg){ .present = want->present,
			.stereo = want->stereo || (seen && seen->stereo),
			.profile_known = want->profile_known };
		memcpy(legs[leg].profile_level_id, want->profile_level_id, 3);
		if (seen && seen->profile_known) {
			legs[leg].profile_known = true;
			memcpy(legs[leg].profile_level_id, seen->profile_level_id, 3);
		}
	}
}

// Random names of one session: SSRCs, the CNAME, the SDP origin.
struct session_names {
	uint32_t ssrc[LEG_COUNT];
	uint32_t rtx_ssrc;
	uint64_t origin_id;
	char cname[SDP_CNAME_MAX];
	struct ice_credentials ice;
};

static int make_names(struct session_names *n)
{
	uint64_t cname;

	if (RAND_bytes((uint8_t *)n->ssrc, sizeof(n->ssrc)) != 1 ||
		RAND_bytes((uint8_t *)&n->rtx_ssrc, sizeof(n->rtx_ssrc)) != 1 ||
		RAND_bytes((uint8_t *)&n->origin_id, sizeof(n->origin_id)) != 1 ||
		RAND_bytes((uint8_t *)&cname, sizeof(cname)) != 1)
		return -EIO;
	n->origin_id >>= 1;
	// They must differ, and 0 is what some stacks take for "none".
	n->ssrc[LEG_VIDEO] |= 1;
	n->ssrc[LEG_AUDIO] = (n->ssrc[LEG_AUDIO] | 1) ^ 1;
	if (n->ssrc[LEG_AUDIO] == 0)
		n->ssrc[LEG_AUDIO] = 2;
	n->rtx_ssrc |= 1;
	if (n->rtx_ssrc == n->ssrc[LEG_VIDEO])
		n->rtx_ssrc ^= 2;
	snprintf(n->cname, sizeof(n->cname), "%016llx", (unsigned long long)cname);
	return ice_credentials_make(&n->ice);
}

static void refuse_offer(
	struct http_request *req, enum sdp_verdict verdict, const struct sdp_negotiated *sdp)
{
	http_request_refuse(req, (unsigned int)verdict, NULL, 0, "%s", sdp->cause);
}

// Called once the worker knows of the slot.
static void post_done(void *arg, struct session *s, int status)
{
	struct waiting *w = arg;

	if (status == 0) {
		const struct http_header headers[] = {
			{ "Location", w->location },
			{ "ETag", session_etag(s) },
			{ "Accept-Patch", TYPE_FRAGMENT },
			{ "Cache-Control", "no-store" },
		};
		const struct http_answer answer = { .status = 201,
			.content_type = TYPE_SDP,
			.body = w->answer,
			.body_bytes = w->answer_bytes,
			.headers = headers,
			.n_headers = sizeof(headers) / sizeof(headers[0]) };

		// A client that left before it learned the Location can never end the session.
		if (!http_request_answer(w->req, &answer))
			session_end(s, SESSION_END_DELETE);
	} else if (status == -ETIMEDOUT) {
		http_request_refuse(
			w->req, 504, NULL, 0, "the data plane did not confirm the viewer in time");
	} else {
		refuse_busy(w->req, "the data plane did not take the viewer; try again");
	}
	free(w);
}

static enum sdp_verdict negotiate(struct api *api, struct http_request *req,
	const struct stream *stream, const struct session_names *names, struct sdp_negotiated *sdp,
	struct waiting *w)
{
	struct sdp_stream_leg legs[LEG_COUNT];
	const struct sdp_local local = { .ice = &names->ice,
		.fingerprint_sha256 = dtls_context_fingerprint(api->dtls),
		.candidates = api->candidates,
		.n_candidates = api->n_candidates,
		.origin_id = names->origin_id,
		.cname = names->cname,
		.msid_stream = stream->id,
		.ssrc = { names->ssrc[0], names->ssrc[1] },
		.rtx_ssrc = names->rtx_ssrc,
		.repair = api->conf->media.repair_percent != 0,
		.partial_accept = api->conf->whep.partial_accept,
		.strict_h264 = api->conf->whep.strict_h264 };
	size_t body_bytes;
	const char *body = http_request_body(req, &body_bytes);

	describe_legs(stream, legs);
	return sdp_negotiate(body, body_bytes, legs, &local, sdp, w->answer, sizeof(w->answer),
		&w->answer_bytes);
}

static void count_mismatches(
	const struct stream *stream, enum sdp_verdict verdict, const struct sdp_negotiated *sdp)
{
	if (verdict != SDP_OK && verdict != SDP_CODEC_MISSING)
		return;
	for (int leg = 0; leg < LEG_COUNT; leg++)
		if (sdp->codec_missing[leg] ||
			(verdict == SDP_OK && sdp->legs[leg].profile_mismatch))
			metrics_codec_mismatch(stream, leg);
}

static void begin_session(struct api *api, struct stream *stream, const struct session_names *names,
	const struct sdp_negotiated *sdp, struct waiting *w)
{
	const struct session_offer offer = { .stream = stream,
		.sdp = sdp,
		.ice = &names->ice,
		.ssrc = names->ssrc,
		.rtx_ssrc = names->rtx_ssrc,
		.cname = names->cname };
	struct http_request *req = w->req;
	struct session *s;
	int rc = session_create(api->sessions, &offer, post_done, w, &s);

	if (rc == 0) {
		// The session is under the prefix that was used.
		bool api_v3 = strncmp(http_request_route(req), "/api/v3/", 8) == 0;

		snprintf(w->location, sizeof(w->location), "%s%s/whep/%s/%s",
			api->conf->whep.public_prefix, api_v3 ? "/api/v3" : "", stream->id,
			session_resource(s));
		return;
	}
	free(w);
	if (rc == -ENOSPC)
		metrics_cap_rejected(stream, METRICS_CAP_GLOBAL);
	if (rc == -ENOSPC || rc == -ENOTCONN || rc == -ENOBUFS) {
		refuse_busy(req, "this edge is full; try another or later");
		return;
	}
	log_error("a session cannot begin: %s", strerror(-rc));
	http_request_refuse(
		req, 500, NULL, 0, "the session could not be set up: %s", strerror(-rc));
}

void whep_post(void *ctx, struct http_request *req)
{
	static const struct http_header accept_post = { "Accept-Post", TYPE_SDP };
	struct api *api = ctx;
	struct stream *stream = admit(api, req);
	struct session_names names;
	struct sdp_negotiated sdp;
	enum sdp_verdict verdict;
	struct waiting *w;

	if (!stream)
		return;
	if (http_request_is_too_large(req)) {
		http_request_refuse_body(req);
		return;
	}
	if (!http_request_has_type(req, TYPE_SDP)) {
		http_request_refuse(req, 415, &accept_post, 1, "expected Content-Type: " TYPE_SDP);
		return;
	}
	w = calloc(1, sizeof(*w));
	if (!w || make_names(&names) < 0) {
		free(w);
		http_request_refuse(req, 500, NULL, 0, "no memory or no randomness for a session");
		return;
	}
	w->req = req;
	verdict = negotiate(api, req, stream, &names, &sdp, w);
	count_mismatches(stream, verdict, &sdp);
	if (verdict != SDP_OK) {
		free(w);
		refuse_offer(req, verdict, &sdp);
		return;
	}
	begin_session(api, stream, &names, &sdp, w);
}

// ---- PATCH -------------------------------------------------------------------------------------

// Return: the session of the path, or NULL and the request is answered.
static struct session *session_of(struct api *api, struct http_request *req)
{
	struct session *s = session_find(api->sessions, http_request_param(req, "resource"));

	if (s && strcmp(session_stream(s)->id, http_request_param(req, "stream")) == 0)
		return s;
	http_request_refuse(req, 404, NULL, 0, "no such session; it ended, or never was");
	return NULL;
}

static void answer_empty(struct http_request *req, unsigned int status)
{
	const struct http_answer answer = { .status = status };

	http_request_answer(req, &answer);
}

static void restart_ice(struct api *api, struct http_request *req, struct session *s,
	const struct ice_remote *remote)
{
	struct ice_credentials credentials;
	struct sdp_local local = { .ice = &credentials,
		.fingerprint_sha256 = dtls_context_fingerprint(api->dtls),
		.candidates = api->candidates,
		.n_candidates = api->n_candidates };
	char body[2048];
	size_t body_bytes;
	const char *mid;
	enum leg_kind tagged;

	if (session_restart(s, remote, &credentials, &mid, &tagged) < 0 ||
		sdp_fragment_write(&local, mid, tagged, body, sizeof(body), &body_bytes) < 0) {
		http_request_refuse(
			req, 500, NULL, 0, "the ICE restart failed; the session goes on");
		return;
	}
	const struct http_header headers[] = {
		{ "ETag", session_etag(s) },
		{ "Cache-Control", "no-store" },
	};
	const struct http_answer answer = { .status = 200,
		.content_type = TYPE_FRAGMENT,
		.body = body,
		.body_bytes = body_bytes,
		.headers = headers,
		.n_headers = 2 };

	http_request_answer(req, &answer);
}

void whep_patch(void *ctx, struct http_request *req)
{
	static const struct http_header accept_patch = { "Accept-Patch", TYPE_FRAGMENT };
	struct api *api = ctx;
	struct session *s = session_of(api, req);
	char tags[512], cause[SDP_CAUSE_MAX];
	struct sdp_fragment fragment = {};
	size_t body_bytes;
	const char *body;

	if (!s)
		return;
	if (http_request_is_too_large(req)) {
		http_request_refuse_body(req);
		return;
	}
	body = http_request_body(req, &body_bytes);
	if (!http_request_has_type(req, TYPE_FRAGMENT)) {
		http_request_refuse(
			req, 415, &accept_patch, 1, "expected Content-Type: " TYPE_FRAGMENT);
		return;
	}
	// An empty body trickles nothing, which is fine.
	if (body_bytes && sdp_fragment_parse(body, body_bytes, &fragment, cause) != SDP_OK) {
		http_request_refuse(req, 400, NULL, 0, "%s", cause);
		return;
	}
	switch (http_request_header_list(req, "If-Match", tags, sizeof(tags))) {
	case -ENOENT: // players that ship leave it out: the credentials decide (H1)
		if (!api->conf->whep.strict_etag)
			break;
		http_request_refuse(
			req, 428, NULL, 0, "If-Match with the session's ETag is needed");
		return;
	case 0:
		if (if_match(tags, session_etag(s)))
			break;
		// fall through
	default:
		http_request_refuse(req, 412, NULL, 0, "If-Match names another ICE session than %s",
			session_etag(s));
		return;
	}
	switch (fragment.has_credentials ? session_remote_change(s, &fragment.ice)
					 : ICE_REMOTE_SAME) {
	case ICE_REMOTE_SAME:
		answer_empty(req, 204);
		break;
	case ICE_REMOTE_HALF:
		http_request_refuse(req, 400, NULL, 0,
			"an ICE restart changes ice-ufrag and ice-pwd, both of them");
		break;
	case ICE_REMOTE_NEW:
		restart_ice(api, req, s, &fragment.ice);
		break;
	}
}

// ---- DELETE, GET -------------------------------------------------------------------------------

// Always 204: what is gone is gone (A29).
void whep_delete(void *ctx, struct http_request *req)
{
	struct api *api = ctx;
	struct session *s = session_find(api->sessions, http_request_param(req, "resource"));

	if (s && strcmp(session_stream(s)->id, http_request_param(req, "stream")) == 0)
		session_end(s, SESSION_END_DELETE);
	answer_empty(req, 204);
}

void whep_get(void *ctx, struct http_request *req)
{
	answer_empty(req, 204);
}

// HEAD tells players that ask first that this is WHEP (A31).
void whep_head(void *ctx, struct http_request *req)
{
	const struct http_answer answer = { .status = 200, .content_type = TYPE_SDP };

	http_request_answer(req, &answer);
}

// ---- paths that stop short ---------------------------------------------------------------------

void whep_no_stream(void *ctx, struct http_request *req)
{
	http_request_refuse(req, 400, NULL, 0, "missing stream id");
}

void whep_no_resource(void *ctx, struct http_request *req)
{
	http_request_refuse(req, 400, NULL, 0, "missing resource id");
}
