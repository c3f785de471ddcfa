// The shared region: one sealed memfd that both processes map, with everything a session needs to
// go on when either of them dies. Layout: header, streams, peers, workers, rings; every part on
// a page boundary, found by the offsets in the header.
// Who writes what is said at each field; a field has one writer.
// The data plane makes the region; control maps what it is handed and checks it as input.
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/abi/drop.h"
#include "dataplane/abi/leg.h"
#include "dataplane/abi/lint.h"
#include "dataplane/abi/net.h"
#include "dataplane/abi/ring.h"
#include "dataplane/abi/source.h"
#include "dataplane/abi/srtp_keys.h"

#define REGION_MAGIC 0x656361726c6c696dULL // "millrace" in memory

enum {
	REGION_ABI_VERSION = 11,
	REGION_LINE_BYTES = 64,
	REGION_MAX_WORKERS = 16,
	REGION_MAX_PEERS = 65536,
	REGION_MAX_STREAMS = 1024,
	REGION_STREAM_ID_MAX = 63,
	REGION_RESOURCE_CHARS = 32, // 32 of base64url: 192 random bits
	REGION_CNAME_MAX = 31,
	REGION_MID_MAX = 32,
	REGION_DIGEST_BYTES = 32,
	REGION_MAX_SOURCES = 8,
	REGION_SPROP_MAX = 512,
	REGION_COMMAND_SLOTS = 1024,
	REGION_EVENT_SLOTS = 4096,
	REGION_PACKET_SLOTS = 512,
	// What an RTP payload grows by at most on its way to a viewer, from the IP header up: IPv6,
	// UDP, RTP header with a MID extension, what a retransmission has in front (RFC 4588 4),
	// tag.
	REGION_OVERHEAD_BYTES = 40 + 8 + 36 + 2 + SRTP_TAG_MAX_BYTES,
	// How far a data plane that takes the region up goes on behind the recorded indices. More
	// than a worker may have used and not recorded when it died; less than what receivers take
	// for a new source (RFC 3550 A.1: 3000) or guess the ROC wrong over (RFC 3711 3.3.1:
	// 32768).
	REGION_INDEX_JUMP = 1024,
	REGION_RTCP_JUMP = 64,
	REGION_MAX_STARTS = 3, // that did not last, before a region is given up
	REGION_WAIT_SPAN_MS = 10000,
};

// A slot's generation is odd while it is in use.
static inline bool region_in_use(uint32_t generation)
{
	return generation & 1;
}

// ---- streams -------------------------------------------------------------------------------

// Control: rw, only while no command for the stream is under way. Workers: ro, on command.
struct region_source {
	struct net_addr addr; // port ignored
	uint8_t prefix_bits;
	uint8_t zero[3];
};

struct region_leg_conf {
	uint8_t present;
	uint8_t payload_type;
	uint8_t n_sources;	 // 0: anybody
	uint8_t refuse_b_frames; // video
	uint16_t port;		 // host byte order; RTP; RTCP on port + 1
	uint16_t zero2;
	struct region_source sources[REGION_MAX_SOURCES];
	struct net_addr group; // multicast group it is sent to, port ignored; none: our addresses
	uint8_t profile_known; // video: as declared
	uint8_t profile_level_id[3];
	uint8_t stereo; // audio; only for control, to go on after a restart
	uint8_t zero3[3];
};

// H.264 parameter sets as configured: the body of a STAP-A (RFC 6184 5.7.1).
struct region_sprop {
	uint16_t bytes; // 0: none
	uint8_t units[REGION_SPROP_MAX];
};

struct region_stream_conf {
	uint32_t generation;  // odd: in use. Rises by one with each take and each release
	uint16_t owner;	      // the worker that validates and normalises
	uint8_t require_live; // only for control
	uint8_t no_instant_start;
	uint32_t max_peers; // only for control: as configured, 0 the default
	char id[REGION_STREAM_ID_MAX + 1];
	struct region_leg_conf legs[LEG_COUNT];
	struct region_leg_conf backup[LEG_COUNT]; // of the same legs, or of none
	uint16_t failback_s; // the primary plays again once it came for so long
	uint8_t failback;    // by itself
	uint8_t pick;	     // enum region_pick
	struct region_sprop sprop[REGION_ROLE_COUNT]; // of each source's video
	uint8_t no_feedback;			      // to the source, though it could hear us
	uint8_t zero2;
};

// What a worker must remember of a leg to go on with one continuous output (worker: rw).
// Output sequence numbers are 64 bits wide inside; a viewer sees them moved by its own offset.
struct region_leg_norm {
	uint64_t next_seq;    // of the output: one past the highest handed to fan-out
	uint64_t in_highest;  // of the input, extended; with has_source
	int64_t seq_shift;    // output - extended input
	uint32_t ts_shift;    // output - input timestamp, modulo 2^32
	uint32_t last_ts;     // output, of the newest packet
	uint64_t last_rx_ns;  // CLOCK_MONOTONIC, of the newest packet of the source
	uint64_t last_out_ns; // of the newest that went to the viewers
	uint32_t ssrc;	      // the source's
	uint8_t has_source;
	uint8_t has_output; // next_seq and last_ts mean something
	uint8_t zero[2];
	// The output timestamp that belongs to CLOCK_MONOTONIC zero, in the low 32 bits; bit 32:
	// valid. And the NTP time that reports to viewers give it: the source's where it tells.
	// What was read between two equal, even versions belongs together.
	_Atomic uint64_t clock_zero;
	_Atomic uint64_t clock_ntp;
	_Atomic uint32_t clock_version;
	_Atomic uint32_t clock_turn; // rises when viewers shall have a report at once
};

// Counters and facts of a leg (owner worker: rw; control: ro).
struct region_leg_state {
	uint64_t packets;
	uint64_t bytes; // RTP, headers included
	uint64_t frames;
	uint64_t key_frames;
	uint64_t last_key_ns; // CLOCK_MONOTONIC; 0: never
	uint64_t source_reports;
	uint64_t last_rx_ns;   // of the newest packet; CLOCK_MONOTONIC
	uint64_t lost;	       // gaps that stayed gaps
	uint64_t restarts;     // new source, jump of sequence or timestamp
	uint64_t key_requests; // sent to the source
	uint64_t sets_added;   // video: key frames that were given parameter sets
	uint64_t omitted;      // video: packets of nothing but delimiters and filler
	uint64_t drops[DROP_COUNT];
	uint32_t key_interval_ms; // video: between the last two key frames of one source; 0: none
	uint32_t lint;		  // bit r: enum lint_reason r holds
	int32_t drift_ppm;	  // of the source's clock; above 0 it is fast
	uint32_t zero2;
	struct net_addr source;	     // who sends
	uint8_t up;		     // packets within the last second or so
	uint8_t profile_known;	     // video: from an SPS seen in band
	uint8_t profile_level_id[3]; // profile_idc, constraint flags, level_idc
	uint8_t stereo;		     // audio: from the Opus TOC byte
	uint8_t drift_known;
	uint8_t zero;
	struct net_addr last_refused; // who sent the last packet that was dropped
};

// How long pictures waited on one worker, from receive to fan-out (worker: rw; control: ro).
struct region_wait {
	_Alignas(REGION_LINE_BYTES) uint64_t packets;
	uint64_t paced; // of these, those of pictures that were spread over time
	uint64_t sum_ns;
	uint64_t max_ns;      // of the REGION_WAIT_SPAN_MS under way
	uint64_t last_max_ns; // of those before
	uint64_t since_ns;    // CLOCK_MONOTONIC: when the span under way began
};

struct region_stream {
	_Alignas(REGION_LINE_BYTES) struct region_stream_conf conf;
	_Alignas(REGION_LINE_BYTES) struct region_leg_norm norm[LEG_COUNT];
	_Alignas(REGION_LINE_BYTES) struct region_leg_state legs[LEG_COUNT];
	struct region_leg_state backup[LEG_COUNT];
	struct region_sources_state sources;
	// Owner: of which generation norm and legs speak. A worker that meets the slot with that
	// generation goes on where they end, with any other it begins anew.
	uint32_t state_generation;
	struct region_wait waits[REGION_MAX_WORKERS]; // by worker
};

// ---- peers ---------------------------------------------------------------------------------

enum region_peer_phase {
	REGION_PEER_FREE,
	REGION_PEER_RESERVED, // counted, bound to a stream; no keys yet
	REGION_PEER_READY,    // keys and path are there
	REGION_PEER_CLOSING,  // removal under way
};

struct region_peer_leg {
	uint8_t enabled;
	uint8_t payload_type;
	uint8_t mid_ext_id; // 1 to 14; 0: the MID extension is not sent
	uint8_t mid_bytes;
	char mid[REGION_MID_MAX];
	uint32_t ssrc;	   // host byte order
	uint32_t ts_base;  // random: output timestamp + this
	uint16_t seq_base; // random below 32768: SEQ of the first packet (RFC 3711 3.3.1)
	// Retransmission of video (RFC 4588), with the MID of the leg.
	uint16_t rtx_seq_base;	  // as seq_base
	uint32_t rtx_ssrc;	  // 0: a packet goes out again as it was
	uint8_t rtx_payload_type; // with rtx_ssrc
	uint8_t nack;		  // generic NACK was agreed on
	uint8_t zero[2];
};

// Control: rw, only while no command for the peer is under way. Worker: ro, on command.
struct region_peer_conf {
	uint32_t generation; // odd: in use. Rises by one with each take and each release
	uint16_t stream;     // index of the stream's slot
	uint16_t worker;
	uint16_t profile; // enum srtp_profile
	uint8_t phase;	  // enum region_peer_phase
	uint8_t rtcp_rsize;
	uint32_t stream_generation;
	uint32_t key_id;	   // rises with each set of keys
	struct srtp_master local;  // the server's write keys
	struct srtp_master remote; // the client's
	struct net_path path;
	struct region_peer_leg legs[LEG_COUNT];
	char cname[REGION_CNAME_MAX + 1];
};

// What only control needs to take its sessions up again after a restart (control: rw).
struct region_peer_session {
	char resource[REGION_RESOURCE_CHARS + 1];
	char local_ufrag[9];
	char local_pwd[25];
	uint8_t remote_ufrag[REGION_DIGEST_BYTES]; // SHA-256
	uint8_t remote_pwd[REGION_DIGEST_BYTES];
	char mid[REGION_MID_MAX + 1]; // of the section that carries the transport
	uint8_t tagged;		      // enum leg_kind of that section
	uint8_t missed;		 // bit i: it asked for enum leg_kind i, which the stream had not
	uint32_t ice_generation; // restarts so far
	uint64_t created_ns;	 // CLOCK_MONOTONIC
};

// Why a packet that a viewer asked for again was not sent. The names are what the API and metrics
// show.
#define REGION_MISSES(X)                                                            \
	X(UNASKED, "not_negotiated")                                                \
	X(RTX, "retransmission") /* NACK for the SSRC of retransmissions */         \
	X(FLOOD, "too_many")	 /* asked for more in a second than is looked at */ \
	X(NEVER, "never_sent")                                                      \
	X(GONE, "too_old")	   /* longer ago than is kept or of use */          \
	X(REPEATED, "just_resent") /* the resend may be under way still */          \
	X(BUDGET, "over_budget")   /* of [media] repair_percent */                  \
	X(BUSY, "overload")	   /* the worker is behind with what is new */

enum region_miss {
#define X(name, text) REGION_MISS_##name,
	REGION_MISSES(X)
#undef X
		REGION_MISS_COUNT,
};

// Return: the text of a reason; "?" past the end.
static inline const char *region_miss_name(unsigned int miss)
{
	static const char *const names[] = {
#define X(name, text) text,
		REGION_MISSES(X)
#undef X
	};

	return miss < REGION_MISS_COUNT ? names[miss] : "?";
}

// What went out to a viewer under one SSRC (worker: rw; control: ro): the line that the fan-out
// writes. index of the next packet = output seq + index_shift; it never falls, whoever restarts.
struct region_peer_sent {
	_Alignas(REGION_LINE_BYTES) int64_t index_shift; // valid with started
	// One past the highest index that may have left; 0: none. Written before what it covers is
	// sealed, or so soon that it never lags by REGION_INDEX_JUMP: whoever takes the region up
	// goes on that far behind it.
	uint64_t next_index;
	uint64_t first_index; // valid with started: where the viewer was begun, or begun again
	uint64_t packets;
	uint64_t bytes;	      // RTP payload without padding: the SR's octet count
	uint64_t first_tx_ns; // CLOCK_MONOTONIC; 0: nothing sent yet
	uint32_t drops;	      // of packets that were due
	uint32_t rtcp_index;  // next SRTCP index of this SSRC, from 1; raised before it is used
	uint32_t reports;     // sender reports
	uint8_t started;
	uint8_t zero[3];
};

// Of one leg of one viewer (worker: rw; control: ro). What is counted a few times a second has 32
// bits, so that ten thousand viewers stay small.
struct region_peer_leg_state {
	struct region_peer_sent sent;

	// From the newest receiver report about this SSRC.
	uint32_t rr_count;
	uint32_t rr_lost; // cumulative, 24 bits signed as it came
	uint32_t rr_highest_seq;
	uint32_t rr_jitter;	  // timestamp units
	uint32_t rtt_us;	  // 0: unknown
	uint8_t rr_fraction_lost; // of 256
	uint8_t zero[3];
	uint32_t plis;
	uint32_t firs;
	uint32_t fir_repeats; // of a FIR that came already

	uint32_t nacks;			    // packets that came
	uint32_t resent;		    // packets that left again
	uint32_t copies;		    // of these, second ones for one request
	uint32_t missed[REGION_MISS_COUNT]; // that were asked for
	uint64_t resent_bytes;		    // of RTP payload

	// Video: how the viewer began: in the middle of a group of pictures, or waiting.
	uint32_t starts_instant;
	uint32_t starts_waited;
	// What came of its asking for key frames.
	uint32_t keys_sent;	 // from the history
	uint32_t keys_under_way; // one was on its way already
	uint32_t keys_too_soon;	 // behind the one before
	uint32_t keys_waited;	 // there was none to send
};

// (worker: rw; control: ro)
struct region_peer_state {
	uint64_t last_rx_ns; // of an SRTCP packet that verified; CLOCK_MONOTONIC
	uint64_t srtcp_packets;
	// What SRTCP of the viewer was taken, so that none of it is taken again after a restart.
	uint32_t marks_key_id; // of the keys it came under
	uint32_t n_marks;
	struct srtp_rtcp_mark marks[SRTP_RTCP_SOURCES_MAX];
	struct region_peer_leg_state legs[LEG_COUNT];
	struct region_peer_sent rtx; // under video's SSRC of retransmissions
};

struct region_peer {
	_Alignas(REGION_LINE_BYTES) struct region_peer_conf conf;
	_Alignas(REGION_LINE_BYTES) struct region_peer_session session;
	_Alignas(REGION_LINE_BYTES) struct region_peer_state state;
};

// ---- workers -------------------------------------------------------------------------------

// (worker: rw; control: ro)
struct region_worker {
	_Alignas(REGION_LINE_BYTES) uint64_t
		heartbeat_ns; // CLOCK_MONOTONIC of the last loop, coarse
	uint64_t rx_packets;
	uint64_t rx_bytes;
	uint64_t tx_packets;
	uint64_t tx_bytes;
	uint64_t sealed_packets;
	uint64_t seal_cycles; // TSC cycles inside the SRTP engine, of RTP
	uint64_t rx_bursts;   // that brought packets
	uint64_t rx_missed;   // dropped by the port: its queue was full, or no buffer was free
	uint64_t tx_bursts;   // that the port was given
	uint64_t tx_waits;    // bursts of which it did not take all at once
	uint64_t punted_packets;
	uint64_t injected_packets;
	uint64_t handed_off;
	uint64_t busy_cycles; // TSC cycles of loops that found work
	uint64_t idle_cycles;
	uint64_t events_lost; // event ring full
	uint64_t ring_faults; // a ring whose indices control had made impossible was left alone
	uint64_t commands;
	uint32_t n_peers;
	uint32_t tsc_mhz;
	uint16_t cpu;
	uint16_t zero[3];
	uint64_t drops[DROP_COUNT];
};

// ---- the host ------------------------------------------------------------------------------

// What the data plane does as a host on its link, where the kernel does not see the port. The names
// are what the API and metrics show.
#define REGION_HOST_COUNTS(X)                                                      \
	X(ARP_REPLY, "arp_reply")                                                  \
	X(ADVERT, "neighbour_advertisement") /* asked for */                       \
	X(ECHO_REPLY, "echo_reply")                                                \
	X(ANNOUNCEMENT, "announcement") /* gratuitous ARP, advertisement to all */ \
	X(SOLICITATION, "solicitation") /* for gateways; for ours, at start */     \
	X(CONFLICT, "address_conflict") /* somebody claimed an address of ours */  \
	X(TO_KERNEL, "to_kernel")                                                  \
	X(FROM_KERNEL, "from_kernel")

enum region_host_count {
#define X(name, text) REGION_HOST_##name,
	REGION_HOST_COUNTS(X)
#undef X
		REGION_HOST_COUNT,
};

// Return: the text of a count; "?" past the end.
static inline const char *region_host_name(unsigned int count)
{
	static const char *const names[] = {
#define X(name, text) text,
		REGION_HOST_COUNTS(X)
#undef X
	};

	return count < REGION_HOST_COUNT ? names[count] : "?";
}

enum region_link {
	REGION_LINK_UNKNOWN, // not looked yet
	REGION_LINK_DOWN,
	REGION_LINK_UP,
};

// (control: ro)
struct region_host {
	// Data plane's main thread: rw.
	_Alignas(REGION_LINE_BYTES) _Atomic uint32_t link; // enum region_link, of all ports
	uint32_t link_mbps;				   // 0: unknown
	// Worker 0: rw.
	_Alignas(REGION_LINE_BYTES) uint64_t counts[REGION_HOST_COUNT];
};

// ---- rings ---------------------------------------------------------------------------------

enum ring_command_kind {
	RING_STREAM_SET = 1, // slot holds the stream; new or changed
	RING_STREAM_REMOVE,
	RING_PEER_ADD,	  // slot reserved: know it and count it
	RING_PEER_UPDATE, // keys or path changed: install, and send from now on
	RING_PEER_REMOVE, // say BYE, unlink, wipe
	RING_FLUSH,	  // answered once all that came before is done and sent
	RING_DRAIN,	  // remove every peer (with BYE) and stream
};

// control → worker
struct ring_command {
	uint64_t seq; // answered by an event with the same seq
	uint32_t generation;
	uint16_t slot; // stream or peer
	uint8_t kind;
	uint8_t zero;
};

enum ring_event_kind {
	RING_ACK = 1,
	RING_LEG_UP,
	RING_LEG_DOWN,
	RING_LEG_PARAMS, // profile_level_id or channel count changed
	RING_LINK_UP,	 // the port's, from worker 0; also the first time
	RING_LINK_DOWN,
	RING_SOURCE, // a stream's viewers see another source now
};

// worker → control
struct ring_event {
	uint64_t seq; // RING_ACK: the command's
	uint32_t generation;
	int32_t status; // RING_ACK: 0 or -errno
	uint16_t slot;
	uint8_t kind;
	uint8_t leg;
	uint32_t source; // enum region_role: the leg's, or the one that plays now
};

enum {
	RING_PACKET_MAX_BYTES = 1600,
};

// A STUN or DTLS packet, both ways: the UDP payload and the path it took or shall take.
struct ring_packet {
	uint64_t rx_ns; // punt: CLOCK_MONOTONIC of the receive
	struct net_path path;
	uint16_t pkt_bytes;
	uint16_t worker;
	uint32_t zero;
	uint8_t pkt[RING_PACKET_MAX_BYTES];
};

static_assert(sizeof(struct ring_command) == 16, "ring_command is ABI");
static_assert(sizeof(struct ring_event) == 24, "ring_event is ABI");
static_assert(sizeof(struct ring_packet) % 4 == 0, "rte_ring elements are words");
static_assert(sizeof(struct net_path) == 56, "net_path is ABI");

// ---- header --------------------------------------------------------------------------------

// Written once by the data plane before the region is handed out, but for the last lines.
struct region_header {
	uint64_t magic;
	uint32_t abi_version;
	uint32_t header_bytes;
	uint64_t region_bytes;
	uint64_t instance; // random: tells one region from another
	uint32_t n_workers;
	uint32_t n_streams;
	uint32_t n_peers;
	uint32_t stream_bytes; // of one slot, as all the following
	uint32_t peer_bytes;
	uint32_t worker_bytes;
	uint64_t streams_off;
	uint64_t peers_off;
	uint64_t workers_off;
	uint64_t rings_off;	// per worker: command, event, punt, inject
	uint64_t command_bytes; // of one ring
	uint64_t event_bytes;
	uint64_t packet_bytes; // of a punt or inject ring
	uint16_t mtu;
	uint16_t media_port;
	char interface[64]; // where the steering maps are pinned; "" without AF_XDP
	char engine[16];
	char exception_interface[16]; // the kernel's end of the port; "" none

	_Alignas(REGION_LINE_BYTES) _Atomic uint32_t
		control_waits; // control: sleeping on the eventfd

	// Flow steering (main thread of the data plane: rw; control: ro).
	_Alignas(REGION_LINE_BYTES) _Atomic uint32_t flow_steering; // whether the NIC does it
	_Atomic uint32_t flow_rules;				    // in the NIC
	_Atomic uint32_t flow_waiting;				    // viewers without room
	_Atomic uint64_t flow_refusals;				    // by the NIC's driver
	struct region_host host;

	_Alignas(REGION_LINE_BYTES)
		uint32_t starts; // data plane: of those that took it up and did not last
};

// No line has two writers, nor one writer and another that reads it for each packet.
#define REGION_OWN_LINE(type, member) \
	static_assert(offsetof(struct type, member) % REGION_LINE_BYTES == 0, "shares a line")

REGION_OWN_LINE(region_stream, norm);
REGION_OWN_LINE(region_stream, legs);
REGION_OWN_LINE(region_stream, waits);
REGION_OWN_LINE(region_peer, session);
REGION_OWN_LINE(region_peer, state);
REGION_OWN_LINE(region_peer_leg_state, sent);
static_assert(sizeof(struct region_peer_sent) == REGION_LINE_BYTES, "one line a leg and run");
REGION_OWN_LINE(region_header, control_waits);
REGION_OWN_LINE(region_header, flow_steering);
static_assert(sizeof(struct region_stream) % REGION_LINE_BYTES == 0, "slots share a line");
static_assert(sizeof(struct region_peer) % REGION_LINE_BYTES == 0, "slots share a line");
static_assert(sizeof(struct region_worker) % REGION_LINE_BYTES == 0, "workers share a line");

// A mapped region and the addresses of its parts, checked. Not itself shared.
struct region {
	int fd;
	size_t bytes;
	struct region_header *header;
	uint16_t n_workers;
	uint16_t n_streams;
	uint32_t n_peers;
	struct region_stream *streams;
	struct region_peer *peers;
	struct region_worker *workers;
	struct ring *ring_views; // what the pointers below lead to
	struct {
		struct ring *command;
		struct ring *event;
		struct ring *punt;
		struct ring *inject;
	} rings[REGION_MAX_WORKERS];
};

// Sizes to make a region with.
struct region_sizes {
	uint16_t n_workers;
	uint16_t n_streams;
	uint32_t n_peers;
};

// Make, size, seal (no shrink, no grow) and map a region, all zero but header and rings.
// Return: 0; -EINVAL sizes out of bounds, -ENOMEM, other -errno of memfd_create and mmap.
int region_create(const struct region_sizes *, struct region *out);

// Map a region that came from the other process, and check it: seals, magic, ABI version, sizes,
// offsets, ring shapes.
// fd:     owned by the region on success, by the caller on failure.
// Return: 0; -EPROTO not a region, -EPROTONOSUPPORT another ABI version, -EINVAL damaged, -errno.
int region_map(int fd, struct region *out);

// Data plane: take up a region that one before us made, as region_map does. Rings are emptied: what
// waited in them, control sends again.
// sizes:  which it must have.
// Return: as region_map; -ERANGE other sizes, -ELOOP it was taken up REGION_MAX_STARTS times and
//         none of them lasted.
int region_take_up(int fd, const struct region_sizes *, struct region *out);

// Data plane: it lasts. The next to take it up has all its tries.
void region_settled(struct region *);

// Unmap and close. A zeroed struct is fine.
void region_fini(struct region *);

// Wall time that nobody can step: CLOCK_MONOTONIC in nanoseconds.
uint64_t region_now_ns(void);
