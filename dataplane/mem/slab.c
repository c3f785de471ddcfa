#include "dataplane/mem/slab.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, bytes)   ((void)(at), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(at, bytes) ((void)(at), (void)(bytes))
#endif

enum {
	LINE_BYTES = 64,
	CHUNK_BYTES = 2 << 20, // a huge page
};

struct slab_chunk {
	_Alignas(LINE_BYTES) struct slab_chunk *next;
};

void slab_init(struct slab *s, size_t obj_bytes)
{
	memset(s, 0, sizeof(*s));
	s->obj_bytes = (obj_bytes + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
	assert(s->obj_bytes >= sizeof(void *) &&
		s->obj_bytes <= CHUNK_BYTES - sizeof(struct slab_chunk));
}

// Twice the size is mapped, so that a whole huge page lies in it, and what is too much given back.
static void *map_chunk(void)
{
	char *at = mmap(
		NULL, 2 * CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t before;

	if (at == MAP_FAILED)
		return NULL;
	before = (CHUNK_BYTES - (uintptr_t)at % CHUNK_BYTES) % CHUNK_BYTES;
	if (before)
		munmap(at, before);
	if (before < CHUNK_BYTES)
		munmap(at + before + CHUNK_BYTES, CHUNK_BYTES - before);
	madvise(at + before, CHUNK_BYTES, MADV_HUGEPAGE); // small pages do as well, only slower
	return at + before;
}

static int add_chunk(struct slab *s)
{
	struct slab_chunk *chunk = map_chunk();

	if (!chunk)
		return -1;
	chunk->next = s->chunks;
	s->chunks = chunk;
	s->fresh = (char *)(chunk + 1);
	s->end = (char *)chunk + CHUNK_BYTES;
	ASAN_POISON_MEMORY_REGION(s->fresh, (size_t)(s->end - s->fresh));
	return 0;
}

static void *take_unused(struct slab *s)
{
	void *obj = s->unused;

	ASAN_UNPOISON_MEMORY_REGION(obj, s->obj_bytes);
	memcpy(&s->unused, obj, sizeof(void *));
	return obj;
}

void *slab_get(struct slab *s)
{
	void *obj;

	if (s->unused) {
		s->n_used++;
		return take_unused(s);
	}
	if ((size_t)(s->end - s->fresh) < s->obj_bytes && add_chunk(s) < 0)
		return NULL;
	obj = s->fresh;
	s->fresh += s->obj_bytes;
	s->n_used++;
	ASAN_UNPOISON_MEMORY_REGION(obj, s->obj_bytes);
	return obj;
}

void slab_put(struct slab *s, void *obj)
{
	if (!obj)
		return;
	memcpy(obj, &s->unused, sizeof(void *));
	s->unused = obj;
	s->n_used--;
	ASAN_POISON_MEMORY_REGION(obj, s->obj_bytes);
}

void slab_fini(struct slab *s)
{
	assert(s->n_used == 0);
	while (s->chunks) {
		struct slab_chunk *chunk = s->chunks;

		s->chunks = chunk->next;
		ASAN_UNPOISON_MEMORY_REGION(chunk, CHUNK_BYTES);
		munmap(chunk, CHUNK_BYTES);
	}
	memset(s, 0, sizeof(*s));
}
