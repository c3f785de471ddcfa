// A leg with its places in the region, a clock, and an encoder that sends to it.
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "dataplane/ingest/leg.h"

#define MS_NS 1000000ULL

enum {
	RIG_PAYLOAD_TYPE = 96,
	RIG_MAX_BYTES = 1200,
	RIG_SSRC = 0x11223344,
	RIG_PKT_BYTES = 1500,
};

struct leg_rig {
	struct leg leg;
	struct stream_clock clock;
	struct region_leg_conf conf;
	struct region_leg_norm norm;
	struct region_leg_state state;
	struct net_addr from;
	uint64_t now_ns;
	uint32_t ssrc;

	// Of the last packet given.
	struct leg_packet out;
	unsigned int changes;
};

// A leg that takes RIG_PAYLOAD_TYPE from anybody; CLOCK_MONOTONIC is an hour past zero.
void leg_rig_init(struct leg_rig *, enum leg_kind);

// The process that kept the leg died; the region did not.
void leg_rig_restart(struct leg_rig *);

// Write one RTP packet. Return: its size.
uint16_t leg_rig_write(const struct leg_rig *, uint16_t seq, uint32_t ts, const uint8_t *payload,
	uint16_t payload_bytes, uint8_t pkt[RIG_PKT_BYTES]);

// Send a packet with that payload. Return: what leg_accept does.
int leg_rig_give_payload(struct leg_rig *, uint16_t seq, uint32_t ts, const uint8_t *payload,
	uint16_t payload_bytes);

// Send a packet of a slice that is no key frame.
int leg_rig_give(struct leg_rig *, uint16_t seq, uint32_t ts);

// Send a packet that is a whole key frame.
int leg_rig_give_key(struct leg_rig *, uint16_t seq, uint32_t ts);

struct net_addr rig_addr(const char *ip, uint16_t port);
