// The ICE-lite agent: what each Binding request is answered with.
// Checklist: B18, C3 to C11, C23, C27.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/ice/ice_kit.h"

static void test_credentials(void **state)
{
	uint8_t seen[256] = { 0 };
	struct ice_credentials a, b;

	assert_int_equal(ice_credentials_make(&b), 0);
	for (int round = 0; round < 400; round++) {
		assert_int_equal(ice_credentials_make(&a), 0);
		assert_int_equal(strlen(a.ufrag), ICE_UFRAG_CHARS);
		assert_int_equal(strlen(a.pwd), ICE_PWD_CHARS);
		assert_string_not_equal(a.ufrag, b.ufrag);
		assert_string_not_equal(a.pwd, b.pwd);
		for (const char *c = a.ufrag; *c; c++)
			seen[(uint8_t)*c] = 1;
		for (const char *c = a.pwd; *c; c++)
			seen[(uint8_t)*c] = 1;
		b = a;
	}
	// B18: all of ALPHA DIGIT + /, and nothing else.
	for (int c = 0; c < 256; c++) {
		bool ice_char = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
				(c >= '0' && c <= '9') || c == '+' || c == '/';

		assert_int_equal(seen[c], ice_char);
	}
}

static void test_remote_limits(void **state)
{
	static const struct {
		const char *what;
		size_t ufrag_chars;
		size_t pwd_chars;
		char odd;
		int ret;
	} rows[] = {
		{ "shortest", 4, 22, 'a', 0 },
		{ "longest", 256, 256, 'a', 0 },
		{ "ufrag short", 3, 22, 'a', -EINVAL },
		{ "pwd short", 4, 21, 'a', -EINVAL },
		{ "ufrag without end", 257, 22, 'a', -EINVAL },
		{ "pwd without end", 4, 257, 'a', -EINVAL },
		{ "a dash", 4, 22, '-', -EINVAL },
		{ "a colon", 4, 22, ':', -EINVAL },
		{ "plus", 4, 22, '+', 0 },
		{ "slash", 4, 22, '/', 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ice_remote remote = { 0 };
		struct ice_agent agent, before;

		memset(remote.ufrag, 'a', rows[i].ufrag_chars);
		memset(remote.pwd, 'b', rows[i].pwd_chars);
		remote.ufrag[1] = rows[i].odd;
		if (ice_agent_init(&agent, &remote) != rows[i].ret)
			fail_msg("%s: not %d", rows[i].what, rows[i].ret);
		agent_make(&agent);
		before = agent;
		assert_int_equal(ice_agent_restart(&agent, &remote), rows[i].ret);
		if (rows[i].ret < 0)
			assert_memory_equal(&agent, &before, sizeof(agent));
	}
}

static void test_local_ufrag(void **state)
{
	static const struct {
		const char *username;
		uint16_t username_bytes;
		int ret;
		const char *ufrag;
	} rows[] = {
		{ "Mill+/09:h6vY", 13, 0, "Mill+/09" },
		{ "a:", 2, 0, "a" },
		{ "a:b:c", 5, 0, "a" },
		{ NULL, 0, -ENOENT, NULL },
		{ "", 0, -ENOENT, NULL },
		{ "Mill+/09", 8, -ENOENT, NULL },
		{ "Mill+/09:", 8, -ENOENT, NULL }, // the colon stands behind the end
		{ ":h6vY", 5, -ENOENT, NULL },
		{ "Mill\0/09:h6vY", 13, -ENOENT, NULL },
		{ "Mill\n/09:h6vY", 13, -ENOENT, NULL },
		{ "Mill+/091:h6vY", 14, -EMSGSIZE, NULL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct stun_msg msg = {
			.username = rows[i].username,
			.username_bytes = rows[i].username_bytes,
		};
		char ufrag[ICE_UFRAG_CHARS + 1] = "keep";

		assert_int_equal(ice_local_ufrag(&msg, ufrag), rows[i].ret);
		assert_string_equal(ufrag, rows[i].ret == 0 ? rows[i].ufrag : "keep");
	}
}

struct answer_row {
	const char *line; // of the checklist
	struct recipe recipe;
	const char *reason; // NULL: a success reply
	uint16_t code;
	bool reply;
	bool is_signed;
};

static void answers_check(const struct answer_row *rows, size_t n_rows, bool stray)
{
	for (size_t i = 0; i < n_rows; i++) {
		const struct answer_row *row = &rows[i];
		struct net_path path = path_from(2, 5000);
		struct ice_agent agent, before;
		struct taken t;

		agent_make(&agent);
		before = agent;
		t = take(stray ? NULL : &agent, row->recipe, &path, 1);
		print_message(
			"row %s: %s %d\n", row->line, t.out.reason ? t.out.reason : "good", t.code);
		assert_int_equal(t.out.refused, row->reason != NULL);
		if (row->reason)
			assert_string_equal(t.out.reason, row->reason);
		assert_int_equal(t.code, row->code);
		assert_int_equal(t.out.reply_bytes > 0, row->reply);
		assert_int_equal(t.is_signed, row->is_signed);
		assert_int_equal(t.signed_local, row->is_signed);
		assert_int_equal(t.success, row->reason == NULL);
		assert_int_equal(ice_agent_knows(&agent, &path.remote), row->reason == NULL);
		// A refused packet leaves no trace.
		if (row->reason)
			assert_memory_equal(&agent, &before, sizeof(agent));
	}
}

static void test_answers(void **state)
{
	static const struct answer_row rows[] = {
		{ "C4", { .username = LOCAL_UFRAG ":other" }, NULL, 0, true, true },
		{ "C4", { .username = LOCAL_UFRAG ":" }, NULL, 0, true, true },
		{ "C5", { .no_username = true }, "credentials", 400, true, false },
		{ "C5", { .no_integrity = true }, "credentials", 400, true, false },
		{ "C5", { .username = "nobody12:h6vY" }, "ufrag", 401, true, false },
		{ "C5", { .username = LOCAL_UFRAG }, "ufrag", 401, true, false },
		{ "C5", { .username = ":h6vY", .pwd = "" }, "ufrag", 401, true, false },
		{ "C5", { .username = LOCAL_UFRAG "x:h6vY" }, "ufrag", 401, true, false },
		{ "C5", { .pwd = NEW_PWD }, "integrity", 401, true, false },
		{ "C5", { .pwd = "" }, "integrity", 401, true, false },
		{ "C5", { .pwd = NEW_PWD, .n_unknown = 1, .controlled = true }, "integrity", 401,
			true, false },
		{ "C7", { .no_fingerprint = true }, "fingerprint", 400, true, false },
		{ "C8", { .zero_txid = true }, NULL, 0, true, true },
		{ "C8", { .use_candidate = true }, NULL, 0, true, true },
		{ "C10", { .n_unknown = 1 }, "unknown-attribute", 420, true, true },
		{ "C10", { .n_unknown = 1, .controlled = true }, "unknown-attribute", 420, true,
			true },
		{ "C10", { .extra = 0x8000 }, NULL, 0, true, true },
		{ "C10", { .extra = 0xc001 }, NULL, 0, true, true },
		{ "C10", { .extra = 0x7fff }, "unknown-attribute", 420, true, true },
		{ "C11", { .controlled = true }, "role", 487, true, true },
		{ "C11", { .controlled = true, .no_priority = true }, "role", 487, true, true },
		{ "C11", { .no_priority = true }, "priority", 400, true, true },
		{ "C23", { .type = STUN_BINDING_INDICATION }, "type", 0, false, false },
		{ "C23", { .type = STUN_BINDING_SUCCESS }, "type", 0, false, false },
		{ "C23", { .type = STUN_BINDING_ERROR }, "type", 0, false, false },
		{ "C3", { .type = 0x0003 }, "type", 0, false, false },
	};

	answers_check(rows, sizeof(rows) / sizeof(rows[0]), false);
}

static void test_stray_answers(void **state)
{
	static const struct answer_row rows[] = {
		{ "C5", { 0 }, "ufrag", 401, true, false },
		{ "C5", { .pwd = NEW_PWD }, "ufrag", 401, true, false },
		{ "C5", { .n_unknown = 2 }, "ufrag", 401, true, false },
		{ "C5", { .no_username = true }, "credentials", 400, true, false },
		{ "C5", { .no_integrity = true }, "credentials", 400, true, false },
		{ "C7", { .no_fingerprint = true }, "fingerprint", 400, true, false },
		{ "C23", { .type = STUN_BINDING_INDICATION }, "type", 0, false, false },
	};

	answers_check(rows, sizeof(rows) / sizeof(rows[0]), true);
}

// C27: what is too small for its error gets none.
static void test_no_amplification(void **state)
{
	static const struct recipe small[] = {
		{ .no_username = true,
			.no_integrity = true,
			.no_fingerprint = true,
			.no_priority = true },
		{ .no_username = true, .no_integrity = true, .no_priority = true },
		{ .username = "a:b",
			.no_integrity = true,
			.no_fingerprint = true,
			.no_priority = true },
	};
	struct net_path path = path_from(2, 5000);
	struct ice_agent agent;

	agent_make(&agent);
	for (size_t i = 0; i < sizeof(small) / sizeof(small[0]); i++) {
		assert_int_equal(take(&agent, small[i], &path, 1).out.reply_bytes, 0);
		assert_int_equal(take(NULL, small[i], NULL, 1).out.reply_bytes, 0);
	}
}

// C8, C9, against bytes made by another implementation of HMAC and CRC.
static void test_golden_success(void **state)
{
	static const char golden[] = "\x01\x01\x00\x2c\x21\x12\xa4\x42"
				     "\xa0\xa1\xa2\xa3\xa4\xa5\xa6\xa7\xa8\xa9\xaa\xab"
				     "\x00\x20\x00\x08\x00\x01\x32\x9a\xe7\x00\xe9\x40"
				     "\x00\x08\x00\x14\x20\x46\x9e\xf0\x4e\xa6\xf9\xea\xba\x18"
				     "\xad\xe4\x36\x86\xe9\x8a\x37\xc5\xfa\x31"
				     "\x80\x28\x00\x04\x9c\x2c\xce\xda";
	struct net_path path = path_from(2, 5000);
	uint8_t pkt[BUF_BYTES];
	struct stun_writer w;
	uint16_t pkt_bytes = 0;
	struct ice_agent agent;
	struct taken t;

	agent_make(&agent);
	stun_begin(&w, pkt, sizeof(pkt), STUN_BINDING_REQUEST, (const uint8_t *)golden + 8);
	stun_put(&w, 0x0006, LOCAL_UFRAG ":h6vY", 13);
	stun_put(&w, 0x0024, "\x6e\x7f\x1e\xff", 4);
	stun_put_integrity(&w, LOCAL_PWD, 24);
	stun_put_fingerprint(&w);
	assert_int_equal(stun_end(&w, &pkt_bytes), 0);
	t = take_bytes(&agent, pkt, pkt_bytes, &path, 1);
	assert_true(t.out.authenticated && !t.out.refused);
	assert_int_equal(t.out.reply_bytes, sizeof(golden) - 1);
	assert_memory_equal(t.reply, golden, sizeof(golden) - 1);
}

// C10, the same way.
static void test_golden_unknown(void **state)
{
	static const char golden[] =
		"\x01\x11\x00\x48\x21\x12\xa4\x42\xa0\xa1\xa2\xa3\xa4\xa5\xa6\xa7\xa8\xa9\xaa\xab"
		"\x00\x09\x00\x15\x00\x00\x04\x14Unknown Attribute\x00\x00\x00"
		"\x00\x0a\x00\x06\x00\x1e\x7f\xff\x00\x03\x00\x00"
		"\x00\x08\x00\x14\xcb\x4e\x19\xad\x4f\xfa\x12\x94\xfc\xd7\xd0\x37\xf5\x78\xe6\x07"
		"\x1c\x36\xfe\x4e\x80\x28\x00\x04\x14\x8e\x1d\xc6";
	struct net_path path = path_from(2, 5000);
	uint8_t pkt[BUF_BYTES];
	struct stun_writer w;
	uint16_t pkt_bytes = 0;
	struct ice_agent agent;
	struct taken t;

	agent_make(&agent);
	stun_begin(&w, pkt, sizeof(pkt), STUN_BINDING_REQUEST, (const uint8_t *)golden + 8);
	stun_put(&w, 0x0006, LOCAL_UFRAG ":h6vY", 13);
	stun_put(&w, 0x001e, "userhash", 8);
	stun_put(&w, 0x0024, "\x6e\x7f\x1e\xff", 4);
	stun_put(&w, 0x7fff, NULL, 0);
	stun_put(&w, 0x8022, "optional", 8);
	stun_put(&w, 0x0003, NULL, 0);
	stun_put_integrity(&w, LOCAL_PWD, 24);
	stun_put_fingerprint(&w);
	assert_int_equal(stun_end(&w, &pkt_bytes), 0);
	t = take_bytes(&agent, pkt, pkt_bytes, &path, 1);
	assert_int_equal(t.out.reply_bytes, sizeof(golden) - 1);
	assert_memory_equal(t.reply, golden, sizeof(golden) - 1);
}

// The largest error reply fits, with as many unknown attributes as are told.
static void test_many_unknown(void **state)
{
	struct net_path path = path_from(2, 5000);
	struct ice_agent agent;
	uint16_t bytes = 0;
	struct taken t;

	agent_make(&agent);
	t = take(&agent, (struct recipe){ .n_unknown = 40 }, &path, 1);
	assert_int_equal(t.code, 420);
	assert_non_null(reply_attr(&t, 0x000a, &bytes));
	assert_int_equal(bytes, 2 * STUN_MAX_UNKNOWN);
}

// C3, C7: a packet that is not whole and unchanged is never answered with success.
static void damaged_check(const uint8_t *pkt, uint16_t pkt_bytes)
{
	uint8_t *copy = malloc(pkt_bytes > 0 ? pkt_bytes : 1);
	struct net_path path = path_from(2, 5000);
	struct ice_agent agent;
	struct stun_msg msg;

	assert_non_null(copy);
	memcpy(copy, pkt, pkt_bytes);
	agent_make(&agent);
	if (stun_parse(copy, pkt_bytes, &msg) == 0) {
		struct taken t = take_bytes(&agent, copy, pkt_bytes, &path, 1);

		assert_true(t.out.refused);
		assert_false(t.success);
		assert_false(take_bytes(NULL, copy, pkt_bytes, NULL, 1).success);
	}
	free(copy);
}

static void test_damaged_requests(void **state)
{
	struct recipe r = { .use_candidate = true };
	uint8_t pkt[BUF_BYTES];
	uint16_t pkt_bytes = cook(&r, pkt);

	for (uint16_t cut = 0; cut < pkt_bytes; cut++) {
		uint8_t patched[BUF_BYTES];

		damaged_check(pkt, cut);
		memcpy(patched, pkt, sizeof(patched));
		patched[3] = (uint8_t)(cut - 20);
		damaged_check(patched, cut);
	}
	for (size_t bit = 0; bit < 8u * pkt_bytes; bit++) {
		pkt[bit / 8] ^= (uint8_t)(1 << bit % 8);
		damaged_check(pkt, pkt_bytes);
		pkt[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_credentials),
		cmocka_unit_test(test_remote_limits),
		cmocka_unit_test(test_local_ufrag),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_stray_answers),
		cmocka_unit_test(test_no_amplification),
		cmocka_unit_test(test_golden_success),
		cmocka_unit_test(test_golden_unknown),
		cmocka_unit_test(test_many_unknown),
		cmocka_unit_test(test_damaged_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
