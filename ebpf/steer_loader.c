#include "ebpf/steer_loader.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/magic.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define BPFFS "/sys/fs/bpf"

enum {
	PROGRAM_MAX_MAPS = 16,
	PIN_PATH_MAX = sizeof(STEER_PIN_ROOT) + 1 + IF_NAMESIZE + 1 + BPF_OBJ_NAME_LEN,
};

enum published {
	MAP_PORTS,
	MAP_GROUPS,
	MAP_LIMITS,
	MAP_COUNTERS,
	N_PUBLISHED,
};

// What is pinned, and the shape it must have: the kernel copies as much as the map says, not as
// much as the caller expects.
static const struct map_shape {
	const char *name;
	uint32_t type;
	uint32_t value_bytes;
	uint32_t max_entries;
	uint32_t key_bytes; // 0: a number
} SHAPES[N_PUBLISHED] = {
	[MAP_PORTS] = { STEER_MAP_PORTS, BPF_MAP_TYPE_ARRAY, sizeof(uint32_t), STEER_MAX_PORTS },
	[MAP_GROUPS] = { STEER_MAP_GROUPS, BPF_MAP_TYPE_HASH, sizeof(uint32_t), STEER_MAX_GROUPS,
		sizeof(struct steer_group) },
	[MAP_LIMITS] = { STEER_MAP_LIMITS, BPF_MAP_TYPE_ARRAY, sizeof(struct steer_limits), 1 },
	[MAP_COUNTERS] = { STEER_MAP_COUNTERS, BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(uint64_t),
		STEER_CNT_MAX },
};

static const char *const COUNTER_NAMES[STEER_CNT_MAX] = {
	[STEER_CNT_PASSED] = "passed",
	[STEER_CNT_MEDIA] = "media",
	[STEER_CNT_INGEST] = "ingest",
	[STEER_CNT_FRAGMENT] = "fragment",
	[STEER_CNT_STUN_LIMITED] = "stun_limited",
	[STEER_CNT_DTLS_LIMITED] = "dtls_limited",
	[STEER_CNT_NO_SOCKET] = "no_socket",
};

struct steer_maps {
	int fds[N_PUBLISHED];
};

// Our program on an interface.
struct attachment {
	int ifindex;
	int prog_fd;   // the holder closes it
	uint32_t mode; // XDP_FLAGS_*_MODE
};

static void fds_init(int fds[N_PUBLISHED])
{
	for (int i = 0; i < N_PUBLISHED; i++)
		fds[i] = -1;
}

static void fds_close(const int fds[N_PUBLISHED])
{
	for (int i = 0; i < N_PUBLISHED; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

// The name of an interface's directory below STEER_PIN_ROOT.
static int dir_name(const char *ifname, char out[IF_NAMESIZE])
{
	size_t len = strnlen(ifname, IF_NAMESIZE);

	if (len == 0 || len == IF_NAMESIZE || strchr(ifname, '/'))
		return -EINVAL;
	for (size_t i = 0; i <= len; i++)
		out[i] = ifname[i] == '.' ? ':' : ifname[i];
	return 0;
}

static void pin_path(const char *dir, enum published map, char out[PIN_PATH_MAX])
{
	snprintf(out, PIN_PATH_MAX, "%s/%s/%s", STEER_PIN_ROOT, dir, SHAPES[map].name);
}

// Return: 1 and the program's descriptor; 0 it is gone; -EBUSY it is not ours; other -errno.
static int open_if_ours(uint32_t prog_id, int *prog_fd)
{
	struct bpf_prog_info info = { 0 };
	uint32_t info_bytes = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(prog_id);
	int rc;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	rc = bpf_obj_get_info_by_fd(fd, &info, &info_bytes);
	if (rc == 0 && strcmp(info.name, STEER_PROG_NAME) != 0)
		rc = -EBUSY;
	if (rc < 0) {
		close(fd);
		return rc;
	}
	*prog_fd = fd;
	return 1;
}

// Return: as steer_attached; with 1 the caller closes out->prog_fd.
static int find_attachment(const char *ifname, struct attachment *out)
{
	static const uint32_t MODES[] = {
		[XDP_ATTACHED_DRV] = XDP_FLAGS_DRV_MODE,
		[XDP_ATTACHED_SKB] = XDP_FLAGS_SKB_MODE,
		[XDP_ATTACHED_HW] = XDP_FLAGS_HW_MODE,
	};
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	char dir[IF_NAMESIZE];
	int ifindex, rc;

	rc = dir_name(ifname, dir);
	if (rc < 0)
		return rc;
	ifindex = (int)if_nametoindex(ifname);
	if (ifindex == 0)
		return -errno;
	rc = bpf_xdp_query(ifindex, 0, &query);
	if (rc < 0)
		return rc;
	if (query.attach_mode == XDP_ATTACHED_NONE)
		return 0;
	// Several at once: at least one is not ours.
	if (query.attach_mode >= sizeof(MODES) / sizeof(MODES[0]))
		return -EBUSY;
	out->ifindex = ifindex;
	out->mode = MODES[query.attach_mode];
	return open_if_ours(query.prog_id, &out->prog_fd);
}

int steer_attached(const char *ifname)
{
	struct attachment at;
	int rc = find_attachment(ifname, &at);

	if (rc == 1)
		close(at.prog_fd);
	return rc;
}

int steer_clean(const char *ifname)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, only_ours);
	struct attachment at;
	int rc;

	steer_unpublish(ifname);
	rc = find_attachment(ifname, &at);
	if (rc != 1)
		return rc;
	// Naming the program keeps the kernel from detaching one that took its place meanwhile.
	only_ours.old_prog_fd = at.prog_fd;
	rc = bpf_xdp_detach(at.ifindex, at.mode | XDP_FLAGS_REPLACE, &only_ours);
	close(at.prog_fd);
	return rc;
}

static int check_shape(int fd, const struct map_shape *shape)
{
	struct bpf_map_info info = { 0 };
	uint32_t info_bytes = sizeof(info);
	int rc = bpf_obj_get_info_by_fd(fd, &info, &info_bytes);

	if (rc < 0)
		return rc;
	if (strcmp(info.name, shape->name) != 0)
		return -ENOENT;
	if (info.type != shape->type ||
		info.key_size != (shape->key_bytes ? shape->key_bytes : sizeof(uint32_t)) ||
		info.value_size != shape->value_bytes || info.max_entries != shape->max_entries)
		return -EPROTO;
	return 0;
}

// Keep fd under the name it bears, or close it if it is none of those published.
static int sort_map(int fd, int fds[N_PUBLISHED])
{
	int rc = -ENOENT;

	for (int i = 0; i < N_PUBLISHED && rc == -ENOENT; i++) {
		rc = check_shape(fd, &SHAPES[i]);
		if (rc == 0 && fds[i] < 0) {
			fds[i] = fd;
			return 0;
		}
	}
	close(fd);
	return rc == -ENOENT ? 0 : rc;
}

// Open the program's maps. On failure what was opened stands in fds all the same.
static int open_program_maps(int prog_fd, int fds[N_PUBLISHED])
{
	uint32_t ids[PROGRAM_MAX_MAPS] = { 0 };
	struct bpf_prog_info info = {
		.nr_map_ids = PROGRAM_MAX_MAPS,
		.map_ids = (uintptr_t)ids,
	};
	uint32_t info_bytes = sizeof(info);
	int rc = bpf_obj_get_info_by_fd(prog_fd, &info, &info_bytes);

	if (rc < 0)
		return rc;
	// The kernel answers with the true number, though it wrote no more ids than there was room.
	for (uint32_t i = 0; i < info.nr_map_ids && i < PROGRAM_MAX_MAPS; i++) {
		int fd = bpf_map_get_fd_by_id(ids[i]);

		rc = fd < 0 ? fd : sort_map(fd, fds);
		if (rc < 0)
			return rc;
	}
	for (int i = 0; i < N_PUBLISHED; i++)
		if (fds[i] < 0)
			return -EPROTO;
	return 0;
}

// Everybody may make directories on bpffs: one below which somebody else could change what we make
// is refused.
// Return: descriptor of STEER_PIN_ROOT; -ENOENT; -EPERM made by somebody else; other -errno.
static int open_root(void)
{
	struct stat st;
	int fd = open(STEER_PIN_ROOT, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return errno == ELOOP || errno == ENOTDIR ? -EPERM : -errno;
	if (fstat(fd, &st) < 0 || (st.st_uid != 0 && st.st_uid != geteuid()) ||
		(st.st_mode & (S_IWGRP | S_IWOTH))) {
		close(fd);
		return -EPERM;
	}
	return fd;
}

// Make the interface's directory, closed to all but ourselves until everything is in it.
static int make_dirs(const char *dir)
{
	struct statfs fs;
	int root_fd, rc = 0;

	if (statfs(BPFFS, &fs) < 0 || fs.f_type != BPF_FS_MAGIC)
		return -ENODEV;
	if (mkdir(STEER_PIN_ROOT, 0711) < 0 && errno != EEXIST)
		return -errno;
	root_fd = open_root();
	if (root_fd < 0)
		return root_fd;
	// Whatever the umask: others pass through to their directory, but do not list.
	if (fchmod(root_fd, 0711) < 0 || mkdirat(root_fd, dir, 0700) < 0)
		rc = -errno;
	close(root_fd);
	return rc;
}

static int pin_one(int fd, const char *path, uint32_t gid)
{
	int rc = bpf_obj_pin(fd, path);

	if (rc < 0)
		return rc;
	if (chown(path, (uid_t)-1, gid) < 0 || chmod(path, 0660) < 0)
		return -errno;
	return 0;
}

static int pin_all(const char *dir, const int fds[N_PUBLISHED], uint32_t gid)
{
	char path[PIN_PATH_MAX];
	int rc;

	for (int i = 0; i < N_PUBLISHED; i++) {
		pin_path(dir, i, path);
		rc = pin_one(fds[i], path, gid);
		if (rc < 0)
			return rc;
	}
	snprintf(path, sizeof(path), "%s/%s", STEER_PIN_ROOT, dir);
	if (chown(path, (uid_t)-1, gid) < 0 || chmod(path, 0750) < 0)
		return -errno;
	return 0;
}

static int publish_maps(const char *ifname, const int fds[N_PUBLISHED], uint32_t gid)
{
	char dir[IF_NAMESIZE];
	int rc = dir_name(ifname, dir);

	if (rc < 0)
		return rc;
	steer_unpublish(ifname);
	rc = make_dirs(dir);
	if (rc == 0)
		rc = pin_all(dir, fds, gid);
	if (rc < 0)
		steer_unpublish(ifname);
	return rc;
}

int steer_publish(const char *ifname, uint32_t gid)
{
	struct attachment at;
	int fds[N_PUBLISHED];
	int rc = find_attachment(ifname, &at);

	if (rc == 0 || rc == -EBUSY)
		return -ENOENT;
	if (rc < 0)
		return rc;
	fds_init(fds);
	rc = open_program_maps(at.prog_fd, fds);
	close(at.prog_fd);
	if (rc == 0)
		rc = publish_maps(ifname, fds, gid);
	fds_close(fds);
	return rc;
}

// Unlink every pin in the directory, also those that another version made.
static void empty_dir(int root_fd, const char *dir)
{
	int dir_fd = openat(root_fd, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct dirent *entry;
	DIR *stream;

	if (dir_fd < 0)
		return;
	stream = fdopendir(dir_fd);
	if (!stream) {
		close(dir_fd);
		return;
	}
	while ((entry = readdir(stream)))
		if (entry->d_name[0] != '.')
			unlinkat(dir_fd, entry->d_name, 0);
	closedir(stream);
}

void steer_unpublish(const char *ifname)
{
	char dir[IF_NAMESIZE];
	int root_fd;

	if (dir_name(ifname, dir) < 0)
		return;
	root_fd = open_root();
	if (root_fd < 0)
		return;
	empty_dir(root_fd, dir);
	unlinkat(root_fd, dir, AT_REMOVEDIR);
	close(root_fd);
	// Stays, as it should, while another interface has its directory there.
	rmdir(STEER_PIN_ROOT);
}

static int open_pins(const char *dir, int fds[N_PUBLISHED])
{
	char path[PIN_PATH_MAX];
	int rc;

	for (int i = 0; i < N_PUBLISHED; i++) {
		pin_path(dir, i, path);
		fds[i] = bpf_obj_get(path);
		if (fds[i] < 0)
			return fds[i];
		rc = check_shape(fds[i], &SHAPES[i]);
		if (rc < 0)
			return rc == -ENOENT ? -EPROTO : rc;
	}
	return 0;
}

int steer_maps_open(const char *ifname, struct steer_maps **out)
{
	struct steer_maps *maps;
	char dir[IF_NAMESIZE];
	int rc = dir_name(ifname, dir);

	if (rc < 0)
		return rc;
	maps = malloc(sizeof(*maps));
	if (!maps)
		return -ENOMEM;
	fds_init(maps->fds);
	rc = open_pins(dir, maps->fds);
	if (rc < 0) {
		steer_maps_close(maps);
		return rc;
	}
	*out = maps;
	return 0;
}

void steer_maps_close(struct steer_maps *maps)
{
	if (!maps)
		return;
	fds_close(maps->fds);
	free(maps);
}

int steer_maps_set_port(struct steer_maps *maps, uint16_t port, enum steer_class port_class)
{
	uint32_t key = port;
	uint32_t value = port_class;

	if (value > STEER_GROUP)
		return -EINVAL;
	return bpf_map_update_elem(maps->fds[MAP_PORTS], &key, &value, BPF_ANY);
}

int steer_maps_set_group(struct steer_maps *maps, const struct steer_group *group, bool take)
{
	uint32_t value = 1;
	int rc;

	if (take)
		return bpf_map_update_elem(maps->fds[MAP_GROUPS], group, &value, BPF_ANY);
	rc = bpf_map_delete_elem(maps->fds[MAP_GROUPS], group);
	return rc == -ENOENT ? 0 : rc;
}

int steer_maps_set_limits(struct steer_maps *maps, const struct steer_limits *limits)
{
	uint32_t key = 0;

	return bpf_map_update_elem(maps->fds[MAP_LIMITS], &key, limits, BPF_ANY);
}

int steer_maps_counters(struct steer_maps *maps, uint64_t counts[STEER_CNT_MAX])
{
	uint64_t sums[STEER_CNT_MAX] = { 0 };
	int n_cpus = libbpf_num_possible_cpus();
	uint64_t *per_cpu;
	int rc = 0;

	if (n_cpus < 0)
		return n_cpus;
	per_cpu = calloc(n_cpus, sizeof(*per_cpu));
	if (!per_cpu)
		return -ENOMEM;
	for (uint32_t key = 0; key < STEER_CNT_MAX && rc == 0; key++) {
		rc = bpf_map_lookup_elem(maps->fds[MAP_COUNTERS], &key, per_cpu);
		for (int cpu = 0; cpu < n_cpus && rc == 0; cpu++)
			sums[key] += per_cpu[cpu];
	}
	free(per_cpu);
	if (rc == 0)
		memcpy(counts, sums, sizeof(sums));
	return rc;
}

const char *steer_counter_name(enum steer_counter counter)
{
	return (unsigned int)counter < STEER_CNT_MAX ? COUNTER_NAMES[counter] : "unknown";
}
