// RTP headers as they come from an encoder.
// Source: RFC 3550 5.1, 5.3.1, A.1; RFC 5761 4 (RTP and RTCP on one port).
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	RTP_HEADER_BYTES = 12,
	RTP_RTCP_PT_FIRST = 192, // second byte of RTCP on a shared port
	RTP_RTCP_PT_LAST = 223,
};

struct rtp_packet {
	uint32_t ssrc;
	uint32_t timestamp;
	uint16_t seq;
	uint16_t payload_off;	// from the start of the RTP header
	uint16_t payload_bytes; // without padding
	uint8_t payload_type;
	bool marker;
};

// Return: 0; -EBADMSG version, CSRC count, extension or padding do not add up; -EMSGSIZE shorter
//         than a header, or no payload in it.
int rtp_parse(const uint8_t *pkt, uint16_t pkt_bytes, struct rtp_packet *out);

static inline bool rtp_is_rtcp(uint8_t second_byte)
{
	return second_byte >= RTP_RTCP_PT_FIRST && second_byte <= RTP_RTCP_PT_LAST;
}
