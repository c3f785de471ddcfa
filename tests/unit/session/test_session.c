// How a session begins: what is told to whom, what stands in the slot, and what must not happen
// before ICE has nominated and DTLS is done.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/session/rig.h"

enum {
	CAP = 100,
	STRAYS_PER_TICK = 8,
};

// ---- from POST to READY ------------------------------------------------------------------------

static void a_session_waits_for_its_worker(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);
	const struct edge_command *add;

	stage->edge.manners[RING_PEER_ADD] = EDGE_HOLD;
	assert_int_equal(viewer_post(v), 0);
	assert_int_equal(v->n_told, 0);
	stage_expect(stage, 1, 0, 0, 0);
	stage_pump(stage);
	assert_int_equal(v->n_told, 0);
	add = edge_last(&stage->edge, RING_PEER_ADD);
	assert_non_null(add);
	assert_int_equal(add->command.slot, v->slot);
	assert_int_equal(add->worker, viewer_slot(v)->conf.worker);
	assert_int_equal(add->command.generation, viewer_slot(v)->conf.generation);
	edge_release(&stage->edge, 0);
	stage_pump(stage);
	assert_int_equal(v->n_told, 1);
	assert_int_equal(v->status, 0);
	stage_expect(stage, 0, 1, 0, 0);
	assert_int_equal(stage_counts(stage)->created, 1);
	assert_int_equal(stage->stream->n_peers, 1);
}

static void the_worker_gets_the_clients_keys(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	const struct edge_command *update = edge_last(&stage->edge, RING_PEER_UPDATE);
	const struct region_peer_conf *conf = &viewer_slot(v)->conf;
	struct dtls_keys keys;

	stage_expect(stage, 0, 0, 1, 0);
	viewer_keys(v, &keys);
	assert_non_null(update);
	assert_int_equal(stage->edge.n_of[RING_PEER_UPDATE], 1);
	assert_int_equal(update->command.slot, v->slot);
	assert_int_equal(update->command.generation, conf->generation);
	assert_int_equal(update->worker, conf->worker);
	assert_int_equal(conf->phase, REGION_PEER_READY);
	assert_int_equal(conf->key_id, 1);
	assert_int_equal(conf->profile, SRTP_PROFILE_GCM128);
	assert_int_equal(keys.profile, SRTP_PROFILE_GCM128);
	assert_memory_equal(&conf->local, &keys.local, sizeof(keys.local));
	assert_memory_equal(&conf->remote, &keys.remote, sizeof(keys.remote));
	assert_memory_not_equal(&conf->local, &conf->remote, sizeof(conf->local));
	assert_memory_equal(&conf->path, &v->path, sizeof(v->path));
}

static void the_slot_says_what_the_worker_needs(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);
	const struct region_peer_conf *conf;

	assert_int_equal(viewer_post(v), 0);
	conf = &viewer_slot(v)->conf;
	assert_int_equal(conf->generation % 2, 1);
	assert_int_equal(conf->phase, REGION_PEER_RESERVED);
	assert_int_equal(conf->stream, stage->stream->slot);
	assert_int_equal(conf->stream_generation, stage->stream->generation);
	assert_int_equal(conf->rtcp_rsize, 1);
	assert_int_equal(conf->profile, SRTP_PROFILE_NONE);
	assert_string_equal(conf->cname, "0123456789abcdef");
	for (int leg = 0; leg < LEG_COUNT; leg++) {
		const struct region_peer_leg *l = &conf->legs[leg];

		assert_int_equal(l->enabled, 1);
		assert_int_equal(l->payload_type, v->sdp.legs[leg].payload_type);
		assert_int_equal(l->ssrc, v->ssrc[leg]);
		assert_int_equal(l->nack, leg == LEG_VIDEO);
		assert_int_equal(l->rtx_ssrc, leg == LEG_VIDEO ? v->rtx_ssrc : 0);
		assert_int_equal(l->rtx_payload_type, leg == LEG_VIDEO ? 103 : 0);
		assert_in_range(l->rtx_seq_base, 0, 0x7fff);
		assert_int_equal(l->mid_ext_id, 4);
		assert_int_equal(l->mid_bytes, 1);
		assert_int_equal(l->mid[0], '0' + leg);
	}
}

// RFC 3711 3.3.1; the timestamp may begin anywhere.
static void sequence_numbers_begin_low_and_at_random(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);
	uint16_t seq_differs = 0;
	uint32_t ts_differs = 0;

	for (int i = 0; i < CAP; i++) {
		const struct region_peer_leg *legs;

		assert_int_equal(viewer_post(v), 0);
		legs = viewer_slot(v)->conf.legs;
		assert_in_range(legs[LEG_VIDEO].seq_base, 0, 0x7fff);
		assert_in_range(legs[LEG_AUDIO].seq_base, 0, 0x7fff);
		seq_differs |= legs[LEG_VIDEO].seq_base ^ legs[LEG_AUDIO].seq_base;
		ts_differs |= legs[LEG_VIDEO].ts_base ^ legs[LEG_AUDIO].ts_base;
	}
	assert_int_equal(seq_differs, 0x7fff);
	assert_int_equal(ts_differs, UINT32_MAX);
}

static void a_long_mid_is_not_sent(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);

	strcpy(v->sdp.legs[LEG_VIDEO].mid, "sixteen-chars-ok");
	strcpy(v->sdp.legs[LEG_AUDIO].mid, "seventeen-are-not");
	assert_int_equal(viewer_post(v), 0);
	assert_int_equal(viewer_slot(v)->conf.legs[LEG_VIDEO].mid_bytes, 16);
	assert_int_equal(viewer_slot(v)->conf.legs[LEG_AUDIO].mid_bytes, 0);
	assert_int_equal(viewer_slot(v)->conf.legs[LEG_AUDIO].mid_ext_id, 0);
}

static void a_leg_that_was_not_accepted_is_off(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);

	v->sdp.legs[LEG_VIDEO].accepted = false;
	assert_int_equal(viewer_post(v), 0);
	assert_int_equal(viewer_slot(v)->conf.legs[LEG_VIDEO].enabled, 0);
	assert_int_equal(viewer_slot(v)->conf.legs[LEG_AUDIO].enabled, 1);
	assert_int_equal(viewer_slot(v)->session.tagged, LEG_AUDIO);
	assert_string_equal(viewer_slot(v)->session.mid, "1");
}

static void resources_are_random_and_found(void **state)
{
	static const char base64url[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);
	char first[REGION_RESOURCE_CHARS + 1];
	const char *resource;
	char etag[64];

	assert_int_equal(viewer_post(v), 0);
	resource = session_resource(v->session);
	assert_int_equal(strlen(resource), REGION_RESOURCE_CHARS);
	assert_int_equal(strspn(resource, base64url), REGION_RESOURCE_CHARS);
	snprintf(etag, sizeof(etag), "\"%s\"", resource);
	assert_string_equal(session_etag(v->session), etag);
	assert_ptr_equal(session_find(stage->sessions, resource), v->session);
	assert_ptr_equal(session_stream(v->session), stage->stream);
	strcpy(first, resource);
	assert_int_equal(viewer_post(v), 0);
	assert_string_not_equal(session_resource(v->session), first);
	first[0] = first[0] == 'A' ? 'B' : 'A';
	assert_null(session_find(stage->sessions, first));
}

static void viewers_are_spread_over_the_workers(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);
	unsigned int of[STAGE_WORKERS] = {};

	for (int i = 0; i < 10; i++) {
		assert_int_equal(viewer_post(v), 0);
		of[viewer_slot(v)->conf.worker]++;
	}
	assert_int_equal(of[0], 5);
	assert_int_equal(of[1], 5);
}

static void a_worker_that_lost_viewers_is_next(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);
	const struct region_peer *peers = stage->edge.region.peers;

	for (int i = 0; i < 4; i++)
		assert_int_equal(viewer_post(v), 0);
	stage_pump(stage);
	for (uint32_t i = 0; i < STAGE_SLOTS; i++)
		if (peers[i].conf.generation % 2 && peers[i].conf.worker == 1)
			session_end(session_find(stage->sessions, peers[i].session.resource),
				SESSION_END_DELETE);
	stage_pump(stage);
	stage_expect(stage, 0, 2, 0, 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(viewer_post(v), 0);
		assert_int_equal(viewer_slot(v)->conf.worker, 1);
	}
}

// ---- what must not happen before its time ------------------------------------------------------

static void nothing_is_installed_before_a_nomination(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);

	assert_int_equal(viewer_post(v), 0);
	stage_pump(stage);
	assert_int_equal(viewer_check(v, (struct check){}), STUN_BINDING_SUCCESS);
	viewer_handshake(v);
	assert_true(v->rig.connected);
	assert_int_equal(stage->edge.n_of[RING_PEER_UPDATE], 0);
	assert_int_equal(viewer_slot(v)->conf.phase, REGION_PEER_RESERVED);
	assert_int_equal(viewer_slot(v)->conf.path.remote.family, NET_NONE);
	stage_expect(stage, 0, 1, 0, 0);
	// And then it is.
	viewer_check(v, (struct check){ .nominate = true });
	assert_int_equal(stage->edge.n_of[RING_PEER_UPDATE], 1);
	stage_expect(stage, 0, 0, 1, 0);
}

static void nothing_is_installed_before_dtls_is_done(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);
	struct dtls_keys keys;

	assert_int_equal(viewer_post(v), 0);
	stage_pump(stage);
	for (int i = 0; i < 3; i++)
		viewer_check(v, (struct check){ .nominate = true });
	assert_int_equal(stage->edge.n_of[RING_PEER_UPDATE], 0);
	assert_int_equal(viewer_slot(v)->conf.phase, REGION_PEER_RESERVED);
	stage_expect(stage, 0, 1, 0, 0);
	viewer_handshake(v);
	stage_expect(stage, 0, 0, 1, 0);
	viewer_keys(v, &keys);
	assert_memory_equal(&viewer_slot(v)->conf.local, &keys.local, sizeof(keys.local));
}

static void dtls_of_a_stranger_is_refused(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);

	assert_int_equal(viewer_post(v), 0);
	stage_pump(stage);
	viewer_handshake(v);
	assert_int_equal(v->n_dtls, 0);
	assert_int_equal(stage_counts(stage)->dtls_refused, 1);
	// Of another port of a viewer that is known, too.
	viewer_check(v, (struct check){ .nominate = true });
	v->path.remote.port_be ^= htons(1);
	rig_clock_advance(&v->rig, 1000);
	rig_run(&v->rig, 1000);
	stage_pump(stage);
	assert_int_equal(v->n_dtls, 0);
	assert_int_equal(stage_counts(stage)->dtls_refused > 1, 1);
	assert_false(v->rig.connected);
}

static void a_check_with_a_bad_password_changes_nothing(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);
	const struct check bad = { .nominate = true, .pwd = "AbCdEfGhIjKlMnOpQrStUv+/" };

	assert_int_equal(viewer_post(v), 0);
	stage_pump(stage);
	assert_int_equal(viewer_check(v, bad), STUN_BINDING_ERROR);
	assert_int_equal(stage_counts(stage)->stun_refused, 1);
	viewer_handshake(v);
	assert_int_equal(v->n_dtls, 0);
	assert_int_equal(stage_counts(stage)->dtls_refused, 1);
	assert_int_equal(stage->edge.n_of[RING_PEER_UPDATE], 0);
	stage_expect(stage, 0, 1, 0, 0);
}

static void a_client_that_needs_cm80_gets_it(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);
	struct dtls_keys keys;

	assert_int_equal(SSL_set_tlsext_use_srtp(v->rig.client, "SRTP_AES128_CM_SHA1_80"), 0);
	assert_int_equal(viewer_post(v), 0);
	stage_pump(stage);
	viewer_check(v, (struct check){ .nominate = true });
	viewer_handshake(v);
	stage_expect(stage, 0, 0, 1, 0);
	viewer_keys(v, &keys);
	assert_int_equal(viewer_slot(v)->conf.profile, SRTP_PROFILE_CM80);
	assert_memory_equal(&viewer_slot(v)->conf.local, &keys.local, sizeof(keys.local));
	assert_memory_equal(&viewer_slot(v)->conf.remote, &keys.remote, sizeof(keys.remote));
}

// ---- STUN of nobody ----------------------------------------------------------------------------

static void strays_are_answered_sparingly(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);
	const struct check stray = { .ufrag = "Nobody12" };

	session_tick(stage->sessions, stage_now_ms());
	for (int i = 0; i < STRAYS_PER_TICK; i++)
		assert_int_equal(viewer_check(v, stray), STUN_BINDING_ERROR);
	assert_int_equal(viewer_check(v, stray), 0);
	session_tick(stage->sessions, stage_now_ms());
	assert_int_equal(viewer_check(v, stray), STUN_BINDING_ERROR);
	assert_int_equal(stage_counts(stage)->stun_refused, STRAYS_PER_TICK + 2);
}

static void other_stun_is_not_answered(void **state)
{
	static const uint16_t types[] = { STUN_BINDING_INDICATION, STUN_BINDING_SUCCESS,
		STUN_BINDING_ERROR };
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);
	const uint8_t txid[STUN_TXID_BYTES] = { 1 };

	assert_int_equal(viewer_post(v), 0);
	stage_pump(stage);
	session_tick(stage->sessions, stage_now_ms());
	for (int i = 0; i < 3; i++) {
		struct stun_writer w;

		stun_begin(&w, v->check, sizeof(v->check), types[i], txid);
		stun_put_fingerprint(&w);
		assert_int_equal(stun_end(&w, &v->check_bytes), 0);
		viewer_check_again(v, &v->path);
	}
	v->check[4] ^= 1; // the cookie
	viewer_check_again(v, &v->path);
	assert_int_equal(stage->n_sent, 0);
	assert_int_equal(stage_counts(stage)->stun_refused, 1);
}

// ---- caps --------------------------------------------------------------------------------------

static unsigned int post_many(struct stage *stage, unsigned int n, int last)
{
	struct viewer *v = viewer_create(stage);
	unsigned int got = 0;

	for (unsigned int i = 0; i < n; i++) {
		int rc = viewer_post(v);

		if (rc == 0)
			got++;
		else
			assert_int_equal(rc, last);
		stage_pump(stage);
	}
	assert_int_equal(v->n_told, got);
	return got;
}

static void the_total_cap_holds_exactly(void **state)
{
	struct stage *stage = *state;

	stage->conf.whep.max_peers = CAP;
	assert_int_equal(session_table_cap(stage->sessions), CAP);
	assert_int_equal(post_many(stage, 1000, -ENOSPC), CAP);
	assert_int_equal(session_table_used(stage->sessions), CAP);
	assert_int_equal(stage->stream->n_peers, CAP);
	session_end_all(stage->sessions, SESSION_END_SHUTDOWN);
	stage_pump(stage);
	assert_int_equal(session_table_used(stage->sessions), 0);
	assert_int_equal(stage->stream->n_peers, 0);
}

static void the_slots_are_a_cap_too(void **state)
{
	struct stage *stage = *state;

	stage->conf.whep.max_peers = 1000;
	assert_int_equal(session_table_cap(stage->sessions), STAGE_SLOTS);
	assert_int_equal(post_many(stage, STAGE_SLOTS + 5, -ENOSPC), STAGE_SLOTS);
	stage->conf.whep.max_peers = 0;
	assert_int_equal(session_table_cap(stage->sessions), STAGE_SLOTS);
}

static void every_slot_is_taken_once(void **state)
{
	struct stage *stage = *state;
	const struct region *region = &stage->edge.region;

	assert_int_equal(post_many(stage, STAGE_SLOTS, -ENOSPC), STAGE_SLOTS);
	for (uint32_t i = 0; i < region->n_peers; i++)
		assert_int_equal(region->peers[i].conf.generation, 1);
}

// ---- for people --------------------------------------------------------------------------------

static void describe_expect(const struct session *s, const char *key, const char *want)
{
	json_t *doc = session_describe(s);

	assert_non_null(doc);
	assert_non_null(json_object_get(json_object_get(doc, "legs"), "video"));
	assert_string_equal(json_string_value(json_object_get(doc, key)), want);
	json_decref(doc);
}

static void a_session_is_described(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);
	json_t *doc;

	assert_int_equal(viewer_post(v), 0);
	describe_expect(v->session, "state", "reserving");
	describe_expect(v->session, "profile", "none");
	doc = session_describe(v->session);
	assert_true(json_is_null(json_object_get(doc, "address")));
	json_decref(doc);
	stage_pump(stage);
	describe_expect(v->session, "state", "connecting");
	v = viewer_play(stage);
	describe_expect(v->session, "state", "ready");
	describe_expect(v->session, "profile", "AEAD_AES_128_GCM");
	describe_expect(v->session, "address", "198.18.77.11:40000");
	describe_expect(v->session, "resource", session_resource(v->session));
	stage->edge.manners[RING_PEER_REMOVE] = EDGE_HOLD;
	session_end(v->session, SESSION_END_DELETE);
	describe_expect(v->session, "state", "closing");
}

static void count_visit(void *arg, const struct session *s)
{
	++*(unsigned int *)arg;
}

static void sessions_are_visited_by_stream(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);
	struct stream other = {};
	unsigned int n = 0;

	assert_int_equal(viewer_post(v), 0);
	assert_int_equal(viewer_post(v), 0);
	session_visit(stage->sessions, NULL, count_visit, &n);
	assert_int_equal(n, 2);
	session_visit(stage->sessions, stage->stream, count_visit, &n);
	assert_int_equal(n, 4);
	session_visit(stage->sessions, &other, count_visit, &n);
	assert_int_equal(n, 4);
}

static void ends_have_names(void **state)
{
	for (int i = 0; i < SESSION_END_COUNT; i++) {
		assert_non_null(session_end_name(i));
		for (int k = 0; k < i; k++)
			assert_string_not_equal(session_end_name(i), session_end_name(k));
	}
	assert_string_equal(session_end_name(SESSION_END_COUNT), "?");
}

static void there_is_no_session_without_a_data_plane(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);

	stage_detach(stage);
	assert_int_equal(viewer_post(v), -ENOTCONN);
	assert_int_equal(session_table_cap(stage->sessions), 0);
	session_tick(stage->sessions, stage_now_ms());
	stage_attach(stage);
	stage_pump(stage);
	assert_int_equal(viewer_post(v), 0);
	stage_pump(stage);
	assert_int_equal(v->status, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_session_waits_for_its_worker),
		TEST(the_worker_gets_the_clients_keys),
		TEST(the_slot_says_what_the_worker_needs),
		TEST(sequence_numbers_begin_low_and_at_random),
		TEST(a_long_mid_is_not_sent),
		TEST(a_leg_that_was_not_accepted_is_off),
		TEST(resources_are_random_and_found),
		TEST(viewers_are_spread_over_the_workers),
		TEST(a_worker_that_lost_viewers_is_next),
		TEST(nothing_is_installed_before_a_nomination),
		TEST(nothing_is_installed_before_dtls_is_done),
		TEST(dtls_of_a_stranger_is_refused),
		TEST(a_check_with_a_bad_password_changes_nothing),
		TEST(a_client_that_needs_cm80_gets_it),
		TEST(strays_are_answered_sparingly),
		TEST(other_stun_is_not_answered),
		TEST(the_total_cap_holds_exactly),
		TEST(the_slots_are_a_cap_too),
		TEST(every_slot_is_taken_once),
		TEST(a_session_is_described),
		TEST(sessions_are_visited_by_stream),
		TEST(there_is_no_session_without_a_data_plane),
		cmocka_unit_test(ends_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
