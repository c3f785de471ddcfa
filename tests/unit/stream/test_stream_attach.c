// The store against data planes that come and go.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/stream/store_rig.h"

static void nothing_is_set_without_a_data_plane(void **state)
{
	struct rig *r = *state;
	struct stream *s = store_rig_put_done(r, "a", "{\"video\":{}}");

	stream_store_attach(r->store, NULL);
	assert_ptr_equal(stream_find(r->store, "a"), s);
	assert_null(stream_shared(s));
	assert_int_equal(store_rig_put(r, "b", "{\"video\":{}}"), -ENOTCONN);
	assert_int_equal(store_rig_remove(r, s), 0);
	assert_int_equal(r->told.n, 1);
	assert_int_equal(r->told.status, 0);
	assert_null(stream_first(r->store));
}

static void a_new_data_plane_gets_every_stream(void **state)
{
	struct rig *r = *state;
	struct stream *a = store_rig_put_done(r, "a", "{\"video\":{}}");
	struct stream *b = store_rig_put_done(r, "b", "{\"audio\":{}}");
	struct stream *c = store_rig_put_done(r, "c", "{\"audio\":{}}");

	store_rig_remove(r, a);
	edge_run(r->link);
	edge_destroy(r->link);
	stream_store_attach(r->store, NULL);
	r->link = edge_create(2, true);
	stream_store_attach(r->store, r->link);
	assert_int_equal(b->slot, 1);
	assert_int_equal(c->slot, 0);
	assert_non_null(stream_shared(b));
	edge_run(r->link);
	assert_true(edge_serves(r->link, 20002, b) && edge_serves(r->link, 20004, c));
	assert_int_equal(edge_steered(r->link), 4);
	assert_int_not_equal(b->owner, c->owner);
}

static void a_smaller_data_plane_gets_the_rest_later(void **state)
{
	struct rig *r = *state;
	struct stream *a = store_rig_put_done(r, "a", "{\"video\":{}}");
	struct stream *b = store_rig_put_done(r, "b", "{\"audio\":{}}");

	edge_destroy(r->link);
	stream_store_attach(r->store, NULL);
	r->link = edge_create(1, false);
	stream_store_attach(r->store, r->link);
	edge_run(r->link);
	assert_non_null(stream_shared(a));
	assert_null(stream_shared(b));
	assert_int_equal(store_rig_put(r, "b", "{\"video\":{}}"), -EBUSY);
	store_rig_remove(r, a);
	edge_run(r->link);
	stream_store_sample(r->store, 1000);
	edge_run(r->link);
	assert_true(edge_serves(r->link, 20002, b));
}

static void a_data_plane_that_dies_answers_all(void **state)
{
	struct rig *r = *state;
	struct stream *a = store_rig_put_done(r, "a", "{\"video\":{}}");
	struct told changed = { 0 }, removed = { 0 };
	struct stream_want want = store_rig_want("{\"audio\":{}}");
	struct stream *b = store_rig_put_done(r, "b", "{\"video\":{}}");

	assert_int_equal(
		stream_set(r->store, "a", &want, store_rig_told, &changed, &r->existed, r->error),
		0);
	assert_int_equal(stream_remove(b, store_rig_told, &removed), 0);
	assert_int_equal(store_rig_put(r, "c", "{\"video\":{}}"), 0);
	edge_destroy(r->link);
	stream_store_attach(r->store, NULL);
	assert_int_equal(changed.status, -ECONNRESET);
	assert_ptr_equal(changed.stream, a);
	assert_int_equal(video_port(a), 20000);
	assert_int_equal(removed.n, 1);
	assert_int_equal(removed.status, 0);
	assert_int_equal(r->told.status, -ECONNRESET);
	assert_null(r->told.stream);
	assert_ptr_equal(stream_first(r->store), a);
	assert_null(a->next);
	r->link = edge_create(EDGE_STREAMS, true);
	stream_store_attach(r->store, r->link);
	edge_run(r->link);
	assert_true(edge_serves(r->link, 20000, a));
}

// The other order: the store hears of the end before the commands are answered.
static void a_late_answer_of_the_old_link_is_harmless(void **state)
{
	struct rig *r = *state;
	struct link *old = r->link;
	struct stream *a = store_rig_put_done(r, "a", "{\"video\":{}}");

	assert_int_equal(store_rig_put(r, "a", "{\"video\":{\"port\":20008}}"), 0);
	stream_store_attach(r->store, NULL);
	r->link = edge_create(EDGE_STREAMS, true);
	stream_store_attach(r->store, r->link);
	edge_destroy(old);
	assert_int_equal(r->told.n, 1);
	assert_int_equal(r->told.status, -ECONNRESET);
	stream_store_sample(r->store, 1000);
	edge_run(r->link);
	assert_true(edge_serves(r->link, 20000, a));
	assert_int_equal(edge_slots(r->link), 1);
}

static void the_same_region_is_taken_up_as_it_is(void **state)
{
	struct rig *r = *state;
	struct stream *a = store_rig_put_done(r, "a", "{\"video\":{}}");
	struct stream *b = store_rig_put_done(r, "b", "{\"video\":{}}");
	uint32_t generation = b->generation;

	store_rig_remove(r, a);
	edge_reconnect(r->link);
	stream_store_attach(r->store, NULL);
	stream_store_attach(r->store, r->link);
	assert_int_equal(b->slot, 1);
	assert_int_equal(b->generation, generation);
	edge_run(r->link);
	assert_true(edge_serves(r->link, 20002, b));
	// What was being removed does not come back.
	assert_ptr_equal(stream_first(r->store), b);
	assert_null(b->next);
	assert_int_equal(edge_slots(r->link), 1);
}

static void a_new_control_takes_the_streams_up(void **state)
{
	struct rig *r = *state;
	struct stream *old = store_rig_put_done(
		r, "a", "{\"video\":{},\"audio\":{},\"allowed_sources\":[\"fd77::/64\"]}");
	uint32_t generation = old->generation;
	struct stream *a;

	stream_store_destroy(r->store);
	assert_int_equal(stream_store_create(&r->conf, &r->store), 0);
	stream_store_attach(r->store, r->link);
	a = stream_find(r->store, "a");
	assert_non_null(a);
	assert_int_equal(a->generation, generation);
	assert_int_equal(audio_port(a), 20002);
	assert_int_equal(a->want.n_sources, 1);
	edge_run(r->link);
	assert_true(edge_serves(r->link, 20000, a));
	store_rig_put_done(r, "a",
		"{\"video\":{},\"audio\":{},\"max_peers\":9,"
		"\"allowed_sources\":[\"fd77::/64\"]}");
	assert_int_equal(edge_commands(r->link), 2);
	assert_int_equal(stream_peer_cap(a), 9);
}

static void parameter_sets_are_taken_up(void **state)
{
	struct rig *r = *state;
	struct region_stream_conf *conf = &link_region(r->link)->streams[0].conf;
	struct stream *s = store_rig_put_done(r, "a",
		"{\"video\":{\"sprop_parameter_sets\":"
		"\"Z0LAH9kAUAW7ARAAAAMAEAAAAwPA8YMkgA==,aMuMsg==\"}}");
	struct stream_want want = s->want;

	stream_store_destroy(r->store);
	assert_int_equal(stream_store_create(&r->conf, &r->store), 0);
	stream_store_attach(r->store, r->link);
	edge_run(r->link);
	s = stream_find(r->store, "a");
	assert_non_null(s);
	assert_memory_equal(&s->want, &want, sizeof(want));
	// Sizes that do not add up, from inside and beyond what there is room for.
	for (unsigned int i = 0; i < 2; i++) {
		stream_store_destroy(r->store);
		if (i == 0)
			conf->sprop[0].units[1]++;
		else
			conf->sprop[0].bytes = UINT16_MAX;
		assert_int_equal(stream_store_create(&r->conf, &r->store), 0);
		stream_store_attach(r->store, r->link);
		edge_run(r->link);
		assert_null(stream_find(r->store, "a"));
		store_rig_put_done(r, "a", "{\"video\":{}}");
	}
}

static void slots_that_do_not_add_up_are_removed(void **state)
{
	static const char *const names[] = { "a", "b", "c", "d" };
	struct rig *r = *state;
	struct region *region = link_region(r->link);
	struct stream *d;

	for (int i = 0; i < 4; i++)
		store_rig_put_done(r, names[i], "{\"video\":{}}");
	strcpy(region->streams[0].conf.id, "a b");
	region->streams[1].conf.legs[LEG_VIDEO].port = 22;
	strcpy(region->streams[2].conf.id, "a");
	region->streams[2].conf.owner = EDGE_WORKERS;
	stream_store_destroy(r->store);
	assert_int_equal(stream_store_create(&r->conf, &r->store), 0);
	stream_store_attach(r->store, r->link);
	edge_run(r->link);
	d = stream_first(r->store);
	assert_non_null(d);
	assert_string_equal(d->id, "d");
	assert_null(d->next);
	assert_int_equal(edge_slots(r->link), 1);
	assert_int_equal(edge_worker_slots(r->link), EDGE_WORKERS);
	store_rig_put_done(r, "b", "{\"video\":{}}");
}

static void destroying_answers_who_waits(void **state)
{
	struct rig *r = *state;
	struct stream *s = store_rig_put_done(r, "a", "{\"video\":{}}");

	stream_peer_added(s);
	store_rig_remove(r, s);
	stream_store_destroy(r->store);
	r->store = NULL;
	assert_int_equal(r->told.n, 1);
	assert_int_equal(r->told.status, -ESHUTDOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_set_without_a_data_plane),
		TEST(a_new_data_plane_gets_every_stream),
		TEST(a_smaller_data_plane_gets_the_rest_later),
		TEST(a_data_plane_that_dies_answers_all),
		TEST(a_late_answer_of_the_old_link_is_harmless),
		TEST(the_same_region_is_taken_up_as_it_is),
		TEST(a_new_control_takes_the_streams_up),
		TEST(parameter_sets_are_taken_up),
		TEST(slots_that_do_not_add_up_are_removed),
		TEST(destroying_answers_who_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
