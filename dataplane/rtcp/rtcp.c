#include "dataplane/rtcp/rtcp.h"

#include <errno.h>
#include <string.h>

enum {
	VERSION_2 = 2 << 6,
	PADDING_BIT = 0x20,
	COUNT_MASK = 0x1f,
	SENDER_BYTES = 24, // SSRC and sender information
	REPORT_BYTES = 24,
	SDES_CNAME = 1,
	FORMAT_NACK = 1,
	FEEDBACK_BYTES = 8, // SSRCs of sender and media
	NACK_BYTES = 4,
	FIR_BYTES = 8,
};

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

static void put16(uint8_t *at, uint16_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static void put32(uint8_t *at, uint32_t v)
{
	put16(at, (uint16_t)(v >> 16));
	put16(at + 2, (uint16_t)v);
}

// Return: bytes of the packet that begins here; 0 when it is malformed.
static uint32_t packet_bytes(const uint8_t *at, uint32_t left)
{
	uint32_t bytes;

	if (left < RTCP_HEADER_BYTES || (at[0] & 0xc0) != VERSION_2)
		return 0;
	bytes = (get16(at + 2) + 1u) * 4;
	if (bytes > left)
		return 0;
	if (at[0] & PADDING_BIT) {
		uint8_t padding = at[bytes - 1];

		// Only the last of a compound may be padded.
		if (bytes != left || padding == 0 || padding % 4 || padding + 4u > bytes)
			return 0;
	}
	return bytes;
}

int rtcp_walk_begin(struct rtcp_walk *walk, const uint8_t *pkt, uint16_t pkt_bytes)
{
	uint32_t off = 0;

	if (pkt_bytes == 0)
		return -EBADMSG;
	while (off < pkt_bytes) {
		uint32_t bytes = packet_bytes(pkt + off, pkt_bytes - off);

		if (bytes == 0)
			return -EBADMSG;
		off += bytes;
	}
	*walk = (struct rtcp_walk){ .at = pkt, .left = pkt_bytes };
	return 0;
}

bool rtcp_walk_next(struct rtcp_walk *walk, struct rtcp_packet *out)
{
	uint32_t bytes;

	if (walk->left == 0)
		return false;
	bytes = packet_bytes(walk->at, walk->left);
	*out = (struct rtcp_packet){ .type = walk->at[1],
		.count = walk->at[0] & COUNT_MASK,
		.body = walk->at + RTCP_HEADER_BYTES,
		.body_bytes = (uint16_t)(bytes - RTCP_HEADER_BYTES) };
	if (walk->at[0] & PADDING_BIT)
		out->body_bytes = (uint16_t)(out->body_bytes - walk->at[bytes - 1]);
	walk->at += bytes;
	walk->left = (uint16_t)(walk->left - bytes);
	return true;
}

bool rtcp_report_get(const struct rtcp_packet *p, unsigned int i, struct rtcp_report *out)
{
	uint32_t off = i * REPORT_BYTES;
	const uint8_t *at;

	if (p->type == RTCP_SR)
		off += SENDER_BYTES;
	else if (p->type == RTCP_RR)
		off += 4;
	else
		return false;
	if (i >= p->count || off + REPORT_BYTES > p->body_bytes)
		return false;
	at = p->body + off;
	*out = (struct rtcp_report){ .ssrc = get32(at),
		.fraction_lost = at[4],
		.lost = (int32_t)((get32(at + 4) & 0xffffff) << 8) >> 8,
		.highest_seq = get32(at + 8),
		.jitter = get32(at + 12),
		.lsr = get32(at + 16),
		.dlsr = get32(at + 20) };
	return true;
}

bool rtcp_sender_get(const struct rtcp_packet *p, uint32_t *ssrc, uint64_t *ntp, uint32_t *ts)
{
	if (p->type != RTCP_SR || p->body_bytes < SENDER_BYTES)
		return false;
	*ssrc = get32(p->body);
	*ntp = (uint64_t)get32(p->body + 4) << 32 | get32(p->body + 8);
	*ts = get32(p->body + 12);
	return true;
}

bool rtcp_nack_get(const struct rtcp_packet *p, unsigned int i, struct rtcp_nack *out)
{
	uint32_t off = FEEDBACK_BYTES + i * NACK_BYTES;

	if (p->type != RTCP_RTPFB || p->count != FORMAT_NACK || off + NACK_BYTES > p->body_bytes)
		return false;
	*out = (struct rtcp_nack){ .ssrc = get32(p->body + 4),
		.pid = get16(p->body + off),
		.blp = get16(p->body + off + 2) };
	return true;
}

// RTCP always holds an SSRC behind its first header, but for an empty BYE or SDES.
uint32_t rtcp_sender_ssrc(const uint8_t *pkt)
{
	return pkt[2] == 0 && pkt[3] == 0 ? 0 : get32(pkt + RTCP_HEADER_BYTES);
}

bool rtcp_feedback_get(const struct rtcp_packet *p, uint32_t *sender, uint32_t *media)
{
	if ((p->type != RTCP_PSFB && p->type != RTCP_RTPFB) || p->body_bytes < FEEDBACK_BYTES)
		return false;
	*sender = get32(p->body);
	*media = get32(p->body + 4);
	return true;
}

bool rtcp_fir_get(const struct rtcp_packet *p, unsigned int i, struct rtcp_fir *out)
{
	uint32_t off = FEEDBACK_BYTES + i * FIR_BYTES;

	if (p->type != RTCP_PSFB || p->count != RTCP_FORMAT_FIR || off + FIR_BYTES > p->body_bytes)
		return false;
	*out = (struct rtcp_fir){ .ssrc = get32(p->body + off), .seq = p->body[off + 4] };
	return true;
}

static uint8_t *put_header(uint8_t *at, uint8_t type, uint8_t count, uint32_t body_bytes)
{
	at[0] = VERSION_2 | count;
	at[1] = type;
	put16(at + 2, (uint16_t)(body_bytes / 4));
	return at + RTCP_HEADER_BYTES;
}

static uint8_t *put_sr(uint8_t *at, const struct rtcp_sender *s)
{
	at = put_header(at, RTCP_SR, 0, SENDER_BYTES);
	put32(at, s->ssrc);
	put32(at + 4, (uint32_t)(s->ntp >> 32));
	put32(at + 8, (uint32_t)s->ntp);
	put32(at + 12, s->ts);
	put32(at + 16, s->packets);
	put32(at + 20, s->octets);
	return at + SENDER_BYTES;
}

// One chunk: SSRC, CNAME item, at least one zero byte, filled up to a word (6.5).
static uint8_t *put_sdes(uint8_t *at, uint32_t ssrc, const char *cname)
{
	size_t name_bytes = strnlen(cname, 64);
	uint32_t body_bytes = (uint32_t)(4 + 2 + name_bytes + 1 + 3) & ~3u;

	at = put_header(at, RTCP_SDES, 1, body_bytes);
	memset(at, 0, body_bytes);
	put32(at, ssrc);
	at[4] = SDES_CNAME;
	at[5] = (uint8_t)name_bytes;
	memcpy(at + 6, cname, name_bytes);
	return at + body_bytes;
}

uint16_t rtcp_build_report(uint8_t *out, const struct rtcp_sender *s)
{
	return (uint16_t)(put_sdes(put_sr(out, s), s->ssrc, s->cname) - out);
}

uint16_t rtcp_build_bye(uint8_t *out, const struct rtcp_sender *s)
{
	uint8_t *at = put_sdes(put_sr(out, s), s->ssrc, s->cname);

	at = put_header(at, RTCP_BYE, 1, 4);
	put32(at, s->ssrc);
	return (uint16_t)(at + 4 - out);
}

uint16_t rtcp_build_pli(uint8_t *out, uint32_t ssrc, const char *cname, uint32_t media_ssrc)
{
	uint8_t *at = put_header(out, RTCP_RR, 0, 4);

	put32(at, ssrc);
	at = put_header(put_sdes(at + 4, ssrc, cname), RTCP_PSFB, RTCP_FORMAT_PLI, FEEDBACK_BYTES);
	put32(at, ssrc);
	put32(at + 4, media_ssrc);
	return (uint16_t)(at + FEEDBACK_BYTES - out);
}
