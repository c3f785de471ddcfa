// Spans of hostile text and the cursor that walks them: nothing is copied, nothing ends in NUL.
// Read by: every file of control/sdp.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SDP_RTPMAP_MAX = 64,
};

// Borrowed bytes of the offer or the fragment.
struct sdp_text {
	const char *at;
	size_t bytes;
};

// One line of the form <type>=<value>, its end of line left out.
struct sdp_line {
	char type;
	struct sdp_text value;
	uint32_t number; // from 1
	const char *start;
};

struct sdp_cursor {
	const char *at;
	const char *end;
	uint32_t lines_read;
};

struct sdp_cursor sdp_cursor_over(struct sdp_text text);

// The next line that is not blank; CRLF and LF both end one.
// Return: 1 a line; 0 the end; -EINVAL not <type>=<value> or a NUL in it (out->number is set).
int sdp_line_next(struct sdp_cursor *, struct sdp_line *out);

// Split "name:value" of an a= line; value is empty without a colon.
void sdp_attribute_split(struct sdp_text line, struct sdp_text *name, struct sdp_text *value);

// Take the next word of rest, up to one of the stop characters; leading ones are skipped.
// Return: false when nothing is left.
bool sdp_word_next(struct sdp_text *rest, const char *stops, struct sdp_text *word);

struct sdp_text sdp_text_trim(struct sdp_text);
bool sdp_text_is(struct sdp_text, const char *literal);
bool sdp_text_is_nocase(struct sdp_text, const char *literal);
bool sdp_text_equal(struct sdp_text, struct sdp_text);

// Whether every byte is a token-char (RFC 8866 9) and there is at least one.
bool sdp_text_is_token(struct sdp_text);

// Whether it is <name>/<clock>[/<channels>] and short enough to echo.
bool sdp_text_is_rtpmap(struct sdp_text);

// A decimal number of digits only.
// Return: 0; -EINVAL not a number; -ERANGE above max.
int sdp_text_number(struct sdp_text, uint32_t max, uint32_t *out);

// Return: the value of a hexadecimal digit; -1 for another character.
int sdp_hex_digit(char);
