// One run of conf_load: what has been read so far, from where, and how many faults there were.
#pragma once

#include "dataplane/abi/conf.h"
#include "dataplane/abi/priv/conf_table.h"

enum {
	CONF_ORIGIN_PRESET = 0,
	CONF_ORIGIN_ARGUMENT = -1, // any other: the line of the file
};

struct conf_reading {
	const char *path;
	struct conf *conf;
	int line; // of the file, being read; from 1
	int origins[CONF_OPTIONS_MAX];
	unsigned n_faults;
};

// The command line as it was given, not yet judged.
struct conf_args {
	const char *path;		      // borrowed from argv; NULL without --config
	const char *values[CONF_OPTIONS_MAX]; // likewise; the last one counts
	bool check;
	bool help;
	bool version;
};

// Print "file:line: …" on stderr and count it. After many, the rest is only counted.
void conf_fault_at_line(struct conf_reading *, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

// The same for something that belongs to no line: "fmt".
void conf_fault(struct conf_reading *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// The same for an option, beginning with where its value came from: "file:line: [section] option:",
// "--section-option:" or, for a default, "[section] option:".
void conf_fault_option(struct conf_reading *, const struct conf_option *, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

enum {
	CONF_QUOTE_BYTES = 160,
};

// Text from outside, in quotes, made harmless for a terminal, and cut if long.
// Return: buf.
const char *conf_quote(const char *text, char buf[CONF_QUOTE_BYTES]);

// Take a value; a fault is reported with this origin.
void conf_set(struct conf_reading *, const struct conf_option *, int origin, const char *text);

// Read the file at reading->path. Faults are reported.
// must_exist: a missing file is a fault.
void conf_file_read(struct conf_reading *, bool must_exist);

// Sort argv into out. Faults are reported. Values are left unjudged: conf_args_apply does that,
// after the file.
void conf_args_read(struct conf_reading *, int argc, char **argv, struct conf_args *out);
void conf_args_apply(struct conf_reading *, const struct conf_args *);

// Print the answer to --help on stdout.
void conf_help_print(const char *prog, const char *doc);
