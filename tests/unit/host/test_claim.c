// When a host asks for its addresses, announces and defends them, second by second.
// Source: RFC 5227 1.1, 2.1, 2.3, 2.4.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "dataplane/host/claim.h"

#define S 1000000000ULL

static struct host_claim c;

// All that is said until then, each at its second.
static void must_say(uint64_t from_s, const char *want)
{
	static const char letter[] = {
		[HOST_SAY_NOTHING] = '.', [HOST_SAY_PROBE] = '?', [HOST_SAY_ANNOUNCEMENT] = '!'
	};

	for (uint64_t s = from_s; *want; s++, want++) {
		assert_int_equal(letter[host_claim_due(&c, s * S)], *want);
		assert_int_equal(host_claim_due(&c, s * S + S / 2), HOST_SAY_NOTHING);
	}
}

static void asks_then_announces(void **state)
{
	c = (struct host_claim){ 0 };
	must_say(100, "..."); // the link is not up yet
	host_claim_begin(&c, 103 * S);
	must_say(103, "???.!!!.....");
}

// What was asked once is said at once: viewers wait for it.
static void a_link_that_comes_back(void **state)
{
	c = (struct host_claim){ 0 };
	host_claim_begin(&c, 100 * S);
	must_say(100, "??");
	host_claim_begin(&c, 102 * S); // it went before all was asked
	must_say(102, "???.!!!...");
	host_claim_begin(&c, 120 * S);
	must_say(120, "!!!...");
}

static void defends(void **state)
{
	c = (struct host_claim){ 0 };
	host_claim_begin(&c, 100 * S);
	must_say(100, "??");
	host_claim_defend(&c, 102 * S); // whoever has it had it first
	must_say(102, "?.!!!...");
	host_claim_defend(&c, 110 * S);
	must_say(110, "!...");
	for (uint64_t s = 114; s <= 120; s++)
		host_claim_defend(&c, s * S); // not a fight
	must_say(120, "..");
	host_claim_defend(&c, 122 * S);
	must_say(122, "!.");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asks_then_announces),
		cmocka_unit_test(a_link_that_comes_back),
		cmocka_unit_test(defends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
