// One stream as the API shows it.
#include <string.h>

#include "control/stream/priv/store.h"

#define NS_PER_MS 1000000ULL

static json_t *integer(uint64_t n)
{
	return json_integer((json_int_t)n);
}

// How long ago a moment was; a moment that is not past yet is now.
static json_t *age_ms(uint64_t then_ns)
{
	uint64_t now_ns = region_now_ns();

	return integer(now_ns > then_ns ? (now_ns - then_ns) / NS_PER_MS : 0);
}

static const char *leg_state(const struct region_leg_state *state)
{
	if (state->packets == 0)
		return "waiting";
	return state->up ? "up" : "silent";
}

static json_t *drops(const struct region_leg_state *state)
{
	json_t *out = json_object();

	for (unsigned int reason = 0; reason < DROP_COUNT; reason++) {
		if (state->drops[reason] == 0)
			continue;
		if (json_object_set_new(out, drop_name(reason), integer(state->drops[reason])) == 0)
			continue;
		json_decref(out);
		return NULL;
	}
	return out;
}

static json_t *sender(const struct region_leg_state *state)
{
	char text[NET_ADDR_TEXT_BYTES];

	if (state->packets == 0 || state->source.family == NET_NONE)
		return json_null();
	return json_string(net_addr_text(&state->source, text));
}

// What came in band; before that, what PUT said.
static json_t *profile(const struct stream_leg_want *want, const struct region_leg_state *state)
{
	const uint8_t *p = state->profile_known ? state->profile_level_id : want->profile_level_id;

	if (!state->profile_known && !want->profile_known)
		return json_null();
	return json_sprintf("%02x%02x%02x", p[0], p[1], p[2]);
}

static json_t *lint(const struct region_leg_state *state)
{
	json_t *out = json_array();

	for (unsigned int reason = 0; out && reason < LINT_COUNT; reason++) {
		if (!(state->lint >> reason & 1) ||
			json_array_append_new(out, json_string(lint_name(reason))) == 0)
			continue;
		json_decref(out);
		return NULL;
	}
	return out;
}

static int put_counts(json_t *out, const struct region_leg_state *state)
{
	const struct {
		const char *name;
		uint64_t count;
	} counts[] = {
		{ "packets", state->packets },
		{ "bytes", state->bytes },
		{ "frames", state->frames },
		{ "lost", state->lost },
		{ "restarts", state->restarts },
		{ "source_reports", state->source_reports },
	};
	int rc = 0;

	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++)
		rc |= stream_json_put(out, counts[i].name, integer(counts[i].count));
	return rc;
}

static int put_rates(json_t *out, const struct stream_rate *rate)
{
	return stream_json_put(out, "bitrate_bps", integer((uint64_t)rate->bit_rate)) |
	       stream_json_put(out, "packet_rate", json_real(rate->packet_rate)) |
	       stream_json_put(out, "frame_rate", json_real(rate->frame_rate));
}

static int put_video(json_t *out, const struct stream_leg_want *want,
	const struct stream_sprop *sprop, const struct region_leg_state *state)
{
	return stream_json_put(out, "key_frames", integer(state->key_frames)) |
	       stream_json_put(out, "key_requests", integer(state->key_requests)) |
	       stream_json_put(out, "parameter_sets_added", integer(state->sets_added)) |
	       stream_json_put(out, "packets_omitted", integer(state->omitted)) |
	       stream_json_put(out, "key_frame_age_ms",
		       state->last_key_ns ? age_ms(state->last_key_ns) : json_null()) |
	       stream_json_put(out, "key_frame_interval_ms",
		       state->key_interval_ms ? integer(state->key_interval_ms) : json_null()) |
	       stream_json_put(out, "profile_level_id", profile(want, state)) |
	       stream_json_put(out, "sprop_parameter_sets", stream_sprop_text(sprop)) |
	       stream_json_put(out, "refuse_b_frames", json_boolean(want->refuse_b_frames));
}

static int put_leg(json_t *out, const struct stream *s, enum region_role role, enum leg_kind leg,
	const struct region_leg_state *state)
{
	const struct stream_leg_want *want = stream_leg_of(s, role, leg);
	int rc = 0;

	rc |= stream_json_put(out, "state", json_string(leg_state(state)));
	rc |= stream_json_put(out, "port", integer(want->port));
	rc |= stream_json_put(out, "rtcp_port", integer(want->port + 1u));
	rc |= stream_json_put(out, "group",
		want->group.family == NET_NONE ? json_null() : stream_group_text(&want->group));
	rc |= stream_json_put(out, "payload_type", integer(want->payload_type));
	rc |= stream_json_put(out, "codec", json_string(leg_codec(leg)));
	rc |= put_counts(out, state);
	rc |= put_rates(out, &s->rates[role][leg]);
	if (leg == LEG_VIDEO)
		rc |= put_video(out, want,
			role == REGION_BACKUP ? &s->want.backup.sprop : &s->want.sprop, state);
	else
		rc |= stream_json_put(out, "stereo", json_boolean(want->stereo || state->stereo));
	rc |= stream_json_put(out, "source", sender(state));
	rc |= stream_json_put(
		out, "last_seen_ms", state->packets ? age_ms(state->last_rx_ns) : json_null());
	rc |= stream_json_put(out, "drops", drops(state));
	rc |= stream_json_put(out, "clock_drift_ppm",
		state->drift_known ? json_integer(state->drift_ppm) : json_null());
	rc |= stream_json_put(out, "lint", lint(state));
	return rc | stream_json_put(out, "problems", stream_problems(s, role, leg, state));
}

static json_t *describe_leg(const struct stream *s, enum region_role role, enum leg_kind leg)
{
	static const struct region_stream nothing; // without a data plane
	const struct region_stream *shared = stream_shared(s);
	json_t *out = json_object();

	if (!shared)
		shared = &nothing;
	if (out && put_leg(out, s, role, leg, stream_leg_state(shared, role, leg)) == 0)
		return out;
	json_decref(out);
	return NULL;
}

static json_t *describe_legs(const struct stream *s, enum region_role role)
{
	json_t *out = json_object();

	for (int leg = 0; out && leg < LEG_COUNT; leg++) {
		if (!stream_leg_of(s, role, leg)->present ||
			stream_json_put(out, leg_name(leg), describe_leg(s, role, leg)) == 0)
			continue;
		json_decref(out);
		return NULL;
	}
	return out;
}

static json_t *source_text(const struct region_source *source)
{
	char ip[INET6_ADDRSTRLEN] = "?";
	bool v6 = source->addr.family == NET_IPV6;

	inet_ntop(v6 ? AF_INET6 : AF_INET, source->addr.ip, ip, sizeof(ip));
	if (source->prefix_bits == (v6 ? 128 : 32))
		return json_string(ip);
	return json_sprintf("%s/%u", ip, source->prefix_bits);
}

json_t *stream_sources(const struct region_source *sources, uint8_t n)
{
	json_t *out = json_array();

	for (int i = 0; out && i < n; i++) {
		if (json_array_append_new(out, source_text(&sources[i])) == 0)
			continue;
		json_decref(out);
		return NULL;
	}
	return out;
}

uint64_t stream_wait_max_ns(const struct region_wait *wait)
{
	const uint64_t span_ns = REGION_WAIT_SPAN_MS * NS_PER_MS;
	uint64_t now_ns = region_now_ns(), since_ns = wait->since_ns;
	uint64_t gone_ns = now_ns > since_ns ? now_ns - since_ns : 0;

	if (gone_ns >= 2 * span_ns)
		return 0;
	if (gone_ns >= span_ns || wait->max_ns > wait->last_max_ns)
		return wait->max_ns;
	return wait->last_max_ns;
}

// What all workers together make of it.
static json_t *describe_wait(const struct stream *s)
{
	const struct region_stream *shared = stream_shared(s);
	uint64_t packets = 0, paced = 0, sum_ns = 0, max_ns = 0;
	json_t *out = json_object();
	int rc = 0;

	for (unsigned int w = 0; shared && w < REGION_MAX_WORKERS; w++) {
		const struct region_wait *wait = &shared->waits[w];
		uint64_t longest_ns = stream_wait_max_ns(wait);

		packets += wait->packets;
		paced += wait->paced;
		sum_ns += wait->sum_ns;
		max_ns = longest_ns > max_ns ? longest_ns : max_ns;
	}
	rc |= stream_json_put(out, "packets", integer(packets));
	rc |= stream_json_put(out, "paced_packets", integer(paced));
	rc |= stream_json_put(out, "mean_ms",
		json_real(packets ? (double)sum_ns / (double)packets / NS_PER_MS : 0));
	rc |= stream_json_put(out, "max_ms", json_real((double)max_ns / NS_PER_MS));
	if (rc == 0)
		return out;
	json_decref(out);
	return NULL;
}

static json_t *describe_quality(const struct stream *s)
{
	uint64_t now_ms = region_now_ns() / NS_PER_MS;
	json_t *out = json_object();

	for (int leg = 0; out && leg < LEG_COUNT; leg++) {
		if (!s->want.legs[leg].present ||
			stream_json_put(out, leg_name(leg),
				stream_quality_describe(&s->quality, leg, now_ms)) == 0)
			continue;
		json_decref(out);
		return NULL;
	}
	return out;
}

static json_t *describe_backup(const struct stream *s)
{
	const struct stream_backup_want *want = &s->want.backup;

	if (!want->present)
		return json_null();
	return json_pack("{s:o, s:o, s:s, s:i, s:o}", "legs", describe_legs(s, REGION_BACKUP),
		"allowed_sources", stream_sources(want->sources, want->n_sources), "failback",
		want->failback ? "auto" : "manual", "failback_s", want->failback_s, "commands",
		stream_commands(s, REGION_BACKUP));
}

// Of a stream without a backup too: it may have had one.
static json_t *describe_switches(const struct region_sources_state *state)
{
	json_t *out = json_object();

	for (unsigned int why = 0; out && why < REGION_SWITCH_COUNT; why++) {
		if (stream_json_put(out, region_switch_name(why), integer(state->switches[why])) ==
			0)
			continue;
		json_decref(out);
		return NULL;
	}
	return out;
}

static json_t *describe_source(const struct stream *s)
{
	static const struct region_stream nothing; // without a data plane
	const struct region_stream *shared = stream_shared(s);
	const struct region_sources_state *state = shared ? &shared->sources : &nothing.sources;
	bool any = state->switched_ns != 0;

	return json_pack("{s:s, s:s, s:o, s:o, s:o}", "active", stream_role_name(stream_active(s)),
		"pick", stream_pick_name(s->want.pick), "switches", describe_switches(state),
		"switched_ms", any ? age_ms(state->switched_ns) : json_null(), "switched_by",
		any ? json_string(region_switch_name(state->why)) : json_null());
}

json_t *stream_describe(const struct stream *s)
{
	json_t *out = json_object();
	int rc = 0;

	rc |= stream_json_put(out, "id", json_string(s->id));
	rc |= stream_json_put(out, "slot", stream_shared(s) ? integer(s->slot) : json_null());
	rc |= stream_json_put(out, "viewers", integer(s->n_peers));
	rc |= stream_json_put(out, "max_peers", integer(stream_peer_cap(s)));
	rc |= stream_json_put(out, "require_live", json_boolean(s->want.require_live));
	rc |= stream_json_put(out, "instant_start", json_boolean(!s->want.no_instant_start));
	rc |= stream_json_put(out, "feedback", json_string(s->want.no_feedback ? "off" : "auto"));
	rc |= stream_json_put(out, "live", json_boolean(stream_live(s)));
	rc |= stream_json_put(
		out, "allowed_sources", stream_sources(s->want.sources, s->want.n_sources));
	rc |= stream_json_put(out, "source", describe_source(s));
	rc |= stream_json_put(out, "backup", describe_backup(s));
	rc |= stream_json_put(out, "legs", describe_legs(s, REGION_PRIMARY));
	rc |= stream_json_put(out, "fanout_wait", describe_wait(s));
	rc |= stream_json_put(out, "quality", describe_quality(s));
	rc |= stream_json_put(out, "commands", stream_commands(s, REGION_PRIMARY));
	if (rc == 0)
		return out;
	json_decref(out);
	return NULL;
}
