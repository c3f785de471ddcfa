// What an encoder, or anybody who reaches the ingest ports, may send.
// The whole input is one packet first. Then it is a script for one leg: packets with a header of
// their own, from one of four senders, at a time of the script's choice.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/ingest/h264.h"
#include "dataplane/ingest/leg.h"
#include "dataplane/ingest/rtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_bytes);

enum {
	STEP_BYTES = 4, // flags, sender, elapsed time in 8 ms, size
	STEP_RTCP = 1,
	STEP_RAW = 2,	  // the body is the packet; else it is sequence, timestamp and payload
	STEP_RESTART = 4, // the process that kept the leg begins anew
	PKT_BYTES = 300,
	MAX_ACCEPTED = 256,
};

struct play {
	struct leg leg;
	struct stream_clock clock;
	struct region_leg_conf conf;
	struct region_leg_norm norm;
	struct region_leg_state state;
	uint64_t now_ns;
	uint64_t given[MAX_ACCEPTED];
	unsigned int n_given;
};

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void judge_alone(const uint8_t *pkt, uint16_t pkt_bytes)
{
	struct h264_payload h;
	struct rtp_packet p;

	h264_inspect(pkt, pkt_bytes, &h);
	must(!(h.key && h.params));
	if (rtp_parse(pkt, pkt_bytes, &p) < 0)
		return;
	must(p.payload_bytes > 0 && p.payload_off >= RTP_HEADER_BYTES);
	must((uint32_t)p.payload_off + p.payload_bytes <= pkt_bytes);
	must(p.payload_type <= 127);
	h264_inspect(pkt + p.payload_off, p.payload_bytes, &h);
}

// No output number twice, and none past the end that the region knows of.
static void accepted_must_hold(struct play *play, const struct leg_packet *out, uint16_t pkt_bytes)
{
	must(out->seq < play->norm.next_seq);
	must(!out->in_order || out->seq + 1 == play->norm.next_seq);
	must((uint32_t)out->payload_off + out->payload_bytes <= pkt_bytes &&
		out->payload_bytes > 0);
}

// No number goes out twice.
static void goes_out(struct play *play, uint64_t seq)
{
	must(seq < play->norm.next_seq);
	for (unsigned int i = 0; i < play->n_given; i++)
		must(play->given[i] != seq);
	if (play->n_given < MAX_ACCEPTED)
		play->given[play->n_given++] = seq;
}

// As the worker does (fanout/intake.c).
static void care_for(struct play *play, uint8_t *payload, struct leg_packet *p)
{
	uint8_t sets[PARAMS_PACKET_MAX];
	uint16_t before = p->payload_bytes;
	uint64_t seq;

	if (play->leg.kind == LEG_VIDEO && p->in_order) {
		switch (params_judge(&play->leg.params, payload, p)) {
		case PARAMS_OMIT:
			leg_omit(&play->leg, p);
			return;
		case PARAMS_LACK:
			must(params_write(&play->leg.params, sets) <= sizeof(sets));
			leg_insert(&play->leg, p, &seq);
			goes_out(play, seq);
			break;
		case PARAMS_PASS:
			break;
		}
		must(p->payload_bytes > 0 && p->payload_bytes <= before);
		must(play->leg.params.bytes <= sizeof(play->leg.params.sets));
	}
	goes_out(play, p->seq);
}

static uint64_t drops_of(const struct region_leg_state *state)
{
	uint64_t sum = 0;

	for (int reason = 0; reason < DROP_COUNT; reason++)
		sum += state->drops[reason];
	return sum;
}

static void give(struct play *play, const uint8_t *step, uint8_t *pkt, uint16_t pkt_bytes)
{
	struct net_addr from = { .ip = { 198, 18, 77, 2 }, .family = NET_IPV4 };
	uint64_t drops = drops_of(&play->state), next_seq = play->norm.next_seq;
	struct leg_packet out;
	unsigned int changes;
	int rc;

	from.port_be = step[1] & 3;
	if (step[0] & STEP_RTCP)
		rc = leg_accept_rtcp(&play->leg, &play->clock, &from, pkt, pkt_bytes, play->now_ns);
	else
		rc = leg_accept(&play->leg, &play->clock, &from, pkt, pkt_bytes, 200, play->now_ns,
			&out, &changes);
	must(rc <= 0 && rc >= -DROP_COUNT);
	must(drops_of(&play->state) == drops + (rc < 0));
	if (rc < 0 || step[0] & STEP_RTCP) {
		must(play->norm.next_seq == next_seq);
		return;
	}
	accepted_must_hold(play, &out, pkt_bytes);
	care_for(play, pkt + out.payload_off, &out);
}

static uint16_t write_packet(
	const uint8_t *step, const uint8_t *body, uint8_t body_bytes, uint8_t pkt[PKT_BYTES])
{
	static const uint8_t head[] = { 0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7 };

	if (step[0] & (STEP_RAW | STEP_RTCP)) {
		memcpy(pkt, body, body_bytes);
		return body_bytes;
	}
	memcpy(pkt, head, sizeof(head));
	pkt[10] = step[1] >> 6; // SSRC
	memcpy(pkt + 2, body, body_bytes < 6 ? body_bytes : 6);
	if (body_bytes <= 6)
		return sizeof(head) + 1; // the byte behind the header is whatever stood there
	memcpy(pkt + sizeof(head), body + 6, body_bytes - 6u);
	return (uint16_t)(sizeof(head) + body_bytes - 6u);
}

static void play_script(const uint8_t *data, size_t data_bytes)
{
	struct play play = {
		.conf = { .present = 1, .payload_type = 96, .refuse_b_frames = data[0] >> 1 & 1 },
		.now_ns = 1ULL << 40
	};
	size_t off = 1;

	leg_init(&play.leg, data[0] & 1 ? LEG_AUDIO : LEG_VIDEO, &play.conf, &play.norm,
		&play.state);
	while (off + STEP_BYTES <= data_bytes) {
		const uint8_t *step = data + off;
		uint8_t pkt[PKT_BYTES] = { 0 };

		off += STEP_BYTES;
		if (off + step[3] > data_bytes)
			return;
		if (step[0] & STEP_RESTART)
			leg_init(&play.leg, play.leg.kind, &play.conf, &play.norm, &play.state);
		play.now_ns += step[2] * 8000000ULL;
		give(&play, step, pkt, write_packet(step, data + off, step[3], pkt));
		off += step[3];
	}
	lint_check(&play.leg.lint, &play.state, play.leg.kind, play.leg.params.unknown, 12,
		play.now_ns);
	must(play.state.lint >> LINT_COUNT == 0);
	leg_check_silence(&play.leg, play.now_ns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_bytes)
{
	if (data_bytes > UINT16_MAX)
		return -1;
	judge_alone(data, (uint16_t)data_bytes);
	if (data_bytes > 0)
		play_script(data, data_bytes);
	return 0;
}
