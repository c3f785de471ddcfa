// The encoders that testfan plays: whole Ethernet frames with IPv4, UDP, RTP and H.264 or Opus in
// them, which a receive callback puts among what the port brought. The worker sees packets of its
// queue, as from any port.
// What a packet holds follows from its stream, leg, number and timestamp alone, and it carries
// these at its end: whoever opens one can say what it should have been.
// Threads: a source belongs to its worker's; the main thread holds the switches.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include <rte_mbuf.h>

#include "dataplane/abi/leg.h"
#include "dataplane/abi/region.h"
#include "dataplane/testfan/settings.h"

struct edge;
struct gauge;

enum {
	SOURCE_VIDEO_PT = 96,
	SOURCE_AUDIO_PT = 97,
	SOURCE_FIRST_PORT = 20000,
	SOURCE_AUDIO_BYTES = 160, // of an Opus packet beside video
	SOURCE_KEY_FRAMES = 64,	  // every so many pictures is a key frame
	SOURCE_LABEL_BYTES = 16,  // at the payload's end
};

// What stands at the end of each payload.
struct source_label {
	uint64_t number; // of the leg's packets, from 0
	uint32_t ts;
	uint16_t stream;
	uint16_t leg;
};

static_assert(sizeof(struct source_label) == SOURCE_LABEL_BYTES);

// What all sources have in common.
// Main thread: rw; workers: ro.
struct source_switches {
	atomic_bool go;
	_Atomic uint64_t frame_cycles; // from one frame of a stream to its next; 0: closed loop
};

struct source_stream {
	uint16_t slot;
	uint64_t number[LEG_COUNT];
	uint32_t ts[LEG_COUNT];
};

// Of one worker.
struct source {
	_Alignas(64) const struct edge *edge;
	const struct settings *settings;
	const struct source_switches *switches;
	struct gauge *gauge; // NULL: no latency
	uint16_t worker;
	const void *callback;
	struct rte_mempool *pool;
	uint8_t mac[2][6]; // to, from
	struct source_stream *streams;
	uint32_t n_streams;
	uint32_t at;  // stream whose turn it is
	uint16_t pos; // packet of its frame; 0: none begun
	uint64_t frame_cycles;
	uint64_t due;		  // TSC
	uint64_t rx;		  // of the frame under way: when it was received
	const struct source *all; // of every worker
	_Atomic uint64_t rounds;  // how often each stream had its turn

	// The worker's processor time; valid once it runs (worker: w; main thread: ro)
	_Atomic clockid_t cpu_clock; // 0: not yet

	// Counters (worker: rw; main thread: ro)
	uint64_t packets;
	uint64_t bytes;
	uint64_t missed; // open loop: packets that a port's queue would not have held any more
	uint64_t no_mbuf;
	uint64_t cycles; // spent making packets
};

// Make the sources of streams that the worker owns (slot % n_workers == worker), and hang the
// callback on its first receive queue. Main thread, the worker not running.
// all:    the sources of all workers.
// Return: 0; -ENOMEM, -ENOTSUP.
int source_init(struct source *, const struct source *all, const struct edge *,
	const struct settings *, const struct source_switches *, struct gauge *, uint16_t worker);

// A zeroed struct is fine; the worker must have ended.
void source_fini(struct source *);

// UDP port of a leg.
uint16_t source_port(uint16_t stream, enum leg_kind);

// Size of a leg's payloads.
uint16_t source_payload_bytes(const struct settings *, enum leg_kind);

// Packets that arrive together.
uint16_t source_frame_packets(const struct settings *);

// Nanoseconds that the worker had its core to itself; 0: not known yet.
uint64_t source_cpu_ns(const struct source *);

// Write the payload of a packet, label and all.
void source_put_payload(
	const struct settings *, const struct source_label *, uint8_t *at, uint16_t bytes);

// Whether the packet is its frame's last.
bool source_marker(const struct settings *, const struct source_label *);
