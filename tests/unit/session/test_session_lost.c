// Sessions whose commands find no room, that end while a command is under way, or whose data plane
// leaves, in every state.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/session/rig.h"

// ---- full rings --------------------------------------------------------------------------------

static void a_full_ring_refuses_a_session(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);

	stage_fill_rings(stage);
	assert_int_equal(viewer_post(v), -ENOBUFS);
	stage_expect(stage, 0, 0, 0, 0);
	assert_int_equal(stage->stream->n_peers, 0);
	assert_int_equal(stage_counts(stage)->created, 0);
	for (uint32_t i = 0; i < STAGE_SLOTS; i++)
		assert_int_equal(stage->edge.region.peers[i].conf.generation % 2, 0);
	stage_empty_rings(stage);
	assert_int_equal(v->n_told, 0);
	assert_int_equal(viewer_post(v), 0);
	stage_pump(stage);
	assert_int_equal(v->n_told, 1);
	assert_int_equal(v->status, 0);
}

static void a_full_ring_delays_keys(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);

	assert_int_equal(viewer_post(v), 0);
	stage_pump(stage);
	viewer_check(v, (struct check){ .nominate = true });
	stage_fill_rings(stage);
	viewer_handshake(v);
	assert_true(v->rig.connected);
	stage_expect(stage, 0, 1, 0, 0);
	stage_empty_rings(stage);
	stage_expect(stage, 0, 1, 0, 0);
	viewer_check(v, (struct check){ .nominate = true });
	assert_int_equal(stage->edge.n_of[RING_PEER_UPDATE], 1);
	stage_expect(stage, 0, 0, 1, 0);
}

static void a_full_ring_delays_the_end(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);

	stage_fill_rings(stage);
	session_end(v->session, SESSION_END_DELETE);
	stage_expect(stage, 0, 0, 0, 1);
	session_tick(stage->sessions, stage_now_ms() + STAGE_RETRY_MS); // still full
	stage_empty_rings(stage);
	stage_expect(stage, 0, 0, 0, 1);
	session_tick(stage->sessions, stage_now_ms() + STAGE_RETRY_MS);
	stage_pump(stage);
	assert_int_equal(stage->edge.n_of[RING_PEER_REMOVE], 1);
	stage_expect(stage, 0, 0, 0, 0);
	assert_int_equal(stage_n_ended(stage), 1);
}

// ---- an end while a command is under way -------------------------------------------------------

static void an_end_waits_for_the_reservation(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);

	stage->edge.manners[RING_PEER_ADD] = EDGE_HOLD;
	assert_int_equal(viewer_post(v), 0);
	stage_pump(stage);
	session_end_all(stage->sessions, SESSION_END_SHUTDOWN);
	session_end_all(stage->sessions, SESSION_END_DELETE); // once is enough
	stage_pump(stage);
	assert_int_equal(v->n_told, 0);
	assert_int_equal(stage->edge.n_of[RING_PEER_REMOVE], 0);
	edge_release(&stage->edge, 0);
	stage_pump(stage);
	assert_int_equal(v->n_told, 1);
	assert_int_equal(v->status, -ECANCELED);
	assert_int_equal(stage->edge.n_of[RING_PEER_REMOVE], 1);
	stage_expect(stage, 0, 0, 0, 0);
	assert_int_equal(stage_n_ended(stage), 1);
}

static void an_end_waits_for_a_refused_reservation(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);

	stage->edge.manners[RING_PEER_ADD] = EDGE_HOLD;
	assert_int_equal(viewer_post(v), 0);
	stage_pump(stage);
	session_end_all(stage->sessions, SESSION_END_SHUTDOWN);
	edge_release(&stage->edge, -EINVAL);
	stage_pump(stage);
	assert_int_equal(v->n_told, 1);
	assert_int_equal(v->status, -EINVAL);
	stage_expect(stage, 0, 0, 0, 0);
	assert_int_equal(stage_n_ended(stage), 1);
}

static void an_end_waits_for_the_keys(void **state)
{
	static const int answers[] = { 0, -EINVAL };

	for (int i = 0; i < 2; i++) {
		struct stage *stage = *state;
		struct viewer *v = viewer_create(stage);

		edge_forget(&stage->edge);
		stage->edge.manners[RING_PEER_UPDATE] = EDGE_HOLD;
		assert_int_equal(viewer_post(v), 0);
		stage_pump(stage);
		viewer_check(v, (struct check){ .nominate = true });
		viewer_handshake(v);
		session_end(v->session, SESSION_END_DELETE);
		stage_pump(stage);
		assert_int_equal(stage->edge.n_of[RING_PEER_REMOVE], 0);
		edge_release(&stage->edge, answers[i]);
		stage_pump(stage);
		assert_int_equal(stage->edge.n_of[RING_PEER_REMOVE], 1);
		stage_expect(stage, 0, 0, 0, 0);
		assert_int_equal(stage_n_ended(stage), i + 1);
		assert_true(viewer_heard_close(v));
	}
}

static void what_is_ending_takes_no_packets(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	uint64_t dtls_refused = stage_counts(stage)->dtls_refused;

	stage->edge.manners[RING_PEER_REMOVE] = EDGE_HOLD;
	session_end(v->session, SESSION_END_DELETE);
	session_tick(stage->sessions, stage_now_ms());
	assert_int_equal(viewer_check(v, (struct check){ .nominate = true }), STUN_BINDING_ERROR);
	SSL_shutdown(v->rig.client);
	rig_pump(&v->rig);
	stage_pump(stage);
	assert_int_equal(stage_counts(stage)->dtls_refused, dtls_refused + 1);
	assert_int_equal(stage_n_ended(stage), 1);
}

// ---- the data plane leaves ---------------------------------------------------------------------

static void expect_gone(struct stage *stage, const struct viewer *v)
{
	stage_detach(stage);
	stage_expect(stage, 0, 0, 0, 0);
	assert_int_equal(v->n_told, 1);
	assert_int_equal(stage_n_ended(stage), stage_counts(stage)->created);
	assert_int_equal(stage->stream->n_peers, 0);
	assert_int_equal(edge_renew(&stage->edge), 0);
	stage_attach(stage);
	stage_pump(stage);
	stage_expect(stage, 0, 0, 0, 0);
}

static void it_leaves_while_reserving(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);

	stage->edge.manners[RING_PEER_ADD] = EDGE_SILENT;
	assert_int_equal(viewer_post(v), 0);
	stage_pump(stage);
	expect_gone(stage, v);
	assert_int_equal(v->status, -ECONNRESET);
	assert_int_equal(stage_counts(stage)->ended[SESSION_END_DATAPLANE], 1);
}

static void it_leaves_while_reserving_what_shall_end(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);

	stage->edge.manners[RING_PEER_ADD] = EDGE_SILENT;
	assert_int_equal(viewer_post(v), 0);
	stage_pump(stage);
	session_end(v->session, SESSION_END_SHUTDOWN);
	expect_gone(stage, v);
	assert_int_equal(stage_counts(stage)->ended[SESSION_END_SHUTDOWN], 1);
}

static void it_leaves_while_connecting(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);

	assert_int_equal(viewer_post(v), 0);
	stage_pump(stage);
	viewer_check(v, (struct check){ .nominate = true });
	expect_gone(stage, v);
}

static void it_leaves_while_playing(void **state)
{
	expect_gone(*state, viewer_play(*state));
}

static void it_leaves_while_taking_keys(void **state)
{
	for (int ending = 0; ending < 2; ending++) {
		struct stage *stage = *state;
		struct viewer *v = viewer_create(stage);
		struct net_path moved = v->path;

		stage->edge.manners[RING_PEER_UPDATE] = EDGE_SILENT;
		assert_int_equal(viewer_post(v), 0);
		stage_pump(stage);
		viewer_check(v, (struct check){ .nominate = true });
		viewer_handshake(v);
		moved.remote.port_be ^= htons(2);
		viewer_check(v, (struct check){ .nominate = true, .from = &moved });
		if (ending)
			session_end(v->session, SESSION_END_DELETE);
		expect_gone(stage, v);
	}
}

static void it_leaves_while_closing(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);

	stage->edge.manners[RING_PEER_REMOVE] = EDGE_SILENT;
	session_end(v->session, SESSION_END_DELETE);
	stage_pump(stage);
	expect_gone(stage, v);
	assert_int_equal(stage_counts(stage)->ended[SESSION_END_DELETE], 1);
}

static void it_leaves_between_two_removals(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);

	stage->edge.manners[RING_PEER_REMOVE] = EDGE_REFUSE;
	stage->edge.status = -EBUSY;
	session_end(v->session, SESSION_END_DELETE);
	stage_pump(stage);
	stage->edge.manners[RING_PEER_REMOVE] = EDGE_ACCEPT;
	expect_gone(stage, v);
	assert_int_equal(stage_counts(stage)->ended[SESSION_END_DELETE], 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_full_ring_refuses_a_session),
		TEST(a_full_ring_delays_keys),
		TEST(a_full_ring_delays_the_end),
		TEST(an_end_waits_for_the_reservation),
		TEST(an_end_waits_for_a_refused_reservation),
		TEST(an_end_waits_for_the_keys),
		TEST(what_is_ending_takes_no_packets),
		TEST(it_leaves_while_reserving),
		TEST(it_leaves_while_reserving_what_shall_end),
		TEST(it_leaves_while_connecting),
		TEST(it_leaves_while_playing),
		TEST(it_leaves_while_taking_keys),
		TEST(it_leaves_while_closing),
		TEST(it_leaves_between_two_removals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
