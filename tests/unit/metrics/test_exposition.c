// The text format, byte for byte: names, labels, escapes, numbers, histograms.
// Source: https://prometheus.io/docs/instrumenting/exposition_formats/
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/metrics/priv/exposition.h"

static const struct metric plain = METRIC_TELLS("a_seconds", "Some time.");
static const struct metric two = METRIC_COUNTS("b_total", "Some count.", "x", "y");

static void a_head_names_help_and_type(void **state)
{
	static const struct metric histogram = {
		.name = "h", .help = "H.", .type = METRIC_HISTOGRAM
	};
	char text[256] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");

	exposition_head(out, &plain);
	exposition_head(out, &two);
	exposition_head(out, &histogram);
	fclose(out);
	assert_string_equal(text, "# HELP a_seconds Some time.\n# TYPE a_seconds gauge\n"
				  "# HELP b_total Some count.\n# TYPE b_total counter\n"
				  "# HELP h H.\n# TYPE h histogram\n");
}

static void samples_are_written(void **state)
{
	char text[256] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");

	exposition_number(out, &plain, NULL, 0.1);
	exposition_number(out, &plain, NULL, 1732267406.123);
	exposition_count(out, &two, METRIC_VALUES("", "z"), UINT64_MAX);
	fclose(out);
	assert_string_equal(text, "a_seconds 0.1\na_seconds 1732267406.123\n"
				  "b_total{x=\"\",y=\"z\"} 18446744073709551615\n");
}

static void values_are_escaped(void **state)
{
	char labels[METRIC_LABELS_BYTES];

	assert_int_equal(metric_labels(&two, METRIC_VALUES("q\"b\\n\n", "\x01\xff~ "), labels), 0);
	assert_string_equal(labels, "x=\"q\\\"b\\\\n\\n\",y=\"??~ \"");
}

// Nothing is cut in its middle, where a quote would be lost.
static void what_does_not_fit_is_left_out(void **state)
{
	char labels[METRIC_LABELS_BYTES], text[256] = "", value[METRIC_LABELS_BYTES];
	FILE *out = fmemopen(text, sizeof(text), "w");
	size_t room = sizeof(value) - sizeof("x=\"\",y=\"\"");

	memset(value, 'v', sizeof(value));
	value[room] = '\0';
	assert_int_equal(metric_labels(&two, METRIC_VALUES(value, ""), labels), 0);
	assert_int_equal(strlen(labels), METRIC_LABELS_BYTES - 1);
	value[room] = 'v';
	value[room + 1] = '\0';
	assert_int_equal(metric_labels(&two, METRIC_VALUES(value, ""), labels), -ENOBUFS);
	exposition_count(out, &two, METRIC_VALUES(value, ""), 1);
	exposition_count(out, &two, METRIC_VALUES("", ""), 1);
	fclose(out);
	assert_string_equal(text, "b_total{x=\"\",y=\"\"} 1\n");
}

static void histograms_sum_up(void **state)
{
	static const double bounds[] = { 0.005, 1, 2.5 };
	static const uint64_t buckets[] = { 2, 0, 3, 4 };
	static const struct metric m = { .name = "h", .bounds = bounds, .n_bounds = 3 };
	char text[512] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");

	exposition_histogram(out, &m, "x=\"1\"", buckets, 12.5);
	exposition_histogram(out, &m, "", buckets, 0);
	fclose(out);
	assert_string_equal(text,
		"h_bucket{x=\"1\",le=\"0.005\"} 2\nh_bucket{x=\"1\",le=\"1\"} 2\n"
		"h_bucket{x=\"1\",le=\"2.5\"} 5\nh_bucket{x=\"1\",le=\"+Inf\"} 9\n"
		"h_sum{x=\"1\"} 12.5\nh_count{x=\"1\"} 9\n"
		"h_bucket{le=\"0.005\"} 2\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"2.5\"} 5\n"
		"h_bucket{le=\"+Inf\"} 9\nh_sum 0\nh_count 9\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_head_names_help_and_type),
		cmocka_unit_test(samples_are_written),
		cmocka_unit_test(values_are_escaped),
		cmocka_unit_test(what_does_not_fit_is_left_out),
		cmocka_unit_test(histograms_sum_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
