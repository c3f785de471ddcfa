#include "dataplane/peer/endpoints.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_errno.h>
#include <rte_hash.h>
#include <rte_jhash.h>
#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>

struct endpoints {
	struct rte_hash *hash;
	struct rte_rcu_qsbr *qsbr;
};

// Slot and worker are small: they stand in the hash's data pointer itself.
static void *pack(struct endpoint e)
{
	return (void *)((uintptr_t)e.worker << 16 | e.slot);
}

static struct endpoint unpack(const void *data)
{
	uintptr_t v = (uintptr_t)data;

	return (struct endpoint){ .slot = (uint16_t)v, .worker = (uint16_t)(v >> 16) };
}

static int make_hash(struct endpoints *e, uint32_t max_entries)
{
	struct rte_hash_parameters params = { .name = "endpoints",
		.entries = max_entries < 64 ? 64 : max_entries,
		.key_len = sizeof(struct net_addr),
		.hash_func = rte_jhash,
		.socket_id = SOCKET_ID_ANY,
		.extra_flag = RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF |
			      RTE_HASH_EXTRA_FLAGS_MULTI_WRITER_ADD |
			      RTE_HASH_EXTRA_FLAGS_EXT_TABLE };
	struct rte_hash_rcu_config rcu = { .v = e->qsbr, .mode = RTE_HASH_QSBR_MODE_DQ };

	e->hash = rte_hash_create(&params);
	if (!e->hash)
		return -rte_errno;
	return rte_hash_rcu_qsbr_add(e->hash, &rcu) == 0 ? 0 : -ENOMEM;
}

int endpoints_create(uint32_t max_entries, uint16_t n_readers, struct endpoints **out)
{
	struct endpoints *e = calloc(1, sizeof(*e));
	int rc = -ENOMEM;

	if (!e)
		return -ENOMEM;
	e->qsbr = rte_zmalloc("endpoints", rte_rcu_qsbr_get_memsize(n_readers), 64);
	if (!e->qsbr || rte_rcu_qsbr_init(e->qsbr, n_readers) != 0)
		goto err;
	for (uint16_t i = 0; i < n_readers; i++)
		rte_rcu_qsbr_thread_register(e->qsbr, i);
	rc = make_hash(e, max_entries);
	if (rc < 0)
		goto err;
	*out = e;
	return 0;

err:
	endpoints_destroy(e);
	return rc;
}

void endpoints_destroy(struct endpoints *e)
{
	if (!e)
		return;
	rte_hash_free(e->hash);
	rte_free(e->qsbr);
	free(e);
}

int endpoints_add(struct endpoints *e, const struct net_addr *addr, struct endpoint value)
{
	return rte_hash_add_key_data(e->hash, addr, pack(value)) == 0 ? 0 : -ENOSPC;
}

void endpoints_remove(struct endpoints *e, const struct net_addr *addr, uint16_t slot)
{
	void *data;

	if (rte_hash_lookup_data(e->hash, addr, &data) >= 0 && unpack(data).slot == slot)
		rte_hash_del_key(e->hash, addr);
}

int endpoints_find(const struct endpoints *e, const struct net_addr *addr, struct endpoint *out)
{
	void *data;

	if (rte_hash_lookup_data(e->hash, addr, &data) < 0)
		return -ENOENT;
	*out = unpack(data);
	return 0;
}

void endpoints_quiesce(struct endpoints *e, uint16_t reader)
{
	rte_rcu_qsbr_quiescent(e->qsbr, reader);
}

void endpoints_online(struct endpoints *e, uint16_t reader)
{
	rte_rcu_qsbr_thread_online(e->qsbr, reader);
}

void endpoints_offline(struct endpoints *e, uint16_t reader)
{
	rte_rcu_qsbr_thread_offline(e->qsbr, reader);
}

uint64_t endpoints_leave(struct endpoints *e)
{
	return rte_rcu_qsbr_start(e->qsbr);
}

bool endpoints_left(const struct endpoints *e, uint64_t token)
{
	return rte_rcu_qsbr_check(e->qsbr, token, false) == 1;
}
