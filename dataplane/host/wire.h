// Ethernet, ARP, ICMP and neighbour discovery as bytes: what is read and written of them, by offset
// from the start of each header, and how their checksums are made.
// Source: RFC 826; RFC 791; RFC 792; RFC 8200; RFC 4443; RFC 4861.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
	ETH_BYTES = 14,
	ETH_TAG_BYTES = 4,
	ETH_MIN_BYTES = 60, // without FCS; not every card fills up
	ETH_TYPE_IPV4 = 0x0800,
	ETH_TYPE_ARP = 0x0806,
	ETH_TYPE_VLAN = 0x8100,
	ETH_TYPE_IPV6 = 0x86dd,

	ARP_BYTES = 28,
	ARP_OP = 6,
	ARP_SHA = 8,
	ARP_SPA = 14,
	ARP_THA = 18,
	ARP_TPA = 24,
	ARP_REQUEST = 1,
	ARP_REPLY = 2,

	IP4_BYTES = 20,
	IP4_TOTAL = 2,
	IP4_FRAGMENT = 6,
	IP4_TTL = 8,
	IP4_PROTO = 9,
	IP4_SUM = 10,
	IP4_SRC = 12,
	IP4_DST = 16,

	IP6_BYTES = 40,
	IP6_LENGTH = 4,
	IP6_NEXT = 6,
	IP6_HOPS = 7,
	IP6_SRC = 8,
	IP6_DST = 24,

	PROTO_ICMP = 1,
	PROTO_ICMP6 = 58,
	ICMP_SUM = 2,
	ICMP_ECHO_BYTES = 8,
	ICMP_ECHO_REPLY = 0,
	ICMP_ECHO = 8,
	ICMP6_ECHO = 128,
	ICMP6_ECHO_REPLY = 129,

	ND_RS = 133,
	ND_RA = 134,
	ND_NS = 135,
	ND_NA = 136,
	ND_RS_BYTES = 8,
	ND_RA_BYTES = 16,
	ND_NS_BYTES = 24, // and an NA's
	ND_FLAGS = 4,
	ND_TARGET = 8,
	ND_RA_LIFETIME = 6,
	ND_FLAG_SOLICITED = 0x40,
	ND_FLAG_OVERRIDE = 0x20,
	ND_OPT_SOURCE_LL = 1,
	ND_OPT_TARGET_LL = 2,
	ND_OPT_LL_BYTES = 8,

	HOP_LIMIT_ND = 255, // no router forwarded it
	HOP_LIMIT_SENT = 64,
};

static inline uint16_t wire_get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static inline void wire_put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static inline bool wire_is_group_mac(const uint8_t mac[6])
{
	return mac[0] & 1;
}

static inline bool wire_is_zero(const uint8_t *at, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		if (at[i])
			return false;
	return true;
}

// Sum of 16-bit words in network order, the last byte filled up; bytes at most 65535.
static inline uint32_t wire_sum(const uint8_t *at, uint32_t bytes, uint32_t sum)
{
	for (; bytes > 1; at += 2, bytes -= 2)
		sum += wire_get16(at);
	return bytes ? sum + (uint32_t)(at[0] << 8) : sum;
}

// The checksum that makes such a sum whole; 0 where it is in it already and right (RFC 1071).
static inline uint16_t wire_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

// Sum of the pseudo header of what follows an IPv6 header without extensions (RFC 8200 8.1).
static inline uint32_t wire_pseudo6(const uint8_t *ip, uint32_t payload_bytes)
{
	return wire_sum(ip + IP6_SRC, 32, payload_bytes + PROTO_ICMP6);
}
