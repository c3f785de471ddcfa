// A viewer that moves: NAT rebinding, ICE restart, addresses that others take over; and the worker
// that is told of each move once it can be. The clock is the test's.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/session/rig.h"

enum {
	FEW = 3,
	MANY = 40,
	REBIND_S = 20,
};

static uint64_t ahead_ns;

uint64_t __real_region_now_ns(void);
uint64_t __wrap_region_now_ns(void);

// Linked in the place of the real one.
uint64_t __wrap_region_now_ns(void)
{
	return __real_region_now_ns() + ahead_ns;
}

static struct net_path at_port(const struct viewer *v, uint16_t port)
{
	struct net_path path = v->path;

	path.remote.port_be = htons(port);
	return path;
}

// Whether DTLS from there reaches a session: a record that only looks like one of an association.
static bool dtls_reaches(struct viewer *v, const struct net_path *from)
{
	static const uint8_t record[] = { 23, 254, 253, 0, 1, 0, 0, 0, 0, 0, 9, 0, 32, [44] = 0 };
	uint64_t refused = stage_counts(v->stage)->dtls_refused;

	assert_int_equal(edge_punt(&v->stage->edge, 0, from, record, sizeof(record)), 0);
	stage_pump(v->stage);
	return stage_counts(v->stage)->dtls_refused == refused;
}

static void expect_path(const struct viewer *v, const struct net_path *path)
{
	assert_memory_equal(&viewer_slot(v)->conf.path, path, sizeof(*path));
}

// ---- moves -------------------------------------------------------------------------------------

static void a_rebound_nat_moves_the_path_alone(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	struct region_peer_conf before = viewer_slot(v)->conf;
	struct net_path moved = at_port(v, 50000);
	unsigned int n_dtls = v->n_dtls;

	edge_forget(&stage->edge);
	viewer_check(v, (struct check){ .from = &moved });
	assert_int_equal(stage->edge.n_commands, 0); // known, but not nominated
	viewer_check(v, (struct check){ .nominate = true, .from = &moved });
	assert_int_equal(stage->edge.n_of[RING_PEER_UPDATE], 1);
	assert_int_equal(stage->edge.n_commands, 1);
	before.path = moved;
	assert_memory_equal(&viewer_slot(v)->conf, &before, sizeof(before));
	viewer_handshake(v);
	assert_int_equal(v->n_dtls, n_dtls);
	stage_expect(stage, 0, 0, 1, 0);
	// The association goes on from there.
	v->path = moved;
	SSL_shutdown(v->rig.client);
	stage_pump(stage);
	assert_int_equal(stage_counts(stage)->ended[SESSION_END_DTLS_CLOSED], 1);
}

static void a_new_next_hop_is_a_new_path(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);

	v->path.remote_mac[5] ^= 1;
	v->path.has_vlan = 1;
	v->path.vlan_tci = 77;
	viewer_check(v, (struct check){});
	assert_int_equal(stage->edge.n_of[RING_PEER_UPDATE], 2);
	expect_path(v, &v->path);
}

static void checks_from_the_same_place_command_nothing(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);

	edge_forget(&stage->edge);
	for (int i = 0; i < FEW; i++)
		assert_int_equal(
			viewer_check(v, (struct check){ .nominate = true }), STUN_BINDING_SUCCESS);
	assert_int_equal(stage->edge.n_commands, 0);
}

static void a_lower_nomination_moves_nothing(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	struct net_path other = at_port(v, 50000);

	edge_forget(&stage->edge);
	viewer_check(v, (struct check){ .nominate = true, .priority = 1, .from = &other });
	assert_int_equal(stage->edge.n_commands, 0);
	expect_path(v, &v->path);
}

static void a_copied_check_moves_nothing(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	struct net_path thief = at_port(v, 666);

	thief.remote.ip[3] = 66;
	edge_forget(&stage->edge);
	assert_int_equal(viewer_check(v, (struct check){ .nominate = true }), STUN_BINDING_SUCCESS);
	assert_int_equal(viewer_check_again(v, &thief), 0);
	assert_int_equal(stage->edge.n_commands, 0);
	expect_path(v, &v->path);
	assert_false(dtls_reaches(v, &thief));
	assert_true(dtls_reaches(v, &v->path));
}

static void a_forged_check_moves_nothing(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	struct net_path thief = at_port(v, 666);
	const struct check forged = {
		.nominate = true, .pwd = "AbCdEfGhIjKlMnOpQrStUv+/", .from = &thief
	};

	edge_forget(&stage->edge);
	assert_int_equal(viewer_check(v, forged), STUN_BINDING_ERROR);
	assert_int_equal(stage->edge.n_commands, 0);
	expect_path(v, &v->path);
	assert_false(dtls_reaches(v, &thief));
}

static void dtls_may_begin_on_any_known_address(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);
	struct net_path nominated = at_port(v, 50000);

	assert_int_equal(viewer_post(v), 0);
	stage_pump(stage);
	viewer_check(v, (struct check){});
	viewer_check(v, (struct check){ .nominate = true, .from = &nominated });
	viewer_handshake(v);
	assert_true(v->rig.connected);
	stage_expect(stage, 0, 0, 1, 0);
	expect_path(v, &nominated);
}

static void a_viewer_may_come_by_ipv6(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);

	assert_int_equal(net_ip_parse("fd77::1", &v->path.local), 0);
	assert_int_equal(net_ip_parse("fd77::2", &v->path.remote), 0);
	v->path.remote.port_be = htons(40000);
	assert_int_equal(viewer_post(v), 0);
	stage_pump(stage);
	viewer_check(v, (struct check){ .nominate = true });
	viewer_handshake(v);
	stage_expect(stage, 0, 0, 1, 0);
	expect_path(v, &v->path);
}

// ---- moves while the worker reads --------------------------------------------------------------

static void a_move_waits_for_the_command_under_way(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);
	struct region_peer_conf told;
	struct net_path moved;

	assert_int_equal(viewer_post(v), 0);
	stage_pump(stage);
	viewer_check(v, (struct check){ .nominate = true });
	stage->edge.manners[RING_PEER_UPDATE] = EDGE_HOLD;
	viewer_handshake(v);
	assert_int_equal(stage->edge.n_of[RING_PEER_UPDATE], 1);
	told = viewer_slot(v)->conf;
	for (uint16_t i = 0; i < FEW; i++) {
		moved = at_port(v, (uint16_t)(50000 + i));
		viewer_check(v, (struct check){ .nominate = true, .from = &moved });
	}
	// The worker reads it now: hands off.
	assert_memory_equal(&viewer_slot(v)->conf, &told, sizeof(told));
	assert_int_equal(stage->edge.n_of[RING_PEER_UPDATE], 1);
	stage_expect(stage, 0, 1, 0, 0);
	edge_release(&stage->edge, 0);
	stage_pump(stage);
	assert_int_equal(stage->edge.n_of[RING_PEER_UPDATE], 2);
	expect_path(v, &moved);
	stage_expect(stage, 0, 0, 1, 0);
	edge_release(&stage->edge, 0);
	stage_pump(stage);
	assert_int_equal(stage->edge.n_of[RING_PEER_UPDATE], 2);
	assert_int_equal(viewer_slot(v)->conf.key_id, 1);
	stage_expect(stage, 0, 0, 1, 0);
}

static void a_refused_move_ends_it(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	struct net_path moved = at_port(v, 50000);

	stage->edge.manners[RING_PEER_UPDATE] = EDGE_REFUSE;
	stage->edge.status = -EINVAL;
	viewer_check(v, (struct check){ .nominate = true, .from = &moved });
	assert_int_equal(stage_counts(stage)->ended[SESSION_END_DATAPLANE], 1);
	stage_expect(stage, 0, 0, 0, 0);
}

// ---- addresses ---------------------------------------------------------------------------------

static void the_newest_holder_of_an_address_has_it(void **state)
{
	struct stage *stage = *state;
	struct viewer *first = viewer_play(stage);
	struct viewer *second = viewer_create(stage);

	second->path = first->path;
	assert_int_equal(viewer_post(second), 0);
	stage_pump(stage);
	viewer_check(second, (struct check){ .nominate = true });
	viewer_handshake(second);
	assert_true(second->rig.connected);
	stage_expect(stage, 0, 0, 2, 0);
	// The first one's good-bye comes from an address that is not its any more.
	SSL_shutdown(first->rig.client);
	stage_pump(stage);
	stage_expect(stage, 0, 0, 2, 0);
	edge_forget(&stage->edge);
	viewer_check(first, (struct check){});
	// Its worker must hear of that.
	assert_int_equal(stage->edge.n_of[RING_PEER_UPDATE], 1);
	assert_int_equal(edge_last(&stage->edge, RING_PEER_UPDATE)->command.slot, first->slot);
	SSL_shutdown(second->rig.client);
	stage_pump(stage);
	stage_expect(stage, 0, 0, 2, 0);
	viewer_check(second, (struct check){});
	session_end(first->session, SESSION_END_DELETE);
	stage_pump(stage);
	assert_true(dtls_reaches(second, &second->path));
	session_end(second->session, SESSION_END_DELETE);
	stage_pump(stage);
	assert_false(dtls_reaches(second, &second->path));
}

static void a_ninth_live_address_is_refused(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	struct net_path path;

	for (uint16_t i = 1; i < ICE_MAX_VALIDATED; i++) {
		path = at_port(v, (uint16_t)(50000 + i));
		assert_int_equal(
			viewer_check(v, (struct check){ .from = &path }), STUN_BINDING_SUCCESS);
	}
	path = at_port(v, 50000);
	assert_int_equal(viewer_check(v, (struct check){ .from = &path }), 0);
	assert_false(dtls_reaches(v, &path));
}

// A NAT that rebinds for hours: the old addresses give way, and are nobody's then.
static void old_addresses_give_way(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	struct net_path first = v->path, path = first, before;

	for (uint16_t i = 0; i < MANY; i++) {
		before = path;
		ahead_ns += REBIND_S * 1000000000ULL;
		path = at_port(v, (uint16_t)(50000 + i));
		assert_int_equal(viewer_check(v, (struct check){ .nominate = true, .from = &path }),
			STUN_BINDING_SUCCESS);
		session_tick(stage->sessions, stage_now_ms());
		expect_path(v, &path);
		assert_true(dtls_reaches(v, &path));
		assert_true(dtls_reaches(v, &before));
	}
	assert_int_equal(stage->edge.n_of[RING_PEER_UPDATE], 1 + MANY);
	assert_false(dtls_reaches(v, &first));
	stage_expect(stage, 0, 0, 1, 0);
}

// ---- ICE restart -------------------------------------------------------------------------------

static const struct ice_remote fresh = { "fres", "VOkJxbRl1RmTxUk/WvJxBt" };

static void a_restart_leaves_media_alone(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	const struct region_peer_session *kept = &viewer_slot(v)->session;
	struct region_peer_conf before = viewer_slot(v)->conf;
	struct ice_credentials local;
	uint8_t old_ufrag[REGION_DIGEST_BYTES];
	enum leg_kind tagged;
	char etag[64];
	const char *mid;

	strcpy(etag, session_etag(v->session));
	memcpy(old_ufrag, kept->remote_ufrag, sizeof(old_ufrag));
	assert_int_equal(session_remote_change(v->session, &fresh), ICE_REMOTE_NEW);
	edge_forget(&stage->edge);
	assert_int_equal(session_restart(v->session, &fresh, &local, &mid, &tagged), 0);
	assert_int_equal(stage->edge.n_commands, 0);
	assert_memory_equal(&viewer_slot(v)->conf, &before, sizeof(before));
	assert_string_not_equal(session_etag(v->session), etag);
	assert_string_not_equal(local.ufrag, v->ice.ufrag);
	assert_string_equal(mid, v->sdp.legs[tagged].mid);
	assert_int_equal(tagged, v->sdp.legs[LEG_VIDEO].section ? LEG_AUDIO : LEG_VIDEO);
	assert_int_equal(session_remote_change(v->session, &fresh), ICE_REMOTE_SAME);
	assert_string_equal(kept->local_ufrag, local.ufrag);
	assert_string_equal(kept->local_pwd, local.pwd);
	assert_memory_not_equal(kept->remote_ufrag, old_ufrag, sizeof(old_ufrag));
	assert_int_equal(kept->ice_generation, 1);
	assert_ptr_equal(session_find(stage->sessions, session_resource(v->session)), v->session);
	stage_expect(stage, 0, 0, 1, 0);
}

static void old_credentials_hold_until_the_new_ones_are_used(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	struct net_path moved = at_port(v, 50000);
	struct ice_credentials old = v->ice;
	unsigned int n_dtls = v->n_dtls;
	enum leg_kind tagged;
	const char *mid;

	session_tick(stage->sessions, stage_now_ms());
	assert_int_equal(session_restart(v->session, &fresh, &v->ice, &mid, &tagged), 0);
	assert_int_equal(viewer_check(v, (struct check){ .ufrag = old.ufrag, .pwd = old.pwd }),
		STUN_BINDING_SUCCESS);
	edge_forget(&stage->edge);
	assert_int_equal(viewer_check(v, (struct check){ .nominate = true, .from = &moved }),
		STUN_BINDING_SUCCESS);
	assert_int_equal(stage->edge.n_of[RING_PEER_UPDATE], 1);
	expect_path(v, &moved);
	assert_int_equal(viewer_check(v, (struct check){ .ufrag = old.ufrag, .pwd = old.pwd }),
		STUN_BINDING_ERROR);
	viewer_handshake(v);
	assert_int_equal(v->n_dtls, n_dtls);
	stage_expect(stage, 0, 0, 1, 0);
}

static void a_restart_that_cannot_be_changes_nothing(void **state)
{
	static const struct ice_remote bad[] = { { "abc", "VOkJxbRl1RmTxUk/WvJxBt" },
		{ "abcd", "tooshort" }, { "ab d", "VOkJxbRl1RmTxUk/WvJxBt" } };
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	struct region_peer before = *viewer_slot(v);
	struct ice_credentials local;
	enum leg_kind tagged;
	const char *mid;
	char etag[64];

	strcpy(etag, session_etag(v->session));
	for (int i = 0; i < 3; i++)
		assert_int_equal(
			session_restart(v->session, &bad[i], &local, &mid, &tagged), -EINVAL);
	assert_string_equal(session_etag(v->session), etag);
	assert_memory_equal(viewer_slot(v), &before, sizeof(before));
	assert_int_equal(viewer_check(v, (struct check){}), STUN_BINDING_SUCCESS);
}

static void every_restart_has_its_tag(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	char tags[FEW][64];
	enum leg_kind tagged;
	const char *mid;

	for (int i = 0; i < FEW; i++) {
		assert_int_equal(session_restart(v->session, &fresh, &v->ice, &mid, &tagged), 0);
		strcpy(tags[i], session_etag(v->session));
		assert_int_equal(tags[i][0], '"');
		assert_int_equal(tags[i][strlen(tags[i]) - 1], '"');
		for (int k = 0; k < i; k++)
			assert_string_not_equal(tags[i], tags[k]);
	}
	assert_int_equal(viewer_check(v, (struct check){}), STUN_BINDING_SUCCESS);
}

static int set_up(void **state)
{
	ahead_ns = 0;
	return stage_setup(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_rebound_nat_moves_the_path_alone),
		TEST(a_new_next_hop_is_a_new_path),
		TEST(checks_from_the_same_place_command_nothing),
		TEST(a_lower_nomination_moves_nothing),
		TEST(a_copied_check_moves_nothing),
		TEST(a_forged_check_moves_nothing),
		TEST(dtls_may_begin_on_any_known_address),
		TEST(a_viewer_may_come_by_ipv6),
		TEST(a_move_waits_for_the_command_under_way),
		TEST(a_refused_move_ends_it),
		TEST(the_newest_holder_of_an_address_has_it),
		TEST(a_ninth_live_address_is_refused),
		TEST(old_addresses_give_way),
		TEST(a_restart_leaves_media_alone),
		TEST(old_credentials_hold_until_the_new_ones_are_used),
		TEST(a_restart_that_cannot_be_changes_nothing),
		TEST(every_restart_has_its_tag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
