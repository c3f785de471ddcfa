// Expanded GCM keys of those viewers whose SRTCP came last. Expanding one takes as long as all else
// of opening a NACK, and keeping it in each session would make thousands of these large.
// A viewer has one place, which it may lose to another: then its key is expanded anew.
// Owner: an engine.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <intel-ipsec-mb.h>

struct expanded_table;

struct expanded {
	struct expanded_table *table;
	size_t owner_bytes;
};

// owner_bytes: between one owner and the next, as they lie in memory.
// Return: 0; -ENOMEM.
int expanded_init(struct expanded *, size_t owner_bytes);

// All keys are wiped. A zeroed struct is fine.
void expanded_fini(struct expanded *);

// Return: what it takes once every place was used.
size_t expanded_bytes(void);

// fresh:  whether the key is another's, and must be expanded now.
// Return: the owner's place.
struct gcm_key_data *expanded_get(struct expanded *, const void *owner, bool *fresh);

// Fetch what opening a short packet reads of it.
void expanded_fetch(const struct expanded *, const void *owner);

// The owner goes: its key is wiped.
void expanded_forget(struct expanded *, const void *owner);
