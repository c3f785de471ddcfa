// A fuzz target without a fuzzer: every file of a corpus, then mutations of them, the same on each
// run and for a bounded time.
// usage: fuzz_NAME [--quiet] [--runs N] [--seconds N] [FILE|FOLDER]...
//   --quiet  what the target says on stderr is thrown away
// An input on which the target ends the program is written to stderr as hex digits.
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	MAX_SEEDS = 256,
	MAX_INPUT_BYTES = 4096,
	MAX_CHANGES = 8,
	DEFAULT_RUNS = 200000,
	DEFAULT_SECONDS = 2,
};

struct input {
	uint8_t *bytes;
	size_t n;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_bytes);

// There with a sanitizer only.
void __attribute__((weak)) __sanitizer_set_death_callback(void (*callback)(void));

static struct input seeds[MAX_SEEDS];
static unsigned int n_seeds;
static const uint8_t *current;
static size_t current_bytes;
static int say_fd = STDERR_FILENO;
static uint64_t random_state = 1;

static uint32_t random_below(uint32_t below)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random_state >> 33) % below;
}

static void show_current(void)
{
	static const char digits[] = "0123456789abcdef";

	dprintf(say_fd, "the input was, in hex: ");
	for (size_t i = 0; i < current_bytes; i++)
		dprintf(say_fd, "%c%c", digits[current[i] >> 4], digits[current[i] & 15]);
	dprintf(say_fd, "\n");
}

static void on_signal(int number)
{
	show_current();
	signal(number, SIG_DFL);
	raise(number);
}

// In heap memory of just its size, so that a read past the end is noticed.
static void run(const uint8_t *bytes, size_t n)
{
	uint8_t *exact = malloc(n ? n : 1);

	if (!exact)
		exit(EXIT_FAILURE);
	memcpy(exact, bytes, n);
	current = exact;
	current_bytes = n;
	LLVMFuzzerTestOneInput(exact, n);
	current_bytes = 0;
	free(exact);
}

static void add_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	struct input *seed = &seeds[n_seeds];

	if (!file || n_seeds == MAX_SEEDS)
		goto out;
	seed->bytes = malloc(MAX_INPUT_BYTES);
	if (!seed->bytes)
		goto out;
	seed->n = fread(seed->bytes, 1, MAX_INPUT_BYTES, file);
	n_seeds++;
out:
	if (file)
		fclose(file);
}

// In the order of names: the file system's would differ from machine to machine.
static void add_path(const char *path)
{
	struct dirent **names;
	int n = scandir(path, &names, NULL, alphasort);

	if (n < 0) {
		add_file(path);
		return;
	}
	for (int i = 0; i < n; i++) {
		char file[4096];
		struct stat st;

		snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
		if (stat(file, &st) == 0 && S_ISREG(st.st_mode))
			add_file(file);
		free(names[i]);
	}
	free(names);
}

static void insert(struct input *in, size_t at, const uint8_t *bytes, size_t n)
{
	if (in->n + n > MAX_INPUT_BYTES)
		return;
	memmove(in->bytes + at + n, in->bytes + at, in->n - at);
	memcpy(in->bytes + at, bytes, n);
	in->n += n;
}

static void change_once(struct input *in)
{
	static const uint8_t odd[] = { 0, 1, 0x7f, 0x80, 0xff };
	uint8_t bytes[64];
	size_t at = random_below((uint32_t)in->n + 1), n = 1 + random_below(sizeof(bytes) - 1);
	const struct input *other = &seeds[random_below(n_seeds)];

	switch (random_below(6)) {
	case 0: // one bit
		if (at < in->n)
			in->bytes[at] ^= (uint8_t)(1 << random_below(8));
		break;
	case 1: // an edge
		if (at < in->n)
			in->bytes[at] = odd[random_below(sizeof(odd))];
		break;
	case 2: // any byte
		if (at < in->n)
			in->bytes[at] = (uint8_t)random_below(256);
		break;
	case 3: // some bytes more
		for (size_t i = 0; i < n; i++)
			bytes[i] = (uint8_t)random_below(256);
		insert(in, at, bytes, n);
		break;
	case 4: // some less
		n = n < in->n - at ? n : in->n - at;
		memmove(in->bytes + at, in->bytes + at + n, in->n - at - n);
		in->n -= n;
		break;
	case 5: // a piece of another
		if (other->n > 0) {
			size_t from = random_below((uint32_t)other->n);

			n = n < other->n - from ? n : other->n - from;
			insert(in, at, other->bytes + from, n);
		}
		break;
	}
}

static void run_changed(void)
{
	static uint8_t room[MAX_INPUT_BYTES];
	const struct input *seed = &seeds[random_below(n_seeds)];
	struct input in = { .bytes = room, .n = seed->n };
	uint32_t changes = 1 + random_below(MAX_CHANGES);

	if (seed->n > 0)
		memcpy(room, seed->bytes, seed->n);
	for (uint32_t i = 0; i < changes; i++)
		change_once(&in);
	run(in.bytes, in.n);
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void hush(void)
{
	int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	say_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	if (null_fd >= 0)
		dup2(null_fd, STDERR_FILENO);
}

static void catch_ends(void)
{
	if (__sanitizer_set_death_callback) {
		__sanitizer_set_death_callback(show_current);
		return;
	}
	signal(SIGABRT, on_signal);
	signal(SIGSEGV, on_signal);
	signal(SIGBUS, on_signal);
	signal(SIGFPE, on_signal);
}

int main(int argc, char **argv)
{
	long runs = DEFAULT_RUNS, seconds = DEFAULT_SECONDS, done = 0;
	double end_s;

	seeds[n_seeds++].n = 0;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--quiet") == 0)
			hush();
		else if (strcmp(argv[i], "--runs") == 0 && i + 1 < argc)
			runs = strtol(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc)
			seconds = strtol(argv[++i], NULL, 10);
		else
			add_path(argv[i]);
	}
	catch_ends();
	for (unsigned int i = 0; i < n_seeds; i++)
		run(seeds[i].bytes ? seeds[i].bytes : (const uint8_t *)"", seeds[i].n);
	for (end_s = now_s() + (double)seconds; done < runs && now_s() < end_s; done++)
		run_changed();
	printf("%u inputs and %ld mutations\n", n_seeds, done);
	for (unsigned int i = 0; i < n_seeds; i++)
		free(seeds[i].bytes);
	return EXIT_SUCCESS;
}
