// The two legs of a stream, and what is fixed about each.
#pragma once

#include <stdint.h>

enum leg_kind {
	LEG_VIDEO = 0, // H.264, 90 kHz
	LEG_AUDIO = 1, // Opus, 48 kHz
	LEG_COUNT = 2,
};

static inline uint32_t leg_clock_hz(enum leg_kind leg)
{
	return leg == LEG_VIDEO ? 90000 : 48000;
}

static inline const char *leg_name(enum leg_kind leg)
{
	return leg == LEG_VIDEO ? "video" : "audio";
}

static inline const char *leg_codec(enum leg_kind leg)
{
	return leg == LEG_VIDEO ? "H264" : "Opus";
}
