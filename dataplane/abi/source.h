// The sources of a stream: one, or a primary and a backup of which viewers see one.
#pragma once

#include <stdint.h>

enum region_role {
	REGION_PRIMARY,
	REGION_BACKUP,
	REGION_ROLE_COUNT,
};

// Which source viewers shall see.
enum region_pick {
	REGION_PICK_AUTO, // the one that plays, and the other when it falls silent
	REGION_PICK_PRIMARY,
	REGION_PICK_BACKUP,
};

// Why the other source of a stream took over. The names are what the API and metrics show.
#define REGION_SWITCHES(X)                                                \
	X(SILENCE, "silence")	/* the one that played fell silent */     \
	X(HAND, "hand")		/* it was picked */                       \
	X(FAILBACK, "failback") /* the primary was healthy for so long */ \
	X(REMOVED, "removed")	/* the backup played, and was removed */

enum region_switch {
#define X(name, text) REGION_SWITCH_##name,
	REGION_SWITCHES(X)
#undef X
		REGION_SWITCH_COUNT,
};

// Return: the text of a reason; "?" past the end.
static inline const char *region_switch_name(unsigned int why)
{
	static const char *const names[] = {
#define X(name, text) text,
		REGION_SWITCHES(X)
#undef X
	};

	return why < REGION_SWITCH_COUNT ? names[why] : "?";
}

// Of a stream with two sources (owner worker: rw; control: ro).
struct region_sources_state {
	uint64_t switches[REGION_SWITCH_COUNT];
	uint64_t switched_ns; // CLOCK_MONOTONIC of the newest; 0: never
	uint8_t active;	      // enum region_role
	uint8_t why;	      // enum region_switch of the newest
	uint8_t zero[6];
};
