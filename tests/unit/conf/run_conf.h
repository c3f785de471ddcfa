// conf_load run once, with what it wrote kept.
#pragma once

#include <stddef.h>

#include "dataplane/abi/conf.h"

struct run {
	int status;
	struct conf conf;
	char out[32768]; // stdout; in both, "F" stands for run_path
	char err[32768]; // stderr
};

// A file of its own for each test program, gone at its exit.
extern char run_path[];

void run_write_file(const void *text, size_t bytes);

// args: ends with NULL; without argv[0]. struct conf is filled with 0xa5 first.
void run_conf(struct run *, const char *const *args);

// The same with this text as the file, named by --config, and further arguments.
void run_conf_text(struct run *, const char *text, const char *const *args);
