// What a viewer is sent: every packet's header is checked, and with keys every packet is opened
// with libsrtp2.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <srtp2/srtp.h>

#include "tests/load/dtls.h"
#include "tests/load/offer.h"
#include "tests/load/report.h"
#include "tests/load/source.h"

enum {
	MEDIA_REPORT_MAX_BYTES = 160,
};

struct media_leg {
	bool accepted;
	uint8_t payload_type;
	uint32_t ssrc;
	bool started;
	bool marker; // of the newest packet
	bool sr_missed;
	int64_t first_seq, seq; // extended, of the first and the newest packet
	uint32_t ts;
	uint64_t packets, octets; // of payload
	uint64_t first_us, newest_us;
	uint64_t sr_us; // when the newest SR came; 0: none yet
	uint64_t sr_ntp;
	uint32_t sr_rtp;
	struct source_tie tie;
};

struct media {
	struct load_report *report;
	struct source *sources; // OFFER_LEGS, common to all viewers
	unsigned int viewer;	// for messages
	srtp_t in, out;		// NULL: packets stay closed
	bool sampled;		// gaps are made before us
	bool bye;		// heard for every SSRC that had begun
	unsigned int n_bye;
	struct media_leg legs[OFFER_LEGS];
};

void media_init(struct media *, const struct offer_answer *, struct load_report *,
	struct source *sources, unsigned int viewer, bool sampled);
void media_fini(struct media *);

// Open packets from here on.
// Return: false libsrtp2 cannot.
bool media_set_keys(struct media *, const struct dtls_srtp *);

// One SRTP or SRTCP packet, opened in place.
void media_take(struct media *, uint8_t *pkt, size_t pkt_bytes, uint64_t now_us);

// Sender reports that should have come by now. Call about once a second.
void media_judge_reports(struct media *, uint64_t now_us);

// An SRTCP receiver report about all legs that have begun.
// Return: its length; 0 nothing to report.
size_t media_write_report(struct media *, uint8_t out[MEDIA_REPORT_MAX_BYTES], uint64_t now_us);
