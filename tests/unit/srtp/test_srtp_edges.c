// Sealing touches what an op names and no byte beside: plaintext and packet stand where the next
// byte is a page that nobody may touch.
#include "tests/unit/srtp/srtp_kit.h"

#include <string.h>
#include <sys/mman.h>

enum {
	PAGE_BYTES = 4096,
	HDR_BYTES = 12,
	SIZES = 700, // two steps of our own cipher and all that may follow them
};

// A page between two that must not be touched.
static uint8_t *fenced_page(void)
{
	uint8_t *at = mmap(NULL, 3 * PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	assert_int_equal(mprotect(at + PAGE_BYTES, PAGE_BYTES, PROT_READ | PROT_WRITE), 0);
	return at + PAGE_BYTES;
}

static void fenced_free(uint8_t *page)
{
	munmap(page - PAGE_BYTES, 3 * PAGE_BYTES);
}

// Seal at the beginnings of both pages, or at their ends, and somewhere in the middle: the same.
static void seal_at_edge(struct srtp_session *s, uint8_t *plain, uint8_t *packet, uint16_t bytes,
	uint16_t tag_bytes, bool at_end)
{
	static const uint8_t nothing[PAGE_BYTES];
	uint16_t sealed_bytes = (uint16_t)(HDR_BYTES + bytes + tag_bytes);
	uint8_t payload[SIZES], middle[2 * PAGE_BYTES] = {};
	uint8_t *pkts[2] = { at_end ? packet + PAGE_BYTES - sealed_bytes : packet,
		middle + PAGE_BYTES };
	struct srtp_text texts[2] = {
		{ .payload = at_end ? plain + PAGE_BYTES - bytes : plain, .seq = 7 },
		{ .payload = payload, .seq = 7 },
	};

	kit_random_fill(payload, bytes);
	memset(packet, 0, PAGE_BYTES);
	if (bytes)
		memcpy((uint8_t *)(uintptr_t)texts[0].payload, payload, bytes);
	for (int i = 0; i < 2; i++) {
		struct srtp_seal_op op = { .session = s,
			.texts = &texts[i],
			.pkts = &pkts[i],
			.hdr_bytes = HDR_BYTES,
			.n = 1 };
		int status = 1;

		texts[i].payload_bytes = bytes;
		kit_rtp_header(pkts[i], 0x01020304, 7);
		assert_int_equal(srtp_seal_rtp(kit_engines[SRTP_ENGINE_FAST], &op, 1, &status), 1);
	}
	assert_memory_equal(pkts[0], pkts[1], sealed_bytes);
	assert_memory_equal(middle, nothing, PAGE_BYTES);
	assert_memory_equal(pkts[1] + sealed_bytes, nothing, (size_t)(PAGE_BYTES - sealed_bytes));
}

static void pages_beside_are_not_touched(void **state)
{
	uint8_t *plain = fenced_page(), *packet = fenced_page();

	for (int i = 0; i < KIT_N_PROFILES; i++) {
		struct srtp_session *s = kit_session(SRTP_ENGINE_FAST, kit_profiles[i], 1, 2);
		uint16_t tag_bytes = srtp_profile_sizes(kit_profiles[i]).tag_bytes;

		for (uint16_t bytes = 0; bytes < SIZES; bytes++) {
			seal_at_edge(s, plain, packet, bytes, tag_bytes, false);
			seal_at_edge(s, plain, packet, bytes, tag_bytes, true);
		}
		srtp_session_destroy(s);
	}
	fenced_free(plain);
	fenced_free(packet);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_beside_are_not_touched),
	};

	return kit_run(tests);
}
