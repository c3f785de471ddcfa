#include "tests/load/options.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
	"usage: millrace-load --url URL [OPTION...]\n"
	"\n"
	"Joins real WHEP viewers to one stream and checks what they are sent: every answer, every\n"
	"packet's header, and with --verify every packet opened with libsrtp2. All viewers live "
	"in\n"
	"this one process and thread. Exit status: 0 no fault, 1 faults (named in the output), 2 "
	"the\n"
	"command line.\n"
	"\n"
	"  --url URL            WHEP endpoint, such as http://198.18.77.1:8080/whep/live\n"
	"  --viewers N          viewers that join in all (default 1)\n"
	"  --join-rate R        so many a second; 0: all at once (default 100)\n"
	"  --seconds S          goes on for S after the last has joined (default 5)\n"
	"  --stay S             each viewer leaves S after its keys are there, so that viewers "
	"come\n"
	"                       and go; without it they stay to the end\n"
	"  --setup-limit S      from POST to keys; longer is a fault (default 20)\n"
	"  --profile P          gcm128 (default), cm80, or mixed: viewers take turns\n"
	"  --verify[=all|sample|none|K]\n"
	"                       who opens its packets with libsrtp2: everybody (default), one "
	"viewer\n"
	"                       of 16, nobody, one of K. Headers, numbers and timestamps, which "
	"are\n"
	"                       in clear, are checked for all. Debian's libsrtp2 computes with "
	"NSS\n"
	"                       and is slow with many keys: 2 to 24 us a packet with GCM, 8 to "
	"190\n"
	"                       us with CM-SHA1 (5000 keys). If the receive queues overflow, this\n"
	"                       program was too slow, not the edge: it says client_overrun, and\n"
	"                       sample is the remedy\n"
	"  --leave HOW          delete (default), close (DTLS close_notify), vanish\n"
	"  --connections N      HTTP connections at one time (default 256)\n"
	"  --fresh              a new connection for each request\n"
	"  --no-media           the stream has no encoder: silence is no fault; it is one of a "
	"viewer\n"
	"                       that stayed two seconds and had no packet\n"
	"  --sampled            somebody before us lets only pieces of the media through: gaps are "
	"no\n"
	"                       faults but counted, and sender reports' counts are not compared\n"
	"  --expect CODE=N,...  answers to POST that must come, such as 201=100,503=900\n"
	"  --json               the result as one JSON object on stdout\n"
	"  --quiet              no line of progress\n"
	"\n"
	"Many viewers need many file descriptors: the limit is raised as far as it goes.\n";

enum option_id {
	OPT_URL = 256,
	OPT_VIEWERS,
	OPT_RATE,
	OPT_SECONDS,
	OPT_STAY,
	OPT_SETUP,
	OPT_PROFILE,
	OPT_VERIFY,
	OPT_LEAVE,
	OPT_CONNECTIONS,
	OPT_FRESH,
	OPT_NO_MEDIA,
	OPT_SAMPLED,
	OPT_EXPECT,
	OPT_JSON,
	OPT_QUIET,
	OPT_HELP,
};

static const struct option known[] = {
	{ "url", required_argument, NULL, OPT_URL },
	{ "viewers", required_argument, NULL, OPT_VIEWERS },
	{ "join-rate", required_argument, NULL, OPT_RATE },
	{ "seconds", required_argument, NULL, OPT_SECONDS },
	{ "stay", required_argument, NULL, OPT_STAY },
	{ "setup-limit", required_argument, NULL, OPT_SETUP },
	{ "profile", required_argument, NULL, OPT_PROFILE },
	{ "verify", optional_argument, NULL, OPT_VERIFY },
	{ "leave", required_argument, NULL, OPT_LEAVE },
	{ "connections", required_argument, NULL, OPT_CONNECTIONS },
	{ "fresh", no_argument, NULL, OPT_FRESH },
	{ "no-media", no_argument, NULL, OPT_NO_MEDIA },
	{ "sampled", no_argument, NULL, OPT_SAMPLED },
	{ "expect", required_argument, NULL, OPT_EXPECT },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "quiet", no_argument, NULL, OPT_QUIET },
	{ "help", no_argument, NULL, OPT_HELP },
	{},
};

static void die(const char *what, const char *got)
{
	fprintf(stderr, "millrace-load: %s: %s; see --help\n", what, got);
	exit(2);
}

static double read_number(const char *what, const char *text, double least, double most)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= least && value <= most))
		die(what, text);
	return value;
}

// Index of word in the list "a|b|c".
static unsigned int read_word(const char *what, const char *text, const char *const *words)
{
	for (unsigned int i = 0; words[i]; i++)
		if (strcmp(words[i], text) == 0)
			return i;
	die(what, text);
	return 0;
}

static uint32_t read_verify(const char *text)
{
	if (!text || strcmp(text, "all") == 0)
		return 1;
	if (strcmp(text, "sample") == 0)
		return 16;
	if (strcmp(text, "none") == 0)
		return 0;
	return (uint32_t)read_number("--verify", text, 1, 1e6);
}

static void read_expect(const char *text, struct load_options *o)
{
	const char *at = text;
	unsigned int status;
	uint32_t answers;
	int used;

	while (*at) {
		if (o->n_expect == OPTIONS_EXPECT_MAX ||
			sscanf(at, "%3u=%u%n", &status, &answers, &used) != 2 || used == 0)
			die("--expect", text);
		o->expect[o->n_expect++] = (struct load_expect){ status, answers };
		at += used;
		if (*at == ',')
			at++;
	}
}

static void read_origin(struct load_options *o)
{
	const char *host, *path;

	if (!o->url || strncmp(o->url, "http://", 7) != 0)
		die("--url: http://HOST:PORT/PATH was expected", o->url ? o->url : "none given");
	host = o->url + 7;
	path = strchr(host, '/');
	if (!path || path == host || (size_t)(path - o->url) >= sizeof(o->origin))
		die("--url: http://HOST:PORT/PATH was expected", o->url);
	memcpy(o->origin, o->url, (size_t)(path - o->url));
}

static void read_one(int id, const char *arg, struct load_options *o)
{
	static const char *const profiles[] = { "gcm128", "cm80", "mixed", NULL };
	static const char *const leaves[] = { "delete", "close", "vanish", NULL };

	switch (id) {
	case OPT_URL:
		o->url = arg;
		break;
	case OPT_VIEWERS:
		o->viewers = (uint32_t)read_number("--viewers", arg, 1, 1e7);
		break;
	case OPT_RATE:
		o->join_rate = read_number("--join-rate", arg, 0, 1e6);
		break;
	case OPT_SECONDS:
		o->seconds = read_number("--seconds", arg, 0, 1e6);
		break;
	case OPT_STAY:
		o->stay = read_number("--stay", arg, 0.001, 1e6);
		break;
	case OPT_SETUP:
		o->setup_s = read_number("--setup-limit", arg, 0.1, 600);
		break;
	case OPT_PROFILE:
		o->profile = read_word("--profile", arg, profiles);
		break;
	case OPT_VERIFY:
		o->verify_every = read_verify(arg);
		break;
	case OPT_LEAVE:
		o->leave = read_word("--leave", arg, leaves);
		break;
	case OPT_CONNECTIONS:
		o->connections = (uint32_t)read_number("--connections", arg, 1, 60000);
		break;
	case OPT_EXPECT:
		read_expect(arg, o);
		break;
	case OPT_FRESH:
	case OPT_NO_MEDIA:
	case OPT_SAMPLED:
	case OPT_JSON:
	case OPT_QUIET:
		*(id == OPT_FRESH	     ? &o->fresh
			: id == OPT_NO_MEDIA ? &o->no_media
			: id == OPT_SAMPLED  ? &o->sampled
			: id == OPT_JSON     ? &o->json
					     : &o->quiet) = true;
		break;
	case OPT_HELP:
		fputs(help, stdout);
		exit(0);
	default:
		exit(2); // getopt has said why
	}
}

void options_read(int argc, char **argv, struct load_options *o)
{
	int id;

	*o = (struct load_options){ .viewers = 1,
		.join_rate = 100,
		.seconds = 5,
		.setup_s = 20,
		.verify_every = 1,
		.connections = 256 };
	while ((id = getopt_long(argc, argv, "h", known, NULL)) != -1)
		read_one(id == 'h' ? OPT_HELP : id, optarg, o);
	if (optind < argc)
		die("what is this", argv[optind]);
	read_origin(o);
}
