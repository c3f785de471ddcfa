#include "control/sdp/priv/choose.h"

#include <stdio.h>
#include <string.h>

#include "control/sdp/priv/cause.h"
#include "control/sdp/priv/rtp.h"

// How far a section gets for a leg; the furthest speaks for the leg when none is good.
enum progress {
	NOT_OFFERED = 0, // no section of the kind: the viewer does not ask for it
	BAD_PROTO,
	BAD_DIRECTION,
	NO_CODEC,
	BAD_MODE, // strict: H.264 without packetization-mode=1
	BAD_PROFILE,
	GOOD,
};

struct context {
	const struct sdp_offer *offer;
	const struct sdp_stream_leg *legs;
	const struct sdp_local *local;
	struct sdp_choice *choice;
	char *cause;
};

static bool in_bundle(struct sdp_text mids, struct sdp_text mid)
{
	struct sdp_text word;

	while (sdp_word_next(&mids, " ", &word)) {
		if (sdp_text_equal(word, mid))
			return true;
	}
	return false;
}

// Return: the group that lists the section; at NULL if none does.
static struct sdp_text bundle_of(const struct sdp_offer *offer, const struct sdp_section *section)
{
	for (uint8_t i = 0; i < offer->n_bundles && section->mid.at != NULL; i++) {
		if (in_bundle(offer->bundles[i], section->mid))
			return offer->bundles[i];
	}
	return (struct sdp_text){ 0 };
}

// Port 0 rejects a section, unless it is bundle-only in a group (RFC 9143 6).
static bool is_live(const struct sdp_offer *offer, const struct sdp_section *section)
{
	return section->port != 0 || (section->bundle_only && bundle_of(offer, section).at != NULL);
}

static bool is_rtp_proto(struct sdp_text proto)
{
	static const char *const known[] = {
		"UDP/TLS/RTP/SAVPF",
		"UDP/TLS/RTP/SAVP",
		"TCP/TLS/RTP/SAVPF",
		"TCP/TLS/RTP/SAVP",
		"TCP/DTLS/RTP/SAVPF",
		"TCP/DTLS/RTP/SAVP",
		"RTP/SAVPF",
		"RTP/SAVP",
		"RTP/AVPF",
		"RTP/AVP",
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (sdp_text_is(proto, known[i]))
			return true;
	}
	return false;
}

// A payload type worth answering, and how good it is: lower is better.
struct candidate {
	uint8_t type;
	uint32_t cost;
	struct sdp_h264 h264;
	bool profile_mismatch;
};

// Judge one H.264 payload type.
// Return: GOOD with out filled, or what stands against it.
static enum progress h264_weigh(
	const struct context *ctx, const struct sdp_payload *payload, struct candidate *out)
{
	struct sdp_h264 h264 = sdp_h264_read(payload->fmtp);
	struct sdp_h264_fit fit;

	if (!h264.usable)
		return NO_CODEC;
	if (ctx->local->strict_h264 && h264.packetization_mode != 1)
		return BAD_MODE;
	fit = sdp_h264_judge(&h264, &ctx->legs[LEG_VIDEO]);
	if (ctx->local->strict_h264 && !(fit.contains && fit.level_ok))
		return BAD_PROFILE;
	out->cost = (h264.packetization_mode == 1 ? 0 : 256) + fit.rank;
	out->h264 = h264;
	out->profile_mismatch = !fit.contains;
	return GOOD;
}

static enum progress payload_choose(const struct context *ctx, const struct sdp_rtp *rtp,
	enum leg_kind leg, struct candidate *best)
{
	enum progress furthest = NO_CODEC;

	for (uint8_t i = 0; i < rtp->n_order; i++) {
		const struct sdp_payload *payload = &rtp->payloads[rtp->order[i]];
		struct candidate candidate = { .type = rtp->order[i] };
		enum progress progress = GOOD;

		if (!sdp_payload_is(payload, leg))
			continue;
		if (leg == LEG_VIDEO)
			progress = h264_weigh(ctx, payload, &candidate);
		if (progress == GOOD && (furthest != GOOD || candidate.cost < best->cost))
			*best = candidate;
		if (progress > furthest)
			furthest = progress;
	}
	return furthest;
}

static void leg_accept(const struct context *ctx, uint8_t section, const struct sdp_rtp *rtp,
	enum leg_kind leg, const struct candidate *best)
{
	struct sdp_choice_leg *out = &ctx->choice->legs[leg];
	struct sdp_text rtpmap = rtp->payloads[best->type].rtpmap;

	out->accepted = true;
	out->section = section;
	out->payload_type = best->type;
	out->mid_ext_id = rtp->mid_ext_id;
	out->feedback = sdp_rtp_feedback(rtp, best->type, leg);
	if (!ctx->local->repair)
		out->feedback &= (uint8_t)~SDP_FB_NACK;
	out->rtx_payload_type = SDP_NO_RTX;
	if (leg == LEG_VIDEO && (out->feedback & SDP_FB_NACK))
		out->rtx_payload_type = sdp_rtp_rtx(rtp, best->type);
	sdp_word_next(&rtpmap, "/", &out->codec_name);
	out->h264 = best->h264;
	out->profile_mismatch = best->profile_mismatch;
}

static enum progress section_try(const struct context *ctx, uint8_t index, enum leg_kind leg)
{
	const struct sdp_section *section = &ctx->offer->sections[index];
	enum sdp_direction direction = sdp_section_direction(ctx->offer, section);
	struct candidate best = { 0 };
	enum progress progress;
	struct sdp_rtp rtp;

	if (!sdp_text_is(section->media, leg_name(leg)) || !is_live(ctx->offer, section))
		return NOT_OFFERED;
	if (!is_rtp_proto(section->proto))
		return BAD_PROTO;
	if (direction == SDP_SENDONLY || direction == SDP_INACTIVE)
		return BAD_DIRECTION;
	sdp_rtp_read(section, &rtp);
	progress = payload_choose(ctx, &rtp, leg, &best);
	if (progress == GOOD)
		leg_accept(ctx, index, &rtp, leg, &best);
	return progress;
}

// The first good section of the kind serves the leg; the others are rejected (B8).
static enum progress leg_choose(const struct context *ctx, enum leg_kind leg)
{
	enum progress furthest = NOT_OFFERED;

	for (uint8_t i = 0; i < ctx->offer->n_sections && furthest != GOOD; i++) {
		enum progress progress = section_try(ctx, i, leg);

		if (progress > furthest)
			furthest = progress;
	}
	return furthest;
}

// Whether the viewer would take the leg, had the stream one.
static bool leg_wanted(const struct context *ctx, enum leg_kind leg)
{
	for (uint8_t i = 0; i < ctx->offer->n_sections; i++) {
		const struct sdp_section *section = &ctx->offer->sections[i];
		enum sdp_direction direction = sdp_section_direction(ctx->offer, section);
		struct sdp_rtp rtp;

		if (!sdp_text_is(section->media, leg_name(leg)) || !is_live(ctx->offer, section) ||
			direction == SDP_SENDONLY || direction == SDP_INACTIVE)
			continue;
		sdp_rtp_read(section, &rtp);
		for (uint8_t k = 0; k < rtp.n_order; k++)
			if (sdp_payload_is(&rtp.payloads[rtp.order[k]], leg))
				return true;
	}
	return false;
}

static enum sdp_verdict leg_refuse(const struct context *ctx, enum leg_kind leg, enum progress why)
{
	static const char *const expected[] = {
		[BAD_PROTO] = "a (S)AVPF transport protocol such as UDP/TLS/RTP/SAVPF",
		[BAD_DIRECTION] = "direction recvonly or sendrecv",
		[BAD_MODE] = "H264 with packetization-mode=1",
		[BAD_PROFILE] = "an H264 profile and level that contain the source's",
	};

	return sdp_refuse(
		ctx->cause, SDP_UNUSABLE, "%s section: expected %s", leg_name(leg), expected[why]);
}

static enum sdp_verdict codecs_refuse(const struct context *ctx)
{
	const bool *missing = ctx->choice->codec_missing;
	bool both = missing[LEG_VIDEO] && missing[LEG_AUDIO];

	return sdp_refuse(ctx->cause, SDP_CODEC_MISSING, "offer lacks %s%s%s",
		missing[LEG_VIDEO] ? leg_codec(LEG_VIDEO) : "", both ? " and " : "",
		missing[LEG_AUDIO] ? leg_codec(LEG_AUDIO) : "");
}

static enum sdp_verdict legs_choose(const struct context *ctx)
{
	struct sdp_choice *choice = ctx->choice;
	bool missing = false, accepted = false;

	for (enum leg_kind leg = 0; leg < LEG_COUNT; leg++) {
		enum progress progress = NOT_OFFERED;

		if (ctx->legs[leg].present)
			progress = leg_choose(ctx, leg);
		else
			choice->missed[leg] = leg_wanted(ctx, leg);
		if (progress != GOOD && progress != NOT_OFFERED && progress != NO_CODEC)
			return leg_refuse(ctx, leg, progress);
		choice->codec_missing[leg] = progress == NO_CODEC;
		missing |= progress == NO_CODEC;
		accepted |= progress == GOOD;
	}
	if (missing && !(accepted && ctx->local->partial_accept))
		return codecs_refuse(ctx);
	if (!accepted)
		return sdp_refuse(ctx->cause, SDP_UNUSABLE,
			"expected an audio or video section for what the stream has");
	return SDP_OK;
}

static uint8_t count_rtp_sections(const struct sdp_offer *offer)
{
	uint8_t n = 0;

	for (uint8_t i = 0; i < offer->n_sections; i++) {
		const struct sdp_section *section = &offer->sections[i];

		if (is_live(offer, section) && (sdp_text_is(section->media, "audio") ||
						       sdp_text_is(section->media, "video")))
			n++;
	}
	return n;
}

// The group of the accepted sections, one for all (WHEP 4.5.1).
static enum sdp_verdict bundle_choose(const struct context *ctx)
{
	const struct sdp_offer *offer = ctx->offer;
	struct sdp_choice *choice = ctx->choice;
	bool first = true;

	if (offer->n_bundles == 0 && count_rtp_sections(offer) > 1)
		return sdp_refuse(ctx->cause, SDP_UNUSABLE,
			"expected a=group:BUNDLE over the audio and video sections");
	for (enum leg_kind leg = 0; leg < LEG_COUNT; leg++) {
		struct sdp_text group;

		if (!choice->legs[leg].accepted)
			continue;
		group = bundle_of(offer, &offer->sections[choice->legs[leg].section]);
		if (!first && (group.at == NULL || group.at != choice->bundle.at))
			return sdp_refuse(ctx->cause, SDP_UNUSABLE,
				"expected audio and video in one BUNDLE group");
		choice->bundle = group;
		first = false;
	}
	return SDP_OK;
}

bool sdp_choice_leg_of(const struct sdp_choice *choice, uint8_t section, enum leg_kind *leg)
{
	for (enum leg_kind i = 0; i < LEG_COUNT; i++) {
		if (choice->legs[i].accepted && choice->legs[i].section == section) {
			*leg = i;
			return true;
		}
	}
	return false;
}

static uint8_t any_accepted(const struct sdp_choice *choice)
{
	for (enum leg_kind leg = 0; leg < LEG_COUNT; leg++) {
		if (choice->legs[leg].accepted)
			return choice->legs[leg].section;
	}
	return 0;
}

// The first listed mid that is accepted and has a port; a bundle-only one if there is no other.
static void tagged_choose(const struct context *ctx)
{
	struct sdp_choice *choice = ctx->choice;
	struct sdp_text rest = choice->bundle, mid;
	bool found = false, first = true;
	enum leg_kind leg;

	choice->tagged = choice->offerer_tagged = any_accepted(choice);
	while (sdp_word_next(&rest, " ", &mid)) {
		int index = sdp_offer_find_mid(ctx->offer, mid);

		if (index < 0)
			continue;
		if (first)
			choice->offerer_tagged = index;
		first = false;
		if (!sdp_choice_leg_of(choice, index, &leg))
			continue;
		if (!found)
			choice->tagged = index;
		found = true;
		if (ctx->offer->sections[index].port != 0) {
			choice->tagged = index;
			return;
		}
	}
}

static enum sdp_verdict mids_check(const struct context *ctx)
{
	for (enum leg_kind leg = 0; leg < LEG_COUNT; leg++) {
		const struct sdp_choice_leg *chosen = &ctx->choice->legs[leg];

		if (chosen->accepted &&
			ctx->offer->sections[chosen->section].mid.bytes > SDP_MID_MAX)
			return sdp_refuse(ctx->cause, SDP_UNUSABLE,
				"%s section: expected a mid of at most %d characters",
				leg_name(leg), SDP_MID_MAX);
	}
	return SDP_OK;
}

// One id a URI over the bundled sections (RFC 9143 12): the tagged section's holds.
static void extensions_settle(const struct context *ctx)
{
	struct sdp_choice *choice = ctx->choice;
	uint8_t agreed = 0;
	enum leg_kind tagged;

	if (sdp_choice_leg_of(choice, choice->tagged, &tagged))
		agreed = choice->legs[tagged].mid_ext_id;
	for (enum leg_kind leg = 0; leg < LEG_COUNT; leg++) {
		struct sdp_choice_leg *chosen = &choice->legs[leg];
		bool conflict = agreed != 0 && chosen->mid_ext_id != agreed;

		if (!chosen->accepted)
			continue;
		if (conflict || ctx->offer->sections[chosen->section].mid.at == NULL)
			chosen->mid_ext_id = 0;
	}
}

enum sdp_verdict sdp_choose(const struct sdp_offer *offer, const struct sdp_stream_leg *legs,
	const struct sdp_local *local, struct sdp_choice *out, char cause[SDP_CAUSE_MAX])
{
	struct context ctx = {
		.offer = offer, .legs = legs, .local = local, .choice = out, .cause = cause
	};
	enum sdp_verdict verdict;

	memset(out, 0, sizeof(*out));
	verdict = legs_choose(&ctx);
	if (verdict == SDP_OK)
		verdict = mids_check(&ctx);
	if (verdict == SDP_OK)
		verdict = bundle_choose(&ctx);
	if (verdict != SDP_OK)
		return verdict;
	tagged_choose(&ctx);
	extensions_settle(&ctx);
	return SDP_OK;
}
