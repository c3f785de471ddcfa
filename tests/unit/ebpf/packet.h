// Ethernet frames for the tests of the steering program, written header by header.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	PACKET_MAX_BYTES = 512,
};

// What a frame shall look like; a field left zero is as an ordinary UDP packet has it.
struct packet_spec {
	const char *name;
	uint16_t tags[3];	// TPIDs, outermost first
	uint16_t ether_type;	// 0: what version says
	uint8_t version;	// 4 or 6; 0: no IP header, only payload
	uint8_t version_nibble; // 0: version
	uint8_t ihl;		// 0: 5, or what the options need
	uint8_t options_bytes;	// IPv4
	uint16_t fragment;	// IPv4: flags and offset
	uint8_t protocol;	// 0: UDP
	bool extended;		// IPv6: an extension header of 8 bytes stands before the protocol
	uint8_t extension;	// its number
	uint8_t source[16];	// network order, the first 4 bytes for IPv4
	uint8_t to[16];		// 0: an address of ours
	uint16_t port;		// destination
	uint8_t first_byte;	// of the payload
	uint8_t payload_bytes;
	uint8_t padding_bytes; // zeros behind the datagram
};

struct packet {
	uint8_t bytes[PACKET_MAX_BYTES];
	uint32_t n_bytes;
	uint32_t payload_at;
};

void packet_build(const struct packet_spec *, struct packet *out);
