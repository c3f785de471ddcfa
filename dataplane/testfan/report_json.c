#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "dataplane/abi/log.h"
#include "dataplane/testfan/report.h"

static json_t *integer(uint64_t v)
{
	return json_integer((json_int_t)v);
}

static json_t *make_config(const struct rig *rig)
{
	json_t *o = json_object();
	char value[SETTINGS_TEXT_BYTES], *end;
	const char *name, *help;

	for (unsigned int i = 0; settings_get(&rig->settings, i, &name, &help, value); i++) {
		double number = strtod(value, &end);

		json_object_set_new(o, name,
			*end		     ? json_string(value)
			: strchr(value, '.') ? json_real(number)
					     : integer(strtoull(value, NULL, 10)));
	}
	json_object_set_new(o, "workers", integer(rig->ports.n_workers));
	json_object_set_new(o, "engine_in_use", json_string(rig->region.header->engine));
	json_object_set_new(o, "checksum", json_string(rig_checksum(rig)));
	json_object_set_new(o, "rate_in_use", integer(rig->rate));
	return o;
}

static json_t *make_figures(const struct figures *f)
{
	json_t *drops = json_object();

	for (unsigned int i = 0; i < DROP_COUNT; i++)
		if (f->drops[i])
			json_object_set_new(drops, drop_name(i), integer(f->drops[i]));
	return json_pack("{sI sI sI sI sI sI so sf sf sf sf sf sf sf sf sf}", "rx_packets",
		(json_int_t)f->rx_packets, "rx_missed", (json_int_t)f->source_missed, "rx_nombuf",
		(json_int_t)f->source_no_mbuf, "tx_packets", (json_int_t)f->tx_packets, "tx_bytes",
		(json_int_t)f->tx_bytes, "sealed_packets", (json_int_t)f->sealed_packets, "drops",
		drops, "mpps", f->mpps, "gbps", f->gbps, "cycles_per_packet", f->cycles_per_packet,
		"crypto_cycles_per_packet", f->crypto_cycles, "rest_cycles_per_packet",
		f->rest_cycles, "source_cycles_per_packet", f->source_cycles, "rx_burst_fill",
		f->rx_burst_fill, "tx_burst_fill", f->tx_burst_fill, "busy", f->busy);
}

static json_t *make_workers(const struct measure *m)
{
	json_t *a = json_array();

	for (uint16_t w = 0; w < m->n_workers; w++) {
		json_t *o = make_figures(&m->workers[w]);

		json_object_set_new(o, "id", integer(w));
		json_object_set_new(o, "cpu", integer(m->cpus[w]));
		json_array_append_new(a, o);
	}
	return a;
}

static json_t *make_sum(const struct measure *m)
{
	json_t *o = make_figures(&m->sum);

	json_object_set_new(o, "viewers_per_core", json_real(m->viewers_per_core));
	return o;
}

static json_t *make_spread(const struct spread *s)
{
	return json_pack("{sI sI sf}", "min", (json_int_t)s->min, "max", (json_int_t)s->max, "mean",
		s->mean);
}

static json_t *make_peers(const struct measure *m)
{
	json_t *o = make_spread(&m->delivered);

	json_object_set_new(o, "drops", make_spread(&m->dropped));
	return o;
}

static json_t *make_latency(const struct rig *rig)
{
	struct gauge_result r;

	if (!rig->gauge)
		return json_null();
	gauge_read(rig->gauge, &r);
	return json_pack("{sf sf sf sf sI}", "p50", r.p50_us, "p90", r.p90_us, "p99", r.p99_us,
		"max", r.max_us, "count", (json_int_t)r.count);
}

static json_t *make_verify(const struct rig *rig)
{
	json_t *reasons = json_object();
	struct check_result r;

	if (!rig->check) {
		json_decref(reasons);
		return json_null();
	}
	check_read(rig->check, &r);
	for (unsigned int i = 0; i < CHECK_COUNT; i++)
		if (r.by_reason[i])
			json_object_set_new(reasons, check_reason_name(i), integer(r.by_reason[i]));
	return json_pack("{sI sI sI sI sI sI so}", "checked", (json_int_t)r.checked, "failed",
		(json_int_t)r.failed, "resent", (json_int_t)r.resent, "skipped",
		(json_int_t)r.skipped, "viewers", (json_int_t)r.viewers, "offloaded",
		(json_int_t)r.offloaded, "reasons", reasons);
}

static json_t *make_ratio(const struct ratio *r)
{
	if (r->rounds == 0)
		return json_null();
	return json_pack("{sf sf sf sf sf sf sI}", "ns_per_packet", r->floor.ns_per_packet,
		"library_ns_per_packet", r->library_ns, "cycles_per_packet",
		r->floor.cycles_per_packet, "mpps", r->floor.mpps, "fan_ns_per_packet", r->fan_ns,
		"ratio", r->ratio, "rounds", (json_int_t)r->rounds);
}

static json_t *make_repair(const struct rig *rig, const struct measure *m)
{
	json_t *missed = json_object();
	struct nack_losses losses;

	if (!rig->nack) {
		json_decref(missed);
		return json_null();
	}
	nack_read(rig->nack, &losses);
	for (unsigned int miss = 0; miss < REGION_MISS_COUNT; miss++)
		if (m->repair.missed[miss])
			json_object_set_new(
				missed, region_miss_name(miss), integer(m->repair.missed[miss]));
	return json_pack("{sI sI sI sI sI sf so sI}", "nacks", (json_int_t)m->repair.nacks, "asked",
		(json_int_t)repair_asked(&m->repair), "resent", (json_int_t)m->repair.resent,
		"copies", (json_int_t)m->repair.copies, "resent_bytes",
		(json_int_t)m->repair.resent_bytes, "resent_share",
		(double)m->repair.resent / (double)RTE_MAX(measure_fanned(m), 1u), "missed", missed,
		"undelivered", (json_int_t)(losses.ring_full + losses.no_mbuf));
}

static json_t *make_toll(const struct toll *t)
{
	if (t->rounds == 0)
		return json_null();
	return json_pack("{sf sf sf sf sf sI}", "quiet_ns_per_packet", t->quiet_ns,
		"nack_ns_per_packet", t->nack_ns, "fall", t->fall, "resent", t->resent, "over",
		t->over, "rounds", (json_int_t)t->rounds);
}

static json_t *make_memory(const struct rig *rig)
{
	struct rig_memory m;

	if (rig_memory(rig, &m) < 0)
		return json_null();
	return json_pack("{sf sf sf sf sf sf sf}", "bytes_per_peer", m.total, "region_slot",
		m.region_slot, "peer", m.peer, "srtp_session", m.srtp_session, "srtp_shared",
		m.srtp_shared, "tables", m.tables, "heap_grown", m.heap_grown);
}

int report_json(struct rig *rig, const struct measure *m, const struct ratio *ratio,
	const struct toll *toll, const char *path)
{
	json_t *o = json_pack("{si so sf so so so so so so so so so}", "testfan", 1, "config",
		make_config(rig), "seconds", m->seconds, "workers", make_workers(m), "sum",
		make_sum(m), "peers", make_peers(m), "latency_us", make_latency(rig), "verify",
		make_verify(rig), "floor", make_ratio(ratio), "repair", make_repair(rig, m), "toll",
		make_toll(toll), "memory", make_memory(rig));
	const size_t flags = JSON_INDENT(2) | JSON_REAL_PRECISION(6);
	int rc = 0;

	if (!o)
		return -ENOMEM;
	if (path)
		rc = json_dump_file(o, path, flags);
	else if (json_dumpf(o, stdout, flags) == 0)
		rc = putchar('\n') == EOF ? -1 : fflush(stdout);
	json_decref(o);
	if (rc != 0)
		log_error(
			"cannot write %s: %s", path ? path : "to standard output", strerror(errno));
	return rc == 0 ? 0 : -EIO;
}
