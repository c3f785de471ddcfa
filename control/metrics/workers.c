// The data plane's counters. The region is its: every number in it is shown, none is relied on.
#include <string.h>

#include "control/metrics/priv/exposition.h"
#include "control/metrics/priv/parts.h"

enum {
	TEXT_BYTES = 64,   // a text of the region's header, with a NUL
	WORKER_BYTES = 16, // "15"
};

// What the parts below share.
struct page {
	FILE *out;
	const struct region *region;
	struct link *link;
	char port[TEXT_BYTES]; // the interface; "" a port that Linux does not know
	char workers[REGION_MAX_WORKERS][WORKER_BYTES];
};

// ---- counters of a worker ----------------------------------------------------------------------

struct worker_row {
	struct metric metric;
	size_t offset; // of the uint64_t in struct region_worker
};

#define WORKER_ROW(field, nm, text, ...)                          \
	{                                                         \
		METRIC_COUNTS(nm, text, "worker", ##__VA_ARGS__), \
			offsetof(struct region_worker, field)     \
	}

static const struct worker_row worker_rows[] = {
	WORKER_ROW(rx_packets, "millrace_receive_packets_total", "Packets taken from the port.",
		"port"),
	WORKER_ROW(rx_bytes, "millrace_receive_bytes_total", "Their bytes.", "port"),
	WORKER_ROW(tx_packets, "millrace_transmit_packets_total", "Packets that the port took.",
		"port"),
	WORKER_ROW(tx_bytes, "millrace_transmit_bytes_total", "Their bytes.", "port"),
	WORKER_ROW(rx_missed, "millrace_receive_missed_total",
		"Packets that the port dropped before this program saw them.", "port"),
	WORKER_ROW(tx_waits, "millrace_transmit_waits_total",
		"Bursts of which the port did not take all at once.", "port"),
	WORKER_ROW(rx_bursts, "millrace_receive_bursts_total",
		"Bursts that brought packets: packets over bursts is their fill.", "port"),
	WORKER_ROW(tx_bursts, "millrace_transmit_bursts_total", "Bursts that the port was given.",
		"port"),
	WORKER_ROW(sealed_packets, "millrace_sealed_packets_total", "Packets sealed for viewers."),
	WORKER_ROW(seal_cycles, "millrace_seal_cycles_total",
		"TSC cycles spent in the SRTP engine on RTP."),
	WORKER_ROW(punted_packets, "millrace_punted_packets_total",
		"STUN and DTLS packets handed to control."),
	WORKER_ROW(
		injected_packets, "millrace_injected_packets_total", "Packets sent for control."),
	WORKER_ROW(handed_off, "millrace_handed_off_packets_total",
		"Packets handed to another worker."),
	WORKER_ROW(commands, "millrace_worker_commands_total", "Commands of control obeyed."),
	WORKER_ROW(ring_faults, "millrace_ring_faults_total",
		"Times that a ring was left alone because its indices were impossible."),
};

static uint64_t count_at(const void *counters, size_t offset)
{
	uint64_t count;

	memcpy(&count, (const char *)counters + offset, sizeof(count));
	return count;
}

static void write_row(const struct page *p, const struct worker_row *row)
{
	exposition_head(p->out, &row->metric);
	for (uint16_t w = 0; w < p->region->n_workers; w++)
		exposition_count(p->out, &row->metric, METRIC_VALUES(p->workers[w], p->port),
			count_at(&p->region->workers[w], row->offset));
}

static void write_drops(const struct page *p)
{
	static const struct metric drops = METRIC_COUNTS("millrace_dropped_packets_total",
		"Packets dropped, by reason.", "worker", "port", "reason");

	exposition_head(p->out, &drops);
	for (uint16_t w = 0; w < p->region->n_workers; w++)
		for (unsigned int reason = 0; reason < DROP_COUNT; reason++)
			exposition_count(p->out, &drops,
				METRIC_VALUES(p->workers[w], p->port, drop_name(reason)),
				p->region->workers[w].drops[reason]);
}

static void write_cycles(const struct page *p)
{
	static const struct metric cycles = METRIC_COUNTS("millrace_worker_cycles_total",
		"TSC cycles of loops that found work, and of loops that found none.", "worker",
		"state");

	exposition_head(p->out, &cycles);
	for (uint16_t w = 0; w < p->region->n_workers; w++) {
		const struct region_worker *worker = &p->region->workers[w];

		exposition_count(
			p->out, &cycles, METRIC_VALUES(p->workers[w], "busy"), worker->busy_cycles);
		exposition_count(
			p->out, &cycles, METRIC_VALUES(p->workers[w], "idle"), worker->idle_cycles);
	}
}

static void write_state(const struct page *p)
{
	static const struct metric peers = METRIC_TELLS(
		"millrace_worker_peers", "Viewers that the worker serves.", "worker");
	static const struct metric age = METRIC_TELLS("millrace_worker_heartbeat_age_seconds",
		"Time since the worker's last loop.", "worker");
	uint64_t now_ns = region_now_ns();

	exposition_head(p->out, &peers);
	for (uint16_t w = 0; w < p->region->n_workers; w++)
		exposition_count(p->out, &peers, METRIC_VALUES(p->workers[w]),
			p->region->workers[w].n_peers);
	exposition_head(p->out, &age);
	for (uint16_t w = 0; w < p->region->n_workers; w++) {
		uint64_t then_ns = p->region->workers[w].heartbeat_ns;

		if (then_ns)
			exposition_number(p->out, &age, METRIC_VALUES(p->workers[w]),
				now_ns > then_ns ? (double)(now_ns - then_ns) / 1e9 : 0);
	}
}

// ---- rings -------------------------------------------------------------------------------------

enum ring_kind {
	RING_COMMAND,
	RING_EVENT,
	RING_PUNT,
	RING_INJECT,
	RING_KINDS,
};

static const char *const ring_names[RING_KINDS] = { "command", "event", "punt", "inject" };

static const struct ring *ring_of(const struct region *r, uint16_t w, enum ring_kind kind)
{
	const struct ring *rings[RING_KINDS] = { r->rings[w].command, r->rings[w].event,
		r->rings[w].punt, r->rings[w].inject };

	return rings[kind];
}

// Whoever puts into a ring counts what found no room.
static uint64_t overflows_of(const struct page *p, uint16_t w, enum ring_kind kind)
{
	const uint64_t overflows[RING_KINDS] = { link_overflows(p->link, w)->command,
		p->region->workers[w].events_lost, p->region->workers[w].drops[DROP_PUNT_RING_FULL],
		link_overflows(p->link, w)->inject };

	return overflows[kind];
}

static void write_rings(const struct page *p)
{
	static const struct metric all[] = {
		METRIC_TELLS("millrace_ring_entries", "Elements that wait in the ring.", "worker",
			"ring"),
		METRIC_TELLS(
			"millrace_ring_capacity", "Elements that fit the ring.", "worker", "ring"),
		METRIC_COUNTS("millrace_ring_overflows_total", "Elements that found the ring full.",
			"worker", "ring"),
	};

	for (unsigned int i = 0; i < 3; i++) {
		exposition_head(p->out, &all[i]);
		for (uint16_t w = 0; w < p->region->n_workers; w++)
			for (unsigned int kind = 0; kind < RING_KINDS; kind++) {
				const struct ring *ring = ring_of(p->region, w, kind);
				uint64_t counts[] = { ring_count(ring), ring_capacity(ring),
					overflows_of(p, w, kind) };

				exposition_count(p->out, &all[i],
					METRIC_VALUES(p->workers[w], ring_names[kind]), counts[i]);
			}
	}
}

// ---- the data plane as a whole -----------------------------------------------------------------

static void write_steer(const struct page *p)
{
	static const struct metric steer = METRIC_COUNTS("millrace_steer_packets_total",
		"Packets that the XDP program saw, by what became of them.", "port", "verdict");
	struct steer_maps *maps = link_steer(p->link);
	uint64_t counts[STEER_CNT_MAX];

	exposition_head(p->out, &steer);
	if (!maps || steer_maps_counters(maps, counts) < 0)
		return;
	for (unsigned int i = 0; i < STEER_CNT_MAX; i++)
		exposition_count(
			p->out, &steer, METRIC_VALUES(p->port, steer_counter_name(i)), counts[i]);
}

static void write_flows(const struct page *p)
{
	static const struct metric rules = METRIC_TELLS("millrace_flow_rules",
		"Rules in the NIC that bring viewers' packets to their workers.", "port");
	static const struct metric waiting = METRIC_TELLS("millrace_flow_rules_waiting",
		"Viewers for whose rule the NIC has no room.", "port");
	static const struct metric refusals = METRIC_COUNTS("millrace_flow_rules_refused_total",
		"Rules that the NIC's driver refused.", "port");
	struct region_header *h = p->region->header;
	bool on = atomic_load(&h->flow_steering);

	exposition_head(p->out, &rules);
	if (on)
		exposition_count(
			p->out, &rules, METRIC_VALUES(p->port), atomic_load(&h->flow_rules));
	exposition_head(p->out, &waiting);
	if (on)
		exposition_count(
			p->out, &waiting, METRIC_VALUES(p->port), atomic_load(&h->flow_waiting));
	exposition_head(p->out, &refusals);
	if (on)
		exposition_count(
			p->out, &refusals, METRIC_VALUES(p->port), atomic_load(&h->flow_refusals));
}

// The port's link, and what the data plane does as a host where the kernel does not see it.
static void write_host(const struct page *p)
{
	static const struct metric link = METRIC_TELLS(
		"millrace_link_up", "Whether the link of the data plane's port is up.", "port");
	static const struct metric speed = METRIC_TELLS("millrace_link_speed_bytes",
		"Bytes a second that the link carries; 0 where the driver does not say.", "port");
	static const struct metric counts = METRIC_COUNTS("millrace_host_packets_total",
		"What the data plane said and passed on as a host of its own, by kind.", "kind");
	const struct region_host *host = &p->region->header->host;

	exposition_head(p->out, &link);
	exposition_count(
		p->out, &link, METRIC_VALUES(p->port), atomic_load(&host->link) == REGION_LINK_UP);
	exposition_head(p->out, &speed);
	exposition_count(
		p->out, &speed, METRIC_VALUES(p->port), host->link_mbps * UINT64_C(125000));
	exposition_head(p->out, &counts);
	for (unsigned int kind = 0; kind < REGION_HOST_COUNT; kind++)
		exposition_count(
			p->out, &counts, METRIC_VALUES(region_host_name(kind)), host->counts[kind]);
}

static void copy_text(const char *text, size_t cap, char out[TEXT_BYTES])
{
	snprintf(out, TEXT_BYTES, "%.*s", (int)strnlen(text, cap), text);
}

static void write_up(const struct api *api, FILE *out)
{
	static const struct metric up = METRIC_TELLS(
		"millrace_dataplane_up", "Whether a data plane is connected.");

	exposition_head(out, &up);
	exposition_count(out, &up, NULL, api->link != NULL);
}

static void write_info(const struct page *p)
{
	static const struct metric info = METRIC_TELLS("millrace_dataplane_info",
		"Always 1; the engine that seals and the interface of the data plane.", "engine",
		"port");
	char engine[TEXT_BYTES];

	copy_text(p->region->header->engine, sizeof(p->region->header->engine), engine);
	exposition_head(p->out, &info);
	exposition_count(p->out, &info, METRIC_VALUES(engine, p->port), 1);
}

void metrics_write_workers(const struct api *api, FILE *out)
{
	struct page p = { .out = out, .link = api->link };

	write_up(api, out);
	if (!api->link)
		return;
	p.region = link_region(api->link);
	copy_text(p.region->header->interface, sizeof(p.region->header->interface), p.port);
	for (uint16_t w = 0; w < p.region->n_workers; w++)
		snprintf(p.workers[w], WORKER_BYTES, "%u", w);
	write_info(&p);
	for (size_t i = 0; i < sizeof(worker_rows) / sizeof(worker_rows[0]); i++)
		write_row(&p, &worker_rows[i]);
	write_drops(&p);
	write_cycles(&p);
	write_state(&p);
	write_rings(&p);
	write_steer(&p);
	write_flows(&p);
	write_host(&p);
}
