#include "dataplane/testfan/report.h"

#include <inttypes.h>
#include <string.h>

#include <rte_ethdev.h>

static const char never[] = "nothing was measured: start first\n";

void report_config(const struct rig *rig, const struct settings *s)
{
	char value[SETTINGS_TEXT_BYTES];
	const char *name, *help;

	for (unsigned int i = 0; settings_get(s, i, &name, &help, value); i++)
		printf("  %-9s %-24s %s\n", name, value, help);
	printf("  workers   %u, on CPU", rig->ports.n_workers);
	for (uint16_t w = 0; w < rig->ports.n_workers; w++)
		printf("%s %u", w ? "," : "", rig->conf.dataplane.cores[w]);
	printf("\n  checksums %s\n", rig_checksum(rig));
	if (rig->built)
		printf("  engine in use: %s; %s\n", rig->region.header->engine,
			rig->running ? "running" : "stopped");
}

static void rule(const char *title)
{
	int chars = printf("\n  ---- %s ", title);

	while (chars++ < 78)
		putchar('-');
	putchar('\n');
}

static uint64_t all_drops(const struct figures *f)
{
	uint64_t n = 0;

	for (int i = 0; i < DROP_COUNT; i++)
		n += f->drops[i];
	return n;
}

static void print_figures(const struct figures *f)
{
	printf("  RX-packets: %-14" PRIu64 " RX-missed: %-14" PRIu64 " RX-nombuf: %" PRIu64 "\n",
		f->rx_packets, f->source_missed, f->source_no_mbuf);
	printf("  TX-packets: %-14" PRIu64 " TX-dropped: %-13" PRIu64 " TX-bytes: %" PRIu64 "\n",
		f->tx_packets, all_drops(f), f->tx_bytes);
	printf("  %.4f Mpps   %.3f Gbit/s   busy %.1f %%\n", f->mpps, f->gbps, f->busy * 100);
	printf("  cycles a packet: %.0f (crypto %.0f, rest %.0f)   burst fill: rx %.1f, tx %.1f\n",
		f->cycles_per_packet, f->crypto_cycles, f->rest_cycles, f->rx_burst_fill,
		f->tx_burst_fill);
	for (unsigned int i = 0; i < DROP_COUNT; i++)
		if (f->drops[i])
			printf("  drop %s: %" PRIu64 "\n", drop_name(i), f->drops[i]);
}

static void print_spread(const char *what, const struct spread *s)
{
	printf("  %s a viewer: min %" PRIu64 ", mean %.1f, max %" PRIu64 "\n", what, s->min,
		s->mean, s->max);
}

void report_forward(struct rig *rig)
{
	struct measure m;
	char title[64];

	if (rig_measure(rig, &m) < 0) {
		printf("%s", never);
		return;
	}
	for (uint16_t w = 0; w < m.n_workers; w++) {
		snprintf(title, sizeof(title), "worker %u (CPU %u)", w, m.cpus[w]);
		rule(title);
		print_figures(&m.workers[w]);
	}
	snprintf(title, sizeof(title), "all workers, %.1f s", m.seconds);
	rule(title);
	print_figures(&m.sum);
	print_spread("packets", &m.delivered);
	print_spread("drops", &m.dropped);
	printf("  viewers a core at %.1f Mbit/s: %.0f\n", (double)rig->settings.bitrate / 1e6,
		m.viewers_per_core);
}

void report_port(const struct rig *rig)
{
	for (uint16_t i = 0; i < rig->ports.n_ports; i++) {
		char name[RTE_ETH_NAME_MAX_LEN] = "?", title[RTE_ETH_NAME_MAX_LEN + 32];
		uint16_t port = rig->ports.ports[i];
		struct rte_eth_stats s;

		if (rte_eth_stats_get(port, &s) < 0)
			continue;
		rte_eth_dev_get_name_by_port(port, name);
		snprintf(title, sizeof(title), "NIC statistics for port %u (%s)", port, name);
		rule(title);
		printf("  RX-packets: %-14" PRIu64 " RX-missed: %-14" PRIu64 " RX-bytes: %" PRIu64
		       "\n  RX-errors:  %-14" PRIu64 " RX-nombuf: %" PRIu64
		       "\n  TX-packets: %-14" PRIu64 " TX-errors: %-14" PRIu64 " TX-bytes: %" PRIu64
		       "\n",
			s.ipackets, s.imissed, s.ibytes, s.ierrors, s.rx_nombuf, s.opackets,
			s.oerrors, s.obytes);
	}
}

static void print_cycles(const char *who, const struct figures *f)
{
	printf("  %-10s %8.1f %8.1f %8.1f %10.1f %8.1f %9.1f %9.1f\n", who, f->cycles_per_packet,
		f->crypto_cycles, f->rest_cycles, f->source_cycles, f->busy * 100, f->rx_burst_fill,
		f->tx_burst_fill);
}

void report_cycles(struct rig *rig)
{
	struct measure m;
	char who[16];

	if (rig_measure(rig, &m) < 0) {
		printf("%s", never);
		return;
	}
	printf("  TSC cycles a sealed packet; the source is testfan's own and in none of the "
	       "others\n"
	       "  worker          all   crypto     rest     source   busy %%   rx fill   tx "
	       "fill\n");
	for (uint16_t w = 0; w < m.n_workers; w++) {
		snprintf(who, sizeof(who), "%u", w);
		print_cycles(who, &m.workers[w]);
	}
	print_cycles("sum", &m.sum);
}

void report_latency(const struct rig *rig)
{
	struct gauge_result r;

	if (!rig->gauge) {
		printf("latency is not measured: stop, set latency on, start\n");
		return;
	}
	gauge_read(rig->gauge, &r);
	printf("  receive to last viewer's send, %s loop, of %" PRIu64 " packets:\n"
	       "  p50 %.1f us   p90 %.1f us   p99 %.1f us   max %.1f us\n",
		rig->rate ? "open" : "closed", r.count, r.p50_us, r.p90_us, r.p99_us, r.max_us);
}

void report_memory(const struct rig *rig)
{
	struct rig_memory m;

	if (rig_memory(rig, &m) < 0) {
		printf("%s", never);
		return;
	}
	printf("  bytes a viewer: %.0f\n"
	       "    slot in the shared region  %.0f\n"
	       "    peer                       %.0f\n"
	       "    SRTP session               %.0f\n"
	       "    SRTP keys of all, its part %.0f\n"
	       "    tables                     %.0f\n",
		m.total, m.region_slot, m.peer, m.srtp_session, m.srtp_shared, m.tables);
	if (m.heap_grown > 0)
		printf("  heap grew by %.0f a viewer when they came\n", m.heap_grown);
	printf("  packet pools: %u buffers a worker\n", PORT_POOL_MBUFS);
}

void report_verify(const struct rig *rig)
{
	struct check_result r;

	if (!rig->check)
		return;
	check_read(rig->check, &r);
	printf("  verify: %" PRIu64 " packets of %" PRIu64 " viewers opened with libsrtp2 and "
	       "compared, %" PRIu64 " failed\n",
		r.checked, r.viewers, r.failed);
	if (rig->nack)
		printf("    %" PRIu64 " of them resent; no room for %" PRIu64 " more\n", r.resent,
			r.skipped);
	for (unsigned int i = 0; i < CHECK_COUNT; i++)
		if (r.by_reason[i])
			printf("    %s: %" PRIu64 "\n", check_reason_name(i), r.by_reason[i]);
}

void report_ratio(const struct ratio *r)
{
	if (r->rounds == 0)
		return;
	printf("  floor: %.1f ns (%.0f cycles) a packet and core, %.3f Mpps in all (by Intel's "
	       "library alone %.1f ns);\n"
	       "  fan-out: %.1f ns; ratio %.3f (median of %u round%s)\n",
		r->floor.ns_per_packet, r->floor.cycles_per_packet, r->floor.mpps, r->library_ns,
		r->fan_ns, r->ratio, r->rounds, r->rounds == 1 ? "" : "s");
}

void report_repair(struct rig *rig)
{
	struct nack_losses losses;
	struct measure m;

	if (!rig->nack || rig_measure(rig, &m) < 0)
		return;
	nack_read(rig->nack, &losses);
	printf("  NACKs: %" PRIu64 "   packets asked for: %" PRIu64 "   resent: %" PRIu64
	       ", %" PRIu64 " of them twice (%.2f %% of what is fanned out)\n",
		m.repair.nacks, repair_asked(&m.repair), m.repair.resent - m.repair.copies,
		m.repair.copies,
		(double)m.repair.resent * 100 / (double)RTE_MAX(measure_fanned(&m), 1u));
	for (unsigned int miss = 0; miss < REGION_MISS_COUNT; miss++)
		if (m.repair.missed[miss])
			printf("  not resent, %s: %" PRIu64 "\n", region_miss_name(miss),
				m.repair.missed[miss]);
	if (losses.ring_full || losses.no_mbuf)
		printf("  NACKs that reached no worker: %" PRIu64 "\n",
			losses.ring_full + losses.no_mbuf);
}

void report_toll(const struct toll *t)
{
	if (t->rounds == 0)
		return;
	printf("  toll of NACKs: fan-out %.1f ns a packet without, %.1f ns with; its rate falls by "
	       "%.2f %%,\n  resent are %.2f %%, beyond them it falls by %.2f %% (median of %u "
	       "round%s)\n",
		t->quiet_ns, t->nack_ns, t->fall * 100, t->resent * 100, t->over * 100, t->rounds,
		t->rounds == 1 ? "" : "s");
}
