#include "control/media_address.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

// Return: false for what no viewer could reach.
static bool take(const struct sockaddr *sa, struct net_addr *out)
{
	*out = (struct net_addr){};
	if (sa && sa->sa_family == AF_INET) {
		const struct in_addr *a = &((const struct sockaddr_in *)sa)->sin_addr;
		uint32_t ip = ntohl(a->s_addr);

		out->family = NET_IPV4;
		memcpy(out->ip, a, 4);
		return ip >> 24 != 127 && ip >> 16 != 0xa9fe; // 169.254/16
	}
	if (sa && sa->sa_family == AF_INET6) {
		const struct in6_addr *a = &((const struct sockaddr_in6 *)sa)->sin6_addr;

		out->family = NET_IPV6;
		memcpy(out->ip, a, 16);
		return !IN6_IS_ADDR_LINKLOCAL(a) && !IN6_IS_ADDR_LOOPBACK(a);
	}
	return false;
}

static uint8_t from_interface(
	const char *ifname, uint8_t family, struct net_addr *out, uint8_t n, uint8_t cap)
{
	struct ifaddrs *all;

	if (getifaddrs(&all) < 0)
		return n;
	for (struct ifaddrs *i = all; i && n < cap; i = i->ifa_next) {
		struct net_addr addr;

		if (strcmp(i->ifa_name, ifname) != 0 || !take(i->ifa_addr, &addr))
			continue;
		if (addr.family == family)
			out[n++] = addr;
	}
	freeifaddrs(all);
	return n;
}

static struct net_addr public_of(const struct conf *conf, const struct net_addr *local)
{
	for (uint16_t i = 0; i < conf->media.n_nats; i++) {
		if (net_ip_equal(&conf->media.nats[i].local, local))
			return conf->media.nats[i].public;
	}
	return *local;
}

uint8_t media_addresses_find(
	const struct conf *conf, const char *ifname, struct net_addr out[CONF_MAX_ADDRESSES])
{
	uint8_t n = (uint8_t)conf->media.n_addresses;

	memcpy(out, conf->media.addresses, n * sizeof(*out));
	if (n == 0 && !ifname[0]) {
		n = (uint8_t)conf->dataplane.n_addresses;
		for (uint8_t i = 0; i < n; i++)
			out[i] = conf->dataplane.addresses[i].addr;
	}
	if (n == 0 && ifname[0]) {
		n = from_interface(ifname, NET_IPV4, out, n, CONF_MAX_ADDRESSES);
		n = from_interface(ifname, NET_IPV6, out, n, CONF_MAX_ADDRESSES);
	}
	for (uint8_t i = 0; i < n; i++) {
		out[i] = public_of(conf, &out[i]);
		out[i].port_be = htons(conf->media.port);
	}
	return n;
}
