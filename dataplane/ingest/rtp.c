#include "dataplane/ingest/rtp.h"

#include <errno.h>

static uint16_t be16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t be32(const uint8_t *at)
{
	return (uint32_t)be16(at) << 16 | be16(at + 2);
}

// Return: bytes of header, CSRC list and extension; -EBADMSG when they do not fit.
static int header_bytes(const uint8_t *pkt, uint16_t pkt_bytes)
{
	uint32_t off = RTP_HEADER_BYTES + (pkt[0] & 0x0fu) * 4;

	if (pkt[0] & 0x10) {
		if (off + 4 > pkt_bytes)
			return -EBADMSG;
		off += 4 + be16(pkt + off + 2) * 4u;
	}
	return off > pkt_bytes ? -EBADMSG : (int)off;
}

int rtp_parse(const uint8_t *pkt, uint16_t pkt_bytes, struct rtp_packet *out)
{
	uint32_t padding = 0;
	int off;

	if (pkt_bytes < RTP_HEADER_BYTES)
		return -EMSGSIZE;
	if (pkt[0] >> 6 != 2)
		return -EBADMSG;
	off = header_bytes(pkt, pkt_bytes);
	if (off < 0)
		return off;
	if (pkt[0] & 0x20) {
		padding = pkt[pkt_bytes - 1];
		if (padding == 0 || (uint32_t)off + padding > pkt_bytes)
			return -EBADMSG;
	}
	if ((uint32_t)off + padding == pkt_bytes)
		return -EMSGSIZE;
	*out = (struct rtp_packet){ .ssrc = be32(pkt + 8),
		.timestamp = be32(pkt + 4),
		.seq = be16(pkt + 2),
		.payload_off = (uint16_t)off,
		.payload_bytes = (uint16_t)(pkt_bytes - (uint32_t)off - padding),
		.payload_type = pkt[1] & 0x7f,
		.marker = pkt[1] >> 7 };
	return 0;
}
