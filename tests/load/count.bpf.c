// The far end of a measurement of delivery: counts RTP by viewer and payload type as it comes off
// the wire, lets a little of it through to the viewers' sockets, and drops the rest, since no
// sockets could take it at that rate. STUN, DTLS, RTCP and whatever else is there passes.
// What goes on to the sockets is all that comes in the first milliseconds of a period: the same
// packets of the source for every viewer, without a gap, so that they can be compared.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "tests/load/count.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct count_conf);
} count_conf SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNT_PORTS);
	__type(key, __u32);
	__type(value, struct count_port);
} count_ports SEC(".maps");

// What the program reads of a frame, in one piece: one comparison finds it all there.
struct frame {
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
	__u8 rtp[12];
} __attribute__((packed));

static __always_inline int is_media(const struct frame *f, const struct count_conf *conf)
{
	return f->eth.h_proto == bpf_htons(ETH_P_IP) && f->ip.version == 4 && f->ip.ihl == 5 &&
	       f->ip.protocol == IPPROTO_UDP && f->udp.source == bpf_htons(conf->media_port) &&
	       f->rtp[0] >> 6 == 2;
}

static __always_inline enum count_kind kind_of(const struct frame *f, const struct count_conf *conf)
{
	__u8 second = f->rtp[1], payload_type = second & 0x7f;

	if (second >= 192 && second <= 223)
		return COUNT_RTCP;
	if (payload_type == conf->payload_types[COUNT_VIDEO])
		return COUNT_VIDEO;
	if (payload_type == conf->payload_types[COUNT_AUDIO])
		return COUNT_AUDIO;
	return COUNT_OTHER_RTP;
}

static __always_inline int is_open(const struct count_conf *conf)
{
	return conf->every_ns && bpf_ktime_get_ns() % conf->every_ns < conf->open_ns;
}

SEC("xdp")
int load_count(struct xdp_md *ctx)
{
	const struct frame *f = (const void *)(long)ctx->data;
	const struct count_conf *conf;
	struct count_port *port;
	__u32 key = 0;
	enum count_kind kind;

	if ((const void *)(f + 1) > (const void *)(long)ctx->data_end)
		return XDP_PASS;
	conf = bpf_map_lookup_elem(&count_conf, &key);
	if (!conf || !is_media(f, conf))
		return XDP_PASS;
	key = bpf_ntohs(f->udp.dest);
	port = bpf_map_lookup_elem(&count_ports, &key);
	if (!port)
		return XDP_PASS;
	kind = kind_of(f, conf);
	port->packets[kind]++;
	if (kind == COUNT_RTCP)
		return XDP_PASS;
	port->bytes += bpf_ntohs(f->udp.len) - sizeof(f->udp);
	if (!is_open(conf))
		return XDP_DROP;
	port->passed++;
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
