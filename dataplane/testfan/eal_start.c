#include "dataplane/testfan/eal_start.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>

#include "dataplane/abi/region.h"

enum {
	MAX_ARGS = 96,
	BASE_MIB = 96,
	WORKER_MIB = 56, // PORT_POOL_MBUFS of 2 KiB and what goes with them
};

struct args {
	int argc;
	char *argv[MAX_ARGS + 1];
	bool full;
};

static void __attribute__((format(printf, 2, 3))) add(struct args *a, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (!text || a->argc == MAX_ARGS) {
		a->full = true;
		free(text);
		return;
	}
	a->argv[a->argc++] = text;
}

// Whether one of the options was given, as "--vdev X", "--vdev=X", "-l X" or "-lX".
static bool has(const struct args *a, const char *const *options)
{
	for (; *options; options++) {
		bool is_long = (*options)[1] == '-';

		for (int i = 1; i < a->argc; i++) {
			size_t chars = strlen(*options);
			const char *arg = a->argv[i];

			if (strncmp(arg, *options, chars) == 0 &&
				(!is_long || arg[chars] == '=' || arg[chars] == '\0'))
				return true;
		}
	}
	return false;
}

#define HAS(a, ...) has(a, (const char *const[]){ __VA_ARGS__, NULL })

static void add_lcores(struct args *a, const uint16_t *cores, uint16_t n_cores)
{
	char all[1024] = "", map[1024] = "";
	size_t used = 0;
	cpu_set_t set;

	CPU_ZERO(&set);
	sched_getaffinity(0, sizeof(set), &set);
	for (int cpu = 0; cpu < CPU_SETSIZE && used + 8 < sizeof(all); cpu++)
		if (CPU_ISSET(cpu, &set))
			used += (size_t)snprintf(
				all + used, sizeof(all) - used, "%s%d", used ? "," : "", cpu);
	used = 0;
	for (uint16_t i = 0; i < n_cores; i++)
		used += (size_t)snprintf(
			map + used, sizeof(map) - used, ",%u@%u", i + 1u, cores[i]);
	add(a, "--lcores=0@(%s)%s", all, map);
}

static unsigned long long free_huge_mib(void)
{
	unsigned long long total = 0, pages;
	const struct {
		const char *path;
		unsigned int mib;
	} sizes[] = {
		{ "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", 2 },
		{ "/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", 1024 },
	};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		FILE *f = fopen(sizes[i].path, "r");

		if (f && fscanf(f, "%llu", &pages) == 1)
			total += pages * sizes[i].mib;
		if (f)
			fclose(f);
	}
	return total;
}

unsigned int eal_memory_mib(uint16_t n_workers)
{
	return BASE_MIB + n_workers * (unsigned int)WORKER_MIB;
}

bool eal_lacks_huge_pages(unsigned int mib)
{
	bool root = geteuid() == 0;

	if (root && free_huge_mib() >= mib)
		return false;
	fprintf(stderr,
		"testfan: %s: running without, slower than a machine that has them (as root: "
		"sysctl vm.nr_hugepages=%u)\n",
		root ? "too few huge pages are free" : "huge pages need root", mib);
	return true;
}

static void add_memory(struct args *a, uint16_t n_workers)
{
	unsigned int mib = eal_memory_mib(n_workers);
	bool no_huge = HAS(a, "--no-huge");

	if (!no_huge && !HAS(a, "--in-memory", "--huge-dir", "--file-prefix", "--proc-type",
				"--huge-unlink", "--socket-mem", "--legacy-mem")) {
		no_huge = eal_lacks_huge_pages(mib);
		add(a, no_huge ? "--no-huge" : "--in-memory");
	}
	if (no_huge && !HAS(a, "--no-shconf"))
		add(a, "--no-shconf");
	if (!HAS(a, "-m", "--socket-mem"))
		add(a, "-m%u", mib);
}

static void add_defaults(struct args *a, const uint16_t *cores, uint16_t n_cores)
{
	const uint16_t one[] = { sysconf(_SC_NPROCESSORS_ONLN) > 1 };
	bool placed = HAS(a, "-l", "-c", "--lcores", "-s", "-S");
	long n_workers = placed ? sysconf(_SC_NPROCESSORS_ONLN) : n_cores ? n_cores : 1;

	if (!placed)
		add_lcores(a, n_cores ? cores : one, n_cores ? n_cores : 1);
	if (n_workers > REGION_MAX_WORKERS)
		n_workers = REGION_MAX_WORKERS;
	add_memory(a, (uint16_t)n_workers);
	if (!HAS(a, "--vdev", "-a", "--allow", "-b", "--block")) {
		add(a, "--no-pci");
		add(a, "--vdev=net_null0,no-rx=1");
	}
	if (!HAS(a, "--telemetry", "--no-telemetry"))
		add(a, "--no-telemetry");
	if (!HAS(a, "--iova-mode"))
		add(a, "--iova-mode=va");
	if (!HAS(a, "--log-level")) {
		add(a, "--log-level=warning");
		add(a, "--log-level=lib.eal:error");
	}
}

int eal_start(int argc, char **argv, const uint16_t *cores, uint16_t n_cores)
{
	struct args a = {};
	char *moved[MAX_ARGS + 1]; // the EAL moves them about
	int rc = 0;

	for (int i = 0; i < argc; i++)
		add(&a, "%s", argv[i]);
	if (n_cores && HAS(&a, "-l", "-c", "--lcores", "-s", "-S")) {
		fprintf(stderr, "testfan: --cores: expected it or the EAL's -l, found both\n");
		rc = -EINVAL;
	}
	add_defaults(&a, cores, n_cores);
	if (rc == 0 && a.full)
		rc = -E2BIG;
	memcpy(moved, a.argv, sizeof(moved));
	if (rc == 0 && rte_eal_init(a.argc, moved) < 0) {
		rc = -rte_errno;
		fprintf(stderr, "testfan: DPDK does not start: %s; it was given:", strerror(-rc));
		for (int i = 1; i < a.argc; i++)
			fprintf(stderr, " %s", a.argv[i]);
		fputc('\n', stderr);
	}
	for (int i = 0; i < a.argc; i++)
		free(a.argv[i]);
	return rc;
}
