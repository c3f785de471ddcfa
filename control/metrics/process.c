// Facts of this process, under the names that Prometheus' own client libraries use.
#include <stdbool.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "control/metrics/priv/exposition.h"
#include "control/metrics/priv/parts.h"

static double seconds_of(const struct timeval *t)
{
	return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

// Return: CPU seconds, in user and kernel.
static double cpu_seconds(void)
{
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage) < 0)
		return 0;
	return seconds_of(&usage.ru_utime) + seconds_of(&usage.ru_stime);
}

// The second number of /proc/self/statm, in bytes; 0 unknown.
static double resident_bytes(void)
{
	FILE *statm = fopen("/proc/self/statm", "re");
	unsigned long total, resident = 0;

	if (!statm)
		return 0;
	if (fscanf(statm, "%lu %lu", &total, &resident) != 2)
		resident = 0;
	fclose(statm);
	return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

// Field 22 of /proc/self/stat: clock ticks from the boot of the machine to the start.
static bool start_ticks(unsigned long long *out)
{
	FILE *stat = fopen("/proc/self/stat", "re");
	bool found;

	if (!stat)
		return false;
	// The name, in parentheses, is ours: no blank or parenthesis is in it.
	found = fscanf(stat,
			"%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
			"%*d %*d %*d %llu",
			out) == 1;
	fclose(stat);
	return found;
}

// Return: when the process began, since 1970; 0 unknown.
static double start_seconds(void)
{
	struct timespec now, up;
	unsigned long long ticks;

	if (!start_ticks(&ticks))
		return 0;
	clock_gettime(CLOCK_REALTIME, &now);
	clock_gettime(CLOCK_BOOTTIME, &up);
	return (double)(now.tv_sec - up.tv_sec) + (double)(now.tv_nsec - up.tv_nsec) / 1e9 +
	       (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

void metrics_write_process(FILE *out)
{
	static const struct metric build = METRIC_TELLS(
		"millrace_build_info", "Always 1; the version of control.", "version");
	static const struct metric cpu = METRIC_COUNTS(
		"process_cpu_seconds_total", "CPU time in user and kernel.");
	static const struct metric resident = METRIC_TELLS(
		"process_resident_memory_bytes", "Memory that is not paged out.");
	static const struct metric start = METRIC_TELLS(
		"process_start_time_seconds", "When control began, since 1970.");

	exposition_head(out, &build);
	exposition_count(out, &build, METRIC_VALUES(MILLRACE_VERSION), 1);
	exposition_head(out, &cpu);
	exposition_number(out, &cpu, NULL, cpu_seconds());
	exposition_head(out, &resident);
	exposition_number(out, &resident, NULL, resident_bytes());
	exposition_head(out, &start);
	exposition_number(out, &start, NULL, start_seconds());
}
