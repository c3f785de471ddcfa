// What the other process may do to a worker: commands and injected packets of any content, slots
// that change under the command, beside packets from the wire. And what a region may look like
// that is handed to control.
// The input is a script: an operation, then its arguments.
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/abi/log.h"
#include "tests/unit/fanout/edge_kit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_bytes);

enum operation {
	OP_COMMAND,	// seq, generation, slot, kind
	OP_INJECT,	// path, size, payload
	OP_STREAM_SLOT, // a good one, or bytes over the one that is there
	OP_PEER_SLOT,	// or bytes over what workers wrote there
	OP_DATAGRAM,	// sender, port, payload
	OP_REGION,	// bytes over the header of a copy, which is mapped then; none: a restart
	OP_COUNT,
};

enum {
	ARG_BYTES = 8,
	MAX_STEPS = 64,
};

static int copy_fd = -1;
static struct region copy;

static void must(bool holds)
{
	if (!holds)
		abort();
}

// Ours stays mapped: the one to be mapped is the same file.
static void set_up(void)
{
	const struct region_sizes sizes = { .n_workers = 1, .n_streams = 1, .n_peers = 1 };

	log_set_level(LOG_LEVEL_ERROR);
	must(kit_group_setup(NULL) == 0);
	must(region_create(&sizes, &copy) == 0);
	copy_fd = copy.fd;
}

static void damage_region(const uint8_t *arg, const uint8_t *bytes, uint8_t n)
{
	struct region_header good = *copy.header;
	size_t off = (size_t)(arg[0] << 8 | arg[1]) % sizeof(good);
	struct region r;
	int fd = dup(copy_fd);

	if (n > sizeof(good) - off)
		n = (uint8_t)(sizeof(good) - off);
	memcpy((uint8_t *)copy.header + off, bytes, n);
	if (region_map(fd, &r) == 0) {
		must(r.n_workers <= REGION_MAX_WORKERS && r.n_peers <= REGION_MAX_PEERS);
		must((uint8_t *)r.rings[r.n_workers - 1].inject < (uint8_t *)r.header + r.bytes);
		region_fini(&r);
	} else {
		close(fd);
	}
	memcpy(copy.header, &good, sizeof(good));
}

static void overwrite(
	void *slot, size_t slot_bytes, const uint8_t *arg, const uint8_t *bytes, uint8_t n)
{
	size_t off = (size_t)(arg[2] << 8 | arg[3]) % slot_bytes;

	memcpy((uint8_t *)slot + off, bytes, n < slot_bytes - off ? n : slot_bytes - off);
}

static void damage_state(
	bool of_peer, uint16_t slot, const uint8_t *arg, const uint8_t *bytes, uint8_t n)
{
	struct region_stream *s = &kit.region.streams[slot % KIT_STREAMS];

	if (of_peer)
		overwrite(&kit.region.peers[slot].state, sizeof(struct region_peer_state), arg,
			bytes, n);
	else
		overwrite(s->norm, sizeof(s->norm), arg, bytes, n);
	kit_restart();
}

static void change_slot(bool of_peer, const uint8_t *arg, const uint8_t *bytes, uint8_t n)
{
	static const uint16_t profiles[] = { SRTP_PROFILE_GCM128, SRTP_PROFILE_CM80,
		SRTP_PROFILE_GCM256, SRTP_PROFILE_NONE };
	uint16_t slot = arg[0] % (of_peer ? KIT_PEERS : KIT_STREAMS);

	if (arg[1] & 1 && of_peer)
		kit_peer_fill(
			slot, arg[4] % KIT_STREAMS, arg[5] % KIT_WORKERS, profiles[arg[6] % 4])
			->phase = arg[7] % 4;
	else if (arg[1] & 1)
		kit_stream_fill(slot, arg[4] % KIT_WORKERS);
	if (arg[1] & 2) // as a control that is not ours could; what runs is not damaged by it
		damage_state(of_peer, slot, arg, bytes, n);
	else if (of_peer)
		overwrite(&kit.region.peers[slot].conf, sizeof(struct region_peer_conf), arg, bytes,
			n);
	else
		overwrite(&kit.region.streams[slot].conf, sizeof(struct region_stream_conf), arg,
			bytes, n);
}

static void inject(uint16_t worker, const uint8_t *arg, const uint8_t *bytes, uint8_t n)
{
	struct ring_packet down = { .path = { .local = kit_addr("198.18.77.1", KIT_MEDIA_PORT),
					    .remote = kit_viewer_addr(arg[4]) } };

	overwrite(&down.path, sizeof(down.path), arg, bytes, n);
	down.pkt_bytes = (uint16_t)(arg[5] << 8 | arg[6]);
	memcpy(down.pkt, bytes, n);
	ring_put(kit.region.rings[worker].inject, &down, sizeof(down));
}

static void command(uint16_t worker, const uint8_t *arg)
{
	const struct ring_command c = { .seq = arg[0],
		.generation = arg[1] & 0x80 ? (uint32_t)arg[1] << 24 : arg[1] & 3,
		.slot = arg[2] & 0x80 ? (uint16_t)(arg[2] << 8 | arg[3]) : arg[3] % KIT_PEERS,
		.kind = arg[4] & 0x80 ? arg[4] : arg[4] % (RING_DRAIN + 1) };

	ring_put(kit.region.rings[worker].command, &c, sizeof(c));
}

static void datagram(uint16_t worker, const uint8_t *arg, const uint8_t *bytes, uint8_t n)
{
	const struct net_addr viewer = kit_viewer_addr(arg[0] % KIT_PEERS);
	uint16_t port = arg[1] & 1 ? KIT_MEDIA_PORT : (uint16_t)(KIT_VIDEO_PORT + arg[2] % 40);
	struct kit_rtp p;

	if (arg[1] & 2) {
		p = kit_rtp_make((uint16_t)(arg[4] << 8 | arg[5]), arg[6], bytes ? bytes[0] : 0x65,
			arg[7] & 1);
		if (kit.region.streams[arg[2] % KIT_STREAMS].conf.legs[arg[3] % LEG_COUNT].port)
			kit_feed_rtp(worker, arg[2] % KIT_STREAMS, arg[3] % LEG_COUNT, &p);
	} else {
		kit_feed(worker, &viewer, port, bytes, n);
	}
}

static void step(const uint8_t *op, const uint8_t *bytes, uint8_t n)
{
	const uint8_t *arg = op + 2;
	uint16_t worker = op[0] / OP_COUNT % KIT_WORKERS;
	struct ring_event e;
	struct ring_packet up;

	switch ((enum operation)(op[0] % OP_COUNT)) {
	case OP_COMMAND:
		command(worker, arg);
		break;
	case OP_INJECT:
		inject(worker, arg, bytes, n);
		break;
	case OP_STREAM_SLOT:
		change_slot(false, arg, bytes, n);
		break;
	case OP_PEER_SLOT:
		change_slot(true, arg, bytes, n);
		break;
	case OP_DATAGRAM:
		datagram(worker, arg, bytes, n);
		break;
	case OP_REGION:
		if (n == 0) {
			kit_restart();
			break;
		}
		damage_region(arg, bytes, n);
		return;
	case OP_COUNT:
		break;
	}
	for (uint16_t w = 0; w < KIT_WORKERS; w++) {
		kit_step(w);
		must(kit.region.workers[w].n_peers <= KIT_PEERS);
		while (ring_get(kit.region.rings[w].event, &e, sizeof(e)) == 0)
			must(e.status <= 0);
		while (ring_get(kit.region.rings[w].punt, &up, sizeof(up)) == 0)
			must(up.pkt_bytes <= RING_PACKET_MAX_BYTES);
		kit_forget_sent(w);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_bytes)
{
	size_t off = 0;

	if (copy_fd < 0)
		set_up();
	must(kit_setup(NULL) == 0);
	kit.reports = true;
	for (int n = 0; n < MAX_STEPS && off + 2 + ARG_BYTES <= data_bytes; n++) {
		const uint8_t *op = data + off;

		off += 2 + ARG_BYTES;
		if (off + op[1] > data_bytes)
			break;
		step(op, data + off, op[1]);
		off += op[1];
	}
	must(kit_teardown(NULL) == 0);
	return 0;
}
