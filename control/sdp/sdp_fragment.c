// ICE fragments of PATCH (RFC 8840 9.2): the viewer's read, ours written on a restart.
#include "control/sdp/sdp.h"

#include <errno.h>

#include "control/sdp/priv/cause.h"
#include "control/sdp/priv/text.h"
#include "control/sdp/priv/transport.h"
#include "control/sdp/priv/writer.h"

struct reading {
	struct sdp_text ufrag; // the first of each: credentials may stand before or after m=
	struct sdp_text pwd;
	uint16_t n_candidates;
	bool end_of_candidates;
};

static void attribute_read(struct reading *reading, struct sdp_text line)
{
	struct sdp_text name, value;

	sdp_attribute_split(line, &name, &value);
	if (sdp_text_is(name, "ice-ufrag") && reading->ufrag.at == NULL)
		reading->ufrag = sdp_text_trim(value);
	else if (sdp_text_is(name, "ice-pwd") && reading->pwd.at == NULL)
		reading->pwd = sdp_text_trim(value);
	else if (sdp_text_is(name, "candidate"))
		reading->n_candidates += reading->n_candidates < UINT16_MAX;
	else if (sdp_text_is(name, "end-of-candidates"))
		reading->end_of_candidates = true;
}

static enum sdp_verdict credentials_check(const struct reading *reading, char *cause)
{
	if (reading->ufrag.at == NULL && reading->pwd.at == NULL)
		return SDP_OK;
	if (reading->pwd.at == NULL)
		return sdp_refuse(cause, SDP_MALFORMED, "expected a=ice-pwd beside a=ice-ufrag");
	if (reading->ufrag.at == NULL)
		return sdp_refuse(cause, SDP_MALFORMED, "expected a=ice-ufrag beside a=ice-pwd");
	if (!sdp_is_ice_ufrag(reading->ufrag))
		return sdp_refuse(
			cause, SDP_MALFORMED, "expected a=ice-ufrag of 4 to 256 ice-chars");
	if (!sdp_is_ice_pwd(reading->pwd))
		return sdp_refuse(
			cause, SDP_MALFORMED, "expected a=ice-pwd of 22 to 256 ice-chars");
	return SDP_OK;
}

static enum sdp_verdict lines_read(struct sdp_text body, struct reading *reading, char *cause)
{
	struct sdp_cursor cursor = sdp_cursor_over(body);
	struct sdp_line line;
	int got;

	while ((got = sdp_line_next(&cursor, &line)) == 1) {
		if (line.type == 'a')
			attribute_read(reading, line.value);
	}
	if (got < 0)
		return sdp_refuse(cause, SDP_MALFORMED,
			"line %u: expected <type>=<value> without NUL bytes", line.number);
	if (reading->ufrag.at == NULL && reading->pwd.at == NULL && reading->n_candidates == 0 &&
		!reading->end_of_candidates)
		return sdp_refuse(cause, SDP_MALFORMED,
			"expected a=ice-ufrag and a=ice-pwd, a=candidate or a=end-of-candidates");
	return credentials_check(reading, cause);
}

enum sdp_verdict sdp_fragment_parse(
	const char *body, size_t body_bytes, struct sdp_fragment *out, char cause[SDP_CAUSE_MAX])
{
	struct sdp_text text = { .at = body, .bytes = body_bytes };
	struct reading reading = { 0 };
	enum sdp_verdict verdict;

	if (body_bytes == 0)
		return sdp_refuse(
			cause, SDP_MALFORMED, "expected an ICE fragment, not an empty body");
	if (body_bytes > SDP_OFFER_MAX_BYTES)
		return sdp_refuse(cause, SDP_MALFORMED, "expected at most %d bytes of SDP",
			SDP_OFFER_MAX_BYTES);
	verdict = lines_read(text, &reading, cause);
	if (verdict != SDP_OK)
		return verdict;
	*out = (struct sdp_fragment){
		.has_credentials = reading.ufrag.at != NULL,
		.end_of_candidates = reading.end_of_candidates,
		.n_candidates = reading.n_candidates,
	};
	if (out->has_credentials) {
		sdp_ice_copy(reading.ufrag, out->ice.ufrag);
		sdp_ice_copy(reading.pwd, out->ice.pwd);
	}
	return SDP_OK;
}

int sdp_fragment_write(const struct sdp_local *local, const char *mid, enum leg_kind tagged,
	char *out, size_t out_cap, size_t *out_bytes)
{
	struct sdp_writer writer = { .out = out, .cap = out_cap };

	sdp_write_line(&writer, "a=ice-lite");
	sdp_write_line(&writer, "a=ice-options:trickle ice2");
	sdp_write_line(&writer, "m=%s 9 UDP/TLS/RTP/SAVPF 0", leg_name(tagged));
	if (mid[0] != '\0')
		sdp_write_line(&writer, "a=mid:%s", mid);
	sdp_write_ice(&writer, local);
	sdp_write_candidates(&writer, local);
	if (writer.full)
		return -ENOBUFS;
	*out_bytes = writer.bytes;
	return 0;
}
