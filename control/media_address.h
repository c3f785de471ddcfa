// The addresses that viewers are told to send to: configured, or those of the interface.
#pragma once

#include "dataplane/abi/conf.h"

// Without an interface they are those that the data plane answers for itself.
// ifname: where the addresses are looked up when none is configured; "" gives none.
// Each gives way to what a configured 1:1 NAT makes of it.
// out:    CONF_MAX_ADDRESSES; IPv4 first, as most viewers reach it; ports set.
// Return: how many; link-local and loopback addresses are never among them unless configured.
uint8_t media_addresses_find(
	const struct conf *, const char *ifname, struct net_addr out[CONF_MAX_ADDRESSES]);
