#include <stdio.h>
#include <string.h>

#include "dataplane/abi/priv/conf_reading.h"

enum {
	HELP_COLUMN = 34,
	HELP_WIDTH = 80,
};

// Print text in lines of words, each below the column where it began.
static void print_wrapped(const char *text, size_t indent)
{
	size_t column = indent;

	while (*text) {
		size_t word_bytes = strcspn(text, " ");

		if (column > indent && column + 1 + word_bytes > HELP_WIDTH) {
			printf("\n%*s", (int)indent, "");
			column = indent;
		}
		column += (size_t)printf(
			"%s%.*s", column > indent ? " " : "", (int)word_bytes, text);
		text += word_bytes;
		text += strspn(text, " ");
	}
	putchar('\n');
}

static void print_entry(const char *head, const char *text)
{
	size_t head_bytes = (size_t)printf("  %s", head);

	if (head_bytes + 2 > HELP_COLUMN)
		printf("\n%*s", HELP_COLUMN, "");
	else
		printf("%*s", (int)(HELP_COLUMN - head_bytes), "");
	print_wrapped(text, HELP_COLUMN);
}

static void print_option(const struct conf_option *option)
{
	static const char *const metas[] = {
		[CONF_TYPE_TEXT] = "TEXT",
		[CONF_TYPE_NUMBER] = "NUMBER",
		[CONF_TYPE_FLAG] = "yes|no",
		[CONF_TYPE_WORD] = "WORD",
		[CONF_TYPE_CORES] = "CORES",
		[CONF_TYPE_ADDRESS] = "ADDRESS",
		[CONF_TYPE_ADDRESSES] = "ADDRESSES",
		[CONF_TYPE_NATS] = "LOCAL=PUBLIC,...",
		[CONF_TYPE_PREFIXES] = "ADDRESS/BITS,...",
		[CONF_TYPE_GATEWAY] = "ADDRESS",
		[CONF_TYPE_MAC] = "MAC",
	};
	char argument[CONF_ARGUMENT_BYTES], head[80], text[400];
	size_t bytes;

	snprintf(head, sizeof(head), "--%s=%s", conf_option_argument(option, argument),
		metas[option->type]);
	bytes = (size_t)snprintf(text, sizeof(text), "%s (", option->help);
	if (option->type == CONF_TYPE_NUMBER)
		bytes += (size_t)snprintf(
			text + bytes, sizeof(text) - bytes, "%u to %u, ", option->min, option->max);
	for (const struct conf_word *word = option->words; word && word->text; word++)
		bytes += (size_t)snprintf(text + bytes, sizeof(text) - bytes, "%s%s", word->text,
			word[1].text ? " | " : ", ");
	snprintf(text + bytes, sizeof(text) - bytes, "default %s)",
		*option->preset ? option->preset : "empty");
	print_entry(head, text);
}

void conf_help_print(const char *prog, const char *doc)
{
	printf("Usage: %s [--config=FILE] [--section-option=VALUE ...]\n\n", prog);
	print_wrapped(doc, 0);
	putchar('\n');
	print_entry("--config=FILE", "Read this file (default " CONF_DEFAULT_PATH ")");
	print_entry("--check-config", "Judge file and command line, say every fault, and exit");
	print_entry("--help", "Print this, and exit");
	print_entry("--version", "Print the version and that of the shared region (ABI), and exit");
	for (size_t s = 0; s < conf_n_sections; s++) {
		printf("\n[%s] %s\n", conf_sections[s].name, conf_sections[s].help);
		for (size_t i = 0; i < conf_n_options; i++) {
			if (strcmp(conf_options[i].section, conf_sections[s].name) == 0)
				print_option(&conf_options[i]);
		}
	}
	printf("\nAn option of the file stands there below its [section], as option = value,\n"
	       "with _ for the - inside its name. The command line wins over the file; of an\n"
	       "option given twice on the command line the last one counts.\n");
}
