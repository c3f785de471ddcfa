// What is shown: for people, and as JSON for scripts. Main thread.
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "dataplane/testfan/rig.h"

// Of the floor and the fan-out taken in turns.
struct ratio {
	struct floor_result floor; // median
	double fan_ns;		   // median: a core's time a packet
	double ratio;		   // fan-out's rate over the floor's
	unsigned int rounds;	   // 0: not measured
};

void report_config(const struct rig *, const struct settings *);
void report_forward(struct rig *);
void report_port(const struct rig *);
void report_cycles(struct rig *);
void report_latency(const struct rig *);
void report_memory(const struct rig *);
void report_verify(const struct rig *);
void report_ratio(const struct ratio *);

// Write all of it as one JSON object.
// path:   NULL: standard output.
// Return: 0; -errno, logged.
int report_json(struct rig *, const struct measure *, const struct ratio *, const char *path);
