// What the tests of instant starts share: an encoder whose packets are remembered, and players that
// hold what they get against them.
#pragma once

#include "tests/unit/fanout/edge_kit.h"

enum {
	SPS = 0x67,
	PPS = 0x68,
	IDR = 0x65,
	SLICE = 0x41,
	FRAME_MS = 10,
	FRAME_TICKS = 900,
	FED_MAX = 2048,
	FIRST_SEQ = 65000, // wraps on the way
	KEY_SLICES = 40,
};

// What stream 0's encoder sent so far.
extern struct start_fed {
	struct kit_rtp pkts[FED_MAX];
	unsigned int n, n_frames, key;
	uint32_t ts, ticks; // a frame
} fed;

// A stream on worker 0, with instant starts.
int start_setup(void **state);

// One frame waits in worker 0's receive queue: of two slices, or a key frame of KEY_SLICES with its
// parameter sets before it.
void start_feed_delta(void);
void start_feed_key(void);
// The end of a group, then a key frame and so many others; worker 0 has them all.
void start_feed_group(unsigned int n_deltas);

struct player {
	struct kit_viewer v;
	uint16_t worker;
	uint16_t seq; // next
	bool playing;
	bool in_frame;
	uint32_t ts;
	unsigned int at; // next packet of what was fed
	unsigned int n;
	bool live; // newest packet had the encoder's time
};

struct region_peer_leg_state *start_state(uint16_t slot); // video
const struct peer_leg *player_leg(const struct player *, uint16_t slot);

// At the newest key frame of what was fed, with the first of its sequence numbers.
void player_init(struct player *, uint16_t slot, uint16_t worker);
// Take what was sent to it: in order, each packet once, in time that rises.
// Return: how many packets.
unsigned int player_play(struct player *);

// A frame every FRAME_MS, while all of them play. Steps of two workers meet as it happens.
void start_go_live(struct player *, unsigned int n, unsigned int ms);

// Big-endian.
uint32_t start_get32(const uint8_t *at);

#define start_test(f) cmocka_unit_test_setup_teardown(f, start_setup, kit_teardown)
