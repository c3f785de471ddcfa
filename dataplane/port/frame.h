// Ethernet, VLAN, IP and UDP around a payload: take a received frame apart, and stamp prebuilt
// headers onto what leaves. Used by the workers.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "dataplane/abi/drop.h"
#include "dataplane/abi/net.h"

enum {
	FRAME_HDR_MAX_BYTES = 14 + 4 + 40 + 8, // Ethernet, one VLAN tag, IPv6, UDP
	FRAME_ROOM_BYTES = 128,		       // headroom that our pools leave before a payload
};

// A received UDP packet.
struct frame {
	struct net_path path; // as seen from us: remote sent it, local is where it went
	uint16_t payload_off; // from the start of the mbuf's data
	uint16_t payload_bytes;
};

// Take apart one received packet of one segment.
// port_id: becomes path.port_id.
// Return:  0; else drop_as_error() of the reason.
int frame_parse(const struct rte_mbuf *, uint8_t port_id, struct frame *out);

// Headers for one path, complete but for lengths and checksums.
struct frame_template {
	uint8_t hdr[FRAME_HDR_MAX_BYTES];
	uint8_t hdr_bytes;
	uint8_t l2_bytes;
	uint8_t v6;
	uint8_t offload;     // the port computes the checksums
	uint32_t ip_sum;     // IPv4: partial sum of the header without total length
	uint32_t pseudo_sum; // partial sum of addresses, protocol and ports, without lengths
};

// dscp:    0 to 63.
// Return:  0; -EINVAL a path with no or with mixed address families.
int frame_template_make(
	struct frame_template *, const struct net_path *path, uint8_t dscp, bool offload);

// Stamp the headers in front of a payload that already stands in the mbuf.
// m: data points at the payload, one segment, with hdr_bytes of headroom.
void frame_stamp(const struct frame_template *, struct rte_mbuf *m);
