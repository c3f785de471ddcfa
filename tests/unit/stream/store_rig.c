#include "tests/unit/stream/store_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void store_rig_told(void *arg, struct stream *s, int status)
{
	struct told *told = arg;

	told->n++;
	told->stream = s;
	told->status = status;
}

struct stream_want store_rig_want(const char *body)
{
	const struct conf conf = edge_conf();
	struct stream_want want;
	char error[STREAM_ERROR_MAX];

	assert_int_equal(stream_want_parse(&conf, body, strlen(body), &want, error), 0);
	return want;
}

int store_rig_set_up(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->conf = edge_conf();
	assert_int_equal(stream_store_create(&r->conf, &r->store), 0);
	r->link = edge_create(EDGE_STREAMS, true);
	stream_store_attach(r->store, r->link);
	*state = r;
	return 0;
}

int store_rig_tear_down(void **state)
{
	struct rig *r = *state;

	edge_destroy(r->link);
	stream_store_destroy(r->store);
	free(r);
	return 0;
}

int store_rig_put(struct rig *r, const char *id, const char *body)
{
	struct stream_want want = store_rig_want(body);

	r->told = (struct told){ 0 };
	return stream_set(r->store, id, &want, store_rig_told, &r->told, &r->existed, r->error);
}

struct stream *store_rig_put_done(struct rig *r, const char *id, const char *body)
{
	assert_int_equal(store_rig_put(r, id, body), 0);
	edge_run(r->link);
	assert_int_equal(r->told.n, 1);
	assert_int_equal(r->told.status, 0);
	assert_non_null(r->told.stream);
	return r->told.stream;
}

int store_rig_remove(struct rig *r, struct stream *s)
{
	r->told = (struct told){ 0 };
	return stream_remove(s, store_rig_told, &r->told);
}

void store_rig_expect_empty(struct rig *r)
{
	assert_null(stream_first(r->store));
	assert_int_equal(edge_slots(r->link), 0);
	assert_int_equal(edge_worker_slots(r->link), 0);
	assert_int_equal(edge_steered(r->link), 0);
}
