#include "control/core.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "control/api.h"
#include "control/http/tls.h"
#include "control/media_address.h"
#include "control/metrics/metrics.h"
#include "control/routes.h"
#include "dataplane/abi/log.h"
#include "dataplane/abi/supervisor.h"

enum {
	TICK_MS = 50,
	SAMPLE_MS = 1000,
	RECONNECT_MS = 100,
	FAREWELL_MS = 3000, // for BYE and close_notify at the end
	TRIM_VIEWERS = 100, // fewer are not worth the walk through the heap
	NS_PER_MS = 1000000,
};

struct core {
	const struct conf *conf;
	struct api api;
	struct http_server *http;
	struct http_tls *tls; // NULL: plain HTTP
	int signal_fd;
	uint64_t tick_ms, sample_ms, reconnect_ms;
	uint32_t peak_viewers; // since memory was last given back
	uint32_t viewers_before;
	struct link *lost; // the data plane left: its region, with the sessions in it. Else NULL
	uint64_t lost_ms;
	bool stopping;
	bool leaving; // at once, without a word to anybody
	bool drain_sent;
	bool drained;
	uint64_t stop_by_ms;
};

static uint64_t now_ms(void)
{
	return region_now_ns() / NS_PER_MS;
}

// ---- the data plane comes and goes -------------------------------------------------------------

static void on_punt(void *ctx, const struct ring_packet *p)
{
	struct core *core = ctx;

	session_punt(core->api.sessions, p);
}

static void tell_link(bool up)
{
	if (up)
		log_info("the data plane's link is up");
	else
		log_warn("the data plane's link is down: no viewer is reached");
}

static void tell_stream(const struct stream *s, const struct ring_event *e)
{
	const char *backup = e->source == REGION_BACKUP ? "the backup's " : "";

	if (e->kind == RING_LEG_UP) {
		log_info("stream %s: %s%s is here", s->id, backup, leg_name(e->leg));
	} else if (e->kind == RING_LEG_DOWN) {
		log_warn("stream %s: %s%s fell silent", s->id, backup, leg_name(e->leg));
		if (e->source != REGION_BACKUP)
			metrics_leg_silent(s, e->leg);
	} else if (e->kind == RING_SOURCE) {
		log_warn("stream %s: the %s plays now (%s)", s->id,
			stream_role_name((enum region_role)e->source),
			stream_shared(s) ? region_switch_name(stream_shared(s)->sources.why) : "?");
	}
}

static void on_event(void *ctx, const struct ring_event *e)
{
	struct core *core = ctx;
	struct stream *s = stream_first(core->api.streams);

	if (e->kind == RING_LINK_UP || e->kind == RING_LINK_DOWN) {
		tell_link(e->kind == RING_LINK_UP);
		return;
	}
	while (s && (s->slot != e->slot || s->generation != e->generation))
		s = s->next;
	if (!s || e->leg >= LEG_COUNT)
		return;
	tell_stream(s, e);
}

static void log_addresses(const struct api *api)
{
	char text[NET_ADDR_TEXT_BYTES];

	for (uint8_t i = 0; i < api->n_candidates; i++)
		log_info("viewers send to %s", net_addr_text(&api->candidates[i], text));
	if (api->n_candidates == 0)
		log_error("[media] address: none configured, and the interface has none; viewers "
			  "cannot connect");
}

static void steer_media(struct core *core)
{
	struct steer_maps *maps = link_steer(core->api.link);
	const struct steer_limits limits = { .stun_pps = core->conf->limits.stun_pps,
		.stun_burst = core->conf->limits.stun_burst,
		.dtls_pps = core->conf->limits.dtls_pps,
		.dtls_burst = core->conf->limits.dtls_burst };
	int rc;

	if (!maps)
		return;
	rc = steer_maps_set_limits(maps, &limits);
	if (rc == 0)
		rc = steer_maps_set_port(
			maps, link_region(core->api.link)->header->media_port, STEER_MEDIA);
	if (rc < 0)
		log_error("the steering maps cannot be written: %s", strerror(-rc));
}

// No data plane took the region up: what lived in it is over.
static void forget_region(struct core *core)
{
	struct link *lost = core->lost;

	core->lost = NULL;
	stream_store_hold(core->api.streams, NULL);
	session_table_attach(core->api.sessions, NULL, NULL);
	link_close(lost);
}

// The data plane that came may not go on with the region of the one before.
static void judge_region(struct core *core)
{
	if (!core->lost || link_same_region(core->lost, core->api.link))
		return;
	if (session_table_used(core->api.sessions))
		log_warn("the data plane started afresh: %u viewers must join anew",
			session_table_used(core->api.sessions));
	forget_region(core);
}

static int connect_link(struct core *core, bool quiet)
{
	const struct link_handlers handlers = { .punt = on_punt, .event = on_event, .ctx = core };
	struct api *api = &core->api;
	struct region_header *header;
	int rc = link_open(core->conf->dataplane.socket, &handlers, core->lost, quiet, &api->link);

	if (rc < 0) {
		api->link = NULL;
		return rc;
	}
	judge_region(core);
	header = link_region(api->link)->header;
	if (header->media_port != core->conf->media.port)
		log_warn("the data plane's media port is %u, [media] port here %u: its port holds",
			header->media_port, core->conf->media.port);
	api->n_candidates = media_addresses_find(core->conf, header->interface, api->candidates);
	for (uint8_t i = 0; i < api->n_candidates; i++)
		api->candidates[i].port_be = htons(header->media_port);
	log_info("connected to the data plane: %u workers, %u viewer slots, engine %s",
		header->n_workers, header->n_peers, header->engine);
	log_addresses(api);
	steer_media(core);
	if (api->n_candidates)
		stream_store_set_address(api->streams, &api->candidates[0]);
	stream_store_attach(api->streams, api->link);
	session_table_attach(api->sessions, api->link, stream_first(api->streams));
	link_close(core->lost);
	core->lost = NULL;
	return 0;
}

static void lose_link(struct core *core)
{
	struct link *link = core->api.link;

	core->api.link = NULL;
	core->lost = link;
	core->lost_ms = now_ms();
	link_lose(link);
	stream_store_attach(core->api.streams, NULL);
	stream_store_hold(core->api.streams, link);
	session_table_hold(core->api.sessions);
	core->reconnect_ms = core->lost_ms + RECONNECT_MS;
	log_error("the data plane left; looking for it every %d ms; %u viewers wait", RECONNECT_MS,
		session_table_used(core->api.sessions));
}

// No viewer has had an answer to its checks in this time (RFC 7675 5.1).
static void check_lost(struct core *core, uint64_t now)
{
	uint64_t limit_ms = core->conf->whep.consent_timeout_s * 1000ULL;

	if (!core->lost || now - core->lost_ms < limit_ms)
		return;
	log_warn("no data plane in %u s: %u viewers must join anew",
		core->conf->whep.consent_timeout_s, session_table_used(core->api.sessions));
	forget_region(core);
}

// ---- the loop ----------------------------------------------------------------------------------

static void take_requests(struct core *core)
{
	struct http_request *req;

	while ((req = http_server_next(core->http)))
		routes_dispatch(&core->api, req);
}

static void drained(void *arg, int status)
{
	struct core *core = arg;

	core->drained = true;
}

// Return: whether all good-byes are said, or their time is up.
static bool farewell_over(struct core *core, uint64_t now)
{
	struct api *api = &core->api;

	if (!api->link || now >= core->stop_by_ms)
		return true;
	if (session_table_used(api->sessions) == 0 && !core->drain_sent) {
		core->drain_sent = true;
		if (link_command(api->link, LINK_ALL_WORKERS, RING_DRAIN, 0, 0, drained, core) < 0)
			return true;
	}
	return core->drained;
}

static void begin_stop(struct core *core)
{
	log_info("stopping: %u viewers are told", session_table_used(core->api.sessions));
	core->stopping = true;
	core->api.draining = true; // no new viewers from here on
	core->stop_by_ms = now_ms() + FAREWELL_MS;
	session_end_all(core->api.sessions, SESSION_END_SHUTDOWN);
}

// Keys and certificate, each by itself: what is wrong stays as it was.
static void reload(struct core *core)
{
	char fault[SECRET_FAULT_MAX];

	if (access_reload(core->api.access, fault) < 0)
		log_error("the keys are not read anew: %s; the old ones hold", fault);
	else
		log_info("keys read anew");
	if (core->tls && http_tls_reload(core->tls, fault) < 0)
		log_error("the certificate is not read anew: %s; the old one holds", fault);
	else if (core->tls)
		log_info("certificate read anew");
}

static void take_signal(struct core *core)
{
	struct signalfd_siginfo info;

	if (read(core->signal_fd, &info, sizeof(info)) < 0 || core->stopping)
		return;
	if (info.ssi_signo == SIGHUP)
		reload(core);
	else if (info.ssi_signo == SIGQUIT)
		core->leaving = true;
	else
		begin_stop(core);
}

// The C library keeps what a crowd leaves behind, in pieces between what still lives. Some 40 KiB a
// viewer are worth handing back once most of them are gone.
static void give_memory_back(struct core *core)
{
	uint32_t viewers = session_table_used(core->api.sessions);
	bool leaving = viewers < core->viewers_before;

	core->viewers_before = viewers;
	if (viewers > core->peak_viewers)
		core->peak_viewers = viewers;
	if (leaving || core->peak_viewers - viewers < TRIM_VIEWERS ||
		viewers > core->peak_viewers / 2)
		return;
	malloc_trim(0);
	core->peak_viewers = viewers;
}

static void run_timers(struct core *core, uint64_t now)
{
	if (now - core->tick_ms >= TICK_MS) {
		core->tick_ms = now;
		session_tick(core->api.sessions, now);
	}
	if (now - core->sample_ms >= SAMPLE_MS) {
		core->sample_ms = now;
		stream_store_sample(core->api.streams, now);
		dataplane_api_sample(&core->api, now);
		give_memory_back(core);
	}
	stream_store_save(core->api.streams, now);
	if (!core->api.link && now >= core->reconnect_ms) {
		core->reconnect_ms = now + RECONNECT_MS;
		connect_link(core, true);
	}
	check_lost(core, now);
	supervisor_alive(now);
}

static int wait_once(struct core *core, bool busy)
{
	struct link *link = core->api.link;
	struct pollfd fds[] = {
		{ .fd = core->signal_fd, .events = POLLIN },
		{ .fd = http_server_event_fd(core->http), .events = POLLIN },
		{ .fd = link ? link_wake_fd(link) : -1, .events = POLLIN },
		{ .fd = link ? link_socket_fd(link) : -1, .events = POLLIN },
	};

	if (poll(fds, 4, busy ? 0 : TICK_MS) < 0 && errno != EINTR)
		return -errno;
	if (fds[0].revents)
		take_signal(core);
	if (fds[3].revents)
		lose_link(core);
	if (fds[1].revents)
		take_requests(core);
	return 0;
}

static int loop(struct core *core)
{
	bool busy = false;
	int rc = 0;

	while (rc == 0 && !core->leaving && !(core->stopping && farewell_over(core, now_ms()))) {
		uint64_t now;

		rc = wait_once(core, busy);
		now = now_ms();
		busy = core->api.link && link_poll(core->api.link, now);
		run_timers(core, now);
	}
	return rc;
}

// ---- start and stop ----------------------------------------------------------------------------

static int open_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

// Tokens, keys and session URLs cross the network.
static void warn_if_plain(const struct conf *conf)
{
	struct net_addr a = conf->http.address;
	char text[NET_ADDR_TEXT_BYTES];

	a.port_be = htons(conf->http.port);
	if (*conf->http.tls_certificate || net_ip_is_loopback(&a))
		return;
	log_warn("plain HTTP on %s, which others may read on its way: set [http] tls_certificate "
		 "and tls_key, or [http] address to 127.0.0.1 behind a proxy",
		net_addr_text(&a, text));
}

static int start_access(struct core *core)
{
	const struct conf *conf = core->conf;
	char fault[SECRET_FAULT_MAX];
	int rc = access_create(conf, &core->api.access, fault);

	if (rc == 0 && *conf->http.tls_certificate)
		rc = http_tls_create(
			conf->http.tls_certificate, conf->http.tls_key, &core->tls, fault);
	if (rc < 0) {
		log_error("%s", fault);
		return rc;
	}
	rc = limiter_create(
		conf->limits.post_per_second, conf->limits.post_burst, &core->api.posts);
	if (rc == 0)
		rc = limiter_create(conf->limits.change_per_second, conf->limits.change_burst,
			&core->api.changes);
	return rc;
}

static int start_http(struct core *core)
{
	const struct conf *conf = core->conf;
	const struct net_addr any = { .family = NET_IPV6 };
	char text[NET_ADDR_TEXT_BYTES];
	struct http_server_conf http = { .address = conf->http.address,
		.max_body_bytes = conf->http.max_body_bytes,
		.max_connections = conf->http.max_connections,
		.tls = core->tls };
	int rc;

	http.address.port_be = htons(conf->http.port);
	rc = http_server_start(&http, &core->http);
	if (rc == -EAFNOSUPPORT && net_ip_equal(&conf->http.address, &any)) {
		http.address.family = NET_IPV4; // a host without IPv6
		rc = http_server_start(&http, &core->http);
	}
	if (rc == -EADDRINUSE)
		log_error("[http] port: %s is in use; end what holds it, or choose another port",
			net_addr_text(&http.address, text));
	else if (rc < 0)
		log_error("[http] cannot listen on %s: %s", net_addr_text(&http.address, text),
			strerror(-rc));
	else
		warn_if_plain(conf);
	return rc;
}

// Without a data plane we wait for one; with one that does not want us there is nothing to wait
// for.
static int first_link(struct core *core)
{
	int rc = connect_link(core, true);

	if (rc == 0)
		return 0;
	if (rc == -ENOENT || rc == -ECONNREFUSED) {
		log_warn("no data plane at %s yet; waiting for it", core->conf->dataplane.socket);
		return 0;
	}
	return connect_link(core, false);
}

static int start(struct core *core)
{
	static const uint16_t profiles[] = { SRTP_PROFILE_GCM128, SRTP_PROFILE_CM80 };
	struct api *api = &core->api;
	int rc;

	core->signal_fd = open_signals();
	rc = core->signal_fd < 0 ? core->signal_fd : 0;
	if (rc == 0)
		rc = dtls_context_create(profiles, 2, &api->dtls);
	if (rc == 0)
		rc = stream_store_create(core->conf, &api->streams);
	if (rc == 0 && core->conf->control.state[0])
		rc = stream_store_keep(api->streams, core->conf->control.state);
	if (rc == 0)
		rc = session_table_create(core->conf, api->dtls, &api->sessions);
	if (rc == 0)
		rc = start_access(core);
	if (rc == 0)
		rc = start_http(core);
	if (rc == 0)
		http_server_observe(core->http, metrics_answered, api->streams);
	if (rc == 0)
		rc = first_link(core);
	return rc;
}

static void stop(struct core *core)
{
	if (core->http)
		http_server_observe(core->http, NULL, NULL);
	link_close(core->api.link);
	core->api.link = NULL;
	link_close(core->lost);
	if (core->api.streams)
		stream_store_attach(core->api.streams, NULL);
	if (core->api.sessions)
		session_table_attach(core->api.sessions, NULL, NULL);
	session_table_destroy(core->api.sessions);
	stream_store_destroy(core->api.streams);
	dtls_context_destroy(core->api.dtls);
	http_server_stop(core->http); // after what is torn down above and answers its requests
	http_tls_destroy(core->tls);
	limiter_destroy(core->api.posts);
	limiter_destroy(core->api.changes);
	metrics_fini();
	access_destroy(core->api.access);
	if (core->signal_fd >= 0)
		close(core->signal_fd);
}

int core_run(const struct conf *conf)
{
	struct core core = { .conf = conf, .signal_fd = -1, .api.conf = conf };
	int rc = start(&core);

	if (rc == 0) {
		log_info("ready: %s on port %u", core.tls ? "https" : "http",
			http_server_port(core.http));
		supervisor_ready("serving");
		rc = loop(&core);
		supervisor_stopping();
	}
	stop(&core);
	return rc;
}
