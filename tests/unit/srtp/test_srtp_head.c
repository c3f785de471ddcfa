// Packets whose headers the engine writes, against the same with headers that stand there.
#include "tests/unit/srtp/srtp_kit.h"

#include <string.h>

enum {
	SSRC = 0x0badcafe,
	HEAD_BYTES = SRTP_HEAD_LINES * SRTP_HEAD_LINE_BYTES,
	FRAME_MAX_BYTES = 66, // Ethernet, a VLAN tag, IPv6, UDP
	FIRST_SEQ = 500,
};

struct packet {
	uint8_t payload[KIT_PAYLOAD_MAX_BYTES];
	uint8_t headed[HEAD_BYTES + KIT_PKT_BYTES]; // the frame, from its beginning
	uint8_t stood[KIT_PKT_BYTES];
};

struct run {
	struct srtp_head head;
	uint16_t hdr_bytes;
	uint16_t tag_bytes;
	int64_t shift;
	struct srtp_text texts[SRTP_OP_PACKETS_MAX];
	struct packet pkts[SRTP_OP_PACKETS_MAX];
	uint8_t *headed[SRTP_OP_PACKETS_MAX]; // of each its RTP header
	uint8_t *stood[SRTP_OP_PACKETS_MAX];
};

static void head_fill(struct run *r)
{
	struct srtp_head *head = &r->head;
	uint8_t header[KIT_HDR_MAX_BYTES];

	kit_random_fill((uint8_t *)head, sizeof(*head));
	do {
		head->rtp_at = (uint8_t)kit_random(FRAME_MAX_BYTES + 1);
		r->hdr_bytes = kit_rtp_header_random(header, SSRC, 0);
	} while (head->rtp_at + r->hdr_bytes > HEAD_BYTES);
	header[1] &= 0x7f;
	memcpy(head->bytes + head->rtp_at, header, r->hdr_bytes);
	head->n_lines = head->rtp_at + r->hdr_bytes > SRTP_HEAD_LINE_BYTES ? 2 : 1;
}

// RFC 3550 5.1.
static void put_header(const struct run *r, const struct srtp_text *text, uint8_t *out)
{
	uint64_t index = text->seq + (uint64_t)r->shift;
	uint32_t ts = text->ts + r->head.ts_base;

	memcpy(out, r->head.bytes + r->head.rtp_at, r->hdr_bytes);
	if (text->marker)
		out[1] |= 0x80;
	out[2] = (uint8_t)(index >> 8);
	out[3] = (uint8_t)index;
	for (int i = 0; i < 4; i++)
		out[4 + i] = (uint8_t)(ts >> (24 - 8 * i));
}

static void packet_fill(struct run *r, uint16_t i)
{
	struct packet *p = &r->pkts[i];

	kit_random_fill(p->payload, sizeof(p->payload));
	r->texts[i] = (struct srtp_text){ .payload = p->payload,
		.seq = FIRST_SEQ + i,
		.ts = kit_random(UINT32_MAX),
		.payload_bytes = (uint16_t)kit_random(i % 2 ? 40 : KIT_PAYLOAD_MAX_BYTES + 1),
		.marker = kit_random(2) };
	memset(p->headed, KIT_CANARY, sizeof(p->headed));
	memset(p->stood, KIT_CANARY, sizeof(p->stood));
	put_header(r, &r->texts[i], p->stood);
	r->headed[i] = p->headed + r->head.rtp_at;
	r->stood[i] = p->stood;
}

static void run_fill(struct run *r, uint16_t profile, uint16_t n)
{
	r->shift = (1 << 16) + 65520 - FIRST_SEQ; // over a wrap, for many of them
	r->tag_bytes = srtp_profile_sizes(profile).tag_bytes;
	head_fill(r);
	for (uint16_t i = 0; i < n; i++)
		packet_fill(r, i);
}

static void seal(
	enum srtp_engine_kind kind, uint16_t profile, const struct run *r, bool headed, uint16_t n)
{
	struct srtp_session *s = kit_session(kind, profile, 1, 2);
	int status[SRTP_OP_PACKETS_MAX];
	struct srtp_seal_op op = { .session = s,
		.texts = r->texts,
		.pkts = headed ? r->headed : r->stood,
		.head = headed ? &r->head : NULL,
		.index_shift = r->shift,
		.hdr_bytes = r->hdr_bytes,
		.n = n };

	assert_int_equal(srtp_seal_rtp(kit_engines[kind], &op, 1, status), n);
	srtp_session_destroy(s);
}

// Nothing is written behind the packet but what is left of the head's lines.
static void compare(const struct run *r, uint16_t i)
{
	const struct packet *p = &r->pkts[i];
	size_t bytes = (size_t)r->hdr_bytes + r->texts[i].payload_bytes + r->tag_bytes;
	size_t end = r->head.rtp_at + bytes;
	size_t lines_end = (size_t)r->head.n_lines * SRTP_HEAD_LINE_BYTES;

	assert_memory_equal(p->headed, r->head.bytes, r->head.rtp_at);
	assert_memory_equal(r->headed[i], p->stood, bytes);
	for (size_t at = end > lines_end ? end : lines_end; at < sizeof(p->headed); at++)
		assert_int_equal(p->headed[at], KIT_CANARY);
}

static void heads_in(enum srtp_engine_kind kind, uint16_t profile, uint16_t n)
{
	static struct run r;

	run_fill(&r, profile, n);
	seal(kind, profile, &r, true, n);
	seal(kind, profile, &r, false, n);
	for (uint16_t i = 0; i < n; i++)
		compare(&r, i);
}

static void heads_are_as_headers(void **state)
{
	for (int i = 0; i < KIT_N_PROFILES; i++) {
		for (uint16_t n = 1; n <= SRTP_OP_PACKETS_MAX; n++) {
			heads_in(SRTP_ENGINE_FAST, kit_profiles[i], n);
			heads_in(SRTP_ENGINE_LIBSRTP2, kit_profiles[i], n);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heads_are_as_headers),
	};

	return kit_run(tests);
}
