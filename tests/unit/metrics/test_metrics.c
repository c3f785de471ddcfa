// GET /metrics: what clients, viewers and workers do is counted, under names that no client chose.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/metrics/metrics.h"
#include "control/routes.h"
#include "tests/unit/session/whep_kit.h"

static char page[512 * 1024];

static int set_up(void **state)
{
	struct house *h;

	house_setup(state);
	h = *state;
	metrics_fini();
	http_server_observe(h->http, metrics_answered, h->api.streams);
	return 0;
}

static int tear_down(void **state)
{
	struct house *h = *state;

	http_server_observe(h->http, NULL, NULL);
	house_teardown(state);
	metrics_fini();
	return 0;
}

// Ask for the page, which may be longer than what the test client takes.
static void scrape(struct house *h)
{
	static const char request[] =
		"GET /metrics HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n";
	int fd = client_connect(h->http);
	size_t used = 0;
	ssize_t n;

	client_send(fd, request);
	routes_dispatch(&h->api, client_take(h->http));
	while ((n = read(fd, page + used, sizeof(page) - 1 - used)) > 0)
		used += (size_t)n;
	page[used] = '\0';
	close(fd);
	assert_memory_equal(page, "HTTP/1.1 200 ", 13);
}

// Return: the value behind a name with its labels, which must be one line of the page; -1 none is.
static double value_of(const char *name)
{
	char line[512];
	const char *at;

	snprintf(line, sizeof(line), "\n%s ", name);
	at = strstr(page, line);
	if (!at)
		return -1;
	assert_null(strstr(at + 1, line));
	return strtod(at + strlen(line), NULL);
}

static void expect_shown(struct house *h, const char *name, double value)
{
	double got;

	scrape(h);
	got = value_of(name);
	if (got != value)
		fail_msg("%s is %g, not %g", name, got, value);
}

#define REQUESTS(route, code, stream)                                                              \
	"millrace_whep_requests_total{route=\"" route "\",code=\"" code "\",stream=\"" stream "\"" \
	"}"

// ---- requests ----------------------------------------------------------------------------------

static void whep_requests_are_counted(void **state)
{
	struct house *h = *state;
	char location[HTTP_PATH_MAX_BYTES];

	house_enter(h, location);
	house_ask(h, "OPTIONS", "/whep/cam", "", "");
	house_patch(h, location, "", "a=end-of-candidates\r\n");
	house_patch(h, location, "If-Match: \"x\"\r\n", "a=end-of-candidates\r\n");
	house_ask(h, "GET", location, "", "");
	house_ask(h, "DELETE", location, "", "");
	house_ask(h, "DELETE", "/api/v3/whep/cam/none", "", "");
	house_ask(h, "GET", "/healthz", "", "");
	expect_shown(h, REQUESTS("subscribe", "201", "cam"), 1);
	expect_shown(h, REQUESTS("preflight", "204", "cam"), 1);
	expect_shown(h, REQUESTS("trickle", "204", "cam"), 1);
	expect_shown(h, REQUESTS("trickle", "412", "cam"), 1);
	expect_shown(h, REQUESTS("unsubscribe", "204", "cam"), 2);
	assert_true(value_of("millrace_whep_request_duration_seconds_count{route=\"subscribe\","
			     "stream=\"cam\"}") == 1);
	assert_true(value_of("millrace_whep_request_duration_seconds_bucket{route=\"subscribe\","
			     "stream=\"cam\",le=\"+Inf\"}") == 1);
	assert_true(value_of("millrace_whep_request_duration_seconds_sum{route=\"subscribe\","
			     "stream=\"cam\"}") > 0);
	assert_null(strstr(page, "route=\"\""));
	assert_null(strstr(page, "\"none\""));
}

// Neither a name nor a method of theirs shows up, however many they try.
static void strangers_make_no_series(void **state)
{
	struct house *h = *state;

	for (int i = 0; i < 20; i++) {
		char path[64];

		snprintf(path, sizeof(path), "/whep/nope%d", i);
		house_post(h, path, offer_read("chromium-av"));
	}
	house_post(h, "/whep/%22%7d%0a", offer_read("chromium-av"));
	house_post(h, "/whep/a%20b", offer_read("chromium-av"));
	house_ask(h, "BREW", "/whep/cam", "", "");
	house_ask(h, "POST", "/elsewhere", "", "");
	expect_shown(h, REQUESTS("subscribe", "404", ""), 20);
	assert_null(strstr(page, "nope"));
	assert_null(strstr(page, "BREW"));
	assert_null(strstr(page, "elsewhere"));
}

static void requests_that_are_never_read_are_counted(void **state)
{
	struct house *h = *state;
	int fd = client_connect(h->http);

	client_send(
		fd, "POST /whep/cam HTTP/1.1\r\nHost: edge\r\nContent-Length: 999999999\r\n\r\n");
	client_read(fd, true, &h->last);
	close(fd);
	assert_int_equal(h->last.status, 413);
	expect_shown(h, "millrace_http_refused_requests_total{code=\"413\"}", 1);
	expect_shown(h, "millrace_http_refused_requests_total{code=\"400\"}", 0);
}

static void caps_are_counted(void **state)
{
	struct house *h = *state;

	h->stage->conf.whep.max_peers_per_stream = 1;
	house_post(h, "/whep/cam", offer_read("chromium-av"));
	assert_int_equal(house_post(h, "/whep/cam", offer_read("chromium-av")), 503);
	h->stage->conf.whep.max_peers = 1;
	assert_int_equal(house_post(h, "/whep/cam", offer_read("chromium-av")), 503);
	assert_int_equal(house_post(h, "/whep/nope", offer_read("chromium-av")), 503);
	expect_shown(h, "millrace_cap_rejections_total{stream=\"cam\",scope=\"stream\"}", 1);
	expect_shown(h, "millrace_cap_rejections_total{stream=\"cam\",scope=\"global\"}", 1);
	expect_shown(h, "millrace_cap_rejections_total{stream=\"\",scope=\"global\"}", 1);
}

static void codecs_are_counted(void **state)
{
	struct house *h = *state;

	assert_int_equal(house_post(h, "/whep/cam", offer_read("firefox-av")), 406);
	assert_int_equal(
		house_post(h, "/whep/cam", offer_change("chromium-av", " opus/", " speex/")), 406);
	assert_int_equal(house_post(h, "/whep/cam", "v="), 400);
	expect_shown(h, "millrace_codec_mismatches_total{stream=\"cam\",kind=\"h264\"}", 1);
	expect_shown(h, "millrace_codec_mismatches_total{stream=\"cam\",kind=\"opus\"}", 1);
}

// ---- sessions ----------------------------------------------------------------------------------

static void a_session_is_followed(void **state)
{
	struct house *h = *state;
	struct viewer *v = viewer_create(h->stage);

	assert_int_equal(viewer_post(v), 0);
	stage_pump(h->stage);
	expect_shown(h, "millrace_peers{stream=\"cam\",state=\"connecting\"}", 1);
	expect_shown(h, "millrace_ice_establishment_seconds_count{stream=\"cam\"}", -1);
	viewer_check(v, (struct check){});
	expect_shown(h, "millrace_ice_establishment_seconds_count{stream=\"cam\"}", -1);
	viewer_check(v, (struct check){ .nominate = true });
	viewer_check(v, (struct check){ .nominate = true });
	expect_shown(h, "millrace_ice_establishment_seconds_count{stream=\"cam\"}", 1);
	viewer_handshake(v);
	expect_shown(h, "millrace_peers{stream=\"cam\",state=\"connecting\"}", 0);
	expect_shown(h, "millrace_peers{stream=\"cam\",state=\"ready\"}", 1);
	expect_shown(h, "millrace_sessions_created_total", 1);
	session_end(v->session, SESSION_END_CONSENT);
	stage_pump(h->stage);
	expect_shown(h, "millrace_peers{stream=\"cam\",state=\"ready\"}", 0);
	expect_shown(h, "millrace_sessions_ended_total{reason=\"consent_lost\"}", 1);
	expect_shown(h, "millrace_sessions_ended_total{reason=\"delete\"}", 0);
}

static void handshakes_are_counted_once(void **state)
{
	static const char ok[] =
		"millrace_dtls_handshakes_total{result=\"ok\",profile=\"AEAD_AES_128_GCM\"}";
	static const char late[] =
		"millrace_dtls_handshakes_total{result=\"timeout\",profile=\"\"}";
	struct house *h = *state;
	struct viewer *v = viewer_play(h->stage);

	viewer_handshake(v);
	viewer_check(v, (struct check){ .nominate = true });
	expect_shown(h, ok, 1);
	// One that never sends a DTLS packet began none.
	v = viewer_create(h->stage);
	assert_int_equal(viewer_post(v), 0);
	stage_pump(h->stage);
	session_tick(h->stage->sessions, stage_now_ms() + STAGE_SETUP_S * 1000 + 1);
	stage_pump(h->stage);
	expect_shown(h, "millrace_sessions_ended_total{reason=\"setup_timeout\"}", 1);
	expect_shown(h, late, -1);
	expect_shown(h, ok, 1);
}

static void handshakes_that_come_to_nothing_are_counted(void **state)
{
	static const uint8_t dtls[] = { 22, 254, 253 };
	struct house *h = *state;
	struct viewer *v = viewer_create(h->stage);

	v->sdp.fingerprints[0].digest[31] ^= 1;
	assert_int_equal(viewer_post(v), 0);
	stage_pump(h->stage);
	viewer_check(v, (struct check){ .nominate = true });
	viewer_handshake(v);
	expect_shown(h, "millrace_dtls_handshakes_total{result=\"failed\",profile=\"\"}", 1);
	v = viewer_create(h->stage);
	assert_int_equal(viewer_post(v), 0);
	stage_pump(h->stage);
	viewer_check(v, (struct check){ .nominate = true });
	assert_int_equal(edge_punt(&h->stage->edge, 0, &v->path, dtls, sizeof(dtls)), 0);
	stage_pump(h->stage);
	session_tick(h->stage->sessions, stage_now_ms() + STAGE_SETUP_S * 1000 + 1);
	stage_pump(h->stage);
	expect_shown(h, "millrace_dtls_handshakes_total{result=\"timeout\",profile=\"\"}", 1);
	expect_shown(h, "millrace_dtls_handshakes_total{result=\"failed\",profile=\"\"}", 1);
}

static void refused_packets_are_counted(void **state)
{
	static const uint8_t stun[] = { 0, 1, 0, 0 }, dtls[] = { 22, 254, 253 };
	struct house *h = *state;
	struct viewer *v = viewer_create(h->stage);

	assert_int_equal(edge_punt(&h->stage->edge, 0, &v->path, stun, sizeof(stun)), 0);
	assert_int_equal(edge_punt(&h->stage->edge, 0, &v->path, dtls, sizeof(dtls)), 0);
	assert_int_equal(edge_punt(&h->stage->edge, 0, &v->path, dtls, sizeof(dtls)), 0);
	stage_pump(h->stage);
	expect_shown(h, "millrace_punted_packets_refused_total{protocol=\"stun\"}", 1);
	expect_shown(h, "millrace_punted_packets_refused_total{protocol=\"dtls\"}", 2);
}

// ---- streams -----------------------------------------------------------------------------------

static void a_leg_fails_only_its_viewers(void **state)
{
	static const char name[] = "millrace_leg_failures_total{stream=\"cam\",leg=\"video\"}";
	struct house *h = *state;

	metrics_leg_silent(h->stage->stream, LEG_VIDEO);
	expect_shown(h, name, -1);
	viewer_play(h->stage);
	metrics_leg_silent(h->stage->stream, LEG_VIDEO);
	expect_shown(h, name, 1);
}

static void counts_go_with_their_stream(void **state)
{
	static const char body[] = "{\"video\":{},\"audio\":{}}";
	struct house *h = *state;

	house_post(h, "/whep/cam", "");
	expect_shown(h, REQUESTS("subscribe", "400", "cam"), 1);
	assert_int_equal(house_ask(h, "DELETE", "/api/v3/streams/cam", "", ""), 204);
	scrape(h);
	assert_null(strstr(page, "stream=\"cam\""));
	assert_int_equal(house_ask(h, "PUT", "/api/v3/streams/cam", "", body), 201);
	h->stage->stream = stream_find(h->api.streams, "cam");
	expect_shown(h, REQUESTS("subscribe", "400", "cam"), -1);
	expect_shown(h, "millrace_peers{stream=\"cam\",state=\"ready\"}", 0);
}

// ---- the data plane ----------------------------------------------------------------------------

static void the_region_is_shown(void **state)
{
	struct house *h = *state;
	struct region *region = link_region(h->api.link);
	struct region_worker *w = &region->workers[1];
	struct region_leg_state *leg = &region->streams[h->stage->stream->slot].legs[LEG_AUDIO];
	const struct ring_event e = { .kind = RING_LEG_UP };

	strcpy(region->header->interface, "e\"\xff");
	w->tx_bytes = 1ULL << 40;
	w->busy_cycles = 7;
	w->drops[DROP_SEAL] = 3;
	w->drops[DROP_PUNT_RING_FULL] = 4;
	w->events_lost = 5;
	w->ring_faults = 9;
	region->header->host.link = REGION_LINK_UP;
	region->header->host.link_mbps = 25000;
	region->header->host.counts[REGION_HOST_TO_KERNEL] = 9;
	leg->packets = 6;
	leg->up = 1;
	leg->drops[DROP_INGEST_LATE] = 8;
	leg->lint = 1u << LINT_CLOCK_DRIFT;
	leg->omitted = 17;
	assert_int_equal(edge_event(&h->stage->edge, 1, &e), 0);
	expect_shown(h, "millrace_transmit_bytes_total{worker=\"1\",port=\"e\\\"?\"}",
		(double)(1ULL << 40));
	expect_shown(h, "millrace_worker_cycles_total{worker=\"1\",state=\"busy\"}", 7);
	expect_shown(h,
		"millrace_dropped_packets_total{worker=\"1\",port=\"e\\\"?\",reason=\"seal\"}", 3);
	expect_shown(h, "millrace_ring_overflows_total{worker=\"1\",ring=\"punt\"}", 4);
	expect_shown(h, "millrace_ring_overflows_total{worker=\"1\",ring=\"event\"}", 5);
	expect_shown(h, "millrace_ring_entries{worker=\"1\",ring=\"event\"}", 1);
	expect_shown(h, "millrace_ring_entries{worker=\"0\",ring=\"event\"}", 0);
	expect_shown(
		h, "millrace_ring_capacity{worker=\"0\",ring=\"event\"}", REGION_EVENT_SLOTS - 1);
	expect_shown(h, "millrace_link_up{port=\"e\\\"?\"}", 1);
	expect_shown(h, "millrace_link_speed_bytes{port=\"e\\\"?\"}", 3125e6);
	expect_shown(h, "millrace_host_packets_total{kind=\"to_kernel\"}", 9);
	expect_shown(h, "millrace_host_packets_total{kind=\"arp_reply\"}", 0);
	expect_shown(h, "millrace_leg_packets_total{stream=\"cam\",leg=\"audio\"}", 6);
	expect_shown(h, "millrace_leg_up{stream=\"cam\",leg=\"audio\"}", 1);
	expect_shown(h, "millrace_leg_up{stream=\"cam\",leg=\"video\"}", 0);
	expect_shown(h,
		"millrace_leg_dropped_packets_total{stream=\"cam\",leg=\"audio\",reason=\"ingest_"
		"late\"}",
		8);
	region->streams[h->stage->stream->slot].waits[1] = (struct region_wait){ .packets = 40,
		.paced = 30,
		.sum_ns = 2500000000,
		.max_ns = 5000000,
		.since_ns = region_now_ns() };
	expect_shown(h, "millrace_stream_fanout_packets_total{stream=\"cam\",worker=\"1\"}", 40);
	expect_shown(h, "millrace_stream_fanout_packets_total{stream=\"cam\",worker=\"0\"}", -1);
	expect_shown(h, "millrace_stream_paced_packets_total{stream=\"cam\",worker=\"1\"}", 30);
	expect_shown(h, "millrace_stream_wait_seconds_total{stream=\"cam\",worker=\"1\"}", 2.5);
	expect_shown(h, "millrace_stream_wait_max_seconds{stream=\"cam\",worker=\"1\"}", 0.005);
	expect_shown(
		h, "millrace_stream_lint{stream=\"cam\",leg=\"audio\",reason=\"clock_drift\"}", 1);
	expect_shown(
		h, "millrace_stream_lint{stream=\"cam\",leg=\"audio\",reason=\"b_frames\"}", 0);
	expect_shown(h, "millrace_leg_omitted_packets_total{stream=\"cam\",leg=\"audio\"}", 17);
	expect_shown(h, "millrace_dataplane_up", 1);
	expect_shown(h, "millrace_ring_faults_total{worker=\"1\"}", 9);
	expect_shown(h, "millrace_flow_rules{port=\"e\\\"?\"}", -1); // no NIC that steers
	region->header->flow_steering = 1;
	region->header->flow_rules = 10;
	region->header->flow_waiting = 11;
	region->header->flow_refusals = 12;
	expect_shown(h, "millrace_flow_rules{port=\"e\\\"?\"}", 10);
	expect_shown(h, "millrace_flow_rules_waiting{port=\"e\\\"?\"}", 11);
	expect_shown(h, "millrace_flow_rules_refused_total{port=\"e\\\"?\"}", 12);
}

// A backup that is not there is seen before it is needed.
static void a_backup_has_its_series(void **state)
{
	struct house *h = *state;
	struct region *region = link_region(h->api.link);
	struct region_leg_state *legs = region->streams[h->stage->stream->slot].backup;
	struct stream_want want = h->stage->stream->want;
	char error[STREAM_ERROR_MAX];
	bool existed;

	expect_shown(h, "millrace_leg_up{stream=\"cam\",leg=\"backup.video\"}", -1);
	want.backup.present = true;
	memcpy(want.backup.legs, want.legs, sizeof(want.legs));
	for (int leg = 0; leg < LEG_COUNT; leg++)
		want.backup.legs[leg].port = 0;
	assert_int_equal(
		stream_set(h->stage->streams, "cam", &want, NULL, NULL, &existed, error), 0);
	stage_pump(h->stage);
	legs[LEG_VIDEO].packets = 5;
	legs[LEG_AUDIO].up = 1;
	legs[LEG_AUDIO].lint = 1u << LINT_CLOCK_DRIFT;
	expect_shown(h, "millrace_leg_up{stream=\"cam\",leg=\"backup.video\"}", 0);
	expect_shown(h, "millrace_leg_up{stream=\"cam\",leg=\"backup.audio\"}", 1);
	expect_shown(h, "millrace_leg_packets_total{stream=\"cam\",leg=\"backup.video\"}", 5);
	expect_shown(h, "millrace_leg_packets_total{stream=\"cam\",leg=\"video\"}", 0);
	expect_shown(h,
		"millrace_stream_lint{stream=\"cam\",leg=\"backup.audio\",reason=\"clock_"
		"drift\"}",
		1);
}

// One histogram of all viewers, whoever they are.
static void what_viewers_report_is_shown(void **state)
{
	struct house *h = *state;

	for (int i = 0; i < 2; i++) {
		struct viewer *v = viewer_play(h->stage);
		struct region_peer_leg_state *l = &viewer_slot(v)->state.legs[LEG_VIDEO];

		l->rr_count = 1;
		l->rr_fraction_lost = i ? 0 : 128;
	}
	session_tick(h->api.sessions, stage_now_ms() + 2000);
	expect_shown(
		h, "millrace_viewer_loss_ratio_bucket{stream=\"cam\",leg=\"video\",le=\"0\"}", 1);
	expect_shown(h,
		"millrace_viewer_loss_ratio_bucket{stream=\"cam\",leg=\"video\",le=\"+Inf\"}", 2);
	expect_shown(h, "millrace_viewer_loss_ratio_sum{stream=\"cam\",leg=\"video\"}", 0.5);
	expect_shown(h, "millrace_viewer_jitter_seconds_count{stream=\"cam\",leg=\"video\"}", 2);
	expect_shown(
		h, "millrace_viewer_round_trip_seconds_count{stream=\"cam\",leg=\"video\"}", 0);
	expect_shown(
		h, "millrace_viewer_first_packet_seconds_count{stream=\"cam\",leg=\"audio\"}", 0);
}

// Sums, which stay when a viewer goes, and no series a viewer.
static void repair_is_summed_up(void **state)
{
	struct house *h = *state;
	struct viewer *viewers[2];

	for (int i = 0; i < 2; i++) {
		struct region_peer_leg_state *l;

		viewers[i] = viewer_play(h->stage);
		l = &viewer_slot(viewers[i])->state.legs[LEG_VIDEO];
		l->nacks = 3;
		l->resent = 5;
		l->resent_bytes = 6000;
		l->missed[REGION_MISS_GONE] = 2;
		l->missed[REGION_MISS_BUDGET] = 1;
		l->plis = 4;
		l->firs = 1;
	}
	session_tick(h->api.sessions, stage_now_ms() + 2000);
	viewer_slot(viewers[0])->state.legs[LEG_VIDEO].nacks = 10; // since it was looked at
	session_end(viewers[0]->session, SESSION_END_DELETE);
	stage_pump(h->stage);
	expect_shown(h, "millrace_viewer_nacks_total{stream=\"cam\",leg=\"video\"}", 13);
	expect_shown(h, "millrace_viewer_nacks_total{stream=\"cam\",leg=\"audio\"}", 0);
	expect_shown(h,
		"millrace_viewer_repair_packets_total{stream=\"cam\",leg=\"video\",result="
		"\"resent\"}",
		10);
	expect_shown(h,
		"millrace_viewer_repair_packets_total{stream=\"cam\",leg=\"video\",result=\"too_"
		"old\"}",
		4);
	expect_shown(h,
		"millrace_viewer_repair_packets_total{stream=\"cam\",leg=\"video\",result=\"over_"
		"budget\"}",
		2);
	expect_shown(h,
		"millrace_viewer_repair_packets_total{stream=\"cam\",leg=\"video\",result=\"never_"
		"sent\"}",
		0);
	expect_shown(h, "millrace_viewer_resent_bytes_total{stream=\"cam\",leg=\"video\"}", 12000);
	expect_shown(h, "millrace_viewer_key_requests_total{stream=\"cam\",kind=\"pli\"}", 8);
	expect_shown(h, "millrace_viewer_key_requests_total{stream=\"cam\",kind=\"fir\"}", 2);
}

static void full_rings_are_counted(void **state)
{
	struct house *h = *state;
	struct viewer *v = viewer_create(h->stage);

	stage_fill_rings(h->stage);
	assert_int_not_equal(viewer_post(v), 0);
	stage_empty_rings(h->stage);
	scrape(h);
	assert_true(value_of("millrace_ring_overflows_total{worker=\"0\",ring=\"command\"}") > 0);
}

static void no_data_plane_is_shown_too(void **state)
{
	struct house *h = *state;

	house_lose_link(h);
	expect_shown(h, "millrace_dataplane_up", 0);
	expect_shown(h, "millrace_peers{stream=\"cam\",state=\"ready\"}", 0);
	assert_null(strstr(page, "worker="));
}

// ---- the page ----------------------------------------------------------------------------------

static void it_tells_of_the_process(void **state)
{
	struct house *h = *state;
	double now = (double)time(NULL);

	scrape(h);
	assert_true(value_of("millrace_build_info{version=\"" MILLRACE_VERSION "\"}") == 1);
	assert_true(value_of("process_start_time_seconds") <= now + 1);
	assert_true(value_of("process_start_time_seconds") > now - 600);
	assert_true(value_of("process_resident_memory_bytes") > 100000);
	assert_true(value_of("process_cpu_seconds_total") > 0);
	assert_non_null(strstr(page, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
}

static void prometheus_has_nothing_to_say(void **state)
{
	struct house *h = *state;
	FILE *promtool;

	if (PROMTOOL[0] == '\0')
		skip();
	house_post(h, "/whep/nope", offer_read("chromium-av"));
	house_post(h, "/whep/cam", offer_read("firefox-av"));
	h->stage->conf.whep.max_peers_per_stream = 1;
	viewer_play(h->stage);
	house_post(h, "/whep/cam", offer_read("chromium-av"));
	metrics_leg_silent(h->stage->stream, LEG_AUDIO);
	scrape(h);
	promtool = popen(PROMTOOL " check metrics", "w");
	assert_non_null(promtool);
	fputs(strstr(page, "\r\n\r\n") + 4, promtool);
	assert_int_equal(pclose(promtool), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(whep_requests_are_counted),
		TEST(strangers_make_no_series),
		TEST(requests_that_are_never_read_are_counted),
		TEST(caps_are_counted),
		TEST(codecs_are_counted),
		TEST(a_session_is_followed),
		TEST(handshakes_are_counted_once),
		TEST(handshakes_that_come_to_nothing_are_counted),
		TEST(refused_packets_are_counted),
		TEST(a_leg_fails_only_its_viewers),
		TEST(counts_go_with_their_stream),
		TEST(the_region_is_shown),
		TEST(a_backup_has_its_series),
		TEST(what_viewers_report_is_shown),
		TEST(repair_is_summed_up),
		TEST(full_rings_are_counted),
		TEST(no_data_plane_is_shown_too),
		TEST(it_tells_of_the_process),
		TEST(prometheus_has_nothing_to_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
