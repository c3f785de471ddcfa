// Where a key frame begins, told from crafted payloads.
// Source: RFC 6184 5.2 (table 1), 5.6, 5.7.1, 5.8; checklist F8.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "dataplane/ingest/h264.h"

struct payload {
	const char *what;
	uint8_t bytes[24];
	uint16_t n;
	bool key;
	bool params;
	bool has_sps;
};

// 0x67 is an SPS with NRI 3, 0x68 a PPS, 0x65 an IDR slice, 0x41 another slice, 0x06 SEI, 0x09 a
// delimiter; 0x78 a STAP-A, 0x7c an FU-A.
static const struct payload payloads[] = {
	{ "nothing", { 0 }, 0, false, false, false },
	{ "type 0", { 0x60, 1, 2, 3, 4 }, 5, false, false, false },
	{ "slice", { 0x41, 0x9a, 1 }, 3, false, false, false },
	{ "slice of one byte", { 0x41 }, 1, false, false, false },
	{ "data partition A", { 0x42, 1 }, 2, false, false, false },
	{ "IDR slice", { 0x65, 0x88, 1 }, 3, true, false, false },
	{ "IDR slice, NRI 1", { 0x25, 0x88, 1 }, 3, true, false, false },
	{ "IDR slice of one byte", { 0x65 }, 1, true, false, false },
	{ "SPS alone", { 0x67, 0x42, 0xc0, 0x1f, 0x8c }, 5, false, true, true },
	{ "SPS of four bytes", { 0x67, 0x42, 0xc0, 0x1f }, 4, false, true, true },
	{ "SPS without its level", { 0x67, 0x42, 0xc0 }, 3, false, true, false },
	{ "PPS alone", { 0x68, 0xce }, 2, false, true, false },
	{ "SEI", { 0x06, 5, 1 }, 3, false, true, false },
	{ "delimiter", { 0x09, 0x10 }, 2, false, true, false },
	{ "filler", { 0x0c, 0xff }, 2, false, false, false },
	{ "STAP-A of nothing", { 0x78 }, 1, false, false, false },
	{ "STAP-A, SPS and PPS", { 0x78, 0, 4, 0x67, 0x42, 0xc0, 0x1f, 0, 2, 0x68, 0xce }, 11,
		false, true, true },
	{ "STAP-A, SPS, PPS and IDR",
		{ 0x78, 0, 4, 0x67, 0x42, 0xc0, 0x1f, 0, 2, 0x68, 0xce, 0, 2, 0x65, 0x88 }, 15,
		true, false, true },
	{ "STAP-A, IDR last and of one byte", { 0x78, 0, 2, 0x06, 5, 0, 1, 0x65 }, 8, true, false,
		false },
	{ "STAP-A, slices", { 0x78, 0, 2, 0x41, 1, 0, 2, 0x41, 2 }, 9, false, false, false },
	{ "STAP-A with half a size", { 0x78, 0 }, 2, false, false, false },
	{ "STAP-A with a size alone", { 0x78, 0, 1 }, 3, false, false, false },
	{ "STAP-A, a unit of no bytes", { 0x78, 0, 0, 0x65, 0x88 }, 5, false, false, false },
	{ "STAP-A, one byte too long", { 0x78, 0, 3, 0x65, 0x88 }, 5, false, false, false },
	{ "STAP-A, far too long", { 0x78, 0xff, 0xff, 0x65, 0x88 }, 5, false, false, false },
	{ "STAP-A, the second lies", { 0x78, 0, 4, 0x67, 0x42, 0xc0, 0x1f, 0, 9, 0x65, 0x88 }, 11,
		false, false, true },
	{ "STAP-A, a byte left over", { 0x78, 0, 2, 0x68, 0xce, 0 }, 6, false, false, false },
	{ "FU-A starts an IDR", { 0x7c, 0x85, 0x88 }, 3, true, false, false },
	{ "FU-A starts an IDR, nothing behind", { 0x7c, 0x85 }, 2, true, false, false },
	{ "FU-A goes on with an IDR", { 0x7c, 0x05, 0x88 }, 3, false, false, false },
	{ "FU-A ends an IDR", { 0x7c, 0x45, 0x88 }, 3, false, false, false },
	{ "FU-A starts a slice", { 0x7c, 0x81, 0x9a }, 3, false, false, false },
	{ "FU-A starts an SPS", { 0x7c, 0x87, 0x42, 0xc0, 0x1f }, 5, false, false, false },
	{ "FU-A without its header", { 0x7c }, 1, false, false, false },
	{ "FU-B", { 0x7d, 0x85, 0, 0 }, 4, false, false, false },
	{ "STAP-B", { 0x79, 0, 0, 0, 2, 0x65, 0x88 }, 7, false, false, false },
	{ "reserved 31", { 0x7f, 0x65 }, 2, false, false, false },
};

static void payloads_are_told(void **state)
{
	for (size_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++) {
		const struct payload *p = &payloads[i];
		uint8_t *heap = malloc(p->n ? p->n : 1);
		struct h264_payload h;

		memcpy(heap, p->bytes, p->n);
		memset(&h, 0xff, sizeof(h));
		h264_inspect(heap, p->n, &h);
		if (h.key != p->key || h.params != p->params || h.has_sps != p->has_sps)
			fail_msg("%s: key %d, params %d, SPS %d", p->what, h.key, h.params,
				h.has_sps);
		if (h.has_sps)
			assert_memory_equal(h.profile_level_id, "\x42\xc0\x1f", 3);
		free(heap);
	}
}

// Whatever the type, cut anywhere: what is not there is not read (heap pieces of just that size).
static void every_type_cut_anywhere(void **state)
{
	static const uint8_t whole[] = { 0, 0, 4, 0x67, 0x42, 0xc0, 0x1f, 0, 2, 0x68, 0xce, 0, 3,
		0x65, 0x88, 0x80 };

	for (int type = 0; type < 256; type++) {
		for (uint16_t cut = 0; cut <= sizeof(whole); cut++) {
			uint8_t *part = malloc(cut ? cut : 1);
			struct h264_payload h;

			memcpy(part, whole, cut);
			if (cut)
				part[0] = (uint8_t)type;
			h264_inspect(part, cut, &h);
			assert_false(h.key && h.params);
			if ((type & 0x1f) == 24)
				assert_int_equal(h.key, cut == sizeof(whole));
			free(part);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(payloads_are_told),
		cmocka_unit_test(every_type_cut_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
