// Whether all viewers are sent the same packets: the payloads of one leg in the source's order.
// Viewers number packets each in their own way; a viewer is tied to the common order once three
// payloads in a row are found there at exactly one place.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SOURCE_KEPT = 4096, // newest packets that are remembered
	SOURCE_RUN = 3,
	SOURCE_STRANGER_AFTER = 300, // runs found nowhere until a viewer counts as a stranger
};

struct source {
	struct {
		int64_t index; // 0: none
		uint64_t hash;
	} at[SOURCE_KEPT];
	int64_t newest;
	uint32_t n_tied;
};

// A viewer's place in it.
struct source_tie {
	bool tied;
	int64_t shift; // index = the viewer's extended sequence number + shift
	uint64_t run[SOURCE_RUN];
	uint32_t run_length;
	uint32_t strange;
	int64_t last_seq;
};

enum source_verdict {
	SOURCE_NEW,   // nobody had it yet, or the viewer is not tied yet
	SOURCE_SAME,  // as another viewer had it
	SOURCE_OTHER, // not what another viewer had
};

uint64_t source_hash(const uint8_t *payload, size_t bytes, bool marker);

// seq: extended; rises by one a packet.
enum source_verdict source_take(struct source *, struct source_tie *, int64_t seq, uint64_t hash);
// The viewer leaves.
void source_untie(struct source *, struct source_tie *);
