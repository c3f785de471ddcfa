// What is shown: for people, and as JSON for scripts. Main thread.
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "dataplane/testfan/rig.h"

// Of the floor and the fan-out taken in turns.
struct ratio {
	struct floor_result floor; // median
	double library_ns;	   // a packet by Intel's library, in the same round
	double fan_ns;		   // median: a core's time a packet
	double ratio;		   // fan-out's rate over the floor's
	unsigned int rounds;	   // 0: not measured
};

// Of the fan-out with viewers that say nothing and with viewers that ask for what they lose, in
// turns.
struct toll {
	double quiet_ns, nack_ns; // medians: a core's time a packet that is fanned out
	double fall;		  // of the rate, a share: median
	double resent;		  // packets over those that are fanned out: median
	double over;		  // what the rate falls by beyond that: median
	unsigned int rounds;	  // 0: not measured
};

void report_config(const struct rig *, const struct settings *);
void report_forward(struct rig *);
void report_port(const struct rig *);
void report_cycles(struct rig *);
void report_latency(const struct rig *);
void report_memory(const struct rig *);
void report_verify(const struct rig *);
void report_ratio(const struct ratio *);
void report_repair(struct rig *);
void report_toll(const struct toll *);

// Write all of it as one JSON object.
// path:   NULL: standard output.
// Return: 0; -errno, logged.
int report_json(struct rig *, const struct measure *, const struct ratio *, const struct toll *,
	const char *path);
