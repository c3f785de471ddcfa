// If-Match by strong comparison (RFC 9110 8.8.3.2, 13.1.1).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/whep/if_match.h"

static const struct {
	const char *list, *etag;
	bool match;
} cases[] = {
	{ "\"a\"", "\"a\"", true },
	{ "\"b\"", "\"a\"", false },
	{ "\"a\", \"b\"", "\"b\"", true },
	{ "\"a\",\"b\"", "\"b\"", true },
	{ "\"a\"\t,\t\"b\" ", "\"b\"", true },
	{ ", ,\"a\"", "\"a\"", true }, // empty elements: RFC 9110 5.6.1
	{ "\"a\", ", "\"a\"", true },
	{ "\"a\", ", "\"b\"", false },

	// Any.
	{ "*", "\"a\"", true },
	{ " *", "\"a\"", true },
	{ "\"*\"", "\"a\"", true },
	{ "\"b\", \"*\"", "\"a\"", true },
	{ "*x", "\"a\"", false },
	{ "\"**\"", "\"a\"", false },

	// Weak tags match nothing, and do not hide what follows.
	{ "W/\"a\"", "\"a\"", false },
	{ "W/\"*\"", "\"a\"", false },
	{ "W/\"a\", \"a\"", "\"a\"", true },
	{ "W/\"x\", \"y\"", "\"a\"", false },
	{ "w/\"a\"", "\"a\"", false },

	// Parts of it are not it.
	{ "\"a\"", "\"ab\"", false },
	{ "\"ab\"", "\"a\"", false },
	{ "\"A\"", "\"a\"", false },
	{ "\"a,b\"", "\"b\"", false },
	{ "\"a, \"", "\"a\"", false },
	{ "\"\"", "\"\"", true },
	{ "\"\"", "\"a\"", false },

	// What is no list.
	{ "", "\"a\"", false },
	{ ",", "\"a\"", false },
	{ "a", "\"a\"", false },
	{ "\"a", "\"a\"", false },
	{ "\"", "\"a\"", false },
	{ "W/", "\"a\"", false },
	{ "W/\"", "\"a\"", false },
	{ "W/\"a", "\"a\"", false },
	{ "b \"a\"", "\"a\"", false },
	{ "\"b\"; \"a\"", "\"a\"", false },
};

static void lists_match_as_they_should(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (if_match(cases[i].list, cases[i].etag) != cases[i].match)
			fail_msg("%s %s %s", cases[i].list, cases[i].match ? "misses" : "matches",
				cases[i].etag);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(lists_match_as_they_should) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
