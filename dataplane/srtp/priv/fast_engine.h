// The fast engine's insides: engine_fast.c makes sessions and seals RTP, fast_rtcp.c does SRTCP.
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include <intel-ipsec-mb.h>

#include "dataplane/mem/slab.h"
#include "dataplane/srtp/gcm_wide.h"
#include "dataplane/srtp/priv/engine.h"
#include "dataplane/srtp/priv/expanded.h"
#include "dataplane/srtp/priv/kdf.h"
#include "dataplane/srtp/priv/wire.h"

enum {
	FAST_BURST_MAX = 128, // as many as the library takes in one call
	FAST_LINE_BYTES = 64,
	FAST_AES128_SCHEDULE_BYTES = 11 * 16,
	FAST_SHA1_BYTES = 20,
	FAST_CM_TAG_BYTES = 10,
	FAST_GCM_TAG_BYTES = 16,
};

// Expanded keys of AES-CM with HMAC-SHA1: the schedule, and SHA-1's state after each padded key.
struct fast_cm {
	uint8_t schedule[FAST_AES128_SCHEDULE_BYTES];
	uint8_t inner[FAST_SHA1_BYTES];
	uint8_t outer[FAST_SHA1_BYTES];
};

// What sealing RTP reads is the first line and, expanded, the last member; keys of RTCP, which is
// rare, stand as derived.
struct fast_session {
	struct srtp_session base;
	struct srtp_keys rtcp_local;
	struct srtp_keys rtcp_remote;
	// The last member: only as much is allocated as the profile needs.
	_Alignas(FAST_LINE_BYTES) union {
		struct gcm_key_data gcm;
		struct gcm_wide_key wide;
		struct fast_cm cm;
	} rtp;
};

static_assert(offsetof(struct srtp_session, salt) + SRTP_MASTER_SALT_MAX_BYTES <= FAST_LINE_BYTES,
	"sealing reads one line of it");
static_assert(offsetof(struct fast_session, rtp) == 4 * FAST_LINE_BYTES,
	"opening SRTCP reads what srtp_fetch_rtcp fetches");

// One burst of CM packets on its way through the library.
struct fast_burst {
	unsigned int n;
	unsigned int n_cipher; // one fewer for each empty payload
	IMB_JOB cipher[FAST_BURST_MAX];
	IMB_JOB hash[FAST_BURST_MAX];
	uint8_t iv[FAST_BURST_MAX][SRTP_CM_IV_BYTES];
	// The library writes all 20 bytes whatever tag length a job asks for, so a tag must not be
	// computed in place: it would run over the end of the packet.
	uint8_t tag[FAST_BURST_MAX][FAST_SHA1_BYTES];
	uint8_t *tag_at[FAST_BURST_MAX];
	int *status[FAST_BURST_MAX];
};

struct fast_engine {
	struct srtp_engine base;
	IMB_MGR *mgr;
	IMB_MGR *once; // for keys that serve one packet
	bool is_wide;  // GCM of RTP by gcm_wide.h, not by the library
	struct slab gcm128_sessions, gcm256_sessions, cm_sessions; // of a size each
	struct expanded opened; // GCM keys that SRTCP was opened with
	struct fast_burst burst;
	// Keys of the RTCP packet at hand; wiped when it is done.
	_Alignas(FAST_LINE_BYTES) union {
		struct gcm_key_data gcm;
		struct fast_cm cm;
	} rtcp;
};

static inline struct fast_engine *fast_engine_of(const struct srtp_engine *engine)
{
	return (struct fast_engine *)(uintptr_t)engine;
}

static inline struct fast_session *fast_session_of(struct srtp_session *s)
{
	return (struct fast_session *)s;
}

// Add a cipher job to the burst. src and dst may be the same.
static inline void fast_burst_add_cipher(struct fast_burst *b, const struct fast_cm *keys,
	const uint8_t *iv, const uint8_t *src, uint32_t bytes, uint8_t *dst)
{
	IMB_JOB *job = &b->cipher[b->n_cipher++];

	job->enc_keys = keys->schedule;
	job->iv = iv;
	job->src = src;
	job->dst = dst;
	job->msg_len_to_cipher_in_bytes = bytes;
}

// Add a hash job to the burst; its tag comes out in b->tag.
static inline void fast_burst_add_hash(
	struct fast_burst *b, const struct fast_cm *keys, const uint8_t *src, uint32_t bytes)
{
	IMB_JOB *job = &b->hash[b->n++];

	job->src = src;
	job->msg_len_to_hash_in_bytes = bytes;
	job->u.HMAC._hashed_auth_key_xor_ipad = keys->inner;
	job->u.HMAC._hashed_auth_key_xor_opad = keys->outer;
}

// Run what the burst holds, all ciphers first: a hash covers its packet's ciphertext.
// Return: 0; -EIO the library left a job undone.
int fast_burst_run(IMB_MGR *, struct fast_burst *);

void fast_cm_expand(IMB_MGR *, const struct srtp_keys *, struct fast_cm *out);

// What engine.h says of these.
int fast_seal_rtcp(struct srtp_session *, uint8_t *pkt, uint16_t pkt_bytes, uint32_t index);
int fast_open_rtcp(struct srtp_session *, uint8_t *pkt, uint16_t pkt_bytes);
void fast_fetch_rtcp(const struct srtp_engine *, const struct srtp_session *);
