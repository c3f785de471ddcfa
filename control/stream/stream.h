// The streams that this edge serves: their configuration, their slots in the region, their state.
// Owner: control's core thread.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/link/link.h"
#include "control/stream/stream_quality.h"
#include "control/stream/stream_repair.h"
#include "dataplane/abi/conf.h"
#include "dataplane/abi/region.h"

enum {
	STREAM_ERROR_MAX = 200,
	STREAM_SOURCE_TEXT_MAX = 64, // "fd77::/64"
};

// What PUT asks for, checked.
struct stream_leg_want {
	bool present;
	uint16_t port; // 0: to be assigned; else even and within [ingest] first_port to last_port
	uint8_t payload_type;  // default 96 video, 111 audio
	struct net_addr group; // multicast group that it is sent to; NET_NONE: this host's address
	bool profile_known;    // video
	uint8_t profile_level_id[3];
	bool refuse_b_frames; // video
	bool stereo;	      // audio
};

// Parameter sets of the video leg, each with its size before it in 16 bits.
struct stream_sprop {
	uint16_t bytes; // 0: none
	uint8_t units[REGION_SPROP_MAX];
};

// The second source of a stream, which has the same legs.
struct stream_backup_want {
	bool present;
	struct stream_leg_want legs[LEG_COUNT]; // port, payload type, group and profile
	struct stream_sprop sprop;
	uint8_t n_sources;
	struct region_source sources[REGION_MAX_SOURCES];
	bool failback;
	uint16_t failback_s;
};

struct stream_want {
	struct stream_leg_want legs[LEG_COUNT];
	struct stream_backup_want backup;
	enum region_pick pick; // which of both plays
	bool pick_kept;	       // as it is: the body does not say
	uint32_t max_peers;    // 0: [whep] max_peers_per_stream, and 8 where that is 0
	bool require_live;     // no new viewer while it is silent
	bool no_instant_start; // viewers wait for the next key frame
	bool no_feedback;      // the source is asked for nothing
	uint8_t n_sources;
	struct region_source sources[REGION_MAX_SOURCES]; // of all legs
	struct stream_sprop sprop;			  // video
};

// A rate over the last second or so, from two readings of a counter.
struct stream_rate {
	uint64_t packets, bytes, frames; // at the last reading
	double packet_rate, bit_rate, frame_rate;
};

struct stream {
	char id[REGION_STREAM_ID_MAX + 1];
	uint16_t slot;
	uint32_t generation;
	uint16_t owner;		 // worker
	bool leaving;		 // being removed: no new viewer
	struct stream_want want; // ports filled in
	uint32_t n_peers;	 // reserved and playing; stream_peer_added and _gone count
	struct stream_rate rates[REGION_ROLE_COUNT][LEG_COUNT];
	struct stream_quality quality; // its viewers'
	struct stream_repair repair[LEG_COUNT];
	struct stream_store *store;
	struct stream *next;
};

struct stream_store;

// Told once, when a PUT or DELETE has come through, or has not and what it did is undone. It may be
// called before stream_set or stream_remove returns, and must not call them itself.
// stream: NULL where there is none any more.
// status: 0; the worker's -errno; -ETIMEDOUT no answer from it; -ECONNRESET the data plane left;
//         -ESHUTDOWN the store is destroyed.
typedef void (*stream_done_cb)(void *arg, struct stream *, int status);

// conf:   outlives the store.
// Return: 0; -ENOMEM.
int stream_store_create(const struct conf *, struct stream_store **out);

// Changes not yet kept are written. Whoever still waits is told -ESHUTDOWN. Close the link before
// (its acknowledgements come to this store), and stop the HTTP server after (requests wait here).
// NULL is fine.
void stream_store_destroy(struct stream_store *);

// Keep the streams in a file from now on, and take up those that stand there: they are set up with
// the next data plane. Where its region holds a stream of that name, that one wins, but for what
// the region does not hold. Before the first stream_store_attach.
// A file that is damaged is renamed to path.damaged-TIME and named in the log, and nothing of it is
// used. One that cannot be read is left alone: then nothing is kept in this run.
// path:   copied; its directory is made where it is missing.
// Return: 0, also without a file to read; -ENOMEM.
int stream_store_keep(struct stream_store *, const char *path);

// Write the file if a change is due to be kept; call many times a second. A change is written
// within half a second, and several at a time. One that cannot be written stands all the same: the
// log says so, and it is tried again until it is kept.
void stream_store_save(struct stream_store *, uint64_t now_ms);

// A data plane came or went (NULL). In one that came the streams are set up again, in their old
// slots where these are free; streams that an earlier control left there go on.
void stream_store_attach(struct stream_store *, struct link *);

// After one went: its region stays, until one comes or this is called with NULL. What is removed
// meanwhile must not come back with the region.
void stream_store_hold(struct stream_store *, struct link *lost);

// The address that encoders are told to send to, port ignored; copied.
void stream_store_set_address(struct stream_store *, const struct net_addr *);

// Return: NULL not there, not yet confirmed by the workers, or leaving.
struct stream *stream_find(struct stream_store *, const char *id);

// All that were confirmed, by next; those that are leaving too.
struct stream *stream_first(struct stream_store *);

// The slot in the region; NULL without a data plane. Its legs' state is the workers'.
const struct region_stream *stream_shared(const struct stream *);

// The cap that holds for it.
uint32_t stream_peer_cap(const struct stream *);

// Return: the longest wait of a worker within the last two spans, ns; 0 when that is long ago.
uint64_t stream_wait_max_ns(const struct region_wait *);

// The source that plays; the primary where there is but one.
enum region_role stream_active(const struct stream *);

// What was asked of a source's leg, and what came of it.
const struct stream_leg_want *stream_leg_of(const struct stream *, enum region_role, enum leg_kind);
const struct region_leg_state *stream_leg_state(
	const struct region_stream *, enum region_role, enum leg_kind);

// Return: "video", "audio", "backup.video", "backup.audio".
const char *stream_leg_name(enum region_role, enum leg_kind);

// Return: "primary", "backup"; and of a pick "auto", "primary", "backup".
const char *stream_role_name(enum region_role);
const char *stream_pick_name(enum region_pick);

// When the newest packet of any of its sources came, CLOCK_MONOTONIC; 0: none yet.
uint64_t stream_last_rx_ns(const struct stream *);

// Whether all workers have it as it stands: no change of it is under way.
bool stream_settled(const struct stream *);

// Whether one of its legs sends, as far as its worker has told.
bool stream_live(const struct stream *);

// Packets a second that a leg costs whoever handles it: as measured, or a usual rate while nothing
// comes; 0 a leg that the stream has not.
uint32_t stream_leg_load(const struct stream *, enum leg_kind);

// Create or change. Ports are assigned (RTP even, RTCP the next), the region's slot is written, the
// workers are told (all of them; the first failure undoes it) and the steering map learns the
// ports. A leg that names no port keeps the one it has. What changes nothing is 0 at once.
// existed: whether this changed a stream that was there.
// Return:  0 and cb will be called, or was; else nothing has changed and cb is not called, error
//          says why in a line: -EEXIST port taken, -ENOSPC no slot or no port left, -ENOTCONN no
//          data plane, -EADDRNOTAVAIL a group that cannot be joined, -EBUSY another change of it is
//          under way, -EINVAL no such id can be, -ENOBUFS the workers are busy, -ENOMEM, -errno of
//          the steering map.
int stream_set(struct stream_store *, const char *id, const struct stream_want *, stream_done_cb cb,
	void *arg, bool *existed, char error[STREAM_ERROR_MAX]);

// No new viewers from now on.
void stream_leave(struct stream *);

// Take a stream away. It leaves at once, and goes as soon as no change is under way and its viewers
// are gone: end their sessions before this call.
// cb:     may be NULL. With another status than 0 the stream is gone for the API all the same; its
//         slot and ports are free once the workers have confirmed, who are asked again.
// Return: 0 and cb will be called, or was; -EALREADY it is being removed.
int stream_remove(struct stream *, stream_done_cb cb, void *arg);

// A session took a slot of the peer table for this stream, or gave it back; they count n_peers.
// After stream_peer_gone the stream itself may be gone.
void stream_peer_added(struct stream *);
void stream_peer_gone(struct stream *);

// Read counters for the rates, and ask again what workers have not confirmed; call about once a
// second.
void stream_store_sample(struct stream_store *, uint64_t now_ms);

// ---- bodies ------------------------------------------------------------------------------------

// Check a PUT body.
// Return: 0; -EINVAL with a line in error that names the member and what was expected; -ENOMEM.
int stream_want_parse(const struct conf *, const char *body, size_t body_bytes,
	struct stream_want *out, char error[STREAM_ERROR_MAX]);

// Describe one stream as the API does.
// Return: a new reference, the caller's; NULL no memory.
json_t *stream_describe(const struct stream *);
