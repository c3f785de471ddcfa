#include "dataplane/host/address.h"

#include <string.h>

// Modified EUI-64 (RFC 4291 appendix A; RFC 2464 4).
static void add_link_local(struct host_addresses *a)
{
	struct host_address *out = &a->list[a->n++];
	const uint8_t *mac = a->mac;
	const uint8_t ip[16] = { 0xfe, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2, mac[1], mac[2], 0xff,
		0xfe, mac[3], mac[4], mac[5] };

	*out = (struct host_address){ .ip.family = NET_IPV6, .bits = 64 };
	memcpy(out->ip.ip, ip, sizeof(ip));
}

void host_addresses_make(
	struct host_addresses *a, const struct conf *conf, const uint8_t mac[6], bool link_local)
{
	bool v6 = false;

	memset(a, 0, sizeof(*a));
	memcpy(a->mac, mac, sizeof(a->mac));
	a->vlan = conf->dataplane.vlan;
	for (uint16_t i = 0; i < conf->dataplane.n_addresses; i++) {
		const struct conf_prefix *from = &conf->dataplane.addresses[i];

		a->list[a->n++] = (struct host_address){ .ip = from->addr, .bits = from->bits };
		v6 |= from->addr.family == NET_IPV6;
	}
	if (link_local && v6)
		add_link_local(a);
}

static uint8_t ip_bytes(uint8_t family)
{
	return family == NET_IPV6 ? 16 : 4;
}

const struct host_address *host_address_find(
	const struct host_addresses *a, uint8_t family, const uint8_t *ip)
{
	for (uint8_t i = 0; i < a->n; i++) {
		if (a->list[i].ip.family == family &&
			memcmp(a->list[i].ip.ip, ip, ip_bytes(family)) == 0)
			return &a->list[i];
	}
	return NULL;
}

static bool link_holds(const struct host_address *a, const struct net_addr *ip)
{
	const struct conf_prefix prefix = { .addr = a->ip, .bits = a->bits };

	return conf_prefix_holds(&prefix, ip);
}

bool host_on_link(const struct host_addresses *a, const struct net_addr *ip)
{
	if (ip->family == NET_IPV6 && ip->ip[0] == 0xfe && (ip->ip[1] & 0xc0) == 0x80)
		return true;
	for (uint8_t i = 0; i < a->n; i++) {
		if (link_holds(&a->list[i], ip))
			return true;
	}
	return false;
}

const struct host_address *host_address_toward(
	const struct host_addresses *a, const struct net_addr *neighbour)
{
	const struct host_address *any = NULL;

	for (uint8_t i = 0; i < a->n; i++) {
		if (a->list[i].ip.family != neighbour->family)
			continue;
		if (link_holds(&a->list[i], neighbour))
			return &a->list[i];
		if (!any)
			any = &a->list[i];
	}
	return any;
}

void host_solicited_node(const uint8_t ip[16], uint8_t group[16])
{
	const uint8_t prefix[16] = { 0xff, 2, [11] = 1, [12] = 0xff };

	memcpy(group, prefix, sizeof(prefix));
	memcpy(group + 13, ip + 13, 3);
}

void host_group_mac(const struct net_addr *group, uint8_t mac[6])
{
	if (group->family == NET_IPV6) {
		mac[0] = mac[1] = 0x33;
		memcpy(mac + 2, group->ip + 12, 4);
	} else {
		mac[0] = 1;
		mac[1] = 0;
		mac[2] = 0x5e;
		mac[3] = group->ip[1] & 0x7f;
		mac[4] = group->ip[2];
		mac[5] = group->ip[3];
	}
}
