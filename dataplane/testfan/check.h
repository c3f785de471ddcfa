// Are the packets right? A transmit callback takes copies of what every Nth viewer is sent; the
// main thread opens them with libsrtp2 and compares them, header by header and byte by byte, with
// what the source must have made.
// Threads: a worker fills its ring of copies, and skips where that is full; the main thread reads.
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "dataplane/testfan/drive.h"

struct edge;
struct check;
struct nack;

#define CHECK_REASONS(X)                                                      \
	X(OPEN, "not_opened") /* tag or index: libsrtp2 refused */            \
	X(ETHERNET, "ethernet")                                               \
	X(IP, "ip")                                                           \
	X(IP_CHECKSUM, "ip_checksum")                                         \
	X(UDP, "udp")                                                         \
	X(UDP_CHECKSUM, "udp_checksum")                                       \
	X(RTP, "rtp_header")	     /* all but number and timestamp */       \
	X(NUMBER, "sequence_number") /* does not go on from the one before */ \
	X(TIMESTAMP, "timestamp")                                             \
	X(LENGTH, "length")                                                   \
	X(PAYLOAD, "payload")                                                 \
	X(UNASKED, "not_asked_for") /* a resend that nobody asked for */

enum check_reason {
#define X(name, text) CHECK_##name,
	CHECK_REASONS(X)
#undef X
		CHECK_COUNT,
};

struct check_result {
	uint64_t checked;
	uint64_t failed;
	uint64_t by_reason[CHECK_COUNT];
	uint64_t resent;    // of the checked ones, those that were asked for again
	uint64_t skipped;   // that there was no room for
	uint64_t viewers;   // that at least one checked packet was for
	uint64_t offloaded; // packets whose checksums are the port's to fill in
};

const char *check_reason_name(unsigned int reason);

// Main thread, no worker running.
// nack:   knows what was asked for again; NULL: nothing is.
// Return: 0; -ENOMEM, -ENOTSUP.
int check_create(
	const struct edge *, const struct drive *, const struct nack *nack, struct check **out);

// The workers must have ended; before the engines go. NULL is fine.
void check_destroy(struct check *);

// Judge what waits, for some milliseconds at most.
// Return: whether there is more.
bool check_poll(struct check *);

// Whether each sampled viewer had a packet judged.
bool check_reached_all(const struct check *);

void check_read(const struct check *, struct check_result *out);
