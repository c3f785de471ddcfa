// User-space side of the steering program: find what DPDK loaded, publish its maps, fill and read
// them, and take everything away again.
// The data plane publishes while it still has its rights: CAP_NET_ADMIN, CAP_BPF, CAP_SYS_ADMIN
// (which the kernel asks for opening a program or map by its id) and CAP_CHOWN. Control opens what
// is published, with no right but its group.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebpf/steer.h"

// Where the maps of one interface are pinned: /sys/fs/bpf/millrace/<interface>/<map name>.
// bpffs refuses dots, so the directory of "eth0.100" is "eth0:100" (no interface name has a colon).
#define STEER_PIN_ROOT "/sys/fs/bpf/millrace"

// Look at what XDP program the interface carries.
// Return: 0 none; 1 ours (name STEER_PROG_NAME); -EBUSY somebody else's; -EINVAL no interface name;
//         -ENODEV no such interface; other -errno.
int steer_attached(const char *ifname);

// After a crash: detach our program and remove our pins. Nothing there is fine.
// Return: 0; -EBUSY the interface carries somebody else's program; other -errno. The pins are gone
//         either way.
int steer_clean(const char *ifname);

// After DPDK attached the program: find its maps by the program's id and pin them, in place of
// whatever an earlier run left.
// gid:    group that may open them, besides root.
// Return: 0; -ENOENT no program of ours on the interface; -EPROTO its maps are not those of this
//         version; -ENODEV no such interface, or no bpffs on /sys/fs/bpf; -EPERM a right is
//         missing, or somebody else made STEER_PIN_ROOT; other -errno. Nothing stays half pinned.
int steer_publish(const char *ifname, uint32_t gid);

// Remove the pins (not the program: DPDK detaches it). Nothing there is fine.
void steer_unpublish(const char *ifname);

// Opened maps of one interface. Any thread may use them; they outlive the pins, so a reader opens
// them anew once the data plane has restarted.
struct steer_maps;

// Return: 0; -ENOENT not published; -EACCES not of the group; -EPROTO not the maps of this version;
//         other -errno.
int steer_maps_open(const char *ifname, struct steer_maps **out);
void steer_maps_close(struct steer_maps *);

// Say whose a UDP port is. port: host byte order.
int steer_maps_set_port(struct steer_maps *, uint16_t port, enum steer_class);

// Take packets to a port of class STEER_GROUP that go to this group, or do so no longer.
int steer_maps_set_group(struct steer_maps *, const struct steer_group *, bool take);

// Sums over the CPUs. Return: 0 and STEER_CNT_MAX counts.
int steer_maps_counters(struct steer_maps *, uint64_t counts[STEER_CNT_MAX]);

int steer_maps_set_limits(struct steer_maps *, const struct steer_limits *);

// A short name for a counter, as metrics and messages write it ("stun_limited").
const char *steer_counter_name(enum steer_counter);
