// The second source of a stream: what PUT, the file and the region's slot say of it.
#include <errno.h>
#include <string.h>

#include "control/stream/priv/store.h"

enum {
	FAILBACK_S = 10, // default
	FAILBACK_MAX_S = 3600,
	WHERE_MAX_BYTES = 40,
};

// ---- asking ------------------------------------------------------------------------------------

enum region_role stream_active(const struct stream *s)
{
	const struct region_stream *shared = stream_shared(s);

	return shared && s->want.backup.present && shared->sources.active == REGION_BACKUP
		       ? REGION_BACKUP
		       : REGION_PRIMARY;
}

const struct stream_leg_want *stream_leg_of(
	const struct stream *s, enum region_role role, enum leg_kind leg)
{
	return role == REGION_BACKUP ? &s->want.backup.legs[leg] : &s->want.legs[leg];
}

const struct region_leg_state *stream_leg_state(
	const struct region_stream *shared, enum region_role role, enum leg_kind leg)
{
	return role == REGION_BACKUP ? &shared->backup[leg] : &shared->legs[leg];
}

const char *stream_leg_name(enum region_role role, enum leg_kind leg)
{
	return stream_want_leg_name((role == REGION_BACKUP ? LEG_COUNT : 0) + (int)leg);
}

const char *stream_role_name(enum region_role role)
{
	return role == REGION_BACKUP ? "backup" : "primary";
}

const char *stream_pick_name(enum region_pick pick)
{
	static const char *const names[] = { "auto", "primary", "backup" };

	return names[pick];
}

// ---- PUT ---------------------------------------------------------------------------------------

// A backup that says nothing of its profile and parameter sets has the primary's.
static void inherit_sets(struct stream_want *want, const struct stream_want *read)
{
	struct stream_leg_want *leg = &want->backup.legs[LEG_VIDEO];

	want->backup.sprop = read->sprop;
	if (leg->profile_known)
		return;
	leg->profile_known = want->legs[LEG_VIDEO].profile_known;
	memcpy(leg->profile_level_id, want->legs[LEG_VIDEO].profile_level_id, 3);
	want->backup.sprop = want->sprop;
}

// A backup's leg is what the primary's is, but for where it comes in; so it is read as one.
static int read_leg(const struct conf *conf, const json_t *body, enum leg_kind kind,
	struct stream_want *want, char error[STREAM_ERROR_MAX])
{
	// Of video: the rest too.
	static const char *const names[] = { "port", "payload_type", "group", "profile_level_id",
		"sprop_parameter_sets" };
	const size_t n_names = kind == LEG_VIDEO ? 5 : 3;
	json_t *leg = json_object_get(body, leg_name(kind)), *alone;
	struct stream_leg_want *out = &want->backup.legs[kind];
	char inner[STREAM_ERROR_MAX], where[WHERE_MAX_BYTES];
	struct stream_want read;
	const char *key;
	json_t *value;
	int rc;

	snprintf(where, sizeof(where), "backup.%s", leg_name(kind));
	if (leg && !want->legs[kind].present) {
		snprintf(error, STREAM_ERROR_MAX, "%s: the stream has no such leg", where);
		return -EINVAL;
	}
	json_object_foreach (leg, key, value) {
		size_t i = 0;

		while (i < n_names && strcmp(names[i], key) != 0)
			i++;
		if (i < n_names)
			continue;
		snprintf(error, STREAM_ERROR_MAX,
			"%s: expected no other members than port, payload_type%s", where,
			kind == LEG_VIDEO ? ", group, profile_level_id and sprop_parameter_sets"
					  : " and group");
		return -EINVAL;
	}
	if (!want->legs[kind].present)
		return 0;
	alone = leg ? json_pack("{s:O}", leg_name(kind), leg) : json_pack("{s:{}}", leg_name(kind));
	rc = alone ? stream_want_read(conf, alone, &read, inner) : -ENOMEM;
	json_decref(alone);
	if (rc < 0) {
		snprintf(error, STREAM_ERROR_MAX, "backup.%.*s", STREAM_ERROR_MAX - 8,
			rc == -ENOMEM ? "out of memory" : inner);
		return rc;
	}
	*out = read.legs[kind];
	if (!json_object_get(leg, "payload_type"))
		out->payload_type = want->legs[kind].payload_type;
	out->refuse_b_frames = want->legs[kind].refuse_b_frames;
	out->stereo = want->legs[kind].stereo;
	if (kind == LEG_VIDEO)
		inherit_sets(want, &read);
	for (int i = 0; i < LEG_COUNT + (int)kind; i++) {
		const struct stream_leg_want *other = stream_want_leg(want, i);

		if (out->port && other->present && other->port == out->port) {
			snprintf(error, STREAM_ERROR_MAX,
				"%s.port: expected another port than %s's", where,
				stream_want_leg_name(i));
			return -EINVAL;
		}
	}
	return 0;
}

static int read_failback(
	const json_t *body, struct stream_backup_want *out, char error[STREAM_ERROR_MAX])
{
	const json_t *how = json_object_get(body, "failback");
	const json_t *after = json_object_get(body, "failback_s");
	const char *text = json_string_value(how);
	long long s = json_integer_value(after);

	if (how && (!text || (strcmp(text, "auto") != 0 && strcmp(text, "manual") != 0)))
		return stream_refuse_member("backup.failback", "auto or manual", how, error);
	if (after && (!json_is_integer(after) || s < 1 || s > FAILBACK_MAX_S))
		return stream_refuse_member(
			"backup.failback_s", "a number from 1 to 3600", after, error);
	out->failback = text && strcmp(text, "auto") == 0;
	out->failback_s = after ? (uint16_t)s : FAILBACK_S;
	return 0;
}

static int read_backup(const struct conf *conf, const json_t *body, struct stream_want *want,
	char error[STREAM_ERROR_MAX])
{
	static const char *const names[] = { "video", "audio", "allowed_sources", "failback",
		"failback_s" };
	const char *key;
	json_t *value;
	int rc = 0;

	if (!json_is_object(body))
		return stream_refuse_member(
			"backup", "an object, {} for the defaults", body, error);
	json_object_foreach ((json_t *)(uintptr_t)body, key, value) {
		size_t i = 0;

		while (i < 5 && strcmp(names[i], key) != 0)
			i++;
		if (i == 5) {
			snprintf(error, STREAM_ERROR_MAX,
				"backup: expected no other members than video, audio, "
				"allowed_sources, failback and failback_s");
			return -EINVAL;
		}
	}
	for (int leg = 0; leg < LEG_COUNT && rc == 0; leg++)
		rc = read_leg(conf, body, leg, want, error);
	if (rc == 0)
		rc = stream_sources_read(json_object_get(body, "allowed_sources"),
			"backup.allowed_sources", &want->backup.n_sources, want->backup.sources,
			error);
	if (rc == 0)
		rc = read_failback(body, &want->backup, error);
	want->backup.present = rc == 0;
	return rc;
}

static int read_pick(const json_t *pick, struct stream_want *want, char error[STREAM_ERROR_MAX])
{
	const char *text = json_string_value(pick);

	want->pick_kept = !pick;
	if (!pick)
		return 0;
	for (int i = 0; text && want->backup.present && i <= REGION_PICK_BACKUP; i++) {
		if (strcmp(text, stream_pick_name(i)) != 0)
			continue;
		want->pick = (enum region_pick)i;
		return 0;
	}
	return stream_refuse_member("source",
		want->backup.present ? "auto, primary or backup" : "none without a backup", pick,
		error);
}

int stream_backup_read(const struct conf *conf, const json_t *body, struct stream_want *want,
	char error[STREAM_ERROR_MAX])
{
	const json_t *backup = json_object_get(body, "backup");
	int rc = backup ? read_backup(conf, backup, want, error) : 0;

	return rc < 0 ? rc : read_pick(json_object_get(body, "source"), want, error);
}

// ---- the file ----------------------------------------------------------------------------------

static json_t *leg_text(const struct stream_leg_want *leg, const struct stream_sprop *sprop)
{
	json_t *out = json_pack("{s:i, s:i}", "port", leg->port, "payload_type", leg->payload_type);
	const uint8_t *p = leg->profile_level_id;
	int rc = 0;

	if (leg->group.family != NET_NONE)
		rc |= stream_json_put(out, "group", stream_group_text(&leg->group));
	if (leg->profile_known)
		rc |= stream_json_put(
			out, "profile_level_id", json_sprintf("%02x%02x%02x", p[0], p[1], p[2]));
	if (sprop && sprop->bytes)
		rc |= stream_json_put(out, "sprop_parameter_sets", stream_sprop_text(sprop));
	if (rc == 0)
		return out;
	json_decref(out);
	return NULL;
}

json_t *stream_backup_text(const struct stream_backup_want *want)
{
	json_t *out = json_object();
	int rc = 0;

	for (int leg = 0; leg < LEG_COUNT; leg++)
		if (want->legs[leg].present)
			rc |= stream_json_put(out, leg_name(leg),
				leg_text(&want->legs[leg], leg == LEG_VIDEO ? &want->sprop : NULL));
	rc |= stream_json_put(
		out, "allowed_sources", stream_sources(want->sources, want->n_sources));
	rc |= stream_json_put(out, "failback", json_string(want->failback ? "auto" : "manual"));
	rc |= stream_json_put(out, "failback_s", json_integer(want->failback_s));
	if (rc == 0)
		return out;
	json_decref(out);
	return NULL;
}
