// A session from the inside, for the files of this folder.
#pragma once

#include <uthash.h>

#include "control/metrics/metrics.h"
#include "control/session/session.h"

enum {
	SESSION_ETAG_MAX = REGION_RESOURCE_CHARS + 16,
	SESSION_RETRY_MS = 500,	      // a command that found the ring full, or was not answered
	SESSION_KEEPALIVE_MS = 15000, // without a packet to the viewer (RFC 8445 11)
	SESSION_WEIGH_MS = 1000,      // between two looks at what each viewer costs its worker
	SESSION_NOTE_MS = 1000,	      // between two looks at what viewers report
	SESSION_STRAY_PER_TICK = 8,   // answers to STUN of no session (C27)
};

// A ufrag by which a session is found.
struct session_ufrag {
	char ufrag[ICE_UFRAG_CHARS + 1]; // key; empty: not in the table
	struct session *session;
	UT_hash_handle hh;
};

// A source address that passed a check, by which DTLS finds its session.
struct session_address {
	struct net_addr addr;	 // key
	struct session *session; // NULL: not in the table
	UT_hash_handle hh;
};

struct session {
	struct session_table *table;
	char resource[REGION_RESOURCE_CHARS + 1]; // key
	char etag[SESSION_ETAG_MAX];
	unsigned int ice_generation;
	enum session_state state;
	enum session_end end;
	struct stream *stream;
	uint16_t slot;
	uint16_t worker;
	uint32_t load; // packets a second that its worker seals for it, when last looked
	uint32_t generation;
	struct ice_agent ice;
	struct dtls_conn *dtls;
	struct net_path dtls_path; // of the newest DTLS packet
	bool has_keys;
	bool handshake_over; // and counted
	bool command_busy;   // a command for the slot is under way: hands off its conf
	bool update_again;   // the path changed meanwhile
	bool end_wanted;     // ends as soon as the command under way is answered
	uint64_t retry_ms;   // 0: nothing to send again
	char mid[SDP_MID_MAX + 1];
	enum leg_kind tagged;
	uint8_t missed; // bit i: it asked for enum leg_kind i, which the stream had not
	uint64_t created_ms;
	uint64_t answered_ns;		   // POST was, and no pair is nominated yet; else 0
	uint64_t consent_ms;		   // newest authenticated check, which was answered
	uint64_t n_sent;		   // media and reports, when last looked
	uint64_t sent_ms;		   // when that had last grown, or a keepalive went out
	uint64_t reports_noted[LEG_COUNT]; // how many there were, when last looked
	struct stream_repair repair_noted[LEG_COUNT];
	bool first_noted[LEG_COUNT]; // the first packet's time
	session_ready_cb ready_cb;
	void *ready_arg;
	struct session_ufrag ufrags[2]; // current, previous
	struct session_address addresses[ICE_MAX_VALIDATED];
	struct session *prev, *next; // all sessions
	UT_hash_handle hh;	     // by resource
};

struct orphan;

struct session_table {
	const struct conf *conf;
	struct dtls_context *dtls;
	struct link *link;
	struct session *all;
	struct orphan *orphans; // slots of no session that a worker still holds
	struct session *by_resource;
	struct session_ufrag *by_ufrag;
	struct session_address *by_address;
	uint16_t *free_slots;
	uint32_t n_free;
	uint32_t n_used;
	uint32_t worker_peers[REGION_MAX_WORKERS];
	uint64_t worker_load[REGION_MAX_WORKERS]; // sum of their viewers'
	uint64_t weighed_ms;
	uint64_t noted_ms;
	unsigned int stray_budget;
	uint64_t now_ms; // of the newest tick or packet
	uint64_t attached_ms;
	struct session_counts counts;
};

// session_table.c
struct region_peer *session_slot(const struct session *);
void session_set_state(struct session *, enum session_state);
// Into every table; slot, worker, stream and names are set.
void session_enter(struct session *);
void session_name_ufrags(struct session *);
void session_free(struct session *);
uint64_t session_now_ms(void);

// session_load.c
// Return: the worker with the least to do for its viewers.
uint16_t session_choose_worker(const struct session_table *);
// What the session costs its worker, now that its slot says which legs it takes.
void session_weigh(struct session *);
void session_weigh_all(struct session_table *, uint64_t now_ms);
void session_unweigh(struct session *);

// session_quality.c
void session_note_all(struct session_table *, uint64_t now_ms);
// Its worker has let go of it: what it asked for since the last look.
void session_note_last(struct session *);

// A session was taken up: what was before has been noted.
void session_note_taken(struct session *);

// session_media.c
// Return: whether another session had the address.
bool session_note_address(struct session *, const struct net_addr *);
void session_install(struct session *);
// Keep the path open through NATs while the stream is silent.
void session_keep_path(struct session *, uint64_t now_ms);
// The first call counts.
void session_count_handshake(struct session *, enum metrics_handshake, uint16_t profile);
int session_open_dtls(struct session *, const struct sdp_negotiated *);

// session_adopt.c
void session_adopt_all(struct session_table *, struct stream *streams);
void session_retry_orphans(struct session_table *, uint64_t now_ms);
// No command of theirs is under way, or the link is closed.
void session_drop_orphans(struct session_table *);

// session.c
void session_make_etag(struct session *);
void session_give_slot_back(struct session_table *, uint16_t slot);
void session_finish(struct session *);
