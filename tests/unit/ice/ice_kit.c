#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "tests/unit/ice/ice_kit.h"

const struct ice_remote remote_peer = { "h6vY", "VOkJxbRl1RmTxUk/WvJxBt" };

static uint32_t last_txid;

uint16_t cook(const struct recipe *r, uint8_t buf[BUF_BYTES])
{
	const char *username = r->username ? r->username : LOCAL_UFRAG ":h6vY";
	const char *pwd = r->pwd ? r->pwd : LOCAL_PWD;
	uint32_t priority_be = htonl(r->priority ? r->priority : HIGH);
	uint32_t number = r->zero_txid ? 0 : ++last_txid;
	uint8_t txid[STUN_TXID_BYTES] = { 0 };
	uint16_t pkt_bytes = 0;
	struct stun_writer w;

	memcpy(txid, &number, sizeof(number));
	stun_begin(&w, buf, BUF_BYTES, r->type ? r->type : STUN_BINDING_REQUEST, txid);
	if (!r->no_username)
		stun_put(&w, 0x0006, username, (uint16_t)strlen(username));
	stun_put(&w, r->controlled ? 0x8029 : 0x802a, "tiebreak", 8);
	if (!r->no_priority)
		stun_put(&w, 0x0024, &priority_be, 4);
	if (r->use_candidate)
		stun_put(&w, 0x0025, NULL, 0);
	for (uint16_t i = 0; i < r->n_unknown; i++)
		stun_put(&w, (uint16_t)(0x7f00 + i), NULL, 0);
	if (r->extra)
		stun_put(&w, r->extra, NULL, 0);
	if (!r->no_integrity)
		stun_put_integrity(&w, pwd, strlen(pwd));
	if (!r->no_fingerprint)
		stun_put_fingerprint(&w);
	assert_int_equal(stun_end(&w, &pkt_bytes), 0);
	return pkt_bytes;
}

struct net_path path_from(uint8_t host, uint16_t port)
{
	return (struct net_path){
		.local = { .ip = { 198, 18, 77, 1 }, .port_be = htons(8189), .family = NET_IPV4 },
		.remote = { .ip = { 198, 18, 77, host },
			.port_be = htons(port),
			.family = NET_IPV4 },
		.local_mac = { 2, 0, 0, 0, 0, 1 },
		.remote_mac = { 2, 0, 0, 0, 0, host },
	};
}

void agent_make(struct ice_agent *agent)
{
	assert_int_equal(ice_agent_init(agent, &remote_peer), 0);
	agent->local = (struct ice_credentials){ LOCAL_UFRAG, LOCAL_PWD };
}

const uint8_t *reply_attr(const struct taken *t, uint16_t type, uint16_t *out_bytes)
{
	for (size_t off = 20; off + 4 <= t->out.reply_bytes;) {
		uint16_t bytes = (uint16_t)(t->reply[off + 2] << 8 | t->reply[off + 3]);

		if ((t->reply[off] << 8 | t->reply[off + 1]) == type) {
			*out_bytes = bytes;
			return t->reply + off + 4;
		}
		off += 4 + ((bytes + 3u) & ~3u);
	}
	return NULL;
}

// C7, C8: what every reply has in common.
static void reply_read(struct taken *t, const uint8_t *request)
{
	struct stun_msg msg;
	const uint8_t *error;
	uint16_t bytes = 0;

	if (t->out.reply_bytes == 0)
		return;
	assert_int_equal(stun_parse(t->reply, t->out.reply_bytes, &msg), 0);
	assert_true(msg.has_fingerprint);
	assert_null(msg.username);
	assert_memory_equal(msg.txid, request + 8, STUN_TXID_BYTES);
	t->success = msg.type == STUN_BINDING_SUCCESS;
	assert_true(t->success || msg.type == STUN_BINDING_ERROR);
	t->is_signed = msg.integrity_off != 0;
	t->signed_local = stun_integrity_ok(&msg, LOCAL_PWD, strlen(LOCAL_PWD));
	t->signed_new = stun_integrity_ok(&msg, NEW_PWD, strlen(NEW_PWD));
	error = reply_attr(t, 0x0009, &bytes);
	assert_int_equal(error == NULL, t->success);
	if (error)
		t->code = (uint16_t)(error[2] * 100 + error[3]);
	// C27
	if (!t->is_signed)
		assert_true(t->out.reply_bytes <= t->request_bytes);
	assert_null(reply_attr(t, 0x8022, &bytes));
}

struct taken take_bytes(struct ice_agent *agent, const uint8_t *pkt, uint16_t pkt_bytes,
	const struct net_path *path, uint64_t now_ms)
{
	struct taken t = { .request_bytes = pkt_bytes };
	struct stun_msg msg;

	assert_int_equal(stun_parse(pkt, pkt_bytes, &msg), 0);
	if (agent)
		ice_agent_check(agent, &msg, path, now_ms, t.reply, &t.out);
	else
		ice_stray_check(&msg, t.reply, &t.out);
	reply_read(&t, pkt);
	assert_int_equal(t.out.refused, t.out.reason != NULL);
	assert_false(t.out.refused && (t.success || t.out.authenticated));
	return t;
}

struct taken take(
	struct ice_agent *agent, struct recipe r, const struct net_path *path, uint64_t now_ms)
{
	uint8_t pkt[BUF_BYTES];
	uint16_t pkt_bytes = cook(&r, pkt);

	return take_bytes(agent, pkt, pkt_bytes, path, now_ms);
}
