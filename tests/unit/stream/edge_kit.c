#include "tests/unit/stream/edge_kit.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
	MAX_UNDER_WAY = 64,
	MAX_GROUPS = 16,
	NO_STREAM = UINT16_MAX,
};

struct worker {
	uint32_t generation[REGION_MAX_STREAMS];
	unsigned int viewers[REGION_MAX_STREAMS];
	uint16_t ports[UINT16_MAX + 1]; // slot
};

struct command {
	enum ring_command_kind kind;
	uint16_t slot;
	uint32_t generation;
	link_ack_cb cb;
	void *arg;
};

struct link {
	struct region region;
	bool steered;
	struct worker workers[EDGE_WORKERS];
	struct command queue[MAX_UNDER_WAY];
	unsigned int n_queued, n_sent;
	enum ring_command_kind refused_kind;
	int refused_status;
	unsigned int n_refuse, n_block, steer_fails_in;
	bool steer_broken;
	struct steer_group groups[MAX_GROUPS];
	unsigned int n_groups;
	uint8_t steer[UINT16_MAX + 1];
};

struct conf edge_conf(void)
{
	struct conf conf = { 0 };

	conf.dataplane.mtu = 1500;
	conf.media.port = 8189;
	conf.ingest.first_port = 20000;
	conf.ingest.last_port = 20009;
	return conf;
}

struct link *edge_create(uint16_t n_streams, bool steered)
{
	const struct region_sizes sizes = {
		.n_workers = EDGE_WORKERS, .n_streams = n_streams, .n_peers = 1
	};
	struct link *l = calloc(1, sizeof(*l));

	assert_non_null(l);
	assert_int_equal(region_create(&sizes, &l->region), 0);
	l->region.header->mtu = 1500;
	l->region.header->media_port = 8189;
	strcpy(l->region.header->engine, "fast");
	l->steered = steered;
	for (int w = 0; w < EDGE_WORKERS; w++) {
		for (uint32_t p = 0; p <= UINT16_MAX; p++)
			l->workers[w].ports[p] = NO_STREAM;
	}
	return l;
}

static struct command take_command(struct link *l)
{
	struct command c = l->queue[0];

	l->n_queued--;
	memmove(l->queue, l->queue + 1, l->n_queued * sizeof(c));
	return c;
}

void edge_reconnect(struct link *l)
{
	while (l->n_queued) {
		struct command c = take_command(l);

		if (c.cb)
			c.cb(c.arg, -ECONNRESET);
	}
}

void edge_destroy(struct link *l)
{
	if (!l)
		return;
	edge_reconnect(l);
	region_fini(&l->region);
	free(l);
}

// ---- workers -----------------------------------------------------------------------------------

static void unmap(struct worker *w, uint16_t slot)
{
	for (uint32_t p = 0; p <= UINT16_MAX; p++) {
		if (w->ports[p] == slot)
			w->ports[p] = NO_STREAM;
	}
}

static int obey_set(
	struct worker *w, const struct region_stream_conf *conf, const struct command *c)
{
	bool fresh = w->generation[c->slot] != c->generation;

	if (conf->generation != c->generation || conf->owner >= EDGE_WORKERS)
		return -EINVAL;
	if (fresh && w->generation[c->slot])
		return -EBUSY;
	for (int leg = 0; leg < LEG_COUNT; leg++) {
		uint16_t port = conf->legs[leg].port;

		if (conf->legs[leg].present &&
			((w->ports[port] != NO_STREAM && w->ports[port] != c->slot) ||
				(w->ports[port + 1] != NO_STREAM && w->ports[port + 1] != c->slot)))
			return -EADDRINUSE;
	}
	unmap(w, c->slot);
	w->generation[c->slot] = c->generation;
	for (int leg = 0; leg < LEG_COUNT; leg++) {
		uint16_t port = conf->legs[leg].port;

		if (conf->legs[leg].present)
			w->ports[port] = w->ports[port + 1] = c->slot;
	}
	return 0;
}

static int obey_remove(struct worker *w, const struct command *c)
{
	if (w->generation[c->slot] != c->generation)
		return -ENOENT;
	if (w->viewers[c->slot])
		return -EBUSY;
	unmap(w, c->slot);
	w->generation[c->slot] = 0;
	return 0;
}

static int obey(struct link *l, const struct command *c)
{
	const struct region_stream_conf *conf = &l->region.streams[c->slot].conf;
	bool refuse = l->n_refuse && c->kind == l->refused_kind;
	int first = 0;

	for (int w = 0; w < EDGE_WORKERS; w++) {
		int rc;

		if (refuse && w == EDGE_WORKERS - 1)
			rc = l->refused_status;
		else if (c->kind == RING_STREAM_SET)
			rc = obey_set(&l->workers[w], conf, c);
		else
			rc = obey_remove(&l->workers[w], c);
		if (rc < 0 && first == 0)
			first = rc;
	}
	if (refuse)
		l->n_refuse--;
	return first;
}

void edge_run(struct link *l)
{
	while (l->n_queued) {
		struct command c = take_command(l);
		int status = obey(l, &c);

		if (c.cb)
			c.cb(c.arg, status);
	}
}

// ---- orders and questions ----------------------------------------------------------------------

void edge_refuse(struct link *l, enum ring_command_kind kind, int status, unsigned int n)
{
	l->refused_kind = kind;
	l->refused_status = status;
	l->n_refuse = n;
}

void edge_block(struct link *l, unsigned int n)
{
	l->n_block = n;
}

void edge_break_steer(struct link *l, unsigned int n)
{
	l->steer_fails_in = n;
	l->steer_broken = false;
}

unsigned int edge_commands(const struct link *l)
{
	return l->n_sent;
}

int edge_steer(const struct link *l, uint16_t port)
{
	return l->steer[port];
}

unsigned int edge_steered(const struct link *l)
{
	unsigned int n = 0;

	for (uint32_t p = 0; p <= UINT16_MAX; p++)
		n += l->steer[p] == STEER_INGEST || l->steer[p] == STEER_GROUP;
	return n;
}

bool edge_serves(const struct link *l, uint16_t port, const struct stream *s)
{
	for (int w = 0; w < EDGE_WORKERS; w++) {
		if (l->workers[w].ports[port] != s->slot ||
			l->workers[w].ports[port + 1] != s->slot ||
			l->workers[w].generation[s->slot] != s->generation)
			return false;
	}
	return true;
}

unsigned int edge_slots(const struct link *l)
{
	unsigned int n = 0;

	for (uint16_t i = 0; i < l->region.n_streams; i++)
		n += l->region.streams[i].conf.generation % 2;
	return n;
}

unsigned int edge_worker_slots(const struct link *l)
{
	unsigned int n = 0;

	for (int w = 0; w < EDGE_WORKERS; w++) {
		for (int i = 0; i < REGION_MAX_STREAMS; i++)
			n += l->workers[w].generation[i] != 0;
	}
	return n;
}

void edge_viewers(struct link *l, uint16_t slot, unsigned int n)
{
	l->workers[0].viewers[slot] = n;
}

// ---- what the module calls ---------------------------------------------------------------------

struct region *link_region(struct link *l)
{
	return &l->region;
}

// The fake map is the link itself.
struct steer_maps *link_steer(struct link *l)
{
	return l->steered ? (struct steer_maps *)l : NULL;
}

int link_command(struct link *l, uint16_t worker, enum ring_command_kind kind, uint16_t slot,
	uint32_t generation, link_ack_cb cb, void *arg)
{
	if (l->n_block) {
		l->n_block--;
		return -ENOBUFS;
	}
	assert_int_equal(worker, LINK_ALL_WORKERS);
	assert_true(l->n_queued < MAX_UNDER_WAY);
	l->queue[l->n_queued++] = (struct command){
		.kind = kind, .slot = slot, .generation = generation, .cb = cb, .arg = arg
	};
	l->n_sent++;
	return 0;
}

int steer_maps_set_port(struct steer_maps *maps, uint16_t port, enum steer_class to)
{
	struct link *l = (struct link *)maps;

	if (to != STEER_PASS && l->steer_fails_in && --l->steer_fails_in == 0)
		l->steer_broken = true;
	if (to != STEER_PASS && l->steer_broken)
		return -EPERM;
	l->steer[port] = to;
	return 0;
}

static unsigned int find_group(const struct link *l, const struct steer_group *group)
{
	unsigned int i = 0;

	while (i < l->n_groups && memcmp(&l->groups[i], group, sizeof(*group)) != 0)
		i++;
	return i;
}

int steer_maps_set_group(struct steer_maps *maps, const struct steer_group *group, bool take)
{
	struct link *l = (struct link *)maps;
	unsigned int i = find_group(l, group);

	if (take && i == l->n_groups) {
		assert_true(l->n_groups < MAX_GROUPS);
		l->groups[l->n_groups++] = *group;
	} else if (!take && i < l->n_groups) {
		l->groups[i] = l->groups[--l->n_groups];
	}
	return 0;
}

unsigned int edge_groups(const struct link *l)
{
	return l->n_groups;
}

bool edge_takes(const struct link *l, const char *ip, uint16_t port)
{
	struct net_addr addr;
	struct steer_group group = { .port = port };

	assert_int_equal(net_ip_parse(ip, &addr), 0);
	memcpy(group.ip, addr.ip, sizeof(group.ip));
	group.version = addr.family;
	return l->steer[port] == STEER_GROUP && find_group(l, &group) < l->n_groups;
}
