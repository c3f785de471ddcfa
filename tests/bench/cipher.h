// What the ways of sealing share: keys, sizes, plaintext and destinations.
// Writer: cipher.c. Reader: cipher.c and cipher_dev.c.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <rte_mbuf.h>

enum {
	BENCH_DESTS = 512, // as dataplane/testfan/floor.c has it, and why
	BENCH_HDR_BYTES = 12,
	BENCH_HDR_AT = 128 - BENCH_HDR_BYTES, // the payload begins on a cache line
	BENCH_PER_KEY_MAX = 32,
	BENCH_BATCH_MAX = 64,
	BENCH_SSRC = 0x6d696c6c,
};

struct bench {
	uint16_t profile;
	uint16_t payload_bytes;
	uint32_t n_keys;
	struct rte_mbuf *plain[BENCH_PER_KEY_MAX]; // payloads behind room for a header
	struct rte_mbuf *dests[BENCH_DESTS];	   // the header stands there
	uint32_t key;				   // whose turn it is
	uint32_t dest;
	uint64_t index;
};

// A way to seal. run seals n_packets, a multiple of per_key and of batch, per_key for each viewer.
// Return: how many were sealed.
struct bench_way {
	const char *name;
	unsigned int (*run)(struct bench *, const struct bench_way *, unsigned int n_packets);
	void *priv;
	unsigned int per_key;
	unsigned int batch; // packets a call
	bool in_place;	    // the payload is copied first, and that is counted
};

// Master key of the viewer; its salt is zero.
static inline void bench_master_key(uint32_t key, uint8_t out[16])
{
	memset(out, 0, 16);
	memcpy(out, &key, sizeof(key));
}

static inline struct rte_mbuf *bench_dest(struct bench *b)
{
	struct rte_mbuf *m = b->dests[b->dest];

	b->dest = b->dest + 1 == BENCH_DESTS ? 0 : b->dest + 1;
	return m;
}

static inline uint32_t bench_key(struct bench *b)
{
	uint32_t key = b->key;

	b->key = key + 1 == b->n_keys ? 0 : key + 1;
	return key;
}

static inline uint8_t *bench_payload(struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod_offset(m, uint8_t *, BENCH_HDR_BYTES);
}

struct bench_dev;

// A started cryptodev of the profile's kind with a session for each of the bench's viewers.
// Return: NULL, with the reason on stderr.
struct bench_dev *bench_dev_create(const struct bench *);
void bench_dev_destroy(struct bench_dev *);

// priv is a bench_dev. The first calls the driver, GCM only; the second goes through its queue.
unsigned int bench_dev_call(struct bench *, const struct bench_way *, unsigned int n_packets);
unsigned int bench_dev_queue(struct bench *, const struct bench_way *, unsigned int n_packets);
