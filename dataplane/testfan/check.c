#include "dataplane/testfan/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_malloc.h>
#include <rte_ring_elem.h>
#include <rte_udp.h>

#include <srtp2/srtp.h>

#include "dataplane/fanout/worker.h"
#include "dataplane/testfan/nack.h"
#include "dataplane/testfan/source.h"

enum {
	COPY_BYTES = 1536,
	COPIES = 256,
	POLL_NS = 10000000,
};

struct copy {
	struct sent sent;
	uint32_t roc;
	uint16_t bytes;
	bool again; // as it was before
	bool ip_offload, udp_offload;
	_Alignas(2) uint8_t pkt[COPY_BYTES]; // headers are read in place
};

static_assert(sizeof(struct copy) % 4 == 0, "rte_ring elements are words");

// What a worker follows of one leg of a viewer: every header passes by, so the ROC is known
// without asking the worker's state.
struct follow {
	uint32_t roc;
	uint16_t seq;
	bool started;
};

// A viewer whose packets are opened.
struct viewer {
	struct follow legs[LEG_COUNT]; // worker
	struct follow rtx;	       // worker
	srtp_t srtp;		       // main thread
	bool seen[LEG_COUNT];
	uint16_t seq_shift[LEG_COUNT]; // SEQ - number
};

struct check_worker {
	struct check *check;
	const void *callback;
	struct rte_ring *copies;
	_Atomic uint64_t skipped;
};

struct check {
	const struct edge *edge;
	const struct drive *drive;
	const struct nack *nack;
	struct viewer *viewers; // by viewer / settings->verify
	struct check_worker workers[REGION_MAX_WORKERS];
	// Not to seal with: whoever has one keeps libsrtp2 initialised.
	struct srtp_engine *library;
	struct check_result result;
};

const char *check_reason_name(unsigned int reason)
{
	static const char *const names[] = {
#define X(name, text) text,
		CHECK_REASONS(X)
#undef X
	};

	return reason < CHECK_COUNT ? names[reason] : "?";
}

// ---- the worker's side -------------------------------------------------------------------------

// Return: whether the packet is newer than all before; else it was sent already.
static bool follow(struct follow *f, uint16_t seq, uint32_t *roc)
{
	int16_t delta = (int16_t)(seq - f->seq);

	if (f->started && delta <= 0) {
		*roc = f->roc - (seq > f->seq);
		return false;
	}
	if (f->started && seq < f->seq)
		f->roc++;
	f->started = true;
	f->seq = seq;
	*roc = f->roc;
	return true;
}

// Without an SSRC of their own, which sound has never, resends are what was sent before; but so is
// what the port did not take at once, and once that happened they cannot be told apart.
static bool may_come_again(const struct check_worker *w, const struct sent *sent)
{
	bool apart = sent->leg == LEG_VIDEO && w->check->drive->settings->rtx;
	uint16_t id = (uint16_t)(w - w->check->workers);

	return w->check->nack && !apart && w->check->edge->region->workers[id].tx_waits == 0;
}

static void take_copy(struct check_worker *w, const struct rte_mbuf *m, const struct sent *sent,
	uint32_t roc, bool again)
{
	struct rte_ring_zc_data zc;
	struct copy *c;

	if (m->nb_segs != 1 || m->data_len > COPY_BYTES)
		return;
	if (rte_ring_enqueue_zc_bulk_elem_start(w->copies, sizeof(*c), 1, &zc, NULL) != 1) {
		atomic_fetch_add_explicit(&w->skipped, 1, memory_order_relaxed);
		return;
	}
	c = zc.ptr1;
	c->sent = *sent;
	c->roc = roc;
	c->again = again;
	c->bytes = m->data_len;
	c->ip_offload = m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM;
	c->udp_offload = (m->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_UDP_CKSUM;
	memcpy(c->pkt, rte_pktmbuf_mtod(m, const void *), m->data_len);
	rte_ring_enqueue_zc_elem_finish(w->copies, 1);
}

static uint16_t on_send(
	uint16_t port_id, uint16_t queue, struct rte_mbuf *pkts[], uint16_t n_pkts, void *arg)
{
	struct check_worker *w = arg;
	uint64_t every = w->check->drive->settings->verify;

	for (uint16_t i = 0; i < n_pkts; i++) {
		struct viewer *v;
		struct sent sent;
		uint32_t roc;
		bool again;

		if (!drive_identify(w->check->drive, pkts[i], &sent) || sent.viewer % every)
			continue;
		v = &w->check->viewers[sent.viewer / every];
		again = !follow(sent.rtx ? &v->rtx : &v->legs[sent.leg], sent.seq, &roc);
		if (!again || may_come_again(w, &sent))
			take_copy(w, pkts[i], &sent, roc, again);
	}
	return n_pkts;
}

// ---- the main thread's -------------------------------------------------------------------------

static int open_session(const struct region_peer_conf *conf, srtp_t *out)
{
	struct srtp_profile_sizes sizes = srtp_profile_sizes(conf->profile);
	uint8_t key[SRTP_MASTER_KEY_MAX_BYTES + SRTP_MASTER_SALT_MAX_BYTES];
	const uint32_t ssrcs[] = { conf->legs[LEG_VIDEO].ssrc, conf->legs[LEG_AUDIO].ssrc,
		conf->legs[LEG_VIDEO].rtx_ssrc };
	srtp_policy_t policies[3] = {};

	memcpy(key, conf->local.key, sizes.key_bytes);
	memcpy(key + sizes.key_bytes, conf->local.salt, sizes.salt_bytes);
	for (int i = 0; i < (ssrcs[2] ? 3 : 2); i++) {
		srtp_policy_t *p = &policies[i];

		p->ssrc = (srtp_ssrc_t){ .type = ssrc_specific, .value = ssrcs[i] };
		p->key = key;
		p->window_size = 1024;
		p->next = i + 1 < (ssrcs[2] ? 3 : 2) ? p + 1 : NULL;
		srtp_crypto_policy_set_from_profile_for_rtp(&p->rtp, (srtp_profile_t)conf->profile);
		srtp_crypto_policy_set_from_profile_for_rtcp(
			&p->rtcp, (srtp_profile_t)conf->profile);
	}
	return srtp_create(out, policies) == srtp_err_status_ok ? 0 : -ENOMEM;
}

static int check_ethernet(const struct check *c, const struct copy *copy)
{
	const struct net_path *path = &c->edge->region->peers[copy->sent.viewer].conf.path;
	const struct rte_ether_hdr *eth = (const struct rte_ether_hdr *)copy->pkt;
	uint16_t type = path->remote.family == NET_IPV6 ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4;

	if (copy->sent.l3_off != RTE_ETHER_HDR_LEN || eth->ether_type != rte_cpu_to_be_16(type) ||
		memcmp(&eth->dst_addr, path->remote_mac, 6) != 0 ||
		memcmp(&eth->src_addr, path->local_mac, 6) != 0)
		return -CHECK_ETHERNET - 1;
	return 0;
}

static int check_ipv4(const struct copy *copy, const struct net_path *path)
{
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(copy->pkt + 14);

	if (ip->version_ihl != RTE_IPV4_VHL_DEF || ip->next_proto_id != IPPROTO_UDP ||
		ip->time_to_live == 0 ||
		ip->total_length != rte_cpu_to_be_16((uint16_t)(copy->bytes - 14)) ||
		memcmp(&ip->src_addr, path->local.ip, 4) != 0 ||
		memcmp(&ip->dst_addr, path->remote.ip, 4) != 0)
		return -CHECK_IP - 1;
	if (!copy->ip_offload && rte_raw_cksum(ip, sizeof(*ip)) != 0xffff)
		return -CHECK_IP_CHECKSUM - 1;
	return 0;
}

static int check_ipv6(const struct copy *copy, const struct net_path *path)
{
	const struct rte_ipv6_hdr *ip = (const struct rte_ipv6_hdr *)(copy->pkt + 14);

	if (ntohl(ip->vtc_flow) >> 28 != 6 || ip->proto != IPPROTO_UDP || ip->hop_limits == 0 ||
		ip->payload_len != rte_cpu_to_be_16((uint16_t)(copy->bytes - 14 - 40)) ||
		memcmp(ip->src_addr, path->local.ip, 16) != 0 ||
		memcmp(ip->dst_addr, path->remote.ip, 16) != 0)
		return -CHECK_IP - 1;
	return 0;
}

static int check_udp(const struct check *c, const struct copy *copy, const struct net_path *path)
{
	const void *ip = copy->pkt + 14;
	const struct rte_udp_hdr *udp =
		(const struct rte_udp_hdr *)(copy->pkt + copy->sent.rtp_off - sizeof(*udp));
	bool v6 = path->remote.family == NET_IPV6;
	uint32_t sum;

	if (udp->src_port != path->local.port_be || udp->dst_port != path->remote.port_be ||
		udp->dgram_len !=
			rte_cpu_to_be_16((uint16_t)(copy->bytes - copy->sent.rtp_off + 8)))
		return -CHECK_UDP - 1;
	if (copy->udp_offload)
		return 0;
	if (c->edge->ports->checksum == FRAME_CHECKSUM_ZERO && !v6)
		return udp->dgram_cksum == 0 ? 0 : -CHECK_UDP_CHECKSUM - 1;
	sum = v6 ? rte_ipv6_phdr_cksum(ip, 0) : rte_ipv4_phdr_cksum(ip, 0);
	sum += rte_raw_cksum(udp, ntohs(udp->dgram_len));
	sum = (sum & 0xffff) + (sum >> 16);
	if (udp->dgram_cksum == 0 || sum != 0xffff)
		return -CHECK_UDP_CHECKSUM - 1;
	return 0;
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static int check_rtp(const struct check *c, const struct sent *sent, const uint8_t *rtp,
	const struct source_label *label)
{
	const struct region_peer_conf *conf = &c->edge->region->peers[sent->viewer].conf;
	const struct region_peer_leg *leg = &conf->legs[sent->leg];
	bool marker = source_marker(c->drive->settings, label);
	// RFC 8285 4.2: one word, with the MID's id, its length less one, and itself.
	const uint8_t mid[] = { 0xbe, 0xde, 0, 1, DRIVE_MID_ID << 4, (uint8_t)leg->mid[0], 0, 0 };

	if (rtp[0] != 0x90 ||
		rtp[1] != ((sent->rtx ? DRIVE_RTX_PT : leg->payload_type) | marker << 7) ||
		get32(rtp + 8) != (sent->rtx ? leg->rtx_ssrc : leg->ssrc) ||
		memcmp(rtp + 12, mid, sizeof(mid)) != 0)
		return -CHECK_RTP - 1;
	if (label->stream != conf->stream || label->leg != sent->leg)
		return -CHECK_PAYLOAD - 1;
	if (get32(rtp + 4) != label->ts + leg->ts_base)
		return -CHECK_TIMESTAMP - 1;
	return 0;
}

// The first packet has the viewer's first number; then they rise with the source's.
static int check_number(struct viewer *v, const struct sent *sent, const struct source_label *label)
{
	uint16_t shift = (uint16_t)(sent->seq - label->number);

	if (v->seen[sent->leg] && v->seq_shift[sent->leg] != shift)
		return -CHECK_NUMBER - 1;
	v->seen[sent->leg] = true;
	v->seq_shift[sent->leg] = shift;
	return 0;
}

// A retransmission becomes what it repeats (RFC 4588 4).
// Return: the bytes left; or below 0.
static int unwrap(struct sent *sent, uint8_t *rtp, int bytes)
{
	uint8_t *payload = rtp + DRIVE_RTP_HDR_BYTES;
	int rest = bytes - DRIVE_RTP_HDR_BYTES - PEER_OSN_BYTES;

	if (rest < 0)
		return -CHECK_LENGTH - 1;
	sent->seq = (uint16_t)(payload[0] << 8 | payload[1]);
	memmove(payload, payload + PEER_OSN_BYTES, (size_t)rest);
	return bytes - PEER_OSN_BYTES;
}

static int check_plain(const struct check *c, struct viewer *v, const struct sent *sent,
	const uint8_t *rtp, int bytes)
{
	uint16_t want_bytes = source_payload_bytes(c->drive->settings, sent->leg);
	uint8_t want[SETTINGS_SIZE_MAX];
	struct source_label label;
	int rc;

	if (bytes != DRIVE_RTP_HDR_BYTES + want_bytes)
		return -CHECK_LENGTH - 1;
	memcpy(&label, rtp + bytes - sizeof(label), sizeof(label));
	rc = check_rtp(c, sent, rtp, &label);
	if (rc == 0)
		rc = check_number(v, sent, &label);
	if (rc < 0)
		return rc;
	source_put_payload(c->drive->settings, &label, want, want_bytes);
	return memcmp(want, rtp + DRIVE_RTP_HDR_BYTES, want_bytes) == 0 ? 0 : -CHECK_PAYLOAD - 1;
}

// Samples may lie far apart, so the library is told the ROC. What it opened before it takes for a
// replay: that is opened by a session of its own.
static int unseal(srtp_t usual, const struct region_peer_conf *conf, const struct copy *copy,
	uint8_t *rtp, int *bytes)
{
	const struct region_peer_leg *leg = &conf->legs[copy->sent.leg];
	srtp_t session = usual;
	int rc = copy->again ? open_session(conf, &session) : 0;

	if (rc < 0)
		return rc;
	if (copy->roc && srtp_set_stream_roc(session, copy->sent.rtx ? leg->rtx_ssrc : leg->ssrc,
				 copy->roc) != srtp_err_status_ok)
		rc = -EINVAL;
	if (rc == 0 && srtp_unprotect(session, rtp, bytes) != srtp_err_status_ok)
		rc = -EBADMSG;
	if (copy->again)
		srtp_dealloc(session);
	return rc;
}

static int check_srtp(const struct check *c, struct viewer *v, struct copy *copy)
{
	const struct region_peer_conf *conf = &c->edge->region->peers[copy->sent.viewer].conf;
	uint8_t *rtp = copy->pkt + copy->sent.rtp_off;
	int bytes = copy->bytes - copy->sent.rtp_off;

	if (!v->srtp && open_session(conf, &v->srtp) < 0)
		return -CHECK_OPEN - 1;
	if (unseal(v->srtp, conf, copy, rtp, &bytes) < 0)
		return -CHECK_OPEN - 1;
	if (copy->sent.rtx)
		bytes = unwrap(&copy->sent, rtp, bytes);
	if (bytes < 0)
		return bytes;
	if ((copy->sent.rtx || copy->again) && !nack_asked(c->nack, &copy->sent))
		return -CHECK_UNASKED - 1;
	return check_plain(c, v, &copy->sent, rtp, bytes);
}

static int check_copy(struct check *c, struct copy *copy)
{
	const struct net_path *path = &c->edge->region->peers[copy->sent.viewer].conf.path;
	struct viewer *v = &c->viewers[copy->sent.viewer / c->drive->settings->verify];
	int rc = check_ethernet(c, copy);

	if (!v->srtp)
		c->result.viewers++;
	c->result.offloaded += copy->ip_offload || copy->udp_offload;
	if (rc == 0)
		rc = path->remote.family == NET_IPV6 ? check_ipv6(copy, path)
						     : check_ipv4(copy, path);
	if (rc == 0)
		rc = check_udp(c, copy, path);
	return rc < 0 ? rc : check_srtp(c, v, copy);
}

static bool judge_one(struct check *c, struct check_worker *w)
{
	struct copy copy;
	int rc;

	if (rte_ring_sc_dequeue_bulk_elem(w->copies, &copy, sizeof(copy), 1, NULL) != 1)
		return false;
	rc = check_copy(c, &copy);
	c->result.checked++;
	c->result.resent += copy.sent.rtx || copy.again;
	if (rc < 0) {
		c->result.failed++;
		c->result.by_reason[-rc - 1]++;
	}
	return true;
}

bool check_poll(struct check *c)
{
	uint64_t until = region_now_ns() + POLL_NS;
	bool more;

	do {
		more = false;
		for (uint16_t w = 0; w < c->edge->n_workers; w++)
			more |= judge_one(c, &c->workers[w]);
	} while (more && region_now_ns() < until);
	return more;
}

// Every Nth viewer, the first among them.
static uint64_t count_sampled(const struct check *c)
{
	return (c->drive->settings->peers - 1) / c->drive->settings->verify + 1;
}

bool check_reached_all(const struct check *c)
{
	return c->result.viewers == count_sampled(c);
}

void check_read(const struct check *c, struct check_result *out)
{
	*out = c->result;
	for (uint16_t w = 0; w < c->edge->n_workers; w++)
		out->skipped += atomic_load(&c->workers[w].skipped);
}

static int watch_worker(struct check *c, uint16_t id)
{
	const struct port_queue *q = &c->edge->ports->workers[id].tx;
	struct check_worker *w = &c->workers[id];
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "check%u", id);
	w->check = c;
	w->copies = rte_ring_create_elem(
		name, sizeof(struct copy), COPIES, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (!w->copies)
		return -ENOMEM;
	w->callback = rte_eth_add_tx_callback(q->port_id, q->queue, on_send, w);
	return w->callback ? 0 : -ENOTSUP;
}

int check_create(const struct edge *edge, const struct drive *drive, const struct nack *nack,
	struct check **out)
{
	struct check *c = calloc(1, sizeof(*c));
	int rc = 0;

	if (!c)
		return -ENOMEM;
	c->edge = edge;
	c->drive = drive;
	c->nack = nack;
	*out = c;
	c->viewers = calloc(count_sampled(c), sizeof(*c->viewers));
	if (!c->viewers)
		return -ENOMEM;
	rc = srtp_engine_create(SRTP_ENGINE_LIBSRTP2, &c->library);
	for (uint16_t id = 0; rc == 0 && id < edge->n_workers; id++)
		rc = watch_worker(c, id);
	return rc;
}

void check_destroy(struct check *c)
{
	if (!c)
		return;
	for (uint16_t id = 0; id < c->edge->n_workers; id++) {
		const struct port_queue *q = &c->edge->ports->workers[id].tx;
		struct check_worker *w = &c->workers[id];

		if (w->callback) {
			rte_eth_remove_tx_callback(q->port_id, q->queue, w->callback);
			rte_free((void *)w->callback);
		}
		rte_ring_free(w->copies);
	}
	for (uint64_t i = 0; c->viewers && i < count_sampled(c); i++)
		if (c->viewers[i].srtp)
			srtp_dealloc(c->viewers[i].srtp);
	srtp_engine_destroy(c->library);
	free(c->viewers);
	free(c);
}
