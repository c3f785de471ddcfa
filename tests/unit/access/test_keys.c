// Files of static keys: what they may hold, what is wrong with them, whom they let in; reload.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/access/priv/keys.h"
#include "tests/unit/access/access_kit.h"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))
#define K16	"0123456789abcdef"

static void good_files(void **state)
{
	static const struct {
		const char *text, *token, *stream;
		enum keys_verdict verdict;
	} rows[] = {
		{ K16, K16, "live", KEYS_OK },
		{ K16 "\n", K16, NULL, KEYS_OK },
		{ "# a comment\n\n  \t\n " K16 " \t\r\n#" K16 "x\n", K16, "live", KEYS_OK },
		{ "#" K16 "x\n" K16 "\n", K16 "x", "live", KEYS_UNKNOWN },
		{ "A-._~+/=zZ09zzzzzz\n", "A-._~+/=zZ09zzzzzz", "live", KEYS_OK },
		{ K16 "1\n" K16 "2\n" K16 "3\n", K16 "2", "live", KEYS_OK },
		{ K16 "1\n" K16 "2\n", K16, "live", KEYS_UNKNOWN },
		{ K16 "1\n" K16 "2\n", K16 "12", "live", KEYS_UNKNOWN },
		{ K16 "\n", "", "live", KEYS_UNKNOWN },
		{ K16 "\n", "0123456789ABCDEF", "live", KEYS_UNKNOWN },
		{ K16 " live other\n", K16, "live", KEYS_OK },
		{ K16 " live other\n", K16, "other", KEYS_OK },
		{ K16 " live other\n", K16, "third", KEYS_OTHER_STREAM },
		{ K16 " live other\n", K16, "liv", KEYS_OTHER_STREAM },
		{ K16 " live other\n", K16, NULL, KEYS_OK },
		{ K16 " live\n" K16 "2 other\n", K16 "2", "live", KEYS_OTHER_STREAM },
	};
	char fault[SECRET_FAULT_MAX];
	struct keys *keys;

	for (size_t i = 0; i < N(rows); i++) {
		const char *path = kit_text("viewers", 0640, rows[i].text);
		enum keys_verdict verdict;

		if (keys_load(path, true, &keys, fault))
			fail_msg("row %zu: %s", i, fault);
		verdict = keys_find(keys, rows[i].token, rows[i].stream);
		if (verdict != rows[i].verdict)
			fail_msg("row %zu: %d, not %d", i, verdict, rows[i].verdict);
		keys_free(keys);
	}
	assert_int_equal(keys_find(NULL, K16, NULL), KEYS_UNKNOWN);
	keys_free(NULL);
}

static void faulty_files(void **state)
{
	static const struct {
		const char *text;
		unsigned int mode;
		bool with_streams;
		int err;
		const char *says;
	} rows[] = {
		{ "", 0600, false, -EINVAL, ": expected at least one key" },
		{ "# " K16 "\n\n", 0600, false, -EINVAL, ": expected at least one key" },
		{ K16, 0604, false, -EACCES, "every user" },
		{ K16, 0602, false, -EACCES, "every user" },
		{ K16, 0644, false, -EACCES, "every user" },
		{ "\n0123456789abcde\n", 0600, false, -EINVAL, ":2: expected a key of 16" },
		{ K16 "\"\n", 0600, false, -EINVAL, ":1: expected a key of letters" },
		{ K16 "\xc3\xa4\n", 0600, false, -EINVAL, ":1: expected a key of letters" },
		{ K16 " live\n", 0600, false, -EINVAL, ":1: expected one key and nothing" },
		{ K16 " # mine\n", 0600, true, -EINVAL, ":1: expected stream ids" },
		{ K16 " a b c d e f g h i\n", 0600, true, -EINVAL, ":1: expected at most 8" },
		{ K16 "\n" K16 "\n", 0600, false, -EINVAL, ":2: this key stands there twice" },
	};
	char fault[SECRET_FAULT_MAX];
	struct keys *keys = NULL;

	for (size_t i = 0; i < N(rows); i++) {
		const char *path = kit_text("api", rows[i].mode, rows[i].text);
		int err = keys_load(path, rows[i].with_streams, &keys, fault);

		if (err != rows[i].err || !strstr(fault, rows[i].says) ||
			strncmp(fault, path, strlen(path)) != 0 || strchr(fault, '\n'))
			fail_msg("row %zu: %d, %s", i, err, fault);
		assert_null(strstr(fault, K16)); // a log is no place for keys
	}
	assert_null(keys);
	assert_int_equal(keys_load("/nonexistent/x", false, &keys, fault), -ENOENT);
	assert_int_equal(keys_load("/tmp", false, &keys, fault), -EINVAL);
	assert_int_equal(keys_load("/dev/null", false, &keys, fault), -EINVAL);
	assert_int_equal(
		keys_load(kit_file("api", 0600, K16 "\0", 17), false, &keys, fault), -EINVAL);
}

static void sizes(void **state)
{
	static char text[SECRET_FILE_MAX_BYTES + 1];
	char fault[SECRET_FAULT_MAX];
	struct keys *keys;
	size_t used = 0;

	memset(text, '#', sizeof(text));
	assert_int_equal(
		keys_load(kit_file("api", 0600, text, sizeof(text)), false, &keys, fault), -EFBIG);
	for (unsigned int i = 0; i < KEYS_MAX; i++)
		used += (size_t)sprintf(text + used, K16 "%u\n", i);
	assert_int_equal(keys_load(kit_file("api", 0600, text, used), false, &keys, fault), 0);
	assert_int_equal(keys_find(keys, K16 "0", NULL), KEYS_OK);
	assert_int_equal(keys_find(keys, K16 "1023", NULL), KEYS_OK);
	keys_free(keys);
	used += (size_t)sprintf(text + used, K16 "last\n");
	assert_int_equal(keys_load(kit_file("api", 0600, text, used), false, &keys, fault), -E2BIG);
	memset(text, 'k', 257);
	assert_int_equal(keys_load(kit_file("api", 0600, text, 256), false, &keys, fault), 0);
	keys_free(keys);
	assert_int_equal(keys_load(kit_file("api", 0600, text, 257), false, &keys, fault), -EINVAL);
}

// Which key opens what, and that a reload is all or nothing.
static void keys_and_reload(void **state)
{
	struct conf *conf = kit_conf();
	struct access_holder holder = { .known = true };
	char fault[SECRET_FAULT_MAX];
	struct access *a;

	assert_int_equal(access_create(conf, &a, fault), 0);
	assert_false(access_has_api_keys(a) || access_has_jwt(a) || access_guards_viewers(a));
	assert_int_equal(access_judge_api(a, "", KIT_NOW_S), ACCESS_BAD_TOKEN);
	access_destroy(a);
	strcpy(conf->access.api_keys_file, kit_text("api", 0600, "api-" K16));
	strcpy(conf->access.viewer_keys_file, kit_text("viewers", 0600, "viewer-" K16 " live"));
	assert_int_equal(access_create(conf, &a, fault), 0);
	assert_true(access_has_api_keys(a) && access_guards_viewers(a) && !access_has_jwt(a));
	assert_int_equal(access_judge_api(a, "api-" K16, KIT_NOW_S), ACCESS_OK);
	assert_int_equal(access_judge_api(a, "viewer-" K16, KIT_NOW_S), ACCESS_NOT_ENTITLED);
	assert_int_equal(access_judge_api(a, "nobody-" K16, KIT_NOW_S), ACCESS_BAD_TOKEN);
	assert_int_equal(
		access_judge_viewer(a, "viewer-" K16, "live", KIT_NOW_S, &holder), ACCESS_OK);
	assert_false(holder.known);
	assert_int_equal(access_judge_viewer(a, "viewer-" K16, "other", KIT_NOW_S, &holder),
		ACCESS_NOT_ENTITLED);
	assert_int_equal(
		access_judge_viewer(a, "api-" K16, "other", KIT_NOW_S, &holder), ACCESS_OK);
	assert_int_equal(access_judge_viewer(a, "nobody-" K16, "live", KIT_NOW_S, &holder),
		ACCESS_BAD_TOKEN);
	kit_text("api", 0600, "new-" K16);
	kit_text("viewers", 0644, "new-viewer-" K16);
	assert_int_equal(access_reload(a, fault), -EACCES);
	assert_int_equal(access_judge_api(a, "api-" K16, KIT_NOW_S), ACCESS_OK);
	assert_int_equal(access_judge_api(a, "new-" K16, KIT_NOW_S), ACCESS_BAD_TOKEN);
	kit_text("viewers", 0600, "new-viewer-" K16);
	assert_int_equal(access_reload(a, fault), 0);
	assert_int_equal(access_judge_api(a, "api-" K16, KIT_NOW_S), ACCESS_BAD_TOKEN);
	assert_int_equal(access_judge_api(a, "new-" K16, KIT_NOW_S), ACCESS_OK);
	access_destroy(a);
	access_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_files),
		cmocka_unit_test(faulty_files),
		cmocka_unit_test(sizes),
		cmocka_unit_test(keys_and_reload),
	};

	return cmocka_run_group_tests(tests, kit_start, kit_stop);
}
