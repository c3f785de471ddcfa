// The DPDK side of the machine: start the EAL from the configuration, make the memory pools, start
// the ports, and take all of it down again. Main thread only.
// With AF_XDP each queue of the interface becomes a DPDK port of one queue (the driver allows no
// more on a veth); any other device is one port with a queue a worker. Workers see only the pairs.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_mempool.h>

#include "dataplane/abi/conf.h"
#include "dataplane/abi/region.h"
#include "dataplane/port/frame.h"

enum {
	PORT_MAX_QUEUES = 16, // receive queues a worker may own
	PORT_BURST = 32,
	PORT_RX_DESCS = 2048,
	PORT_TX_DESCS = 2048,
	PORT_POOL_MBUFS = 16383,
};

struct port_queue {
	uint16_t port_id;
	uint16_t queue;
};

// What one worker owns.
struct port_share {
	struct port_queue rx[PORT_MAX_QUEUES];
	uint16_t n_rx;
	struct port_queue tx;
	struct rte_mempool *pool;
};

// All ports together.
struct port_set {
	struct port_share workers[REGION_MAX_WORKERS];
	uint16_t n_workers;
	uint16_t ports[PORT_MAX_QUEUES];
	uint16_t n_ports;
	enum frame_checksum checksum; // of what is sent
	char interface[64];	      // AF_XDP: where the program is attached; ""
	uint16_t mtu;		      // to give the ports; 0: theirs
	uint8_t mac[6];		      // to give them; all zero: theirs
	bool eal_started;
	int claim_fd; // AF_XDP: says that we serve the interface
};

// Start EAL and ports; each failure is logged with its remedy.
// gid:        group that may open the pinned maps besides root; UINT32_MAX: none.
// priv_bytes: room for private data in each mbuf.
// Return:     0; -errno. port_set_stop is right after a failure too.
int port_set_start(const struct conf *, uint32_t gid, uint16_t priv_bytes, struct port_set *out);

// The part of it that follows the EAL's start, for programs with EAL arguments of their own: make
// the pools, configure and start the ports that the EAL found.
// set:    zero but for claim_fd (-1), eal_started, mtu and mac.
// ifname: the interface that our steering program serves; "" any other device.
// sums:   as configured; offload is refused where a port cannot.
// Return: 0; -errno, logged. port_set_stop is right after a failure too.
int port_set_open(struct port_set *, const char *ifname, uint16_t n_workers, uint16_t priv_bytes,
	enum conf_checksum sums);

// The lcore of a worker: the main one takes none, the others do in their order.
// Return: the lcore; RTE_MAX_LCORE no more are there.
unsigned int port_worker_lcore(uint16_t worker);

// Stop ports, detach and unpublish the program, clean the EAL up. The workers must have ended.
void port_set_stop(struct port_set *);

// Give up every right that is needed only to start; those to detach the program stay permitted,
// for port_set_stop, if they were there. Call in each worker's thread.
// Return: 0; -errno.
int port_drop_rights(void);

// The same for the main thread and for the thread that the EAL started beside it.
int port_drop_main_rights(void);
