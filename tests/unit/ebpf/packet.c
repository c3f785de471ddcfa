#include "tests/unit/ebpf/packet.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <string.h>

static void put(struct packet *pkt, const void *bytes, uint32_t n)
{
	memcpy(pkt->bytes + pkt->n_bytes, bytes, n);
	pkt->n_bytes += n;
}

static void put8(struct packet *pkt, uint8_t value)
{
	put(pkt, &value, sizeof(value));
}

static void put16(struct packet *pkt, uint16_t value)
{
	value = htons(value);
	put(pkt, &value, sizeof(value));
}

static void fill(struct packet *pkt, uint8_t value, uint32_t n)
{
	memset(pkt->bytes + pkt->n_bytes, value, n);
	pkt->n_bytes += n;
}

static void put_ethernet(const struct packet_spec *spec, struct packet *pkt)
{
	uint16_t type = spec->version == 6 ? ETH_P_IPV6 : ETH_P_IP;

	fill(pkt, 0x02, 6);
	fill(pkt, 0x06, 6);
	for (int i = 0; i < 3 && spec->tags[i]; i++) {
		put16(pkt, spec->tags[i]);
		put16(pkt, 100 + i);
	}
	put16(pkt, spec->ether_type ? spec->ether_type : type);
}

static void put_ipv4(const struct packet_spec *spec, uint8_t protocol, struct packet *pkt)
{
	uint8_t version = spec->version_nibble ? spec->version_nibble : 4;
	uint8_t ihl = spec->ihl ? spec->ihl : 5 + spec->options_bytes / 4;

	put8(pkt, version << 4 | ihl);
	put8(pkt, 0);
	put16(pkt, 20 + spec->options_bytes + 8 + spec->payload_bytes);
	put16(pkt, 0x1234);
	put16(pkt, spec->fragment);
	put8(pkt, 64);
	put8(pkt, protocol);
	put16(pkt, 0);
	put(pkt, spec->source, 4);
	put(pkt, spec->to[0] ? spec->to : (const uint8_t[]){ 198, 18, 77, 1 }, 4);
	fill(pkt, 1, spec->options_bytes);
}

static void put_ipv6(const struct packet_spec *spec, uint8_t protocol, struct packet *pkt)
{
	uint8_t version = spec->version_nibble ? spec->version_nibble : 6;

	put8(pkt, version << 4);
	fill(pkt, 0, 3);
	put16(pkt, (spec->extended ? 8 : 0) + 8 + spec->payload_bytes);
	put8(pkt, spec->extended ? spec->extension : protocol);
	put8(pkt, 64);
	put(pkt, spec->source, 16);
	put(pkt, spec->to[0] ? spec->to : (const uint8_t[]){ 0xfd, 0x77, [15] = 1 }, 16);
	if (spec->extended) {
		put8(pkt, protocol);
		fill(pkt, 0, 7);
	}
}

void packet_build(const struct packet_spec *spec, struct packet *out)
{
	uint8_t protocol = spec->protocol ? spec->protocol : IPPROTO_UDP;

	memset(out, 0, sizeof(*out));
	put_ethernet(spec, out);
	if (spec->version == 4)
		put_ipv4(spec, protocol, out);
	else if (spec->version == 6)
		put_ipv6(spec, protocol, out);
	// UDP; for any other protocol these are only bytes, with the port where UDP would have it.
	put16(out, 40000);
	put16(out, spec->port);
	put16(out, 8 + spec->payload_bytes);
	put16(out, 0);
	out->payload_at = out->n_bytes;
	fill(out, 0x5a, spec->payload_bytes);
	if (spec->payload_bytes)
		out->bytes[out->payload_at] = spec->first_byte;
	fill(out, 0, spec->padding_bytes);
}
