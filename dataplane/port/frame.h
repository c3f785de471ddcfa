// Ethernet, VLAN, IP and UDP around a payload: take a received frame apart, and stamp prebuilt
// headers onto what leaves. Used by the workers.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_byteorder.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_udp.h>

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

// Who makes the checksums of what leaves.
enum frame_checksum {
	FRAME_CHECKSUM_SOFTWARE,
	FRAME_CHECKSUM_OFFLOAD, // the port
	FRAME_CHECKSUM_ZERO,	// UDP over IPv4 goes without (RFC 768); over IPv6 in software
};

// What finishing prebuilt headers takes beside their bytes; of each packet, so it is small. Sums
// are partial, of memory order.
struct frame_form {
	uint16_t ip_sum;      // IPv4: of the header without total length
	uint16_t pseudo_sum;  // of addresses, protocol and ports, without lengths
	uint16_t address_sum; // of these without ports
	uint8_t ip_more;      // what the IP header's length counts beside UDP's payload
	uint8_t ip_length_at; // from the frame's beginning, as all places
	uint8_t ip_sum_at;    // IPv6, which has none: that of the length
	uint8_t l2_bytes;
	uint8_t hdr_bytes; // up to and with UDP
	uint8_t v6;
	uint8_t checksum; // enum frame_checksum
};

// Headers for one path, complete but for lengths and checksums.
struct frame_template {
	uint8_t hdr[FRAME_HDR_MAX_BYTES];
	struct frame_form form;
};

// dscp:    0 to 63.
// Return:  0; -EINVAL a path with no or with mixed address families.
int frame_template_make(
	struct frame_template *, const struct net_path *path, uint8_t dscp, enum frame_checksum);

// Stamp the headers in front of a payload that already stands in the mbuf.
// m: data points at the payload, one segment, with hdr_bytes of headroom.
void frame_stamp(const struct frame_template *, struct rte_mbuf *m);

// Internet checksum's sum over any bytes, as 16-bit words of memory order, folded to 16 bits.
uint16_t frame_sum(const void *data, size_t bytes);

// With FRAME_CHECKSUM_SOFTWARE, once the payload is final.
// frame: the headers, the payload behind them.
void frame_put_sum(const struct frame_form *, uint8_t *frame, uint16_t payload_bytes);

static inline uint16_t frame_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

// What the port is told of a frame: what to do, and where the headers are.
static inline uint64_t frame_ol_flags(const struct frame_form *form)
{
	if (form->checksum != FRAME_CHECKSUM_OFFLOAD)
		return 0;
	return RTE_MBUF_F_TX_UDP_CKSUM | (form->v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4);
}

static inline uint64_t frame_tx_offload(const struct frame_form *form)
{
	return rte_mbuf_tx_offload(form->l2_bytes,
		form->v6 ? sizeof(struct rte_ipv6_hdr) : sizeof(struct rte_ipv4_hdr), 0, 0, 0, 0,
		0);
}

// What depends on the payload's size, as it stands in the headers; network byte order.
struct frame_sizes {
	uint16_t ip_length;
	uint16_t ip_sum;
	uint16_t udp_length;
	uint16_t udp_sum; // behind it; as far as it can be known before the payload is
};

static_assert(offsetof(struct rte_udp_hdr, dgram_cksum) ==
			      offsetof(struct rte_udp_hdr, dgram_len) + sizeof(uint16_t) &&
		      offsetof(struct frame_sizes, udp_sum) ==
			      offsetof(struct frame_sizes, udp_length) + sizeof(uint16_t),
	"stored as one");

static inline struct frame_sizes frame_sizes_make(
	const struct frame_form *form, uint16_t payload_bytes)
{
	struct frame_sizes out = {
		.ip_length = rte_cpu_to_be_16((uint16_t)(payload_bytes + form->ip_more)),
		.udp_length = rte_cpu_to_be_16(
			(uint16_t)(payload_bytes + sizeof(struct rte_udp_hdr))),
	};

	out.ip_sum = form->v6 ? out.ip_length
			      : (uint16_t)~frame_fold((uint32_t)form->ip_sum + out.ip_length);
	if (form->checksum == FRAME_CHECKSUM_OFFLOAD)
		out.udp_sum = frame_fold((uint32_t)form->address_sum + out.udp_length);
	return out;
}

// frame: a copy of the prebuilt headers.
static inline void frame_put_sizes(
	const struct frame_form *form, uint8_t *frame, const struct frame_sizes *sizes)
{
	memcpy(frame + form->ip_length_at, &sizes->ip_length, sizeof(sizes->ip_length));
	memcpy(frame + form->ip_sum_at, &sizes->ip_sum, sizeof(sizes->ip_sum));
	memcpy(frame + form->hdr_bytes - 4, &sizes->udp_length, 4); // and the sum
}
