#include "tests/unit/fanout/edge_kit.h"

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mempool.h>

enum {
	MAX_STEPS = 100, // that a command may take
	POOL_MBUFS = 4095,
	POOL_CACHE_MBUFS = 256, // last in, first out: what is let go too early is overwritten soon
};

struct edge_kit kit;

static const struct region_sizes kit_sizes = { KIT_WORKERS, KIT_STREAMS, KIT_PEERS };

static struct rte_mempool *pool;
static struct rte_ring *rx_rings[KIT_WORKERS], *tx_rings[KIT_WORKERS];

// ---- once a program ----------------------------------------------------------------------------

static int start_port(uint16_t port_id)
{
	struct rte_eth_conf conf = { 0 };

	if (rte_eth_dev_configure(port_id, 1, 1, &conf) < 0 ||
		rte_eth_rx_queue_setup(port_id, 0, 256, SOCKET_ID_ANY, NULL, pool) < 0 ||
		rte_eth_tx_queue_setup(port_id, 0, 256, SOCKET_ID_ANY, NULL) < 0)
		return -1;
	return rte_eth_dev_start(port_id);
}

// Ports 2 w and 2 w + 1 are what worker w receives from and sends to: what goes into one end of
// such a port's ring comes out of the other.
static int start_ports(void)
{
	for (uint16_t port = 0; port < 2 * KIT_WORKERS; port++) {
		char name[32];

		snprintf(name, sizeof(name), "ETH_RXTX0_net_ring%u", port);
		(port % 2 ? tx_rings : rx_rings)[port / 2] = rte_ring_lookup(name);
		if (!rte_ring_lookup(name) || start_port(port) < 0)
			return -1;
	}
	return 0;
}

int kit_group_setup(void **state)
{
	char *argv[] = { (char *)"test", (char *)"--no-huge", (char *)"--no-shconf",
		(char *)"--no-pci", (char *)"--no-telemetry", (char *)"--log-level=error",
		(char *)"-m128", (char *)"--lcores=0", (char *)"--vdev=net_ring0",
		(char *)"--vdev=net_ring1", (char *)"--vdev=net_ring2", (char *)"--vdev=net_ring3",
		NULL };

	if (rte_eal_init((int)(sizeof(argv) / sizeof(argv[0])) - 1, argv) < 0)
		return -1;
	pool = rte_pktmbuf_pool_create("kit", POOL_MBUFS, POOL_CACHE_MBUFS, sizeof(struct packet),
		RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (!pool || start_ports() < 0)
		return -1;
	return srtp_init() == srtp_err_status_ok ? 0 : -1;
}

int kit_group_teardown(void **state)
{
	srtp_shutdown();
	for (uint16_t port = 0; port < 2 * KIT_WORKERS; port++) {
		rte_eth_dev_stop(port);
		rte_eth_dev_close(port);
	}
	rte_mempool_free(pool);
	return rte_eal_cleanup();
}

// ---- once a test -------------------------------------------------------------------------------

static void conf_make(struct conf *conf)
{
	conf->dataplane.n_cores = KIT_WORKERS;
	conf->media.port = KIT_MEDIA_PORT;
	conf->media.dscp = 34;
	conf->media.history_mib = 1;
	conf->media.repair_percent = 50;
}

static int start_workers(void)
{
	kit.ports.n_workers = KIT_WORKERS;
	kit.edge = (struct edge){ .conf = &kit.conf,
		.region = &kit.region,
		.ports = &kit.ports,
		.workers = kit.workers,
		.n_workers = KIT_WORKERS,
		.media_port_be = htons(KIT_MEDIA_PORT),
		.max_payload = 1500 - REGION_OVERHEAD_BYTES,
		.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.ntp_base = 0xe5000000ULL << 32,
		.viewers_on = kit.viewers_on,
		.kept = keep_table(KIT_STREAMS),
		.key_wanted = kit.key_wanted };
	assert_non_null(kit.edge.kept);
	if (endpoints_create(KIT_PEERS, KIT_WORKERS, &kit.edge.endpoints) < 0)
		return -1;
	for (uint16_t w = 0; w < KIT_WORKERS; w++) {
		struct port_share *share = &kit.ports.workers[w];

		share->rx[0].port_id = (uint16_t)(2 * w);
		share->n_rx = 1;
		share->tx.port_id = (uint16_t)(2 * w + 1);
		share->pool = pool;
		if (worker_init(&kit.workers[w], &kit.edge, w) < 0)
			return -1;
		endpoints_online(kit.edge.endpoints, w);
	}
	return 0;
}

static void end_workers(void)
{
	for (uint16_t w = 0; w < KIT_WORKERS; w++) {
		worker_fini(&kit.workers[w]);
		endpoints_offline(kit.edge.endpoints, w);
		kit_forget_sent(w);
	}
	keep_table_free(kit.edge.kept, KIT_STREAMS);
	endpoints_destroy(kit.edge.endpoints);
	close(kit.edge.wake_fd);
}

int kit_setup(void **state)
{
	memset(&kit, 0, sizeof(kit));
	conf_make(&kit.conf);
	return region_create(&kit_sizes, &kit.region) < 0 ? -1 : start_workers();
}

void kit_restart(void)
{
	struct region next;

	end_workers();
	memset(kit.workers, 0, sizeof(kit.workers));
	memset(kit.viewers_on, 0, sizeof(kit.viewers_on));
	memset(kit.key_wanted, 0, sizeof(kit.key_wanted));
	assert_int_equal(region_take_up(dup(kit.region.fd), &kit_sizes, &next), 0);
	region_settled(&next);
	region_fini(&kit.region);
	kit.region = next;
	assert_int_equal(start_workers(), 0);
	command_adopt(&kit.edge);
}

int kit_teardown(void **state)
{
	end_workers();
	region_fini(&kit.region);
	if (rte_mempool_avail_count(pool) == POOL_MBUFS)
		return 0;
	print_error("%u mbufs did not come back\n", POOL_MBUFS - rte_mempool_avail_count(pool));
	return -1;
}

// ---- control -----------------------------------------------------------------------------------

struct region_stream_conf *kit_stream_fill(uint16_t slot, uint16_t owner)
{
	struct region_stream_conf *conf = &kit.region.streams[slot].conf;

	*conf = (struct region_stream_conf){ .generation = 1,
		.owner = owner,
		.id = "live",
		.legs = {
			[LEG_VIDEO] = { .present = 1,
				.payload_type = KIT_VIDEO_PT,
				.port = (uint16_t)(KIT_VIDEO_PORT + 10 * slot) },
			[LEG_AUDIO] = { .present = 1,
				.payload_type = KIT_AUDIO_PT,
				.port = (uint16_t)(KIT_AUDIO_PORT + 10 * slot) },
		} };
	return conf;
}

int kit_stream_set(uint16_t slot)
{
	int rc = 0;

	for (uint16_t w = 0; w < KIT_WORKERS && rc == 0; w++)
		rc = kit_command(
			w, RING_STREAM_SET, slot, kit.region.streams[slot].conf.generation);
	return rc;
}

static void master_make(struct srtp_master *m, uint16_t profile, int seed)
{
	struct srtp_profile_sizes sizes = srtp_profile_sizes(profile);

	memset(m, 0, sizeof(*m));
	for (int i = 0; i < sizes.key_bytes; i++)
		m->key[i] = (uint8_t)(seed * 37 + i);
	for (int i = 0; i < sizes.salt_bytes; i++)
		m->salt[i] = (uint8_t)(seed * 11 + i * 3);
}

static struct region_peer_leg leg_fill(uint16_t slot, enum leg_kind leg)
{
	struct region_peer_leg l = { .enabled = 1,
		.payload_type = (uint8_t)(leg == LEG_VIDEO ? 102 : 109),
		.mid_ext_id = 4,
		.mid_bytes = (uint8_t)(leg == LEG_VIDEO ? 1 : 5),
		.ssrc = 0x1000u * (slot + 1u) + leg + 1,
		.ts_base = 0xfffffff0u + slot * 12345u,
		.seq_base = (uint16_t)(32767 - slot * 1000),
		.nack = 1 };

	if (leg == LEG_VIDEO) {
		l.rtx_ssrc = l.ssrc + 0x100;
		l.rtx_payload_type = KIT_RTX_PT;
		l.rtx_seq_base = (uint16_t)(20000 + slot);
	}
	memcpy(l.mid, leg == LEG_VIDEO ? "0" : "sound", l.mid_bytes);
	return l;
}

struct region_peer_conf *kit_peer_fill(
	uint16_t slot, uint16_t stream, uint16_t worker, uint16_t profile)
{
	struct region_peer_conf *conf = &kit.region.peers[slot].conf;

	*conf = (struct region_peer_conf){ .generation = 1,
		.stream = stream,
		.worker = worker,
		.profile = profile,
		.phase = REGION_PEER_READY,
		.stream_generation = kit.region.streams[stream].conf.generation,
		.key_id = 1,
		.path = { .local = kit_addr("198.18.77.1", KIT_MEDIA_PORT),
			.remote = kit_viewer_addr(slot),
			.local_mac = { 2, 0, 0, 0, 0, 1 },
			.remote_mac = { 2, 0, 0, 0, 0, 2 } },
		.legs = { leg_fill(slot, LEG_VIDEO), leg_fill(slot, LEG_AUDIO) },
		.cname = "mill" };
	master_make(&conf->local, profile, 2 * slot + 1);
	master_make(&conf->remote, profile, 2 * slot + 2);
	return conf;
}

void kit_peer_add(uint16_t slot, uint16_t stream, uint16_t worker, uint16_t profile)
{
	struct region_peer_conf *conf = kit_peer_fill(slot, stream, worker, profile);

	conf->phase = REGION_PEER_RESERVED;
	assert_int_equal(kit_command(worker, RING_PEER_ADD, slot, 1), 0);
	conf->phase = REGION_PEER_READY;
	assert_int_equal(kit_command(worker, RING_PEER_UPDATE, slot, 1), 0);
}

// Return: whether the acknowledgement of seq was among them.
static bool take_events(uint16_t worker, uint64_t seq, struct ring_event *ack)
{
	struct ring_event e;
	bool found = false;

	while (ring_get(kit.region.rings[worker].event, &e, sizeof(e)) == 0) {
		if (e.kind == RING_ACK && e.seq == seq) {
			*ack = e;
			found = true;
		} else if (kit.n_events < KIT_MAX_EVENTS) {
			kit.events[kit.n_events++] = e;
		}
	}
	return found;
}

void kit_events(uint16_t worker)
{
	struct ring_event ack;

	assert_false(take_events(worker, UINT64_MAX, &ack));
}

unsigned int kit_count_events(enum ring_event_kind kind, uint8_t leg)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < kit.n_events; i++)
		n += kit.events[i].kind == kind && kit.events[i].leg == leg;
	return n;
}

int kit_command(uint16_t worker, enum ring_command_kind kind, uint16_t slot, uint32_t generation)
{
	const struct ring_command c = { .seq = ++kit.command_seq,
		.kind = (uint8_t)kind,
		.slot = slot,
		.generation = generation };
	struct ring_event ack;
	bool done = false;

	assert_int_equal(ring_put(kit.region.rings[worker].command, &c, sizeof(c)), 0);
	for (int steps = 0; steps < MAX_STEPS && !done; steps++) {
		kit_step(worker);
		done = take_events(worker, c.seq, &ack);
	}
	assert_true(done);
	assert_int_equal(ack.slot, slot);
	assert_int_equal(ack.generation, generation);
	return ack.status;
}

// ---- the wire ----------------------------------------------------------------------------------

struct net_addr kit_addr(const char *ip, uint16_t port)
{
	struct net_addr addr;

	assert_int_equal(net_ip_parse(ip, &addr), 0);
	addr.port_be = htons(port);
	return addr;
}

struct net_addr kit_viewer_addr(uint16_t slot)
{
	return kit_addr("198.18.77.2", (uint16_t)(5000 + slot));
}

void kit_feed(uint16_t worker, const struct net_addr *from, uint16_t to_port,
	const uint8_t *payload, uint16_t payload_bytes)
{
	const struct net_addr to = kit_addr("198.18.77.1", to_port);

	kit_feed_to(worker, from, &to, payload, payload_bytes);
}

void kit_feed_to(uint16_t worker, const struct net_addr *from, const struct net_addr *to,
	const uint8_t *payload, uint16_t payload_bytes)
{
	const struct net_path path = { .local = *from,
		.remote = *to,
		.local_mac = { 2, 0, 0, 0, 0, 2 },
		.remote_mac = { 2, 0, 0, 0, 0, 1 } };
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	struct frame_template frame;

	assert_non_null(m);
	assert_int_equal(frame_template_make(&frame, &path, 0, FRAME_CHECKSUM_SOFTWARE), 0);
	memcpy(rte_pktmbuf_append(m, payload_bytes), payload, payload_bytes);
	frame_stamp(&frame, m);
	assert_int_equal(rte_ring_enqueue(rx_rings[worker], m), 0);
}

void kit_feed_frame(uint16_t worker, const uint8_t *frame, uint16_t bytes)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	assert_non_null(m);
	memcpy(rte_pktmbuf_append(m, bytes), frame, bytes);
	assert_int_equal(rte_ring_enqueue(rx_rings[worker], m), 0);
}

uint16_t kit_sent_frame(uint16_t worker, uint8_t frame[KIT_PKT_BYTES])
{
	struct rte_mbuf *m;
	uint16_t bytes;

	if (rte_ring_dequeue(tx_rings[worker], (void **)&m) < 0)
		return 0;
	bytes = m->data_len;
	memcpy(frame, rte_pktmbuf_mtod(m, void *), bytes);
	rte_pktmbuf_free(m);
	return bytes;
}

struct kit_rtp kit_rtp_make(uint16_t seq, uint32_t ts, uint8_t nal, bool marker)
{
	struct kit_rtp p = { .seq = seq, .ts = ts, .marker = marker };

	p.payload_bytes = (uint16_t)(8 + seq % 1100);
	for (uint16_t i = 0; i < p.payload_bytes; i++)
		p.payload[i] = (uint8_t)(seq * 13 + i * 7);
	p.payload[0] = nal;
	return p;
}

void kit_feed_rtp(uint16_t worker, uint16_t stream, enum leg_kind leg, const struct kit_rtp *p)
{
	const struct net_addr encoder = kit_addr("198.18.77.3", (uint16_t)(7000 + leg));
	const struct region_leg_conf *conf = &kit.region.streams[stream].conf.legs[leg];
	const uint32_t ts_be = htonl(p->ts), ssrc_be = htonl(0xabc0u + leg);
	uint8_t pkt[KIT_PKT_BYTES] = { 0x80, (uint8_t)(conf->payload_type | p->marker << 7),
		(uint8_t)(p->seq >> 8), (uint8_t)p->seq };

	memcpy(pkt + 4, &ts_be, 4);
	memcpy(pkt + 8, &ssrc_be, 4);
	memcpy(pkt + 12, p->payload, p->payload_bytes);
	kit_feed(worker, &encoder, conf->port, pkt, (uint16_t)(12 + p->payload_bytes));
}

static void forget_reports(struct worker *w)
{
	w->report_ns = region_now_ns();
	for (int slot = 0; slot < KIT_STREAMS; slot++)
		for (int leg = 0; leg < LEG_COUNT; leg++)
			w->streams[slot].reported_turn[leg] =
				kit.region.streams[slot].norm[leg].clock_turn;
}

void kit_step(uint16_t worker)
{
	if (!kit.reports)
		forget_reports(&kit.workers[worker]);
	worker_step(&kit.workers[worker]);
}

void kit_step_ms(uint16_t worker, unsigned int ms)
{
	uint64_t until = region_now_ns() + ms * 1000000ULL;

	do {
		usleep(500);
		kit_step(worker);
	} while (region_now_ns() < until);
	kit_step(worker); // though this process had no time for so long: its last step is after it
}

// Of an IPv4 or IPv6 header.
static uint8_t dscp_of(const uint8_t *ip)
{
	uint8_t traffic_class = ip[0] >> 4 == 4 ? ip[1] : (uint8_t)(ip[0] << 4 | ip[1] >> 4);

	return traffic_class >> 2;
}

// The kit's port makes no checksums: the worker did.
static void check_sums(uint8_t *ip)
{
	bool v6 = ip[0] >> 4 == 6;
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(ip + (v6 ? 40 : 20));
	uint16_t sum = udp->dgram_cksum;

	udp->dgram_cksum = 0;
	if (v6) {
		assert_int_equal(rte_ipv6_udptcp_cksum((const struct rte_ipv6_hdr *)ip, udp), sum);
	} else {
		assert_int_equal(rte_ipv4_cksum((const struct rte_ipv4_hdr *)ip), 0);
		assert_int_equal(rte_ipv4_udptcp_cksum((const struct rte_ipv4_hdr *)ip, udp), sum);
	}
	udp->dgram_cksum = sum;
}

static uint16_t read_sent(struct rte_mbuf *m, struct net_addr *to, uint8_t pkt[KIT_PKT_BYTES])
{
	struct frame f;

	assert_int_equal(frame_parse(m, 0, &f), 0);
	assert_int_equal(f.path.remote.port_be, htons(KIT_MEDIA_PORT));
	*to = f.path.local;
	kit.sent_dscp = dscp_of(rte_pktmbuf_mtod_offset(m, const uint8_t *, RTE_ETHER_HDR_LEN));
	check_sums(rte_pktmbuf_mtod_offset(m, uint8_t *, RTE_ETHER_HDR_LEN));
	memcpy(pkt, rte_pktmbuf_mtod_offset(m, uint8_t *, f.payload_off), f.payload_bytes);
	rte_pktmbuf_free(m);
	return f.payload_bytes;
}

uint16_t kit_sent(uint16_t worker, struct net_addr *to, uint8_t pkt[KIT_PKT_BYTES])
{
	struct rte_mbuf *m;

	if (rte_ring_dequeue(tx_rings[worker], (void **)&m) < 0)
		return 0;
	return read_sent(m, to, pkt);
}

// All that waits goes round once, so that the others keep their order.
uint16_t kit_sent_to(uint16_t worker, const struct net_addr *to, uint8_t pkt[KIT_PKT_BYTES])
{
	struct rte_mbuf *m = NULL, *found = NULL;
	struct net_addr dest;

	for (unsigned int n = kit_sent_count(worker); n > 0; n--) {
		struct frame f;

		rte_ring_dequeue(tx_rings[worker], (void **)&m);
		assert_int_equal(frame_parse(m, 0, &f), 0);
		if (!found && net_addr_equal(&f.path.local, to))
			found = m;
		else
			rte_ring_enqueue(tx_rings[worker], m);
	}
	return found ? read_sent(found, &dest, pkt) : 0;
}

unsigned int kit_sent_count(uint16_t worker)
{
	return rte_ring_count(tx_rings[worker]);
}

bool kit_fill_port(uint16_t worker)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	assert_non_null(m);
	if (rte_ring_enqueue(tx_rings[worker], m) == 0)
		return true;
	rte_pktmbuf_free(m);
	return false;
}

void kit_forget_one(uint16_t worker)
{
	void *m;

	if (rte_ring_dequeue(tx_rings[worker], &m) == 0)
		rte_pktmbuf_free(m);
}

void kit_forget_sent(uint16_t worker)
{
	while (kit_sent_count(worker))
		kit_forget_one(worker);
}
