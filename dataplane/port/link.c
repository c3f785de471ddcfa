#include "dataplane/port/link.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_ethdev.h>

enum {
	MAX_GROUPS = 128, // more than that a card would not tell apart either
};

// Drivers on an interface of the kernel's call their link up once they run.
static int ask_kernel(unsigned int ifindex, bool *up)
{
	struct ifreq ifr = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (!if_indextoname(ifindex, ifr.ifr_name) || ioctl(fd, SIOCGIFFLAGS, &ifr) < 0)
		rc = -errno;
	close(fd);
	*up = rc == 0 && (ifr.ifr_flags & IFF_RUNNING);
	return rc;
}

int port_link_get(uint16_t port_id, struct port_link *out)
{
	struct rte_eth_dev_info info;
	struct rte_eth_link link = { 0 };
	int rc = rte_eth_dev_info_get(port_id, &info);

	if (rc == 0)
		rc = rte_eth_link_get_nowait(port_id, &link);
	if (rc < 0)
		return rc;
	*out = (struct port_link){ .up = link.link_status == RTE_ETH_LINK_UP,
		.mbps = link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? 0 : link.link_speed };
	// An interface that is gone is a link that is down.
	if (info.if_index > 0 && ask_kernel(info.if_index, &out->up) < 0)
		out->up = false;
	return 0;
}

int port_take_all_groups(uint16_t port_id)
{
	return rte_eth_allmulticast_enable(port_id);
}

int port_set_groups(uint16_t port_id, const uint8_t (*macs)[6], uint32_t n)
{
	struct rte_ether_addr list[MAX_GROUPS];
	int rc = -ENOSPC;

	if (n <= MAX_GROUPS) {
		for (uint32_t i = 0; i < n; i++)
			memcpy(list[i].addr_bytes, macs[i], 6);
		rc = rte_eth_dev_set_mc_addr_list(port_id, list, n);
	}
	return rc < 0 ? port_take_all_groups(port_id) : rc;
}
