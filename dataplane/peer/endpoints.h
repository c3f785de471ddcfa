// Which viewer an address belongs to, over all workers: an inbound packet may reach any of them.
// Readers take no lock and never wait; adding and removing is rare and locks the writers only.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/abi/net.h"

struct endpoints;

struct endpoint {
	uint16_t slot;
	uint16_t worker;
};

// n_readers: workers, numbered from 0.
// Return:    0; -ENOMEM.
int endpoints_create(uint32_t max_entries, uint16_t n_readers, struct endpoints **out);
void endpoints_destroy(struct endpoints *);

// An address that is there already changes hands: the newest authenticated owner has it.
// Return: 0; -ENOSPC.
int endpoints_add(struct endpoints *, const struct net_addr *, struct endpoint);

// Removes the address only if it still belongs to slot. Not there is fine.
void endpoints_remove(struct endpoints *, const struct net_addr *, uint16_t slot);

// Return: 0; -ENOENT.
int endpoints_find(const struct endpoints *, const struct net_addr *, struct endpoint *out);

// A reader says that it holds nothing it found before. Once a loop.
void endpoints_quiesce(struct endpoints *, uint16_t reader);

// Something that readers may have found before now is out of their sight.
// Return: what endpoints_left says of it: whether all of them have quiesced since.
uint64_t endpoints_leave(struct endpoints *);
bool endpoints_left(const struct endpoints *, uint64_t token);

// A reader comes and goes; one that stays away keeps removed entries from being used again.
void endpoints_online(struct endpoints *, uint16_t reader);
void endpoints_offline(struct endpoints *, uint16_t reader);
