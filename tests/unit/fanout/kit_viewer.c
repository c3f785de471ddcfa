// The viewer's end of a session.
#include <string.h>

#include "tests/unit/fanout/edge_kit.h"

static srtp_t context(uint16_t profile, const struct srtp_master *master, srtp_ssrc_type_t type)
{
	struct srtp_profile_sizes sizes = srtp_profile_sizes(profile);
	uint8_t key[SRTP_MASTER_KEY_MAX_BYTES + SRTP_MASTER_SALT_MAX_BYTES];
	srtp_policy_t policy = { .ssrc.type = type, .key = key, .window_size = 1024 };
	srtp_t out = NULL;

	memcpy(key, master->key, sizes.key_bytes);
	memcpy(key + sizes.key_bytes, master->salt, sizes.salt_bytes);
	srtp_crypto_policy_set_from_profile_for_rtp(&policy.rtp, (srtp_profile_t)profile);
	srtp_crypto_policy_set_from_profile_for_rtcp(&policy.rtcp, (srtp_profile_t)profile);
	assert_int_equal(srtp_create(&out, &policy), srtp_err_status_ok);
	return out;
}

void kit_viewer_init(struct kit_viewer *v, uint16_t slot)
{
	v->conf = &kit.region.peers[slot].conf;
	v->addr = v->conf->path.remote;
	v->in = context(v->conf->profile, &v->conf->local, ssrc_any_inbound);
	v->out = context(v->conf->profile, &v->conf->remote, ssrc_any_outbound);
}

void kit_viewer_fini(struct kit_viewer *v)
{
	srtp_dealloc(v->in);
	srtp_dealloc(v->out);
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

// RFC 8285 4.2: 0xBEDE, length in words, then id, length - 1, MID, zeros.
static uint16_t expect_mid(const struct region_peer_leg *l, const uint8_t *pkt)
{
	const uint8_t *ext = pkt + 12;
	uint16_t words = (uint16_t)((1 + l->mid_bytes + 3) / 4);

	assert_int_equal(pkt[0], l->mid_ext_id ? 0x90 : 0x80);
	if (!l->mid_ext_id)
		return 12;
	assert_int_equal(get32(ext), 0xbede0000u | words);
	assert_int_equal(ext[4], l->mid_ext_id << 4 | (l->mid_bytes - 1));
	assert_memory_equal(ext + 5, l->mid, l->mid_bytes);
	for (int i = 5 + l->mid_bytes; i < 4 + 4 * words; i++)
		assert_int_equal(ext[i], 0);
	return (uint16_t)(12 + 4 + 4 * words);
}

void kit_viewer_expect(struct kit_viewer *v, uint16_t worker, enum leg_kind leg,
	const struct kit_rtp *want, uint16_t seq)
{
	const struct region_peer_leg *l = &v->conf->legs[leg];
	uint8_t pkt[KIT_PKT_BYTES];
	int bytes = kit_sent_to(worker, &v->addr, pkt);
	uint16_t off;

	if (bytes == 0)
		fail_msg("nothing was sent; expected SEQ %u", seq);
	assert_int_equal(srtp_unprotect(v->in, pkt, &bytes), srtp_err_status_ok);
	assert_int_equal(pkt[1], l->payload_type | want->marker << 7);
	assert_int_equal(pkt[2] << 8 | pkt[3], seq);
	assert_int_equal(get32(pkt + 4), want->ts + l->ts_base);
	assert_int_equal(get32(pkt + 8), l->ssrc);
	off = expect_mid(l, pkt);
	assert_int_equal(bytes - off, want->payload_bytes);
	assert_memory_equal(pkt + off, want->payload, want->payload_bytes);
}

uint16_t kit_viewer_rtcp(struct kit_viewer *v, uint16_t worker, uint8_t pkt[KIT_PKT_BYTES])
{
	struct net_addr to;
	int bytes;

	while ((bytes = kit_sent(worker, &to, pkt)) > 0) {
		if (pkt[1] < 192 || pkt[1] > 223 || !net_addr_equal(&to, &v->addr))
			continue;
		assert_int_equal(srtp_unprotect_rtcp(v->in, pkt, &bytes), srtp_err_status_ok);
		return (uint16_t)bytes;
	}
	return 0;
}

uint16_t kit_viewer_seal(struct kit_viewer *v, uint8_t *pkt, uint16_t pkt_bytes)
{
	int bytes = pkt_bytes;

	assert_int_equal(srtp_protect_rtcp(v->out, pkt, &bytes), srtp_err_status_ok);
	return (uint16_t)bytes;
}
