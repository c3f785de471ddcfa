// The table of all options: what conf_file.c, conf_args.c and conf_help.c are made from.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum conf_type {
	CONF_TYPE_TEXT,
	CONF_TYPE_NUMBER,
	CONF_TYPE_FLAG,
	CONF_TYPE_WORD,
	CONF_TYPE_CORES,
	CONF_TYPE_ADDRESS,
	CONF_TYPE_ADDRESSES,
	CONF_TYPE_NATS,
	CONF_TYPE_PREFIXES,
	CONF_TYPE_GATEWAY, // min: the family
	CONF_TYPE_MAC,
};

struct conf_word {
	const char *text; // NULL after the last one
	int value;
};

struct conf_option {
	const char *section;
	const char *name;
	enum conf_type type;
	size_t offset;	     // of the field in struct conf
	size_t field_bytes;  // and its size
	size_t count_offset; // of the uint16_t that counts a list's items
	uint32_t min;	     // of a number
	uint32_t max;	     // of a number; longest text, in bytes
	const struct conf_word *words;
	const char *preset; // the default, as one would write it in the file
	const char *help;   // without a full stop
};

struct conf_section {
	const char *name;
	const char *help;
};

enum {
	CONF_OPTIONS_MAX = 96,
	CONF_ARGUMENT_BYTES = 48, // "section-option" with its NUL
};

extern const struct conf_option conf_options[];
extern const size_t conf_n_options;
extern const struct conf_section conf_sections[];
extern const size_t conf_n_sections;

// Return: borrowed; NULL for none of that name.
const struct conf_section *conf_section_find(const char *name);
const struct conf_option *conf_option_find(const char *section, const char *name);

// The option's name on the command line, without the leading hyphens: "http-max-body-bytes".
// Return: buf.
const char *conf_option_argument(const struct conf_option *, char buf[CONF_ARGUMENT_BYTES]);

// Nearest known spelling.
// Return: NULL if nothing is near enough to be worth saying.
const char *conf_section_suggest(const char *name);
const struct conf_option *conf_option_suggest(const char *section, const char *name);
const struct conf_option *conf_argument_suggest(const char *argument);
