// RTCP: walk what comes, build what goes. Plain packets; sealing is srtp's.
// Source: RFC 3550 6; RFC 4585 6; RFC 5104 4.3.1; checklist F15 to F26.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	RTCP_SR = 200,
	RTCP_RR = 201,
	RTCP_SDES = 202,
	RTCP_BYE = 203,
	RTCP_APP = 204,
	RTCP_RTPFB = 205,
	RTCP_PSFB = 206,
	RTCP_HEADER_BYTES = 4,
	RTCP_FORMAT_PLI = 1, // of payload-specific feedback
	RTCP_FORMAT_FIR = 4,
	RTCP_MAX_BYTES = 160, // of a compound packet that we build
};

// One report block (6.4.1).
struct rtcp_report {
	uint32_t ssrc; // whom it is about
	uint8_t fraction_lost;
	int32_t lost; // 24 bits, signed
	uint32_t highest_seq;
	uint32_t jitter;
	uint32_t lsr;
	uint32_t dlsr;
};

// One packet of a compound, inside the caller's bytes.
struct rtcp_packet {
	uint8_t type;
	uint8_t count;	     // report count, or feedback format
	const uint8_t *body; // behind the common header
	uint16_t body_bytes; // without padding
};

// Walks a compound.
struct rtcp_walk {
	const uint8_t *at;
	uint16_t left;
};

// Check a whole compound first, so that the walk cannot fail half way: versions, lengths, padding
// only in the last (A.2).
// Return: 0 and the walk; -EBADMSG.
int rtcp_walk_begin(struct rtcp_walk *, const uint8_t *pkt, uint16_t pkt_bytes);

// Return: true and the next packet; false at the end.
bool rtcp_walk_next(struct rtcp_walk *, struct rtcp_packet *out);

// The i-th report block of an SR or RR.
// Return: false when it is not there.
bool rtcp_report_get(const struct rtcp_packet *, unsigned int i, struct rtcp_report *out);

// The sender's part of an SR.
// ntp: 32.32 fixed point, host byte order.
bool rtcp_sender_get(const struct rtcp_packet *, uint32_t *ssrc, uint64_t *ntp, uint32_t *ts);

// One entry of a generic NACK (RFC 4585 6.2.1): pid, and pid + i + 1 for each bit i of blp.
struct rtcp_nack {
	uint32_t ssrc; // whose packets
	uint16_t pid;
	uint16_t blp;
};

// The i-th entry of a NACK.
// Return: false when it is not there.
bool rtcp_nack_get(const struct rtcp_packet *, unsigned int i, struct rtcp_nack *out);

// One entry of a full intra request (RFC 5104 4.3.1).
struct rtcp_fir {
	uint32_t ssrc; // whose key frame it is about
	uint8_t seq;
};

// Who sent a packet that passed rtcp_walk_begin: the SSRC in its first part.
uint32_t rtcp_sender_ssrc(const uint8_t *pkt);

// The SSRCs that feedback begins with (RFC 4585 6.1).
// Return: false when it is too short.
bool rtcp_feedback_get(const struct rtcp_packet *, uint32_t *sender, uint32_t *media);

// The i-th entry of a full intra request.
// Return: false when it is not there.
bool rtcp_fir_get(const struct rtcp_packet *, unsigned int i, struct rtcp_fir *out);

// What a sender report says (6.4.1).
struct rtcp_sender {
	uint32_t ssrc;
	uint64_t ntp;
	uint32_t ts;
	uint32_t packets;
	uint32_t octets;
	const char *cname;
};

// Build SR + SDES(CNAME). out: RTCP_MAX_BYTES. Return: bytes.
uint16_t rtcp_build_report(uint8_t *out, const struct rtcp_sender *);

// Build RR + SDES(CNAME) + PLI: ask a source for a key frame (RFC 4585 6.3.1). Return: bytes.
uint16_t rtcp_build_pli(uint8_t *out, uint32_t ssrc, const char *cname, uint32_t media_ssrc);

// Build SR + SDES(CNAME) + BYE: the end of one source (6.6). Return: bytes.
uint16_t rtcp_build_bye(uint8_t *out, const struct rtcp_sender *);
