// What the workers wish the NIC to steer, on its way to the main thread: a driver's rules are too
// slow a thing for a worker to wait for. A slot stands in the queue once at most, so the queue
// cannot overflow, and the newest wish of a slot is the one that counts.
#pragma once

#include <stdint.h>

struct edge;
struct peer;
struct steering;
struct worker;

// Ask the NIC. Main thread, ports started, edge's conf, ports and region set.
// out:    NULL when it cannot, or shall not: that is no error.
// Return: 0; -ENOMEM.
int steering_create(const struct edge *, struct steering **out);

// Takes the rules out of the NIC. Main thread, workers ended. NULL is fine.
void steering_destroy(struct steering *);

// A viewer's packets are to come to this worker's own queue; none of a slot any more. The worker
// that owns the slot; wait-free.
void steering_want(struct worker *, const struct peer *);
void steering_drop(struct worker *, uint16_t slot);

// Do what is wished, a few at most. Main thread.
// Return: how many there were.
unsigned int steering_poll(struct steering *);
