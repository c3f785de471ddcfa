// What the bare cipher costs on this core, called directly with nothing of the data plane around
// it. testfan prints the fan-out's rate over this one.
// Writer: nobody; a measurement is its own. Reader: testfan and tests/bench.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct floor_conf {
	uint16_t profile; // enum srtp_profile
	uint32_t n_keys;  // as many viewers, each with expanded keys of its own
	uint16_t payload_bytes;
	uint16_t hdr_bytes;    // of the RTP header: authenticated, not encrypted
	uint16_t pkts_per_key; // packets of a burst that one viewer gets in a row, at most 64
	bool by_library;       // GCM by Intel's, where the engine would have its own
	unsigned int ms;       // how long to measure, set-up not counted
};

struct floor_result {
	double ns_per_packet; // the median of some twenty rounds or more
	double cycles_per_packet;
	double mpps;
};

// Measure on the calling thread, which should be pinned. Out of place, from one plaintext burst
// that all viewers share into destinations that rotate: viewer by viewer, and the packets of the
// burst within one.
// out:    untouched on failure.
// Return: 0; -EINVAL no such profile, a zero, a payload above 2048 bytes, a header below 12 bytes
// or
//         above 128, more packets than 64, -ENOTSUP the library has no code for this CPU,
//         -ENOMEM, -EIO.
int floor_run(const struct floor_conf *, struct floor_result *out);
