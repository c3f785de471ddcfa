// What viewers asked for again, and what came of it, as sums over all viewers of a stream.
#include "control/metrics/priv/exposition.h"
#include "control/metrics/priv/parts.h"

#define LEG_LABELS "stream", "leg"

// Packets by what came of them: those that were resent, and a reason each why one was not.
enum {
	RESULTS = REGION_MISS_COUNT + 1,
};

static const char *result_name(unsigned int result)
{
	return result < REGION_MISS_COUNT ? region_miss_name(result) : "resent";
}

static uint64_t result_of(const struct stream_repair *r, unsigned int result)
{
	return result < REGION_MISS_COUNT ? r->missed[result] : r->resent;
}

static void write_sum(const struct api *api, const struct metric *m, size_t offset, FILE *out)
{
	exposition_head(out, m);
	for (const struct stream *s = stream_first(api->streams); s; s = s->next)
		for (int leg = 0; leg < LEG_COUNT; leg++)
			if (s->want.legs[leg].present)
				exposition_count(out, m, METRIC_VALUES(s->id, leg_name(leg)),
					*(const uint64_t *)((const char *)&s->repair[leg] +
							    offset));
}

// Every result, so that none is missing while it is 0.
static void write_results(const struct api *api, FILE *out)
{
	static const struct metric asked = METRIC_COUNTS("millrace_viewer_repair_packets_total",
		"Packets that viewers asked for again: resent, or the reason why not.", LEG_LABELS,
		"result");

	exposition_head(out, &asked);
	for (const struct stream *s = stream_first(api->streams); s; s = s->next)
		for (int leg = 0; leg < LEG_COUNT; leg++)
			for (unsigned int i = 0; s->want.legs[leg].present && i < RESULTS; i++)
				exposition_count(out, &asked,
					METRIC_VALUES(s->id, leg_name(leg), result_name(i)),
					result_of(&s->repair[leg], i));
}

static void write_key_requests(const struct api *api, FILE *out)
{
	static const struct metric wanted = METRIC_COUNTS("millrace_viewer_key_requests_total",
		"Key frames that viewers asked for, repeated FIRs included.", "stream", "kind");

	exposition_head(out, &wanted);
	for (const struct stream *s = stream_first(api->streams); s; s = s->next) {
		const struct stream_repair *r = &s->repair[LEG_VIDEO];

		if (!s->want.legs[LEG_VIDEO].present)
			continue;
		exposition_count(out, &wanted, METRIC_VALUES(s->id, "pli"), r->plis);
		exposition_count(out, &wanted, METRIC_VALUES(s->id, "fir"), r->firs);
	}
}

void metrics_write_repair(const struct api *api, FILE *out)
{
	static const struct metric nacks = METRIC_COUNTS(
		"millrace_viewer_nacks_total", "NACKs that viewers sent.", LEG_LABELS);
	static const struct metric bytes = METRIC_COUNTS("millrace_viewer_resent_bytes_total",
		"RTP payload that was sent to viewers again.", LEG_LABELS);
	static const struct metric copies = METRIC_COUNTS("millrace_viewer_second_copies_total",
		"Packets that were resent a second time at once.", LEG_LABELS);

	write_sum(api, &nacks, offsetof(struct stream_repair, nacks), out);
	write_results(api, out);
	write_sum(api, &copies, offsetof(struct stream_repair, copies), out);
	write_sum(api, &bytes, offsetof(struct stream_repair, resent_bytes), out);
	write_key_requests(api, out);
}
