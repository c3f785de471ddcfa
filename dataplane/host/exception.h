// The kernel's end of a port that it does not see: a TAP interface with the port's MAC and
// addresses, through which it has all that is not ours, and sends.
// Opened and closed by the main thread; used by worker 0. A frame costs a system call: so many a
// loop, and no more.
#pragma once

#include <stdint.h>

#include <rte_mbuf.h>

#include "dataplane/abi/conf.h"
#include "dataplane/host/address.h"

enum {
	EXCEPTION_QUEUE = 256, // frames that wait for the kernel
	EXCEPTION_BURST = 16,  // that cross a loop, each way
};

struct exception {
	int fd;
	uint16_t vlan; // of the addresses: the kernel's frames have no tag
	struct rte_mbuf *queue[EXCEPTION_QUEUE];
	uint32_t head, tail; // taken from head, put at tail; both run on
	struct rte_mbuf *spare;
	uint64_t look_ns; // when the kernel is asked for frames again
};

// Make the interface, or take one of that name that is there for it (ip tuntap add mode tap); give
// it MAC, MTU, addresses and the configured gateways as default routes, and raise it.
// Return: 0; -errno, logged. *out is NULL then.
int exception_open(const struct conf *, const struct host_addresses *, struct exception **out);

// The interface goes with it, unless it was there before. NULL is fine.
void exception_close(struct exception *);

// The interface's carrier follows the port's link. Main thread.
void exception_set_carrier(struct exception *, bool up);

// The interface has our MAC again, if somebody gave it another: udev does, where its look at a new
// interface and its writing lie around ours, and the kernel then finds no frame its own. Main
// thread; it takes no rights.
void exception_keep_mac(struct exception *, const uint8_t mac[6]);

// One frame for the kernel.
// Return: 0 and the mbuf is taken; -ENOBUFS it is not.
int exception_put(struct exception *, struct rte_mbuf *);

// Hand a burst of those to the kernel.
// n_full: counts what it did not take, and what is no frame to it.
// Return: how many it took.
unsigned int exception_flush(struct exception *, uint64_t *n_full);

// Take a burst of the kernel's frames, the tag put in.
// pool:   where the mbufs come from.
// Return: how many; the caller owns them.
unsigned int exception_fetch(struct exception *, struct rte_mempool *pool, uint64_t now_ns,
	struct rte_mbuf *out[EXCEPTION_BURST]);
