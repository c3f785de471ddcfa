// A last mile that loses packets: of what comes from the edge's media port it drops each by chance,
// or all for a while. It counts by kind; whatever else is there passes.
// Chance has no seed (bpf_get_prandom_u32): no two runs lose the same packets.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/stddef.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "tests/quality/lose.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lose_conf);
} lose_conf SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lose_count);
} lose_count SEC(".maps");

// What the program reads behind the IP header.
struct datagram {
	struct udphdr udp;
	__u8 payload[2];
};

// Return: the datagram where one stands, without options or extension headers before it; or NULL.
static __always_inline const struct datagram *find_datagram(const struct xdp_md *ctx)
{
	const void *end = (const void *)(long)ctx->data_end;
	const struct ethhdr *eth = (const void *)(long)ctx->data;
	const struct iphdr *ip4 = (const void *)(eth + 1);
	const struct ipv6hdr *ip6 = (const void *)(eth + 1);
	const struct datagram *d = NULL;

	if ((const void *)(ip4 + 1) > end)
		return NULL;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		if (ip4->version != 4 || ip4->ihl != 5 || ip4->protocol != IPPROTO_UDP)
			return NULL;
		d = (const void *)(ip4 + 1);
	} else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		if ((const void *)(ip6 + 1) > end || ip6->nexthdr != IPPROTO_UDP)
			return NULL;
		d = (const void *)(ip6 + 1);
	}
	return d && (const void *)(d + 1) <= end ? d : NULL;
}

static __always_inline enum lose_kind kind_of(const struct datagram *d)
{
	if (d->payload[0] >> 6 != 2)
		return LOSE_OTHER;
	return d->payload[1] >= 192 && d->payload[1] <= 223 ? LOSE_RTCP : LOSE_RTP;
}

SEC("xdp")
int last_mile(struct xdp_md *ctx)
{
	const struct datagram *d = find_datagram(ctx);
	const struct lose_conf *conf;
	struct lose_count *count;
	enum lose_kind kind;
	__u32 key = 0;

	if (!d)
		return XDP_PASS;
	conf = bpf_map_lookup_elem(&lose_conf, &key);
	count = bpf_map_lookup_elem(&lose_count, &key);
	if (!conf || !count || d->udp.source != bpf_htons(conf->media_port))
		return XDP_PASS;
	kind = kind_of(d);
	count->seen[kind]++;
	if (conf->spare[kind])
		return XDP_PASS;
	if (bpf_ktime_get_ns() < conf->burst_until_ns) {
		count->burst[kind]++;
		return XDP_DROP;
	}
	if (bpf_get_prandom_u32() % 1000 < conf->permille) {
		count->lost[kind]++;
		return XDP_DROP;
	}
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
