// One leg of a stream on its way in: check each packet, and make one continuous numbered stream of
// whatever the encoders send. A gap in the input stays a gap in the output; a restarted encoder
// goes on where the last one ended.
// Owner: the stream's worker. What must outlive the process stands in the region.
// Source: RFC 3550 A.1; checklist F20, F21.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/abi/region.h"
#include "dataplane/ingest/clock.h"
#include "dataplane/ingest/lint.h"
#include "dataplane/ingest/params.h"
#include "dataplane/ingest/rtp.h"

enum {
	LEG_FIRST_SEQ = 1 << 16, // of the output: room below it for packets that overtook the first
	LEG_WINDOW = 64,	 // how far behind the newest a packet may come
	LEG_MAX_SKIP = 3000,	 // sequence numbers; more is a restart
	LEG_SOURCE_GRACE_MS = 200, // a silent source may be followed by another
	LEG_DOWN_MS = 2000,	   // without a packet
	LEG_MAX_FORWARD_S = 5,	   // of timestamp in one step; more is re-anchored
	LEG_MAX_BACKWARD_S = 1,
	LEG_EARLY_REPORT_MS = 5000, // how long a report waits for its source
	LEG_SAME_CLOCK_MS = 500,    // a wall clock that says so much else is another's
	LEG_GAP_MAX_MS = 2000,	    // between access units; more is a pause
};

// Where the output moved against the input: input numbers below from have the shift before.
struct leg_turn {
	uint64_t from; // input, extended
	int64_t shift;
};

// A packet that was let in lately; all of it of the output.
struct leg_recent {
	uint64_t seq;
	uint32_t ts;
	uint32_t frame;
};

struct leg {
	enum leg_kind kind;
	bool present;
	struct region_leg_conf conf;
	struct region_leg_norm *norm;	   // rw
	struct region_leg_state *state;	   // rw
	uint64_t seen;			   // bit i: in_highest - i came
	struct leg_turn turns[LEG_WINDOW]; // the newest is turns[(n_turns - 1) % LEG_WINDOW]
	uint64_t n_turns;
	bool probation; // the next packet decides whether the sequence restarted
	uint16_t probation_seq;
	uint32_t frame_ts;     // output timestamp of the key frame that came last
	bool key_seen;	       // and that is this source's
	uint64_t frame_gap_ns; // between access units as they come, smoothed; 0: not known
	uint32_t frame;	       // of the newest packet
	struct leg_recent recent[LEG_WINDOW]; // by output sequence number
	// A source that took over from another is held back until its output can begin: pictures at
	// a key frame, sound behind what was heard already.
	struct {
		bool closed;
		bool any;    // a packet came
		bool slices; // of the access unit under way
		bool marker; // on the newest packet
		uint32_t ts; // input, of the newest packet
	} gate;
	struct params params; // video
	struct lint lint;
	// A sender report that came before its source's first packet: encoders send it first.
	struct {
		uint64_t ntp;
		uint64_t rx_ns; // 0: none
		uint32_t ssrc;
		uint32_t ts; // input
	} early;
};

// An accepted packet, renumbered.
struct leg_packet {
	uint64_t seq; // output
	uint32_t ts;  // output
	// The access unit, counted since the leg was made; never falls from one sequence number to
	// the next. Where packets are missing some numbers are left out: as many units may have
	// been lost.
	uint32_t frame;
	uint16_t payload_off;
	uint16_t payload_bytes;
	bool marker;
	bool in_order; // newest so far
	bool key;      // video: an IDR slice begins in it
	bool params;   // video: only what leads an access unit
	bool begins;   // the first of its timestamp
	bool opens;    // video: a decoder can begin with it: a key frame's first, or an SPS
};

enum leg_change {
	LEG_CHANGE_UP = 1 << 0,	    // the first packet after silence
	LEG_CHANGE_PARAMS = 1 << 1, // profile or channel count became known or changed
	LEG_CHANGE_RESTART = 1 << 2,
};

// conf is copied; norm and state are the leg's places in the region.
void leg_init(struct leg *, enum leg_kind, const struct region_leg_conf *conf,
	struct region_leg_norm *norm, struct region_leg_state *state);

// Judge one datagram that came to the leg's RTP port; counts in state.
// max_bytes: longest RTP payload that still fits the viewers' path once sealed.
// changes:   enum leg_change flags.
// Return:    0; else drop_as_error() of the reason, counted in the leg's state.
int leg_accept(struct leg *, struct stream_clock *, const struct net_addr *from, const uint8_t *pkt,
	uint16_t pkt_bytes, uint16_t max_bytes, uint64_t now_ns, struct leg_packet *out,
	unsigned int *changes);

// Give the leg's output other numbers, all by so much, modulo their size.
void leg_move(struct leg *, uint64_t seq_by, uint32_t ts_by, uint32_t frame_by);

// Nothing is let in any more that would have a number of the output before this one.
void leg_close_before(struct leg *, uint64_t seq);

// Make room in the output for one more packet before the one that was accepted last, in order.
// p:   that packet, which gets the next number.
// out: the number for the one before it.
void leg_insert(struct leg *, struct leg_packet *p, uint64_t *out);

// Take the packet that was accepted last, in order, out of the output again: its number is the next
// one's.
void leg_omit(struct leg *, const struct leg_packet *);

// Judge one RTCP datagram of the source; sender reports move the clock.
// Return: 0; else drop_as_error() of the reason, counted.
int leg_accept_rtcp(struct leg *, struct stream_clock *, const struct net_addr *from,
	const uint8_t *pkt, uint16_t pkt_bytes, uint64_t now_ns);

// Count a drop of this leg and remember who sent it.
// Return: drop_as_error() of the reason.
int leg_refuse(struct leg *, const struct net_addr *from, enum drop_reason);

// Call now and then. Return: true when the leg has just fallen silent.
bool leg_check_silence(struct leg *, uint64_t now_ns);
