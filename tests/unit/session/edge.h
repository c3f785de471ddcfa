// A data plane without packets: a real region behind a real socket, whose workers are the test.
// It takes commands, answers them as the test says, hands on what control sends and puts in what
// viewers send. No thread but for the moment of connecting; knows nothing of cmocka, so that
// fuzzers can use it too.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/link/link.h"
#include "dataplane/abi/region.h"

enum {
	EDGE_LOG_COMMANDS = 4096,
	EDGE_KINDS = RING_DRAIN + 1,
};

enum edge_manner {
	EDGE_ACCEPT, // answered 0 at once
	EDGE_REFUSE, // answered with status
	EDGE_HOLD,   // answered by edge_release
	EDGE_SILENT, // taken and never answered
	EDGE_ASLEEP, // the ring is left as it is, from the first such command on
};

struct edge_command {
	struct ring_command command;
	uint16_t worker;
	bool held;
};

struct edge {
	struct region region;
	char dir[32];
	char socket[64];
	int listen_fd, lock_fd, conn_fd, wake_fd;
	int offered_fd; // the region that the newest control held; -1 none
	enum edge_manner manners[EDGE_KINDS];
	int status; // of refusals

	// What came, oldest first.
	struct edge_command commands[EDGE_LOG_COMMANDS];
	unsigned int n_commands;
	unsigned int n_of[EDGE_KINDS];

	// Each packet that control sends. May be NULL.
	void (*sent)(void *ctx, const struct ring_packet *);
	void *ctx;
};

// Return: 0; -errno.
int edge_create(const struct region_sizes *, struct edge *out);
void edge_destroy(struct edge *);

// A data plane that starts anew, with an empty region; the link must be closed.
// Return: 0; -errno.
int edge_renew(struct edge *);

// A data plane that starts anew and takes the region up; the link must be lost.
// Return: 0; -errno.
int edge_take_up(struct edge *);

// Open a link to it, as control does; lost may be NULL.
// Return: what link_open says; -ETIMEDOUT nobody came.
int edge_link(
	struct edge *, const struct link_handlers *, const struct link *lost, struct link **out);

// Wait for a control and hand it the region, as edge_link has it done in a thread.
// Return: 0; -ETIMEDOUT nobody came; -errno.
int edge_accept(struct edge *);

// Take what is in the rings.
// Return: whether there was something.
bool edge_step(struct edge *);

// Forget the log; what is held stays in it.
void edge_forget(struct edge *);

// Return: the newest command of a kind; NULL none since edge_forget.
const struct edge_command *edge_last(const struct edge *, enum ring_command_kind);

// Answer all that is held.
void edge_release(struct edge *, int status);

// Put an event, or a packet of a viewer, into a worker's ring.
// Return: 0; -ENOBUFS.
int edge_event(struct edge *, uint16_t worker, const struct ring_event *);
int edge_punt(
	struct edge *, uint16_t worker, const struct net_path *, const void *pkt, size_t pkt_bytes);
