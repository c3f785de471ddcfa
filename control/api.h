// What the HTTP handlers work on: everything that the core thread owns.
#pragma once

#include "control/access/access.h"
#include "control/access/limiter.h"
#include "control/dtls/dtls.h"
#include "control/http/server.h"
#include "control/link/link.h"
#include "control/session/session.h"
#include "control/stream/stream.h"
#include "dataplane/abi/conf.h"

struct api {
	const struct conf *conf;
	struct stream_store *streams;
	struct session_table *sessions;
	struct dtls_context *dtls;
	struct access *access;
	struct limiter *posts;				// WHEP POST, by source
	struct limiter *changes;			// WHEP PATCH and DELETE
	struct link *link;				// NULL: no data plane now
	struct net_addr candidates[CONF_MAX_ADDRESSES]; // media addresses, with the media port
	uint8_t n_candidates;
	bool draining;
};

// Handlers, one folder each; ctx is the struct api. Registered in routes.c.
void whep_post(void *ctx, struct http_request *);
void whep_patch(void *ctx, struct http_request *);
void whep_delete(void *ctx, struct http_request *);
void whep_get(void *ctx, struct http_request *);
void whep_head(void *ctx, struct http_request *);
void whep_no_stream(void *ctx, struct http_request *);
void whep_no_resource(void *ctx, struct http_request *);

void stream_api_list(void *ctx, struct http_request *);
void stream_api_get(void *ctx, struct http_request *);
void stream_api_put(void *ctx, struct http_request *);
// PUT of which source plays.
void stream_api_pick(void *ctx, struct http_request *req);
void stream_api_delete(void *ctx, struct http_request *);
void stream_api_peers(void *ctx, struct http_request *);
void stream_api_peer(void *ctx, struct http_request *);

void dataplane_api_get(void *ctx, struct http_request *);
void metrics_get(void *ctx, struct http_request *);
void health_live(void *ctx, struct http_request *);
void health_ready(void *ctx, struct http_request *);
// Rates that dataplane_api_get shows; call about once a second.
void dataplane_api_sample(struct api *, uint64_t now_ms);
