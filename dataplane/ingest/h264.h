// What a worker must know of an H.264 payload: does a key frame begin here, what profile is it.
// Source: RFC 6184 5.2 to 5.8; checklist F8.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct h264_payload {
	bool key;    // carries the start of an IDR slice (NAL type 5, alone, in a STAP-A or FU-A)
	bool params; // carries nothing but parameter sets, SEI or a delimiter: leads an access unit
	bool first_slice;	     // a picture's first slice begins in it
	bool b_slice;		     // a slice begins in it that may refer to later pictures
	bool has_sps;		     // profile_level_id is filled
	uint8_t profile_level_id[3]; // profile_idc, constraint flags, level_idc
};

enum {
	H264_NAL_SLICE = 1,
	H264_NAL_IDR = 5,
	H264_NAL_SEI = 6,
	H264_NAL_SPS = 7,
	H264_NAL_PPS = 8,
	H264_NAL_AUD = 9,
	H264_NAL_FILLER = 12,
	H264_NAL_STAP_A = 24,
	H264_NAL_FU_A = 28,
	H264_NAL_TYPE_MASK = 0x1f,
	H264_FU_START = 0x80,
};

static inline uint8_t h264_type(uint8_t nal_header)
{
	return nal_header & H264_NAL_TYPE_MASK;
}

// The units of a STAP-A's body: a 16-bit size and a NAL unit, and so on.
// off:    in and out, where the next begins; starts at 0.
// Return: the unit's size; 0 the end, or what does not add up: then off is not at the end.
static inline uint16_t h264_next_unit(
	const uint8_t *body, uint32_t body_bytes, uint32_t *off, const uint8_t **unit)
{
	uint16_t bytes;

	if (*off + 2 > body_bytes)
		return 0;
	bytes = (uint16_t)(body[*off] << 8 | body[*off + 1]);
	if (bytes == 0 || *off + 2 + bytes > body_bytes)
		return 0;
	*unit = body + *off + 2;
	*off += 2u + bytes;
	return bytes;
}

// An Exp-Golomb number at a bit of a NAL unit's payload, below 65535.
// rbsp:   without its header byte; emulation prevention bytes are skipped in the first few.
// nth:    of the numbers that stand there from the first bit on.
// Return: whether it is there.
bool h264_number(const uint8_t *rbsp, uint32_t rbsp_bytes, unsigned int nth, uint32_t *out);

// Never fails: what cannot be read is simply not a key frame.
void h264_inspect(const uint8_t *payload, uint16_t payload_bytes, struct h264_payload *out);
