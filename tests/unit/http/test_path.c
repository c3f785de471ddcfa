// Paths: what is cut, decoded and refused.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/http/path.h"

static const struct {
	const char *raw;
	int err;
	const char *joined; // the segments, "|" behind each
} paths[] = {
	{ "/", 0, "" },
	{ "/a", 0, "a|" },
	{ "/a/", 0, "a||" },
	{ "//", 0, "||" },
	{ "//a", 0, "|a|" },
	{ "/whep/live/0aZ-._~", 0, "whep|live|0aZ-._~|" },
	{ "/%77%68ep/%6Cive", 0, "whep|live|" },
	{ "/a/...", 0, "a|...|" },
	{ "/a/..b", 0, "a|..b|" },
	{ "/1/2/3/4/5/6/7/8", 0, "1|2|3|4|5|6|7|8|" },
	{ "/1/2/3/4/5/6/7/8/9", -E2BIG, NULL },
	{ "http://edge.example:8080/whep/x", 0, "whep|x|" },
	{ "HTTPS://edge.example/", 0, "" },
	{ "http://edge.example", -EINVAL, NULL },
	{ "", -EINVAL, NULL },
	{ "*", -EINVAL, NULL },
	{ "a/b", -EINVAL, NULL },
	{ "/..", -EINVAL, NULL },
	{ "/a/../b", -EINVAL, NULL },
	{ "/a/.", -EINVAL, NULL },
	{ "/a/%2e%2E/b", -EINVAL, NULL },
	{ "/a/.%2e", -EINVAL, NULL },
	{ "/a/%2", -EINVAL, NULL },
	{ "/a/%", -EINVAL, NULL },
	{ "/a/%zz", -EINVAL, NULL },
	{ "/a/%2fb", -EINVAL, NULL },
	{ "/a/%00", -EINVAL, NULL },
	{ "/a/b%00c", -EINVAL, NULL },
	{ "/a/%252e%252e", -EINVAL, NULL },
	{ "/a/%c0%ae", -EINVAL, NULL },
	{ "/a/\xc3\xa9", -EINVAL, NULL },
	{ "/a b", -EINVAL, NULL },
	{ "/a\\b", -EINVAL, NULL },
	{ "/a;x=1", -EINVAL, NULL },
	{ "/a\x01", -EINVAL, NULL },
};

static void splits(void **state)
{
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		struct http_path path = { .n_segments = 77 };
		char joined[HTTP_PATH_MAX_BYTES * 2] = "";
		int err = http_path_split(paths[i].raw, &path);

		if (err != paths[i].err)
			fail_msg("%s: %d, not %d", paths[i].raw, err, paths[i].err);
		if (err) {
			assert_int_equal(path.n_segments, 77);
			continue;
		}
		for (unsigned int s = 0; s < path.n_segments; s++) {
			strcat(joined, http_path_segment(&path, s));
			strcat(joined, "|");
		}
		assert_string_equal(joined, paths[i].joined);
		assert_null(http_path_segment(&path, path.n_segments));
	}
}

static void longest_path_fits(void **state)
{
	char raw[HTTP_PATH_MAX_BYTES + 2];
	struct http_path path;

	memset(raw, 'a', sizeof(raw));
	raw[0] = '/';
	raw[HTTP_PATH_MAX_BYTES] = '\0';
	assert_int_equal(http_path_split(raw, &path), 0);
	assert_int_equal(strlen(http_path_segment(&path, 0)), HTTP_PATH_MAX_BYTES - 1);
	raw[HTTP_PATH_MAX_BYTES] = 'a';
	raw[HTTP_PATH_MAX_BYTES + 1] = '\0';
	assert_int_equal(http_path_split(raw, &path), -ENAMETOOLONG);
}

static void ids(void **state)
{
	char id[HTTP_ID_MAX_CHARS + 2];

	memset(id, 'x', sizeof(id));
	id[HTTP_ID_MAX_CHARS + 1] = '\0';
	assert_false(http_id_valid(id));
	id[HTTP_ID_MAX_CHARS] = '\0';
	assert_true(http_id_valid(id));
	assert_true(http_id_valid("Cam-1_b.~"));
	assert_false(http_id_valid(""));
	assert_false(http_id_valid("a/b"));
	assert_false(http_id_valid("a b"));
	assert_false(http_id_valid("a%"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(splits),
		cmocka_unit_test(longest_path_fits),
		cmocka_unit_test(ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
