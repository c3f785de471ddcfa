// A small file that an operator wrote: keys, certificates. Read whole, at start and on SIGHUP.
// Core thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum {
	SECRET_FILE_MAX_BYTES = 256 * 1024,
	SECRET_FAULT_MAX = 512, // one line that says what is wrong with a file, with its NUL
};

struct secret_file {
	char *text; // a NUL behind it, and perhaps some inside
	size_t bytes;
	bool exposed; // users beside its owner and group may read or write it
};

// Read it.
// path:   must be a regular file.
// out:    wiped and freed by secret_file_free; zeroed on failure.
// fault:  what is wrong, beginning with the path; written on failure.
// Return: 0; -errno of open or read; -EINVAL not a regular file; -EFBIG above
//         SECRET_FILE_MAX_BYTES; -ENOMEM.
int secret_file_read(const char *path, struct secret_file *out, char fault[SECRET_FAULT_MAX]);

// The same for what nobody else may know.
// Return: as above; -EACCES it is exposed.
int secret_file_read_private(
	const char *path, struct secret_file *out, char fault[SECRET_FAULT_MAX]);

// Twice is fine, and so is a zeroed one.
void secret_file_free(struct secret_file *);
