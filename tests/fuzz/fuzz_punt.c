// What anybody may send to the media port, into live sessions: the input is steps, each a packet
// from one of a few addresses, made from the step's bytes or by changing a packet that is good.
// Whatever comes, no session becomes ready: nobody here has the key of the certificate that the
// offers named.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "control/session/session.h"
#include "dataplane/abi/log.h"
#include "tests/unit/session/edge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_bytes);

enum {
	N_SESSIONS = 2,
	STEP_BYTES = 4, // kind, address, options, size of what follows
	N_ADDRESSES = 8,
	HELLO_MAX_BYTES = 1500,
};

enum step_kind {
	STEP_RAW,	 // the bytes themselves
	STEP_CHECK,	 // a good check of a session: its address is known then
	STEP_BENT_CHECK, // one with bytes changed after it was signed
	STEP_HELLO,	 // the hello of some client
	STEP_BENT_HELLO, // with bytes changed
	STEP_CLIENT,	 // a client with another certificate, all the way
	STEP_RESTART,	 // ICE restart
	STEP_TICK,
	N_STEP_KINDS,
};

static struct conf conf;
static struct edge edge;
static struct link *link_;
static struct dtls_context *dtls;
static struct stream_store *streams;
static struct session_table *sessions;
static SSL_CTX *client_ctx;
static uint8_t hello[HELLO_MAX_BYTES];
static int hello_bytes;

static struct session *live[N_SESSIONS];
static struct ice_credentials credentials[N_SESSIONS];
static SSL *client; // of this input, at client_path
static struct net_path client_path;

static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_punt: %s\n", what);
	abort();
}

// ---- set-up ------------------------------------------------------------------------------------

static void on_punt(void *ctx, const struct ring_packet *p)
{
	session_punt(sessions, p);
	must(ERR_peek_error() == 0, "the error queue is not empty");
}

static void on_event(void *ctx, const struct ring_event *e)
{
}

static void on_sent(void *ctx, const struct ring_packet *p)
{
	must(p->pkt_bytes > 0 && p->pkt_bytes <= DTLS_MTU_BYTES,
		"a packet of no or too many bytes");
	if (client && p->pkt[0] >= 20 && net_addr_equal(&p->path.remote, &client_path.remote))
		BIO_write(SSL_get_rbio(client), p->pkt, p->pkt_bytes);
}

static void pump(void)
{
	bool any;

	do {
		any = edge_step(&edge);
		any |= link_poll(link_, region_now_ns() / 1000000);
	} while (any);
	edge_forget(&edge);
}

static SSL *client_create(void)
{
	SSL *ssl = SSL_new(client_ctx);
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());

	must(ssl && in && out, "no client");
	BIO_set_mem_eof_return(in, -1);
	BIO_set_mem_eof_return(out, -1);
	SSL_set_bio(ssl, in, out);
	SSL_set_mtu(ssl, DTLS_MTU_BYTES);
	SSL_set_connect_state(ssl);
	return ssl;
}

static void set_up_client(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	SSL *ssl;

	client_ctx = SSL_CTX_new(DTLS_client_method());
	must(key && cert && client_ctx, "no client");
	X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	must(X509_sign(cert, key, EVP_sha256()) > 0, "no certificate");
	SSL_CTX_use_certificate(client_ctx, cert);
	SSL_CTX_use_PrivateKey(client_ctx, key);
	SSL_CTX_set_options(client_ctx, SSL_OP_NO_QUERY_MTU);
	SSL_CTX_set_tlsext_use_srtp(client_ctx, "SRTP_AES128_CM_SHA1_80");
	X509_free(cert);
	EVP_PKEY_free(key);
	ssl = client_create();
	SSL_connect(ssl);
	hello_bytes = BIO_read(SSL_get_wbio(ssl), hello, sizeof(hello));
	must(hello_bytes > 0, "no hello");
	SSL_free(ssl);
	ERR_clear_error();
}

static void take_down(void)
{
	stream_store_attach(streams, NULL);
	link_close(link_);
	session_table_attach(sessions, NULL, NULL);
	session_table_destroy(sessions);
	stream_store_destroy(streams);
	dtls_context_destroy(dtls);
	SSL_CTX_free(client_ctx);
	edge_destroy(&edge);
}

static void set_up(void)
{
	static const uint16_t profiles[] = { SRTP_PROFILE_GCM128, SRTP_PROFILE_CM80 };
	const struct region_sizes sizes = { 1, 1, 8 };
	const struct link_handlers handlers = { on_punt, on_event, NULL };
	struct stream_want want = { .legs[LEG_VIDEO] = { .present = true, .payload_type = 96 } };
	char error[STREAM_ERROR_MAX];
	bool existed;

	log_set_level(LOG_LEVEL_ERROR - 1);
	conf.whep.setup_timeout_s = conf.whep.consent_timeout_s = 3600;
	conf.ingest.first_port = 20000;
	conf.ingest.last_port = 20099;
	must(edge_create(&sizes, &edge) == 0, "no edge");
	edge.sent = on_sent;
	must(dtls_context_create(profiles, 2, &dtls) == 0, "no DTLS");
	must(stream_store_create(&conf, &streams) == 0, "no streams");
	must(session_table_create(&conf, dtls, &sessions) == 0, "no sessions");
	must(edge_link(&edge, &handlers, NULL, &link_) == 0, "no link");
	stream_store_attach(streams, link_);
	session_table_attach(sessions, link_, NULL);
	must(stream_set(streams, "cam", &want, NULL, NULL, &existed, error) == 0, "no stream");
	pump();
	set_up_client();
	atexit(take_down);
}

static void on_told(void *arg, struct session *s, int status)
{
	must(status == 0 && s, "a session was refused");
}

static void begin_sessions(void)
{
	static const struct sdp_negotiated sdp = {
		.legs[LEG_VIDEO] = { .accepted = true, .payload_type = 102 },
		.ice = { "view", "VOkJxbRl1RmTxUk/WvJxBt" },
		.fingerprints = { { .hash_bits = 256, .digest = "nobody has this one" } },
		.n_fingerprints = 1,
	};
	static const uint32_t ssrc[LEG_COUNT] = { 1, 2 };

	for (int i = 0; i < N_SESSIONS; i++) {
		struct session_offer offer = { .stream = stream_find(streams, "cam"),
			.sdp = &sdp,
			.ice = &credentials[i],
			.ssrc = ssrc,
			.cname = "fuzz" };

		must(ice_credentials_make(&credentials[i]) == 0, "no credentials");
		must(session_create(sessions, &offer, on_told, NULL, &live[i]) == 0, "no session");
	}
	pump();
}

// ---- packets -----------------------------------------------------------------------------------

static struct net_path path_of(uint8_t address)
{
	struct net_path path = {
		.local = { .ip = { 198, 18, 77, 1 }, .port_be = 1, .family = NET_IPV4 },
		.remote = { .ip = { 198, 18, 77, 2 }, .family = NET_IPV4 },
	};

	path.remote.port_be = htons((uint16_t)(40000 + address % N_ADDRESSES));
	return path;
}

static void bend(uint8_t *pkt, size_t pkt_bytes, const uint8_t *data, size_t data_bytes)
{
	for (size_t i = 0; i + 3 <= data_bytes; i += 3)
		pkt[(data[i] << 8 | data[i + 1]) % pkt_bytes] ^= data[i + 2];
}

// options: bit 0 the session, bit 1 USE-CANDIDATE, the rest the transaction and priority.
static uint16_t write_check(uint8_t options, uint8_t *pkt, uint16_t pkt_cap)
{
	const struct ice_credentials *c = &credentials[options & 1];
	const uint8_t txid[STUN_TXID_BYTES] = { options };
	const uint8_t priority[4] = { options, 0, 0, 1 };
	char username[ICE_UFRAG_CHARS + 8];
	struct stun_writer w;
	uint16_t pkt_bytes = 0;

	snprintf(username, sizeof(username), "%s:view", c->ufrag);
	stun_begin(&w, pkt, pkt_cap, STUN_BINDING_REQUEST, txid);
	stun_put(&w, 0x0006, username, (uint16_t)strlen(username));
	stun_put(&w, 0x0024, priority, sizeof(priority));
	if (options & 2)
		stun_put(&w, 0x0025, NULL, 0);
	stun_put_integrity(&w, c->pwd, strlen(c->pwd));
	stun_put_fingerprint(&w);
	must(stun_end(&w, &pkt_bytes) == 0, "no check");
	return pkt_bytes;
}

static void punt(const struct net_path *path, const uint8_t *pkt, size_t pkt_bytes)
{
	if (pkt_bytes == 0)
		return;
	must(edge_punt(&edge, 0, path, pkt, pkt_bytes) == 0, "the ring is full");
	pump();
}

static void play_client(const struct net_path *path)
{
	uint8_t pkt[16 * 1024];

	if (!client)
		client = client_create();
	client_path = *path;
	for (int i = 0; i < 4; i++) {
		int n;

		SSL_connect(client);
		ERR_clear_error();
		n = BIO_read(SSL_get_wbio(client), pkt, sizeof(pkt));
		for (int off = 0; off < n; off += RING_PACKET_MAX_BYTES) {
			int left = n - off;

			punt(path, pkt + off,
				left < RING_PACKET_MAX_BYTES ? left : RING_PACKET_MAX_BYTES);
		}
	}
}

static void restart(uint8_t options)
{
	static const struct ice_remote remote = { "wiev", "VOkJxbRl1RmTxUk/WvJxBt" };
	int i = options & 1;
	enum leg_kind tagged;
	const char *mid;

	// It may have failed its handshake and be gone.
	if (session_table_used(sessions) == N_SESSIONS)
		session_restart(live[i], &remote, &credentials[i], &mid, &tagged);
}

static void play_step(const uint8_t *step, const uint8_t *data, size_t data_bytes)
{
	struct net_path path = path_of(step[1]);
	uint8_t pkt[HELLO_MAX_BYTES];
	size_t pkt_bytes;

	switch (step[0] % N_STEP_KINDS) {
	case STEP_RAW:
		punt(&path, data, data_bytes);
		break;
	case STEP_CHECK:
	case STEP_BENT_CHECK:
		pkt_bytes = write_check(step[2], pkt, sizeof(pkt));
		if (step[0] % N_STEP_KINDS == STEP_BENT_CHECK)
			bend(pkt, pkt_bytes, data, data_bytes);
		punt(&path, pkt, pkt_bytes);
		break;
	case STEP_HELLO:
	case STEP_BENT_HELLO:
		memcpy(pkt, hello, (size_t)hello_bytes);
		if (step[0] % N_STEP_KINDS == STEP_BENT_HELLO)
			bend(pkt, (size_t)hello_bytes, data, data_bytes);
		punt(&path, pkt, (size_t)hello_bytes);
		break;
	case STEP_CLIENT:
		play_client(&path);
		break;
	case STEP_RESTART:
		restart(step[2]);
		break;
	case STEP_TICK:
		session_tick(sessions, region_now_ns() / 1000000);
		pump();
		break;
	}
}

static void end_sessions(void)
{
	session_end_all(sessions, SESSION_END_SHUTDOWN);
	pump();
	must(session_table_used(sessions) == 0, "a session did not end");
	SSL_free(client);
	client = NULL;
	ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_bytes)
{
	size_t off = 0;

	if (!dtls)
		set_up();
	begin_sessions();
	while (off + STEP_BYTES <= data_bytes) {
		const uint8_t *step = data + off;
		size_t bytes = step[3];

		off += STEP_BYTES;
		if (bytes > data_bytes - off)
			bytes = data_bytes - off;
		play_step(step, data + off, bytes);
		off += bytes;
		must(session_table_counts(sessions)->ready == 0, "a session became ready");
		for (uint32_t i = 0; i < edge.region.n_peers; i++)
			must(edge.region.peers[i].conf.phase != REGION_PEER_READY,
				"keys stand in a slot");
	}
	end_sessions();
	return 0;
}
