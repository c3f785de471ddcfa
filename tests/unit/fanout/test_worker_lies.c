// Control asks for what cannot be: every slot and every ring message is input. What is refused is
// acknowledged with an errno and changes nothing.
#include "tests/unit/fanout/edge_kit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	OPUS = 0x7c,
};

static void feed_audio(uint16_t seq)
{
	const struct kit_rtp p = kit_rtp_make(seq, seq * 960u, OPUS, false);

	kit_feed_rtp(0, 0, LEG_AUDIO, &p);
	kit_step(0);
}

static int stream_setup(void **state)
{
	if (kit_setup(state) < 0)
		return -1;
	kit_stream_fill(0, 0);
	return kit_stream_set(0);
}

#define stream_test(f) cmocka_unit_test_setup_teardown(f, stream_setup, kit_teardown)

// ---- viewers -----------------------------------------------------------------------------------

enum lie {
	LIE_PHASE,
	LIE_WORKER,
	LIE_GENERATION,
	LIE_STREAM_RANGE,
	LIE_STREAM_NONE,
	LIE_STREAM_GENERATION,
	LIE_PROFILE_NONE,
	LIE_PROFILE_UNKNOWN,
	LIE_PAYLOAD_TYPE,
	LIE_SEQ_BASE,
	LIE_MID_LONG,
	LIE_MID_EMPTY,
	LIE_MID_ID,
	LIE_FAMILY_NONE,
	LIE_FAMILY_MIXED,
	LIE_COUNT,
};

static const int lie_status[LIE_COUNT] = {
	[LIE_PHASE] = -EINVAL,
	[LIE_WORKER] = -EINVAL,
	[LIE_GENERATION] = -EINVAL,
	[LIE_STREAM_RANGE] = -ENOENT,
	[LIE_STREAM_NONE] = -ENOENT,
	[LIE_STREAM_GENERATION] = -ENOENT,
	[LIE_PROFILE_NONE] = -EINVAL,
	[LIE_PROFILE_UNKNOWN] = -EINVAL,
	[LIE_PAYLOAD_TYPE] = -EINVAL,
	[LIE_SEQ_BASE] = -EINVAL,
	[LIE_MID_LONG] = -EINVAL,
	[LIE_MID_EMPTY] = -EINVAL,
	[LIE_MID_ID] = -EINVAL,
	[LIE_FAMILY_NONE] = -EINVAL,
	[LIE_FAMILY_MIXED] = -EINVAL,
};

static void tell_about_itself(struct region_peer_conf *conf, enum lie lie)
{
	if (lie == LIE_PHASE)
		conf->phase = REGION_PEER_CLOSING;
	else if (lie == LIE_WORKER)
		conf->worker = 1;
	else if (lie == LIE_GENERATION)
		conf->generation = 3;
	else if (lie == LIE_PROFILE_NONE)
		conf->profile = SRTP_PROFILE_NONE;
	else if (lie == LIE_PROFILE_UNKNOWN)
		conf->profile = 0x1234;
	else if (lie == LIE_FAMILY_NONE)
		conf->path.local.family = NET_NONE;
	else if (lie == LIE_FAMILY_MIXED)
		conf->path.remote = kit_addr("fd77::2", 9);
}

static void tell_about_media(struct region_peer_conf *conf, enum lie lie)
{
	struct region_peer_leg *leg = &conf->legs[lie % LEG_COUNT];

	if (lie == LIE_STREAM_RANGE)
		conf->stream = KIT_STREAMS;
	else if (lie == LIE_STREAM_NONE)
		conf->stream = 2;
	else if (lie == LIE_STREAM_GENERATION)
		conf->stream_generation += 2;
	else if (lie == LIE_PAYLOAD_TYPE)
		leg->payload_type = 200;
	else if (lie == LIE_SEQ_BASE)
		leg->seq_base = 32768;
	else if (lie == LIE_MID_LONG)
		leg->mid_bytes = PEER_MID_MAX_BYTES + 1;
	else if (lie == LIE_MID_EMPTY)
		leg->mid_bytes = 0;
	else if (lie == LIE_MID_ID)
		leg->mid_ext_id = 15;
}

static void lying_slots_change_nothing(void **state)
{
	uint16_t seq = 1;

	for (int lie = 0; lie < LIE_COUNT; lie++) {
		struct region_peer_conf *conf = kit_peer_fill(
			0, 0, 0, lie % 2 ? SRTP_PROFILE_GCM128 : SRTP_PROFILE_CM80);
		int rc;

		tell_about_itself(conf, (enum lie)lie);
		tell_about_media(conf, (enum lie)lie);
		rc = kit_command(0, RING_PEER_UPDATE, 0, 1);
		if (rc != lie_status[lie])
			fail_msg("lie %d: %d", lie, rc);
		assert_int_equal(kit.region.workers[0].n_peers, 0);
		assert_null(kit.workers[0].peers[0]);
		assert_int_equal(kit.viewers_on[0], 0);
		feed_audio(seq++);
		assert_int_equal(kit_sent_count(0), 0);
	}
	// And the truth is taken afterwards.
	kit_peer_add(0, 0, 0, SRTP_PROFILE_GCM128);
	feed_audio(seq);
	assert_int_equal(kit_sent_count(0), 1);
}

// The same lies to a viewer that plays: it plays on as before.
static void lies_about_a_viewer_that_plays(void **state)
{
	struct kit_viewer v;
	uint16_t base;

	kit_peer_add(0, 0, 0, SRTP_PROFILE_GCM128);
	kit_viewer_init(&v, 0);
	base = v.conf->legs[LEG_AUDIO].seq_base;
	for (uint16_t lie = 0; lie < LIE_COUNT; lie++) {
		struct region_peer_conf *conf = &kit.region.peers[0].conf, good = *conf;
		const struct kit_rtp p = kit_rtp_make(lie, lie * 960u, OPUS, false);
		int rc;

		conf->key_id = 2;
		tell_about_itself(conf, (enum lie)lie);
		tell_about_media(conf, (enum lie)lie);
		rc = kit_command(0, RING_PEER_UPDATE, 0, 1);
		if (rc != lie_status[lie])
			fail_msg("lie %d: %d", lie, rc);
		*conf = good;
		kit_feed_rtp(0, 0, LEG_AUDIO, &p);
		kit_step(0);
		kit_viewer_expect(&v, 0, LEG_AUDIO, &p, (uint16_t)(base + lie));
	}
	kit_viewer_fini(&v);
}

static void reservations_are_checked(void **state)
{
	struct region_peer_conf *conf = kit_peer_fill(0, 0, 0, SRTP_PROFILE_GCM128);

	assert_int_equal(kit_command(0, RING_PEER_ADD, 0, 1), -EINVAL); // READY already
	conf->phase = REGION_PEER_RESERVED;
	assert_int_equal(kit_command(0, RING_PEER_ADD, 0, 3), -EINVAL);
	assert_int_equal(kit_command(1, RING_PEER_ADD, 0, 1), -EINVAL);
	kit.region.peers[0].state.last_rx_ns = 99; // of the one before
	assert_int_equal(kit_command(0, RING_PEER_ADD, 0, 1), 0);
	assert_int_equal(kit.region.peers[0].state.last_rx_ns, 0);
	assert_int_equal(kit_command(0, RING_PEER_UPDATE, 0, 1), -EINVAL); // no keys yet
	conf->phase = REGION_PEER_READY;
	assert_int_equal(kit_command(0, RING_PEER_UPDATE, 0, 1), 0);
	conf->phase = REGION_PEER_RESERVED;
	kit.region.peers[0].state.legs[0].sent.next_index = 5;
	assert_int_equal(kit_command(0, RING_PEER_ADD, 0, 1), -EBUSY);
	assert_int_equal(kit.region.peers[0].state.legs[0].sent.next_index, 5);
	assert_int_equal(kit_command(0, RING_PEER_REMOVE, 0, 3), -ENOENT);
	assert_int_equal(kit.region.workers[0].n_peers, 1);
}

// An address that changes hands: the older owner's going does not take it from the newer one.
static void address_changes_hands(void **state)
{
	struct endpoint at;
	struct net_addr addr = kit_viewer_addr(0);

	kit_peer_add(0, 0, 0, SRTP_PROFILE_GCM128);
	kit_peer_fill(1, 0, 1, SRTP_PROFILE_GCM128)->path.remote = addr;
	assert_int_equal(kit_command(1, RING_PEER_UPDATE, 1, 1), 0);
	assert_int_equal(endpoints_find(kit.edge.endpoints, &addr, &at), 0);
	assert_int_equal(at.slot, 1);
	assert_int_equal(at.worker, 1);
	assert_int_equal(kit_command(0, RING_PEER_REMOVE, 0, 1), 0);
	assert_int_equal(endpoints_find(kit.edge.endpoints, &addr, &at), 0);
	assert_int_equal(kit_command(1, RING_PEER_REMOVE, 1, 1), 0);
	assert_int_equal(endpoints_find(kit.edge.endpoints, &addr, &at), -ENOENT);
}

// Over and over: the table of addresses gives its places back.
static void viewers_come_and_go(void **state)
{
	for (int turn = 0; turn < 50; turn++) {
		for (uint16_t slot = 0; slot < KIT_PEERS; slot++) {
			kit_peer_fill(slot, 0, 0, SRTP_PROFILE_GCM128)->path.remote.port_be = htons(
				(uint16_t)(1000 + turn * KIT_PEERS + slot));
			assert_int_equal(kit_command(0, RING_PEER_UPDATE, slot, 1), 0);
		}
		kit_step(1);
		assert_int_equal(kit.region.workers[0].n_peers, KIT_PEERS);
		// Not in the order in which they came.
		for (uint16_t i = 0; i < KIT_PEERS; i++)
			assert_int_equal(
				kit_command(0, RING_PEER_REMOVE, (uint16_t)(i * 5 % KIT_PEERS), 1),
				0);
		kit_step(1);
		assert_int_equal(kit.viewers_on[0], 0);
	}
}

// ---- streams -----------------------------------------------------------------------------------

static void streams_are_checked(void **state)
{
	static const struct {
		const char *what;
		uint16_t owner, video, audio;
		uint8_t payload_type, n_sources;
		int rc;
	} rows[] = {
		{ "owner out of range", KIT_WORKERS, 21000, 21002, 96, 0, -EINVAL },
		{ "port 0", 0, 0, 21002, 96, 0, -EINVAL },
		{ "port without one above", 0, 65535, 21002, 96, 0, -EINVAL },
		{ "payload type", 0, 21000, 21002, 128, 0, -EINVAL },
		{ "payload type that looks like RTCP", 0, 21000, 21002, 64, 0, -EINVAL },
		{ "the last that does", 0, 21000, 21002, 95, 0, -EINVAL },
		{ "sources", 0, 21000, 21002, 96, REGION_MAX_SOURCES + 1, -EINVAL },
		{ "port of the other stream", 0, KIT_VIDEO_PORT, 21002, 96, 0, -EADDRINUSE },
		{ "RTCP port of the other stream", 0, 21000, KIT_AUDIO_PORT + 1, 96, 0,
			-EADDRINUSE },
		{ "RTCP on its RTP port", 0, KIT_VIDEO_PORT - 1, 21002, 96, 0, -EADDRINUSE },
		{ "both legs on one port", 0, 21000, 21000, 96, 0, -EADDRINUSE },
		{ "legs that overlap", 0, 21000, 21001, 96, 0, -EADDRINUSE },
		{ "legs that overlap, other way", 0, 21001, 21000, 96, 0, -EADDRINUSE },
		{ "highest ports there are", 0, 65534, 65532, 96, REGION_MAX_SOURCES, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct region_stream_conf *conf = kit_stream_fill(1, rows[i].owner);
		int rc;

		conf->legs[LEG_VIDEO].port = rows[i].video;
		conf->legs[LEG_AUDIO].port = rows[i].audio;
		conf->legs[LEG_AUDIO].payload_type = rows[i].payload_type;
		conf->legs[LEG_VIDEO].n_sources = rows[i].n_sources;
		rc = kit_command(0, RING_STREAM_SET, 1, 1);
		if (rc != rows[i].rc)
			fail_msg("%s: %d", rows[i].what, rc);
		assert_int_equal(kit.workers[0].streams[1].generation, rc == 0);
		assert_int_equal(kit.workers[0].ingest[KIT_VIDEO_PORT].stream, 0);
		assert_int_equal(kit.workers[0].ingest[21000].stream, UINT16_MAX);
	}
	assert_int_equal(kit.workers[0].ingest[65535].stream, 1);
}

static void streams_change_and_go(void **state)
{
	struct region_stream_conf *conf = &kit.region.streams[0].conf;

	// Other ports, same stream: the leg's state stays.
	feed_audio(1);
	conf->legs[LEG_AUDIO].port = 30000;
	assert_int_equal(kit_stream_set(0), 0);
	assert_int_equal(kit.workers[0].ingest[KIT_AUDIO_PORT].stream, UINT16_MAX);
	feed_audio(2);
	assert_int_equal(kit.region.streams[0].legs[LEG_AUDIO].packets, 2);
	// Another owner has none of it.
	conf->owner = 1;
	assert_int_equal(kit_command(0, RING_STREAM_SET, 0, 1), -EINVAL);
	assert_int_equal(kit_command(1, RING_STREAM_SET, 0, 1), -EINVAL);
	conf->owner = 0;
	feed_audio(3);
	assert_int_equal(kit.region.streams[0].legs[LEG_AUDIO].packets, 3);
	// A new one in a slot whose old one was never removed, and a command that is out of date.
	conf->generation = 3;
	assert_int_equal(kit_command(0, RING_STREAM_SET, 0, 3), -EBUSY);
	assert_int_equal(kit_command(0, RING_STREAM_SET, 0, 1), -EINVAL);
	conf->generation = 1;
	// Not while somebody watches.
	kit_peer_add(0, 0, 0, SRTP_PROFILE_GCM128);
	assert_int_equal(kit_command(0, RING_STREAM_REMOVE, 0, 1), -EBUSY);
	assert_int_equal(kit_command(0, RING_STREAM_REMOVE, 0, 3), -ENOENT);
	feed_audio(4);
	assert_int_equal(kit_sent_count(0), 1);
	assert_int_equal(kit_command(0, RING_PEER_REMOVE, 0, 1), 0);
	assert_int_equal(kit_command(0, RING_STREAM_REMOVE, 0, 1), 0);
	feed_audio(5);
	assert_int_equal(kit.region.workers[0].drops[DROP_NOT_OURS], 1);
	// Taken anew: everything counts from the start.
	conf->generation = 3;
	assert_int_equal(kit_command(0, RING_STREAM_SET, 0, 3), 0);
	assert_int_equal(kit.region.streams[0].legs[LEG_AUDIO].packets, 0);
}

// ---- ring messages -----------------------------------------------------------------------------

static void messages_out_of_range(void **state)
{
	static const struct {
		int kind;
		uint16_t slot;
		uint32_t generation;
		int rc;
	} rows[] = {
		{ RING_STREAM_SET, KIT_STREAMS, 1, -EINVAL },
		{ RING_STREAM_SET, UINT16_MAX, 1, -EINVAL },
		{ RING_STREAM_SET, 0, 0, -EINVAL },
		{ RING_STREAM_REMOVE, KIT_STREAMS, 1, -EINVAL },
		{ RING_STREAM_REMOVE, 1, 0, -EINVAL },
		{ RING_STREAM_REMOVE, 1, 1, -ENOENT },
		{ RING_PEER_ADD, KIT_PEERS, 1, -EINVAL },
		{ RING_PEER_UPDATE, UINT16_MAX, 1, -EINVAL },
		{ RING_PEER_UPDATE, 0, 0, -EINVAL },
		{ RING_PEER_REMOVE, KIT_PEERS, 1, -EINVAL },
		{ RING_PEER_REMOVE, 3, 0, -EINVAL },
		{ RING_FLUSH, UINT16_MAX, 77, 0 },
		{ 0, 0, 1, -EOPNOTSUPP },
		{ RING_DRAIN + 1, 0, 1, -EOPNOTSUPP },
		{ 255, UINT16_MAX, UINT32_MAX, -EOPNOTSUPP },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int rc = kit_command(
			0, (enum ring_command_kind)rows[i].kind, rows[i].slot, rows[i].generation);

		if (rc != rows[i].rc)
			fail_msg("row %zu: %d", i, rc);
	}
	assert_int_equal(kit.workers[0].streams[0].generation, 1);
}

// Control that does not read its events loses some, counted; the worker goes on.
static void events_without_a_reader(void **state)
{
	const struct ring_command c = { .kind = RING_FLUSH };

	for (int i = 0; i < REGION_EVENT_SLOTS + 100; i++) {
		assert_int_equal(ring_put(kit.region.rings[0].command, &c, sizeof(c)), 0);
		kit_step(0);
	}
	assert_int_equal(kit.region.workers[0].events_lost, 101);
	kit_events(0);
	assert_int_equal(kit_command(0, RING_FLUSH, 0, 0), 0);
}

// Control may write anything into a ring's header: the worker counts it and works on, and obeys
// again once it is right.
static void wrecked_rings(void **state)
{
	const struct ring_command c = { .kind = RING_FLUSH };
	struct rte_ring *rings[] = { kit.region.rings[0].command->shared,
		kit.region.rings[0].inject->shared, kit.region.rings[0].event->shared };
	uint64_t before;

	for (int i = 0; i < 2; i++) {
		uint32_t good = rings[i]->prod.tail;

		rings[i]->size = rings[i]->mask = rings[i]->capacity = UINT32_MAX;
		assert_int_equal(kit_command(0, RING_FLUSH, 0, 0), 0);
		before = kit.region.workers[0].ring_faults;
		rings[i]->prod.tail = good + 0x10000000;
		kit_step(0);
		assert_int_equal(kit.region.workers[0].ring_faults, before + 1);
		rings[i]->prod.tail = kit.region.rings[0].command->shared == rings[i] ? good + 1
										      : good;
		kit_step(0);
		assert_int_equal(kit.region.workers[0].ring_faults, before + 1);
	}
	rings[2]->cons.tail += 0x10000000;
	before = kit.region.workers[0].events_lost;
	assert_int_equal(ring_put(kit.region.rings[0].command, &c, sizeof(c)), 0);
	kit_step(0);
	assert_int_equal(kit.region.workers[0].events_lost, before + 1);
	rings[2]->cons.tail -= 0x10000000;
	assert_int_equal(kit_command(0, RING_FLUSH, 0, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		stream_test(lying_slots_change_nothing),
		stream_test(lies_about_a_viewer_that_plays),
		stream_test(reservations_are_checked),
		stream_test(address_changes_hands),
		stream_test(viewers_come_and_go),
		stream_test(streams_are_checked),
		stream_test(streams_change_and_go),
		stream_test(messages_out_of_range),
		stream_test(events_without_a_reader),
		stream_test(wrecked_rings),
	};

	return cmocka_run_group_tests(tests, kit_group_setup, kit_group_teardown);
}
