// What the rest of control tells of, to be counted: one call where it happens. All of it is shown
// by GET /metrics, beside what is read from sessions, streams and the region at that moment.
// A stream is passed as the store knows it, NULL for none: no label value is ever a client's text.
// A count that finds no memory is lost.
// Owner: control's core thread.
#pragma once

#include <stdint.h>

#include "control/http/server.h"
#include "control/stream/stream.h"
#include "dataplane/abi/leg.h"

enum metrics_scope {
	METRICS_CAP_GLOBAL,
	METRICS_CAP_STREAM,
};

enum metrics_handshake {
	METRICS_DTLS_OK,
	METRICS_DTLS_FAILED,
	METRICS_DTLS_TIMEOUT,
};

// For http_server_observe, with the struct stream_store: counts what goes to WHEP.
void metrics_answered(void *streams, const struct http_request *, unsigned int status);

// A POST found no room.
void metrics_cap_rejected(const struct stream *, enum metrics_scope);

// An offer lacks the leg's codec, or has it in a profile that is not the source's.
void metrics_codec_mismatch(const struct stream *, enum leg_kind);

// The first pair of a session is nominated. since_ns: of region_now_ns when its POST was answered.
void metrics_ice_established(const struct stream *, uint64_t since_ns);

// profile: enum srtp_profile; 0 none was agreed.
void metrics_dtls_over(enum metrics_handshake, uint16_t profile);

// A leg fell silent; counts where it has viewers.
void metrics_leg_silent(const struct stream *, enum leg_kind);

// Its series end with it: a stream of the same name begins at 0.
void metrics_stream_gone(const struct stream *);

// Forget everything.
void metrics_fini(void);
