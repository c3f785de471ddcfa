// What control's own tables hold: sessions, streams, and what the HTTP server refused.
#include <string.h>

#include "control/metrics/priv/exposition.h"
#include "control/metrics/priv/parts.h"

// ---- sessions ----------------------------------------------------------------------------------

struct peer_counts {
	uint32_t of[REGION_MAX_STREAMS][SESSION_STATE_COUNT]; // by the stream's slot
};

static void count_peer(void *arg, const struct session *s)
{
	struct peer_counts *counts = arg;

	counts->of[session_stream(s)->slot][session_state_of(s)]++;
}

// Every state of every stream, so that none is missing while it is 0.
static void write_peers(const struct api *api, FILE *out)
{
	static const struct metric peers = METRIC_TELLS(
		"millrace_peers", "Viewers that hold a slot.", "stream", "state");
	static struct peer_counts counts; // too large for a stack
	const struct stream *s;

	memset(&counts, 0, sizeof(counts));
	session_visit(api->sessions, NULL, count_peer, &counts);
	exposition_head(out, &peers);
	for (s = stream_first(api->streams); s; s = s->next)
		for (unsigned int state = 0; state < SESSION_STATE_COUNT; state++)
			exposition_count(out, &peers,
				METRIC_VALUES(s->id, session_state_name(state)),
				stream_shared(s) ? counts.of[s->slot][state] : 0);
}

static void write_sessions(const struct api *api, FILE *out)
{
	static const struct metric capacity = METRIC_TELLS(
		"millrace_peers_capacity", "Viewers that the edge takes in all.");
	static const struct metric created = METRIC_COUNTS(
		"millrace_sessions_created_total", "Sessions that took a slot.");
	static const struct metric ended = METRIC_COUNTS("millrace_sessions_ended_total",
		"Sessions that ended, by the reason why.", "reason");
	static const struct metric refused = METRIC_COUNTS("millrace_punted_packets_refused_total",
		"STUN and DTLS packets that belong to no session, or do not verify.", "protocol");
	const struct session_counts *counts = session_table_counts(api->sessions);

	exposition_head(out, &capacity);
	exposition_count(out, &capacity, NULL, session_table_cap(api->sessions));
	exposition_head(out, &created);
	exposition_count(out, &created, NULL, counts->created);
	exposition_head(out, &ended);
	for (unsigned int end = 0; end < SESSION_END_COUNT; end++)
		exposition_count(
			out, &ended, METRIC_VALUES(session_end_name(end)), counts->ended[end]);
	exposition_head(out, &refused);
	exposition_count(out, &refused, METRIC_VALUES("stun"), counts->stun_refused);
	exposition_count(out, &refused, METRIC_VALUES("dtls"), counts->dtls_refused);
}

// ---- streams -----------------------------------------------------------------------------------

#define LEG_LABELS "stream", "leg"

struct leg_row {
	struct metric metric;
	size_t offset; // of the uint64_t in struct region_leg_state
};

#define LEG_ROW(field, nm, text)                                                              \
	{                                                                                     \
		METRIC_COUNTS(nm, text, LEG_LABELS), offsetof(struct region_leg_state, field) \
	}

static const struct leg_row leg_rows[] = {
	LEG_ROW(packets, "millrace_leg_packets_total", "RTP packets taken from the encoder."),
	LEG_ROW(bytes, "millrace_leg_bytes_total", "Their bytes, RTP headers included."),
	LEG_ROW(frames, "millrace_leg_frames_total", "Frames in them."),
	LEG_ROW(key_frames, "millrace_leg_key_frames_total", "Key frames in them."),
	LEG_ROW(key_requests, "millrace_leg_key_requests_total",
		"Key frames that its source was asked for."),
	LEG_ROW(sets_added, "millrace_leg_parameter_sets_added_total",
		"Key frames that came without parameter sets and were given them."),
	LEG_ROW(omitted, "millrace_leg_omitted_packets_total",
		"Packets of delimiters and filler alone, which no viewer needs."),
	LEG_ROW(lost, "millrace_leg_lost_packets_total", "RTP packets that never came."),
	LEG_ROW(restarts, "millrace_leg_restarts_total", "Times that the encoder began anew."),
};

typedef void (*leg_cb)(FILE *, const struct metric *, const struct stream *, const char *leg,
	const struct region_leg_state *, size_t offset);

// Call cb for each leg that stands in the region, a backup's too.
static void each_leg(
	const struct api *api, FILE *out, const struct metric *m, leg_cb cb, size_t offset)
{
	exposition_head(out, m);
	for (const struct stream *s = stream_first(api->streams); s; s = s->next) {
		const struct region_stream *shared = stream_shared(s);

		for (int i = 0; shared && i < REGION_ROLE_COUNT * LEG_COUNT; i++) {
			enum region_role role = i / LEG_COUNT;
			enum leg_kind leg = i % LEG_COUNT;

			if (stream_leg_of(s, role, leg)->present)
				cb(out, m, s, stream_leg_name(role, leg),
					stream_leg_state(shared, role, leg), offset);
		}
	}
}

static void write_count(FILE *out, const struct metric *m, const struct stream *s, const char *leg,
	const struct region_leg_state *state, size_t offset)
{
	uint64_t count;

	memcpy(&count, (const char *)state + offset, sizeof(count));
	exposition_count(out, m, METRIC_VALUES(s->id, leg), count);
}

static void write_up(FILE *out, const struct metric *m, const struct stream *s, const char *leg,
	const struct region_leg_state *state, size_t offset)
{
	exposition_count(out, m, METRIC_VALUES(s->id, leg), state->up != 0);
}

// Those that happened: most reasons cannot befall a leg.
static void write_drops(FILE *out, const struct metric *m, const struct stream *s, const char *leg,
	const struct region_leg_state *state, size_t offset)
{
	for (unsigned int reason = 0; reason < DROP_COUNT; reason++)
		if (state->drops[reason])
			exposition_count(out, m, METRIC_VALUES(s->id, leg, drop_name(reason)),
				state->drops[reason]);
}

static void write_lint(FILE *out, const struct metric *m, const struct stream *s, const char *leg,
	const struct region_leg_state *state, size_t offset)
{
	for (unsigned int reason = 0; reason < LINT_COUNT; reason++)
		exposition_count(out, m, METRIC_VALUES(s->id, leg, lint_name(reason)),
			state->lint >> reason & 1);
}

static void write_legs(const struct api *api, FILE *out)
{
	static const struct metric up = METRIC_TELLS(
		"millrace_leg_up", "Whether packets come from the encoder.", LEG_LABELS);
	static const struct metric drops = METRIC_COUNTS("millrace_leg_dropped_packets_total",
		"Packets to the leg's ports that were dropped, by reason.", LEG_LABELS, "reason");

	static const struct metric lint = METRIC_TELLS("millrace_stream_lint",
		"Whether something is wrong with what comes in, by reason.", LEG_LABELS, "reason");

	each_leg(api, out, &up, write_up, 0);
	each_leg(api, out, &lint, write_lint, 0);
	for (size_t i = 0; i < sizeof(leg_rows) / sizeof(leg_rows[0]); i++)
		each_leg(api, out, &leg_rows[i].metric, write_count, leg_rows[i].offset);
	each_leg(api, out, &drops, write_drops, 0);
}

// ---- how long pictures wait for their turn -----------------------------------------------------

enum wait_part {
	WAIT_PACKETS,
	WAIT_PACED,
	WAIT_SUM,
	WAIT_MAX,
	WAIT_PARTS,
};

static double wait_value(const struct region_wait *wait, enum wait_part part)
{
	const double values[WAIT_PARTS] = {
		[WAIT_PACKETS] = (double)wait->packets,
		[WAIT_PACED] = (double)wait->paced,
		[WAIT_SUM] = (double)wait->sum_ns / 1e9,
		[WAIT_MAX] = (double)stream_wait_max_ns(wait) / 1e9,
	};

	return values[part];
}

// Of the workers that sent any of the stream.
static void write_wait(
	FILE *out, const struct metric *m, const struct stream *s, enum wait_part part)
{
	const struct region_stream *shared = stream_shared(s);

	for (unsigned int w = 0; shared && w < REGION_MAX_WORKERS; w++) {
		char worker[16];

		if (shared->waits[w].packets == 0)
			continue;
		snprintf(worker, sizeof(worker), "%u", w);
		exposition_number(
			out, m, METRIC_VALUES(s->id, worker), wait_value(&shared->waits[w], part));
	}
}

static void write_waits(const struct api *api, FILE *out)
{
	static const struct metric parts[WAIT_PARTS] = {
		[WAIT_PACKETS] = METRIC_COUNTS("millrace_stream_fanout_packets_total",
			"Video packets that a worker took to fan out.", "stream", "worker"),
		[WAIT_PACED] = METRIC_COUNTS("millrace_stream_paced_packets_total",
			"Of these, those of pictures that were spread over time.", "stream",
			"worker"),
		[WAIT_SUM] = METRIC_COUNTS("millrace_stream_wait_seconds_total",
			"Time that they waited from receive to fan-out, pacing included; over "
			"millrace_stream_fanout_packets_total it is the mean.",
			"stream", "worker"),
		[WAIT_MAX] = METRIC_TELLS("millrace_stream_wait_max_seconds",
			"The longest that one waited within the last 10 to 20 seconds.", "stream",
			"worker"),
	};

	for (unsigned int part = 0; part < WAIT_PARTS; part++) {
		exposition_head(out, &parts[part]);
		for (const struct stream *s = stream_first(api->streams); s; s = s->next)
			write_wait(out, &parts[part], s, part);
	}
}

// ---- sources of a pair --------------------------------------------------------------------------

static void write_sources(const struct api *api, FILE *out)
{
	static const struct metric switches = METRIC_COUNTS("millrace_stream_source_switches_total",
		"Times that the other source of a stream took over, by why.", "stream", "reason");
	static const struct metric active = METRIC_TELLS("millrace_stream_source_active",
		"Which source of a stream with a backup plays.", "stream", "source");

	exposition_head(out, &switches);
	for (const struct stream *s = stream_first(api->streams); s; s = s->next)
		for (int why = 0; stream_shared(s) && why < REGION_SWITCH_COUNT; why++)
			if (s->want.backup.present)
				exposition_count(out, &switches,
					METRIC_VALUES(s->id, region_switch_name(why)),
					stream_shared(s)->sources.switches[why]);
	exposition_head(out, &active);
	for (const struct stream *s = stream_first(api->streams); s; s = s->next)
		for (int role = 0; s->want.backup.present && role < REGION_ROLE_COUNT; role++)
			exposition_count(out, &active, METRIC_VALUES(s->id, stream_role_name(role)),
				stream_active(s) == (enum region_role)role);
}

// ---- HTTP --------------------------------------------------------------------------------------

static void write_http(const struct http_request *req, FILE *out)
{
	static const struct metric refused = METRIC_COUNTS("millrace_http_refused_requests_total",
		"Requests of any path that were refused while they were read.", "code");
	unsigned int status;
	uint64_t count;

	exposition_head(out, &refused);
	for (unsigned int i = 0; http_request_refusals(req, i, &status, &count); i++) {
		char code[16];

		snprintf(code, sizeof(code), "%u", status);
		exposition_count(out, &refused, METRIC_VALUES(code), count);
	}
}

void metrics_write_edge(const struct api *api, const struct http_request *req, FILE *out)
{
	write_peers(api, out);
	write_sessions(api, out);
	write_legs(api, out);
	write_waits(api, out);
	write_sources(api, out);
	write_http(req, out);
}
