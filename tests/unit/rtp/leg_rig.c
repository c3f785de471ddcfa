#include "tests/unit/rtp/leg_rig.h"

#include <string.h>

struct net_addr rig_addr(const char *ip, uint16_t port)
{
	struct net_addr addr;

	assert_int_equal(net_ip_parse(ip, &addr), 0);
	addr.port_be = htons(port);
	return addr;
}

void leg_rig_init(struct leg_rig *r, enum leg_kind kind)
{
	*r = (struct leg_rig){
		.conf = { .present = 1, .payload_type = RIG_PAYLOAD_TYPE, .port = 20000 },
		.from = rig_addr("198.18.77.2", 5000),
		.now_ns = 3600000 * MS_NS,
		.ssrc = RIG_SSRC,
	};
	leg_init(&r->leg, kind, &r->conf, &r->norm, &r->state);
}

void leg_rig_restart(struct leg_rig *r)
{
	enum leg_kind kind = r->leg.kind;

	memset(&r->leg, 0, sizeof(r->leg));
	memset(&r->clock, 0, sizeof(r->clock));
	leg_init(&r->leg, kind, &r->conf, &r->norm, &r->state);
}

uint16_t leg_rig_write(const struct leg_rig *r, uint16_t seq, uint32_t ts, const uint8_t *payload,
	uint16_t payload_bytes, uint8_t pkt[RIG_PKT_BYTES])
{
	const uint32_t ts_be = htonl(ts), ssrc_be = htonl(r->ssrc);

	pkt[0] = 0x80;
	pkt[1] = RIG_PAYLOAD_TYPE;
	pkt[2] = (uint8_t)(seq >> 8);
	pkt[3] = (uint8_t)seq;
	memcpy(pkt + 4, &ts_be, 4);
	memcpy(pkt + 8, &ssrc_be, 4);
	memcpy(pkt + 12, payload, payload_bytes);
	return (uint16_t)(12 + payload_bytes);
}

int leg_rig_give_payload(
	struct leg_rig *r, uint16_t seq, uint32_t ts, const uint8_t *payload, uint16_t bytes)
{
	uint8_t pkt[RIG_PKT_BYTES];
	uint16_t pkt_bytes = leg_rig_write(r, seq, ts, payload, bytes, pkt);

	return leg_accept(&r->leg, &r->clock, &r->from, pkt, pkt_bytes, RIG_MAX_BYTES, r->now_ns,
		&r->out, &r->changes);
}

int leg_rig_give(struct leg_rig *r, uint16_t seq, uint32_t ts)
{
	static const uint8_t slice[] = { 0x41, 0x9a, 0x01 };

	return leg_rig_give_payload(r, seq, ts, slice, sizeof(slice));
}

int leg_rig_give_key(struct leg_rig *r, uint16_t seq, uint32_t ts)
{
	static const uint8_t slice[] = { 0x65, 0x88, 0x01 };

	return leg_rig_give_payload(r, seq, ts, slice, sizeof(slice));
}
