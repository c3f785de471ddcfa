// GET /api/v3/dataplane: what the workers count, what the sessions do; and the health checks.
// The region is the data plane's: every number in it is shown, none is relied on.
#include <stdlib.h>
#include <string.h>

#include "control/api.h"

#define NS_PER_MS 1000000ULL

// ---- rates -------------------------------------------------------------------------------------

struct reading {
	uint64_t rx_bytes, tx_bytes, tx_packets;
	uint64_t busy_cycles, idle_cycles;
};

struct worker_rates {
	double rx_bps, tx_bps, tx_pps, busy_percent;
};

// The last reading of each worker. The core thread's, as all that the handlers work on.
static struct {
	bool valid;
	uint64_t instance; // of the region that was read
	uint64_t at_ms;
	struct reading last[REGION_MAX_WORKERS];
	struct worker_rates rates[REGION_MAX_WORKERS];
} sampled;

static struct reading read_worker(const struct region_worker *w)
{
	return (struct reading){ .rx_bytes = w->rx_bytes,
		.tx_bytes = w->tx_bytes,
		.tx_packets = w->tx_packets,
		.busy_cycles = w->busy_cycles,
		.idle_cycles = w->idle_cycles };
}

static double rose(uint64_t now, uint64_t before)
{
	return now > before ? (double)(now - before) : 0;
}

static struct worker_rates rates_between(
	const struct reading *before, const struct reading *now, double seconds)
{
	double busy = rose(now->busy_cycles, before->busy_cycles);
	double all = busy + rose(now->idle_cycles, before->idle_cycles);

	return (struct worker_rates){ .rx_bps = rose(now->rx_bytes, before->rx_bytes) * 8 / seconds,
		.tx_bps = rose(now->tx_bytes, before->tx_bytes) * 8 / seconds,
		.tx_pps = rose(now->tx_packets, before->tx_packets) / seconds,
		.busy_percent = all > 0 ? busy * 100 / all : 0 };
}

void dataplane_api_sample(struct api *api, uint64_t now_ms)
{
	const struct region *region = api->link ? link_region(api->link) : NULL;
	bool follows = region && sampled.valid && sampled.instance == region->header->instance;

	if (!region) {
		memset(&sampled, 0, sizeof(sampled));
		return;
	}
	if (follows && now_ms <= sampled.at_ms)
		return;
	for (uint16_t w = 0; w < region->n_workers; w++) {
		struct reading now = read_worker(&region->workers[w]);

		sampled.rates[w] = (struct worker_rates){ 0 };
		if (follows)
			sampled.rates[w] = rates_between(
				&sampled.last[w], &now, (double)(now_ms - sampled.at_ms) / 1000);
		sampled.last[w] = now;
	}
	sampled.valid = true;
	sampled.instance = region->header->instance;
	sampled.at_ms = now_ms;
}

// ---- the document ------------------------------------------------------------------------------

// Set a member; NULL values count as no memory.
static int put(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value);
}

static json_t *integer(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *finish(json_t *object, int rc)
{
	if (rc == 0)
		return object;
	json_decref(object);
	return NULL;
}

static json_t *describe_drops(const struct region_worker *w)
{
	json_t *out = json_object();
	int rc = 0;

	for (unsigned int reason = 0; reason < DROP_COUNT; reason++) {
		if (w->drops[reason])
			rc |= put(out, drop_name(reason), integer(w->drops[reason]));
	}
	return finish(out, rc);
}

static int put_counts(json_t *out, const struct region_worker *w)
{
	const struct {
		const char *name;
		uint64_t count;
	} counts[] = {
		{ "cpu", w->cpu },
		{ "peers", w->n_peers },
		{ "rx_packets", w->rx_packets },
		{ "rx_bytes", w->rx_bytes },
		{ "tx_packets", w->tx_packets },
		{ "tx_bytes", w->tx_bytes },
		{ "sealed_packets", w->sealed_packets },
		{ "punted_packets", w->punted_packets },
		{ "injected_packets", w->injected_packets },
		{ "handed_off", w->handed_off },
		{ "events_lost", w->events_lost },
		{ "ring_faults", w->ring_faults },
	};
	int rc = 0;

	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++)
		rc |= put(out, counts[i].name, integer(counts[i].count));
	return rc;
}

// Return: milliseconds since the worker's last loop; null before its first.
static json_t *heartbeat_age(const struct region_worker *w)
{
	uint64_t then_ns = w->heartbeat_ns, now_ns = region_now_ns();

	if (then_ns == 0)
		return json_null();
	return integer(now_ns > then_ns ? (now_ns - then_ns) / NS_PER_MS : 0);
}

static json_t *describe_worker(const struct region *region, uint16_t id)
{
	const struct region_worker *w = &region->workers[id];
	bool known = sampled.valid && sampled.instance == region->header->instance;
	struct worker_rates rates = { 0 };
	json_t *out = json_object();
	int rc = 0;

	if (known)
		rates = sampled.rates[id];
	rc |= put(out, "id", integer(id));
	rc |= put_counts(out, w);
	rc |= put(out, "rx_bps", integer((uint64_t)rates.rx_bps));
	rc |= put(out, "tx_bps", integer((uint64_t)rates.tx_bps));
	rc |= put(out, "tx_pps", integer((uint64_t)rates.tx_pps));
	rc |= put(out, "busy_percent", json_real(rates.busy_percent));
	rc |= put(out, "heartbeat_age_ms", heartbeat_age(w));
	rc |= put(out, "drops", describe_drops(w));
	return finish(out, rc);
}

static json_t *describe_workers(const struct region *region)
{
	json_t *out = json_array();
	int rc = 0;

	for (uint16_t w = 0; region && w < region->n_workers; w++)
		rc |= json_array_append_new(out, describe_worker(region, w));
	return finish(out, rc);
}

// A text of the header, which need not be UTF-8.
static json_t *header_text(const char *text, size_t cap)
{
	json_t *out = json_stringn(text, strnlen(text, cap));

	return out ? out : json_string("?");
}

static int put_header(json_t *out, const struct region *region)
{
	const struct region_header *h = region ? region->header : NULL;
	int rc = 0;

	rc |= put(out, "engine", h ? header_text(h->engine, sizeof(h->engine)) : json_null());
	rc |= put(out, "mtu", h ? integer(h->mtu) : json_null());
	rc |= put(out, "interface",
		h ? header_text(h->interface, sizeof(h->interface)) : json_null());
	rc |= put(out, "media_port", h ? integer(h->media_port) : json_null());
	return rc |
	       put(out, "instance",
		       h ? json_sprintf("%016llx", (unsigned long long)h->instance) : json_null());
}

static json_t *describe_peers(const struct api *api, const struct session_counts *counts)
{
	json_t *out = json_object();
	int rc = 0;

	rc |= put(out, "reserving", integer(counts->reserving));
	rc |= put(out, "connecting", integer(counts->connecting));
	rc |= put(out, "ready", integer(counts->ready));
	rc |= put(out, "closing", integer(counts->closing));
	rc |= put(out, "capacity", integer(session_table_cap(api->sessions)));
	return finish(out, rc);
}

static json_t *describe_sessions(const struct session_counts *counts)
{
	json_t *out = json_object(), *ended = json_object();
	int rc = 0;

	for (unsigned int end = 0; end < SESSION_END_COUNT; end++)
		rc |= put(ended, session_end_name(end), integer(counts->ended[end]));
	rc |= put(out, "created", integer(counts->created));
	rc |= put(out, "ended", ended);
	return finish(out, rc);
}

// Empty without AF_XDP, or when the maps cannot be read just now.
static json_t *describe_steer(struct link *link)
{
	struct steer_maps *maps = link ? link_steer(link) : NULL;
	uint64_t counts[STEER_CNT_MAX];
	json_t *out = json_object();
	int rc = 0;

	if (!maps || steer_maps_counters(maps, counts) < 0)
		return out;
	for (unsigned int i = 0; i < STEER_CNT_MAX; i++)
		rc |= put(out, steer_counter_name(i), integer(counts[i]));
	return finish(out, rc);
}

// Rules in a NIC; null where there are none.
static json_t *describe_flows(const struct region *region)
{
	struct region_header *h = region ? region->header : NULL;
	json_t *out;
	int rc = 0;

	if (!h || !atomic_load(&h->flow_steering))
		return json_null();
	out = json_object();
	rc |= put(out, "rules", integer(atomic_load(&h->flow_rules)));
	rc |= put(out, "waiting", integer(atomic_load(&h->flow_waiting)));
	rc |= put(out, "refusals", integer(atomic_load(&h->flow_refusals)));
	return finish(out, rc);
}

// Empty where the kernel is the host.
static json_t *describe_host(const struct region *region)
{
	json_t *out = json_object();
	int rc = 0;

	for (unsigned int kind = 0; region && kind < REGION_HOST_COUNT; kind++) {
		uint64_t n = region->header->host.counts[kind];

		if (n)
			rc |= put(out, region_host_name(kind), integer(n));
	}
	return finish(out, rc);
}

static json_t *describe_link(const struct region *region)
{
	uint32_t link = region ? atomic_load(&region->header->host.link) : REGION_LINK_UNKNOWN;

	return link == REGION_LINK_UNKNOWN ? json_null() : json_boolean(link == REGION_LINK_UP);
}

static json_t *describe_dataplane(const struct api *api)
{
	const struct region *region = api->link ? link_region(api->link) : NULL;
	const struct session_counts *counts = session_table_counts(api->sessions);
	json_t *out = json_object();
	int rc = 0;

	rc |= put(out, "connected", json_boolean(region != NULL));
	rc |= put_header(out, region);
	rc |= put(out, "workers", describe_workers(region));
	rc |= put(out, "peers", describe_peers(api, counts));
	rc |= put(out, "sessions", describe_sessions(counts));
	rc |= put(out, "steer", describe_steer(api->link));
	rc |= put(out, "flows", describe_flows(region));
	rc |= put(out, "link_up", describe_link(region));
	rc |= put(out, "host", describe_host(region));
	return finish(out, rc);
}

void dataplane_api_get(void *ctx, struct http_request *req)
{
	json_t *doc = describe_dataplane(ctx);
	char *text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;

	json_decref(doc);
	if (!text) {
		http_request_refuse(req, 500, NULL, 0, "out of memory");
		return;
	}
	http_request_answer(req, &(struct http_answer){ .status = 200,
					 .content_type = "application/json",
					 .body = text,
					 .body_bytes = strlen(text) });
	free(text);
}

// ---- health ------------------------------------------------------------------------------------

static void answer_line(struct http_request *req, const char *line)
{
	http_request_answer(req, &(struct http_answer){ .status = 200,
					 .content_type = "text/plain; charset=utf-8",
					 .body = line,
					 .body_bytes = strlen(line),
					 .body_static = true });
}

void health_live(void *ctx, struct http_request *req)
{
	answer_line(req, "ok\n");
}

void health_ready(void *ctx, struct http_request *req)
{
	const struct api *api = ctx;

	if (!api->link)
		http_request_refuse(req, 503, NULL, 0, "not ready: no data plane is connected");
	else if (api->draining)
		http_request_refuse(
			req, 503, NULL, 0, "not ready: draining, no new viewers are taken");
	else
		answer_line(req, "ready\n");
}
