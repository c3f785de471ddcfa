// The histories of a stream's legs: made and unmade by the worker that owns the stream, read by
// all. What a worker finds here is there until its loop is through, and no longer.
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "dataplane/abi/leg.h"
#include "dataplane/history/history.h"

struct edge;
struct leg_packet;
struct worker;

// What is kept of one stream while it is there.
struct keep {
	uint32_t generation;
	struct history *legs[LEG_COUNT]; // NULL: the stream has no such leg, or had none yet
	// Output bytes a second of late, headers left out (owner: rw; workers: ro).
	_Atomic uint32_t byte_rate[LEG_COUNT];
	// Where the pictures of the source that took over last begin; 0: nowhere. And the newest
	// timestamp that viewers of the one before it may have been shown. Written before struct
	// edge's take_overs (owner: w; workers: ro).
	_Atomic uint64_t over_seq;
	_Atomic uint32_t over_ts;
	// Owner only.
	uint64_t bytes[LEG_COUNT]; // since the rate was looked at
	uint64_t rated_ns;
	uint64_t token; // once withdrawn: who is past it has no part of it
	struct keep *next;
};

// By stream slot, for struct edge. Return: NULL out of memory.
_Atomic(struct keep *) *keep_table(uint16_t n_streams);

// All of them, whoever reads: the workers have ended. NULL is fine.
void keep_table_free(_Atomic(struct keep *) *, uint16_t n_streams);

// Owner: a stream comes or changes. Return: 0; -ENOMEM.
int keep_open(struct worker *, uint16_t stream, uint32_t generation, const bool present[LEG_COUNT]);

// Owner: it goes. Not there is fine.
void keep_close(struct worker *, uint16_t stream);

// Owner: keep a packet that was accepted.
void keep_packet(struct worker *, uint16_t stream, enum leg_kind, const struct leg_packet *,
	const uint8_t *payload);

// Owner: keep one that came earlier, and that nobody was sent.
void keep_past(struct worker *, uint16_t stream, enum leg_kind, const struct leg_packet *,
	const uint8_t *payload, uint64_t rx_ns);

// Any worker: where the pictures of the source that took over last begin; 0: none did.
uint64_t keep_over(const struct edge *, uint16_t stream, uint32_t generation, uint32_t *shown_ts);

// Owner: the pictures of a source that takes over were kept, and viewers have to begin with them.
void keep_take_over(struct worker *, uint16_t stream, uint64_t seq, uint32_t shown_ts);

// Owner, now and then: see to the rates, and free what nobody reads any more.
void keep_tidy(struct worker *);
// Free what waits for readers; they are gone.
void keep_fini(struct worker *);

// Any worker.
// Return: NULL when the slot has no stream, or another one.
struct keep *keep_find(const struct edge *, uint16_t stream, uint32_t generation);
