#include "dataplane/testfan/options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help_head[] =
	"usage: testfan [EAL OPTION...] [-- OPTION...]\n"
	"\n"
	"Runs the workers of millrace-dataplane, unchanged, on any DPDK port, and plays encoders "
	"and\n"
	"viewers to them: what a core can fan out. A prompt takes commands (help names them), or\n"
	"--auto-start runs once. Without EAL options: one worker on CPU 1, net_null, huge pages\n"
	"where there are enough.\n"
	"\n"
	"What is run; each is also a command, \"set peers 5000\":\n";

static const char help_tail[] =
	"\n"
	"How it is run:\n"
	"  --auto-start         run once, print, end\n"
	"  --duration=S         so many seconds (default 5)\n"
	"  --warmup=S           after so many that do not count (default 1)\n"
	"  --json[=FILE]        print as JSON, in place of the text\n"
	"  --half-load          --load=0.5\n"
	"  --floor              time the bare cipher before and after, and print fan-out over it\n"
	"  --toll               with --nack: deliver what viewers ask for, and do not, in turns, "
	"and\n"
	"                       print by how much the fan-out's rate falls\n"
	"  --rounds=N           of such turns, for the median (default 3)\n"
	"  --cores=LIST         a worker on each of these CPUs, such as 1,2 or 1-3; the main "
	"thread\n"
	"                       floats. Else the EAL's -l or --lcores: all but the main lcore "
	"work\n"
	"  --checksum=WHO       makes them: auto (default), offload, software, zero (none, IPv4)\n"
	"  --interface=NAME     send by AF_XDP on this Linux interface, as millrace-dataplane "
	"does,\n"
	"                       with a queue or more for each of --cores; in place of a --vdev\n"
	"  --steer-program=FILE its XDP program, if it is not where it was installed\n"
	"  --help, --version\n"
	"\n"
	"Exit status: 0; 1 it did not run, or --verify found a bad packet or none at all; 2 the\n"
	"command line.\n"
	"\n"
	"  testfan -- --auto-start --peers=5000 --floor\n"
	"  testfan -l 0,1,2 -- --auto-start --json --profile=cm80 --half-load --latency\n"
	"  testfan -- --interface=edge0 --eth-peer=02:00:00:00:00:02 \\\n"
	"          --tx-ip=198.18.77.1,198.18.77.2\n";

enum own_option {
	OPT_SETTING = 256, // and as many as there are settings
	OPT_AUTO_START = 512,
	OPT_DURATION,
	OPT_WARMUP,
	OPT_JSON,
	OPT_HALF_LOAD,
	OPT_FLOOR,
	OPT_TOLL,
	OPT_ROUNDS,
	OPT_CORES,
	OPT_CHECKSUM,
	OPT_INTERFACE,
	OPT_STEER_PROGRAM,
	OPT_HELP,
	OPT_VERSION,
	MAX_SETTINGS = 48,
};

static const struct option run_options[] = {
	{ "auto-start", no_argument, NULL, OPT_AUTO_START },
	{ "duration", required_argument, NULL, OPT_DURATION },
	{ "warmup", required_argument, NULL, OPT_WARMUP },
	{ "json", optional_argument, NULL, OPT_JSON },
	{ "half-load", no_argument, NULL, OPT_HALF_LOAD },
	{ "floor", no_argument, NULL, OPT_FLOOR },
	{ "toll", no_argument, NULL, OPT_TOLL },
	{ "rounds", required_argument, NULL, OPT_ROUNDS },
	{ "cores", required_argument, NULL, OPT_CORES },
	{ "checksum", required_argument, NULL, OPT_CHECKSUM },
	{ "interface", required_argument, NULL, OPT_INTERFACE },
	{ "steer-program", required_argument, NULL, OPT_STEER_PROGRAM },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
};

enum {
	N_RUN_OPTIONS = sizeof(run_options) / sizeof(run_options[0]),
};

// What a setting means without a value; NULL: it needs one.
static const char *bare_value(const char *name)
{
	if (strcmp(name, "verify") == 0)
		return "1";
	return strcmp(name, "latency") == 0 || strcmp(name, "ip6") == 0 ? "on" : NULL;
}

static void make_table(struct option table[MAX_SETTINGS + N_RUN_OPTIONS + 1])
{
	struct settings preset;
	char value[SETTINGS_TEXT_BYTES];
	const char *name, *help;
	unsigned int n = 0;

	settings_init(&preset);
	for (; n < MAX_SETTINGS && settings_get(&preset, n, &name, &help, value); n++)
		table[n] = (struct option){ name,
			bare_value(name) ? optional_argument : required_argument, NULL,
			OPT_SETTING + (int)n };
	memcpy(table + n, run_options, sizeof(run_options));
	table[n + N_RUN_OPTIONS] = (struct option){};
}

static void print_help(void)
{
	struct settings preset;
	char value[SETTINGS_TEXT_BYTES], option[64];
	const char *name, *help;

	settings_init(&preset);
	fputs(help_head, stdout);
	for (unsigned int i = 0; settings_get(&preset, i, &name, &help, value); i++) {
		snprintf(option, sizeof(option), bare_value(name) ? "--%s[=V]" : "--%s=V", name);
		printf("  %-20s %s (default %s)\n", option, help, value);
	}
	fputs(help_tail, stdout);
}

static int parse_seconds(const char *name, const char *text, double *out)
{
	char *end;

	*out = strtod(text, &end);
	if (end != text && !*end && isfinite(*out) && *out >= 0 && *out <= 86400)
		return 0;
	fprintf(stderr, "testfan: --%s: expected seconds, 0 to 86400; found %s\n", name, text);
	return -EINVAL;
}

static int parse_cores(const char *text, struct options *out)
{
	const char *at = text;

	out->n_cores = 0;
	while (*at) {
		char *end;
		unsigned long first = strtoul(at, &end, 10), last = first;

		if (end == at)
			break;
		if (*end == '-') {
			at = end + 1;
			last = strtoul(at, &end, 10);
		}
		for (; first <= last && last < 1024 && out->n_cores < CONF_MAX_WORKERS; first++)
			out->cores[out->n_cores++] = (uint16_t)first;
		at = end;
		if (first <= last || (*at && *at != ','))
			break;
		at += *at == ',';
	}
	if (!*at && out->n_cores > 0)
		return 0;
	fprintf(stderr, "testfan: --cores: expected at most %u CPUs such as 1,2 or 1-3; found %s\n",
		CONF_MAX_WORKERS, text);
	return -EINVAL;
}

static int set(struct options *out, const char *name, const char *value)
{
	char wrong[SETTINGS_TEXT_BYTES];
	int rc = settings_set(&out->settings, name, value, wrong);

	if (rc < 0)
		fprintf(stderr, "testfan: --%s\n", wrong);
	return rc;
}

static int parse_checksum(const char *text, enum conf_checksum *out)
{
	static const char *const words[] = { [CONF_CHECKSUM_AUTO] = "auto",
		[CONF_CHECKSUM_OFFLOAD] = "offload",
		[CONF_CHECKSUM_SOFTWARE] = "software",
		[CONF_CHECKSUM_ZERO] = "zero" };

	for (unsigned int i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(words[i], text) == 0) {
			*out = (enum conf_checksum)i;
			return 0;
		}
	}
	fprintf(stderr, "testfan: --checksum: expected auto, offload, software, zero; found %s\n",
		text);
	return -EINVAL;
}

static int parse_rounds(const char *text, uint64_t *out)
{
	char *end;

	*out = strtoull(text, &end, 10);
	if (end != text && !*end && *out >= 1 && *out <= 99)
		return 0;
	fprintf(stderr, "testfan: --rounds: expected 1 to 99; found %s\n", text);
	return -EINVAL;
}

// Return: 0; 1 end well; -EINVAL.
static int take(struct options *out, int id)
{
	switch (id) {
	case OPT_AUTO_START:
		out->auto_start = true;
		return 0;
	case OPT_DURATION:
		return parse_seconds("duration", optarg, &out->duration_s);
	case OPT_WARMUP:
		return parse_seconds("warmup", optarg, &out->warmup_s);
	case OPT_JSON:
		out->json = true;
		out->json_path = optarg;
		return 0;
	case OPT_HALF_LOAD:
		return set(out, "load", "0.5");
	case OPT_FLOOR:
		out->floor = true;
		return 0;
	case OPT_TOLL:
		out->toll = true;
		return 0;
	case OPT_ROUNDS:
		return parse_rounds(optarg, &out->rounds);
	case OPT_CORES:
		return parse_cores(optarg, out);
	case OPT_CHECKSUM:
		return parse_checksum(optarg, &out->checksum);
	case OPT_INTERFACE:
		out->interface = optarg;
		return 0;
	case OPT_STEER_PROGRAM:
		out->steer_program = optarg;
		return 0;
	case OPT_HELP:
		print_help();
		return 1;
	case OPT_VERSION:
		printf("testfan " MILLRACE_VERSION "\n");
		return 1;
	default:
		fprintf(stderr, "testfan: see testfan --help\n");
		return -EINVAL;
	}
}

// Whether the options fit each other.
static int check(const struct options *o)
{
	const struct settings *s = &o->settings;

	if (!o->auto_start && (o->json || o->floor || o->toll)) {
		fprintf(stderr, "testfan: --%s: expected --auto-start beside it\n",
			o->json	   ? "json"
			: o->floor ? "floor"
				   : "toll");
		return -EINVAL;
	}
	if (o->toll && (s->nack == 0 || s->rate > 0 || s->load > 0 || o->floor)) {
		fprintf(stderr,
			"testfan: --toll: expected --nack, and no --rate, --load or --floor\n");
		return -EINVAL;
	}
	return 0;
}

int options_parse(int n_own, char **own, struct options *out)
{
	struct option table[MAX_SETTINGS + N_RUN_OPTIONS + 1];
	char wrong[SETTINGS_TEXT_BYTES];
	int id, at;

	*out = (struct options){ .duration_s = 5, .warmup_s = 1, .rounds = 3 };
	settings_init(&out->settings);
	make_table(table);
	optind = 1;
	while ((id = getopt_long(n_own, own, "h", table, &at)) != -1) {
		int rc = id >= OPT_SETTING && id < OPT_AUTO_START
				 ? set(out, table[at].name,
					   optarg ? optarg : bare_value(table[at].name))
				 : take(out, id == 'h' ? OPT_HELP : id);

		if (rc != 0)
			return rc == 1 ? 1 : 2;
	}
	if (optind < n_own) {
		fprintf(stderr, "testfan: expected options; found %s\n", own[optind]);
		return 2;
	}
	if (settings_check(&out->settings, wrong) < 0) {
		fprintf(stderr, "testfan: --%s\n", wrong);
		return 2;
	}
	return check(out) < 0 ? 2 : 0;
}

bool options_knows(const char *word)
{
	struct option table[MAX_SETTINGS + N_RUN_OPTIONS + 1];
	size_t chars = strcspn(word, "=");

	make_table(table);
	for (const struct option *o = table; o->name; o++)
		if (strncmp(word, "--", 2) == 0 && strlen(o->name) + 2 == chars &&
			strncmp(word + 2, o->name, chars - 2) == 0)
			return true;
	return false;
}
