#include "control/sdp/priv/rtp.h"

#include <string.h>

#define MID_EXT_URI "urn:ietf:params:rtp-hdrext:sdes:mid"

const struct sdp_feedback_line sdp_feedback_lines[SDP_N_FEEDBACK_LINES] = {
	{ "nack", SDP_FB_NACK, { [LEG_VIDEO] = true, [LEG_AUDIO] = true } },
	{ "nack pli", SDP_FB_PLI, { [LEG_VIDEO] = true } },
	{ "ccm fir", SDP_FB_FIR, { [LEG_VIDEO] = true } },
};

// With rtcp-mux a marked packet of types 64 to 95 looks like RTCP (RFC 5761 4).
static bool is_safe_type(uint32_t type)
{
	return type < 64 || type > 95;
}

static void formats_read(struct sdp_text fmts, struct sdp_rtp *rtp)
{
	struct sdp_text word;
	uint32_t type;

	while (sdp_word_next(&fmts, " ", &word)) {
		if (sdp_text_number(word, SDP_PAYLOAD_TYPES - 1, &type) < 0)
			continue;
		if (!is_safe_type(type) || rtp->payloads[type].offered)
			continue;
		rtp->payloads[type].offered = true;
		rtp->order[rtp->n_order++] = type;
	}
}

// Return: the payload that "96 rest" speaks of, rest left in value; NULL if not in the m= line.
static struct sdp_payload *payload_take(struct sdp_rtp *rtp, struct sdp_text *value)
{
	struct sdp_text word;
	uint32_t type;

	sdp_word_next(value, " \t", &word);
	if (sdp_text_number(word, SDP_PAYLOAD_TYPES - 1, &type) < 0)
		return NULL;
	*value = sdp_text_trim(*value);
	return rtp->payloads[type].offered ? &rtp->payloads[type] : NULL;
}

static void rtpmap_read(struct sdp_rtp *rtp, struct sdp_text value)
{
	struct sdp_payload *payload = payload_take(rtp, &value);

	if (payload != NULL && payload->rtpmap.at == NULL)
		payload->rtpmap = value;
}

static void fmtp_read(struct sdp_rtp *rtp, struct sdp_text value)
{
	struct sdp_payload *payload = payload_take(rtp, &value);

	if (payload != NULL && payload->fmtp.at == NULL)
		payload->fmtp = value;
}

static void feedback_read(struct sdp_rtp *rtp, struct sdp_text value)
{
	struct sdp_text all, rest = value;
	struct sdp_payload *payload;
	uint8_t *bits;

	if (sdp_word_next(&rest, " \t", &all) && sdp_text_is(all, "*")) {
		value = sdp_text_trim(rest);
		bits = &rtp->feedback_all;
	} else {
		payload = payload_take(rtp, &value);
		if (payload == NULL)
			return;
		bits = &payload->feedback;
	}
	for (size_t i = 0; i < SDP_N_FEEDBACK_LINES; i++) {
		if (sdp_text_is_nocase(value, sdp_feedback_lines[i].text))
			*bits |= sdp_feedback_lines[i].bit;
	}
}

// "4/recvonly": whether the viewer would read what we send.
static bool is_received(struct sdp_text direction)
{
	return direction.bytes == 0 || sdp_text_is_nocase(direction, "/recvonly") ||
	       sdp_text_is_nocase(direction, "/sendrecv");
}

static void extmap_read(struct sdp_rtp *rtp, struct sdp_text value)
{
	struct sdp_text id, number, uri;
	uint32_t parsed;

	if (!sdp_word_next(&value, " \t", &id) || !sdp_word_next(&value, " \t", &uri))
		return;
	sdp_word_next(&id, "/", &number);
	if (sdp_text_number(number, SDP_EXT_ID_MAX, &parsed) < 0 || parsed == 0)
		return;
	if (is_received(id) && sdp_text_is(uri, MID_EXT_URI) && rtp->mid_ext_id == 0)
		rtp->mid_ext_id = parsed;
}

static const struct {
	const char *name;
	void (*read)(struct sdp_rtp *, struct sdp_text value);
} readers[] = {
	{ "rtpmap", rtpmap_read },
	{ "fmtp", fmtp_read },
	{ "rtcp-fb", feedback_read },
	{ "extmap", extmap_read },
};

void sdp_rtp_read(const struct sdp_section *section, struct sdp_rtp *out)
{
	struct sdp_cursor cursor = sdp_cursor_over(section->body);
	struct sdp_text name, value;
	struct sdp_line line;

	memset(out, 0, sizeof(*out));
	formats_read(section->fmts, out);
	while (sdp_line_next(&cursor, &line) == 1) {
		if (line.type != 'a')
			continue;
		sdp_attribute_split(line.value, &name, &value);
		for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++) {
			if (sdp_text_is(name, readers[i].name))
				readers[i].read(out, value);
		}
	}
}

uint8_t sdp_rtp_feedback(const struct sdp_rtp *rtp, uint8_t payload_type, enum leg_kind leg)
{
	uint8_t offered = rtp->payloads[payload_type].feedback | rtp->feedback_all;
	uint8_t agreed = 0;

	for (size_t i = 0; i < SDP_N_FEEDBACK_LINES; i++) {
		if (sdp_feedback_lines[i].legs[leg])
			agreed |= offered & sdp_feedback_lines[i].bit;
	}
	return agreed;
}

// Whether an fmtp has apt with that number; other keys may stand beside it.
static bool is_apt_of(struct sdp_text fmtp, uint8_t payload_type)
{
	struct sdp_text rest, key, value;
	uint32_t apt;

	while (sdp_word_next(&fmtp, ";", &rest)) {
		sdp_word_next(&rest, "=", &key);
		sdp_word_next(&rest, "=", &value);
		if (sdp_text_is_nocase(sdp_text_trim(key), "apt"))
			return sdp_text_number(sdp_text_trim(value), SDP_PAYLOAD_TYPES - 1, &apt) ==
				       0 &&
			       apt == payload_type;
	}
	return false;
}

uint8_t sdp_rtp_rtx(const struct sdp_rtp *rtp, uint8_t payload_type)
{
	for (uint8_t i = 0; i < rtp->n_order; i++) {
		const struct sdp_payload *payload = &rtp->payloads[rtp->order[i]];

		if (payload->rtpmap.at != NULL && payload->fmtp.at != NULL &&
			sdp_text_is_nocase(payload->rtpmap, "rtx/90000") &&
			is_apt_of(payload->fmtp, payload_type))
			return rtp->order[i];
	}
	return SDP_NO_RTX;
}

bool sdp_payload_is(const struct sdp_payload *payload, enum leg_kind leg)
{
	struct sdp_text rest = payload->rtpmap, name, clock, channels;
	uint32_t clock_hz;

	if (rest.at == NULL || !sdp_word_next(&rest, "/", &name) ||
		!sdp_word_next(&rest, "/", &clock) || !sdp_text_is_nocase(name, leg_codec(leg)) ||
		sdp_text_number(clock, UINT32_MAX, &clock_hz) < 0 || clock_hz != leg_clock_hz(leg))
		return false;
	if (!sdp_word_next(&rest, "/", &channels))
		return leg == LEG_VIDEO;
	return sdp_text_is(channels, leg == LEG_AUDIO ? "2" : "1");
}
