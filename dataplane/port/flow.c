#include "dataplane/port/flow.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_errno.h>
#include <rte_flow.h>
#include <rte_hash.h>
#include <rte_jhash.h>

#include "dataplane/abi/log.h"

// By which two slots are known to wish for the same packets.
struct tuple {
	struct net_addr local;
	struct net_addr remote;
	uint16_t vlan_id; // 0xffff: no VLAN
	uint16_t zero;
};

struct flow_slot {
	struct flow_wish wish;
	struct rte_flow *rule;
	bool waiting; // wish without a rule
};

struct flow_table {
	uint16_t port_id;
	uint16_t n_queues;
	uint32_t n_slots;
	bool v4, v6; // kinds that the driver takes
	bool full;   // the driver refused a rule; until one goes, it is not asked again
	bool told;   // that it refused one
	uint32_t retry_at;
	struct flow_counts counts;
	struct rte_hash *by_tuple; // slot that has, or waits for, the rule
	struct flow_slot slots[];
};

// ---- a rule as the driver takes it -------------------------------------------------------------

struct spec {
	struct rte_flow_item_vlan vlan;
	struct rte_flow_item_ipv4 ipv4;
	struct rte_flow_item_ipv6 ipv6;
	struct rte_flow_item_udp udp;
};

struct rule {
	struct spec spec;
	struct rte_flow_item items[5];
	struct rte_flow_action_queue queue;
	struct rte_flow_action actions[2];
};

static const struct rte_flow_attr ingress = { .ingress = 1 };

static const struct spec exact = {
	.vlan.hdr.vlan_tci = RTE_BE16(0x0fff),
	.ipv4.hdr = { .src_addr = RTE_BE32(UINT32_MAX), .dst_addr = RTE_BE32(UINT32_MAX) },
	.ipv6.hdr = { .src_addr =
			      "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		.dst_addr = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" },
	.udp.hdr = { .src_port = RTE_BE16(UINT16_MAX), .dst_port = RTE_BE16(UINT16_MAX) },
};

static void fill_ip(struct spec *spec, const struct net_path *path)
{
	if (path->remote.family == NET_IPV4) {
		memcpy(&spec->ipv4.hdr.src_addr, path->remote.ip, 4);
		memcpy(&spec->ipv4.hdr.dst_addr, path->local.ip, 4);
	} else {
		memcpy(spec->ipv6.hdr.src_addr, path->remote.ip, 16);
		memcpy(spec->ipv6.hdr.dst_addr, path->local.ip, 16);
	}
}

// rule points into itself: it is made where it is used.
static void rule_make(struct rule *rule, const struct net_path *path, uint16_t queue)
{
	const bool v4 = path->remote.family == NET_IPV4;
	struct spec *spec = &rule->spec;
	struct rte_flow_item *item = rule->items;

	memset(rule, 0, sizeof(*rule));
	fill_ip(spec, path);
	spec->vlan.hdr.vlan_tci = htons(path->vlan_tci & 0x0fff);
	spec->udp.hdr.src_port = path->remote.port_be;
	spec->udp.hdr.dst_port = path->local.port_be;
	*item++ = (struct rte_flow_item){ .type = RTE_FLOW_ITEM_TYPE_ETH };
	if (path->has_vlan)
		*item++ = (struct rte_flow_item){
			.type = RTE_FLOW_ITEM_TYPE_VLAN, .spec = &spec->vlan, .mask = &exact.vlan
		};
	if (v4)
		*item++ = (struct rte_flow_item){
			.type = RTE_FLOW_ITEM_TYPE_IPV4, .spec = &spec->ipv4, .mask = &exact.ipv4
		};
	else
		*item++ = (struct rte_flow_item){
			.type = RTE_FLOW_ITEM_TYPE_IPV6, .spec = &spec->ipv6, .mask = &exact.ipv6
		};
	*item++ = (struct rte_flow_item){
		.type = RTE_FLOW_ITEM_TYPE_UDP, .spec = &spec->udp, .mask = &exact.udp
	};
	item->type = RTE_FLOW_ITEM_TYPE_END;
	rule->queue.index = queue;
	rule->actions[0] = (struct rte_flow_action){ .type = RTE_FLOW_ACTION_TYPE_QUEUE,
		.conf = &rule->queue };
	rule->actions[1].type = RTE_FLOW_ACTION_TYPE_END;
}

static struct tuple tuple_of(const struct net_path *path)
{
	return (struct tuple){ .local = path->local,
		.remote = path->remote,
		.vlan_id = path->has_vlan ? path->vlan_tci & 0x0fff : UINT16_MAX };
}

// ---- probe -------------------------------------------------------------------------------------

// Some drivers find good what they then cannot make (net_tap on a kernel without cls_flower): so
// one rule is made, for addresses that are nobody's (RFC 5737), and taken away again.
static int probe(uint16_t port_id, uint16_t queue, uint8_t family)
{
	static const uint8_t any[16] = { 192, 0, 2, 1, 0xff, 1 };
	struct net_path path = { .local = { .port_be = RTE_BE16(8189), .family = family },
		.remote = { .port_be = RTE_BE16(50000), .family = family } };
	struct rte_flow_error error = { 0 };
	struct rte_flow *flow;
	struct rule rule;
	int rc;

	memcpy(path.local.ip, any, family == NET_IPV4 ? 4 : 16);
	memcpy(path.remote.ip, any, family == NET_IPV4 ? 4 : 16);
	path.remote.ip[3] = 2;
	rule_make(&rule, &path, queue);
	rc = rte_flow_validate(port_id, &ingress, rule.items, rule.actions, &error);
	if (rc != 0)
		return rc;
	flow = rte_flow_create(port_id, &ingress, rule.items, rule.actions, &error);
	return flow ? rte_flow_destroy(port_id, flow, &error) : -ENOTSUP;
}

static struct rte_hash *make_hash(uint32_t n_slots)
{
	const struct rte_hash_parameters params = { .name = "flows",
		.entries = n_slots < 64 ? 64 : n_slots,
		.key_len = sizeof(struct tuple),
		.hash_func = rte_jhash,
		.socket_id = SOCKET_ID_ANY,
		.extra_flag = RTE_HASH_EXTRA_FLAGS_EXT_TABLE };

	return rte_hash_create(&params);
}

int flow_table_create(
	uint16_t port_id, uint16_t n_queues, uint32_t n_slots, struct flow_table **out)
{
	struct flow_table *t;

	bool v4, v6;

	if (n_queues < 2)
		return -ENOTSUP;
	v4 = probe(port_id, (uint16_t)(n_queues - 1), NET_IPV4) == 0;
	v6 = probe(port_id, (uint16_t)(n_queues - 1), NET_IPV6) == 0;
	if (!v4 && !v6)
		return -ENOTSUP;
	t = calloc(1, sizeof(*t) + n_slots * sizeof(t->slots[0]));
	if (!t)
		return -ENOMEM;
	t->port_id = port_id;
	t->n_queues = n_queues;
	t->n_slots = n_slots;
	t->v4 = v4;
	t->v6 = v6;
	t->by_tuple = make_hash(n_slots);
	if (!t->by_tuple) {
		free(t);
		return -ENOMEM;
	}
	*out = t;
	return 0;
}

// ---- rules come and go -------------------------------------------------------------------------

static void set_waiting(struct flow_table *t, struct flow_slot *s, bool waiting)
{
	t->counts.waiting += (uint32_t)waiting - (uint32_t)s->waiting;
	s->waiting = waiting;
}

// What is true of this rule alone; anything else is taken for a full table.
static bool is_about_rule(int error)
{
	return error == ENOTSUP || error == EINVAL || error == EEXIST;
}

static void install(struct flow_table *t, struct flow_slot *s)
{
	struct rte_flow_error error = { 0 };
	struct rule rule;

	set_waiting(t, s, t->full);
	if (t->full)
		return;
	rule_make(&rule, &s->wish.path, s->wish.queue);
	s->rule = rte_flow_create(t->port_id, &ingress, rule.items, rule.actions, &error);
	if (s->rule) {
		t->counts.rules++;
		return;
	}
	t->counts.refusals++;
	t->full = !is_about_rule(rte_errno);
	set_waiting(t, s, t->full); // one refused for itself is not offered again
	if (!t->told)
		log_warn("port %u refuses a flow rule (%s), having %u: packets without one are "
			 "handed "
			 "to their worker in software",
			t->port_id, error.message ? error.message : strerror(rte_errno),
			t->counts.rules);
	t->told = true;
}

// The next in turn that waits gets the room that came free.
static void use_room(struct flow_table *t)
{
	for (uint32_t i = 0; i < t->n_slots && t->counts.waiting && !t->full; i++) {
		struct flow_slot *s = &t->slots[t->retry_at];

		t->retry_at = (t->retry_at + 1) % t->n_slots;
		if (!s->waiting)
			continue;
		install(t, s);
		if (s->rule)
			return;
	}
}

// A driver that cannot destroy a rule keeps it: it may then lead packets to a worker that hands
// them on, as any other queue's.
static void uninstall(struct flow_table *t, struct flow_slot *s)
{
	struct rte_flow_error error = { 0 };

	if (rte_flow_destroy(t->port_id, s->rule, &error) != 0)
		log_warn("port %u does not take a flow rule back: %s", t->port_id,
			error.message ? error.message : strerror(rte_errno));
	s->rule = NULL;
	t->counts.rules--;
	t->full = false;
}

// Return: whether that made room.
static bool forget(struct flow_table *t, uint32_t slot)
{
	struct flow_slot *s = &t->slots[slot];
	const struct tuple tuple = tuple_of(&s->wish.path);
	bool had_rule = s->rule != NULL;

	if (!s->wish.wanted)
		return false;
	s->wish.wanted = false;
	rte_hash_del_key(t->by_tuple, &tuple);
	set_waiting(t, s, false);
	if (had_rule)
		uninstall(t, s);
	return had_rule;
}

static bool same(const struct flow_wish *a, const struct flow_wish *b)
{
	const struct tuple ta = tuple_of(&a->path), tb = tuple_of(&b->path);

	return a->wanted && a->queue == b->queue && memcmp(&ta, &tb, sizeof(ta)) == 0;
}

// Two slots may wish for one path for a moment, when an address changes hands.
// Return: whether another slot, younger, keeps it.
static bool yield_to_other(struct flow_table *t, const struct flow_wish *wish)
{
	const struct tuple tuple = tuple_of(&wish->path);
	void *other;

	if (rte_hash_lookup_data(t->by_tuple, &tuple, &other) < 0)
		return false;
	if (t->slots[(uintptr_t)other].wish.age > wish->age)
		return true;
	forget(t, (uint32_t)(uintptr_t)other);
	return false;
}

static void take(struct flow_table *t, uint32_t slot, const struct flow_wish *wish)
{
	struct flow_slot *s = &t->slots[slot];
	const struct tuple tuple = tuple_of(&wish->path);

	if (yield_to_other(t, wish) ||
		rte_hash_add_key_data(t->by_tuple, &tuple, (void *)(uintptr_t)slot) != 0)
		return;
	s->wish = *wish;
	install(t, s);
}

static bool possible(const struct flow_table *t, const struct flow_wish *wish)
{
	const struct net_path *path = &wish->path;

	return wish->queue < t->n_queues && path->local.family == path->remote.family &&
	       ((path->remote.family == NET_IPV4 && t->v4) ||
		       (path->remote.family == NET_IPV6 && t->v6));
}

void flow_set(struct flow_table *t, uint32_t slot, const struct flow_wish *wish)
{
	bool room;

	if (slot >= t->n_slots)
		return;
	if (wish->wanted && same(&t->slots[slot].wish, wish)) {
		t->slots[slot].wish.age = wish->age;
		return;
	}
	room = forget(t, slot);
	if (wish->wanted && possible(t, wish))
		take(t, slot, wish);
	if (room && !t->slots[slot].rule)
		use_room(t);
}

void flow_table_destroy(struct flow_table *t)
{
	if (!t)
		return;
	for (uint32_t slot = 0; slot < t->n_slots; slot++)
		forget(t, slot);
	rte_hash_free(t->by_tuple);
	free(t);
}

struct flow_counts flow_table_counts(const struct flow_table *t)
{
	return t->counts;
}
