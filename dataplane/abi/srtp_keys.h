// SRTP profiles and master keys, as control exports them from DTLS and the data plane uses them.
// Writer: control (from the DTLS exporter). Reader: dataplane/srtp.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// The values are IANA's DTLS-SRTP protection profile numbers (RFC 5764 4.1.2, RFC 7714 14.2).
enum srtp_profile {
	SRTP_PROFILE_NONE = 0x0000,
	SRTP_PROFILE_CM80 = 0x0001,   // AES128_CM_SHA1_80
	SRTP_PROFILE_GCM128 = 0x0007, // AEAD_AES_128_GCM
	SRTP_PROFILE_GCM256 = 0x0008, // AEAD_AES_256_GCM
};

enum {
	SRTP_MASTER_KEY_MAX_BYTES = 32,
	SRTP_MASTER_SALT_MAX_BYTES = 14,
	SRTP_TAG_MAX_BYTES = 16,
	// What sealing adds at most to an SRTCP packet: tag, E flag and index.
	SRTP_RTCP_OVERHEAD_MAX_BYTES = 20,
};

enum {
	SRTP_RTCP_SOURCES_MAX = 4, // SSRCs from which one viewer may send SRTCP
};

// The highest SRTCP index that was taken from one sender SSRC.
struct srtp_rtcp_mark {
	uint32_t ssrc;
	uint32_t highest;
};

// The master key and salt of one direction. Bytes past the profile's sizes are zero.
struct srtp_master {
	uint8_t key[SRTP_MASTER_KEY_MAX_BYTES];
	uint8_t salt[SRTP_MASTER_SALT_MAX_BYTES];
};

// Sizes that follow from a profile, in bytes (RFC 5764 4.1.2, RFC 7714 12).
struct srtp_profile_sizes {
	uint8_t key_bytes;
	uint8_t salt_bytes;
	uint8_t tag_bytes;
};

// Return: the sizes; all zero for a number that is no profile of ours.
static inline struct srtp_profile_sizes srtp_profile_sizes(uint16_t profile)
{
	switch (profile) {
	case SRTP_PROFILE_CM80:
		return (struct srtp_profile_sizes){
			.key_bytes = 16, .salt_bytes = 14, .tag_bytes = 10
		};
	case SRTP_PROFILE_GCM128:
		return (struct srtp_profile_sizes){
			.key_bytes = 16, .salt_bytes = 12, .tag_bytes = 16
		};
	case SRTP_PROFILE_GCM256:
		return (struct srtp_profile_sizes){
			.key_bytes = 32, .salt_bytes = 12, .tag_bytes = 16
		};
	default:
		return (struct srtp_profile_sizes){};
	}
}

static inline const char *srtp_profile_name(uint16_t profile)
{
	switch (profile) {
	case SRTP_PROFILE_CM80:
		return "AES128_CM_SHA1_80";
	case SRTP_PROFILE_GCM128:
		return "AEAD_AES_128_GCM";
	case SRTP_PROFILE_GCM256:
		return "AEAD_AES_256_GCM";
	default:
		return "none";
	}
}
