// The steering program, packet by packet: each is run through the loaded program in the kernel, and
// verdict, counter and bytes are checked.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ebpf/steer.h"
#include "tests/unit/ebpf/packet.h"
#include "tests/unit/ebpf/steer_env.h"

enum {
	MEDIA_PORT = 8189,
	INGEST_PORT = 20000,
	OTHER_PORT = 53,
	GROUP_PORT = 20002,
	SRTCP_BYTE = 0x80,
	STUN_BYTE = 0,
	DTLS_BYTE = 22,
	MAX_CPUS = 1024,
	NS_PER_MS = 1000000,
};

#define GROUP4                \
	{                     \
		239, 77, 0, 1 \
	}
#define GROUP6                    \
	{                         \
		0xff, 5, [15] = 1 \
	}

static const char *steer_path;

// One loaded copy of the program, with an AF_XDP socket at queue 0.
struct steer {
	struct bpf_object *obj;
	int prog_fd, ports_fd, limits_fd, counters_fd, xsks_fd;
	int socket_fd;
	int n_cpus;
};

static const int VERDICTS[STEER_CNT_MAX] = {
	[STEER_CNT_PASSED] = XDP_PASS,
	[STEER_CNT_MEDIA] = XDP_REDIRECT,
	[STEER_CNT_INGEST] = XDP_REDIRECT,
	[STEER_CNT_FRAGMENT] = XDP_PASS,
	[STEER_CNT_STUN_LIMITED] = XDP_DROP,
	[STEER_CNT_DTLS_LIMITED] = XDP_DROP,
	[STEER_CNT_NO_SOCKET] = XDP_PASS,
};

static void set_port(struct steer *steer, uint32_t port, uint32_t port_class)
{
	assert_int_equal(bpf_map_update_elem(steer->ports_fd, &port, &port_class, BPF_ANY), 0);
}

static void set_group(struct steer *steer, const struct steer_group *group)
{
	int fd = steer_env_map(steer->obj, STEER_MAP_GROUPS);

	assert_int_equal(bpf_map_update_elem(fd, group, &(uint32_t){ 1 }, BPF_ANY), 0);
}

static void set_limits(struct steer *steer, struct steer_limits limits)
{
	uint32_t zero = 0;

	assert_int_equal(bpf_map_update_elem(steer->limits_fd, &zero, &limits, BPF_ANY), 0);
}

static void set_socket(struct steer *steer, uint32_t queue)
{
	assert_int_equal(
		bpf_map_update_elem(steer->xsks_fd, &queue, &steer->socket_fd, BPF_ANY), 0);
}

static int setup(void **state)
{
	static struct steer steer;

	memset(&steer, 0, sizeof(steer));
	steer.obj = steer_env_load(steer_path);
	assert_non_null(steer.obj);
	steer.prog_fd = steer_env_prog(steer.obj);
	steer.ports_fd = steer_env_map(steer.obj, STEER_MAP_PORTS);
	steer.limits_fd = steer_env_map(steer.obj, STEER_MAP_LIMITS);
	steer.counters_fd = steer_env_map(steer.obj, STEER_MAP_COUNTERS);
	steer.xsks_fd = steer_env_map(steer.obj, STEER_MAP_XSKS);
	steer.n_cpus = libbpf_num_possible_cpus();
	assert_in_range(steer.n_cpus, 1, MAX_CPUS);
	// An unbound socket is enough for the map, and no packet is delivered in a test run.
	steer.socket_fd = socket(AF_XDP, SOCK_RAW, 0);
	assert_true(steer.socket_fd >= 0);
	set_socket(&steer, 0);
	set_port(&steer, MEDIA_PORT, STEER_MEDIA);
	set_port(&steer, INGEST_PORT, STEER_INGEST);
	set_port(&steer, GROUP_PORT, STEER_GROUP);
	set_group(&steer, &(struct steer_group){ GROUP4, GROUP_PORT, 4 });
	set_group(&steer, &(struct steer_group){ GROUP6, GROUP_PORT, 6 });
	*state = &steer;
	return 0;
}

static int teardown(void **state)
{
	struct steer *steer = *state;

	close(steer->socket_fd);
	bpf_object__close(steer->obj);
	return 0;
}

static void read_counters(const struct steer *steer, uint64_t counts[STEER_CNT_MAX])
{
	uint64_t per_cpu[MAX_CPUS] = { 0 };

	for (uint32_t key = 0; key < STEER_CNT_MAX; key++) {
		counts[key] = 0;
		assert_int_equal(bpf_map_lookup_elem(steer->counters_fd, &key, per_cpu), 0);
		for (int cpu = 0; cpu < steer->n_cpus; cpu++)
			counts[key] += per_cpu[cpu];
	}
}

// Run one packet as if received on a queue (ctx NULL: queue 0 of the loopback).
// Return: the one counter that moved, and its verdict and the bytes are as they should be; -1 if
// not, the reason on stderr.
static int run_on(
	struct steer *steer, const char *name, const struct packet *pkt, struct xdp_md *ctx)
{
	uint64_t before[STEER_CNT_MAX], after[STEER_CNT_MAX];
	uint8_t out[PACKET_MAX_BYTES] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = pkt->bytes, .data_size_in = pkt->n_bytes,
		.data_out = out, .data_size_out = sizeof(out), .ctx_in = ctx,
		.ctx_size_in = ctx ? sizeof(*ctx) : 0);
	int moved = -1, n_moved = 0, rc;

	read_counters(steer, before);
	rc = bpf_prog_test_run_opts(steer->prog_fd, &opts);
	assert_int_equal(rc, 0);
	read_counters(steer, after);
	for (int i = 0; i < STEER_CNT_MAX; i++) {
		n_moved += (int)(after[i] - before[i]);
		if (after[i] != before[i])
			moved = i;
	}
	if (n_moved != 1 || (int)opts.retval != VERDICTS[moved] ||
		opts.data_size_out != pkt->n_bytes || memcmp(out, pkt->bytes, pkt->n_bytes) != 0) {
		fprintf(stderr, "%s, %u bytes: verdict %u, %d counted, last counter %d\n", name,
			pkt->n_bytes, opts.retval, n_moved, moved);
		return -1;
	}
	return moved;
}

static int run_spec(struct steer *steer, const struct packet_spec *spec)
{
	struct packet pkt;

	packet_build(spec, &pkt);
	return run_on(steer, spec->name, &pkt, NULL);
}

// An ordinary datagram to the media port.
static struct packet_spec media(uint8_t version, uint8_t last_source_byte, uint8_t first_byte)
{
	struct packet_spec spec = {
		.name = "media",
		.version = version,
		.port = MEDIA_PORT,
		.first_byte = first_byte,
		.payload_bytes = 20,
	};

	spec.source[0] = version == 4 ? 198 : 0xfd;
	spec.source[version == 4 ? 3 : 15] = last_source_byte;
	return spec;
}

static int run_media(struct steer *steer, uint8_t version, uint8_t source, uint8_t first_byte)
{
	struct packet_spec spec = media(version, source, first_byte);

	return run_spec(steer, &spec);
}

static const struct {
	struct packet_spec spec;
	enum steer_counter expect;
} PACKETS[] = {
	{ { "v4 media", .version = 4, .port = MEDIA_PORT, .payload_bytes = 9 }, STEER_CNT_MEDIA },
	{ { "v6 media", .version = 6, .port = MEDIA_PORT, .payload_bytes = 9 }, STEER_CNT_MEDIA },
	{ { "v4 ingest", .version = 4, .port = INGEST_PORT, .payload_bytes = 9 },
		STEER_CNT_INGEST },
	{ { "v6 ingest", .version = 6, .port = INGEST_PORT, .payload_bytes = 9 },
		STEER_CNT_INGEST },
	{ { "group", .version = 4, .to = GROUP4, .port = GROUP_PORT }, STEER_CNT_INGEST },
	{ { "v6 group", .version = 6, .to = GROUP6, .port = GROUP_PORT }, STEER_CNT_INGEST },
	{ { "group of others", .version = 4, .to = { 239, 77, 0, 2 }, .port = GROUP_PORT },
		STEER_CNT_PASSED },
	{ { "no group", .version = 4, .port = GROUP_PORT }, STEER_CNT_PASSED },
	{ { "v6 as v4", .version = 6, .to = GROUP4, .port = GROUP_PORT }, STEER_CNT_PASSED },
	{ { "group, ingest", .version = 4, .to = GROUP4, .port = INGEST_PORT }, STEER_CNT_PASSED },
	{ { "group, media", .version = 6, .to = GROUP6, .port = MEDIA_PORT }, STEER_CNT_PASSED },
	{ { "v4 other port", .version = 4, .port = OTHER_PORT, .payload_bytes = 9 },
		STEER_CNT_PASSED },
	{ { "v6 other port", .version = 6, .port = OTHER_PORT, .payload_bytes = 9 },
		STEER_CNT_PASSED },
	{ { "port below", .version = 4, .port = MEDIA_PORT - 1 }, STEER_CNT_PASSED },
	{ { "port above", .version = 4, .port = MEDIA_PORT + 1 }, STEER_CNT_PASSED },
	{ { "port, bytes swapped", .version = 4, .port = 0xfd1f }, STEER_CNT_PASSED },
	{ { "port 0", .version = 4, .port = 0 }, STEER_CNT_PASSED },
	{ { "port 65535", .version = 4, .port = 65535 }, STEER_CNT_PASSED },
	{ { "v4 empty media", .version = 4, .port = MEDIA_PORT }, STEER_CNT_MEDIA },
	{ { "v4 empty ingest", .version = 4, .port = INGEST_PORT }, STEER_CNT_INGEST },
	{ { "802.1Q v4", .tags = { ETH_P_8021Q }, .version = 4, .port = MEDIA_PORT },
		STEER_CNT_MEDIA },
	{ { "802.1Q v6", .tags = { ETH_P_8021Q }, .version = 6, .port = INGEST_PORT },
		STEER_CNT_INGEST },
	{ { "802.1ad v4", .tags = { ETH_P_8021AD }, .version = 4, .port = MEDIA_PORT },
		STEER_CNT_MEDIA },
	{ { "QinQ v4", .tags = { ETH_P_8021AD, ETH_P_8021Q }, .version = 4, .port = INGEST_PORT },
		STEER_CNT_INGEST },
	{ { "QinQ v6", .tags = { ETH_P_8021Q, ETH_P_8021Q }, .version = 6, .port = MEDIA_PORT },
		STEER_CNT_MEDIA },
	{ { "QinQ, other port", .tags = { ETH_P_8021AD, ETH_P_8021Q }, .version = 4,
		  .port = OTHER_PORT },
		STEER_CNT_PASSED },
	{ { "three tags", .tags = { ETH_P_8021AD, ETH_P_8021Q, ETH_P_8021Q }, .version = 4,
		  .port = MEDIA_PORT },
		STEER_CNT_PASSED },
	{ { "v4, 4 bytes of options", .version = 4, .options_bytes = 4, .port = MEDIA_PORT },
		STEER_CNT_MEDIA },
	{ { "v4, 40 bytes of options", .version = 4, .options_bytes = 40, .port = INGEST_PORT },
		STEER_CNT_INGEST },
	{ { "v4 header length 4", .version = 4, .ihl = 4, .port = MEDIA_PORT }, STEER_CNT_PASSED },
	{ { "v4 header length 1", .version = 4, .ihl = 1, .port = MEDIA_PORT }, STEER_CNT_PASSED },
	{ { "v4 of version 5", .version = 4, .version_nibble = 5, .port = MEDIA_PORT },
		STEER_CNT_PASSED },
	{ { "v4 header longer than the packet", .version = 4, .ihl = 15, .port = MEDIA_PORT },
		STEER_CNT_PASSED },
	{ { "v4 of version 6", .version = 4, .version_nibble = 6, .port = MEDIA_PORT },
		STEER_CNT_PASSED },
	{ { "v6 of version 4", .version = 6, .version_nibble = 4, .port = MEDIA_PORT },
		STEER_CNT_PASSED },
	{ { "v4 may not be fragmented", .version = 4, .fragment = 0x4000, .port = MEDIA_PORT },
		STEER_CNT_MEDIA },
	{ { "v4 first fragment", .version = 4, .fragment = 0x2000, .port = MEDIA_PORT },
		STEER_CNT_FRAGMENT },
	{ { "v4 middle fragment", .version = 4, .fragment = 0x2001, .port = MEDIA_PORT },
		STEER_CNT_FRAGMENT },
	{ { "v4 last fragment", .version = 4, .fragment = 0x0001, .port = MEDIA_PORT },
		STEER_CNT_FRAGMENT },
	{ { "v4 fragment far on", .version = 4, .fragment = 0x1f00, .port = MEDIA_PORT },
		STEER_CNT_FRAGMENT },
	{ { "v4 fragment, tagged", .tags = { ETH_P_8021Q }, .version = 4, .fragment = 0x2000,
		  .port = INGEST_PORT },
		STEER_CNT_FRAGMENT },
	{ { "v4 fragment of TCP", .version = 4, .protocol = IPPROTO_TCP, .fragment = 0x2000 },
		STEER_CNT_FRAGMENT },
	{ { "v6 fragment", .version = 6, .extended = true, .extension = IPPROTO_FRAGMENT,
		  .port = MEDIA_PORT },
		STEER_CNT_FRAGMENT },
	{ { "v6 hop by hop", .version = 6, .extended = true, .extension = IPPROTO_HOPOPTS,
		  .port = MEDIA_PORT },
		STEER_CNT_PASSED },
	{ { "v6 routing", .version = 6, .extended = true, .extension = IPPROTO_ROUTING,
		  .port = MEDIA_PORT },
		STEER_CNT_PASSED },
	{ { "v6 destination options", .version = 6, .extended = true, .extension = IPPROTO_DSTOPTS,
		  .port = INGEST_PORT },
		STEER_CNT_PASSED },
	{ { "v4 TCP", .version = 4, .protocol = IPPROTO_TCP, .port = MEDIA_PORT },
		STEER_CNT_PASSED },
	{ { "v6 TCP", .version = 6, .protocol = IPPROTO_TCP, .port = MEDIA_PORT },
		STEER_CNT_PASSED },
	{ { "v4 ICMP", .version = 4, .protocol = IPPROTO_ICMP, .port = MEDIA_PORT },
		STEER_CNT_PASSED },
	{ { "v6 ICMP", .version = 6, .protocol = IPPROTO_ICMPV6, .port = INGEST_PORT },
		STEER_CNT_PASSED },
	{ { "v4 UDP-Lite", .version = 4, .protocol = IPPROTO_UDPLITE, .port = MEDIA_PORT },
		STEER_CNT_PASSED },
	{ { "ARP", .ether_type = ETH_P_ARP, .payload_bytes = 40 }, STEER_CNT_PASSED },
	{ { "v4 under the v6 type", .ether_type = ETH_P_IPV6, .version = 4, .port = MEDIA_PORT,
		  .payload_bytes = 40 },
		STEER_CNT_PASSED },
	{ { "v6 under the v4 type", .ether_type = ETH_P_IP, .version = 6, .port = MEDIA_PORT },
		STEER_CNT_PASSED },
	// An EtherType and an IP protocol are different things: 17 as a type is no UDP.
	{ { "802.3 length 17", .ether_type = 17, .version = 4, .port = MEDIA_PORT },
		STEER_CNT_PASSED },
};

static void test_packets(void **state)
{
	int bad = 0;

	for (size_t i = 0; i < sizeof(PACKETS) / sizeof(PACKETS[0]); i++) {
		int got = run_spec(*state, &PACKETS[i].spec);

		if (got == (int)PACKETS[i].expect)
			continue;
		fprintf(stderr, "%s: counter %d, expected %d\n", PACKETS[i].spec.name, got,
			PACKETS[i].expect);
		bad++;
	}
	assert_int_equal(bad, 0);
}

// A packet cut anywhere before the end of its UDP header is the kernel's; from there on it is ours.
static void test_truncated(void **state)
{
	static const struct packet_spec SPECS[] = {
		{ "v4", .version = 4, .port = MEDIA_PORT, .payload_bytes = 20 },
		{ "v6", .version = 6, .port = MEDIA_PORT, .payload_bytes = 20 },
		{ "v4 with options", .version = 4, .options_bytes = 40, .port = MEDIA_PORT,
			.payload_bytes = 20 },
		{ "QinQ v4", .tags = { ETH_P_8021AD, ETH_P_8021Q }, .version = 4,
			.options_bytes = 8, .port = MEDIA_PORT, .payload_bytes = 20 },
		{ "QinQ v6", .tags = { ETH_P_8021AD, ETH_P_8021Q }, .version = 6,
			.port = MEDIA_PORT, .payload_bytes = 20 },
	};
	struct packet pkt;

	for (size_t i = 0; i < sizeof(SPECS) / sizeof(SPECS[0]); i++) {
		packet_build(&SPECS[i], &pkt);
		for (uint32_t whole = pkt.n_bytes; pkt.n_bytes >= ETH_HLEN; pkt.n_bytes--) {
			int ours = pkt.n_bytes >= pkt.payload_at;

			assert_true(whole > pkt.payload_at);
			assert_int_equal(run_on(*state, SPECS[i].name, &pkt, NULL),
				ours ? STEER_CNT_MEDIA : STEER_CNT_PASSED);
		}
	}
}

// Ports are taken and given back as streams come and go; a class that is not known is the kernel's.
static void test_port_changes(void **state)
{
	struct packet_spec spec = media(4, 1, SRTCP_BYTE);

	spec.port = 65535;
	assert_int_equal(run_spec(*state, &spec), STEER_CNT_PASSED);
	set_port(*state, 65535, STEER_INGEST);
	assert_int_equal(run_spec(*state, &spec), STEER_CNT_INGEST);
	set_port(*state, 65535, STEER_MEDIA);
	assert_int_equal(run_spec(*state, &spec), STEER_CNT_MEDIA);
	set_port(*state, 65535, STEER_INGEST + 1);
	assert_int_equal(run_spec(*state, &spec), STEER_CNT_PASSED);
	set_port(*state, 65535, STEER_PASS);
	assert_int_equal(run_spec(*state, &spec), STEER_CNT_PASSED);
}

static void test_no_socket(void **state)
{
	struct packet_spec ingest = media(6, 1, SRTCP_BYTE);
	struct steer *steer = *state;
	uint32_t queue = 0;

	ingest.port = INGEST_PORT;
	assert_int_equal(bpf_map_delete_elem(steer->xsks_fd, &queue), 0);
	assert_int_equal(run_media(steer, 4, 1, SRTCP_BYTE), STEER_CNT_NO_SOCKET);
	assert_int_equal(run_spec(steer, &ingest), STEER_CNT_NO_SOCKET);
	// A limit holds for what goes to the kernel too.
	set_limits(steer, (struct steer_limits){ .stun_pps = 1, .stun_burst = 1 });
	assert_int_equal(run_media(steer, 4, 1, STUN_BYTE), STEER_CNT_NO_SOCKET);
	assert_int_equal(run_media(steer, 4, 1, STUN_BYTE), STEER_CNT_STUN_LIMITED);
	set_socket(steer, 0);
	assert_int_equal(run_spec(steer, &ingest), STEER_CNT_INGEST);
}

// The socket is looked up by the queue the packet came on. A test run can name a queue only of a
// device that really runs XDP.
static void test_queues(void **state)
{
	struct packet_spec spec = media(4, 1, SRTCP_BYTE);
	struct steer *steer = *state;
	struct packet pkt;
	struct xdp_md ctx = { 0 };
	uint32_t queue = 0;

	packet_build(&spec, &pkt);
	assert_int_equal(steer_env_run("ip link add edge0 numrxqueues 2 type veth peer view0"), 0);
	ctx.ingress_ifindex = if_nametoindex("edge0");
	ctx.data_end = pkt.n_bytes;
	assert_int_equal(
		bpf_xdp_attach((int)ctx.ingress_ifindex, steer->prog_fd, XDP_FLAGS_DRV_MODE, NULL),
		0);
	assert_int_equal(steer_env_run("ip link set edge0 up"), 0);
	assert_int_equal(bpf_map_delete_elem(steer->xsks_fd, &queue), 0);
	set_socket(steer, 1);
	assert_int_equal(run_on(steer, "queue 0", &pkt, &ctx), STEER_CNT_NO_SOCKET);
	ctx.rx_queue_index = 1;
	assert_int_equal(run_on(steer, "queue 1", &pkt, &ctx), STEER_CNT_MEDIA);
	assert_int_equal(steer_env_run("ip link del edge0"), 0);
}

// RFC 7983 7: 0 to 3 is STUN, 20 to 63 DTLS; with a burst of one, the second of each is too many.
static void test_first_bytes(void **state)
{
	struct steer_limits one = { 1, 1, 1, 1 };

	set_limits(*state, one);
	for (int byte = 0; byte < 256; byte++) {
		enum steer_counter second = STEER_CNT_MEDIA;

		if (byte <= 3)
			second = STEER_CNT_STUN_LIMITED;
		else if (byte >= 20 && byte <= 63)
			second = STEER_CNT_DTLS_LIMITED;
		assert_int_equal(run_media(*state, 4, byte, byte), STEER_CNT_MEDIA);
		assert_int_equal(run_media(*state, 4, byte, byte), second);
	}
}

// No first byte, no kind: not the padding of a short frame, not what was cut off, not another port.
static void test_no_first_byte(void **state)
{
	struct packet_spec padded = { "padded", .version = 4, .port = MEDIA_PORT,
		.padding_bytes = 18 };
	struct packet_spec ingest = media(4, 0, STUN_BYTE);
	struct packet_spec whole = media(4, 0, STUN_BYTE);
	struct packet cut;

	ingest.port = INGEST_PORT;
	packet_build(&whole, &cut);
	cut.n_bytes = cut.payload_at;
	set_limits(*state, (struct steer_limits){ 1, 1, 1, 1 });
	for (int i = 0; i < 3; i++) {
		assert_int_equal(run_spec(*state, &padded), STEER_CNT_MEDIA);
		assert_int_equal(run_on(*state, "cut", &cut, NULL), STEER_CNT_MEDIA);
		assert_int_equal(run_spec(*state, &ingest), STEER_CNT_INGEST);
	}
}

static void expect_burst(struct steer *steer, uint8_t version, uint8_t source, uint8_t first_byte,
	int burst, enum steer_counter then)
{
	for (int i = 0; i < burst; i++)
		assert_int_equal(run_media(steer, version, source, first_byte), STEER_CNT_MEDIA);
	for (int i = 0; i < 3; i++)
		assert_int_equal(run_media(steer, version, source, first_byte), then);
}

static void test_burst(void **state)
{
	set_limits(
		*state, (struct steer_limits){
				.stun_pps = 1, .stun_burst = 20, .dtls_pps = 1, .dtls_burst = 10 });
	expect_burst(*state, 4, 1, STUN_BYTE, 20, STEER_CNT_STUN_LIMITED);
	// Neither the other kind, nor what has none, nor another source is affected.
	expect_burst(*state, 4, 1, DTLS_BYTE, 10, STEER_CNT_DTLS_LIMITED);
	expect_burst(*state, 4, 1, SRTCP_BYTE, 40, STEER_CNT_MEDIA);
	expect_burst(*state, 4, 2, STUN_BYTE, 20, STEER_CNT_STUN_LIMITED);
	expect_burst(*state, 6, 1, STUN_BYTE, 20, STEER_CNT_STUN_LIMITED);
}

// Addresses of one /64 share a bucket; the bit before it parts them.
static void test_prefix(void **state)
{
	struct packet_spec spec = media(6, 1, STUN_BYTE);

	set_limits(*state, (struct steer_limits){ .stun_pps = 1, .stun_burst = 8 });
	for (int i = 0; i < 8; i++) {
		spec.source[8 + i] ^= 0xff;
		assert_int_equal(run_spec(*state, &spec), STEER_CNT_MEDIA);
	}
	spec.source[15]++;
	assert_int_equal(run_spec(*state, &spec), STEER_CNT_STUN_LIMITED);
	spec.source[7] ^= 1;
	assert_int_equal(run_spec(*state, &spec), STEER_CNT_MEDIA);
	spec.source[0] ^= 1;
	assert_int_equal(run_spec(*state, &spec), STEER_CNT_MEDIA);
}

// An IPv4 address is not taken for the /64 that begins with the same bytes.
static void test_families_apart(void **state)
{
	struct packet_spec v4 = media(4, 1, STUN_BYTE);
	struct packet_spec v6 = media(6, 1, STUN_BYTE);

	memcpy(v4.source, (const uint8_t[]){ 32, 1, 13, 184 }, 4);
	memset(v6.source, 0, sizeof(v6.source));
	memcpy(v6.source, v4.source, 4);
	set_limits(*state, (struct steer_limits){ .stun_pps = 1, .stun_burst = 1 });
	assert_int_equal(run_spec(*state, &v4), STEER_CNT_MEDIA);
	assert_int_equal(run_spec(*state, &v6), STEER_CNT_MEDIA);
	assert_int_equal(run_spec(*state, &v4), STEER_CNT_STUN_LIMITED);
	assert_int_equal(run_spec(*state, &v6), STEER_CNT_STUN_LIMITED);
}

static void test_limits_off(void **state)
{
	static const struct steer_limits OFF[] = {
		{ .stun_pps = 0, .stun_burst = 1, .dtls_pps = 0, .dtls_burst = 1 },
		{ .stun_pps = 1, .stun_burst = 0, .dtls_pps = 1, .dtls_burst = 0 },
		{ 0 },
		// A rate beyond one packet a nanosecond limits nothing either.
		{ UINT32_MAX, 1, UINT32_MAX, 1 },
	};

	for (size_t i = 0; i < sizeof(OFF) / sizeof(OFF[0]); i++) {
		set_limits(*state, OFF[i]);
		expect_burst(*state, 4, i, STUN_BYTE, 50, STEER_CNT_MEDIA);
		expect_burst(*state, 6, i, DTLS_BYTE, 50, STEER_CNT_MEDIA);
	}
	// One off, the other on.
	set_limits(*state, (struct steer_limits){ .dtls_pps = 1, .dtls_burst = 1 });
	expect_burst(*state, 4, 9, STUN_BYTE, 50, STEER_CNT_MEDIA);
	expect_burst(*state, 4, 9, DTLS_BYTE, 1, STEER_CNT_DTLS_LIMITED);
}

// The clock that bpf_ktime_get_ns reads.
static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL * NS_PER_MS + ts.tv_nsec;
}

// Send until one gets through. Return: when it had.
static int64_t wait_for_token(struct steer *steer)
{
	int64_t give_up_ns = now_ns() + 10000LL * NS_PER_MS;

	while (run_media(steer, 4, 1, STUN_BYTE) != STEER_CNT_MEDIA)
		assert_true(now_ns() < give_up_ns);
	return now_ns();
}

// At 5 a second the first packet after a burst comes no sooner than 200 ms after its beginning, the
// second no sooner than 400 ms, however many were refused meanwhile.
static void test_refill(void **state)
{
	int64_t began_ns = now_ns();

	set_limits(*state, (struct steer_limits){ .stun_pps = 5, .stun_burst = 3 });
	for (int i = 0; i < 3; i++)
		assert_int_equal(run_media(*state, 4, 1, STUN_BYTE), STEER_CNT_MEDIA);
	assert_int_equal(run_media(*state, 4, 1, STUN_BYTE), STEER_CNT_STUN_LIMITED);
	assert_true(wait_for_token(*state) - began_ns >= 200LL * NS_PER_MS);
	assert_int_equal(run_media(*state, 4, 1, STUN_BYTE), STEER_CNT_STUN_LIMITED);
	assert_true(wait_for_token(*state) - began_ns >= 400LL * NS_PER_MS);
}

// What a slow limit ran up does not outlast it: with the new one, a burst's worth at most.
static void test_limit_changed(void **state)
{
	set_limits(*state, (struct steer_limits){ .stun_pps = 1, .stun_burst = 100 });
	expect_burst(*state, 4, 1, STUN_BYTE, 100, STEER_CNT_STUN_LIMITED);
	set_limits(*state, (struct steer_limits){ .stun_pps = 10, .stun_burst = 2 });
	assert_int_equal(run_media(*state, 4, 1, STUN_BYTE), STEER_CNT_STUN_LIMITED);
	wait_for_token(*state);
}

#define STEER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char *argv[])
{
	static const struct CMUnitTest TESTS[] = {
		STEER_TEST(test_packets),
		STEER_TEST(test_truncated),
		STEER_TEST(test_port_changes),
		STEER_TEST(test_no_socket),
		STEER_TEST(test_queues),
		STEER_TEST(test_first_bytes),
		STEER_TEST(test_no_first_byte),
		STEER_TEST(test_burst),
		STEER_TEST(test_prefix),
		STEER_TEST(test_families_apart),
		STEER_TEST(test_limits_off),
		STEER_TEST(test_refill),
		STEER_TEST(test_limit_changed),
	};
	int rc;

	if (argc != 2) {
		fprintf(stderr, "usage: %s steer.o\n", argv[0]);
		return 2;
	}
	steer_path = argv[1];
	rc = steer_env_enter();
	return rc ? rc : cmocka_run_group_tests(TESTS, NULL, NULL);
}
