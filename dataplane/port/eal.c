#include "dataplane/port/eal.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Once an argument failed, the rest are passed over; the maker looks at the end.
static int __attribute__((format(printf, 2, 3))) add(struct eal_args *a, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (a->argc >= EAL_MAX_ARGS)
		return -E2BIG;
	va_start(ap, fmt);
	n = vasprintf(&a->argv[a->argc], fmt, ap);
	va_end(ap);
	if (n < 0) {
		a->argv[a->argc] = NULL;
		return -ENOMEM;
	}
	a->argc++;
	return 0;
}

// Every CPU that this process may use, as EAL writes sets: "(0,1,5)".
static void cpu_set_text(char *out, size_t cap)
{
	cpu_set_t set;
	size_t used = 1;

	CPU_ZERO(&set);
	sched_getaffinity(0, sizeof(set), &set);
	out[0] = '(';
	for (int cpu = 0; cpu < CPU_SETSIZE && used + 8 < cap; cpu++)
		if (CPU_ISSET(cpu, &set))
			used += (size_t)snprintf(out + used, cap - used, "%d,", cpu);
	out[used - 1] = ')';
	out[used] = 0;
}

// The main thread floats; worker i is lcore i + 1, bound to its core.
static int add_lcores(struct eal_args *a, const struct conf *conf)
{
	char all[1024], map[2048];
	int used;

	cpu_set_text(all, sizeof(all));
	used = snprintf(map, sizeof(map), "0@%s", all);
	for (unsigned int i = 0; i < conf->dataplane.n_cores; i++)
		used += snprintf(map + used, sizeof(map) - (size_t)used, ",%u@%u", i + 1,
			conf->dataplane.cores[i]);
	return add(a, "--lcores=%s", map);
}

static int add_af_xdp(struct eal_args *a, const struct conf *conf, unsigned int n_queues)
{
	int rc = add(a, "--no-pci");

	for (unsigned int q = 0; rc == 0 && q < n_queues; q++)
		rc = add(a,
			"--vdev=net_af_xdp%u,iface=%s,start_queue=%u,queue_count=1,busy_budget=0,"
			"xdp_prog=%s",
			q, conf->dataplane.interface, q, conf->dataplane.steer_program);
	return rc;
}

// A device with a colon is a PCI address, anything else a virtual device with its arguments.
static int add_device(struct eal_args *a, const struct conf *conf)
{
	const char *device = conf->dataplane.device;
	size_t name_chars = strcspn(device, ",");
	int rc;

	if (memchr(device, ':', name_chars))
		return add(a, "--allow=%s", device);
	rc = add(a, "--no-pci");
	return rc < 0 ? rc : add(a, "--vdev=%s", device);
}

static int add_further(struct eal_args *a, const char *further)
{
	int rc = 0;

	while (rc == 0) {
		size_t chars;

		further += strspn(further, " ");
		chars = strcspn(further, " ");
		if (chars == 0)
			break;
		rc = add(a, "%.*s", (int)chars, further);
		further += chars;
	}
	return rc;
}

int eal_args_make(const struct conf *conf, unsigned int n_queues, struct eal_args *out)
{
	int rc = 0;

	memset(out, 0, sizeof(*out));
	rc = add(out, "millrace-dataplane");
	// Nothing of ours stays in the file system: no hugetlbfs files, no run-time directory.
	// Without huge pages the EAL wants that said otherwise.
	rc = rc < 0 ? rc
		    : add(out, strstr(conf->dataplane.eal, "--no-huge") ? "--no-shconf"
									: "--in-memory");
	rc = rc < 0 ? rc : add(out, "--no-telemetry");
	// One contiguous pool is what AF_XDP registers; physical addresses would split it.
	rc = rc < 0 ? rc : add(out, "--iova-mode=va");
	rc = rc < 0 ? rc : add(out, "--log-level=warning");
	// Its notes on huge page sizes that nobody asked for alarm for nothing.
	rc = rc < 0 ? rc : add(out, "--log-level=lib.eal:error");
	rc = rc < 0 ? rc : add(out, "-m%u", conf->dataplane.memory_mib);
	rc = rc < 0 ? rc : add_lcores(out, conf);
	if (rc == 0)
		rc = conf->dataplane.interface[0] ? add_af_xdp(out, conf, n_queues)
						  : add_device(out, conf);
	return rc < 0 ? rc : add_further(out, conf->dataplane.eal);
}

void eal_args_fini(struct eal_args *a)
{
	for (int i = 0; i < a->argc; i++)
		free(a->argv[i]);
	memset(a, 0, sizeof(*a));
}
