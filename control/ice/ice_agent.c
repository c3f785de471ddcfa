#include "control/ice/ice.h"

#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "control/ice/priv/ice_chars.h"
#include "control/ice/priv/ice_reply.h"

enum {
	REMOTE_UFRAG_MIN = 4,
	REMOTE_PWD_MIN = 22,
};

// Why a request is refused. No reason: it is not. No code: it is dropped without a word.
struct refusal {
	const char *reason;
	uint16_t code;
};

static bool remote_text_ok(const char text[ICE_REMOTE_MAX + 1], size_t min_chars)
{
	size_t n_chars = strnlen(text, ICE_REMOTE_MAX + 1);

	return n_chars >= min_chars && n_chars <= ICE_REMOTE_MAX && ice_chars_ok(text, n_chars);
}

static bool remote_ok(const struct ice_remote *remote)
{
	return remote_text_ok(remote->ufrag, REMOTE_UFRAG_MIN) &&
	       remote_text_ok(remote->pwd, REMOTE_PWD_MIN);
}

static int digest(const char *text, uint8_t out[ICE_DIGEST_BYTES])
{
	return EVP_Digest(text, strlen(text), out, NULL, EVP_sha256(), NULL) == 1 ? 0 : -EIO;
}

static int mark_make(const struct ice_remote *remote, struct ice_mark *out)
{
	int ret = digest(remote->ufrag, out->ufrag);

	return ret < 0 ? ret : digest(remote->pwd, out->pwd);
}

// Ours and what is kept of the remote's.
static int pair_make(
	const struct ice_remote *remote, struct ice_credentials *local, struct ice_mark *mark)
{
	int ret;

	if (!remote_ok(remote))
		return -EINVAL;
	ret = mark_make(remote, mark);
	return ret < 0 ? ret : ice_credentials_make(local);
}

int ice_agent_init(struct ice_agent *agent, const struct ice_remote *remote)
{
	struct ice_credentials local;
	struct ice_mark mark;
	int ret = pair_make(remote, &local, &mark);

	if (ret < 0)
		return ret;
	*agent = (struct ice_agent){ .local = local, .remote = mark, .selected = -1 };
	return 0;
}

void ice_agent_resume(struct ice_agent *agent, const struct ice_credentials *local,
	const struct ice_mark *remote, const struct net_path *path, uint64_t now_ms)
{
	*agent = (struct ice_agent){ .local = *local, .remote = *remote, .n_validated = 1 };
	agent->validated[0] = (struct ice_validated){
		.path = *path, .last_check_ms = now_ms, .nominated_ms = now_ms ? now_ms : 1
	};
}

enum ice_remote_change ice_agent_compare(
	const struct ice_agent *agent, const struct ice_remote *remote)
{
	struct ice_mark mark;
	bool ufrag, pwd;

	if (mark_make(remote, &mark) < 0)
		return ICE_REMOTE_NEW;
	ufrag = memcmp(mark.ufrag, agent->remote.ufrag, sizeof(mark.ufrag)) == 0;
	pwd = memcmp(mark.pwd, agent->remote.pwd, sizeof(mark.pwd)) == 0;
	if (ufrag && pwd)
		return ICE_REMOTE_SAME;
	return ufrag || pwd ? ICE_REMOTE_HALF : ICE_REMOTE_NEW;
}

int ice_agent_restart(struct ice_agent *agent, const struct ice_remote *remote)
{
	struct ice_credentials local;
	struct ice_mark mark;
	int ret = pair_make(remote, &local, &mark);

	if (ret < 0)
		return ret;
	// A second restart before the first one took effect: the peer still lives on the oldest.
	if (agent->previous.ufrag[0] == '\0')
		agent->previous = agent->local;
	agent->local = local;
	agent->remote = mark;
	for (uint8_t i = 0; i < agent->n_validated; i++)
		agent->validated[i].nominated_ms = 0;
	return 0;
}

// What can be said of a request without knowing its session.
static struct refusal judge_form(const struct stun_msg *msg)
{
	if (msg->type != STUN_BINDING_REQUEST)
		return (struct refusal){ "type", 0 };
	if (!msg->has_fingerprint)
		return (struct refusal){ "fingerprint", 400 };
	if (!msg->username || msg->integrity_off == 0)
		return (struct refusal){ "credentials", 400 };
	return (struct refusal){ 0 };
}

// What is said only to a peer that has shown our password.
static struct refusal judge_content(const struct stun_msg *msg)
{
	if (msg->n_unknown > 0)
		return (struct refusal){ "unknown-attribute", 420 };
	if (msg->ice_controlled)
		return (struct refusal){ "role", 487 };
	if (!msg->has_priority)
		return (struct refusal){ "priority", 400 };
	return (struct refusal){ 0 };
}

// pwd: the one that verified the request; NULL: none did.
static void refuse(const struct stun_msg *msg, struct refusal why, const char *pwd,
	uint8_t reply[STUN_REPLY_MAX_BYTES], struct ice_outcome *out)
{
	out->refused = true;
	out->reason = why.reason;
	if (why.code != 0 && ice_reply_error(msg, why.code, pwd, reply, &out->reply_bytes) < 0)
		out->reply_bytes = 0;
}

// The half of USERNAME behind ":" need not match (C4). The one before it is never empty here, and
// so does not match the previous credentials of an agent that has none.
static const struct ice_credentials *credentials_find(
	const struct ice_agent *agent, const struct stun_msg *msg)
{
	char ufrag[ICE_UFRAG_CHARS + 1];

	if (ice_local_ufrag(msg, ufrag) < 0)
		return NULL;
	if (strcmp(agent->local.ufrag, ufrag) == 0)
		return &agent->local;
	return strcmp(agent->previous.ufrag, ufrag) == 0 ? &agent->previous : NULL;
}

// Return: where this transaction id was first seen from; NULL: not lately.
static const struct net_addr *recent_find(
	const struct ice_agent *agent, const uint8_t txid[STUN_TXID_BYTES])
{
	for (size_t i = 0; i < ICE_RECENT_TXIDS; i++) {
		if (agent->recent[i].from.family != NET_NONE &&
			memcmp(agent->recent[i].txid, txid, STUN_TXID_BYTES) == 0)
			return &agent->recent[i].from;
	}
	return NULL;
}

static void recent_add(
	struct ice_agent *agent, const uint8_t txid[STUN_TXID_BYTES], const struct net_addr *from)
{
	uint8_t i = agent->recent_next;

	memcpy(agent->recent[i].txid, txid, STUN_TXID_BYTES);
	agent->recent[i].from = *from;
	agent->recent_next = (uint8_t)((i + 1) % ICE_RECENT_TXIDS);
}

static bool silent_for(const struct ice_validated *v, uint64_t now_ms, uint64_t limit_ms)
{
	return v->last_check_ms + limit_ms <= now_ms;
}

static bool same_pair(const struct net_path *a, const struct net_path *b)
{
	return net_addr_equal(&a->remote, &b->remote) && net_addr_equal(&a->local, &b->local);
}

// The slot of a path: its own, a free one, or the one silent for longest if that is stale. A
// viewer whose NAT rebinds for hours must not run out of them.
// Return: 0 and the index; -ENOSPC eight live addresses are there already.
static int slot_find(const struct ice_agent *agent, const struct net_path *path, uint64_t now_ms,
	uint8_t *out_slot)
{
	int oldest = -1;

	for (uint8_t i = 0; i < agent->n_validated; i++) {
		const struct ice_validated *v = &agent->validated[i];

		if (same_pair(&v->path, path)) {
			*out_slot = i;
			return 0;
		}
		if (i == agent->selected || !silent_for(v, now_ms, ICE_STALE_MS))
			continue;
		if (oldest < 0 || v->last_check_ms < agent->validated[oldest].last_check_ms)
			oldest = i;
	}
	if (agent->n_validated == ICE_MAX_VALIDATED && oldest < 0)
		return -ENOSPC;
	*out_slot = agent->n_validated < ICE_MAX_VALIDATED ? agent->n_validated : (uint8_t)oldest;
	return 0;
}

// Enter a good check into its slot.
// Return: whether the path in it is another than before, if only by its next hop.
static bool slot_refresh(struct ice_agent *agent, uint8_t slot, const struct stun_msg *msg,
	const struct net_path *path, uint64_t now_ms)
{
	struct ice_validated *v = &agent->validated[slot];
	bool moved = memcmp(&v->path, path, sizeof(*path)) != 0;

	if (slot == agent->n_validated)
		agent->n_validated++;
	if (!same_pair(&v->path, path))
		v->nominated_ms = 0;
	v->path = *path;
	v->priority = msg->priority;
	v->last_check_ms = now_ms;
	return moved;
}

// C16. Ties go to the newest nomination, not to the newest check: of two equal sources that both
// keep nominating, the later one stays.
// first: the source was not nominated before under the present credentials.
static bool nomination_wins(
	const struct ice_agent *agent, const struct ice_validated *v, bool first, uint64_t now_ms)
{
	const struct ice_validated *cur;

	if (agent->selected < 0)
		return true;
	cur = &agent->validated[agent->selected];
	// After a restart the first nomination counts, whatever its priority.
	if (first && cur->nominated_ms == 0)
		return true;
	if (v->priority > cur->priority || (v->priority == cur->priority && first))
		return true;
	return silent_for(cur, now_ms, ICE_SWITCH_SILENT_MS);
}

// present: the check came under the present credentials. Nominations that still come under the
// previous ones may follow a NAT, but do not count against the restart.
// Return: whether the selected slot is another now.
static bool nominate(struct ice_agent *agent, uint8_t slot, bool present, uint64_t now_ms)
{
	struct ice_validated *v = &agent->validated[slot];
	bool first = present && v->nominated_ms == 0;
	bool wins = slot != agent->selected && nomination_wins(agent, v, first, now_ms);

	if (first)
		v->nominated_ms = now_ms > 0 ? now_ms : 1;
	if (wins)
		agent->selected = (int8_t)slot;
	return wins;
}

// State: moves only here, once everything about the check is known to be good.
static bool check_commit(struct ice_agent *agent, const struct stun_msg *msg,
	const struct net_path *path, uint8_t slot, bool present, uint64_t now_ms)
{
	bool changed;

	recent_add(agent, msg->txid, &path->remote);
	changed = slot_refresh(agent, slot, msg, path, now_ms) && slot == agent->selected;
	if (msg->use_candidate && nominate(agent, slot, present, now_ms))
		changed = true;
	if (present)
		OPENSSL_cleanse(&agent->previous, sizeof(agent->previous));
	return changed;
}

static void check_accept(struct ice_agent *agent, const struct stun_msg *msg,
	const struct net_path *path, const struct ice_credentials *creds, uint64_t now_ms,
	uint8_t reply[STUN_REPLY_MAX_BYTES], struct ice_outcome *out)
{
	const struct net_addr *seen_from = recent_find(agent, msg->txid);
	struct refusal replay = { "replay", 0 }, full = { "addresses", 0 },
		       internal = { "internal", 0 };
	uint8_t slot;

	if (seen_from && !net_addr_equal(seen_from, &path->remote))
		return refuse(msg, replay, creds->pwd, reply, out);
	if (!seen_from && slot_find(agent, path, now_ms, &slot) < 0)
		return refuse(msg, full, creds->pwd, reply, out);
	if (ice_reply_success(msg, &path->remote, creds->pwd, reply, &out->reply_bytes) < 0)
		return refuse(msg, internal, creds->pwd, reply, out);
	// A retransmission has its answer again; nothing else follows from it.
	if (seen_from)
		return;
	out->authenticated = true;
	out->selected_changed = check_commit(
		agent, msg, path, slot, creds == &agent->local, now_ms);
}

void ice_agent_check(struct ice_agent *agent, const struct stun_msg *msg,
	const struct net_path *path, uint64_t now_ms, uint8_t reply[STUN_REPLY_MAX_BYTES],
	struct ice_outcome *out)
{
	struct refusal stranger = { "ufrag", 401 }, forged = { "integrity", 401 };
	const struct ice_credentials *creds;
	struct refusal why = judge_form(msg);

	*out = (struct ice_outcome){ 0 };
	if (why.reason)
		return refuse(msg, why, NULL, reply, out);
	creds = credentials_find(agent, msg);
	if (!creds)
		return refuse(msg, stranger, NULL, reply, out);
	if (!stun_integrity_ok(msg, creds->pwd, strlen(creds->pwd)))
		return refuse(msg, forged, NULL, reply, out);
	why = judge_content(msg);
	if (why.reason)
		return refuse(msg, why, creds->pwd, reply, out);
	check_accept(agent, msg, path, creds, now_ms, reply, out);
}

// No HMAC here: a packet of nobody's session is worth no cryptography.
void ice_stray_check(
	const struct stun_msg *msg, uint8_t reply[STUN_REPLY_MAX_BYTES], struct ice_outcome *out)
{
	struct refusal why = judge_form(msg);

	*out = (struct ice_outcome){ 0 };
	if (!why.reason)
		why = (struct refusal){ "ufrag", 401 };
	refuse(msg, why, NULL, reply, out);
}

bool ice_agent_knows(const struct ice_agent *agent, const struct net_addr *remote)
{
	for (uint8_t i = 0; i < agent->n_validated; i++) {
		if (net_addr_equal(&agent->validated[i].path.remote, remote))
			return true;
	}
	return false;
}

const struct net_path *ice_agent_selected(const struct ice_agent *agent)
{
	return agent->selected < 0 ? NULL : &agent->validated[agent->selected].path;
}
