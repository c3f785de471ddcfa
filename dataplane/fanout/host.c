#include "dataplane/fanout/host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ethdev.h>

#include "dataplane/abi/log.h"
#include "dataplane/fanout/host_groups.h"
#include "dataplane/fanout/worker.h"
#include "dataplane/host/claim.h"
#include "dataplane/host/compose.h"
#include "dataplane/host/exception.h"
#include "dataplane/host/gateway.h"
#include "dataplane/host/judge.h"
#include "dataplane/host/wire.h"
#include "dataplane/port/link.h"

#define CONFLICT_TOLD_NS 10000000000ULL // between two lines of it

enum {
	HOUSE_NS = 10000000,
	ECHO_NS = 100000, // between two answers to pings, in the long run
	ECHO_BURST = 1000,
	ROUTES_A_LOOP = 512, // viewers that are looked at when a gateway moved
};

struct route_walk {
	uint32_t epoch;
	uint32_t at; // peer slot
};

struct host {
	// Main thread: rw until the workers run, then ro.
	struct host_addresses us;
	struct exception *kernel; // NULL: none
	struct region_host *shared;
	uint16_t ports[PORT_MAX_QUEUES];
	uint16_t n_ports;

	// Worker 0: rw.
	struct host_gateway gateways[2]; // IPv4, IPv6
	uint64_t house_ns;
	uint64_t echo_ns; // when the bucket of pings is full again
	struct host_claim claim;
	uint32_t link_told;
	_Atomic uint32_t epoch;	   // of the gateways; all workers: ro
	struct net_addr claimed;   // main thread: ro, for its line
	uint8_t claimant[6];	   // the same
	struct host_groups groups; // see there

	// Each worker: its own.
	struct route_walk walks[REGION_MAX_WORKERS];

	// Main thread: rw.
	uint32_t link_seen; // enum region_link, by this process
	uint64_t watch_ns;
	uint64_t conflicts_told, conflict_told_ns;
	uint32_t epoch_told;
};

// ---- start and end -----------------------------------------------------------------------------

// A configured one the port has taken already.
static int find_mac(const struct conf *conf, const struct port_set *ports, uint8_t mac[6])
{
	struct rte_ether_addr addr;
	int rc;

	memcpy(mac, conf->dataplane.mac, 6);
	if (!wire_is_zero(mac, 6))
		return 0;
	rc = rte_eth_macaddr_get(ports->ports[0], &addr);
	if (rc < 0)
		log_error("port %u does not tell its MAC address: %s", ports->ports[0],
			strerror(-rc));
	else
		memcpy(mac, addr.addr_bytes, 6);
	return rc;
}

int host_create(const struct conf *conf, const struct port_set *ports, struct region *region,
	struct host **out)
{
	bool with_kernel = conf->dataplane.exception_interface[0];
	struct host *h = calloc(1, sizeof(*h));
	uint8_t mac[6];
	int rc = 0;

	if (!h)
		return -ENOMEM;
	h->shared = &region->header->host;
	h->n_ports = ports->n_ports;
	memcpy(h->ports, ports->ports, sizeof(h->ports));
	host_gateway_init(&h->gateways[0], &conf->dataplane.gateway4);
	host_gateway_init(&h->gateways[1], &conf->dataplane.gateway6);
	if (conf->dataplane.n_addresses) {
		rc = find_mac(conf, ports, mac);
		if (rc == 0)
			host_addresses_make(&h->us, conf, mac, !with_kernel);
	}
	if (rc == 0 && with_kernel)
		rc = exception_open(conf, &h->us, &h->kernel);
	if (rc < 0) {
		host_destroy(h);
		return rc;
	}
	memcpy(region->header->exception_interface, conf->dataplane.exception_interface,
		sizeof(region->header->exception_interface));
	host_watch(h);
	*out = h;
	return 0;
}

void host_destroy(struct host *h)
{
	if (!h)
		return;
	exception_close(h->kernel);
	free(h);
}

// ---- the main thread's part --------------------------------------------------------------------

static void watch_link(struct host *h)
{
	uint32_t before = h->link_seen, now;
	struct port_link all = { .up = true };

	for (uint16_t i = 0; i < h->n_ports; i++) {
		struct port_link one;

		if (port_link_get(h->ports[i], &one) < 0)
			continue; // a driver without one
		all.up &= one.up;
		all.mbps = one.mbps;
	}
	now = all.up ? REGION_LINK_UP : REGION_LINK_DOWN;
	h->shared->link_mbps = all.mbps;
	if (now == before)
		return;
	h->link_seen = now;
	atomic_store(&h->shared->link, now);
	if (all.up && all.mbps)
		log_info("the link is up, %u Mbit/s", all.mbps);
	else if (all.up)
		log_info("the link is up");
	else if (before == REGION_LINK_UNKNOWN)
		log_info("the link is not up yet");
	else
		log_warn("the link is down: nobody is served until it is back");
	if (h->kernel)
		exception_set_carrier(h->kernel, all.up);
}

static void say_gateways(const struct host *h)
{
	for (int i = 0; i < 2; i++) {
		const struct host_gateway *g = &h->gateways[i];
		char text[NET_ADDR_TEXT_BYTES];
		uint8_t m[6];

		if (g->ip.family == NET_NONE)
			continue;
		net_addr_text(&g->ip, text);
		if (host_gateway_mac(g, m))
			log_info("gateway %s is at %02x:%02x:%02x:%02x:%02x:%02x", text, m[0], m[1],
				m[2], m[3], m[4], m[5]);
		else
			log_warn("gateway %s does not answer", text);
	}
}

// As long as it goes on it is told again now and then.
static void say_conflict(struct host *h, uint64_t now_ns)
{
	uint64_t conflicts = h->shared->counts[REGION_HOST_CONFLICT];
	const struct net_addr *a = &h->claimed;
	const uint8_t *m = h->claimant;
	char text[INET6_ADDRSTRLEN] = "?";

	if (conflicts == h->conflicts_told ||
		(h->conflict_told_ns && now_ns - h->conflict_told_ns < CONFLICT_TOLD_NS))
		return;
	h->conflicts_told = conflicts;
	h->conflict_told_ns = now_ns;
	inet_ntop(a->family == NET_IPV6 ? AF_INET6 : AF_INET, a->ip, text, sizeof(text));
	log_warn("%s is also in use by %02x:%02x:%02x:%02x:%02x:%02x: take it from that host, or "
		 "correct [dataplane] addresses",
		text, m[0], m[1], m[2], m[3], m[4], m[5]);
}

void host_watch(struct host *h)
{
	uint64_t now_ns = region_now_ns();
	uint32_t epoch;

	if (!h || now_ns - h->watch_ns < HOST_WATCH_MS * UINT64_C(1000000))
		return;
	h->watch_ns = now_ns;
	watch_link(h);
	if (h->us.n == 0)
		return;
	host_groups_watch(&h->groups, h->ports, h->n_ports, h->kernel != NULL);
	if (h->kernel)
		exception_keep_mac(h->kernel, h->us.mac);
	epoch = atomic_load_explicit(&h->epoch, memory_order_acquire);
	if (epoch != h->epoch_told)
		say_gateways(h);
	h->epoch_told = epoch;
	say_conflict(h, now_ns);
}

// ---- packets -----------------------------------------------------------------------------------

static void count(struct host *h, enum region_host_count what)
{
	h->shared->counts[what]++;
}

// A bucket that holds ECHO_BURST and gains one every ECHO_NS.
static bool echo_allowed(struct host *h, uint64_t now_ns)
{
	uint64_t full_ns = h->echo_ns > now_ns ? h->echo_ns : now_ns;

	if (full_ns - now_ns > (uint64_t)ECHO_BURST * ECHO_NS)
		return false;
	h->echo_ns = full_ns + ECHO_NS;
	return true;
}

static void reply(
	struct worker *w, struct host *h, struct rte_mbuf *m, const struct host_judgement *j)
{
	if (j->echo && !echo_allowed(h, w->now_ns)) {
		worker_drop(w, m, DROP_HOST_RATE);
		return;
	}
	m->data_len = j->bytes;
	m->pkt_len = j->bytes;
	m->ol_flags = 0;
	count(h, j->kind);
	tx_put(w, m);
}

static void to_kernel(struct worker *w, struct host *h, struct rte_mbuf *m, enum drop_reason reason)
{
	if (!h->kernel)
		worker_drop(w, m, reason);
	else if (exception_put(h->kernel, m) < 0)
		worker_drop(w, m, DROP_EXCEPTION_FULL);
}

static void learn(struct worker *w, struct host *h, const struct host_judgement *j)
{
	bool moved = false;

	if (j->conflict) {
		count(h, REGION_HOST_CONFLICT);
		h->claimed = j->claimed;
		memcpy(h->claimant, j->claimant, sizeof(h->claimant));
		host_claim_defend(&h->claim, w->now_ns);
	}
	if (j->neighbour.ip.family == NET_NONE)
		return;
	for (int i = 0; i < 2; i++)
		moved |= host_gateway_hear(&h->gateways[i], &j->neighbour, w->now_ns);
	if (moved)
		atomic_fetch_add(&h->epoch, 1);
}

void host_take(struct worker *w, struct rte_mbuf *m, enum drop_reason reason)
{
	struct host *h = w->edge->host;
	struct host_judgement j;

	if (!h || h->us.n == 0 || m->nb_segs != 1 || reason == DROP_BAD_CHECKSUM) {
		worker_drop(w, m, reason);
		return;
	}
	if (w->id != 0) {
		packet_of(m)->kind = PACKET_RAW;
		packet_of(m)->port_id = (uint8_t)m->port;
		worker_hand(w, 0, m);
		return;
	}
	host_judge(&h->us, rte_pktmbuf_mtod(m, uint8_t *), m->data_len,
		(uint16_t)(m->buf_len - m->data_off), &j);
	learn(w, h, &j);
	switch (j.verdict) {
	case HOST_REPLY:
		reply(w, h, m, &j);
		break;
	case HOST_PASS:
		to_kernel(w, h, m, reason);
		break;
	case HOST_OTHER:
		worker_drop(w, m, DROP_NOT_OURS);
		break;
	case HOST_BAD:
		worker_drop(w, m, DROP_HOST_BAD);
		break;
	}
}

// ---- what is said unasked ----------------------------------------------------------------------

static void say(struct worker *w, const uint8_t *frame, uint16_t bytes, enum region_host_count what)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->share->pool);

	if (!m) {
		w->counters->drops[DROP_NO_MBUF]++;
		return;
	}
	memcpy(rte_pktmbuf_append(m, bytes), frame, bytes);
	count(w->edge->host, what);
	tx_put(w, m);
}

static void claim(struct worker *w, struct host *h)
{
	enum host_word word = host_claim_due(&h->claim, w->now_ns);
	uint8_t frame[HOST_FRAME_MAX_BYTES];

	for (uint8_t i = 0; i < h->us.n && word != HOST_SAY_NOTHING; i++) {
		const struct host_address *a = &h->us.list[i];

		if (word == HOST_SAY_PROBE)
			say(w, frame, host_compose_probe(&h->us, a, frame),
				REGION_HOST_SOLICITATION);
		else
			say(w, frame, host_compose_announcement(&h->us, a, frame),
				REGION_HOST_ANNOUNCEMENT);
	}
}

static void ask_gateway(struct worker *w, struct host *h, struct host_gateway *g)
{
	const struct host_address *from = host_address_toward(&h->us, &g->ip);
	uint8_t frame[HOST_FRAME_MAX_BYTES], mac[6];
	enum host_question question;
	bool changed;

	if (!from)
		return;
	question = host_gateway_due(g, w->now_ns, &changed);
	if (changed)
		atomic_fetch_add(&h->epoch, 1);
	if (question == HOST_ASK_NOBODY)
		return;
	if (question == HOST_ASK_ROUTERS)
		say(w, frame, host_compose_router_solicitation(&h->us, from, frame),
			REGION_HOST_SOLICITATION);
	else
		say(w, frame,
			host_compose_solicitation(&h->us, from, &g->ip,
				question == HOST_ASK_IT && host_gateway_mac(g, mac) ? mac : NULL,
				frame),
			REGION_HOST_SOLICITATION);
}

static void tell_link(struct worker *w, struct host *h)
{
	uint32_t link = atomic_load_explicit(&h->shared->link, memory_order_relaxed);
	const struct ring_event event = { .kind = link == REGION_LINK_UP ? RING_LINK_UP
									 : RING_LINK_DOWN };

	if (link == h->link_told || link == REGION_LINK_UNKNOWN)
		return;
	h->link_told = link;
	command_event(w, &event);
	if (link != REGION_LINK_UP || h->us.n == 0)
		return;
	host_claim_begin(&h->claim, w->now_ns);
	for (int i = 0; i < 2; i++)
		host_gateway_hurry(&h->gateways[i], w->now_ns);
}

// ---- routes ------------------------------------------------------------------------------------

static bool same_vlan(const struct host_addresses *us, const uint8_t *hdr)
{
	bool tagged = wire_get16(hdr + 12) == ETH_TYPE_VLAN;

	return tagged ? us->vlan && (wire_get16(hdr + 14) & 0xfff) == us->vlan : us->vlan == 0;
}

// Return: false the viewer is reached as its packets came.
static bool find_gateway(
	const struct host *h, const uint8_t *hdr, const struct net_addr *remote, uint8_t mac[6])
{
	const struct host_gateway *g;

	if (!h || h->us.n == 0)
		return false;
	g = &h->gateways[remote->family == NET_IPV6];
	return g->ip.family != NET_NONE && !host_on_link(&h->us, remote) &&
	       same_vlan(&h->us, hdr) && host_gateway_mac(g, mac);
}

void host_route_frame(const struct host *h, struct frame_template *t, const struct net_addr *remote)
{
	find_gateway(h, t->hdr, remote, t->hdr); // the destination comes first
}

void host_route_peer(const struct host *h, struct peer *p)
{
	uint8_t mac[6];

	if (find_gateway(h, p->frame.hdr, &p->remote, mac))
		peer_set_next_hop(p, mac);
}

// A gateway moved: so do the viewers behind it, some a loop.
static void walk_routes(struct worker *w, const struct host *h, struct route_walk *walk)
{
	uint32_t until = walk->at + ROUTES_A_LOOP;

	for (; walk->at < until && walk->at < w->edge->region->n_peers; walk->at++) {
		struct peer *p = w->peers[walk->at];

		if (p)
			host_route_peer(h, p);
	}
}

static void follow_gateways(struct worker *w, struct host *h)
{
	struct route_walk *walk = &h->walks[w->id];
	uint32_t epoch = atomic_load_explicit(&h->epoch, memory_order_acquire);

	if (walk->epoch != epoch) {
		walk->epoch = epoch;
		walk->at = 0;
	}
	if (epoch && walk->at < w->edge->region->n_peers)
		walk_routes(w, h, walk);
}

// ---- the loop ----------------------------------------------------------------------------------

static void house(struct worker *w, struct host *h)
{
	if (w->now_ns - h->house_ns < HOUSE_NS)
		return;
	h->house_ns = w->now_ns;
	tell_link(w, h);
	if (h->us.n == 0)
		return;
	host_groups_gather(&h->groups, &h->us, w);
	claim(w, h);
	for (int i = 0; i < 2; i++)
		ask_gateway(w, h, &h->gateways[i]);
}

static unsigned int serve_kernel(struct worker *w, struct host *h)
{
	struct rte_mbuf *out[EXCEPTION_BURST];
	unsigned int down, up;

	up = exception_flush(h->kernel, &w->counters->drops[DROP_EXCEPTION_FULL]);
	h->shared->counts[REGION_HOST_TO_KERNEL] += up;
	down = exception_fetch(h->kernel, w->share->pool, w->now_ns, out);
	for (unsigned int i = 0; i < down; i++)
		tx_put(w, out[i]);
	h->shared->counts[REGION_HOST_FROM_KERNEL] += down;
	return up + down;
}

unsigned int host_step(struct worker *w)
{
	struct host *h = w->edge->host;
	unsigned int work = 0;

	if (!h)
		return 0;
	follow_gateways(w, h);
	if (w->id != 0)
		return 0;
	if (h->kernel)
		work = serve_kernel(w, h);
	house(w, h);
	return work;
}
