// All workers of a process together: make them, let them run, end them. Main thread only.
#pragma once

struct conf;
struct edge;
struct port_set;
struct region;

// Make the workers and what they share. Everything passed in is borrowed until edge_fini.
// ports:   started; decides how many workers there are.
// wake_fd: eventfd that tells control of events and punted packets.
// Return:  0; -ENOMEM, -ENOTSUP no engine, logged. edge_fini is right after a failure too.
int edge_init(
	struct edge *, const struct conf *, struct region *, struct port_set *ports, int wake_fd);

// A zeroed struct is fine; the workers must have ended.
void edge_fini(struct edge *);

// Start every worker on its lcore, as port_worker_lcore has it.
// Return: 0 all run; -errno of the first that does not start. edge_halt is right after both.
int edge_launch(struct edge *);

// Tell all workers to end, and wait until they have.
void edge_halt(struct edge *);
