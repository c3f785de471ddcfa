// Who may do what: static keys and JWT, judged by the token alone.
// The files are read at start and on SIGHUP; a reload that fails leaves all as it was.
// Owner: control's core thread. No clock and no HTTP here: guard.h asks, with both.
// Source: RFC 6750, 7515, 7519, 8725; checklist A39, A40.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/secret_file.h"
#include "dataplane/abi/conf.h"

enum {
	ACCESS_TOKEN_MAX_CHARS = 4096, // a longer one is bad whatever is in it
	ACCESS_HOLDER_BYTES = 16,
};

struct access;

enum access_verdict {
	ACCESS_OK,
	ACCESS_BAD_TOKEN,    // unknown, forged, expired, not yet valid, malformed
	ACCESS_NOT_ENTITLED, // good, but for something else
};

// Who a JWT says its holder is (sub, else jti), as a digest. Static keys name nobody.
struct access_holder {
	bool known;
	uint8_t digest[ACCESS_HOLDER_BYTES];
};

// Read what [access] names.
// conf:   borrowed, for reloads.
// out:    destroyed by access_destroy.
// fault:  one line, on failure.
// Return: 0; -errno.
int access_create(const struct conf *, struct access **out, char fault[SECRET_FAULT_MAX]);

// NULL is fine.
void access_destroy(struct access *);

// Read the files anew; all of them are good, or nothing changes.
// Return: as access_create.
int access_reload(struct access *, char fault[SECRET_FAULT_MAX]);

// Return: whether there is a static key for the API.
bool access_has_api_keys(const struct access *);

// Return: whether a JWT is worth a look.
bool access_has_jwt(const struct access *);

// Return: whether viewers need a token.
bool access_guards_viewers(const struct access *);

// May the holder of this token watch? API keys may watch everything.
// token:  what stood behind "Bearer"; need not be well formed.
// now_s:  seconds since 1970.
// holder: written with ACCESS_OK only.
enum access_verdict access_judge_viewer(const struct access *, const char *token,
	const char *stream, int64_t now_s, struct access_holder *holder);

// May the holder of this token use the management API?
enum access_verdict access_judge_api(const struct access *, const char *token, int64_t now_s);
