// millrace-dataplane: start, hand the packets to the workers, stop.
#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_launch.h>
#include <rte_lcore.h>

#include "dataplane/abi/conf.h"
#include "dataplane/abi/log.h"
#include "dataplane/abi/region.h"
#include "dataplane/fanout/worker.h"
#include "dataplane/port/port.h"
#include "dataplane/serve.h"

#define DOC "Takes RTP in, encrypts it for each viewer and sends it out, past the kernel."

static int group_id(const struct conf *conf, uint32_t *out)
{
	const struct group *g;

	*out = UINT32_MAX;
	if (!conf->dataplane.group[0])
		return 0;
	g = getgrnam(conf->dataplane.group);
	if (!g) {
		log_error("[dataplane] group: no group %s on this system", conf->dataplane.group);
		return -ENOENT;
	}
	*out = g->gr_gid;
	return 0;
}

// NTP time of CLOCK_MONOTONIC zero, fixed once: steps of the wall clock never reach a viewer.
static uint64_t ntp_base(void)
{
	const uint64_t unix_in_ntp_s = 2208988800;
	struct timespec wall;
	uint64_t mono = region_now_ns(), wall_ns;

	clock_gettime(CLOCK_REALTIME, &wall);
	wall_ns = (uint64_t)wall.tv_sec * 1000000000 + (uint64_t)wall.tv_nsec - mono;
	return ((wall_ns / 1000000000 + unix_in_ntp_s) << 32) +
	       ((wall_ns % 1000000000 << 32) / 1000000000);
}

static int make_region(const struct conf *conf, const struct port_set *ports, struct region *out)
{
	const struct region_sizes sizes = { .n_workers = conf->dataplane.n_cores,
		.n_streams = (uint16_t)conf->dataplane.max_streams,
		.n_peers = conf->dataplane.max_peers };
	int rc = region_create(&sizes, out);

	if (rc < 0) {
		log_error("cannot make the shared region: %s", strerror(-rc));
		return rc;
	}
	out->header->mtu = conf->dataplane.mtu;
	out->header->media_port = conf->media.port;
	memcpy(out->header->interface, ports->interface, sizeof(ports->interface));
	return 0;
}

static int make_workers(struct edge *edge)
{
	int rc = 0;

	edge->workers = calloc(edge->n_workers, sizeof(*edge->workers));
	edge->viewers_on = calloc(edge->region->n_streams, sizeof(*edge->viewers_on));
	if (!edge->workers || !edge->viewers_on)
		return -ENOMEM;
	rc = endpoints_create(edge->region->n_peers, edge->n_workers, &edge->endpoints);
	for (uint16_t id = 0; rc == 0 && id < edge->n_workers; id++)
		rc = worker_init(&edge->workers[id], edge, id);
	if (rc == 0)
		strncpy(edge->region->header->engine, srtp_engine_name(edge->workers[0].engine),
			sizeof(edge->region->header->engine) - 1);
	return rc;
}

static void free_workers(struct edge *edge)
{
	for (uint16_t id = 0; edge->workers && id < edge->n_workers; id++)
		worker_fini(&edge->workers[id]);
	endpoints_destroy(edge->endpoints);
	free(edge->workers);
	free(edge->viewers_on);
}

// Return: 0 every worker runs; -errno of the first that does not.
static int await_workers(struct edge *edge)
{
	for (uint16_t id = 0; id < edge->n_workers; id++) {
		const struct worker *w = &edge->workers[id];
		int state;

		while ((state = atomic_load(&w->state)) == WORKER_STARTING)
			rte_delay_us_sleep(100);
		if (state < 0)
			return state;
	}
	return 0;
}

static int run(struct edge *edge, struct serve *serve)
{
	int rc = 0;

	for (uint16_t id = 0; id < edge->n_workers; id++)
		rte_eal_remote_launch(worker_run, &edge->workers[id], id + 1u);
	rc = await_workers(edge);
	if (rc == 0)
		rc = port_drop_main_rights();
	if (rc < 0)
		log_error("the rights of root cannot be given up: %s", strerror(-rc));
	if (rc == 0) {
		log_info("ready: %u worker%s, engine %s, control at %s", edge->n_workers,
			edge->n_workers == 1 ? "" : "s", edge->region->header->engine, serve->path);
		rc = serve_run(serve, edge->region);
	}
	atomic_store(&edge->stop, true);
	rte_eal_mp_wait_lcore();
	return rc;
}

static int start(const struct conf *conf, uint32_t gid, struct serve *serve)
{
	struct port_set ports;
	struct region region = { .fd = -1 };
	struct edge edge = { .conf = conf,
		.region = &region,
		.ports = &ports,
		.n_workers = conf->dataplane.n_cores,
		.media_port_be = htons(conf->media.port),
		.max_payload = (uint16_t)(conf->dataplane.mtu - REGION_OVERHEAD_BYTES),
		.wake_fd = serve->wake_fd,
		.ntp_base = ntp_base() };
	int rc = port_set_start(conf, gid == UINT32_MAX ? 0 : gid, sizeof(struct packet), &ports);

	if (rc == 0)
		rc = make_region(conf, &ports, &region);
	if (rc == 0) {
		rc = make_workers(&edge);
		if (rc < 0)
			log_error("cannot set up the workers: %s", strerror(-rc));
	}
	if (rc == 0)
		rc = run(&edge, serve);
	free_workers(&edge);
	port_set_stop(&ports);
	region_fini(&region);
	return rc;
}

int main(int argc, char **argv)
{
	static struct conf conf;
	struct serve serve;
	uint32_t gid;
	int rc = conf_load("millrace-dataplane", DOC, argc, argv, &conf);

	if (rc != 0)
		return rc == 1 ? EXIT_SUCCESS : rc;
	if (conf_check_dataplane(&conf) != 0)
		return 2;
	log_set_level((enum log_level)conf.log.level);
	rc = group_id(&conf, &gid);
	if (rc < 0)
		return EXIT_FAILURE;
	rc = serve_init(&serve, conf.dataplane.socket, gid);
	if (rc == 0)
		rc = start(&conf, gid, &serve);
	serve_fini(&serve);
	if (rc == 0)
		log_info("stopped");
	return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
