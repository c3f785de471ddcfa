// What a control finds in the region that one before it left: sessions that add up play on, all
// other slots are given back by their workers.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/session/rig.h"

// Another control: the same streams, a table that knows nothing. The one before dies without a
// word.
static void restart(struct stage *stage)
{
	session_table_destroy(stage->sessions);
	assert_int_equal(session_table_create(&stage->conf, stage->dtls, &stage->sessions), 0);
	edge_forget(&stage->edge);
	session_table_attach(stage->sessions, stage->link, stream_first(stage->streams));
	stage_pump(stage);
}

static struct session *find(struct viewer *v)
{
	return session_find(v->stage->sessions, viewer_slot(v)->session.resource);
}

static void sessions_play_on(void **state)
{
	struct stage *stage = *state;
	struct viewer *first = viewer_play(stage), *second = viewer_play(stage);
	struct region_peer before = *viewer_slot(first);

	restart(stage);
	stage_expect(stage, 0, 0, 2, 0);
	// Each worker is told once more: it may not have heard of the newest path.
	assert_int_equal(stage->edge.n_of[RING_PEER_UPDATE], 2);
	assert_int_equal(stage->edge.n_commands, 2);
	assert_memory_equal(viewer_slot(first), &before, sizeof(before));
	first->session = find(first);
	assert_non_null(first->session);
	assert_non_null(find(second));
	assert_ptr_not_equal(first->session, find(second));
	assert_string_equal(session_resource(first->session), before.session.resource);
	assert_ptr_equal(session_stream(first->session), stage->stream);
	assert_int_equal(stage->stream->n_peers, 2);
	assert_int_equal(session_remote_change(first->session, &first->sdp.ice), ICE_REMOTE_SAME);
	// Their slots are not given to others.
	assert_int_equal(viewer_post(second), 0);
	assert_int_not_equal(second->slot, first->slot);
}

static void consent_goes_on(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	uint64_t before_ms;

	before_ms = stage_now_ms();
	restart(stage);
	session_tick(stage->sessions, before_ms + STAGE_CONSENT_S * 1000 - 1);
	stage_expect(stage, 0, 0, 1, 0);
	edge_forget(&stage->edge);
	assert_int_equal(viewer_check(v, (struct check){ .nominate = true }), STUN_BINDING_SUCCESS);
	assert_int_equal(stage->edge.n_commands, 0);
	session_tick(stage->sessions, stage_now_ms() + STAGE_CONSENT_S * 1000);
	stage_pump(stage);
	assert_int_equal(stage_counts(stage)->ended[SESSION_END_CONSENT], 1);
	stage_expect(stage, 0, 0, 0, 0);
	assert_int_equal(viewer_slot(v)->conf.generation, 2);
}

static void a_path_still_changes(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	struct region_peer_conf want = viewer_slot(v)->conf;

	restart(stage);
	v->path.remote.port_be = htons(50000);
	want.path = v->path;
	edge_forget(&stage->edge);
	assert_int_equal(viewer_check(v, (struct check){ .nominate = true }), STUN_BINDING_SUCCESS);
	assert_int_equal(stage->edge.n_of[RING_PEER_UPDATE], 1);
	// The keys are those it had.
	assert_memory_equal(&viewer_slot(v)->conf, &want, sizeof(want));
	stage_expect(stage, 0, 0, 1, 0);
}

static void a_worker_that_knows_it_no_more_ends_it(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	uint32_t generation = viewer_slot(v)->conf.generation;

	stage->edge.manners[RING_PEER_UPDATE] = EDGE_REFUSE;
	stage->edge.status = -ENOENT;
	restart(stage);
	stage_expect(stage, 0, 0, 0, 0);
	assert_int_equal(stage_counts(stage)->ended[SESSION_END_DATAPLANE], 1);
	assert_int_equal(viewer_slot(v)->conf.generation, generation + 1);
}

static void ice_restarts_go_on_counting(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	const struct ice_remote fresh = { "fres", "VOkJxbRl1RmTxUk/WvJxBt" };
	struct ice_credentials local;
	enum leg_kind tagged;
	char etag[64];
	const char *mid;

	assert_int_equal(session_restart(v->session, &fresh, &local, &mid, &tagged), 0);
	strcpy(etag, session_etag(v->session));
	restart(stage);
	v->session = find(v);
	assert_non_null(v->session);
	assert_string_equal(session_etag(v->session), etag);
	v->ice = local;
	assert_int_equal(viewer_check(v, (struct check){}), STUN_BINDING_SUCCESS);
	assert_int_equal(session_restart(v->session, &v->sdp.ice, &local, &mid, &tagged), 0);
	assert_string_not_equal(session_etag(v->session), etag);
	assert_string_equal(mid, "0");
	assert_int_equal(tagged, LEG_VIDEO);
}

// Its association died with the control before.
static void dtls_is_over(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);

	restart(stage);
	SSL_shutdown(v->rig.client);
	stage_pump(stage);
	assert_int_equal(stage_counts(stage)->dtls_refused, 1);
	stage_expect(stage, 0, 0, 1, 0);
	session_end(find(v), SESSION_END_DELETE);
	stage_pump(stage);
	stage_expect(stage, 0, 0, 0, 0);
	assert_false(viewer_heard_close(v));
}

static void a_link_that_broke_costs_no_session(void **state)
{
	struct stage *stage = *state;
	struct viewer *playing = viewer_play(stage), *connecting = viewer_create(stage);

	assert_int_equal(viewer_post(connecting), 0);
	stage_pump(stage);
	stage_detach(stage);
	stage_attach(stage);
	edge_forget(&stage->edge);
	stage_pump(stage);
	stage_expect(stage, 0, 0, 1, 0);
	assert_non_null(find(playing));
	assert_int_equal(stage->edge.n_of[RING_PEER_REMOVE], 1);
	assert_int_equal(viewer_slot(connecting)->conf.generation, 2);
}

// ---- damage ------------------------------------------------------------------------------------

#define UNTERMINATED(field) memset(slot->session.field, 'a', sizeof(slot->session.field))

static void damage(struct region_peer *slot, int how)
{
	switch (how) {
	case 0:
		UNTERMINATED(resource);
		break;
	case 1:
		UNTERMINATED(local_ufrag);
		break;
	case 2:
		UNTERMINATED(local_pwd);
		break;
	case 3:
		UNTERMINATED(mid);
		break;
	case 4:
		slot->session.resource[5] = 0;
		break;
	case 5:
		slot->session.local_ufrag[0] = 0;
		break;
	case 6:
		slot->session.local_pwd[0] = 0;
		break;
	case 7:
		slot->session.tagged = LEG_COUNT;
		break;
	case 8:
		slot->conf.phase = REGION_PEER_RESERVED;
		break;
	case 9:
		slot->conf.phase = REGION_PEER_CLOSING;
		break;
	case 10:
		slot->conf.phase = REGION_PEER_FREE;
		break;
	case 11:
		slot->conf.phase = 77;
		break;
	case 12:
		slot->conf.stream ^= 1;
		break;
	case 13:
		slot->conf.stream_generation += 2;
		break;
	case 14:
		memset(&slot->session, 0, sizeof(slot->session));
		break;
	}
}

enum {
	N_DAMAGES = 15,
};

static void damaged_slots_are_given_back(void **state)
{
	struct stage *stage = *state;
	struct viewer *sound = viewer_play(stage), *broken = viewer_play(stage);
	struct region_peer good = *viewer_slot(broken);

	for (int how = 0; how < N_DAMAGES; how++) {
		uint32_t generation = good.conf.generation;
		const struct edge_command *remove;

		*viewer_slot(broken) = good;
		damage(viewer_slot(broken), how);
		restart(stage);
		if (session_table_used(stage->sessions) != 1)
			fail_msg("damage %d was taken for a session", how);
		assert_non_null(find(sound));
		assert_int_equal(stage->edge.n_of[RING_PEER_REMOVE], 1);
		remove = edge_last(&stage->edge, RING_PEER_REMOVE);
		assert_int_equal(remove->command.slot, broken->slot);
		assert_int_equal(remove->command.generation, generation);
		assert_int_equal(remove->worker, good.conf.worker);
		assert_int_equal(viewer_slot(broken)->conf.generation, generation + 1);
		assert_int_equal(viewer_slot(broken)->session.resource[0], 0);
		assert_false(stage_region_holds(stage, good.conf.local.key, 16));
	}
}

// Nobody knows which worker has it.
static void a_slot_of_no_worker_is_asked_of_all(void **state)
{
	static const uint16_t workers[] = { STAGE_WORKERS, 16, 0xffff };
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	struct region_peer good = *viewer_slot(v);

	for (int i = 0; i < 3; i++) {
		*viewer_slot(v) = good;
		viewer_slot(v)->conf.worker = workers[i];
		restart(stage);
		stage_expect(stage, 0, 0, 0, 0);
		assert_int_equal(stage->edge.n_of[RING_PEER_REMOVE], STAGE_WORKERS);
		assert_int_equal(viewer_slot(v)->conf.generation, good.conf.generation + 1);
	}
}

static void slots_are_asked_for_until_given_back(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	uint32_t generation = viewer_slot(v)->conf.generation;

	viewer_slot(v)->conf.phase = REGION_PEER_CLOSING;
	stage->edge.manners[RING_PEER_REMOVE] = EDGE_REFUSE;
	stage->edge.status = -EBUSY;
	restart(stage);
	assert_int_equal(viewer_slot(v)->conf.generation, generation);
	stage->edge.manners[RING_PEER_REMOVE] = EDGE_SILENT;
	session_tick(stage->sessions, stage_now_ms() + STAGE_RETRY_MS);
	stage_overdue(stage);
	assert_int_equal(stage->edge.n_of[RING_PEER_REMOVE], 2);
	assert_int_equal(viewer_slot(v)->conf.generation, generation);
	stage->edge.manners[RING_PEER_REMOVE] = EDGE_ACCEPT;
	session_tick(stage->sessions, stage_now_ms() + STAGE_RETRY_MS);
	stage_pump(stage);
	assert_int_equal(stage->edge.n_of[RING_PEER_REMOVE], 3);
	assert_int_equal(viewer_slot(v)->conf.generation, generation + 1);
	session_tick(stage->sessions, stage_now_ms() + 2 * STAGE_RETRY_MS);
	stage_pump(stage);
	assert_int_equal(stage->edge.n_of[RING_PEER_REMOVE], 3);
}

static void a_full_ring_delays_what_is_given_back(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	uint32_t generation = viewer_slot(v)->conf.generation;

	viewer_slot(v)->conf.phase = REGION_PEER_RESERVED;
	stage->edge.manners[RING_FLUSH] = EDGE_ASLEEP;
	while (link_command(stage->link, LINK_ALL_WORKERS, RING_FLUSH, 0, 0, NULL, NULL) == 0)
		;
	restart(stage);
	stage->edge.manners[RING_FLUSH] = EDGE_ACCEPT;
	stage_pump(stage);
	assert_int_equal(stage->edge.n_of[RING_PEER_REMOVE], 0);
	session_tick(stage->sessions, stage_now_ms() + STAGE_RETRY_MS);
	stage_pump(stage);
	assert_int_equal(viewer_slot(v)->conf.generation, generation + 1);
}

static void it_leaves_while_slots_are_given_back(void **state)
{
	struct stage *stage = *state;

	for (int silent = 0; silent < 2; silent++) {
		struct viewer *v = viewer_play(stage);

		viewer_slot(v)->conf.phase = REGION_PEER_RESERVED;
		stage->edge.manners[RING_PEER_REMOVE] = silent ? EDGE_SILENT : EDGE_REFUSE;
		stage->edge.status = -EBUSY;
		restart(stage);
		stage_detach(stage);
		assert_int_equal(edge_renew(&stage->edge), 0);
		stage_attach(stage);
		stage_pump(stage);
		assert_int_equal(session_table_used(stage->sessions), 0);
	}
}

// Two slots that claim to be one session.
static void twins_do_no_harm(void **state)
{
	struct stage *stage = *state;
	struct viewer *first = viewer_play(stage), *second = viewer_play(stage);

	viewer_slot(second)->session = viewer_slot(first)->session;
	viewer_slot(second)->conf.path = viewer_slot(first)->conf.path;
	restart(stage);
	stage_expect(stage, 0, 0, 2, 0);
	session_end(find(first), SESSION_END_DELETE);
	stage_pump(stage);
	stage_expect(stage, 0, 0, 1, 0);
	session_end_all(stage->sessions, SESSION_END_SHUTDOWN);
	stage_pump(stage);
	stage_expect(stage, 0, 0, 0, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sessions_play_on),
		TEST(consent_goes_on),
		TEST(a_path_still_changes),
		TEST(a_worker_that_knows_it_no_more_ends_it),
		TEST(ice_restarts_go_on_counting),
		TEST(dtls_is_over),
		TEST(a_link_that_broke_costs_no_session),
		TEST(damaged_slots_are_given_back),
		TEST(a_slot_of_no_worker_is_asked_of_all),
		TEST(slots_are_asked_for_until_given_back),
		TEST(a_full_ring_delays_what_is_given_back),
		TEST(it_leaves_while_slots_are_given_back),
		TEST(twins_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
