#include "dataplane/srtp/priv/expanded.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

enum {
	SLOTS = 1024, // a power of two; with thousands of viewers the places of few a viewer
	LINE_BYTES = 64,
	FETCH_BYTES = 6 * LINE_BYTES, // round keys, and eight powers behind them
};

struct expanded_slot {
	_Alignas(LINE_BYTES) struct gcm_key_data key;
	const void *owner; // NULL: nobody's
};

// Pages that nobody's key needs cost nothing.
int expanded_init(struct expanded *e, size_t owner_bytes)
{
	void *at = mmap(NULL, SLOTS * sizeof(*e->slots), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		return -ENOMEM;
	e->slots = at;
	e->owner_bytes = owner_bytes;
	return 0;
}

void expanded_fini(struct expanded *e)
{
	if (!e->slots)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		if (e->slots[i].owner)
			explicit_bzero(&e->slots[i], sizeof(e->slots[i]));
	munmap(e->slots, SLOTS * sizeof(*e->slots));
	e->slots = NULL;
}

// Owners that lie in a row have places in a row.
static struct expanded_slot *slot_of(const struct expanded *e, const void *owner)
{
	return &e->slots[(uintptr_t)owner / e->owner_bytes % SLOTS];
}

size_t expanded_bytes(void)
{
	return SLOTS * sizeof(struct expanded_slot);
}

struct gcm_key_data *expanded_get(struct expanded *e, const void *owner, bool *fresh)
{
	struct expanded_slot *slot = slot_of(e, owner);

	*fresh = slot->owner != owner;
	slot->owner = owner;
	return &slot->key;
}

void expanded_fetch(const struct expanded *e, const void *owner)
{
	const struct expanded_slot *slot = slot_of(e, owner);

	for (size_t off = 0; off < FETCH_BYTES; off += LINE_BYTES)
		__builtin_prefetch((const char *)slot + off, 0, 3);
	__builtin_prefetch(&slot->owner, 0, 3);
}

void expanded_forget(struct expanded *e, const void *owner)
{
	struct expanded_slot *slot = slot_of(e, owner);

	if (slot->owner == owner)
		explicit_bzero(slot, sizeof(*slot));
}
