// The state of a port's link, and what multicast it lets in. Main thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct port_link {
	bool up;
	uint32_t mbps; // 0: unknown
};

// A port on an interface of the kernel's (AF_XDP, packet socket) has the kernel's word, any other
// its driver's, without waiting for it.
// Return: 0; -errno.
int port_link_get(uint16_t port_id, struct port_link *out);

// Let these groups' frames in, and no others where the port can tell; else all groups.
// Return: 0; -errno the port lets in what it likes.
int port_set_groups(uint16_t port_id, const uint8_t (*macs)[6], uint32_t n);

// Let every group's frames in. Return: as port_set_groups.
int port_take_all_groups(uint16_t port_id);
