// millrace-dataplane: start, hand the packets to the workers, stop.
#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/abi/conf.h"
#include "dataplane/abi/log.h"
#include "dataplane/abi/region.h"
#include "dataplane/abi/supervisor.h"
#include "dataplane/fanout/edge.h"
#include "dataplane/fanout/host.h"
#include "dataplane/fanout/worker.h"
#include "dataplane/port/port.h"
#include "dataplane/recover.h"
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

static int make_region(const struct conf *conf, const struct port_set *ports, struct serve *serve,
	struct region *out, bool *adopt)
{
	const struct region_sizes sizes = { .n_workers = conf->dataplane.n_cores,
		.n_streams = (uint16_t)conf->dataplane.max_streams,
		.n_peers = conf->dataplane.max_peers };
	int rc = recover_region(&sizes, serve, out);

	*adopt = rc == 0;
	if (rc < 0)
		rc = region_create(&sizes, out);
	if (rc < 0) {
		log_error("cannot make the shared region: %s", strerror(-rc));
		return rc;
	}
	recover_keep(out);
	out->header->mtu = conf->dataplane.mtu;
	out->header->media_port = conf->media.port;
	memcpy(out->header->interface, ports->interface, sizeof(ports->interface));
	return 0;
}

static int run(struct edge *edge, struct serve *serve)
{
	int rc = edge_launch(edge);

	if (rc == 0)
		rc = port_drop_main_rights();
	if (rc < 0)
		log_error("the rights of root cannot be given up: %s", strerror(-rc));
	if (rc == 0) {
		log_info("ready: %u worker%s, engine %s, control at %s", edge->n_workers,
			edge->n_workers == 1 ? "" : "s", edge->region->header->engine, serve->path);
		serve->steering = edge->steering;
		supervisor_ready("passing media on");
		serve->host = edge->host;
		serve->alone = &edge->alone;
		serve->consent_ms = edge->conf->whep.consent_timeout_s * 1000;
		rc = serve_run(serve, edge->region);
		supervisor_stopping();
	}
	edge_halt(edge);
	return rc;
}

static int start(const struct conf *conf, uint32_t gid, struct serve *serve)
{
	struct port_set ports;
	struct region region = { .fd = -1 };
	struct edge edge = { 0 };
	bool adopt = false;
	int rc = port_set_start(conf, gid == UINT32_MAX ? 0 : gid, sizeof(struct packet), &ports);

	if (rc == 0)
		rc = serve_listen(serve, gid);
	if (rc == 0)
		rc = make_region(conf, &ports, serve, &region, &adopt);
	if (rc == 0) {
		rc = edge_init(&edge, conf, &region, &ports, serve->wake_fd);
		if (rc < 0)
			log_error("cannot set up the workers: %s", strerror(-rc));
	}
	if (rc == 0 && adopt)
		command_adopt(&edge);
	if (rc == 0)
		rc = host_create(conf, &ports, &region, &edge.host);
	if (rc == 0)
		rc = run(&edge, serve);
	edge_fini(&edge);
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
	rc = serve_init(&serve, conf.dataplane.socket);
	if (rc == 0)
		rc = start(&conf, gid, &serve);
	serve_fini(&serve);
	if (rc == 0)
		log_info("stopped");
	return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
