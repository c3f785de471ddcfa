// What came of it: counts, times, faults; as text and as JSON.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum load_fault {
	FAULT_POST_STATUS,   // another answer to POST than expected
	FAULT_HTTP,	     // no answer at all
	FAULT_ANSWER,	     // an SDP answer that cannot be used
	FAULT_STUN,	     // a response that is forged or says the wrong thing
	FAULT_CONSENT,	     // checks that were never answered
	FAULT_DTLS,	     // a handshake that failed
	FAULT_FINGERPRINT,   // another certificate than the answer names
	FAULT_SETUP_TIMEOUT, // no keys in time
	FAULT_RTP_HEADER,    // SSRC, payload type or version not as in the answer
	FAULT_RTP_AUTH,	     // libsrtp2 does not open it
	FAULT_SEQ_GAP,
	FAULT_SEQ_REPEAT,
	FAULT_TIMESTAMP,
	FAULT_MARKER,
	FAULT_PAYLOAD, // not what the other viewers got
	FAULT_RTCP_AUTH,
	FAULT_SR_LATE, // none within 2 s of the first packet, or of the last one
	FAULT_SR_BAD,  // an SR whose numbers do not add up
	FAULT_NO_MEDIA,
	FAULT_DELETE_STATUS,
	FAULT_MEDIA_AFTER_LEAVE,
	FAULT_NO_BYE,
	FAULT_CLIENT_OVERRUN, // our own receive queue overflowed: the numbers above are doubtful
	FAULT_EXPECTED,	      // --expect is not met
	FAULT_COUNT,
};

// Milliseconds, each measured once a viewer.
struct load_samples {
	double *at;
	size_t n, cap;
	bool sorted;
};

enum load_timing {
	TIMING_POST,	    // request to whole answer
	TIMING_DELETE,	    // the same
	TIMING_ICE,	    // answer to first check answered
	TIMING_SETUP,	    // POST to keys
	TIMING_FIRST_MEDIA, // keys to first packet
	TIMING_BYE,	    // good-bye done to BYE
	TIMING_COUNT,
};

enum {
	REPORT_STATUS_MAX = 600,
	REPORT_EXAMPLE_BYTES = 160,
};

struct load_report {
	uint32_t started, answered, ready, left, now; // viewers
	uint32_t posts[REPORT_STATUS_MAX];	      // by status
	uint64_t rtp_packets, rtp_opened, rtp_compared, rtp_gaps;
	uint64_t rtcp_packets, sender_reports, receiver_reports;
	uint64_t checks_sent, checks_answered;
	uint64_t faults[FAULT_COUNT];
	char example[FAULT_COUNT][REPORT_EXAMPLE_BYTES]; // of each kind the first
	struct load_samples times[TIMING_COUNT];
	uint64_t first_start_us, last_start_us, last_ready_us;
	uint64_t longest_turn_us; // of our own loop: what no time above can be better than
};

void report_fault(struct load_report *, enum load_fault, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void report_time(struct load_report *, enum load_timing, uint64_t us);
uint64_t report_n_faults(const struct load_report *);

// One line on stderr, over the one before.
void report_progress(const struct load_report *, double seconds);
void report_text(struct load_report *);
void report_json(struct load_report *);
void report_fini(struct load_report *);
