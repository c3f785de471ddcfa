// Pings, and what else is IP.
// Source: RFC 792; RFC 1122 3.2.1.3, 3.2.2.6; RFC 4443 2.3, 4.1, 4.2.
#include "dataplane/host/priv/judges.h"
#include "dataplane/host/wire.h"

// Nobody may be made to answer a crowd, or nobody, or itself (RFC 1122 3.2.1.3).
static bool source4_valid(const struct host_frame *f, const uint8_t *ip)
{
	struct net_addr src = { .family = NET_IPV4 };

	memcpy(src.ip, ip + IP4_SRC, 4);
	if (src.ip[0] == 0 || src.ip[0] >= 224 || net_ip_is_loopback(&src) ||
		host_address_find(f->us, NET_IPV4, src.ip))
		return false;
	for (uint8_t i = 0; i < f->us->n; i++) {
		const struct host_address *a = &f->us->list[i];
		struct conf_prefix link = { .addr = a->ip, .bits = a->bits };
		uint32_t host = a->bits < 31 ? UINT32_MAX >> a->bits : 0;
		uint32_t ip_host = (uint32_t)wire_get16(src.ip) << 16 | wire_get16(src.ip + 2);

		if (host && conf_prefix_holds(&link, &src) && (ip_host & host) == host)
			return false; // the link's broadcast address
	}
	return true;
}

static void turn_echo4(const struct host_frame *f, uint32_t total, struct host_judgement *out)
{
	uint8_t *ip = f->l3, *icmp = ip + IP4_BYTES, asked[4];
	uint8_t to[6];

	memcpy(asked, ip + IP4_DST, 4);
	memcpy(ip + IP4_DST, ip + IP4_SRC, 4);
	memcpy(ip + IP4_SRC, asked, 4);
	ip[IP4_TTL] = HOP_LIMIT_SENT;
	wire_put16(ip + IP4_SUM, 0);
	wire_put16(ip + IP4_SUM, wire_fold(wire_sum(ip, IP4_BYTES, 0)));
	icmp[0] = ICMP_ECHO_REPLY;
	wire_put16(icmp + ICMP_SUM, 0);
	wire_put16(icmp + ICMP_SUM, wire_fold(wire_sum(icmp, total - IP4_BYTES, 0)));
	memcpy(to, f->eth + 6, 6);
	host_turn(f, to, total, out);
	out->kind = REGION_HOST_ECHO_REPLY;
	out->echo = true;
}

void host_judge_ipv4(const struct host_frame *f, struct host_judgement *out)
{
	const uint8_t *ip = f->l3;
	uint32_t total;

	// Options, fragments and all but pings are not for us.
	if (f->l3_bytes < IP4_BYTES + ICMP_ECHO_BYTES || ip[0] != 0x45 ||
		ip[IP4_PROTO] != PROTO_ICMP || (wire_get16(ip + IP4_FRAGMENT) & 0x3fff) ||
		ip[IP4_BYTES] != ICMP_ECHO || !host_address_find(f->us, NET_IPV4, ip + IP4_DST))
		return;
	total = wire_get16(ip + IP4_TOTAL);
	if (total < IP4_BYTES + ICMP_ECHO_BYTES || total > f->l3_bytes || f->to_all ||
		ip[IP4_BYTES + 1] != 0 || !source4_valid(f, ip) ||
		wire_fold(wire_sum(ip, IP4_BYTES, 0)) ||
		wire_fold(wire_sum(ip + IP4_BYTES, total - IP4_BYTES, 0))) {
		out->verdict = HOST_BAD;
		return;
	}
	turn_echo4(f, total, out);
}

static void turn_echo6(const struct host_frame *f, uint32_t icmp_bytes, struct host_judgement *out)
{
	uint8_t *ip = f->l3, *icmp = ip + IP6_BYTES, asked[16], to[6];

	memcpy(asked, ip + IP6_DST, 16);
	memcpy(ip + IP6_DST, ip + IP6_SRC, 16);
	memcpy(ip + IP6_SRC, asked, 16);
	ip[IP6_HOPS] = HOP_LIMIT_SENT;
	icmp[0] = ICMP6_ECHO_REPLY;
	wire_put16(icmp + ICMP_SUM, 0);
	wire_put16(icmp + ICMP_SUM,
		wire_fold(wire_sum(icmp, icmp_bytes, wire_pseudo6(ip, icmp_bytes))));
	memcpy(to, f->eth + 6, 6);
	host_turn(f, to, IP6_BYTES + icmp_bytes, out);
	out->kind = REGION_HOST_ECHO_REPLY;
	out->echo = true;
}

static void judge_echo6(const struct host_frame *f, uint32_t icmp_bytes, struct host_judgement *out)
{
	const uint8_t *ip = f->l3;

	if (!host_address_find(f->us, NET_IPV6, ip + IP6_DST))
		return;
	if (f->to_all || icmp_bytes < ICMP_ECHO_BYTES || ip[IP6_BYTES + 1] != 0 ||
		ip[IP6_SRC] == 0xff || wire_is_zero(ip + IP6_SRC, 16) ||
		host_address_find(f->us, NET_IPV6, ip + IP6_SRC)) {
		out->verdict = HOST_BAD;
		return;
	}
	turn_echo6(f, icmp_bytes, out);
}

void host_judge_ipv6(const struct host_frame *f, struct host_judgement *out)
{
	uint8_t *ip = f->l3;
	uint32_t icmp_bytes;

	// A message behind an extension header is none of ours.
	if (f->l3_bytes < IP6_BYTES + 4 || ip[0] >> 4 != 6 || ip[IP6_NEXT] != PROTO_ICMP6)
		return;
	icmp_bytes = wire_get16(ip + IP6_LENGTH);
	if (icmp_bytes < 4 || IP6_BYTES + icmp_bytes > f->l3_bytes ||
		wire_fold(wire_sum(ip + IP6_BYTES, icmp_bytes, wire_pseudo6(ip, icmp_bytes)))) {
		out->verdict = HOST_BAD;
		return;
	}
	if (ip[IP6_BYTES] == ICMP6_ECHO)
		judge_echo6(f, icmp_bytes, out);
	else if (ip[IP6_BYTES] >= ND_RS && ip[IP6_BYTES] <= ND_NA)
		host_judge_nd(f, ip + IP6_BYTES, icmp_bytes, out);
}
