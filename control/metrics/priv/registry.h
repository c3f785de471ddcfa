// What control counts by itself: for each metric a series for each set of label values seen so far.
// Owner: control's core thread.
#pragma once

#include "control/metrics/priv/exposition.h"

struct registry;

// metrics: n_metrics of them, counters and histograms; they outlive the registry.
// Return:  0; -ENOMEM.
int registry_create(const struct metric *metrics, size_t n_metrics, struct registry **out);

// NULL is fine.
void registry_destroy(struct registry *);

// Count, in the series of these values, which is made with its first count.
// metric: index into the metrics.
// Return: 0; -ENOMEM, -ENOBUFS no such series can be made: the count is lost.
int registry_add(struct registry *, size_t metric, const char *const *values, uint64_t n);

// The same for a histogram.
int registry_observe(struct registry *, size_t metric, const char *const *values, double value);

// Free every series whose label of that name has this value.
void registry_forget(struct registry *, const char *label, const char *value);

// Return: how many series there are.
size_t registry_n_series(const struct registry *);

// Write every metric, those without a series too.
void registry_write(const struct registry *, FILE *);
