// What the SDP tests share: recorded offers, a server side, and a checker that holds an answer
// against its offer line by line without using the module's own parser.
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/sdp/sdp.h"

struct fixture_offer {
	char text[SDP_OFFER_MAX_BYTES * 2];
	size_t bytes;
};

// One negotiation and what came of it.
struct fixture_run {
	struct sdp_stream_leg legs[LEG_COUNT];
	struct sdp_local local;
	struct sdp_negotiated agreed;
	enum sdp_verdict verdict;
	char answer[SDP_ANSWER_MAX_BYTES];
	size_t answer_bytes;
};

// Read tests/data/offers/<name>.sdp.
void fixture_load(const char *name, struct fixture_offer *out);

// A dual-stack server of an audio and video stream whose profile is not known.
void fixture_run_init(struct fixture_run *);

void fixture_source_profile(struct fixture_run *, uint32_t profile_level_id);

// Negotiate; on SDP_OK the answer is checked against the offer, else that a cause was given.
enum sdp_verdict fixture_negotiate(struct fixture_run *, const struct fixture_offer *);

// Replace the first from in the offer; fails the test if it is not there.
void fixture_replace(struct fixture_offer *, const char *from, const char *to);
void fixture_replace_all(struct fixture_offer *, const char *from, const char *to);

// How many lines of the answer are exactly that.
unsigned int fixture_count_line(const struct fixture_run *, const char *line);
bool fixture_contains(const struct fixture_run *, const char *text);

// Every recorded and hand-written offer, by name; NULL ends it.
extern const char *const fixture_names[];
