// What a leg put out lately, in plain: each packet stays until newer ones need its room, bounded in
// bytes and in packets. One for all viewers of the leg: who wants a packet again seals it again.
// Writer: the worker that owns the stream. Readers: any worker, at any time, without a lock: what a
// reader gets is a whole packet, or none.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct history;

enum {
	HISTORY_PAYLOAD_MAX_BYTES = UINT16_MAX,
};

// One packet as it was put out.
struct history_meta {
	uint64_t seq;	// of the leg's output
	uint64_t rx_ns; // CLOCK_MONOTONIC
	uint32_t ts;	// of the leg's output
	uint32_t frame; // access unit; never falls from one sequence number to the next
	uint16_t payload_bytes;
	bool marker;
	bool key;    // an IDR slice begins in it
	bool begins; // the first of its timestamp
	bool params; // leads an access unit
};

// max_bytes:   of payloads; 64 KiB at least. Taken from the system only as it is used.
// max_packets: rounded up to a power of two.
// Return: 0; -EINVAL, -ENOMEM.
int history_create(size_t max_bytes, uint32_t max_packets, struct history **out);

// NULL is fine. No reader may have it still.
void history_destroy(struct history *);

// Keep a packet. In any order, but its place in line must not be a newer one's by now. Writer only.
// Return: 0; -ESTALE too far behind the newest, -EEXIST it is there.
int history_put(struct history *, const struct history_meta *, const uint8_t *payload);

// Copy a packet out.
// buf:    cap_bytes of room.
// Return: 0 and what belongs to it; -ENOENT not there, or no more; -EMSGSIZE buf is too small. In
//         buf is nothing of use then.
int history_get(const struct history *, uint64_t seq, uint8_t *buf, size_t cap_bytes,
	struct history_meta *out);

// What belongs to a packet, without the packet.
// Return: 0; -ENOENT.
int history_look(const struct history *, uint64_t seq, struct history_meta *out);

// Fetch a packet that will be copied out soon. Not there is fine.
void history_fetch(const struct history *, uint64_t seq);

// Where the newest key frame's access unit begins, parameter sets in front of its slices included.
// The frame may be still under way. What comes behind it up to the newest packet is there too, but
// for gaps of the input.
// Return: 0; -ENOENT none is left.
int history_last_key(const struct history *, uint64_t *seq);

// The highest sequence number put so far.
// Return: 0; -ENOENT none yet.
int history_newest(const struct history *, uint64_t *seq);
