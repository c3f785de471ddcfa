// The flow table against a NIC of ours: the bytes of each rule, room that ends and comes back,
// addresses that change hands, and NICs that can less.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include <rte_eal.h>

#include "dataplane/port/flow.h"
#include "tests/unit/port/fake_nic.h"

enum {
	QUEUES = 4,
	SLOTS = 16,
};

static struct flow_table *table;

static struct net_addr addr(const char *ip, uint16_t port)
{
	struct net_addr a;

	assert_int_equal(net_ip_parse(ip, &a), 0);
	a.port_be = htons(port);
	return a;
}

static struct net_path path_v4(uint16_t port)
{
	return (struct net_path){ .local = addr("198.18.77.1", 8189),
		.remote = addr("198.18.77.2", port) };
}

static struct net_path path_v6(uint16_t port)
{
	return (struct net_path){ .local = addr("fd77::1", 8189), .remote = addr("fd77::2", port) };
}

static uint64_t age;

static void set(uint32_t slot, const struct net_path *path, uint16_t queue)
{
	const struct flow_wish wish = {
		.path = *path, .queue = queue, .age = ++age, .wanted = true
	};

	flow_set(table, slot, &wish);
}

static void unset(uint32_t slot)
{
	const struct flow_wish none = { .age = ++age };

	flow_set(table, slot, &none);
}

static void expect(uint32_t rules, uint32_t waiting, uint64_t refusals)
{
	struct flow_counts c = flow_table_counts(table);

	assert_int_equal(c.rules, rules);
	assert_int_equal(fake_nic_count(), rules);
	assert_int_equal(c.waiting, waiting);
	assert_int_equal(c.refusals, refusals);
}

static int setup(void **state)
{
	int rc;

	fake_nic_reset();
	rc = flow_table_create(0, QUEUES, SLOTS, &table);
	fake_nic.n_created = fake_nic.n_destroyed = 0; // it tried
	return rc == 0 && fake_nic_count() == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	flow_table_destroy(table);
	table = NULL;
	return fake_nic_count() == 0 ? 0 : -1; // every rule left the NIC
}

// ---- one rule ----------------------------------------------------------------------------------

static void rules_say_all_of_the_path(void **state)
{
	struct net_path paths[] = { path_v4(5000), path_v6(5001), path_v4(5002), path_v6(5003) };

	paths[2].has_vlan = paths[3].has_vlan = 1;
	paths[2].vlan_tci = 0x6123; // its priority bits are no part of it
	paths[3].vlan_tci = 7;
	for (uint32_t i = 0; i < 4; i++)
		set(i, &paths[i], (uint16_t)i);
	expect(4, 0, 0);
	for (uint32_t i = 0; i < 4; i++) {
		const struct fake_rule *r = fake_nic_find(&paths[i].remote);

		assert_non_null(r);
		assert_true(net_addr_equal(&r->to, &paths[i].local));
		assert_int_equal(r->queue, i);
		assert_int_equal(r->vlan_id, i < 2 ? 0xffff : i == 2 ? 0x123 : 7);
	}
}

static void slot_moves_and_goes(void **state)
{
	struct net_path before = path_v4(5000), after = path_v6(5000);

	set(3, &before, 1);
	set(3, &before, 1);
	assert_int_equal(fake_nic.n_created, 1); // nothing changed: the NIC is left alone
	set(3, &after, 1);
	expect(1, 0, 0);
	assert_null(fake_nic_find(&before.remote));
	set(3, &after, 2);
	assert_int_equal(fake_nic_find(&after.remote)->queue, 2);
	unset(3);
	unset(3);
	expect(0, 0, 0);
	assert_int_equal(fake_nic.n_destroyed, 3);
}

static void nonsense_makes_no_rule(void **state)
{
	struct net_path path = path_v4(5000), mixed = path_v4(5001), none = { 0 };

	mixed.local = addr("fd77::1", 8189);
	set(SLOTS, &path, 1);
	set(0, &path, QUEUES);
	set(1, &mixed, 1);
	set(2, &none, 1);
	expect(0, 0, 0);
	assert_int_equal(fake_nic.n_refused, 0); // the driver was not even asked
}

// ---- the table is full -------------------------------------------------------------------------

static void full_table_stops_and_goes_on(void **state)
{
	fake_nic.room = 3;
	for (uint16_t i = 0; i < 8; i++) {
		struct net_path path = path_v4((uint16_t)(5000 + i));

		set(i, &path, 1);
	}
	expect(3, 5, 1); // refused once, then not asked again
	unset(0);
	expect(3, 4, 1); // the room went to one that waited
	unset(7);	 // waits: frees nothing
	expect(3, 3, 1);
	for (uint16_t i = 1; i < 7; i++)
		unset(i);
	expect(0, 0, 1);
	fake_nic.room = FAKE_NIC_MAX_RULES;
	for (uint16_t i = 0; i < SLOTS; i++) {
		struct net_path path = path_v6((uint16_t)(6000 + i));

		set(i, &path, 2);
	}
	expect(SLOTS, 0, 1);
}

// A slot that moves keeps its room, and one whose turn came has it for good.
static void moving_in_a_full_table(void **state)
{
	struct net_path a = path_v4(5000), b = path_v4(5001), a2 = path_v4(5002);

	fake_nic.room = 1;
	set(0, &a, 1);
	set(1, &b, 1);
	set(0, &a2, 1);
	expect(1, 1, 1);
	assert_non_null(fake_nic_find(&a2.remote));
	unset(0);
	expect(1, 0, 1);
	assert_non_null(fake_nic_find(&b.remote));
}

// What the driver says of one rule does not stop the others, and is not said again and again.
static void one_rule_is_refused(void **state)
{
	static const int errors[] = { EINVAL, ENOTSUP, EEXIST };
	struct net_path bad = path_v4(4000);

	for (uint16_t i = 0; i < 3; i++) {
		struct net_path path = path_v4((uint16_t)(5000 + i));

		fake_nic.error = errors[i];
		set(15, &bad, 1);
		fake_nic.error = 0;
		set(i, &path, 1);
		expect(i + 1u, 0, i + 1u);
		unset(15);
	}
	unset(0);
	expect(2, 0, 3);
}

static void a_rule_that_does_not_go(void **state)
{
	struct net_path path = path_v4(5000);

	fake_nic.destroy_fails = true;
	set(0, &path, 1);
	unset(0);
	expect(0, 0, 0);
}

// ---- two slots, one address --------------------------------------------------------------------

static void address_changes_hands(void **state)
{
	struct net_path path = path_v4(5000);

	set(0, &path, 1);
	set(1, &path, 2);
	expect(1, 0, 0);
	assert_int_equal(fake_nic_find(&path.remote)->queue, 2);
	unset(0); // has none any more
	expect(1, 0, 0);
	unset(1);
	expect(0, 0, 0);
}

// Wishes of two workers may come in the other order than they were made.
static void younger_wish_stays(void **state)
{
	struct net_path path = path_v4(5000);
	struct flow_wish old = { .path = path, .queue = 1, .age = 10, .wanted = true };
	struct flow_wish young = { .path = path, .queue = 2, .age = 11, .wanted = true };

	flow_set(table, 1, &young);
	flow_set(table, 0, &old);
	expect(1, 0, 0);
	assert_int_equal(fake_nic_find(&path.remote)->queue, 2);
	unset(0);
	expect(1, 0, 0);
	old.age = 12; // taken back
	flow_set(table, 0, &old);
	assert_int_equal(fake_nic_find(&path.remote)->queue, 1);
	expect(1, 0, 0);
}

// One address in two VLANs is two viewers.
static void vlans_are_apart(void **state)
{
	struct net_path plain = path_v4(5000), tagged = plain;

	tagged.has_vlan = 1;
	tagged.vlan_tci = 5;
	set(0, &plain, 1);
	set(1, &tagged, 2);
	expect(2, 0, 0);
}

// ---- NICs that can less ------------------------------------------------------------------------

static void nic_is_asked_first(void **state)
{
	struct flow_table *t = NULL;
	struct net_path v4 = path_v4(5000), v6 = path_v6(5000);

	assert_int_equal(flow_table_create(0, 1, SLOTS, &t), -ENOTSUP);
	fake_nic.v4 = fake_nic.v6 = false;
	assert_int_equal(flow_table_create(0, QUEUES, SLOTS, &t), -ENOTSUP);
	assert_null(t);
	fake_nic.boasts = true;
	assert_int_equal(flow_table_create(0, QUEUES, SLOTS, &t), -ENOTSUP);
	assert_null(t);
	fake_nic.boasts = false;
	fake_nic.n_refused = 0;
	flow_table_destroy(table);
	fake_nic.v4 = true;
	assert_int_equal(flow_table_create(0, QUEUES, SLOTS, &table), 0);
	set(0, &v4, 1);
	set(1, &v6, 1);
	expect(1, 0, 0);
	assert_int_equal(fake_nic.n_refused, 0);
}

// DPDK's own answer for ports without rules.
static void ports_without_rules(void **state)
{
	struct flow_table *t = NULL;

	fake_nic.real = true;
	for (uint16_t port = 0; port < 3; port++)
		assert_int_equal(flow_table_create(port, QUEUES, SLOTS, &t), -ENOTSUP);
	fake_nic.real = false;
	assert_null(t);
}

static int start_eal(void **state)
{
	char *argv[] = { (char *)"test", (char *)"--no-huge", (char *)"--no-shconf",
		(char *)"--no-pci", (char *)"--no-telemetry", (char *)"--log-level=error",
		(char *)"-m64", (char *)"--lcores=0", (char *)"--vdev=net_null0",
		(char *)"--vdev=net_ring0", NULL };

	return rte_eal_init((int)(sizeof(argv) / sizeof(argv[0])) - 1, argv) < 0 ? -1 : 0;
}

static int stop_eal(void **state)
{
	return rte_eal_cleanup();
}

#define flow_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		flow_test(rules_say_all_of_the_path),
		flow_test(slot_moves_and_goes),
		flow_test(nonsense_makes_no_rule),
		flow_test(full_table_stops_and_goes_on),
		flow_test(moving_in_a_full_table),
		flow_test(one_rule_is_refused),
		flow_test(a_rule_that_does_not_go),
		flow_test(address_changes_hands),
		flow_test(younger_wish_stays),
		flow_test(vlans_are_apart),
		flow_test(nic_is_asked_first),
		flow_test(ports_without_rules),
	};

	return cmocka_run_group_tests(tests, start_eal, stop_eal);
}
