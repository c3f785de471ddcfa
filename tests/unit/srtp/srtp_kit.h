// What the SRTP tests share: both engines, keys, random packets, and libsrtp2 itself as the oracle.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <srtp2/srtp.h>

#include "dataplane/srtp/srtp.h"

enum {
	KIT_N_ENGINES = 2,
	KIT_N_PROFILES = 3,
	KIT_PKT_BYTES = 2048,
	KIT_HDR_MAX_BYTES = 76,
	KIT_PAYLOAD_MAX_BYTES = 1460,
	KIT_CANARY_BYTES = 32,
	KIT_CANARY = 0xa5,
	KIT_SKIPPED = 77, // meson: the test could not run here
};

extern struct srtp_engine *kit_engines[KIT_N_ENGINES]; // by enum srtp_engine_kind
extern bool kit_is_wide;			       // the fast one has GCM by gcm_wide.h
extern const uint16_t kit_profiles[KIT_N_PROFILES];

// Run a group with the engines at hand.
// Return: what main returns.
#define kit_run(tests) \
	(kit_is_usable() ? cmocka_run_group_tests(tests, kit_setup, kit_teardown) : KIT_SKIPPED)

// Where KIT_WIDE is in the environment, the fast engine has GCM by gcm_wide.h; else by the library.
bool kit_is_usable(void);

int kit_setup(void **state);
int kit_teardown(void **state);

// The same numbers on every run.
uint32_t kit_random(uint32_t below);
void kit_random_fill(uint8_t *out, size_t bytes);

// Parse hex digits and spaces.
// Return: how many bytes.
size_t kit_hex(const char *text, uint8_t *out);

// A master of the profile's sizes, the same for the same seed.
struct srtp_master kit_master(uint16_t profile, uint8_t seed);

// A session that sends with one seed's master and receives with the other's.
struct srtp_session *kit_session(
	enum srtp_engine_kind, uint16_t profile, uint8_t local_seed, uint8_t remote_seed);

// An RTP header without CSRC and extension.
void kit_rtp_header(uint8_t *out, uint32_t ssrc, uint16_t seq);

// An RTP header of 12 to 76 bytes with random CSRC list and extension.
// Return: its size.
uint16_t kit_rtp_header_random(uint8_t *out, uint32_t ssrc, uint16_t seq);

// libsrtp2 itself, with one seed's master.
// services: what it does to RTCP.
srtp_t kit_oracle(uint16_t profile, uint8_t seed, srtp_ssrc_t ssrc, srtp_sec_serv_t services);
