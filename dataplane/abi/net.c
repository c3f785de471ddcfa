#include "dataplane/abi/net.h"

#include <errno.h>

// ::ffff:a.b.c.d stands for the IPv4 address in its last four bytes.
static void unmap_ipv4(struct net_addr *addr)
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

	if (memcmp(addr->ip, prefix, sizeof(prefix)) != 0)
		return;
	memmove(addr->ip, addr->ip + 12, 4);
	memset(addr->ip + 4, 0, 12);
	addr->family = NET_IPV4;
}

int net_ip_parse(const char *text, struct net_addr *out)
{
	struct net_addr addr = { .family = NET_IPV4 };

	if (inet_pton(AF_INET, text, addr.ip) != 1) {
		if (inet_pton(AF_INET6, text, addr.ip) != 1)
			return -EINVAL;
		addr.family = NET_IPV6;
		unmap_ipv4(&addr);
	}
	*out = addr;
	return 0;
}
