// Workers on a port that the kernel does not see: who answers, which way viewers beyond the link
// are reached, what is told of the link. Frames: tests/unit/host/frames.h.
#include "tests/unit/fanout/edge_kit.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_ethdev.h>

#include "dataplane/fanout/host.h"
#include "tests/unit/host/frames.h"

static const uint8_t gateway_mac[6] = { 2, 0, 0, 0, 0, 2 }, viewer_mac[6] = { 2, 0, 0, 0, 0, 9 };

static int setup(void **state)
{
	struct conf *conf = &kit.conf;

	if (kit_setup(state) < 0)
		return -1;
	assert_int_equal(net_ip_parse("198.18.77.1", &conf->dataplane.addresses[0].addr), 0);
	assert_int_equal(net_ip_parse("fd77::1", &conf->dataplane.addresses[1].addr), 0);
	conf->dataplane.addresses[0].bits = 24;
	conf->dataplane.addresses[1].bits = 64;
	conf->dataplane.n_addresses = 2;
	memcpy(conf->dataplane.mac, "\2\0\0\0\0\1", 6);
	return 0;
}

static int teardown(void **state)
{
	host_destroy(kit.edge.host);
	return kit_teardown(state);
}

static void start_host(void)
{
	kit.ports.ports[0] = 0;
	kit.ports.n_ports = 1;
	assert_int_equal(host_create(&kit.conf, &kit.ports, &kit.region, &kit.edge.host), 0);
	kit_step(0); // asks for its addresses and gateways
	kit_events(0);
}

static void must_send(uint16_t worker, const struct frame_sample *want)
{
	uint8_t frame[KIT_PKT_BYTES];

	assert_int_equal(kit_sent_frame(worker, frame), want->n);
	assert_memory_equal(frame, want->bytes, want->n);
}

static uint64_t dropped(uint16_t worker, enum drop_reason reason)
{
	return kit.region.workers[worker].drops[reason];
}

static uint64_t counted(enum region_host_count kind)
{
	return kit.region.header->host.counts[kind];
}

static void one_worker_answers(void **state)
{
	start_host();
	kit_forget_sent(0);
	for (uint16_t w = 0; w < KIT_WORKERS; w++) {
		kit_feed_frame(w, arp_ask.bytes, arp_ask.n);
		kit_step(w);
		kit_step(0); // whichever got it
		assert_int_equal(kit_sent_count(1), 0);
		must_send(0, &arp_say);
	}
	kit_feed_frame(0, ns_ask.bytes, ns_ask.n);
	kit_feed_frame(0, ping6_ask.bytes, ping6_ask.n);
	kit_step(0);
	must_send(0, &ns_say);
	must_send(0, &ping6_say);
	assert_int_equal(counted(REGION_HOST_ARP_REPLY), 2);
	assert_int_equal(counted(REGION_HOST_ADVERT), 1);
	assert_int_equal(counted(REGION_HOST_ECHO_REPLY), 1);
}

static void nobody_answers_without_addresses(void **state)
{
	kit.conf.dataplane.n_addresses = 0;
	start_host();
	kit_feed_frame(0, arp_ask.bytes, arp_ask.n);
	kit_feed_frame(1, ping_ask.bytes, ping_ask.n);
	kit_step(0);
	kit_step(1);
	assert_int_equal(kit_sent_count(0) + kit_sent_count(1), 0);
	assert_int_equal(dropped(0, DROP_NOT_IP), 1);
	assert_int_equal(dropped(1, DROP_NOT_IP), 1);
}

static void drops_have_reasons(void **state)
{
	uint8_t frame[96];

	start_host();
	kit_forget_sent(0);
	memcpy(frame, arp_ask.bytes, sizeof(frame));
	frame[15] = 6; // of no Ethernet
	kit_feed_frame(0, frame, arp_ask.n);
	memcpy(frame, ping_ask.bytes, sizeof(frame));
	frame[5] = 9; // another card's
	kit_feed_frame(0, frame, ping_ask.n);
	kit_feed_frame(0, na.bytes, na.n); // of use to nobody here
	kit_step(0);
	assert_int_equal(dropped(0, DROP_HOST_BAD), 1);
	assert_int_equal(dropped(0, DROP_NOT_OURS), 1);
	assert_int_equal(dropped(0, DROP_NOT_IP), 1);
	assert_int_equal(kit_sent_count(0), 0);
}

static void pings_are_limited(void **state)
{
	uint64_t answered;

	start_host();
	kit_forget_sent(0);
	for (int i = 0; i < 1500; i++) {
		kit_feed_frame(0, ping_ask.bytes, ping_ask.n);
		kit_step(0);
		kit_forget_sent(0);
	}
	answered = counted(REGION_HOST_ECHO_REPLY);
	assert_in_range(answered, 1000, 1499);
	assert_int_equal(dropped(0, DROP_HOST_RATE), 1500 - answered);
}

static void the_link_is_told(void **state)
{
	_Atomic uint32_t *link = &kit.region.header->host.link;

	start_host();
	assert_int_equal(kit_count_events(RING_LINK_UP, 0), 1);
	atomic_store(link, REGION_LINK_DOWN);
	kit_step_ms(0, 15);
	kit_events(0);
	assert_int_equal(kit_count_events(RING_LINK_DOWN, 0), 1);
	atomic_store(link, REGION_LINK_UP);
	kit_step_ms(0, 15);
	kit_events(0);
	assert_int_equal(kit_count_events(RING_LINK_UP, 0), 2);
}

static void watch_once(void)
{
	usleep((HOST_WATCH_MS + 1) * 1000);
	host_watch(kit.edge.host);
}

// What goes to stderr from listen_begin to listen_end.
static int heard, heard_before;

static void listen_begin(void)
{
	heard = memfd_create("said", 0);
	heard_before = dup(STDERR_FILENO);
	dup2(heard, STDERR_FILENO);
}

static void listen_end(char said[512])
{
	dup2(heard_before, STDERR_FILENO);
	close(heard_before);
	memset(said, 0, 512);
	assert_true(pread(heard, said, 511, 0) >= 0);
	close(heard);
}

// A neighbour that has our address answers the question for it.
static void another_has_our_address(void **state)
{
	uint8_t frame[96];
	char said[512];

	start_host();
	// IPv4, IPv6, and the link-local one.
	assert_int_equal(counted(REGION_HOST_SOLICITATION), 3);
	must_send(0, &probe4);
	must_send(0, &probe6);
	memcpy(frame, arp_reply.bytes, sizeof(frame));
	frame[31] = 1; // the sender's address
	for (int i = 0; i < 3; i++)
		kit_feed_frame(0, frame, arp_reply.n);
	kit_step_ms(0, 15);
	assert_int_equal(counted(REGION_HOST_CONFLICT), 3);
	assert_int_equal(counted(REGION_HOST_ANNOUNCEMENT), 0); // it had it first
	listen_begin();
	watch_once();
	listen_end(said);
	assert_non_null(strstr(said, "198.18.77.1 is also in use by 02:00:00:00:00:02: take"));
	// We are still asked by those who look for us.
	kit_forget_sent(0);
	kit_feed_frame(0, arp_ask.bytes, arp_ask.n);
	kit_step(0);
	must_send(0, &arp_say);
	// And it is no line for each packet.
	kit_feed_frame(0, frame, arp_reply.n);
	kit_step(0);
	listen_begin();
	watch_once();
	listen_end(said);
	assert_string_equal(said, "");
}

static void announced_after_asking(void **state)
{
	start_host();
	for (int i = 0; i < 1000 && counted(REGION_HOST_ANNOUNCEMENT) == 0; i++) {
		kit_forget_sent(0);
		kit_step_ms(0, 10);
	}
	assert_int_equal(counted(REGION_HOST_SOLICITATION), 9);
	assert_int_equal(counted(REGION_HOST_ANNOUNCEMENT), 3);
	must_send(0, &announce4);
	must_send(0, &announce6);
}

// Where the viewer's next RTP packet goes.
static void media_must_go_to(uint16_t worker, const uint8_t mac[6], uint16_t seq)
{
	struct kit_rtp p = kit_rtp_make(seq, 3000u * seq, 0x65, true);
	uint8_t frame[KIT_PKT_BYTES];

	kit_feed_rtp(0, 0, LEG_VIDEO, &p);
	kit_step(0);
	if (worker)
		kit_step(worker);
	assert_true(kit_sent_frame(worker, frame) > 0);
	assert_memory_equal(frame, mac, 6);
	kit_forget_sent(worker);
}

static void add_viewer(uint16_t slot, const char *ip, uint16_t worker)
{
	struct region_peer_conf *conf = kit_peer_fill(slot, 0, worker, SRTP_PROFILE_GCM128);

	conf->path.remote = kit_addr(ip, 5000);
	memcpy(conf->path.remote_mac, viewer_mac, 6);
	conf->phase = REGION_PEER_RESERVED;
	assert_int_equal(kit_command(worker, RING_PEER_ADD, slot, 1), 0);
	conf->phase = REGION_PEER_READY;
	assert_int_equal(kit_command(worker, RING_PEER_UPDATE, slot, 1), 0);
}

static void beyond_the_link(void **state)
{
	for (uint16_t w = 0; w < KIT_WORKERS; w++) {
		kit_teardown(state);
		setup(state);
		assert_int_equal(net_ip_parse("198.18.77.2", &kit.conf.dataplane.gateway4), 0);
		start_host();
		kit_stream_fill(0, 0);
		assert_int_equal(kit_stream_set(0), 0);
		add_viewer(0, "203.0.113.7", w);
		kit_forget_sent(0);
		media_must_go_to(w, viewer_mac, 1); // the gateway has not answered yet
		// Three of our addresses, and the gateway.
		assert_int_equal(counted(REGION_HOST_SOLICITATION), 3 + 1);
		kit_feed_frame(0, arp_reply.bytes, arp_reply.n);
		kit_step(0);
		kit_step(w);
		media_must_go_to(w, gateway_mac, 2);
		// And whoever comes after that.
		assert_int_equal(kit_command(w, RING_PEER_REMOVE, 0, 1), 0);
		kit_forget_sent(w);
		add_viewer(1, "203.0.113.8", w);
		media_must_go_to(w, gateway_mac, 3);
		assert_int_equal(kit_command(w, RING_PEER_REMOVE, 1, 1), 0);
		kit_forget_sent(w);
		add_viewer(2, "198.18.77.200", w); // on the link
		media_must_go_to(w, viewer_mac, 4);
		host_destroy(kit.edge.host);
		kit.edge.host = NULL;
	}
}

static void what_control_sends_too(void **state)
{
	struct ring_packet down = { .pkt_bytes = 20 };
	uint8_t frame[KIT_PKT_BYTES];

	assert_int_equal(net_ip_parse("198.18.77.2", &kit.conf.dataplane.gateway4), 0);
	start_host();
	kit_feed_frame(0, arp_reply.bytes, arp_reply.n);
	kit_step(0);
	kit_forget_sent(0);
	down.path = kit_peer_fill(0, 0, 0, SRTP_PROFILE_GCM128)->path;
	down.path.remote = kit_addr("203.0.113.7", 5000);
	memcpy(down.path.remote_mac, viewer_mac, 6);
	assert_int_equal(ring_put(kit.region.rings[0].inject, &down, sizeof(down)), 0);
	// On a VLAN that is not the gateway's it goes back as it came.
	down.path.has_vlan = 1;
	down.path.vlan_tci = 100;
	assert_int_equal(ring_put(kit.region.rings[0].inject, &down, sizeof(down)), 0);
	kit_step(0);
	assert_true(kit_sent_frame(0, frame) > 0);
	assert_memory_equal(frame, gateway_mac, 6);
	assert_true(kit_sent_frame(0, frame) > 0);
	assert_memory_equal(frame, viewer_mac, 6);
}

// ---- a kernel's interface beside it -------------------------------------------------------------

static unsigned int n_lists, n_listed;
static uint8_t listed[8][6];

// As a card that tells multicast apart: the ring's driver does not.
int __wrap_rte_eth_dev_set_mc_addr_list(uint16_t port, struct rte_ether_addr *macs, uint32_t n);
int __wrap_rte_eth_dev_set_mc_addr_list(uint16_t port, struct rte_ether_addr *macs, uint32_t n)
{
	n_lists++;
	n_listed = n;
	assert_in_range(n, 1, 8);
	memcpy(listed, macs, n * sizeof(listed[0]));
	return 0;
}

// A network namespace of our own, with an interface of the kernel's for the host to make.
static void want_kernel(void)
{
	if (access("/dev/net/tun", R_OK | W_OK) < 0 || unshare(CLONE_NEWNET) < 0)
		skip();
	strcpy(kit.conf.dataplane.exception_interface, "mr0");
	kit.conf.dataplane.mtu = 1500;
}

static bool kernel_has_carrier(void)
{
	struct ethtool_value link = { .cmd = ETHTOOL_GLINK };
	struct ifreq ifr = { .ifr_name = "mr0", .ifr_data = (void *)&link };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_int_equal(ioctl(fd, SIOCETHTOOL, &ifr), 0);
	close(fd);
	return link.data;
}

static void our_groups_alone_are_let_in(void **state)
{
	rte_eth_allmulticast_disable(0);
	n_lists = 0;
	start_host();
	watch_once();
	assert_int_equal(n_lists, 1);
	assert_int_equal(rte_eth_allmulticast_get(0), 0);
}

static bool is_listed(const char *mac)
{
	for (unsigned int i = 0; i < n_listed; i++)
		if (memcmp(listed[i], mac, 6) == 0)
			return true;
	return false;
}

// Of a leg, and of the one that stands by.
static void legs_have_their_groups(void **state)
{
	struct region_stream_conf *conf = &kit.region.streams[0].conf;

	start_host();
	kit_stream_fill(0, 0);
	for (int leg = 0; leg < LEG_COUNT; leg++) {
		conf->backup[leg] = conf->legs[leg];
		conf->backup[leg].port += 100;
	}
	assert_int_equal(net_ip_parse("239.1.2.3", &conf->legs[LEG_VIDEO].group), 0);
	assert_int_equal(net_ip_parse("239.129.2.4", &conf->backup[LEG_AUDIO].group), 0);
	assert_int_equal(kit_stream_set(0), 0);
	watch_once(); // what was known before
	kit_step_ms(0, 15);
	watch_once();
	assert_true(is_listed("\x01\x00\x5e\x01\x02\x03"));
	assert_true(is_listed("\x01\x00\x5e\x01\x02\x04"));
	assert_false(is_listed("\x01\x00\x5e\x01\x02\x05"));
}

// Nobody tells us of the kernel's own groups; without IGMP's questions a switch forgets us.
static void the_kernel_has_all_groups(void **state)
{
	rte_eth_allmulticast_disable(0);
	want_kernel();
	start_host();
	watch_once();
	assert_int_equal(rte_eth_allmulticast_get(0), 1);
}

// The region may have seen the link go down under a data plane before, which had another interface.
static void the_kernel_is_told_of_a_link_that_stays_down(void **state)
{
	want_kernel();
	atomic_store(&kit.region.header->host.link, REGION_LINK_DOWN);
	assert_int_equal(rte_eth_dev_set_link_down(0), 0);
	kit.ports.ports[0] = 0;
	kit.ports.n_ports = 1;
	assert_int_equal(host_create(&kit.conf, &kit.ports, &kit.region, &kit.edge.host), 0);
	assert_false(kernel_has_carrier());
	assert_string_equal(kit.region.header->exception_interface, "mr0");
	assert_int_equal(rte_eth_dev_set_link_up(0), 0);
	watch_once();
	assert_true(kernel_has_carrier());
}

// What is wrong with the name, in one line.
static void a_name_that_is_taken_is_told(void **state)
{
	char said[512];

	want_kernel();
	strcpy(kit.conf.dataplane.exception_interface, "lo");
	listen_begin();
	assert_int_equal(host_create(&kit.conf, &kit.ports, &kit.region, &kit.edge.host), -EINVAL);
	listen_end(said);
	assert_non_null(strstr(said, "lo cannot be made: Invalid argument; there is another "
				     "interface of that name"));
}

static void no_interface_is_left_from_before(void **state)
{
	strcpy(kit.region.header->exception_interface, "mr0");
	start_host();
	assert_string_equal(kit.region.header->exception_interface, "");
}

#define host_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		host_test(one_worker_answers),
		host_test(nobody_answers_without_addresses),
		host_test(drops_have_reasons),
		host_test(pings_are_limited),
		host_test(the_link_is_told),
		host_test(another_has_our_address),
		host_test(announced_after_asking),
		host_test(beyond_the_link),
		host_test(what_control_sends_too),
		host_test(our_groups_alone_are_let_in),
		host_test(legs_have_their_groups),
		host_test(the_kernel_has_all_groups),
		host_test(the_kernel_is_told_of_a_link_that_stays_down),
		host_test(a_name_that_is_taken_is_told),
		host_test(no_interface_is_left_from_before),
	};

	return cmocka_run_group_tests(tests, kit_group_setup, kit_group_teardown);
}
