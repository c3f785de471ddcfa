#include "dataplane/host/gateway.h"

#include <string.h>

#define NS_PER_S  1000000000ULL
#define MAC_KNOWN (1ULL << 48)

enum {
	FRESH_S = 30,	     // an answer is good for so long
	RETRY_S = 1,	     // RFC 1122 2.3.2.1: no more often; RFC 4861 10: RetransTimer
	RARE_S = 10,	     // once it has not answered for a while
	MISSES_ALONE = 3,    // unanswered: then everybody is asked (MAX_UNICAST_SOLICIT)
	MISSES_GONE = 6,     // then nothing is sent its way any more
	MISSES_COUNTED = 60, // no need to count on
};

void host_gateway_init(struct host_gateway *g, const struct net_addr *ip)
{
	static const uint8_t any[16];

	memset(g, 0, sizeof(*g));
	g->ip = *ip;
	g->automatic = ip->family == NET_IPV6 && memcmp(ip->ip, any, sizeof(any)) == 0;
}

static uint64_t pack(const uint8_t mac[6])
{
	uint64_t out = MAC_KNOWN;

	for (int i = 0; i < 6; i++)
		out |= (uint64_t)mac[i] << (8 * i);
	return out;
}

static bool has_router(const struct host_gateway *g)
{
	return !g->automatic || g->expires_ns != 0;
}

static bool forget(struct host_gateway *g)
{
	return atomic_exchange(&g->mac, 0) != 0;
}

// The first router that advertises itself stays until it says good-bye or falls silent.
static void hear_router(struct host_gateway *g, const struct host_neighbour *n, uint64_t now_ns)
{
	bool ours = net_ip_equal(&g->ip, &n->ip);

	if (n->lifetime_s == 0 || (has_router(g) && !ours && atomic_load(&g->mac)))
		return;
	g->ip = n->ip;
	g->expires_ns = now_ns + n->lifetime_s * NS_PER_S;
}

static bool says_good_bye(const struct host_gateway *g, const struct host_neighbour *n)
{
	return g->automatic && n->router && n->lifetime_s == 0 && has_router(g) &&
	       net_ip_equal(&g->ip, &n->ip);
}

static bool lose_router(struct host_gateway *g, uint64_t now_ns)
{
	g->expires_ns = 0;
	g->ask_ns = now_ns;
	return forget(g);
}

// Whoever has it now is asked soon, and once: a crowd that says so makes us ask no more often.
static bool contradicts(struct host_gateway *g, const struct host_neighbour *n, uint64_t now_ns)
{
	uint64_t known = atomic_load(&g->mac), soon_ns = now_ns + RETRY_S * NS_PER_S;

	if (!n->timid || known == 0 || known == pack(n->mac))
		return false;
	if (g->misses == 0 && g->ask_ns > soon_ns)
		g->ask_ns = soon_ns;
	return true;
}

bool host_gateway_hear(struct host_gateway *g, const struct host_neighbour *n, uint64_t now_ns)
{
	uint64_t mac = pack(n->mac);

	if (g->ip.family == NET_NONE || n->ip.family != g->ip.family)
		return false;
	if (says_good_bye(g, n))
		return lose_router(g, now_ns);
	if (g->automatic && n->router)
		hear_router(g, n, now_ns);
	if (!has_router(g) || !net_ip_equal(&g->ip, &n->ip) || contradicts(g, n, now_ns))
		return false;
	g->misses = 0;
	g->ask_ns = now_ns + FRESH_S * NS_PER_S;
	return atomic_exchange(&g->mac, mac) != mac;
}

enum host_question host_gateway_due(struct host_gateway *g, uint64_t now_ns, bool *changed)
{
	bool known;

	*changed = false;
	if (g->ip.family == NET_NONE)
		return HOST_ASK_NOBODY;
	if (g->automatic && g->expires_ns && now_ns >= g->expires_ns)
		*changed = lose_router(g, now_ns);
	if (now_ns < g->ask_ns)
		return HOST_ASK_NOBODY;
	if (g->misses >= MISSES_GONE)
		*changed |= forget(g);
	known = atomic_load(&g->mac) != 0;
	g->ask_ns = now_ns + (g->misses >= MISSES_GONE ? RARE_S : RETRY_S) * NS_PER_S;
	if (g->misses < MISSES_COUNTED)
		g->misses++;
	if (!has_router(g))
		return HOST_ASK_ROUTERS;
	return known && g->misses <= MISSES_ALONE ? HOST_ASK_IT : HOST_ASK_ALL;
}

void host_gateway_hurry(struct host_gateway *g, uint64_t now_ns)
{
	g->ask_ns = now_ns;
	g->misses = 0;
}

bool host_gateway_mac(const struct host_gateway *g, uint8_t mac[6])
{
	uint64_t packed = atomic_load_explicit(&g->mac, memory_order_relaxed);

	if (!(packed & MAC_KNOWN))
		return false;
	for (int i = 0; i < 6; i++)
		mac[i] = (uint8_t)(packed >> (8 * i));
	return true;
}
