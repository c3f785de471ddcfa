// Multicast groups of the legs. A socket for each, bound to nothing, is a member of its group on
// the data plane's interface, or the kernel's end of its port: so the kernel speaks IGMP and MLD
// for us, and has the NIC let the group in.
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/stream/priv/store.h"
#include "dataplane/abi/log.h"

struct stream_group {
	struct net_addr addr;
	int fd;
	bool wanted;
	struct stream_group *next;
};

static struct stream_group *find(const struct stream_store *store, const struct net_addr *addr)
{
	struct stream_group *g = store->groups;

	while (g && !net_ip_equal(&g->addr, addr))
		g = g->next;
	return g;
}

static int join_socket(const struct net_addr *addr, unsigned int ifindex, int *out)
{
	bool v6 = addr->family == NET_IPV6;
	struct group_req req = { .gr_interface = ifindex };
	struct sockaddr_in *in = (struct sockaddr_in *)&req.gr_group;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&req.gr_group;
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return -errno;
	if (v6) {
		in6->sin6_family = AF_INET6;
		memcpy(&in6->sin6_addr, addr->ip, 16);
	} else {
		in->sin_family = AF_INET;
		memcpy(&in->sin_addr, addr->ip, 4);
	}
	if (setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, MCAST_JOIN_GROUP, &req, sizeof(req)) <
		0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	*out = fd;
	return 0;
}

const char *stream_group_interface(const struct stream_store *store)
{
	const struct region_header *header = link_region(store->link)->header;

	return header->interface[0] ? header->interface : header->exception_interface;
}

int stream_group_join(struct stream_store *store, const struct net_addr *addr)
{
	const char *ifname = stream_group_interface(store);
	char text[NET_ADDR_TEXT_BYTES];
	struct stream_group *g;
	unsigned int ifindex;
	int rc;

	if (!ifname[0] || find(store, addr))
		return 0;
	ifindex = if_nametoindex(ifname);
	if (ifindex == 0)
		return -errno;
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	rc = join_socket(addr, ifindex, &g->fd);
	if (rc < 0) {
		free(g);
		return rc;
	}
	g->addr = *addr;
	g->wanted = true;
	g->next = store->groups;
	store->groups = g;
	log_info("group %s is joined on %s", net_addr_text(addr, text), ifname);
	return 0;
}

static void leave_unwanted(struct stream_store *store)
{
	struct stream_group **at = &store->groups;

	while (*at) {
		struct stream_group *g = *at;

		if (g->wanted) {
			at = &g->next;
			continue;
		}
		*at = g->next;
		close(g->fd);
		free(g);
	}
}

static int want_groups(struct stream_store *store, const struct stream_want *want)
{
	int status = 0;

	for (int leg = 0; leg < STREAM_WANT_LEGS; leg++) {
		const struct stream_leg_want *l = stream_want_leg(want, leg);
		struct stream_group *g;
		int rc;

		if (!l->present || l->group.family == NET_NONE)
			continue;
		rc = stream_group_join(store, &l->group);
		g = find(store, &l->group);
		if (g)
			g->wanted = true;
		if (rc < 0)
			status = rc;
	}
	return status;
}

static int want_list(struct stream_store *store, struct stream *first)
{
	int status = 0;

	for (struct stream *s = first; s; s = s->next) {
		int rc = want_groups(store, &s->want);

		if (rc == 0)
			rc = want_groups(store, &stream_entry(s)->other);
		if (rc < 0)
			status = rc;
	}
	return status;
}

void stream_groups_sync(struct stream_store *store)
{
	int status, hidden;

	for (struct stream_group *g = store->groups; g; g = g->next)
		g->wanted = false;
	status = want_list(store, store->first);
	hidden = want_list(store, store->hidden);
	if (status == 0)
		status = hidden;
	if (status < 0 && status != store->group_status)
		log_error("a multicast group cannot be joined: %s; it is tried again",
			strerror(-status));
	store->group_status = status;
	leave_unwanted(store);
}

void stream_groups_leave(struct stream_store *store)
{
	for (struct stream_group *g = store->groups; g; g = g->next)
		g->wanted = false;
	leave_unwanted(store);
}

json_t *stream_group_text(const struct net_addr *group)
{
	char ip[INET6_ADDRSTRLEN] = "?";

	inet_ntop(group->family == NET_IPV6 ? AF_INET6 : AF_INET, group->ip, ip, sizeof(ip));
	return json_string(ip);
}
