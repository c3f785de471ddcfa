// Memory that runs out in the store. The linker sends its allocations through here.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/stream/edge_kit.h"

void *__real_calloc(size_t n, size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);

static bool empty;

void *__wrap_calloc(size_t n, size_t bytes)
{
	return empty ? NULL : __real_calloc(n, bytes);
}

static int put(struct stream_store *store, const struct conf *conf, char *error)
{
	const char body[] = "{\"video\":{}}";
	struct stream_want want;
	bool existed;

	assert_int_equal(stream_want_parse(conf, body, strlen(body), &want, error), 0);
	return stream_set(store, "a", &want, NULL, NULL, &existed, error);
}

static void a_store_needs_memory(void **state)
{
	const struct conf conf = edge_conf();
	struct stream_store *store = NULL;

	empty = true;
	assert_int_equal(stream_store_create(&conf, &store), -ENOMEM);
	empty = false;
	assert_null(store);
	stream_store_destroy(NULL);
}

static void a_stream_needs_memory(void **state)
{
	const struct conf conf = edge_conf();
	struct link *link = edge_create(EDGE_STREAMS, true);
	char error[STREAM_ERROR_MAX];
	struct stream_store *store;

	assert_int_equal(stream_store_create(&conf, &store), 0);
	stream_store_attach(store, link);
	empty = true;
	assert_int_equal(put(store, &conf, error), -ENOMEM);
	empty = false;
	assert_string_equal(error, "out of memory");
	assert_int_equal(edge_slots(link), 0);
	assert_int_equal(edge_steered(link), 0);
	assert_int_equal(put(store, &conf, error), 0);
	edge_destroy(link);
	stream_store_destroy(store);
}

// A slot that cannot be taken up stays as it is: nobody else gets it.
static void taking_up_needs_memory(void **state)
{
	const struct conf conf = edge_conf();
	struct link *link = edge_create(1, true);
	char error[STREAM_ERROR_MAX];
	struct stream_store *store;

	assert_int_equal(stream_store_create(&conf, &store), 0);
	stream_store_attach(store, link);
	assert_int_equal(put(store, &conf, error), 0);
	edge_run(link);
	stream_store_destroy(store);
	assert_int_equal(stream_store_create(&conf, &store), 0);
	empty = true;
	stream_store_attach(store, link);
	empty = false;
	assert_null(stream_first(store));
	assert_int_equal(edge_slots(link), 1);
	assert_int_equal(put(store, &conf, error), -ENOSPC);
	stream_store_attach(store, link);
	assert_non_null(stream_find(store, "a"));
	edge_destroy(link);
	stream_store_destroy(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_store_needs_memory),
		cmocka_unit_test(a_stream_needs_memory),
		cmocka_unit_test(taking_up_needs_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
