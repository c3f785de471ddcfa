// Histograms of what viewers report: buckets, what is recent, and the estimate of quantiles.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>

#include <cmocka.h>

#include "control/stream/stream_quality.h"

static struct stream_quality q;

static int set_up(void **state)
{
	q = (struct stream_quality){};
	return 0;
}

static void loss(double value, uint64_t now_ms)
{
	stream_quality_note(&q, LEG_VIDEO, STREAM_QUALITY_LOSS, value, now_ms);
}

static void expect_p(double share, uint64_t now_ms, double want)
{
	double got = stream_quality_quantile(&q, LEG_VIDEO, STREAM_QUALITY_LOSS, share, now_ms);

	if (fabs(got - want) > 1e-9)
		fail_msg("%g of the values are at most %g, not %g", share, got, want);
}

static void values_find_their_buckets(void **state)
{
	const uint64_t *buckets = q.all[LEG_VIDEO][STREAM_QUALITY_LOSS].buckets;

	loss(0, 1000);
	loss(0.001, 1000); // a bound belongs to the bucket below it
	loss(0.0011, 1000);
	loss(1, 1000); // above all bounds
	assert_int_equal(buckets[0], 1);
	assert_int_equal(buckets[1], 1);
	assert_int_equal(buckets[2], 1);
	assert_int_equal(buckets[stream_quality_scale(STREAM_QUALITY_LOSS)->n_bounds], 1);
	assert_true(q.all[LEG_VIDEO][STREAM_QUALITY_LOSS].sum == 0.001 + 0.0011 + 1);
	assert_int_equal(q.all[LEG_AUDIO][STREAM_QUALITY_LOSS].buckets[0], 0);
}

static void quantiles_lie_within_buckets(void **state)
{
	expect_p(0.5, 1000, -1);
	for (int i = 0; i < 10; i++)
		loss(i < 5 ? 0 : 0.015, 1000); // 0.01 to 0.02
	expect_p(0.5, 1000, 0);
	expect_p(0.75, 1000, 0.015);
	expect_p(1, 1000, 0.02);
	loss(0.9, 1000);
	expect_p(1, 1000, 0.5); // the last bound
}

static void old_values_are_forgotten(void **state)
{
	loss(0.5, 50000);
	loss(0, 59999);
	expect_p(1, 69999, 0.5);
	expect_p(1, 70000, -1); // nothing came since
	loss(0, 60000);
	expect_p(1, 60000, 0.5); // the span before counts
	loss(0, 70000);
	expect_p(1, 70000, 0);
	expect_p(1, 90000, -1);
	loss(0, 200000);
	assert_int_equal(q.spans[1][LEG_VIDEO][STREAM_QUALITY_LOSS].buckets[0], 0);
	assert_int_equal(q.all[LEG_VIDEO][STREAM_QUALITY_LOSS].buckets[0], 4);
}

// Of a list that comes with the loss.
static double sum_of(json_t *doc, const char *name)
{
	json_t *list = json_object_get(json_object_get(doc, "loss_percent"), name), *item;
	double sum = 0;
	size_t i;

	json_array_foreach (list, i, item)
		sum += json_number_value(item);
	return sum;
}

static void the_api_has_null_for_nothing(void **state)
{
	json_t *doc = stream_quality_describe(&q, LEG_VIDEO, 1000);

	assert_true(json_is_null(json_object_get(doc, "loss_percent")));
	json_decref(doc);
	loss(0.02, 1000);
	doc = stream_quality_describe(&q, LEG_VIDEO, 1000);
	assert_int_equal(json_integer_value(json_object_get(doc, "reports")), 1);
	assert_true(json_real_value(json_object_get(json_object_get(doc, "loss_percent"), "p95")) >
		    1.9);
	assert_true(json_is_null(json_object_get(doc, "rtt_ms")));
	assert_int_equal(sum_of(doc, "counts"), 1);
	assert_true(sum_of(doc, "up_to") > 88.8 && sum_of(doc, "up_to") < 88.9);
	json_decref(doc);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(values_find_their_buckets),
		TEST(quantiles_lie_within_buckets),
		TEST(old_values_are_forgotten),
		TEST(the_api_has_null_for_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
