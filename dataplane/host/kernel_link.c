// Source: rtnetlink(7), netdevice(7).
#include "dataplane/host/priv/kernel_link.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/abi/log.h"

enum {
	ROUTE_METRIC = 1024, // a default route of the operator's own wins
};

struct request {
	struct nlmsghdr hdr;
	union {
		struct ifaddrmsg addr;
		struct rtmsg route;
	};
	uint8_t attrs[128];
};

static void add_attr(struct request *r, uint16_t type, const void *data, uint16_t bytes)
{
	struct rtattr *attr = (struct rtattr *)((char *)r + NLMSG_ALIGN(r->hdr.nlmsg_len));

	attr->rta_type = type;
	attr->rta_len = (uint16_t)RTA_LENGTH(bytes);
	memcpy(RTA_DATA(attr), data, bytes);
	r->hdr.nlmsg_len = NLMSG_ALIGN(r->hdr.nlmsg_len) + (uint32_t)RTA_ALIGN(attr->rta_len);
}

// Return: 0 done or there already; -errno.
static int ask_kernel(int fd, struct request *r)
{
	struct {
		struct nlmsghdr hdr;
		struct nlmsgerr err;
		uint8_t rest[512];
	} answer;

	r->hdr.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
	if (send(fd, r, r->hdr.nlmsg_len, 0) < 0)
		return -errno;
	if (recv(fd, &answer, sizeof(answer), 0) < (ssize_t)NLMSG_LENGTH(sizeof(answer.err)) ||
		answer.hdr.nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	return answer.err.error == -EEXIST ? 0 : answer.err.error;
}

static int family_of(const struct net_addr *ip)
{
	return ip->family == NET_IPV6 ? AF_INET6 : AF_INET;
}

static uint16_t bytes_of(const struct net_addr *ip)
{
	return ip->family == NET_IPV6 ? 16 : 4;
}

static int add_address(int fd, unsigned int ifindex, const struct conf_prefix *a)
{
	struct request r = { .hdr = { .nlmsg_len = NLMSG_LENGTH(sizeof(r.addr)),
				     .nlmsg_type = RTM_NEWADDR },
		.addr = { .ifa_family = (uint8_t)family_of(&a->addr),
			.ifa_prefixlen = a->bits,
			.ifa_flags = a->addr.family == NET_IPV6 ? IFA_F_NODAD : 0,
			.ifa_index = ifindex } };

	add_attr(&r, IFA_LOCAL, a->addr.ip, bytes_of(&a->addr));
	add_attr(&r, IFA_ADDRESS, a->addr.ip, bytes_of(&a->addr));
	return ask_kernel(fd, &r);
}

static int add_default_route(int fd, unsigned int ifindex, const struct net_addr *gateway)
{
	const uint32_t metric = ROUTE_METRIC;
	struct request r = { .hdr = { .nlmsg_len = NLMSG_LENGTH(sizeof(r.route)),
				     .nlmsg_type = RTM_NEWROUTE },
		.route = { .rtm_family = (uint8_t)family_of(gateway),
			.rtm_table = RT_TABLE_MAIN,
			.rtm_protocol = RTPROT_STATIC,
			.rtm_scope = RT_SCOPE_UNIVERSE,
			.rtm_type = RTN_UNICAST } };

	add_attr(&r, RTA_GATEWAY, gateway->ip, bytes_of(gateway));
	add_attr(&r, RTA_OIF, &ifindex, sizeof(ifindex));
	add_attr(&r, RTA_PRIORITY, &metric, sizeof(metric));
	return ask_kernel(fd, &r);
}

static int set_hardware(const struct conf *conf, const struct host_addresses *us)
{
	struct ifreq ifr = { .ifr_hwaddr.sa_family = ARPHRD_ETHER };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc = 0;

	if (fd < 0)
		return -errno;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", conf->dataplane.exception_interface);
	memcpy(ifr.ifr_hwaddr.sa_data, us->mac, 6);
	if (ioctl(fd, SIOCSIFHWADDR, &ifr) < 0)
		rc = -errno;
	ifr.ifr_mtu = conf->dataplane.mtu;
	if (rc == 0 && ioctl(fd, SIOCSIFMTU, &ifr) < 0)
		rc = -errno;
	if (rc == 0 && ioctl(fd, SIOCGIFFLAGS, &ifr) < 0)
		rc = -errno;
	ifr.ifr_flags |= IFF_UP;
	if (rc == 0 && ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

static bool is_any(const struct net_addr *ip)
{
	static const uint8_t any[16];

	return ip->family == NET_NONE || memcmp(ip->ip, any, sizeof(any)) == 0;
}

// A router that advertises itself the kernel finds as we do.
static int set_addresses(const struct conf *conf, unsigned int ifindex)
{
	const struct net_addr *gateways[] = { &conf->dataplane.gateway4,
		&conf->dataplane.gateway6 };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int rc = 0;

	if (fd < 0)
		return -errno;
	for (uint16_t i = 0; rc == 0 && i < conf->dataplane.n_addresses; i++)
		rc = add_address(fd, ifindex, &conf->dataplane.addresses[i]);
	for (unsigned int i = 0; rc == 0 && i < 2; i++)
		if (!is_any(gateways[i]))
			rc = add_default_route(fd, ifindex, gateways[i]);
	close(fd);
	return rc;
}

int kernel_link_set_up(const struct conf *conf, const struct host_addresses *us)
{
	const char *name = conf->dataplane.exception_interface;
	int rc = set_hardware(conf, us);

	if (rc == 0)
		rc = set_addresses(conf, if_nametoindex(name));
	if (rc < 0)
		log_error("[dataplane] exception_interface: %s cannot be set up: %s%s", name,
			strerror(-rc), rc == -EOPNOTSUPP ? "; has this kernel IPv6?" : "");
	return rc;
}
