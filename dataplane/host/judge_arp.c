// Address resolution for IPv4.
// Source: RFC 826; RFC 5227 2.1.1, 2.4.
#include "dataplane/host/priv/judges.h"
#include "dataplane/host/wire.h"

static struct net_addr ip4(const uint8_t *at)
{
	struct net_addr out = { .family = NET_IPV4 };

	memcpy(out.ip, at, 4);
	return out;
}

static bool arp_valid(const struct host_frame *f)
{
	static const uint8_t ethernet_ipv4[6] = { 0, 1, 8, 0, 6, 4 };
	const uint8_t *arp = f->l3;
	struct net_addr sender;

	if (f->l3_bytes < ARP_BYTES || memcmp(arp, ethernet_ipv4, sizeof(ethernet_ipv4)) != 0)
		return false;
	sender = ip4(arp + ARP_SPA);
	return !wire_is_group_mac(arp + ARP_SHA) && !wire_is_zero(arp + ARP_SHA, 6) &&
	       !net_ip_is_multicast(&sender) && !net_ip_is_loopback(&sender) &&
	       wire_get16(arp + ARP_SPA) != 0xffff;
}

static void turn_request(const struct host_frame *f, struct host_judgement *out)
{
	uint8_t *arp = f->l3;
	uint8_t asked[4];

	memcpy(asked, arp + ARP_TPA, 4);
	wire_put16(arp + ARP_OP, ARP_REPLY);
	memcpy(arp + ARP_THA, arp + ARP_SHA, 10); // and the protocol address behind
	memcpy(arp + ARP_SHA, f->us->mac, 6);
	memcpy(arp + ARP_SPA, asked, 4);
	host_turn(f, arp + ARP_THA, ARP_BYTES, out);
	out->kind = REGION_HOST_ARP_REPLY;
}

void host_judge_arp(const struct host_frame *f, struct host_judgement *out)
{
	const uint8_t *arp = f->l3;
	uint16_t op;

	if (!arp_valid(f)) {
		out->verdict = HOST_BAD;
		return;
	}
	op = wire_get16(arp + ARP_OP);
	if (host_address_find(f->us, NET_IPV4, arp + ARP_SPA)) {
		// Nobody but us has it; a card that hears itself was sorted out before.
		out->conflict = memcmp(arp + ARP_SHA, f->us->mac, 6) != 0;
		out->claimed = ip4(arp + ARP_SPA);
		memcpy(out->claimant, arp + ARP_SHA, 6);
		out->verdict = HOST_OTHER;
		return;
	}
	// A probe (RFC 5227) has no sender yet.
	if (!wire_is_zero(arp + ARP_SPA, 4)) {
		out->neighbour.ip = ip4(arp + ARP_SPA);
		memcpy(out->neighbour.mac, arp + ARP_SHA, 6);
	}
	if (op == ARP_REQUEST && host_address_find(f->us, NET_IPV4, arp + ARP_TPA))
		turn_request(f, out);
}
