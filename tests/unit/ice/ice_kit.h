// What the agent's tests share: Binding requests to order, and a close look at each reply.
#pragma once

#include "control/ice/ice.h"

#define LOCAL_UFRAG "Mill+/09"
#define LOCAL_PWD   "AbCdEfGhIjKlMnOpQrStUv+/"
#define NEW_UFRAG   "Race1234"
#define NEW_PWD	    "zYxWvUtSrQpOnMlKjIhGfE98"

enum {
	BUF_BYTES = 512,
	HIGH = 2000,
	LOW = 1000,
};

extern const struct ice_remote remote_peer;

// A Binding request in the making; the zero value is a good one without USE-CANDIDATE.
struct recipe {
	const char *username; // NULL: a good one
	const char *pwd;      // NULL: the good one
	uint32_t priority;    // 0: HIGH
	uint16_t type;	      // 0: request
	uint16_t n_unknown;   // comprehension-required attributes from 0x7f00 up
	uint16_t extra;	      // one more attribute of this type, empty
	bool use_candidate;
	bool controlled;
	bool no_priority;
	bool no_username;
	bool no_integrity;
	bool no_fingerprint;
	bool zero_txid; // instead of a new one
};

uint16_t cook(const struct recipe *, uint8_t buf[BUF_BYTES]);

// The path of a packet from 198.18.77.host to our media port.
struct net_path path_from(uint8_t host, uint16_t port);

// An agent with LOCAL_UFRAG and LOCAL_PWD.
void agent_make(struct ice_agent *);

// What came of one packet, and the packet for a second look.
struct taken {
	struct ice_outcome out;
	uint16_t code; // of an error reply; 0 of a success reply or none
	bool success;
	bool signed_local; // the reply verifies under LOCAL_PWD
	bool signed_new;
	bool is_signed;
	uint8_t reply[STUN_REPLY_MAX_BYTES];
	uint16_t request_bytes;
};

// Return: the value of a reply's attribute; NULL: it has none such.
const uint8_t *reply_attr(const struct taken *, uint16_t type, uint16_t *out_bytes);

// Give one packet to the agent; NULL: to the stray check.
struct taken take_bytes(struct ice_agent *, const uint8_t *pkt, uint16_t pkt_bytes,
	const struct net_path *, uint64_t now_ms);
struct taken take(struct ice_agent *, struct recipe, const struct net_path *, uint64_t now_ms);
