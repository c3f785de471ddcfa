#include "control/metrics/priv/exposition.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

// A label value being put together.
struct text {
	char *out;
	size_t used, cap;
	bool full;
};

static void put_char(struct text *t, char c)
{
	if (t->used + 1 >= t->cap) {
		t->full = true;
		return;
	}
	t->out[t->used++] = c;
}

static void put_text(struct text *t, const char *s)
{
	while (*s)
		put_char(t, *s++);
}

static void put_escaped(struct text *t, const char *value)
{
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			put_char(t, '\\');
		if (*value == '\n')
			put_text(t, "\\n");
		else
			put_char(t, *value >= ' ' && *value <= '~' ? *value : '?');
	}
}

int metric_labels(const struct metric *m, const char *const *values, char out[METRIC_LABELS_BYTES])
{
	struct text t = { .out = out, .cap = METRIC_LABELS_BYTES };

	for (int i = 0; i < METRIC_MAX_LABELS && m->labels[i]; i++) {
		if (i > 0)
			put_char(&t, ',');
		put_text(&t, m->labels[i]);
		put_text(&t, "=\"");
		put_escaped(&t, values[i]);
		put_char(&t, '"');
	}
	out[t.used] = '\0';
	return t.full ? -ENOBUFS : 0;
}

void exposition_head(FILE *out, const struct metric *m)
{
	static const char *const types[] = {
		[METRIC_COUNTER] = "counter",
		[METRIC_GAUGE] = "gauge",
		[METRIC_HISTOGRAM] = "histogram",
	};

	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, types[m->type]);
}

// The name, and the labels in braces where there are any.
static int put_name(FILE *out, const struct metric *m, const char *const *values)
{
	char labels[METRIC_LABELS_BYTES];
	int rc = metric_labels(m, values, labels);

	if (rc == 0)
		fprintf(out, labels[0] ? "%s{%s} " : "%s ", m->name, labels);
	return rc;
}

void exposition_count(FILE *out, const struct metric *m, const char *const *values, uint64_t count)
{
	if (put_name(out, m, values) == 0)
		fprintf(out, "%llu\n", (unsigned long long)count);
}

void exposition_number(FILE *out, const struct metric *m, const char *const *values, double number)
{
	if (put_name(out, m, values) == 0)
		fprintf(out, "%.15g\n", number);
}

static void put_bucket(
	FILE *out, const struct metric *m, const char *labels, const char *bound, uint64_t count)
{
	fprintf(out, "%s_bucket{%s%sle=\"%s\"} %llu\n", m->name, labels, labels[0] ? "," : "",
		bound, (unsigned long long)count);
}

void exposition_histogram(
	FILE *out, const struct metric *m, const char *labels, const uint64_t *buckets, double sum)
{
	const char *open = labels[0] ? "{" : "", *close = labels[0] ? "}" : "";
	uint64_t count = 0;

	for (size_t i = 0; i < m->n_bounds; i++) {
		char bound[32];

		count += buckets[i];
		snprintf(bound, sizeof(bound), "%.15g", m->bounds[i]);
		put_bucket(out, m, labels, bound, count);
	}
	count += buckets[m->n_bounds];
	put_bucket(out, m, labels, "+Inf", count);
	fprintf(out, "%s_sum%s%s%s %.15g\n", m->name, open, labels, close, sum);
	fprintf(out, "%s_count%s%s%s %llu\n", m->name, open, labels, close,
		(unsigned long long)count);
}
