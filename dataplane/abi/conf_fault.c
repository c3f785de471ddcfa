#include <stdarg.h>
#include <stdio.h>

#include "dataplane/abi/priv/conf_reading.h"

enum {
	FAULTS_SHOWN = 100, // nobody reads more, and the file may be no text at all
	QUOTED_BYTES = 60,
};

static bool count_fault(struct conf_reading *reading)
{
	reading->n_faults++;
	if (reading->n_faults == FAULTS_SHOWN + 1)
		fprintf(stderr, "%s: more faults follow\n", reading->path);
	return reading->n_faults <= FAULTS_SHOWN;
}

static void print_fault(const char *fmt, va_list args)
{
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
}

void conf_fault(struct conf_reading *reading, const char *fmt, ...)
{
	va_list args;

	if (!count_fault(reading))
		return;
	va_start(args, fmt);
	print_fault(fmt, args);
	va_end(args);
}

void conf_fault_at_line(struct conf_reading *reading, const char *fmt, ...)
{
	va_list args;

	if (!count_fault(reading))
		return;
	fprintf(stderr, "%s:%d: ", reading->path, reading->line);
	va_start(args, fmt);
	print_fault(fmt, args);
	va_end(args);
}

void conf_fault_option(
	struct conf_reading *reading, const struct conf_option *option, const char *fmt, ...)
{
	int origin = reading->origins[option - conf_options];
	char argument[CONF_ARGUMENT_BYTES];
	va_list args;

	if (!count_fault(reading))
		return;
	if (origin > 0)
		fprintf(stderr, "%s:%d: ", reading->path, origin);
	if (origin == CONF_ORIGIN_ARGUMENT)
		fprintf(stderr, "--%s: ", conf_option_argument(option, argument));
	else
		fprintf(stderr, "[%s] %s: ", option->section, option->name);
	va_start(args, fmt);
	print_fault(fmt, args);
	va_end(args);
}

const char *conf_quote(const char *text, char buf[CONF_QUOTE_BYTES])
{
	size_t bytes = 0;
	size_t i;

	buf[bytes++] = '"';
	for (i = 0; text[i] && i < QUOTED_BYTES && bytes + 12 < CONF_QUOTE_BYTES; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < ' ' || c >= 0x7f)
			bytes += (size_t)sprintf(buf + bytes, "\\x%02x", c);
		else
			buf[bytes++] = (char)c;
	}
	snprintf(buf + bytes, CONF_QUOTE_BYTES - bytes, text[i] ? "...\"" : "\"");
	return buf;
}
