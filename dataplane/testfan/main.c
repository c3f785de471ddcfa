// testfan: the workers of millrace-dataplane with encoders and viewers that are made up, to see
// what a machine can carry.
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/testfan/eal_start.h"
#include "dataplane/testfan/options.h"
#include "dataplane/testfan/prompt.h"
#include "dataplane/testfan/report.h"
#include "dataplane/testfan/rig.h"

enum {
	FLOOR_MS = 1000,
	MAX_ROUNDS = 99,
	MAX_WAITS = 300,
};

#define WAIT_S	 0.1
#define SETTLE_S 0.1 // longer than a viewer takes to ask

static volatile sig_atomic_t signalled;

static void on_signal(int number)
{
	signalled = 1;
}

static bool stop_asked(void)
{
	return signalled;
}

static void catch_signals(void)
{
	const struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

// On a machine that does other things too, a worker may get no time for a while.
static void await_samples(struct rig *rig)
{
	for (int i = 0; rig->check && i < MAX_WAITS && !check_reached_all(rig->check); i++)
		if (!rig_run_for(rig, WAIT_S, stop_asked))
			break;
}

// One run from start to stop.
static int run_once(struct rig *rig, const struct options *o, struct measure *out)
{
	int rc = rig_start(rig, &o->settings, stop_asked);

	if (rc == 0 && rig_run_for(rig, o->warmup_s, stop_asked)) {
		rig_clear(rig);
		rig_run_for(rig, o->duration_s, stop_asked);
		await_samples(rig);
	}
	rig_stop(rig);
	return rc < 0 ? rc : rig_measure(rig, out);
}

struct floors {
	struct floor_result fastest;
	double library_ns; // a packet
};

static int compare_floors(const void *a, const void *b)
{
	double x = ((const struct floors *)a)->fastest.ns_per_packet;
	double y = ((const struct floors *)b)->fastest.ns_per_packet;

	return (x > y) - (x < y);
}

// Of GCM there may be two ciphers, ours and the library's: the floor is the one that is faster
// here, whichever the engine has.
static int run_floors(const struct rig *rig, const struct options *o, struct floors *out)
{
	struct floor_result library;
	int rc = rig_floor(rig, &o->settings, false, FLOOR_MS, &out->fastest);

	library = out->fastest;
	if (rc == 0 && o->settings.profile != SRTP_PROFILE_CM80)
		rc = rig_floor(rig, &o->settings, true, FLOOR_MS, &library);
	if (rc < 0)
		return rc;
	out->library_ns = library.ns_per_packet;
	if (library.ns_per_packet < out->fastest.ns_per_packet)
		out->fastest = library;
	return 0;
}

static int compare_doubles(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

// A core's time a packet, source and all.
static double fan_ns(const struct measure *m)
{
	return m->seconds * 1e9 * m->n_workers / (double)m->sum.sealed_packets;
}

// Floor, fan-out, floor, fan-out and so on, a floor last: a core that gets faster or slower
// meanwhile does so for both.
static int run_rounds(
	struct rig *rig, const struct options *o, struct measure *m, struct ratio *ratio)
{
	struct floors floors[MAX_ROUNDS + 1];
	double fans[MAX_ROUNDS];
	int rc = run_floors(rig, o, &floors[0]);
	uint64_t n = 0;

	while (rc == 0 && n < o->rounds && !stop_asked()) {
		rc = run_once(rig, o, m);
		if (rc == 0 && m->sum.sealed_packets == 0)
			rc = -ENODATA;
		if (rc < 0)
			break;
		fans[n++] = fan_ns(m);
		rc = run_floors(rig, o, &floors[n]);
	}
	if (rc < 0 || n == 0) {
		fprintf(stderr, "testfan: --floor: %s\n", strerror(rc < 0 ? -rc : EINTR));
		return rc < 0 ? rc : -EINTR;
	}
	qsort(floors, n + 1, sizeof(floors[0]), compare_floors);
	qsort(fans, n, sizeof(fans[0]), compare_doubles);
	*ratio = (struct ratio){ .floor = floors[(n + 1) / 2].fastest,
		.library_ns = floors[(n + 1) / 2].library_ns,
		.fan_ns = fans[n / 2],
		.rounds = (unsigned int)n };
	ratio->ratio = ratio->floor.ns_per_packet / ratio->fan_ns;
	return 0;
}

static double median(double *values, uint64_t n)
{
	qsort(values, n, sizeof(*values), compare_doubles);
	return values[n / 2];
}

// A core's time a packet that is fanned out, resends and all that comes with them on top. It is the
// time that the workers had: what others took of their cores would hit one turn and not the next.
static int turn_ns(
	struct rig *rig, const struct options *o, bool deliver, struct measure *m, double *out)
{
	nack_deliver(rig->nack, deliver);
	if (!rig_run_for(rig, SETTLE_S, stop_asked))
		return -EINTR;
	rig_clear(rig);
	for (int i = 0; i == 0 || (i < MAX_WAITS && measure_fanned(m) == 0); i++) {
		if (!rig_run_for(rig, i ? WAIT_S : o->duration_s, stop_asked))
			return -EINTR;
		if (rig_measure(rig, m) < 0)
			return -ENODATA;
	}
	if (measure_fanned(m) == 0)
		return -ENODATA;
	*out = m->cpu_seconds * 1e9 / (double)measure_fanned(m);
	return 0;
}

// Without and with, in turns, without last: each time with is set off against those around it.
static int take_turns(
	struct rig *rig, const struct options *o, struct measure *m, struct toll *toll)
{
	double quiet[MAX_ROUNDS + 1], with[MAX_ROUNDS], fall[MAX_ROUNDS], resent[MAX_ROUNDS],
		over[MAX_ROUNDS];
	struct measure without;
	int rc = turn_ns(rig, o, false, &without, &quiet[0]);
	uint64_t n = 0;

	while (rc == 0 && n < o->rounds) {
		rc = turn_ns(rig, o, true, m, &with[n]);
		if (rc == 0)
			rc = turn_ns(rig, o, false, &without, &quiet[n + 1]);
		if (rc < 0)
			break;
		fall[n] = 1 - (quiet[n] + quiet[n + 1]) / 2 / with[n];
		resent[n] = (double)m->repair.resent / (double)measure_fanned(m);
		over[n] = fall[n] - resent[n];
		n++;
	}
	if (rc < 0)
		return rc;
	*toll = (struct toll){ .quiet_ns = median(quiet, n + 1),
		.nack_ns = median(with, n),
		.fall = median(fall, n),
		.resent = median(resent, n),
		.over = median(over, n),
		.rounds = (unsigned int)n };
	return 0;
}

// One run; so that it ends with figures of viewers that ask, the last turn is one more of these.
static int run_toll(struct rig *rig, const struct options *o, struct measure *m, struct toll *toll)
{
	int rc = rig_start(rig, &o->settings, stop_asked);
	double ns;

	if (rc == 0)
		rc = rig_run_for(rig, o->warmup_s, stop_asked) ? take_turns(rig, o, m, toll)
							       : -EINTR;
	if (rc == 0)
		rc = turn_ns(rig, o, true, m, &ns);
	rig_stop(rig);
	if (rc < 0)
		fprintf(stderr, "testfan: --toll: %s\n", strerror(-rc));
	return rc < 0 ? rc : rig_measure(rig, m);
}

static int judge(const struct rig *rig)
{
	struct check_result r;

	if (!rig->check)
		return 0;
	check_read(rig->check, &r);
	if (r.checked == 0)
		fprintf(stderr, "testfan: --verify: no packet was there to be checked\n");
	return r.checked == 0 || r.failed ? -EBADMSG : 0;
}

static int run_auto(struct rig *rig, const struct options *o)
{
	struct ratio ratio = {};
	struct toll toll = {};
	struct measure m;
	int rc = o->floor  ? run_rounds(rig, o, &m, &ratio)
		 : o->toll ? run_toll(rig, o, &m, &toll)
			   : run_once(rig, o, &m);

	if (rc < 0)
		return rc;
	if (o->json) {
		rc = report_json(rig, &m, &ratio, &toll, o->json_path);
	} else {
		report_forward(rig);
		if (rig->gauge)
			report_latency(rig);
		report_repair(rig);
		report_verify(rig);
		report_ratio(&ratio);
		report_toll(&toll);
	}
	return rc < 0 ? rc : judge(rig);
}

static bool asks_only(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 ||
	       strcmp(word, "--version") == 0;
}

// Where the EAL's arguments end and ours begin.
// Return: how many are the EAL's; -EINVAL an option of ours is among them, said on stderr.
static int split(int argc, char **argv)
{
	int n = 1;

	while (n < argc && strcmp(argv[n], "--") != 0)
		n++;
	if (n == 2 && argc == 2 && asks_only(argv[1]))
		return 1;
	for (int i = 1; i < n; i++) {
		if (!options_knows(argv[i]))
			continue;
		fprintf(stderr, "testfan: %s: expected behind --, which ends the EAL's options\n",
			argv[i]);
		return -EINVAL;
	}
	return n;
}

// Ours, with the program's name in place of "--".
static int parse_own(int argc, char **argv, int n_eal, struct options *out)
{
	char *alone[] = { argv[0], NULL };

	if (n_eal == argc)
		return options_parse(1, alone, out);
	if (asks_only(argv[n_eal]))
		return options_parse(argc, argv, out);
	argv[n_eal] = argv[0];
	return options_parse(argc - n_eal, argv + n_eal, out);
}

// The EAL's arguments go along, but none that names a device.
static int open_interface(struct rig *rig, int n_eal, char **eal, const struct options *o)
{
	uint16_t n_cores = o->n_cores ? o->n_cores : 1;
	unsigned int mib = eal_memory_mib(n_cores);
	char further[CONF_TEXT_MAX + 32] = "--dataplane-eal=", cores[128] = "--dataplane-cores=";
	char interface[CONF_TEXT_MAX + 32], steer[PATH_MAX + 32], memory[64];
	static const char *const sums[] = { "auto", "offload", "software", "zero" };
	char checksum[64], *args[] = { interface, memory, further, cores, checksum, steer };
	size_t used = strlen(further);

	snprintf(interface, sizeof(interface), "--dataplane-interface=%s", o->interface);
	snprintf(memory, sizeof(memory), "--dataplane-memory-mib=%u", mib);
	for (int i = 1; i < n_eal && used < sizeof(further); i++)
		used += (size_t)snprintf(further + used, sizeof(further) - used, "%s ", eal[i]);
	if (!strstr(further, "--no-huge") && eal_lacks_huge_pages(mib) && used < sizeof(further))
		used += (size_t)snprintf(further + used, sizeof(further) - used, "--no-huge");
	if (used >= sizeof(further))
		return -E2BIG;
	used = strlen(cores);
	for (uint16_t i = 0; i < n_cores; i++)
		used += (size_t)snprintf(cores + used, sizeof(cores) - used, "%s%u", i ? "," : "",
			o->n_cores ? o->cores[i] : 1u);
	snprintf(checksum, sizeof(checksum), "--dataplane-udp-checksum=%s", sums[o->checksum]);
	snprintf(steer, sizeof(steer), "--dataplane-steer-program=%s",
		o->steer_program ? o->steer_program : "");
	return rig_open_interface(rig, args, o->steer_program ? 6 : 5);
}

static int open_rig(struct rig *rig, int n_eal, char **eal, const struct options *o)
{
	int rc;

	if (o->interface)
		return open_interface(rig, n_eal, eal, o);
	rc = eal_start(n_eal, eal, o->cores, o->n_cores);
	return rc < 0 ? rc : rig_open(rig, o->checksum);
}

int main(int argc, char **argv)
{
	static struct rig rig;
	struct options o;
	int n_eal, rc;

	n_eal = split(argc, argv);
	if (n_eal < 0)
		return 2;
	rc = parse_own(argc, argv, n_eal, &o);
	if (rc != 0)
		return rc == 1 ? EXIT_SUCCESS : rc;
	catch_signals();
	rc = open_rig(&rig, n_eal, argv, &o);
	if (rc == 0)
		rc = o.auto_start ? run_auto(&rig, &o) : prompt_run(&rig, &o.settings, stop_asked);
	rig_stop(&rig);
	rig_close(&rig);
	return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
