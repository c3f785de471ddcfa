// A stream and a viewer that has packets of it, says what it lacks, and looks at what it is sent
// again.
#pragma once

#include <string.h>
#include <unistd.h>

#include "tests/unit/fanout/edge_kit.h"

enum {
	IDR = 0x65,
	SLICE = 0x41,
	OPUS = 0x7c,
	N_SENT = 40,
	MAX_ENTRIES = 340,
};

static struct kit_viewer viewer;
static struct kit_rtp sent[N_SENT];	      // video, by the encoder
static uint8_t sealed[N_SENT][KIT_PKT_BYTES]; // as it came to the viewer
static uint16_t sealed_bytes[N_SENT];
static uint16_t first_seq; // of the viewer's video

static inline struct region_peer_leg_state *leg_state(enum leg_kind leg)
{
	return &kit.region.peers[0].state.legs[leg];
}

static inline struct region_peer_sent *rtx_state(void)
{
	return &kit.region.peers[0].state.rtx;
}

static inline const struct region_peer_leg *leg_conf(enum leg_kind leg)
{
	return &kit.region.peers[0].conf.legs[leg];
}

static inline uint64_t misses(enum region_miss reason)
{
	return leg_state(LEG_VIDEO)->missed[reason];
}

static inline uint32_t get32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline void put32(uint8_t *at, uint32_t v)
{
	v = htonl(v);
	memcpy(at, &v, 4);
}

static inline struct kit_rtp feed(enum leg_kind leg, int i)
{
	struct kit_rtp p = kit_rtp_make((uint16_t)(65500 + i), (uint32_t)i * 3000,
		leg == LEG_AUDIO ? OPUS
		: i		 ? SLICE
				 : IDR,
		i % 2);

	kit_feed_rtp(0, 0, leg, &p);
	kit_step(0);
	return p;
}

// A viewer and a stream that has sent it N_SENT packets. None has been opened.
static inline void play(uint16_t worker, uint16_t profile, bool rtx)
{
	struct region_peer_conf *conf;

	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	conf = kit_peer_fill(0, 0, worker, profile);
	if (!rtx)
		conf->legs[LEG_VIDEO].rtx_ssrc = 0;
	conf->phase = REGION_PEER_RESERVED;
	assert_int_equal(kit_command(worker, RING_PEER_ADD, 0, 1), 0);
	conf->phase = REGION_PEER_READY;
	// Both SEQs wrap: behind the leap that follows these.
	for (int leg = 0; leg < LEG_COUNT; leg++)
		leg_state(leg)->sent.next_index = 65520 - REGION_INDEX_JUMP;
	rtx_state()->next_index = 65530 - REGION_INDEX_JUMP;
	assert_int_equal(kit_command(worker, RING_PEER_UPDATE, 0, 1), 0);
	first_seq = 65520;
	kit_viewer_init(&viewer, 0);
	for (int i = 0; i < N_SENT; i++) {
		sent[i] = feed(LEG_VIDEO, i);
		kit_step(worker);
		sealed_bytes[i] = kit_sent_to(worker, &viewer.addr, sealed[i]);
		assert_int_not_equal(sealed_bytes[i], 0);
	}
	assert_int_equal(kit_sent_count(worker), 0);
}

static inline void hear(int i)
{
	int bytes = sealed_bytes[i];
	uint8_t pkt[KIT_PKT_BYTES];

	memcpy(pkt, sealed[i], sealed_bytes[i]);
	assert_int_equal(srtp_unprotect(viewer.in, pkt, &bytes), srtp_err_status_ok);
}

// Two of the first, on both sides of the wrap: the viewer knows the ROC.
static inline void hear_some(void)
{
	hear(0);
	hear(18);
}

// An empty RR and a NACK of so many entries, PID and BLP each.
static inline uint16_t nack_write(uint8_t *pkt, uint32_t ssrc, const uint32_t *entries, int n)
{
	put32(pkt, 0x80c90001);
	put32(pkt + 4, 1);
	put32(pkt + 8, 0x81cd0000u + 2 + (uint32_t)n);
	put32(pkt + 12, 1);
	put32(pkt + 16, ssrc);
	for (int i = 0; i < n; i++)
		put32(pkt + 20 + 4 * i, entries[i]);
	return (uint16_t)(20 + 4 * n);
}

static inline void say(uint16_t worker, uint8_t *pkt, uint16_t bytes)
{
	kit_feed(worker, &viewer.addr, KIT_MEDIA_PORT, pkt, kit_viewer_seal(&viewer, pkt, bytes));
	kit_step(worker);
}

static inline void ask_for(uint16_t worker, uint32_t ssrc, uint32_t entry)
{
	uint8_t pkt[KIT_PKT_BYTES];

	say(worker, pkt, nack_write(pkt, ssrc, &entry, 1));
}

static inline uint16_t seq_of(int i)
{
	return (uint16_t)(first_seq + i);
}

static inline void ask(int i, uint16_t blp)
{
	ask_for(0, leg_conf(LEG_VIDEO)->ssrc, (uint32_t)seq_of(i) << 16 | blp);
}

// The next datagram is a retransmission of the i-th packet, of that SEQ; opened in pkt.
// osn_off: where its OSN stands. Return: its size.
static inline int take_rtx(
	uint16_t worker, int i, uint16_t rtx_seq, uint8_t pkt[KIT_PKT_BYTES], uint16_t *osn_off)
{
	const struct region_peer_leg *l = leg_conf(LEG_VIDEO);
	int bytes = kit_sent_to(worker, &viewer.addr, pkt);

	if (bytes == 0)
		fail_msg("nothing was sent; expected packet %d again", i);
	*osn_off = (uint16_t)(12 + 4 + 4 * ((1 + l->mid_bytes + 3) / 4));
	assert_int_equal(srtp_unprotect(viewer.in, pkt, &bytes), srtp_err_status_ok);
	assert_int_equal(get32(pkt + 8), l->rtx_ssrc);
	assert_int_equal(pkt[1], KIT_RTX_PT | sent[i].marker << 7);
	assert_int_equal(pkt[2] << 8 | pkt[3], rtx_seq);
	assert_int_equal(pkt[*osn_off] << 8 | pkt[*osn_off + 1], seq_of(i));
	return bytes;
}

// The next datagram unwraps to the i-th packet (RFC 4588 4).
static inline void expect_rtx(uint16_t worker, int i, uint16_t rtx_seq)
{
	const struct region_peer_leg *l = leg_conf(LEG_VIDEO);
	uint8_t pkt[KIT_PKT_BYTES], original[KIT_PKT_BYTES];
	int bytes, original_bytes = sealed_bytes[i];
	uint16_t osn_off;

	bytes = take_rtx(worker, i, rtx_seq, pkt, &osn_off);
	// Put back what is different, take out the OSN: the original, header extension and all.
	memcpy(pkt + 2, pkt + osn_off, 2);
	pkt[1] = (uint8_t)(l->payload_type | sent[i].marker << 7);
	put32(pkt + 8, l->ssrc);
	memmove(pkt + osn_off, pkt + osn_off + 2, (size_t)bytes - osn_off - 2);
	memcpy(original, sealed[i], sealed_bytes[i]);
	assert_int_equal(srtp_unprotect(viewer.in, original, &original_bytes), srtp_err_status_ok);
	assert_int_equal(bytes - 2, original_bytes);
	assert_memory_equal(pkt, original, (size_t)original_bytes);
}

static inline void expect_as_it_was(int i)
{
	uint8_t pkt[KIT_PKT_BYTES];
	uint16_t bytes = kit_sent_to(0, &viewer.addr, pkt);

	assert_int_equal(bytes, sealed_bytes[i]);
	assert_memory_equal(pkt, sealed[i], bytes);
}

static inline void expect_nothing(uint16_t worker)
{
	assert_int_equal(kit_sent_count(worker), 0);
}
