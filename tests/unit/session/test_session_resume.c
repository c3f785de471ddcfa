// The data plane leaves, control holds its region, and another takes it up: sessions go on from
// every state that can, and the others leave no slot behind.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/session/rig.h"

// The next data plane has the region.
static void resume(struct stage *stage)
{
	edge_forget(&stage->edge);
	memset(stage->edge.manners, 0, sizeof(stage->edge.manners));
	assert_int_equal(edge_take_up(&stage->edge), 0);
	stage_attach(stage);
	stage_pump(stage);
}

static void expect_slots(const struct stage *stage, unsigned int in_use)
{
	unsigned int n = 0;

	for (uint32_t i = 0; i < STAGE_SLOTS; i++)
		n += region_in_use(stage->edge.region.peers[i].conf.generation);
	assert_int_equal(n, in_use);
	assert_int_equal(stage->stream->n_peers, in_use);
	assert_int_equal(session_table_used(stage->sessions), in_use);
}

// ---- who goes on -------------------------------------------------------------------------------

static void who_plays_goes_on(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	struct region_peer before = *viewer_slot(v);

	stage_lose(stage);
	stage_expect(stage, 0, 0, 1, 0);
	session_tick(stage->sessions, stage_now_ms());
	assert_ptr_equal(session_find(stage->sessions, session_resource(v->session)), v->session);
	resume(stage);
	stage_expect(stage, 0, 0, 1, 0);
	expect_slots(stage, 1);
	// Its worker is told once more, of the same keys and path.
	assert_int_equal(stage->edge.n_of[RING_PEER_UPDATE], 1);
	assert_int_equal(stage->edge.n_of[RING_PEER_REMOVE], 0);
	assert_memory_equal(&viewer_slot(v)->conf, &before.conf, sizeof(before.conf));
	assert_int_equal(stage_n_ended(stage), 0);
	// Its association lives: it can leave by it.
	assert_int_equal(viewer_check(v, (struct check){ .nominate = true }), STUN_BINDING_SUCCESS);
	SSL_shutdown(v->rig.client);
	rig_pump(&v->rig);
	stage_pump(stage);
	assert_int_equal(stage_counts(stage)->ended[SESSION_END_DTLS_CLOSED], 1);
	expect_slots(stage, 0);
}

// Consent that ran while nobody could answer checks is not held against the viewer.
static void consent_begins_anew(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	uint64_t now_ms = stage_now_ms();

	viewer_slot(v)->state.last_rx_ns = 0;
	usleep(30000);
	stage_lose(stage);
	session_tick(stage->sessions, now_ms + 2 * STAGE_CONSENT_S * 1000);
	stage_expect(stage, 0, 0, 1, 0);
	resume(stage);
	session_tick(stage->sessions, now_ms + STAGE_CONSENT_S * 1000 + 10);
	stage_expect(stage, 0, 0, 1, 0);
	session_tick(stage->sessions, stage_now_ms() + STAGE_CONSENT_S * 1000);
	stage_pump(stage);
	assert_int_equal(stage_counts(stage)->ended[SESSION_END_CONSENT], 1);
}

static void who_connects_goes_on(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);

	assert_int_equal(viewer_post(v), 0);
	stage_pump(stage);
	viewer_check(v, (struct check){ .nominate = true });
	stage_lose(stage);
	stage_expect(stage, 0, 1, 0, 0);
	session_tick(stage->sessions, stage_now_ms());
	resume(stage);
	expect_slots(stage, 1);
	assert_int_equal(stage->edge.n_of[RING_PEER_ADD], 0);
	viewer_check(v, (struct check){ .nominate = true });
	viewer_handshake(v);
	assert_true(v->rig.connected);
	stage_expect(stage, 0, 0, 1, 0);
}

// The command was never answered: it is given again.
static void who_takes_keys_goes_on(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);

	stage->edge.manners[RING_PEER_UPDATE] = EDGE_SILENT;
	assert_int_equal(viewer_post(v), 0);
	stage_pump(stage);
	viewer_check(v, (struct check){ .nominate = true });
	viewer_handshake(v);
	stage_expect(stage, 0, 1, 0, 0);
	stage_lose(stage);
	resume(stage);
	assert_int_equal(stage->edge.n_of[RING_PEER_UPDATE], 1);
	assert_int_equal(viewer_slot(v)->conf.key_id, 1);
	stage_expect(stage, 0, 0, 1, 0);
}

// ---- who does not ------------------------------------------------------------------------------

static void who_reserves_is_told(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);

	stage->edge.manners[RING_PEER_ADD] = EDGE_SILENT;
	assert_int_equal(viewer_post(v), 0);
	stage_pump(stage);
	stage_lose(stage);
	assert_int_equal(v->n_told, 1);
	assert_int_equal(v->status, -ECONNRESET);
	stage_expect(stage, 0, 0, 0, 0);
	resume(stage);
	assert_int_equal(stage->edge.n_of[RING_PEER_REMOVE], 1);
	expect_slots(stage, 0);
}

static void who_closes_is_gone(void **state)
{
	static const enum edge_manner manners[] = { EDGE_SILENT, EDGE_REFUSE };

	for (int i = 0; i < 2; i++) {
		struct stage *stage = *state;
		struct viewer *v = viewer_play(stage);

		stage->edge.manners[RING_PEER_REMOVE] = manners[i];
		stage->edge.status = -EBUSY;
		session_end(v->session, SESSION_END_DELETE);
		stage_pump(stage);
		stage_lose(stage);
		stage_expect(stage, 0, 0, 0, 0);
		resume(stage);
		assert_int_equal(stage->edge.n_of[RING_PEER_REMOVE], 1);
		expect_slots(stage, 0);
		assert_int_equal(stage_counts(stage)->ended[SESSION_END_DELETE], i + 1);
	}
}

// Nobody says good-bye to it; its worker must not take it up, and control gives its slot back.
static void who_leaves_meanwhile_is_gone(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);

	stage_lose(stage);
	session_end(v->session, SESSION_END_DELETE);
	assert_int_equal(viewer_slot(v)->conf.phase, REGION_PEER_CLOSING);
	session_tick(stage->sessions, stage_now_ms());
	stage_expect(stage, 0, 0, 0, 0);
	resume(stage);
	assert_int_equal(stage->edge.n_of[RING_PEER_REMOVE], 1);
	expect_slots(stage, 0);
	assert_int_equal(stage_n_ended(stage), 1);
}

static void nobody_comes_meanwhile(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);

	stage_lose(stage);
	assert_int_equal(viewer_post(v), -ENOTCONN);
	resume(stage);
	assert_int_equal(viewer_post(v), 0);
	stage_pump(stage);
	assert_int_equal(v->status, 0);
	expect_slots(stage, 1);
}

// The data plane has another region: today's viewers are yesterday's.
static void another_region_ends_them(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	struct viewer *w = viewer_create(stage);

	assert_int_equal(viewer_post(w), 0);
	stage_pump(stage);
	stage_lose(stage);
	stage_expect(stage, 0, 1, 1, 0);
	stage_forget(stage);
	stage_expect(stage, 0, 0, 0, 0);
	assert_int_equal(stage_counts(stage)->ended[SESSION_END_DATAPLANE], 2);
	assert_int_equal(edge_renew(&stage->edge), 0);
	stage_attach(stage);
	stage_pump(stage);
	expect_slots(stage, 0);
	assert_int_equal(v->n_told + w->n_told, 2);
}

static void on_removed(void *arg, struct stream *s, int status)
{
	*(int *)arg = status;
}

// A stream that is removed meanwhile does not come back with the region.
static void a_removed_stream_stays_away(void **state)
{
	struct stage *stage = *state;
	int status = 1;

	viewer_play(stage);
	stage_lose(stage);
	stream_leave(stage->stream);
	session_end_stream(stage->sessions, stage->stream, SESSION_END_STREAM_GONE);
	assert_int_equal(stream_remove(stage->stream, on_removed, &status), 0);
	session_tick(stage->sessions, stage_now_ms());
	assert_int_equal(status, 0);
	assert_null(stream_first(stage->streams));
	resume(stage);
	assert_null(stream_first(stage->streams));
	assert_int_equal(stage->edge.n_of[RING_STREAM_SET], 0);
	assert_int_equal(stage->edge.n_of[RING_STREAM_REMOVE], STAGE_WORKERS);
	assert_int_equal(session_table_used(stage->sessions), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_plays_goes_on),
		TEST(consent_begins_anew),
		TEST(who_connects_goes_on),
		TEST(who_takes_keys_goes_on),
		TEST(who_reserves_is_told),
		TEST(who_closes_is_gone),
		TEST(who_leaves_meanwhile_is_gone),
		TEST(nobody_comes_meanwhile),
		TEST(another_region_ends_them),
		TEST(a_removed_stream_stays_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
