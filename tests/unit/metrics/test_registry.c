// Series: made by their first count, found again, freed with their stream, lost without memory.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/metrics/priv/registry.h"

enum {
	COUNTS,
	TIMES,
	OTHERS,
	N_METRICS,
	// Allocations of a series: itself, its key, and the table and buckets of the first one.
	SERIES_STEPS = 4,
};

static const double bounds[] = { 1, 2 };
static const struct metric metrics[N_METRICS] = {
	[COUNTS] = METRIC_COUNTS("c_total", "C.", "kind", "stream"),
	[TIMES] = { .name = "t_seconds",
		.help = "T.",
		.type = METRIC_HISTOGRAM,
		.labels = { "stream" },
		.bounds = bounds,
		.n_bounds = 2 },
	[OTHERS] = METRIC_COUNTS("o_total", "O.", "upstream"),
};

#define HEAD_COUNTS "# HELP c_total C.\n# TYPE c_total counter\n"
#define HEAD_TIMES  "# HELP t_seconds T.\n# TYPE t_seconds histogram\n"
#define HEAD_OTHERS "# HELP o_total O.\n# TYPE o_total counter\n"

// ---- memory ------------------------------------------------------------------------------------

static unsigned int n_left; // allocations that work yet; UINT32_MAX all do

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t n, size_t bytes);
char *__real_strdup(const char *text);

static bool may(void)
{
	if (n_left == UINT32_MAX)
		return true;
	return n_left && n_left--;
}

void *__wrap_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes)
{
	return may() ? __real_malloc(bytes) : NULL;
}

void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes)
{
	return may() ? __real_calloc(n, bytes) : NULL;
}

char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text)
{
	return may() ? __real_strdup(text) : NULL;
}

// ---- the rig -----------------------------------------------------------------------------------

static int set_up(void **state)
{
	struct registry *r;

	n_left = UINT32_MAX;
	assert_int_equal(registry_create(metrics, N_METRICS, &r), 0);
	*state = r;
	return 0;
}

static int tear_down(void **state)
{
	n_left = UINT32_MAX;
	registry_destroy(*state);
	return 0;
}

static void expect(const struct registry *r, const char *text)
{
	static char got[4096];
	FILE *out = fmemopen(got, sizeof(got), "w");

	registry_write(r, out);
	fclose(out);
	assert_string_equal(got, text);
}

// ---- tests -------------------------------------------------------------------------------------

static void an_empty_one_names_its_metrics(void **state)
{
	expect(*state, HEAD_COUNTS HEAD_TIMES HEAD_OTHERS);
}

static void counts_add_up(void **state)
{
	assert_int_equal(registry_add(*state, COUNTS, METRIC_VALUES("a", "s"), 1), 0);
	assert_int_equal(registry_add(*state, COUNTS, METRIC_VALUES("b", ""), 7), 0);
	assert_int_equal(registry_add(*state, COUNTS, METRIC_VALUES("a", "s"), 2), 0);
	assert_int_equal(registry_n_series(*state), 2);
	expect(*state, HEAD_COUNTS "c_total{kind=\"a\",stream=\"s\"} 3\n"
				   "c_total{kind=\"b\",stream=\"\"} 7\n" HEAD_TIMES HEAD_OTHERS);
}

// A bound belongs to its bucket.
static void observations_fall_into_buckets(void **state)
{
	static const double values[] = { 0, 1, 1.5, 2, 2.5, 100 };

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		assert_int_equal(registry_observe(*state, TIMES, METRIC_VALUES("s"), values[i]), 0);
	expect(*state, HEAD_COUNTS HEAD_TIMES
		"t_seconds_bucket{stream=\"s\",le=\"1\"} 2\n"
		"t_seconds_bucket{stream=\"s\",le=\"2\"} 4\n"
		"t_seconds_bucket{stream=\"s\",le=\"+Inf\"} 6\n"
		"t_seconds_sum{stream=\"s\"} 107\nt_seconds_count{stream=\"s\"} 6\n" HEAD_OTHERS);
}

// Of that stream only: not of one whose name begins or ends like it or that looks like a label, nor
// by another label.
static void series_go_with_their_stream(void **state)
{
	static const char *const names[] = { "live", "live2", "alive", "", "x\",stream=\"live" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		registry_add(*state, COUNTS, METRIC_VALUES("k", names[i]), 1);
		registry_add(*state, COUNTS, METRIC_VALUES("live", names[i]), 1);
		registry_observe(*state, TIMES, METRIC_VALUES(names[i]), 1);
		registry_add(*state, OTHERS, METRIC_VALUES(names[i]), 1);
	}
	assert_int_equal(registry_n_series(*state), 20);
	registry_forget(*state, "stream", "live");
	assert_int_equal(registry_n_series(*state), 17);
	registry_forget(*state, "stream", "none");
	assert_int_equal(registry_n_series(*state), 17);
	// It begins anew.
	registry_forget(*state, "stream", "live2");
	registry_forget(*state, "stream", "alive");
	registry_forget(*state, "stream", "");
	registry_forget(*state, "stream", "x\",stream=\"live");
	assert_int_equal(registry_n_series(*state), 5);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		registry_forget(*state, "upstream", names[i]);
	assert_int_equal(registry_n_series(*state), 0);
	registry_add(*state, COUNTS, METRIC_VALUES("k", "live"), 1);
	expect(*state,
		HEAD_COUNTS "c_total{kind=\"k\",stream=\"live\"} 1\n" HEAD_TIMES HEAD_OTHERS);
}

static void what_does_not_fit_is_lost(void **state)
{
	char name[METRIC_LABELS_BYTES];

	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(registry_add(*state, COUNTS, METRIC_VALUES("k", name), 1), -ENOBUFS);
	assert_int_equal(registry_observe(*state, TIMES, METRIC_VALUES(name), 1), -ENOBUFS);
	registry_forget(*state, "stream", name);
	assert_int_equal(registry_n_series(*state), 0);
}

// At each step of the first series, and of a second one, whose table is there.
static void without_memory_a_count_is_lost(void **state)
{
	struct registry *r;

	n_left = 0;
	assert_int_equal(registry_create(metrics, N_METRICS, &r), -ENOMEM);
	for (unsigned int step = 0; step < SERIES_STEPS; step++) {
		n_left = step;
		assert_int_equal(registry_add(*state, COUNTS, METRIC_VALUES("k", "s"), 1), -ENOMEM);
		assert_int_equal(registry_n_series(*state), 0);
	}
	n_left = SERIES_STEPS;
	assert_int_equal(registry_add(*state, COUNTS, METRIC_VALUES("k", "s"), 1), 0);
	for (unsigned int step = 0; step < 2; step++) {
		n_left = step;
		assert_int_equal(registry_observe(*state, TIMES, METRIC_VALUES("s"), 1), -ENOMEM);
	}
	n_left = 0; // counting in a series that is there takes none
	assert_int_equal(registry_add(*state, COUNTS, METRIC_VALUES("k", "s"), 1), 0);
	n_left = UINT32_MAX;
	expect(*state, HEAD_COUNTS "c_total{kind=\"k\",stream=\"s\"} 2\n" HEAD_TIMES HEAD_OTHERS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_empty_one_names_its_metrics),
		TEST(counts_add_up),
		TEST(observations_fall_into_buckets),
		TEST(series_go_with_their_stream),
		TEST(what_does_not_fit_is_lost),
		TEST(without_memory_a_count_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
