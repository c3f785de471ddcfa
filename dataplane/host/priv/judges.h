// The judges of one protocol each.
#pragma once

#include "dataplane/host/judge.h"

// A frame past its Ethernet header.
struct host_frame {
	const struct host_addresses *us;
	uint8_t *eth;
	uint8_t *l3;
	uint32_t l3_bytes; // that are there
	uint8_t l2_bytes;
	bool to_all; // sent to a group's MAC
};

// Each sets out->verdict; kind, bytes and the rest where it says so. *out is zero before.
void host_judge_arp(const struct host_frame *, struct host_judgement *out);
void host_judge_ipv4(const struct host_frame *, struct host_judgement *out);
void host_judge_ipv6(const struct host_frame *, struct host_judgement *out);

// nd.c: an ICMPv6 message of neighbour discovery, its checksum right.
void host_judge_nd(
	const struct host_frame *, uint8_t *icmp, uint32_t icmp_bytes, struct host_judgement *out);

// Send the frame back, from our MAC, l3_bytes long behind the Ethernet header.
void host_turn(const struct host_frame *, const uint8_t to[6], uint32_t l3_bytes,
	struct host_judgement *out);
