#include "control/metrics/priv/registry.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

// Without memory an element stays out of the table, instead of ending the process.
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

enum {
	NAME_MAX_CHARS = 127,
};

struct series {
	struct series *prev, *next; // of its metric
	UT_hash_handle hh;
	char *key;	    // the metric's name, a brace, the labels
	const char *labels; // in key
	uint64_t count;	    // of a counter
	double sum;	    // of a histogram, as buckets
	uint64_t buckets[];
};

struct registry {
	const struct metric *metrics;
	size_t n_metrics;
	struct series *by_key;
	struct series *of[]; // by metric
};

int registry_create(const struct metric *metrics, size_t n_metrics, struct registry **out)
{
	struct registry *r = calloc(1, sizeof(*r) + n_metrics * sizeof(r->of[0]));

	if (!r)
		return -ENOMEM;
	r->metrics = metrics;
	r->n_metrics = n_metrics;
	*out = r;
	return 0;
}

static void series_free(struct registry *r, size_t metric, struct series *s)
{
	HASH_DEL(r->by_key, s);
	DL_DELETE(r->of[metric], s);
	free(s->key);
	free(s);
}

void registry_destroy(struct registry *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n_metrics; i++) {
		while (r->of[i])
			series_free(r, i, r->of[i]);
	}
	free(r);
}

static struct series *series_create(struct registry *r, size_t metric, const char *key)
{
	const struct metric *m = &r->metrics[metric];
	size_t n_buckets = m->type == METRIC_HISTOGRAM ? m->n_bounds + 1 : 0;
	struct series *s = calloc(1, sizeof(*s) + n_buckets * sizeof(s->buckets[0]));

	if (!s)
		return NULL;
	s->key = strdup(key);
	if (!s->key)
		goto err_free;
	s->labels = s->key + strlen(m->name) + 1;
	HASH_ADD_KEYPTR(hh, r->by_key, s->key, strlen(s->key), s);
	if (!s->hh.tbl)
		goto err_free_key;
	DL_APPEND(r->of[metric], s);
	return s;

err_free_key:
	free(s->key);
err_free:
	free(s);
	return NULL;
}

// Return: 0; -ENOMEM, -ENOBUFS.
static int find_series(
	struct registry *r, size_t metric, const char *const *values, struct series **out)
{
	const struct metric *m = &r->metrics[metric];
	size_t name_chars = strlen(m->name);
	char key[NAME_MAX_CHARS + 1 + METRIC_LABELS_BYTES];
	struct series *s;
	int rc;

	if (name_chars > NAME_MAX_CHARS)
		return -ENOBUFS;
	memcpy(key, m->name, name_chars);
	key[name_chars] = '{';
	rc = metric_labels(m, values, key + name_chars + 1);
	if (rc < 0)
		return rc;
	HASH_FIND_STR(r->by_key, key, s);
	if (!s)
		s = series_create(r, metric, key);
	if (!s)
		return -ENOMEM;
	*out = s;
	return 0;
}

int registry_add(struct registry *r, size_t metric, const char *const *values, uint64_t n)
{
	struct series *s;
	int rc = find_series(r, metric, values, &s);

	if (rc == 0)
		s->count += n;
	return rc;
}

int registry_observe(struct registry *r, size_t metric, const char *const *values, double value)
{
	const struct metric *m = &r->metrics[metric];
	struct series *s;
	size_t bucket = 0;
	int rc = find_series(r, metric, values, &s);

	if (rc < 0)
		return rc;
	while (bucket < m->n_bounds && value > m->bounds[bucket])
		bucket++;
	s->buckets[bucket]++;
	s->sum += value;
	return 0;
}

// Whether the labels, as they are written, have this one. Quotes inside a value are escaped, so
// that no value can look like a label.
static bool has_label(const char *labels, const char *wanted)
{
	const char *at = strstr(labels, wanted);

	return at && (at == labels || at[-1] == ',');
}

void registry_forget(struct registry *r, const char *label, const char *value)
{
	const struct metric one = { .labels = { label } };
	char wanted[METRIC_LABELS_BYTES];
	struct series *s, *next;

	if (metric_labels(&one, METRIC_VALUES(value), wanted) < 0)
		return;
	for (size_t i = 0; i < r->n_metrics; i++) {
		DL_FOREACH_SAFE(r->of[i], s, next)
		if (has_label(s->labels, wanted))
			series_free(r, i, s);
	}
}

size_t registry_n_series(const struct registry *r)
{
	return HASH_COUNT(r->by_key);
}

void registry_write(const struct registry *r, FILE *out)
{
	const struct series *s;

	for (size_t i = 0; i < r->n_metrics; i++) {
		const struct metric *m = &r->metrics[i];

		exposition_head(out, m);
		DL_FOREACH(r->of[i], s)
		{
			if (m->type == METRIC_HISTOGRAM)
				exposition_histogram(out, m, s->labels, s->buckets, s->sum);
			else
				fprintf(out, s->labels[0] ? "%s{%s} %llu\n" : "%s%s %llu\n",
					m->name, s->labels, (unsigned long long)s->count);
		}
	}
}
