// The loader against a real interface: a veth pair in namespaces of the test's own, with steer.o
// attached by netlink, as DPDK does it.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ebpf/steer_loader.h"
#include "tests/unit/ebpf/packet.h"
#include "tests/unit/ebpf/steer_env.h"

enum {
	GROUP = 4242,
	STRANGER = 4343, // user and group
	PORT = 8189,
};

static const char *steer_path;

static int setup(void **state)
{
	assert_int_equal(steer_env_run("ip link add edge0 type veth peer view0"), 0);
	assert_int_equal(steer_env_run("ip link set edge0 up"), 0);
	assert_int_equal(steer_env_run("ip link set view0 up"), 0);
	return 0;
}

static int teardown(void **state)
{
	steer_unpublish("edge0");
	return steer_env_run("ip link del edge0");
}

static void attach_fd(const char *ifname, int fd, uint32_t mode)
{
	assert_int_equal(bpf_xdp_attach((int)if_nametoindex(ifname), fd,
				 mode | XDP_FLAGS_UPDATE_IF_NOEXIST, NULL),
		0);
}

static struct bpf_object *attach_ours(const char *ifname, uint32_t mode)
{
	struct bpf_object *obj = steer_env_load(steer_path);

	assert_non_null(obj);
	attach_fd(ifname, steer_env_prog(obj), mode);
	return obj;
}

// A program without maps that passes everything.
static int load_plain(const char *name)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, name, "GPL", insns, 2, NULL);

	assert_true(fd >= 0);
	return fd;
}

static void assert_nothing_pinned(void)
{
	assert_int_equal(access(STEER_PIN_ROOT, F_OK), -1);
	assert_int_equal(errno, ENOENT);
}

static void assert_mode(const char *path, mode_t mode, gid_t gid)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
	assert_int_equal(st.st_uid, 0);
	assert_int_equal(st.st_gid, gid);
}

static uint64_t counter(struct steer_maps *maps, enum steer_counter which)
{
	uint64_t counts[STEER_CNT_MAX];

	assert_int_equal(steer_maps_counters(maps, counts), 0);
	return counts[which];
}

static void send_frame(const char *ifname, const struct packet *pkt)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_ifindex = (int)if_nametoindex(ifname),
		.sll_halen = 6,
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(
		sendto(fd, pkt->bytes, pkt->n_bytes, 0, (struct sockaddr *)&to, sizeof(to)),
		pkt->n_bytes);
	close(fd);
}

static void assert_counts_to(struct steer_maps *maps, enum steer_counter which, uint64_t want)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	for (int i = 0; i < 5000 && counter(maps, which) < want; i++)
		nanosleep(&pause, NULL);
	assert_int_equal(counter(maps, which), want);
}

static void test_attached(void **state)
{
	static const uint32_t MODES[] = { XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE };

	assert_int_equal(steer_attached("edge0"), 0);
	for (int i = 0; i < 2; i++) {
		struct bpf_object *obj = attach_ours("edge0", MODES[i]);

		assert_int_equal(steer_attached("edge0"), 1);
		assert_int_equal(steer_clean("edge0"), 0);
		assert_int_equal(steer_attached("edge0"), 0);
		bpf_object__close(obj);
	}
	assert_int_equal(steer_attached("nowhere0"), -ENODEV);
}

static void test_bad_names(void **state)
{
	static const char *const NAMES[] = { "", "../edge0", "a/b", "sixteen-letters-" };
	struct steer_maps *maps;

	for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
		assert_int_equal(steer_attached(NAMES[i]), -EINVAL);
		assert_int_equal(steer_publish(NAMES[i], GROUP), -EINVAL);
		assert_int_equal(steer_clean(NAMES[i]), -EINVAL);
		assert_int_equal(steer_maps_open(NAMES[i], &maps), -EINVAL);
	}
}

// What is published are the maps of the very program that sees the packets.
static void test_publish(void **state)
{
	const struct packet_spec spec = { .version = 4, .port = PORT, .payload_bytes = 20 };
	struct bpf_object *obj = attach_ours("edge0", 0);
	struct steer_maps *maps;
	struct packet pkt;

	packet_build(&spec, &pkt);
	assert_int_equal(steer_publish("edge0", GROUP), 0);
	assert_mode(STEER_PIN_ROOT, 0711, 0);
	assert_mode(STEER_PIN_ROOT "/edge0", 0750, GROUP);
	assert_mode(STEER_PIN_ROOT "/edge0/" STEER_MAP_PORTS, 0660, GROUP);
	assert_mode(STEER_PIN_ROOT "/edge0/" STEER_MAP_LIMITS, 0660, GROUP);
	assert_mode(STEER_PIN_ROOT "/edge0/" STEER_MAP_COUNTERS, 0660, GROUP);

	// The process that loaded it is gone from here on, as far as the kernel is concerned.
	bpf_object__close(obj);
	assert_int_equal(steer_maps_open("edge0", &maps), 0);
	assert_int_equal(steer_maps_set_port(maps, PORT, STEER_MEDIA), 0);
	send_frame("view0", &pkt);
	assert_counts_to(maps, STEER_CNT_NO_SOCKET, 1);

	assert_int_equal(steer_maps_set_limits(maps, &(struct steer_limits){ 1, 2, 1, 2 }), 0);
	for (int i = 0; i < 4; i++)
		send_frame("view0", &pkt);
	assert_counts_to(maps, STEER_CNT_STUN_LIMITED, 2);
	assert_int_equal(counter(maps, STEER_CNT_NO_SOCKET), 3);
	steer_maps_close(maps);
}

static void test_port_classes(void **state)
{
	struct bpf_object *obj = attach_ours("edge0", 0);
	int ports_fd = steer_env_map(obj, STEER_MAP_PORTS);
	static const uint16_t PORTS[] = { 0, 1, 8189, 65535 };
	struct steer_maps *maps;

	assert_int_equal(steer_publish("edge0", GROUP), 0);
	assert_int_equal(steer_maps_open("edge0", &maps), 0);
	for (size_t i = 0; i < sizeof(PORTS) / sizeof(PORTS[0]); i++) {
		uint32_t key = PORTS[i], value = 99;

		assert_int_equal(steer_maps_set_port(maps, PORTS[i], STEER_INGEST), 0);
		assert_int_equal(bpf_map_lookup_elem(ports_fd, &key, &value), 0);
		assert_int_equal(value, STEER_INGEST);
		assert_int_equal(steer_maps_set_port(maps, PORTS[i], STEER_GROUP + 1), -EINVAL);
		assert_int_equal(bpf_map_lookup_elem(ports_fd, &key, &value), 0);
		assert_int_equal(value, STEER_INGEST);
	}
	steer_maps_close(maps);
	bpf_object__close(obj);
}

static void test_group_entries(void **state)
{
	static const struct steer_group KEY = { { 239, 77, 0, 1 }, 20000, 4 };
	struct bpf_object *obj = attach_ours("edge0", 0);
	int fd = steer_env_map(obj, STEER_MAP_GROUPS);
	struct steer_maps *maps;
	uint32_t value;

	assert_int_equal(steer_publish("edge0", GROUP), 0);
	assert_int_equal(steer_maps_open("edge0", &maps), 0);
	assert_int_equal(steer_maps_set_group(maps, &KEY, false), 0);
	assert_int_equal(steer_maps_set_group(maps, &KEY, true), 0);
	assert_int_equal(bpf_map_lookup_elem(fd, &KEY, &value), 0);
	assert_int_equal(steer_maps_set_group(maps, &KEY, false), 0);
	assert_int_equal(bpf_map_lookup_elem(fd, &KEY, &value), -ENOENT);
	steer_maps_close(maps);
	bpf_object__close(obj);
}

// A count on every CPU there is, and their sum.
static void test_counters_sum(void **state)
{
	struct bpf_object *obj = attach_ours("edge0", 0);
	uint64_t per_cpu[1024], counts[STEER_CNT_MAX], want = 0;
	uint32_t key = STEER_CNT_INGEST;
	int n_cpus = libbpf_num_possible_cpus();
	struct steer_maps *maps;

	assert_in_range(n_cpus, 1, 1024);
	for (int cpu = 0; cpu < n_cpus; cpu++) {
		per_cpu[cpu] = (1ULL << 40) + cpu;
		want += per_cpu[cpu];
	}
	assert_int_equal(steer_publish("edge0", GROUP), 0);
	assert_int_equal(
		bpf_map_update_elem(steer_env_map(obj, STEER_MAP_COUNTERS), &key, per_cpu, BPF_ANY),
		0);
	assert_int_equal(steer_maps_open("edge0", &maps), 0);
	assert_int_equal(steer_maps_counters(maps, counts), 0);
	assert_true(counts[STEER_CNT_INGEST] == want);
	assert_int_equal(counts[STEER_CNT_STUN_LIMITED], 0);
	steer_maps_close(maps);
	bpf_object__close(obj);
}

// A restarted data plane has new maps: its pins take the place of the old, left-over ones included.
static void test_second_publish(void **state)
{
	struct bpf_object *first = attach_ours("edge0", 0);
	struct bpf_object *second;
	struct steer_maps *old, *new;
	uint32_t key = PORT, value;

	assert_int_equal(steer_publish("edge0", GROUP), 0);
	assert_int_equal(steer_maps_open("edge0", &old), 0);
	assert_int_equal(bpf_obj_pin(steer_env_map(first, STEER_MAP_SOURCES),
				 STEER_PIN_ROOT "/edge0/of_another_version"),
		0);
	assert_int_equal(bpf_xdp_detach((int)if_nametoindex("edge0"), XDP_FLAGS_DRV_MODE, NULL), 0);
	second = attach_ours("edge0", 0);
	assert_int_equal(steer_publish("edge0", STRANGER), 0);
	assert_mode(STEER_PIN_ROOT "/edge0", 0750, STRANGER);
	assert_int_equal(access(STEER_PIN_ROOT "/edge0/of_another_version", F_OK), -1);

	assert_int_equal(steer_maps_open("edge0", &new), 0);
	assert_int_equal(steer_maps_set_port(new, PORT, STEER_MEDIA), 0);
	assert_int_equal(
		bpf_map_lookup_elem(steer_env_map(second, STEER_MAP_PORTS), &key, &value), 0);
	assert_int_equal(value, STEER_MEDIA);
	assert_int_equal(
		bpf_map_lookup_elem(steer_env_map(first, STEER_MAP_PORTS), &key, &value), 0);
	assert_int_equal(value, STEER_PASS);
	steer_maps_close(old);
	steer_maps_close(new);
	bpf_object__close(first);
	bpf_object__close(second);
}

static void test_unpublish(void **state)
{
	struct bpf_object *obj = attach_ours("edge0", 0);
	struct steer_maps *maps, *untouched = NULL;

	assert_int_equal(steer_maps_open("edge0", &untouched), -ENOENT);
	assert_null(untouched);
	steer_unpublish("edge0");
	assert_int_equal(steer_publish("edge0", GROUP), 0);
	assert_int_equal(steer_maps_open("edge0", &maps), 0);
	steer_unpublish("edge0");
	assert_nothing_pinned();
	assert_int_equal(steer_attached("edge0"), 1);
	// Maps once open stay good; new ones are not found.
	assert_int_equal(counter(maps, STEER_CNT_MEDIA), 0);
	steer_maps_close(maps);
	assert_int_equal(steer_maps_open("edge0", &untouched), -ENOENT);
	assert_null(untouched);
	steer_maps_close(NULL);
	bpf_object__close(obj);
}

// bpffs takes no dots; and two interfaces do not get into each other's way.
static void test_two_interfaces(void **state)
{
	struct bpf_object *first = attach_ours("edge0", 0);
	struct bpf_object *second;
	struct steer_maps *maps;

	assert_int_equal(steer_env_run("ip link set view0 name edge0.100"), 0);
	second = attach_ours("edge0.100", 0);
	assert_int_equal(steer_publish("edge0", GROUP), 0);
	assert_int_equal(steer_publish("edge0.100", GROUP), 0);
	assert_mode(STEER_PIN_ROOT "/edge0:100", 0750, GROUP);
	assert_int_equal(steer_clean("edge0"), 0);
	assert_int_equal(steer_maps_open("edge0", &maps), -ENOENT);
	assert_int_equal(steer_maps_open("edge0.100", &maps), 0);
	steer_maps_close(maps);
	assert_int_equal(steer_attached("edge0.100"), 1);
	assert_int_equal(steer_clean("edge0.100"), 0);
	assert_nothing_pinned();
	bpf_object__close(first);
	bpf_object__close(second);
}

// Run in a child, and hand back what it returned.
static int in_child(int (*body)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(-body());
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

static int attach_publish_and_die(void)
{
	struct bpf_object *obj = steer_env_load(steer_path);
	int rc = -EIO;

	if (obj && bpf_xdp_attach((int)if_nametoindex("edge0"), steer_env_prog(obj), 0, NULL) == 0)
		rc = steer_publish("edge0", GROUP);
	bpf_object__close(obj);
	return rc;
}

static void test_clean_after_crash(void **state)
{
	assert_int_equal(in_child(attach_publish_and_die), 0);
	assert_int_equal(steer_attached("edge0"), 1);
	assert_int_equal(access(STEER_PIN_ROOT "/edge0/" STEER_MAP_PORTS, F_OK), 0);
	assert_int_equal(steer_clean("edge0"), 0);
	assert_int_equal(steer_attached("edge0"), 0);
	assert_nothing_pinned();
	// Nothing there is fine, as on a machine just booted.
	assert_int_equal(steer_clean("edge0"), 0);
	assert_int_equal(in_child(attach_publish_and_die), 0);
}

static void test_foreign_program(void **state)
{
	int fd = load_plain("somebody_elses");

	assert_int_equal(steer_publish("edge0", GROUP), -ENOENT);
	attach_fd("edge0", fd, 0);
	assert_int_equal(steer_attached("edge0"), -EBUSY);
	assert_int_equal(steer_publish("edge0", GROUP), -ENOENT);
	assert_int_equal(steer_clean("edge0"), -EBUSY);
	assert_int_equal(steer_attached("edge0"), -EBUSY);
	assert_nothing_pinned();
	close(fd);
}

// The pins of a run that crashed go, though the program that took its place stays.
static void test_foreign_after_crash(void **state)
{
	int fd = load_plain("somebody_elses");

	assert_int_equal(in_child(attach_publish_and_die), 0);
	assert_int_equal(bpf_xdp_detach((int)if_nametoindex("edge0"), XDP_FLAGS_DRV_MODE, NULL), 0);
	attach_fd("edge0", fd, 0);
	assert_int_equal(steer_clean("edge0"), -EBUSY);
	assert_int_equal(steer_attached("edge0"), -EBUSY);
	assert_nothing_pinned();
	close(fd);
}

// Our name, but not our maps.
static void test_other_version(void **state)
{
	int fd = load_plain(STEER_PROG_NAME);

	attach_fd("edge0", fd, 0);
	assert_int_equal(steer_attached("edge0"), 1);
	assert_int_equal(steer_publish("edge0", GROUP), -EPROTO);
	assert_nothing_pinned();
	close(fd);
}

// A pin that is not what its name says is refused on opening: reading it would overrun.
static void test_wrong_pin(void **state)
{
	struct bpf_object *obj = attach_ours("edge0", 0);
	static const char PATH[] = STEER_PIN_ROOT "/edge0/" STEER_MAP_COUNTERS;
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	struct steer_maps *maps;
	int fd = bpf_map_create(
		BPF_MAP_TYPE_PERCPU_ARRAY, STEER_MAP_COUNTERS, 4, 64, STEER_CNT_MAX, &opts);

	assert_true(fd >= 0);
	assert_int_equal(steer_publish("edge0", GROUP), 0);
	assert_int_equal(unlink(PATH), 0);
	assert_int_equal(steer_maps_open("edge0", &maps), -ENOENT);
	assert_int_equal(bpf_obj_pin(fd, PATH), 0);
	assert_int_equal(steer_maps_open("edge0", &maps), -EPROTO);
	assert_int_equal(unlink(PATH), 0);
	assert_int_equal(bpf_obj_pin(steer_env_map(obj, STEER_MAP_LIMITS), PATH), 0);
	assert_int_equal(steer_maps_open("edge0", &maps), -EPROTO);
	close(fd);
	bpf_object__close(obj);
}

static int publish_without_chown(void)
{
	const cap_value_t chown_cap = CAP_CHOWN;
	cap_t caps = cap_get_proc();
	int rc = cap_set_flag(caps, CAP_EFFECTIVE, 1, &chown_cap, CAP_CLEAR);

	if (rc < 0 || cap_set_proc(caps) < 0)
		return -EIO;
	cap_free(caps);
	return steer_publish("edge0", GROUP);
}

// The first map is pinned already when giving it to the group fails.
static void test_fails_midway(void **state)
{
	struct bpf_object *obj = attach_ours("edge0", 0);

	assert_int_equal(in_child(publish_without_chown), -EPERM);
	assert_nothing_pinned();
	assert_int_equal(steer_publish("edge0", GROUP), 0);
	bpf_object__close(obj);
}

// Everybody may make a directory on bpffs: one that is not ours is neither used nor emptied.
static void test_squatter(void **state)
{
	struct bpf_object *obj = attach_ours("edge0", 0);

	assert_int_equal(mkdir(STEER_PIN_ROOT, 0755), 0);
	assert_int_equal(mkdir(STEER_PIN_ROOT "/edge0", 0755), 0);
	assert_int_equal(chown(STEER_PIN_ROOT, STRANGER, STRANGER), 0);
	assert_int_equal(steer_publish("edge0", GROUP), -EPERM);
	assert_int_equal(access(STEER_PIN_ROOT "/edge0", F_OK), 0);
	assert_int_equal(chown(STEER_PIN_ROOT, 0, 0), 0);
	assert_int_equal(chmod(STEER_PIN_ROOT, 0777), 0);
	assert_int_equal(steer_publish("edge0", GROUP), -EPERM);
	assert_int_equal(rmdir(STEER_PIN_ROOT "/edge0"), 0);
	assert_int_equal(rmdir(STEER_PIN_ROOT), 0);
	assert_int_equal(symlink("/var", STEER_PIN_ROOT), 0);
	assert_int_equal(steer_publish("edge0", GROUP), -EPERM);
	assert_int_equal(unlink(STEER_PIN_ROOT), 0);
	assert_int_equal(steer_publish("edge0", GROUP), 0);
	bpf_object__close(obj);
}

static int publish_without_bpffs(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/sys/fs/bpf", "tmpfs", 0, NULL) < 0)
		return -EIO;
	return steer_publish("edge0", GROUP);
}

static void test_no_bpffs(void **state)
{
	struct bpf_object *obj = attach_ours("edge0", 0);

	assert_int_equal(in_child(publish_without_bpffs), -ENODEV);
	bpf_object__close(obj);
}

static int use_maps_as(gid_t gid)
{
	const struct steer_limits limits = { 1, 2, 3, 4 };
	uint64_t counts[STEER_CNT_MAX];
	struct steer_maps *maps;
	int rc;

	if (setgroups(0, NULL) < 0 || setgid(gid) < 0 || setuid(STRANGER) < 0)
		return -EIO;
	rc = steer_maps_open("edge0", &maps);
	if (rc < 0)
		return rc;
	rc = steer_maps_set_port(maps, PORT, STEER_MEDIA);
	if (rc == 0)
		rc = steer_maps_set_limits(maps, &limits);
	if (rc == 0)
		rc = steer_maps_counters(maps, counts);
	steer_maps_close(maps);
	return rc;
}

static int use_maps_as_group(void)
{
	return use_maps_as(GROUP);
}

static int use_maps_as_stranger(void)
{
	return use_maps_as(STRANGER);
}

// Control has no rights but its group.
static void test_group(void **state)
{
	struct bpf_object *obj = attach_ours("edge0", 0);
	uint32_t key = PORT, value;

	assert_int_equal(steer_publish("edge0", GROUP), 0);
	assert_int_equal(in_child(use_maps_as_stranger), -EACCES);
	assert_int_equal(in_child(use_maps_as_group), 0);
	assert_int_equal(bpf_map_lookup_elem(steer_env_map(obj, STEER_MAP_PORTS), &key, &value), 0);
	assert_int_equal(value, STEER_MEDIA);
	bpf_object__close(obj);
}

static void test_counter_names(void **state)
{
	for (int i = 0; i < STEER_CNT_MAX; i++) {
		assert_non_null(steer_counter_name(i));
		for (int j = 0; j < i; j++)
			assert_string_not_equal(steer_counter_name(i), steer_counter_name(j));
	}
	assert_string_equal(steer_counter_name(STEER_CNT_STUN_LIMITED), "stun_limited");
	assert_string_equal(steer_counter_name(STEER_CNT_NO_SOCKET), "no_socket");
	assert_string_equal(steer_counter_name(STEER_CNT_MAX), "unknown");
}

#define LOADER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char *argv[])
{
	static const struct CMUnitTest TESTS[] = {
		LOADER_TEST(test_attached),
		LOADER_TEST(test_bad_names),
		LOADER_TEST(test_publish),
		LOADER_TEST(test_port_classes),
		LOADER_TEST(test_group_entries),
		LOADER_TEST(test_counters_sum),
		LOADER_TEST(test_second_publish),
		LOADER_TEST(test_unpublish),
		LOADER_TEST(test_two_interfaces),
		LOADER_TEST(test_clean_after_crash),
		LOADER_TEST(test_foreign_program),
		LOADER_TEST(test_foreign_after_crash),
		LOADER_TEST(test_other_version),
		LOADER_TEST(test_wrong_pin),
		LOADER_TEST(test_fails_midway),
		LOADER_TEST(test_squatter),
		LOADER_TEST(test_no_bpffs),
		LOADER_TEST(test_group),
		cmocka_unit_test(test_counter_names),
	};
	int rc;

	if (argc != 2) {
		fprintf(stderr, "usage: %s steer.o\n", argv[0]);
		return 2;
	}
	steer_path = argv[1];
	rc = steer_env_enter();
	return rc ? rc : cmocka_run_group_tests(TESTS, NULL, NULL);
}
