// The command line. getopt_long is not used: it takes abbreviations, which a later option would
// make ambiguous in scripts that are out there, and it cannot say all that is wrong at once.
#include <stdio.h>
#include <string.h>

#include "dataplane/abi/priv/conf_reading.h"

// One argument, with its value wherever that stands.
struct argument {
	char name[CONF_ARGUMENT_BYTES]; // without "--" and "="
	const char *value;		// behind the "="; NULL without one
};

static const struct conf_option *find_option(const char *name)
{
	char known[CONF_ARGUMENT_BYTES];

	for (size_t i = 0; i < conf_n_options; i++) {
		if (strcmp(conf_option_argument(&conf_options[i], known), name) == 0)
			return &conf_options[i];
	}
	return NULL;
}

static void report_argument(struct conf_reading *reading, const char *text, const char *name)
{
	const struct conf_option *suggestion = conf_argument_suggest(name);
	char known[CONF_ARGUMENT_BYTES], quoted[CONF_QUOTE_BYTES];

	conf_quote(text, quoted);
	if (suggestion)
		conf_fault(reading, "no such option: %s (did you mean --%s?)", quoted,
			conf_option_argument(suggestion, known));
	else
		conf_fault(reading, "no such option: %s (see --help)", quoted);
}

// Return: false not an option at all.
static bool split_argument(const char *text, struct argument *out)
{
	size_t name_bytes;

	if (strncmp(text, "--", 2) != 0 || !text[2])
		return false;
	text += 2;
	name_bytes = strcspn(text, "=");
	snprintf(out->name, sizeof(out->name), "%.*s", (int)name_bytes, text);
	out->value = text[name_bytes] ? text + name_bytes + 1 : NULL;
	return true;
}

// --help and its kind take no value.
// Return: the switch; NULL if it is not one.
static bool *find_switch(struct conf_args *args, const char *name)
{
	if (strcmp(name, "help") == 0)
		return &args->help;
	if (strcmp(name, "version") == 0)
		return &args->version;
	if (strcmp(name, "check-config") == 0)
		return &args->check;
	return NULL;
}

// The value stands behind "=", or is the next argument. One that itself begins with "--" must stand
// behind "=".
// Return: NULL none; then it is reported.
static const char *take_value(
	struct conf_reading *reading, const struct argument *argument, char ***cursor)
{
	const char *next = **cursor;

	if (argument->value)
		return argument->value;
	if (next && strncmp(next, "--", 2) != 0) {
		(*cursor)++;
		return next;
	}
	conf_fault(reading, "--%s: expected --%s=VALUE", argument->name, argument->name);
	return NULL;
}

static void take_argument(
	struct conf_reading *reading, const char *text, char ***cursor, struct conf_args *args)
{
	const struct conf_option *option;
	struct argument argument;
	char quoted[CONF_QUOTE_BYTES];
	const char *value;
	bool *flag;

	if (!split_argument(text, &argument)) {
		conf_fault(reading, "expected --section-option=value, found %s",
			conf_quote(text, quoted));
		return;
	}
	flag = find_switch(args, argument.name);
	option = find_option(argument.name);
	if (flag) {
		*flag = true;
		if (argument.value)
			conf_fault(reading, "--%s: expected no value", argument.name);
	} else if (strcmp(argument.name, "config") == 0) {
		value = take_value(reading, &argument, cursor);
		args->path = value ? value : args->path;
	} else if (!option) {
		report_argument(reading, text, argument.name);
	} else if (option->type == CONF_TYPE_FLAG && !argument.value) {
		args->values[option - conf_options] = "yes";
	} else {
		value = take_value(reading, &argument, cursor);
		if (value)
			args->values[option - conf_options] = value;
	}
}

void conf_args_read(struct conf_reading *reading, int argc, char **argv, struct conf_args *out)
{
	char **cursor = argv + (argc > 0);

	memset(out, 0, sizeof(*out));
	while (*cursor) {
		const char *text = *cursor++;

		take_argument(reading, text, &cursor, out);
	}
}

void conf_args_apply(struct conf_reading *reading, const struct conf_args *args)
{
	for (size_t i = 0; i < conf_n_options; i++) {
		if (args->values[i])
			conf_set(reading, &conf_options[i], CONF_ORIGIN_ARGUMENT, args->values[i]);
	}
}
