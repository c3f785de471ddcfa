#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/conf/run_conf.h"

enum {
	ARGS_MAX = 80,
};

char run_path[] = "millrace-conf-XXXXXX";

static void remove_file(void)
{
	unlink(run_path);
}

void run_write_file(const void *text, size_t bytes)
{
	static int fd = -1;

	if (fd < 0) {
		fd = mkstemp(run_path);
		atexit(remove_file);
	}
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, text, bytes, 0), bytes);
}

// Let stream end in a file of its own.
// Return: the stream's old descriptor.
static int divert(FILE *stream, FILE *file)
{
	int old;

	fflush(stream);
	old = dup(fileno(stream));
	assert_true(old >= 0);
	assert_true(dup2(fileno(file), fileno(stream)) >= 0);
	return old;
}

static void restore(FILE *stream, int old, FILE *file, char *text, size_t room)
{
	size_t bytes;

	fflush(stream);
	dup2(old, fileno(stream));
	close(old);
	rewind(file);
	bytes = fread(text, 1, room - 1, file);
	text[bytes] = '\0';
	assert_int_not_equal(feof(file), 0);
	fclose(file);
}

// The file's name is chance: "F" stands for it.
static void shorten_path(char *text)
{
	size_t path_bytes = strlen(run_path);

	while ((text = strstr(text, run_path))) {
		*text = 'F';
		memmove(text + 1, text + path_bytes, strlen(text + path_bytes) + 1);
	}
}

void run_conf(struct run *run, const char *const *args)
{
	FILE *out = tmpfile(), *err = tmpfile();
	char *argv[ARGS_MAX + 2] = { (char *)"prog" };
	int argc = 1, old_out, old_err;

	assert_non_null(out);
	assert_non_null(err);
	for (; args && *args; args++) {
		assert_true(argc <= ARGS_MAX);
		argv[argc++] = (char *)*args;
	}
	memset(&run->conf, 0xa5, sizeof(run->conf));
	old_out = divert(stdout, out);
	old_err = divert(stderr, err);
	run->status = conf_load("prog", "What it is for.", argc, argv, &run->conf);
	restore(stdout, old_out, out, run->out, sizeof(run->out));
	restore(stderr, old_err, err, run->err, sizeof(run->err));
	shorten_path(run->out);
	shorten_path(run->err);
}

void run_conf_text(struct run *run, const char *text, const char *const *args)
{
	const char *all[ARGS_MAX + 1] = { "--config", run_path };
	size_t n = 2;

	run_write_file(text, strlen(text));
	for (; args && *args; args++) {
		assert_true(n < ARGS_MAX);
		all[n++] = *args;
	}
	run_conf(run, all);
}
