#include "tests/load/media.h"

#include <string.h>

#include "tests/load/rtcp.h"
#include "tests/load/wire.h"

enum {
	RTP_HEADER_BYTES = 12,
	SR_LATE_US = 2000000,
	JUMP_S = 10, // farther than that timestamps do not move between packets
};

static const uint32_t clock_rate[OFFER_LEGS] = { 90000, 48000 };

void media_init(struct media *m, const struct offer_answer *answer, struct load_report *report,
	struct source *sources, unsigned int viewer, bool sampled)
{
	*m = (struct media){
		.report = report, .sources = sources, .viewer = viewer, .sampled = sampled
	};
	for (int i = 0; i < OFFER_LEGS; i++) {
		m->legs[i].accepted = answer->legs[i].accepted;
		m->legs[i].payload_type = answer->legs[i].payload_type;
		m->legs[i].ssrc = answer->legs[i].ssrc;
	}
}

void media_fini(struct media *m)
{
	for (int i = 0; m->sources && i < OFFER_LEGS; i++)
		source_untie(&m->sources[i], &m->legs[i].tie);
	if (m->in)
		srtp_dealloc(m->in);
	if (m->out)
		srtp_dealloc(m->out);
	m->in = m->out = NULL;
}

static bool make_session(
	unsigned int profile, uint8_t *key, srtp_ssrc_type_t direction, srtp_t *out)
{
	srtp_policy_t policy = { .key = key, .window_size = 1024 };

	policy.ssrc.type = direction;
	if (profile == DTLS_SRTP_GCM128) {
		srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp);
		srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtcp);
	} else {
		srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy.rtp);
		srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy.rtcp);
	}
	return srtp_create(out, &policy) == srtp_err_status_ok;
}

bool media_set_keys(struct media *m, const struct dtls_srtp *keys)
{
	struct dtls_srtp copy = *keys;

	return make_session(copy.profile, copy.theirs, ssrc_any_inbound, &m->in) &&
	       make_session(copy.profile, copy.ours, ssrc_any_outbound, &m->out);
}

// ---- RTP ---------------------------------------------------------------------------------------

static struct media_leg *leg_of(struct media *m, uint32_t ssrc)
{
	for (int i = 0; i < OFFER_LEGS; i++)
		if (m->legs[i].accepted && m->legs[i].ssrc == ssrc)
			return &m->legs[i];
	return NULL;
}

static void judge_timestamp(struct media *m, const struct media_leg *l, uint32_t ts)
{
	int leg = (int)(l - m->legs);
	int32_t step = (int32_t)(ts - l->ts);

	if (step < 0 || step > (int32_t)(JUMP_S * clock_rate[leg]) ||
		(leg == OFFER_AUDIO && step == 0))
		report_fault(m->report, FAULT_TIMESTAMP, "viewer %u leg %d: a step of %d",
			m->viewer, leg, step);
	// One timestamp an access unit, and the marker on its last packet.
	if (leg == OFFER_VIDEO && (step != 0) != l->marker)
		report_fault(m->report, FAULT_MARKER, "viewer %u: step %d after marker %d",
			m->viewer, step, l->marker);
}

// Return: whether the packet is the next one, or the first.
static bool judge_sequence(struct media *m, struct media_leg *l, uint16_t seq, uint32_t ts)
{
	int leg = (int)(l - m->legs);
	int16_t step = (int16_t)(seq - (uint16_t)l->seq);

	if (!l->started) {
		l->first_seq = l->seq = seq;
		return true;
	}
	if (step <= 0) {
		report_fault(m->report, FAULT_SEQ_REPEAT, "viewer %u leg %d: %u after %u",
			m->viewer, leg, seq, (uint16_t)l->seq);
		return false;
	}
	if (step > 1 && m->sampled)
		m->report->rtp_gaps++;
	else if (step > 1)
		report_fault(m->report, FAULT_SEQ_GAP, "viewer %u leg %d: %d missing before %u",
			m->viewer, leg, step - 1, seq);
	else
		judge_timestamp(m, l, ts);
	l->seq += step;
	return true;
}

// The payload's place in an opened packet.
// Return: false: it lies about its own shape.
static bool find_payload(const uint8_t *pkt, size_t bytes, size_t *off, size_t *payload_bytes)
{
	size_t at = RTP_HEADER_BYTES + 4u * (pkt[0] & 15), end = bytes;

	if (pkt[0] & 0x10) {
		if (at + 4 > end)
			return false;
		at += 4 + 4u * wire_get16(pkt + at + 2);
	}
	if (at >= end)
		return false;
	if (pkt[0] & 0x20) {
		if (pkt[end - 1] == 0 || at + pkt[end - 1] > end)
			return false;
		end -= pkt[end - 1];
	}
	*off = at;
	*payload_bytes = end - at;
	return true;
}

static void open_packet(struct media *m, struct media_leg *l, uint8_t *pkt, size_t pkt_bytes)
{
	int leg = (int)(l - m->legs), bytes = (int)pkt_bytes;
	srtp_err_status_t status = srtp_unprotect(m->in, pkt, &bytes);
	size_t off, payload_bytes;

	if (status != srtp_err_status_ok) {
		report_fault(m->report, FAULT_RTP_AUTH, "viewer %u leg %d: libsrtp2 status %d",
			m->viewer, leg, status);
		return;
	}
	m->report->rtp_opened++;
	if (!find_payload(pkt, (size_t)bytes, &off, &payload_bytes)) {
		report_fault(m->report, FAULT_RTP_HEADER, "viewer %u leg %d: no payload", m->viewer,
			leg);
		return;
	}
	l->octets += payload_bytes;
	switch (source_take(&m->sources[leg], &l->tie, l->seq,
		source_hash(pkt + off, payload_bytes, pkt[1] & 0x80))) {
	case SOURCE_NEW:
		break;
	case SOURCE_SAME:
		m->report->rtp_compared++;
		break;
	case SOURCE_OTHER:
		report_fault(m->report, FAULT_PAYLOAD,
			"viewer %u leg %d: packet %lld is not what others got", m->viewer, leg,
			(long long)l->seq);
	}
}

static void take_rtp(struct media *m, uint8_t *pkt, size_t bytes, uint64_t now_us)
{
	struct media_leg *l = leg_of(m, wire_get32(pkt + 8));
	uint32_t ts = wire_get32(pkt + 4);

	m->report->rtp_packets++;
	if (!l || (pkt[1] & 0x7f) != l->payload_type || pkt[0] >> 6 != 2) {
		report_fault(m->report, FAULT_RTP_HEADER,
			"viewer %u: SSRC %08x, payload type %u, first byte %02x", m->viewer,
			wire_get32(pkt + 8), pkt[1] & 0x7f, pkt[0]);
		return;
	}
	if (!judge_sequence(m, l, wire_get16(pkt + 2), ts))
		return;
	if (!l->started)
		l->first_us = now_us;
	l->started = true;
	l->newest_us = now_us;
	l->ts = ts;
	l->marker = pkt[1] & 0x80;
	l->packets++;
	if (m->in)
		open_packet(m, l, pkt, bytes);
}

// ---- RTCP --------------------------------------------------------------------------------------

static void take_sender_report(void *arg, const struct rtcp_sender *sr, uint64_t now_us)
{
	struct media *m = arg;
	struct media_leg *l = leg_of(m, sr->ssrc);
	double wall, media;
	int leg;

	if (!l) {
		report_fault(
			m->report, FAULT_SR_BAD, "viewer %u: SR of SSRC %08x", m->viewer, sr->ssrc);
		return;
	}
	leg = (int)(l - m->legs);
	m->report->sender_reports++;
	// Packets and reports leave by one queue, so the count is exact.
	if (!m->sampled &&
		(sr->packets != (uint32_t)l->packets || sr->octets != (uint32_t)l->octets))
		report_fault(m->report, FAULT_SR_BAD,
			"viewer %u leg %d: says %u packets, %u octets; came %llu, %llu", m->viewer,
			leg, sr->packets, sr->octets, (unsigned long long)l->packets,
			(unsigned long long)l->octets);
	if (l->sr_us) {
		wall = (double)(sr->ntp - l->sr_ntp) / 4294967296.0;
		media = (double)(int32_t)(sr->rtp - l->sr_rtp) / clock_rate[leg];
		if (wall <= 0 || wall - media > 0.05 || media - wall > 0.05)
			report_fault(m->report, FAULT_SR_BAD,
				"viewer %u leg %d: %.3f s of wall time, %.3f s of media", m->viewer,
				leg, wall, media);
	}
	l->sr_us = now_us;
	l->sr_ntp = sr->ntp;
	l->sr_rtp = sr->rtp;
}

static void take_bye(void *arg, uint32_t ssrc)
{
	struct media *m = arg;
	unsigned int n_started = 0;

	for (int i = 0; i < OFFER_LEGS; i++)
		n_started += m->legs[i].started;
	if (leg_of(m, ssrc))
		m->n_bye++;
	m->bye = m->n_bye >= n_started;
}

static void take_rtcp(struct media *m, uint8_t *pkt, size_t pkt_bytes, uint64_t now_us)
{
	const struct rtcp_events events = { take_sender_report, take_bye, m };
	int bytes = (int)pkt_bytes;
	srtp_err_status_t status;

	m->report->rtcp_packets++;
	if (!m->in)
		return;
	status = srtp_unprotect_rtcp(m->in, pkt, &bytes);
	if (status != srtp_err_status_ok)
		report_fault(m->report, FAULT_RTCP_AUTH, "viewer %u: libsrtp2 status %d", m->viewer,
			status);
	else if (!rtcp_walk(pkt, (size_t)bytes, now_us, &events))
		report_fault(m->report, FAULT_SR_BAD, "viewer %u: a compound packet out of shape",
			m->viewer);
}

void media_take(struct media *m, uint8_t *pkt, size_t pkt_bytes, uint64_t now_us)
{
	if (pkt_bytes < RTP_HEADER_BYTES)
		report_fault(
			m->report, FAULT_RTP_HEADER, "viewer %u: %zu bytes", m->viewer, pkt_bytes);
	else if (pkt[1] >= 192 && pkt[1] <= 223)
		take_rtcp(m, pkt, pkt_bytes, now_us);
	else
		take_rtp(m, pkt, pkt_bytes, now_us);
}

void media_judge_reports(struct media *m, uint64_t now_us)
{
	for (int i = 0; m->in && i < OFFER_LEGS; i++) {
		struct media_leg *l = &m->legs[i];
		uint64_t since = l->sr_us ? l->sr_us : l->first_us;

		// Only while packets come: a silent leg has nothing to report.
		if (!l->started || l->sr_missed || l->newest_us < since + SR_LATE_US)
			continue;
		l->sr_missed = true;
		report_fault(m->report, FAULT_SR_LATE, "viewer %u leg %d: none for %.1f s",
			m->viewer, i, (double)(now_us - since) / 1e6);
	}
}

size_t media_write_report(struct media *m, uint8_t out[MEDIA_REPORT_MAX_BYTES], uint64_t now_us)
{
	struct rtcp_block blocks[OFFER_LEGS];
	unsigned int n = 0;
	int bytes;

	for (int i = 0; m->out && i < OFFER_LEGS; i++) {
		const struct media_leg *l = &m->legs[i];
		int64_t expected = l->seq - l->first_seq + 1;

		if (!l->started)
			continue;
		blocks[n++] = (struct rtcp_block){ .ssrc = l->ssrc,
			.lost = (int32_t)(expected - (int64_t)l->packets),
			.highest_seq = (uint32_t)l->seq,
			.sr_ntp = l->sr_us ? l->sr_ntp : 0,
			.sr_age_us = l->sr_us ? now_us - l->sr_us : 0 };
	}
	if (n == 0)
		return 0;
	bytes = (int)rtcp_write_report(1, blocks, n, out);
	if (srtp_protect_rtcp(m->out, out, &bytes) != srtp_err_status_ok)
		return 0;
	m->report->receiver_reports++;
	return (size_t)bytes;
}
