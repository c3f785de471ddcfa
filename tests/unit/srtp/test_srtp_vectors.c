// The fast engine against published vectors.
#include "tests/unit/srtp/srtp_kit.h"

#include <string.h>

#include "dataplane/srtp/priv/fast.h"

#define RTP_GALLIA                                                                \
	"8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976" \
	"69736120 696e2070 61727465 73207472 6573"
#define RTCP_LUNA                                                                 \
	"81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61" \
	"deadbeef deadbeef deadbeef deadbeef deadbeef"

struct vector {
	const char *source;
	uint16_t profile;
	const char *plain;
	const char *sealed;
};

static const struct vector rtp_vectors[] = {
	{ "RFC 7714 16.1.1", SRTP_PROFILE_GCM128, RTP_GALLIA,
		"8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5"
		"0d294e6f 42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce" },
	{ "RFC 7714 16.2.1", SRTP_PROFILE_GCM256, RTP_GALLIA,
		"8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238"
		"9a58e2f3 b50b2a02 76ffae0f 1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13" },
};

static const struct vector rtcp_vectors[] = {
	{ "RFC 7714 17.1", SRTP_PROFILE_GCM128, RTCP_LUNA,
		"81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d"
		"c676a5f1 730d6fda 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872"
		"45d9eade 800005d4" },
	{ "RFC 7714 17.2", SRTP_PROFILE_GCM256, RTCP_LUNA,
		"81c8000d 4d617273 d50ae4d1 f5ce5d30 4ba297e4 7d470c28 2c3ece5d bffe0a50"
		"a2eaa5c1 110555be 8415f658 c61de047 6f1b6fad 1d1eb30c 4446839f 57ff6f6c"
		"b26ac3be 800005d4" },
};

// Tagged without being encrypted: E=0.
static const struct vector rtcp_clear_vectors[] = {
	{ "RFC 7714 17.3", SRTP_PROFILE_GCM128, RTCP_LUNA,
		RTCP_LUNA "841dd968 3dd78ec9 2ae58790 125f62b3 000005d4" },
	{ "RFC 7714 17.4", SRTP_PROFILE_GCM256, RTCP_LUNA,
		RTCP_LUNA "91db4afb feee5a97 8fab4393 ed2615fe 000005d4" },
};

enum {
	RTCP_LUNA_INDEX = 0x5d4,
	RTP_GALLIA_SEQ = 0xf17b,
};

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static struct srtp_session *session_keyed(uint16_t profile, const struct srtp_keys *keys)
{
	struct srtp_session *s = NULL;

	assert_int_equal(srtp_fast_session_create(
				 kit_engines[SRTP_ENGINE_FAST], profile, keys, keys, keys, &s),
		0);
	return s;
}

// The session keys of RFC 7714 16: 00 01 02 ... and "Quid pro quo".
static struct srtp_session *session_rfc7714(uint16_t profile)
{
	struct srtp_keys keys = {};

	for (int i = 0; i < srtp_profile_sizes(profile).key_bytes; i++)
		keys.key[i] = (uint8_t)i;
	kit_hex("51756964 2070726f 2071756f", keys.salt);
	return session_keyed(profile, &keys);
}

static void seal_one(struct srtp_session *s, uint8_t *pkt, const uint8_t *plain, size_t plain_bytes,
	uint64_t index)
{
	int status = 1;
	struct srtp_text text = {
		.payload = plain + 12,
		.seq = index,
		.payload_bytes = (uint16_t)(plain_bytes - 12),
	};
	struct srtp_seal_op op = {
		.session = s,
		.texts = &text,
		.pkts = &pkt,
		.hdr_bytes = 12,
		.n = 1,
	};

	memcpy(pkt, plain, 12);
	assert_int_equal(srtp_seal_rtp(kit_engines[SRTP_ENGINE_FAST], &op, 1, &status), 1);
	assert_int_equal(status, 0);
}

static void rtp_is_sealed_as_published(void **state)
{
	for (size_t i = 0; i < N_OF(rtp_vectors); i++) {
		const struct vector *v = &rtp_vectors[i];
		struct srtp_session *s = session_rfc7714(v->profile);
		uint8_t plain[128], sealed[128], pkt[128];
		size_t plain_bytes = kit_hex(v->plain, plain);
		size_t sealed_bytes = kit_hex(v->sealed, sealed);

		print_message("%s\n", v->source);
		assert_int_equal(sealed_bytes, plain_bytes + 16);
		seal_one(s, pkt, plain, plain_bytes, RTP_GALLIA_SEQ);
		assert_memory_equal(pkt, sealed, sealed_bytes);
		srtp_session_destroy(s);
	}
}

static void rtcp_is_sealed_as_published(void **state)
{
	for (size_t i = 0; i < N_OF(rtcp_vectors); i++) {
		const struct vector *v = &rtcp_vectors[i];
		struct srtp_session *s = session_rfc7714(v->profile);
		uint8_t pkt[128], sealed[128];
		uint16_t bytes = (uint16_t)kit_hex(v->plain, pkt);
		size_t sealed_bytes = kit_hex(v->sealed, sealed);

		print_message("%s\n", v->source);
		assert_int_equal(srtp_seal_rtcp(s, pkt, bytes, RTCP_LUNA_INDEX, &bytes), 0);
		assert_int_equal(bytes, sealed_bytes);
		assert_memory_equal(pkt, sealed, sealed_bytes);
		srtp_session_destroy(s);
	}
}

static void open_as_published(const struct vector *v)
{
	struct srtp_session *s = session_rfc7714(v->profile);
	uint8_t plain[128], pkt[128];
	size_t plain_bytes = kit_hex(v->plain, plain);
	uint16_t bytes = (uint16_t)kit_hex(v->sealed, pkt);

	print_message("%s\n", v->source);
	assert_int_equal(srtp_open_rtcp(s, pkt, bytes, &bytes), 0);
	assert_int_equal(bytes, plain_bytes);
	assert_memory_equal(pkt, plain, plain_bytes);
	srtp_session_destroy(s);
}

static void rtcp_is_opened_as_published(void **state)
{
	for (size_t i = 0; i < N_OF(rtcp_vectors); i++)
		open_as_published(&rtcp_vectors[i]);
	for (size_t i = 0; i < N_OF(rtcp_clear_vectors); i++)
		open_as_published(&rtcp_clear_vectors[i]);
}

// RFC 3711 B.2: zeros sealed with SSRC, ROC and SEQ zero are the key stream from its beginning.
static void cm_key_stream_is_as_published(void **state)
{
	uint8_t plain[12 + 48] = { 0x80 }, stream[48], pkt[128];
	struct srtp_keys keys = {};
	struct srtp_session *s;

	kit_hex("2B7E151628AED2A6ABF7158809CF4F3C", keys.key);
	kit_hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD", keys.salt);
	kit_hex("E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB"
		"41E95B3BB0A2E8DD477901E4FCA894C0",
		stream);
	s = session_keyed(SRTP_PROFILE_CM80, &keys);
	seal_one(s, pkt, plain, sizeof(plain), 0);
	assert_memory_equal(pkt + 12, stream, sizeof(stream));
	srtp_session_destroy(s);
}

// RFC 3711 B.3.
static void keys_are_derived_as_published(void **state)
{
	static const struct {
		uint8_t label;
		const char *out;
	} labels[] = {
		{ 0, "C61E7A93744F39EE10734AFE3FF7A087" },
		{ 1, "CEBE321F6FF7716B6FD4AB49AF256A15 6D38BAA48F0A0ACF3C34E2359E6CDBCE"
		     "E049646C43D9327AD175578EF7227098 6371C10C9A369AC2F94A8C5FBCDDDC25"
		     "6D6E919A48B610EF17C2041E47403576 6B68642C59BBFC2F34DB60DBDFB2" },
		{ 2, "30CBBC08863D8C85D49DB34A9AE1" },
	};
	struct srtp_master master = {};
	uint8_t expected[128], out[128];

	kit_hex("E1F97A0D3E018BE0D64FA32C06DE4139", master.key);
	kit_hex("0EC675AD498AFEEBB6960B3AABE6", master.salt);
	for (size_t i = 0; i < N_OF(labels); i++) {
		size_t bytes = kit_hex(labels[i].out, expected);

		assert_int_equal(
			srtp_kdf_expand(master.key, 16, master.salt, labels[i].label, out, bytes),
			0);
		assert_memory_equal(out, expected, bytes);
	}
}

// The three keys of RFC 3711 B.3 arrive where the engine looks for them.
static void derived_keys_have_their_places(void **state)
{
	struct srtp_master master = {};
	struct srtp_keys rtp, rtcp, expected = {};

	kit_hex("E1F97A0D3E018BE0D64FA32C06DE4139", master.key);
	kit_hex("0EC675AD498AFEEBB6960B3AABE6", master.salt);
	kit_hex("C61E7A93744F39EE10734AFE3FF7A087", expected.key);
	kit_hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4", expected.auth);
	kit_hex("30CBBC08863D8C85D49DB34A9AE1", expected.salt);
	assert_int_equal(srtp_kdf_derive(SRTP_PROFILE_CM80, &master, SRTP_KDF_RTP, &rtp), 0);
	assert_memory_equal(&rtp, &expected, sizeof(rtp));
	assert_int_equal(srtp_kdf_derive(SRTP_PROFILE_CM80, &master, SRTP_KDF_RTCP, &rtcp), 0);
	assert_memory_not_equal(rtcp.key, rtp.key, 16);
	assert_memory_not_equal(rtcp.auth, rtp.auth, sizeof(rtp.auth));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rtp_is_sealed_as_published),
		cmocka_unit_test(rtcp_is_sealed_as_published),
		cmocka_unit_test(rtcp_is_opened_as_published),
		cmocka_unit_test(cm_key_stream_is_as_published),
		cmocka_unit_test(keys_are_derived_as_published),
		cmocka_unit_test(derived_keys_have_their_places),
	};

	return kit_run(tests);
}
