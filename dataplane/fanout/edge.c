#include "dataplane/fanout/edge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_launch.h>

#include "dataplane/fanout/host.h"
#include "dataplane/fanout/steering.h"
#include "dataplane/fanout/worker.h"

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

static int make_workers(struct edge *edge)
{
	int rc;

	edge->workers = worker_table(edge->n_workers, sizeof(*edge->workers));
	edge->viewers_on = calloc(edge->region->n_streams, sizeof(*edge->viewers_on));
	edge->kept = keep_table(edge->region->n_streams);
	edge->key_wanted = calloc(edge->region->n_streams, sizeof(*edge->key_wanted));
	if (!edge->workers || !edge->viewers_on || !edge->kept || !edge->key_wanted)
		return -ENOMEM;
	rc = endpoints_create(edge->region->n_peers, edge->n_workers, &edge->endpoints);
	if (rc == 0)
		rc = steering_create(edge, &edge->steering);
	for (uint16_t id = 0; rc == 0 && id < edge->n_workers; id++)
		rc = worker_init(&edge->workers[id], edge, id);
	if (rc == 0)
		strncpy(edge->region->header->engine, srtp_engine_name(edge->workers[0].engine),
			sizeof(edge->region->header->engine) - 1);
	return rc;
}

int edge_init(struct edge *edge, const struct conf *conf, struct region *region,
	struct port_set *ports, int wake_fd)
{
	*edge = (struct edge){ .conf = conf,
		.region = region,
		.ports = ports,
		.n_workers = ports->n_workers,
		.media_port_be = htons(conf->media.port),
		.max_payload = (uint16_t)RTE_MIN(
			conf->dataplane.mtu - REGION_OVERHEAD_BYTES, (int)WORKER_PAYLOAD_MAX_BYTES),
		.wake_fd = wake_fd,
		.ntp_base = ntp_base() };
	return make_workers(edge);
}

void edge_fini(struct edge *edge)
{
	for (uint16_t id = 0; edge->workers && id < edge->n_workers; id++)
		worker_fini(&edge->workers[id]);
	steering_destroy(edge->steering);
	host_destroy(edge->host);
	endpoints_destroy(edge->endpoints);
	free(edge->workers);
	free(edge->viewers_on);
	free(edge->key_wanted);
	if (edge->region)
		keep_table_free(edge->kept, edge->region->n_streams);
	memset(edge, 0, sizeof(*edge));
}

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

int edge_launch(struct edge *edge)
{
	for (uint16_t id = 0; id < edge->n_workers; id++)
		rte_eal_remote_launch(worker_run, &edge->workers[id], port_worker_lcore(id));
	return await_workers(edge);
}

void edge_halt(struct edge *edge)
{
	atomic_store(&edge->stop, true);
	rte_eal_mp_wait_lcore();
}
