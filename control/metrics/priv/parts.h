// The parts of the page, as page.c puts them together.
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "control/api.h"

// metrics.c: what was told of.
void metrics_write_counted(FILE *);

// edge.c: sessions, streams, the HTTP server.
void metrics_write_edge(const struct api *, const struct http_request *, FILE *);

// quality.c: what viewers tell of the way to them.
void metrics_write_quality(const struct api *, FILE *);

// repair.c: what they ask for again.
void metrics_write_repair(const struct api *, FILE *);

// workers.c: the region and the steering maps.
void metrics_write_workers(const struct api *, FILE *);

// process.c: this process.
void metrics_write_process(FILE *);
