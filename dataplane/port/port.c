#include "dataplane/port/port.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <unistd.h>

#include <rte_alarm.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>

#include "dataplane/abi/log.h"
#include "dataplane/port/eal.h"
#include "dataplane/port/iface.h"
#include "dataplane/port/means.h"
#include "ebpf/steer_loader.h"

// The IPv4 header's sum is ours: virtio has no offload for it, and it costs five additions.
#define WANTED_OFFLOADS RTE_ETH_TX_OFFLOAD_UDP_CKSUM

// DPDK would say as much, in several lines and in its own words.
static int check_means(const struct conf *conf)
{
	char why[MEANS_TEXT_BYTES];
	int rc = 0;

	if (!conf->dataplane.interface[0])
		rc = means_check_device("/sys", conf->dataplane.device, why);
	if (rc < 0) {
		log_error("[dataplane] device: %s", why);
		return rc;
	}
	if (!strstr(conf->dataplane.eal, "--no-huge"))
		rc = means_check_pages("/sys", conf->dataplane.memory_mib, why);
	if (rc < 0)
		log_error("%s", why);
	return rc;
}

static int start_eal(const struct conf *conf, unsigned int n_queues)
{
	struct eal_args args;
	char *argv[EAL_MAX_ARGS + 1]; // the EAL moves them about
	int rc = eal_args_make(conf, n_queues, &args);

	// Here alone: it would write to the system's log as well, where a service's lines are
	// anyway.
	rte_openlog_stream(stderr);
	if (rc == 0) {
		memcpy(argv, args.argv, sizeof(argv));
		rc = rte_eal_init(args.argc, argv) < 0 ? -rte_errno : 0;
	}
	if (rc < 0)
		log_error("DPDK does not start: %s; are %u MiB of huge pages free "
			  "(/proc/meminfo, HugePages_Free) and the device there?",
			strerror(-rc), conf->dataplane.memory_mib);
	eal_args_fini(&args);
	return rc;
}

static int claim_interface(const char *ifname, struct port_set *set)
{
	int rc;

	set->claim_fd = iface_claim(ifname);
	if (set->claim_fd < 0) {
		log_error("interface %s: %s", ifname,
			set->claim_fd == -EADDRINUSE
				? "another data plane serves it; end that first"
				: strerror(-set->claim_fd));
		return set->claim_fd;
	}
	// Nobody alive serves it: what is there of ours is from one that was killed.
	rc = steer_clean(ifname);
	if (rc < 0)
		log_error("interface %s: %s; take it off with: ip link set dev %s xdp off", ifname,
			rc == -EBUSY ? "another XDP program is attached" : strerror(-rc), ifname);
	return rc;
}

// Before DPDK touches an AF_XDP interface: is it there, and how many queues has it.
// Return: the queues; -errno, logged.
static int check_interface(const struct conf *conf)
{
	const char *ifname = conf->dataplane.interface;
	int queues = iface_queues(ifname);
	char list[256];

	if (queues == -ENODEV) {
		iface_list(list, sizeof(list));
		log_error("[dataplane] interface: no interface %s here; expected one of: %s",
			ifname, list);
		return queues;
	}
	if (queues < 0 || queues > PORT_MAX_QUEUES || queues < conf->dataplane.n_cores) {
		log_error("interface %s has %d receive queues; expected %u (one a core) to %d; "
			  "set them with: ethtool -L %s rx N tx N (or combined N)",
			ifname, queues, conf->dataplane.n_cores, PORT_MAX_QUEUES, ifname);
		return -EINVAL;
	}
	if (access(conf->dataplane.steer_program, R_OK) < 0) {
		log_error(
			"[dataplane] steer_program: cannot read %s: %s; expected the steer.o that "
			"is built and installed with this program",
			conf->dataplane.steer_program, strerror(errno));
		return -errno;
	}
	return queues;
}

unsigned int port_worker_lcore(uint16_t worker)
{
	unsigned int lcore = rte_get_next_lcore(-1, 1, 0);

	while (worker-- > 0 && lcore < RTE_MAX_LCORE)
		lcore = rte_get_next_lcore(lcore, 1, 0);
	return lcore;
}

static int make_pools(struct port_set *set, uint16_t priv_bytes)
{
	for (uint16_t w = 0; w < set->n_workers; w++) {
		char name[32];

		snprintf(name, sizeof(name), "worker%u", w);
		set->workers[w].pool = rte_pktmbuf_pool_create(name, PORT_POOL_MBUFS, 256,
			priv_bytes, RTE_MBUF_DEFAULT_BUF_SIZE,
			rte_lcore_to_socket_id(port_worker_lcore(w)));
		if (!set->workers[w].pool) {
			log_error("no memory for the packets of worker %u: raise [dataplane] "
				  "memory_mib, and the huge pages with it",
				w);
			return -ENOMEM;
		}
	}
	return 0;
}

static uint64_t port_offloads(uint16_t port_id)
{
	struct rte_eth_dev_info info;

	if (rte_eth_dev_info_get(port_id, &info) < 0)
		return 0;
	if ((info.tx_offload_capa & WANTED_OFFLOADS) != WANTED_OFFLOADS)
		return 0;
	return WANTED_OFFLOADS;
}

// What we would like, as far as the port can do it.
static void fill_port_conf(const struct port_set *set, const struct rte_eth_dev_info *info,
	uint16_t n_rx, struct rte_eth_conf *out)
{
	uint64_t rss = (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP) & info->flow_type_rss_offloads;

	*out = (struct rte_eth_conf){
		.txmode.offloads = set->checksum == FRAME_CHECKSUM_OFFLOAD ? WANTED_OFFLOADS : 0,
		.rxmode.offloads = info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_CHECKSUM
	};
	if (n_rx > 1 && rss) {
		out->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		out->rx_adv_conf.rss_conf.rss_hf = rss;
	}
}

static void share_out(
	struct port_set *set, uint16_t port_id, uint16_t queue, uint16_t worker, bool receives)
{
	struct port_share *share = &set->workers[worker];
	struct port_queue pair = { .port_id = port_id, .queue = queue };

	if (share->n_rx == 0)
		share->tx = pair;
	if (receives)
		share->rx[share->n_rx++] = pair;
}

// MAC and MTU of a device that is ours alone.
static int address_port(const struct port_set *set, uint16_t port_id)
{
	struct rte_ether_addr mac;
	uint16_t mtu;
	int rc = 0;

	memcpy(mac.addr_bytes, set->mac, sizeof(mac.addr_bytes));
	if (!rte_is_zero_ether_addr(&mac))
		rc = rte_eth_dev_default_mac_addr_set(port_id, &mac);
	if (rc < 0) {
		log_error("[dataplane] mac: port %u does not take it: %s", port_id, strerror(-rc));
		return rc;
	}
	if (set->mtu == 0 || rte_eth_dev_get_mtu(port_id, &mtu) < 0 || mtu == set->mtu)
		return 0;
	rc = rte_eth_dev_set_mtu(port_id, set->mtu);
	// A virtual device carries what it is given.
	if (rc < 0 && rc != -ENOTSUP)
		log_warn("[dataplane] mtu: port %u keeps %u: %s", port_id, mtu, strerror(-rc));
	return 0;
}

// Each worker sends on a queue of its own; e1000e has one, whatever the machine has.
static int check_queues(uint16_t port_id, const struct rte_eth_dev_info *info, uint16_t n_queues)
{
	if (info->max_tx_queues >= n_queues && info->max_rx_queues > 0)
		return 0;
	log_error("port %u (%s) has %u queues to send on; expected one for each of the %u "
		  "[dataplane] "
		  "cores",
		port_id, info->driver_name, info->max_tx_queues, n_queues);
	return -EINVAL;
}

static int configure_port(
	struct port_set *set, uint16_t port_id, uint16_t n_queues, uint16_t first_worker)
{
	uint16_t n_rx_descs = PORT_RX_DESCS, n_tx_descs = PORT_TX_DESCS;
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf;
	uint16_t n_rx;
	int rc = rte_eth_dev_info_get(port_id, &info);

	if (rc < 0)
		return rc;
	rc = check_queues(port_id, &info, n_queues);
	if (rc < 0)
		return rc;
	// Who has no queue to receive from lives on what the others hand over.
	n_rx = RTE_MIN(n_queues, info.max_rx_queues);
	fill_port_conf(set, &info, n_rx, &conf);
	rc = rte_eth_dev_configure(port_id, n_rx, n_queues, &conf);
	if (rc == 0)
		rc = rte_eth_dev_adjust_nb_rx_tx_desc(port_id, &n_rx_descs, &n_tx_descs);
	for (uint16_t q = 0; rc == 0 && q < n_queues; q++) {
		uint16_t w = (uint16_t)((first_worker + q) % set->n_workers);
		int node = rte_eth_dev_socket_id(port_id);

		if (q < n_rx)
			rc = rte_eth_rx_queue_setup(port_id, q, n_rx_descs,
				(unsigned int)(node < 0 ? 0 : node), NULL, set->workers[w].pool);
		if (rc == 0)
			rc = rte_eth_tx_queue_setup(
				port_id, q, n_tx_descs, (unsigned int)(node < 0 ? 0 : node), NULL);
		if (rc == 0)
			share_out(set, port_id, q, w, q < n_rx);
	}
	return rc < 0 ? rc : address_port(set, port_id);
}

// Return: 0; -ENOTSUP the ports cannot do what is asked for, logged.
static int choose_checksum(struct port_set *set, enum conf_checksum sums, bool capable)
{
	if (sums == CONF_CHECKSUM_OFFLOAD && !capable) {
		log_error(
			"[dataplane] udp_checksum: this port cannot make checksums; expected auto, "
			"software or zero");
		return -ENOTSUP;
	}
	if (sums == CONF_CHECKSUM_ZERO)
		set->checksum = FRAME_CHECKSUM_ZERO;
	else if (capable && sums != CONF_CHECKSUM_SOFTWARE)
		set->checksum = FRAME_CHECKSUM_OFFLOAD;
	else
		set->checksum = FRAME_CHECKSUM_SOFTWARE;
	return 0;
}

static int configure_ports(struct port_set *set, enum conf_checksum sums)
{
	uint16_t n_queues = set->interface[0] ? 1 : set->n_workers;
	uint16_t port_id;
	int rc;

	bool capable = true;
	RTE_ETH_FOREACH_DEV(port_id)
	{
		if (set->n_ports == PORT_MAX_QUEUES || (!set->interface[0] && set->n_ports == 1))
			break;
		capable &= port_offloads(port_id) != 0;
		set->ports[set->n_ports++] = port_id;
	}
	if (set->n_ports == 0) {
		log_error("no DPDK port: is the device named in [dataplane] device bound to "
			  "vfio-pci and free?");
		return -ENODEV;
	}
	rc = choose_checksum(set, sums, capable);
	if (rc < 0)
		return rc;
	for (uint16_t p = 0; p < set->n_ports; p++) {
		// Each AF_XDP port attaches a copy of the program, and an interface carries one at
		// a time: the one before goes, the last stays.
		if (p > 0 && set->interface[0])
			steer_clean(set->interface);
		rc = configure_port(set, set->ports[p], n_queues, p);
		if (rc < 0) {
			log_error(
				"port %u does not take %u queues: %s", p, n_queues, strerror(-rc));
			return rc;
		}
	}
	return 0;
}

static int start_ports(struct port_set *set)
{
	for (uint16_t p = 0; p < set->n_ports; p++) {
		int rc = rte_eth_dev_start(set->ports[p]);

		if (rc < 0) {
			log_error("port %u does not start: %s", p, strerror(-rc));
			return rc;
		}
	}
	return 0;
}

struct private_configure {
	struct port_set *set;
	enum conf_checksum sums;
	int rc;
};

// libbpf pins xsks_map under /sys/fs/bpf so that the program's copies, one a queue, share it. This
// thread sees a bpffs of its own there: nothing reaches the host's, and all is gone with it.
static void *configure_privately(void *arg)
{
	struct private_configure *p = arg;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("millrace", "/sys/fs/bpf", "bpf", 0, NULL) < 0) {
		p->rc = -errno;
		log_error(
			"no private bpffs on /sys/fs/bpf: %s; the data plane starts as root, on a "
			"kernel with CONFIG_BPF_SYSCALL",
			strerror(errno));
		return NULL;
	}
	p->rc = configure_ports(p->set, p->sums);
	return NULL;
}

static int configure_ports_af_xdp(struct port_set *set, enum conf_checksum sums)
{
	struct private_configure p = { .set = set, .sums = sums };
	pthread_t thread;
	int rc = pthread_create(&thread, NULL, configure_privately, &p);

	if (rc != 0)
		return -rc;
	pthread_join(thread, NULL);
	return p.rc;
}

static int publish(const struct conf *conf, uint32_t gid)
{
	int rc = steer_publish(conf->dataplane.interface, gid);

	if (rc < 0)
		log_error("the steering maps of %s cannot be pinned under %s: %s",
			conf->dataplane.interface, STEER_PIN_ROOT, strerror(-rc));
	return rc;
}

int port_set_open(struct port_set *set, const char *ifname, uint16_t n_workers, uint16_t priv_bytes,
	enum conf_checksum sums)
{
	int rc;

	set->n_workers = n_workers;
	snprintf(set->interface, sizeof(set->interface), "%.63s", ifname);
	rc = make_pools(set, priv_bytes);
	if (rc == 0)
		rc = ifname[0] ? configure_ports_af_xdp(set, sums) : configure_ports(set, sums);
	return rc < 0 ? rc : start_ports(set);
}

int port_set_start(const struct conf *conf, uint32_t gid, uint16_t priv_bytes, struct port_set *set)
{
	const char *ifname = conf->dataplane.interface;
	int queues = 0, rc;

	memset(set, 0, sizeof(*set));
	set->claim_fd = -1;
	if (ifname[0]) {
		queues = check_interface(conf);
		if (queues < 0)
			return queues;
		rc = claim_interface(ifname, set);
		if (rc < 0)
			return rc;
	}
	rc = check_means(conf);
	if (rc == 0)
		rc = start_eal(conf, (unsigned int)queues);
	if (rc < 0)
		return rc;
	set->eal_started = true;
	if (!ifname[0]) {
		set->mtu = conf->dataplane.mtu;
		memcpy(set->mac, conf->dataplane.mac, sizeof(set->mac));
	}
	rc = port_set_open(
		set, ifname, conf->dataplane.n_cores, priv_bytes, conf->dataplane.udp_checksum);
	if (rc == 0 && ifname[0])
		rc = publish(conf, gid);
	return rc;
}

static int set_rights(cap_flag_value_t net_admin)
{
	const cap_value_t kept[] = { CAP_NET_ADMIN };
	cap_t before = cap_get_proc(), caps = cap_init();
	cap_flag_value_t had = CAP_CLEAR;
	int rc = 0;

	if (!before || !caps)
		rc = -ENOMEM;
	else if (cap_get_flag(before, CAP_NET_ADMIN, CAP_PERMITTED, &had) < 0 ||
		 cap_set_flag(caps, CAP_PERMITTED, 1, kept, had) < 0 ||
		 cap_set_flag(caps, CAP_EFFECTIVE, 1, kept, had ? net_admin : CAP_CLEAR) < 0 ||
		 cap_set_proc(caps) < 0)
		rc = -errno;
	cap_free(before);
	cap_free(caps);
	return rc;
}

int port_drop_rights(void)
{
	return set_rights(CAP_CLEAR);
}

enum {
	DROP_WAIT_MS = 2000,
	DROP_PENDING = 1,
};

static void drop_on_alarm(void *rc)
{
	atomic_store((_Atomic int *)rc, port_drop_rights());
}

// Rights are a thread's own, and the EAL's interrupt thread runs no code of ours but alarms.
static int drop_interrupt_thread_rights(void)
{
	static _Atomic int rc = DROP_PENDING;
	int waited_ms = 0;

	if (rte_eal_alarm_set(1, drop_on_alarm, &rc) < 0)
		return -EIO;
	while (atomic_load(&rc) == DROP_PENDING && waited_ms++ < DROP_WAIT_MS)
		rte_delay_us_sleep(1000);
	return atomic_load(&rc) == DROP_PENDING ? -ETIMEDOUT : atomic_load(&rc);
}

int port_drop_main_rights(void)
{
	int rc = drop_interrupt_thread_rights();

	return rc < 0 ? rc : port_drop_rights();
}

static void stop_eal(struct port_set *set)
{
	if (set->interface[0]) {
		set_rights(CAP_SET);
		steer_unpublish(set->interface);
	}
	for (uint16_t p = 0; p < set->n_ports; p++) {
		rte_eth_dev_stop(set->ports[p]);
		rte_eth_dev_close(set->ports[p]);
	}
	for (uint16_t w = 0; w < set->n_workers; w++)
		rte_mempool_free(set->workers[w].pool);
	rte_eal_cleanup();
	set->eal_started = false;
}

void port_set_stop(struct port_set *set)
{
	if (set->eal_started)
		stop_eal(set);
	if (set->claim_fd >= 0)
		close(set->claim_fd);
	set->claim_fd = -1;
}
