#include "dataplane/host/judge.h"

#include "dataplane/host/priv/judges.h"
#include "dataplane/host/wire.h"

void host_turn(const struct host_frame *f, const uint8_t to[6], uint32_t l3_bytes,
	struct host_judgement *out)
{
	uint32_t bytes = f->l2_bytes + l3_bytes;

	memmove(f->eth, to, 6);
	memcpy(f->eth + 6, f->us->mac, 6);
	// What was behind a short request is not ours to send back.
	if (bytes < ETH_MIN_BYTES) {
		memset(f->eth + bytes, 0, ETH_MIN_BYTES - bytes);
		bytes = ETH_MIN_BYTES;
	}
	out->verdict = HOST_REPLY;
	out->bytes = (uint16_t)bytes;
}

static bool is_our_vlan(const struct host_addresses *us, bool tagged, uint16_t tci)
{
	return us->vlan == 0 || (tagged && (tci & 0xfff) == us->vlan);
}

// Return: the EtherType; 0 not for us, and the verdict is set.
static uint16_t open_frame(struct host_frame *f, uint16_t have, struct host_judgement *out)
{
	uint16_t type, tci = 0;
	bool tagged;

	out->verdict = HOST_BAD;
	if (have < ETH_BYTES || wire_is_group_mac(f->eth + 6))
		return 0;
	f->l2_bytes = ETH_BYTES;
	type = wire_get16(f->eth + 12);
	tagged = type == ETH_TYPE_VLAN;
	if (tagged) {
		if (have < ETH_BYTES + ETH_TAG_BYTES)
			return 0;
		f->l2_bytes = ETH_BYTES + ETH_TAG_BYTES;
		tci = wire_get16(f->eth + 14);
		type = wire_get16(f->eth + 16);
	}
	f->l3 = f->eth + f->l2_bytes;
	f->l3_bytes = (uint32_t)(have - f->l2_bytes);
	f->to_all = wire_is_group_mac(f->eth);
	out->verdict = HOST_OTHER;
	if (!is_our_vlan(f->us, tagged, tci) || memcmp(f->eth + 6, f->us->mac, 6) == 0 ||
		(!f->to_all && memcmp(f->eth, f->us->mac, 6) != 0))
		return 0;
	out->verdict = HOST_PASS;
	return type ? type : 1; // a length of 802.3 too
}

void host_judge(const struct host_addresses *us, uint8_t *frame, uint16_t have, uint16_t cap,
	struct host_judgement *out)
{
	struct host_frame f = { .us = us, .eth = frame };

	*out = (struct host_judgement){ .verdict = HOST_BAD };
	if (cap < HOST_ROOM_BYTES || cap < have)
		return;
	switch (open_frame(&f, have, out)) {
	case ETH_TYPE_ARP:
		host_judge_arp(&f, out);
		break;
	case ETH_TYPE_IPV4:
		host_judge_ipv4(&f, out);
		break;
	case ETH_TYPE_IPV6:
		host_judge_ipv6(&f, out);
		break;
	default:
		break;
	}
	if (out->verdict == HOST_BAD || out->verdict == HOST_OTHER)
		out->neighbour = (struct host_neighbour){ 0 };
}
