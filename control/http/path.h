// The path of a request, cut at its slashes and percent-decoded, or refused.
// Pure. Used by the router, and by tests.
// Source: RFC 3986 2.1, 2.3, 3.3.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/http/server.h"

struct http_path {
	char text[HTTP_PATH_MAX_BYTES + 1];	 // the segments, a NUL behind each
	uint16_t starts[HTTP_PATH_MAX_SEGMENTS]; // offsets into text
	uint8_t n_segments;
};

// Cut and decode. A segment holds only unreserved characters (letters, digits, - . _ ~) once it is
// decoded, and is neither "." nor ".."; so no slash, NUL, per cent sign or control character gets
// through, however often it is escaped. "/" has no segment, "/a/" has two, the last one empty.
// raw:    an absolute path, or a whole http or https URL (RFC 9112 3.2.2); no query.
// Return: 0; -EINVAL something else is in it; -ENAMETOOLONG above HTTP_PATH_MAX_BYTES; -E2BIG more
//         than HTTP_PATH_MAX_SEGMENTS. out changes only on success.
int http_path_split(const char *raw, struct http_path *out);

const char *http_path_segment(const struct http_path *, unsigned int index);

// Return: whether it is 1 to HTTP_ID_MAX_CHARS unreserved characters.
bool http_id_valid(const char *id);
