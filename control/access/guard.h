// What stands between the router and a handler: rate limit, token, loopback.
// Owner: control's core thread.
#pragma once

#include <stdbool.h>

#include "control/http/router.h"

// The router's guard; ctx is the struct api. By its path a route is one of: WHEP (/whep/,
// /api/v3/whep/), which asks for a viewer's token where there are any; the management API (all else
// below /api/v3), which asks for an API key or, where none is configured, for a request of this
// host's own; open to all.
// Return: true: go on; false: answered, with 401, 403 or 429.
// Source: RFC 6750 3; checklist A23, A33, A39, A40, A43.
bool access_guard(void *ctx, const struct http_route *, struct http_request *);
