// What a session's packets do: STUN checks, DTLS, and with both done the keys go to the worker.
#include <errno.h>
#include <openssl/rand.h>
#include <string.h>

#include "control/session/priv/session.h"
#include "dataplane/abi/log.h"

static void send_to(struct session_table *t, uint16_t worker, const struct net_path *path,
	const uint8_t *pkt, size_t pkt_bytes)
{
	int rc = link_inject(t->link, worker, path, pkt, pkt_bytes);

	// The peer sends its check or flight again: a full ring costs time, not the session.
	if (rc < 0)
		log_debug("a packet to send was dropped: %s", strerror(-rc));
}

// ---- keys to the worker ------------------------------------------------------------------------

static void installed(void *arg, int status)
{
	struct session *s = arg;

	s->command_busy = false;
	if (s->end_wanted) {
		if (status != -ECONNRESET)
			session_finish(s);
		return;
	}
	if (status < 0 && status != -ECONNRESET) {
		log_error("viewer %.8s: its worker refused keys or path: %s", s->resource,
			strerror(-status));
		session_end(s, SESSION_END_DATAPLANE);
		return;
	}
	if (status == 0 && s->state == SESSION_CONNECTING)
		session_set_state(s, SESSION_READY);
	if (s->update_again)
		session_install(s);
}

// Return: whether the slot has keys, now or before.
static bool take_keys(struct session *s, struct region_peer_conf *conf)
{
	struct dtls_keys keys;

	if (s->has_keys)
		return true;
	if (dtls_conn_keys(s->dtls, &keys) < 0)
		return false;
	conf->profile = keys.profile;
	conf->local = keys.local;
	conf->remote = keys.remote;
	conf->key_id++;
	s->has_keys = true;
	explicit_bzero(&keys, sizeof(keys));
	return true;
}

// Write keys and path into the slot and tell the worker; later if it is just reading them.
void session_install(struct session *s)
{
	const struct net_path *path = ice_agent_selected(&s->ice);

	if (s->end_wanted || !path)
		return;
	s->update_again = s->command_busy;
	if (s->command_busy || !take_keys(s, &session_slot(s)->conf))
		return;
	session_slot(s)->conf.path = *path;
	// Last: a control that follows us takes a slot up only when all of it is there.
	atomic_thread_fence(memory_order_release);
	session_slot(s)->conf.phase = REGION_PEER_READY;
	if (link_command(s->table->link, s->worker, RING_PEER_UPDATE, s->slot, s->generation,
		    installed, s) < 0)
		s->update_again = true; // the viewer's next check comes by here again
	else
		s->command_busy = true;
}

// ---- DTLS --------------------------------------------------------------------------------------

static void dtls_send(void *arg, const uint8_t *pkt, size_t pkt_bytes)
{
	struct session *s = arg;

	if (s->table->link && !link_lost(s->table->link))
		// By the viewer's own worker: only there do packets and commands keep their order,
		// and media must not leave before the handshake's end.
		send_to(s->table, s->worker, &s->dtls_path, pkt, pkt_bytes);
}

int session_open_dtls(struct session *s, const struct sdp_negotiated *sdp)
{
	return dtls_conn_create(
		s->table->dtls, sdp->fingerprints, sdp->n_fingerprints, dtls_send, s, &s->dtls);
}

void session_count_handshake(struct session *s, enum metrics_handshake result, uint16_t profile)
{
	if (s->handshake_over)
		return;
	s->handshake_over = true;
	metrics_dtls_over(result, profile);
}

static void count_established(struct session *s)
{
	struct dtls_keys keys;

	if (s->handshake_over || dtls_conn_keys(s->dtls, &keys) < 0)
		return;
	session_count_handshake(s, METRICS_DTLS_OK, keys.profile);
	explicit_bzero(&keys, sizeof(keys));
}

static void follow_dtls(struct session *s)
{
	switch (dtls_conn_state(s->dtls)) {
	case DTLS_ESTABLISHED:
		count_established(s);
		if (!s->has_keys)
			session_install(s);
		break;
	case DTLS_CLOSED:
		session_end(s, SESSION_END_DTLS_CLOSED);
		break;
	case DTLS_FAILED:
		session_count_handshake(s, METRICS_DTLS_FAILED, 0);
		log_warn("viewer %.8s: DTLS: %s", s->resource, dtls_conn_error(s->dtls));
		session_end(s, SESSION_END_DTLS_FAILED);
		break;
	case DTLS_HANDSHAKING:
		break;
	}
}

static void take_dtls(struct session_table *t, const struct ring_packet *p)
{
	struct session_address *a;
	struct session *s;

	HASH_FIND(hh, t->by_address, &p->path.remote, sizeof(p->path.remote), a);
	if (!a || a->session->end_wanted) {
		t->counts.dtls_refused++;
		return;
	}
	s = a->session;
	if (!s->dtls) { // from before our restart: its association is lost, its keys are not
		t->counts.dtls_refused++;
		return;
	}
	s->dtls_path = p->path;
	if (dtls_conn_input(s->dtls, p->pkt, p->pkt_bytes) < 0) {
		t->counts.dtls_refused++;
		return;
	}
	follow_dtls(s);
}

// ---- STUN --------------------------------------------------------------------------------------

static struct session_address *place_for(struct session *s)
{
	for (int i = 0; i < ICE_MAX_VALIDATED; i++)
		if (!s->addresses[i].session)
			return &s->addresses[i];
	// All taken: the agent let one go to make room.
	for (int i = 0; i < ICE_MAX_VALIDATED; i++) {
		struct session_address *a = &s->addresses[i];

		if (ice_agent_knows(&s->ice, &a->addr))
			continue;
		HASH_DEL(s->table->by_address, a);
		return a;
	}
	return NULL;
}

// The newest session that proved to hold an address has it.
bool session_note_address(struct session *s, const struct net_addr *addr)
{
	struct session_address *a;
	bool taken;

	HASH_FIND(hh, s->table->by_address, addr, sizeof(*addr), a);
	if (a && a->session == s)
		return false;
	taken = a != NULL;
	if (a) {
		HASH_DEL(s->table->by_address, a);
		a->session = NULL;
	}
	a = place_for(s);
	if (!a)
		return taken;
	a->addr = *addr;
	a->session = s;
	HASH_ADD(hh, s->table->by_address, addr, sizeof(a->addr), a);
	return taken;
}

static void stray_stun(
	struct session_table *t, const struct ring_packet *p, const struct stun_msg *msg)
{
	uint8_t reply[STUN_REPLY_MAX_BYTES];
	struct ice_outcome out;

	t->counts.stun_refused++;
	if (t->stray_budget == 0)
		return;
	t->stray_budget--;
	ice_stray_check(msg, reply, &out);
	if (out.reply_bytes)
		send_to(t, p->worker, &p->path, reply, out.reply_bytes);
}

static struct session *session_of_check(struct session_table *t, const struct stun_msg *msg)
{
	char ufrag[ICE_UFRAG_CHARS + 1];
	struct session_ufrag *u;

	if (ice_local_ufrag(msg, ufrag) < 0)
		return NULL;
	HASH_FIND_STR(t->by_ufrag, ufrag, u);
	return u && !u->session->end_wanted ? u->session : NULL;
}

static void take_stun(struct session_table *t, const struct ring_packet *p)
{
	uint8_t reply[STUN_REPLY_MAX_BYTES];
	struct ice_outcome out;
	struct stun_msg msg;
	struct session *s;
	bool taken;

	if (stun_parse(p->pkt, p->pkt_bytes, &msg) < 0) {
		t->counts.stun_refused++;
		return;
	}
	if (msg.type != STUN_BINDING_REQUEST)
		return; // indications and responses mean nothing to an ICE-lite agent (C23)
	s = session_of_check(t, &msg);
	if (!s) {
		stray_stun(t, p, &msg);
		return;
	}
	ice_agent_check(&s->ice, &msg, &p->path, t->now_ms, reply, &out);
	if (out.reply_bytes)
		send_to(t, p->worker, &p->path, reply, out.reply_bytes);
	if (out.refused)
		t->counts.stun_refused++;
	if (!out.authenticated)
		return;
	s->consent_ms = t->now_ms;
	if (s->answered_ns && ice_agent_selected(&s->ice)) {
		metrics_ice_established(s->stream, s->answered_ns);
		s->answered_ns = 0;
	}
	// An address won back from another session: its worker must hear of it too.
	taken = session_note_address(s, &p->path.remote);
	if (taken || out.selected_changed || s->update_again || !s->has_keys)
		session_install(s);
}

void session_punt(struct session_table *t, const struct ring_packet *p)
{
	if (!t->link || p->pkt_bytes == 0)
		return;
	t->now_ms = session_now_ms();
	if (p->pkt[0] <= 3)
		take_stun(t, p);
	else
		take_dtls(t, p);
}

// ---- keepalive ---------------------------------------------------------------------------------

static uint64_t packets_sent(const struct session *s)
{
	const struct region_peer_state *state = &session_slot(s)->state;
	uint64_t n = 0;

	for (int leg = 0; leg < LEG_COUNT; leg++)
		n += state->legs[leg].sent.packets + state->legs[leg].sent.reports;
	return n;
}

// A Binding indication that holds nothing but its fingerprint, and is not answered.
static void send_indication(struct session *s, const struct net_path *path)
{
	uint8_t pkt[STUN_REPLY_MAX_BYTES], txid[STUN_TXID_BYTES];
	struct stun_writer w;
	uint16_t pkt_bytes;

	if (RAND_bytes(txid, sizeof(txid)) != 1)
		return;
	stun_begin(&w, pkt, sizeof(pkt), STUN_BINDING_INDICATION, txid);
	stun_put_fingerprint(&w);
	if (stun_end(&w, &pkt_bytes) == 0)
		send_to(s->table, s->worker, path, pkt, pkt_bytes);
}

void session_keep_path(struct session *s, uint64_t now_ms)
{
	const struct net_path *path = ice_agent_selected(&s->ice);
	uint64_t n_sent = packets_sent(s), newest_ms;

	if (n_sent != s->n_sent) {
		s->n_sent = n_sent;
		s->sent_ms = now_ms;
	}
	newest_ms = s->sent_ms > s->consent_ms ? s->sent_ms : s->consent_ms;
	if (!path || now_ms < newest_ms + SESSION_KEEPALIVE_MS)
		return;
	s->sent_ms = now_ms;
	send_indication(s, path);
}
