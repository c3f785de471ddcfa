// The region of a data plane before this one: kept by systemd, or held by control.
// Where it comes from does not matter: it is checked as any input, and what does not fit is let go.
#pragma once

#include "dataplane/abi/region.h"
#include "dataplane/serve.h"

// Listening must have begun.
// Return: 0 and the region; -ENOENT none that can go on, and why is logged.
int recover_region(const struct region_sizes *, struct serve *, struct region *out);

// Have systemd, if it is there, keep the region for the data plane after this one.
void recover_keep(const struct region *);
