#include "dataplane/fanout/host_groups.h"

#include <string.h>

#include "dataplane/abi/log.h"
#include "dataplane/fanout/worker.h"
#include "dataplane/host/address.h"
#include "dataplane/port/link.h"

static void add_group(struct host_groups *g, const struct net_addr *group)
{
	if (g->n == HOST_GROUPS_MAX)
		return;
	host_group_mac(group, g->macs[g->n]);
	for (uint32_t i = 0; i < g->n; i++) {
		if (memcmp(g->macs[i], g->macs[g->n], 6) == 0)
			return;
	}
	g->n++;
}

static void add_own_groups(struct host_groups *g, const struct host_addresses *us)
{
	struct net_addr group = { .family = NET_IPV6, .ip = { 0xff, 2, [15] = 1 } };

	add_group(g, &group); // all nodes
	for (uint8_t i = 0; i < us->n; i++) {
		if (us->list[i].ip.family != NET_IPV6)
			continue;
		host_solicited_node(us->list[i].ip.ip, group.ip);
		add_group(g, &group);
	}
	// The kernel's link-local address has the same tail as ours would have.
	memcpy(group.ip + 13, us->mac + 3, 3);
	add_group(g, &group);
}

static void add_leg_group(struct host_groups *g, const struct leg *leg)
{
	if (leg->conf.present && leg->conf.group.family != NET_NONE)
		add_group(g, &leg->conf.group);
}

void host_groups_gather(
	struct host_groups *g, const struct host_addresses *us, const struct worker *w)
{
	uint64_t sum = 1;

	if (atomic_load_explicit(&g->fresh, memory_order_acquire))
		return;
	g->n = 0;
	add_own_groups(g, us);
	for (uint16_t slot = 0; slot < w->edge->region->n_streams; slot++) {
		const struct stream *s = &w->streams[slot];

		for (int leg = 0; s->generation && leg < LEG_COUNT; leg++) {
			add_leg_group(g, &s->legs[leg]);
			add_leg_group(g, &s->backup[leg]);
		}
	}
	for (uint32_t i = 0; i < g->n; i++)
		for (uint32_t b = 0; b < 6; b++)
			sum = sum * 1099511628211ULL + g->macs[i][b];
	if (sum == g->sum)
		return;
	g->sum = sum;
	atomic_store_explicit(&g->fresh, true, memory_order_release);
}

void host_groups_watch(struct host_groups *g, const uint16_t *ports, uint16_t n_ports, bool all)
{
	int rc = 0;

	if (!atomic_load_explicit(&g->fresh, memory_order_acquire))
		return;
	for (uint16_t i = 0; i < n_ports; i++) {
		int one = all ? port_take_all_groups(ports[i])
			      : port_set_groups(ports[i], g->macs, g->n);

		if (one < 0)
			rc = one;
	}
	atomic_store_explicit(&g->fresh, false, memory_order_release);
	if (rc < 0 && !g->refused)
		log_info("the port lets multicast in as it likes: %s", strerror(-rc));
	g->refused = rc < 0;
}
