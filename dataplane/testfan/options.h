// The command line behind "--". Main thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/abi/conf.h"
#include "dataplane/testfan/settings.h"

struct options {
	struct settings settings;
	bool auto_start; // run once and end; else a prompt
	double duration_s;
	double warmup_s;
	bool json;
	const char *json_path; // NULL: standard output
	bool floor;
	bool toll;
	uint64_t rounds;
	uint16_t cores[CONF_MAX_WORKERS];
	uint16_t n_cores;
	enum conf_checksum checksum;
	const char *interface;	   // AF_XDP as millrace-dataplane has it; NULL
	const char *steer_program; // NULL: where millrace-dataplane finds it
};

// own:    argv from "--" on, own[0] the program's name.
// Return: 0; 1 the process shall exit with status 0; 2 with status 2: what is wrong is on stderr.
int options_parse(int n_own, char **own, struct options *out);

// Whether a word is one of these options, and so stands on the wrong side of "--".
bool options_knows(const char *word);
