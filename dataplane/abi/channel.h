// The Unix socket on which the two processes meet. The data plane listens; control connects, says
// hello and is handed the region and the event wake-up. Afterwards the connection carries nothing:
// it is there to tell each side that the other died.
#pragma once

#include <stdbool.h>
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

// What control says first.
struct channel_hello {
	uint32_t abi_version;
	int region_fd; // that it holds from a data plane that left; -1 none. The listener's to
		       // close
};

// Data plane: take the lock beside the socket. Nobody is listened to yet.
// left:   whether one before us left it behind: a control may still hold its region.
// Return: 0 and the descriptor; -EADDRINUSE another data plane is alive; -ENAMETOOLONG; -errno.
int channel_lock(const char *path, int *lock_fd, bool *left);

// Remove a dead socket and listen. The lock must be held.
// gid:    group that may connect besides root; (gid_t)-1: root only.
// Return: 0 and the descriptor; -ENAMETOOLONG; -errno.
int channel_listen(const char *path, uint32_t gid, int *listen_fd);

// Remove the socket, close both; listen_fd may be -1.
// leave_lock: the lock's file stays, for the next data plane to find.
void channel_unlisten(const char *path, int listen_fd, int lock_fd, bool leave_lock);

// Data plane: read the hello of a fresh connection, which must be readable.
// Return: 0; -EPROTO not a hello, -errno. The connection stays the caller's.
int channel_hear(int conn_fd, struct channel_hello *out);

// Data plane: answer it.
// refuse: NULL to hand over the offer; else the reason to tell.
// Return: 0; -EPROTONOSUPPORT another ABI version (told to the peer), -EBUSY refused, -errno.
int channel_answer(int conn_fd, const struct channel_hello *, const struct channel_offer *,
	const char *refuse);

// Control: connect, say hello, wait for the answer (5 s at most).
// region_fd: what it holds of a data plane that left, offered to this one; -1: nothing.
// conn_fd:   stays open while both live.
// reason:    what the data plane said on -EBUSY.
// Return:    0 and what was handed over; -ENOENT or -ECONNREFUSED no data plane, -ETIMEDOUT,
//            -EPROTO, -EPROTONOSUPPORT, -EBUSY, -errno.
int channel_connect(const char *path, int region_fd, int *conn_fd, struct channel_offer *out,
	char reason[CHANNEL_REASON_MAX]);
