// The main thread once the workers run: hand the region to control, notice who leaves, show life,
// watch the link, stop on a signal. No packet passes here.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/abi/channel.h"
#include "dataplane/abi/region.h"

struct host;
struct steering;

struct serve {
	const char *path;
	int listen_fd;
	int lock_fd;
	int signal_fd;
	int wake_fd;
	int control_fd; // -1: no control
	int early_fd;	// a control that spoke before the workers ran; -1 none
	struct channel_hello early;
	bool left; // a control may hold the region of a data plane before, or will hold ours
	struct region *region;
	uint64_t settled_ms;	   // when the region has lasted; 0 it has
	struct steering *steering; // has requests of the workers for the NIC; NULL: none
	struct host *host;	   // borrowed; NULL: none
	atomic_bool *alone;	   // set after consent_ms without a control; NULL: never
	uint32_t consent_ms;
	uint64_t parted_ms; // when there was a control last
};

// Take the socket's lock; block the signals that end us. Nobody is listened to yet.
// Return: 0; -EADDRINUSE another data plane runs, -errno.
int serve_init(struct serve *, const char *path);
void serve_fini(struct serve *);

// Let control connect; it is answered by serve_run.
// gid:    group that may connect besides root; UINT32_MAX: none.
// Return: 0; -errno, logged.
int serve_listen(struct serve *, uint32_t gid);

// The region of a data plane that left, if a control holds it: where there may be one, it is given
// a moment to say so.
// Return: a descriptor, the caller's; -ENOENT.
int serve_await_region(struct serve *);

// Serve until SIGINT or SIGTERM. Return: 0; -errno.
int serve_run(struct serve *, struct region *);
