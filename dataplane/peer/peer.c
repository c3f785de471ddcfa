#include "dataplane/peer/peer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint8_t put_mid(uint8_t *at, const struct region_peer_leg *conf)
{
	uint8_t words = (uint8_t)((1 + conf->mid_bytes + 3) / 4);

	memset(at, 0, 4 + words * 4u);
	at[0] = 0xbe;
	at[1] = 0xde;
	at[3] = words;
	at[4] = (uint8_t)(conf->mid_ext_id << 4 | (conf->mid_bytes - 1));
	memcpy(at + 5, conf->mid, conf->mid_bytes);
	return (uint8_t)(4 + words * 4);
}

static uint8_t put_rtp(uint8_t *at, const struct region_peer_leg *conf)
{
	bool with_mid = conf->mid_ext_id != 0;
	uint32_t ssrc_be = htonl(conf->ssrc);

	memset(at, 0, 12);
	at[0] = (uint8_t)(2 << 6 | with_mid << 4);
	at[1] = conf->payload_type;
	memcpy(at + 8, &ssrc_be, 4);
	return (uint8_t)(12 + (with_mid ? put_mid(at + 12, conf) : 0));
}

// The path's headers and behind them the leg's own.
static void put_path(struct peer_leg *l, const struct frame_template *t)
{
	uint8_t rtp[PEER_RTP_HDR_MAX_BYTES];

	memcpy(rtp, l->hdr + l->form.hdr_bytes, l->rtp_hdr_bytes);
	memset(l->hdr, 0, sizeof(l->hdr));
	memcpy(l->hdr, t->hdr, t->form.hdr_bytes);
	memcpy(l->hdr + t->form.hdr_bytes, rtp, l->rtp_hdr_bytes);
	l->form = t->form;
}

// Indices have 48 bits (RFC 3711 3.3.1); what stands in a region that was taken up is input.
static bool sent_adds_up(const struct region_peer_sent *s)
{
	const int64_t limit = 1LL << 47;

	return s->next_index < (uint64_t)limit && s->first_index < (uint64_t)limit &&
	       s->index_shift > -limit && s->index_shift < limit;
}

// A viewer with new keys goes on under them; what went before them is not sent again.
static void resume_epoch(struct peer_leg *l)
{
	struct peer_course *c = peer_course_of(l);

	c->epochs[0] = (struct peer_epoch){ .first_index = (int64_t)l->sent->next_index,
		.index_shift = l->index_shift };
	c->n_epochs = 1;
	l->numbered = 1;
}

static int make_leg(struct peer *p, uint8_t kind, const struct region_peer_leg *conf,
	struct region_peer_sent *sent)
{
	bool with_mid = conf->mid_ext_id != 0;
	struct peer_leg *l = &p->legs[kind];

	l->kind = kind;
	l->sent = sent;
	l->enabled = conf->enabled;
	l->slot = p->slot;
	if (!conf->enabled)
		return 0;
	if (conf->payload_type > 127 || conf->seq_base > 32767 || conf->mid_ext_id > 14)
		return -EINVAL;
	if (!sent_adds_up(sent))
		return -EINVAL;
	if (with_mid && (conf->mid_bytes == 0 || conf->mid_bytes > PEER_MID_MAX_BYTES))
		return -EINVAL;
	l->ts_base = conf->ts_base;
	l->seq_base = conf->seq_base;
	l->index_shift = sent->index_shift;
	l->first_index = (int64_t)sent->first_index;
	l->started = sent->started;
	if (l->started && kind != PEER_RTX)
		resume_epoch(l);
	l->rtp_hdr_bytes = put_rtp(l->hdr, conf);
	put_path(l, &p->frame);
	// An index of 0 would never be valid SRTCP for the libsrtp2 engine; both start at 1.
	if (sent->rtcp_index == 0)
		sent->rtcp_index = 1;
	return 0;
}

static int make_rtx(
	struct peer *p, const struct region_peer_leg *video, struct region_peer_sent *sent)
{
	struct region_peer_leg conf = *video;

	conf.enabled = video->enabled && video->rtx_ssrc;
	conf.ssrc = video->rtx_ssrc;
	conf.payload_type = video->rtx_payload_type;
	conf.seq_base = video->rtx_seq_base;
	return make_leg(p, PEER_RTX, &conf, sent);
}

static void set_session(struct peer *p, uint16_t profile)
{
	for (int i = 0; i < PEER_LEGS; i++) {
		p->legs[i].srtp = p->srtp;
		p->legs[i].tag_bytes = srtp_profile_sizes(profile).tag_bytes;
	}
}

int peer_create(struct slab *slab, struct region_peer *shared, uint16_t slot,
	struct srtp_engine *engine, uint8_t dscp, enum frame_checksum checksum, struct peer **out)
{
	struct region_peer_conf conf = shared->conf;
	struct peer *p;
	int rc;

	if (conf.phase != REGION_PEER_READY)
		return -EINVAL;
	p = slab_get(slab);
	if (!p) {
		explicit_bzero(&conf, sizeof(conf));
		return -ENOMEM;
	}
	*p = (struct peer){ .slab = slab,
		.state = &shared->state,
		.remote = conf.path.remote,
		.generation = conf.generation,
		.key_id = conf.key_id,
		.slot = slot,
		.stream = conf.stream,
		.stream_generation = conf.stream_generation };
	memcpy(p->cname, conf.cname, REGION_CNAME_MAX);
	rc = frame_template_make(&p->frame, &conf.path, dscp, checksum);
	for (int leg = 0; rc == 0 && leg < LEG_COUNT; leg++) {
		rc = make_leg(p, (uint8_t)leg, &conf.legs[leg], &shared->state.legs[leg].sent);
		p->repair[leg].nack = conf.legs[leg].nack;
	}
	if (rc == 0)
		rc = make_rtx(p, &conf.legs[LEG_VIDEO], &shared->state.rtx);
	if (rc == 0)
		rc = srtp_session_create(engine, conf.profile, &conf.local, &conf.remote, &p->srtp);
	if (rc == 0)
		set_session(p, conf.profile);
	explicit_bzero(&conf, sizeof(conf));
	if (rc < 0) {
		slab_put(slab, p);
		return rc;
	}
	*out = p;
	return 0;
}

void peer_rejoin(struct peer *p)
{
	struct region_peer_state *s = p->state;

	for (int i = 0; i < PEER_LEGS; i++) {
		struct peer_leg *l = &p->legs[i];

		l->sent->started = 0;
		l->started = 0;
		l->numbered = 0;
		if (l->sent->next_index)
			l->sent->rtcp_index += REGION_RTCP_JUMP;
	}
	for (int leg = 0; leg < LEG_COUNT; leg++)
		p->courses[leg].n_epochs = 0;
	if (s->marks_key_id == p->key_id)
		srtp_rtcp_resume(p->srtp, s->marks, s->n_marks);
}

int peer_repath(struct peer *p, struct region_peer *shared, uint8_t dscp)
{
	struct net_path path = shared->conf.path;
	struct frame_template frame;
	int rc;

	if (shared->conf.phase != REGION_PEER_READY || shared->conf.generation != p->generation ||
		shared->conf.key_id != p->key_id)
		return -ESTALE;
	rc = frame_template_make(&frame, &path, dscp, p->frame.form.checksum);
	if (rc < 0)
		return rc;
	p->frame = frame;
	for (int i = 0; i < PEER_LEGS; i++)
		put_path(&p->legs[i], &frame);
	p->remote = path.remote;
	return 0;
}

// The destination comes first in a frame.
void peer_set_next_hop(struct peer *p, const uint8_t mac[6])
{
	memcpy(p->frame.hdr, mac, 6);
	for (int i = 0; i < PEER_LEGS; i++)
		memcpy(p->legs[i].hdr, mac, 6);
}

void peer_destroy(struct peer *p)
{
	if (!p)
		return;
	srtp_session_destroy(p->srtp);
	slab_put(p->slab, p);
}

static uint64_t first_index_of(const struct peer_leg *l)
{
	uint64_t next = l->sent->next_index;

	if (next == 0)
		return l->seq_base;
	return l->numbered ? next : next + REGION_INDEX_JUMP;
}

void peer_leg_begin(struct peer_leg *l, uint64_t seq, const struct draw *draw)
{
	struct peer_course *c = peer_course_of(l);

	l->first_index = (int64_t)first_index_of(l);
	// The leap holds though nothing is sent before the leg begins once more.
	if (l->sent->next_index)
		l->sent->next_index = (uint64_t)l->first_index;
	l->index_shift = l->first_index - (int64_t)seq;
	l->started = 1;
	l->numbered = 1;
	c->epochs[1] = c->epochs[0];
	c->epochs[0] = (struct peer_epoch){ .first_index = l->first_index,
		.index_shift = l->index_shift,
		.draw = draw ? *draw : (struct draw){ 0 } };
	c->n_epochs = c->n_epochs < PEER_EPOCHS ? c->n_epochs + 1 : PEER_EPOCHS;
	l->sent->first_index = (uint64_t)l->first_index;
	l->sent->index_shift = l->index_shift;
	l->sent->started = 1;
}

void peer_leg_close_up(struct peer_leg *l, uint64_t seq, uint32_t frame)
{
	struct draw *d = &peer_course_of(l)->epochs[0].draw;

	l->first_index = (int64_t)seq + l->index_shift;
	d->live = frame;
	d->open = false;
}

void peer_leg_pause(struct peer_leg *l)
{
	l->started = 0;
	l->sent->started = 0;
}

// Written down before anything is sealed with it; behind another process it leaps, as the legs do.
uint64_t peer_rtx_take(struct peer *p)
{
	struct peer_leg *rtx = &p->legs[PEER_RTX];
	uint64_t index = first_index_of(rtx);

	rtx->numbered = 1;
	rtx->sent->next_index = index + 1;
	return index;
}

int peer_leg_locate(
	const struct peer_leg *l, uint64_t index, uint64_t *seq, const struct draw **draw)
{
	const struct peer_course *c = peer_course_of(l);

	if (!l->started || index >= l->sent->next_index)
		return -ENOENT;
	for (int i = 0; i < c->n_epochs; i++) {
		const struct peer_epoch *e = &c->epochs[i];

		if ((int64_t)index < e->first_index)
			continue;
		*seq = (uint64_t)((int64_t)index - e->index_shift);
		*draw = &e->draw;
		return 0;
	}
	return -ENOENT;
}
