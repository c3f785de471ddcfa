// The viewers' side of repair: each loses a share of what it is sent, by chance, and asks for it
// again, as a browser does: SRTCP of its own keys, a round trip after the packet left, with a
// receiver report a second. What it asks for is lost as often on its way, and asked for once more.
// Packets are made and sealed by the main thread, and lie ready when a receive callback puts them
// among what the port brought: to a worker they are no different from a network's.
// Threads: main; a worker takes what lies in its ring.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/testfan/drive.h"

struct edge;
struct nack;

// What did not become a packet, or reached no worker.
struct nack_losses {
	uint64_t no_mbuf;
	uint64_t ring_full; // a worker took none for long
};

// Main thread, no worker running, before the sources: callbacks are called in their order.
// Return: 0; -ENOMEM, -ENOTSUP.
int nack_create(const struct edge *, const struct drive *, struct nack **out);

// After the workers' tables, which may hold packets of its pool. NULL is fine.
void nack_destroy(struct nack *);

// Every few milliseconds while it runs: make what is due.
void nack_poll(struct nack *);

// Whether what is made is also delivered. Not delivering costs the main thread the same, so that
// runs with and without can be compared.
void nack_deliver(struct nack *, bool on);

// Whether a viewer of those that are verified asked for this packet lately.
bool nack_asked(const struct nack *, const struct sent *what);

void nack_read(const struct nack *, struct nack_losses *out);
