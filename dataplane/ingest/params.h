// H.264 care: every key frame goes out with its parameter sets before it, from those that the
// stream was configured with or that came in band last; delimiters and filler, which no viewer
// needs, do not go out at all. Owner: the stream's worker, for packets that are the newest of their
// leg. Source: RFC 6184 5.6 to 5.8; RFC 7742 6.2; checklist F6, F7.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/abi/region.h"

struct leg_packet;

enum {
	PARAMS_PACKET_MAX = 1 + REGION_SPROP_MAX, // a STAP-A of all sets
};

enum params_verdict {
	PARAMS_PASS,
	PARAMS_OMIT, // nothing of it needs to go out
	PARAMS_LACK, // sets must go before it: params_write
};

struct params {
	// The sets that hold now: the body of a STAP-A.
	uint8_t sets[REGION_SPROP_MAX];
	uint16_t bytes;
	// The access unit under way.
	uint32_t ts;
	bool begun;
	bool leading; // nothing but what leads it came so far
	bool owed;    // the packet that began it was left out: the next one begins it
	bool has_sps; // came in it
	bool has_pps;
	bool unknown; // the last key frame lacked sets, and so do we
};

// Take sets as known: the body of a STAP-A. What is no set, or does not add up, is left alone.
void params_learn(struct params *, const uint8_t *body, uint16_t body_bytes);

// Judge one packet, whose payload is shortened in place where it holds more than it needs to.
// p: begins and payload_bytes follow.
enum params_verdict params_judge(struct params *, uint8_t *payload, struct leg_packet *p);

// After PARAMS_LACK: the payload of a packet with the kinds of set that did not come.
// Return: its size.
uint16_t params_write(struct params *, uint8_t out[PARAMS_PACKET_MAX]);
