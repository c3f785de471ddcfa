// Each case runs in a child whose stderr is a pipe: whether that is the journal is found out once.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dataplane/abi/log.h"

enum {
	OUTPUT_BYTES = 60000, // below what a pipe holds
	N_THREADS = 4,
	N_LINES = 100,
};

// Run fn with stderr into output.
// Return: the child's exit status.
static int run_logging(int (*fn)(void), char output[OUTPUT_BYTES])
{
	size_t bytes = 0;
	ssize_t got;
	int fds[2], status;
	pid_t child;

	assert_int_equal(pipe(fds), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		_exit(fn());
	}
	close(fds[1]);
	while ((got = read(fds[0], output + bytes, OUTPUT_BYTES - 1 - bytes)) > 0)
		bytes += (size_t)got;
	output[bytes] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int log_all_levels(void)
{
	unsetenv("JOURNAL_STREAM");
	log_debug("hidden %d", 1);
	log_info("shown %d", 2);
	log_set_level(LOG_LEVEL_WARN);
	log_info("hidden %d", 3);
	log_warn("shown %d", 4);
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("shown %d", 5);
	log_set_level(LOG_LEVEL_ERROR);
	log_warn("hidden %d", 6);
	log_error("shown %d", 7);
	return 0;
}

static void test_levels(void **state)
{
	static const char *const tails[] = { " info: test_log: shown 2", " warn: test_log: shown 4",
		" debug: test_log: shown 5", " error: test_log: shown 7" };
	char output[OUTPUT_BYTES];
	unsigned hours, minutes, seconds, ms;
	char *line, *rest = output;
	int head_bytes;

	assert_int_equal(run_logging(log_all_levels, output), 0);
	for (size_t i = 0; i < 4; i++) {
		line = strsep(&rest, "\n");
		assert_int_equal(sscanf(line, "%2u:%2u:%2u.%3u%n", &hours, &minutes, &seconds, &ms,
					 &head_bytes),
			4);
		assert_int_equal(head_bytes, 12);
		assert_true(hours < 24 && minutes < 60 && seconds < 61);
		assert_string_equal(line + head_bytes, tails[i]);
	}
	assert_string_equal(rest, "");
}

// Name stderr as the journal's stream, or with an offset some other file of the same device.
static void set_journal_stream(unsigned inode_offset)
{
	struct stat st;
	char stream[64];

	fstat(STDERR_FILENO, &st);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev,
		(uintmax_t)st.st_ino + inode_offset);
	setenv("JOURNAL_STREAM", stream, 1);
}

static int log_to_journal(void)
{
	set_journal_stream(0);
	log_set_level(LOG_LEVEL_DEBUG);
	log_error("a");
	log_warn("b");
	log_info("c");
	log_debug("d");
	return 0;
}

static int log_beside_journal(void)
{
	set_journal_stream(1);
	log_error("a");
	return 0;
}

static void test_journal(void **state)
{
	char output[OUTPUT_BYTES];

	assert_int_equal(run_logging(log_to_journal, output), 0);
	assert_string_equal(
		output, "<3>test_log: a\n<4>test_log: b\n<6>test_log: c\n<7>test_log: d\n");
	assert_int_equal(run_logging(log_beside_journal, output), 0);
	assert_non_null(strstr(output, " error: test_log: a\n"));
}

static int log_hostile_text(void)
{
	char text[5000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	errno = ENOENT;
	log_info("%s", "a\nb\033[2Jc\177");
	log_info("%m");
	log_info("%s", text);
	return errno == ENOENT ? 0 : 1;
}

static void test_hostile_text(void **state)
{
	char output[OUTPUT_BYTES];
	char *line, *rest = output;

	assert_int_equal(run_logging(log_hostile_text, output), 0);
	line = strsep(&rest, "\n");
	assert_string_equal(strstr(line, "test_log: "), "test_log: a?b?[2Jc?");
	line = strsep(&rest, "\n");
	assert_string_equal(strstr(line, "test_log: "), "test_log: No such file or directory");
	line = strsep(&rest, "\n");
	assert_int_equal(strlen(line), 1023);
	assert_string_equal(line + 1020, "xxx");
	assert_string_equal(rest, "");
}

static void *log_many(void *argument)
{
	for (int i = 0; i < N_LINES; i++)
		log_info("%s", (const char *)argument);
	return NULL;
}

static int log_from_threads(void)
{
	static char texts[N_THREADS][81];
	pthread_t threads[N_THREADS];

	for (int i = 0; i < N_THREADS; i++) {
		memset(texts[i], 'a' + i, 80);
		if (pthread_create(&threads[i], NULL, log_many, texts[i]) != 0)
			return 1;
	}
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

static void test_lines_stay_whole(void **state)
{
	static char output[OUTPUT_BYTES];
	char *line, *rest = output;
	int n_lines = 0;

	assert_int_equal(run_logging(log_from_threads, output), 0);
	while ((line = strsep(&rest, "\n")) && *line) {
		char *text = strstr(line, "test_log: ") + 10;

		assert_int_equal(strlen(text), 80);
		assert_int_equal(strspn(text, (char[]){ text[0], '\0' }), 80);
		n_lines++;
	}
	assert_int_equal(n_lines, N_THREADS * N_LINES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_journal),
		cmocka_unit_test(test_hostile_text),
		cmocka_unit_test(test_lines_stay_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
