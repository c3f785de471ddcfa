// What SRTP puts on the wire, as both engines and the dispatch need it: byte order, IVs, the
// E flag and index word of SRTCP.
#pragma once

#include <stdbool.h>
#include <stdint.h>

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

// SSRC and 48-bit index, laid over the ten bytes at iv.
static inline void srtp_iv_mix(uint8_t *iv, uint32_t ssrc, uint64_t index)
{
	for (int i = 0; i < 4; i++)
		iv[i] ^= (uint8_t)(ssrc >> (24 - 8 * i));
	for (int i = 0; i < 6; i++)
		iv[4 + i] ^= (uint8_t)(index >> (40 - 8 * i));
}

// index: ROC << 16 | SEQ for RTP, the 31-bit SRTCP index for RTCP: the layouts agree.
// Source: RFC 7714 8.1, 9.1.
static inline void srtp_iv_gcm(
	const uint8_t *salt, uint32_t ssrc, uint64_t index, uint8_t iv[SRTP_GCM_IV_BYTES])
{
	for (int i = 0; i < SRTP_GCM_IV_BYTES; i++)
		iv[i] = salt[i];
	srtp_iv_mix(iv + 2, ssrc, index);
}

// Source: RFC 3711 4.1.1.
static inline void srtp_iv_cm(
	const uint8_t *salt, uint32_t ssrc, uint64_t index, uint8_t iv[SRTP_CM_IV_BYTES])
{
	for (int i = 0; i < SRTP_MASTER_SALT_MAX_BYTES; i++)
		iv[i] = salt[i];
	iv[14] = 0;
	iv[15] = 0;
	srtp_iv_mix(iv + 4, ssrc, index);
}
