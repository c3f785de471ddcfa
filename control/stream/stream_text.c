// What the description of a stream says in words: commands that send to it, and problems with what
// comes in.
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "control/stream/priv/store.h"

enum {
	TEXT_MAX_BYTES = 1024,
	KEY_INTERVAL_SHOWN_MS = 5000,
	LATE_SHOWN_OF = 100, // late packets are a problem above one in so many
};

// ---- sizes -------------------------------------------------------------------------------------

static unsigned int path_mtu(const struct stream_store *store)
{
	return store->link ? link_region(store->link)->header->mtu : store->conf->dataplane.mtu;
}

unsigned int stream_rtp_max(const struct stream_store *store)
{
	unsigned int mtu = path_mtu(store);

	return mtu > REGION_OVERHEAD_BYTES ? mtu - REGION_OVERHEAD_BYTES + STREAM_RTP_HEADER_BYTES
					   : STREAM_RTP_HEADER_BYTES;
}

// Return: the packet size that encoders are told.
static unsigned int packet_bytes(const struct stream_store *store)
{
	unsigned int max = stream_rtp_max(store);

	return max < STREAM_PACKET_BYTES ? max : STREAM_PACKET_BYTES;
}

// ---- problems ----------------------------------------------------------------------------------

struct problem {
	const struct stream *stream;
	const struct region_leg_state *state;
	const struct stream_leg_want *want;
	enum leg_kind leg;
	json_t *lines;
	bool failed; // no memory
};

// Append "37 packets WHAT, last from SENDER: REMEDY".
static void add(struct problem *p, enum drop_reason reason, const char *what, const char *remedy,
	...) __attribute__((format(printf, 4, 5)));

static void add(
	struct problem *p, enum drop_reason reason, const char *what, const char *remedy, ...)
{
	uint64_t n = p->state->drops[reason];
	char sender[NET_ADDR_TEXT_BYTES];
	char text[256];
	va_list args;

	if (n == 0)
		return;
	va_start(args, remedy);
	vsnprintf(text, sizeof(text), remedy, args);
	va_end(args);
	if (json_array_append_new(
		    p->lines, json_sprintf("%llu packet%s %s, last from %s: %s",
				      (unsigned long long)n, n == 1 ? "" : "s", what,
				      net_addr_text(&p->state->last_refused, sender), text)) < 0)
		p->failed = true;
}

static void add_shape(struct problem *p)
{
	unsigned int max = stream_rtp_max(p->stream->store);
	unsigned int type = p->want->payload_type;

	add(p, DROP_INGEST_NOT_RTP, "that are not RTP",
		"expected RTP version 2; send with FFmpeg's -f rtp or GStreamer's %s",
		p->leg == LEG_VIDEO ? "rtph264pay" : "rtpopuspay");
	add(p, DROP_INGEST_SHORT, "too short",
		"expected an RTP header of at least %d bytes and a payload; look for a sender that "
		"only probes the port",
		STREAM_RTP_HEADER_BYTES);
	add(p, DROP_INGEST_LONG, "too long",
		"expected at most %u bytes of RTP; set pkt_size=%u in FFmpeg's rtp:// URL, or "
		"mtu=%u on GStreamer's payloader",
		max, packet_bytes(p->stream->store), packet_bytes(p->stream->store));
	add(p, DROP_INGEST_PAYLOAD_TYPE, "with the wrong payload type",
		"expected %u; set -payload_type %u", type, type);
	add(p, DROP_INGEST_B_FRAMES, "of a source with B-frames",
		"expected none, as refuse_b_frames says; set -bf 0 in FFmpeg, or bframes=0 on "
		"x264enc");
	add(p, DROP_INGEST_RTCP_BAD, "that are not the RTCP they claim to be",
		"expected compound RTCP that begins with a report (RFC 3550 6.1)");
}

static void add_senders(struct problem *p)
{
	char source[NET_ADDR_TEXT_BYTES];

	add(p, DROP_INGEST_SOURCE, "from a sender that is not allowed",
		"expected one of allowed_sources; add the sender there");
	add(p, DROP_INGEST_SSRC, "of a second sender",
		"expected only %s, which still sends; stop one of them, or give it a stream of its "
		"own",
		net_addr_text(&p->state->source, source));
	if (p->state->drops[DROP_INGEST_LATE] > p->state->packets / LATE_SHOWN_OF)
		add(p, DROP_INGEST_LATE, "late or repeated",
			"expected each once and near its turn; look for a path that reorders or "
			"doubles packets, or a second sender");
}

static void add_line(struct problem *p, json_t *line)
{
	if (json_array_append_new(p->lines, line) < 0)
		p->failed = true;
}

// A viewer's picture begins at a key frame.
static void add_key_frames(struct problem *p)
{
	uint32_t interval_ms = p->state->key_interval_ms;

	if (interval_ms > KEY_INTERVAL_SHOWN_MS)
		add_line(p, json_sprintf("key frames come only every %u.%u s: expected one every "
					 "two seconds or so; set -g in FFmpeg, or key-int-max on "
					 "x264enc",
				    interval_ms / 1000, interval_ms % 1000 / 100));
}

static void add_silence(struct problem *p)
{
	if (p->state->packets && !p->state->up)
		add_line(p, json_string("nothing comes any more: look whether the encoder runs, "
					"and still sends to this address and port"));
}

static bool has_lint(const struct problem *p, enum lint_reason reason)
{
	return p->state->lint >> reason & 1;
}

static void add_video_lint(struct problem *p)
{
	const uint8_t *want = p->want->profile_level_id;
	const uint8_t *sent = p->state->profile_level_id;

	if (has_lint(p, LINT_B_FRAMES))
		add_line(p,
			json_sprintf("pictures come out of their order (B-frames), which browsers "
				     "show with jerks or not at all%s: set -bf 0 in FFmpeg, or "
				     "bframes=0 on x264enc",
				p->want->refuse_b_frames ? "; they are refused" : ""));
	if (has_lint(p, LINT_NO_KEY_FRAME))
		add_line(p, json_sprintf("no key frame for more than %u s, so that no new viewer "
					 "gets a picture: set -g in FFmpeg, or key-int-max on "
					 "x264enc",
				    p->stream->store->conf->ingest.key_frame_warn_s));
	if (has_lint(p, LINT_NO_PARAMETER_SETS))
		add_line(p,
			json_string("key frames come without SPS and PPS, so that no viewer gets "
				    "a picture: put -bsf:v dump_extra in FFmpeg, "
				    "config-interval=-1 on rtph264pay, or PUT the stream with "
				    "sprop_parameter_sets"));
	if (has_lint(p, LINT_PROFILE))
		add_line(p,
			json_sprintf("the picture is of profile-level-id %02x%02x%02x, declared is "
				     "%02x%02x%02x, which viewers were told: set -profile:v and "
				     "-level in FFmpeg, or PUT the stream with what it is",
				sent[0], sent[1], sent[2], want[0], want[1], want[2]));
}

static void add_lint(struct problem *p)
{
	if (has_lint(p, LINT_NO_SENDER_REPORTS))
		add_line(p, json_sprintf("no sender reports, so that sound and picture may drift "
					 "apart: let RTCP through to UDP port %u",
				    p->want->port + 1u));
	if (has_lint(p, LINT_CLOCK_DRIFT))
		add_line(p,
			json_sprintf(
				"the source's clock is %d ppm %s: viewers will skip or stall now "
				"and then; set its clock by NTP, or send in real time (-re in "
				"FFmpeg)",
				abs(p->state->drift_ppm),
				p->state->drift_ppm > 0 ? "fast" : "slow"));
}

json_t *stream_problems(const struct stream *s, enum region_role role, enum leg_kind leg,
	const struct region_leg_state *state)
{
	struct problem p = { .stream = s,
		.state = state,
		.want = stream_leg_of(s, role, leg),
		.leg = leg,
		.lines = json_array() };

	if (!p.lines)
		return NULL;
	add_shape(&p);
	add_senders(&p);
	add_silence(&p);
	if (leg == LEG_VIDEO) {
		add_key_frames(&p);
		add_video_lint(&p);
	}
	add_lint(&p);
	if (!p.failed)
		return p.lines;
	json_decref(p.lines);
	return NULL;
}

// ---- commands ----------------------------------------------------------------------------------

struct text {
	char buf[TEXT_MAX_BYTES];
	size_t used;
};

static void append(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void append(struct text *t, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(t->buf + t->used, sizeof(t->buf) - t->used, fmt, args);
	va_end(args);
	if (n > 0 && t->used + (size_t)n < sizeof(t->buf))
		t->used += (size_t)n;
}

// Return: the bare address that encoders send to; a word to be replaced where none is known.
static const char *address_text(const struct stream_store *store, char buf[INET6_ADDRSTRLEN])
{
	if (store->address.family != NET_IPV4 && store->address.family != NET_IPV6)
		return "ADDRESS";
	inet_ntop(store->address.family == NET_IPV6 ? AF_INET6 : AF_INET, store->address.ip, buf,
		INET6_ADDRSTRLEN);
	return buf;
}

// Return: where the leg is sent to, bare: its group, or our address.
static const char *leg_host(const struct stream *s, const struct stream_leg_want *leg,
	char buf[INET6_ADDRSTRLEN], bool *v6)
{
	const struct net_addr *group = &leg->group;

	*v6 = group->family ? group->family == NET_IPV6 : s->store->address.family == NET_IPV6;
	if (group->family == NET_NONE)
		return address_text(s->store, buf);
	inet_ntop(*v6 ? AF_INET6 : AF_INET, group->ip, buf, INET6_ADDRSTRLEN);
	return buf;
}

// The same as it stands in a URL.
static const char *leg_url_host(
	const struct stream *s, const struct stream_leg_want *leg, char buf[INET6_ADDRSTRLEN + 2])
{
	char ip[INET6_ADDRSTRLEN];
	bool v6;
	const char *host = leg_host(s, leg, ip, &v6);

	snprintf(buf, INET6_ADDRSTRLEN + 2, v6 ? "[%s]" : "%s", host);
	return buf;
}

// Return: the profile that the leg asks for, as x264 names it; baseline where it asks for none.
static const char *x264_profile(const struct stream_leg_want *leg)
{
	enum {
		PROFILE_MAIN = 0x4d, // profile_idc (H.264 A.2)
		PROFILE_HIGH = 0x64,
	};

	if (leg->profile_known && leg->profile_level_id[0] == PROFILE_MAIN)
		return "main";
	if (leg->profile_known && leg->profile_level_id[0] == PROFILE_HIGH)
		return "high";
	return "baseline";
}

static json_t *ffmpeg_command(const struct stream *s, enum region_role role)
{
	const struct stream_leg_want *video = stream_leg_of(s, role, LEG_VIDEO);
	const struct stream_leg_want *audio = stream_leg_of(s, role, LEG_AUDIO);
	unsigned int bytes = packet_bytes(s->store);
	char host[INET6_ADDRSTRLEN + 2];
	struct text t = { .used = 0 };

	append(&t, "ffmpeg -re -stream_loop -1 -i INPUT");
	if (video->present)
		append(&t,
			" -map 0:v:0 -c:v libx264 -profile:v %s -preset veryfast -tune zerolatency"
			" -bf 0 -g 60 -pix_fmt yuv420p -payload_type %u -f rtp"
			" 'rtp://%s:%u?pkt_size=%u'",
			x264_profile(video), video->payload_type, leg_url_host(s, video, host),
			video->port, bytes);
	if (audio->present)
		append(&t,
			" -map 0:a:0 -c:a libopus -ar 48000 -ac 2 -payload_type %u -f rtp"
			" 'rtp://%s:%u?pkt_size=%u'",
			audio->payload_type, leg_url_host(s, audio, host), audio->port, bytes);
	return json_string(t.buf);
}

static json_t *gstreamer_command(const struct stream *s, enum region_role role)
{
	const struct stream_leg_want *video = stream_leg_of(s, role, LEG_VIDEO);
	const struct stream_leg_want *audio = stream_leg_of(s, role, LEG_AUDIO);
	const char *profile = x264_profile(video);
	unsigned int bytes = packet_bytes(s->store);
	char buf[INET6_ADDRSTRLEN];
	struct text t = { .used = 0 };
	bool v6;

	// udpsink takes IPv6 addresses without brackets only.
	append(&t, "gst-launch-1.0");
	if (video->present)
		append(&t,
			" videotestsrc is-live=true"
			" ! video/x-raw,width=1280,height=720,framerate=30/1 ! videoconvert"
			" ! x264enc tune=zerolatency speed-preset=veryfast bframes=0 key-int-max=60"
			" bitrate=2500 ! video/x-h264,profile=%s"
			" ! rtph264pay mtu=%u pt=%u config-interval=-1 ! udpsink host=%s port=%u",
			strcmp(profile, "baseline") == 0 ? "constrained-baseline" : profile, bytes,
			video->payload_type, leg_host(s, video, buf, &v6), video->port);
	if (audio->present)
		append(&t,
			" audiotestsrc is-live=true ! audioconvert ! audioresample"
			" ! audio/x-raw,rate=48000,channels=2 ! opusenc"
			" ! rtpopuspay mtu=%u pt=%u ! udpsink host=%s port=%u",
			bytes, audio->payload_type, leg_host(s, audio, buf, &v6), audio->port);
	return json_string(t.buf);
}

json_t *stream_commands(const struct stream *s, enum region_role role)
{
	json_t *out = json_object();

	if (out && stream_json_put(out, "ffmpeg", ffmpeg_command(s, role)) == 0 &&
		stream_json_put(out, "gstreamer", gstreamer_command(s, role)) == 0)
		return out;
	json_decref(out);
	return NULL;
}
