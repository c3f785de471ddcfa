// Writes millrace.conf(5): copies a template and puts every option of the table where it says so.
// A program of the build.
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/abi/priv/conf_table.h"

#define HERE ".\\\" OPTIONS\n"

// Text, each sentence on a line of its own: nothing in it is a request or an escape of roff.
static void print_text(FILE *out, const char *text)
{
	fputs("\\&", out);
	for (; *text; text++) {
		if (strncmp(text, ". ", 2) == 0) {
			fputs(".\n\\&", out);
			text++;
		} else if (*text == '\\') {
			fputs("\\e", out);
		} else {
			fputc(*text, out);
		}
	}
}

static void print_words(FILE *out, const struct conf_option *option)
{
	for (const struct conf_word *word = option->words; word->text; word++)
		fprintf(out, "%s%s", word == option->words ? "One of " : ", ", word->text);
	fputs(".\n", out);
}

static void print_option(FILE *out, const struct conf_option *option)
{
	char argument[CONF_ARGUMENT_BYTES];

	fprintf(out, ".It Ic %s Pq Fl -%s\n", option->name, conf_option_argument(option, argument));
	print_text(out, option->help);
	fputs(".\n", out);
	if (option->type == CONF_TYPE_NUMBER)
		fprintf(out, "From %u to %u.\n", option->min, option->max);
	else if (option->type == CONF_TYPE_FLAG)
		fputs("yes or no.\n", out);
	else if (option->type == CONF_TYPE_WORD)
		print_words(out, option);
	fputs("Default: ", out);
	print_text(out, *option->preset ? option->preset : "empty");
	fputs(".\n", out);
}

static void print_options(FILE *out)
{
	for (size_t s = 0; s < conf_n_sections; s++) {
		fprintf(out, ".Ss [%s]\n%s.\n.Bl -tag -width 4n\n", conf_sections[s].name,
			conf_sections[s].help);
		for (size_t i = 0; i < conf_n_options; i++) {
			if (strcmp(conf_options[i].section, conf_sections[s].name) == 0)
				print_option(out, &conf_options[i]);
		}
		fputs(".El\n", out);
	}
}

static int copy(FILE *in, FILE *out)
{
	bool found = false;
	char line[512];

	while (fgets(line, sizeof(line), in)) {
		if (strcmp(line, HERE) != 0) {
			fputs(line, out);
			continue;
		}
		print_options(out);
		found = true;
	}
	return found ? 0 : -EINVAL;
}

// conf_man TEMPLATE OUT
int main(int argc, char **argv)
{
	FILE *in = argc == 3 ? fopen(argv[1], "r") : NULL;
	FILE *out = in ? fopen(argv[2], "w") : NULL;

	if (!out || copy(in, out) < 0 || ferror(out) || fclose(out) != 0) {
		fprintf(stderr, "conf_man: usage: conf_man TEMPLATE OUT\n");
		return EXIT_FAILURE;
	}
	fclose(in);
	return EXIT_SUCCESS;
}
