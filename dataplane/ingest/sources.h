// A stream's two sources, of which viewers see one: both are judged, the one that stands by in
// numbers of its own; when it takes over, its packets go on where the other's ended, on the same
// line of time. Never a mix of both sources' legs. Owner: the stream's worker. Source: RFC 3550
// A.1; checklist F20.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/abi/region.h"
#include "dataplane/ingest/clock.h"
#include "dataplane/ingest/gop.h"
#include "dataplane/ingest/leg.h"

enum {
	SOURCES_SOUND_MS = 500, // sound may pause (RFC 7587 3.1.3: DTX sends each 400 ms)
};

struct sources {
	struct leg *legs[REGION_ROLE_COUNT];	 // LEG_COUNT of each
	struct stream_clock *clock;		 // of the source that plays
	struct region_leg_norm *norm;		 // the output's, LEG_COUNT
	struct region_sources_state *state;	 // rw
	struct region_leg_norm spare[LEG_COUNT]; // of the source that stands by
	struct stream_clock spare_clock;
	struct gop gop;
	uint64_t since_ns;   // the source plays, or the pair is a pair
	uint8_t unrest;	     // switches for silence of late, each soon after the one before
	uint64_t healthy_ns; // the primary stands by and all of it came since then; 0: not so
	bool wants_key;	     // the one that stands by would take over if it had a picture
};

// How it is decided which one plays.
struct sources_policy {
	uint32_t failover_ms;
	enum region_pick pick;
	bool failback;
	uint16_t failback_s;
};

// Make a pair. The legs have their conf; what plays is in state->active.
// legs:      of the primary and of the backup; outlive the pair, as clock, norm and state do.
// gop_bytes: kept of the one that stands by, at most.
// Return:    0; -ENOMEM.
int sources_create(struct leg *primary, struct leg *backup, struct stream_clock *clock,
	struct region_leg_norm *norm, struct region_sources_state *state, uint32_t gop_bytes,
	uint64_t now_ns, struct sources **out);

// No pair any more; whichever plays goes on in the region. NULL is fine.
void sources_destroy(struct sources *);

// Whether the source that stands by shall take over now; wants_key follows.
// why: out, where it shall.
bool sources_due(
	struct sources *, const struct sources_policy *, uint64_t now_ns, enum region_switch *why);

// The source that stands by takes over. What was kept of it has the output's numbers then, behind
// what was sent, and its timestamps are those of the output's line: the past that this source had.
// The caller sends it and clears it.
void sources_switch(struct sources *, enum region_switch why, uint64_t now_ns);
