#include "dataplane/testfan/source.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_malloc.h>
#include <rte_udp.h>

#include "dataplane/fanout/worker.h"
#include "dataplane/ingest/rtp.h"
#include "dataplane/testfan/gauge.h"

enum {
	HDR_BYTES = RTE_ETHER_HDR_LEN + sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_udp_hdr) +
		    RTP_HEADER_BYTES,
	NOISE_BYTES = 8192,   // a power of two
	AHEAD_ROUNDS = 8,     // closed loop: of another worker's streams
	WAITING_PACKETS = 32, // closed loop: so many may wait in a worker's fans
	BACKLOG_PACKETS = 64, // closed loop: so many may wait for another worker
	ENCODER_PORT = 7000,
	VIDEO_FRAME_TICKS = 3000,
	AUDIO_PACKET_TICKS = 960,
	NAL_SLICE = 0x61,
	NAL_IDR = 0x65,
	NAL_SEI = 0x06,
	NAL_STAP_A = 0x78,
	NAL_FU_A = 0x7c,
	FU_START = 0x80,
	FU_END = 0x40,
	OPUS_TOC = 0x78, // CELT, 20 ms, mono
};

// Constrained baseline, level 3.1, as x264 writes them for 320x240.
static const uint8_t sps[] = { 0x67, 0x42, 0xc0, 0x1f, 0xda, 0x05, 0x07, 0xe4, 0x40, 0x00, 0x00,
	0x03, 0x00, 0x40, 0x00, 0x00, 0x0c, 0x83, 0xc6, 0x0c, 0xa8 };
static const uint8_t pps[] = { 0x68, 0xce, 0x3c, 0x80 };

// Twice, so that any stretch of a payload's length can be copied at once.
static uint8_t noise[2 * NOISE_BYTES];

static void make_noise(void)
{
	uint64_t x = 0x9e3779b97f4a7c15;

	if (noise[0])
		return;
	for (size_t i = 0; i < NOISE_BYTES; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		noise[i] = noise[i + NOISE_BYTES] = (uint8_t)(x | 1);
	}
}

uint16_t source_port(uint16_t stream, enum leg_kind leg)
{
	return (uint16_t)(SOURCE_FIRST_PORT + 4 * stream + 2 * leg);
}

uint16_t source_payload_bytes(const struct settings *s, enum leg_kind leg)
{
	return leg == LEG_AUDIO && s->media == MEDIA_BOTH ? SOURCE_AUDIO_BYTES : (uint16_t)s->size;
}

uint16_t source_frame_packets(const struct settings *s)
{
	return (uint16_t)(s->burst + (s->media == MEDIA_BOTH));
}

bool source_marker(const struct settings *s, const struct source_label *l)
{
	return l->leg == LEG_VIDEO && l->number % s->burst == s->burst - 1;
}

static uint8_t *put_nal(uint8_t *at, const uint8_t *nal, uint16_t nal_bytes)
{
	at[0] = (uint8_t)(nal_bytes >> 8);
	at[1] = (uint8_t)nal_bytes;
	memcpy(at + 2, nal, nal_bytes);
	return at + 2 + nal_bytes;
}

// Parameter sets, and one more NAL unit to the end, whose content is what stands there already.
static void put_stap_a(uint8_t *at, uint16_t bytes, uint8_t last_nal)
{
	uint8_t *end = at + bytes;
	uint16_t rest;

	*at++ = NAL_STAP_A;
	at = put_nal(at, sps, sizeof(sps));
	at = put_nal(at, pps, sizeof(pps));
	rest = (uint16_t)(end - at - 2);
	at[0] = (uint8_t)(rest >> 8);
	at[1] = (uint8_t)rest;
	at[2] = last_nal;
}

// RFC 6184: a key frame's first packet has the parameter sets; its slice follows in fragments.
static void put_video(
	const struct settings *s, const struct source_label *l, uint8_t *at, uint16_t bytes)
{
	uint64_t pos = l->number % s->burst, frame = l->number / s->burst;
	bool key = frame % SOURCE_KEY_FRAMES == 0;
	uint64_t n_fragments = s->burst - key;
	uint8_t slice = key ? NAL_IDR : NAL_SLICE;

	if (key && pos == 0) {
		put_stap_a(at, bytes, s->burst == 1 ? NAL_IDR : NAL_SEI);
		return;
	}
	pos -= key;
	if (n_fragments == 1) {
		at[0] = slice;
		return;
	}
	at[0] = NAL_FU_A;
	at[1] = (uint8_t)((slice & 0x1f) | (pos == 0 ? FU_START : 0) |
			  (pos == n_fragments - 1 ? FU_END : 0));
}

void source_put_payload(
	const struct settings *s, const struct source_label *l, uint8_t *at, uint16_t bytes)
{
	size_t from = (l->number * 131 + l->stream * 977u + l->leg * 491u) % NOISE_BYTES;

	memcpy(at, noise + from, bytes);
	if (l->leg == LEG_VIDEO)
		put_video(s, l, at, bytes);
	else
		at[0] = OPUS_TOC;
	memcpy(at + bytes - sizeof(*l), l, sizeof(*l));
}

static void put_headers(
	const struct source *src, const struct source_label *l, uint8_t *at, uint16_t payload_bytes)
{
	struct rte_ether_hdr *eth = (struct rte_ether_hdr *)at;
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(eth + 1);
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(ip + 1);
	uint8_t *rtp = (uint8_t *)(udp + 1);
	uint16_t udp_bytes = (uint16_t)(sizeof(*udp) + RTP_HEADER_BYTES + payload_bytes);
	uint32_t ts_be = htonl(l->ts), ssrc_be = htonl(0x7e570000u | l->stream << 1 | l->leg);
	uint16_t seq_be = htons((uint16_t)l->number);

	memcpy(&eth->dst_addr, src->mac[0], 6);
	memcpy(&eth->src_addr, src->mac[1], 6);
	eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	// From 198.18.0.3 to 198.18.0.1.
	*ip = (struct rte_ipv4_hdr){ .version_ihl = RTE_IPV4_VHL_DEF,
		.total_length = rte_cpu_to_be_16((uint16_t)(sizeof(*ip) + udp_bytes)),
		.time_to_live = 64,
		.next_proto_id = IPPROTO_UDP,
		.src_addr = RTE_BE32(0xc6120003u),
		.dst_addr = RTE_BE32(0xc6120001u) };
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	*udp = (struct rte_udp_hdr){ .src_port = RTE_BE16(ENCODER_PORT),
		.dst_port = rte_cpu_to_be_16(source_port(l->stream, l->leg)),
		.dgram_len = rte_cpu_to_be_16(udp_bytes) };
	rtp[0] = 0x80;
	rtp[1] = (uint8_t)((l->leg == LEG_VIDEO ? SOURCE_VIDEO_PT : SOURCE_AUDIO_PT) |
			   source_marker(src->settings, l) << 7);
	memcpy(rtp + 2, &seq_be, 2);
	memcpy(rtp + 4, &ts_be, 4);
	memcpy(rtp + 8, &ssrc_be, 4);
}

static struct rte_mbuf *make_packet(struct source *src, const struct source_label *l)
{
	uint16_t bytes = source_payload_bytes(src->settings, l->leg);
	struct rte_mbuf *m = rte_pktmbuf_alloc(src->pool);
	uint8_t *at;

	if (!m) {
		src->no_mbuf++;
		return NULL;
	}
	at = rte_pktmbuf_mtod(m, uint8_t *);
	m->data_len = (uint16_t)(HDR_BYTES + bytes);
	m->pkt_len = m->data_len;
	m->port = src->edge->ports->workers[src->worker].rx[0].port_id;
	put_headers(src, l, at, bytes);
	source_put_payload(src->settings, l, at + HDR_BYTES, bytes);
	src->packets++;
	src->bytes += m->pkt_len;
	return m;
}

static bool others_keep_up(const struct source *src)
{
	uint64_t rounds = atomic_load_explicit(&src->rounds, memory_order_relaxed);

	for (uint16_t w = 0; w < src->edge->n_workers; w++) {
		// Another worker's is a guess, good enough to pace by.
		if (__atomic_load_n(&src->edge->workers[w].n_waiting, __ATOMIC_RELAXED) >
			WAITING_PACKETS)
			return false;
		const struct rte_ring *inbox = w == src->worker
						       ? NULL
						       : src->edge->workers[w].inbox[src->worker];

		if (inbox && rte_ring_count(inbox) > BACKLOG_PACKETS)
			return false;
		// Streams are equally fast, whichever worker has them.
		if (src->all[w].n_streams &&
			rounds > atomic_load_explicit(&src->all[w].rounds, memory_order_relaxed) +
					 AHEAD_ROUNDS)
			return false;
	}
	return true;
}

// Streams take turns, so that theirs are spread evenly over the time.
static bool open_loop_due(struct source *src, uint64_t frame_cycles)
{
	uint64_t now = rte_rdtsc(), step = frame_cycles / src->n_streams;
	uint64_t held = PORT_RX_DESCS / source_frame_packets(src->settings);

	if (src->frame_cycles != frame_cycles) {
		src->frame_cycles = frame_cycles;
		src->due = now;
	}
	if (now < src->due)
		return false;
	// No port would have kept more than its descriptors.
	if (now - src->due > held * step) {
		uint64_t lost = (now - src->due) / (step ? step : 1) - held;

		src->missed += lost * source_frame_packets(src->settings);
		src->due += lost * step;
	}
	src->rx = src->due;
	src->due += step;
	return true;
}

static bool frame_due(struct source *src)
{
	uint64_t frame_cycles = atomic_load_explicit(
		&src->switches->frame_cycles, memory_order_relaxed);

	if (frame_cycles)
		return open_loop_due(src, frame_cycles);
	if (!others_keep_up(src))
		return false;
	src->rx = rte_rdtsc();
	return true;
}

// The encoder's clock: what it shows now, but later than its last.
static void begin_frame(struct source *src, struct source_stream *s)
{
	double seconds = (double)src->rx / (double)rte_get_tsc_hz();
	uint32_t now = (uint32_t)(uint64_t)(seconds * leg_clock_hz(LEG_VIDEO));

	s->ts[LEG_VIDEO] = (int32_t)(now - s->ts[LEG_VIDEO]) > 0 || s->number[LEG_VIDEO] == 0
				   ? now
				   : s->ts[LEG_VIDEO] + 1;
}

static struct rte_mbuf *next_packet(struct source *src, struct source_stream *s)
{
	const struct settings *set = src->settings;
	enum leg_kind leg = set->media == MEDIA_AUDIO || src->pos == set->burst ? LEG_AUDIO
										: LEG_VIDEO;
	const struct source_label label = {
		.number = s->number[leg], .ts = s->ts[leg], .stream = s->slot, .leg = leg
	};
	struct rte_mbuf *m = make_packet(src, &label);

	if (!m)
		return NULL;
	if (src->gauge)
		gauge_rx(src->gauge, src->worker, &label, src->rx);
	s->number[leg]++;
	if (leg == LEG_AUDIO)
		s->ts[leg] += AUDIO_PACKET_TICKS;
	return m;
}

static void next_turn(struct source *src)
{
	src->at = (src->at + 1) % src->n_streams;
	if (src->at == 0)
		atomic_fetch_add_explicit(&src->rounds, 1, memory_order_relaxed);
}

static uint16_t fill(struct source *src, struct rte_mbuf **pkts, uint16_t room)
{
	uint16_t n = 0, frames = 0;

	while (n < room) {
		struct source_stream *s = &src->streams[src->at];
		struct rte_mbuf *m;

		if (src->pos == 0) {
			bool closed = atomic_load_explicit(&src->switches->frame_cycles,
					      memory_order_relaxed) == 0;

			if ((closed && frames) || !frame_due(src))
				break;
			begin_frame(src, s);
			frames++;
		}
		m = next_packet(src, s);
		if (!m)
			break;
		pkts[n++] = m;
		if (++src->pos == source_frame_packets(src->settings)) {
			src->pos = 0;
			next_turn(src);
		}
	}
	return n;
}

static void note_clock(struct source *src)
{
	clockid_t clock;

	if (pthread_getcpuclockid(pthread_self(), &clock) == 0)
		src->cpu_clock = clock;
}

uint64_t source_cpu_ns(const struct source *src)
{
	struct timespec t;

	if (!src->cpu_clock || clock_gettime(src->cpu_clock, &t) < 0)
		return 0;
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint16_t on_receive(uint16_t port_id, uint16_t queue, struct rte_mbuf *pkts[],
	uint16_t n_pkts, uint16_t max_pkts, void *arg)
{
	struct source *src = arg;
	uint64_t from;
	uint16_t n;

	if (!src->cpu_clock)
		note_clock(src);
	if (!atomic_load_explicit(&src->switches->go, memory_order_relaxed) && src->pos == 0)
		return n_pkts;
	if (src->n_streams == 0)
		return n_pkts;
	from = rte_rdtsc();
	n = fill(src, pkts + n_pkts, (uint16_t)(max_pkts - n_pkts));
	if (n)
		src->cycles += rte_rdtsc() - from;
	return (uint16_t)(n_pkts + n);
}

int source_init(struct source *src, const struct source *all, const struct edge *edge,
	const struct settings *settings, const struct source_switches *switches,
	struct gauge *gauge, uint16_t worker)
{
	const struct port_queue *q = &edge->ports->workers[worker].rx[0];

	make_noise();
	*src = (struct source){ .edge = edge,
		.settings = settings,
		.switches = switches,
		.gauge = gauge,
		.worker = worker,
		.all = all,
		.pool = edge->ports->workers[worker].pool,
		.mac = { {}, { 2, 0, 0, 0, 0, 3 } } };
	rte_eth_macaddr_get(q->port_id, (struct rte_ether_addr *)src->mac[0]);
	src->streams = calloc(settings->streams, sizeof(*src->streams));
	if (!src->streams)
		return -ENOMEM;
	for (uint16_t slot = worker; slot < settings->streams;
		slot = (uint16_t)(slot + edge->n_workers))
		src->streams[src->n_streams++].slot = slot;
	src->callback = rte_eth_add_rx_callback(q->port_id, q->queue, on_receive, src);
	return src->callback ? 0 : -ENOTSUP;
}

void source_fini(struct source *src)
{
	if (src->callback) {
		const struct port_queue *q = &src->edge->ports->workers[src->worker].rx[0];

		rte_eth_remove_rx_callback(q->port_id, q->queue, src->callback);
		rte_free((void *)src->callback);
	}
	free(src->streams);
	memset(src, 0, sizeof(*src));
}
