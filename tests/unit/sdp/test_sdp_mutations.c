// Damaged offers: whatever is done to a recorded one, it is refused with a cause or answered with
// an answer that holds against the damaged text. No outcome is assumed but those two.
#include "tests/unit/sdp/fixture.h"

// What to do to the line [from, to) of an offer.
typedef void (*mutate_line)(
	const struct fixture_offer *, size_t from, size_t to, struct fixture_offer *out);

static void append(struct fixture_offer *out, const char *text, size_t bytes)
{
	assert_true(out->bytes + bytes < sizeof(out->text));
	memcpy(out->text + out->bytes, text, bytes);
	out->bytes += bytes;
	out->text[out->bytes] = '\0';
}

static void line_remove(
	const struct fixture_offer *offer, size_t from, size_t to, struct fixture_offer *out)
{
	append(out, offer->text, from);
	append(out, offer->text + to, offer->bytes - to);
}

static void line_duplicate(
	const struct fixture_offer *offer, size_t from, size_t to, struct fixture_offer *out)
{
	append(out, offer->text, to);
	append(out, offer->text + from, offer->bytes - from);
}

// Session-level lines fall into a section and the other way round.
static void line_to_end(
	const struct fixture_offer *offer, size_t from, size_t to, struct fixture_offer *out)
{
	line_remove(offer, from, to, out);
	append(out, offer->text + from, to - from);
}

static void line_cut_in_half(
	const struct fixture_offer *offer, size_t from, size_t to, struct fixture_offer *out)
{
	append(out, offer->text, from + (to - from) / 2);
	append(out, "\r\n", 2);
	append(out, offer->text + to, offer->bytes - to);
}

static void each_line(const char *name, mutate_line mutate)
{
	static struct fixture_offer offer, damaged;
	static struct fixture_run run;
	size_t to;

	fixture_load(name, &offer);
	fixture_run_init(&run);
	for (size_t from = 0; from < offer.bytes; from = to) {
		to = strchr(offer.text + from, '\n') - offer.text + 1;
		damaged.bytes = 0;
		mutate(&offer, from, to, &damaged);
		run.legs[LEG_VIDEO].present = run.legs[LEG_AUDIO].present = true;
		fixture_negotiate(&run, &damaged);
		run.legs[LEG_AUDIO].present = false;
		fixture_negotiate(&run, &damaged);
	}
}

static void test_lines(void **state)
{
	static const mutate_line ways[] = { line_remove, line_duplicate, line_to_end,
		line_cut_in_half };

	for (size_t i = 0; fixture_names[i] != NULL; i++) {
		for (size_t way = 0; way < sizeof(ways) / sizeof(ways[0]); way++)
			each_line(fixture_names[i], ways[way]);
	}
}

// Cut after each byte: what is left either still works or is refused.
static void test_truncations(void **state)
{
	static const char *const names[] = { "chromium-data", "hand-firefox-h264-av", "aiortc-av",
		"webrtcbin-max-bundle" };
	static struct fixture_offer offer;
	static struct fixture_run run;
	unsigned int n_refused = 0, n_answered = 0;

	fixture_run_init(&run);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		fixture_load(names[i], &offer);
		for (; offer.bytes > 0; offer.bytes--) {
			if (fixture_negotiate(&run, &offer) == SDP_OK)
				n_answered++;
			else
				n_refused++;
		}
	}
	assert_true(n_answered > 100 && n_refused > 1000);
}

// Each byte replaced by ones that mean something to the grammar.
static void test_byte_changes(void **state)
{
	static const char bytes[] = { '\0', ' ', '\r', '\n', ':', '/', '0', '\xff' };
	static struct fixture_offer offer;
	static struct fixture_run run;

	fixture_run_init(&run);
	fixture_load("webrtcbin-data", &offer);
	for (size_t i = 0; i < offer.bytes; i++) {
		char kept = offer.text[i];

		for (size_t b = 0; b < sizeof(bytes); b++) {
			offer.text[i] = bytes[b];
			if (memchr(offer.text, '\0', offer.bytes) == NULL)
				fixture_negotiate(&run, &offer);
			else
				assert_int_equal(fixture_negotiate(&run, &offer), SDP_MALFORMED);
		}
		offer.text[i] = kept;
	}
}

// An answer, read as an offer: well-formed, and refused for what it says, not for how.
static void test_answers_are_well_formed(void **state)
{
	static struct fixture_offer offer, again;
	static struct fixture_run run;

	for (size_t i = 0; fixture_names[i] != NULL; i++) {
		fixture_run_init(&run);
		fixture_load(fixture_names[i], &offer);
		if (fixture_negotiate(&run, &offer) != SDP_OK)
			continue;
		again.bytes = 0;
		append(&again, run.answer, run.answer_bytes);
		assert_int_equal(fixture_negotiate(&run, &again), SDP_UNUSABLE);
		assert_non_null(strstr(run.agreed.cause, "expected direction"));
		fixture_replace_all(&again, "a=sendonly", "a=recvonly");
		assert_int_equal(fixture_negotiate(&run, &again), SDP_UNUSABLE);
		assert_non_null(strstr(run.agreed.cause, "not a=ice-lite"));
		fixture_replace(&again, "a=ice-lite\r\n", "");
		fixture_replace_all(&again, "a=setup:passive", "a=setup:active");
		assert_int_equal(fixture_negotiate(&run, &again), SDP_OK);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_truncations),
		cmocka_unit_test(test_byte_changes),
		cmocka_unit_test(test_answers_are_well_formed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
