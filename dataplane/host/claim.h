// That our addresses are ours: asked for before the first announcement, announced whenever the link
// is new, and again when somebody else claims one. They are answered for meanwhile: what the
// operator configured holds, and who plays does not wait. The time comes from the caller. Owner:
// worker 0. Source: RFC 5227 1.1, 2.1, 2.3, 2.4; RFC 4861 10; RFC 4862 5.4.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct host_claim {
	uint64_t due_ns; // the next word, at the earliest
	uint64_t defended_ns;
	uint8_t probes, announcements; // still to send
	bool asked;		       // all probes have been sent, and time was left for answers
};

enum host_word {
	HOST_SAY_NOTHING,
	HOST_SAY_PROBE,
	HOST_SAY_ANNOUNCEMENT,
};

// The link is up: for the first time, or again.
void host_claim_begin(struct host_claim *, uint64_t now_ns);

// What to say now, of every address; counted as said.
enum host_word host_claim_due(struct host_claim *, uint64_t now_ns);

// Somebody else claims an address: we say that it is ours, but not while we ask.
void host_claim_defend(struct host_claim *, uint64_t now_ns);
