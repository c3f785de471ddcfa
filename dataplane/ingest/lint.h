// Lint of a leg: what viewers will suffer from, or an operator should know of, though the packets
// are taken. Each finding is a bit of region_leg_state.lint, raised and cleared with hysteresis, so
// that it does not flicker. Owner: the stream's worker. Instants are CLOCK_MONOTONIC. Source:
// checklist F4, F7; RFC 7742 6.2.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/abi/leg.h"
#include "dataplane/abi/lint.h"
#include "dataplane/abi/region.h"

enum {
	LINT_RAISE_AT = 2,	// events
	LINT_CLEAR_S = 10,	// without one
	LINT_REPORTS_S = 20,	// FFmpeg reports every 5 s
	LINT_CLOCK_SPAN_S = 60, // that a drift is measured over, at least
	LINT_DRIFT_RAISE_PPM = 300,
	LINT_DRIFT_CLEAR_PPM = 200,
};

// Something that should not happen.
struct lint_event {
	uint64_t last_ns;
	uint32_t n;
};

// The source's clock against ours: the packets that waited least, of windows far apart.
struct lint_clock {
	bool begun, has_base;
	uint32_t ts;
	int64_t ticks; // since it began
	uint64_t begin_ns;
	uint64_t window_end_ns;
	int64_t window_min_ns; // arrival - media time
	uint64_t base_ns;
	int64_t base_min_ns;
};

struct lint {
	struct lint_event b_frames, oversize;
	struct lint_clock clock;
	uint64_t since_ns;  // when this source began, or began again after a silence
	uint64_t report_ns; // of its last sender report
};

// Another source, or the same anew: what was measured of its clock is void.
void lint_restart(struct lint *, uint64_t now_ns);

// It happened once more. reason: LINT_B_FRAMES or LINT_OVERSIZE.
void lint_event(struct lint *, struct region_leg_state *, enum lint_reason, uint64_t now_ns);

// A packet came in order. ts: output.
void lint_packet(
	struct lint *, struct region_leg_state *, enum leg_kind, uint32_t ts, uint64_t now_ns);

// An SPS came: is it of the declared profile, and of no higher level?
void lint_profile(const struct region_leg_conf *, struct region_leg_state *);

// Call now and then: what is missing, and what is over.
// unknown_sets: the last key frame had no parameter sets, and there are none to give it.
void lint_check(struct lint *, struct region_leg_state *, enum leg_kind, bool unknown_sets,
	uint32_t key_frame_warn_s, uint64_t now_ns);
