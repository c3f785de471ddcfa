#include "tests/unit/sdp/fixture.h"

enum {
	MAX_LINE = 320,
};

const char *const fixture_names[] = {
	"aiortc-audio",
	"aiortc-av",
	"aiortc-data",
	"aiortc-video",
	"aiortc-video-first",
	"chromium-audio",
	"chromium-av",
	"chromium-data",
	"chromium-data-first",
	"chromium-max-bundle",
	"chromium-video",
	"chromium-video-first",
	"firefox-audio",
	"firefox-av",
	"firefox-data",
	"firefox-data-first",
	"firefox-max-bundle",
	"firefox-video",
	"firefox-video-first",
	"hand-firefox-h264-av",
	"hand-libdatachannel-av",
	"hand-pion-av",
	"hand-safari-av",
	"webrtcbin-audio",
	"webrtcbin-av",
	"webrtcbin-data",
	"webrtcbin-level-only",
	"webrtcbin-max-bundle",
	"webrtcbin-no-fmtp",
	"webrtcbin-video",
	"webrtcbin-video-first",
	NULL,
};

static const struct ice_credentials credentials = { .ufrag = "mR7+/aZ0",
	.pwd = "0123456789abcdefABCDEF+/" };

static const struct net_addr media[] = {
	{ .ip = { 198, 18, 77, 1 }, .port_be = 0xfd1f, .family = NET_IPV4 },
	{ .ip = { 0xfd, 0x77, [15] = 1 }, .port_be = 0xfd1f, .family = NET_IPV6 },
};

#define DIGEST                                             \
	"7B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:" \
	"DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08"

static const char *const transport_lines[] = {
	"a=ice-ufrag:mR7+/aZ0",
	"a=ice-pwd:0123456789abcdefABCDEF+/",
	"a=fingerprint:sha-256 " DIGEST,
	"a=setup:passive",
};

void fixture_load(const char *name, struct fixture_offer *out)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s.sdp", SDP_OFFERS_DIR, name);
	file = fopen(path, "rb");
	assert_non_null(file);
	out->bytes = fread(out->text, 1, sizeof(out->text) - 1, file);
	out->text[out->bytes] = '\0';
	fclose(file);
	assert_true(out->bytes > 100);
}

void fixture_run_init(struct fixture_run *run)
{
	memset(run, 0, sizeof(*run));
	run->legs[LEG_VIDEO].present = true;
	run->legs[LEG_AUDIO].present = true;
	run->local = (struct sdp_local){
		.ice = &credentials,
		.fingerprint_sha256 = DIGEST,
		.candidates = media,
		.n_candidates = 2,
		.origin_id = INT64_MAX,
		.cname = "edge",
		.msid_stream = "stream",
		.ssrc = { 4294967295u, 1002 },
		.rtx_ssrc = 1003,
		.repair = true,
	};
}

void fixture_source_profile(struct fixture_run *run, uint32_t id)
{
	struct sdp_stream_leg *video = &run->legs[LEG_VIDEO];

	video->profile_known = true;
	video->profile_level_id[0] = id >> 16;
	video->profile_level_id[1] = id >> 8;
	video->profile_level_id[2] = id;
}

void fixture_replace(struct fixture_offer *offer, const char *from, const char *to)
{
	char *at = strstr(offer->text, from);
	size_t from_bytes = strlen(from), to_bytes = strlen(to);

	assert_non_null(at);
	assert_true(offer->bytes + to_bytes < sizeof(offer->text));
	memmove(at + to_bytes, at + from_bytes, strlen(at + from_bytes) + 1);
	memcpy(at, to, to_bytes);
	offer->bytes += to_bytes - from_bytes;
}

void fixture_replace_all(struct fixture_offer *offer, const char *from, const char *to)
{
	assert_null(strstr(to, from));
	while (strstr(offer->text, from) != NULL)
		fixture_replace(offer, from, to);
}

// Lines of a text, split by the checker itself: copies, ends of line left out.
struct lines {
	char (*line)[MAX_LINE];
	size_t n;
};

static struct lines split(const char *text, size_t bytes)
{
	struct lines out = { 0 };
	size_t at = 0, max = 1;

	for (size_t i = 0; i < bytes; i++)
		max += text[i] == '\n';
	out.line = calloc(max, MAX_LINE);
	assert_non_null(out.line);
	while (at < bytes) {
		const char *newline = memchr(text + at, '\n', bytes - at);
		size_t length = newline != NULL ? (size_t)(newline - text) - at : bytes - at;
		size_t next = at + length + 1;

		while (length > 0 && text[at + length - 1] == '\r')
			length--;
		if (length >= MAX_LINE)
			length = MAX_LINE - 1;
		if (length > 0)
			memcpy(out.line[out.n++], text + at, length);
		at = next;
	}
	return out;
}

// The [from, to) of section i; the session part is -1.
static void section_range(const struct lines *lines, int section, size_t *from, size_t *to)
{
	int now = -1;

	*from = *to = 0;
	for (size_t i = 0; i < lines->n; i++) {
		if (strncmp(lines->line[i], "m=", 2) == 0)
			now++;
		if (now < section)
			*from = i + 1;
		if (now <= section)
			*to = i + 1;
	}
}

static unsigned int count_in(const struct lines *lines, int section, const char *line)
{
	unsigned int n = 0;
	size_t from, to;

	section_range(lines, section, &from, &to);
	for (size_t i = from; i < to; i++)
		n += strcmp(lines->line[i], line) == 0;
	return n;
}

static const char *find_prefix(const struct lines *lines, int section, const char *prefix)
{
	size_t from, to;

	section_range(lines, section, &from, &to);
	for (size_t i = from; i < to; i++) {
		if (strncmp(lines->line[i], prefix, strlen(prefix)) == 0)
			return lines->line[i];
	}
	return NULL;
}

static unsigned int count_prefix(const struct lines *lines, int section, const char *prefix)
{
	unsigned int n = 0;
	size_t from, to;

	section_range(lines, section, &from, &to);
	for (size_t i = from; i < to; i++)
		n += strncmp(lines->line[i], prefix, strlen(prefix)) == 0;
	return n;
}

static int count_sections(const struct lines *lines)
{
	int n = 0;

	for (size_t i = 0; i < lines->n; i++)
		n += strncmp(lines->line[i], "m=", 2) == 0;
	return n;
}

static void check_bytes(const struct fixture_run *run)
{
	static const char *const never[] = { "sprop-parameter-sets", "transport-cc", "goog-remb",
		"bundle-only", "telephone-event", "ulpfec", " red/" };
	const char *text = run->answer;

	assert_true(run->answer_bytes > 2);
	assert_memory_equal(text + run->answer_bytes - 2, "\r\n", 2);
	assert_int_equal(strlen(text), run->answer_bytes);
	for (size_t i = 0; i < run->answer_bytes; i++) {
		if (text[i] == '\n')
			assert_true(i > 0 && text[i - 1] == '\r');
		if (text[i] == '\r')
			assert_int_equal(text[i + 1], '\n');
	}
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		assert_null(strstr(text, never[i]));
}

static void check_session(const struct fixture_run *run, const struct lines *answer)
{
	assert_string_equal(answer->line[0], "v=0");
	assert_string_equal(answer->line[1], "o=- 9223372036854775807 1 IN IP4 0.0.0.0");
	assert_string_equal(answer->line[2], "s=-");
	assert_string_equal(answer->line[3], "t=0 0");
	assert_int_equal(count_in(answer, -1, "a=ice-lite"), 1);
	assert_int_equal(count_in(answer, -1, "a=ice-options:trickle ice2"), 1);
	assert_int_equal(count_in(answer, -1, "a=msid-semantic:WMS *"), 1);
	assert_int_equal(fixture_count_line(run, "a=ice-lite"), 1);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(count_in(answer, -1, transport_lines[i]), 1);
}

// B2, B3: "m=<media> <port> <proto> <fmt>", the same but for port and formats; the same mid.
static unsigned int check_media_line(
	const struct lines *offer, const struct lines *answer, int section, char fmt[MAX_LINE])
{
	char offered[3][MAX_LINE], answered[3][MAX_LINE], padded[MAX_LINE + 2], word[MAX_LINE + 2];
	const char *offered_line = find_prefix(offer, section, "m=");
	const char *mid = find_prefix(offer, section, "a=mid:");
	unsigned int port;
	int formats;

	assert_int_equal(
		sscanf(offered_line, "m=%s %s %s %n", offered[0], offered[1], offered[2], &formats),
		3);
	assert_int_equal(sscanf(find_prefix(answer, section, "m="), "m=%s %u %s %s", answered[0],
				 &port, answered[2], fmt),
		4);
	assert_string_equal(offered[0], answered[0]);
	assert_string_equal(offered[2], answered[2]);
	snprintf(padded, sizeof(padded), " %s ", offered_line + formats);
	snprintf(word, sizeof(word), " %s ", fmt);
	if (strlen(offered_line) < MAX_LINE - 1)
		assert_non_null(strstr(padded, word));
	if (mid != NULL)
		assert_int_equal(count_in(answer, section, mid), 1);
	else
		assert_null(find_prefix(answer, section, "a=mid:"));
	return port;
}

// Whether some a=rtcp-fb line of the section says so, whatever spaces stand around it.
static bool offers_feedback(const struct lines *offer, int section, const char *what)
{
	size_t from, to;

	section_range(offer, section, &from, &to);
	for (size_t i = from; i < to; i++) {
		const char *at = strstr(offer->line[i], what);

		if (strncmp(offer->line[i], "a=rtcp-fb:", 10) == 0 && at &&
			at[strlen(what) + strspn(at + strlen(what), " ")] == '\0')
			return true;
	}
	return false;
}

// B36, B38, B42: no feedback or extension that was not offered, nothing for another type.
static void check_offered_only(
	const struct lines *offer, const struct lines *answer, int section, const char *fmt)
{
	char rtx[MAX_LINE] = "none";
	size_t from, to;

	sscanf(find_prefix(answer, section, "m="), "%*s %*s %*s %*s %s", rtx);
	section_range(answer, section, &from, &to);
	for (size_t i = from; i < to; i++) {
		const char *line = answer->line[i], *space = strchr(line, ' ');

		if (strncmp(line, "a=rtcp-fb:", 10) == 0) {
			assert_true(offers_feedback(offer, section, space + 1));
			assert_true(strncmp(line + 10, fmt, strlen(fmt)) == 0);
		} else if (strncmp(line, "a=fmtp:", 7) == 0 || strncmp(line, "a=rtpmap:", 9) == 0) {
			const char *type = strchr(line, ':') + 1;

			assert_true(strncmp(type, fmt, strlen(fmt)) == 0 ||
				    strncmp(type, rtx, strlen(rtx)) == 0);
		} else if (strncmp(line, "a=extmap:", 9) == 0) {
			assert_true(count_prefix(offer, section, "a=extmap:") > 0);
			assert_string_equal(space, " urn:ietf:params:rtp-hdrext:sdes:mid");
		} else if (strcmp(line, "a=rtcp-rsize") == 0) {
			assert_true(count_prefix(offer, section, line) > 0);
		}
	}
}

// B34, B41: for the type that was chosen, and tied to it by its SSRC.
static void check_rtx(
	const struct fixture_run *run, const struct lines *answer, int section, enum leg_kind kind)
{
	const struct sdp_negotiated_leg *leg = &run->agreed.legs[kind];
	bool rtx = leg->rtx_payload_type != SDP_NO_RTX;
	char line[MAX_LINE * 2];

	assert_true(leg->nack || !rtx);
	assert_true(kind == LEG_VIDEO || !rtx);
	snprintf(line, sizeof(line), " %u %u", leg->payload_type, leg->rtx_payload_type);
	assert_true((strstr(find_prefix(answer, section, "m="), line) != NULL) == rtx);
	snprintf(line, sizeof(line), "a=rtpmap:%u rtx/90000", leg->rtx_payload_type);
	assert_int_equal(count_in(answer, section, line), rtx);
	snprintf(line, sizeof(line), "a=fmtp:%u apt=%u", leg->rtx_payload_type, leg->payload_type);
	assert_int_equal(count_in(answer, section, line), rtx);
	snprintf(line, sizeof(line), "a=ssrc-group:FID %u %u", run->local.ssrc[kind],
		run->local.rtx_ssrc);
	assert_int_equal(count_in(answer, section, line), rtx);
	snprintf(line, sizeof(line), "a=ssrc:%u cname:edge", run->local.rtx_ssrc);
	assert_int_equal(count_in(answer, section, line), rtx);
}

static void check_accepted(const struct fixture_run *run, const struct lines *answer, int section,
	enum leg_kind kind, const char *fmt)
{
	const struct sdp_negotiated_leg *leg = &run->agreed.legs[kind];
	bool rtx = leg->rtx_payload_type != SDP_NO_RTX;
	char line[MAX_LINE * 2];

	for (size_t i = 0; i < 4; i++)
		assert_int_equal(count_in(answer, section, transport_lines[i]), 1);
	assert_int_equal(count_in(answer, section, "a=sendonly"), 1);
	assert_int_equal(count_in(answer, section, "a=rtcp-mux"), 1);
	assert_int_equal(count_in(answer, section, "a=rtcp-mux-only"), 1);
	assert_int_equal(count_prefix(answer, section, "a=rtpmap:"), rtx ? 2 : 1);
	check_rtx(run, answer, section, kind);
	assert_int_equal(leg->payload_type, atoi(fmt));
	snprintf(line, sizeof(line), "a=msid:stream %s", leg_name(kind));
	assert_int_equal(count_in(answer, section, line), 1);
	snprintf(line, sizeof(line), "a=ssrc:%u cname:edge", run->local.ssrc[kind]);
	assert_int_equal(count_in(answer, section, line), 1);
	snprintf(line, sizeof(line), "a=rtcp-fb:%s nack", fmt);
	assert_int_equal(count_in(answer, section, line), leg->nack);
	snprintf(line, sizeof(line), "a=rtcp-fb:%s nack pli", fmt);
	assert_int_equal(count_in(answer, section, line), leg->pli);
	snprintf(line, sizeof(line), "a=rtcp-fb:%s ccm fir", fmt);
	assert_int_equal(count_in(answer, section, line), leg->fir);
	snprintf(line, sizeof(line), "a=extmap:%u urn:ietf:params:rtp-hdrext:sdes:mid",
		leg->mid_ext_id);
	assert_int_equal(count_in(answer, section, line), leg->mid_ext_id != 0);
	snprintf(line, sizeof(line), "a=mid:%s", leg->mid);
	assert_int_equal(count_in(answer, section, line), leg->mid[0] != '\0');
	assert_int_equal(count_prefix(answer, section, "a=ssrc"), rtx ? 3 : 1);
}

static void check_rejected(const struct lines *answer, int section)
{
	assert_int_equal(count_in(answer, section, "a=inactive"), 1);
	assert_int_equal(count_prefix(answer, section, "a=candidate:"), 0);
	assert_int_equal(count_prefix(answer, section, "a=ssrc:"), 0);
	assert_int_equal(count_prefix(answer, section, "a=msid:"), 0);
	assert_int_equal(count_prefix(answer, section, "a=fmtp:"), 0);
}

// B9, B21: the accepted mids in the group; the candidates in its first section alone.
static void check_transport(const struct fixture_run *run, const struct lines *answer, int n)
{
	const char *group = find_prefix(answer, -1, "a=group:BUNDLE");
	unsigned int n_accepted = 0, n_grouped = 0, n_carriers = 0;
	char padded[MAX_LINE + 2], word[MAX_LINE + 2];

	snprintf(padded, sizeof(padded), "%s ", group != NULL ? group : "");
	for (const char *at = padded; (at = strchr(at, ' ')) != NULL && at[1] != '\0'; at++)
		n_grouped++;
	for (enum leg_kind leg = 0; leg < LEG_COUNT; leg++) {
		const struct sdp_negotiated_leg *got = &run->agreed.legs[leg];
		unsigned int candidates;

		if (!got->accepted)
			continue;
		n_accepted++;
		candidates = count_prefix(answer, got->section, "a=candidate:");
		n_carriers += candidates == run->local.n_candidates;
		assert_true(candidates == 0 || candidates == run->local.n_candidates);
		assert_int_equal(
			count_in(answer, got->section, "a=end-of-candidates"), candidates != 0);
		snprintf(word, sizeof(word), "a=group:BUNDLE %s ", got->mid);
		if (group != NULL)
			assert_int_equal(strncmp(padded, word, strlen(word)) == 0, candidates != 0);
		snprintf(word, sizeof(word), " %s ", got->mid);
		assert_true(group == NULL || strstr(padded, word) != NULL);
	}
	assert_true(n_accepted > 0);
	assert_int_equal(n_carriers, 1);
	assert_true(n_grouped == n_accepted || (group == NULL && n_accepted == 1));
}

static void check_answer(const struct fixture_run *run, const struct fixture_offer *offered)
{
	struct lines offer = split(offered->text, offered->bytes);
	struct lines answer = split(run->answer, run->answer_bytes);
	int n = count_sections(&offer);

	check_bytes(run);
	check_session(run, &answer);
	assert_int_equal(count_sections(&answer), n);
	for (int i = 0; i < n; i++) {
		char fmt[MAX_LINE];
		unsigned int port = check_media_line(&offer, &answer, i, fmt);
		bool accepted = false;

		for (enum leg_kind leg = 0; leg < LEG_COUNT; leg++) {
			if (!run->agreed.legs[leg].accepted || run->agreed.legs[leg].section != i)
				continue;
			accepted = true;
			check_accepted(run, &answer, i, leg, fmt);
		}
		assert_int_equal(port, accepted ? 9 : 0);
		if (!accepted)
			check_rejected(&answer, i);
		check_offered_only(&offer, &answer, i, fmt);
	}
	check_transport(run, &answer, n);
	free(offer.line);
	free(answer.line);
}

static void check_agreed(const struct fixture_run *run)
{
	assert_true(run->agreed.n_fingerprints > 0);
	assert_true(strlen(run->agreed.ice.ufrag) >= 4);
	assert_true(strlen(run->agreed.ice.pwd) >= 22);
	for (enum leg_kind leg = 0; leg < LEG_COUNT; leg++)
		assert_true(run->legs[leg].present || !run->agreed.legs[leg].accepted);
}

enum sdp_verdict fixture_negotiate(struct fixture_run *run, const struct fixture_offer *offer)
{
	// An exact copy on the heap, so that a read past its end is seen.
	char *copy = malloc(offer->bytes + (offer->bytes == 0));

	assert_non_null(copy);
	memcpy(copy, offer->text, offer->bytes);
	memset(&run->agreed, 0, sizeof(run->agreed));
	run->answer_bytes = 0;
	run->verdict = sdp_negotiate(copy, offer->bytes, run->legs, &run->local, &run->agreed,
		run->answer, sizeof(run->answer), &run->answer_bytes);
	free(copy);
	if (run->verdict == SDP_OK) {
		check_answer(run, offer);
		check_agreed(run);
		return SDP_OK;
	}
	assert_true(run->verdict == SDP_MALFORMED || run->verdict == SDP_CODEC_MISSING ||
		    run->verdict == SDP_UNUSABLE);
	assert_int_not_equal(run->agreed.cause[0], '\0');
	assert_int_equal(run->answer_bytes, 0);
	return run->verdict;
}

unsigned int fixture_count_line(const struct fixture_run *run, const char *line)
{
	struct lines answer = split(run->answer, run->answer_bytes);
	unsigned int n = 0;

	for (size_t i = 0; i < answer.n; i++)
		n += strcmp(answer.line[i], line) == 0;
	free(answer.line);
	return n;
}

bool fixture_contains(const struct fixture_run *run, const char *text)
{
	return memmem(run->answer, run->answer_bytes, text, strlen(text)) != NULL;
}
