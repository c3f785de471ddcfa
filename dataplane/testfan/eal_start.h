// The EAL, with what the user gave and, where that is silent, with what lets testfan simply run:
// a main lcore that floats and a worker on each core, huge pages where they are, net_null.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/abi/conf.h"

// argc, argv: of the EAL, argv[0] the program's name.
// cores:      one worker on each; n_cores 0: the EAL arguments say, or else one on CPU 1.
// Return:     0; -errno, said on stderr.
int eal_start(int argc, char **argv, const uint16_t *cores, uint16_t n_cores);

// What so many workers need, in MiB, and whether that must be had without huge pages (said on
// stderr then).
unsigned int eal_memory_mib(uint16_t n_workers);
bool eal_lacks_huge_pages(unsigned int mib);
