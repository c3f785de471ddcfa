// The argument list of the EAL, made from the configuration.
#pragma once

#include "dataplane/abi/conf.h"

enum {
	EAL_MAX_ARGS = 64,
};

struct eal_args {
	char *argv[EAL_MAX_ARGS + 1];
	int argc;
};

// n_queues: AF_XDP: of the interface; else 0.
// Return:   0; -E2BIG, -ENOMEM. eal_args_fini is right after a failure too.
int eal_args_make(const struct conf *, unsigned int n_queues, struct eal_args *out);
void eal_args_fini(struct eal_args *);
