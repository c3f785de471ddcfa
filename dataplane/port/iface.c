#include "dataplane/port/iface.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int get_channels(const char *ifname, struct ethtool_channels *out)
{
	struct ifreq ifr = { .ifr_data = (void *)out };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return -errno;
	*out = (struct ethtool_channels){ .cmd = ETHTOOL_GCHANNELS };
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	rc = ioctl(fd, SIOCETHTOOL, &ifr) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

int iface_queues(const char *ifname)
{
	struct ethtool_channels channels;
	int rc;

	if (if_nametoindex(ifname) == 0)
		return -ENODEV;
	rc = get_channels(ifname, &channels);
	if (rc == -EOPNOTSUPP)
		return 1; // a driver without channels has one
	if (rc < 0)
		return rc;
	rc = (int)(channels.combined_count + channels.rx_count);
	return rc > 0 ? rc : 1;
}

int iface_claim(const char *ifname)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int chars = snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1, "millrace/%s", ifname);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return -errno;
	// A name that begins with NUL is no file, and belongs to the network namespace.
	if (bind(fd, (struct sockaddr *)&addr,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)chars)) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

void iface_list(char *out, unsigned int cap)
{
	struct if_nameindex *all = if_nameindex();
	unsigned int used = 0;

	out[0] = 0;
	for (struct if_nameindex *i = all; i && i->if_name && used < cap; i++)
		used += (unsigned int)snprintf(
			out + used, cap - used, "%s%s", used ? ", " : "", i->if_name);
	if (all)
		if_freenameindex(all);
}
