// The store's insides, as the files of this folder share them.
#pragma once

#include <errno.h>

#include "control/stream/stream.h"

enum stream_phase {
	STREAM_DETACHED,  // no slot: no data plane, or no room in it
	STREAM_SETTING,	  // RING_STREAM_SET is under way
	STREAM_READY,	  // every worker has it as it stands
	STREAM_RESTORING, // a change failed; the set of what held before is under way
	STREAM_UNSURE,	  // a set failed, workers may differ; the next sample sets again
	STREAM_REMOVING,  // RING_STREAM_REMOVE is under way
	STREAM_STUCK,	  // that failed; the next sample asks again
};

// A struct stream of the store is the first member of one of these.
struct stream_entry {
	struct stream pub;
	enum stream_phase phase;
	bool confirmed; // all workers took it once: in the list that callers see
	bool has_slot;
	bool changing;		  // SETTING: other is what held before
	struct stream_want other; // besides pub.want: legs that some worker may still hold
	int status;		  // of what failed and is being undone
	stream_done_cb set_cb;
	void *set_arg;
	bool removal; // stream_remove was called
	stream_done_cb remove_cb;
	void *remove_arg;
};

struct stream_store {
	const struct conf *conf;
	struct link *link;
	struct link *held; // a data plane left; its region, which another may take up. Else NULL
	struct net_addr address;
	struct stream *first;  // confirmed
	struct stream *hidden; // not yet, or no longer known to callers: they hold slot and ports
	uint64_t sampled_ms;
	int group_status;	     // of the last join that failed
	struct stream_group *groups; // joined
	struct stream_file *file;    // NULL: streams are not kept
};

static inline struct stream_entry *stream_entry(struct stream *s)
{
	return (struct stream_entry *)s;
}

// A stream's legs that have ports: the primary's, then the backup's.
enum { STREAM_WANT_LEGS = 2 * LEG_COUNT };

static inline struct stream_leg_want *stream_want_leg(const struct stream_want *want, int i)
{
	const struct stream_leg_want *legs = i < LEG_COUNT ? want->legs : want->backup.legs;

	return (struct stream_leg_want *)(uintptr_t)&legs[i % LEG_COUNT];
}

static inline const char *stream_want_leg_name(int i)
{
	static const char *const names[] = { "video", "audio", "backup.video", "backup.audio" };

	return names[i];
}

// ---- stream_slot.c: slots, ports and what stands in the region ---------------------------------

// Take a free slot, the preferred one where that is free, and choose the owner.
// Return: 0; -ENOSPC.
int stream_slot_take(struct stream_entry *, uint16_t preferred);

// Take what stands in a slot for the entry's own, after the link to the same region was lost.
// Return: whether it is.
bool stream_slot_reclaim(struct stream_entry *);
void stream_slot_release(struct stream_entry *);

// Write pub.want into the slot. Only while no command for it is under way.
void stream_slot_write(const struct stream_entry *);

// Check asked ports and assign the others.
// self:   the stream that changes; NULL a new one.
// Return: 0; -EEXIST, -ENOSPC with a line in error.
int stream_ports_resolve(const struct stream_store *, const struct stream_entry *self,
	struct stream_want *want, char error[STREAM_ERROR_MAX]);

// Whether no other stream with a slot has one of these ports, nor the media port.
bool stream_ports_free(const struct stream_store *, const struct stream_want *);

// For a stream that shall have a slot again: ports that others got meanwhile, or that the
// configuration no longer allows, give way to free ones, and that is logged.
// Return: 0; -ENOSPC.
int stream_ports_keep(struct stream_entry *);

// Say of the ports of want, without those of keep, whose they are. No steering map is fine.
// Return: 0; -errno of the first that failed.
int stream_ports_steer(const struct stream_store *, const struct stream_want *want,
	const struct stream_want *keep, enum steer_class);

// Whether the workers would see no difference.
bool stream_want_equal(const struct stream_want *, const struct stream_want *);

// Take the name out of a slot that is about to be removed, so that nobody adopts it if we end here.
void stream_slot_disown(const struct stream_entry *);
// The same, of the slot that the entry had in a region that is held.
void stream_slot_disown_held(const struct stream_entry *);

// ---- stream.c: entries and their commands ------------------------------------------------------

struct stream *stream_list_find(struct stream *first, const char *id);

typedef void (*stream_entry_fn)(struct stream_entry *);

// fn may free the entry it is given, or move it to the other list.
void stream_each_entry(struct stream_store *, stream_entry_fn fn);

// A new entry in the hidden list; NULL no memory.
struct stream_entry *stream_entry_create(struct stream_store *, const char *id);
void stream_entry_free(struct stream_entry *);

// Move it to the list that callers see.
void stream_entry_show(struct stream_entry *);

// The region is gone, and with it all that the workers knew.
void stream_entry_detach(struct stream_entry *);

// Write the slot, open the ports, tell the workers.
// Return: 0 and phase; -errno, and ports that only pub.want has may be open.
int stream_entry_set(struct stream_entry *, enum stream_phase);

// Have the workers let go of it.
void stream_entry_remove(struct stream_entry *);

// Take up what is neither as it should be nor under way; there is a data plane.
void stream_entry_settle(struct stream_entry *);

// ---- stream_file.c: streams survive us ---------------------------------------------------------

// What is kept of the streams has changed.
void stream_file_touch(struct stream_store *);
// Write what is not kept yet, and keep nothing from now on.
void stream_file_close(struct stream_store *);

// ---- stream_json.c -----------------------------------------------------------------------------

// stream_want_parse, for a body that has been read.
int stream_want_read(const struct conf *, const json_t *body, struct stream_want *out,
	char error[STREAM_ERROR_MAX]);

// Read allowed_sources, of which where is the path.
int stream_sources_read(const json_t *list, const char *where, uint8_t *n,
	struct region_source out[REGION_MAX_SOURCES], char error[STREAM_ERROR_MAX]);

// Say in error what was expected where. Return: -EINVAL.
int stream_refuse_member(
	const char *where, const char *expected, const json_t *found, char error[STREAM_ERROR_MAX]);

// ---- stream_backup.c: the second source --------------------------------------------------------

// Read backup and source of a body of which want has the rest.
int stream_backup_read(const struct conf *, const json_t *body, struct stream_want *want,
	char error[STREAM_ERROR_MAX]);

// The same again, for the file. Return: a new object; NULL no memory.
json_t *stream_backup_text(const struct stream_backup_want *);

// ---- stream_group.c: the kernel is a member of every group that a leg names --------------------

// The data plane's port as the kernel knows it: the interface itself, or its end of the port.
// Return: "" it does not.
const char *stream_group_interface(const struct stream_store *);

// Join, if it is not yet. Without an interface that the kernel knows there is nothing to join.
// Return: 0; -ENOMEM, -errno of the kernel.
int stream_group_join(struct stream_store *, const struct net_addr *group);

// Join what legs want and is not joined, leave the rest; failures are logged once.
void stream_groups_sync(struct stream_store *);
void stream_groups_leave(struct stream_store *);

// Return: the bare address, a new reference; NULL no memory.
json_t *stream_group_text(const struct net_addr *group);

// ---- stream_sprop.c ----------------------------------------------------------------------------

// Read base64 NAL units with commas between: SPS and PPS, one of each at least.
// profile_level_id: out, as the SPS has it.
// Return: 0; -EINVAL they are not that; -EMSGSIZE longer than is kept.
int stream_sprop_parse(const char *text, struct stream_sprop *out, uint8_t profile_level_id[3]);

// Return: 0 and the profile; -EINVAL they do not add up, none at all too.
int stream_sprop_check(const struct stream_sprop *, uint8_t profile_level_id[3]);

// Return: the text again, a new reference; null where there are none; NULL no memory.
json_t *stream_sprop_text(const struct stream_sprop *);

// ---- stream_describe.c -------------------------------------------------------------------------

// allowed_sources as PUT takes them.
// Return: a new array; NULL no memory.
json_t *stream_sources(const struct region_source *, uint8_t n);

// ---- stream_text.c: what describe says in words ------------------------------------------------

enum {
	STREAM_RTP_HEADER_BYTES = 12,
	STREAM_PACKET_BYTES = 1200, // what we advise encoders to send
};

// Return: the longest RTP packet with a plain header that a viewer can be sent.
unsigned int stream_rtp_max(const struct stream_store *);

// Lines that say what is wrong with a leg's input and how to put it right.
// Return: a new array; NULL no memory.
json_t *stream_problems(
	const struct stream *, enum region_role, enum leg_kind, const struct region_leg_state *);

// Shell commands that send to a source's ports.
// Return: a new object; NULL no memory.
json_t *stream_commands(const struct stream *, enum region_role);

// Set a member; NULL values count as no memory.
// Return: 0; -ENOMEM.
static inline int stream_json_put(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value) == 0 ? 0 : -ENOMEM;
}
