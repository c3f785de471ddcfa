// Objects of one size, close together in huge pages where the kernel has them: thousands of viewers
// are walked for every packet, and with small pages their addresses alone overflow the TLB.
// Owner: one thread.
#pragma once

#include <stddef.h>

struct slab_chunk;

struct slab {
	size_t obj_bytes; // rounded up to cache lines
	size_t n_used;
	struct slab_chunk *chunks;
	void *unused; // chain of returned objects
	char *fresh;  // what was never handed out of the newest chunk
	char *end;
};

void slab_init(struct slab *, size_t obj_bytes);

// All objects must have been returned. A zeroed struct is fine.
void slab_fini(struct slab *);

// Return: an object on a cache line, its content undefined, owned by the caller until slab_put;
// NULL
//         out of memory.
void *slab_get(struct slab *);

// Secrets in it are the caller's to wipe. NULL is fine.
void slab_put(struct slab *, void *);
