// The store: lists of streams, and what each is waiting for.
// A stream has at most one command under way. Its acknowledgement (on_ack) decides what comes next;
// nothing is freed before it came, whatever happens to the data plane meanwhile.
#include "control/stream/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/metrics/metrics.h"
#include "control/stream/priv/store.h"
#include "dataplane/abi/log.h"

static void on_ack(void *arg, int status);

// ---- lists -------------------------------------------------------------------------------------

static void list_add(struct stream **first, struct stream *s)
{
	while (*first)
		first = &(*first)->next;
	s->next = NULL;
	*first = s;
}

static void list_remove(struct stream **first, struct stream *s)
{
	while (*first && *first != s)
		first = &(*first)->next;
	if (*first)
		*first = s->next;
}

struct stream *stream_list_find(struct stream *first, const char *id)
{
	while (first && strcmp(first->id, id) != 0)
		first = first->next;
	return first;
}

struct stream_entry *stream_entry_create(struct stream_store *store, const char *id)
{
	struct stream_entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	strncpy(e->pub.id, id, REGION_STREAM_ID_MAX);
	e->pub.store = store;
	list_add(&store->hidden, &e->pub);
	return e;
}

void stream_entry_free(struct stream_entry *e)
{
	struct stream_store *store = e->pub.store;

	list_remove(e->confirmed ? &store->first : &store->hidden, &e->pub);
	metrics_stream_gone(&e->pub);
	free(e);
}

void stream_entry_show(struct stream_entry *e)
{
	if (e->confirmed)
		return;
	list_remove(&e->pub.store->hidden, &e->pub);
	list_add(&e->pub.store->first, &e->pub);
	e->confirmed = true;
}

static void entry_hide(struct stream_entry *e)
{
	if (!e->confirmed)
		return;
	list_remove(&e->pub.store->first, &e->pub);
	list_add(&e->pub.store->hidden, &e->pub);
	e->confirmed = false;
}

void stream_each_entry(struct stream_store *store, stream_entry_fn fn)
{
	struct stream *const lists[] = { store->first, store->hidden };
	struct stream *next;

	for (int i = 0; i < 2; i++) {
		for (struct stream *s = lists[i]; s; s = next) {
			next = s->next;
			fn(stream_entry(s));
		}
	}
}

// ---- telling -----------------------------------------------------------------------------------

static void tell_set(struct stream_entry *e, struct stream *s, int status)
{
	stream_done_cb cb = e->set_cb;

	e->set_cb = NULL;
	e->changing = false;
	if (cb)
		cb(e->set_arg, s, status);
}

static void tell_removed(struct stream_entry *e, int status)
{
	stream_done_cb cb = e->remove_cb;

	e->remove_cb = NULL;
	if (cb)
		cb(e->remove_arg, NULL, status);
}

// The end of an entry: nothing in the region or the maps is its any more.
static void entry_end(struct stream_entry *e, int set_status, int remove_status)
{
	struct stream_entry gone = *e;

	stream_entry_free(e);
	tell_set(&gone, NULL, set_status);
	tell_removed(&gone, remove_status);
}

// ---- commands ----------------------------------------------------------------------------------

// Give the ports back that only other has.
static void drop_other(struct stream_entry *e)
{
	stream_ports_steer(e->pub.store, &e->other, &e->pub.want, STEER_PASS);
	e->other = (struct stream_want){ 0 };
}

int stream_entry_set(struct stream_entry *e, enum stream_phase phase)
{
	struct stream_store *store = e->pub.store;
	int rc;

	stream_slot_write(e);
	rc = stream_ports_steer(store, &e->pub.want, &e->other, STEER_INGEST);
	if (rc == 0)
		rc = link_command(store->link, LINK_ALL_WORKERS, RING_STREAM_SET, e->pub.slot,
			e->pub.generation, on_ack, e);
	if (rc == 0)
		e->phase = phase;
	return rc;
}

// Give the ports back that only want has.
static void close_new(struct stream_entry *e)
{
	stream_ports_steer(e->pub.store, &e->pub.want, &e->other, STEER_PASS);
}

void stream_entry_remove(struct stream_entry *e)
{
	int rc;

	stream_slot_disown(e);
	rc = link_command(e->pub.store->link, LINK_ALL_WORKERS, RING_STREAM_REMOVE, e->pub.slot,
		e->pub.generation, on_ack, e);
	e->phase = STREAM_REMOVING;
	if (rc == 0)
		return;
	e->phase = STREAM_STUCK;
	entry_hide(e);
	tell_set(e, NULL, e->status);
	tell_removed(e, rc);
}

// Go on with a removal once nothing else is under way.
static void continue_removal(struct stream_entry *e)
{
	if (!e->removal || e->pub.n_peers)
		return;
	if (e->phase == STREAM_DETACHED) {
		stream_slot_disown_held(e);
		entry_end(e, 0, 0);
	} else if (e->phase == STREAM_READY || e->phase == STREAM_UNSURE)
		stream_entry_remove(e);
}

static void swap_wants(struct stream_entry *e)
{
	struct stream_want want = e->pub.want;

	e->pub.want = e->other;
	e->other = want;
}

// ---- acknowledgements --------------------------------------------------------------------------

void stream_entry_detach(struct stream_entry *e)
{
	if (e->changing)
		e->pub.want = e->other;
	e->other = (struct stream_want){ 0 };
	e->has_slot = false;
	e->phase = STREAM_DETACHED;
}

static void on_link_lost(struct stream_entry *e)
{
	bool removing = e->phase == STREAM_REMOVING;
	int status = e->phase == STREAM_RESTORING ? e->status : -ECONNRESET;

	// Who asked for it is told that it failed: it must not go on by itself.
	if (!e->confirmed && e->pub.store->link)
		stream_slot_disown(e);
	stream_entry_detach(e);
	if (removing || !e->confirmed) {
		entry_end(e, e->status ? e->status : -ECONNRESET, 0);
		return;
	}
	tell_set(e, &e->pub, status);
	continue_removal(e);
}

static void on_set_failed(struct stream_entry *e, int status)
{
	log_warn("stream %s: the workers did not take it: %s", e->pub.id, strerror(-status));
	e->status = status;
	if (!e->confirmed) {
		stream_entry_remove(e);
		return;
	}
	if (e->changing) {
		swap_wants(e);
		e->changing = false;
		if (stream_entry_set(e, STREAM_RESTORING) == 0)
			return;
	}
	e->phase = STREAM_UNSURE;
	tell_set(e, &e->pub, status);
	continue_removal(e);
}

static void on_set_done(struct stream_entry *e, int status)
{
	drop_other(e);
	e->phase = STREAM_READY;
	e->status = 0;
	stream_entry_show(e);
	stream_file_touch(e->pub.store);
	tell_set(e, &e->pub, status);
	continue_removal(e);
}

static void on_restore_failed(struct stream_entry *e, int status)
{
	log_error("stream %s: a change failed (%s), and so did undoing it (%s); it is tried again",
		e->pub.id, strerror(-e->status), strerror(-status));
	e->phase = STREAM_UNSURE;
	tell_set(e, &e->pub, e->status);
	continue_removal(e);
}

static void on_removed(struct stream_entry *e)
{
	stream_ports_steer(e->pub.store, &e->other, NULL, STEER_PASS);
	stream_ports_steer(e->pub.store, &e->pub.want, NULL, STEER_PASS);
	stream_slot_release(e);
	entry_end(e, e->status, 0);
}

static void on_remove_failed(struct stream_entry *e, int status)
{
	log_warn("stream %s: the workers did not let it go: %s; they are asked again", e->pub.id,
		strerror(-status));
	e->phase = STREAM_STUCK;
	entry_hide(e);
	tell_set(e, NULL, e->status);
	tell_removed(e, status);
}

static void on_ack(void *arg, int status)
{
	struct stream_entry *e = arg;

	if (status == -ECONNRESET)
		on_link_lost(e);
	else if (e->phase == STREAM_SETTING && status == 0)
		on_set_done(e, 0);
	else if (e->phase == STREAM_SETTING)
		on_set_failed(e, status);
	else if (e->phase == STREAM_RESTORING && status == 0)
		on_set_done(e, e->status);
	else if (e->phase == STREAM_RESTORING)
		on_restore_failed(e, status);
	else if (status == 0 || status == -ENOENT)
		on_removed(e); // a worker that never had it is fine
	else
		on_remove_failed(e, status);
}

// ---- PUT and DELETE ----------------------------------------------------------------------------

static int refuse(char error[STREAM_ERROR_MAX], int rc, const char *line)
{
	snprintf(error, STREAM_ERROR_MAX, "%s", line);
	return rc;
}

static int explain_send(char error[STREAM_ERROR_MAX], int rc)
{
	if (rc == -ENOBUFS)
		return refuse(error, rc, "the workers are busy; try again");
	snprintf(error, STREAM_ERROR_MAX, "the steering map took no port: %s", strerror(-rc));
	return rc;
}

// Before anything else: what comes of it is only that some groups may be joined for nothing, until
// the next sample.
static int join_groups(
	struct stream_store *store, const struct stream_want *want, char error[STREAM_ERROR_MAX])
{
	for (int leg = 0; leg < STREAM_WANT_LEGS; leg++) {
		const struct stream_leg_want *l = stream_want_leg(want, leg);
		int rc;

		if (!l->present || l->group.family == NET_NONE)
			continue;
		rc = stream_group_join(store, &l->group);
		if (rc == 0)
			continue;
		snprintf(error, STREAM_ERROR_MAX, "%s.group: cannot be joined on %s: %s",
			stream_want_leg_name(leg), stream_group_interface(store), strerror(-rc));
		return -EADDRNOTAVAIL;
	}
	return 0;
}

static int set_new(struct stream_store *store, const char *id, const struct stream_want *want,
	stream_done_cb cb, void *arg, bool *existed, char error[STREAM_ERROR_MAX])
{
	struct stream_want full = *want;
	struct stream_entry *e;
	int rc = stream_ports_resolve(store, NULL, &full, error);

	if (rc == 0)
		rc = join_groups(store, &full, error);
	if (rc < 0)
		return rc;
	e = stream_entry_create(store, id);
	if (!e)
		return refuse(error, -ENOMEM, "out of memory");
	full.pick_kept = false;
	e->pub.want = full;
	rc = stream_slot_take(e, 0);
	if (rc < 0) {
		snprintf(error, STREAM_ERROR_MAX, "all %u streams of [dataplane] max_streams exist",
			link_region(store->link)->n_streams);
		goto err_free;
	}
	rc = stream_entry_set(e, STREAM_SETTING);
	if (rc < 0) {
		close_new(e);
		explain_send(error, rc);
		goto err_release;
	}
	e->set_cb = cb;
	e->set_arg = arg;
	*existed = false;
	return 0;

err_release:
	stream_slot_release(e);
err_free:
	stream_entry_free(e);
	return rc;
}

static int set_change(struct stream_entry *e, const struct stream_want *want, stream_done_cb cb,
	void *arg, bool *existed, char error[STREAM_ERROR_MAX])
{
	struct stream_want full = *want;
	int rc = stream_ports_resolve(e->pub.store, e, &full, error);

	if (full.pick_kept)
		full.pick = full.backup.present ? e->pub.want.pick : REGION_PICK_AUTO;
	full.pick_kept = false;

	if (rc == 0)
		rc = join_groups(e->pub.store, &full, error);
	if (rc < 0)
		return rc;
	e->other = e->pub.want;
	e->pub.want = full;
	if (stream_want_equal(&full, &e->other)) {
		e->other = (struct stream_want){ 0 };
		stream_slot_write(e); // what only control reads may have changed
		stream_file_touch(e->pub.store);
		*existed = true;
		if (cb)
			cb(arg, &e->pub, 0);
		return 0;
	}
	rc = stream_entry_set(e, STREAM_SETTING);
	if (rc < 0) {
		close_new(e);
		e->pub.want = e->other;
		e->other = (struct stream_want){ 0 };
		stream_slot_write(e);
		return explain_send(error, rc);
	}
	e->changing = true;
	e->set_cb = cb;
	e->set_arg = arg;
	*existed = true;
	return 0;
}

int stream_set(struct stream_store *store, const char *id, const struct stream_want *want,
	stream_done_cb cb, void *arg, bool *existed, char error[STREAM_ERROR_MAX])
{
	struct stream *s = stream_list_find(store->first, id);
	size_t id_chars = strnlen(id, REGION_STREAM_ID_MAX + 1);

	if (id_chars == 0 || id_chars > REGION_STREAM_ID_MAX)
		return refuse(error, -EINVAL, "a stream's name has 1 to 63 characters");
	if (!store->link)
		return refuse(error, -ENOTCONN, "no data plane is connected; try again");
	if (stream_list_find(store->hidden, id) || (s && s->leaving))
		return refuse(
			error, -EBUSY, "the stream is just being set up or removed; try again");
	if (!s)
		return set_new(store, id, want, cb, arg, existed, error);
	if (stream_entry(s)->phase != STREAM_READY)
		return refuse(
			error, -EBUSY, "another change of the stream is under way; try again");
	return set_change(stream_entry(s), want, cb, arg, existed, error);
}

void stream_leave(struct stream *s)
{
	s->leaving = true;
}

int stream_remove(struct stream *s, stream_done_cb cb, void *arg)
{
	struct stream_entry *e = stream_entry(s);

	if (e->removal)
		return -EALREADY;
	s->leaving = true;
	stream_file_touch(s->store);
	e->removal = true;
	e->remove_cb = cb;
	e->remove_arg = arg;
	continue_removal(e);
	return 0;
}

void stream_peer_added(struct stream *s)
{
	s->n_peers++;
}

void stream_peer_gone(struct stream *s)
{
	if (s->n_peers)
		s->n_peers--;
	continue_removal(stream_entry(s));
}

// ---- life --------------------------------------------------------------------------------------

int stream_store_create(const struct conf *conf, struct stream_store **out)
{
	struct stream_store *store = calloc(1, sizeof(*store));

	if (!store)
		return -ENOMEM;
	store->conf = conf;
	*out = store;
	return 0;
}

static void entry_destroy(struct stream_entry *e)
{
	entry_end(e, -ESHUTDOWN, -ESHUTDOWN);
}

void stream_store_destroy(struct stream_store *store)
{
	if (!store)
		return;
	stream_file_close(store);
	stream_groups_leave(store);
	stream_each_entry(store, entry_destroy);
	free(store);
}

void stream_store_set_address(struct stream_store *store, const struct net_addr *addr)
{
	store->address = *addr;
}

// ---- asking ------------------------------------------------------------------------------------

struct stream *stream_find(struct stream_store *store, const char *id)
{
	struct stream *s = stream_list_find(store->first, id);

	return s && !s->leaving ? s : NULL;
}

struct stream *stream_first(struct stream_store *store)
{
	return store->first;
}

const struct region_stream *stream_shared(const struct stream *s)
{
	const struct stream_entry *e = (const struct stream_entry *)s;

	return e->has_slot && s->store->link ? &link_region(s->store->link)->streams[s->slot]
					     : NULL;
}
