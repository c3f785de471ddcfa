// What a host says unasked: that it has its addresses, whether others have them, and where its
// routers are. Each writes one whole frame, ETH_MIN_BYTES or longer, into HOST_FRAME_MAX_BYTES.
// Return: its bytes.
// Source: RFC 826; RFC 5227 2.1.1, 2.3, 3; RFC 4861 4.1, 4.3, 7.2.6; RFC 4862 5.4.2.
#pragma once

#include <stdint.h>

#include "dataplane/host/address.h"

enum {
	HOST_FRAME_MAX_BYTES = 96,
};

// To everybody: this address is at our MAC.
uint16_t host_compose_announcement(const struct host_addresses *, const struct host_address *,
	uint8_t frame[HOST_FRAME_MAX_BYTES]);

// Does anybody have this address? It names no sender, so that nobody takes it for ours by that.
uint16_t host_compose_probe(const struct host_addresses *, const struct host_address *,
	uint8_t frame[HOST_FRAME_MAX_BYTES]);

// Where is that neighbour? to: the MAC that it was at, to ask it alone; NULL everybody.
uint16_t host_compose_solicitation(const struct host_addresses *, const struct host_address *from,
	const struct net_addr *neighbour, const uint8_t to[6], uint8_t frame[HOST_FRAME_MAX_BYTES]);

// What routers are there? from: an IPv6 address.
uint16_t host_compose_router_solicitation(const struct host_addresses *,
	const struct host_address *from, uint8_t frame[HOST_FRAME_MAX_BYTES]);
