// Intel's multi-buffer library, as it is for this CPU.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <intel-ipsec-mb.h>

#include "dataplane/srtp/gcm_wide.h"

// once:   for keys that serve one short packet: the code for AVX2, where the CPU has that, since it
//         expands a GCM key to 8 powers of the hash key, and the one for AVX-512 to 48.
// out:    ended with free_mb_mgr; untouched on failure.
// Return: 0; -ENOMEM, -ENOTSUP the library finds no code for this CPU or fails its self test.
int mgr_create(bool once, IMB_MGR **out);

// Expand a GCM key, for the code of this manager.
void mgr_expand_gcm(IMB_MGR *, uint16_t profile, const uint8_t *key, struct gcm_key_data *out);

// Expand a GCM key for our own cipher, of which the library makes the round keys.
void mgr_expand_wide(
	IMB_MGR *, unsigned int n_rounds, const uint8_t *key, struct gcm_wide_key *out);
