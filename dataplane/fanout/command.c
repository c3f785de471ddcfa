// What control commands: streams and peers come, change and go. The slots that a command points at
// are input: copied, checked, refused with an errno in the acknowledgement.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/abi/log.h"
#include "dataplane/fanout/host.h"
#include "dataplane/fanout/steering.h"
#include "dataplane/fanout/worker.h"

enum {
	COMMANDS_A_LOOP = 64,
	DRAIN_A_LOOP = 16,
	LOOKED_AT_A_LOOP = 512, // slots
};

void command_event(struct worker *w, const struct ring_event *event)
{
	int rc = ring_put(w->edge->region->rings[w->id].event, event, sizeof(*event));

	w->notify = true;
	if (rc < 0)
		w->counters->events_lost++;
	if (rc == -EBADMSG)
		w->counters->ring_faults++;
}

// ---- streams -----------------------------------------------------------------------------------

static void unmap_leg(struct worker *w, uint16_t slot, const struct leg *leg)
{
	uint32_t port = leg->conf.port;

	for (uint32_t p = port; p <= port + 1 && p <= UINT16_MAX; p++)
		if (w->ingest[p].stream == slot)
			w->ingest[p].stream = UINT16_MAX;
}

static void unmap_ports(struct worker *w, uint16_t slot)
{
	for (int leg = 0; leg < LEG_COUNT; leg++) {
		unmap_leg(w, slot, &w->streams[slot].legs[leg]);
		unmap_leg(w, slot, &w->streams[slot].backup[leg]);
	}
}

// Each leg has its port and the one above.
static bool legs_overlap(const struct region_stream_conf *conf)
{
	const struct region_leg_conf *legs[] = { &conf->legs[LEG_VIDEO], &conf->legs[LEG_AUDIO],
		&conf->backup[LEG_VIDEO], &conf->backup[LEG_AUDIO] };

	for (int i = 0; i < 4; i++)
		for (int k = 0; k < i; k++)
			if (legs[i]->present && legs[k]->present &&
				abs(legs[i]->port - legs[k]->port) < 2)
				return true;
	return false;
}

// With RTCP on the same port, 64 to 95 with the marker bit look like RTCP (RFC 5761 4).
static bool payload_type_usable(uint8_t payload_type)
{
	return payload_type < 64 || (payload_type > 95 && payload_type <= 127);
}

static int check_leg(const struct worker *w, uint16_t slot, const struct region_leg_conf *l)
{
	if (!l->present)
		return 0;
	if (l->port == 0 || l->port == UINT16_MAX ||
		(l->group.family != NET_NONE && !net_ip_is_multicast(&l->group)) ||
		!payload_type_usable(l->payload_type) || l->n_sources > REGION_MAX_SOURCES)
		return -EINVAL;
	for (uint32_t p = l->port; p <= l->port + 1u; p++)
		if (w->ingest[p].stream != UINT16_MAX && w->ingest[p].stream != slot)
			return -EADDRINUSE;
	return 0;
}

static int check_legs(const struct worker *w, uint16_t slot, const struct region_stream_conf *conf)
{
	bool paired = conf->backup[LEG_VIDEO].present || conf->backup[LEG_AUDIO].present;

	for (int leg = 0; leg < LEG_COUNT; leg++) {
		int rc = check_leg(w, slot, &conf->legs[leg]);

		if (rc == 0)
			rc = check_leg(w, slot, &conf->backup[leg]);
		if (rc == 0 && paired && conf->legs[leg].present != conf->backup[leg].present)
			rc = -EINVAL;
		if (rc < 0)
			return rc;
	}
	if (conf->pick > REGION_PICK_BACKUP)
		return -EINVAL;
	return legs_overlap(conf) ? -EADDRINUSE : 0;
}

static void map_leg(struct worker *w, struct ingest_ref ref, const struct region_leg_conf *conf)
{
	if (!conf->present)
		return;
	w->ingest[conf->port] = ref;
	ref.rtcp = 1;
	w->ingest[conf->port + 1] = ref;
}

static void map_ports(struct worker *w, uint16_t slot, const struct region_stream_conf *conf)
{
	for (uint8_t leg = 0; leg < LEG_COUNT; leg++) {
		struct ingest_ref ref = { .stream = slot, .leg = leg };

		map_leg(w, ref, &conf->legs[leg]);
		ref.source = REGION_BACKUP;
		map_leg(w, ref, &conf->backup[leg]);
	}
}

// Whether the owner can go on with what stands in the slot: it is this stream's, and sound.
static bool state_is_of(const struct region_stream *shared, uint32_t generation)
{
	for (int leg = 0; leg < LEG_COUNT; leg++)
		if (shared->norm[leg].next_seq >> 47)
			return false;
	return shared->state_generation == generation && shared->sources.active < REGION_ROLE_COUNT;
}

static void learn_sets(struct leg *video, const struct region_sprop *sprop)
{
	if (sprop->bytes <= sizeof(sprop->units))
		params_learn(&video->params, sprop->units, sprop->bytes);
}

static int stream_set(struct worker *w, const struct ring_command *c)
{
	struct region_stream *shared = &w->edge->region->streams[c->slot];
	struct region_stream_conf conf = shared->conf;
	struct stream *s = &w->streams[c->slot];
	bool fresh = s->generation != c->generation;
	uint32_t shown_ts;
	int rc;

	if (conf.generation != c->generation || conf.owner >= w->edge->n_workers)
		return -EINVAL;
	if (!fresh && conf.owner != s->owner)
		return -EINVAL; // another worker has the leg's state
	if (fresh && s->generation)
		return -EBUSY; // the stream before it was never removed
	rc = check_legs(w, c->slot, &conf);
	if (rc < 0)
		return rc;
	rc = lane_open(w, c->slot);
	if (rc == 0 && conf.owner == w->id)
		rc = keep_open(w, c->slot, conf.generation,
			(const bool[]){ conf.legs[0].present, conf.legs[1].present });
	if (rc < 0)
		return rc;
	if (fresh && conf.owner == w->id && !state_is_of(shared, conf.generation)) {
		memset(shared->norm, 0, sizeof(shared->norm));
		memset(shared->legs, 0, sizeof(shared->legs));
		memset(shared->backup, 0, sizeof(shared->backup));
		memset(&shared->sources, 0, sizeof(shared->sources));
		shared->state_generation = conf.generation;
	}
	if (fresh)
		shared->waits[w->id] = (struct region_wait){ .since_ns = w->now_ns };
	unmap_ports(w, c->slot);
	s->generation = conf.generation;
	s->owner = conf.owner;
	s->no_instant_start = conf.no_instant_start != 0;
	s->no_feedback = conf.no_feedback != 0;
	if (fresh) {
		s->group = (struct pictures){ 0 };
		s->fans[LEG_VIDEO].over_seq = keep_over(
			w->edge, c->slot, conf.generation, &shown_ts);
		memset(s->upstream, 0, sizeof(s->upstream));
	}
	for (int leg = 0; leg < LEG_COUNT; leg++) {
		if (fresh)
			stream_clock_reset(&s->clock, leg);
		if (fresh && conf.owner == w->id)
			leg_init(&s->legs[leg], leg, &conf.legs[leg], &shared->norm[leg],
				&shared->legs[leg]);
		s->legs[leg].conf = conf.legs[leg];
		s->legs[leg].present = conf.legs[leg].present;
	}
	rc = conf.owner == w->id ? backup_set(w, c->slot, &conf) : 0;
	if (rc < 0)
		memset(conf.backup, 0, sizeof(conf.backup)); // nobody judges them
	for (int leg = 0; leg < LEG_COUNT; leg++) {
		s->backup[leg].conf = conf.backup[leg];
		s->backup[leg].present = conf.backup[leg].present;
	}
	if (conf.owner == w->id) {
		learn_sets(&s->legs[LEG_VIDEO], &conf.sprop[REGION_PRIMARY]);
		learn_sets(&s->backup[LEG_VIDEO], &conf.sprop[REGION_BACKUP]);
		lint_profile(&conf.legs[LEG_VIDEO], &shared->legs[LEG_VIDEO]);
		lint_profile(&conf.backup[LEG_VIDEO], &shared->backup[LEG_VIDEO]);
	}
	map_ports(w, c->slot, &conf);
	return rc;
}

static int stream_remove(struct worker *w, const struct ring_command *c)
{
	struct stream *s = &w->streams[c->slot];

	if (s->generation != c->generation)
		return -ENOENT;
	if (s->n_peers)
		return -EBUSY;
	unmap_ports(w, c->slot);
	backup_end(w, c->slot);
	lane_close(w, c->slot);
	if (s->owner == w->id)
		keep_close(w, c->slot);
	s->generation = 0;
	return 0;
}

// ---- peers -------------------------------------------------------------------------------------

static int peer_reserve(struct worker *w, const struct ring_command *c)
{
	struct region_peer *shared = &w->edge->region->peers[c->slot];

	if (shared->conf.generation != c->generation || shared->conf.worker != w->id ||
		shared->conf.phase != REGION_PEER_RESERVED)
		return -EINVAL;
	if (w->peers[c->slot])
		return -EBUSY;
	memset(&shared->state, 0, sizeof(shared->state));
	return 0;
}

// Unlink first, then wipe: nothing finds it while it goes.
static void peer_unlink(struct worker *w, struct peer *p)
{
	endpoints_remove(w->edge->endpoints, &p->remote, p->slot);
	steering_drop(w, p->slot);
	fan_remove(w, p);
	w->peers[p->slot] = NULL;
	w->counters->n_peers--;
	peer_destroy(p);
}

static int peer_make(struct worker *w, struct region_peer *shared, uint16_t slot, struct peer **out)
{
	struct peer *p;
	int rc = peer_create(&w->peer_slab, shared, slot, w->engine, w->edge->conf->media.dscp,
		w->edge->ports->checksum, &p);

	if (rc < 0)
		return rc;
	if (p->stream >= w->edge->region->n_streams || !w->streams[p->stream].generation ||
		w->streams[p->stream].generation != p->stream_generation) {
		peer_destroy(p);
		return -ENOENT;
	}
	host_route_peer(w->edge->host, p);
	*out = p;
	return 0;
}

static int endpoint_take(struct worker *w, const struct peer *p)
{
	int rc = endpoints_add(w->edge->endpoints, &p->remote,
		(struct endpoint){ .slot = p->slot, .worker = w->id });

	if (rc == 0)
		steering_want(w, p);
	return rc;
}

// The slot's peer was made anew, at the same address or another.
static void peer_replaced(struct worker *w, struct peer *before, const struct peer *now)
{
	if (!net_addr_equal(&before->remote, &now->remote))
		endpoints_remove(w->edge->endpoints, &before->remote, before->slot);
	fan_remove(w, before);
	w->counters->n_peers--;
	peer_destroy(before);
}

// A slot that is refused leaves the peer that was there as it was.
static int peer_install(struct worker *w, struct region_peer *shared, uint16_t slot)
{
	struct peer *before = w->peers[slot], *p;
	int rc = peer_make(w, shared, slot, &p);

	if (rc < 0)
		return rc;
	rc = fan_add(w, p);
	if (rc < 0)
		goto err_destroy;
	rc = endpoint_take(w, p);
	if (rc < 0)
		goto err_fan;
	// One that was on its way to live begins anew.
	if (before && before->legs[LEG_VIDEO].catching)
		p->legs[LEG_VIDEO].started = 0;
	if (before)
		peer_replaced(w, before, p);
	else
		peer_rejoin(p);
	w->peers[slot] = p;
	start_join(w, p);
	w->counters->n_peers++;
	p->state->last_rx_ns = w->now_ns;
	return 0;

err_fan:
	fan_remove(w, p);
err_destroy:
	peer_destroy(p);
	return rc;
}

static int peer_move(struct worker *w, struct region_peer *shared, struct peer *p)
{
	struct net_addr before = p->remote;
	int rc = peer_repath(p, shared, w->edge->conf->media.dscp);

	if (rc < 0)
		return rc;
	host_route_peer(w->edge->host, p);
	if (!net_addr_equal(&before, &p->remote))
		endpoints_remove(w->edge->endpoints, &before, p->slot);
	// Also where it stayed: another viewer may have had the address in between.
	return endpoint_take(w, p);
}

static int peer_update(struct worker *w, const struct ring_command *c)
{
	struct region_peer *shared = &w->edge->region->peers[c->slot];
	struct peer *p = w->peers[c->slot];
	int rc;

	if (shared->conf.generation != c->generation || shared->conf.worker != w->id)
		return -EINVAL;
	if (!p)
		return peer_install(w, shared, c->slot);
	rc = peer_move(w, shared, p);
	return rc == -ESTALE ? peer_install(w, shared, c->slot) : rc;
}

static int peer_remove(struct worker *w, const struct ring_command *c)
{
	struct peer *p = w->peers[c->slot];

	if (p && p->generation != c->generation)
		return -ENOENT;
	if (p) {
		feedback_bye(w, p);
		peer_unlink(w, p);
	}
	return 0;
}

static void drain_streams(struct worker *w)
{
	for (uint16_t slot = 0; slot < w->edge->region->n_streams; slot++) {
		const struct ring_command c = { .slot = slot,
			.generation = w->streams[slot].generation };

		if (c.generation)
			stream_remove(w, &c);
	}
}

static void acknowledge(struct worker *w, const struct ring_command *c, int status)
{
	const struct ring_event ack = { .kind = RING_ACK,
		.seq = c->seq,
		.slot = c->slot,
		.generation = c->generation,
		.status = status };

	command_event(w, &ack);
	w->counters->commands++;
}

// A few viewers a loop, so that the port takes every BYE and ingest does not wait.
static unsigned int drain_step(struct worker *w)
{
	unsigned int n = 0;

	while (n < DRAIN_A_LOOP && w->drain_at < w->edge->region->n_peers) {
		struct peer *p = w->peers[w->drain_at++];

		if (!p)
			continue;
		feedback_bye(w, p);
		peer_unlink(w, p);
		n++;
	}
	if (w->drain_at < w->edge->region->n_peers)
		return n;
	drain_streams(w);
	acknowledge(w, &w->drain, 0);
	w->draining = false;
	return n + 1;
}

// Without a word: nobody listens that long without an answer to its checks. The slots stay as they
// are, so that a control that comes back takes the viewers up again.
static unsigned int let_go_step(struct worker *w)
{
	uint32_t n_slots = w->edge->region->n_peers;
	unsigned int n = 0;

	if (w->counters->n_peers == 0)
		return 0;
	for (uint32_t i = 0; i < LOOKED_AT_A_LOOP && n < DRAIN_A_LOOP; i++) {
		struct peer *p = w->peers[w->drain_at++ % n_slots];

		if (!p)
			continue;
		peer_unlink(w, p);
		n++;
	}
	return n + 1;
}

static int obey(struct worker *w, const struct ring_command *c)
{
	bool of_stream = c->kind == RING_STREAM_SET || c->kind == RING_STREAM_REMOVE;
	bool of_peer = c->kind == RING_PEER_ADD || c->kind == RING_PEER_UPDATE ||
		       c->kind == RING_PEER_REMOVE;

	if ((of_stream && c->slot >= w->edge->region->n_streams) ||
		(of_peer && c->slot >= w->edge->region->n_peers) ||
		((of_stream || of_peer) && c->generation == 0))
		return -EINVAL;
	switch (c->kind) {
	case RING_STREAM_SET:
		return stream_set(w, c);
	case RING_STREAM_REMOVE:
		return stream_remove(w, c);
	case RING_PEER_ADD:
		return peer_reserve(w, c);
	case RING_PEER_UPDATE:
		return peer_update(w, c);
	case RING_PEER_REMOVE:
		return peer_remove(w, c);
	case RING_FLUSH:
		tx_flush(w);
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

// ---- what another data plane left --------------------------------------------------------------

static unsigned int adopt_streams(struct edge *edge)
{
	unsigned int n = 0;

	for (uint16_t slot = 0; slot < edge->region->n_streams; slot++) {
		const struct ring_command c = { .slot = slot,
			.generation = edge->region->streams[slot].conf.generation };
		int rc = region_in_use(c.generation) ? 0 : -ENOENT;

		for (uint16_t id = 0; rc == 0 && id < edge->n_workers; id++)
			rc = stream_set(&edge->workers[id], &c);
		n += rc == 0;
	}
	return n;
}

static int adopt_peer(struct edge *edge, uint16_t slot)
{
	struct region_peer *shared = &edge->region->peers[slot];
	uint16_t worker = shared->conf.worker;

	if (!region_in_use(shared->conf.generation) || worker >= edge->n_workers)
		return -ENOENT;
	return peer_install(&edge->workers[worker], shared, slot);
}

void command_adopt(struct edge *edge)
{
	unsigned int n_streams, n_peers = 0;

	for (uint16_t id = 0; id < edge->n_workers; id++) {
		edge->workers[id].now_ns = region_now_ns();
		edge->workers[id].counters->n_peers = 0;
	}
	n_streams = adopt_streams(edge);
	for (uint32_t slot = 0; slot < edge->region->n_peers; slot++)
		n_peers += adopt_peer(edge, (uint16_t)slot) == 0;
	log_info("%u streams and %u viewers go on from before", n_streams, n_peers);
}

// ---- the loop's part ---------------------------------------------------------------------------

unsigned int command_count(const struct worker *w)
{
	return ring_count(w->edge->region->rings[w->id].command);
}

unsigned int command_poll(struct worker *w, unsigned int most)
{
	struct ring *ring = w->edge->region->rings[w->id].command;
	struct ring_command c;
	unsigned int n = 0;
	int rc = 0;

	if (w->draining)
		return drain_step(w);
	if (atomic_load_explicit(&w->edge->alone, memory_order_relaxed))
		return let_go_step(w);
	while (n < most && n < COMMANDS_A_LOOP) {
		rc = ring_get(ring, &c, sizeof(c));
		if (rc < 0)
			break;
		n++;
		if (c.kind == RING_DRAIN) {
			w->draining = true;
			w->drain = c;
			w->drain_at = 0;
			return n;
		}
		acknowledge(w, &c, obey(w, &c));
	}
	if (rc == -EBADMSG)
		w->counters->ring_faults++;
	return n;
}
