// Expanded keys have one place each, and are nobody else's.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "dataplane/srtp/priv/expanded.h"

enum {
	OWNER_BYTES = 832,
	SLOTS = 1024,
};

static struct expanded keys;

// Owners are told apart by where they are; nothing of them is read.
static const void *owner(uintptr_t i)
{
	return (const void *)((i + 1) * OWNER_BYTES);
}

static struct gcm_key_data *get(uintptr_t i, bool want_fresh)
{
	bool fresh;
	struct gcm_key_data *key = expanded_get(&keys, owner(i), &fresh);

	assert_int_equal(fresh, want_fresh);
	assert_int_equal((uintptr_t)key % 64, 0);
	return key;
}

static void each_in_a_row_has_a_place(void **state)
{
	for (uintptr_t i = 0; i < SLOTS; i++)
		get(i, true)->expanded_keys[0] = (uint8_t)i;
	for (uintptr_t i = 0; i < SLOTS; i++)
		assert_int_equal(get(i, false)->expanded_keys[0], (uint8_t)i);
}

static void a_place_that_was_lost_is_fresh(void **state)
{
	get(7, true);
	get(7 + SLOTS, true);
	get(7 + SLOTS, false);
	get(7, true);
	expanded_forget(&keys, owner(7 + SLOTS)); // it has no place any more
	get(7, false);
}

static void what_is_forgotten_is_wiped(void **state)
{
	struct gcm_key_data *key = get(3, true);

	key->expanded_keys[5] = 1;
	expanded_forget(&keys, owner(3));
	assert_int_equal(key->expanded_keys[5], 0);
	get(3, true);
}

static int set_up(void **state)
{
	return expanded_init(&keys, OWNER_BYTES);
}

static int tear_down(void **state)
{
	expanded_fini(&keys);
	expanded_fini(&keys); // twice is fine
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_in_a_row_has_a_place),
		TEST(a_place_that_was_lost_is_fresh),
		TEST(what_is_forgotten_is_wiped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
