// After a restart of control: the sessions that the one before left in the region play on. Their
// DTLS associations are gone, their SRTP keys are with the workers; ICE goes on with the
// credentials that stand in the slot. What stands there is checked as any input: a slot that does
// not add up is given back.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "control/session/priv/session.h"
#include "dataplane/abi/log.h"

// A slot without a session: its worker lets go of it, then it is free. Asked for until it is done.
struct orphan {
	struct session_table *table;
	uint16_t slot;
	bool told;	   // that it takes longer
	uint64_t retry_ms; // 0: the command is under way
	struct orphan *next;
};

static void orphan_free(struct orphan *o)
{
	LL_DELETE(o->table->orphans, o);
	free(o);
}

static void orphan_gone(void *arg, int status)
{
	struct orphan *o = arg;

	if (status < 0 && status != -ECONNRESET) {
		if (!o->told)
			log_warn("viewer slot %u was not given back: %s; trying again", o->slot,
				strerror(-status));
		o->told = true;
		o->retry_ms = session_now_ms() + SESSION_RETRY_MS;
		return;
	}
	if (status == 0)
		session_give_slot_back(o->table, o->slot);
	orphan_free(o);
}

// The worker that stands in a slot may be damage too; then each is asked, and most know nothing of
// it.
static void ask_back(struct orphan *o)
{
	const struct region *region = link_region(o->table->link);
	const struct region_peer_conf *conf = &region->peers[o->slot].conf;
	uint16_t worker = conf->worker < region->n_workers ? conf->worker : LINK_ALL_WORKERS;

	o->retry_ms = 0;
	if (link_command(o->table->link, worker, RING_PEER_REMOVE, o->slot, conf->generation,
		    orphan_gone, o) < 0)
		o->retry_ms = session_now_ms() + SESSION_RETRY_MS;
}

static void give_orphan_back(struct session_table *t, uint16_t slot)
{
	struct orphan *o = calloc(1, sizeof(*o));

	if (!o) {
		log_error("viewer slot %u is lost: out of memory", slot);
		return;
	}
	*o = (struct orphan){ .table = t, .slot = slot };
	LL_PREPEND(t->orphans, o);
	ask_back(o);
}

void session_retry_orphans(struct session_table *t, uint64_t now_ms)
{
	struct orphan *o;

	LL_FOREACH(t->orphans, o)
	if (o->retry_ms && now_ms >= o->retry_ms)
		ask_back(o);
}

void session_drop_orphans(struct session_table *t)
{
	while (t->orphans)
		orphan_free(t->orphans);
}

static struct stream *stream_of(struct stream *streams, const struct region_peer_conf *conf)
{
	struct stream *s = streams;

	while (s && (s->slot != conf->stream || s->generation != conf->stream_generation))
		s = s->next;
	return s;
}

static bool terminated(const char *text, size_t cap)
{
	return memchr(text, 0, cap) != NULL && text[0] != 0;
}

static bool slot_adds_up(const struct region_peer *slot, uint16_t n_workers)
{
	const struct region_peer_session *keep = &slot->session;

	return slot->conf.phase == REGION_PEER_READY && slot->conf.worker < n_workers &&
	       terminated(keep->resource, sizeof(keep->resource)) &&
	       strlen(keep->resource) == REGION_RESOURCE_CHARS &&
	       terminated(keep->local_ufrag, sizeof(keep->local_ufrag)) &&
	       terminated(keep->local_pwd, sizeof(keep->local_pwd)) &&
	       memchr(keep->mid, 0, sizeof(keep->mid)) && keep->tagged < LEG_COUNT;
}

static void resume_ice(struct session *s, const struct region_peer *slot)
{
	const struct region_peer_session *keep = &slot->session;
	struct ice_credentials local = {};
	struct ice_mark remote;

	memcpy(remote.ufrag, keep->remote_ufrag, sizeof(remote.ufrag));
	memcpy(remote.pwd, keep->remote_pwd, sizeof(remote.pwd));
	memcpy(local.ufrag, keep->local_ufrag, sizeof(local.ufrag));
	memcpy(local.pwd, keep->local_pwd, sizeof(local.pwd));
	ice_agent_resume(&s->ice, &local, &remote, &slot->conf.path, session_now_ms());
}

static int adopt(struct session_table *t, uint16_t index, struct stream *stream)
{
	const struct region_peer *slot = &link_region(t->link)->peers[index];
	struct session *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->table = t;
	s->stream = stream;
	s->state = SESSION_READY;
	s->slot = index;
	s->worker = slot->conf.worker;
	s->generation = slot->conf.generation;
	s->has_keys = true;
	s->consent_ms = session_now_ms();
	s->created_ms = slot->session.created_ns / 1000000;
	s->ice_generation = slot->session.ice_generation;
	s->tagged = slot->session.tagged;
	s->missed = slot->session.missed;
	memcpy(s->resource, slot->session.resource, sizeof(s->resource));
	memcpy(s->mid, slot->session.mid, sizeof(s->mid));
	resume_ice(s, slot);
	session_make_etag(s);
	session_enter(s);
	session_weigh(s);
	session_note_taken(s);
	session_note_address(s, &slot->conf.path.remote);
	session_install(s); // the worker may not have heard of the newest path
	return 0;
}

// What waited for a data plane: commands that were under way when the last one left are given
// again, and a worker that does not know the viewer learns of it.
static void resume(struct session *s)
{
	s->consent_ms = session_now_ms();
	if (s->has_keys)
		session_install(s);
}

static bool slot_held(const struct session_table *t, uint16_t index)
{
	const char *resource = link_region(t->link)->peers[index].session.resource;
	struct session *s = NULL;

	if (terminated(resource, REGION_RESOURCE_CHARS + 1))
		HASH_FIND_STR(t->by_resource, resource, s);
	return s && s->slot == index;
}

void session_adopt_all(struct session_table *t, struct stream *streams)
{
	const struct region *region = link_region(t->link);
	unsigned int adopted = 0, orphans = 0, resumed = 0;
	struct session *s;

	DL_FOREACH(t->all, s)
	{
		resume(s);
		resumed++;
	}
	for (uint32_t i = 0; i < region->n_peers; i++) {
		const struct region_peer *slot = &region->peers[i];
		struct stream *stream = stream_of(streams, &slot->conf);

		if (!region_in_use(slot->conf.generation) || slot_held(t, (uint16_t)i))
			continue;
		if (stream && slot_adds_up(slot, region->n_workers) &&
			adopt(t, (uint16_t)i, stream) == 0) {
			adopted++;
			continue;
		}
		orphans++;
		give_orphan_back(t, (uint16_t)i);
	}
	if (adopted + resumed + orphans)
		log_info("%u viewers go on from before, %u slots are given back", adopted + resumed,
			orphans);
}
