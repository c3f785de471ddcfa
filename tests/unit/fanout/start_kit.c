#include "tests/unit/fanout/start_kit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	NS_PER_MS = 1000000,
};

// ---- the encoder -------------------------------------------------------------------------------

struct start_fed fed;

static void feed_one(uint8_t nal, bool marker)
{
	struct kit_rtp *p = &fed.pkts[fed.n];

	assert_true(fed.n < FED_MAX);
	*p = kit_rtp_make((uint16_t)(FIRST_SEQ + fed.n), fed.ts, nal, marker);
	fed.n++;
	kit_feed_rtp(0, 0, LEG_VIDEO, p);
}

void start_feed_delta(void)
{
	fed.n_frames++;
	fed.ts += fed.ticks;
	feed_one(SLICE, false);
	feed_one(SLICE, true);
}

void start_feed_key(void)
{
	fed.n_frames++;
	fed.ts += fed.ticks;
	fed.key = fed.n;
	feed_one(SPS, false);
	feed_one(PPS, false);
	for (int i = 1; i < KEY_SLICES; i++)
		feed_one(IDR, false);
	feed_one(IDR, true);
}

void start_feed_group(unsigned int n_deltas)
{
	start_feed_delta(); // nothing that a viewer could begin with
	kit_step(0);
	start_feed_key();
	for (unsigned int i = 0; i < n_deltas; i++) {
		start_feed_delta();
		if (i % 16 == 0)
			kit_step(0);
	}
	kit_step(0);
}

int start_setup(void **state)
{
	if (kit_setup(state) < 0)
		return -1;
	memset(&fed, 0, sizeof(fed));
	fed.ticks = FRAME_TICKS;
	kit.conf.media.start_mbps = 50;
	kit.conf.media.start_max_ms = 12000;
	kit_stream_fill(0, 0);
	return kit_stream_set(0);
}

// ---- the viewer --------------------------------------------------------------------------------

uint32_t start_get32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

struct region_peer_leg_state *start_state(uint16_t slot)
{
	return &kit.region.peers[slot].state.legs[LEG_VIDEO];
}

void player_init(struct player *p, uint16_t slot, uint16_t worker)
{
	*p = (struct player){ .worker = worker };
	kit_viewer_init(&p->v, slot);
	p->seq = p->v.conf->legs[LEG_VIDEO].seq_base;
	p->at = fed.key;
}

static void check_packet(struct player *p, const uint8_t *pkt, int bytes)
{
	const struct region_peer_leg *l = &p->v.conf->legs[LEG_VIDEO];
	const struct kit_rtp *want = &fed.pkts[p->at];
	uint32_t ts = start_get32(pkt + 4) - l->ts_base;
	int off = pkt[0] & 0x10 ? 16 + 4 * (pkt[14] << 8 | pkt[15]) : 12;

	assert_int_equal(pkt[2] << 8 | pkt[3], p->seq++);
	assert_int_equal(start_get32(pkt + 8), l->ssrc);
	assert_true(p->at < fed.n);
	assert_int_equal(pkt[1] >> 7, want->marker);
	assert_int_equal(bytes - off, want->payload_bytes);
	assert_memory_equal(pkt + off, want->payload, want->payload_bytes);
	if (p->in_frame)
		assert_int_equal(ts, p->ts);
	else if (p->playing)
		assert_true((int32_t)(ts - p->ts) > 0);
	p->playing = true;
	p->in_frame = !want->marker;
	p->ts = ts;
	p->live = ts == want->ts;
	p->at++;
	p->n++;
}

unsigned int player_play(struct player *p)
{
	uint8_t pkt[KIT_PKT_BYTES];
	unsigned int n = 0;
	int bytes;

	while ((bytes = kit_sent_to(p->worker, &p->v.addr, pkt)) > 0) {
		assert_int_equal(srtp_unprotect(p->v.in, pkt, &bytes), srtp_err_status_ok);
		check_packet(p, pkt, bytes);
		n++;
	}
	return n;
}

const struct peer_leg *player_leg(const struct player *p, uint16_t slot)
{
	return &kit.workers[p->worker].peers[slot]->legs[LEG_VIDEO];
}

void start_go_live(struct player *players, unsigned int n, unsigned int ms)
{
	uint64_t from = region_now_ns(), next = from, now;

	while ((now = region_now_ns()) - from < ms * (uint64_t)NS_PER_MS) {
		if (now >= next) {
			start_feed_delta();
			next += FRAME_MS * NS_PER_MS;
		}
		kit_step(0);
		if (rand() % 4 == 0)
			kit_step(1);
		for (unsigned int i = 0; i < n; i++)
			player_play(&players[i]);
		usleep(100);
	}
	for (uint16_t w = 0; w < KIT_WORKERS; w++)
		kit_step(w);
	for (unsigned int i = 0; i < n; i++)
		player_play(&players[i]);
}
