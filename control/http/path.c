#include "control/http/path.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static bool is_unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

// Return: the path of an absolute URL, or raw itself; NULL there is none.
static const char *skip_authority(const char *raw)
{
	size_t scheme = 0;

	if (strncasecmp(raw, "http://", 7) == 0)
		scheme = 7;
	else if (strncasecmp(raw, "https://", 8) == 0)
		scheme = 8;
	if (scheme)
		raw = strchr(raw + scheme, '/');
	return raw && raw[0] == '/' ? raw : NULL;
}

// Decode one character; *raw moves behind it.
// Return: 0; -EINVAL not a character that a segment may hold.
static int decode_one(const char **raw, char *out)
{
	const char *in = *raw;
	char c = in[0];
	size_t taken = 1;

	if (c == '%') {
		int high = hex_digit(in[1]);
		int low = high < 0 ? -1 : hex_digit(in[2]);

		if (low < 0)
			return -EINVAL;
		c = (char)(high << 4 | low);
		taken = 3;
	}
	if (!is_unreserved(c))
		return -EINVAL;
	*out = c;
	*raw = in + taken;
	return 0;
}

// Decode up to the next slash or the end; *raw stops there.
static int decode_segment(const char **raw, char *out, size_t *out_chars)
{
	size_t n = 0;

	while (**raw != '\0' && **raw != '/') {
		if (decode_one(raw, out + n))
			return -EINVAL;
		n++;
	}
	out[n] = '\0';
	if (strcmp(out, ".") == 0 || strcmp(out, "..") == 0)
		return -EINVAL;
	*out_chars = n;
	return 0;
}

int http_path_split(const char *raw, struct http_path *out)
{
	struct http_path path = { 0 };
	size_t used = 0;

	raw = skip_authority(raw);
	if (!raw)
		return -EINVAL;
	if (strlen(raw) > HTTP_PATH_MAX_BYTES)
		return -ENAMETOOLONG;
	// Each segment takes a slash from raw and a NUL in text, so text is always long enough.
	while (raw[0] == '/' && (raw[1] != '\0' || path.n_segments > 0)) {
		size_t n_chars;

		if (path.n_segments == HTTP_PATH_MAX_SEGMENTS)
			return -E2BIG;
		raw++;
		if (decode_segment(&raw, path.text + used, &n_chars))
			return -EINVAL;
		path.starts[path.n_segments++] = (uint16_t)used;
		used += n_chars + 1;
	}
	*out = path;
	return 0;
}

const char *http_path_segment(const struct http_path *path, unsigned int index)
{
	return index < path->n_segments ? path->text + path->starts[index] : NULL;
}

bool http_id_valid(const char *id)
{
	size_t n = 0;

	for (; id[n]; n++) {
		if (n == HTTP_ID_MAX_CHARS || !is_unreserved(id[n]))
			return false;
	}
	return n > 0;
}
