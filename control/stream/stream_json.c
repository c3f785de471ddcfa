// PUT bodies: JSON into a struct stream_want, or one line that names the member that is wrong.
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "control/stream/priv/store.h"

enum {
	FOUND_MAX_BYTES = 64,
	FOUND_SHOWN_CHARS = 40,
	WHERE_MAX_BYTES = 40,
	MAX_PEERS_MAX = REGION_MAX_PEERS,
};

// A body being read: where refusals go, and what the bounds are.
struct reader {
	const struct conf *conf;
	char *error; // STREAM_ERROR_MAX
	struct stream_want want;
};

// ---- refusing ----------------------------------------------------------------------------------

// Copy what a client wrote, so that it stays one short line of ASCII.
static void copy_plain(const char *text, char *out, size_t out_cap)
{
	size_t n = 0;

	for (; text[n] && n + 1 < out_cap; n++)
		out[n] = isprint((unsigned char)text[n]) ? text[n] : '?';
	out[n] = '\0';
}

static void found_text(const json_t *found, char out[FOUND_MAX_BYTES])
{
	char plain[FOUND_SHOWN_CHARS + 1];

	switch (json_typeof(found)) {
	case JSON_STRING:
		copy_plain(json_string_value(found), plain, sizeof(plain));
		snprintf(out, FOUND_MAX_BYTES, "\"%s\"", plain);
		break;
	case JSON_INTEGER:
		snprintf(out, FOUND_MAX_BYTES, "%lld", (long long)json_integer_value(found));
		break;
	case JSON_REAL:
		snprintf(out, FOUND_MAX_BYTES, "the fraction %g", json_real_value(found));
		break;
	case JSON_OBJECT:
		strcpy(out, "an object");
		break;
	case JSON_ARRAY:
		strcpy(out, "an array");
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		strcpy(out, json_is_true(found) ? "true" : "false");
		break;
	default:
		strcpy(out, "null");
	}
}

int stream_refuse_member(
	const char *where, const char *expected, const json_t *found, char error[STREAM_ERROR_MAX])
{
	char text[FOUND_MAX_BYTES];

	found_text(found, text);
	snprintf(error, STREAM_ERROR_MAX, "%s: expected %s, found %s", where, expected, text);
	return -EINVAL;
}

static int refuse(
	const struct reader *r, const char *where, const char *expected, const json_t *found)
{
	return stream_refuse_member(where, expected, found, r->error);
}

// ---- members -----------------------------------------------------------------------------------

// prefix: "" or "video."
static int check_members(const struct reader *r, const json_t *object, const char *prefix,
	const char *const names[], const char *expected)
{
	char plain[FOUND_SHOWN_CHARS + 1];
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)(uintptr_t)object, key, value) {
		int i = 0;

		while (names[i] && strcmp(names[i], key) != 0)
			i++;
		if (names[i])
			continue;
		copy_plain(key, plain, sizeof(plain));
		snprintf(r->error, STREAM_ERROR_MAX, "%s%s: no such member; expected %s", prefix,
			plain, expected);
		return -EINVAL;
	}
	return 0;
}

// A member of a leg, with its path.
struct member {
	char where[WHERE_MAX_BYTES];
	const json_t *value; // NULL: absent
};

static struct member leg_member(const json_t *leg, enum leg_kind kind, const char *key)
{
	struct member m = { .value = json_object_get(leg, key) };

	snprintf(m.where, sizeof(m.where), "%s.%s", leg_name(kind), key);
	return m;
}

static int read_port(struct reader *r, const json_t *leg, enum leg_kind kind)
{
	struct member m = leg_member(leg, kind, "port");
	long long first = r->conf->ingest.first_port;
	long long last = (r->conf->ingest.last_port - 1) & ~1;
	long long port;
	char expected[64];

	if (!m.value)
		return 0;
	snprintf(expected, sizeof(expected), "an even number from %lld to %lld", first, last);
	port = json_integer_value(m.value);
	if (!json_is_integer(m.value) || port < first || port > last || port % 2)
		return refuse(r, m.where, expected, m.value);
	if (kind == LEG_AUDIO && port == r->want.legs[LEG_VIDEO].port)
		return refuse(r, m.where, "another port than video's", m.value);
	r->want.legs[kind].port = (uint16_t)port;
	return 0;
}

// 64 to 95 with the marker bit look like RTCP.
static int read_payload_type(struct reader *r, const json_t *leg, enum leg_kind kind)
{
	struct member m = leg_member(leg, kind, "payload_type");
	long long type = json_integer_value(m.value);

	r->want.legs[kind].payload_type = kind == LEG_VIDEO ? 96 : 111;
	if (!m.value)
		return 0;
	if (!json_is_integer(m.value) || type < 0 || type > 127 || (type >= 64 && type <= 95))
		return refuse(r, m.where, "a number from 0 to 63 or 96 to 127 (RFC 5761)", m.value);
	r->want.legs[kind].payload_type = (uint8_t)type;
	return 0;
}

// The addresses that routers never pass on are those of the hosts' own protocols.
static bool group_usable(const struct net_addr *a)
{
	static const uint8_t local_control[3] = { 224, 0, 0 };

	if (a->family == NET_IPV4)
		return net_ip_is_multicast(a) && memcmp(a->ip, local_control, 3) != 0;
	return net_ip_is_multicast(a) && (a->ip[1] & 0xf) > 1; // scope (RFC 4291 2.7)
}

static int read_group(struct reader *r, const json_t *leg, enum leg_kind kind)
{
	struct member m = leg_member(leg, kind, "group");
	const char *text = json_string_value(m.value);
	struct net_addr group;

	if (!m.value)
		return 0;
	if (!text || net_ip_parse(text, &group) < 0 || !group_usable(&group))
		return refuse(r, m.where,
			"a multicast address such as \"239.77.0.1\", outside 224.0.0.0/24",
			m.value);
	r->want.legs[kind].group = group;
	return 0;
}

static int check_codec(const struct reader *r, const json_t *leg, enum leg_kind kind)
{
	struct member m = leg_member(leg, kind, "codec");

	if (!m.value || (json_is_string(m.value) &&
				strcasecmp(json_string_value(m.value), leg_codec(kind)) == 0))
		return 0;
	return refuse(r, m.where, leg_codec(kind), m.value);
}

static bool parse_profile(const char *text, uint8_t out[3])
{
	char *end;
	unsigned long value = strtoul(text, &end, 16);

	if (strlen(text) != 6 || strspn(text, "0123456789abcdefABCDEF") != 6)
		return false;
	out[0] = (uint8_t)(value >> 16);
	out[1] = (uint8_t)(value >> 8);
	out[2] = (uint8_t)value;
	return true;
}

static int read_profile(struct reader *r, const json_t *leg)
{
	struct stream_leg_want *want = &r->want.legs[LEG_VIDEO];
	struct member m = leg_member(leg, LEG_VIDEO, "profile_level_id");

	if (!m.value)
		return 0;
	if (!json_is_string(m.value) ||
		!parse_profile(json_string_value(m.value), want->profile_level_id))
		return refuse(r, m.where, "6 hex digits such as \"42e01f\"", m.value);
	want->profile_known = true;
	return 0;
}

static int read_sprop(struct reader *r, const json_t *leg)
{
	struct stream_leg_want *want = &r->want.legs[LEG_VIDEO];
	struct member m = leg_member(leg, LEG_VIDEO, "sprop_parameter_sets");
	const char *text = json_string_value(m.value);
	uint8_t profile[3];
	int rc;

	if (!m.value || (text && !*text))
		return 0;
	rc = text ? stream_sprop_parse(text, &r->want.sprop, profile) : -EINVAL;
	if (rc == -EMSGSIZE) {
		snprintf(r->error, STREAM_ERROR_MAX, "%s: expected at most %d bytes of NAL units",
			m.where, REGION_SPROP_MAX);
		return -EINVAL;
	}
	if (rc < 0)
		return refuse(
			r, m.where, "an SPS and a PPS in base64, with a comma between", m.value);
	if (want->profile_known && memcmp(want->profile_level_id, profile, 3) != 0) {
		snprintf(r->error, STREAM_ERROR_MAX,
			"%s: expected an SPS of profile_level_id, found one of %02x%02x%02x",
			m.where, profile[0], profile[1], profile[2]);
		return -EINVAL;
	}
	memcpy(want->profile_level_id, profile, 3);
	want->profile_known = true;
	return 0;
}

static int read_refuse_b_frames(struct reader *r, const json_t *leg)
{
	struct member m = leg_member(leg, LEG_VIDEO, "refuse_b_frames");

	if (m.value && !json_is_boolean(m.value))
		return refuse(r, m.where, "true or false", m.value);
	r->want.legs[LEG_VIDEO].refuse_b_frames = json_is_true(m.value);
	return 0;
}

static int read_stereo(struct reader *r, const json_t *leg)
{
	struct member m = leg_member(leg, LEG_AUDIO, "stereo");

	if (m.value && !json_is_boolean(m.value))
		return refuse(r, m.where, "true or false", m.value);
	r->want.legs[LEG_AUDIO].stereo = json_is_true(m.value);
	return 0;
}

static int read_leg(struct reader *r, const json_t *body, enum leg_kind kind)
{
	static const char *const names[LEG_COUNT][8] = {
		[LEG_VIDEO] = { "port", "payload_type", "codec", "group", "profile_level_id",
			"sprop_parameter_sets", "refuse_b_frames" },
		[LEG_AUDIO] = { "port", "payload_type", "codec", "group", "stereo" },
	};
	static const char *const expected[LEG_COUNT] = {
		[LEG_VIDEO] = "port, payload_type, codec, group, profile_level_id, "
			      "sprop_parameter_sets or refuse_b_frames",
		[LEG_AUDIO] = "port, payload_type, codec, group or stereo",
	};
	const json_t *leg = json_object_get(body, leg_name(kind));
	int rc;

	if (!leg)
		return 0;
	if (!json_is_object(leg))
		return refuse(r, leg_name(kind), "an object, {} for the defaults", leg);
	rc = check_members(
		r, leg, kind == LEG_VIDEO ? "video." : "audio.", names[kind], expected[kind]);
	if (rc == 0)
		rc = read_port(r, leg, kind);
	if (rc == 0)
		rc = read_payload_type(r, leg, kind);
	if (rc == 0)
		rc = read_group(r, leg, kind);
	if (rc == 0)
		rc = check_codec(r, leg, kind);
	if (rc == 0)
		rc = kind == LEG_VIDEO ? read_profile(r, leg) : read_stereo(r, leg);
	if (rc == 0 && kind == LEG_VIDEO)
		rc = read_sprop(r, leg);
	if (rc == 0 && kind == LEG_VIDEO)
		rc = read_refuse_b_frames(r, leg);
	r->want.legs[kind].present = true;
	return rc;
}

static int read_max_peers(struct reader *r, const json_t *body)
{
	const json_t *value = json_object_get(body, "max_peers");
	long long n = json_integer_value(value);

	if (!value)
		return 0;
	if (!json_is_integer(value) || n < 0 || n > MAX_PEERS_MAX)
		return refuse(r, "max_peers", "a number from 0 to 65536", value);
	r->want.max_peers = (uint32_t)n;
	return 0;
}

// none: where it is not given.
static int read_flag(struct reader *r, const json_t *body, const char *name, bool none, bool *out)
{
	const json_t *value = json_object_get(body, name);

	if (value && !json_is_boolean(value))
		return refuse(r, name, "true or false", value);
	*out = value ? json_is_true(value) : none;
	return 0;
}

static int read_instant_start(struct reader *r, const json_t *body)
{
	bool wanted = true;
	int rc = read_flag(r, body, "instant_start", true, &wanted);

	r->want.no_instant_start = !wanted;
	return rc;
}

static int read_feedback(struct reader *r, const json_t *body)
{
	const json_t *value = json_object_get(body, "feedback");
	const char *text = json_string_value(value);

	if (value && (!text || (strcmp(text, "auto") != 0 && strcmp(text, "off") != 0)))
		return refuse(r, "feedback", "auto or off", value);
	r->want.no_feedback = text && strcmp(text, "off") == 0;
	return 0;
}

// ---- sources -----------------------------------------------------------------------------------

// Clear the bits behind the prefix, so that equal sets of addresses compare as equal.
static void mask_host_bits(struct region_source *s)
{
	for (unsigned int bit = s->prefix_bits; bit < 128; bit++)
		s->addr.ip[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
}

// Return: the number; -1 not one to three digits.
static int parse_bits(const char *text)
{
	size_t n = strspn(text, "0123456789");

	return n >= 1 && n <= 3 && text[n] == '\0' ? atoi(text) : -1;
}

static bool parse_source(const char *text, struct region_source *out)
{
	char ip[STREAM_SOURCE_TEXT_MAX];
	const char *slash = strchrnul(text, '/');
	size_t ip_chars = (size_t)(slash - text);
	bool mapped;
	int bits, max_bits;

	if (ip_chars >= sizeof(ip))
		return false;
	memcpy(ip, text, ip_chars);
	ip[ip_chars] = '\0';
	*out = (struct region_source){ 0 };
	if (net_ip_parse(ip, &out->addr) < 0)
		return false;
	max_bits = out->addr.family == NET_IPV4 ? 32 : 128;
	// ::ffff:a.b.c.d/n counts its n from the front of the IPv6 address.
	mapped = max_bits == 32 && strchr(ip, ':');
	bits = *slash ? parse_bits(slash + 1) - (mapped ? 96 : 0) : max_bits;
	if (bits < 0 || bits > max_bits)
		return false;
	out->prefix_bits = (uint8_t)bits;
	mask_host_bits(out);
	return true;
}

int stream_sources_read(const json_t *list, const char *where, uint8_t *n,
	struct region_source out[REGION_MAX_SOURCES], char error[STREAM_ERROR_MAX])
{
	size_t count = json_array_size(list);
	char at[WHERE_MAX_BYTES];

	if (!list)
		return 0;
	if (!json_is_array(list))
		return stream_refuse_member(where, "an array of addresses", list, error);
	if (count > REGION_MAX_SOURCES) {
		snprintf(error, STREAM_ERROR_MAX, "%s: expected at most %d addresses, found %zu",
			where, REGION_MAX_SOURCES, count);
		return -EINVAL;
	}
	for (size_t i = 0; i < count; i++) {
		const json_t *item = json_array_get(list, i);

		snprintf(at, sizeof(at), "%s[%zu]", where, i);
		if (!json_is_string(item) || !parse_source(json_string_value(item), &out[i]))
			return stream_refuse_member(at,
				"an address or address/prefix such as \"198.18.77.0/24\"", item,
				error);
	}
	*n = (uint8_t)count;
	return 0;
}

// ---- the body ----------------------------------------------------------------------------------

static int read_body(struct reader *r, const json_t *body)
{
	static const char *const names[] = { "video", "audio", "max_peers", "require_live",
		"instant_start", "feedback", "allowed_sources", "backup", "source", NULL };
	int rc;

	if (!json_is_object(body))
		return refuse(r, "body", "an object with video, audio or both", body);
	rc = check_members(r, body, "", names,
		"video, audio, max_peers, require_live, instant_start, feedback, allowed_sources, "
		"backup or source");
	if (rc == 0)
		rc = read_leg(r, body, LEG_VIDEO);
	if (rc == 0)
		rc = read_leg(r, body, LEG_AUDIO);
	if (rc == 0)
		rc = read_max_peers(r, body);
	if (rc == 0)
		rc = read_flag(r, body, "require_live", false, &r->want.require_live);
	if (rc == 0)
		rc = read_instant_start(r, body);
	if (rc == 0)
		rc = read_feedback(r, body);
	if (rc == 0)
		rc = stream_sources_read(json_object_get(body, "allowed_sources"),
			"allowed_sources", &r->want.n_sources, r->want.sources, r->error);
	if (rc == 0)
		rc = stream_backup_read(r->conf, body, &r->want, r->error);
	if (rc < 0)
		return rc;
	if (r->want.legs[LEG_VIDEO].present || r->want.legs[LEG_AUDIO].present)
		return 0;
	snprintf(r->error, STREAM_ERROR_MAX, "body: expected video, audio or both, found neither");
	return -EINVAL;
}

static int refuse_syntax(const json_error_t *wrong, char error[STREAM_ERROR_MAX])
{
	char plain[JSON_ERROR_TEXT_LENGTH];

	// jansson does not always say so: without memory it may leave no text at all.
	if (json_error_code(wrong) == json_error_out_of_memory || wrong->text[0] == '\0') {
		snprintf(error, STREAM_ERROR_MAX, "out of memory");
		return -ENOMEM;
	}
	copy_plain(wrong->text, plain, sizeof(plain));
	// Cut well before the end, so that the line stays whole.
	snprintf(error, STREAM_ERROR_MAX, "body: expected JSON; line %d, column %d: %.120s",
		wrong->line, wrong->column, plain);
	return -EINVAL;
}

int stream_want_read(const struct conf *conf, const json_t *body, struct stream_want *out,
	char error[STREAM_ERROR_MAX])
{
	struct reader r = { .conf = conf, .error = error };
	int rc = read_body(&r, body);

	if (rc == 0)
		*out = r.want;
	return rc;
}

int stream_want_parse(const struct conf *conf, const char *body, size_t body_bytes,
	struct stream_want *out, char error[STREAM_ERROR_MAX])
{
	json_error_t wrong = { 0 };
	json_t *root;
	int rc;

	if (body_bytes == 0) {
		snprintf(error, STREAM_ERROR_MAX,
			"body: expected an object with video, audio or both, found nothing");
		return -EINVAL;
	}
	root = json_loadb(body, body_bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &wrong);
	if (!root)
		return refuse_syntax(&wrong, error);
	rc = stream_want_read(conf, root, out, error);
	json_decref(root);
	return rc;
}
