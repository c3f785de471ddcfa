#include "dataplane/ingest/params.h"

#include <string.h>

#include "dataplane/ingest/h264.h"
#include "dataplane/ingest/leg.h"

enum {
	STAP_A_HEADER = 0x78, // nal_ref_idc 3
	SPS_ID_AT = 4,	      // behind header, profile, flags and level
	SPS_MIN_BYTES = 5,
	PPS_MIN_BYTES = 2,
	RBSP_END = 0x80, // all of a filler unit without filler
};

// ---- sets --------------------------------------------------------------------------------------

static bool is_set(uint8_t type)
{
	return type == H264_NAL_SPS || type == H264_NAL_PPS;
}

// Return: whether it is a set with an id that can be read.
static bool set_id(const uint8_t *unit, uint16_t bytes, uint32_t *id)
{
	if (h264_type(unit[0]) == H264_NAL_SPS)
		return bytes >= SPS_MIN_BYTES &&
		       h264_number(unit + SPS_ID_AT, bytes - SPS_ID_AT, 0, id);
	return h264_type(unit[0]) == H264_NAL_PPS && bytes >= PPS_MIN_BYTES &&
	       h264_number(unit + 1, bytes - 1u, 0, id);
}

static void forget(struct params *p, uint8_t type, uint32_t id)
{
	const uint8_t *unit;
	uint32_t off = 0, from = 0, known_id;
	uint16_t bytes;

	while ((bytes = h264_next_unit(p->sets, p->bytes, &off, &unit))) {
		if (h264_type(unit[0]) == type && set_id(unit, bytes, &known_id) &&
			known_id == id) {
			memmove(p->sets + from, p->sets + off, p->bytes - off);
			p->bytes = (uint16_t)(p->bytes - (off - from));
			return;
		}
		from = off;
	}
}

// What has the same id is replaced. A stream that has more than there is room for loses the oldest.
static void learn_unit(struct params *p, const uint8_t *unit, uint16_t bytes)
{
	uint32_t id, drop;

	if (!is_set(h264_type(unit[0])) || 2u + bytes > sizeof(p->sets) ||
		!set_id(unit, bytes, &id))
		return;
	forget(p, h264_type(unit[0]), id);
	while (p->bytes + 2u + bytes > sizeof(p->sets)) {
		drop = 2u + (uint32_t)(p->sets[0] << 8 | p->sets[1]);
		memmove(p->sets, p->sets + drop, p->bytes - drop);
		p->bytes = (uint16_t)(p->bytes - drop);
	}
	p->sets[p->bytes] = (uint8_t)(bytes >> 8);
	p->sets[p->bytes + 1] = (uint8_t)bytes;
	memcpy(p->sets + p->bytes + 2, unit, bytes);
	p->bytes = (uint16_t)(p->bytes + 2 + bytes);
}

void params_learn(struct params *p, const uint8_t *body, uint16_t body_bytes)
{
	const uint8_t *unit;
	uint32_t off = 0;
	uint16_t bytes;

	while ((bytes = h264_next_unit(body, body_bytes, &off, &unit)))
		learn_unit(p, unit, bytes);
}

static bool knows(const struct params *p, uint8_t type)
{
	const uint8_t *unit;
	uint32_t off = 0;

	while (h264_next_unit(p->sets, p->bytes, &off, &unit))
		if (h264_type(unit[0]) == type)
			return true;
	return false;
}

uint16_t params_write(struct params *p, uint8_t out[PARAMS_PACKET_MAX])
{
	const uint8_t *unit;
	uint32_t off = 0;
	uint16_t bytes, n = 1;

	out[0] = STAP_A_HEADER;
	while ((bytes = h264_next_unit(p->sets, p->bytes, &off, &unit))) {
		if (h264_type(unit[0]) == H264_NAL_SPS ? p->has_sps : p->has_pps)
			continue;
		memcpy(out + n, unit - 2, 2u + bytes);
		n = (uint16_t)(n + 2 + bytes);
	}
	p->has_sps = true;
	p->has_pps = true;
	return n;
}

// ---- what is not needed ------------------------------------------------------------------------

static bool is_dull(uint8_t type)
{
	return type == H264_NAL_AUD || type == H264_NAL_FILLER;
}

// Return: the size without delimiters and filler; one that does not add up is left alone.
static uint16_t strip_stap_a(uint8_t *payload, uint16_t payload_bytes)
{
	uint32_t body_bytes = payload_bytes - 1u, off = 0, n = 1;
	const uint8_t *unit;
	uint16_t bytes;

	while (h264_next_unit(payload + 1, body_bytes, &off, &unit))
		;
	if (off != body_bytes)
		return payload_bytes;
	off = 0;
	while ((bytes = h264_next_unit(payload + 1, body_bytes, &off, &unit))) {
		if (is_dull(h264_type(unit[0])))
			continue;
		memmove(payload + n, unit - 2, 2u + bytes);
		n += 2u + bytes;
	}
	return n > 1 ? (uint16_t)n : 0;
}

// Return: how much of the payload is needed.
static uint16_t strip(uint8_t *payload, uint16_t payload_bytes)
{
	uint8_t type = h264_type(payload[0]);

	if (type == H264_NAL_STAP_A)
		return strip_stap_a(payload, payload_bytes);
	if (type == H264_NAL_FU_A && payload_bytes >= 2)
		type = h264_type(payload[1]);
	return is_dull(type) ? 0 : payload_bytes;
}

// A picture's last packet tells that it is the last: it stays, as the shortest filler there is.
static void empty(uint8_t *payload, struct leg_packet *p)
{
	payload[0] = H264_NAL_FILLER;
	payload[1] = RBSP_END;
	p->payload_bytes = 2;
}

// Return: whether the packet is to go out.
static bool trim(uint8_t *payload, struct leg_packet *p)
{
	uint16_t bytes = strip(payload, p->payload_bytes);

	if (bytes) {
		p->payload_bytes = bytes;
		return true;
	}
	if (!p->marker)
		return false;
	if (p->payload_bytes >= 2)
		empty(payload, p);
	return true;
}

// ---- the access unit ---------------------------------------------------------------------------

static void note_unit(struct params *p, const uint8_t *unit, uint16_t bytes)
{
	p->has_sps |= h264_type(unit[0]) == H264_NAL_SPS;
	p->has_pps |= h264_type(unit[0]) == H264_NAL_PPS;
	learn_unit(p, unit, bytes);
}

static void note_sets(struct params *p, const uint8_t *payload, uint16_t payload_bytes)
{
	const uint8_t *unit;
	uint32_t off = 0;
	uint16_t bytes;

	if (h264_type(payload[0]) != H264_NAL_STAP_A) {
		note_unit(p, payload, payload_bytes);
		return;
	}
	while ((bytes = h264_next_unit(payload + 1, payload_bytes - 1u, &off, &unit)))
		note_unit(p, unit, bytes);
}

static void begin_unit(struct params *p, uint32_t ts)
{
	p->ts = ts;
	p->begun = true;
	p->leading = true;
	p->owed = false;
	p->has_sps = false;
	p->has_pps = false;
}

// A key frame whose head is lost, or whose slice is not the first, is past help.
static bool lacks(struct params *p, bool leading, const struct h264_payload *h)
{
	bool known;

	if (!h->key || !leading)
		return false;
	known = (p->has_sps || knows(p, H264_NAL_SPS)) && (p->has_pps || knows(p, H264_NAL_PPS));
	p->unknown = !known;
	return h->first_slice && known && (!p->has_sps || !p->has_pps);
}

enum params_verdict params_judge(struct params *p, uint8_t *payload, struct leg_packet *pkt)
{
	struct h264_payload h;
	bool leading;

	if (!p->begun || p->ts != pkt->ts)
		begin_unit(p, pkt->ts);
	if (!trim(payload, pkt)) {
		p->owed |= pkt->begins;
		return PARAMS_OMIT;
	}
	pkt->begins |= p->owed;
	p->owed = false;
	leading = p->leading;
	h264_inspect(payload, pkt->payload_bytes, &h);
	p->leading &= h.params;
	note_sets(p, payload, pkt->payload_bytes);
	return lacks(p, leading, &h) ? PARAMS_LACK : PARAMS_PASS;
}
