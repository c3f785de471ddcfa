#include "control/sdp/priv/answer.h"

#include <stdio.h>

#include "control/sdp/priv/rtp.h"

struct answer {
	struct sdp_writer *writer;
	const struct sdp_offer *offer;
	const struct sdp_choice *choice;
	const struct sdp_stream_leg *legs;
	const struct sdp_local *local;
};

// At session level and in every accepted section: some libraries look in one, some in the other,
// and some demand them for rejected sections too (B23).
static void transport_write(const struct answer *a)
{
	sdp_write_ice(a->writer, a->local);
	sdp_write_line(a->writer, "a=fingerprint:sha-256 %s", a->local->fingerprint_sha256);
	sdp_write_line(a->writer, "a=setup:passive");
}

// The tagged section first, then the rest in the order of the offer (RFC 9143 7.3.1).
static void bundle_write(const struct answer *a)
{
	const struct sdp_section *sections = a->offer->sections;
	char mids[LEG_COUNT * (SDP_MID_MAX + 1) + 1];
	enum leg_kind leg;
	int n;

	if (a->choice->bundle.at == NULL)
		return;
	n = snprintf(mids, sizeof(mids), " %.*s", SDP_SPAN(sections[a->choice->tagged].mid));
	for (uint8_t i = 0; i < a->offer->n_sections; i++) {
		if (i != a->choice->tagged && sdp_choice_leg_of(a->choice, i, &leg))
			n += snprintf(
				mids + n, sizeof(mids) - n, " %.*s", SDP_SPAN(sections[i].mid));
	}
	sdp_write_line(a->writer, "a=group:BUNDLE%s", mids);
}

static void session_write(const struct answer *a)
{
	sdp_write_line(a->writer, "v=0");
	sdp_write_line(
		a->writer, "o=- %llu 1 IN IP4 0.0.0.0", (unsigned long long)a->local->origin_id);
	sdp_write_line(a->writer, "s=-");
	sdp_write_line(a->writer, "t=0 0");
	bundle_write(a);
	if (a->offer->session.extmap_allow_mixed)
		sdp_write_line(a->writer, "a=extmap-allow-mixed");
	sdp_write_line(a->writer, "a=msid-semantic:WMS *");
	sdp_write_line(a->writer, "a=ice-lite");
	sdp_write_line(a->writer, "a=ice-options:trickle ice2");
	transport_write(a);
}

static void mid_write(const struct answer *a, const struct sdp_section *section)
{
	if (section->mid.at != NULL)
		sdp_write_line(a->writer, "a=mid:%.*s", SDP_SPAN(section->mid));
}

static bool is_rtp(const struct sdp_section *section)
{
	return sdp_text_is(section->media, "audio") || sdp_text_is(section->media, "video");
}

// The offered a=rtpmap of a format, so that a parser that wants a codec finds one.
static void rejected_rtpmap_write(
	const struct answer *a, const struct sdp_section *section, struct sdp_text fmt)
{
	struct sdp_rtp rtp;
	uint32_t type;

	sdp_rtp_read(section, &rtp);
	if (sdp_text_number(fmt, SDP_PAYLOAD_TYPES - 1, &type) < 0)
		return;
	if (sdp_text_is_rtpmap(rtp.payloads[type].rtpmap))
		sdp_write_line(
			a->writer, "a=rtpmap:%u %.*s", type, SDP_SPAN(rtp.payloads[type].rtpmap));
}

// Beyond RFC 3264 6 for deployed parsers, which judge a rejected section too: webrtcbin wants ICE
// and setup in each, Chromium (with max-bundle) and aiortc rtcp-mux, aiortc a codec.
static void rejected_write(const struct answer *a, const struct sdp_section *section)
{
	struct sdp_text rest = section->fmts, fmt;

	sdp_word_next(&rest, " ", &fmt);
	sdp_write_line(a->writer, "m=%.*s 0 %.*s %.*s", SDP_SPAN(section->media),
		SDP_SPAN(section->proto), SDP_SPAN(fmt));
	sdp_write_line(a->writer, "c=IN IP4 0.0.0.0");
	mid_write(a, section);
	transport_write(a);
	sdp_write_line(a->writer, "a=inactive");
	if (!is_rtp(section))
		return;
	sdp_write_line(a->writer, "a=rtcp-mux");
	rejected_rtpmap_write(a, section, fmt);
}

// Only the keys that were offered, with the values as offered: some stacks compare them as text.
static void h264_write(const struct answer *a, const struct sdp_choice_leg *leg)
{
	const struct {
		const char *key;
		struct sdp_text value;
	} keys[] = {
		{ "level-asymmetry-allowed", leg->h264.asymmetry_text },
		{ "packetization-mode", leg->h264.mode_text },
		{ "profile-level-id", leg->h264.profile_text },
	};
	char text[96];
	int n = 0;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (keys[i].value.at != NULL && keys[i].value.bytes <= 6)
			n += snprintf(text + n, sizeof(text) - n, "%s%s=%.*s", n > 0 ? ";" : "",
				keys[i].key, SDP_SPAN(keys[i].value));
	}
	if (n > 0)
		sdp_write_line(a->writer, "a=fmtp:%u %s", leg->payload_type, text);
}

static void codec_write(const struct answer *a, enum leg_kind kind)
{
	const struct sdp_choice_leg *leg = &a->choice->legs[kind];

	sdp_write_line(a->writer, "a=rtpmap:%u %.*s/%u%s", leg->payload_type,
		SDP_SPAN(leg->codec_name), leg_clock_hz(kind), kind == LEG_AUDIO ? "/2" : "");
	for (size_t i = 0; i < SDP_N_FEEDBACK_LINES; i++) {
		if (leg->feedback & sdp_feedback_lines[i].bit)
			sdp_write_line(a->writer, "a=rtcp-fb:%u %s", leg->payload_type,
				sdp_feedback_lines[i].text);
	}
	if (kind == LEG_VIDEO)
		h264_write(a, leg);
	else if (a->legs[LEG_AUDIO].stereo)
		sdp_write_line(a->writer, "a=fmtp:%u stereo=1;sprop-stereo=1", leg->payload_type);
}

// RFC 4588 8.1.
static void rtx_write(const struct answer *a, const struct sdp_choice_leg *leg)
{
	if (leg->rtx_payload_type == SDP_NO_RTX)
		return;
	sdp_write_line(a->writer, "a=rtpmap:%u rtx/90000", leg->rtx_payload_type);
	sdp_write_line(a->writer, "a=fmtp:%u apt=%u", leg->rtx_payload_type, leg->payload_type);
}

// B41: players take retransmissions for what they are by the FID group.
static void sources_write(const struct answer *a, enum leg_kind kind)
{
	bool rtx = a->choice->legs[kind].rtx_payload_type != SDP_NO_RTX;
	const struct sdp_local *local = a->local;

	if (rtx)
		sdp_write_line(
			a->writer, "a=ssrc-group:FID %u %u", local->ssrc[kind], local->rtx_ssrc);
	sdp_write_line(a->writer, "a=ssrc:%u cname:%s", local->ssrc[kind], local->cname);
	if (rtx)
		sdp_write_line(a->writer, "a=ssrc:%u cname:%s", local->rtx_ssrc, local->cname);
}

static void accepted_write(const struct answer *a, uint8_t index, enum leg_kind kind)
{
	const struct sdp_section *section = &a->offer->sections[index];
	const struct sdp_choice_leg *leg = &a->choice->legs[kind];

	if (leg->rtx_payload_type == SDP_NO_RTX)
		sdp_write_line(a->writer, "m=%.*s %d %.*s %u", SDP_SPAN(section->media),
			SDP_PORT_NORMAL, SDP_SPAN(section->proto), leg->payload_type);
	else
		sdp_write_line(a->writer, "m=%.*s %d %.*s %u %u", SDP_SPAN(section->media),
			SDP_PORT_NORMAL, SDP_SPAN(section->proto), leg->payload_type,
			leg->rtx_payload_type);
	sdp_write_line(a->writer, "c=IN IP4 0.0.0.0");
	mid_write(a, section);
	transport_write(a);
	sdp_write_line(a->writer, "a=sendonly");
	sdp_write_line(a->writer, "a=msid:%s %s", a->local->msid_stream, leg_name(kind));
	sdp_write_line(a->writer, "a=rtcp-mux");
	sdp_write_line(a->writer, "a=rtcp-mux-only");
	if (section->rtcp_rsize)
		sdp_write_line(a->writer, "a=rtcp-rsize");
	if (leg->mid_ext_id != 0)
		sdp_write_line(a->writer, "a=extmap:%u urn:ietf:params:rtp-hdrext:sdes:mid",
			leg->mid_ext_id);
	if (section->own.extmap_allow_mixed)
		sdp_write_line(a->writer, "a=extmap-allow-mixed");
	codec_write(a, kind);
	rtx_write(a, leg);
	sources_write(a, kind);
	if (index == a->choice->tagged)
		sdp_write_candidates(a->writer, a->local);
}

void sdp_answer_write(struct sdp_writer *writer, const struct sdp_offer *offer,
	const struct sdp_choice *choice, const struct sdp_stream_leg *legs,
	const struct sdp_local *local)
{
	const struct answer answer = {
		.writer = writer, .offer = offer, .choice = choice, .legs = legs, .local = local
	};
	enum leg_kind kind;

	session_write(&answer);
	for (uint8_t i = 0; i < offer->n_sections; i++) {
		if (sdp_choice_leg_of(choice, i, &kind))
			accepted_write(&answer, i, kind);
		else
			rejected_write(&answer, &offer->sections[i]);
	}
}
