#include "dataplane/ingest/h264.h"

#include <string.h>

enum {
	RBSP_BYTES = 16, // more than the numbers that are read take
	ZEROS_MAX = 15,	 // of an Exp-Golomb prefix
	SLICE_B = 1,	 // slice_type modulo 5
};

// The first bytes without emulation prevention. Return: how many.
static uint32_t unescape(const uint8_t *in, uint32_t in_bytes, uint8_t out[RBSP_BYTES])
{
	uint32_t n = 0, zeros = 0;

	for (uint32_t i = 0; i < in_bytes && n < RBSP_BYTES; i++) {
		if (zeros >= 2 && in[i] == 3) {
			zeros = 0;
			continue;
		}
		zeros = in[i] ? 0 : zeros + 1;
		out[n++] = in[i];
	}
	return n;
}

static unsigned int bit_at(const uint8_t *bytes, uint32_t at)
{
	return bytes[at / 8] >> (7 - at % 8) & 1;
}

// ITU-T H.264 9.1. Return: whether it was there; at moves behind it.
static bool read_number(const uint8_t *bytes, uint32_t n_bits, uint32_t *at, uint32_t *out)
{
	uint32_t zeros = 0, value = 1;

	while (*at + zeros < n_bits && zeros <= ZEROS_MAX && !bit_at(bytes, *at + zeros))
		zeros++;
	if (zeros > ZEROS_MAX || *at + 2 * zeros + 1 > n_bits)
		return false;
	for (uint32_t i = 1; i <= zeros; i++)
		value = value << 1 | bit_at(bytes, *at + zeros + i);
	*at += 2 * zeros + 1;
	*out = value - 1;
	return true;
}

bool h264_number(const uint8_t *rbsp, uint32_t rbsp_bytes, unsigned int nth, uint32_t *out)
{
	uint8_t bytes[RBSP_BYTES];
	uint32_t n_bits = unescape(rbsp, rbsp_bytes, bytes) * 8, at = 0;

	for (;; nth--) {
		if (!read_number(bytes, n_bits, &at, out))
			return false;
		if (nth == 0)
			return true;
	}
}

// first_mb_in_slice and slice_type (7.3.3).
static void inspect_slice(const uint8_t *rbsp, uint32_t rbsp_bytes, struct h264_payload *out)
{
	uint32_t first_mb, slice_type;

	if (!h264_number(rbsp, rbsp_bytes, 0, &first_mb))
		return;
	out->first_slice |= first_mb == 0;
	if (h264_number(rbsp, rbsp_bytes, 1, &slice_type))
		out->b_slice |= slice_type <= 9 && slice_type % 5 == SLICE_B;
}

static bool leads_access_unit(uint8_t type)
{
	return type == H264_NAL_SPS || type == H264_NAL_PPS || type == H264_NAL_SEI ||
	       type == H264_NAL_AUD;
}

static void inspect_nal(const uint8_t *nal, uint32_t nal_bytes, struct h264_payload *out)
{
	uint8_t type = h264_type(nal[0]);

	out->key |= type == H264_NAL_IDR;
	if (type == H264_NAL_SLICE || type == H264_NAL_IDR)
		inspect_slice(nal + 1, nal_bytes - 1, out);
	out->params &= leads_access_unit(type);
	if (type == H264_NAL_SPS && nal_bytes >= 4) {
		out->has_sps = true;
		memcpy(out->profile_level_id, nal + 1, 3);
	}
}

// 16-bit size, NAL unit, and so on; what does not fit any more is left alone, and then nobody knows
// whether it was parameter sets.
static void inspect_stap_a(const uint8_t *payload, uint32_t payload_bytes, struct h264_payload *out)
{
	const uint8_t *unit;
	uint32_t off = 0;
	uint16_t bytes;

	while ((bytes = h264_next_unit(payload + 1, payload_bytes - 1, &off, &unit)))
		inspect_nal(unit, bytes, out);
	if (off == 0 || off != payload_bytes - 1)
		out->params = false;
}

static void inspect_fu_a(const uint8_t *payload, uint32_t payload_bytes, struct h264_payload *out)
{
	uint8_t type;

	out->params = false;
	if (payload_bytes < 2 || !(payload[1] & H264_FU_START))
		return;
	type = h264_type(payload[1]);
	out->key = type == H264_NAL_IDR;
	if (type == H264_NAL_SLICE || type == H264_NAL_IDR)
		inspect_slice(payload + 2, payload_bytes - 2, out);
}

void h264_inspect(const uint8_t *payload, uint16_t payload_bytes, struct h264_payload *out)
{
	*out = (struct h264_payload){ .params = true };
	switch (payload_bytes ? h264_type(payload[0]) : 0) {
	case H264_NAL_STAP_A:
		inspect_stap_a(payload, payload_bytes, out);
		break;
	case H264_NAL_FU_A:
		inspect_fu_a(payload, payload_bytes, out);
		break;
	case 0:
		out->params = false;
		break;
	default:
		inspect_nal(payload, payload_bytes, out);
	}
}
