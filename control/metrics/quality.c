// How well streams reach their viewers, as histograms over all viewers of a stream.
#include "control/metrics/priv/exposition.h"
#include "control/metrics/priv/parts.h"

static const struct {
	const char *name, *help;
} texts[STREAM_QUALITY_KINDS] = {
	[STREAM_QUALITY_LOSS] = { "millrace_viewer_loss_ratio",
		"Share of packets lost, as viewers' receiver reports tell it." },
	[STREAM_QUALITY_JITTER] = { "millrace_viewer_jitter_seconds",
		"Jitter of arrival, as viewers' receiver reports tell it." },
	[STREAM_QUALITY_ROUND_TRIP] = { "millrace_viewer_round_trip_seconds",
		"Time to a viewer and back, from its receiver reports." },
	[STREAM_QUALITY_FIRST_PACKET] = { "millrace_viewer_first_packet_seconds",
		"Time from a viewer's POST to the first packet that was sent to it." },
	[STREAM_QUALITY_MISSED] = { "millrace_viewer_repair_missed_ratio",
		"Share of the packets that a viewer asked for again within a second or so and was "
		"not sent." },
};

static void write_kind(const struct api *api, enum stream_quality_kind kind, FILE *out)
{
	const struct stream_quality_scale *scale = stream_quality_scale(kind);
	const struct metric m = { .name = texts[kind].name,
		.help = texts[kind].help,
		.type = METRIC_HISTOGRAM,
		.labels = { "stream", "leg" },
		.bounds = scale->bounds,
		.n_bounds = scale->n_bounds };
	char labels[METRIC_LABELS_BYTES];

	exposition_head(out, &m);
	for (const struct stream *s = stream_first(api->streams); s; s = s->next) {
		for (int leg = 0; leg < LEG_COUNT; leg++) {
			const struct stream_histogram *h = &s->quality.all[leg][kind];

			if (s->want.legs[leg].present &&
				metric_labels(&m, METRIC_VALUES(s->id, leg_name(leg)), labels) == 0)
				exposition_histogram(out, &m, labels, h->buckets, h->sum);
		}
	}
}

void metrics_write_quality(const struct api *api, FILE *out)
{
	for (unsigned int kind = 0; kind < STREAM_QUALITY_KINDS; kind++)
		write_kind(api, kind, out);
}
