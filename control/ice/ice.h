// The ICE-lite side of one session: credentials, validated addresses, the selected one.
// Pure: packets in, replies and outcomes out; the session layer owns sockets and clocks.
// Owner: control's core thread.
// Source: RFC 8445 (ICE-lite: 2.5, 7.3, 8.1.1, 12); RFC 7675 consent; checklist C1 to C23.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/ice/stun.h"
#include "dataplane/abi/net.h"

enum {
	ICE_UFRAG_CHARS = 8,	     // ours: 48 random bits, and unique over the sessions
	ICE_PWD_CHARS = 24,	     // ours: 144 random bits
	ICE_REMOTE_MAX = 256,	     // RFC 8839 5.4
	ICE_MAX_VALIDATED = 8,	     // addresses a session may validate (C19)
	ICE_SWITCH_SILENT_MS = 6000, // a lower-priority nomination wins only past this (C16)
	ICE_STALE_MS = 30000, // silent for longer, an address gives way to a new one (RFC 7675 5.1)
	ICE_DIGEST_BYTES = 32,
	ICE_RECENT_TXIDS = 64, // minutes of checks, so that a captured one is known for that long
};

// Characters are ALPHA DIGIT + / only (B18).
struct ice_credentials {
	char ufrag[ICE_UFRAG_CHARS + 1];
	char pwd[ICE_PWD_CHARS + 1];
};

struct ice_remote {
	char ufrag[ICE_REMOTE_MAX + 1];
	char pwd[ICE_REMOTE_MAX + 1];
};

// What is kept of the remote's credentials: SHA-256 of each. They are only compared with what it
// says later, and a lite agent never answers for them; as text they would be half of what a viewer
// takes.
struct ice_mark {
	uint8_t ufrag[ICE_DIGEST_BYTES];
	uint8_t pwd[ICE_DIGEST_BYTES];
};

enum ice_remote_change {
	ICE_REMOTE_SAME,
	ICE_REMOTE_HALF, // one of the two, which is no restart and no trickle (RFC 8445 9)
	ICE_REMOTE_NEW,
};

// One source that passed an authenticated check, and the local address that it wrote to.
struct ice_validated {
	struct net_path path;
	uint32_t priority; // PRIORITY of its last check
	uint64_t last_check_ms;
	uint64_t nominated_ms; // first, under the present credentials; 0: never
};

struct ice_agent {
	struct ice_credentials local;
	struct ice_credentials previous; // ufrag empty: none; good until the first check with local
	struct ice_mark remote;
	struct ice_validated validated[ICE_MAX_VALIDATED];
	uint8_t n_validated;
	int8_t selected; // index into validated; -1: none yet
	struct {
		uint8_t txid[STUN_TXID_BYTES];
		struct net_addr from;
	} recent[ICE_RECENT_TXIDS]; // to tell a replayed check from a moved viewer (C17)
	uint8_t recent_next;
};

// What the session layer must do after one packet.
// reason is one of: type, fingerprint, credentials, ufrag, integrity, unknown-attribute, role,
// priority, replay, addresses, internal.
struct ice_outcome {
	uint16_t reply_bytes;  // 0: nothing to send; else the reply stands in the caller's buffer
	bool authenticated;    // a good check, not a copy of one: consent (RFC 7675 5.1)
	bool selected_changed; // agent->validated[agent->selected].path is where media goes now
	bool refused;	       // an error reply went out, or the packet was dropped
	const char *reason;    // with refused: a static word for the counter and the log
};

// Fill with fresh credentials from the CSPRNG.
// Return: 0; -EIO the CSPRNG failed.
int ice_credentials_make(struct ice_credentials *);

// Return: 0; -EINVAL a remote ufrag or pwd out of B18, -EIO the CSPRNG failed.
int ice_agent_init(struct ice_agent *, const struct ice_remote *remote);

// Go on where a process before us stopped: path is nominated and selected, nothing else is known.
void ice_agent_resume(struct ice_agent *, const struct ice_credentials *local,
	const struct ice_mark *remote, const struct net_path *path, uint64_t now_ms);

// How these differ from the credentials that the remote has.
enum ice_remote_change ice_agent_compare(const struct ice_agent *, const struct ice_remote *);

// Restart: new local credentials, the old ones kept until the first good check with the new;
// media stays on the selected pair until renominated (C20).
// Return: as ice_agent_init; on failure nothing changed.
int ice_agent_restart(struct ice_agent *, const struct ice_remote *remote);

// The part of a Binding request's USERNAME before ":", by which the session is found.
// Return: 0; -ENOENT no USERNAME, no ":" in it, or not ice-chars before it; -EMSGSIZE longer than
// any ufrag of ours.
int ice_local_ufrag(const struct stun_msg *, char out[ICE_UFRAG_CHARS + 1]);

// One parsed Binding request for this session. Any other message is refused without a reply.
// path:   where it came from and went to; remembered when the check is good.
// now_ms: monotonic.
void ice_agent_check(struct ice_agent *, const struct stun_msg *, const struct net_path *path,
	uint64_t now_ms, uint8_t reply[STUN_REPLY_MAX_BYTES], struct ice_outcome *out);

// A request that belongs to no session: 400 without USERNAME or MESSAGE-INTEGRITY or FINGERPRINT,
// 401 for an unknown ufrag (C5). Never larger than the request (C27): then reply_bytes is 0.
void ice_stray_check(
	const struct stun_msg *, uint8_t reply[STUN_REPLY_MAX_BYTES], struct ice_outcome *out);

// Return: whether the address passed a check (C15: DTLS is handled only then).
bool ice_agent_knows(const struct ice_agent *, const struct net_addr *remote);

// Return: the path media takes; NULL before a nomination.
const struct net_path *ice_agent_selected(const struct ice_agent *);
