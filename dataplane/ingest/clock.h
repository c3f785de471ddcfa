// The clock of a stream: which RTP timestamp of a leg belongs to which instant of ours, so that
// sender reports let a player put sound and picture together.
// Where every leg's encoder sends sender reports, their NTP times rule; else the arrival of the
// packets that waited least. Instants are CLOCK_MONOTONIC nanoseconds, timestamps are of the
// output. A source that begins anew is put on the line of the one before it: to a player the
// mapping never jumped. Owner: the stream's worker. Source: RFC 3550 6.4.1; checklist F15 to F17.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/abi/leg.h"

struct leg_clock {
	// From arrival: the smallest (arrival - media time), of this window and of the one before.
	bool anchored;
	uint32_t anchor_ts; // media time counts from here
	int64_t offset_ns;  // instant = media time + offset
	int64_t window_min_ns;
	uint64_t window_end_ns;

	// From the source's newest sender report.
	bool has_report;
	uint32_t report_ts; // output timestamp
	uint64_t report_ntp_ns;
	uint64_t report_rx_ns;
};

struct stream_clock {
	struct leg_clock legs[LEG_COUNT];
	bool has_source;
	int64_t source_shift_ns; // instant = source's NTP + this: of the report that travelled
				 // fastest
};

// Nothing is known of the leg any more.
void stream_clock_reset(struct stream_clock *, enum leg_kind);

// The leg's source began anew, or its clock leapt; its timestamps were moved so that the output
// goes on with the time. The mapping holds until the new source has its say.
void stream_clock_restart(struct stream_clock *, enum leg_kind, uint64_t now_ns);

// The output timestamp of what the source says was at its NTP time, on the line of the newest
// report: where that was of another source, this holds as far as both have one clock.
// Return: 0; -EAGAIN the leg has no report.
int stream_clock_at_ntp(
	const struct stream_clock *, enum leg_kind, uint64_t ntp_ns, uint32_t *out_ts);

// The leg's output timestamps are others from now on, by so much.
void stream_clock_move(struct stream_clock *, enum leg_kind, uint32_t ts_by);

// A packet of the leg arrived in order. ts: output.
void stream_clock_packet(struct stream_clock *, enum leg_kind, uint32_t ts, uint64_t rx_ns);

// The source reported that its timestamp ts (already moved to the output) is its NTP time.
// ntp: 64 bits as on the wire, host byte order.
void stream_clock_report(
	struct stream_clock *, enum leg_kind, uint32_t ts, uint64_t ntp, uint64_t rx_ns);

// The output timestamp that belongs to CLOCK_MONOTONIC zero, at this moment of the mapping.
// present: which legs the stream has.
// Return:  0; -EAGAIN nothing is known of the leg yet.
int stream_clock_zero(const struct stream_clock *, enum leg_kind, const bool present[LEG_COUNT],
	uint64_t now_ns, uint32_t *out);

// NTP (32.32) at CLOCK_MONOTONIC zero by the source's wall clock.
// Return: 0; -EAGAIN its reports do not rule.
int stream_clock_ntp(
	const struct stream_clock *, const bool present[LEG_COUNT], uint64_t now_ns, uint64_t *out);

uint64_t stream_clock_ntp_to_ns(uint64_t ntp);

// How far a leg's timestamp runs in so many nanoseconds.
uint32_t leg_clock_span(enum leg_kind, int64_t ns);
