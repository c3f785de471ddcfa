#include "tests/load/rtcp.h"

#include <string.h>

#include "tests/load/wire.h"

enum {
	SR = 200,
	RR = 201,
	SDES = 202,
	BYE = 203,
	SR_BYTES = 28,
	CNAME_ITEM = 1,
};

static void read_sender(const uint8_t *at, uint64_t now_us, const struct rtcp_events *events)
{
	const struct rtcp_sender sr = { .ssrc = wire_get32(at + 4),
		.ntp = (uint64_t)wire_get32(at + 8) << 32 | wire_get32(at + 12),
		.rtp = wire_get32(at + 16),
		.packets = wire_get32(at + 20),
		.octets = wire_get32(at + 24) };

	events->sender(events->arg, &sr, now_us);
}

bool rtcp_walk(const uint8_t *pkt, size_t bytes, uint64_t now_us, const struct rtcp_events *events)
{
	bool has_sr = false, has_cname = false;

	if (bytes < 8 || (pkt[1] != SR && pkt[1] != RR))
		return false;
	for (size_t off = 0; off < bytes;) {
		const uint8_t *at = pkt + off;
		size_t length;

		if (off + 4 > bytes || at[0] >> 6 != 2)
			return false;
		length = 4u * (wire_get16(at + 2) + 1u);
		if (off + length > bytes)
			return false;
		if (at[1] == SR && length < SR_BYTES)
			return false;
		if (at[1] == SR)
			read_sender(at, now_us, events);
		has_sr |= at[1] == SR;
		has_cname |= at[1] == SDES && length > 10 && at[8] == CNAME_ITEM && at[9] > 0;
		for (size_t i = 0; at[1] == BYE && i < (at[0] & 31u) && 8 + 4 * i <= length; i++)
			events->bye(events->arg, wire_get32(at + 4 + 4 * i));
		off += length;
	}
	return has_cname || !has_sr;
}

static void write_block(const struct rtcp_block *b, uint8_t *at)
{
	wire_put32(at, b->ssrc);
	wire_put32(at + 4, (uint32_t)b->lost & 0xffffff);
	wire_put32(at + 8, b->highest_seq);
	wire_put32(at + 12, 0);
	wire_put32(at + 16, (uint32_t)(b->sr_ntp >> 16));
	wire_put32(at + 20, (uint32_t)(b->sr_age_us * 65536 / 1000000));
}

size_t rtcp_write_report(
	uint32_t ssrc, const struct rtcp_block *blocks, unsigned int n, uint8_t *out)
{
	static const uint8_t cname[8] = { CNAME_ITEM, 4, 'l', 'o', 'a', 'd', 0, 0 };
	uint8_t *at = out;

	at[0] = (uint8_t)(0x80 | n);
	at[1] = RR;
	wire_put16(at + 2, (uint16_t)(1 + 6 * n));
	wire_put32(at + 4, ssrc);
	at += 8;
	for (unsigned int i = 0; i < n; i++, at += 24)
		write_block(&blocks[i], at);
	at[0] = 0x81;
	at[1] = SDES;
	wire_put16(at + 2, 3);
	wire_put32(at + 4, ssrc);
	memcpy(at + 8, cname, sizeof(cname));
	return (size_t)(at + 16 - out);
}
