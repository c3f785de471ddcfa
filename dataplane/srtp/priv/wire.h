// What SRTP puts on the wire, as both engines and the dispatch need it: byte order, IVs, the
// E flag and index word of SRTCP.
#pragma once

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "dataplane/abi/srtp_keys.h"

enum {
	SRTP_RTP_HDR_MIN_BYTES = 12,
	SRTP_RTCP_CLEAR_BYTES = 8, // RFC 3711 3.4: the first header and the sender SSRC stay clear
	SRTP_RTCP_WORD_BYTES = 4,  // E flag and index
	SRTP_GCM_IV_BYTES = 12,
	SRTP_CM_IV_BYTES = 16,
};

#define SRTP_RTCP_E_FLAG    0x80000000u
#define SRTP_RTCP_INDEX_MAX 0x7fffffffu

static inline uint32_t srtp_get_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void srtp_put_be32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static inline bool srtp_is_gcm(uint16_t profile)
{
	return profile != SRTP_PROFILE_CM80;
}

// Where the E flag and index word stands in a sealed SRTCP packet. It is the last thing under GCM;
// under CM the tag follows it.
// Source: RFC 3711 3.4; RFC 7714 9.2.
static inline uint32_t srtp_rtcp_word_at(uint16_t profile, uint32_t pkt_bytes)
{
	return pkt_bytes - SRTP_RTCP_WORD_BYTES -
	       (srtp_is_gcm(profile) ? 0 : srtp_profile_sizes(profile).tag_bytes);
}

// IVs are made of whole words: they stand before every packet, and bytes written one by one would
// stall the load of sixteen that follows.
static inline uint64_t srtp_iv_word(const uint8_t *salt, uint64_t host)
{
	uint64_t word;

	memcpy(&word, salt, sizeof(word));
	return word ^ htobe64(host);
}

// index: ROC << 16 | SEQ for RTP, the 31-bit SRTCP index for RTCP: the layouts agree.
// Source: RFC 7714 8.1, 9.1.
static inline void srtp_iv_gcm(
	const uint8_t *salt, uint32_t ssrc, uint64_t index, uint8_t iv[SRTP_GCM_IV_BYTES])
{
	uint64_t head = srtp_iv_word(salt, (uint64_t)ssrc << 16 | (index >> 32 & 0xffff));
	uint32_t tail;

	memcpy(&tail, salt + sizeof(head), sizeof(tail));
	tail ^= htobe32((uint32_t)index);
	memcpy(iv, &head, sizeof(head));
	memcpy(iv + sizeof(head), &tail, sizeof(tail));
}

// Source: RFC 3711 4.1.1.
static inline void srtp_iv_cm(
	const uint8_t *salt, uint32_t ssrc, uint64_t index, uint8_t iv[SRTP_CM_IV_BYTES])
{
	uint64_t head = srtp_iv_word(salt, ssrc);
	uint64_t tail = 0;

	memcpy(&tail, salt + sizeof(head), SRTP_MASTER_SALT_MAX_BYTES - sizeof(head));
	tail ^= htobe64(index << 16);
	memcpy(iv, &head, sizeof(head));
	memcpy(iv + sizeof(head), &tail, sizeof(tail));
}
