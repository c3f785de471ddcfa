#include "control/sdp/priv/text.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

struct sdp_cursor sdp_cursor_over(struct sdp_text text)
{
	return (struct sdp_cursor){ .at = text.at, .end = text.at + text.bytes };
}

static struct sdp_text line_take(struct sdp_cursor *cursor)
{
	struct sdp_text line = { .at = cursor->at, .bytes = cursor->end - cursor->at };
	const char *newline = memchr(line.at, '\n', line.bytes);

	if (newline != NULL)
		line.bytes = newline - line.at;
	cursor->at += line.bytes + (newline != NULL);
	cursor->lines_read++;
	while (line.bytes > 0 && line.at[line.bytes - 1] == '\r')
		line.bytes--;
	return line;
}

int sdp_line_next(struct sdp_cursor *cursor, struct sdp_line *out)
{
	while (cursor->at < cursor->end) {
		struct sdp_text line = line_take(cursor);

		if (line.bytes == 0)
			continue;
		out->number = cursor->lines_read;
		out->start = line.at;
		if (line.bytes < 2 || line.at[1] != '=' || memchr(line.at, '\0', line.bytes))
			return -EINVAL;
		out->type = line.at[0];
		out->value = (struct sdp_text){ .at = line.at + 2, .bytes = line.bytes - 2 };
		return 1;
	}
	return 0;
}

void sdp_attribute_split(struct sdp_text line, struct sdp_text *name, struct sdp_text *value)
{
	const char *colon = memchr(line.at, ':', line.bytes);
	size_t name_bytes = colon != NULL ? (size_t)(colon - line.at) : line.bytes;
	size_t skip = name_bytes + (colon != NULL);

	*name = (struct sdp_text){ .at = line.at, .bytes = name_bytes };
	*value = (struct sdp_text){ .at = line.at + skip, .bytes = line.bytes - skip };
}

bool sdp_word_next(struct sdp_text *rest, const char *stops, struct sdp_text *word)
{
	size_t n_stops = strlen(stops);
	size_t from = 0, to;

	if (rest->bytes == 0) {
		*word = *rest;
		return false;
	}
	while (from < rest->bytes && memchr(stops, rest->at[from], n_stops))
		from++;
	to = from;
	while (to < rest->bytes && !memchr(stops, rest->at[to], n_stops))
		to++;
	*word = (struct sdp_text){ .at = rest->at + from, .bytes = to - from };
	*rest = (struct sdp_text){ .at = rest->at + to, .bytes = rest->bytes - to };
	return word->bytes > 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct sdp_text sdp_text_trim(struct sdp_text text)
{
	while (text.bytes > 0 && is_blank(text.at[0])) {
		text.at++;
		text.bytes--;
	}
	while (text.bytes > 0 && is_blank(text.at[text.bytes - 1]))
		text.bytes--;
	return text;
}

bool sdp_text_is(struct sdp_text text, const char *literal)
{
	return text.bytes == strlen(literal) && memcmp(text.at, literal, text.bytes) == 0;
}

bool sdp_text_is_nocase(struct sdp_text text, const char *literal)
{
	return text.bytes == strlen(literal) && strncasecmp(text.at, literal, text.bytes) == 0;
}

bool sdp_text_equal(struct sdp_text a, struct sdp_text b)
{
	return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.at, b.at, a.bytes) == 0);
}

bool sdp_text_is_token(struct sdp_text text)
{
	for (size_t i = 0; i < text.bytes; i++) {
		unsigned char c = text.at[i];

		if (c <= ' ' || c > '~' || strchr("\"(),/:;<=>?@[\\]", c))
			return false;
	}
	return text.bytes > 0;
}

bool sdp_text_is_rtpmap(struct sdp_text text)
{
	struct sdp_text rest = text, word;
	uint8_t n_words = 0;

	while (sdp_word_next(&rest, "/", &word)) {
		if (!sdp_text_is_token(word))
			return false;
		n_words++;
	}
	return n_words >= 2 && n_words <= 3 && text.bytes <= SDP_RTPMAP_MAX;
}

int sdp_text_number(struct sdp_text text, uint32_t max, uint32_t *out)
{
	uint64_t value = 0;

	if (text.bytes == 0)
		return -EINVAL;
	for (size_t i = 0; i < text.bytes; i++) {
		if (text.at[i] < '0' || text.at[i] > '9')
			return -EINVAL;
		value = value * 10 + (text.at[i] - '0');
		if (value > max)
			return -ERANGE;
	}
	*out = value;
	return 0;
}

int sdp_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}
