// The store against workers that obey, refuse and stay silent.
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/stream/store_rig.h"

// ---- creating ----------------------------------------------------------------------------------

static void ports_are_assigned_and_served(void **state)
{
	struct rig *r = *state;
	struct stream *a = store_rig_put_done(r, "a", "{\"video\":{},\"audio\":{}}");
	struct stream *b;

	assert_false(r->existed);
	assert_int_equal(video_port(a), 20000);
	assert_int_equal(audio_port(a), 20002);
	b = store_rig_put_done(r, "b", "{\"audio\":{},\"video\":{\"port\":20004}}");
	assert_int_equal(video_port(b), 20004);
	assert_int_equal(audio_port(b), 20006);
	assert_true(edge_serves(r->link, 20000, a) && edge_serves(r->link, 20006, b));
	assert_int_equal(edge_steered(r->link), 8);
	assert_int_equal(edge_steer(r->link, 20007), STEER_INGEST);
	assert_int_not_equal(a->owner, b->owner);
	assert_ptr_equal(stream_find(r->store, "a"), a);
	assert_ptr_equal(stream_first(r->store), a);
	assert_int_equal(stream_shared(b)->conf.generation, b->generation);
	assert_int_equal(b->generation % 2, 1);
}

// Each new stream goes to the worker whose streams bring the fewest packets.
static void owners_share_the_packets(void **state)
{
	struct rig *r = *state;
	struct stream *busy = store_rig_put_done(r, "busy", "{\"video\":{}}");
	struct stream *quiet = store_rig_put_done(r, "quiet", "{\"video\":{}}"), *next;

	assert_int_not_equal(busy->owner, quiet->owner);
	assert_int_equal(stream_leg_load(busy, LEG_AUDIO), 0);
	assert_true(stream_leg_load(busy, LEG_VIDEO) > 0); // nothing came yet
	busy->rates[REGION_PRIMARY][LEG_VIDEO].packet_rate = 900.4;
	quiet->rates[REGION_PRIMARY][LEG_VIDEO].packet_rate = 1.5;
	assert_int_equal(stream_leg_load(busy, LEG_VIDEO), 900);
	next = store_rig_put_done(r, "one", "{\"audio\":{}}");
	assert_int_equal(next->owner, quiet->owner);
	next->rates[REGION_PRIMARY][LEG_AUDIO].packet_rate = 1000;
	next = store_rig_put_done(r, "two", "{\"audio\":{}}");
	assert_int_equal(next->owner, busy->owner);
}

static void the_slot_holds_what_was_asked(void **state)
{
	struct rig *r = *state;
	struct stream *s = store_rig_put_done(r, "cam",
		"{\"audio\":{\"payload_type\":97},\"allowed_sources\":[\"198.18.77.0/24\"]}");
	const struct region_stream_conf *conf = &stream_shared(s)->conf;

	assert_string_equal(conf->id, "cam");
	assert_int_equal(conf->owner, s->owner);
	assert_int_equal(conf->legs[LEG_VIDEO].present, 0);
	assert_int_equal(conf->legs[LEG_AUDIO].present, 1);
	assert_int_equal(conf->legs[LEG_AUDIO].payload_type, 97);
	assert_int_equal(conf->legs[LEG_AUDIO].port, 20000);
	assert_int_equal(conf->legs[LEG_AUDIO].n_sources, 1);
	assert_int_equal(conf->legs[LEG_AUDIO].sources[0].prefix_bits, 24);
}

static void a_stream_is_found_only_once_confirmed(void **state)
{
	struct rig *r = *state;

	assert_int_equal(store_rig_put(r, "a", "{\"video\":{}}"), 0);
	assert_null(stream_find(r->store, "a"));
	assert_int_equal(store_rig_put(r, "a", "{\"video\":{}}"), -EBUSY);
	assert_int_equal(store_rig_put(r, "b", "{\"video\":{\"port\":20000}}"), -EEXIST);
	assert_string_equal(r->error,
		"video.port: expected a free port, found 20000, which is just being given back");
	edge_run(r->link);
	assert_non_null(stream_find(r->store, "a"));
}

static void clashes_are_refused(void **state)
{
	struct rig *r = *state;

	store_rig_put_done(r, "a", "{\"video\":{\"port\":20004}}");
	assert_int_equal(store_rig_put(r, "b", "{\"audio\":{\"port\":20004}}"), -EEXIST);
	assert_string_equal(
		r->error, "audio.port: expected a free port, found 20004, which stream a has");
	store_rig_put_done(r, "b", "{\"video\":{},\"audio\":{}}");
	assert_int_equal(store_rig_put(r, "c", "{\"video\":{},\"audio\":{}}"), 0);
	edge_run(r->link);
	assert_int_equal(store_rig_put(r, "d", "{\"audio\":{}}"), -ENOSPC);
	assert_string_equal(r->error, "audio.port: no port is left between [ingest] first_port "
				      "20000 and last_port 20009");
	assert_int_equal(edge_slots(r->link), 3);
}

static void slots_run_out(void **state)
{
	struct rig *r = *state;

	for (char id[] = "a"; id[0] < 'a' + EDGE_STREAMS; id[0]++)
		store_rig_put_done(r, id, "{\"video\":{}}");
	assert_int_equal(store_rig_put(r, "z", "{\"video\":{}}"), -ENOSPC);
	assert_string_equal(r->error, "all 4 streams of [dataplane] max_streams exist");
	assert_int_equal(r->told.n, 0);
	assert_int_equal(edge_steered(r->link), 2 * EDGE_STREAMS);
}

static void names_are_bounded(void **state)
{
	struct rig *r = *state;
	char id[REGION_STREAM_ID_MAX + 2];

	memset(id, 'n', sizeof(id));
	id[REGION_STREAM_ID_MAX + 1] = '\0';
	assert_int_equal(store_rig_put(r, id, "{\"video\":{}}"), -EINVAL);
	assert_int_equal(store_rig_put(r, "", "{\"video\":{}}"), -EINVAL);
	id[REGION_STREAM_ID_MAX] = '\0';
	assert_string_equal(store_rig_put_done(r, id, "{\"video\":{}}")->id, id);
}

static void a_refusing_worker_undoes_a_new_stream(void **state)
{
	static const int statuses[] = { -EADDRINUSE, -ETIMEDOUT, -ENOMEM };
	struct rig *r = *state;

	for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++) {
		edge_refuse(r->link, RING_STREAM_SET, statuses[i], 1);
		assert_int_equal(store_rig_put(r, "a", "{\"video\":{},\"audio\":{}}"), 0);
		edge_run(r->link);
		assert_int_equal(r->told.n, 1);
		assert_null(r->told.stream);
		assert_int_equal(r->told.status, statuses[i]);
		store_rig_expect_empty(r);
	}
	store_rig_put_done(r, "a", "{\"video\":{},\"audio\":{}}");
}

static void what_cannot_be_sent_changes_nothing(void **state)
{
	struct rig *r = *state;

	edge_block(r->link, 1);
	assert_int_equal(store_rig_put(r, "a", "{\"video\":{}}"), -ENOBUFS);
	store_rig_expect_empty(r);
	for (unsigned int n = 1; n <= 4; n++) {
		edge_break_steer(r->link, n);
		assert_int_equal(store_rig_put(r, "a", "{\"video\":{},\"audio\":{}}"), -EPERM);
		assert_string_equal(
			r->error, "the steering map took no port: Operation not permitted");
		store_rig_expect_empty(r);
	}
	assert_int_equal(r->told.n, 0);
	assert_int_equal(edge_commands(r->link), 0);
}

// ---- changing ----------------------------------------------------------------------------------

static void the_same_again_is_no_command(void **state)
{
	struct rig *r = *state;
	struct stream *s = store_rig_put_done(
		r, "a", "{\"video\":{},\"audio\":{},\"max_peers\":5}");

	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			store_rig_put(r, "a", "{\"video\":{},\"audio\":{},\"max_peers\":5}"), 0);
		assert_true(r->existed);
		assert_int_equal(r->told.n, 1);
		assert_int_equal(r->told.status, 0);
		assert_ptr_equal(r->told.stream, s);
	}
	assert_int_equal(edge_commands(r->link), 1);
	assert_int_equal(store_rig_put(r, "a", "{\"video\":{},\"audio\":{},\"max_peers\":7}"), 0);
	assert_int_equal(stream_peer_cap(s), 7);
	assert_int_equal(edge_commands(r->link), 1);
}

static void a_change_keeps_the_slot_and_frees_old_ports(void **state)
{
	struct rig *r = *state;
	struct stream *s = store_rig_put_done(r, "a", "{\"video\":{},\"audio\":{}}");
	uint32_t generation = s->generation;
	uint16_t slot = s->slot;

	assert_int_equal(store_rig_put(r, "a", "{\"video\":{\"port\":20006}}"), 0);
	assert_true(r->existed);
	assert_int_equal(edge_steer(r->link, 20000), STEER_INGEST);
	assert_int_equal(store_rig_put(r, "a", "{\"video\":{\"port\":20008}}"), -EBUSY);
	assert_int_equal(store_rig_put(r, "b", "{\"video\":{\"port\":20002}}"), -EEXIST);
	assert_int_equal(store_rig_put(r, "a", "{\"video\":{\"port\":20006}}"), -EBUSY);
	edge_run(r->link);
	assert_int_equal(s->generation, generation);
	assert_int_equal(s->slot, slot);
	assert_true(edge_serves(r->link, 20006, s));
	assert_false(edge_serves(r->link, 20000, s));
	assert_int_equal(edge_steered(r->link), 2);
	assert_int_equal(edge_steer(r->link, 20007), STEER_INGEST);
	store_rig_put_done(r, "b", "{\"video\":{\"port\":20000},\"audio\":{\"port\":20002}}");
}

static void legs_may_swap_ports(void **state)
{
	struct rig *r = *state;
	struct stream *s = store_rig_put_done(r, "a", "{\"video\":{},\"audio\":{}}");

	store_rig_put_done(r, "a", "{\"video\":{\"port\":20002},\"audio\":{\"port\":20000}}");
	assert_int_equal(video_port(s), 20002);
	assert_int_equal(audio_port(s), 20000);
	assert_int_equal(edge_steered(r->link), 4);
	// A new leg does not take the port that another one keeps.
	store_rig_put_done(r, "a", "{\"audio\":{}}");
	store_rig_put_done(r, "a", "{\"video\":{},\"audio\":{}}");
	assert_int_equal(audio_port(s), 20000);
	assert_int_equal(video_port(s), 20002);
}

static void a_refused_change_is_undone(void **state)
{
	struct rig *r = *state;
	struct stream *s = store_rig_put_done(r, "a", "{\"video\":{},\"audio\":{}}");

	edge_refuse(r->link, RING_STREAM_SET, -EINVAL, 1);
	assert_int_equal(store_rig_put(r, "a", "{\"video\":{\"port\":20008}}"), 0);
	edge_run(r->link);
	assert_int_equal(r->told.n, 1);
	assert_ptr_equal(r->told.stream, s);
	assert_int_equal(r->told.status, -EINVAL);
	assert_int_equal(video_port(s), 20000);
	assert_true(edge_serves(r->link, 20000, s) && edge_serves(r->link, 20002, s));
	assert_int_equal(edge_steered(r->link), 4);
	assert_int_equal(stream_shared(s)->conf.legs[LEG_VIDEO].port, 20000);
	store_rig_put_done(r, "b", "{\"video\":{\"port\":20008}}");
}

static void a_change_that_cannot_be_sent_changes_nothing(void **state)
{
	struct rig *r = *state;
	struct stream *s = store_rig_put_done(r, "a", "{\"video\":{}}");

	edge_block(r->link, 1);
	assert_int_equal(store_rig_put(r, "a", "{\"video\":{\"port\":20008}}"), -ENOBUFS);
	assert_int_equal(video_port(s), 20000);
	assert_int_equal(edge_steered(r->link), 2);
	assert_int_equal(edge_steer(r->link, 20000), STEER_INGEST);
	assert_int_equal(stream_shared(s)->conf.legs[LEG_VIDEO].port, 20000);
	store_rig_put_done(r, "a", "{\"video\":{\"port\":20008}}");
}

static void an_undo_that_fails_is_tried_again(void **state)
{
	struct rig *r = *state;
	struct stream *s = store_rig_put_done(r, "a", "{\"video\":{}}");

	edge_refuse(r->link, RING_STREAM_SET, -ETIMEDOUT, 2);
	assert_int_equal(store_rig_put(r, "a", "{\"video\":{\"port\":20008}}"), 0);
	edge_run(r->link);
	assert_int_equal(r->told.n, 1);
	assert_int_equal(r->told.status, -ETIMEDOUT);
	assert_int_equal(store_rig_put(r, "b", "{\"video\":{\"port\":20008}}"), -EEXIST);
	assert_int_equal(edge_steer(r->link, 20000), STEER_INGEST);
	stream_store_sample(r->store, 1000);
	edge_run(r->link);
	assert_true(edge_serves(r->link, 20000, s));
	assert_int_equal(edge_steered(r->link), 2);
	store_rig_put_done(r, "b", "{\"video\":{\"port\":20008}}");
}

// ---- groups ------------------------------------------------------------------------------------

static void a_group_is_steered_and_may_change(void **state)
{
	struct rig *r = *state;
	struct stream *s = store_rig_put_done(r, "a",
		"{\"video\":{\"group\":\"239.77.0.1\"},\"audio\":{\"group\":\"ff05::77\"}}");

	assert_true(edge_takes(r->link, "239.77.0.1", 20000) &&
		    edge_takes(r->link, "239.77.0.1", 20001));
	assert_true(
		edge_takes(r->link, "ff05::77", 20002) && edge_takes(r->link, "ff05::77", 20003));
	assert_string_equal("239.77.0.1",
		inet_ntoa(*(const struct in_addr *)stream_shared(s)->conf.legs[0].group.ip));
	// Another group on the same port.
	store_rig_put_done(r, "a", "{\"video\":{\"group\":\"239.77.0.2\"}}");
	assert_true(edge_takes(r->link, "239.77.0.2", 20001));
	assert_int_equal(edge_groups(r->link), 2);
	assert_int_equal(edge_steered(r->link), 2);
	// No change that fails leaves the port with the wrong class.
	edge_block(r->link, 1);
	assert_int_equal(store_rig_put(r, "a", "{\"video\":{}}"), -ENOBUFS);
	assert_true(edge_takes(r->link, "239.77.0.2", 20000));
	edge_refuse(r->link, RING_STREAM_SET, -EINVAL, 1);
	assert_int_equal(store_rig_put(r, "a", "{\"video\":{}}"), 0);
	edge_run(r->link);
	assert_true(edge_takes(r->link, "239.77.0.2", 20000));
	assert_int_equal(edge_groups(r->link), 2);
	// None any more.
	store_rig_put_done(r, "a", "{\"video\":{}}");
	assert_int_equal(edge_steer(r->link, 20000), STEER_INGEST);
	assert_int_equal(edge_groups(r->link), 0);
	store_rig_put_done(r, "a", "{\"video\":{\"group\":\"239.77.0.1\"}}");
	store_rig_remove(r, s);
	edge_run(r->link);
	store_rig_expect_empty(r);
	assert_int_equal(edge_groups(r->link), 0);
}

// Membership is the kernel's: /proc/net/igmp has a line for each group of an interface.
static bool is_member(const char *ip)
{
	char line[256], hex[16];
	struct in_addr addr;
	bool found = false;
	FILE *f = fopen("/proc/self/net/igmp", "r");

	assert_non_null(f);
	assert_int_equal(inet_pton(AF_INET, ip, &addr), 1);
	snprintf(hex, sizeof(hex), "%08X", addr.s_addr);
	while (fgets(line, sizeof(line), f))
		found |= strstr(line, hex) != NULL;
	fclose(f);
	return found;
}

static void groups_are_joined_and_left(void **state)
{
	struct rig *r = *state;
	struct stream *s;

	strcpy(link_region(r->link)->header->interface, "lo");
	s = store_rig_put_done(r, "a", "{\"video\":{\"group\":\"239.77.8.1\"}}");
	assert_true(is_member("239.77.8.1"));
	store_rig_put_done(r, "a", "{\"video\":{\"group\":\"239.77.8.2\"}}");
	assert_true(is_member("239.77.8.2"));
	stream_store_sample(r->store, 1000);
	assert_false(is_member("239.77.8.1"));
	assert_true(is_member("239.77.8.2"));
	stream_store_attach(r->store, NULL);
	assert_false(is_member("239.77.8.2"));
	stream_store_attach(r->store, r->link);
	edge_run(r->link);
	assert_true(is_member("239.77.8.2"));
	store_rig_remove(r, s);
	edge_run(r->link);
	stream_store_sample(r->store, 2000);
	assert_false(is_member("239.77.8.2"));
	// A device that the kernel does not see it reaches by an interface of its own.
	strcpy(link_region(r->link)->header->interface, "");
	strcpy(link_region(r->link)->header->exception_interface, "lo");
	s = store_rig_put_done(r, "a", "{\"video\":{\"group\":\"239.77.8.1\"}}");
	assert_true(is_member("239.77.8.1"));
	store_rig_remove(r, s);
	edge_run(r->link);
	stream_store_sample(r->store, 3000);
	assert_false(is_member("239.77.8.1"));
	strcpy(link_region(r->link)->header->interface, "nothere0");
	assert_int_equal(
		store_rig_put(r, "a", "{\"video\":{\"group\":\"239.77.8.1\"}}"), -EADDRNOTAVAIL);
	assert_string_equal(r->error, "video.group: cannot be joined on nothere0: No such device");
	store_rig_expect_empty(r);
}

// ---- removing ----------------------------------------------------------------------------------

static void a_removed_stream_leaves_nothing(void **state)
{
	struct rig *r = *state;
	struct stream *s = store_rig_put_done(r, "a", "{\"video\":{},\"audio\":{}}");

	assert_int_equal(store_rig_remove(r, s), 0);
	assert_null(stream_find(r->store, "a"));
	assert_int_equal(stream_remove(s, NULL, NULL), -EALREADY);
	assert_int_equal(store_rig_put(r, "a", "{\"video\":{}}"), -EBUSY);
	edge_run(r->link);
	store_rig_expect_empty(r);
	s = store_rig_put_done(r, "a", "{\"video\":{}}");
	assert_int_equal(s->generation, 3);
	store_rig_remove(r, s);
	edge_run(r->link);
	assert_int_equal(r->told.n, 1);
	assert_null(r->told.stream);
	assert_int_equal(r->told.status, 0);
}

static void removal_waits_for_the_viewers(void **state)
{
	struct rig *r = *state;
	struct stream *s = store_rig_put_done(r, "a", "{\"video\":{}}");

	stream_peer_added(s);
	stream_peer_added(s);
	assert_int_equal(s->n_peers, 2);
	stream_leave(s);
	assert_int_equal(store_rig_remove(r, s), 0);
	stream_peer_gone(s);
	edge_run(r->link);
	assert_int_equal(r->told.n, 0);
	assert_int_equal(edge_commands(r->link), 1);
	stream_peer_gone(s);
	edge_run(r->link);
	assert_int_equal(r->told.n, 1);
	store_rig_expect_empty(r);
}

static void removal_waits_for_a_change(void **state)
{
	struct rig *r = *state;
	struct stream *s = store_rig_put_done(r, "a", "{\"video\":{}}");
	struct told removed = { 0 };

	assert_int_equal(store_rig_put(r, "a", "{\"audio\":{}}"), 0);
	assert_int_equal(stream_remove(s, store_rig_told, &removed), 0);
	assert_int_equal(removed.n, 0);
	edge_run(r->link);
	assert_int_equal(r->told.n, 1);
	assert_int_equal(r->told.status, 0);
	assert_int_equal(removed.n, 1);
	store_rig_expect_empty(r);
}

static void a_worker_that_clings_is_asked_again(void **state)
{
	struct rig *r = *state;
	struct stream *s = store_rig_put_done(r, "a", "{\"video\":{}}");

	edge_viewers(r->link, s->slot, 1);
	store_rig_remove(r, s);
	edge_run(r->link);
	assert_int_equal(r->told.n, 1);
	assert_int_equal(r->told.status, -EBUSY);
	assert_null(stream_first(r->store));
	// Slot and ports are nobody's yet.
	assert_int_equal(edge_slots(r->link), 1);
	assert_int_equal(store_rig_put(r, "b", "{\"video\":{\"port\":20000}}"), -EEXIST);
	edge_viewers(r->link, 0, 0);
	edge_block(r->link, 1);
	stream_store_sample(r->store, 1000);
	edge_run(r->link);
	assert_int_equal(edge_slots(r->link), 1);
	stream_store_sample(r->store, 2000);
	edge_run(r->link);
	store_rig_expect_empty(r);
}

// ---- rates -------------------------------------------------------------------------------------

static void rates_follow_the_counters(void **state)
{
	struct rig *r = *state;
	struct stream *s = store_rig_put_done(r, "a", "{\"video\":{}}");
	struct region_leg_state *leg = &link_region(r->link)->streams[s->slot].legs[LEG_VIDEO];
	const struct stream_rate *rate = &s->rates[REGION_PRIMARY][LEG_VIDEO];

	stream_store_sample(r->store, 10000);
	leg->packets = 300;
	leg->bytes = 250000;
	leg->frames = 60;
	stream_store_sample(r->store, 12000);
	assert_true(rate->packet_rate == 150);
	assert_true(rate->bit_rate == 1000000);
	assert_true(rate->frame_rate == 30);
	stream_store_sample(r->store, 12000);
	assert_true(rate->packet_rate == 150);
	leg->packets = 10;
	stream_store_sample(r->store, 13000);
	assert_true(rate->packet_rate == 0);
	assert_true(rate->bit_rate == 0);
}

static void caps_have_a_default(void **state)
{
	struct rig *r = *state;
	struct stream *s = store_rig_put_done(r, "a", "{\"video\":{}}");

	assert_int_equal(stream_peer_cap(s), 8);
	r->conf.whep.max_peers_per_stream = 50;
	assert_int_equal(stream_peer_cap(s), 50);
	store_rig_put_done(r, "a", "{\"video\":{},\"max_peers\":2}");
	assert_int_equal(stream_peer_cap(s), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ports_are_assigned_and_served),
		TEST(owners_share_the_packets),
		TEST(the_slot_holds_what_was_asked),
		TEST(a_stream_is_found_only_once_confirmed),
		TEST(clashes_are_refused),
		TEST(slots_run_out),
		TEST(names_are_bounded),
		TEST(a_refusing_worker_undoes_a_new_stream),
		TEST(what_cannot_be_sent_changes_nothing),
		TEST(the_same_again_is_no_command),
		TEST(a_change_keeps_the_slot_and_frees_old_ports),
		TEST(legs_may_swap_ports),
		TEST(a_refused_change_is_undone),
		TEST(a_change_that_cannot_be_sent_changes_nothing),
		TEST(an_undo_that_fails_is_tried_again),
		TEST(a_group_is_steered_and_may_change),
		TEST(groups_are_joined_and_left),
		TEST(a_removed_stream_leaves_nothing),
		TEST(removal_waits_for_the_viewers),
		TEST(removal_waits_for_a_change),
		TEST(a_worker_that_clings_is_asked_again),
		TEST(rates_follow_the_counters),
		TEST(caps_have_a_default),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
