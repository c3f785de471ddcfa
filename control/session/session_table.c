// Where sessions are kept and found: by resource, by ufrag, by address; and the region's slots.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "control/session/priv/session.h"
#include "dataplane/abi/log.h"

enum {
	NS_PER_MS = 1000000,
};

const char *session_end_name(enum session_end end)
{
	static const char *const names[SESSION_END_COUNT] = {
		[SESSION_END_DELETE] = "delete",
		[SESSION_END_SETUP_TIMEOUT] = "setup_timeout",
		[SESSION_END_CONSENT] = "consent_lost",
		[SESSION_END_DTLS_CLOSED] = "dtls_closed",
		[SESSION_END_DTLS_FAILED] = "dtls_failed",
		[SESSION_END_STREAM_GONE] = "stream_gone",
		[SESSION_END_STREAM_CHANGED] = "stream_changed",
		[SESSION_END_SOURCE_SILENT] = "source_silent",
		[SESSION_END_DATAPLANE] = "dataplane_gone",
		[SESSION_END_SHUTDOWN] = "shutdown",
	};

	return end < SESSION_END_COUNT ? names[end] : "?";
}

uint64_t session_now_ms(void)
{
	return region_now_ns() / NS_PER_MS;
}

int session_table_create(
	const struct conf *conf, struct dtls_context *dtls, struct session_table **out)
{
	struct session_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->conf = conf;
	t->dtls = dtls;
	*out = t;
	return 0;
}

void session_table_destroy(struct session_table *t)
{
	if (!t)
		return;
	while (t->all)
		session_free(t->all);
	session_drop_orphans(t);
	free(t->free_slots);
	free(t);
}

// Lowest slots first: they lie together in memory. Slots in use are not among them.
static int fill_free_slots(struct session_table *t, const struct region *region)
{
	uint16_t *slots = calloc(region->n_peers, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	free(t->free_slots);
	t->free_slots = slots;
	t->n_free = 0;
	for (uint32_t i = region->n_peers; i-- > 0;)
		if (!region_in_use(region->peers[i].conf.generation))
			slots[t->n_free++] = (uint16_t)i;
	return 0;
}

void session_table_hold(struct session_table *t)
{
	struct session *s, *next;

	DL_FOREACH_SAFE(t->all, s, next)
	if (s->end_wanted)
		session_free(s); // its slot is given back by whoever comes
	session_drop_orphans(t);
	t->n_free = 0;
}

void session_table_attach(struct session_table *t, struct link *link, struct stream *streams)
{
	t->link = link;
	if (!link) {
		// Nobody is left to say good-bye for us.
		while (t->all) {
			if (!t->all->end_wanted)
				t->counts.ended[SESSION_END_DATAPLANE]++;
			session_free(t->all);
		}
		session_drop_orphans(t);
		t->n_free = 0;
		return;
	}
	t->attached_ms = session_now_ms();
	if (fill_free_slots(t, link_region(link)) < 0) {
		log_error("no memory for %u peer slots", link_region(link)->n_peers);
		return;
	}
	session_adopt_all(t, streams);
}

const struct session_counts *session_table_counts(const struct session_table *t)
{
	return &t->counts;
}

uint32_t session_table_used(const struct session_table *t)
{
	return t->n_used;
}

uint32_t session_table_cap(const struct session_table *t)
{
	uint32_t slots = t->link ? link_region(t->link)->n_peers : 0;
	uint32_t cap = t->conf->whep.max_peers;

	return cap && cap < slots ? cap : slots;
}

struct session *session_find(struct session_table *t, const char *resource)
{
	struct session *s;

	HASH_FIND_STR(t->by_resource, resource, s);
	return s && s->state != SESSION_CLOSING && !s->end_wanted ? s : NULL;
}

struct region_peer *session_slot(const struct session *s)
{
	return &link_region(s->table->link)->peers[s->slot];
}

static uint32_t *gauge_of(struct session_table *t, enum session_state state)
{
	switch (state) {
	case SESSION_RESERVING:
		return &t->counts.reserving;
	case SESSION_CONNECTING:
		return &t->counts.connecting;
	case SESSION_READY:
		return &t->counts.ready;
	default:
		return &t->counts.closing;
	}
}

void session_set_state(struct session *s, enum session_state state)
{
	--*gauge_of(s->table, s->state);
	s->state = state;
	++*gauge_of(s->table, state);
}

static void forget_ufrags(struct session *s)
{
	for (int i = 0; i < 2; i++) {
		if (s->ufrags[i].ufrag[0])
			HASH_DEL(s->table->by_ufrag, &s->ufrags[i]);
		memset(&s->ufrags[i], 0, sizeof(s->ufrags[i]));
	}
}

// The agent's credentials, old and new, lead to the session.
void session_name_ufrags(struct session *s)
{
	const char *const names[2] = { s->ice.local.ufrag, s->ice.previous.ufrag };

	forget_ufrags(s);
	for (int i = 0; i < 2; i++) {
		struct session_ufrag *u = &s->ufrags[i];

		if (!names[i][0])
			continue;
		memcpy(u->ufrag, names[i], sizeof(u->ufrag));
		u->session = s;
		HASH_ADD_STR(s->table->by_ufrag, ufrag, u);
	}
}

static void forget_addresses(struct session *s)
{
	for (int i = 0; i < ICE_MAX_VALIDATED; i++)
		if (s->addresses[i].session)
			HASH_DEL(s->table->by_address, &s->addresses[i]);
}

void session_enter(struct session *s)
{
	struct session_table *t = s->table;

	t->worker_peers[s->worker]++;
	t->n_used++;
	++*gauge_of(t, s->state);
	HASH_ADD_STR(t->by_resource, resource, s);
	DL_APPEND(t->all, s);
	session_name_ufrags(s);
	stream_peer_added(s->stream);
}

void session_free(struct session *s)
{
	struct session_table *t = s->table;
	struct stream *stream = s->stream;

	--*gauge_of(t, s->state);
	forget_ufrags(s);
	forget_addresses(s);
	HASH_DEL(t->by_resource, s);
	DL_DELETE(t->all, s);
	dtls_conn_destroy(s->dtls);
	session_unweigh(s);
	t->worker_peers[s->worker]--;
	t->n_used--;
	explicit_bzero(s, sizeof(*s));
	free(s);
	stream_peer_gone(stream);
}

void session_visit(
	struct session_table *t, const struct stream *stream, session_visit_cb cb, void *arg)
{
	struct session *s;

	DL_FOREACH(t->all, s)
	if (!stream || s->stream == stream)
		cb(arg, s);
}
