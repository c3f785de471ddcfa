// What a frame that is no media means to the host that we are: answered where it stands, of use to
// know, or for the kernel. No state, no clock: the frame in, a verdict out.
#pragma once

#include <stdint.h>

#include "dataplane/abi/region.h"
#include "dataplane/host/address.h"

enum host_verdict {
	HOST_REPLY, // the frame has become the answer
	HOST_PASS,  // not for us to answer: the kernel's, where that is there
	HOST_OTHER, // not sent to us at all: another card, another VLAN, our own words come back
	HOST_BAD,   // what the protocol forbids
};

// Somebody on the link told where they are.
struct host_neighbour {
	struct net_addr ip; // family none: nobody did
	uint8_t mac[6];
	bool timid;	     // does not take the place of what is known (ND without Override)
	bool router;	     // by an advertisement of its own
	uint16_t lifetime_s; // of that; 0: no longer a default router
};

struct host_judgement {
	enum host_verdict verdict;
	uint16_t bytes;		     // of the answer
	enum region_host_count kind; // of the answer
	bool echo;		     // the answer is one to a ping: as many as we like
	bool conflict;		     // somebody else claims an address of ours
	struct net_addr claimed;
	uint8_t claimant[6];		 // their MAC
	struct host_neighbour neighbour; // not with HOST_OTHER and HOST_BAD
};

enum {
	HOST_ROOM_BYTES = 128, // that a frame's buffer has at least, for an answer that is longer
};

// frame:  have bytes, from the Ethernet header; written only with HOST_REPLY.
// cap:    that its buffer has: HOST_ROOM_BYTES or more.
// Source: RFC 826; RFC 5227 2.4; RFC 4861 6.1.2, 7.1.1, 7.1.2, 7.2.4; RFC 792; RFC 4443 4.2;
//         RFC 1122 3.2.2.6.
void host_judge(const struct host_addresses *, uint8_t *frame, uint16_t have, uint16_t cap,
	struct host_judgement *out);
