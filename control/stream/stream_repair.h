// What viewers of a stream asked for again and what came of it, summed up over all who are and were
// there. Owner: control's core thread. Written by sessions, read by metrics.
#pragma once

#include <stdint.h>

#include "dataplane/abi/region.h"

// Of one leg. Zeroed to begin with.
struct stream_repair {
	uint64_t nacks;
	uint64_t resent; // once or twice
	uint64_t copies; // second ones of those
	uint64_t resent_bytes;
	uint64_t missed[REGION_MISS_COUNT];
	uint64_t plis;
	uint64_t firs;
};
