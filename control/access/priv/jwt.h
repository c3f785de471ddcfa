// JWT: signed elsewhere, judged here. libjwt reads the token and checks its signature; the
// algorithm is the one of the configured key, never the token's choice (RFC 8725 3.1).
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/access/access.h"

struct jwt_key;

enum {
	JWT_SECRET_MIN_CHARS = 32, // RFC 7518 3.2
	JWT_RSA_MIN_BITS = 2048,   // RFC 7518 3.3
	JWT_LEEWAY_S = 30,	   // between our clock and the issuer's
};

// What a token must say.
struct jwt_rules {
	const char *stream_claim;
	const char *api_scope;
	const char *audience; // "": tokens for an audience are not for us
};

// Read a key: a PEM public key (RSA: RS256; EC P-256: ES256), or one line of text, the secret of
// HS256.
// fault:  one line, on failure.
// Return: 0; -errno of reading; -EACCES a secret that others may read; -EINVAL anything else.
int jwt_key_load(const char *path, struct jwt_key **out, char fault[SECRET_FAULT_MAX]);

// NULL is fine.
void jwt_key_free(struct jwt_key *);

// stream: what the token must open; NULL: the API.
// holder: written with ACCESS_OK only.
enum access_verdict jwt_judge(const struct jwt_key *, const struct jwt_rules *, const char *token,
	const char *stream, int64_t now_s, struct access_holder *holder);
