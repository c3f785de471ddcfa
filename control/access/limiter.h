// How often one source may come: token buckets, in a table of fixed size.
// No clock of its own. Owner: control's core thread.
// Source: the generic cell rate algorithm (ITU-T I.371): a bucket is the one moment at which it
// will be full again.
#pragma once

#include <stdint.h>

#include "dataplane/abi/net.h"

enum {
	LIMITER_KEY_BYTES = 16,
};

struct limiter;

// Who is counted. Unused bytes are zero.
struct limiter_key {
	uint8_t kind; // sources of different kinds never share a bucket
	uint8_t bytes[LIMITER_KEY_BYTES];
};

enum {
	LIMITER_IPV4 = 1,
	LIMITER_IPV6_NET = 2,
	LIMITER_HOLDER = 3,
};

// per_second: 1 to 10^9 in the long run; 0: no limit.
// burst:      1 or more at once.
// Return:     0; -EINVAL; -ENOMEM.
int limiter_create(uint32_t per_second, uint32_t burst, struct limiter **out);

// NULL is fine.
void limiter_destroy(struct limiter *);

// An IPv4 address, or the /64 of an IPv6 one: that is what one host can choose from.
struct limiter_key limiter_key_of(const struct net_addr *);

// Take one from the source's bucket. Where the table has no room, the fullest bucket gives its
// place: least is forgotten with it.
// now_ns: never goes back.
// Return: 0; else the nanoseconds after which there will be one, and nothing was taken.
uint64_t limiter_take(struct limiter *, const struct limiter_key *, uint64_t now_ns);
