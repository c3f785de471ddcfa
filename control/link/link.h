// Control's end of the shared region: commands go down and are answered, events and punted packets
// come up, packets to send go down. And the steering maps of the interface, where there is one.
// Owner: control's core thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/abi/region.h"
#include "ebpf/steer_loader.h"

struct link;

enum {
	LINK_ACK_MS = 2000, // a command not answered by then failed
	LINK_ALL_WORKERS = 0xffff,
};

// Told once for each command: 0, the worker's -errno, -ETIMEDOUT, -ECONNRESET the data plane left.
typedef void (*link_ack_cb)(void *arg, int status);

struct link_handlers {
	void (*punt)(void *ctx, const struct ring_packet *);
	void (*event)(void *ctx, const struct ring_event *); // all but acknowledgements
	void *ctx;
};

// Connect to a data plane and map its region.
// lost:   a link to one that left, whose region is offered to this one to go on with; NULL none.
// Return: 0; -errno, with what is wrong logged unless quiet.
int link_open(const char *socket, const struct link_handlers *, const struct link *lost, bool quiet,
	struct link **out);

// The data plane left. Every command under way is answered -ECONNRESET, none goes out any more
// (-ENOTCONN). The region stays: sessions live on in it until another data plane takes it up.
void link_lose(struct link *);
bool link_lost(const struct link *);

// Return: whether both lead to the same region.
bool link_same_region(const struct link *, const struct link *);

// As link_lose, and the region goes too. NULL is fine.
void link_close(struct link *);

struct region *link_region(struct link *);

// NULL without AF_XDP.
struct steer_maps *link_steer(struct link *);

// Readable when the data plane left.
int link_socket_fd(const struct link *);
// Readable when there may be something in the rings.
int link_wake_fd(const struct link *);

// Take what is in the rings, call the handlers; answer overdue commands.
// Return: true when something was there: call again before sleeping. False: asked to be woken.
bool link_poll(struct link *, uint64_t now_ms);

// How often a worker's ring had no room for what we wanted to put there.
struct link_overflows {
	uint64_t command, inject;
};
const struct link_overflows *link_overflows(const struct link *, uint16_t worker);

// Send a command to one worker, or to all (answered once, with the first failure).
// cb:     may be NULL. Never called from inside this function.
// Return: 0; -ENOBUFS the ring is full or too many are under way, -ENOTCONN the data plane left:
//         nothing was sent.
int link_command(struct link *, uint16_t worker, enum ring_command_kind, uint16_t slot,
	uint32_t generation, link_ack_cb cb, void *arg);

// Have a worker send one packet along a path.
// Return: 0; -ENOBUFS, -EMSGSIZE, -ENOTCONN.
int link_inject(struct link *, uint16_t worker, const struct net_path *, const uint8_t *pkt,
	size_t pkt_bytes);
