// Lines into a caller's buffer; the first that does not fit spoils the whole.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "control/sdp/priv/text.h"
#include "control/sdp/sdp.h"

struct sdp_writer {
	char *out;
	size_t cap;
	size_t bytes;
	bool full;
};

// For "%.*s" of a span.
#define SDP_SPAN(text) (int)(text).bytes, (text).at

// Append one line and its CRLF.
__attribute__((format(printf, 2, 3))) void sdp_write_line(
	struct sdp_writer *, const char *format, ...);

// a=ice-ufrag and a=ice-pwd.
void sdp_write_ice(struct sdp_writer *, const struct sdp_local *);

// All candidates, then a=end-of-candidates.
void sdp_write_candidates(struct sdp_writer *, const struct sdp_local *);
