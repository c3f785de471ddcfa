// What control commands becomes rules in the NIC, by way of the main thread; and the queue between
// the two, with several workers at once.
#include "tests/unit/fanout/edge_kit.h"

#include <pthread.h>
#include <sched.h>

#include <rte_dev.h>
#include <rte_ethdev.h>

#include "dataplane/fanout/steering.h"
#include "tests/unit/port/fake_nic.h"

enum {
	EPISODES = 500,
	WISHES = 40, // of each worker in an episode
	SLOTS_EACH = KIT_PEERS / KIT_WORKERS,
};

static uint16_t port_id;

// A port with a queue for each worker, in the place of the kit's, which have one each.
static int setup(void **state)
{
	int rc = kit_setup(state);

	fake_nic_reset();
	kit.ports.n_ports = 1;
	kit.ports.ports[0] = port_id;
	for (uint16_t w = 0; w < KIT_WORKERS; w++)
		kit.ports.workers[w].rx[0] = (struct port_queue){ .port_id = port_id,
			.queue = (uint16_t)w };
	if (rc == 0)
		rc = steering_create(&kit.edge, &kit.edge.steering);
	fake_nic.n_created = 0; // it tried
	return rc;
}

static int teardown(void **state)
{
	steering_destroy(kit.edge.steering);
	return kit_teardown(state) == 0 && fake_nic_count() == 0 ? 0 : -1;
}

static void poll_all(void)
{
	while (steering_poll(kit.edge.steering))
		;
}

static void add(uint16_t slot, uint16_t worker)
{
	kit_peer_fill(slot, 0, worker, SRTP_PROFILE_GCM128)->path.port_id = (uint8_t)port_id;
	assert_int_equal(kit_command(worker, RING_PEER_UPDATE, slot, 1), 0);
}

static uint16_t queue_of(uint16_t slot)
{
	const struct net_addr from = kit_viewer_addr(slot);
	const struct fake_rule *rule = fake_nic_find(&from);

	return rule ? rule->queue : UINT16_MAX;
}

static void expect_counts(uint32_t rules, uint32_t waiting, uint64_t refusals)
{
	assert_int_equal(fake_nic_count(), rules);
	assert_int_equal(kit.region.header->flow_rules, rules);
	assert_int_equal(kit.region.header->flow_waiting, waiting);
	assert_int_equal(kit.region.header->flow_refusals, refusals);
}

// ---- commands ----------------------------------------------------------------------------------

static void viewers_come_move_and_go(void **state)
{
	struct region_peer_conf *conf = &kit.region.peers[0].conf;
	struct net_addr after;

	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	add(0, 0);
	add(1, 1);
	assert_int_equal(fake_nic.n_created, 0); // never in a worker
	poll_all();
	assert_int_equal(kit.region.header->flow_steering, 1);
	expect_counts(2, 0, 0);
	assert_int_equal(queue_of(0), 0);
	assert_int_equal(queue_of(1), 1);

	conf->path.remote = after = kit_addr("fd77::9", 9000);
	conf->path.local = kit_addr("fd77::1", KIT_MEDIA_PORT);
	assert_int_equal(kit_command(0, RING_PEER_UPDATE, 0, 1), 0);
	poll_all();
	assert_int_equal(queue_of(0), UINT16_MAX);
	assert_int_equal(fake_nic_find(&after)->queue, 0);
	conf->key_id++; // made anew, where it is
	assert_int_equal(kit_command(0, RING_PEER_UPDATE, 0, 1), 0);
	poll_all();
	assert_int_equal(fake_nic_find(&after)->queue, 0);

	assert_int_equal(kit_command(0, RING_PEER_REMOVE, 0, 1), 0);
	poll_all();
	expect_counts(1, 0, 0);
	assert_int_equal(kit_command(1, RING_DRAIN, 0, 0), 0);
	poll_all();
	expect_counts(0, 0, 0);
}

// Come and gone before the main thread looked: nothing reaches the NIC; come, gone and come again:
// the last has it.
static void newest_wish_counts(void **state)
{
	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	add(0, 0);
	assert_int_equal(kit_command(0, RING_PEER_REMOVE, 0, 1), 0);
	poll_all();
	assert_int_equal(fake_nic.n_created, 0);
	add(0, 0);
	assert_int_equal(kit_command(0, RING_PEER_REMOVE, 0, 1), 0);
	add(0, 1);
	assert_int_equal(steering_poll(kit.edge.steering), 1);
	assert_int_equal(queue_of(0), 1);
	expect_counts(1, 0, 0);
}

// The same address from two slots of two workers: the newer has it, whoever leaves.
static void address_changes_hands(void **state)
{
	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	add(0, 0);
	kit_peer_fill(1, 0, 1, SRTP_PROFILE_GCM128)->path = kit.region.peers[0].conf.path;
	assert_int_equal(kit_command(1, RING_PEER_UPDATE, 1, 1), 0);
	poll_all();
	assert_int_equal(queue_of(0), 1);
	assert_int_equal(kit_command(0, RING_PEER_REMOVE, 0, 1), 0);
	poll_all();
	assert_int_equal(queue_of(0), 1);
	expect_counts(1, 0, 0);
}

static void full_nic_is_told(void **state)
{
	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	fake_nic.room = 2;
	for (uint16_t slot = 0; slot < 5; slot++)
		add(slot, slot % KIT_WORKERS);
	poll_all();
	expect_counts(2, 3, 1);
	assert_int_equal(kit_command(0, RING_PEER_REMOVE, 0, 1), 0);
	poll_all();
	expect_counts(2, 2, 1);
}

// The slot is control's: another path than the one the viewer has is not steered, nor another port.
static void slot_is_input(void **state)
{
	struct peer p = { .slot = 3, .remote = kit_viewer_addr(3) };
	struct region_peer_conf *conf = kit_peer_fill(3, 0, 0, SRTP_PROFILE_GCM128);

	conf->path.port_id = (uint8_t)port_id;
	conf->path.remote.port_be ^= 1;
	steering_want(&kit.workers[0], &p);
	poll_all();
	expect_counts(0, 0, 0);
	conf->path.remote = p.remote;
	conf->path.local.port_be = htons(KIT_VIDEO_PORT);
	steering_want(&kit.workers[0], &p);
	poll_all();
	expect_counts(0, 0, 0);
	conf->path.local.port_be = htons(KIT_MEDIA_PORT);
	conf->path.port_id++;
	steering_want(&kit.workers[0], &p);
	poll_all();
	expect_counts(0, 0, 0);
	conf->path.port_id--;
	steering_want(&kit.workers[0], &p);
	poll_all();
	expect_counts(1, 0, 0);
}

// ---- off ---------------------------------------------------------------------------------------

static void off(void)
{
	struct steering *s = (struct steering *)&kit;

	assert_int_equal(steering_create(&kit.edge, &s), 0);
	assert_null(s);
}

static void where_it_is_off(void **state)
{
	steering_destroy(kit.edge.steering);
	kit.edge.steering = NULL;
	kit.conf.dataplane.flow_steering = CONF_STEERING_OFF;
	off();
	kit.conf.dataplane.flow_steering = CONF_STEERING_AUTO;
	kit.edge.n_workers = 1;
	off();
	kit.edge.n_workers = KIT_WORKERS;
	kit.ports.interface[0] = 'e'; // AF_XDP
	off();
	kit.ports.interface[0] = 0;
	fake_nic.v4 = fake_nic.v6 = false;
	off();
	fake_nic.real = true; // DPDK's answer
	off();
	fake_nic.real = false;

	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	add(0, 0);
	assert_int_equal(kit_command(0, RING_PEER_REMOVE, 0, 1), 0);
	assert_int_equal(kit.edge.steering == NULL && fake_nic.n_created == 0, true);
}

// ---- several threads ---------------------------------------------------------------------------

struct wisher {
	pthread_t thread;
	uint16_t worker;
	uint16_t ports[SLOTS_EACH]; // wished last; 0: none
};

static _Atomic unsigned int episode, n_done;

static void wish(struct wisher *me, uint32_t random)
{
	uint16_t at = (uint16_t)((random >> 16) % SLOTS_EACH);
	uint16_t slot = (uint16_t)(me->worker * SLOTS_EACH + at);
	struct net_path *path = &kit.region.peers[slot].conf.path;
	struct peer p = { .slot = slot };

	me->ports[at] = random >> 30 ? (uint16_t)(1000 + slot * 1000 + (random >> 8) % 999) : 0;
	p.remote = kit_addr("198.18.77.2", me->ports[at]);
	path->remote = p.remote;
	path->has_vlan = 1;
	path->vlan_tci = me->ports[at] & 0xfff;
	if (me->ports[at])
		steering_want(&kit.workers[me->worker], &p);
	else
		steering_drop(&kit.workers[me->worker], slot);
}

// The EAL bound the thread that we come from to one CPU.
static void use_all_cpus(void)
{
	cpu_set_t all;

	memset(&all, 0xff, sizeof(all));
	sched_setaffinity(0, sizeof(all), &all);
}

static void *wish_on(void *arg)
{
	struct wisher *me = arg;
	uint32_t random = 1 + me->worker;

	use_all_cpus();
	for (unsigned int i = 1; i <= EPISODES; i++) {
		while (atomic_load(&episode) < i)
			sched_yield();
		for (int n = 0; n < WISHES; n++) {
			random = random * 1664525 + 1013904223;
			wish(me, random);
		}
		atomic_fetch_add(&n_done, 1);
	}
	return NULL;
}

static void expect_last_wishes(const struct wisher wishers[KIT_WORKERS])
{
	unsigned int rules = 0;

	for (uint16_t w = 0; w < KIT_WORKERS; w++)
		for (uint16_t i = 0; i < SLOTS_EACH; i++) {
			struct net_addr from = kit_addr("198.18.77.2", wishers[w].ports[i]);
			const struct fake_rule *rule = fake_nic_find(&from);

			rules += wishers[w].ports[i] != 0;
			assert_int_equal(rule != NULL, wishers[w].ports[i] != 0);
			assert_true(!rule || rule->queue == w);
		}
	expect_counts(rules, 0, 0);
}

// Whatever the main thread is at when the last wish of a slot comes, that is what the NIC gets.
static void last_wishes_stand(void **state)
{
	struct wisher wishers[KIT_WORKERS] = { 0 };

	for (uint16_t slot = 0; slot < KIT_PEERS; slot++)
		kit_peer_fill(slot, 0, slot / SLOTS_EACH, SRTP_PROFILE_GCM128)->path.port_id =
			(uint8_t)port_id;
	for (uint16_t w = 0; w < KIT_WORKERS; w++) {
		wishers[w].worker = w;
		assert_int_equal(pthread_create(&wishers[w].thread, NULL, wish_on, &wishers[w]), 0);
	}
	fake_nic.takes_ns = 3000;
	fake_nic.vlan_is_port = true;
	for (unsigned int i = 1; i <= EPISODES; i++) {
		atomic_store(&episode, i);
		while (atomic_load(&n_done) < i * KIT_WORKERS)
			steering_poll(kit.edge.steering);
		poll_all();
		expect_last_wishes(wishers);
	}
	for (uint16_t w = 0; w < KIT_WORKERS; w++)
		pthread_join(wishers[w].thread, NULL);
}

// ------------------------------------------------------------------------------------------------

static int group_setup(void **state)
{
	struct rte_eth_conf conf = { 0 };

	if (kit_group_setup(state) < 0 || rte_eal_hotplug_add("vdev", "net_null9", "no-rx=1") < 0 ||
		rte_eth_dev_get_port_by_name("net_null9", &port_id) < 0 ||
		rte_eth_dev_configure(port_id, KIT_WORKERS, KIT_WORKERS, &conf) < 0)
		return -1;
	for (uint16_t q = 0; q < KIT_WORKERS; q++)
		if (rte_eth_rx_queue_setup(
			    port_id, q, 64, SOCKET_ID_ANY, NULL, rte_mempool_lookup("kit")) < 0 ||
			rte_eth_tx_queue_setup(port_id, q, 64, SOCKET_ID_ANY, NULL) < 0)
			return -1;
	return rte_eth_dev_start(port_id);
}

static int group_teardown(void **state)
{
	rte_eth_dev_stop(port_id);
	rte_eth_dev_close(port_id);
	return kit_group_teardown(state);
}

#define steering_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		steering_test(viewers_come_move_and_go),
		steering_test(newest_wish_counts),
		steering_test(address_changes_hands),
		steering_test(full_nic_is_told),
		steering_test(slot_is_input),
		steering_test(where_it_is_off),
		steering_test(last_wishes_stand),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
