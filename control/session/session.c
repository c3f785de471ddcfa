// The life of a session: take a slot, wait for its worker, play, say good-bye, give the slot back.
#include "control/session/session.h"

#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "control/session/priv/session.h"
#include "dataplane/abi/log.h"

// ---- begin -------------------------------------------------------------------------------------

// 192 bits from the CSPRNG as base64url: nothing of the stream or the client is in it (A11).
static int make_resource(char out[REGION_RESOURCE_CHARS + 1])
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint8_t random[REGION_RESOURCE_CHARS];

	if (RAND_bytes(random, sizeof(random)) != 1)
		return -EIO;
	for (int i = 0; i < REGION_RESOURCE_CHARS; i++)
		out[i] = alphabet[random[i] & 63];
	out[REGION_RESOURCE_CHARS] = 0;
	return 0;
}

void session_make_etag(struct session *s)
{
	if (s->ice_generation == 0)
		snprintf(s->etag, sizeof(s->etag), "\"%s\"", s->resource);
	else
		snprintf(s->etag, sizeof(s->etag), "\"%s-%u\"", s->resource, s->ice_generation);
}

static int fill_leg(struct region_peer_leg *out, const struct sdp_negotiated_leg *sdp,
	uint32_t ssrc, uint32_t rtx_ssrc)
{
	bool rtx = sdp->accepted && sdp->nack && sdp->rtx_payload_type != SDP_NO_RTX;
	uint16_t seq, rtx_seq;

	*out = (struct region_peer_leg){ .enabled = sdp->accepted,
		.payload_type = sdp->payload_type,
		.ssrc = ssrc,
		.nack = sdp->nack };
	if (RAND_bytes((uint8_t *)&out->ts_base, sizeof(out->ts_base)) != 1 ||
		RAND_bytes((uint8_t *)&seq, sizeof(seq)) != 1 ||
		RAND_bytes((uint8_t *)&rtx_seq, sizeof(rtx_seq)) != 1)
		return -EIO;
	out->seq_base = seq & 0x7fff; // E3
	if (rtx) {
		out->rtx_ssrc = rtx_ssrc;
		out->rtx_payload_type = sdp->rtx_payload_type;
		out->rtx_seq_base = rtx_seq & 0x7fff;
	}
	// A longer MID does not fit a one-byte extension: the SSRC in the answer tells the legs
	// apart.
	if (sdp->mid_ext_id && strlen(sdp->mid) <= 16) {
		out->mid_ext_id = sdp->mid_ext_id;
		out->mid_bytes = (uint8_t)strlen(sdp->mid);
		memcpy(out->mid, sdp->mid, out->mid_bytes);
	}
	return 0;
}

static int fill_slot(struct session *s, const struct session_offer *offer)
{
	struct region_peer *slot = session_slot(s);
	struct region_peer_conf *conf = &slot->conf;
	uint32_t generation = conf->generation + 1;

	memset(conf, 0, sizeof(*conf));
	memset(&slot->session, 0, sizeof(slot->session));
	conf->generation = s->generation = generation | 1;
	conf->stream = s->stream->slot;
	conf->stream_generation = s->stream->generation;
	conf->worker = s->worker;
	conf->rtcp_rsize = offer->sdp->rtcp_rsize;
	conf->phase = REGION_PEER_RESERVED;
	snprintf(conf->cname, sizeof(conf->cname), "%.*s", REGION_CNAME_MAX, offer->cname);
	for (int leg = 0; leg < LEG_COUNT; leg++)
		if (fill_leg(&conf->legs[leg], &offer->sdp->legs[leg], offer->ssrc[leg],
			    leg == LEG_VIDEO ? offer->rtx_ssrc : 0) < 0)
			return -EIO;
	return 0;
}

static_assert((int)ICE_DIGEST_BYTES == (int)REGION_DIGEST_BYTES, "kept as it is");

// What a restarted control needs to know of it.
static void keep_session(struct session *s)
{
	struct region_peer_session *keep = &session_slot(s)->session;

	memcpy(keep->resource, s->resource, sizeof(keep->resource));
	memcpy(keep->local_ufrag, s->ice.local.ufrag, sizeof(keep->local_ufrag));
	memcpy(keep->local_pwd, s->ice.local.pwd, sizeof(keep->local_pwd));
	memcpy(keep->remote_ufrag, s->ice.remote.ufrag, sizeof(keep->remote_ufrag));
	memcpy(keep->remote_pwd, s->ice.remote.pwd, sizeof(keep->remote_pwd));
	memcpy(keep->mid, s->mid, sizeof(keep->mid));
	keep->tagged = (uint8_t)s->tagged;
	keep->missed = s->missed;
	keep->ice_generation = s->ice_generation;
	keep->created_ns = s->created_ms * 1000000;
}

static void reserved(void *arg, int status)
{
	struct session *s = arg;
	session_ready_cb cb = s->ready_cb;

	s->command_busy = false;
	s->ready_cb = NULL;
	if (status == 0 && !s->end_wanted) {
		session_set_state(s, SESSION_CONNECTING);
		s->answered_ns = region_now_ns();
		cb(s->ready_arg, s, 0);
		return;
	}
	cb(s->ready_arg, NULL, status ? status : -ECANCELED);
	if (!s->end_wanted)
		session_end(s, SESSION_END_DATAPLANE);
	else
		session_finish(s);
}

static void tag_section(struct session *s, const struct sdp_negotiated *sdp)
{
	const struct sdp_negotiated_leg *audio = &sdp->legs[LEG_AUDIO],
					*video = &sdp->legs[LEG_VIDEO];

	s->tagged = LEG_VIDEO;
	if (!video->accepted || (audio->accepted && audio->section < video->section))
		s->tagged = LEG_AUDIO;
	memcpy(s->mid, sdp->legs[s->tagged].mid, sizeof(s->mid));
}

// Everything but the slot and the tables.
static int make_session(
	struct session_table *t, const struct session_offer *offer, struct session **out)
{
	struct session *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	s->table = t;
	s->stream = offer->stream;
	s->state = SESSION_RESERVING;
	s->created_ms = session_now_ms();
	rc = make_resource(s->resource);
	if (rc == 0)
		rc = ice_agent_init(&s->ice, &offer->sdp->ice);
	if (rc == 0)
		rc = session_open_dtls(s, offer->sdp);
	if (rc < 0) {
		free(s);
		return rc;
	}
	s->ice.local = *offer->ice;
	session_make_etag(s);
	tag_section(s, offer->sdp);
	for (int leg = 0; leg < LEG_COUNT; leg++)
		s->missed |= (uint8_t)(offer->sdp->missed[leg] << leg);
	*out = s;
	return 0;
}

void session_give_slot_back(struct session_table *t, uint16_t index)
{
	struct region_peer *slot = &link_region(t->link)->peers[index];
	struct region_peer_conf *conf = &slot->conf;
	uint32_t generation = (conf->generation | 1) + 1; // even: free

	explicit_bzero(conf, sizeof(*conf));
	explicit_bzero(&slot->session, sizeof(slot->session));
	conf->generation = generation;
	t->free_slots[t->n_free++] = index;
}

int session_create(struct session_table *t, const struct session_offer *offer, session_ready_cb cb,
	void *arg, struct session **out)
{
	struct session *s;
	int rc;

	if (!t->link || link_lost(t->link))
		return -ENOTCONN;
	if (t->n_free == 0 || t->n_used >= session_table_cap(t))
		return -ENOSPC;
	rc = make_session(t, offer, &s);
	if (rc < 0)
		return rc;
	s->ready_cb = cb;
	s->ready_arg = arg;
	s->slot = t->free_slots[--t->n_free];
	s->worker = session_choose_worker(t);
	session_enter(s);
	rc = fill_slot(s, offer);
	if (rc == 0)
		rc = link_command(
			t->link, s->worker, RING_PEER_ADD, s->slot, s->generation, reserved, s);
	if (rc < 0) {
		session_give_slot_back(t, s->slot);
		session_free(s);
		return rc;
	}
	s->command_busy = true;
	keep_session(s);
	session_weigh(s);
	t->counts.created++;
	*out = s;
	return 0;
}

// ---- end ---------------------------------------------------------------------------------------

static void removed(void *arg, int status)
{
	struct session *s = arg;

	s->command_busy = false;
	if (status == -ECONNRESET) {
		session_free(s);
		return;
	}
	if (status < 0) {
		// Its worker may still hold it: the slot must not go to another viewer.
		log_warn("viewer slot %u was not given back: %s; trying again", s->slot,
			strerror(-status));
		s->retry_ms = session_now_ms() + SESSION_RETRY_MS;
		return;
	}
	if (s->dtls)
		dtls_conn_close(s->dtls); // after the BYE: the worker has sent it by now
	session_note_last(s);
	session_give_slot_back(s->table, s->slot);
	session_free(s);
}

// No command for the slot is under way: have the worker let go of it.
void session_finish(struct session *s)
{
	struct session_table *t = s->table;

	if (s->state != SESSION_CLOSING)
		session_set_state(s, SESSION_CLOSING);
	s->retry_ms = 0;
	session_slot(s)->conf.phase = REGION_PEER_CLOSING;
	if (link_command(t->link, s->worker, RING_PEER_REMOVE, s->slot, s->generation, removed, s) <
		0)
		s->retry_ms = session_now_ms() + SESSION_RETRY_MS;
	else
		s->command_busy = true;
}

void session_end(struct session *s, enum session_end why)
{
	if (s->state == SESSION_CLOSING || s->end_wanted)
		return;
	log_info("viewer %.8s of %s ends: %s", s->resource, s->stream->id, session_end_name(why));
	s->end = why;
	s->end_wanted = true;
	s->table->counts.ended[why]++;
	if (!s->command_busy)
		session_finish(s);
}

void session_end_stream(struct session_table *t, const struct stream *stream, enum session_end why)
{
	struct session *s, *next;

	DL_FOREACH_SAFE(t->all, s, next)
	if (s->stream == stream)
		session_end(s, why);
}

void session_end_all(struct session_table *t, enum session_end why)
{
	struct session *s, *next;

	DL_FOREACH_SAFE(t->all, s, next)
	session_end(s, why);
}

// ---- meanwhile ---------------------------------------------------------------------------------

const char *session_resource(const struct session *s)
{
	return s->resource;
}

const char *session_etag(const struct session *s)
{
	return s->etag;
}

struct stream *session_stream(const struct session *s)
{
	return s->stream;
}

enum ice_remote_change session_remote_change(
	const struct session *s, const struct ice_remote *remote)
{
	return ice_agent_compare(&s->ice, remote);
}

int session_restart(struct session *s, const struct ice_remote *remote,
	struct ice_credentials *local, const char **mid, enum leg_kind *tagged)
{
	int rc = ice_agent_restart(&s->ice, remote);

	if (rc < 0)
		return rc;
	s->ice_generation++;
	session_make_etag(s);
	session_name_ufrags(s);
	if (s->table->link)
		keep_session(s);
	*local = s->ice.local;
	*mid = s->mid;
	*tagged = s->tagged;
	return 0;
}

static void check_setup(struct session *s, uint64_t now_ms)
{
	uint64_t limit_ms = s->table->conf->whep.setup_timeout_s * 1000ULL;

	if (s->dtls)
		dtls_conn_tick(s->dtls);
	if (now_ms > s->created_ms && now_ms - s->created_ms >= limit_ms) {
		// One that began: its first packet left the path.
		if (!s->handshake_over && s->dtls_path.remote.family != NET_NONE)
			session_count_handshake(s, METRICS_DTLS_TIMEOUT, 0);
		session_end(s, SESSION_END_SETUP_TIMEOUT);
	}
}

// RFC 7675 5.1: an authenticated check or an SRTCP packet keeps consent alive.
static void check_consent(struct session *s, uint64_t now_ms)
{
	uint64_t limit_ms = s->table->conf->whep.consent_timeout_s * 1000ULL;
	uint64_t srtcp_ms = session_slot(s)->state.last_rx_ns / 1000000;
	uint64_t newest = srtcp_ms > s->consent_ms ? srtcp_ms : s->consent_ms;

	if (now_ms > newest && now_ms - newest >= limit_ms)
		session_end(s, SESSION_END_CONSENT);
}

// A stream that has other legs than the viewer was answered wants a fresh POST (F22). Another
// profile or size in the same legs does not.
static bool fits_stream(const struct session *s)
{
	const struct region_peer_conf *conf = &session_slot(s)->conf;

	for (int leg = 0; leg < LEG_COUNT; leg++) {
		bool present = s->stream->want.legs[leg].present;

		if (conf->legs[leg].enabled ? !present : present && s->missed >> leg & 1)
			return false;
	}
	return true;
}

// Whoever waits for a source that does not come back holds a place for nothing (F23).
static void check_source(struct session *s, uint64_t now_ms)
{
	uint64_t limit_ms = s->table->conf->whep.source_timeout_s * 1000ULL;
	uint64_t newest_ms = stream_last_rx_ns(s->stream) / 1000000;

	if (newest_ms < s->created_ms)
		newest_ms = s->created_ms;
	if (newest_ms < s->table->attached_ms)
		newest_ms = s->table->attached_ms;
	if (limit_ms && now_ms > newest_ms && now_ms - newest_ms >= limit_ms)
		session_end(s, SESSION_END_SOURCE_SILENT);
}

static void check_playing(struct session *s, uint64_t now_ms)
{
	check_consent(s, now_ms);
	check_source(s, now_ms);
	session_keep_path(s, now_ms);
}

void session_tick(struct session_table *t, uint64_t now_ms)
{
	struct session *s, *next;

	t->now_ms = now_ms;
	t->stray_budget = SESSION_STRAY_PER_TICK;
	if (!t->link)
		return;
	if (link_lost(t->link)) {
		session_table_hold(t);
		return;
	}
	session_retry_orphans(t, now_ms);
	session_weigh_all(t, now_ms);
	session_note_all(t, now_ms);
	DL_FOREACH_SAFE(t->all, s, next)
	{
		if (s->end_wanted) {
			if (s->retry_ms && now_ms >= s->retry_ms)
				session_finish(s);
		} else if (s->state != SESSION_RESERVING && stream_settled(s->stream) &&
			   !fits_stream(s)) {
			session_end(s, SESSION_END_STREAM_CHANGED);
		} else if (s->state == SESSION_READY) {
			check_playing(s, now_ms);
		} else if (s->state == SESSION_CONNECTING) {
			check_setup(s, now_ms);
		}
	}
}
