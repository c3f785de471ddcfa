// The host that the data plane is on a port that the kernel does not see: what is no media is
// answered, learned from or handed to the kernel; gateways are kept known; the link is watched.
// Worker 0 owns it; other workers hand it their packets. A NULL host is fine everywhere: then
// nothing of this happens.
#pragma once

#include <rte_mbuf.h>

#include "dataplane/abi/drop.h"
#include "dataplane/abi/net.h"

struct conf;
struct frame_template;
struct host;
struct peer;
struct port_set;
struct region;
struct worker;

enum {
	HOST_WATCH_MS = 200, // how often the main thread looks at the link
};

// Main thread, ports started, rights still there. Without [dataplane] addresses it only watches the
// link.
// Return: 0; -errno, logged.
int host_create(const struct conf *, const struct port_set *, struct region *, struct host **out);

// The workers must have ended.
void host_destroy(struct host *);

// Main thread; more often than every HOST_WATCH_MS nothing happens: link, groups that the port lets
// in, and what is worth a line.
void host_watch(struct host *);

// A packet that no stage wants; owns the mbuf.
// reason: for which it is dropped, if nobody here wants it either.
void host_take(struct worker *, struct rte_mbuf *, enum drop_reason reason);

// Once a loop, of every worker. Return: how much there was to do.
unsigned int host_step(struct worker *);

// Headers toward a viewer beyond the link go by way of the configured gateway, once that is known.
void host_route_frame(const struct host *, struct frame_template *, const struct net_addr *remote);
void host_route_peer(const struct host *, struct peer *);
