// GET /metrics.
#include <stdlib.h>

#include "control/metrics/priv/parts.h"

#define TYPE_EXPOSITION "text/plain; version=0.0.4; charset=utf-8"

// Return: the text, freed by the caller; NULL no memory.
static char *write_page(const struct api *api, const struct http_request *req, size_t *bytes)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, bytes);
	bool failed;

	if (!out)
		return NULL;
	metrics_write_process(out);
	metrics_write_counted(out);
	metrics_write_edge(api, req, out);
	metrics_write_quality(api, out);
	metrics_write_repair(api, out);
	metrics_write_workers(api, out);
	failed = ferror(out);
	if (fclose(out) == 0 && !failed)
		return text;
	free(text);
	return NULL;
}

void metrics_get(void *ctx, struct http_request *req)
{
	size_t bytes;
	char *text = write_page(ctx, req, &bytes);

	if (!text) {
		http_request_refuse(req, 500, NULL, 0, "out of memory");
		return;
	}
	http_request_answer(req, &(struct http_answer){ .status = 200,
					 .content_type = TYPE_EXPOSITION,
					 .body = text,
					 .body_bytes = bytes });
	free(text);
}
