// What the lossy last mile's program and its reader share: map names, keys and values.
// Included from BPF code and from user space: the kernel's fixed-width types only, no libc.
#pragma once

#include <linux/types.h>

#define LOSE_PROG_NAME "last_mile"
#define LOSE_MAP_CONF  "lose_conf"
#define LOSE_MAP_COUNT "lose_count"

enum lose_kind {
	LOSE_RTP,
	LOSE_RTCP,
	LOSE_OTHER, // STUN, DTLS
	LOSE_KINDS,
};

// The one value of lose_conf. User space: rw, at any time.
struct lose_conf {
	__u64 burst_until_ns;	// CLOCK_MONOTONIC; until then everything is lost
	__u32 permille;		// of packets, each by itself
	__u16 media_port;	// they come from, host byte order
	__u8 spare[LOSE_KINDS]; // kinds that are never lost
	__u8 zero[7];
};

// Value of lose_count, per CPU.
struct lose_count {
	__u64 seen[LOSE_KINDS];
	__u64 lost[LOSE_KINDS];	 // by chance
	__u64 burst[LOSE_KINDS]; // in a burst
};
