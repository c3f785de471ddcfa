// A stream and a viewer that plays both its legs, for tests of what is said besides media.
#pragma once

#include <string.h>

#include "dataplane/rtcp/rtcp.h"
#include "tests/unit/fanout/edge_kit.h"

static struct kit_viewer viewer;

static inline uint64_t drops(enum drop_reason reason)
{
	return kit.region.workers[0].drops[reason];
}

static inline void feed(enum leg_kind leg, uint16_t seq, uint32_t ts)
{
	const struct kit_rtp p = kit_rtp_make(seq, ts, leg == LEG_VIDEO ? 0x65 : 0x7c, true);

	kit_feed_rtp(0, 0, leg, &p);
	kit_step(0);
}

// A stream and a viewer that plays both legs.
static inline int play_setup(void **state)
{
	if (kit_setup(state) < 0)
		return -1;
	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	kit_peer_add(0, 0, 0, SRTP_PROFILE_GCM128);
	kit_viewer_init(&viewer, 0);
	feed(LEG_VIDEO, 1, 90000);
	feed(LEG_AUDIO, 1, 48000);
	kit_forget_sent(0);
	return 0;
}

static inline int play_teardown(void **state)
{
	kit_viewer_fini(&viewer);
	return kit_teardown(state);
}

#define play_test(f) cmocka_unit_test_setup_teardown(f, play_setup, play_teardown)

static inline const struct region_peer_leg *leg_conf(enum leg_kind leg)
{
	return &viewer.conf->legs[leg];
}

static inline struct region_peer_leg_state *leg_state(enum leg_kind leg)
{
	return &kit.region.peers[0].state.legs[leg];
}

struct report {
	uint32_t ssrc;
	uint64_t ntp;
	uint32_t ts;
	unsigned int n_bye;
};

// F18: an SR first, and the CNAME.
static inline struct report read_report(const uint8_t *pkt, uint16_t bytes)
{
	struct report r = { 0 };
	struct rtcp_walk walk;
	struct rtcp_packet p;

	assert_int_equal(rtcp_walk_begin(&walk, pkt, bytes), 0);
	assert_true(rtcp_walk_next(&walk, &p));
	assert_true(rtcp_sender_get(&p, &r.ssrc, &r.ntp, &r.ts));
	assert_true(rtcp_walk_next(&walk, &p));
	assert_int_equal(p.type, RTCP_SDES);
	assert_memory_equal(p.body + 4, "\1\4mill", 6);
	while (rtcp_walk_next(&walk, &p)) {
		assert_int_equal(p.type, RTCP_BYE);
		assert_memory_equal(p.body, pkt + 4, 4);
		r.n_bye++;
	}
	return r;
}

static inline void put32(uint8_t *at, uint32_t v)
{
	v = htonl(v);
	memcpy(at, &v, 4);
}

// RR of two blocks (video, unknown), PLI and FIR.
static inline uint16_t feedback_write(uint8_t *pkt, uint32_t lsr, uint32_t dlsr)
{
	memset(pkt, 0, 200);
	memcpy(pkt, "\x82\xc9\0\x0d", 4);
	put32(pkt + 4, 1); // F24: whoever reports
	put32(pkt + 8, leg_conf(LEG_VIDEO)->ssrc);
	put32(pkt + 12, 64u << 24 | 0xfffff0);
	put32(pkt + 16, 0x10007);
	put32(pkt + 20, 33);
	put32(pkt + 24, lsr);
	put32(pkt + 28, dlsr);
	put32(pkt + 32, 0xdeadbeef);
	memcpy(pkt + 56, "\x81\xce\0\2", 4);
	put32(pkt + 60, 1);
	put32(pkt + 64, leg_conf(LEG_VIDEO)->ssrc);
	memcpy(pkt + 68, "\x84\xce\0\4", 4);
	put32(pkt + 72, 1);
	put32(pkt + 80, leg_conf(LEG_VIDEO)->ssrc);
	return 88;
}

static inline void send_to_media_port(const uint8_t *pkt, uint16_t bytes)
{
	kit_feed(0, &viewer.addr, KIT_MEDIA_PORT, pkt, bytes);
	kit_step(0);
}
