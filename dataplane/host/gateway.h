// Where one gateway is: asked for until it answers, asked again before that grows old, and found
// elsewhere when it says so. The time comes from the caller.
// Owner: worker 0; host_gateway_mac is for every worker.
// Source: RFC 1122 2.3.2.1; RFC 4861 6.3.4, 7.2.5, 7.3; RFC 826.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/host/address.h"
#include "dataplane/host/judge.h"

struct host_gateway {
	struct net_addr ip;   // family none: no gateway; ::, with automatic: none known yet
	bool automatic;	      // whichever router advertises itself
	uint8_t misses;	      // questions since it was last heard
	uint64_t ask_ns;      // the next question, at the earliest
	uint64_t expires_ns;  // automatic: until then it is a router
	_Atomic uint64_t mac; // bit 48: known. Worker 0: rw, others: ro
};

enum host_question {
	HOST_ASK_NOBODY,
	HOST_ASK_IT,	  // at the MAC that it was at
	HOST_ASK_ALL,	  // on the link
	HOST_ASK_ROUTERS, // who they are
};

// ip: as configured: family none, an address, or :: for automatic.
void host_gateway_init(struct host_gateway *, const struct net_addr *ip);

// Take what somebody said of themselves.
// Return: whether the gateway's MAC is another now, or known for the first time.
bool host_gateway_hear(struct host_gateway *, const struct host_neighbour *, uint64_t now_ns);

// What to ask now; counted as asked.
// changed: set when the gateway counts as gone from now on.
enum host_question host_gateway_due(struct host_gateway *, uint64_t now_ns, bool *changed);

// The link is new: ask at once.
void host_gateway_hurry(struct host_gateway *, uint64_t now_ns);

// Return: false not known.
bool host_gateway_mac(const struct host_gateway *, uint8_t mac[6]);
