// A NIC with a flow table, in the place of rte_flow_validate, _create and _destroy (the linker's
// --wrap): takes exact five-tuples to a queue and nothing else, bit by bit.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/abi/net.h"

enum {
	FAKE_NIC_MAX_RULES = 64,
};

struct fake_rule {
	bool used;
	struct net_addr from, to;
	uint16_t vlan_id; // 0xffff: none
	uint16_t queue;
};

struct fake_nic {
	bool real; // go to DPDK instead
	bool v4, v6;
	bool boasts; // finds good what it cannot do
	unsigned int room;
	int error;	       // if not 0, refuse every rule with it
	bool destroy_fails;    // but forgets the rule all the same
	bool vlan_is_port;     // of every rule: the low bits of where it comes from
	unsigned int takes_ns; // a rule, at least
	unsigned int n_created, n_refused, n_destroyed;
	struct fake_rule rules[FAKE_NIC_MAX_RULES];
};

extern struct fake_nic fake_nic;

// Empty, and able to do all of it.
void fake_nic_reset(void);

unsigned int fake_nic_count(void);

// The rule for what comes from there; NULL: none.
const struct fake_rule *fake_nic_find(const struct net_addr *from);
