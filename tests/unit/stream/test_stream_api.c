// The handlers of streams, data plane and health, through a real HTTP server.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/api.h"
#include "control/http/router.h"
#include "tests/unit/http/client.h"
#include "tests/unit/stream/edge_kit.h"

static const struct http_route routes[] = {
	{ .pattern = "/api/v3/streams", .on = { [HTTP_GET] = stream_api_list } },
	{ .pattern = "/api/v3/streams/{id}",
		.on = { [HTTP_GET] = stream_api_get,
			[HTTP_PUT] = stream_api_put,
			[HTTP_DELETE] = stream_api_delete } },
	{ .pattern = "/api/v3/streams/{id}/peers", .on = { [HTTP_GET] = stream_api_peers } },
	{ .pattern = "/api/v3/streams/{id}/peers/{resource}",
		.on = { [HTTP_GET] = stream_api_peer } },
	{ .pattern = "/api/v3/dataplane", .on = { [HTTP_GET] = dataplane_api_get } },
	{ .pattern = "/healthz", .on = { [HTTP_GET] = health_live } },
	{ .pattern = "/readyz", .on = { [HTTP_GET] = health_ready } },
};

struct rig {
	struct conf conf;
	struct api api;
	struct http_server *srv;
	int fd;
	struct response response;
};

// ---- sessions that are none --------------------------------------------------------------------

static struct session_counts counts = { .ready = 3, .created = 9 };
static unsigned int n_ended;

const struct session_counts *session_table_counts(const struct session_table *t)
{
	return &counts;
}

uint32_t session_table_cap(const struct session_table *t)
{
	return 1024;
}

const char *session_end_name(enum session_end end)
{
	return end == SESSION_END_DELETE    ? "delete"
	       : end == SESSION_END_CONSENT ? "consent"
					    : "other";
}

void session_end_stream(struct session_table *t, const struct stream *s, enum session_end why)
{
	assert_int_equal(why, SESSION_END_STREAM_GONE);
	assert_true(s->leaving);
	n_ended++;
}

// Two viewers of each stream.
void session_visit(struct session_table *t, const struct stream *s, session_visit_cb cb, void *arg)
{
	cb(arg, NULL);
	cb(arg, NULL);
}

struct session {
	struct stream *stream;
} one_viewer;

struct session *session_find(struct session_table *t, const char *resource)
{
	return strcmp(resource, "r") == 0 ? &one_viewer : NULL;
}

struct stream *session_stream(const struct session *s)
{
	return s->stream;
}

json_t *session_describe(const struct session *s)
{
	return json_pack("{s:s}", "resource", "r");
}

int steer_maps_counters(struct steer_maps *maps, uint64_t out[STEER_CNT_MAX])
{
	for (unsigned int i = 0; i < STEER_CNT_MAX; i++)
		out[i] = 100 + i;
	return 0;
}

const char *steer_counter_name(enum steer_counter i)
{
	return i == STEER_CNT_INGEST ? "ingest" : "other";
}

// ---- the rig -----------------------------------------------------------------------------------

static int set_up(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	const struct http_server_conf http = client_conf();

	assert_non_null(r);
	r->conf = edge_conf();
	r->api.conf = &r->conf;
	assert_int_equal(stream_store_create(&r->conf, &r->api.streams), 0);
	r->api.link = edge_create(EDGE_STREAMS, true);
	stream_store_attach(r->api.streams, r->api.link);
	r->srv = client_server(&http);
	r->fd = client_connect(r->srv);
	n_ended = 0;
	*state = r;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *r = *state;

	close(r->fd);
	edge_destroy(r->api.link);
	stream_store_destroy(r->api.streams);
	http_server_stop(r->srv);
	free(r);
	return 0;
}

static void request(
	struct rig *r, const char *method, const char *path, const char *type, const char *body)
{
	char text[2048];

	snprintf(text, sizeof(text),
		"%s %s HTTP/1.1\r\nHost: x\r\n%s%s%sContent-Length: %zu\r\n\r\n%s", method, path,
		type ? "Content-Type: " : "", type ? type : "", type ? "\r\n" : "", strlen(body),
		body);
	client_send(r->fd, text);
	http_router_dispatch(
		routes, sizeof(routes) / sizeof(*routes), NULL, &r->api, client_take(r->srv));
}

static int answer(struct rig *r)
{
	client_read(r->fd, true, &r->response);
	r->response.body[r->response.body_bytes] = '\0';
	return r->response.status;
}

static int get(struct rig *r, const char *path)
{
	request(r, "GET", path, NULL, "");
	return answer(r);
}

static int put(struct rig *r, const char *id, const char *body)
{
	char path[64];

	snprintf(path, sizeof(path), "/api/v3/streams/%s", id);
	request(r, "PUT", path, "application/json", body);
	if (r->api.link)
		edge_run(r->api.link);
	return answer(r);
}

static void expect_body(struct rig *r, const char *text)
{
	assert_string_equal(r->response.body, text);
}

static json_t *document(struct rig *r)
{
	json_t *doc = json_loads(r->response.body, 0, NULL);

	assert_non_null(doc);
	assert_string_equal(client_field(&r->response, "Content-Type"), "application/json");
	return doc;
}

// ---- streams -----------------------------------------------------------------------------------

static void put_creates_then_changes(void **state)
{
	struct rig *r = *state;
	json_t *doc;

	assert_int_equal(put(r, "cam", "{\"video\":{}}"), 201);
	assert_string_equal(client_field(&r->response, "Location"), "/api/v3/streams/cam");
	doc = document(r);
	assert_string_equal(json_string_value(json_object_get(doc, "id")), "cam");
	json_decref(doc);
	assert_int_equal(put(r, "cam", "{\"video\":{}}"), 200);
	assert_null(client_field(&r->response, "Location"));
	assert_int_equal(put(r, "cam", "{\"video\":{},\"audio\":{}}"), 200);
	assert_int_equal(get(r, "/api/v3/streams/cam"), 200);
	doc = document(r);
	assert_int_equal(json_object_size(json_object_get(doc, "legs")), 2);
	json_decref(doc);
	assert_int_equal(get(r, "/api/v3/streams"), 200);
	doc = document(r);
	assert_int_equal(json_array_size(json_object_get(doc, "streams")), 1);
	json_decref(doc);
}

static void put_refuses(void **state)
{
	struct rig *r = *state;

	assert_int_equal(put(r, "cam", "{\"video\":{\"port\":1}}"), 400);
	expect_body(r, "video.port: expected an even number from 20000 to 20008, found 1\n");
	assert_int_equal(put(r, "cam", ""), 400);
	request(r, "PUT", "/api/v3/streams/cam", "text/plain", "{}");
	assert_int_equal(answer(r), 415);
	expect_body(r, "Content-Type: expected application/json, found text/plain\n");
	request(r, "PUT", "/api/v3/streams/cam", NULL, "{\"video\":{}}");
	edge_run(r->api.link);
	assert_int_equal(answer(r), 201);
	assert_int_equal(put(r, "b", "{\"video\":{\"port\":20000}}"), 409);
	expect_body(r, "video.port: expected a free port, found 20000, which stream cam has\n");
}

static void put_tells_what_the_workers_said(void **state)
{
	static const struct {
		int worker, status;
	} cases[] = {
		{ -ETIMEDOUT, 504 },
		{ -EADDRINUSE, 409 },
		{ -EINVAL, 500 },
		{ -ENOMEM, 500 },
	};
	struct rig *r = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		edge_refuse(r->api.link, RING_STREAM_SET, cases[i].worker, 1);
		assert_int_equal(put(r, "cam", "{\"video\":{}}"), cases[i].status);
		assert_int_equal(get(r, "/api/v3/streams/cam"), 404);
	}
	expect_body(r, "no stream cam; create it with PUT /api/v3/streams/cam\n");
}

static void a_change_under_way_is_a_conflict(void **state)
{
	struct rig *r = *state;
	int other = client_connect(r->srv);

	request(r, "PUT", "/api/v3/streams/cam", NULL, "{\"video\":{}}");
	client_send(other,
		"PUT /api/v3/streams/cam HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n"
		"{\"video\":{}}");
	http_router_dispatch(
		routes, sizeof(routes) / sizeof(*routes), NULL, &r->api, client_take(r->srv));
	client_expect(other, 409);
	edge_run(r->api.link);
	assert_int_equal(answer(r), 201);
	close(other);
}

static void without_a_data_plane_put_is_503(void **state)
{
	struct rig *r = *state;

	request(r, "PUT", "/api/v3/streams/cam", NULL, "{\"video\":{}}");
	edge_destroy(r->api.link);
	r->api.link = NULL;
	stream_store_attach(r->api.streams, NULL);
	assert_int_equal(answer(r), 503);
	expect_body(r, "the data plane left meanwhile; try again\n");
	assert_int_equal(put(r, "cam", "{\"video\":{}}"), 503);
	assert_string_equal(client_field(&r->response, "Retry-After"), "2");
	expect_body(r, "no data plane is connected; try again\n");
}

static void delete_waits_for_the_viewers(void **state)
{
	struct rig *r = *state;
	struct stream *s;

	put(r, "cam", "{\"video\":{}}");
	s = stream_find(r->api.streams, "cam");
	stream_peer_added(s);
	request(r, "DELETE", "/api/v3/streams/cam", NULL, "");
	edge_run(r->api.link);
	assert_int_equal(n_ended, 1);
	assert_int_equal(edge_slots(r->api.link), 1);
	stream_peer_gone(s);
	edge_run(r->api.link);
	assert_int_equal(answer(r), 204);
	assert_int_equal(edge_slots(r->api.link), 0);
	request(r, "DELETE", "/api/v3/streams/cam", NULL, "");
	assert_int_equal(answer(r), 404);
}

static void delete_tells_of_a_silent_worker(void **state)
{
	struct rig *r = *state;

	put(r, "cam", "{\"video\":{}}");
	edge_refuse(r->api.link, RING_STREAM_REMOVE, -ETIMEDOUT, 1);
	request(r, "DELETE", "/api/v3/streams/cam", NULL, "");
	edge_run(r->api.link);
	assert_int_equal(answer(r), 504);
	expect_body(r, "a worker of the data plane did not confirm in time\n");
}

static void peers_are_listed(void **state)
{
	struct rig *r = *state;

	assert_int_equal(get(r, "/api/v3/streams/cam/peers"), 404);
	put(r, "cam", "{\"video\":{}}");
	assert_int_equal(get(r, "/api/v3/streams/cam/peers"), 200);
	expect_body(r, "{\"peers\":[{\"resource\":\"r\"},{\"resource\":\"r\"}]}");
}

static void one_peer_is_shown(void **state)
{
	struct rig *r = *state;

	assert_int_equal(get(r, "/api/v3/streams/cam/peers/r"), 404);
	put(r, "cam", "{\"video\":{}}");
	put(r, "dog", "{\"video\":{}}");
	one_viewer.stream = stream_find(r->api.streams, "cam");
	assert_int_equal(get(r, "/api/v3/streams/cam/peers/r"), 200);
	expect_body(r, "{\"resource\":\"r\"}");
	assert_int_equal(get(r, "/api/v3/streams/cam/peers/s"), 404);
	expect_body(r, "no such viewer of stream cam\n");
	assert_int_equal(get(r, "/api/v3/streams/dog/peers/r"), 404);
}

// ---- data plane and health ---------------------------------------------------------------------

static void the_data_plane_is_shown(void **state)
{
	struct rig *r = *state;
	struct region *region = link_region(r->api.link);
	struct region_worker *w = &region->workers[0];
	json_int_t rx_bps, tx_pps, drops, ingest, capacity, mtu, rules, waiting, refusals, replies;
	const char *engine, *instance;
	json_t *doc, *worker;
	double busy;

	memset(region->header->interface, 0xff, sizeof(region->header->interface));
	region->header->instance = 0xab;
	region->header->flow_steering = 1;
	region->header->flow_rules = 11;
	region->header->flow_waiting = 12;
	region->header->flow_refusals = 13;
	dataplane_api_sample(&r->api, 5000);
	w->rx_bytes = 2500;
	w->tx_packets = 40;
	w->busy_cycles = 250;
	w->idle_cycles = 750;
	w->drops[DROP_SEAL] = 4;
	region->header->host.link = REGION_LINK_DOWN;
	region->header->host.counts[REGION_HOST_ARP_REPLY] = 5;
	w->heartbeat_ns = region_now_ns();
	dataplane_api_sample(&r->api, 7000);
	assert_int_equal(get(r, "/api/v3/dataplane"), 200);
	doc = document(r);
	assert_true(json_is_true(json_object_get(doc, "connected")));
	assert_int_equal(
		json_unpack(doc, "{s:s,s:s,s:I,s:{s:I},s:{s:I},s:{s:I!}}", "engine", &engine,
			"instance", &instance, "mtu", &mtu, "peers", "capacity", &capacity, "steer",
			"ingest", &ingest, "host", "arp_reply", &replies),
		0);
	assert_string_equal(engine, "fast");
	assert_string_equal(instance, "00000000000000ab");
	assert_string_equal(json_string_value(json_object_get(doc, "interface")), "?");
	assert_true(json_is_false(json_object_get(doc, "link_up")));
	assert_int_equal(replies, 5);
	assert_int_equal(mtu, 1500);
	assert_int_equal(capacity, 1024);
	assert_int_equal(ingest, 100 + STEER_CNT_INGEST);
	assert_int_equal(json_unpack(doc, "{s:{s:I,s:I,s:I!}}", "flows", "rules", &rules, "waiting",
				 &waiting, "refusals", &refusals),
		0);
	assert_int_equal(rules * 10000 + waiting * 100 + refusals, 111213);
	assert_int_equal(json_array_size(json_object_get(doc, "workers")), EDGE_WORKERS);
	worker = json_array_get(json_object_get(doc, "workers"), 0);
	assert_int_equal(json_unpack(worker, "{s:I,s:I,s:f,s:{s:I}}", "rx_bps", &rx_bps, "tx_pps",
				 &tx_pps, "busy_percent", &busy, "drops", "seal", &drops),
		0);
	assert_int_equal(rx_bps, 10000);
	assert_int_equal(tx_pps, 20);
	assert_true(busy == 25);
	assert_int_equal(drops, 4);
	assert_int_equal(json_object_size(json_object_get(worker, "drops")), 1);
	json_decref(doc);
	dataplane_api_sample(&r->api, 6000); // time does not run backward
	region->header->instance = 0xac;     // another region: nothing to compare with
	w->rx_bytes = 99999;
	dataplane_api_sample(&r->api, 8000);
	get(r, "/api/v3/dataplane");
	doc = document(r);
	worker = json_array_get(json_object_get(doc, "workers"), 0);
	assert_int_equal(json_integer_value(json_object_get(worker, "rx_bps")), 0);
	json_decref(doc);
}

static void no_data_plane_is_shown_too(void **state)
{
	struct rig *r = *state;
	struct link *link = r->api.link;

	r->api.link = NULL;
	dataplane_api_sample(&r->api, 1000);
	assert_int_equal(get(r, "/api/v3/dataplane"), 200);
	expect_body(r,
		"{\"connected\":false,\"engine\":null,\"mtu\":null,\"interface\":null,"
		"\"media_port\":null,\"instance\":null,\"workers\":[],\"peers\":{"
		"\"reserving\":0,\"connecting\":0,\"ready\":3,\"closing\":0,\"capacity\":1024},"
		"\"sessions\":{\"created\":9,\"ended\":{\"delete\":0,\"other\":0,"
		"\"consent\":0}},\"steer\":{},\"flows\":null,\"link_up\":null,\"host\":{}}");
	r->api.link = link;
}

static void health_follows_the_data_plane(void **state)
{
	struct rig *r = *state;
	struct link *link = r->api.link;

	assert_int_equal(get(r, "/healthz"), 200);
	expect_body(r, "ok\n");
	assert_int_equal(get(r, "/readyz"), 200);
	expect_body(r, "ready\n");
	r->api.draining = true;
	assert_int_equal(get(r, "/readyz"), 503);
	expect_body(r, "not ready: draining, no new viewers are taken\n");
	r->api.draining = false;
	r->api.link = NULL;
	assert_int_equal(get(r, "/readyz"), 503);
	expect_body(r, "not ready: no data plane is connected\n");
	assert_int_equal(get(r, "/healthz"), 200);
	r->api.link = link;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(put_creates_then_changes),
		TEST(put_refuses),
		TEST(put_tells_what_the_workers_said),
		TEST(a_change_under_way_is_a_conflict),
		TEST(without_a_data_plane_put_is_503),
		TEST(delete_waits_for_the_viewers),
		TEST(delete_tells_of_a_silent_worker),
		TEST(peers_are_listed),
		TEST(one_peer_is_shown),
		TEST(the_data_plane_is_shown),
		TEST(no_data_plane_is_shown_too),
		TEST(health_follows_the_data_plane),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
