// What may be wrong with a leg that comes in all the same: bits of region_leg_state.lint. Numbers
// never change meaning; new ones go before LINT_COUNT. The names are what the API and metrics show.
#pragma once

#define LINT_REASONS(X)                                                                           \
	X(B_FRAMES, "b_frames")			  /* pictures out of their order */               \
	X(NO_KEY_FRAME, "no_key_frame")		  /* for [ingest] key_frame_warn_s */             \
	X(NO_PARAMETER_SETS, "no_parameter_sets") /* neither in band nor configured */            \
	X(PROFILE, "profile")			  /* another than declared */                     \
	X(OVERSIZE, "oversize")			  /* packets that do not fit the viewers' path */ \
	X(NO_SENDER_REPORTS, "no_sender_reports")                                                 \
	X(CLOCK_DRIFT, "clock_drift") /* the source's clock runs apart from ours */

enum lint_reason {
#define X(name, text) LINT_##name,
	LINT_REASONS(X)
#undef X
		LINT_COUNT,
};

// Return: the text of a reason; "?" past the end.
static inline const char *lint_name(unsigned int reason)
{
	static const char *const names[] = {
#define X(name, text) text,
		LINT_REASONS(X)
#undef X
	};

	return reason < LINT_COUNT ? names[reason] : "?";
}
