// The INI file. inih splits the lines; what it leaves unsaid (the number of a line, one that is too
// long, one that is no text, a section header with something wrong) is seen by the reader that
// hands it the lines. A line with a fault reaches inih empty.
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "dataplane/abi/priv/conf_reading.h"

enum {
	LINE_BYTES_MAX = 8192, // holds an option with a path of PATH_MAX
	FILE_BYTES_MAX = 4 << 20,
};

#define BLANKS " \t"

struct conf_file {
	struct conf_reading *reading;
	FILE *file;
	size_t n_bytes;	   // read of the file
	size_t line_bytes; // of the line
	bool too_long;	   // the line
	bool skip;	   // options of a section that is not ours: one fault is enough
};

// Return: false at the end of the file.
static bool read_bytes(struct conf_file *f, char *line, size_t room)
{
	int c = getc(f->file);

	f->line_bytes = 0;
	f->too_long = false;
	if (c == EOF || f->n_bytes > FILE_BYTES_MAX)
		return false;
	for (; c != EOF && c != '\n' && f->n_bytes <= FILE_BYTES_MAX; c = getc(f->file)) {
		if (f->line_bytes + 1 < room)
			line[f->line_bytes++] = (char)c;
		else
			f->too_long = true;
		f->n_bytes++;
	}
	f->n_bytes++;
	line[f->line_bytes] = '\0';
	return true;
}

static void strip_line(struct conf_file *f, char *line)
{
	bool has_bom = f->reading->line == 1 && strncmp(line, "\xef\xbb\xbf", 3) == 0;

	if (f->line_bytes > 0 && line[f->line_bytes - 1] == '\r')
		line[--f->line_bytes] = '\0';
	if (!has_bom)
		return;
	f->line_bytes -= 3;
	memmove(line, line + 3, f->line_bytes + 1);
}

static bool is_sound(struct conf_file *f, const char *line, int room)
{
	if (f->too_long) {
		conf_fault_at_line(f->reading, "expected a line of at most %d bytes", room - 1);
		return false;
	}
	for (size_t i = 0; i < f->line_bytes; i++) {
		unsigned char c = (unsigned char)line[i];

		if ((c < ' ' && c != '\t') || c == 0x7f) {
			conf_fault_at_line(f->reading, "expected text, found a byte 0x%02x", c);
			return false;
		}
	}
	return true;
}

static void report_section(struct conf_file *f, const char *name)
{
	const char *suggestion = conf_section_suggest(name);
	char quoted[CONF_QUOTE_BYTES];

	if (suggestion)
		conf_fault_at_line(f->reading, "no section is named %s (did you mean [%s]?)",
			conf_quote(name, quoted), suggestion);
	else
		conf_fault_at_line(f->reading, "no section is named %s", conf_quote(name, quoted));
}

// header: the line from its '[' on.
// Return: whether a section of ours begins here.
static bool judge_header(struct conf_file *f, const char *header)
{
	size_t name_bytes = strcspn(header + 1, "]");
	const char *rest = header + 1 + name_bytes;
	char name[64], quoted[CONF_QUOTE_BYTES];
	bool closed = *rest == ']';

	if (closed)
		rest += 1 + strspn(rest + 1, BLANKS);
	if (!closed || (*rest && *rest != ';' && *rest != '#')) {
		conf_fault_at_line(f->reading, "expected [section] alone, found %s",
			conf_quote(header, quoted));
		return false;
	}
	snprintf(name, sizeof(name), "%.*s", (int)name_bytes, header + 1);
	if (conf_section_find(name))
		return true;
	report_section(f, name);
	return false;
}

// An ini_reader.
static char *read_line(char *line, int room, void *stream)
{
	struct conf_file *f = stream;
	bool is_header;

	if (!read_bytes(f, line, (size_t)room))
		return NULL;
	f->reading->line++;
	strip_line(f, line);
	is_header = line[strspn(line, BLANKS)] == '[';
	if (!is_sound(f, line, room)) {
		f->skip |= is_header;
		*line = '\0';
	} else if (is_header) {
		f->skip = !judge_header(f, line + strspn(line, BLANKS));
		if (f->skip)
			*line = '\0';
	}
	return line;
}

static void report_option(struct conf_reading *reading, const char *section, const char *name)
{
	const struct conf_option *suggestion = conf_option_suggest(section, name);
	char quoted[CONF_QUOTE_BYTES];

	conf_quote(name, quoted);
	if (!suggestion)
		conf_fault_at_line(reading, "[%s] has no option %s", section, quoted);
	else if (strcmp(suggestion->section, section) == 0)
		conf_fault_at_line(reading, "[%s] has no option %s (did you mean %s?)", section,
			quoted, suggestion->name);
	else
		conf_fault_at_line(reading, "[%s] has no option %s (did you mean that of [%s]?)",
			section, quoted, suggestion->section);
}

static void take_option(
	struct conf_reading *reading, const char *section, const char *name, const char *value)
{
	const struct conf_option *option = conf_option_find(section, name);
	int origin;

	if (!option) {
		report_option(reading, section, name);
		return;
	}
	origin = reading->origins[option - conf_options];
	if (origin != CONF_ORIGIN_PRESET)
		conf_fault_at_line(
			reading, "[%s] %s: given before, on line %d", section, name, origin);
	else
		conf_set(reading, option, reading->line, value);
}

// An ini_handler. Its answer is of no use to us: faults are counted elsewhere.
static int handle_option(void *user, const char *section, const char *name, const char *value)
{
	struct conf_file *f = user;
	char quoted[CONF_QUOTE_BYTES];

	if (f->skip)
		return 1;
	if (!value)
		conf_fault_at_line(f->reading, "expected [section] or option = value, found %s",
			conf_quote(name, quoted));
	else if (!*section)
		conf_fault_at_line(f->reading, "expected a [section] before the first option");
	else
		take_option(f->reading, section, name, value);
	return 1;
}

static void read_file(struct conf_file *f)
{
	struct conf_reading *reading = f->reading;
	static char comment_signs[] = ";#";
	struct stat st;

	if (fstat(fileno(f->file), &st) == 0 && S_ISDIR(st.st_mode)) {
		conf_fault(reading, "%s: expected a file, found a directory", reading->path);
		return;
	}
	// Debian's inih takes these at run time. A continued line would hide a fault; a comment
	// behind a value may begin with either sign, as one at the start of a line.
	ini_use_stack = false;
	ini_max_line = LINE_BYTES_MAX;
	ini_initial_alloc = LINE_BYTES_MAX;
	ini_allow_multiline = false;
	ini_allow_no_value = true;
	ini_inline_comment_prefixes = comment_signs;
	if (ini_parse_stream(read_line, f, handle_option, f) == -2)
		conf_fault(reading, "%s: not enough memory to read it", reading->path);
	if (ferror(f->file))
		conf_fault(reading, "%s: cannot read it: %m", reading->path);
	if (f->n_bytes > FILE_BYTES_MAX)
		conf_fault(reading, "%s: expected a file of at most %d bytes", reading->path,
			FILE_BYTES_MAX);
}

void conf_file_read(struct conf_reading *reading, bool must_exist)
{
	struct conf_file f = { .reading = reading };

	f.file = fopen(reading->path, "re");
	if (!f.file) {
		if (errno != ENOENT || must_exist)
			conf_fault(reading, "%s: cannot open it: %m", reading->path);
		return;
	}
	read_file(&f);
	fclose(f.file);
}
