// POST: an offer becomes a session, or is refused with a status that says why.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/session/whep_kit.h"

static void expect_session_at(struct house *h, const char *prefix)
{
	const char *location = house_field(h, "Location");
	struct session *s;
	char etag[64];

	assert_non_null(location);
	assert_memory_equal(location, prefix, strlen(prefix));
	s = session_find(h->stage->sessions, location + strlen(prefix));
	assert_non_null(s);
	snprintf(etag, sizeof(etag), "%s", house_field(h, "ETag"));
	assert_string_equal(etag, session_etag(s));
	assert_int_equal(etag[0], '"');
}

static void an_offer_becomes_a_session(void **state)
{
	struct house *h = *state;

	assert_int_equal(house_post(h, "/whep/cam", offer_read("chromium-av")), 201);
	expect_session_at(h, "/whep/cam/");
	house_expect_field(h, "Content-Type", TYPE_SDP);
	house_expect_field(h, "Cache-Control", "no-store");
	house_expect_field(h, "Accept-Patch", TYPE_FRAGMENT);
	assert_memory_equal(h->last.body, "v=0\r\n", 5);
	assert_string_equal(h->last.body + h->last.body_bytes - 2, "\r\n");
	assert_non_null(strstr(h->last.body, "a=ice-lite\r\n"));
	assert_non_null(strstr(h->last.body, " 198.18.77.1 8189 typ host"));
	assert_non_null(strstr(h->last.body, " fd77::1 8189 typ host"));
	stage_expect(h->stage, 0, 1, 0, 0);
}

static void both_prefixes_lead_there(void **state)
{
	struct house *h = *state;

	assert_int_equal(house_post(h, "/api/v3/whep/cam", offer_read("chromium-av")), 201);
	expect_session_at(h, "/api/v3/whep/cam/");
	assert_int_equal(house_ask(h, "DELETE", house_field(h, "Location"), "", ""), 204);
	stage_expect(h->stage, 0, 0, 0, 0);
}

static void the_media_type_may_be_written_otherwise(void **state)
{
	struct house *h = *state;

	assert_int_equal(house_ask(h, "POST", "/whep/cam",
				 "Content-Type: Application/SDP; charset=utf-8\r\n",
				 offer_read("chromium-av")),
		201);
}

static void recorded_offers_are_taken(void **state)
{
	static const char *const names[] = { "aiortc-av", "chromium-av", "chromium-max-bundle",
		"hand-firefox-h264-av", "hand-libdatachannel-av", "hand-pion-av", "hand-safari-av",
		"webrtcbin-av", "webrtcbin-no-fmtp" };
	struct house *h = *state;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (house_post(h, "/whep/cam", offer_read(names[i])) != 201)
			fail_msg("%s: %d %s", names[i], h->last.status, h->last.body);
}

// ---- refusals ----------------------------------------------------------------------------------

// What every refusal has in common.
static void expect_refusal(struct house *h, int got, int status)
{
	assert_int_equal(got, status);
	house_expect_field(h, "Location", NULL);
	house_expect_field(h, "ETag", NULL);
	assert_memory_equal(house_field(h, "Content-Type"), "text/plain", 10);
	assert_true(h->last.body_bytes > 1);
	assert_ptr_equal(strchr(h->last.body, '\n'), h->last.body + h->last.body_bytes - 1);
	assert_memory_not_equal(h->last.body, "v=0", 3);
	stage_expect(h->stage, 0, 0, 0, 0);
	assert_int_equal(stage_counts(h->stage)->created, 0);
}

static void a_stream_that_is_not_there(void **state)
{
	struct house *h = *state;

	expect_refusal(h, house_post(h, "/whep/nope", offer_read("chromium-av")), 404);
	assert_non_null(strstr(h->last.body, "nope"));
	stream_leave(h->stage->stream);
	expect_refusal(h, house_post(h, "/whep/cam", offer_read("chromium-av")), 404);
}

static void another_media_type(void **state)
{
	static const char *const types[] = { "", "Content-Type: text/plain\r\n",
		"Content-Type: application/sdpx\r\n", "Content-Type: application/json\r\n" };
	struct house *h = *state;

	for (int i = 0; i < 4; i++) {
		expect_refusal(h,
			house_ask(h, "POST", "/whep/cam", types[i], offer_read("chromium-av")),
			415);
		house_expect_field(h, "Accept-Post", TYPE_SDP);
	}
}

static void what_is_no_offer(void **state)
{
	static const char *const bodies[] = { "", "\r\n", "hello", "{\"sdp\": \"v=0\"}",
		"v=1\r\n" };
	struct house *h = *state;

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		expect_refusal(h, house_post(h, "/whep/cam", bodies[i]), 400);
	}
}

static void a_missing_codec_is_named(void **state)
{
	struct house *h = *state;

	expect_refusal(h, house_post(h, "/whep/cam", offer_read("firefox-av")), 406);
	assert_non_null(strstr(h->last.body, "H264"));
	assert_null(strcasestr(h->last.body, "opus"));
	expect_refusal(h,
		house_post(h, "/whep/cam", offer_change("chromium-av", " opus/", " speex/")), 406);
	assert_non_null(strcasestr(h->last.body, "opus"));
	assert_null(strstr(h->last.body, "H264"));
}

static void an_offer_of_no_use(void **state)
{
	static const char *const changes[][2] = { { "a=recvonly", "a=sendonly" },
		{ "a=setup:actpass", "a=setup:passive" }, { "a=rtcp-mux\r\n", "" },
		{ "a=ice-ufrag:o3gM\r\n", "" },
		{ "a=fingerprint:sha-256", "a=fingerprint:sha-1" } };
	struct house *h = *state;
	char causes[5][HTTP_DETAIL_MAX_BYTES];

	for (int i = 0; i < 5; i++) {
		const char *offer = offer_change("chromium-av", changes[i][0], changes[i][1]);

		expect_refusal(h, house_post(h, "/whep/cam", offer), 422);
		snprintf(causes[i], sizeof(causes[i]), "%.200s", h->last.body);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(causes[i], causes[k]);
	}
}

static void json_is_refused_in_json(void **state)
{
	struct house *h = *state;
	json_t *doc;

	assert_int_equal(house_ask(h, "POST", "/whep/nope",
				 "Accept: application/json\r\nContent-Type: " TYPE_SDP "\r\n", "x"),
		404);
	doc = json_loadb(h->last.body, h->last.body_bytes, 0, NULL);
	assert_non_null(doc);
	assert_int_equal(json_integer_value(json_object_get(doc, "status")), 404);
	assert_true(json_is_string(json_object_get(doc, "error")));
	json_decref(doc);
}

// ---- no room -----------------------------------------------------------------------------------

static void expect_busy(struct house *h, int got, const char *text)
{
	assert_int_equal(got, 503);
	assert_non_null(house_field(h, "Retry-After"));
	assert_true(atoi(house_field(h, "Retry-After")) > 0);
	house_expect_field(h, "Location", NULL);
	if (!strstr(h->last.body, text))
		fail_msg("\"%s\" is not in: %s", text, h->last.body);
}

static void a_prefix_stands_before_location(void **state)
{
	struct house *h = *state;

	strcpy(h->stage->conf.whep.public_prefix, "/edge1");
	assert_int_equal(house_post(h, "/api/v3/whep/cam", offer_read("chromium-av")), 201);
	h->stage->conf.whep.public_prefix[0] = 0;
	assert_memory_equal(house_field(h, "Location"), "/edge1/api/v3/whep/cam/", 23);
}

static void connecting_viewers_have_a_cap(void **state)
{
	struct house *h = *state;

	h->stage->conf.whep.max_connecting = 1;
	assert_int_equal(house_post(h, "/whep/cam", offer_read("chromium-av")), 201);
	expect_busy(h, house_post(h, "/whep/cam", offer_read("chromium-av")), "just connecting");
	assert_int_equal(session_table_used(h->stage->sessions), 1);
	h->stage->conf.whep.max_connecting = 0;
	assert_int_equal(house_post(h, "/whep/cam", offer_read("chromium-av")), 201);
}

static void the_edge_is_full(void **state)
{
	struct house *h = *state;
	char location[HTTP_PATH_MAX_BYTES];

	h->stage->conf.whep.max_peers = 1;
	house_enter(h, location);
	expect_busy(h, house_post(h, "/whep/cam", offer_read("chromium-av")), "full");
	// The total cap comes before the stream, which is not there.
	expect_busy(h, house_post(h, "/whep/nope", offer_read("chromium-av")), "full");
	assert_int_equal(house_ask(h, "DELETE", location, "", ""), 204);
	assert_int_equal(house_post(h, "/whep/cam", offer_read("chromium-av")), 201);
}

static void the_stream_is_full(void **state)
{
	struct house *h = *state;
	char location[HTTP_PATH_MAX_BYTES];

	h->stage->conf.whep.max_peers_per_stream = 1;
	house_enter(h, location);
	expect_busy(h, house_post(h, "/whep/cam", offer_read("chromium-av")),
		"per-stream peer cap reached");
	// Before the body is looked at.
	expect_busy(h, house_post(h, "/whep/cam", ""), "per-stream peer cap reached");
	assert_int_equal(house_ask(h, "DELETE", location, "", ""), 204);
	assert_int_equal(house_post(h, "/whep/cam", offer_read("chromium-av")), 201);
}

// A6: accepted while silent, unless the stream asks for a source that sends.
static void a_silent_source_is_refused_where_asked(void **state)
{
	struct house *h = *state;
	struct stream *s = stream_find(h->stage->streams, "cam");
	struct region_leg_state *legs = h->stage->edge.region.streams[s->slot].legs;

	legs[LEG_VIDEO].up = legs[LEG_AUDIO].up = 0;
	assert_int_equal(house_post(h, "/whep/cam", offer_read("chromium-av")), 201);
	s->want.require_live = true;
	assert_int_equal(house_post(h, "/whep/cam", offer_read("chromium-av")), 409);
	assert_non_null(house_field(h, "Retry-After"));
	assert_true(atoi(house_field(h, "Retry-After")) > 0);
	house_expect_field(h, "Location", NULL);
	assert_int_equal(s->n_peers, 1);
	legs[LEG_AUDIO].up = 1;
	assert_int_equal(house_post(h, "/whep/cam", offer_read("chromium-av")), 201);
	// The cap comes first.
	legs[LEG_AUDIO].up = 0;
	h->stage->conf.whep.max_peers_per_stream = 2;
	assert_int_equal(house_post(h, "/whep/cam", offer_read("chromium-av")), 503);
}

// A reservation that is not confirmed yet counts.
static void reservations_count(void **state)
{
	struct house *h = *state;
	int first;

	h->stage->conf.whep.max_peers_per_stream = 1;
	h->stage->edge.manners[RING_PEER_ADD] = EDGE_HOLD;
	first = house_send(h, "POST", "/whep/cam", "Content-Type: " TYPE_SDP "\r\n",
		offer_read("chromium-av"));
	stage_pump(h->stage);
	expect_busy(h, house_post(h, "/whep/cam", offer_read("chromium-av")), "per-stream");
	edge_release(&h->stage->edge, 0);
	stage_pump(h->stage);
	assert_int_equal(house_read(h, first), 201);
}

static void nobody_takes_viewers(void **state)
{
	struct house *h = *state;

	h->api.draining = true;
	expect_busy(h, house_post(h, "/whep/cam", offer_read("chromium-av")), "shutting down");
	h->api.draining = false;
	house_lose_link(h);
	expect_busy(h, house_post(h, "/whep/cam", offer_read("chromium-av")), "data plane");
}

static void the_ring_is_full(void **state)
{
	struct house *h = *state;

	h->stage->edge.manners[RING_FLUSH] = EDGE_ASLEEP;
	while (link_command(h->api.link, LINK_ALL_WORKERS, RING_FLUSH, 0, 0, NULL, NULL) == 0)
		;
	expect_busy(h, house_post(h, "/whep/cam", offer_read("chromium-av")), "");
	stage_expect(h->stage, 0, 0, 0, 0);
}

// ---- the worker --------------------------------------------------------------------------------

static int post_unanswered(struct house *h)
{
	int fd = house_send(h, "POST", "/whep/cam", "Content-Type: " TYPE_SDP "\r\n",
		offer_read("chromium-av"));

	stage_pump(h->stage);
	assert_false(client_is_closed(fd, 0));
	stage_expect(h->stage, 1, 0, 0, 0);
	return fd;
}

static void the_worker_is_silent(void **state)
{
	struct house *h = *state;
	int fd;

	h->stage->edge.manners[RING_PEER_ADD] = EDGE_SILENT;
	fd = post_unanswered(h);
	stage_overdue(h->stage);
	assert_int_equal(house_read(h, fd), 504);
	house_expect_field(h, "Location", NULL);
	stage_expect(h->stage, 0, 0, 0, 0);
}

static void the_worker_refuses(void **state)
{
	struct house *h = *state;

	h->stage->edge.manners[RING_PEER_ADD] = EDGE_REFUSE;
	h->stage->edge.status = -ENOMEM;
	expect_busy(h, house_post(h, "/whep/cam", offer_read("chromium-av")), "data plane");
	stage_expect(h->stage, 0, 0, 0, 0);
}

static void the_data_plane_leaves_meanwhile(void **state)
{
	struct house *h = *state;
	int fd;

	h->stage->edge.manners[RING_PEER_ADD] = EDGE_SILENT;
	fd = post_unanswered(h);
	house_lose_link(h);
	expect_busy(h, house_read(h, fd), "data plane");
	stage_expect(h->stage, 0, 0, 0, 0);
}

static void it_is_shut_down_meanwhile(void **state)
{
	struct house *h = *state;
	int fd;

	h->stage->edge.manners[RING_PEER_ADD] = EDGE_HOLD;
	fd = post_unanswered(h);
	session_end_all(h->stage->sessions, SESSION_END_SHUTDOWN);
	edge_release(&h->stage->edge, 0);
	stage_pump(h->stage);
	expect_busy(h, house_read(h, fd), "");
	stage_expect(h->stage, 0, 0, 0, 0);
}

// It never learned the Location and so could never end the session.
static void the_client_leaves_meanwhile(void **state)
{
	struct house *h = *state;
	int fd;

	h->stage->edge.manners[RING_PEER_ADD] = EDGE_HOLD;
	fd = post_unanswered(h);
	client_reset(fd);
	edge_release(&h->stage->edge, 0);
	stage_pump(h->stage);
	assert_int_equal(stage_counts(h->stage)->ended[SESSION_END_DELETE], 1);
	stage_expect(h->stage, 0, 0, 0, 0);
}

// ---- all the way -------------------------------------------------------------------------------

static const char offer_form[] =
	"v=0\r\no=- 1 1 IN IP4 198.18.77.2\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n"
	"a=ice-ufrag:%s\r\na=ice-pwd:%s\r\na=fingerprint:sha-256 %s\r\na=setup:actpass\r\n"
	"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=recvonly\r\n"
	"a=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n"
	"m=video 9 UDP/TLS/RTP/SAVPF 102 103\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=recvonly\r\n"
	"a=rtcp-mux\r\na=rtpmap:102 H264/90000\r\na=rtcp-fb:102 nack\r\n"
	"a=rtpmap:103 rtx/90000\r\na=fmtp:103 apt=102\r\n"
	"a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n";

static void write_fingerprint(
	const struct sdp_fingerprint *f, char out[DTLS_FINGERPRINT_TEXT_BYTES])
{
	for (int i = 0; i < 32; i++)
		sprintf(out + 3 * i, i < 31 ? "%02X:" : "%02X", f->digest[i]);
}

static void take_line(const struct response *r, const char *name, char *out, size_t cap)
{
	const char *at = strstr(r->body, name);

	assert_non_null(at);
	at += strlen(name);
	snprintf(out, cap, "%.*s", (int)strcspn(at, "\r"), at);
}

static void expect_ssrc(const struct response *r, uint32_t ssrc)
{
	char line[32];

	snprintf(line, sizeof(line), "a=ssrc:%u cname:", ssrc);
	assert_non_null(strstr(r->body, line));
}

static void a_viewer_plays_by_what_the_answer_says(void **state)
{
	struct house *h = *state;
	struct viewer *v = viewer_create(h->stage);
	char offer[2048], fingerprint[DTLS_FINGERPRINT_TEXT_BYTES];
	const struct region_peer_leg *legs;

	h->stage->conf.media.repair_percent = 50;
	write_fingerprint(&v->sdp.fingerprints[0], fingerprint);
	snprintf(offer, sizeof(offer), offer_form, v->sdp.ice.ufrag, v->sdp.ice.pwd, fingerprint);
	if (house_post(h, "/whep/cam", offer) != 201)
		fail_msg("%d %s", h->last.status, h->last.body);
	take_line(&h->last, "a=ice-ufrag:", v->ice.ufrag, sizeof(v->ice.ufrag));
	take_line(&h->last, "a=ice-pwd:", v->ice.pwd, sizeof(v->ice.pwd));
	v->slot = edge_last(&h->stage->edge, RING_PEER_ADD)->command.slot;
	legs = viewer_slot(v)->conf.legs;
	assert_int_equal(legs[LEG_AUDIO].payload_type, 111);
	assert_int_equal(legs[LEG_VIDEO].payload_type, 102);
	expect_ssrc(&h->last, legs[LEG_AUDIO].ssrc);
	expect_ssrc(&h->last, legs[LEG_VIDEO].ssrc);
	assert_int_not_equal(legs[LEG_AUDIO].ssrc, legs[LEG_VIDEO].ssrc);
	expect_ssrc(&h->last, legs[LEG_VIDEO].rtx_ssrc);
	assert_int_not_equal(legs[LEG_VIDEO].rtx_ssrc, legs[LEG_VIDEO].ssrc);
	assert_int_equal(legs[LEG_VIDEO].rtx_payload_type, 103);
	assert_int_equal(legs[LEG_VIDEO].nack, 1);
	assert_int_equal(legs[LEG_AUDIO].nack, 0);
	assert_int_equal(viewer_check(v, (struct check){ .nominate = true }), STUN_BINDING_SUCCESS);
	viewer_handshake(v);
	assert_true(v->rig.connected);
	stage_expect(h->stage, 0, 0, 1, 0);
	// The tagged section is the audio's, which comes first.
	assert_int_equal(viewer_slot(v)->session.tagged, LEG_AUDIO);
	assert_int_equal(house_ask(h, "DELETE", house_field(h, "Location"), "", ""), 204);
	assert_true(viewer_heard_close(v));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, house_setup, house_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_offer_becomes_a_session),
		TEST(both_prefixes_lead_there),
		TEST(the_media_type_may_be_written_otherwise),
		TEST(recorded_offers_are_taken),
		TEST(a_stream_that_is_not_there),
		TEST(another_media_type),
		TEST(what_is_no_offer),
		TEST(a_missing_codec_is_named),
		TEST(an_offer_of_no_use),
		TEST(json_is_refused_in_json),
		TEST(a_prefix_stands_before_location),
		TEST(connecting_viewers_have_a_cap),
		TEST(the_edge_is_full),
		TEST(the_stream_is_full),
		TEST(reservations_count),
		TEST(nobody_takes_viewers),
		TEST(the_ring_is_full),
		TEST(the_worker_is_silent),
		TEST(a_silent_source_is_refused_where_asked),
		TEST(the_worker_refuses),
		TEST(the_data_plane_leaves_meanwhile),
		TEST(it_is_shut_down_meanwhile),
		TEST(the_client_leaves_meanwhile),
		TEST(a_viewer_plays_by_what_the_answer_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
