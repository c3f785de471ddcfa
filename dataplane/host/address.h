// What a port that the kernel does not see answers for: made once from the configuration, read only
// afterwards.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/abi/conf.h"

struct host_address {
	struct net_addr ip; // port 0
	uint8_t bits;	    // of the link's prefix
};

struct host_addresses {
	uint8_t mac[6];
	uint16_t vlan; // that they are on; 0: none
	uint8_t n;
	struct host_address list[CONF_MAX_ADDRESSES + 1]; // and our own link-local one
};

// link_local: fe80::/64 of the MAC is ours too; else it is the kernel's.
void host_addresses_make(
	struct host_addresses *, const struct conf *, const uint8_t mac[6], bool link_local);

// family: NET_IPV4 (4 bytes) or NET_IPV6 (16).
// Return: NULL not one of ours.
const struct host_address *host_address_find(
	const struct host_addresses *, uint8_t family, const uint8_t *ip);

// Whether the address is on a link of ours; link-local ones always are.
bool host_on_link(const struct host_addresses *, const struct net_addr *);

// The address of ours to ask a neighbour from: on its link, else any of its family.
// Return: NULL none of that family.
const struct host_address *host_address_toward(
	const struct host_addresses *, const struct net_addr *neighbour);

// ff02::1:ffXX:XXXX of an IPv6 address (RFC 4291 2.7.1), and the MAC of a group (RFC 1112 6.4,
// RFC 2464 7).
void host_solicited_node(const uint8_t ip[16], uint8_t group[16]);
void host_group_mac(const struct net_addr *group, uint8_t mac[6]);
