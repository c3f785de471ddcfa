// Slots of the region and UDP ports: who has which.
#include <errno.h>
#include <string.h>

#include "control/stream/priv/store.h"
#include "dataplane/abi/log.h"

enum {
	PORT_PAIRS = 32768,
	PAIR_WORD_BITS = 64,
};

// ---- slots -------------------------------------------------------------------------------------

static struct region_stream_conf *slot_conf(const struct stream_entry *e)
{
	return &link_region(e->pub.store->link)->streams[e->pub.slot].conf;
}

struct owner_load {
	uint64_t load; // packets a second that come in for it to judge
	uint32_t n_streams;
};

static void add_owners(const struct stream *first, struct owner_load loads[REGION_MAX_WORKERS])
{
	for (const struct stream *s = first; s; s = s->next) {
		const struct stream_entry *e = (const struct stream_entry *)s;

		if (!e->has_slot || s->owner >= REGION_MAX_WORKERS)
			continue;
		loads[s->owner].n_streams++;
		for (int leg = 0; leg < LEG_COUNT; leg++)
			loads[s->owner].load += stream_leg_load(s, leg);
	}
}

static bool less_loaded(const struct owner_load *a, const struct owner_load *b)
{
	return a->load != b->load ? a->load < b->load : a->n_streams < b->n_streams;
}

// Return: the worker whose streams bring the fewest packets; of several, the one with the fewest
// streams.
static uint16_t pick_owner(const struct stream_store *store)
{
	struct owner_load loads[REGION_MAX_WORKERS] = { 0 };
	uint16_t best = 0;

	add_owners(store->first, loads);
	add_owners(store->hidden, loads);
	for (uint16_t w = 1; w < link_region(store->link)->n_workers; w++) {
		if (less_loaded(&loads[w], &loads[best]))
			best = w;
	}
	return best;
}

static bool slot_free(const struct region *region, uint16_t slot)
{
	return slot < region->n_streams && !region_in_use(region->streams[slot].conf.generation);
}

int stream_slot_take(struct stream_entry *e, uint16_t preferred)
{
	const struct region *region = link_region(e->pub.store->link);
	uint16_t slot = preferred;

	if (!slot_free(region, slot)) {
		for (slot = 0; slot < region->n_streams && !slot_free(region, slot); slot++)
			;
	}
	if (slot == region->n_streams)
		return -ENOSPC;
	e->pub.owner = pick_owner(e->pub.store);
	e->pub.slot = slot;
	e->pub.generation = ++region->streams[slot].conf.generation;
	e->has_slot = true;
	return 0;
}

bool stream_slot_reclaim(struct stream_entry *e)
{
	const struct region *region = link_region(e->pub.store->link);
	const struct region_stream_conf *conf;

	if (e->pub.slot >= region->n_streams)
		return false;
	conf = &region->streams[e->pub.slot].conf;
	e->has_slot = region_in_use(conf->generation) && conf->generation == e->pub.generation &&
		      conf->owner == e->pub.owner && conf->owner < region->n_workers &&
		      strncmp(conf->id, e->pub.id, sizeof(conf->id)) == 0;
	return e->has_slot;
}

void stream_slot_release(struct stream_entry *e)
{
	*slot_conf(e) = (struct region_stream_conf){ .generation = e->pub.generation + 1 };
	e->has_slot = false;
}

void stream_slot_disown(const struct stream_entry *e)
{
	struct region_stream_conf *conf = slot_conf(e);

	memset(conf->id, 0, sizeof(conf->id));
}

void stream_slot_disown_held(const struct stream_entry *e)
{
	const struct region *region = e->pub.store->held ? link_region(e->pub.store->held) : NULL;
	struct region_stream_conf *conf;

	if (!region || e->pub.slot >= region->n_streams)
		return;
	conf = &region->streams[e->pub.slot].conf;
	if (conf->generation == e->pub.generation)
		memset(conf->id, 0, sizeof(conf->id));
}

static void write_leg(const struct stream_leg_want *l, uint8_t n_sources,
	const struct region_source *sources, struct region_leg_conf *out)
{
	*out = (struct region_leg_conf){ .present = l->present };
	if (!l->present)
		return;
	out->payload_type = l->payload_type;
	out->port = l->port;
	out->group = l->group;
	out->profile_known = l->profile_known;
	memcpy(out->profile_level_id, l->profile_level_id, sizeof(out->profile_level_id));
	out->stereo = l->stereo;
	out->refuse_b_frames = l->refuse_b_frames;
	out->n_sources = n_sources;
	memcpy(out->sources, sources, n_sources * sizeof(*sources));
}

static void write_sprop(const struct stream_sprop *from, struct region_sprop *out)
{
	out->bytes = from->bytes;
	memcpy(out->units, from->units, sizeof(out->units));
}

void stream_slot_write(const struct stream_entry *e)
{
	const struct stream_want *want = &e->pub.want;
	struct region_stream_conf conf = { .generation = e->pub.generation,
		.owner = e->pub.owner,
		.require_live = e->pub.want.require_live,
		.no_instant_start = e->pub.want.no_instant_start,
		.no_feedback = e->pub.want.no_feedback,
		.max_peers = e->pub.want.max_peers };

	memcpy(conf.id, e->pub.id, sizeof(conf.id));
	for (int leg = 0; leg < LEG_COUNT; leg++) {
		write_leg(&want->legs[leg], want->n_sources, want->sources, &conf.legs[leg]);
		write_leg(&want->backup.legs[leg], want->backup.n_sources, want->backup.sources,
			&conf.backup[leg]);
	}
	conf.failback = want->backup.failback;
	conf.failback_s = want->backup.failback_s;
	conf.pick = (uint8_t)want->pick;
	write_sprop(&want->sprop, &conf.sprop[REGION_PRIMARY]);
	write_sprop(&want->backup.sprop, &conf.sprop[REGION_BACKUP]);
	*slot_conf(e) = conf;
}

// ---- ports -------------------------------------------------------------------------------------

// One bit for each even port, set where it or the next is taken.
struct pairs {
	uint64_t words[PORT_PAIRS / PAIR_WORD_BITS];
};

static void pairs_add(struct pairs *p, uint16_t port)
{
	p->words[port / 2 / PAIR_WORD_BITS] |= 1ULL << (port / 2 % PAIR_WORD_BITS);
}

static bool pairs_has(const struct pairs *p, uint16_t port)
{
	return p->words[port / 2 / PAIR_WORD_BITS] >> (port / 2 % PAIR_WORD_BITS) & 1;
}

static void pairs_add_want(struct pairs *p, const struct stream_want *want)
{
	for (int leg = 0; leg < STREAM_WANT_LEGS; leg++) {
		if (stream_want_leg(want, leg)->present && stream_want_leg(want, leg)->port)
			pairs_add(p, stream_want_leg(want, leg)->port);
	}
}

static void pairs_add_list(
	struct pairs *p, const struct stream *first, const struct stream_entry *but)
{
	for (const struct stream *s = first; s; s = s->next) {
		const struct stream_entry *e = (const struct stream_entry *)s;

		if (e == but)
			continue;
		pairs_add_want(p, &s->want);
		pairs_add_want(p, &e->other);
	}
}

static bool want_has_port(const struct stream_want *want, uint16_t port)
{
	for (int leg = 0; leg < STREAM_WANT_LEGS; leg++) {
		if (stream_want_leg(want, leg)->present && stream_want_leg(want, leg)->port == port)
			return true;
	}
	return false;
}

// Return: the id of the stream that callers know to have the port; NULL none.
static const char *port_holder(const struct stream_store *store, uint16_t port)
{
	for (const struct stream *s = store->first; s; s = s->next) {
		if (want_has_port(&s->want, port))
			return s->id;
	}
	return NULL;
}

static int refuse_port(
	const struct stream_store *store, int leg, uint16_t port, char error[STREAM_ERROR_MAX])
{
	const char *holder = port_holder(store, port);

	if (port / 2 == store->conf->media.port / 2)
		snprintf(error, STREAM_ERROR_MAX,
			"%s.port: expected another port than the media port's pair, found %u",
			stream_want_leg_name(leg), port);
	else if (holder)
		snprintf(error, STREAM_ERROR_MAX,
			"%s.port: expected a free port, found %u, which stream %s has",
			stream_want_leg_name(leg), port, holder);
	else
		snprintf(error, STREAM_ERROR_MAX,
			"%s.port: expected a free port, found %u, which is just being given back",
			stream_want_leg_name(leg), port);
	return -EEXIST;
}

static int check_asked(const struct stream_store *store, const struct stream_want *want,
	struct pairs *taken, char error[STREAM_ERROR_MAX])
{
	for (int leg = 0; leg < STREAM_WANT_LEGS; leg++) {
		const struct stream_leg_want *l = stream_want_leg(want, leg);

		if (!l->present || !l->port)
			continue;
		if (pairs_has(taken, l->port))
			return refuse_port(store, leg, l->port, error);
	}
	pairs_add_want(taken, want);
	return 0;
}

// Return: the port that the leg has now, or the first free one; 0 none is left.
static uint16_t pick_port(const struct stream_store *store, const struct stream_entry *self,
	int leg, const struct pairs *taken)
{
	const struct stream_leg_want *now = self ? stream_want_leg(&self->pub.want, leg) : NULL;

	if (now && now->present && !pairs_has(taken, now->port))
		return now->port;
	for (uint32_t port = store->conf->ingest.first_port;
		port + 1 <= store->conf->ingest.last_port; port += 2) {
		if (!pairs_has(taken, (uint16_t)port) &&
			!(self && want_has_port(&self->pub.want, (uint16_t)port)))
			return (uint16_t)port;
	}
	return 0;
}

int stream_ports_resolve(const struct stream_store *store, const struct stream_entry *self,
	struct stream_want *want, char error[STREAM_ERROR_MAX])
{
	struct pairs taken = { 0 };
	int rc;

	pairs_add(&taken, store->conf->media.port);
	pairs_add_list(&taken, store->first, self);
	pairs_add_list(&taken, store->hidden, self);
	rc = check_asked(store, want, &taken, error);
	if (rc < 0)
		return rc;
	for (int leg = 0; leg < STREAM_WANT_LEGS; leg++) {
		if (!stream_want_leg(want, leg)->present || stream_want_leg(want, leg)->port)
			continue;
		stream_want_leg(want, leg)->port = pick_port(store, self, leg, &taken);
		if (!stream_want_leg(want, leg)->port) {
			snprintf(error, STREAM_ERROR_MAX,
				"%s.port: no port is left between [ingest] first_port %u and "
				"last_port %u",
				stream_want_leg_name(leg), store->conf->ingest.first_port,
				store->conf->ingest.last_port);
			return -ENOSPC;
		}
		pairs_add(&taken, stream_want_leg(want, leg)->port);
	}
	return 0;
}

static void pairs_add_held(
	struct pairs *p, const struct stream *first, const struct stream_entry *but)
{
	for (const struct stream *s = first; s; s = s->next) {
		const struct stream_entry *e = (const struct stream_entry *)s;

		if (e == but || !e->has_slot)
			continue;
		pairs_add_want(p, &s->want);
		pairs_add_want(p, &e->other);
	}
}

static struct pairs pairs_held(const struct stream_store *store, const struct stream_entry *but)
{
	struct pairs p = { 0 };

	pairs_add(&p, store->conf->media.port);
	pairs_add_held(&p, store->first, but);
	pairs_add_held(&p, store->hidden, but);
	return p;
}

bool stream_ports_free(const struct stream_store *store, const struct stream_want *want)
{
	struct pairs held = pairs_held(store, NULL);

	for (int leg = 0; leg < STREAM_WANT_LEGS; leg++) {
		if (stream_want_leg(want, leg)->present &&
			pairs_has(&held, stream_want_leg(want, leg)->port))
			return false;
	}
	return true;
}

int stream_ports_keep(struct stream_entry *e)
{
	const struct stream_store *store = e->pub.store;
	struct pairs held = pairs_held(store, e);
	const struct stream_want before = e->pub.want;
	struct stream_want want = before;
	char error[STREAM_ERROR_MAX];
	int rc;

	for (int leg = 0; leg < STREAM_WANT_LEGS; leg++) {
		uint16_t port = stream_want_leg(&want, leg)->port;

		if (port < store->conf->ingest.first_port ||
			port >= store->conf->ingest.last_port || pairs_has(&held, port))
			stream_want_leg(&want, leg)->port = 0;
	}
	e->pub.want = (struct stream_want){ 0 }; // it has no claim to a port that is not free
	rc = stream_ports_resolve(store, e, &want, error);
	e->pub.want = rc < 0 ? before : want;
	for (int leg = 0; rc == 0 && leg < STREAM_WANT_LEGS; leg++) {
		if (stream_want_leg(&want, leg)->port == stream_want_leg(&before, leg)->port)
			continue;
		log_warn("stream %s: %s has port %u now; its old one, %u, is not to be had",
			e->pub.id, stream_want_leg_name(leg), stream_want_leg(&want, leg)->port,
			stream_want_leg(&before, leg)->port);
		stream_file_touch(e->pub.store);
	}
	return rc;
}

static const struct stream_leg_want *leg_with_port(const struct stream_want *want, uint16_t port)
{
	for (int leg = 0; want && leg < STREAM_WANT_LEGS; leg++) {
		if (stream_want_leg(want, leg)->present && stream_want_leg(want, leg)->port == port)
			return stream_want_leg(want, leg);
	}
	return NULL;
}

static enum steer_class leg_class(const struct stream_leg_want *leg)
{
	return leg->group.family == NET_NONE ? STEER_INGEST : STEER_GROUP;
}

static int set_group(
	struct steer_maps *maps, const struct stream_leg_want *leg, uint16_t port, bool take)
{
	struct steer_group group = { .port = port, .version = leg->group.family };

	memcpy(group.ip, leg->group.ip, sizeof(group.ip));
	return leg->group.family == NET_NONE ? 0 : steer_maps_set_group(maps, &group, take);
}

// kept: the leg that has the same port besides this one; NULL none.
static int steer_leg(struct steer_maps *maps, const struct stream_leg_want *leg,
	const struct stream_leg_want *kept, enum steer_class to)
{
	bool take = to != STEER_PASS;
	enum steer_class class = take ? leg_class(leg) : kept ? leg_class(kept) : STEER_PASS;
	int first = 0;

	for (uint16_t i = 0; i < 2; i++) {
		uint16_t port = (uint16_t)(leg->port + i);
		int rc = set_group(maps, leg, port, take);

		if (rc == 0)
			rc = steer_maps_set_port(maps, port, class);
		if (rc < 0 && first == 0)
			first = rc;
	}
	return first;
}

int stream_ports_steer(const struct stream_store *store, const struct stream_want *want,
	const struct stream_want *keep, enum steer_class to)
{
	struct steer_maps *maps = store->link ? link_steer(store->link) : NULL;
	int first = 0;

	for (int leg = 0; maps && leg < STREAM_WANT_LEGS; leg++) {
		const struct stream_leg_want *l = stream_want_leg(want, leg);
		const struct stream_leg_want *kept = leg_with_port(keep, l->port);
		int rc;

		if (!l->present || (kept && net_addr_equal(&kept->group, &l->group)))
			continue;
		rc = steer_leg(maps, l, kept, to);
		if (rc < 0 && first == 0)
			first = rc;
	}
	return first;
}

// ---- comparing ---------------------------------------------------------------------------------

static bool leg_equal(const struct stream_leg_want *a, const struct stream_leg_want *b)
{
	return a->present == b->present && a->port == b->port &&
	       a->payload_type == b->payload_type && net_addr_equal(&a->group, &b->group) &&
	       a->refuse_b_frames == b->refuse_b_frames && a->profile_known == b->profile_known &&
	       memcmp(a->profile_level_id, b->profile_level_id, 3) == 0;
}

static bool sources_equal(
	const struct region_source *a, uint8_t n_a, const struct region_source *b, uint8_t n_b)
{
	if (n_a != n_b)
		return false;
	for (int i = 0; i < n_a; i++)
		if (!net_addr_equal(&a[i].addr, &b[i].addr) || a[i].prefix_bits != b[i].prefix_bits)
			return false;
	return true;
}

static bool backup_equal(const struct stream_backup_want *a, const struct stream_backup_want *b)
{
	return a->failback == b->failback && a->failback_s == b->failback_s &&
	       memcmp(&a->sprop, &b->sprop, sizeof(a->sprop)) == 0 &&
	       sources_equal(a->sources, a->n_sources, b->sources, b->n_sources);
}

bool stream_want_equal(const struct stream_want *a, const struct stream_want *b)
{
	if (a->no_instant_start != b->no_instant_start || a->no_feedback != b->no_feedback)
		return false;
	if (!sources_equal(a->sources, a->n_sources, b->sources, b->n_sources) ||
		a->pick != b->pick || memcmp(&a->sprop, &b->sprop, sizeof(a->sprop)) != 0)
		return false;
	for (int leg = 0; leg < STREAM_WANT_LEGS; leg++)
		if (!leg_equal(stream_want_leg(a, leg), stream_want_leg(b, leg)))
			return false;
	return backup_equal(&a->backup, &b->backup);
}
