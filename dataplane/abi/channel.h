// The Unix socket on which the two processes meet. The data plane listens; control connects, says
// hello and is handed the region and the event wake-up. Afterwards the connection carries nothing:
// it is there to tell each side that the other died.
#pragma once

#include <stdint.h>

#define CHANNEL_MAGIC 0x6d726368U // "mrch"

enum {
	CHANNEL_REASON_MAX = 120,
};

// What the data plane hands over.
struct channel_offer {
	int region_fd;
	int wake_fd; // eventfd: written by workers when control waits for events or punted packets
};

// Take a lock beside the socket, remove a dead one and listen.
// gid:    group that may connect besides root; (gid_t)-1: root only.
// Return: 0 and both descriptors; -EADDRINUSE another data plane is alive; -ENAMETOOLONG; -errno.
int channel_listen(const char *path, uint32_t gid, int *listen_fd, int *lock_fd);

// Remove socket and lock file, close both.
void channel_unlisten(const char *path, int listen_fd, int lock_fd);

// Data plane: read the hello of a fresh connection (which must be readable) and answer it.
// refuse: NULL to hand over the offer; else the reason to tell.
// Return: 0; -EPROTO not a hello, -EPROTONOSUPPORT another ABI version (told to the peer), -EBUSY
//         refused, -errno. The connection stays the caller's.
int channel_answer(int conn_fd, const struct channel_offer *, const char *refuse);

// Control: connect, say hello, wait for the answer (5 s at most).
// conn_fd: stays open while both live.
// reason:  what the data plane said on -EBUSY.
// Return:  0 and what was handed over; -ENOENT or -ECONNREFUSED no data plane, -ETIMEDOUT,
//          -EPROTO, -EPROTONOSUPPORT, -EBUSY, -errno.
int channel_connect(
	const char *path, int *conn_fd, struct channel_offer *out, char reason[CHANNEL_REASON_MAX]);
