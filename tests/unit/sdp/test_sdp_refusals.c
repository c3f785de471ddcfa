// One offer a cause: the status, and words that tell it from every other.
#include "tests/unit/sdp/fixture.h"

// Each changes one thing of Chromium's audio and video offer, everywhere if all.
static const struct {
	const char *from, *to;
	bool all;
	enum sdp_verdict verdict;
	const char *cause;
} cases[] = {
	{ "v=0\r\n", "", false, SDP_MALFORMED, "expected v=0 as the first line" },
	{ "v=0\r\n", "v=1\r\n", false, SDP_MALFORMED, "expected v=0 as the first line" },
	{ "v=0\r\n", "{\"sdp\":1}\r\n", false, SDP_MALFORMED, "expected v=0 as the first line" },
	{ "s=-", "s-", false, SDP_MALFORMED, "line 3: expected <type>=<value> without NUL bytes" },
	{ "m=audio 9 UDP", "m=audio x UDP", false, SDP_MALFORMED,
		"line 8: expected a port from 0 to 65535 in m=" },
	{ "m=audio 9 ", "m=audio 65536 ", false, SDP_MALFORMED,
		"line 8: expected a port from 0 to 65535 in m=" },
	{ "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126", "m=audio 9", false, SDP_MALFORMED,
		"line 8: expected a transport protocol in m=" },
	{ "111 63 9 0 8 13 110 126", "", false, SDP_MALFORMED,
		"line 8: expected at least one format in m=" },
	{ "m=audio", "m=@", false, SDP_MALFORMED,
		"line 8: expected m=<media> <port> <proto> <fmt>" },
	{ "a=setup:actpass", "a=setup:both", false, SDP_MALFORMED,
		"line 17: expected a=setup: actpass, active, passive or holdconn" },
	{ "a=fingerprint:sha-256 ", "a=fingerprint:sha-384 ", false, SDP_MALFORMED,
		"line 16: expected a fingerprint of as many bytes as its hash has" },
	{ "a=mid:0", "a=mid:0 1", false, SDP_MALFORMED,
		"line 18: expected a=mid: and a token of at most 64 characters" },
	{ "a=mid:1", "a=mid:0", false, SDP_MALFORMED,
		"line 48: expected a mid that no other section has" },
	{ "a=ice-ufrag:", "a=ice-ufrag:-", false, SDP_MALFORMED,
		"expected a=ice-ufrag of 4 to 256 ice-chars" },
	{ "a=ice-pwd:", "a=ice-pwd:_", false, SDP_MALFORMED,
		"expected a=ice-pwd of 22 to 256 ice-chars" },
	{ "a=recvonly", "a=sendonly", true, SDP_UNUSABLE,
		"video section: expected direction recvonly or sendrecv" },
	{ "a=recvonly", "a=inactive", false, SDP_UNUSABLE,
		"audio section: expected direction recvonly or sendrecv" },
	{ "UDP/TLS/RTP/SAVPF", "UDP/QUIC", true, SDP_UNUSABLE,
		"video section: expected a (S)AVPF transport protocol such as UDP/TLS/RTP/SAVPF" },
	{ "a=rtcp-mux\r\n", "", true, SDP_UNUSABLE, "expected a=rtcp-mux in the offer" },
	{ "a=ice-ufrag", "a=x", true, SDP_UNUSABLE, "expected a=ice-ufrag in the offer" },
	{ "a=ice-pwd", "a=x", true, SDP_UNUSABLE, "expected a=ice-pwd in the offer" },
	{ "a=fingerprint", "a=x", true, SDP_UNUSABLE, "expected a=fingerprint in the offer" },
	{ "sha-256", "sha-1", true, SDP_UNUSABLE,
		"expected a sha-256, sha-384 or sha-512 fingerprint" },
	{ "a=setup:actpass", "a=setup:passive", true, SDP_UNUSABLE,
		"expected a=setup:actpass or active, not passive: the server is passive" },
	{ "a=setup:actpass", "a=setup:holdconn", true, SDP_UNUSABLE,
		"expected a=setup:actpass or active, not holdconn" },
	{ "t=0 0\r\n", "t=0 0\r\na=ice-lite\r\n", false, SDP_UNUSABLE,
		"expected a full ICE agent, not a=ice-lite: the server is lite itself" },
	{ "a=group:BUNDLE 0 1\r\n", "", false, SDP_UNUSABLE,
		"expected a=group:BUNDLE over the audio and video sections" },
	{ "a=group:BUNDLE 0 1", "a=group:BUNDLE 0", false, SDP_UNUSABLE,
		"expected audio and video in one BUNDLE group" },
	{ "BUNDLE 0 1", "BUNDLE 0\r\na=group:BUNDLE 1", false, SDP_UNUSABLE,
		"expected audio and video in one BUNDLE group" },
	{ "H264", "H265", true, SDP_CODEC_MISSING, "offer lacks H264" },
	{ "H264/90000", "H264/48000", true, SDP_CODEC_MISSING, "offer lacks H264" },
	{ "packetization-mode=1;", "packetization-mode=2;", true, SDP_OK, "" },
	{ "opus/48000", "opus/44100", true, SDP_CODEC_MISSING, "offer lacks Opus" },
	{ "opus", "ogg", true, SDP_CODEC_MISSING, "offer lacks Opus" },
	{ "profile-level-id=", "profile-level-id=zz", false, SDP_OK, "" },
};

static void test_cases(void **state)
{
	static struct fixture_offer offer;
	static struct fixture_run run;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fixture_load("chromium-av", &offer);
		if (cases[i].all)
			fixture_replace_all(&offer, cases[i].from, cases[i].to);
		else
			fixture_replace(&offer, cases[i].from, cases[i].to);
		fixture_run_init(&run);
		assert_int_equal(fixture_negotiate(&run, &offer), cases[i].verdict);
		assert_string_equal(run.agreed.cause, cases[i].cause);
	}
}

static void test_both_codecs_missing(void **state)
{
	static struct fixture_offer offer;
	static struct fixture_run run;

	fixture_load("chromium-av", &offer);
	fixture_replace_all(&offer, "H264", "H265");
	fixture_replace_all(&offer, "opus", "ogg");
	fixture_run_init(&run);
	run.local.partial_accept = true;
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_CODEC_MISSING);
	assert_string_equal(run.agreed.cause, "offer lacks H264 and Opus");
	assert_true(run.agreed.codec_missing[LEG_VIDEO] && run.agreed.codec_missing[LEG_AUDIO]);
}

static void text_refused(
	const char *text, size_t bytes, enum sdp_verdict verdict, const char *cause)
{
	static struct fixture_offer offer;
	static struct fixture_run run;

	memcpy(offer.text, text, bytes);
	offer.bytes = bytes;
	fixture_run_init(&run);
	assert_int_equal(fixture_negotiate(&run, &offer), verdict);
	assert_string_equal(run.agreed.cause, cause);
}

static void test_odd_texts(void **state)
{
	static char big[SDP_OFFER_MAX_BYTES + 1] = "v=0\r\na=";

	text_refused("", 0, SDP_MALFORMED, "expected an SDP offer, not an empty body");
	text_refused("\0\0\0", 3, SDP_MALFORMED, "expected v=0 as the first line");
	text_refused("v=0\r\ns=\0\r\n", 10, SDP_MALFORMED,
		"line 2: expected <type>=<value> without NUL bytes");
	text_refused("v=0\r\n", 5, SDP_UNUSABLE,
		"expected an audio or video section for what the stream has");
	memset(big + 7, 'x', sizeof(big) - 7);
	text_refused(big, sizeof(big), SDP_MALFORMED, "expected at most 131072 bytes of SDP");
	text_refused(big, sizeof(big) - 1, SDP_UNUSABLE,
		"expected an audio or video section for what the stream has");
}

// The work stays linear: sections, groups and formats as many as a body holds.
static void test_floods(void **state)
{
	static const struct {
		const char *unit;
		enum sdp_verdict verdict;
		const char *cause;
	} floods[] = {
		{ "m=a 1 x y\r\n", SDP_UNUSABLE, "line 18: expected at most 16 m= sections" },
		{ "a=group:BUNDLE 1 2 3\r\n", SDP_UNUSABLE,
			"expected an audio or video section for what the stream has" },
		{ "\r\n", SDP_UNUSABLE,
			"expected an audio or video section for what the stream has" },
	};
	static char text[SDP_OFFER_MAX_BYTES];

	for (size_t i = 0; i < sizeof(floods) / sizeof(floods[0]); i++) {
		size_t unit = strlen(floods[i].unit), bytes = 5;

		memcpy(text, "v=0\r\n", bytes);
		for (; bytes + unit <= sizeof(text); bytes += unit)
			memcpy(text + bytes, floods[i].unit, unit);
		text_refused(text, bytes, floods[i].verdict, floods[i].cause);
	}
}

// Many formats and mids on one line of an offer that is good otherwise.
static void test_long_lines(void **state)
{
	static struct fixture_offer offer;
	static struct fixture_run run;
	static char many[100000];

	for (size_t at = 0; at + 3 < sizeof(many); at += 2)
		memcpy(many + at, " 7", 3);
	fixture_run_init(&run);
	fixture_load("webrtcbin-av", &offer);
	fixture_replace(&offer, "a=group:BUNDLE", many);
	fixture_replace(&offer, " 7", "a=group:BUNDLE");
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
	fixture_load("webrtcbin-av", &offer);
	fixture_replace(&offer, "RTP/SAVPF 96\r\n", "RTP/SAVPF 96 \r\n");
	fixture_replace(&offer, "RTP/SAVPF 96 ", many);
	fixture_replace(&offer, " 7", "RTP/SAVPF 96");
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
}

// A mid that the negotiated leg cannot hold is refused, one of a rejected section is not.
static void test_long_mid(void **state)
{
	static struct fixture_offer offer;
	static struct fixture_run run;
	static const char mid[] = "a=mid:123456789012345678901234567890123\r\n";

	fixture_load("chromium-data", &offer);
	fixture_replace(&offer, "a=mid:2\r\n", mid);
	fixture_run_init(&run);
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
	fixture_load("chromium-data", &offer);
	fixture_replace(&offer, "a=mid:1\r\n", mid);
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_UNUSABLE);
	assert_string_equal(
		run.agreed.cause, "video section: expected a mid of at most 32 characters");
}

static void test_answer_too_small(void **state)
{
	static struct fixture_offer offer;
	static struct fixture_run run;
	size_t wanted;

	fixture_load("chromium-data", &offer);
	fixture_run_init(&run);
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
	wanted = run.answer_bytes;
	for (size_t cap = 0; cap <= wanted + 1; cap++) {
		char *answer = malloc(cap + (cap == 0));
		size_t bytes = 0;
		enum sdp_verdict verdict = sdp_negotiate(offer.text, offer.bytes, run.legs,
			&run.local, &run.agreed, answer, cap, &bytes);

		assert_int_equal(verdict, cap > wanted ? SDP_OK : SDP_UNUSABLE);
		assert_int_equal(bytes, cap > wanted ? wanted : 0);
		free(answer);
	}
}

// RFC 5761 4: with rtcp-mux types 64 to 95 would be taken for RTCP.
static void test_unsafe_payload_type(void **state)
{
	static struct fixture_offer offer;
	static struct fixture_run run;

	fixture_load("webrtcbin-av", &offer);
	fixture_replace(&offer, "SAVPF 96", "SAVPF 72");
	fixture_replace_all(&offer, "a=rtpmap:96", "a=rtpmap:72");
	fixture_run_init(&run);
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_CODEC_MISSING);
	fixture_replace(&offer, "SAVPF 72", "SAVPF 63");
	fixture_replace_all(&offer, "a=rtpmap:72", "a=rtpmap:63");
	assert_int_equal(fixture_negotiate(&run, &offer), SDP_OK);
	assert_int_equal(run.agreed.legs[LEG_VIDEO].payload_type, 63);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_both_codecs_missing),
		cmocka_unit_test(test_odd_texts),
		cmocka_unit_test(test_floods),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_long_mid),
		cmocka_unit_test(test_answer_too_small),
		cmocka_unit_test(test_unsafe_payload_type),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
