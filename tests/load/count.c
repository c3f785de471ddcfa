// millrace-count: puts count.bpf.c on an interface for as long as it lives, and prints what was
// counted, one JSON object for each line read from stdin. Ends with stdin.
#include <errno.h>
#include <getopt.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include "tests/load/count.h"

static const char help[] =
	"usage: millrace-count --program FILE --interface NAME [OPTION...]\n"
	"\n"
	"Counts the RTP that arrives at an interface, by UDP port and payload type, before it "
	"gets\n"
	"to a socket, and drops it; other packets pass. For each line on stdin it prints one JSON\n"
	"object on one line, counted from the start. It ends, and takes the program off, when "
	"stdin\n"
	"ends.\n"
	"\n"
	"  --program FILE     count.o\n"
	"  --interface NAME   where the packets arrive\n"
	"  --port N           UDP port they come from (default 8189)\n"
	"  --video N          payload types (defaults 96 and 111)\n"
	"  --audio N\n"
	"  --every MS         let RTP pass to the sockets for --open ms in every so many "
	"(defaults\n"
	"  --open MS          1000 and 5)\n"
	"  --mode native|skb  where it runs: in the driver (default), or on the kernel's own "
	"packets\n";

struct counter {
	struct bpf_object *object;
	int ports_fd;
	int link_fd;
	int n_cpus;
	struct count_port *at_cpus; // of one port, one each CPU
};

static void die(const char *what, const char *why)
{
	fprintf(stderr, "millrace-count: %s: %s\n", what, why);
	exit(1);
}

struct count_options {
	const char *program, *interface;
	struct count_conf conf;
	unsigned int mode;
};

static unsigned long number(const char *what, const char *text, unsigned long most)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (end == text || *end || value > most)
		die(what, text);
	return value;
}

static unsigned int read_mode(const char *text)
{
	if (strcmp(text, "native") == 0)
		return XDP_FLAGS_DRV_MODE;
	if (strcmp(text, "skb") == 0)
		return XDP_FLAGS_SKB_MODE;
	die("--mode", text);
	return 0;
}

static void read_options(int argc, char **argv, struct count_options *o)
{
	static const struct option known[] = {
		{ "program", required_argument, NULL, 'p' },
		{ "interface", required_argument, NULL, 'i' },
		{ "port", required_argument, NULL, 'P' },
		{ "video", required_argument, NULL, 'v' },
		{ "audio", required_argument, NULL, 'a' },
		{ "every", required_argument, NULL, 'e' },
		{ "open", required_argument, NULL, 'o' },
		{ "mode", required_argument, NULL, 'm' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	int id;

	*o = (struct count_options){ .mode = XDP_FLAGS_DRV_MODE,
		.conf = { .every_ns = 1000000000,
			.open_ns = 5000000,
			.media_port = 8189,
			.payload_types = { 96, 111 } } };
	while ((id = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		if (id == 'p')
			o->program = optarg;
		else if (id == 'i')
			o->interface = optarg;
		else if (id == 'P')
			o->conf.media_port = (__u16)number("--port", optarg, 65535);
		else if (id == 'v')
			o->conf.payload_types[COUNT_VIDEO] = (__u8)number("--video", optarg, 127);
		else if (id == 'a')
			o->conf.payload_types[COUNT_AUDIO] = (__u8)number("--audio", optarg, 127);
		else if (id == 'e')
			o->conf.every_ns = number("--every", optarg, 3600000) * 1000000;
		else if (id == 'o')
			o->conf.open_ns = number("--open", optarg, 3600000) * 1000000;
		else if (id == 'm')
			o->mode = read_mode(optarg);
		else if (id == 'h') {
			fputs(help, stdout);
			exit(0);
		} else
			exit(2);
	}
	if (!o->program || !o->interface || optind < argc)
		die("--program and --interface were expected", "see --help");
}

static void attach(struct counter *c, const struct count_options *o)
{
	DECLARE_LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = o->mode);
	struct bpf_program *program;
	__u32 zero = 0;
	int conf_fd;

	c->object = bpf_object__open_file(o->program, NULL);
	if (!c->object || bpf_object__load(c->object) < 0)
		die(o->program, strerror(errno));
	program = bpf_object__find_program_by_name(c->object, COUNT_PROG_NAME);
	conf_fd = bpf_object__find_map_fd_by_name(c->object, COUNT_MAP_CONF);
	c->ports_fd = bpf_object__find_map_fd_by_name(c->object, COUNT_MAP_PORTS);
	if (!program || conf_fd < 0 || c->ports_fd < 0)
		die(o->program, "not count.o");
	if (bpf_map_update_elem(conf_fd, &zero, &o->conf, BPF_ANY) < 0)
		die("configuration", strerror(errno));
	c->n_cpus = libbpf_num_possible_cpus();
	c->at_cpus = c->n_cpus > 0 ? calloc((size_t)c->n_cpus, sizeof(*c->at_cpus)) : NULL;
	if (!c->at_cpus)
		die("memory", "none");
	// A link goes with the process, however that ends.
	c->link_fd = bpf_link_create(
		bpf_program__fd(program), (int)if_nametoindex(o->interface), BPF_XDP, &opts);
	if (c->link_fd < 0)
		die(o->interface, strerror(errno));
}

static void sum_up(const struct counter *c, struct count_port *sum)
{
	*sum = (struct count_port){};
	for (int cpu = 0; cpu < c->n_cpus; cpu++) {
		for (int kind = 0; kind < COUNT_KINDS; kind++)
			sum->packets[kind] += c->at_cpus[cpu].packets[kind];
		sum->bytes += c->at_cpus[cpu].bytes;
		sum->passed += c->at_cpus[cpu].passed;
	}
}

static void print_counts(const struct counter *c)
{
	struct timespec now;
	const char *comma = "";

	clock_gettime(CLOCK_MONOTONIC, &now);
	printf("{\"ns\":%lld,\"ports\":{",
		(long long)now.tv_sec * 1000000000 + (long long)now.tv_nsec);
	for (__u32 port = 0; port < COUNT_PORTS; port++) {
		struct count_port sum;

		if (bpf_map_lookup_elem(c->ports_fd, &port, c->at_cpus) < 0)
			continue;
		sum_up(c, &sum);
		if (!sum.bytes && !sum.packets[COUNT_RTCP])
			continue;
		printf("%s\"%u\":{\"video\":%llu,\"audio\":%llu,\"other\":%llu,\"rtcp\":%llu,"
		       "\"bytes\":%llu,\"passed\":%llu}",
			comma, port, sum.packets[COUNT_VIDEO], sum.packets[COUNT_AUDIO],
			sum.packets[COUNT_OTHER_RTP], sum.packets[COUNT_RTCP], sum.bytes,
			sum.passed);
		comma = ",";
	}
	printf("}}\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct count_options options;
	struct counter counter = {};
	char line[64];

	read_options(argc, argv, &options);
	attach(&counter, &options);
	printf("{\"attached\":true}\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		print_counts(&counter);
	free(counter.at_cpus);
	bpf_object__close(counter.object);
	return 0;
}
