// The main thread once the workers run: hand the region to control, notice who leaves, stop on a
// signal. No packet passes here.
#pragma once

#include "dataplane/abi/region.h"

struct steering;

struct serve {
	const char *path;
	int listen_fd;
	int lock_fd;
	int signal_fd;
	int wake_fd;
	int control_fd; // -1: no control
	const struct region *region;
	struct steering *steering; // has requests of the workers for the NIC; NULL: none
};

// Take the socket's lock and listen; block the signals that end us.
// gid:    group that may connect besides root; UINT32_MAX: none.
// Return: 0; -EADDRINUSE another data plane runs, -errno.
int serve_init(struct serve *, const char *path, uint32_t gid);
void serve_fini(struct serve *);

// Serve until SIGINT or SIGTERM. Return: 0; -errno.
int serve_run(struct serve *, const struct region *);
