#include "control/sdp/priv/transport.h"

#include <string.h>

#include "control/sdp/priv/cause.h"

enum {
	UFRAG_MIN = 4,
	PWD_MIN = 22,
};

static bool is_ice_chars(struct sdp_text text, size_t min_bytes)
{
	if (text.bytes < min_bytes || text.bytes > ICE_REMOTE_MAX)
		return false;
	for (size_t i = 0; i < text.bytes; i++) {
		char c = text.at[i];
		bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
			     (c >= 'A' && c <= 'Z');

		if (!alnum && c != '+' && c != '/')
			return false;
	}
	return true;
}

bool sdp_is_ice_ufrag(struct sdp_text text)
{
	return is_ice_chars(text, UFRAG_MIN);
}

bool sdp_is_ice_pwd(struct sdp_text text)
{
	return is_ice_chars(text, PWD_MIN);
}

void sdp_ice_copy(struct sdp_text text, char out[ICE_REMOTE_MAX + 1])
{
	memset(out, 0, ICE_REMOTE_MAX + 1);
	memcpy(out, text.at, text.bytes);
}

// The scopes in which to look for a value, nearest first.
struct scopes {
	const struct sdp_attributes *list[3];
	uint8_t n;
	bool rtcp_mux;
};

static struct scopes scopes_of(const struct sdp_offer *offer, const struct sdp_choice *choice)
{
	const struct sdp_section *tagged = &offer->sections[choice->tagged];
	const struct sdp_section *speaker = &offer->sections[choice->offerer_tagged];
	struct scopes scopes = { .list = { &tagged->own }, .n = 1, .rtcp_mux = tagged->rtcp_mux };

	if (tagged->port == 0) {
		scopes.list[scopes.n++] = &speaker->own;
		scopes.rtcp_mux |= speaker->rtcp_mux;
	}
	scopes.list[scopes.n++] = &offer->session;
	return scopes;
}

static enum sdp_verdict ice_read(const struct scopes *scopes, struct ice_remote *out, char *cause)
{
	struct sdp_text ufrag = { 0 }, pwd = { 0 };

	for (uint8_t i = 0; i < scopes->n && ufrag.at == NULL && pwd.at == NULL; i++) {
		ufrag = scopes->list[i]->ice_ufrag;
		pwd = scopes->list[i]->ice_pwd;
	}
	if (ufrag.at == NULL)
		return sdp_refuse(cause, SDP_UNUSABLE, "expected a=ice-ufrag in the offer");
	if (pwd.at == NULL)
		return sdp_refuse(cause, SDP_UNUSABLE, "expected a=ice-pwd in the offer");
	ufrag = sdp_text_trim(ufrag);
	pwd = sdp_text_trim(pwd);
	if (!sdp_is_ice_ufrag(ufrag))
		return sdp_refuse(
			cause, SDP_MALFORMED, "expected a=ice-ufrag of 4 to 256 ice-chars");
	if (!sdp_is_ice_pwd(pwd))
		return sdp_refuse(
			cause, SDP_MALFORMED, "expected a=ice-pwd of 22 to 256 ice-chars");
	sdp_ice_copy(ufrag, out->ufrag);
	sdp_ice_copy(pwd, out->pwd);
	return SDP_OK;
}

static enum sdp_verdict fingerprints_read(
	const struct scopes *scopes, struct sdp_negotiated *out, char *cause)
{
	const struct sdp_attributes *from = scopes->list[0];

	for (uint8_t i = 1; i < scopes->n && !from->any_fingerprint; i++)
		from = scopes->list[i];
	if (!from->any_fingerprint)
		return sdp_refuse(cause, SDP_UNUSABLE, "expected a=fingerprint in the offer");
	if (from->n_fingerprints == 0)
		return sdp_refuse(
			cause, SDP_UNUSABLE, "expected a sha-256, sha-384 or sha-512 fingerprint");
	out->n_fingerprints = from->n_fingerprints;
	memcpy(out->fingerprints, from->fingerprints, sizeof(out->fingerprints));
	return SDP_OK;
}

// Absent means active (RFC 4145 4).
static enum sdp_verdict setup_check(const struct scopes *scopes, char *cause)
{
	enum sdp_setup setup = SDP_SETUP_ABSENT;

	for (uint8_t i = 0; i < scopes->n && setup == SDP_SETUP_ABSENT; i++)
		setup = scopes->list[i]->setup;
	if (setup == SDP_SETUP_PASSIVE)
		return sdp_refuse(cause, SDP_UNUSABLE,
			"expected a=setup:actpass or active, not passive: the server is passive");
	if (setup == SDP_SETUP_HOLDCONN)
		return sdp_refuse(
			cause, SDP_UNUSABLE, "expected a=setup:actpass or active, not holdconn");
	return SDP_OK;
}

enum sdp_verdict sdp_transport_read(const struct sdp_offer *offer, const struct sdp_choice *choice,
	struct sdp_negotiated *out, char cause[SDP_CAUSE_MAX])
{
	struct scopes scopes = scopes_of(offer, choice);
	enum sdp_verdict verdict;

	if (offer->ice_lite)
		return sdp_refuse(cause, SDP_UNUSABLE,
			"expected a full ICE agent, not a=ice-lite: the server is lite itself");
	verdict = ice_read(&scopes, &out->ice, cause);
	if (verdict == SDP_OK)
		verdict = fingerprints_read(&scopes, out, cause);
	if (verdict == SDP_OK)
		verdict = setup_check(&scopes, cause);
	if (verdict == SDP_OK && !scopes.rtcp_mux)
		return sdp_refuse(cause, SDP_UNUSABLE, "expected a=rtcp-mux in the offer");
	return verdict;
}
