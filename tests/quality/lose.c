// millrace-lose: puts lose.bpf.c on an interface for as long as it lives. Takes one command a line
// on stdin, answers each with one line of JSON, and ends with stdin.
#include <errno.h>
#include <getopt.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include "tests/quality/lose.h"

enum {
	MAX_BURST_MS = 10000,
};

static const char help[] =
	"usage: millrace-lose --program FILE --interface NAME [OPTION...]\n"
	"\n"
	"Loses packets that come from the edge's media port, before they get to a socket. It ends, "
	"and\n"
	"takes the program off, when stdin ends. Lines on stdin:\n"
	"\n"
	"  loss N     lose N of a thousand, each by itself (0 at first)\n"
	"  burst MS   lose all from now on, for so long (at most 10000)\n"
	"  count      nothing new\n"
	"\n"
	"Each is answered with what was seen and lost since the start, and the time at which the\n"
	"command took effect (CLOCK_REALTIME, ns).\n"
	"\n"
	"  --program FILE    lose.o\n"
	"  --interface NAME  where the packets arrive\n"
	"  --port N          UDP port they come from (default 8189)\n"
	"  --all             lose STUN and DTLS too, not RTP and RTCP alone\n";

static const char *const kinds[] = { "rtp", "rtcp", "other" };

struct loser {
	struct bpf_object *object;
	struct lose_conf conf;
	int conf_fd;
	int count_fd;
	int n_cpus;
	struct lose_count *at_cpus;
};

static void die(const char *what, const char *why)
{
	fprintf(stderr, "millrace-lose: %s: %s\n", what, why);
	exit(1);
}

static long long now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (long long)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool read_number(const char *text, unsigned long most, unsigned long *out)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (end == text || *end || value > most)
		return false;
	*out = value;
	return true;
}

struct lose_options {
	const char *program, *interface;
};

static void read_options(int argc, char **argv, struct lose_options *o, struct lose_conf *conf)
{
	static const struct option known[] = {
		{ "program", required_argument, NULL, 'p' },
		{ "interface", required_argument, NULL, 'i' },
		{ "port", required_argument, NULL, 'P' },
		{ "all", no_argument, NULL, 'a' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	unsigned long port = 8189;
	int id;

	*o = (struct lose_options){};
	*conf = (struct lose_conf){ .spare = { [LOSE_OTHER] = 1 } };
	while ((id = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		if (id == 'p')
			o->program = optarg;
		else if (id == 'i')
			o->interface = optarg;
		else if (id == 'P') {
			if (!read_number(optarg, 65535, &port))
				die("--port", optarg);
		} else if (id == 'a')
			conf->spare[LOSE_OTHER] = 0;
		else if (id == 'h') {
			fputs(help, stdout);
			exit(0);
		} else
			exit(2);
	}
	conf->media_port = (__u16)port;
	if (!o->program || !o->interface || optind < argc)
		die("--program and --interface were expected", "see --help");
}

static void publish(const struct loser *l)
{
	__u32 zero = 0;

	if (bpf_map_update_elem(l->conf_fd, &zero, &l->conf, BPF_ANY) < 0)
		die("configuration", strerror(errno));
}

static void attach(struct loser *l, const struct lose_options *o)
{
	DECLARE_LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);
	struct bpf_program *program;

	l->object = bpf_object__open_file(o->program, NULL);
	if (!l->object || bpf_object__load(l->object) < 0)
		die(o->program, strerror(errno));
	program = bpf_object__find_program_by_name(l->object, LOSE_PROG_NAME);
	l->conf_fd = bpf_object__find_map_fd_by_name(l->object, LOSE_MAP_CONF);
	l->count_fd = bpf_object__find_map_fd_by_name(l->object, LOSE_MAP_COUNT);
	if (!program || l->conf_fd < 0 || l->count_fd < 0)
		die(o->program, "not lose.o");
	publish(l);
	l->n_cpus = libbpf_num_possible_cpus();
	l->at_cpus = l->n_cpus > 0 ? calloc((size_t)l->n_cpus, sizeof(*l->at_cpus)) : NULL;
	if (!l->at_cpus)
		die("memory", "none");
	// A link goes with the process, however that ends.
	if (bpf_link_create(bpf_program__fd(program), (int)if_nametoindex(o->interface), BPF_XDP,
		    &opts) < 0)
		die(o->interface, strerror(errno));
}

static void print_kinds(const char *name, const __u64 *counts)
{
	printf(",\"%s\":{", name);
	for (int kind = 0; kind < LOSE_KINDS; kind++)
		printf("%s\"%s\":%llu", kind ? "," : "", kinds[kind],
			(unsigned long long)counts[kind]);
	printf("}");
}

static void answer(const struct loser *l)
{
	struct lose_count sum = {};
	__u32 zero = 0;

	if (bpf_map_lookup_elem(l->count_fd, &zero, l->at_cpus) < 0)
		die("counters", strerror(errno));
	for (int cpu = 0; cpu < l->n_cpus; cpu++) {
		for (int kind = 0; kind < LOSE_KINDS; kind++) {
			sum.seen[kind] += l->at_cpus[cpu].seen[kind];
			sum.lost[kind] += l->at_cpus[cpu].lost[kind];
			sum.burst[kind] += l->at_cpus[cpu].burst[kind];
		}
	}
	printf("{\"event\":\"count\",\"at_ns\":%lld,\"permille\":%u", now_ns(CLOCK_REALTIME),
		l->conf.permille);
	print_kinds("seen", sum.seen);
	print_kinds("lost", sum.lost);
	print_kinds("burst", sum.burst);
	printf("}\n");
	fflush(stdout);
}

static void obey(struct loser *l, char *line)
{
	unsigned long number;

	line[strcspn(line, "\n")] = 0;
	if (strncmp(line, "loss ", 5) == 0 && read_number(line + 5, 1000, &number)) {
		l->conf.permille = (__u32)number;
		publish(l);
	} else if (strncmp(line, "burst ", 6) == 0 &&
		   read_number(line + 6, MAX_BURST_MS, &number)) {
		l->conf.burst_until_ns = (__u64)now_ns(CLOCK_MONOTONIC) + (__u64)number * 1000000;
		publish(l);
	} else if (strcmp(line, "count") != 0) {
		die("command", line);
	}
	answer(l);
}

int main(int argc, char **argv)
{
	struct lose_options options;
	struct loser loser = {};
	char line[64];

	read_options(argc, argv, &options, &loser.conf);
	attach(&loser, &options);
	printf("{\"event\":\"attached\"}\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		obey(&loser, line);
	free(loser.at_cpus);
	bpf_object__close(loser.object);
	return 0;
}
