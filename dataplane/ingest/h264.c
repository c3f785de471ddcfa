#include "dataplane/ingest/h264.h"

#include <string.h>

enum {
	NAL_IDR = 5,
	NAL_SEI = 6,
	NAL_SPS = 7,
	NAL_PPS = 8,
	NAL_AUD = 9,
	NAL_STAP_A = 24,
	NAL_FU_A = 28,
	NAL_TYPE_MASK = 0x1f,
	FU_START_BIT = 0x80,
};

static bool leads_access_unit(uint8_t type)
{
	return type == NAL_SPS || type == NAL_PPS || type == NAL_SEI || type == NAL_AUD;
}

static void inspect_nal(const uint8_t *nal, uint32_t nal_bytes, struct h264_payload *out)
{
	uint8_t type = nal[0] & NAL_TYPE_MASK;

	out->key |= type == NAL_IDR;
	out->params &= leads_access_unit(type);
	if (type == NAL_SPS && nal_bytes >= 4) {
		out->has_sps = true;
		memcpy(out->profile_level_id, nal + 1, 3);
	}
}

// 16-bit size, NAL unit, and so on; what does not fit any more is left alone, and then nobody knows
// whether it was parameter sets.
static void inspect_stap_a(const uint8_t *payload, uint32_t payload_bytes, struct h264_payload *out)
{
	uint32_t off = 1;

	while (off + 2 < payload_bytes) {
		uint32_t nal_bytes = (uint32_t)payload[off] << 8 | payload[off + 1];

		off += 2;
		if (nal_bytes == 0 || off + nal_bytes > payload_bytes)
			break;
		inspect_nal(payload + off, nal_bytes, out);
		off += nal_bytes;
	}
	if (off == 1 || off != payload_bytes)
		out->params = false;
}

void h264_inspect(const uint8_t *payload, uint16_t payload_bytes, struct h264_payload *out)
{
	*out = (struct h264_payload){ .params = true };
	switch (payload_bytes ? payload[0] & NAL_TYPE_MASK : 0) {
	case NAL_STAP_A:
		inspect_stap_a(payload, payload_bytes, out);
		break;
	case NAL_FU_A:
		out->params = false;
		out->key = payload_bytes >= 2 && (payload[1] & FU_START_BIT) &&
			   (payload[1] & NAL_TYPE_MASK) == NAL_IDR;
		break;
	case 0:
		out->params = false;
		break;
	default:
		inspect_nal(payload, payload_bytes, out);
	}
}
