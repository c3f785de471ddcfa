// The prompt: commands as testpmd has them, by librte_cmdline. Main thread.
#pragma once

#include <stdbool.h>

#include "dataplane/testfan/rig.h"

// Take commands until quit, Ctrl-C, Ctrl-D or a signal.
// settings:   of the next start; changed by "set".
// stop_asked: looked at all the time.
// Return:     0; -errno, logged.
int prompt_run(struct rig *, struct settings *, bool (*stop_asked)(void));
