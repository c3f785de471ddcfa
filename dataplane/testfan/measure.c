#include "dataplane/testfan/measure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// Without an SSRC of their own resends are among the leg's packets.
static void add_leg(
	struct counts *c, const struct region_peer *peer, uint32_t viewer, enum leg_kind leg)
{
	const struct region_peer_leg_state *l = &peer->state.legs[leg];
	bool apart = leg == LEG_VIDEO && peer->conf.legs[leg].rtx_ssrc;

	c->viewers[viewer].packets += l->sent.packets - (apart ? 0 : l->resent);
	c->viewers[viewer].drops += l->sent.drops;
	c->payload_bytes += l->sent.bytes - (apart ? 0 : l->resent_bytes);
	c->repair.nacks += l->nacks;
	c->repair.resent += l->resent;
	c->repair.copies += l->copies;
	c->repair.resent_bytes += l->resent_bytes;
	for (int miss = 0; miss < REGION_MISS_COUNT; miss++)
		c->repair.missed[miss] += l->missed[miss];
}

int counts_take(const struct region *region, const struct source *sources, uint32_t n_viewers,
	struct counts *c)
{
	*c = (struct counts){ .ns = region_now_ns(), .n_viewers = n_viewers };
	for (uint16_t w = 0; w < region->n_workers; w++) {
		c->workers[w] = region->workers[w];
		c->sources[w].packets = sources[w].packets;
		c->sources[w].missed = sources[w].missed;
		c->sources[w].no_mbuf = sources[w].no_mbuf;
		c->sources[w].cycles = sources[w].cycles;
		c->cpu_ns += source_cpu_ns(&sources[w]);
	}
	c->viewers = calloc(n_viewers, sizeof(*c->viewers));
	if (!c->viewers)
		return -ENOMEM;
	for (uint32_t i = 0; i < n_viewers; i++)
		for (int leg = 0; leg < LEG_COUNT; leg++)
			add_leg(c, &region->peers[i], i, leg);
	return 0;
}

uint64_t repair_asked(const struct repair *r)
{
	uint64_t n = r->resent - r->copies;

	for (int miss = 0; miss < REGION_MISS_COUNT; miss++)
		n += r->missed[miss];
	return n;
}

void counts_fini(struct counts *c)
{
	free(c->viewers);
	memset(c, 0, sizeof(*c));
}

// What figures are worked out of.
struct sums {
	uint64_t seal_cycles, busy_cycles, idle_cycles, source_cycles, rx_bursts, tx_bursts;
};

static double per(double what, uint64_t n)
{
	return n ? what / (double)n : 0;
}

static void work_out(struct figures *f, const struct sums *s, double seconds)
{
	double own = (double)s->busy_cycles - (double)s->source_cycles;

	f->mpps = (double)f->tx_packets / seconds / 1e6;
	f->gbps = (double)f->tx_bytes * 8 / seconds / 1e9;
	f->cycles_per_packet = per(own, f->sealed_packets);
	f->crypto_cycles = per((double)s->seal_cycles, f->sealed_packets);
	f->rest_cycles = f->cycles_per_packet - f->crypto_cycles;
	f->source_cycles = per((double)s->source_cycles, f->sealed_packets);
	f->rx_burst_fill = per((double)f->rx_packets, s->rx_bursts);
	f->tx_burst_fill = per((double)f->tx_packets, s->tx_bursts);
	f->busy = per((double)s->busy_cycles, s->busy_cycles + s->idle_cycles);
}

static void add_worker(struct figures *f, struct sums *s, const struct counts *before,
	const struct counts *after, uint16_t w)
{
	const struct region_worker *b = &before->workers[w], *a = &after->workers[w];

	f->rx_packets += a->rx_packets - b->rx_packets;
	f->tx_packets += a->tx_packets - b->tx_packets;
	f->tx_bytes += a->tx_bytes - b->tx_bytes;
	f->sealed_packets += a->sealed_packets - b->sealed_packets;
	f->source_missed += after->sources[w].missed - before->sources[w].missed;
	f->source_no_mbuf += after->sources[w].no_mbuf - before->sources[w].no_mbuf;
	for (int i = 0; i < DROP_COUNT; i++)
		f->drops[i] += a->drops[i] - b->drops[i];
	s->seal_cycles += a->seal_cycles - b->seal_cycles;
	s->busy_cycles += a->busy_cycles - b->busy_cycles;
	s->idle_cycles += a->idle_cycles - b->idle_cycles;
	s->source_cycles += after->sources[w].cycles - before->sources[w].cycles;
	s->rx_bursts += a->rx_bursts - b->rx_bursts;
	s->tx_bursts += a->tx_bursts - b->tx_bursts;
}

static void spread_add(struct spread *s, uint64_t value)
{
	if (value < s->min)
		s->min = value;
	if (value > s->max)
		s->max = value;
	s->mean += (double)value;
}

static void spread_viewers(
	const struct counts *before, const struct counts *after, struct measure *out)
{
	// A viewer's drops are not told apart; those that the port did not take were sealed and
	// counted as sent before. With others among them it is sealed packets that are shown.
	bool after_sealing = out->sum.drops[DROP_NO_MBUF] == 0 && out->sum.drops[DROP_SEAL] == 0;

	out->delivered = out->dropped = (struct spread){ .min = UINT64_MAX };
	for (uint32_t i = 0; i < after->n_viewers; i++) {
		const struct viewer_counts *b = &before->viewers[i], *a = &after->viewers[i];

		spread_add(&out->delivered,
			a->packets - b->packets - (after_sealing ? a->drops - b->drops : 0));
		spread_add(&out->dropped, a->drops - b->drops);
	}
	out->delivered.mean /= after->n_viewers;
	out->dropped.mean /= after->n_viewers;
}

static void set_off_repair(
	const struct repair *before, const struct repair *after, struct repair *out)
{
	out->nacks = after->nacks - before->nacks;
	out->resent = after->resent - before->resent;
	out->copies = after->copies - before->copies;
	out->resent_bytes = after->resent_bytes - before->resent_bytes;
	for (int miss = 0; miss < REGION_MISS_COUNT; miss++)
		out->missed[miss] = after->missed[miss] - before->missed[miss];
}

void measure_make(const struct counts *before, const struct counts *after, uint16_t n_workers,
	uint64_t bitrate, struct measure *out)
{
	struct sums sums = {};
	double payload_bits;

	*out = (struct measure){ .n_workers = n_workers,
		.seconds = (double)(after->ns - before->ns) / 1e9,
		.cpu_seconds = (double)(after->cpu_ns - before->cpu_ns) / 1e9 };
	for (uint16_t w = 0; w < n_workers; w++) {
		struct sums own = {};

		out->cpus[w] = after->workers[w].cpu;
		add_worker(&out->workers[w], &own, before, after, w);
		work_out(&out->workers[w], &own, out->seconds);
		add_worker(&out->sum, &sums, before, after, w);
	}
	work_out(&out->sum, &sums, out->seconds);
	spread_viewers(before, after, out);
	set_off_repair(&before->repair, &after->repair, &out->repair);
	// As much as a core would send if it were busy all the time.
	payload_bits = (double)(after->payload_bytes - before->payload_bytes) * 8 / out->seconds;
	if (out->sum.busy > 0)
		out->viewers_per_core = payload_bits / out->sum.busy / n_workers / (double)bitrate;
}
