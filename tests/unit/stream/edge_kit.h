// What the stream tests share: a data plane of the test's own. The region is a real one; a few
// workers obey as the real ones do, when they are told to run. Steering map and sessions are fakes.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/link/link.h"
#include "control/stream/stream.h"
#include "dataplane/abi/conf.h"

enum {
	EDGE_WORKERS = 2,
	EDGE_STREAMS = 4,
};

// first_port 20000, last_port 20009: five legs; media port 8189.
struct conf edge_conf(void);

// n_streams: slots. Steered: link_steer is not NULL.
struct link *edge_create(uint16_t n_streams, bool steered);

// What is under way is answered -ECONNRESET; the region goes. NULL is fine.
void edge_destroy(struct link *);

// Another link to the same region: what is under way on the old one is answered -ECONNRESET.
void edge_reconnect(struct link *);

// The workers obey everything that is under way, and what that leads to.
void edge_run(struct link *);

// The next n commands of this kind are answered by the last worker with status, and not obeyed by
// it.
void edge_refuse(struct link *, enum ring_command_kind, int status, unsigned int n);

// The next n commands cannot be sent.
void edge_block(struct link *, unsigned int n);

// Setting a port of the map fails from the n-th on (1: the next); 0: no more.
void edge_break_steer(struct link *, unsigned int n);

// Return: commands sent so far, refused ones not counted.
unsigned int edge_commands(const struct link *);

// Whose a port is, in the steering map.
int edge_steer(const struct link *, uint16_t port);
// Whether it takes what goes to a group; and how many group entries it has.
bool edge_takes(const struct link *, const char *ip, uint16_t port);
unsigned int edge_groups(const struct link *);
// How many ports are steered to us.
unsigned int edge_steered(const struct link *);

// Whether every worker knows the port as this stream's.
bool edge_serves(const struct link *, uint16_t port, const struct stream *);
// How many slots are in use: by the region, and by the workers together.
unsigned int edge_slots(const struct link *);
unsigned int edge_worker_slots(const struct link *);

// A viewer on worker 0 keeps a stream from being removed there.
void edge_viewers(struct link *, uint16_t slot, unsigned int n);
