// A Linux interface as AF_XDP sees it.
#pragma once

// How many receive queues the interface spreads its packets over.
// Return: 1 or more; -ENODEV no such interface, other -errno.
int iface_queues(const char *ifname);

// Say for as long as the process lives that it serves the interface; known within the network
// namespace, and gone with the process however that ends.
// Return: a descriptor to close at the end; -EADDRINUSE another process serves it, -errno.
int iface_claim(const char *ifname);

// The interfaces there are, "lo, eth0", for a message.
void iface_list(char *out, unsigned int cap);
