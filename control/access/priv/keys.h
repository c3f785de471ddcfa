// Static keys: one a line, kept as digests.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "control/secret_file.h"

enum {
	KEYS_MAX = 1024,
	KEY_MIN_CHARS = 16,
	KEY_MAX_CHARS = 256,
	KEY_MAX_STREAMS = 8,
};

struct keys;

enum keys_verdict {
	KEYS_UNKNOWN,
	KEYS_OTHER_STREAM,
	KEYS_OK,
};

// Read a file: on each line a key of KEY_MIN_CHARS to KEY_MAX_CHARS letters, digits and
// - . _ ~ + / = (RFC 6750 2.1), blanks around it do not matter; empty lines and those that begin
// with # are skipped.
// with_streams: up to KEY_MAX_STREAMS stream ids may follow the key, which opens these alone.
// fault:        one line, on failure.
// Return:       0; -errno of reading; -EACCES others may read it; -EINVAL a line is wrong, a key
//               stands twice, or there is none; -E2BIG too many; -ENOMEM.
int keys_load(const char *path, bool with_streams, struct keys **out, char fault[SECRET_FAULT_MAX]);

// NULL is fine.
void keys_free(struct keys *);

// Takes the same time whichever key it is, and however near the guess.
// stream: NULL: any.
enum keys_verdict keys_find(const struct keys *, const char *token, const char *stream);
