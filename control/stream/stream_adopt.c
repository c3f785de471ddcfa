// Data planes that come and go: streams are set up again, and what an earlier control left in the
// region is taken up. That is checked as any input: a slot that does not add up is nobody's stream.
#include <errno.h>
#include <string.h>

#include "control/http/path.h"
#include "control/stream/priv/store.h"
#include "dataplane/abi/log.h"

// ---- reading slots -----------------------------------------------------------------------------

static bool source_adds_up(const struct region_source *s)
{
	return (s->addr.family == NET_IPV4 && s->prefix_bits <= 32) ||
	       (s->addr.family == NET_IPV6 && s->prefix_bits <= 128);
}

static bool leg_adds_up(const struct conf *conf, const struct region_leg_conf *leg)
{
	if (!leg->present)
		return true;
	for (int i = 0; i < leg->n_sources; i++) {
		if (i == REGION_MAX_SOURCES || !source_adds_up(&leg->sources[i]))
			return false;
	}
	if (leg->group.family != NET_NONE && !net_ip_is_multicast(&leg->group))
		return false;
	return leg->port % 2 == 0 && leg->port >= conf->ingest.first_port &&
	       leg->port < conf->ingest.last_port && leg->payload_type <= 127;
}

static void read_leg(
	const struct region_leg_conf *leg, enum leg_kind kind, struct stream_want *want)
{
	if (!leg->present)
		return;
	want->legs[kind].present = true;
	want->legs[kind].port = leg->port;
	want->legs[kind].payload_type = leg->payload_type;
	want->legs[kind].group = leg->group;
	want->legs[kind].profile_known = leg->profile_known;
	memcpy(want->legs[kind].profile_level_id, leg->profile_level_id, 3);
	want->legs[kind].stereo = leg->stereo;
	want->legs[kind].refuse_b_frames = kind == LEG_VIDEO && leg->refuse_b_frames;
	want->n_sources = leg->n_sources;
	memcpy(want->sources, leg->sources, sizeof(want->sources));
}

static int read_sprop(const struct region_sprop *from, struct stream_sprop *out)
{
	uint8_t profile[3];

	if (from->bytes > sizeof(out->units))
		return -EINVAL;
	out->bytes = from->bytes;
	memcpy(out->units, from->units, from->bytes);
	return out->bytes ? stream_sprop_check(out, profile) : 0;
}

static int read_backup(
	const struct conf *conf, const struct region_stream_conf *slot, struct stream_want *want)
{
	struct stream_backup_want *out = &want->backup;

	if (slot->pick > REGION_PICK_BACKUP ||
		read_sprop(&slot->sprop[REGION_BACKUP], &out->sprop) < 0 ||
		(out->sprop.bytes && !slot->backup[LEG_VIDEO].present))
		return -EINVAL;
	for (int leg = 0; leg < LEG_COUNT; leg++) {
		const struct region_leg_conf *from = &slot->backup[leg];

		if (!leg_adds_up(conf, from) || (from->present && !slot->legs[leg].present))
			return -EINVAL;
		if (!from->present)
			continue;
		out->present = true;
		out->legs[leg] = (struct stream_leg_want){ .present = true,
			.port = from->port,
			.payload_type = from->payload_type,
			.group = from->group,
			.profile_known = from->profile_known,
			.refuse_b_frames = leg == LEG_VIDEO && from->refuse_b_frames,
			.stereo = from->stereo };
		memcpy(out->legs[leg].profile_level_id, from->profile_level_id, 3);
		out->n_sources = from->n_sources;
		memcpy(out->sources, from->sources, sizeof(out->sources));
		out->failback = slot->failback != 0;
		out->failback_s = slot->failback_s;
		want->pick = slot->pick;
	}
	return 0;
}

// Return: 0; -EINVAL it does not add up, -EEXIST a port is another stream's.
static int read_slot(const struct stream_store *store, const struct region_stream_conf *slot,
	struct stream_want *out)
{
	const struct region_leg_conf *video = &slot->legs[LEG_VIDEO];
	const struct region_leg_conf *audio = &slot->legs[LEG_AUDIO];
	struct stream_want want = { .max_peers = slot->max_peers,
		.require_live = slot->require_live != 0,
		.no_instant_start = slot->no_instant_start != 0,
		.no_feedback = slot->no_feedback != 0 };

	if (!memchr(slot->id, 0, sizeof(slot->id)) || !http_id_valid(slot->id) ||
		slot->owner >= link_region(store->link)->n_workers)
		return -EINVAL;
	if ((!video->present && !audio->present) || !leg_adds_up(store->conf, video) ||
		!leg_adds_up(store->conf, audio) ||
		(video->present && audio->present && video->port == audio->port))
		return -EINVAL;
	if (read_sprop(&slot->sprop[REGION_PRIMARY], &want.sprop) < 0 ||
		(want.sprop.bytes && !video->present))
		return -EINVAL;
	read_leg(video, LEG_VIDEO, &want);
	read_leg(audio, LEG_AUDIO, &want);
	if (read_backup(store->conf, slot, &want) < 0)
		return -EINVAL;
	if (!stream_ports_free(store, &want))
		return -EEXIST;
	*out = want;
	return 0;
}

// ---- attaching ---------------------------------------------------------------------------------

// What has a command under way waits for its acknowledgement, which the link owes.
static void entry_detach(struct stream_entry *e)
{
	if (e->phase == STREAM_STUCK)
		stream_entry_free(e);
	else if (e->phase == STREAM_READY || e->phase == STREAM_UNSURE)
		stream_entry_detach(e);
}

static void entry_reclaim(struct stream_entry *e)
{
	if (e->phase == STREAM_DETACHED)
		stream_slot_reclaim(e);
}

// A slot for an entry that has none, and ports that nobody else has meanwhile.
static int entry_place(struct stream_entry *e)
{
	int rc = stream_ports_keep(e);

	return rc < 0 ? rc : stream_slot_take(e, e->pub.slot);
}

static void entry_take_old_slot(struct stream_entry *e)
{
	const struct region *region = link_region(e->pub.store->link);

	if (e->phase == STREAM_DETACHED && !e->has_slot && e->pub.slot < region->n_streams &&
		!region_in_use(region->streams[e->pub.slot].conf.generation))
		entry_place(e);
}

// Take up what is neither as it should be nor under way.
void stream_entry_settle(struct stream_entry *e)
{
	int rc = 0;

	if (e->phase == STREAM_STUCK) {
		stream_entry_remove(e);
		return;
	}
	if (e->phase != STREAM_DETACHED && e->phase != STREAM_UNSURE)
		return;
	if (!e->has_slot)
		rc = entry_place(e);
	if (rc == 0) {
		e->phase = STREAM_UNSURE;
		rc = stream_entry_set(e, STREAM_SETTING);
	}
	if (rc < 0 && rc != e->status)
		log_warn("stream %s: cannot be set up: %s; it is tried again", e->pub.id,
			rc == -ENOSPC ? "no slot or port is free" : strerror(-rc));
	e->status = rc;
}

static bool slot_held(const struct stream *first, uint16_t slot)
{
	for (; first; first = first->next) {
		if (((const struct stream_entry *)first)->has_slot && first->slot == slot)
			return true;
	}
	return false;
}

// A stream that an earlier control set up goes on as it is; the workers confirm it once more.
static void adopt(struct stream_entry *e, const struct stream_want *want)
{
	e->pub.want = *want;
	e->phase = STREAM_DETACHED;
	stream_entry_show(e);
	stream_file_touch(e->pub.store);
	log_info("stream %s goes on from before", e->pub.id);
}

// What adds up to no stream of its own is removed. Its ports are not touched: they may be
// another's.
static void condemn(struct stream_entry *e)
{
	e->pub.leaving = true;
	e->phase = STREAM_STUCK;
	log_warn("slot %u holds no stream that could go on: it is removed", e->pub.slot);
}

// Return: the stream of that name that waits for a slot, as one from the file does; NULL none.
static struct stream_entry *find_waiting(struct stream_store *store, const char *id)
{
	struct stream *s = stream_list_find(store->first, id);
	struct stream_entry *e = s ? stream_entry(s) : NULL;

	return e && e->phase == STREAM_DETACHED && !e->has_slot && !e->removal ? e : NULL;
}

// Take up a slot in use that nobody here knows. What stands there wins over what we kept.
static void take_up_slot(struct stream_store *store, uint16_t slot)
{
	const struct region_stream_conf conf = link_region(store->link)->streams[slot].conf;
	struct stream_want want;
	int rc = read_slot(store, &conf, &want);
	struct stream_entry *e = NULL;

	if (rc == 0)
		e = find_waiting(store, conf.id);
	if (rc == 0 && !e &&
		(stream_list_find(store->first, conf.id) ||
			stream_list_find(store->hidden, conf.id)))
		rc = -EEXIST;
	if (!e)
		e = stream_entry_create(store, rc == 0 ? conf.id : "");
	if (!e) {
		log_error("slot %u stays taken: out of memory", slot);
		return;
	}
	e->pub.slot = slot;
	e->pub.generation = conf.generation;
	e->pub.owner = conf.owner;
	e->has_slot = true;
	if (rc == 0)
		adopt(e, &want);
	else
		condemn(e);
}

static void take_up_slots(struct stream_store *store)
{
	const struct region *region = link_region(store->link);

	for (uint16_t slot = 0; slot < region->n_streams; slot++) {
		if (region_in_use(region->streams[slot].conf.generation) &&
			!slot_held(store->first, slot) && !slot_held(store->hidden, slot))
			take_up_slot(store, slot);
	}
}

void stream_store_attach(struct stream_store *store, struct link *link)
{
	store->link = NULL;
	stream_groups_leave(store);
	stream_each_entry(store, entry_detach);
	if (!link)
		return;
	store->link = link;
	store->held = NULL;
	stream_each_entry(store, entry_reclaim);
	take_up_slots(store);
	stream_each_entry(store, entry_take_old_slot);
	stream_each_entry(store, stream_entry_settle);
	stream_groups_sync(store);
}

void stream_store_hold(struct stream_store *store, struct link *lost)
{
	store->held = lost;
}
