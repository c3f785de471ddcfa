// sprop-parameter-sets: base64 text outside, the body of a STAP-A inside (16-bit size and NAL unit,
// and so on), which is how a worker can send them.
// Source: RFC 6184 5.7.1, 8.1; ITU-T H.264 7.3.1, 7.4.2.1.
#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

#include "control/stream/priv/store.h"

enum {
	NAL_SPS = 7,
	NAL_PPS = 8,
	SPS_MIN_BYTES = 4, // with profile_level_id
	PPS_MIN_BYTES = 2,
	UNIT_TEXT_MAX = (REGION_SPROP_MAX + 2) / 3 * 4,
};

#define BASE64 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

static bool is_base64(const char *text, size_t chars)
{
	size_t digits = strspn(text, BASE64);
	size_t padding;

	if (digits > chars)
		return false;
	padding = strspn(text + digits, "=");
	return chars > 0 && chars % 4 == 0 && padding <= 2 && digits + padding == chars;
}

// Append one unit. Return: 0; -EINVAL not base64; -EMSGSIZE no room.
static int add_unit(const char *text, size_t chars, struct stream_sprop *out)
{
	uint8_t unit[UNIT_TEXT_MAX];
	size_t bytes;

	if (!is_base64(text, chars))
		return -EINVAL;
	bytes = chars / 4 * 3;
	bytes -= (text[chars - 1] == '=') + (text[chars - 2] == '=');
	if (chars > UNIT_TEXT_MAX || out->bytes + 2 + bytes > sizeof(out->units))
		return -EMSGSIZE;
	if (EVP_DecodeBlock(unit, (const uint8_t *)text, (int)chars) < 0)
		return -EINVAL;
	out->units[out->bytes] = (uint8_t)(bytes >> 8);
	out->units[out->bytes + 1] = (uint8_t)bytes;
	memcpy(out->units + out->bytes + 2, unit, bytes);
	out->bytes = (uint16_t)(out->bytes + 2 + bytes);
	return 0;
}

// Return: the next unit's size; 0 the end, or what does not add up: then off is not at the end.
static uint16_t next_unit(const struct stream_sprop *s, uint16_t *off, const uint8_t **unit)
{
	uint16_t bytes;

	if (*off + 2 > s->bytes)
		return 0;
	bytes = (uint16_t)(s->units[*off] << 8 | s->units[*off + 1]);
	if (*off + 2 + bytes > s->bytes)
		return 0;
	*unit = s->units + *off + 2;
	*off = (uint16_t)(*off + 2 + bytes);
	return bytes;
}

// The first byte: forbidden_zero_bit, nal_ref_idc (never 0 for these), type.
static uint8_t unit_type(const uint8_t *unit)
{
	return unit[0] & 0x80 || !(unit[0] & 0x60) ? 0 : unit[0] & 0x1f;
}

int stream_sprop_check(const struct stream_sprop *s, uint8_t profile_level_id[3])
{
	unsigned int n_sps = 0, n_pps = 0;
	const uint8_t *unit;
	uint8_t profile[3];
	uint16_t off = 0, bytes;

	if (s->bytes > sizeof(s->units))
		return -EINVAL;
	while ((bytes = next_unit(s, &off, &unit))) {
		if (unit_type(unit) == NAL_PPS && bytes >= PPS_MIN_BYTES) {
			n_pps++;
			continue;
		}
		if (unit_type(unit) != NAL_SPS || bytes < SPS_MIN_BYTES)
			return -EINVAL;
		if (n_sps++ && memcmp(profile, unit + 1, 3) != 0)
			return -EINVAL; // one stream has one profile
		memcpy(profile, unit + 1, 3);
	}
	if (off != s->bytes || n_sps == 0 || n_pps == 0)
		return -EINVAL;
	memcpy(profile_level_id, profile, 3);
	return 0;
}

int stream_sprop_parse(const char *text, struct stream_sprop *out, uint8_t profile_level_id[3])
{
	struct stream_sprop s = { 0 };
	int rc;

	for (;;) {
		size_t chars = strcspn(text, ",");

		rc = add_unit(text, chars, &s);
		if (rc < 0)
			return rc;
		if (text[chars] == '\0')
			break;
		text += chars + 1;
	}
	rc = stream_sprop_check(&s, profile_level_id);
	if (rc == 0)
		*out = s;
	return rc;
}

json_t *stream_sprop_text(const struct stream_sprop *s)
{
	char text[REGION_SPROP_MAX * 2];
	const uint8_t *unit;
	uint16_t off = 0, bytes;
	size_t n = 0;

	if (s->bytes == 0)
		return json_null();
	while ((bytes = next_unit(s, &off, &unit)) && n + bytes / 3 * 4 + 6 < sizeof(text)) {
		if (n)
			text[n++] = ',';
		n += (size_t)EVP_EncodeBlock((uint8_t *)text + n, unit, bytes);
	}
	return json_stringn(text, n);
}
