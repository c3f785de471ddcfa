#include "control/sdp/sdp.h"

#include <string.h>

#include "control/sdp/priv/answer.h"
#include "control/sdp/priv/cause.h"
#include "control/sdp/priv/rtp.h"
#include "control/sdp/priv/transport.h"

static void leg_report(const struct sdp_offer *offer, const struct sdp_choice_leg *from,
	struct sdp_negotiated_leg *to)
{
	struct sdp_text mid = offer->sections[from->section].mid;

	if (!from->accepted)
		return;
	to->accepted = true;
	to->section = from->section;
	to->payload_type = from->payload_type;
	to->mid_ext_id = from->mid_ext_id;
	to->nack = from->feedback & SDP_FB_NACK;
	to->rtx_payload_type = from->rtx_payload_type;
	to->pli = from->feedback & SDP_FB_PLI;
	to->fir = from->feedback & SDP_FB_FIR;
	to->profile_mismatch = from->profile_mismatch;
	if (mid.at != NULL)
		memcpy(to->mid, mid.at, mid.bytes);
}

// Reduced size holds for the one bundled RTP session, so every accepted section must agree.
static bool is_rsize_agreed(const struct sdp_offer *offer, const struct sdp_choice *choice)
{
	for (enum leg_kind leg = 0; leg < LEG_COUNT; leg++) {
		if (choice->legs[leg].accepted &&
			!offer->sections[choice->legs[leg].section].rtcp_rsize)
			return false;
	}
	return true;
}

static enum sdp_verdict size_check(size_t offer_bytes, char *cause)
{
	if (offer_bytes == 0)
		return sdp_refuse(cause, SDP_MALFORMED, "expected an SDP offer, not an empty body");
	if (offer_bytes > SDP_OFFER_MAX_BYTES)
		return sdp_refuse(cause, SDP_MALFORMED, "expected at most %d bytes of SDP",
			SDP_OFFER_MAX_BYTES);
	return SDP_OK;
}

// Fill the agreement and write the answer of what was chosen.
static enum sdp_verdict agree(const struct sdp_offer *offer, const struct sdp_choice *choice,
	const struct sdp_stream_leg *legs, const struct sdp_local *local,
	struct sdp_negotiated *agreed, struct sdp_writer *writer)
{
	enum sdp_verdict verdict = sdp_transport_read(offer, choice, agreed, agreed->cause);

	if (verdict != SDP_OK)
		return verdict;
	for (enum leg_kind leg = 0; leg < LEG_COUNT; leg++)
		leg_report(offer, &choice->legs[leg], &agreed->legs[leg]);
	agreed->rtcp_rsize = is_rsize_agreed(offer, choice);
	sdp_answer_write(writer, offer, choice, legs, local);
	if (writer->full)
		return sdp_refuse(agreed->cause, SDP_UNUSABLE,
			"expected an offer whose answer fits in %zu bytes", writer->cap);
	return SDP_OK;
}

enum sdp_verdict sdp_negotiate(const char *offer, size_t offer_bytes,
	const struct sdp_stream_leg *legs, const struct sdp_local *local,
	struct sdp_negotiated *out, char *answer, size_t answer_cap, size_t *answer_bytes)
{
	struct sdp_writer writer = { .out = answer, .cap = answer_cap };
	struct sdp_negotiated agreed = { 0 };
	struct sdp_choice choice = { 0 };
	struct sdp_offer parsed;
	enum sdp_verdict verdict = size_check(offer_bytes, agreed.cause);

	if (verdict == SDP_OK)
		verdict = sdp_offer_parse((struct sdp_text){ .at = offer, .bytes = offer_bytes },
			&parsed, agreed.cause);
	if (verdict == SDP_OK)
		verdict = sdp_choose(&parsed, legs, local, &choice, agreed.cause);
	if (verdict == SDP_OK)
		verdict = agree(&parsed, &choice, legs, local, &agreed, &writer);
	if (verdict != SDP_OK) {
		memcpy(out->cause, agreed.cause, sizeof(out->cause));
		memcpy(out->codec_missing, choice.codec_missing, sizeof(out->codec_missing));
		return verdict;
	}
	// A leg refused under partial_accept stays named: the caller may count it.
	memcpy(agreed.codec_missing, choice.codec_missing, sizeof(agreed.codec_missing));
	memcpy(agreed.missed, choice.missed, sizeof(agreed.missed));
	*out = agreed;
	*answer_bytes = writer.bytes;
	return SDP_OK;
}
