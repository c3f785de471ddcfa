#include "control/whep/if_match.h"

#include <string.h>

static const char *skip_separators(const char *at)
{
	return at + strspn(at, " \t,");
}

bool if_match(const char *list, const char *etag)
{
	size_t etag_chars = strlen(etag);
	const char *at = skip_separators(list);

	if (strcmp(at, "*") == 0)
		return true;
	while (*at == '"' || strncmp(at, "W/\"", 3) == 0) {
		bool weak = *at == 'W';
		const char *open = at + (weak ? 2 : 0);
		const char *close = strchr(open + 1, '"');
		size_t chars;

		if (!close)
			return false;
		chars = (size_t)(close + 1 - open);
		if (!weak && chars == etag_chars && memcmp(open, etag, chars) == 0)
			return true;
		if (!weak && chars == 3 && open[1] == '*')
			return true;
		at = skip_separators(close + 1);
	}
	return false;
}
