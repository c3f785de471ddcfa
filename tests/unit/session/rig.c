#include "tests/unit/session/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/rand.h>
#include <openssl/srtp.h>

#include "dataplane/abi/log.h"

enum {
	STUN_USERNAME = 0x0006,
	STUN_PRIORITY = 0x0024,
	STUN_USE_CANDIDATE = 0x0025,
	STUN_ICE_CONTROLLING = 0x802a,
	VIDEO_PAYLOAD_TYPE = 109,
	AUDIO_PAYLOAD_TYPE = 111,
};

// ---- stage -------------------------------------------------------------------------------------

uint64_t stage_now_ms(void)
{
	return region_now_ns() / 1000000;
}

static void on_punt(void *ctx, const struct ring_packet *p)
{
	struct stage *stage = ctx;

	session_punt(stage->sessions, p);
}

static void on_event(void *ctx, const struct ring_event *e)
{
}

static bool is_reply_to(const struct viewer *v, const struct ring_packet *p)
{
	return p->pkt_bytes >= STUN_HEADER_BYTES && p->pkt[0] == 1 && v->check_bytes &&
	       memcmp(p->pkt + 8, v->check + 8, STUN_TXID_BYTES) == 0;
}

static bool is_indication_to(const struct viewer *v, const struct ring_packet *p)
{
	return p->pkt[0] == 0 && p->pkt[1] == STUN_BINDING_INDICATION &&
	       net_addr_equal(&v->path.remote, &p->path.remote);
}

static void give_datagram(struct viewer *v, const struct ring_packet *p)
{
	struct rig_datagram datagram = { .bytes = p->pkt_bytes };

	v->n_dtls++;
	memcpy(datagram.data, p->pkt, p->pkt_bytes);
	rig_deliver(&v->rig, &datagram);
}

// A STUN reply finds its viewer by the transaction, an indication and DTLS by the address.
static void on_sent(void *ctx, const struct ring_packet *p)
{
	struct stage *stage = ctx;

	stage->n_sent++;
	for (unsigned int i = stage->n_viewers; i-- > 0;) {
		struct viewer *v = stage->viewers[i];

		if (is_reply_to(v, p) || is_indication_to(v, p)) {
			v->reply_bytes = p->pkt_bytes;
			memcpy(v->reply, p->pkt, p->pkt_bytes);
			return;
		}
		if (p->pkt[0] >= 20 && net_addr_equal(&v->path.remote, &p->path.remote)) {
			give_datagram(v, p);
			return;
		}
	}
}

void stage_attach(struct stage *stage)
{
	struct link *lost = stage->lost;
	const struct link_handlers handlers = { on_punt, on_event, stage };

	assert_int_equal(edge_link(&stage->edge, &handlers, lost, &stage->link), 0);
	stream_store_attach(stage->streams, stage->link);
	session_table_attach(stage->sessions, stage->link, stream_first(stage->streams));
	link_close(lost);
	stage->lost = NULL;
}

void stage_lose(struct stage *stage)
{
	stage->lost = stage->link;
	stage->link = NULL;
	link_lose(stage->lost);
	stream_store_attach(stage->streams, NULL);
	stream_store_hold(stage->streams, stage->lost);
	session_table_hold(stage->sessions);
}

void stage_forget(struct stage *stage)
{
	stream_store_hold(stage->streams, NULL);
	session_table_attach(stage->sessions, NULL, NULL);
	link_close(stage->lost);
	stage->lost = NULL;
}

void stage_detach(struct stage *stage)
{
	struct link *link = stage->link;

	stage->link = NULL;
	stream_store_attach(stage->streams, NULL);
	link_close(link);
	session_table_attach(stage->sessions, NULL, NULL);
}

void stage_pump_at(struct stage *stage, uint64_t now_ms)
{
	bool any;

	do {
		any = edge_step(&stage->edge);
		if (stage->link)
			any |= link_poll(stage->link, now_ms);
	} while (any);
}

void stage_pump(struct stage *stage)
{
	stage_pump_at(stage, stage_now_ms());
}

// What is sent because of it must not be overdue at once.
void stage_overdue(struct stage *stage)
{
	uint64_t now_ms = stage_now_ms();

	stage_pump(stage);
	usleep(2000);
	stage_pump_at(stage, now_ms + LINK_ACK_MS);
	stage_pump(stage);
}

static void set_up_conf(struct conf *conf)
{
	conf->whep.setup_timeout_s = STAGE_SETUP_S;
	conf->whep.consent_timeout_s = STAGE_CONSENT_S;
	conf->whep.max_peers_per_stream = STAGE_SLOTS;
	conf->ingest.first_port = 20000;
	conf->ingest.last_port = 20999;
	conf->media.port = 8189;
}

static void set_up_stream(struct stage *stage)
{
	struct stream_want want = { .legs = { [LEG_VIDEO] = { .present = true, .payload_type = 96 },
					    [LEG_AUDIO] = {
						    .present = true, .payload_type = 111 } } };
	char error[STREAM_ERROR_MAX];
	bool existed;

	assert_int_equal(stream_set(stage->streams, "cam", &want, NULL, NULL, &existed, error), 0);
	stage_pump(stage);
	stage->stream = stream_find(stage->streams, "cam");
	assert_non_null(stage->stream);
}

int stage_setup(void **state)
{
	static const uint16_t profiles[] = { SRTP_PROFILE_GCM128, SRTP_PROFILE_CM80 };
	const struct region_sizes sizes = { STAGE_WORKERS, 4, STAGE_SLOTS };
	struct stage *stage = calloc(1, sizeof(*stage));

	assert_non_null(stage);
	log_set_level(LOG_LEVEL_ERROR - 1);
	set_up_conf(&stage->conf);
	assert_int_equal(edge_create(&sizes, &stage->edge), 0);
	stage->edge.sent = on_sent;
	stage->edge.ctx = stage;
	assert_int_equal(dtls_context_create(profiles, 2, &stage->dtls), 0);
	assert_int_equal(stream_store_create(&stage->conf, &stage->streams), 0);
	assert_int_equal(session_table_create(&stage->conf, stage->dtls, &stage->sessions), 0);
	stage_attach(stage);
	set_up_stream(stage);
	edge_forget(&stage->edge);
	*state = stage;
	return 0;
}

int stage_teardown(void **state)
{
	struct stage *stage = *state;

	stage_detach(stage);
	session_table_destroy(stage->sessions);
	stream_store_destroy(stage->streams);
	for (unsigned int i = 0; i < stage->n_viewers; i++) {
		void *rig = stage->viewers[i];

		rig_teardown(&rig);
	}
	dtls_context_destroy(stage->dtls);
	edge_destroy(&stage->edge);
	free(stage);
	return 0;
}

const struct session_counts *stage_counts(const struct stage *stage)
{
	return session_table_counts(stage->sessions);
}

void stage_expect(const struct stage *stage, uint32_t reserving, uint32_t connecting,
	uint32_t ready, uint32_t closing)
{
	const struct session_counts *c = stage_counts(stage);

	assert_int_equal(c->reserving, reserving);
	assert_int_equal(c->connecting, connecting);
	assert_int_equal(c->ready, ready);
	assert_int_equal(c->closing, closing);
	assert_int_equal(
		session_table_used(stage->sessions), reserving + connecting + ready + closing);
}

uint64_t stage_n_ended(const struct stage *stage)
{
	uint64_t n = 0;

	for (int i = 0; i < SESSION_END_COUNT; i++)
		n += stage_counts(stage)->ended[i];
	return n;
}

void stage_fill_rings(struct stage *stage)
{
	stage->edge.manners[RING_FLUSH] = EDGE_ASLEEP;
	for (uint16_t worker = 0; worker < STAGE_WORKERS; worker++)
		while (link_command(stage->link, worker, RING_FLUSH, 0, 0, NULL, NULL) == 0)
			;
}

void stage_empty_rings(struct stage *stage)
{
	stage->edge.manners[RING_FLUSH] = EDGE_ACCEPT;
	stage_pump(stage);
	edge_forget(&stage->edge);
}

bool stage_region_holds(const struct stage *stage, const void *bytes, size_t n_bytes)
{
	const struct region *r = &stage->edge.region;

	return memmem(r->header, r->bytes, bytes, n_bytes) != NULL;
}

// ---- viewer ------------------------------------------------------------------------------------

static void viewer_send(struct rig *rig, const struct rig_datagram *datagram)
{
	struct viewer *v = (struct viewer *)rig;

	if (datagram->from_client)
		assert_int_equal(edge_punt(&v->stage->edge, v->worker, &v->path, datagram->data,
					 datagram->bytes),
			0);
}

static void fill_offer(struct viewer *v, unsigned int id)
{
	static const uint8_t types[LEG_COUNT] = {
		[LEG_VIDEO] = VIDEO_PAYLOAD_TYPE, [LEG_AUDIO] = AUDIO_PAYLOAD_TYPE
	};

	for (uint8_t leg = 0; leg < LEG_COUNT; leg++) {
		v->sdp.legs[leg] = (struct sdp_negotiated_leg){ .accepted = true,
			.section = leg,
			.payload_type = types[leg],
			.mid_ext_id = 4,
			.nack = leg == LEG_VIDEO,
			.rtx_payload_type = leg == LEG_VIDEO ? 103 : SDP_NO_RTX };
		snprintf(v->sdp.legs[leg].mid, sizeof(v->sdp.legs[leg].mid), "%u", leg);
		v->ssrc[leg] = 0x51000000 + (id << 8) + leg;
	}
	v->rtx_ssrc = 0x52000000 + id;
	snprintf(v->sdp.ice.ufrag, sizeof(v->sdp.ice.ufrag), "view%u", id);
	snprintf(v->sdp.ice.pwd, sizeof(v->sdp.ice.pwd), "VOkJxbRl1RmTxUk/WvJxB%u", id);
	v->sdp.fingerprints[0] = rig_fingerprint(RIG_IDENTITY_P256, 256);
	v->sdp.n_fingerprints = 1;
	v->sdp.rtcp_rsize = true;
}

struct viewer *viewer_create(struct stage *stage)
{
	const struct rig_options options = {};
	struct viewer *v = calloc(1, sizeof(*v));
	uint8_t host = (uint8_t)(10 + stage->n_viewers);

	assert_non_null(v);
	assert_true(stage->n_viewers < STAGE_VIEWERS);
	v->stage = stage;
	v->rig.client_alert = -1;
	v->rig.script = viewer_send;
	rig_start(&v->rig, &options);
	v->path = (struct net_path){
		.local = { .ip = { 198, 18, 77, 1 }, .port_be = htons(8189), .family = NET_IPV4 },
		.remote = { .ip = { 198, 18, 77, host },
			.port_be = htons(40000),
			.family = NET_IPV4 },
		.local_mac = { 2, 0, 0, 0, 0, 1 },
		.remote_mac = { 2, 0, 0, 0, 0, host },
	};
	fill_offer(v, stage->n_viewers);
	assert_int_equal(ice_credentials_make(&v->ice), 0);
	stage->viewers[stage->n_viewers++] = v;
	return v;
}

static void on_told(void *arg, struct session *s, int status)
{
	struct viewer *v = arg;

	v->n_told++;
	v->status = status;
	assert_true((s != NULL) == (status == 0));
	if (!s)
		v->session = NULL;
}

int viewer_post(struct viewer *v)
{
	struct session_offer offer = { .stream = v->stage->stream,
		.sdp = &v->sdp,
		.ice = &v->ice,
		.ssrc = v->ssrc,
		.rtx_ssrc = v->rtx_ssrc,
		.cname = "0123456789abcdef" };
	int rc = session_create(v->stage->sessions, &offer, on_told, v, &v->session);
	const struct region *region = &v->stage->edge.region;

	if (rc < 0)
		return rc;
	for (uint16_t i = 0; i < region->n_peers; i++)
		if (strcmp(region->peers[i].session.resource, session_resource(v->session)) == 0)
			v->slot = i;
	return 0;
}

static uint16_t write_check(struct viewer *v, const struct check *c)
{
	const char *ufrag = c->ufrag ? c->ufrag : v->ice.ufrag;
	const char *pwd = c->pwd ? c->pwd : v->ice.pwd;
	uint32_t priority = htonl(c->priority ? c->priority : 1000);
	uint8_t txid[STUN_TXID_BYTES];
	struct stun_writer w;
	char username[320];
	uint16_t bytes = 0;

	assert_int_equal(RAND_bytes(txid, sizeof(txid)), 1);
	snprintf(username, sizeof(username), "%s:%s", ufrag, v->sdp.ice.ufrag);
	stun_begin(&w, v->check, sizeof(v->check), STUN_BINDING_REQUEST, txid);
	stun_put(&w, STUN_USERNAME, username, (uint16_t)strlen(username));
	stun_put(&w, STUN_PRIORITY, &priority, sizeof(priority));
	stun_put(&w, STUN_ICE_CONTROLLING, "tiebreak", 8);
	if (c->nominate)
		stun_put(&w, STUN_USE_CANDIDATE, NULL, 0);
	stun_put_integrity(&w, pwd, strlen(pwd));
	stun_put_fingerprint(&w);
	assert_int_equal(stun_end(&w, &bytes), 0);
	return bytes;
}

uint16_t viewer_check_again(struct viewer *v, const struct net_path *from)
{
	v->reply_bytes = 0;
	assert_int_equal(edge_punt(&v->stage->edge, v->worker, from, v->check, v->check_bytes), 0);
	stage_pump(v->stage);
	return v->reply_bytes ? (uint16_t)(v->reply[0] << 8 | v->reply[1]) : 0;
}

uint16_t viewer_check(struct viewer *v, struct check c)
{
	v->check_bytes = write_check(v, &c);
	return viewer_check_again(v, c.from ? c.from : &v->path);
}

void viewer_handshake(struct viewer *v)
{
	unsigned int before;

	do {
		before = v->stage->n_sent;
		rig_pump(&v->rig);
		stage_pump(v->stage);
	} while (v->stage->n_sent != before);
}

bool viewer_heard_close(struct viewer *v)
{
	rig_pump(&v->rig);
	return (SSL_get_shutdown(v->rig.client) & SSL_RECEIVED_SHUTDOWN) != 0 &&
	       v->rig.client_alert == SSL_AD_CLOSE_NOTIFY;
}

struct viewer *viewer_play(struct stage *stage)
{
	uint32_t ready = stage_counts(stage)->ready;
	struct viewer *v = viewer_create(stage);

	assert_int_equal(viewer_post(v), 0);
	stage_pump(stage);
	assert_int_equal(v->n_told, 1);
	assert_int_equal(v->status, 0);
	assert_int_equal(viewer_check(v, (struct check){ .nominate = true }), STUN_BINDING_SUCCESS);
	viewer_handshake(v);
	assert_true(v->rig.connected);
	assert_int_equal(stage_counts(stage)->ready, ready + 1);
	return v;
}

struct region_peer *viewer_slot(const struct viewer *v)
{
	return &v->stage->edge.region.peers[v->slot];
}

void viewer_keys(const struct viewer *v, struct dtls_keys *out)
{
	static const char label[] = "EXTRACTOR-dtls_srtp";
	const SRTP_PROTECTION_PROFILE *profile = SSL_get_selected_srtp_profile(v->rig.client);
	uint8_t material[2 * (SRTP_MASTER_KEY_MAX_BYTES + SRTP_MASTER_SALT_MAX_BYTES)];
	struct srtp_profile_sizes sizes;
	const uint8_t *at = material;

	assert_non_null(profile);
	*out = (struct dtls_keys){ .profile = (uint16_t)profile->id };
	sizes = srtp_profile_sizes(out->profile);
	assert_int_equal(SSL_export_keying_material(v->rig.client, material,
				 2u * (sizes.key_bytes + sizes.salt_bytes), label, strlen(label),
				 NULL, 0, 0),
		1);
	memcpy(out->remote.key, at, sizes.key_bytes);
	memcpy(out->local.key, at += sizes.key_bytes, sizes.key_bytes);
	memcpy(out->remote.salt, at += sizes.key_bytes, sizes.salt_bytes);
	memcpy(out->local.salt, at += sizes.salt_bytes, sizes.salt_bytes);
}
