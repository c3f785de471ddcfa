// The steering program: on the interface's receive side, media and ingest ports to the AF_XDP
// sockets of the data plane, everything else to the kernel.
// Loaded and attached by DPDK (net_af_xdp, xdp_prog=steer.o), which fills xsks_map; ports and
// limits are written by control, counters read by it, through the pins that steer_loader.c makes.
// Whatever it does not understand passes: a packet is dropped for being over a limit, or not at
// all.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "ebpf/steer.h"

#define NS_PER_S 1000000000ULL

enum {
	MAX_VLAN_TAGS = 2,
	IPV4_FRAGMENT = 0x3fff, // more fragments, or an offset
};

struct vlan_tag {
	__be16 tci;
	__be16 ether_type;
};

// Who is limited: an IPv4 address, or an IPv6 /64, which is what one subscriber gets.
struct source_key {
	__u32 prefix_be[2];
	__u32 version;
};

enum limited {
	LIMITED_STUN,
	LIMITED_DTLS,
	LIMITED_KINDS,
};

// A token bucket is kept as the time at which it will be full again. Each packet moves that time on
// by one packet's share of a second; more than a burst of them ahead, and the bucket is empty.
struct source {
	__u64 full_ns[LIMITED_KINDS];
};

// DPDK loads the program once for each queue, with one socket each: they share this map by its pin,
// in a bpffs that only the starting thread of the data plane sees (dataplane/port). The other maps
// carry no LIBBPF_PIN_BY_NAME: steer_loader.c pins those of the program that stays attached, so
// that a pin never outlives the run it belongs to unnoticed.
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, STEER_MAX_QUEUES);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, __u32);
} xsks_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STEER_MAX_PORTS);
	__type(key, __u32);
	__type(value, __u32);
} steer_ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, STEER_MAX_GROUPS);
	__type(key, struct steer_group);
	__type(value, __u32);
} steer_groups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct steer_limits);
} steer_limits SEC(".maps");

// Least recently used goes first, so that a flood from forged addresses cannot fill it for good.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, STEER_MAX_SOURCES);
	__type(key, struct source_key);
	__type(value, struct source);
} steer_sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, STEER_CNT_MAX);
	__type(key, __u32);
	__type(value, __u64);
} steer_counters SEC(".maps");

struct cursor {
	void *pos;
	void *end;
};

// What an IP header says comes next.
enum next {
	NEXT_OTHER,
	NEXT_FRAGMENT,
	NEXT_UDP,
};

static __always_inline void *cursor_take(struct cursor *cur, __u32 bytes)
{
	void *at = cur->pos;

	if (at + bytes > cur->end)
		return NULL;
	cur->pos = at + bytes;
	return at;
}

static __always_inline bool is_vlan(__be16 ether_type)
{
	return ether_type == bpf_htons(ETH_P_8021Q) || ether_type == bpf_htons(ETH_P_8021AD);
}

// Return: false where the frame ends too early. A third tag stands in ether_type like any other
// type that is not ours.
static __always_inline bool take_ethernet(struct cursor *cur, __be16 *ether_type)
{
	const struct ethhdr *eth = cursor_take(cur, sizeof(*eth));
	const struct vlan_tag *tag;
	__be16 type;

	if (!eth)
		return false;
	type = eth->h_proto;
	for (int i = 0; i < MAX_VLAN_TAGS && is_vlan(type); i++) {
		tag = cursor_take(cur, sizeof(*tag));
		if (!tag)
			return false;
		type = tag->ether_type;
	}
	*ether_type = type;
	return true;
}

static __always_inline enum next take_ipv4(
	struct cursor *cur, struct source_key *source, struct steer_group *to)
{
	const struct iphdr *ip = cursor_take(cur, sizeof(*ip));

	if (!ip || ip->version != 4 || ip->ihl < 5)
		return NEXT_OTHER;
	if (!cursor_take(cur, ip->ihl * 4 - sizeof(*ip)))
		return NEXT_OTHER;
	if (ip->frag_off & bpf_htons(IPV4_FRAGMENT))
		return NEXT_FRAGMENT;
	if (ip->protocol != IPPROTO_UDP)
		return NEXT_OTHER;
	source->prefix_be[0] = ip->saddr;
	source->version = 4;
	__builtin_memcpy(to->ip, &ip->daddr, sizeof(ip->daddr));
	to->version = 4;
	return NEXT_UDP;
}

// Extension headers are not walked: no viewer or encoder sends them, and the kernel can have them.
static __always_inline enum next take_ipv6(
	struct cursor *cur, struct source_key *source, struct steer_group *to)
{
	const struct ipv6hdr *ip = cursor_take(cur, sizeof(*ip));

	if (!ip || ip->version != 6)
		return NEXT_OTHER;
	if (ip->nexthdr == IPPROTO_FRAGMENT)
		return NEXT_FRAGMENT;
	if (ip->nexthdr != IPPROTO_UDP)
		return NEXT_OTHER;
	source->prefix_be[0] = ip->saddr.in6_u.u6_addr32[0];
	source->prefix_be[1] = ip->saddr.in6_u.u6_addr32[1];
	source->version = 6;
	__builtin_memcpy(to->ip, &ip->daddr, sizeof(ip->daddr));
	to->version = 6;
	return NEXT_UDP;
}

// Take one token. Several CPUs may do so at once for one source: one of two simultaneous packets is
// then not charged, and the limit a little inexact, which is cheaper than a lock on this path.
static __always_inline bool take_token(__u64 *full_ns, __u32 pps, __u32 burst)
{
	__u64 now_ns = bpf_ktime_get_ns();
	__u64 packet_ns = NS_PER_S / pps;
	__u64 latest_ns = now_ns + burst * packet_ns;
	__u64 full = *full_ns;

	if (full < now_ns)
		full = now_ns;
	// Limits may have changed since: what a slower one ran up is owed no longer than a burst.
	if (full > latest_ns)
		*full_ns = full = latest_ns;
	if (full + packet_ns > latest_ns)
		return false;
	*full_ns = full + packet_ns;
	return true;
}

// A source that finds no room in the map is let through: the data plane's own checks remain.
static __always_inline bool within_limit(
	const struct source_key *key, enum limited kind, __u32 pps, __u32 burst)
{
	struct source *source;

	if (pps == 0 || burst == 0)
		return true;
	source = bpf_map_lookup_elem(&steer_sources, key);
	if (!source) {
		struct source fresh = {};

		bpf_map_update_elem(&steer_sources, key, &fresh, BPF_NOEXIST);
		source = bpf_map_lookup_elem(&steer_sources, key);
	}
	return !source || take_token(&source->full_ns[kind], pps, burst);
}

// The first byte tells STUN and DTLS apart from SRTCP and the rest (RFC 7983 7), which the data
// plane authenticates or drops. An empty datagram has none: its frame may still carry padding.
static __always_inline enum steer_counter judge_media(
	struct cursor *cur, const struct udphdr *udp, const struct source_key *source)
{
	const __u8 *first = cursor_take(cur, 1);
	const struct steer_limits *limits;
	__u32 zero = 0;

	limits = bpf_map_lookup_elem(&steer_limits, &zero);
	if (!limits || !first || bpf_ntohs(udp->len) <= sizeof(*udp))
		return STEER_CNT_MEDIA;
	if (*first <= 3 &&
		!within_limit(source, LIMITED_STUN, limits->stun_pps, limits->stun_burst))
		return STEER_CNT_STUN_LIMITED;
	if (*first >= 20 && *first <= 63 &&
		!within_limit(source, LIMITED_DTLS, limits->dtls_pps, limits->dtls_burst))
		return STEER_CNT_DTLS_LIMITED;
	return STEER_CNT_MEDIA;
}

static __always_inline bool is_multicast(const struct steer_group *to)
{
	return to->version == 4 ? (to->ip[0] & 0xf0) == 0xe0 : to->ip[0] == 0xff;
}

// A port that is ours takes what is sent to our own addresses, or to its own group: what others
// send to the same port of another group stays with the kernel.
static __always_inline bool is_for_us(const struct steer_group *to, __u32 class)
{
	if (class == STEER_GROUP)
		return bpf_map_lookup_elem(&steer_groups, to) != NULL;
	return !is_multicast(to);
}

static __always_inline enum steer_counter judge_udp(
	struct cursor *cur, const struct source_key *source, struct steer_group *to)
{
	const struct udphdr *udp = cursor_take(cur, sizeof(*udp));
	const __u32 *class;
	__u32 port;

	if (!udp)
		return STEER_CNT_PASSED;
	port = bpf_ntohs(udp->dest);
	class = bpf_map_lookup_elem(&steer_ports, &port);
	if (!class || *class == STEER_PASS)
		return STEER_CNT_PASSED;
	to->port = (__u16)port;
	if (!is_for_us(to, *class))
		return STEER_CNT_PASSED;
	if (*class == STEER_INGEST || *class == STEER_GROUP)
		return STEER_CNT_INGEST;
	if (*class == STEER_MEDIA)
		return judge_media(cur, udp, source);
	return STEER_CNT_PASSED;
}

static __always_inline enum steer_counter judge(struct cursor *cur)
{
	struct source_key source = {};
	struct steer_group to = {};
	enum next next = NEXT_OTHER;
	__be16 ether_type;

	if (!take_ethernet(cur, &ether_type))
		return STEER_CNT_PASSED;
	if (ether_type == bpf_htons(ETH_P_IP))
		next = take_ipv4(cur, &source, &to);
	else if (ether_type == bpf_htons(ETH_P_IPV6))
		next = take_ipv6(cur, &source, &to);

	if (next == NEXT_FRAGMENT)
		return STEER_CNT_FRAGMENT;
	if (next == NEXT_UDP)
		return judge_udp(cur, &source, &to);
	return STEER_CNT_PASSED;
}

static __always_inline void count(__u32 reason)
{
	__u64 *packets = bpf_map_lookup_elem(&steer_counters, &reason);

	if (packets)
		(*packets)++;
}

// The one exit: the reason decides the verdict, and is counted.
SEC("xdp")
int millrace_steer(struct xdp_md *ctx)
{
	struct cursor cur = { (void *)(long)ctx->data, (void *)(long)ctx->data_end };
	__u32 queue = ctx->rx_queue_index;
	enum steer_counter reason = judge(&cur);

	if ((reason == STEER_CNT_MEDIA || reason == STEER_CNT_INGEST) &&
		!bpf_map_lookup_elem(&xsks_map, &queue))
		reason = STEER_CNT_NO_SOCKET;
	count(reason);
	switch (reason) {
	case STEER_CNT_MEDIA:
	case STEER_CNT_INGEST:
		return bpf_redirect_map(&xsks_map, queue, XDP_PASS);
	case STEER_CNT_STUN_LIMITED:
	case STEER_CNT_DTLS_LIMITED:
		return XDP_DROP;
	default:
		return XDP_PASS;
	}
}

char _license[] SEC("license") = "Dual BSD/GPL";
