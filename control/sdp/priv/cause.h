// How a refusal is worded: one line that says what was expected, never the peer's own text.
#pragma once

#include "control/sdp/sdp.h"

// Return: verdict, so that a caller can return the refusal at once.
__attribute__((format(printf, 3, 4))) enum sdp_verdict sdp_refuse(
	char cause[SDP_CAUSE_MAX], enum sdp_verdict verdict, const char *format, ...);
