// Log lines of both processes, on stderr: "08:15:02.123 warn: session: text", or "<4>session: text"
// where stderr is a stream of the journal, which keeps time and level itself. The module is the
// source file's name; a file that wants another defines LOG_MODULE before this include.
// Any thread; one write() a line. Never on the packet path.
#pragma once

#include <stdbool.h>

#ifndef LOG_MODULE
#define LOG_MODULE __FILE_NAME__
#endif

// syslog's numbers: the journal reads them as such.
enum log_level {
	LOG_LEVEL_ERROR = 3, // something is lost: an operator should look
	LOG_LEVEL_WARN = 4,  // odd, but handled
	LOG_LEVEL_INFO = 6,  // what an operator wants to know of a normal day
	LOG_LEVEL_DEBUG = 7,
};

#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)

// The arguments are evaluated only where the level is shown.
#define log_at(level, ...)                                         \
	do {                                                       \
		if (log_enabled(level))                            \
			log_write(level, LOG_MODULE, __VA_ARGS__); \
	} while (0)

// Show this level and the graver ones; info until then.
void log_set_level(enum log_level);

bool log_enabled(enum log_level);

// Write one line, cut at about 1000 bytes. Control characters become '?', so that text from a
// client cannot forge a line. errno stays.
// module: a trailing ".c" is left out.
void log_write(enum log_level, const char *module, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
