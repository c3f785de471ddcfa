// What the far end's counting program and its reader share: map names, keys and values.
// Included from BPF code and from user space: the kernel's fixed-width types only, no libc.
#pragma once

#include <linux/types.h>

#define COUNT_PROG_NAME "load_count"
#define COUNT_MAP_CONF	"count_conf"
#define COUNT_MAP_PORTS "count_ports"

enum {
	COUNT_PORTS = 65536,
};

enum count_kind {
	COUNT_VIDEO,
	COUNT_AUDIO,
	COUNT_OTHER_RTP, // neither payload type
	COUNT_RTCP,
	COUNT_KINDS,
};

// The one value of count_conf. Written before the program is attached.
struct count_conf {
	__u64 every_ns; // the first open_ns of so many, RTP goes on to the sockets; 0: never
	__u64 open_ns;
	__u16 media_port;      // source port of what is counted, host byte order
	__u8 payload_types[2]; // COUNT_VIDEO, COUNT_AUDIO
	__u32 zero;
};

// Value of count_ports, a per-CPU array indexed by UDP destination port (host byte order): one
// viewer's.
struct count_port {
	__u64 packets[COUNT_KINDS];
	__u64 bytes;  // of RTP, UDP payload
	__u64 passed; // RTP that went on to the socket
};
