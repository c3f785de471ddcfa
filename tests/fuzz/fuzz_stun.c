// What anyone may send to the STUN side of the media port.
// Part one takes the input as one datagram. Part two takes it as a script of Binding requests for
// one session: bodies are free, while headers, integrity and fingerprint are made right, so that
// the checks behind the HMAC are reached as well.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/ice/ice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_bytes);

enum {
	STEP_BYTES = 6, // flags, source, transaction id, elapsed time, body size, restart
	PKT_BYTES = 512,
};

enum step_flag {
	STEP_NAMED = 1,	   // with a USERNAME of ours in front
	STEP_PREVIOUS = 2, // signed as before the restart
	STEP_SIGNED = 4,
	STEP_FINGERPRINT = 8,
	STEP_PRIORITY = 16,
	STEP_NOMINATE = 32,
};

static const struct ice_remote remote = { "h6vY", "VOkJxbRl1RmTxUk/WvJxBt" };
static const struct ice_credentials creds[2] = {
	{ "Mill+/09", "AbCdEfGhIjKlMnOpQrStUv+/" },
	{ "Race1234", "zYxWvUtSrQpOnMlKjIhGfE98" },
};

static void must(bool holds)
{
	if (!holds)
		abort();
}

static struct net_path path_from(uint8_t source)
{
	struct net_path path = {
		.local = { .ip = { 198, 18, 77, 1 }, .port_be = 1, .family = NET_IPV4 },
		.remote = { .port_be = source, .family = source & 1 ? NET_IPV6 : NET_IPV4 },
	};

	path.remote.ip[3] = source;
	return path;
}

static void outcome_must_hold(
	const struct stun_msg *msg, const uint8_t *reply, const struct ice_outcome *out)
{
	struct stun_msg answer;

	must(out->refused == (out->reason != NULL));
	must(!out->authenticated || !out->refused);
	if (out->reply_bytes == 0)
		return;
	must(out->reply_bytes <= STUN_REPLY_MAX_BYTES);
	must(stun_parse(reply, out->reply_bytes, &answer) == 0);
	must(answer.has_fingerprint && !answer.username);
	must(memcmp(answer.txid, msg->txid, STUN_TXID_BYTES) == 0);
	must((answer.type == STUN_BINDING_SUCCESS) == !out->refused);
	must(answer.integrity_off != 0 || out->reply_bytes <= msg->raw_bytes);
}

static void agent_must_hold(const struct ice_agent *agent)
{
	must(agent->n_validated <= ICE_MAX_VALIDATED);
	must(agent->selected < agent->n_validated);
	must(agent->recent_next < ICE_RECENT_TXIDS);
	must((ice_agent_selected(agent) != NULL) == (agent->selected >= 0));
	for (uint8_t i = 0; i < agent->n_validated; i++)
		must(ice_agent_knows(agent, &agent->validated[i].path.remote));
}

static struct ice_outcome give(struct ice_agent *agent, const uint8_t *pkt, size_t pkt_bytes,
	const struct net_path *path, uint64_t now_ms)
{
	uint8_t reply[STUN_REPLY_MAX_BYTES];
	struct ice_outcome out = { 0 };
	struct stun_msg msg;

	if (stun_parse(pkt, pkt_bytes, &msg) < 0)
		return out;
	ice_stray_check(&msg, reply, &out);
	must(out.refused && !out.authenticated);
	outcome_must_hold(&msg, reply, &out);
	ice_agent_check(agent, &msg, path, now_ms, reply, &out);
	outcome_must_hold(&msg, reply, &out);
	agent_must_hold(agent);
	return out;
}

static uint16_t step_write(
	const uint8_t *step, const uint8_t *body, uint16_t body_bytes, uint8_t pkt[PKT_BYTES])
{
	const struct ice_credentials *c = &creds[step[0] & STEP_PREVIOUS ? 0 : 1];
	uint8_t txid[STUN_TXID_BYTES] = { step[2] };
	uint16_t pkt_bytes = 0;
	struct stun_writer w;

	stun_begin(&w, pkt, PKT_BYTES, STUN_BINDING_REQUEST, txid);
	if (step[0] & STEP_NAMED)
		stun_put(&w, 0x0006, step[0] & STEP_PREVIOUS ? "Mill+/09:x" : "Race1234:x", 10);
	if (step[0] & STEP_PRIORITY)
		stun_put(&w, 0x0024, step, 4);
	if (step[0] & STEP_NOMINATE)
		stun_put(&w, 0x0025, NULL, 0);
	// Attributes as the input has them, whole words of them.
	memcpy(pkt + w.used_bytes, body, body_bytes);
	w.used_bytes = (uint16_t)(w.used_bytes + body_bytes);
	if (step[0] & STEP_SIGNED)
		stun_put_integrity(&w, c->pwd, strlen(c->pwd));
	if (step[0] & STEP_FINGERPRINT)
		stun_put_fingerprint(&w);
	must(stun_end(&w, &pkt_bytes) == 0);
	return pkt_bytes;
}

static void play(const uint8_t *data, size_t data_bytes)
{
	struct ice_agent agent;
	uint64_t now_ms = 0;
	size_t off = 0;

	must(ice_agent_init(&agent, &remote) == 0);
	agent.local = creds[0];
	while (off + STEP_BYTES <= data_bytes) {
		const uint8_t *step = data + off;
		struct net_path path = path_from(step[1] & 15);
		size_t body_bytes = step[4] & 0xfc;
		uint8_t pkt[PKT_BYTES];
		struct ice_outcome out;

		off += STEP_BYTES;
		if (off + body_bytes > data_bytes)
			return;
		if (step[5] == 'R') {
			must(ice_agent_restart(&agent, &remote) == 0);
			agent.local = creds[1];
		}
		now_ms += 100 * (uint64_t)step[3];
		out = give(&agent, pkt, step_write(step, data + off, (uint16_t)body_bytes, pkt),
			&path, now_ms);
		must(!out.authenticated || step[0] & STEP_SIGNED);
		off += body_bytes;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_bytes)
{
	struct net_path path = path_from(1);
	struct ice_agent agent;

	must(ice_agent_init(&agent, &remote) == 0);
	agent.local = creds[0];
	// Nobody guesses a password that was not in the corpus.
	must(!give(&agent, data, data_bytes, &path, 1).authenticated);
	play(data, data_bytes);
	return 0;
}
