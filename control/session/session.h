// One WHEP viewer from POST to the end: its slot in the region, its ICE agent, its DTLS
// association. Owner: control's core thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/dtls/dtls.h"
#include "control/ice/ice.h"
#include "control/link/link.h"
#include "control/sdp/sdp.h"
#include "control/stream/stream.h"
#include "dataplane/abi/conf.h"

enum session_state {
	SESSION_RESERVING,  // the worker has not confirmed the slot yet
	SESSION_CONNECTING, // waiting for ICE and DTLS
	SESSION_READY,	    // keys and path are with the worker
	SESSION_CLOSING,    // the worker is saying good-bye
	SESSION_STATE_COUNT,
};

// Why a session ended, as logs and counters name it.
enum session_end {
	SESSION_END_DELETE,
	SESSION_END_SETUP_TIMEOUT,
	SESSION_END_CONSENT,
	SESSION_END_DTLS_CLOSED,
	SESSION_END_DTLS_FAILED,
	SESSION_END_STREAM_GONE,
	SESSION_END_STREAM_CHANGED,
	SESSION_END_SOURCE_SILENT,
	SESSION_END_DATAPLANE,
	SESSION_END_SHUTDOWN,
	SESSION_END_COUNT,
};

const char *session_end_name(enum session_end);

struct session;
struct session_table;

// Gauges and counts over all sessions.
struct session_counts {
	uint32_t reserving, connecting, ready, closing;
	uint64_t created;
	uint64_t ended[SESSION_END_COUNT];
	uint64_t stun_refused, dtls_refused;
};

int session_table_create(const struct conf *, struct dtls_context *, struct session_table **out);

// Frees what is left without a word; end the sessions first.
void session_table_destroy(struct session_table *);

// The data plane went (link_lose) and its region stays: sessions that play or connect wait for
// another to take it up, the rest are over.
void session_table_hold(struct session_table *);

// A data plane came, with the streams that are set up there. It has the region of the sessions that
// wait, and they go on; sessions that only stand in the region are taken up. Or region and all are
// gone (NULL, NULL): every session ends.
void session_table_attach(struct session_table *, struct link *, struct stream *streams);

const struct session_counts *session_table_counts(const struct session_table *);

// How many sessions hold a slot, of how many there may be.
uint32_t session_table_used(const struct session_table *);
uint32_t session_table_cap(const struct session_table *);

// A session that POST has asked for.
struct session_offer {
	struct stream *stream;
	const struct sdp_negotiated *sdp;
	const struct ice_credentials *ice;
	const uint32_t *ssrc; // LEG_COUNT, as the answer says
	uint32_t rtx_ssrc;    // of video's retransmissions, where agreed on
	const char *cname;
};

// Told once, when the worker confirmed the slot (0) or did not (-errno; the session is gone then).
typedef void (*session_ready_cb)(void *arg, struct session *, int status);

// Take a slot and tell its worker.
// Return: 0 and cb will be called; -ENOSPC no slot, -ENOTCONN no data plane, -ENOBUFS, -ENOMEM.
int session_create(struct session_table *, const struct session_offer *, session_ready_cb cb,
	void *arg, struct session **out);

// Return: NULL none, or it is closing.
struct session *session_find(struct session_table *, const char *resource);

const char *session_resource(const struct session *);
const char *session_etag(const struct session *);
struct stream *session_stream(const struct session *);

// How these differ from the credentials that the viewer has now.
enum ice_remote_change session_remote_change(const struct session *, const struct ice_remote *);

// ICE restart: fresh local credentials, a new ETag; media goes on over the old path meanwhile.
// mid, tagged: of the section that carries the transport.
// Return: 0; -EIO, -EINVAL as ice_agent_restart says and nothing changed.
int session_restart(struct session *, const struct ice_remote *, struct ice_credentials *local,
	const char **mid, enum leg_kind *tagged);

// End it: the worker says BYE and unlinks, then close_notify goes out, then the slot is free.
void session_end(struct session *, enum session_end);
void session_end_stream(struct session_table *, const struct stream *, enum session_end);
void session_end_all(struct session_table *, enum session_end);

// A STUN or DTLS packet that a worker punted.
void session_punt(struct session_table *, const struct ring_packet *);

// Timers: DTLS retransmission, set-up and consent time-outs. Call every 50 ms or so.
void session_tick(struct session_table *, uint64_t now_ms);

// Return: its state; and what that is called.
enum session_state session_state_of(const struct session *);
const char *session_state_name(enum session_state);

// For the API: one line a viewer.
typedef void (*session_visit_cb)(void *arg, const struct session *);
void session_visit(struct session_table *, const struct stream *, session_visit_cb, void *arg);

// A viewer as the API shows it; NULL no memory. A new reference.
json_t *session_describe(const struct session *);
