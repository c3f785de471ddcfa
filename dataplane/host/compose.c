#include "dataplane/host/compose.h"

#include "dataplane/host/wire.h"

static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

// Return: the place behind the Ethernet header.
static uint8_t *put_ethernet(
	const struct host_addresses *us, const uint8_t to[6], uint16_t type, uint8_t *frame)
{
	memset(frame, 0, HOST_FRAME_MAX_BYTES);
	memcpy(frame, to, 6);
	memcpy(frame + 6, us->mac, 6);
	frame += 12;
	if (us->vlan) {
		wire_put16(frame, ETH_TYPE_VLAN);
		wire_put16(frame + 2, us->vlan);
		frame += ETH_TAG_BYTES;
	}
	wire_put16(frame, type);
	return frame + 2;
}

static uint16_t frame_bytes(const uint8_t *frame, const uint8_t *end)
{
	return (uint16_t)(end - frame < ETH_MIN_BYTES ? ETH_MIN_BYTES : end - frame);
}

// from: NULL for a probe, which has no sender.
static uint16_t compose_arp(const struct host_addresses *us, const struct host_address *from,
	const uint8_t target[4], const uint8_t to[6], uint8_t *frame)
{
	static const uint8_t request[8] = { 0, 1, 8, 0, 6, 4, 0, ARP_REQUEST };
	uint8_t *arp = put_ethernet(us, to, ETH_TYPE_ARP, frame);

	memcpy(arp, request, sizeof(request));
	memcpy(arp + ARP_SHA, us->mac, 6);
	if (from)
		memcpy(arp + ARP_SPA, from->ip.ip, 4);
	memcpy(arp + ARP_TPA, target, 4);
	return frame_bytes(frame, arp + ARP_BYTES);
}

// The message's type, flags and target stand already.
static uint16_t finish_nd(uint8_t *frame, uint8_t *ip, const uint8_t src[16], const uint8_t dst[16],
	uint32_t icmp_bytes)
{
	uint8_t *icmp = ip + IP6_BYTES;

	ip[0] = 0x60;
	wire_put16(ip + IP6_LENGTH, (uint16_t)icmp_bytes);
	ip[IP6_NEXT] = PROTO_ICMP6;
	ip[IP6_HOPS] = HOP_LIMIT_ND;
	memcpy(ip + IP6_SRC, src, 16);
	memcpy(ip + IP6_DST, dst, 16);
	wire_put16(icmp + ICMP_SUM,
		wire_fold(wire_sum(icmp, icmp_bytes, wire_pseudo6(ip, icmp_bytes))));
	return frame_bytes(frame, icmp + icmp_bytes);
}

static void put_link_layer(const struct host_addresses *us, uint8_t kind, uint8_t *option)
{
	option[0] = kind;
	option[1] = 1;
	memcpy(option + 2, us->mac, 6);
}

static uint16_t compose_advert(
	const struct host_addresses *us, const struct host_address *a, uint8_t *frame)
{
	static const uint8_t all_nodes[16] = { 0xff, 2, [15] = 1 };
	static const uint8_t all_nodes_mac[6] = { 0x33, 0x33, 0, 0, 0, 1 };
	uint8_t *ip = put_ethernet(us, all_nodes_mac, ETH_TYPE_IPV6, frame);
	uint8_t *icmp = ip + IP6_BYTES;

	icmp[0] = ND_NA;
	icmp[ND_FLAGS] = ND_FLAG_OVERRIDE;
	memcpy(icmp + ND_TARGET, a->ip.ip, 16);
	put_link_layer(us, ND_OPT_TARGET_LL, icmp + ND_NS_BYTES);
	return finish_nd(frame, ip, a->ip.ip, all_nodes, ND_NS_BYTES + ND_OPT_LL_BYTES);
}

uint16_t host_compose_announcement(const struct host_addresses *us, const struct host_address *a,
	uint8_t frame[HOST_FRAME_MAX_BYTES])
{
	if (a->ip.family == NET_IPV6)
		return compose_advert(us, a, frame);
	return compose_arp(us, a, a->ip.ip, broadcast, frame);
}

// from: NULL for a probe, which has no sender.
static uint16_t compose_nd_solicitation(const struct host_addresses *us,
	const struct host_address *from, const struct net_addr *neighbour, const uint8_t *to,
	uint8_t *frame)
{
	static const uint8_t nobody[16];
	struct net_addr group = { .family = NET_IPV6 };
	uint32_t icmp_bytes = ND_NS_BYTES;
	uint8_t group_mac[6];
	uint8_t *ip, *icmp;

	host_solicited_node(neighbour->ip, group.ip);
	host_group_mac(&group, group_mac);
	ip = put_ethernet(us, to ? to : group_mac, ETH_TYPE_IPV6, frame);
	icmp = ip + IP6_BYTES;
	icmp[0] = ND_NS;
	memcpy(icmp + ND_TARGET, neighbour->ip, 16);
	if (from) {
		put_link_layer(us, ND_OPT_SOURCE_LL, icmp + ND_NS_BYTES);
		icmp_bytes += ND_OPT_LL_BYTES;
	}
	return finish_nd(
		frame, ip, from ? from->ip.ip : nobody, to ? neighbour->ip : group.ip, icmp_bytes);
}

uint16_t host_compose_solicitation(const struct host_addresses *us, const struct host_address *from,
	const struct net_addr *neighbour, const uint8_t to[6], uint8_t frame[HOST_FRAME_MAX_BYTES])
{
	if (neighbour->family == NET_IPV6)
		return compose_nd_solicitation(us, from, neighbour, to, frame);
	return compose_arp(us, from, neighbour->ip, to ? to : broadcast, frame);
}

uint16_t host_compose_probe(const struct host_addresses *us, const struct host_address *a,
	uint8_t frame[HOST_FRAME_MAX_BYTES])
{
	if (a->ip.family == NET_IPV6)
		return compose_nd_solicitation(us, NULL, &a->ip, NULL, frame);
	return compose_arp(us, NULL, a->ip.ip, broadcast, frame);
}

uint16_t host_compose_router_solicitation(const struct host_addresses *us,
	const struct host_address *from, uint8_t frame[HOST_FRAME_MAX_BYTES])
{
	static const uint8_t all_routers[16] = { 0xff, 2, [15] = 2 };
	static const uint8_t all_routers_mac[6] = { 0x33, 0x33, 0, 0, 0, 2 };
	uint8_t *ip = put_ethernet(us, all_routers_mac, ETH_TYPE_IPV6, frame);
	uint8_t *icmp = ip + IP6_BYTES;

	icmp[0] = ND_RS;
	put_link_layer(us, ND_OPT_SOURCE_LL, icmp + ND_RS_BYTES);
	return finish_nd(frame, ip, from->ip.ip, all_routers, ND_RS_BYTES + ND_OPT_LL_BYTES);
}
