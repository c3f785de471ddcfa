#include "control/access/limiter.h"

#include <errno.h>
#include <openssl/rand.h>
#include <stdlib.h>

enum {
	N_SETS = 1024,
	N_WAYS = 8,
	KEY_WORDS = LIMITER_KEY_BYTES / 4 + 1,
	NS_PER_S = 1000000000,
};

struct bucket {
	struct limiter_key key; // kind 0: empty
	uint64_t full_ns;	// when it is full again
};

struct limiter {
	uint64_t interval_ns; // 0: no limit
	uint64_t depth_ns;    // that much it may lack of full, and still give one
	uint64_t seeds[KEY_WORDS + 1];
	struct bucket sets[N_SETS][N_WAYS];
};

int limiter_create(uint32_t per_second, uint32_t burst, struct limiter **out)
{
	struct limiter *l;

	if (per_second > NS_PER_S || (per_second && !burst))
		return -EINVAL;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	if (RAND_bytes((unsigned char *)l->seeds, sizeof(l->seeds)) != 1) {
		free(l);
		return -ENOMEM;
	}
	if (per_second) {
		l->interval_ns = NS_PER_S / per_second;
		l->depth_ns = l->interval_ns * (burst - 1);
	}
	*out = l;
	return 0;
}

void limiter_destroy(struct limiter *l)
{
	free(l);
}

struct limiter_key limiter_key_of(const struct net_addr *a)
{
	struct limiter_key key = { .kind = LIMITER_IPV4 };

	if (a->family == NET_IPV6)
		key.kind = LIMITER_IPV6_NET;
	memcpy(key.bytes, a->ip, a->family == NET_IPV6 ? 8 : 4);
	return key;
}

// Multilinear, with seeds that nobody outside knows (Lemire and Kaser, "Strongly universal string
// hashing is fast"): nobody can aim at one set.
static uint32_t hash(const struct limiter *l, const struct limiter_key *key)
{
	uint32_t words[KEY_WORDS] = { key->kind };
	uint64_t sum = l->seeds[0];

	memcpy(words + 1, key->bytes, sizeof(key->bytes));
	for (unsigned int i = 0; i < KEY_WORDS; i++)
		sum += l->seeds[i + 1] * words[i];
	return (uint32_t)(sum >> 32);
}

static struct bucket *find(struct limiter *l, const struct limiter_key *key)
{
	struct bucket *set = l->sets[hash(l, key) % N_SETS];
	struct bucket *fullest = set;

	for (unsigned int i = 0; i < N_WAYS; i++) {
		if (set[i].key.kind == key->kind &&
			memcmp(set[i].key.bytes, key->bytes, sizeof(key->bytes)) == 0)
			return &set[i];
		if (set[i].full_ns < fullest->full_ns)
			fullest = &set[i];
	}
	*fullest = (struct bucket){ .key = *key };
	return fullest;
}

uint64_t limiter_take(struct limiter *l, const struct limiter_key *key, uint64_t now_ns)
{
	struct bucket *b;

	if (l->interval_ns == 0)
		return 0;
	b = find(l, key);
	if (b->full_ns > now_ns + l->depth_ns)
		return b->full_ns - l->depth_ns - now_ns;
	b->full_ns = (b->full_ns > now_ns ? b->full_ns : now_ns) + l->interval_ns;
	return 0;
}
