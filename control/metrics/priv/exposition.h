// Writing Prometheus' text format, version 0.0.4.
// Pure but for the stream it writes to, whose errors the caller asks for once, at the end.
// Source: https://prometheus.io/docs/instrumenting/exposition_formats/
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
	METRIC_MAX_LABELS = 3,
	METRIC_LABELS_BYTES = 512, // a="x",b="y" with its NUL
};

enum metric_type {
	METRIC_COUNTER,
	METRIC_GAUGE,
	METRIC_HISTOGRAM,
};

// What a name means. A constant of the program, as all it points to.
struct metric {
	const char *name;
	const char *help;
	enum metric_type type;
	const char *labels[METRIC_MAX_LABELS]; // names; NULL behind the last one
	const double *bounds;		       // histogram: upper bounds, rising
	size_t n_bounds;
};

// A counter or a gauge, by name, help and the names of its labels.
#define METRIC_COUNTS(metric, text, ...)                                                        \
	{                                                                                       \
		.name = metric, .help = text, .type = METRIC_COUNTER, .labels = { __VA_ARGS__ } \
	}
#define METRIC_TELLS(metric, text, ...)                                                       \
	{                                                                                     \
		.name = metric, .help = text, .type = METRIC_GAUGE, .labels = { __VA_ARGS__ } \
	}

// Label values of one sample, in the order of metric.labels.
#define METRIC_VALUES(...) ((const char *const[METRIC_MAX_LABELS]){ __VA_ARGS__ })

// Write the labels as they stand between the braces; "" without labels. Values are escaped; what is
// not printable ASCII becomes '?'.
// Return: 0; -ENOBUFS they do not fit.
int metric_labels(const struct metric *, const char *const *values, char out[METRIC_LABELS_BYTES]);

// The two lines before the samples of a name.
void exposition_head(FILE *, const struct metric *);

// One sample. Values that do not fit are left out.
void exposition_count(FILE *, const struct metric *, const char *const *values, uint64_t);
void exposition_number(FILE *, const struct metric *, const char *const *values, double);

// All lines of one histogram.
// labels:  as metric_labels wrote them.
// buckets: n_bounds + 1 counts, not summed up; the last is of what lies above every bound.
void exposition_histogram(
	FILE *, const struct metric *, const char *labels, const uint64_t *buckets, double sum);
