#include "tests/load/source.h"

#include <string.h>

enum {
	FIRST_INDEX = 1 << 20, // so that none is 0
};

// FNV-1a.
uint64_t source_hash(const uint8_t *payload, size_t bytes, bool marker)
{
	uint64_t hash = 0xcbf29ce484222325 ^ (marker ? 1 : 0);

	for (size_t i = 0; i < bytes; i++)
		hash = (hash ^ payload[i]) * 0x100000001b3;
	return hash;
}

static void put(struct source *s, int64_t index, uint64_t hash)
{
	s->at[index % SOURCE_KEPT].index = index;
	s->at[index % SOURCE_KEPT].hash = hash;
	if (index > s->newest)
		s->newest = index;
}

static bool run_is_at(const struct source *s, const struct source_tie *t, int64_t last)
{
	for (int i = 0; i < SOURCE_RUN; i++) {
		int64_t index = last - (SOURCE_RUN - 1) + i;

		if (index <= 0 || s->at[index % SOURCE_KEPT].index != index ||
			s->at[index % SOURCE_KEPT].hash != t->run[i])
			return false;
	}
	return true;
}

// Return: how many places there are; the newest in *where.
static int places(const struct source *s, const struct source_tie *t, int64_t *where)
{
	int n = 0;

	for (int64_t last = s->newest; last > 0 && last > s->newest - SOURCE_KEPT; last--)
		if (run_is_at(s, t, last) && n++ == 0)
			*where = last;
	return n;
}

// Nobody's order can be followed any more: this viewer's becomes the common one.
static void begin_anew(struct source *s, struct source_tie *t, int64_t seq)
{
	memset(s, 0, sizeof(*s));
	t->shift = FIRST_INDEX - seq;
	for (int i = 0; i < SOURCE_RUN; i++)
		put(s, FIRST_INDEX - (SOURCE_RUN - 1) + i, t->run[i]);
}

static enum source_verdict try_to_tie(struct source *s, struct source_tie *t, int64_t seq)
{
	int64_t where = 0;
	int n = places(s, t, &where);

	if (n == 1)
		t->shift = where - seq;
	else if (n == 0 && s->n_tied == 0)
		begin_anew(s, t, seq);
	else if (n == 0)
		return ++t->strange == SOURCE_STRANGER_AFTER ? SOURCE_OTHER : SOURCE_NEW;
	else
		return SOURCE_NEW; // a still picture, a steady tone: the next may tell
	t->tied = true;
	s->n_tied++;
	return SOURCE_NEW;
}

enum source_verdict source_take(struct source *s, struct source_tie *t, int64_t seq, uint64_t hash)
{
	int64_t index = seq + t->shift;

	if (t->tied) {
		if (index > 0 && s->at[index % SOURCE_KEPT].index == index)
			return s->at[index % SOURCE_KEPT].hash == hash ? SOURCE_SAME : SOURCE_OTHER;
		if (index > 0 && index > s->newest - SOURCE_KEPT)
			put(s, index, hash);
		return SOURCE_NEW;
	}
	if (t->run_length && seq != t->last_seq + 1)
		t->run_length = 0;
	t->last_seq = seq;
	if (t->run_length == SOURCE_RUN)
		memmove(t->run, t->run + 1, (SOURCE_RUN - 1) * sizeof(t->run[0]));
	else
		t->run_length++;
	t->run[t->run_length - 1] = hash;
	return t->run_length == SOURCE_RUN ? try_to_tie(s, t, seq) : SOURCE_NEW;
}

void source_untie(struct source *s, struct source_tie *t)
{
	if (t->tied)
		s->n_tied--;
	t->tied = false;
	t->run_length = 0;
}
