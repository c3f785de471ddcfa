#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <cmocka.h>

#include "dataplane/mem/slab.h"

enum {
	N_OBJECTS = 5000,
	OBJ_BYTES = 1300, // 1344 with its last line filled up: 1560 to a chunk
	HUGE_BYTES = 2 << 20,
};

static void objects_do_not_overlap(void **state)
{
	static char *at[N_OBJECTS];
	struct slab s;

	slab_init(&s, OBJ_BYTES);
	for (int i = 0; i < N_OBJECTS; i++) {
		at[i] = slab_get(&s);
		assert_non_null(at[i]);
		assert_int_equal((uintptr_t)at[i] % 64, 0);
		memset(at[i], i, OBJ_BYTES);
	}
	for (int i = 0; i < N_OBJECTS; i++)
		for (int k = 0; k < OBJ_BYTES; k++)
			assert_int_equal(at[i][k], (char)i);
	assert_int_equal(s.n_used, N_OBJECTS);
	for (int i = 0; i < N_OBJECTS; i++)
		slab_put(&s, at[i]);
	assert_int_equal(s.n_used, 0);
	slab_fini(&s);
}

// Neighbours in time are neighbours in memory, in one huge page as far as it goes.
static void objects_lie_close(void **state)
{
	struct slab s;
	char *first, *second;

	slab_init(&s, OBJ_BYTES);
	first = slab_get(&s);
	second = slab_get(&s);
	assert_int_equal(second - first, 1344);
	assert_int_equal((uintptr_t)first / HUGE_BYTES, (uintptr_t)second / HUGE_BYTES);
	slab_put(&s, first);
	assert_ptr_equal(slab_get(&s), first);
	slab_put(&s, first);
	slab_put(&s, second);
	slab_put(&s, NULL);
	slab_fini(&s);
}

static void no_memory_is_said(void **state)
{
	struct rlimit before, none;
	void *taken[2];
	struct slab s;
	unsigned int n = 0;

	assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
	none = before;
	none.rlim_cur = 1;
	slab_init(&s, HUGE_BYTES / 2);
	taken[n++] = slab_get(&s);
	assert_non_null(taken[0]);
	assert_int_equal(setrlimit(RLIMIT_AS, &none), 0);
	assert_null(slab_get(&s));
	assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
	assert_int_equal(s.n_used, 1);
	taken[n] = slab_get(&s);
	assert_non_null(taken[n]);
	slab_put(&s, taken[0]);
	slab_put(&s, taken[1]);
	slab_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_do_not_overlap),
		cmocka_unit_test(objects_lie_close),
		cmocka_unit_test(no_memory_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
