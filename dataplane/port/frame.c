#include "dataplane/port/frame.h"

#include <errno.h>
#include <string.h>

#include <rte_ether.h>

enum {
	IPV4_FRAGMENT_BITS = 0x3fff, // more-fragments and the offset
	HOP_LIMIT = 64,
};

struct cursor {
	const uint8_t *data;
	uint32_t have;
	uint32_t off;
};

static const void *take(struct cursor *c, uint32_t bytes)
{
	const void *at = c->data + c->off;

	if (c->off + bytes > c->have)
		return NULL;
	c->off += bytes;
	return at;
}

// Return: EtherType in network order; 0 when cut short.
static uint16_t take_ethernet(struct cursor *c, struct net_path *path)
{
	const struct rte_ether_hdr *eth = take(c, sizeof(*eth));
	uint16_t type;

	if (!eth)
		return 0;
	memcpy(path->local_mac, &eth->dst_addr, 6);
	memcpy(path->remote_mac, &eth->src_addr, 6);
	type = eth->ether_type;
	if (type == RTE_BE16(RTE_ETHER_TYPE_VLAN)) {
		const struct rte_vlan_hdr *vlan = take(c, sizeof(*vlan));

		if (!vlan)
			return 0;
		path->has_vlan = 1;
		path->vlan_tci = rte_be_to_cpu_16(vlan->vlan_tci);
		type = vlan->eth_proto;
	}
	return type;
}

static int take_ipv4(struct cursor *c, struct net_path *path)
{
	const struct rte_ipv4_hdr *ip = take(c, sizeof(*ip));
	uint32_t hdr_bytes, total;

	if (!ip || ip->version != 4 || ip->ihl < 5)
		return drop_as_error(DROP_NOT_IP);
	hdr_bytes = ip->ihl * 4u;
	total = rte_be_to_cpu_16(ip->total_length);
	if (!take(c, hdr_bytes - (uint32_t)sizeof(*ip)) || total < hdr_bytes ||
		c->off + (total - hdr_bytes) > c->have || ip->next_proto_id != IPPROTO_UDP)
		return drop_as_error(DROP_NOT_IP);
	if (ip->fragment_offset & RTE_BE16(IPV4_FRAGMENT_BITS))
		return drop_as_error(DROP_FRAGMENT);
	c->have = c->off + (total - hdr_bytes); // what is behind is Ethernet padding
	path->remote.family = path->local.family = NET_IPV4;
	memcpy(path->remote.ip, &ip->src_addr, 4);
	memcpy(path->local.ip, &ip->dst_addr, 4);
	return 0;
}

static int take_ipv6(struct cursor *c, struct net_path *path)
{
	const struct rte_ipv6_hdr *ip = take(c, sizeof(*ip));
	uint32_t payload;

	if (!ip || (rte_be_to_cpu_32(ip->vtc_flow) >> 28) != 6 || ip->proto != IPPROTO_UDP)
		return drop_as_error(DROP_NOT_IP);
	payload = rte_be_to_cpu_16(ip->payload_len);
	if (c->off + payload > c->have)
		return drop_as_error(DROP_NOT_IP);
	c->have = c->off + payload;
	path->remote.family = path->local.family = NET_IPV6;
	memcpy(path->remote.ip, ip->src_addr, 16);
	memcpy(path->local.ip, ip->dst_addr, 16);
	return 0;
}

static int take_udp(struct cursor *c, struct frame *out)
{
	const struct rte_udp_hdr *udp = take(c, sizeof(*udp));
	uint32_t total;

	if (!udp)
		return drop_as_error(DROP_NOT_IP);
	total = rte_be_to_cpu_16(udp->dgram_len);
	if (total < sizeof(*udp) || c->off + total > c->have + (uint32_t)sizeof(*udp))
		return drop_as_error(DROP_NOT_IP);
	out->path.remote.port_be = udp->src_port;
	out->path.local.port_be = udp->dst_port;
	out->payload_off = (uint16_t)c->off;
	out->payload_bytes = (uint16_t)(total - sizeof(*udp));
	return 0;
}

// A sum that nobody finished (a veth peer, loopback) is not wrong: only the port's word counts.
static bool checksum_bad(const struct rte_mbuf *m)
{
	return (m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_BAD ||
	       (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_BAD;
}

int frame_parse(const struct rte_mbuf *m, uint8_t port_id, struct frame *out)
{
	struct cursor c = { .data = rte_pktmbuf_mtod(m, const uint8_t *), .have = m->data_len };
	struct frame f = { .path.port_id = port_id };
	int rc;

	if (m->nb_segs != 1)
		return drop_as_error(DROP_MULTI_SEGMENT);
	if (checksum_bad(m))
		return drop_as_error(DROP_BAD_CHECKSUM);
	switch (take_ethernet(&c, &f.path)) {
	case RTE_BE16(RTE_ETHER_TYPE_IPV4):
		rc = take_ipv4(&c, &f.path);
		break;
	case RTE_BE16(RTE_ETHER_TYPE_IPV6):
		rc = take_ipv6(&c, &f.path);
		break;
	default:
		rc = drop_as_error(DROP_NOT_IP);
	}
	if (rc == 0)
		rc = take_udp(&c, &f);
	if (rc == 0)
		*out = f;
	return rc;
}

static uint8_t *put_ethernet(uint8_t *at, const struct net_path *path)
{
	struct rte_ether_hdr *eth = (struct rte_ether_hdr *)at;
	uint16_t type = path->local.family == NET_IPV6 ? RTE_BE16(RTE_ETHER_TYPE_IPV6)
						       : RTE_BE16(RTE_ETHER_TYPE_IPV4);

	memcpy(&eth->dst_addr, path->remote_mac, 6);
	memcpy(&eth->src_addr, path->local_mac, 6);
	eth->ether_type = path->has_vlan ? RTE_BE16(RTE_ETHER_TYPE_VLAN) : type;
	at += sizeof(*eth);
	if (path->has_vlan) {
		struct rte_vlan_hdr *vlan = (struct rte_vlan_hdr *)at;

		vlan->vlan_tci = rte_cpu_to_be_16(path->vlan_tci);
		vlan->eth_proto = type;
		at += sizeof(*vlan);
	}
	return at;
}

static uint8_t *put_ip(uint8_t *at, const struct net_path *path, uint8_t dscp)
{
	if (path->local.family == NET_IPV4) {
		struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)at;

		*ip = (struct rte_ipv4_hdr){ .version_ihl = RTE_IPV4_VHL_DEF,
			.type_of_service = (uint8_t)(dscp << 2),
			.fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG),
			.time_to_live = HOP_LIMIT,
			.next_proto_id = IPPROTO_UDP };
		memcpy(&ip->src_addr, path->local.ip, 4);
		memcpy(&ip->dst_addr, path->remote.ip, 4);
		return at + sizeof(*ip);
	} else {
		struct rte_ipv6_hdr *ip = (struct rte_ipv6_hdr *)at;

		*ip = (struct rte_ipv6_hdr){ .vtc_flow = rte_cpu_to_be_32(
						     6u << 28 | (uint32_t)dscp << 22),
			.proto = IPPROTO_UDP,
			.hop_limits = HOP_LIMIT };
		memcpy(ip->src_addr, path->local.ip, 16);
		memcpy(ip->dst_addr, path->remote.ip, 16);
		return at + sizeof(*ip);
	}
}

int frame_template_make(struct frame_template *t, const struct net_path *path, uint8_t dscp,
	enum frame_checksum checksum)
{
	uint32_t ip_bytes = path->local.family == NET_IPV6 ? 16 : 4;
	struct frame_form *form = &t->form;
	struct rte_udp_hdr *udp;
	uint8_t *at, *ip;

	if (path->local.family != path->remote.family ||
		(path->local.family != NET_IPV4 && path->local.family != NET_IPV6) || dscp > 63)
		return -EINVAL;
	memset(t, 0, sizeof(*t));
	form->v6 = path->local.family == NET_IPV6;
	form->checksum = form->v6 && checksum == FRAME_CHECKSUM_ZERO ? FRAME_CHECKSUM_SOFTWARE
								     : checksum;
	ip = put_ethernet(t->hdr, path);
	form->l2_bytes = (uint8_t)(ip - t->hdr);
	at = put_ip(ip, path, dscp);
	if (form->v6) {
		form->ip_more = sizeof(*udp);
		form->ip_length_at = (uint8_t)(form->l2_bytes +
					       offsetof(struct rte_ipv6_hdr, payload_len));
		form->ip_sum_at = form->ip_length_at;
	} else {
		form->ip_more = sizeof(struct rte_ipv4_hdr) + sizeof(*udp);
		form->ip_sum = frame_sum(ip, sizeof(struct rte_ipv4_hdr));
		form->ip_length_at = (uint8_t)(form->l2_bytes +
					       offsetof(struct rte_ipv4_hdr, total_length));
		form->ip_sum_at = (uint8_t)(form->l2_bytes +
					    offsetof(struct rte_ipv4_hdr, hdr_checksum));
	}
	udp = (struct rte_udp_hdr *)at;
	udp->src_port = path->local.port_be;
	udp->dst_port = path->remote.port_be;
	form->hdr_bytes = (uint8_t)(at + sizeof(*udp) - t->hdr);
	form->address_sum = frame_fold((uint32_t)frame_sum(path->local.ip, ip_bytes) +
				       frame_sum(path->remote.ip, ip_bytes) +
				       RTE_BE16(IPPROTO_UDP));
	form->pseudo_sum = frame_fold((uint32_t)form->address_sum + udp->src_port + udp->dst_port);
	return 0;
}

// The compiler makes vectors of the loop, one version a kind of CPU, chosen when the program
// starts. A plain build's SSE2 takes 340 cycles for 1200 bytes.
__attribute__((optimize("O3"), target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
uint16_t
frame_sum(const void *data, size_t bytes)
{
	const uint8_t *at = data;
	size_t n_words = bytes / 4;
	uint64_t sum = 0;

	for (size_t i = 0; i < n_words; i++) {
		uint32_t word;

		memcpy(&word, at + 4 * i, 4);
		sum += word;
	}
	for (size_t i = 4 * n_words; i < bytes; i++)
		sum += (uint64_t)at[i] << (i & 1 ? 8 : 0);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	return frame_fold((uint32_t)sum);
}

// The length counts twice: in the pseudo header and in the UDP header.
void frame_put_sum(const struct frame_form *form, uint8_t *frame, uint16_t payload_bytes)
{
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(frame + form->hdr_bytes - sizeof(*udp));
	uint16_t sum = (uint16_t)~frame_fold(
		form->pseudo_sum + 2u * udp->dgram_len + frame_sum(udp + 1, payload_bytes));

	udp->dgram_cksum = sum ? sum : 0xffff;
}

void frame_stamp(const struct frame_template *t, struct rte_mbuf *m)
{
	const struct frame_form *form = &t->form;
	uint16_t payload_bytes = m->data_len;
	struct frame_sizes sizes = frame_sizes_make(form, payload_bytes);
	uint8_t *frame = (uint8_t *)rte_pktmbuf_prepend(m, form->hdr_bytes);

	memcpy(frame, t->hdr, form->hdr_bytes);
	frame_put_sizes(form, frame, &sizes);
	m->ol_flags |= frame_ol_flags(form);
	m->tx_offload = frame_tx_offload(form);
	if (form->checksum == FRAME_CHECKSUM_SOFTWARE)
		frame_put_sum(form, frame, payload_bytes);
}
