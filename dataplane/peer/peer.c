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

static int make_leg(
	struct peer_leg *l, const struct region_peer_leg *conf, struct region_peer_leg_state *state)
{
	bool with_mid = conf->mid_ext_id != 0;
	uint32_t ssrc_be = htonl(conf->ssrc);

	*l = (struct peer_leg){ .state = state, .enabled = conf->enabled };
	if (!conf->enabled)
		return 0;
	if (conf->payload_type > 127 || conf->seq_base > 32767 || conf->mid_ext_id > 14)
		return -EINVAL;
	if (with_mid && (conf->mid_bytes == 0 || conf->mid_bytes > PEER_MID_MAX_BYTES))
		return -EINVAL;
	l->ts_base = conf->ts_base;
	l->ssrc = conf->ssrc;
	l->seq_base = conf->seq_base;
	l->hdr[0] = (uint8_t)(2 << 6 | with_mid << 4);
	l->hdr[1] = conf->payload_type;
	memcpy(l->hdr + 8, &ssrc_be, 4);
	l->hdr_bytes = 12;
	if (with_mid)
		l->hdr_bytes = (uint8_t)(12 + put_mid(l->hdr + 12, conf));
	// An index of 0 would never be valid SRTCP for the libsrtp2 engine; both start at 1.
	if (state->rtcp_index == 0)
		state->rtcp_index = 1;
	return 0;
}

int peer_create(struct region_peer *shared, uint16_t slot, struct srtp_engine *engine, uint8_t dscp,
	bool offload, struct peer **out)
{
	struct region_peer_conf conf = shared->conf;
	struct peer *p;
	int rc;

	if (conf.phase != REGION_PEER_READY)
		return -EINVAL;
	p = aligned_alloc(REGION_LINE_BYTES,
		(sizeof(*p) + REGION_LINE_BYTES - 1) / REGION_LINE_BYTES * REGION_LINE_BYTES);
	if (!p) {
		explicit_bzero(&conf, sizeof(conf));
		return -ENOMEM;
	}
	*p = (struct peer){ .state = &shared->state,
		.remote = conf.path.remote,
		.generation = conf.generation,
		.key_id = conf.key_id,
		.slot = slot,
		.stream = conf.stream,
		.stream_generation = conf.stream_generation,
		.tag_bytes = srtp_profile_sizes(conf.profile).tag_bytes };
	memcpy(p->cname, conf.cname, REGION_CNAME_MAX);
	rc = frame_template_make(&p->frame, &conf.path, dscp, offload);
	for (int leg = 0; rc == 0 && leg < LEG_COUNT; leg++)
		rc = make_leg(&p->legs[leg], &conf.legs[leg], &shared->state.legs[leg]);
	if (rc == 0)
		rc = srtp_session_create(engine, conf.profile, &conf.local, &conf.remote, &p->srtp);
	explicit_bzero(&conf, sizeof(conf));
	if (rc < 0) {
		free(p);
		return rc;
	}
	*out = p;
	return 0;
}

int peer_repath(struct peer *p, struct region_peer *shared, uint8_t dscp)
{
	struct net_path path = shared->conf.path;
	struct frame_template frame;
	int rc;

	if (shared->conf.phase != REGION_PEER_READY || shared->conf.generation != p->generation ||
		shared->conf.key_id != p->key_id)
		return -ESTALE;
	rc = frame_template_make(&frame, &path, dscp, p->frame.offload);
	if (rc < 0)
		return rc;
	p->frame = frame;
	p->remote = path.remote;
	return 0;
}

void peer_destroy(struct peer *p)
{
	if (!p)
		return;
	srtp_session_destroy(p->srtp);
	free(p);
}
