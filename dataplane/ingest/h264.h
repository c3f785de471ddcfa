// What a worker must know of an H.264 payload: does a key frame begin here, what profile is it.
// Source: RFC 6184 5.2 to 5.8; checklist F8.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct h264_payload {
	bool key;    // carries the start of an IDR slice (NAL type 5, alone, in a STAP-A or FU-A)
	bool params; // carries nothing but parameter sets, SEI or a delimiter: leads an access unit
	bool has_sps;		     // profile_level_id is filled
	uint8_t profile_level_id[3]; // profile_idc, constraint flags, level_idc
};

// Never fails: what cannot be read is simply not a key frame.
void h264_inspect(const uint8_t *payload, uint16_t payload_bytes, struct h264_payload *out);
