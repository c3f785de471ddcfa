// Addresses and paths, as both processes and the rings carry them.
#pragma once

#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum net_family {
	NET_NONE = 0,
	NET_IPV4 = 4,
	NET_IPV6 = 6,
};

// One UDP endpoint. An IPv4 address stands in ip[0..3], the rest zero. A v4-mapped IPv6 address is
// never kept as such: whoever fills this writes it as IPv4.
struct net_addr {
	uint8_t ip[16]; // network byte order
	uint16_t port_be;
	uint8_t family; // enum net_family
	uint8_t zero;
};

// How a packet came from a peer, and so how one goes back to it.
struct net_path {
	struct net_addr local;	// our address and port, the ones the peer wrote to
	struct net_addr remote; // the peer's
	uint8_t local_mac[6];
	uint8_t remote_mac[6]; // next hop: the peer's own or its router's
	uint16_t vlan_tci;     // host byte order; with has_vlan only
	uint8_t has_vlan;
	uint8_t port_id; // data plane port
};

static inline bool net_addr_equal(const struct net_addr *a, const struct net_addr *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static inline bool net_ip_equal(const struct net_addr *a, const struct net_addr *b)
{
	return a->family == b->family && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

static inline bool net_ip_is_multicast(const struct net_addr *a)
{
	return a->family == NET_IPV6 ? a->ip[0] == 0xff
				     : a->family == NET_IPV4 && (a->ip[0] & 0xf0) == 0xe0;
}

// Whether it is this host's own: 127.0.0.0/8 or ::1.
static inline bool net_ip_is_loopback(const struct net_addr *a)
{
	static const uint8_t one[16] = { [15] = 1 };

	if (a->family == NET_IPV4)
		return a->ip[0] == 127;
	return a->family == NET_IPV6 && memcmp(a->ip, one, sizeof(one)) == 0;
}

enum {
	NET_ADDR_TEXT_BYTES = INET6_ADDRSTRLEN + 8,
};

// "198.18.77.2:5000" or "[fd77::2]:5000"; "?" for no address.
// Return: buf.
static inline const char *net_addr_text(const struct net_addr *a, char buf[NET_ADDR_TEXT_BYTES])
{
	char ip[INET6_ADDRSTRLEN] = "?";
	bool v6 = a->family == NET_IPV6;

	if (a->family == NET_NONE)
		return strcpy(buf, "?");
	inet_ntop(v6 ? AF_INET6 : AF_INET, a->ip, ip, sizeof(ip));
	snprintf(buf, NET_ADDR_TEXT_BYTES, v6 ? "[%s]:%u" : "%s:%u", ip, ntohs(a->port_be));
	return buf;
}

// Parse a bare IPv4 or IPv6 address; the port becomes 0. A v4-mapped one becomes IPv4.
// Return: 0; -EINVAL not an address.
int net_ip_parse(const char *text, struct net_addr *out);
