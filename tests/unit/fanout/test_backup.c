// A stream with two sources on whole workers: what viewers get over a take-over, whenever they
// came, and what is asked of whom. What they get is opened with libsrtp2. Checklist: F2, F7, F20,
// F30.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/fanout/edge_kit.h"

enum {
	FRAME_MS = 5,
	FRAME_TICKS = 90 * FRAME_MS,
	FAILOVER_MS = 50,
	BACKUP_PORT = 21000,
	RTCP_PORT = 7777, // of the sources; more by the role
	PAYLOAD_BYTES = 300,
	IDR = 0x65,
	SLICE = 0x41,
	START_BURST_BYTES = 48 * 1024, // of a catch-up, at once
	NS_PER_MS = 1000000,
};

static const uint8_t sps[] = { 0x67, 0x42, 0xc0, 0x1f, 0x8c, 1 };
static const uint8_t pps[] = { 0x68, 0xce, 0x3c, 0x80 };
static const uint8_t other_sps[] = { 0x67, 0x42, 0xc0, 0x28, 0x8c, 2 };
static const uint8_t other_pps[] = { 0x68, 0xee, 0x3c, 0x80 };

// A source's video: each picture is two packets, which say whose they are, and of which picture.
struct source {
	enum region_role role;
	uint16_t seq;
	uint32_t ts;
	uint32_t n; // pictures so far
};

static struct source sources[REGION_ROLE_COUNT];

static void send_packet(struct source *s, uint8_t nal, bool marker)
{
	const struct net_addr from = kit_addr("198.18.77.3", (uint16_t)(7000 + s->role));
	const uint32_t ts = htonl(s->ts), ssrc = htonl(0xabc0u + s->role);
	uint8_t pkt[12 + PAYLOAD_BYTES] = { 0x80, (uint8_t)(KIT_VIDEO_PT | marker << 7),
		(uint8_t)(s->seq >> 8), (uint8_t)s->seq };

	memcpy(pkt + 4, &ts, 4);
	memcpy(pkt + 8, &ssrc, 4);
	pkt[12] = nal;
	pkt[13] = 0x80; // first_mb_in_slice 0
	pkt[14] = (uint8_t)s->role;
	memcpy(pkt + 15, &s->n, 4);
	s->seq++;
	kit_feed(0, &from, s->role == REGION_PRIMARY ? KIT_VIDEO_PORT : BACKUP_PORT, pkt,
		sizeof(pkt));
}

static void send_picture(struct source *s, bool key)
{
	s->n++;
	s->ts += FRAME_TICKS;
	send_packet(s, key ? IDR : SLICE, false);
	send_packet(s, key ? IDR : SLICE, true);
}

static void send_report(const struct source *s)
{
	const struct net_addr from = kit_addr("198.18.77.3", (uint16_t)(RTCP_PORT + s->role));
	const uint32_t ssrc = htonl(0xabc0u + s->role);
	uint8_t pkt[28] = { 0x80, 200, 0, 6 };

	memcpy(pkt + 4, &ssrc, 4);
	pkt[8] = 0xe5;
	kit_feed(0, &from,
		(uint16_t)((s->role == REGION_PRIMARY ? KIT_VIDEO_PORT : BACKUP_PORT) + 1), pkt,
		sizeof(pkt));
	kit_step(0);
}

static int setup(void **state)
{
	struct region_stream_conf *conf;

	if (kit_setup(state) < 0)
		return -1;
	kit.conf.media.start_mbps = 50;
	kit.conf.media.start_max_ms = 12000;
	kit.conf.ingest.failover_ms = FAILOVER_MS;
	conf = kit_stream_fill(0, 0);
	conf->legs[LEG_AUDIO].present = 0;
	conf->backup[LEG_VIDEO] = conf->legs[LEG_VIDEO];
	conf->backup[LEG_VIDEO].port = BACKUP_PORT;
	for (int role = 0; role < REGION_ROLE_COUNT; role++)
		sources[role] = (struct source){
			.role = role, .seq = 65000, .ts = 77777777u * (unsigned int)(role + 1)
		};
	return kit_stream_set(0);
}

static const struct region_sources_state *pair(void)
{
	return &kit.region.streams[0].sources;
}

static struct region_peer_leg_state *state_of(uint16_t slot)
{
	return &kit.region.peers[slot].state.legs[LEG_VIDEO];
}

// ---- viewers -----------------------------------------------------------------------------------

static struct viewer {
	struct kit_viewer v;
	uint16_t slot;
	uint16_t worker;
	bool any, in_picture;
	uint16_t seq; // next
	uint32_t ts;
	uint8_t role; // of the newest packet
	uint32_t picture;
	unsigned int n_keys, n_sets;
	uint8_t sets[64]; // the newest
	int sets_bytes;
} viewers[KIT_PEERS];

static unsigned int n_viewers;

static struct viewer *join(uint16_t worker)
{
	struct viewer *v = &viewers[n_viewers];

	*v = (struct viewer){ .slot = (uint16_t)n_viewers++, .worker = worker };
	kit_peer_add(v->slot, 0, worker, SRTP_PROFILE_GCM128);
	kit_viewer_init(&v->v, v->slot);
	v->seq = v->v.conf->legs[LEG_VIDEO].seq_base;
	return v;
}

static int teardown(void **state)
{
	while (n_viewers)
		kit_viewer_fini(&viewers[--n_viewers].v);
	return kit_teardown(state);
}

#define test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

// One sequence, time that rises, pictures of a source in their order, and whole.
static void look(struct viewer *v, const uint8_t *pkt, int bytes)
{
	uint32_t ts = ntohl(*(const uint32_t *)(pkt + 4)) - v->v.conf->legs[LEG_VIDEO].ts_base;
	int off = pkt[0] & 0x10 ? 16 + 4 * (pkt[14] << 8 | pkt[15]) : 12;
	const uint8_t *payload = pkt + off;
	uint32_t picture;

	assert_int_equal(pkt[2] << 8 | pkt[3], v->seq++);
	if (v->in_picture)
		assert_int_equal(ts, v->ts);
	else if (v->any)
		assert_true((int32_t)(ts - v->ts) > 0);
	v->ts = ts;
	v->in_picture = !(pkt[1] >> 7);
	if (bytes - off < PAYLOAD_BYTES) {
		v->n_sets++;
		v->sets_bytes = bytes - off;
		assert_true(v->sets_bytes <= (int)sizeof(v->sets));
		memcpy(v->sets, payload, (size_t)v->sets_bytes);
		return;
	}
	memcpy(&picture, payload + 3, 4);
	if (!v->any || payload[2] != v->role)
		assert_int_equal(payload[0], IDR);
	else
		assert_in_range(picture - v->picture, 0, 1);
	v->n_keys += payload[0] == IDR;
	v->any = true;
	v->role = payload[2];
	v->picture = picture;
}

static void look_all(void)
{
	uint8_t pkt[KIT_PKT_BYTES];
	int bytes;

	for (unsigned int i = 0; i < n_viewers; i++) {
		struct viewer *v = &viewers[i];

		while ((bytes = kit_sent_to(v->worker, &v->v.addr, pkt)) > 0) {
			assert_int_equal(srtp_unprotect(v->v.in, pkt, &bytes), srtp_err_status_ok);
			look(v, pkt, bytes);
		}
	}
}

// Every source of the mask sends a picture each FRAME_MS, in real time, until that is over.
static void play(unsigned int roles, unsigned int ms)
{
	uint64_t from = region_now_ns(), next = from, now;

	while ((now = region_now_ns()) - from < ms * (uint64_t)NS_PER_MS) {
		for (int role = 0; now >= next && role < REGION_ROLE_COUNT; role++)
			if (roles >> role & 1)
				send_picture(&sources[role], false);
		if (now >= next)
			next += FRAME_MS * NS_PER_MS;
		kit_step(0);
		kit_step(1);
		look_all();
		usleep(100);
	}
}

enum { PRIMARY = 1 << REGION_PRIMARY, BACKUP = 1 << REGION_BACKUP, BOTH = PRIMARY | BACKUP };

static void begin_groups(unsigned int roles)
{
	for (int role = 0; role < REGION_ROLE_COUNT; role++)
		if (roles >> role & 1)
			send_picture(&sources[role], true);
	kit_step(0);
	kit_step(1);
	look_all();
}

static void play_until_the_backup_does(void)
{
	for (int i = 0; i < 100 && pair()->active == REGION_PRIMARY; i++)
		play(BACKUP, 1);
	assert_int_equal(pair()->active, REGION_BACKUP);
}

static void check_live(enum region_role role)
{
	for (unsigned int i = 0; i < n_viewers; i++) {
		const struct viewer *v = &viewers[i];

		assert_int_equal(v->role, role);
		assert_int_equal(v->picture, sources[role].n);
		assert_int_equal(
			kit.workers[v->worker].peers[v->slot]->legs[LEG_VIDEO].catching, 0);
	}
}

// ---- a take-over -------------------------------------------------------------------------------

// Whoever comes while the others catch up is shown the backup's group at once, as they are.
static void viewers_join_as_a_backup_takes_over(void **state)
{
	begin_groups(BOTH);
	play(BOTH, 300);
	join(0);
	play(BOTH, 100);
	play_until_the_backup_does();
	for (int i = 0; i < 12; i++) {
		struct viewer *v = join(i % 2);

		for (int k = 0; k < 4; k++)
			play(0, 1);
		assert_int_equal(state_of(v->slot)->starts_instant, 1);
		assert_int_equal(v->role, v->any ? v->role : REGION_BACKUP);
		assert_int_equal(v->n_keys, 2); // its two packets
		play(0, 6);
	}
	play(BACKUP, 500);
	check_live(REGION_BACKUP);
}

// Those who are on their way to live when the source changes are shown the other's pictures at
// once, and their time goes on, whatever was foreseen.
static void viewers_catch_up_over_a_switch(void **state)
{
	kit.conf.media.start_mbps = 4; // a while
	begin_groups(BOTH);
	play(BOTH, 1000);
	for (int i = 0; i < 5; i++) {
		join(i % 2);
		play(BOTH, 20);
	}
	for (int i = 0; i < 5; i++) {
		join(i % 2);
		play(BACKUP, 10);
	}
	play_until_the_backup_does();
	play(BACKUP, FRAME_MS);
	for (unsigned int i = 0; i < n_viewers; i++)
		assert_int_equal(viewers[i].role, REGION_BACKUP);
	for (int i = 0; i < 3; i++) {
		join(i % 2);
		play(BACKUP, 30);
	}
	play(BACKUP, 1500);
	check_live(REGION_BACKUP);
}

// A worker that takes long over each packet drops none of the group: what comes leans on it.
static void a_busy_worker_gets_through_the_group(void **state)
{
	begin_groups(BOTH);
	join(0);
	for (int i = 0; i < 500; i++) {
		send_picture(&sources[REGION_PRIMARY], false);
		send_picture(&sources[REGION_BACKUP], false);
		kit_step(0);
		look_all();
	}
	kit.workers[0].counters->tsc_mhz = 0; // no time: a packet a loop
	play_until_the_backup_does();
	play(BACKUP, 1500);
	check_live(REGION_BACKUP);
	assert_int_equal(kit.workers[0].counters->drops[DROP_OVERLOAD], 0);
}

// What is kept is seconds of pictures: each viewer gets it as fast as his way is said to be,
// whichever worker he is on, and the key frame of it at once.
static void each_catches_up_by_himself(void **state)
{
	const struct keep *k = keep_find(&kit.edge, 0, 1);
	uint64_t before[2], from_ns;

	kit.conf.media.start_mbps = 4;
	begin_groups(BOTH);
	join(0);
	join(1);
	play(BOTH, 2000);
	for (int i = 0; i < 2; i++)
		before[i] = state_of(viewers[i].slot)->sent.bytes;
	play_until_the_backup_does();
	from_ns = region_now_ns();
	for (int n = 0; n < 50; n++) {
		uint64_t most, ahead_ns = FRAME_MS * NS_PER_MS;

		play(BACKUP, FRAME_MS);
		most = START_BURST_BYTES +
		       (region_now_ns() - from_ns + ahead_ns) * 4 / 8 / 1000; // 4 Mbit/s
		for (int i = 0; i < 2; i++) {
			assert_true(viewers[i].role == REGION_BACKUP);
			assert_true(state_of(viewers[i].slot)->sent.bytes - before[i] < most);
			assert_int_equal(
				kit.workers[i].peers[viewers[i].slot]->legs[LEG_VIDEO].catching, 1);
		}
	}
	play(BACKUP, 1000);
	check_live(REGION_BACKUP);
	// What was sent late is not what the source sends a second.
	assert_true(k->byte_rate[LEG_VIDEO] < 2 * 2 * PAYLOAD_BYTES * 1000 / FRAME_MS);
}

// Where the group takes too long to be sent, all wait for the next key frame, which is asked for.
static void too_large_a_group_is_not_sent(void **state)
{
	kit.conf.media.start_mbps = 1; // about as much as comes
	begin_groups(BOTH);
	join(0);
	join(1);
	play(BOTH, 1500);
	play_until_the_backup_does();
	play(BACKUP, 50);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(viewers[i].role, REGION_PRIMARY);
		assert_int_equal(state_of(viewers[i].slot)->keys_waited, 1);
	}
	assert_true(kit.edge.key_wanted[0] != 0);
	begin_groups(BACKUP);
	play(BACKUP, 50);
	check_live(REGION_BACKUP);
}

// Those who wait for a key frame where starts are turned off for joining are not cut off by that.
static void without_instant_starts_it_takes_over_all_the_same(void **state)
{
	kit.conf.media.start_max_ms = 0;
	begin_groups(BOTH);
	join(0);
	begin_groups(BOTH);
	play(BOTH, 300);
	play_until_the_backup_does();
	play(BACKUP, 400);
	check_live(REGION_BACKUP);
}

// The owner's loop may have begun later than that of another worker, who looks at what it kept.
static void a_worker_whose_clock_is_behind_takes_over_too(void **state)
{
	begin_groups(BOTH);
	join(1);
	play(BOTH, 300);
	for (int i = 0; i < 1000 && pair()->active == REGION_PRIMARY; i++) {
		usleep(100);
		if (i % 50 == 0)
			send_picture(&sources[REGION_BACKUP], false);
		kit_step(0);
	}
	assert_int_equal(pair()->active, REGION_BACKUP);
	send_picture(&sources[REGION_BACKUP], false);
	kit_step(0);
	kit.workers[1].now_ns = region_now_ns() - 10 * NS_PER_MS;
	start_over(&kit.workers[1]);
	assert_int_equal(state_of(0)->keys_waited, 0);
	play(BACKUP, 400);
	check_live(REGION_BACKUP);
}

// ---- asking ------------------------------------------------------------------------------------

// Return: how many PLIs went to the source since the last look; the others' are thrown away.
static unsigned int asked(enum region_role role)
{
	uint8_t frame[KIT_PKT_BYTES];
	unsigned int n = 0;
	uint16_t bytes;

	while ((bytes = kit_sent_frame(0, frame)) > 0)
		n += bytes >= 54 && (frame[36] << 8 | frame[37]) == RTCP_PORT + (int)role &&
		     memcmp(frame + bytes - 12, "\x81\xce\0\2", 4) == 0;
	return n;
}

// However busy the machine is.
static unsigned int await_asked(enum region_role role, unsigned int playing)
{
	unsigned int n = 0;

	for (int i = 0; n == 0 && i < 100; i++) {
		play(playing, FRAME_MS);
		n = asked(role);
	}
	return n;
}

// A backup that could take over, had it a picture, is asked for one; and so is the one that is
// picked. Nobody is asked for what is not wanted.
static void a_backup_without_a_picture_is_asked(void **state)
{
	begin_groups(PRIMARY);
	play(BOTH, 50);
	send_report(&sources[REGION_BACKUP]);
	send_report(&sources[REGION_PRIMARY]);
	play(BOTH, 100);
	assert_int_equal(asked(REGION_BACKUP), 0);
	assert_int_equal(await_asked(REGION_BACKUP, BACKUP), 1);
	assert_int_equal(pair()->active, REGION_PRIMARY);
	assert_int_equal(kit.region.streams[0].backup[LEG_VIDEO].key_requests, 1);
	begin_groups(BACKUP);
	assert_int_equal(pair()->active, REGION_BACKUP);
	assert_int_equal(pair()->switches[REGION_SWITCH_SILENCE], 1);
	play(BOTH, 150);
	asked(REGION_PRIMARY);
	kit.region.streams[0].conf.pick = REGION_PICK_PRIMARY;
	assert_int_equal(kit_stream_set(0), 0);
	assert_int_equal(await_asked(REGION_PRIMARY, BOTH), 1);
	assert_int_equal(pair()->active, REGION_BACKUP);
	begin_groups(PRIMARY);
	assert_int_equal(pair()->active, REGION_PRIMARY);
	assert_int_equal(pair()->switches[REGION_SWITCH_HAND], 1);
}

// What plays is taken away: the primary is asked for a picture, since none of it was kept.
static void a_backup_that_plays_is_removed(void **state)
{
	begin_groups(BOTH);
	send_report(&sources[REGION_PRIMARY]);
	play(BOTH, 50);
	play_until_the_backup_does();
	play(BOTH, 150);
	asked(REGION_PRIMARY);
	memset(kit.region.streams[0].conf.backup, 0, sizeof(kit.region.streams[0].conf.backup));
	assert_int_equal(kit_stream_set(0), 0);
	assert_int_equal(pair()->active, REGION_PRIMARY);
	assert_int_equal(pair()->switches[REGION_SWITCH_REMOVED], 1);
	assert_int_equal(await_asked(REGION_PRIMARY, PRIMARY), 1);
	join(0);
	begin_groups(PRIMARY);
	play(PRIMARY, 400);
	check_live(REGION_PRIMARY);
}

// ---- parameter sets ----------------------------------------------------------------------------

static void put_sets(struct region_sprop *out, const uint8_t *a, size_t a_bytes, const uint8_t *b,
	size_t b_bytes)
{
	out->units[1] = (uint8_t)a_bytes;
	memcpy(out->units + 2, a, a_bytes);
	out->units[a_bytes + 3] = (uint8_t)b_bytes;
	memcpy(out->units + a_bytes + 4, b, b_bytes);
	out->bytes = (uint16_t)(a_bytes + b_bytes + 4);
}

// Each source's key frames have its own sets before them, also those that were kept.
static void each_source_has_its_own_sets(void **state)
{
	struct region_sprop *sprop = kit.region.streams[0].conf.sprop;
	struct viewer *v;

	put_sets(&sprop[REGION_PRIMARY], sps, sizeof(sps), pps, sizeof(pps));
	put_sets(&sprop[REGION_BACKUP], other_sps, sizeof(other_sps), other_pps, sizeof(other_pps));
	assert_int_equal(kit_stream_set(0), 0);
	v = join(0);
	begin_groups(BOTH);
	play(BOTH, 50);
	assert_int_equal(v->role, REGION_PRIMARY);
	assert_int_equal(v->n_sets, 1);
	assert_memory_equal(v->sets + 3, sps, sizeof(sps));
	play_until_the_backup_does();
	play(BACKUP, 150);
	assert_int_equal(v->n_sets, 2);
	assert_int_equal(v->sets_bytes, 1 + sprop[REGION_BACKUP].bytes);
	assert_memory_equal(v->sets + 1, sprop[REGION_BACKUP].units, sprop[REGION_BACKUP].bytes);
	begin_groups(BACKUP);
	assert_int_equal(v->n_sets, 3);
	assert_memory_equal(v->sets + 3, other_sps, sizeof(other_sps));
}

// ---- without memory ----------------------------------------------------------------------------

static bool gop_fails;

int __real_gop_init(struct gop *, uint32_t max_bytes);
int __wrap_gop_init(struct gop *, uint32_t max_bytes);

int __wrap_gop_init(struct gop *g, uint32_t max_bytes)
{
	return gop_fails ? -ENOMEM : __real_gop_init(g, max_bytes);
}

// A worker that takes the stream up while the backup plays has no room for a pair.
static void without_memory_the_primary_plays(void **state)
{
	const struct stream *s = &kit.workers[0].streams[0];

	kit.region.streams[0].sources.active = REGION_BACKUP;
	gop_fails = true;
	backup_end(&kit.workers[0], 0);
	assert_int_equal(kit_stream_set(0), -ENOMEM);
	gop_fails = false;
	assert_null(s->sources);
	assert_int_equal(pair()->active, REGION_PRIMARY);
	assert_int_equal(s->backup[LEG_VIDEO].present, 0);
	assert_null(s->backup[LEG_VIDEO].norm);
	assert_int_equal(kit.workers[0].ingest[BACKUP_PORT].stream, UINT16_MAX);
	assert_int_equal(kit.workers[0].ingest[KIT_VIDEO_PORT].stream, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(viewers_join_as_a_backup_takes_over),
		test(without_memory_the_primary_plays),
		test(viewers_catch_up_over_a_switch),
		test(a_busy_worker_gets_through_the_group),
		test(each_catches_up_by_himself),
		test(too_large_a_group_is_not_sent),
		test(without_instant_starts_it_takes_over_all_the_same),
		test(a_worker_whose_clock_is_behind_takes_over_too),
		test(a_backup_without_a_picture_is_asked),
		test(a_backup_that_plays_is_removed),
		test(each_source_has_its_own_sets),
	};

	return cmocka_run_group_tests(tests, kit_group_setup, kit_group_teardown);
}
