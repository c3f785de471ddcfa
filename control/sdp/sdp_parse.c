// The structure of an offer: session part, sections, and the attributes of the transport.
#include "control/sdp/priv/offer.h"

#include <errno.h>
#include <string.h>

#include "control/sdp/priv/cause.h"

// What the attribute handlers write to.
struct parse {
	struct sdp_offer *offer;
	struct sdp_section *section; // NULL: session level
	uint32_t line;
	char *cause;
};

#define EXPECTED(parse, what) \
	sdp_refuse((parse)->cause, SDP_MALFORMED, "line %u: expected " what, (parse)->line)

static struct sdp_attributes *scope_of(struct parse *parse)
{
	return parse->section != NULL ? &parse->section->own : &parse->offer->session;
}

static bool has_hash(struct sdp_text name, uint16_t *bits)
{
	static const struct {
		const char *name;
		uint16_t bits;
	} hashes[] = { { "sha-256", 256 }, { "sha-384", 384 }, { "sha-512", 512 } };

	for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++) {
		if (sdp_text_is_nocase(name, hashes[i].name)) {
			*bits = hashes[i].bits;
			return true;
		}
	}
	return false;
}

// "AB:CD:…" of exactly n bytes.
static int digest_parse(struct sdp_text text, size_t n, uint8_t *out)
{
	if (text.bytes != n * 3 - 1)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		int high = sdp_hex_digit(text.at[i * 3]);
		int low = sdp_hex_digit(text.at[i * 3 + 1]);

		if (high < 0 || low < 0 || (i + 1 < n && text.at[i * 3 + 2] != ':'))
			return -EINVAL;
		out[i] = high << 4 | low;
	}
	return 0;
}

static enum sdp_verdict on_fingerprint(struct parse *parse, struct sdp_text value)
{
	struct sdp_attributes *scope = scope_of(parse);
	struct sdp_fingerprint read = { 0 };
	struct sdp_text hash, digest;

	if (!sdp_word_next(&value, " \t", &hash) || !sdp_word_next(&value, " \t", &digest))
		return EXPECTED(parse, "a=fingerprint:<hash> <digest>");
	scope->any_fingerprint = true;
	if (!has_hash(hash, &read.hash_bits))
		return SDP_OK;
	if (digest_parse(digest, read.hash_bits / 8, read.digest) < 0)
		return EXPECTED(parse, "a fingerprint of as many bytes as its hash has");
	if (scope->n_fingerprints < SDP_MAX_FINGERPRINTS)
		scope->fingerprints[scope->n_fingerprints++] = read;
	return SDP_OK;
}

static enum sdp_verdict on_setup(struct parse *parse, struct sdp_text value)
{
	static const struct {
		const char *name;
		enum sdp_setup setup;
	} roles[] = {
		{ "actpass", SDP_SETUP_ACTPASS },
		{ "active", SDP_SETUP_ACTIVE },
		{ "passive", SDP_SETUP_PASSIVE },
		{ "holdconn", SDP_SETUP_HOLDCONN },
	};
	struct sdp_text role = sdp_text_trim(value);

	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		if (sdp_text_is_nocase(role, roles[i].name)) {
			scope_of(parse)->setup = roles[i].setup;
			return SDP_OK;
		}
	}
	return EXPECTED(parse, "a=setup: actpass, active, passive or holdconn");
}

static enum sdp_verdict on_mid(struct parse *parse, struct sdp_text value)
{
	int holder;

	if (parse->section == NULL || parse->section->mid.at != NULL)
		return SDP_OK;
	if (!sdp_text_is_token(value) || value.bytes > SDP_WORD_MAX)
		return EXPECTED(parse, "a=mid: and a token of at most 64 characters");
	holder = sdp_offer_find_mid(parse->offer, value);
	if (holder >= 0)
		return EXPECTED(parse, "a mid that no other section has");
	parse->section->mid = value;
	return SDP_OK;
}

static enum sdp_verdict on_group(struct parse *parse, struct sdp_text value)
{
	struct sdp_offer *offer = parse->offer;
	struct sdp_text semantics;

	if (parse->section != NULL || offer->n_bundles == SDP_MAX_BUNDLES)
		return SDP_OK;
	if (sdp_word_next(&value, " ", &semantics) && sdp_text_is_nocase(semantics, "BUNDLE"))
		offer->bundles[offer->n_bundles++] = value;
	return SDP_OK;
}

static enum sdp_verdict on_ice_ufrag(struct parse *parse, struct sdp_text value)
{
	scope_of(parse)->ice_ufrag = value;
	return SDP_OK;
}

static enum sdp_verdict on_ice_pwd(struct parse *parse, struct sdp_text value)
{
	scope_of(parse)->ice_pwd = value;
	return SDP_OK;
}

static enum sdp_verdict on_ice_lite(struct parse *parse, struct sdp_text value)
{
	parse->offer->ice_lite = true;
	return SDP_OK;
}

static enum sdp_verdict on_allow_mixed(struct parse *parse, struct sdp_text value)
{
	scope_of(parse)->extmap_allow_mixed = true;
	return SDP_OK;
}

static enum sdp_verdict direction_set(struct parse *parse, enum sdp_direction direction)
{
	scope_of(parse)->direction = direction;
	scope_of(parse)->has_direction = true;
	return SDP_OK;
}

static enum sdp_verdict on_sendrecv(struct parse *parse, struct sdp_text value)
{
	return direction_set(parse, SDP_SENDRECV);
}

static enum sdp_verdict on_sendonly(struct parse *parse, struct sdp_text value)
{
	return direction_set(parse, SDP_SENDONLY);
}

static enum sdp_verdict on_recvonly(struct parse *parse, struct sdp_text value)
{
	return direction_set(parse, SDP_RECVONLY);
}

static enum sdp_verdict on_inactive(struct parse *parse, struct sdp_text value)
{
	return direction_set(parse, SDP_INACTIVE);
}

static enum sdp_verdict on_section_flag(struct parse *parse, size_t offset)
{
	if (parse->section != NULL)
		*(bool *)((char *)parse->section + offset) = true;
	return SDP_OK;
}

static enum sdp_verdict on_bundle_only(struct parse *parse, struct sdp_text value)
{
	return on_section_flag(parse, offsetof(struct sdp_section, bundle_only));
}

static enum sdp_verdict on_rtcp_mux(struct parse *parse, struct sdp_text value)
{
	return on_section_flag(parse, offsetof(struct sdp_section, rtcp_mux));
}

static enum sdp_verdict on_rtcp_rsize(struct parse *parse, struct sdp_text value)
{
	return on_section_flag(parse, offsetof(struct sdp_section, rtcp_rsize));
}

// Attributes that are not here change nothing (B1, B26).
static const struct {
	const char *name;
	enum sdp_verdict (*on)(struct parse *, struct sdp_text value);
} handlers[] = {
	{ "fingerprint", on_fingerprint },
	{ "setup", on_setup },
	{ "mid", on_mid },
	{ "group", on_group },
	{ "ice-ufrag", on_ice_ufrag },
	{ "ice-pwd", on_ice_pwd },
	{ "ice-lite", on_ice_lite },
	{ "extmap-allow-mixed", on_allow_mixed },
	{ "sendrecv", on_sendrecv },
	{ "sendonly", on_sendonly },
	{ "recvonly", on_recvonly },
	{ "inactive", on_inactive },
	{ "bundle-only", on_bundle_only },
	{ "rtcp-mux", on_rtcp_mux },
	{ "rtcp-rsize", on_rtcp_rsize },
};

static enum sdp_verdict on_attribute(struct parse *parse, struct sdp_text line)
{
	struct sdp_text name, value;

	sdp_attribute_split(line, &name, &value);
	for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
		if (sdp_text_is(name, handlers[i].name))
			return handlers[i].on(parse, value);
	}
	return SDP_OK;
}

// "9" or "9/2".
static int port_parse(struct sdp_text word, uint32_t *out)
{
	struct sdp_text port;

	sdp_word_next(&word, "/", &port);
	return sdp_text_number(port, UINT16_MAX, out);
}

// Every word of "UDP/TLS/RTP/SAVPF" is a token; the slashes are not.
static bool is_proto(struct sdp_text proto)
{
	struct sdp_text word, rest = proto;

	while (sdp_word_next(&rest, "/", &word)) {
		if (!sdp_text_is_token(word))
			return false;
	}
	return proto.bytes <= SDP_WORD_MAX;
}

// The first fmt is what a rejected section echoes.
static bool is_fmts(struct sdp_text fmts)
{
	struct sdp_text first;

	return sdp_word_next(&fmts, " ", &first) && sdp_text_is_token(first) &&
	       first.bytes <= SDP_WORD_MAX;
}

static enum sdp_verdict on_media(struct parse *parse, struct sdp_text value)
{
	struct sdp_offer *offer = parse->offer;
	struct sdp_section *section;
	struct sdp_text port;

	if (offer->n_sections == SDP_MAX_SECTIONS)
		return sdp_refuse(parse->cause, SDP_UNUSABLE,
			"line %u: expected at most %d m= sections", parse->line, SDP_MAX_SECTIONS);
	section = &offer->sections[offer->n_sections++];
	memset(section, 0, sizeof(*section));
	section->body.at = value.at + value.bytes;
	parse->section = section;
	if (!sdp_word_next(&value, " ", &section->media) || !sdp_text_is_token(section->media) ||
		section->media.bytes > SDP_WORD_MAX)
		return EXPECTED(parse, "m=<media> <port> <proto> <fmt>");
	if (!sdp_word_next(&value, " ", &port) || port_parse(port, &section->port) < 0)
		return EXPECTED(parse, "a port from 0 to 65535 in m=");
	if (!sdp_word_next(&value, " ", &section->proto) || !is_proto(section->proto))
		return EXPECTED(parse, "a transport protocol in m=");
	if (!is_fmts(value))
		return EXPECTED(parse, "at least one format in m=");
	section->fmts = value;
	return SDP_OK;
}

static enum sdp_verdict on_line(struct parse *parse, const struct sdp_line *line)
{
	parse->line = line->number;
	if (line->type == 'm') {
		if (parse->section != NULL)
			parse->section->body.bytes = line->start - parse->section->body.at;
		return on_media(parse, line->value);
	}
	return line->type == 'a' ? on_attribute(parse, line->value) : SDP_OK;
}

static enum sdp_verdict on_version(struct sdp_cursor *cursor, char *cause)
{
	struct sdp_line line;

	if (sdp_line_next(cursor, &line) != 1 || line.type != 'v' ||
		!sdp_text_is(sdp_text_trim(line.value), "0"))
		return sdp_refuse(cause, SDP_MALFORMED, "expected v=0 as the first line");
	return SDP_OK;
}

enum sdp_verdict sdp_offer_parse(
	struct sdp_text text, struct sdp_offer *out, char cause[SDP_CAUSE_MAX])
{
	struct parse parse = { .offer = out, .cause = cause };
	struct sdp_cursor cursor = sdp_cursor_over(text);
	enum sdp_verdict verdict;
	struct sdp_line line;
	int got;

	memset(out, 0, sizeof(*out));
	verdict = on_version(&cursor, cause);
	if (verdict != SDP_OK)
		return verdict;
	while ((got = sdp_line_next(&cursor, &line)) == 1) {
		verdict = on_line(&parse, &line);
		if (verdict != SDP_OK)
			return verdict;
	}
	if (got < 0)
		return sdp_refuse(cause, SDP_MALFORMED,
			"line %u: expected <type>=<value> without NUL bytes", line.number);
	if (parse.section != NULL)
		parse.section->body.bytes = cursor.end - parse.section->body.at;
	return SDP_OK;
}

int sdp_offer_find_mid(const struct sdp_offer *offer, struct sdp_text mid)
{
	for (uint8_t i = 0; i < offer->n_sections; i++) {
		if (offer->sections[i].mid.at != NULL &&
			sdp_text_equal(offer->sections[i].mid, mid))
			return i;
	}
	return -1;
}

enum sdp_direction sdp_section_direction(
	const struct sdp_offer *offer, const struct sdp_section *section)
{
	return section->own.has_direction ? section->own.direction : offer->session.direction;
}
