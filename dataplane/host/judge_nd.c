// Neighbour discovery.
// Source: RFC 4861 4.6.1, 6.1.2, 7.1.1, 7.1.2, 7.2.4, 7.2.5; RFC 4862 5.4.3.
#include "dataplane/host/priv/judges.h"
#include "dataplane/host/wire.h"

static struct net_addr ip6(const uint8_t *at)
{
	struct net_addr out = { .family = NET_IPV6 };

	memcpy(out.ip, at, 16);
	return out;
}

// Walk the options behind a message's fixed part.
// ll:     the link-layer address of that kind, NULL without one.
// Return: false an option of length 0, or one that ends behind the message.
static bool read_options(const uint8_t *at, uint32_t bytes, uint8_t kind, const uint8_t **ll)
{
	uint32_t off = 0;

	*ll = NULL;
	while (off < bytes) {
		uint32_t opt_bytes;

		if (off + 2 > bytes)
			return false;
		opt_bytes = at[off + 1] * 8u;
		if (opt_bytes == 0 || off + opt_bytes > bytes)
			return false;
		if (at[off] == kind && opt_bytes == ND_OPT_LL_BYTES && !*ll)
			*ll = at + off + 2;
		off += opt_bytes;
	}
	return !*ll || (!wire_is_group_mac(*ll) && !wire_is_zero(*ll, 6));
}

// To whoever asked; to all where they have no address yet.
static void turn_solicitation(
	const struct host_frame *f, const uint8_t *source_ll, struct host_judgement *out)
{
	static const uint8_t all_nodes[16] = { 0xff, 2, [15] = 1 };
	static const uint8_t all_nodes_mac[6] = { 0x33, 0x33, 0, 0, 0, 1 };
	const uint32_t icmp_bytes = ND_NS_BYTES + ND_OPT_LL_BYTES;
	uint8_t *ip = f->l3, *icmp = ip + IP6_BYTES;
	bool probe = wire_is_zero(ip + IP6_SRC, 16);
	uint8_t to[6];

	memcpy(to, probe ? all_nodes_mac : source_ll ? source_ll : f->eth + 6, 6);
	memmove(ip + IP6_DST, probe ? all_nodes : ip + IP6_SRC, 16);
	memcpy(ip + IP6_SRC, icmp + ND_TARGET, 16);
	wire_put16(ip + IP6_LENGTH, (uint16_t)icmp_bytes);
	icmp[0] = ND_NA;
	memset(icmp + ND_FLAGS, 0, 4);
	icmp[ND_FLAGS] = (uint8_t)(ND_FLAG_OVERRIDE | (probe ? 0 : ND_FLAG_SOLICITED));
	icmp[ND_NS_BYTES] = ND_OPT_TARGET_LL;
	icmp[ND_NS_BYTES + 1] = 1;
	memcpy(icmp + ND_NS_BYTES + 2, f->us->mac, 6);
	wire_put16(icmp + ICMP_SUM, 0);
	wire_put16(icmp + ICMP_SUM,
		wire_fold(wire_sum(icmp, icmp_bytes, wire_pseudo6(ip, icmp_bytes))));
	host_turn(f, to, IP6_BYTES + icmp_bytes, out);
	out->kind = REGION_HOST_ADVERT;
}

static void judge_solicitation(const struct host_frame *f, const uint8_t *icmp, uint32_t icmp_bytes,
	struct host_judgement *out)
{
	static const uint8_t solicited[13] = { 0xff, 2, [11] = 1, [12] = 0xff };
	const uint8_t *src = f->l3 + IP6_SRC, *ll;
	bool probe = wire_is_zero(src, 16);

	out->verdict = HOST_BAD;
	if (icmp_bytes < ND_NS_BYTES || icmp[ND_TARGET] == 0xff || src[0] == 0xff ||
		!read_options(icmp + ND_NS_BYTES, icmp_bytes - ND_NS_BYTES, ND_OPT_SOURCE_LL, &ll))
		return;
	if (probe && (ll || memcmp(f->l3 + IP6_DST, solicited, sizeof(solicited)) != 0))
		return;
	out->verdict = HOST_PASS;
	if (!host_address_find(f->us, NET_IPV6, icmp + ND_TARGET))
		return;
	if (!probe && host_address_find(f->us, NET_IPV6, src)) {
		out->conflict = true;
		out->claimed = ip6(src);
		memcpy(out->claimant, ll ? ll : f->eth + 6, 6);
		out->verdict = HOST_OTHER;
		return;
	}
	if (!probe && ll) {
		out->neighbour.ip = ip6(src);
		memcpy(out->neighbour.mac, ll, 6);
	}
	turn_solicitation(f, ll, out);
}

static void judge_advertisement(const struct host_frame *f, const uint8_t *icmp,
	uint32_t icmp_bytes, struct host_judgement *out)
{
	const uint8_t *ll, *mac;

	if (icmp_bytes < ND_NS_BYTES || icmp[ND_TARGET] == 0xff ||
		(f->l3[IP6_DST] == 0xff && (icmp[ND_FLAGS] & ND_FLAG_SOLICITED)) ||
		!read_options(
			icmp + ND_NS_BYTES, icmp_bytes - ND_NS_BYTES, ND_OPT_TARGET_LL, &ll)) {
		out->verdict = HOST_BAD;
		return;
	}
	mac = ll ? ll : f->eth + 6;
	if (host_address_find(f->us, NET_IPV6, icmp + ND_TARGET)) {
		out->conflict = memcmp(mac, f->us->mac, 6) != 0;
		out->claimed = ip6(icmp + ND_TARGET);
		memcpy(out->claimant, mac, 6);
		out->verdict = HOST_OTHER;
		return;
	}
	out->neighbour.ip = ip6(icmp + ND_TARGET);
	out->neighbour.timid = !(icmp[ND_FLAGS] & ND_FLAG_OVERRIDE);
	memcpy(out->neighbour.mac, mac, 6);
}

static void judge_router(const struct host_frame *f, const uint8_t *icmp, uint32_t icmp_bytes,
	struct host_judgement *out)
{
	const uint8_t *src = f->l3 + IP6_SRC, *ll;

	if (icmp_bytes < ND_RA_BYTES || src[0] != 0xfe || (src[1] & 0xc0) != 0x80 ||
		!read_options(
			icmp + ND_RA_BYTES, icmp_bytes - ND_RA_BYTES, ND_OPT_SOURCE_LL, &ll)) {
		out->verdict = HOST_BAD;
		return;
	}
	out->neighbour = (struct host_neighbour){
		.ip = ip6(src), .router = true, .lifetime_s = wire_get16(icmp + ND_RA_LIFETIME)
	};
	memcpy(out->neighbour.mac, ll ? ll : f->eth + 6, 6);
}

void host_judge_nd(
	const struct host_frame *f, uint8_t *icmp, uint32_t icmp_bytes, struct host_judgement *out)
{
	if (f->l3[IP6_HOPS] != HOP_LIMIT_ND || icmp[1] != 0) {
		out->verdict = HOST_BAD;
		return;
	}
	switch (icmp[0]) {
	case ND_NS:
		judge_solicitation(f, icmp, icmp_bytes, out);
		break;
	case ND_NA:
		judge_advertisement(f, icmp, icmp_bytes, out);
		break;
	case ND_RA:
		judge_router(f, icmp, icmp_bytes, out);
		break;
	default: // we are no router
		break;
	}
}
