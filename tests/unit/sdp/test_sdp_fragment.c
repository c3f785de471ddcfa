// ICE fragments: bodies as clients send them, refusals, and the answer to a restart.
#include "tests/unit/sdp/fixture.h"

#include <errno.h>

#define CREDENTIALS "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n"
#define SECTION	    "m=audio 9 RTP/AVP 0\r\na=mid:0\r\n"
#define CANDIDATE   "a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host\r\n"

static const struct {
	const char *body;
	bool has_credentials;
	uint16_t n_candidates;
	bool end;
} good[] = {
	// RFC 8840 9.2: credentials before m=, and after it.
	{ CREDENTIALS SECTION CANDIDATE "a=end-of-candidates\r\n", true, 1, true },
	{ SECTION CREDENTIALS CANDIDATE, true, 1, false },
	{ "a=group:BUNDLE 0 1\r\n" CREDENTIALS SECTION CANDIDATE CANDIDATE, true, 2, false },
	{ SECTION CANDIDATE, false, 1, false },
	{ SECTION "a=end-of-candidates\r\n", false, 0, true },
	{ "a=end-of-candidates", false, 0, true },
	{ "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:1\r\n" CANDIDATE, false, 1, false },
	{ "m=application 0 x\r\n" CREDENTIALS, true, 0, false },
	// A25: transports and addresses that are of no use are skipped.
	{ CREDENTIALS SECTION
		"a=candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype active\r\n"
		"a=candidate:2 1 udp 1 3d1a.local 9 typ host\r\n"
		"a=candidate:3 1 udp 1 192.0.2.9 9 typ relay raddr 0.0.0.0 rport 0\r\n"
		"a=candidate:4 1 udp 1 fe80::1%eth0 9 typ host\r\na=candidate:\r\n",
		true, 5, false },
	// LF alone, blank lines, unknown lines.
	{ "a=ice-ufrag:EsAw\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\n\n\nx=y\na=z", true, 0, false },
	// A section each with credentials of its own: the first pair holds.
	{ SECTION CREDENTIALS "m=video 9 RTP/AVP 0\r\na=ice-ufrag:zzzz\r\na=ice-pwd:?\r\n", true, 0,
		false },
};

static void test_good(void **state)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		char cause[SDP_CAUSE_MAX] = "";
		struct sdp_fragment got;

		memset(&got, 0xff, sizeof(got));
		assert_int_equal(
			sdp_fragment_parse(good[i].body, strlen(good[i].body), &got, cause),
			SDP_OK);
		assert_int_equal(got.has_credentials, good[i].has_credentials);
		assert_int_equal(got.n_candidates, good[i].n_candidates);
		assert_int_equal(got.end_of_candidates, good[i].end);
		assert_string_equal(got.ice.ufrag, good[i].has_credentials ? "EsAw" : "");
		assert_string_equal(
			got.ice.pwd, good[i].has_credentials ? "P2uYro0UCOQ4zxjKXaWCBui1" : "");
	}
}

static const struct {
	const char *body;
	size_t bytes; // 0: of the string
	const char *cause;
} bad[] = {
	{ "", 0, "expected an ICE fragment, not an empty body" },
	{ "{\"candidate\":\"\"}", 0, "line 1: expected <type>=<value> without NUL bytes" },
	{ SECTION "a=\0\r\n", sizeof(SECTION) + 4,
		"line 3: expected <type>=<value> without NUL bytes" },
	{ SECTION "a=ice-ufrag:EsAw\r\n", 0, "expected a=ice-pwd beside a=ice-ufrag" },
	{ "a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n" SECTION, 0,
		"expected a=ice-ufrag beside a=ice-pwd" },
	{ "a=ice-ufrag:EsA\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n", 0,
		"expected a=ice-ufrag of 4 to 256 ice-chars" },
	{ "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCB\r\n", 0,
		"expected a=ice-pwd of 22 to 256 ice-chars" },
	{ SECTION, 0, "expected a=ice-ufrag and a=ice-pwd, a=candidate or a=end-of-candidates" },
};

static void test_bad(void **state)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		size_t bytes = bad[i].bytes != 0 ? bad[i].bytes : strlen(bad[i].body);
		struct sdp_fragment got = { .n_candidates = 77 };
		char cause[SDP_CAUSE_MAX] = "";

		assert_int_equal(
			sdp_fragment_parse(bad[i].body, bytes, &got, cause), SDP_MALFORMED);
		assert_string_equal(cause, bad[i].cause);
		assert_int_equal(got.n_candidates, 77);
	}
}

// The bounds of RFC 8839 5.4, at their edges.
static void test_credential_bounds(void **state)
{
	for (size_t n = 254; n < 259; n++) {
		char body[1200], value[300] = "";
		char cause[SDP_CAUSE_MAX] = "";
		struct sdp_fragment got;

		memset(value, '+', n);
		snprintf(body, sizeof(body), "a=ice-ufrag:%s\r\na=ice-pwd:%s\r\n", value, value);
		assert_int_equal(sdp_fragment_parse(body, strlen(body), &got, cause),
			n <= 256 ? SDP_OK : SDP_MALFORMED);
		if (n <= 256)
			assert_int_equal(strlen(got.ice.pwd), n);
	}
}

static void test_candidate_flood(void **state)
{
	static char body[SDP_OFFER_MAX_BYTES + 14];
	char cause[SDP_CAUSE_MAX] = "";
	struct sdp_fragment got;
	size_t bytes = 0;

	for (; bytes + 14 <= SDP_OFFER_MAX_BYTES; bytes += 14)
		memcpy(body + bytes, "a=candidate:x\n", 14);
	assert_int_equal(sdp_fragment_parse(body, bytes, &got, cause), SDP_OK);
	assert_int_equal(got.n_candidates, bytes / 14);
	assert_int_equal(sdp_fragment_parse(body, sizeof(body), &got, cause), SDP_MALFORMED);
}

static const char restart[] = "a=ice-lite\r\n"
			      "a=ice-options:trickle ice2\r\n"
			      "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n"
			      "a=mid:0\r\n"
			      "a=ice-ufrag:mR7+/aZ0\r\n"
			      "a=ice-pwd:0123456789abcdefABCDEF+/\r\n"
			      "a=candidate:1 1 udp 2130706431 198.18.77.1 8189 typ host\r\n"
			      "a=candidate:2 1 udp 2130706175 fd77::1 8189 typ host\r\n"
			      "a=end-of-candidates\r\n";

// A16: complete, the same options as the answer, and readable by the same parser.
static void test_write(void **state)
{
	static struct fixture_run run;
	char out[sizeof(restart)], cause[SDP_CAUSE_MAX] = "";
	struct sdp_fragment got;
	size_t bytes = 0;

	fixture_run_init(&run);
	assert_int_equal(
		sdp_fragment_write(&run.local, "0", LEG_AUDIO, out, sizeof(out), &bytes), 0);
	assert_int_equal(bytes, sizeof(restart) - 1);
	assert_string_equal(out, restart);
	assert_int_equal(sdp_fragment_parse(out, bytes, &got, cause), SDP_OK);
	assert_int_equal(got.n_candidates, 2);
	assert_string_equal(got.ice.ufrag, "mR7+/aZ0");
	assert_int_equal(
		sdp_fragment_write(&run.local, "", LEG_VIDEO, out, sizeof(out), &bytes), 0);
	assert_null(strstr(out, "a=mid"));
	assert_non_null(strstr(out, "m=video 9"));
}

static void test_write_too_small(void **state)
{
	static struct fixture_run run;

	fixture_run_init(&run);
	for (size_t cap = 0; cap < sizeof(restart); cap++) {
		char *out = malloc(cap + (cap == 0));
		size_t bytes = 77;

		assert_int_equal(
			sdp_fragment_write(&run.local, "0", LEG_AUDIO, out, cap, &bytes), -ENOBUFS);
		assert_int_equal(bytes, 77);
		free(out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_credential_bounds),
		cmocka_unit_test(test_candidate_flood),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_write_too_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
