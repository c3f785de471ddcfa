#include "tests/unit/srtp/srtp_kit.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/srtp/gcm_wide.h"
#include "dataplane/srtp/priv/fast.h"

struct srtp_engine *kit_engines[KIT_N_ENGINES];
bool kit_is_wide;
const uint16_t kit_profiles[KIT_N_PROFILES] = {
	SRTP_PROFILE_GCM128,
	SRTP_PROFILE_GCM256,
	SRTP_PROFILE_CM80,
};

static uint64_t random_state = 1;

bool kit_is_usable(void)
{
	kit_is_wide = getenv("KIT_WIDE");
	if (kit_is_wide && !gcm_wide_is_usable())
		print_message("this CPU lacks AVX-512, VAES or VPCLMULQDQ\n");
	return srtp_engine_usable(SRTP_ENGINE_FAST) && (!kit_is_wide || gcm_wide_is_usable());
}

int kit_setup(void **state)
{
	if (srtp_fast_create(kit_is_wide, &kit_engines[SRTP_ENGINE_FAST]) < 0)
		return -1;
	return srtp_engine_create(SRTP_ENGINE_LIBSRTP2, &kit_engines[SRTP_ENGINE_LIBSRTP2]);
}

int kit_teardown(void **state)
{
	for (int i = 0; i < KIT_N_ENGINES; i++)
		srtp_engine_destroy(kit_engines[i]);
	return 0;
}

uint32_t kit_random(uint32_t below)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random_state >> 32) % below;
}

void kit_random_fill(uint8_t *out, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		out[i] = (uint8_t)kit_random(256);
}

static int hex_digit(char c)
{
	return c >= 'a' ? c - 'a' + 10 : c >= 'A' ? c - 'A' + 10 : c - '0';
}

size_t kit_hex(const char *text, uint8_t *out)
{
	size_t n = 0;

	for (; *text != '\0'; text++) {
		if (*text == ' ')
			continue;
		out[n++] = (uint8_t)(hex_digit(text[0]) << 4 | hex_digit(text[1]));
		text++;
	}
	return n;
}

struct srtp_master kit_master(uint16_t profile, uint8_t seed)
{
	struct srtp_profile_sizes sizes = srtp_profile_sizes(profile);
	struct srtp_master m = {};

	for (int i = 0; i < sizes.key_bytes; i++)
		m.key[i] = (uint8_t)(seed * 31 + i * 7 + 1);
	for (int i = 0; i < sizes.salt_bytes; i++)
		m.salt[i] = (uint8_t)(seed * 17 + i * 5 + 3);
	return m;
}

struct srtp_session *kit_session(
	enum srtp_engine_kind kind, uint16_t profile, uint8_t local_seed, uint8_t remote_seed)
{
	struct srtp_master local = kit_master(profile, local_seed);
	struct srtp_master remote = kit_master(profile, remote_seed);
	struct srtp_session *s = NULL;

	assert_int_equal(srtp_session_create(kit_engines[kind], profile, &local, &remote, &s), 0);
	return s;
}

void kit_rtp_header(uint8_t *out, uint32_t ssrc, uint16_t seq)
{
	memset(out, 0, 12);
	out[0] = 0x80;
	out[1] = 96;
	out[2] = (uint8_t)(seq >> 8);
	out[3] = (uint8_t)seq;
	for (int i = 0; i < 4; i++)
		out[8 + i] = (uint8_t)(ssrc >> (24 - 8 * i));
}

uint16_t kit_rtp_header_random(uint8_t *out, uint32_t ssrc, uint16_t seq)
{
	uint32_t n_csrc = kit_random(4) == 0 ? kit_random(16) : 0;
	uint32_t bytes = 12 + 4 * n_csrc;
	uint32_t n_words = kit_random((KIT_HDR_MAX_BYTES - bytes) / 4);

	kit_random_fill(out, KIT_HDR_MAX_BYTES);
	kit_rtp_header(out, ssrc, seq);
	out[0] |= (uint8_t)n_csrc;
	out[1] = (uint8_t)kit_random(256);
	if (kit_random(3) == 0)
		return (uint16_t)bytes;
	out[0] |= 0x10;
	out[bytes + 2] = 0;
	out[bytes + 3] = (uint8_t)n_words;
	return (uint16_t)(bytes + 4 + 4 * n_words);
}

srtp_t kit_oracle(uint16_t profile, uint8_t seed, srtp_ssrc_t ssrc, srtp_sec_serv_t services)
{
	struct srtp_profile_sizes sizes = srtp_profile_sizes(profile);
	struct srtp_master m = kit_master(profile, seed);
	uint8_t key[SRTP_MASTER_KEY_MAX_BYTES + SRTP_MASTER_SALT_MAX_BYTES];
	srtp_policy_t policy = { .ssrc = ssrc, .key = key, .window_size = 1024 };
	srtp_t out = NULL;

	memcpy(key, m.key, sizes.key_bytes);
	memcpy(key + sizes.key_bytes, m.salt, sizes.salt_bytes);
	srtp_crypto_policy_set_from_profile_for_rtp(&policy.rtp, (srtp_profile_t)profile);
	srtp_crypto_policy_set_from_profile_for_rtcp(&policy.rtcp, (srtp_profile_t)profile);
	policy.rtcp.sec_serv = services;
	assert_int_equal(srtp_create(&out, &policy), srtp_err_status_ok);
	return out;
}
