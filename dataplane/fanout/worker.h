// One worker: a pinned thread that owns its queues, its viewers and its counters, and runs to
// completion: receive, sort, fan out or punt, obey control, report, send.
// Everything here belongs to the worker's thread but what struct edge says is shared.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "dataplane/abi/conf.h"
#include "dataplane/abi/region.h"
#include "dataplane/fanout/keep.h"
#include "dataplane/fanout/pace.h"
#include "dataplane/ingest/clock.h"
#include "dataplane/ingest/leg.h"
#include "dataplane/ingest/sources.h"
#include "dataplane/peer/endpoints.h"
#include "dataplane/peer/peer.h"
#include "dataplane/port/frame.h"
#include "dataplane/port/port.h"
#include "dataplane/srtp/srtp.h"

enum {
	WORKER_BURST = PORT_BURST,
	WORKER_TX_BATCH = 64,
	WORKER_INBOX_SLOTS = 1024,
	WORKER_PREFIX_MAX = 8, // packets that lead an access unit, kept for viewers that wait
	// Packets of all legs that may wait for their turn on one worker: a quarter of its pool.
	WORKER_WAITING_MAX = 4096,
	WORKER_WAITING_HARD = 8192, // whoever has little waiting may still come up to here
	WORKER_INBOX_SOUND = 128,   // places of an inbox that pictures leave free
	// Where a sealed payload begins in its mbuf: on a line, since the cipher writes whole ones.
	WORKER_PAYLOAD_OFF = RTE_PKTMBUF_HEADROOM + REGION_LINE_BYTES,
	WORKER_PAYLOAD_MAX_BYTES = RTE_MBUF_DEFAULT_BUF_SIZE - WORKER_PAYLOAD_OFF - PEER_OSN_BYTES -
				   SRTP_TAG_MAX_BYTES,
};

enum {
	WORKER_STARTING = 1, // struct worker's state: else 0 runs, or -errno it did not start
};

struct repairs;
struct rtcp_packet;
struct steering;
struct worker;

// Shared by all workers; read only while they run, but for the atomics.
struct edge {
	const struct conf *conf;
	struct region *region;
	struct port_set *ports;
	struct endpoints *endpoints;
	struct steering *steering; // NULL: the NIC does not steer
	struct worker *workers;
	uint16_t n_workers;
	uint16_t media_port_be;
	uint16_t max_payload; // longest RTP payload that fits the path after sealing
	struct host *host;    // NULL: none
	int wake_fd;	      // tells control of events and punted packets
	uint64_t ntp_base;    // NTP (32.32) at CLOCK_MONOTONIC zero: never moves (F17)
	atomic_bool stop;
	// No control for so long that no viewer has its consent any more. Main thread: w.
	atomic_bool alone;
	// Bit w of viewers_on[stream]: worker w has viewers of it. Writer: worker w, its own bit.
	_Atomic uint32_t *viewers_on;
	_Atomic(struct keep *) *kept; // by stream slot; writer: its owner
	// Sources that took over with more than a key frame; keep.h says of whom. Owners: w.
	_Atomic uint32_t take_overs;
	// When a viewer of a stream wanted a key frame, and none came since; 0: nobody does. Any
	// worker: w; owner: rw.
	_Atomic uint64_t *key_wanted;
};

// Which stream and leg a UDP port feeds; stream 0xffff: none.
struct ingest_ref {
	uint16_t stream;
	uint8_t leg;
	uint8_t rtcp;
	uint8_t source; // enum region_role
};

// A leg's viewers on this worker, and its packets that wait for their turn.
struct fan {
	struct peer_leg **viewers;
	uint32_t n_viewers;
	uint32_t n_members; // with those that catch up: each has its place kept
	uint32_t cap;
	uint32_t turn;		   // viewer that the next run begins with
	struct rte_mbuf **waiting; // a ring of lane.c's; NULL while the stream is none
	uint32_t head, tail;	   // free running; both within the ring modulo its size
	bool queued;		   // in struct worker's list of legs that wait
	bool shedding;		   // the access unit under way is being dropped
	uint32_t shed_ts;
	struct pace pace; // video
	// Video: where the pictures of the source that took over last begin, as viewers here have
	// been told: none begins before.
	uint64_t over_seq;
	// Video: packets that lead the access unit under way, until it shows whether it is a key
	// frame.
	struct rte_mbuf *prefix[WORKER_PREFIX_MAX];
	uint8_t n_prefix;
};

// What a stream's history holds since its newest key frame, as far as this worker has looked.
struct pictures {
	uint64_t key; // first packet; 0: none looked at yet
	uint64_t end; // one past the last packet that is counted
	uint64_t bytes;
	uint64_t key_bytes; // of the key frame alone
};

// A source of the video leg, where it can hear us.
struct upstream {
	struct net_path path; // from our port to where its RTCP came from
	bool known;
	uint32_t ssrc; // ours
	uint32_t media_ssrc;
	uint64_t asked_ns; // for a key frame; 0: never
};

// A stream as this worker knows it.
struct stream {
	uint32_t generation; // 0: none
	uint16_t owner;
	struct leg legs[LEG_COUNT];   // judged on the owner only
	struct leg backup[LEG_COUNT]; // the other source's
	struct sources *sources;      // owner: where there are two, else NULL
	struct sources_policy policy;
	struct stream_clock clock; // kept on the owner; what it says stands in the region for all
	bool clock_turned;	   // a source began anew since that was told
	uint64_t turned_ns;	   // when that was told last
	uint32_t reported_turn[LEG_COUNT]; // clock_turn of the last reports to all viewers at once
	uint32_t report_next;		   // viewer of the fans with which those go on
	uint32_t n_peers;		   // of it on this worker
	struct fan fans[LEG_COUNT];
	struct pictures group; // video
	bool no_instant_start;
	bool no_feedback;
	struct upstream upstream[REGION_ROLE_COUNT];
};

// A viewer's leg on its way from a key frame in the history to the live edge.
struct start {
	struct peer_leg *leg;
	uint16_t stream;
	bool closed_up;	   // the newest packet went out with the stream's own timestamp
	uint32_t first;	   // frame
	uint32_t last;	   // frame that is due pace_ns after the first
	uint32_t frame;	   // of the newest packet sent
	uint64_t seq;	   // of the stream's output: next to send
	uint32_t shown_ts; // of the newest packet sent
	uint64_t begin_ns;
	uint64_t pace_from_ns; // when the first frame is through
	uint64_t pace_ns;
	uint64_t bytes; // sent
	uint64_t bytes_per_s;
};

struct start_list {
	struct start *slots;
	uint32_t n, cap;
	uint32_t turn; // that the next round begins with
	uint64_t served_ns;
	uint8_t (*plain)[WORKER_PAYLOAD_MAX_BYTES]; // payloads on their way to the engine
};

// Streams of which a leg has packets that wait, in the order in which they are served.
struct turn_list {
	uint16_t *slots; // a ring of n_streams
	uint32_t head, n;
};

enum packet_kind {
	PACKET_RAW, // straight from the port, for another worker to sort
	PACKET_FAN, // normalised, to fan out
};

// Packets of one leg that one received burst brought.
struct batch {
	uint16_t stream;
	uint8_t leg;
	uint16_t n;
	struct rte_mbuf *pkts[WORKER_BURST];
};

// Private data of an mbuf while it is inside.
struct packet {
	uint8_t kind; // enum packet_kind
	uint8_t leg;
	bool marker;
	bool key;
	bool params;
	bool begins;
	uint8_t port_id;
	uint16_t stream;
	uint32_t generation;
	uint32_t ts;	      // output
	uint32_t frame;	      // access unit of the leg
	uint64_t seq;	      // output
	uint64_t rx_ns;	      // CLOCK_MONOTONIC of the loop that received it
	uint16_t payload_off; // from the mbuf's data
	uint16_t payload_bytes;
};

// SRTCP of a viewer, beside others: what each touches is fetched while those before it are served.
struct heard {
	struct rte_mbuf *pkt;
	struct peer *peer;
	uint16_t off; // of the SRTCP
	uint16_t bytes;
};

struct worker {
	_Alignas(REGION_LINE_BYTES) uint16_t id;
	_Atomic int state; // WORKER_STARTING, 0 running, -errno
	bool notify;	   // control has something to read
	struct edge *edge;
	struct port_share *share;
	struct region_worker *counters;
	struct srtp_engine *engine;
	struct stream *streams; // by slot
	struct peer **peers;	// by slot; NULL: not of this worker
	struct slab peer_slab;
	struct repairs *repairs;   // resends that gather
	struct keep *kept_dead;	   // withdrawn, and not yet freed
	struct ingest_ref *ingest; // by UDP port, host byte order
	uint32_t report_at;	   // slot at which the next round of reports goes on
	uint64_t report_ns;
	uint64_t house_ns;
	uint64_t stats_ns;
	bool draining;
	struct ring_command drain; // under way while draining
	uint32_t drain_at;	   // peer slot where it goes on
	uint64_t now_ns;	   // of this loop
	struct batch batches[WORKER_BURST];
	uint16_t n_batches;
	struct heard heard[WORKER_BURST];
	uint16_t n_heard;
	struct turn_list turns[LEG_COUNT];
	uint32_t n_waiting; // packets in all fans
	uint64_t seal_cost; // TSC cycles that one packet for one viewer takes, send and all
	struct start_list starts;
	uint32_t take_overs; // of the edge's, those that this worker has followed
	struct rte_mbuf *tx[WORKER_TX_BATCH];
	uint16_t n_tx;
	uint64_t tx_bytes; // of what gathers in tx
	bool tx_stalled;   // the port took nothing for the longest wait: do not wait again
	// By sender; SPSC. Read by the senders for each packet: nothing beside it may change.
	_Alignas(REGION_LINE_BYTES) struct rte_ring *inbox[REGION_MAX_WORKERS];
};

static_assert(sizeof(struct worker) % REGION_LINE_BYTES == 0, "workers share no line");
static_assert(offsetof(struct worker, inbox) % REGION_LINE_BYTES == 0 &&
		      offsetof(struct worker, inbox) + sizeof(((struct worker *)0)->inbox) ==
			      sizeof(struct worker),
	"what other workers read shares no line with what this one writes");

static inline struct packet *packet_of(struct rte_mbuf *m)
{
	return rte_mbuf_to_priv(m);
}

// Zeroed memory on lines that nobody else's memory shares; free() gives it back.
void *worker_table(size_t n, size_t elem_bytes);

// Make worker id's tables. Main thread, EAL started.
// Return: 0; -ENOMEM, -ENOTSUP no engine. worker_fini is right after a failure too.
int worker_init(struct worker *, struct edge *, uint16_t id);
void worker_fini(struct worker *);

// One round of the loop: receive, obey, report, send. The worker's own thread, online with the
// endpoints.
// Return: how much there was to do.
unsigned int worker_step(struct worker *);

// The loop, until edge->stop. Runs on the worker's lcore.
int worker_run(void *worker);

// ---- the stages, one a file --------------------------------------------------------------------

// Drop a packet and count why.
void worker_drop(struct worker *, struct rte_mbuf *, enum drop_reason);

// Give a packet to another worker; dropped and counted when its inbox is full.
void worker_hand(struct worker *, uint16_t to, struct rte_mbuf *);

// demux.c: sort a received burst; owns every mbuf of it.
void demux_burst(struct worker *, struct rte_mbuf **, uint16_t n, uint8_t port_id);
void demux_inbox(struct worker *);

// intake.c: a packet for an ingest port of a stream that this worker owns; owns the mbuf.
void intake_packet(struct worker *, struct rte_mbuf *, const struct frame *, struct ingest_ref);
// A packet of the output, payload at payload_off of the mbuf's data.
void intake_gather(struct worker *, struct rte_mbuf *, uint16_t stream, enum leg_kind,
	uint16_t payload_off, const struct leg_packet *);
// Hand what the burst brought to every worker with viewers, this one too.
void intake_flush(struct worker *);
// Every few milliseconds: legs that fell silent, clocks for all to read.
void intake_house(struct worker *);

// backup.c: streams with two sources. A packet of one of them, judged; owns the mbuf.
// Return: false it is of the source that plays and goes its way: the caller's still.
bool backup_take(struct worker *, struct rte_mbuf *, struct ingest_ref, const struct leg_packet *,
	const uint8_t *payload);
// Switch where that is due.
void backup_house(struct worker *, uint16_t stream);
// Make or end a pair, as conf says; its legs have theirs.
// Return: 0; -ENOMEM and nothing has changed.
int backup_set(struct worker *, uint16_t stream, const struct region_stream_conf *);
void backup_end(struct worker *, uint16_t stream);

static inline struct leg *stream_leg(struct stream *s, struct ingest_ref ref)
{
	return ref.source == REGION_PRIMARY ? &s->legs[ref.leg] : &s->backup[ref.leg];
}

// The source that viewers see, and the other. Owner.
static inline enum region_role stream_active(const struct stream *s)
{
	return s->sources ? (enum region_role)s->sources->state->active : REGION_PRIMARY;
}

static inline enum region_role stream_standing_by(const struct stream *s)
{
	return stream_active(s) == REGION_PRIMARY ? REGION_BACKUP : REGION_PRIMARY;
}

static inline bool stream_plays(const struct stream *s, enum region_role source)
{
	return stream_active(s) == source;
}

// The leg that viewers see. Owner.
static inline struct leg *stream_playing(struct stream *s, enum leg_kind leg)
{
	return stream_plays(s, REGION_PRIMARY) ? &s->legs[leg] : &s->backup[leg];
}

static inline struct stream_clock *stream_clock_of(struct stream *s, enum region_role source)
{
	return stream_plays(s, source) ? &s->clock : &s->sources->spare_clock;
}

// lane.c: packets of one stream and leg take their place in line; owns the mbufs.
void lane_put(struct worker *, uint16_t stream, enum leg_kind, struct rte_mbuf **, uint16_t n);
// Serve those that wait: all sound, and pictures for a bounded time.
// Return: how many packets were served.
unsigned int lane_serve(struct worker *);
// Return: 0; -ENOMEM.
int lane_open(struct worker *, uint16_t stream);
// Let go of all that the stream's legs hold. Its viewers must be gone. Twice is fine.
void lane_close(struct worker *, uint16_t stream);

// fan.c: send packets of one stream and leg to this worker's viewers; owns the mbufs.
void fan_out(struct worker *, struct fan *, enum leg_kind, struct rte_mbuf **, uint16_t n);
int fan_add(struct worker *, struct peer *);
void fan_remove(struct worker *, struct peer *);
void fan_forget_prefix(struct fan *);
// A leg that fan_add let in takes its place, and gives it up to catch up.
void fan_join(struct fan *, struct peer_leg *);
void fan_leave(struct fan *, struct peer_leg *);

// start.c: pictures since the last key frame, from the history, for those who cannot wait.
void start_join(struct worker *, struct peer *);  // of one that the fan-out has
void start_again(struct worker *, struct peer *); // it asked for a key frame
// Viewers of streams whose sources took over begin with what was kept of those.
void start_over(struct worker *);
// Return: how many packets were sent.
unsigned int start_serve(struct worker *);
void start_drop(struct worker *, struct peer_leg *);
void start_fini(struct worker *);

// upstream.c: key frames are asked of the source. Any worker: a viewer wants one newer than now.
void upstream_want(struct worker *, uint16_t stream);
// Owner: RTCP of the source came from there; ask, when there is reason to.
void upstream_learn(struct stream *, struct ingest_ref, const struct frame *, uint32_t ssrc);
void upstream_house(struct worker *, uint16_t stream);

// feedback.c: SRTCP of a viewer; owns the mbuf. And the reports that go to them.
void feedback_take(struct worker *, struct rte_mbuf *, const struct frame *, struct peer *);
// What was taken is opened and obeyed. Before any of these viewers may go.
void feedback_serve(struct worker *);
void feedback_reports(struct worker *);
// Every few milliseconds: reports at once to the viewers of streams whose source began anew.
void feedback_house(struct worker *);
void feedback_bye(struct worker *, struct peer *);

// repair.c: a NACK of a viewer; and what NACKs asked for, sealed and sent together.
int repair_open(struct worker *); // Return: 0; -ENOMEM.
void repair_close(struct worker *);
void repair_nack(struct worker *, struct peer *, const struct rtcp_packet *);
// Before any viewer of whom a NACK came may go.
void repair_flush(struct worker *);

// punt.c: STUN and DTLS up to control and down from it; owns the mbuf.
void punt_packet(struct worker *, struct rte_mbuf *, const struct frame *);
unsigned int punt_inject(struct worker *);

// command.c: obey control, so many commands at most. Return: how many were obeyed.
unsigned int command_poll(struct worker *, unsigned int most);
unsigned int command_count(const struct worker *); // that wait
void command_event(struct worker *, const struct ring_event *);
// Take up the streams and viewers that stand in a region from before, each checked as on a command;
// what is refused waits for control. Main thread, before the workers run.
void command_adopt(struct edge *);

// tx.c: a finished frame for this worker's queue; owns the mbuf.
void tx_put(struct worker *, struct rte_mbuf *);
// Frames of viewers' legs, each with tx_mark_of() in hash.usr.
// n:     WORKER_TX_BATCH at most.
// bytes: of all of them.
void tx_put_media(struct worker *, struct rte_mbuf **, uint16_t n, uint32_t bytes);
void tx_flush(struct worker *);

// Whose packet it is goes with a frame in hash.usr, so that a drop is counted where it hurts; 0:
// nobody's.
static inline uint32_t tx_mark_of(uint16_t slot, enum leg_kind leg)
{
	return ((uint32_t)slot << 1 | leg) + 1;
}

// NTP time of an instant, 32.32.
// base: that of CLOCK_MONOTONIC zero.
uint64_t worker_ntp(uint64_t base, uint64_t mono_ns);
