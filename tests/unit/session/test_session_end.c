// How a session ends: every reason there is, in every state; what the worker, the viewer and the
// slot see of it; and what becomes of it when the worker refuses or is silent.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/session/rig.h"

static bool is_zero(const void *bytes, size_t n_bytes)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i < n_bytes; i++)
		if (at[i])
			return false;
	return true;
}

// The slot is as good as new, but for its generation, and is taken again.
static void expect_slot_free(struct viewer *v, uint32_t generation)
{
	struct stage *stage = v->stage;
	struct region_peer *slot = viewer_slot(v);
	uint16_t index = v->slot;

	assert_int_equal(slot->conf.generation, generation + 1);
	assert_int_equal(slot->conf.generation % 2, 0);
	assert_true(is_zero(
		(uint8_t *)&slot->conf + sizeof(uint32_t), sizeof(slot->conf) - sizeof(uint32_t)));
	assert_true(is_zero(&slot->session, sizeof(slot->session)));
	edge_forget(&stage->edge);
	assert_int_equal(viewer_post(v), 0);
	stage_pump(stage);
	assert_int_equal(v->status, 0);
	assert_int_equal(v->slot, index);
	assert_int_equal(slot->conf.generation, generation + 2);
}

static void expect_no_keys(const struct stage *stage, const struct dtls_keys *keys)
{
	assert_false(stage_region_holds(stage, keys->local.key, 16));
	assert_false(stage_region_holds(stage, keys->remote.key, 16));
	assert_false(stage_region_holds(stage, keys->local.salt, 12));
	assert_false(stage_region_holds(stage, keys->remote.salt, 12));
}

// A session that plays comes to its end by trigger: the worker first, then the viewer, then the
// slot.
static void ends_well(struct stage *stage, enum session_end why, void (*trigger)(struct viewer *))
{
	struct viewer *v = viewer_play(stage);
	uint32_t generation = viewer_slot(v)->conf.generation;
	char resource[REGION_RESOURCE_CHARS + 1];
	const struct edge_command *remove;
	struct dtls_keys keys;

	viewer_keys(v, &keys);
	assert_true(stage_region_holds(stage, keys.local.key, 16));
	strcpy(resource, session_resource(v->session));
	stage->edge.manners[RING_PEER_REMOVE] = EDGE_HOLD;
	trigger(v);
	stage_pump(stage);
	assert_int_equal(stage_counts(stage)->ended[why], 1);
	assert_int_equal(stage_n_ended(stage), 1);
	stage_expect(stage, 0, 0, 0, 1);
	assert_null(session_find(stage->sessions, resource));
	remove = edge_last(&stage->edge, RING_PEER_REMOVE);
	assert_non_null(remove);
	assert_int_equal(remove->command.slot, v->slot);
	assert_int_equal(remove->command.generation, generation);
	assert_int_equal(remove->worker, viewer_slot(v)->conf.worker);
	assert_int_equal(viewer_slot(v)->conf.phase, REGION_PEER_CLOSING);
	if (why != SESSION_END_DTLS_CLOSED)
		assert_false(viewer_heard_close(v));
	edge_release(&stage->edge, 0);
	stage_pump(stage);
	assert_true(viewer_heard_close(v));
	stage_expect(stage, 0, 0, 0, 0);
	assert_int_equal(stage->stream->n_peers, 0);
	assert_int_equal(stage->edge.n_of[RING_PEER_REMOVE], 1);
	expect_no_keys(stage, &keys);
	assert_false(stage_region_holds(stage, v->ice.pwd, ICE_PWD_CHARS));
	expect_slot_free(v, generation);
}

// ---- reasons -----------------------------------------------------------------------------------

static void by_delete(struct viewer *v)
{
	session_end(v->session, SESSION_END_DELETE);
	session_end(v->session, SESSION_END_CONSENT); // once is enough
}

static void a_session_ends_by_delete(void **state)
{
	ends_well(*state, SESSION_END_DELETE, by_delete);
}

static void by_stream(struct viewer *v)
{
	const struct stream other = {};

	session_end_stream(v->stage->sessions, &other, SESSION_END_STREAM_GONE);
	assert_int_equal(stage_n_ended(v->stage), 0);
	session_end_stream(v->stage->sessions, v->stage->stream, SESSION_END_STREAM_GONE);
}

static void a_session_ends_with_its_stream(void **state)
{
	ends_well(*state, SESSION_END_STREAM_GONE, by_stream);
}

static void by_shutdown(struct viewer *v)
{
	session_end_all(v->stage->sessions, SESSION_END_SHUTDOWN);
}

static void a_session_ends_at_shutdown(void **state)
{
	ends_well(*state, SESSION_END_SHUTDOWN, by_shutdown);
}

static void by_silence(struct viewer *v)
{
	session_tick(v->stage->sessions, stage_now_ms() + STAGE_CONSENT_S * 1000);
}

static void a_session_ends_without_consent(void **state)
{
	ends_well(*state, SESSION_END_CONSENT, by_silence);
}

static void by_close_notify(struct viewer *v)
{
	SSL_shutdown(v->rig.client);
	rig_pump(&v->rig);
}

static void a_session_ends_by_close_notify(void **state)
{
	ends_well(*state, SESSION_END_DTLS_CLOSED, by_close_notify);
}

static void by_fewer_legs(struct viewer *v)
{
	struct stream_want want = v->stage->stream->want;

	char error[STREAM_ERROR_MAX];
	bool existed;

	want.legs[LEG_AUDIO].present = false;
	assert_int_equal(
		stream_set(v->stage->streams, "cam", &want, NULL, NULL, &existed, error), 0);
	stage_pump(v->stage);
	session_tick(v->stage->sessions, stage_now_ms());
}

// F22, F19: it was answered what the stream has no more.
static void a_session_ends_when_its_stream_loses_a_leg(void **state)
{
	ends_well(*state, SESSION_END_STREAM_CHANGED, by_fewer_legs);
}

enum { SOURCE_S = 20 };

static void by_silent_source(struct viewer *v)
{
	v->stage->conf.whep.source_timeout_s = SOURCE_S;
	session_tick(v->stage->sessions, stage_now_ms() + SOURCE_S * 1000);
}

// F23.
static void a_session_ends_without_a_source(void **state)
{
	ends_well(*state, SESSION_END_SOURCE_SILENT, by_silent_source);
}

static void a_wrong_fingerprint_ends_it_without_keys(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);
	struct dtls_keys keys;
	uint32_t generation;

	v->sdp.fingerprints[0].digest[31] ^= 1;
	assert_int_equal(viewer_post(v), 0);
	generation = viewer_slot(v)->conf.generation;
	stage_pump(stage);
	viewer_check(v, (struct check){ .nominate = true });
	stage->edge.manners[RING_PEER_REMOVE] = EDGE_HOLD;
	viewer_handshake(v);
	assert_int_equal(stage_counts(stage)->ended[SESSION_END_DTLS_FAILED], 1);
	assert_int_equal(stage->edge.n_of[RING_PEER_UPDATE], 0);
	stage_expect(stage, 0, 0, 0, 1);
	viewer_keys(v, &keys);
	expect_no_keys(stage, &keys);
	edge_release(&stage->edge, 0);
	stage_pump(stage);
	stage_expect(stage, 0, 0, 0, 0);
	v->sdp.fingerprints[0].digest[31] ^= 1;
	expect_slot_free(v, generation);
}

static void a_fatal_alert_ends_it(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);

	// The client speaks no profile of ours.
	assert_int_equal(SSL_set_tlsext_use_srtp(v->rig.client, "SRTP_AEAD_AES_256_GCM"), 0);
	assert_int_equal(viewer_post(v), 0);
	stage_pump(stage);
	viewer_check(v, (struct check){ .nominate = true });
	viewer_handshake(v);
	assert_int_equal(stage_counts(stage)->ended[SESSION_END_DTLS_FAILED], 1);
	assert_int_equal(stage->edge.n_of[RING_PEER_UPDATE], 0);
	stage_expect(stage, 0, 0, 0, 0);
}

static void set_up_takes_no_longer_than_allowed(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);
	uint64_t before_ms = stage_now_ms(), after_ms;

	stage->conf.whep.setup_timeout_s = 1;
	assert_int_equal(viewer_post(v), 0);
	after_ms = stage_now_ms();
	stage_pump(stage);
	// Half-way is not there.
	viewer_check(v, (struct check){ .nominate = true });
	session_tick(stage->sessions, before_ms + 999);
	stage_expect(stage, 0, 1, 0, 0);
	session_tick(stage->sessions, after_ms + 1000);
	stage_expect(stage, 0, 0, 0, 1);
	assert_int_equal(stage_counts(stage)->ended[SESSION_END_SETUP_TIMEOUT], 1);
	stage_pump(stage);
	stage_expect(stage, 0, 0, 0, 0);
}

static void a_tick_from_before_its_birth_ends_nothing(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);

	assert_int_equal(viewer_post(v), 0);
	stage_pump(stage);
	session_tick(stage->sessions, stage_now_ms() - 1000);
	stage_expect(stage, 0, 1, 0, 0);
}

static void a_session_that_plays_needs_no_set_up(void **state)
{
	struct stage *stage = *state;

	stage->conf.whep.setup_timeout_s = 1;
	viewer_play(stage);
	session_tick(stage->sessions, stage_now_ms() + 2000);
	stage_expect(stage, 0, 0, 1, 0);
}

// ---- consent -----------------------------------------------------------------------------------

static void checks_keep_consent(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	uint64_t before_ms;

	stage->conf.whep.consent_timeout_s = 1;
	usleep(20 * 1000);
	before_ms = stage_now_ms();
	viewer_check(v, (struct check){});
	session_tick(stage->sessions, before_ms + 999);
	stage_expect(stage, 0, 0, 1, 0);
	session_tick(stage->sessions, stage_now_ms() + 1000);
	stage_expect(stage, 0, 0, 0, 1);
}

static void srtcp_keeps_consent(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	uint64_t now_ms = stage_now_ms();

	viewer_slot(v)->state.last_rx_ns = (now_ms + 60000) * 1000000;
	session_tick(stage->sessions, now_ms + 60000 + STAGE_CONSENT_S * 1000 - 1);
	stage_expect(stage, 0, 0, 1, 0);
	session_tick(stage->sessions, now_ms + 60000 + STAGE_CONSENT_S * 1000);
	assert_int_equal(stage_counts(stage)->ended[SESSION_END_CONSENT], 1);
}

static void expect_no_indication(struct viewer *v, uint64_t now_ms)
{
	v->reply_bytes = 0;
	session_tick(v->stage->sessions, now_ms);
	stage_pump(v->stage);
	assert_int_equal(v->reply_bytes, 0);
}

// RFC 8445 11: an indication after 15 s in which nothing was sent.
static void a_quiet_path_is_kept_open(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	uint64_t now_ms = stage_now_ms();
	struct stun_msg msg;

	stage->conf.whep.consent_timeout_s = 120;
	session_tick(stage->sessions, now_ms);
	expect_no_indication(v, now_ms + 14000);
	viewer_slot(v)->state.legs[LEG_VIDEO].sent.packets++;
	expect_no_indication(v, now_ms + 16000);
	expect_no_indication(v, now_ms + 30000);
	v->reply_bytes = 0;
	session_tick(stage->sessions, now_ms + 31001);
	stage_pump(stage);
	assert_int_equal(stun_parse(v->reply, v->reply_bytes, &msg), 0);
	assert_int_equal(msg.type, STUN_BINDING_INDICATION);
	assert_true(msg.has_fingerprint);
	assert_int_equal(v->reply_bytes, STUN_HEADER_BYTES + 8);
	expect_no_indication(v, now_ms + 46000);
}

static void forgeries_and_copies_keep_no_consent(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	uint64_t played_ms = stage_now_ms();

	stage->conf.whep.consent_timeout_s = 1;
	usleep(20 * 1000);
	assert_int_equal(viewer_check_again(v, &v->path), STUN_BINDING_SUCCESS);
	assert_int_equal(viewer_check(v, (struct check){ .pwd = "AbCdEfGhIjKlMnOpQrStUv+/" }),
		STUN_BINDING_ERROR);
	session_tick(stage->sessions, played_ms + 1000);
	assert_int_equal(stage_counts(stage)->ended[SESSION_END_CONSENT], 1);
}

// ---- a worker that refuses, or is silent -------------------------------------------------------

static void a_refused_reservation_is_told_once(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);
	uint32_t generation;

	stage->edge.manners[RING_PEER_ADD] = EDGE_REFUSE;
	stage->edge.status = -EINVAL;
	assert_int_equal(viewer_post(v), 0);
	generation = viewer_slot(v)->conf.generation;
	stage_pump(stage);
	assert_int_equal(v->n_told, 1);
	assert_int_equal(v->status, -EINVAL);
	assert_int_equal(stage->edge.n_of[RING_PEER_REMOVE], 1);
	assert_int_equal(stage_counts(stage)->ended[SESSION_END_DATAPLANE], 1);
	stage_expect(stage, 0, 0, 0, 0);
	stage->edge.manners[RING_PEER_ADD] = EDGE_ACCEPT;
	expect_slot_free(v, generation);
}

static void a_reservation_without_answer_times_out(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);
	uint64_t before_ms = stage_now_ms(), after_ms;
	uint32_t generation;

	stage->edge.manners[RING_PEER_ADD] = EDGE_SILENT;
	assert_int_equal(viewer_post(v), 0);
	generation = viewer_slot(v)->conf.generation;
	after_ms = stage_now_ms();
	stage_pump_at(stage, before_ms + LINK_ACK_MS - 1);
	assert_int_equal(v->n_told, 0);
	usleep(2000);
	stage_pump_at(stage, after_ms + LINK_ACK_MS);
	assert_int_equal(v->n_told, 1);
	assert_int_equal(v->status, -ETIMEDOUT);
	stage_pump(stage);
	stage_expect(stage, 0, 0, 0, 0);
	stage->edge.manners[RING_PEER_ADD] = EDGE_ACCEPT;
	expect_slot_free(v, generation);
	assert_int_equal(v->n_told, 2);
}

static void a_late_answer_is_nobodys(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);

	stage->edge.manners[RING_PEER_ADD] = EDGE_HOLD;
	assert_int_equal(viewer_post(v), 0);
	stage_overdue(stage);
	assert_int_equal(v->n_told, 1);
	edge_release(&stage->edge, 0);
	stage_pump(stage);
	assert_int_equal(v->n_told, 1);
	stage_expect(stage, 0, 0, 0, 0);
}

static void a_refused_update_ends_it(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);
	struct dtls_keys keys;

	stage->edge.manners[RING_PEER_UPDATE] = EDGE_REFUSE;
	stage->edge.status = -ENOSPC;
	assert_int_equal(viewer_post(v), 0);
	stage_pump(stage);
	viewer_check(v, (struct check){ .nominate = true });
	viewer_handshake(v);
	viewer_keys(v, &keys);
	assert_int_equal(stage_counts(stage)->ended[SESSION_END_DATAPLANE], 1);
	assert_int_equal(stage->edge.n_of[RING_PEER_REMOVE], 1);
	stage_expect(stage, 0, 0, 0, 0);
	assert_true(viewer_heard_close(v));
	expect_no_keys(stage, &keys);
}

static void an_update_without_answer_ends_it(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_create(stage);

	stage->edge.manners[RING_PEER_UPDATE] = EDGE_SILENT;
	assert_int_equal(viewer_post(v), 0);
	stage_pump(stage);
	viewer_check(v, (struct check){ .nominate = true });
	viewer_handshake(v);
	assert_true(v->rig.connected);
	stage_expect(stage, 0, 1, 0, 0);
	stage_overdue(stage);
	assert_int_equal(stage_counts(stage)->ended[SESSION_END_DATAPLANE], 1);
	stage_expect(stage, 0, 0, 0, 0);
}

// The slot must not go to another viewer while a worker may still hold it.
static void removal_is_asked_for_until_it_is_done(void **state)
{
	struct stage *stage = *state;
	struct viewer *v = viewer_play(stage);
	uint32_t generation = viewer_slot(v)->conf.generation;
	uint16_t slot = v->slot;

	stage->edge.manners[RING_PEER_REMOVE] = EDGE_REFUSE;
	stage->edge.status = -EBUSY;
	session_end(v->session, SESSION_END_DELETE);
	stage_pump(stage);
	stage_expect(stage, 0, 0, 0, 1);
	assert_false(viewer_heard_close(v));
	assert_int_equal(viewer_slot(v)->conf.generation, generation);
	stage->edge.manners[RING_PEER_REMOVE] = EDGE_SILENT;
	session_tick(stage->sessions, stage_now_ms() + STAGE_RETRY_MS);
	stage_pump(stage);
	assert_int_equal(stage->edge.n_of[RING_PEER_REMOVE], 2);
	stage_overdue(stage);
	stage_expect(stage, 0, 0, 0, 1);
	stage->edge.manners[RING_PEER_REMOVE] = EDGE_ACCEPT;
	session_tick(stage->sessions, stage_now_ms() + STAGE_RETRY_MS);
	stage_pump(stage);
	stage_expect(stage, 0, 0, 0, 0);
	assert_true(viewer_heard_close(v));
	assert_int_equal(stage_n_ended(stage), 1);
	assert_int_equal(v->slot, slot);
	expect_slot_free(v, generation);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_session_ends_by_delete),
		TEST(a_session_ends_with_its_stream),
		TEST(a_session_ends_at_shutdown),
		TEST(a_session_ends_without_consent),
		TEST(a_session_ends_by_close_notify),
		TEST(a_session_ends_when_its_stream_loses_a_leg),
		TEST(a_session_ends_without_a_source),
		TEST(a_wrong_fingerprint_ends_it_without_keys),
		TEST(a_fatal_alert_ends_it),
		TEST(set_up_takes_no_longer_than_allowed),
		TEST(a_tick_from_before_its_birth_ends_nothing),
		TEST(a_session_that_plays_needs_no_set_up),
		TEST(checks_keep_consent),
		TEST(srtcp_keeps_consent),
		TEST(a_quiet_path_is_kept_open),
		TEST(forgeries_and_copies_keep_no_consent),
		TEST(a_refused_reservation_is_told_once),
		TEST(a_reservation_without_answer_times_out),
		TEST(a_late_answer_is_nobodys),
		TEST(a_refused_update_ends_it),
		TEST(an_update_without_answer_ends_it),
		TEST(removal_is_asked_for_until_it_is_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
