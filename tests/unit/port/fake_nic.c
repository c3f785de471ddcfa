#include "tests/unit/port/fake_nic.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_flow.h>

#include "dataplane/abi/region.h"

struct fake_nic fake_nic;

#define FLOW_ARGS                                                                              \
	uint16_t port_id, const struct rte_flow_attr *attr, const struct rte_flow_item *items, \
		const struct rte_flow_action *actions, struct rte_flow_error *error

int __real_rte_flow_validate(FLOW_ARGS);
struct rte_flow *__real_rte_flow_create(FLOW_ARGS);
int __real_rte_flow_destroy(uint16_t port_id, struct rte_flow *, struct rte_flow_error *);
int __wrap_rte_flow_validate(FLOW_ARGS);
struct rte_flow *__wrap_rte_flow_create(FLOW_ARGS);
int __wrap_rte_flow_destroy(uint16_t port_id, struct rte_flow *, struct rte_flow_error *);

void fake_nic_reset(void)
{
	fake_nic = (struct fake_nic){ .v4 = true, .v6 = true, .room = FAKE_NIC_MAX_RULES };
}

unsigned int fake_nic_count(void)
{
	unsigned int n = 0;

	for (int i = 0; i < FAKE_NIC_MAX_RULES; i++)
		n += fake_nic.rules[i].used;
	return n;
}

const struct fake_rule *fake_nic_find(const struct net_addr *from)
{
	for (int i = 0; i < FAKE_NIC_MAX_RULES; i++)
		if (fake_nic.rules[i].used && net_addr_equal(&fake_nic.rules[i].from, from))
			return &fake_nic.rules[i];
	return NULL;
}

static bool all_ones(const void *at, size_t off, size_t bytes, size_t total)
{
	const uint8_t *b = at;

	for (size_t i = 0; i < total; i++)
		if (b[i] != (i >= off && i < off + bytes ? 0xff : 0))
			return false;
	return true;
}

static int take_vlan(const struct rte_flow_item *item, struct fake_rule *out)
{
	const struct rte_flow_item_vlan want = { .hdr.vlan_tci = RTE_BE16(0x0fff) };
	const struct rte_flow_item_vlan *vlan = item->spec;

	if (item->last || !vlan || !item->mask || memcmp(item->mask, &want, sizeof(want)) != 0)
		return -EINVAL;
	out->vlan_id = rte_be_to_cpu_16(vlan->hdr.vlan_tci);
	return out->vlan_id > 0x0fff ? -EINVAL : 0;
}

// Source and destination lie in a row in both headers.
static int take_ip(const struct rte_flow_item *item, struct fake_rule *out)
{
	bool v4 = item->type == RTE_FLOW_ITEM_TYPE_IPV4;
	size_t total = v4 ? sizeof(struct rte_flow_item_ipv4) : sizeof(struct rte_flow_item_ipv6);
	size_t off = v4 ? 12 : 8, bytes = v4 ? 4 : 16;

	if ((!v4 && item->type != RTE_FLOW_ITEM_TYPE_IPV6) || item->last || !item->spec ||
		!item->mask || !all_ones(item->mask, off, 2 * bytes, total))
		return -EINVAL;
	if (v4 ? !fake_nic.v4 : !fake_nic.v6)
		return -ENOTSUP;
	out->from.family = out->to.family = v4 ? NET_IPV4 : NET_IPV6;
	memcpy(out->from.ip, (const uint8_t *)item->spec + off, bytes);
	memcpy(out->to.ip, (const uint8_t *)item->spec + off + bytes, bytes);
	return 0;
}

static int take_udp(const struct rte_flow_item *item, struct fake_rule *out)
{
	const uint8_t *spec = item->spec;

	if (item->type != RTE_FLOW_ITEM_TYPE_UDP || item->last || !spec || !item->mask ||
		!all_ones(item->mask, 0, 4, sizeof(struct rte_flow_item_udp)))
		return -EINVAL;
	memcpy(&out->from.port_be, spec, 2);
	memcpy(&out->to.port_be, spec + 2, 2);
	return 0;
}

static int take(const struct rte_flow_attr *attr, const struct rte_flow_item *item,
	const struct rte_flow_action *action, struct fake_rule *out)
{
	const struct rte_flow_attr want = { .ingress = 1 };
	const struct rte_flow_action_queue *queue = action[0].conf;
	int rc;

	*out = (struct fake_rule){ .used = true, .vlan_id = UINT16_MAX };
	if (memcmp(attr, &want, sizeof(want)) != 0 || item->type != RTE_FLOW_ITEM_TYPE_ETH ||
		item->spec || item->mask || item->last)
		return -EINVAL;
	if (item[1].type == RTE_FLOW_ITEM_TYPE_VLAN) {
		rc = take_vlan(++item, out);
		if (rc < 0)
			return rc;
	}
	rc = take_ip(item + 1, out);
	if (rc == 0)
		rc = take_udp(item + 2, out);
	if (rc < 0)
		return rc;
	if (item[3].type != RTE_FLOW_ITEM_TYPE_END ||
		action[0].type != RTE_FLOW_ACTION_TYPE_QUEUE || !queue ||
		action[1].type != RTE_FLOW_ACTION_TYPE_END)
		return -EINVAL;
	out->queue = queue->index;
	return 0;
}

int __wrap_rte_flow_validate(FLOW_ARGS)
{
	struct fake_rule rule;

	if (fake_nic.real)
		return __real_rte_flow_validate(port_id, attr, items, actions, error);
	return fake_nic.boasts ? 0 : take(attr, items, actions, &rule);
}

static bool same_match(const struct fake_rule *a, const struct fake_rule *b)
{
	return a->used && net_addr_equal(&a->from, &b->from) && net_addr_equal(&a->to, &b->to) &&
	       a->vlan_id == b->vlan_id;
}

static struct rte_flow *refuse(int code, struct rte_flow_error *error)
{
	fake_nic.n_refused++;
	error->message = "so it is";
	rte_errno = code;
	return NULL;
}

struct rte_flow *__wrap_rte_flow_create(FLOW_ARGS)
{
	struct fake_rule rule, *at = NULL;
	int rc;

	if (fake_nic.real)
		return __real_rte_flow_create(port_id, attr, items, actions, error);
	rc = take(attr, items, actions, &rule);
	if (rc < 0)
		return refuse(-rc, error);
	if (fake_nic.vlan_is_port)
		assert_int_equal(rule.vlan_id, rte_be_to_cpu_16(rule.from.port_be) & 0xfff);
	if (fake_nic.error)
		return refuse(fake_nic.error, error);
	for (int i = FAKE_NIC_MAX_RULES; i-- > 0;) {
		if (same_match(&fake_nic.rules[i], &rule))
			return refuse(EEXIST, error);
		if (!fake_nic.rules[i].used)
			at = &fake_nic.rules[i];
	}
	if (fake_nic_count() >= fake_nic.room || !at)
		return refuse(ENOSPC, error);
	for (uint64_t from = region_now_ns(); region_now_ns() - from < fake_nic.takes_ns;)
		;
	*at = rule;
	fake_nic.n_created++;
	return (struct rte_flow *)at;
}

int __wrap_rte_flow_destroy(uint16_t port_id, struct rte_flow *flow, struct rte_flow_error *error)
{
	struct fake_rule *rule = (struct fake_rule *)flow;

	if (fake_nic.real)
		return __real_rte_flow_destroy(port_id, flow, error);
	assert_true(rule >= fake_nic.rules && rule < fake_nic.rules + FAKE_NIC_MAX_RULES);
	assert_true(rule->used); // never twice
	rule->used = false;
	fake_nic.n_destroyed++;
	return fake_nic.destroy_fails ? -EIO : 0;
}
