// What the steering program, its loader and its readers share: map names, keys and values.
// Included from BPF code and from user space: the kernel's fixed-width types only, no libc.
#pragma once

#include <linux/types.h>

// Names of program and maps in steer.o. xsks_map's is what DPDK's net_af_xdp looks for. The kernel
// cuts names to 15 characters: all of these fit.
#define STEER_PROG_NAME	   "millrace_steer"
#define STEER_MAP_XSKS	   "xsks_map"
#define STEER_MAP_PORTS	   "steer_ports"
#define STEER_MAP_GROUPS   "steer_groups"
#define STEER_MAP_LIMITS   "steer_limits"
#define STEER_MAP_SOURCES  "steer_sources"
#define STEER_MAP_COUNTERS "steer_counters"

enum {
	STEER_MAX_QUEUES = 16,
	STEER_MAX_SOURCES = 65536,
	STEER_MAX_PORTS = 65536,
	STEER_MAX_GROUPS = 4096,
};

// Value of steer_ports (as a __u32), an array indexed by UDP destination port (host byte order).
enum steer_class {
	STEER_PASS = 0,	  // the kernel's
	STEER_MEDIA = 1,  // STUN, DTLS and SRTCP of viewers: limits apply
	STEER_INGEST = 2, // RTP and RTCP of encoders
	STEER_GROUP = 3,  // the same, to one multicast group: the one that steer_groups names
};

// Key of steer_groups, a hash whose values mean nothing.
struct steer_group {
	__u8 ip[16];   // IPv4: the first four, the rest zero
	__u16 port;    // host byte order
	__u16 version; // 4 or 6
};

// The one value of steer_limits: what each source address (IPv6: each /64) may send to media ports,
// packets a second and burst. 0 in either number of a pair switches that limit off.
struct steer_limits {
	__u32 stun_pps;
	__u32 stun_burst;
	__u32 dtls_pps;
	__u32 dtls_burst;
};

// Index into steer_counters, a per-CPU array of 64-bit counts of packets.
enum steer_counter {
	STEER_CNT_PASSED,	// to the kernel: none of ours
	STEER_CNT_MEDIA,	// to a socket, media port
	STEER_CNT_INGEST,	// to a socket, ingest port
	STEER_CNT_FRAGMENT,	// IP fragment: to the kernel
	STEER_CNT_STUN_LIMITED, // dropped: source over its STUN rate
	STEER_CNT_DTLS_LIMITED, // dropped: source over its DTLS rate
	STEER_CNT_NO_SOCKET,	// ours, but the queue has no socket: to the kernel
	STEER_CNT_MAX,
};
