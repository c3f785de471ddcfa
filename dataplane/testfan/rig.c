#include "dataplane/testfan/rig.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>

#include "dataplane/abi/log.h"
#include "dataplane/fanout/edge.h"

enum {
	LEAST_PEER_SLOTS = 64,
	MAX_CONF_ARGS = 8,
	POLL_US = 2000,
	SETTLE_MS = 20, // what came in last has left the workers by then
};

#define CAPACITY_S 1.0

static int load_conf(struct rig *rig, char **args, int n_args)
{
	char *argv[MAX_CONF_ARGS + 3] = { (char *)"testfan", (char *)"--config=/dev/null" };

	memset(rig, 0, sizeof(*rig));
	rig->region.fd = -1;
	rig->ports.claim_fd = -1;
	if (n_args > MAX_CONF_ARGS)
		return -E2BIG;
	if (n_args)
		memcpy(argv + 2, args, (size_t)n_args * sizeof(*args));
	if (conf_load("testfan", "", 2 + n_args, argv, &rig->conf) != 0)
		return -EINVAL;
	rig->conf.dataplane.idle = CONF_IDLE_POLL;
	return 0;
}

const char *rig_checksum(const struct rig *rig)
{
	return rig->ports.checksum == FRAME_CHECKSUM_OFFLOAD ? "offload"
	       : rig->ports.checksum == FRAME_CHECKSUM_ZERO  ? "zero"
							     : "software";
}

int rig_open(struct rig *rig, enum conf_checksum sums)
{
	int rc = load_conf(rig, NULL, 0);
	unsigned int lcore;

	rig->ports.eal_started = true;
	if (rc < 0)
		return rc;
	rig->conf.dataplane.n_cores = 0;
	RTE_LCORE_FOREACH_WORKER (lcore) {
		if (rig->conf.dataplane.n_cores == REGION_MAX_WORKERS)
			break;
		rig->conf.dataplane.cores[rig->conf.dataplane.n_cores++] =
			(uint16_t)rte_lcore_to_cpu_id((int)lcore);
	}
	if (rig->conf.dataplane.n_cores == 0) {
		log_error("no lcore is left for a worker: the main one takes none; give a second "
			  "one, such as -l 0,1");
		return -EINVAL;
	}
	return port_set_open(
		&rig->ports, "", rig->conf.dataplane.n_cores, sizeof(struct packet), sums);
}

int rig_open_interface(struct rig *rig, char **args, int n_args)
{
	int rc = load_conf(rig, args, n_args);

	return rc < 0 ? rc : port_set_start(&rig->conf, 0, sizeof(struct packet), &rig->ports);
}

static int make_region(struct rig *rig)
{
	const struct region_sizes sizes = { .n_workers = rig->ports.n_workers,
		.n_streams = (uint16_t)rig->settings.streams,
		.n_peers = rig->settings.peers < LEAST_PEER_SLOTS ? LEAST_PEER_SLOTS
								  : (uint32_t)rig->settings.peers };
	int rc = region_create(&sizes, &rig->region);

	if (rc < 0)
		return rc;
	rig->region.header->mtu = rig->conf.dataplane.mtu;
	rig->region.header->media_port = rig->conf.media.port;
	return 0;
}

static int hang_in(struct rig *rig)
{
	struct rte_ether_addr mac;
	int rc = rte_eth_macaddr_get(rig->ports.ports[0], &mac);

	if (rc < 0)
		return rc;
	drive_init(&rig->drive, &rig->region, &rig->settings, mac.addr_bytes, rig->conf.media.port);
	if (rig->settings.latency)
		rc = gauge_create(&rig->edge, &rig->drive, &rig->gauge);
	if (rc == 0 && rig->settings.nack > 0)
		rc = nack_create(&rig->edge, &rig->drive, &rig->nack);
	if (rc == 0 && rig->settings.verify)
		rc = check_create(&rig->edge, &rig->drive, rig->nack, &rig->check);
	for (uint16_t w = 0; rc == 0 && w < rig->ports.n_workers; w++)
		rc = source_init(&rig->sources[w], rig->sources, &rig->edge, &rig->settings,
			&rig->switches, rig->gauge, w);
	return rc;
}

static int build(struct rig *rig)
{
	int rc;

	rig->built = true;
	rig->conf.dataplane.engine = (enum conf_engine)rig->settings.engine;
	rig->conf.dataplane.max_peers = (uint32_t)rig->settings.peers;
	rig->conf.dataplane.max_streams = (uint32_t)rig->settings.streams;
	rig->conf.media.pacing_percent = (uint8_t)rig->settings.pacing;
	rc = make_region(rig);
	if (rc == 0)
		rc = edge_init(&rig->edge, &rig->conf, &rig->region, &rig->ports,
			eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	if (rc == 0)
		rc = hang_in(rig);
	return rc;
}

static void halt(struct rig *rig)
{
	if (rig->running)
		edge_halt(&rig->edge);
	rig->running = false;
}

static void tear_down(struct rig *rig)
{
	if (!rig->built)
		return;
	halt(rig);
	for (uint16_t w = 0; w < rig->ports.n_workers; w++)
		source_fini(&rig->sources[w]);
	gauge_destroy(rig->gauge);
	check_destroy(rig->check);
	if (rig->edge.workers)
		close(rig->edge.wake_fd);
	edge_fini(&rig->edge);
	nack_destroy(rig->nack);
	region_fini(&rig->region);
	counts_fini(&rig->before);
	counts_fini(&rig->after);
	rig->gauge = NULL;
	rig->check = NULL;
	rig->nack = NULL;
	rig->built = false;
}

void rig_close(struct rig *rig)
{
	tear_down(rig);
	port_set_stop(&rig->ports);
}

static int take(struct rig *rig, struct counts *out)
{
	counts_fini(out);
	return counts_take(&rig->region, rig->sources, (uint32_t)rig->settings.peers, out);
}

void rig_clear(struct rig *rig)
{
	take(rig, &rig->before);
	if (rig->gauge)
		gauge_clear(rig->gauge);
}

static void set_rate(struct rig *rig, uint64_t rate)
{
	uint64_t cycles = rate ? rte_get_tsc_hz() * rig->settings.burst / rate : 0;

	rig->rate = rate;
	atomic_store(&rig->switches.frame_cycles, rate && !cycles ? 1 : cycles);
}

// Video packets, or those of sound alone, that came in since rig_clear, a second and stream.
static double rate_since_clear(struct rig *rig)
{
	uint64_t packets = 0;

	if (take(rig, &rig->after) < 0)
		return 0;
	for (uint16_t w = 0; w < rig->ports.n_workers; w++)
		packets += rig->after.sources[w].packets - rig->before.sources[w].packets;
	return (double)packets * (double)rig->settings.burst /
	       source_frame_packets(&rig->settings) / (double)rig->settings.streams /
	       ((double)(rig->after.ns - rig->before.ns) / 1e9);
}

// Run closed loop for a while, then at the share that was asked for.
static int find_load(struct rig *rig, bool (*stop_asked)(void))
{
	double rate;

	if (!rig_run_for(rig, CAPACITY_S / 4, stop_asked))
		return -EINTR;
	rig_clear(rig);
	if (!rig_run_for(rig, CAPACITY_S, stop_asked))
		return -EINTR;
	rate = rate_since_clear(rig) * rig->settings.load;
	set_rate(rig, rate < 1 ? 1 : (uint64_t)rate);
	return 0;
}

static uint64_t heap_bytes(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static int let_run(struct rig *rig, bool (*stop_asked)(void))
{
	int rc;

	atomic_store(&rig->switches.go, false);
	set_rate(rig, rig->settings.rate);
	rig->running = true;
	rc = edge_launch(&rig->edge);
	if (rc < 0) {
		log_error("a worker does not start: %s", strerror(-rc));
		return rc;
	}
	rig->heap_before = heap_bytes();
	rc = drive_populate(&rig->drive);
	rig->heap_after = heap_bytes();
	if (rc < 0)
		return rc;
	rig_clear(rig);
	atomic_store(&rig->switches.go, true);
	return rig->settings.load > 0 ? find_load(rig, stop_asked) : 0;
}

int rig_start(struct rig *rig, const struct settings *settings, bool (*stop_asked)(void))
{
	int rc;

	tear_down(rig);
	rig->settings = *settings;
	rc = build(rig);
	if (rc < 0) {
		log_error("the workers cannot be set up: %s", strerror(-rc));
		tear_down(rig);
		return rc;
	}
	rc = let_run(rig, stop_asked);
	if (rc == 0)
		rig_clear(rig);
	return rc;
}

void rig_stop(struct rig *rig)
{
	if (!rig->running)
		return;
	take(rig, &rig->after);
	atomic_store(&rig->switches.go, false);
	rig_run_for(rig, SETTLE_MS / 1e3, NULL);
	drive_flush(&rig->drive);
	halt(rig);
	if (rig->gauge)
		gauge_finish(rig->gauge);
	while (rig->check && check_poll(rig->check))
		;
}

void rig_poll(struct rig *rig)
{
	if (!rig->running)
		return;
	drive_poll(&rig->drive);
	if (rig->nack)
		nack_poll(rig->nack);
	if (rig->check)
		check_poll(rig->check);
}

bool rig_run_for(struct rig *rig, double seconds, bool (*stop_asked)(void))
{
	uint64_t until = region_now_ns() + (uint64_t)(seconds * 1e9);

	while (region_now_ns() < until) {
		if (stop_asked && stop_asked())
			return false;
		rig_poll(rig);
		usleep(POLL_US);
	}
	return true;
}

int rig_measure(struct rig *rig, struct measure *out)
{
	if (!rig->built || !rig->before.viewers)
		return -ENODATA;
	if (rig->running && take(rig, &rig->after) < 0)
		return -ENOMEM;
	if (!rig->after.viewers)
		return -ENODATA;
	measure_make(&rig->before, &rig->after, rig->ports.n_workers, rig->settings.bitrate, out);
	return 0;
}

// ---- memory ------------------------------------------------------------------------------------

// An entry of the hash of addresses, as librte_hash makes it: key and data, and a slot with the
// signature in a bucket of eight, which has as many again for what does not fit.
static double endpoint_bytes(void)
{
	return sizeof(struct net_addr) + sizeof(void *) + 2 * 64.0 / 8 + sizeof(uint32_t);
}

int rig_memory(const struct rig *rig, struct rig_memory *out)
{
	const struct peer *p;
	uint64_t n = rig->settings.peers;
	double lists = 0;

	if (!rig->built || !rig->edge.workers)
		return -ENODATA;
	p = rig->edge.workers[rig->region.peers[0].conf.worker].peers[0];
	if (!p)
		return -ENODATA;
	for (uint16_t w = 0; w < rig->ports.n_workers; w++)
		for (uint16_t s = 0; s < rig->settings.streams; s++)
			for (int leg = 0; leg < LEG_COUNT; leg++)
				lists += rig->edge.workers[w].streams[s].fans[leg].cap *
					 sizeof(struct peer_leg *);
	*out = (struct rig_memory){ .region_slot = sizeof(struct region_peer),
		.peer = (double)rig->edge.workers[0].peer_slab.obj_bytes,
		.srtp_session = (double)srtp_session_bytes(p->srtp),
		.srtp_shared = (double)srtp_engine_shared_bytes(rig->edge.workers[0].engine) *
			       rig->ports.n_workers / (double)n,
		.tables = endpoint_bytes() + rig->ports.n_workers * sizeof(struct peer *) +
			  lists / (double)n };
	out->total = out->region_slot + out->peer + out->srtp_session + out->srtp_shared +
		     out->tables;
	if (rig->heap_after > rig->heap_before)
		out->heap_grown = (double)(rig->heap_after - rig->heap_before) / (double)n;
	return 0;
}

// ---- the floor ---------------------------------------------------------------------------------

struct floor_call {
	struct floor_conf conf;
	struct floor_result result;
	int rc;
};

static int call_floor(void *arg)
{
	struct floor_call *call = arg;

	return floor_run(&call->conf, &call->result);
}

// This thread sleeps meanwhile, as it does while the fan-out runs: a busy core may slow the one
// beside it.
static int await_floor(unsigned int lcore)
{
	while (rte_eal_get_lcore_state(lcore) == RUNNING)
		usleep(POLL_US);
	return rte_eal_wait_lcore(lcore);
}

// All cores at once, as the fan-out has them.
int rig_floor(const struct rig *rig, const struct settings *s, bool by_library, unsigned int ms,
	struct floor_result *out)
{
	const uint16_t n = rig->ports.n_workers;
	struct floor_call calls[REGION_MAX_WORKERS];
	struct floor_result all = { 0 };
	int rc = 0;

	if (rig->running)
		return -EBUSY;
	for (uint16_t w = 0; w < n; w++) {
		calls[w].conf = (struct floor_conf){ .profile = (uint16_t)s->profile,
			.n_keys = (uint32_t)((s->peers + n - 1) / n),
			.payload_bytes = (uint16_t)s->size,
			.hdr_bytes = DRIVE_RTP_HDR_BYTES,
			.pkts_per_key = (uint16_t)s->burst,
			.by_library = by_library,
			.ms = ms };
		calls[w].rc = rte_eal_remote_launch(call_floor, &calls[w], port_worker_lcore(w));
	}
	for (uint16_t w = 0; w < n; w++) {
		if (calls[w].rc == 0)
			calls[w].rc = await_floor(port_worker_lcore(w));
		if (calls[w].rc < 0) {
			rc = calls[w].rc;
			continue;
		}
		all.ns_per_packet += calls[w].result.ns_per_packet / n;
		all.cycles_per_packet += calls[w].result.cycles_per_packet / n;
		all.mpps += calls[w].result.mpps;
	}
	if (rc == 0)
		*out = all;
	return rc;
}
