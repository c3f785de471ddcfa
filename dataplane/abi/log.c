#include "dataplane/abi/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

enum {
	LINE_BYTES = 1024,
};

static atomic_int shown_level = LOG_LEVEL_INFO;
static bool to_journal;

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&shown_level, level, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&shown_level, memory_order_relaxed);
}

// The variable is inherited by children whose stderr goes elsewhere: only a match of device and
// inode says that ours is the journal's (systemd.exec(5)).
static void find_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat st;

	if (!stream || sscanf(stream, "%ju:%ju", &device, &inode) != 2)
		return;
	to_journal = fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

static const char *level_name(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return "error";
	case LOG_LEVEL_WARN:
		return "warn";
	case LOG_LEVEL_INFO:
		return "info";
	case LOG_LEVEL_DEBUG:
		return "debug";
	}
	return "?";
}

static int print_head(char line[LINE_BYTES], enum log_level level, const char *module)
{
	static once_flag once = ONCE_FLAG_INIT;
	size_t name_bytes = strlen(module);
	struct timespec now;
	struct tm tm;

	if (name_bytes > 2 && strcmp(module + name_bytes - 2, ".c") == 0)
		name_bytes -= 2;
	if (name_bytes > 32)
		name_bytes = 32;
	call_once(&once, find_journal);
	if (to_journal)
		return snprintf(line, LINE_BYTES, "<%d>%.*s: ", level, (int)name_bytes, module);
	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	return snprintf(line, LINE_BYTES, "%02d:%02d:%02d.%03ld %s: %.*s: ", tm.tm_hour, tm.tm_min,
		tm.tm_sec, now.tv_nsec / 1000000, level_name(level), (int)name_bytes, module);
}

static void write_all(const char *line, size_t bytes)
{
	ssize_t written;

	do
		written = write(STDERR_FILENO, line, bytes);
	while (written < 0 && errno == EINTR);
}

void log_write(enum log_level level, const char *module, const char *fmt, ...)
{
	int saved_errno = errno;
	char line[LINE_BYTES];
	size_t bytes = print_head(line, level, module);
	va_list args;
	int wanted;

	errno = saved_errno; // for %m
	va_start(args, fmt);
	wanted = vsnprintf(line + bytes, sizeof(line) - bytes, fmt, args);
	va_end(args);
	if (wanted > 0)
		bytes += strlen(line + bytes);
	for (size_t i = 0; i < bytes; i++) {
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	}
	line[bytes++] = '\n'; // in place of the NUL
	write_all(line, bytes);
	errno = saved_errno;
}
