// Control without its loop: the real link, streams and sessions against an edge of the test, and
// viewers that make STUN checks and OpenSSL's side of DTLS.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/session/session.h"
#include "tests/unit/dtls/rig.h"
#include "tests/unit/session/edge.h"

enum {
	STAGE_VIEWERS = 4,
	STAGE_PACKET_BYTES = 512,
	STAGE_SETUP_S = 40,
	STAGE_CONSENT_S = 30,
	// How many viewer slots the region has, and its workers.
	STAGE_SLOTS = 128,
	STAGE_WORKERS = 2,
	// What sessions wait before they send a command again.
	STAGE_RETRY_MS = 500,
};

struct viewer;

struct stage {
	struct conf conf;
	struct edge edge;
	struct link *link;
	struct link *lost; // after stage_lose
	struct dtls_context *dtls;
	struct stream_store *streams;
	struct session_table *sessions;
	struct stream *stream; // "cam", with both legs
	struct viewer *viewers[STAGE_VIEWERS];
	unsigned int n_viewers;
	unsigned int n_sent; // packets that went to anybody
};

// One viewer. The DTLS rig's own server end is there too and idle.
struct viewer {
	struct rig rig; // first: its teardown frees the whole
	struct stage *stage;
	struct session *session;
	struct net_path path;
	uint16_t worker; // where its packets arrive
	struct sdp_negotiated sdp;
	struct ice_credentials ice; // the server's
	uint32_t ssrc[LEG_COUNT];
	uint32_t rtx_ssrc;
	uint16_t slot;

	// What session_create's callback was told.
	unsigned int n_told;
	int status;

	// The newest check and what came back.
	uint8_t check[STAGE_PACKET_BYTES];
	uint16_t check_bytes;
	uint8_t reply[STUN_REPLY_MAX_BYTES];
	uint16_t reply_bytes; // 0: nothing
	unsigned int n_dtls;  // DTLS packets that came
};

// For cmocka: *state becomes a struct stage with a link, and a stream that the workers took.
int stage_setup(void **state);
int stage_teardown(void **state);

// Open the link, hand it to streams and sessions. stage_setup does.
void stage_attach(struct stage *);

// The data plane leaves, as the core thread handles it.
void stage_detach(struct stage *);

// It leaves, and control holds its region, which stage_attach offers to the next; or lets it go.
void stage_lose(struct stage *);
void stage_forget(struct stage *);

// Carry commands, acknowledgements and packets until nothing moves.
void stage_pump(struct stage *);

// The same with the time that overdue commands are judged by.
void stage_pump_at(struct stage *, uint64_t now_ms);

// Let all that is under way become overdue, and carry what follows from it.
void stage_overdue(struct stage *);

// Now, in the clock of sessions and links.
uint64_t stage_now_ms(void);

const struct session_counts *stage_counts(const struct stage *);

// Assert how many sessions are in each state.
void stage_expect(const struct stage *, uint32_t reserving, uint32_t connecting, uint32_t ready,
	uint32_t closing);

// How many sessions have ended, for whatever reason.
uint64_t stage_n_ended(const struct stage *);

// Put commands into every worker's ring until none fits, with the workers asleep; and wake them.
void stage_fill_rings(struct stage *);
void stage_empty_rings(struct stage *);

// Whether these bytes stand anywhere in the region.
bool stage_region_holds(const struct stage *, const void *bytes, size_t n_bytes);

// A viewer at 198.18.77.<10 and up>:40000 with its own offer; no session yet.
struct viewer *viewer_create(struct stage *);

// Ask for a session; nothing is carried yet. The callback fills n_told and status.
// Return: as session_create.
int viewer_post(struct viewer *);

// A Binding request of a viewer. The zero value is a good one without USE-CANDIDATE.
struct check {
	bool nominate;
	const char *ufrag, *pwd;     // NULL: those of the answer
	uint32_t priority;	     // 0: 1000
	const struct net_path *from; // NULL: the viewer's path
};

// Send it, carry, and look what came back.
// Return: the type of the reply; 0 none.
uint16_t viewer_check(struct viewer *, struct check);

// Send the newest check once more, from wherever.
uint16_t viewer_check_again(struct viewer *, const struct net_path *from);

// Carry DTLS flights until the client is through, has failed, or waits in vain.
void viewer_handshake(struct viewer *);

// Read what came; true once close_notify was among it.
bool viewer_heard_close(struct viewer *);

// All of it: post, check with USE-CANDIDATE, handshake; asserts that the session is ready.
struct viewer *viewer_play(struct stage *);

struct region_peer *viewer_slot(const struct viewer *);

// The keys that the client exports, split as RFC 5764 4.2 says.
void viewer_keys(const struct viewer *, struct dtls_keys *out);
