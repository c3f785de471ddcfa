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

// Owners stand apart from the keys: all of them fit a near cache, and whoever asks is mostly there.
struct expanded_table {
	const void *owners[SLOTS]; // NULL: nobody's
	struct {
		_Alignas(LINE_BYTES) struct gcm_key_data key;
	} slots[SLOTS];
};

// Pages that nobody's key needs cost nothing.
int expanded_init(struct expanded *e, size_t owner_bytes)
{
	void *at = mmap(NULL, sizeof(*e->table), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		return -ENOMEM;
	e->table = at;
	e->owner_bytes = owner_bytes;
	return 0;
}

void expanded_fini(struct expanded *e)
{
	if (!e->table)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		if (e->table->owners[i])
			explicit_bzero(&e->table->slots[i].key, sizeof(e->table->slots[i].key));
	munmap(e->table, sizeof(*e->table));
	e->table = NULL;
}

// Owners that lie in a row have places in a row.
static size_t place_of(const struct expanded *e, const void *owner)
{
	return (uintptr_t)owner / e->owner_bytes % SLOTS;
}

size_t expanded_bytes(void)
{
	return sizeof(struct expanded_table);
}

struct gcm_key_data *expanded_get(struct expanded *e, const void *owner, bool *fresh)
{
	size_t at = place_of(e, owner);

	*fresh = e->table->owners[at] != owner;
	e->table->owners[at] = owner;
	return &e->table->slots[at].key;
}

void expanded_fetch(const struct expanded *e, const void *owner)
{
	const char *key = (const char *)&e->table->slots[place_of(e, owner)].key;

	for (size_t off = 0; off < FETCH_BYTES; off += LINE_BYTES)
		__builtin_prefetch(key + off, 0, 3);
}

void expanded_forget(struct expanded *e, const void *owner)
{
	size_t at = place_of(e, owner);

	if (e->table->owners[at] != owner)
		return;
	explicit_bzero(&e->table->slots[at].key, sizeof(e->table->slots[at].key));
	e->table->owners[at] = NULL;
}
