// PATCH, DELETE, GET and OPTIONS on a session that stands, and on one that does not.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/session/whep_kit.h"

// Of the offer that house_enter posts.
#define OFFERED_CREDENTIALS "a=ice-ufrag:o3gM\r\na=ice-pwd:PVrzUBoPyXX86Mn5mMqxLqJ7\r\n"
#define NEW_CREDENTIALS	    "a=ice-ufrag:neww\r\na=ice-pwd:VOkJxbRl1RmTxUk/WvJxBt\r\n"
#define NEWER_CREDENTIALS   "a=ice-ufrag:newr\r\na=ice-pwd:bJxvWVtBU8kJO/TlRmxR1x\r\n"
#define CANDIDATE                                      \
	"m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n" \
	"a=candidate:1 1 udp 2130706431 198.18.77.2 50000 typ host\r\n"
#define NOBODY "0123456789abcdefghijklmnopqrstuv"

// A session's path, and what its ETag was when it began.
struct entered {
	char path[HTTP_PATH_MAX_BYTES];
	char etag[128];
};

static struct entered enter(struct house *h)
{
	struct entered e;

	house_enter(h, e.path);
	snprintf(e.etag, sizeof(e.etag), "%s", house_field(h, "ETag"));
	return e;
}

static int patch_if(struct house *h, const struct entered *e, const char *tags, const char *body)
{
	char line[320];

	snprintf(line, sizeof(line), "If-Match: %s\r\n", tags);
	return house_patch(h, e->path, line, body);
}

// ---- trickle -----------------------------------------------------------------------------------

static void candidates_are_thanked_for(void **state)
{
	struct house *h = *state;
	struct entered e = enter(h);
	static const char *const bodies[] = { OFFERED_CREDENTIALS CANDIDATE, CANDIDATE,
		OFFERED_CREDENTIALS, OFFERED_CREDENTIALS "a=end-of-candidates\r\n",
		"a=end-of-candidates\r\n" };

	for (int i = 0; i < 5; i++) {
		assert_int_equal(house_patch(h, e.path, "", bodies[i]), 204);
		assert_int_equal(h->last.body_bytes, 0);
		house_expect_field(h, "ETag", NULL);
		assert_int_equal(patch_if(h, &e, e.etag, bodies[i]), 204);
		assert_int_equal(patch_if(h, &e, "*", bodies[i]), 204);
	}
	stage_expect(h->stage, 0, 1, 0, 0);
}

static void what_is_no_fragment(void **state)
{
	struct house *h = *state;
	struct entered e = enter(h);

	assert_int_equal(house_patch(h, e.path, "", "a=ice-ufrag:neww\r\n"), 400);
	assert_int_equal(house_patch(h, e.path, "", "a=ice-pwd:VOkJxbRl1RmTxUk/WvJxBt\r\n"), 400);
	assert_int_equal(house_patch(h, e.path, "", "{}"), 400);
	stage_expect(h->stage, 0, 1, 0, 0);
	assert_int_equal(house_patch(h, e.path, "", ""), 204); // but nothing at all is fine
	assert_int_equal(patch_if(h, &e, e.etag, CANDIDATE), 204);
}

static void another_media_type_is_no_fragment(void **state)
{
	static const char *const types[] = { "", "Content-Type: application/json\r\n",
		"Content-Type: application/sdp\r\n" };
	struct house *h = *state;
	struct entered e = enter(h);

	for (int i = 0; i < 3; i++) {
		assert_int_equal(house_ask(h, "PATCH", e.path, types[i], NEW_CREDENTIALS), 415);
		house_expect_field(h, "Accept-Patch", TYPE_FRAGMENT);
	}
	assert_int_equal(
		house_ask(h, "PATCH", e.path,
			"Content-Type: Application/Trickle-ICE-sdpfrag;x=1\r\n", CANDIDATE),
		204);
}

// ---- restart -----------------------------------------------------------------------------------

static void new_credentials_restart_ice(void **state)
{
	struct house *h = *state;
	struct entered e = enter(h);
	char body[CLIENT_TEXT_MAX], *ufrag;

	assert_int_equal(house_patch(h, e.path, "", NEW_CREDENTIALS), 200);
	house_expect_field(h, "Content-Type", TYPE_FRAGMENT);
	house_expect_field(h, "Cache-Control", "no-store");
	assert_non_null(house_field(h, "ETag"));
	assert_string_not_equal(house_field(h, "ETag"), e.etag);
	memcpy(body, h->last.body, sizeof(body));
	assert_string_equal(body + strlen(body) - 2, "\r\n");
	assert_non_null(strstr(body, "a=ice-lite\r\n"));
	assert_non_null(strstr(body, " 198.18.77.1 8189 typ host"));
	assert_non_null(strstr(body, "a=end-of-candidates\r\n"));
	ufrag = strstr(body, "a=ice-ufrag:");
	assert_non_null(ufrag);
	ufrag[strcspn(ufrag, "\r")] = '\0';
	assert_true(stage_region_holds(h->stage, ufrag + strlen("a=ice-ufrag:"), ICE_UFRAG_CHARS));
	// The same again is trickle, another one another restart.
	assert_int_equal(house_patch(h, e.path, "", NEW_CREDENTIALS), 204);
	assert_int_equal(house_patch(h, e.path, "", NEWER_CREDENTIALS), 200);
	stage_expect(h->stage, 0, 1, 0, 0);
}

// One of the two as it was is neither the old pair nor a new one (RFC 8445 9).
static void half_new_credentials_change_nothing(void **state)
{
	static const char *const halves[] = {
		"a=ice-ufrag:neww\r\na=ice-pwd:PVrzUBoPyXX86Mn5mMqxLqJ7\r\n",
		"a=ice-ufrag:o3gM\r\na=ice-pwd:VOkJxbRl1RmTxUk/WvJxBt\r\n",
	};
	struct house *h = *state;
	struct entered e = enter(h);

	for (int i = 0; i < 2; i++)
		assert_int_equal(house_patch(h, e.path, "", halves[i]), 400);
	assert_int_equal(patch_if(h, &e, e.etag, OFFERED_CREDENTIALS CANDIDATE), 204);
}

static void a_stale_tag_restarts_nothing(void **state)
{
	struct house *h = *state;
	struct entered e = enter(h);
	char weak[160];

	snprintf(weak, sizeof(weak), "W/%s", e.etag);
	assert_int_equal(patch_if(h, &e, "\"stale\"", NEW_CREDENTIALS), 412);
	assert_int_equal(patch_if(h, &e, weak, NEW_CREDENTIALS), 412);
	assert_int_equal(patch_if(h, &e, "\"stale\"", CANDIDATE), 412);
	assert_int_equal(patch_if(h, &e, e.etag, NEW_CREDENTIALS), 200);
	// That one is stale now.
	assert_int_equal(patch_if(h, &e, e.etag, NEWER_CREDENTIALS), 412);
	assert_int_equal(patch_if(h, &e, "\"a\", \"b\"", NEWER_CREDENTIALS), 412);
}

static void any_tag_will_do(void **state)
{
	struct house *h = *state;
	struct entered e = enter(h);

	assert_int_equal(patch_if(h, &e, "*", NEW_CREDENTIALS), 200);
	assert_int_equal(patch_if(h, &e, "\"*\"", NEWER_CREDENTIALS), 200);
	assert_int_equal(patch_if(h, &e, "*", NEWER_CREDENTIALS), 204);
	assert_int_equal(patch_if(h, &e, "\"*\"", CANDIDATE), 204);
}

// Several fields are one list.
static void tags_come_in_lists(void **state)
{
	struct house *h = *state;
	struct entered e = enter(h);
	char lines[320];

	snprintf(lines, sizeof(lines), "If-Match: \"x\"\r\nIf-Match: \"y\", %s\r\n", e.etag);
	assert_int_equal(house_patch(h, e.path, lines, NEW_CREDENTIALS), 200);
	assert_int_equal(house_patch(h, e.path, lines, NEWER_CREDENTIALS), 412);
}

// A20: as the draft has it, where that is asked for.
static void strictly_a_tag_is_needed(void **state)
{
	struct house *h = *state;
	struct entered e = enter(h);

	h->stage->conf.whep.strict_etag = true;
	assert_int_equal(house_patch(h, e.path, "", CANDIDATE), 428);
	assert_int_equal(house_patch(h, e.path, "", NEW_CREDENTIALS), 428);
	// What is no fragment is that first; a stale tag is not an absent one.
	assert_int_equal(house_patch(h, e.path, "", "{}"), 400);
	assert_int_equal(patch_if(h, &e, "\"stale\"", CANDIDATE), 412);
	assert_int_equal(patch_if(h, &e, e.etag, CANDIDATE), 204);
	assert_int_equal(patch_if(h, &e, "*", NEW_CREDENTIALS), 200);
	h->stage->conf.whep.strict_etag = false;
}

static void a_list_that_is_too_long_matches_nothing(void **state)
{
	struct house *h = *state;
	struct entered e = enter(h);
	char lines[1400];
	size_t used = (size_t)snprintf(lines, sizeof(lines), "If-Match: %s", e.etag);

	memset(lines + used, ',', 600);
	strcpy(lines + used + 600, "\r\n");
	assert_int_equal(house_ask(h, "PATCH", e.path, lines, ""), 415);
	strcat(lines, "Content-Type: " TYPE_FRAGMENT "\r\n");
	assert_int_equal(house_ask(h, "PATCH", e.path, lines, NEW_CREDENTIALS), 412);
}

// The type is judged before the body, the body before the precondition.
static void faults_are_judged_in_order(void **state)
{
	struct house *h = *state;
	struct entered e = enter(h);

	assert_int_equal(
		house_ask(h, "PATCH", "/whep/cam/" NOBODY, "If-Match: \"x\"\r\n", "{"), 404);
	assert_int_equal(house_ask(h, "PATCH", e.path, "If-Match: \"x\"\r\n", "{"), 415);
	assert_int_equal(patch_if(h, &e, "\"x\"", "a=ice-ufrag:neww\r\n"), 400);
	assert_int_equal(patch_if(h, &e, "\"x\"", NEW_CREDENTIALS), 412);
}

static void a_session_that_is_not_there(void **state)
{
	struct house *h = *state;
	struct entered e = enter(h);
	char path[HTTP_PATH_MAX_BYTES + 16];

	assert_int_equal(house_patch(h, "/whep/cam/" NOBODY, "", CANDIDATE), 404);
	// It stands under its own stream only.
	snprintf(path, sizeof(path), "/whep/other/%s", strrchr(e.path, '/') + 1);
	assert_int_equal(house_patch(h, path, "", NEW_CREDENTIALS), 404);
	assert_int_equal(patch_if(h, &e, e.etag, CANDIDATE), 204);
	assert_int_equal(house_ask(h, "DELETE", e.path, "", ""), 204);
	assert_int_equal(house_patch(h, e.path, "", NEW_CREDENTIALS), 404);
}

// While its worker says good-bye it is gone for everybody else.
static void a_session_that_is_ending(void **state)
{
	struct house *h = *state;
	struct entered e = enter(h);

	h->stage->edge.manners[RING_PEER_REMOVE] = EDGE_HOLD;
	assert_int_equal(house_ask(h, "DELETE", e.path, "", ""), 204);
	stage_expect(h->stage, 0, 0, 0, 1);
	assert_int_equal(house_patch(h, e.path, "", NEW_CREDENTIALS), 404);
	assert_int_equal(house_ask(h, "DELETE", e.path, "", ""), 204);
	edge_release(&h->stage->edge, 0);
	stage_pump(h->stage);
	stage_expect(h->stage, 0, 0, 0, 0);
	assert_int_equal(h->stage->edge.n_of[RING_PEER_REMOVE], 1);
}

// ---- DELETE, GET, the rest ---------------------------------------------------------------------

static void an_end_is_an_end(void **state)
{
	struct house *h = *state;
	struct entered e = enter(h);

	assert_int_equal(house_ask(h, "DELETE", e.path, "If-Match: \"bogus\"\r\n", ""), 204);
	assert_int_equal(h->last.body_bytes, 0);
	stage_expect(h->stage, 0, 0, 0, 0);
	assert_int_equal(stage_counts(h->stage)->ended[SESSION_END_DELETE], 1);
	assert_int_equal(house_ask(h, "DELETE", e.path, "", ""), 204);
	assert_int_equal(house_ask(h, "DELETE", "/whep/cam/" NOBODY, "", ""), 204);
	assert_int_equal(house_ask(h, "DELETE", "/api/v3/whep/nope/" NOBODY, "", ""), 204);
	assert_int_equal(stage_counts(h->stage)->ended[SESSION_END_DELETE], 1);
}

static void another_streams_path_ends_nothing(void **state)
{
	struct house *h = *state;
	struct entered e = enter(h);
	char path[HTTP_PATH_MAX_BYTES + 16];

	snprintf(path, sizeof(path), "/whep/other/%s", strrchr(e.path, '/') + 1);
	assert_int_equal(house_ask(h, "DELETE", path, "", ""), 204);
	stage_expect(h->stage, 0, 1, 0, 0);
	// Either prefix is the session's.
	snprintf(path, sizeof(path), "/api/v3%s", e.path);
	assert_int_equal(house_ask(h, "DELETE", path, "", ""), 204);
	stage_expect(h->stage, 0, 0, 0, 0);
}

static void get_says_nothing(void **state)
{
	struct house *h = *state;
	struct entered e = enter(h);
	const char *const paths[] = { "/whep/cam", "/api/v3/whep/cam", e.path };

	for (int i = 0; i < 3; i++) {
		assert_int_equal(house_ask(h, "GET", paths[i], "", ""), 204);
		assert_int_equal(h->last.body_bytes, 0);
	}
}

static void head_says_what_is_spoken(void **state)
{
	struct house *h = *state;
	struct entered e = enter(h);
	const char *const endpoints[] = { "/whep/cam", "/api/v3/whep/cam" };

	for (int i = 0; i < 2; i++) {
		assert_int_equal(house_ask(h, "HEAD", endpoints[i], "", ""), 200);
		house_expect_field(h, "Content-Type", "application/sdp");
		assert_int_equal(h->last.body_bytes, 0);
	}
	assert_int_equal(house_ask(h, "HEAD", e.path, "", ""), 204);
}

static void paths_that_stop_short(void **state)
{
	static const struct {
		const char *method, *path, *text;
	} rows[] = {
		{ "POST", "/whep", "missing stream id" },
		{ "POST", "/whep/", "missing stream id" },
		{ "POST", "/api/v3/whep", "missing stream id" },
		{ "POST", "/api/v3/whep/", "missing stream id" },
		{ "DELETE", "/whep/cam", "missing resource id" },
		{ "DELETE", "/whep/cam/", "missing resource id" },
		{ "DELETE", "/api/v3/whep/cam/", "missing resource id" },
	};
	struct house *h = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(house_ask(h, rows[i].method, rows[i].path, "", ""), 400);
		assert_non_null(strstr(h->last.body, rows[i].text));
	}
}

static void other_methods_are_not_allowed(void **state)
{
	struct house *h = *state;
	struct entered e = enter(h);

	assert_int_equal(house_post(h, e.path, offer_read("chromium-av")), 405);
	assert_non_null(house_field(h, "Allow"));
	assert_non_null(strstr(house_field(h, "Allow"), "PATCH"));
	assert_non_null(strstr(house_field(h, "Allow"), "DELETE"));
	assert_null(strstr(house_field(h, "Allow"), "POST"));
	assert_int_equal(house_ask(h, "PUT", e.path, "", ""), 405);
	assert_int_equal(house_ask(h, "PATCH", "/whep/cam", "", ""), 405);
	assert_non_null(strstr(house_field(h, "Allow"), "POST"));
	stage_expect(h->stage, 0, 1, 0, 0);
}

static void options_say_what_is_taken(void **state)
{
	struct house *h = *state;
	struct entered e = enter(h);

	assert_int_equal(house_ask(h, "OPTIONS", "/whep/cam", "", ""), 204);
	house_expect_field(h, "Accept-Post", TYPE_SDP);
	house_expect_field(h, "Accept-Patch", NULL);
	assert_non_null(strstr(house_field(h, "Access-Control-Allow-Methods"), "PATCH"));
	assert_int_equal(house_ask(h, "OPTIONS", e.path, "", ""), 204);
	house_expect_field(h, "Accept-Patch", TYPE_FRAGMENT);
	house_expect_field(h, "Accept-Post", NULL);
	assert_non_null(strstr(house_field(h, "Allow"), "DELETE"));
	assert_int_equal(h->last.body_bytes, 0);
	// Without a session, too.
	assert_int_equal(house_ask(h, "OPTIONS", "/api/v3/whep/cam/" NOBODY, "", ""), 204);
	house_expect_field(h, "Accept-Patch", TYPE_FRAGMENT);
}

static void sessions_do_without_a_data_plane(void **state)
{
	struct house *h = *state;
	struct entered e = enter(h);

	house_lose_link(h);
	assert_int_equal(house_patch(h, e.path, "", NEW_CREDENTIALS), 404);
	assert_int_equal(house_ask(h, "DELETE", e.path, "", ""), 204);
	assert_int_equal(house_ask(h, "GET", e.path, "", ""), 204);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, house_setup, house_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(candidates_are_thanked_for),
		TEST(what_is_no_fragment),
		TEST(another_media_type_is_no_fragment),
		TEST(new_credentials_restart_ice),
		TEST(half_new_credentials_change_nothing),
		TEST(a_stale_tag_restarts_nothing),
		TEST(any_tag_will_do),
		TEST(tags_come_in_lists),
		TEST(strictly_a_tag_is_needed),
		TEST(a_list_that_is_too_long_matches_nothing),
		TEST(faults_are_judged_in_order),
		TEST(a_session_that_is_not_there),
		TEST(a_session_that_is_ending),
		TEST(an_end_is_an_end),
		TEST(another_streams_path_ends_nothing),
		TEST(get_says_nothing),
		TEST(head_says_what_is_spoken),
		TEST(paths_that_stop_short),
		TEST(other_methods_are_not_allowed),
		TEST(options_say_what_is_taken),
		TEST(sessions_do_without_a_data_plane),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
