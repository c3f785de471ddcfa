// The core thread: one loop over HTTP requests, the data plane's rings, timers and signals.
#pragma once

#include "dataplane/abi/conf.h"

// Run until SIGINT or SIGTERM, then say good-bye to every viewer.
// Return: 0; -errno, with what was wrong logged.
int core_run(const struct conf *);
