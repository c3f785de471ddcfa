// SRTCP both ways, across the engines: what one seals the other opens, and nothing else.
#include "tests/unit/srtp/srtp_kit.h"

#include <errno.h>
#include <string.h>

#include "dataplane/srtp/priv/wire.h"

enum {
	US = 1, // seeds of the two directions
	THEM = 2,
	SSRC = 0x00c0ffee,
	UNTOUCHED = 0x7777,
};

// Every case of a test: which engine seals, which opens, under which profile.
struct pair {
	uint16_t profile;
	struct srtp_session *sender;
	struct srtp_session *receiver;
};

#define FOR_EACH_PAIR(p)                                                                        \
	for (int pair_i = 0; pair_i < KIT_N_PROFILES * KIT_N_ENGINES * KIT_N_ENGINES; pair_i++) \
		for (struct pair p = pair_create(pair_i); p.sender != NULL; pair_destroy(&p))

static struct pair pair_create(int i)
{
	struct pair p = { .profile = kit_profiles[i / (KIT_N_ENGINES * KIT_N_ENGINES)] };

	p.sender = kit_session(
		(enum srtp_engine_kind)(i / KIT_N_ENGINES % KIT_N_ENGINES), p.profile, THEM, US);
	p.receiver = kit_session((enum srtp_engine_kind)(i % KIT_N_ENGINES), p.profile, US, THEM);
	return p;
}

static void pair_destroy(struct pair *p)
{
	srtp_session_destroy(p->sender);
	srtp_session_destroy(p->receiver);
	p->sender = NULL;
}

static uint16_t trailer_bytes(uint16_t profile)
{
	return srtp_profile_sizes(profile).tag_bytes + 4;
}

// A compound packet of random content.
static void rtcp_fill(uint8_t *pkt, uint32_t ssrc, uint16_t bytes)
{
	kit_random_fill(pkt, bytes);
	pkt[0] = 0x81;
	pkt[1] = 201;
	srtp_put_be32(pkt + 4, ssrc);
}

// Seal a packet of the given index with the fast engine, which can name any.
// Return: its size.
static uint16_t seal_at(uint16_t profile, uint8_t *pkt, uint32_t ssrc, uint32_t index)
{
	struct srtp_session *s = kit_session(SRTP_ENGINE_FAST, profile, THEM, US);
	uint16_t bytes = 0;

	rtcp_fill(pkt, ssrc, 60);
	assert_int_equal(srtp_seal_rtcp(s, pkt, 60, index, &bytes), 0);
	srtp_session_destroy(s);
	return bytes;
}

static int open_copy(struct srtp_session *s, const uint8_t *sealed, uint16_t bytes)
{
	uint8_t pkt[KIT_PKT_BYTES];
	uint16_t plain_bytes = UNTOUCHED;
	int ret;

	memcpy(pkt, sealed, bytes);
	ret = srtp_open_rtcp(s, pkt, bytes, &plain_bytes);
	if (ret < 0)
		assert_int_equal(plain_bytes, UNTOUCHED);
	return ret;
}

static void what_one_seals_the_other_opens(void **state)
{
	static const uint16_t sizes[] = { 8, 9, 12, 16, 23, 24, 25, 28, 64, 100, 512, 1200, 1460 };

	FOR_EACH_PAIR(p)
	{
		for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			uint8_t plain[KIT_PKT_BYTES], pkt[KIT_PKT_BYTES];
			uint16_t sealed = 0, opened = 0;

			rtcp_fill(plain, SSRC, sizes[i]);
			memset(pkt, KIT_CANARY, sizeof(pkt));
			memcpy(pkt, plain, sizes[i]);
			assert_int_equal(
				srtp_seal_rtcp(p.sender, pkt, sizes[i], i + 1, &sealed), 0);
			assert_int_equal(sealed, sizes[i] + trailer_bytes(p.profile));
			assert_int_equal(pkt[sealed], KIT_CANARY);
			assert_memory_equal(pkt, plain, 8);
			assert_int_equal(srtp_open_rtcp(p.receiver, pkt, sealed, &opened), 0);
			assert_int_equal(opened, sizes[i]);
			assert_memory_equal(pkt, plain, opened);
		}
	}
}

// The bytes themselves, and the portable engine's way to an index further on.
static void engines_seal_the_same_bytes(void **state)
{
	static const uint32_t indices[] = { 1, 2, 3, 10, 11, 3000, 3001 };

	for (int k = 0; k < KIT_N_PROFILES; k++) {
		struct srtp_session *fast = kit_session(
			SRTP_ENGINE_FAST, kit_profiles[k], US, THEM);
		struct srtp_session *portable = kit_session(
			SRTP_ENGINE_LIBSRTP2, kit_profiles[k], US, THEM);

		for (size_t i = 0; i < sizeof(indices) / sizeof(indices[0]); i++) {
			uint8_t a[KIT_PKT_BYTES], b[KIT_PKT_BYTES];
			uint16_t bytes = (uint16_t)(8 + kit_random(1400)), a_bytes, b_bytes;

			rtcp_fill(a, SSRC + (uint32_t)(i % 2), bytes);
			memcpy(b, a, bytes);
			assert_int_equal(srtp_seal_rtcp(fast, a, bytes, indices[i], &a_bytes), 0);
			assert_int_equal(
				srtp_seal_rtcp(portable, b, bytes, indices[i], &b_bytes), 0);
			assert_int_equal(a_bytes, b_bytes);
			assert_memory_equal(a, b, a_bytes);
		}
		srtp_session_destroy(portable);
		srtp_session_destroy(fast);
	}
}

// The order of the trailer: RFC 3711 3.4 (word, tag), RFC 7714 9.2 (tag, word).
static void word_stands_in_its_place(void **state)
{
	for (int k = 0; k < KIT_N_PROFILES; k++) {
		uint8_t pkt[KIT_PKT_BYTES];
		uint16_t bytes = seal_at(kit_profiles[k], pkt, SSRC, 0x01020304);
		uint32_t at = kit_profiles[k] == SRTP_PROFILE_CM80 ? 60 : bytes - 4u;

		assert_int_equal(srtp_get_be32(pkt + at), 0x81020304);
	}
}

// A sender that authenticates and does not encrypt: libsrtp2 itself.
static void clear_packets_pass_authenticated(void **state)
{
	static const uint16_t sizes[] = { 8, 12, 60, 333, 1400 };

	FOR_EACH_PAIR(p)
	{
		srtp_t oracle = kit_oracle(
			p.profile, THEM, (srtp_ssrc_t){ .type = ssrc_any_outbound }, sec_serv_auth);

		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			_Alignas(4) uint8_t plain[KIT_PKT_BYTES], pkt[KIT_PKT_BYTES];
			int bytes = sizes[i];
			uint16_t opened = 0;

			rtcp_fill(plain, SSRC, sizes[i]);
			memcpy(pkt, plain, sizes[i]);
			assert_int_equal(srtp_protect_rtcp(oracle, pkt, &bytes), 0);
			assert_memory_equal(pkt, plain, sizes[i]);
			pkt[sizes[i] - 1] ^= 1;
			assert_int_equal(open_copy(p.receiver, pkt, (uint16_t)bytes), -EBADMSG);
			pkt[sizes[i] - 1] ^= 1;
			assert_int_equal(
				srtp_open_rtcp(p.receiver, pkt, (uint16_t)bytes, &opened), 0);
			assert_int_equal(opened, sizes[i]);
			assert_memory_equal(pkt, plain, opened);
		}
		srtp_dealloc(oracle);
	}
}

// Clear and encrypted packets of a sender count in one window, whichever comes first.
static void clear_and_encrypted_share_a_window(void **state)
{
	FOR_EACH_PAIR(p)
	{
		srtp_t oracle = kit_oracle(
			p.profile, THEM, (srtp_ssrc_t){ .type = ssrc_any_outbound }, sec_serv_auth);

		for (uint32_t index = 1; index <= 2; index++) {
			_Alignas(4) uint8_t clear[KIT_PKT_BYTES];
			uint8_t sealed[KIT_PKT_BYTES];
			uint16_t sealed_bytes = seal_at(p.profile, sealed, SSRC, index);
			int bytes = 60;

			rtcp_fill(clear, SSRC, 60);
			assert_int_equal(srtp_protect_rtcp(oracle, clear, &bytes), 0);
			if (index == 1)
				assert_int_equal(open_copy(p.receiver, clear, (uint16_t)bytes), 0);
			assert_int_equal(open_copy(p.receiver, sealed, sealed_bytes),
				index == 1 ? -ESTALE : 0);
			assert_int_equal(open_copy(p.receiver, clear, (uint16_t)bytes), -ESTALE);
		}
		srtp_dealloc(oracle);
	}
}

// Each bit of a packet, and afterwards neither window nor SSRC table has moved.
static void flipped_bits_are_refused(void **state)
{
	FOR_EACH_PAIR(p)
	{
		uint8_t pkt[KIT_PKT_BYTES], other[KIT_PKT_BYTES];
		uint16_t bytes = seal_at(p.profile, pkt, SSRC, 300);

		assert_int_equal(
			open_copy(p.receiver, other, seal_at(p.profile, other, SSRC, 299)), 0);
		for (int bit = 0; bit < 8 * bytes; bit++) {
			int ret;

			pkt[bit / 8] ^= (uint8_t)(1 << bit % 8);
			ret = open_copy(p.receiver, pkt, bytes);
			assert_true(ret == -EBADMSG || ret == -ESTALE);
			pkt[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		assert_int_equal(open_copy(p.receiver, pkt, bytes), 0);
		assert_int_equal(open_copy(p.receiver, pkt, bytes), -ESTALE);
		for (uint32_t i = 1; i < 4; i++)
			assert_int_equal(open_copy(p.receiver, other,
						 seal_at(p.profile, other, SSRC + i, 1)),
				0);
	}
}

static void foreign_keys_are_refused(void **state)
{
	FOR_EACH_PAIR(p)
	{
		uint8_t pkt[KIT_PKT_BYTES];
		uint16_t bytes = 60;

		// Our own packet, sent back to us.
		rtcp_fill(pkt, SSRC, bytes);
		assert_int_equal(srtp_seal_rtcp(p.receiver, pkt, bytes, 1, &bytes), 0);
		assert_int_equal(open_copy(p.receiver, pkt, bytes), -EBADMSG);
	}
}

// The edges of the window, as packets (RFC 3711 3.3.2).
static void replays_are_refused(void **state)
{
	static const struct {
		uint32_t index;
		int expected;
	} steps[] = {
		{ 1000, 0 },
		{ 1000, -ESTALE },
		{ 1000 - 128, -ESTALE },
		{ 1000 - 127, 0 },
		{ 1000 - 127, -ESTALE },
		{ 1001, 0 },
		{ 1001 - 127, 0 },
		{ 1001 - 128, -ESTALE },
		{ 1000, -ESTALE },
		{ 1, -ESTALE },
		{ 0x7fffffff, 0 },
		{ 0x7fffffff, -ESTALE },
		{ 1002, -ESTALE },
		{ 0x7ffffffe, 0 },
	};

	FOR_EACH_PAIR(p)
	{
		for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
			uint8_t pkt[KIT_PKT_BYTES];
			uint16_t bytes = seal_at(p.profile, pkt, SSRC, steps[i].index);

			assert_int_equal(open_copy(p.receiver, pkt, bytes), steps[i].expected);
		}
	}
}

static void senders_are_capped(void **state)
{
	FOR_EACH_PAIR(p)
	{
		uint8_t pkt[KIT_PKT_BYTES];

		for (uint32_t i = 0; i < 6; i++) {
			uint16_t bytes = seal_at(p.profile, pkt, SSRC + i, 5);

			assert_int_equal(open_copy(p.receiver, pkt, bytes), i < 4 ? 0 : -ENOBUFS);
		}
		assert_int_equal(
			open_copy(p.receiver, pkt, seal_at(p.profile, pkt, SSRC + 3, 6)), 0);
	}
}

// Each size that holds no header and trailer, and the smallest that does.
static void short_packets_are_refused(void **state)
{
	FOR_EACH_PAIR(p)
	{
		uint8_t pkt[64] = { 0x80, 201, 0, 1 };
		uint16_t smallest = 8 + trailer_bytes(p.profile);

		for (uint16_t bytes = 0; bytes < smallest; bytes++)
			assert_int_equal(open_copy(p.receiver, pkt, bytes), -EMSGSIZE);
		assert_int_equal(open_copy(p.receiver, pkt, smallest), -EBADMSG);
	}
}

static void seal_refuses_what_it_must(void **state)
{
	static uint8_t pkt[UINT16_MAX];
	static const struct {
		uint16_t bytes;
		uint32_t index;
		int expected;
	} cases[] = {
		{ 0, 1, -EMSGSIZE },
		{ 7, 1, -EMSGSIZE },
		{ UINT16_MAX, 1, -EMSGSIZE },
		{ 60, 0, -ERANGE },
		{ 60, 0x80000000, -ERANGE },
		{ 60, 0xffffffff, -ERANGE },
	};

	FOR_EACH_PAIR(p)
	{
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			uint16_t out = UNTOUCHED;

			assert_int_equal(
				srtp_seal_rtcp(p.sender, pkt, cases[i].bytes, cases[i].index, &out),
				cases[i].expected);
			assert_int_equal(out, UNTOUCHED);
		}
	}
}

// The largest that UDP could bring, through both engines.
static void largest_packets_pass(void **state)
{
	static uint8_t plain[UINT16_MAX], pkt[UINT16_MAX];

	FOR_EACH_PAIR(p)
	{
		uint16_t bytes = UINT16_MAX - trailer_bytes(p.profile);
		uint16_t sealed = 0, opened = 0;

		rtcp_fill(plain, SSRC, bytes);
		memcpy(pkt, plain, bytes);
		assert_int_equal(srtp_seal_rtcp(p.sender, pkt, bytes, 1, &sealed), 0);
		assert_int_equal(sealed, UINT16_MAX);
		assert_int_equal(srtp_open_rtcp(p.receiver, pkt, sealed, &opened), 0);
		assert_int_equal(opened, bytes);
		assert_memory_equal(pkt, plain, bytes);
	}
}

static void portable_cannot_go_back_or_leap(void **state)
{
	struct srtp_session *s = kit_session(SRTP_ENGINE_LIBSRTP2, SRTP_PROFILE_GCM128, US, THEM);
	static const struct {
		uint32_t index;
		int expected;
	} steps[] = {
		{ 5, 0 },
		{ 5, -ERANGE },
		{ 4, -ERANGE },
		{ 5 + (1 << 20) + 1, -ERANGE },
		{ 0x7fffffff, -ERANGE },
		{ 6, 0 },
	};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		uint8_t pkt[KIT_PKT_BYTES];
		uint16_t bytes = 60;

		rtcp_fill(pkt, SSRC, bytes);
		assert_int_equal(
			srtp_seal_rtcp(s, pkt, bytes, steps[i].index, &bytes), steps[i].expected);
	}
	srtp_session_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_one_seals_the_other_opens),
		cmocka_unit_test(engines_seal_the_same_bytes),
		cmocka_unit_test(word_stands_in_its_place),
		cmocka_unit_test(clear_packets_pass_authenticated),
		cmocka_unit_test(clear_and_encrypted_share_a_window),
		cmocka_unit_test(flipped_bits_are_refused),
		cmocka_unit_test(foreign_keys_are_refused),
		cmocka_unit_test(replays_are_refused),
		cmocka_unit_test(senders_are_capped),
		cmocka_unit_test(short_packets_are_refused),
		cmocka_unit_test(seal_refuses_what_it_must),
		cmocka_unit_test(largest_packets_pass),
		cmocka_unit_test(portable_cannot_go_back_or_leap),
	};

	return kit_run(tests);
}
