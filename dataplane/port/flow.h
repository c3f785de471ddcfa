// Which receive queue of a port a viewer's packets come to, by rules in the NIC (rte_flow): one
// rule a viewer, exact in addresses, ports and VLAN. A NIC without rules, or whose table is full,
// sends packets to any queue, and the workers hand them on: no rule is ever needed. Owner: the main
// thread; calls into a driver may take milliseconds.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/abi/net.h"

struct flow_table;

// What one slot wishes: packets of this path to this queue.
struct flow_wish {
	struct net_path path;
	uint64_t age; // of two slots with one path, the one with the greater has it
	uint16_t queue;
	bool wanted; // else none
};

struct flow_counts {
	uint32_t rules;	   // in the NIC
	uint32_t waiting;  // wishes for which there was no room
	uint64_t refusals; // of rte_flow_create
};

// Ask the port's driver whether it can do such rules, for IPv4 or IPv6, and make the table.
// port_id: configured and started with n_queues receive queues.
// Return:  0; -ENOTSUP it cannot, or there is only one queue; -ENOMEM.
int flow_table_create(
	uint16_t port_id, uint16_t n_queues, uint32_t n_slots, struct flow_table **out);

// Every rule leaves the NIC. NULL is fine.
void flow_table_destroy(struct flow_table *);

// Have the NIC do what the slot wishes; what it cannot do waits for room.
void flow_set(struct flow_table *, uint32_t slot, const struct flow_wish *);

struct flow_counts flow_table_counts(const struct flow_table *);
