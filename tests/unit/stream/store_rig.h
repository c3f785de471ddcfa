// A store with a data plane, for tests of what it does; and what its callbacks said.
#pragma once

#include <stdbool.h>

#include "tests/unit/stream/edge_kit.h"

struct told {
	unsigned int n;
	struct stream *stream;
	int status;
};

struct rig {
	struct conf conf;
	struct link *link;
	struct stream_store *store;
	struct told told;
	bool existed;
	char error[STREAM_ERROR_MAX];
};

// For cmocka: a rig with EDGE_STREAMS slots and a steering map.
int store_rig_set_up(void **state);
int store_rig_tear_down(void **state);

// Note in arg, a struct told, what was said.
void store_rig_told(void *told, struct stream *, int status);

struct stream_want store_rig_want(const char *body);

// PUT; told starts anew. Return: as stream_set.
int store_rig_put(struct rig *, const char *id, const char *body);

// PUT, let the workers run, and expect success.
struct stream *store_rig_put_done(struct rig *, const char *id, const char *body);

// DELETE; told starts anew.
int store_rig_remove(struct rig *, struct stream *);

// Nothing is left: in the store, the region, the workers and the steering map.
void store_rig_expect_empty(struct rig *);

static inline uint16_t video_port(const struct stream *s)
{
	return s->want.legs[LEG_VIDEO].port;
}

static inline uint16_t audio_port(const struct stream *s)
{
	return s->want.legs[LEG_AUDIO].port;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, store_rig_set_up, store_rig_tear_down)
