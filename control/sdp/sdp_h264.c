#include "control/sdp/priv/h264.h"

#include <string.h>

// Profiles as decoders differ by them.
enum profile {
	PROFILE_CB, // constrained baseline
	PROFILE_BASELINE,
	PROFILE_MAIN,
	PROFILE_CH, // constrained high
	PROFILE_HIGH,
	PROFILE_HIGH_444, // predictive
	PROFILE_OTHER,
	PROFILE_COUNT,
};

enum {
	CONSTRAINT_SET3 = 0x10,
	LEVEL_1B_RANK = 105,
};

// RFC 6184 table 5: (profile_idc, profile_iop under a mask); first match wins. Main and High take
// any constraint flags that make nothing narrower of them: encoders set the rest loosely.
static const struct {
	uint8_t idc, mask, value;
	enum profile profile;
} profiles[] = {
	{ 0x42, 0x4f, 0x40, PROFILE_CB },
	{ 0x4d, 0x8f, 0x80, PROFILE_CB },
	{ 0x58, 0xcf, 0xc0, PROFILE_CB },
	{ 0x42, 0x4f, 0x00, PROFILE_BASELINE },
	{ 0x58, 0xcf, 0x80, PROFILE_BASELINE },
	{ 0x4d, 0x00, 0x00, PROFILE_MAIN },
	{ 0x64, 0x0c, 0x0c, PROFILE_CH },
	{ 0x64, 0x00, 0x00, PROFILE_HIGH },
	{ 0xf4, 0xff, 0x00, PROFILE_HIGH_444 },
};

enum {
	MISMATCH = 10, // ranks from here on do not contain the source's profile
	UNRELATED = 20,
};

// rank[source][offered]: 0 the same, then what contains it, then the nearest of the rest.
static const uint8_t ranks[PROFILE_COUNT][PROFILE_COUNT] = {
	[PROFILE_CB] = { 0, 1, 2, 3, 4, 5, UNRELATED },
	[PROFILE_BASELINE] = { 10, 0, 11, 13, 12, 14, UNRELATED },
	[PROFILE_MAIN] = { 12, 11, 0, 10, 1, 2, UNRELATED },
	[PROFILE_CH] = { 12, 11, 10, 0, 1, 2, UNRELATED },
	[PROFILE_HIGH] = { 13, 12, 11, 10, 0, 1, UNRELATED },
	[PROFILE_HIGH_444] = { 13, 14, 12, 11, 10, 0, UNRELATED },
	[PROFILE_OTHER] = { 15, 14, 13, 12, 10, 11, UNRELATED },
};

static enum profile profile_of(const uint8_t id[3])
{
	for (size_t i = 0; i < sizeof(profiles) / sizeof(profiles[0]); i++) {
		if (id[0] == profiles[i].idc && (id[1] & profiles[i].mask) == profiles[i].value)
			return profiles[i].profile;
	}
	return PROFILE_OTHER;
}

// Ten times level_idc, level 1b between 1 and 1.1.
static uint16_t level_rank(const uint8_t id[3])
{
	bool flagged_1b = id[2] == 11 && (id[1] & CONSTRAINT_SET3) && id[0] < 0x64;

	return flagged_1b || id[2] == 9 ? LEVEL_1B_RANK : id[2] * 10;
}

static bool profile_level_id_parse(struct sdp_text text, uint8_t out[3])
{
	if (text.bytes != 6)
		return false;
	for (size_t i = 0; i < 3; i++) {
		int high = sdp_hex_digit(text.at[i * 2]), low = sdp_hex_digit(text.at[i * 2 + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = high << 4 | low;
	}
	return true;
}

static void parameter_read(struct sdp_h264 *h264, struct sdp_text key, struct sdp_text value)
{
	uint32_t number = 0;

	if (sdp_text_is_nocase(key, "profile-level-id")) {
		h264->usable &= profile_level_id_parse(value, h264->profile_level_id);
		h264->profile_text = value;
	} else if (sdp_text_is_nocase(key, "packetization-mode")) {
		h264->usable &= sdp_text_number(value, 1, &number) == 0;
		h264->packetization_mode = number;
		h264->mode_text = value;
	} else if (sdp_text_is_nocase(key, "level-asymmetry-allowed")) {
		if (sdp_text_number(value, 1, &number) == 0)
			h264->asymmetry_text = value;
	}
}

struct sdp_h264 sdp_h264_read(struct sdp_text fmtp)
{
	// Baseline without constraints at level 1 (RFC 6184 8.1).
	struct sdp_h264 h264 = { .usable = true, .profile_level_id = { 0x42, 0x00, 0x0a } };
	struct sdp_text parameter, key;

	while (sdp_word_next(&fmtp, ";", &parameter)) {
		sdp_word_next(&parameter, "=", &key);
		if (parameter.bytes > 0) {
			parameter.at++;
			parameter.bytes--;
		}
		parameter_read(&h264, sdp_text_trim(key), sdp_text_trim(parameter));
	}
	return h264;
}

struct sdp_h264_fit sdp_h264_judge(const struct sdp_h264 *h264, const struct sdp_stream_leg *leg)
{
	enum profile offered = profile_of(h264->profile_level_id);
	struct sdp_h264_fit fit = { .contains = true, .level_ok = true };
	enum profile source;

	if (!leg->profile_known) {
		fit.rank = ranks[PROFILE_CB][offered];
		return fit;
	}
	source = profile_of(leg->profile_level_id);
	fit.rank = ranks[source][offered];
	if (source == PROFILE_OTHER &&
		memcmp(h264->profile_level_id, leg->profile_level_id, 2) == 0)
		fit.rank = 0;
	fit.contains = fit.rank < MISMATCH;
	fit.level_ok = level_rank(h264->profile_level_id) >= level_rank(leg->profile_level_id);
	return fit;
}
