// A frame that is no media, as it comes from the wire. The first byte says how the host is set up.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/host/judge.h"
#include "dataplane/host/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_bytes);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void addresses(struct host_addresses *us, uint8_t shape)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
	struct conf conf = { .dataplane = { .vlan = shape & 1 ? 100 : 0, .n_addresses = 2 } };

	must(net_ip_parse("198.18.77.1", &conf.dataplane.addresses[0].addr) == 0);
	must(net_ip_parse("fd77::1", &conf.dataplane.addresses[1].addr) == 0);
	conf.dataplane.addresses[0].bits = 24;
	conf.dataplane.addresses[1].bits = 64;
	host_addresses_make(us, &conf, mac, shape & 2);
}

// An answer is a whole frame of ours to one card or a group, and never one that we answer again.
static void answer_must_hold(const struct host_addresses *us, uint8_t *frame, uint16_t have,
	uint16_t cap, const struct host_judgement *j)
{
	struct host_judgement again;

	must(j->bytes >= ETH_MIN_BYTES && j->bytes <= cap);
	must(j->bytes <= have ||
		j->bytes <= ETH_BYTES + ETH_TAG_BYTES + IP6_BYTES + ND_NS_BYTES + ND_OPT_LL_BYTES);
	must(memcmp(frame + 6, us->mac, 6) == 0);
	must(!j->conflict && j->kind < REGION_HOST_COUNT);
	host_judge(us, frame, j->bytes, cap, &again);
	must(again.verdict == HOST_OTHER);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_bytes)
{
	struct host_addresses us;
	struct host_judgement j;
	uint16_t have, cap;
	uint8_t *frame;

	if (data_bytes == 0 || data_bytes > 9000)
		return -1;
	addresses(&us, data[0]);
	have = (uint16_t)(data_bytes - 1);
	cap = have > HOST_ROOM_BYTES ? have : HOST_ROOM_BYTES;
	frame = malloc(cap);
	memset(frame, 0xee, cap);
	memcpy(frame, data + 1, have);
	host_judge(&us, frame, have, cap, &j);
	if (j.verdict == HOST_REPLY)
		answer_must_hold(&us, frame, have, cap, &j);
	else
		must(memcmp(frame, data + 1, have) == 0);
	if (j.neighbour.ip.family != NET_NONE)
		must((j.verdict == HOST_REPLY || j.verdict == HOST_PASS) &&
			!wire_is_group_mac(j.neighbour.mac));
	free(frame);
	return 0;
}
