#include "dataplane/host/exception.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "dataplane/abi/log.h"
#include "dataplane/host/priv/kernel_link.h"
#include "dataplane/host/wire.h"

enum {
	LOOK_NS = 50000, // between two looks that found nothing
	MACS_BYTES = 12,
	IP4_FRAGMENTED = 0x3fff, // an offset, or more to come
	TCP_SUM = 16,
	UDP_SUM = 6,
};

static int open_tap(const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int rc;

	if (fd < 0)
		return -errno;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &ifr) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

static const char *remedy(int rc)
{
	switch (rc) {
	case -ENOENT:
	case -ENODEV:
		return "; is the module tun loaded?";
	case -EINVAL:
		return "; there is another interface of that name: expected a new one";
	case -EBUSY:
		return "; another program has it: expected a new name";
	case -EPERM:
		return "; CAP_NET_ADMIN is needed";
	default:
		return "";
	}
}

int exception_open(const struct conf *conf, const struct host_addresses *us, struct exception **out)
{
	const char *name = conf->dataplane.exception_interface;
	struct exception *e = calloc(1, sizeof(*e));
	int rc;

	*out = NULL;
	if (!e)
		return -ENOMEM;
	e->vlan = us->vlan;
	e->fd = open_tap(name);
	if (e->fd < 0) {
		log_error("[dataplane] exception_interface: %s cannot be made: %s%s", name,
			strerror(-e->fd), remedy(e->fd));
		rc = e->fd;
		free(e);
		return rc;
	}
	rc = kernel_link_set_up(conf, us);
	if (rc < 0) {
		exception_close(e);
		return rc;
	}
	log_info("all but media goes to the kernel by way of %s", name);
	*out = e;
	return 0;
}

void exception_close(struct exception *e)
{
	if (!e)
		return;
	while (e->head != e->tail)
		rte_pktmbuf_free(e->queue[e->head++ % EXCEPTION_QUEUE]);
	rte_pktmbuf_free(e->spare);
	close(e->fd);
	free(e);
}

void exception_set_carrier(struct exception *e, bool up)
{
	int carrier = up;

	if (ioctl(e->fd, TUNSETCARRIER, &carrier) < 0)
		log_debug("the kernel's interface keeps its carrier: %s", strerror(errno));
}

void exception_keep_mac(struct exception *e, const uint8_t mac[6])
{
	struct ifreq ifr = { 0 };

	if (ioctl(e->fd, SIOCGIFHWADDR, &ifr) < 0 || memcmp(ifr.ifr_hwaddr.sa_data, mac, 6) == 0)
		return;
	memcpy(ifr.ifr_hwaddr.sa_data, mac, 6);
	if (ioctl(e->fd, SIOCSIFHWADDR, &ifr) < 0)
		log_debug("the kernel's interface keeps another MAC: %s", strerror(errno));
	else
		log_info("somebody gave the kernel's interface another MAC; it has the port's "
			 "again");
}

int exception_put(struct exception *e, struct rte_mbuf *m)
{
	if (e->tail - e->head == EXCEPTION_QUEUE)
		return -ENOBUFS;
	e->queue[e->tail++ % EXCEPTION_QUEUE] = m;
	return 0;
}

// Where the sum of a whole TCP or UDP packet is made from, and where it stands from there.
// Return: false it is no such packet.
static bool find_sum(const uint8_t *frame, uint32_t have, uint32_t *start, uint32_t *offset)
{
	uint32_t l3 = ETH_BYTES;
	uint16_t type;
	uint8_t proto;

	if (have < ETH_BYTES + ETH_TAG_BYTES + IP4_BYTES)
		return false;
	type = wire_get16(frame + MACS_BYTES);
	if (type == ETH_TYPE_VLAN) {
		type = wire_get16(frame + MACS_BYTES + ETH_TAG_BYTES);
		l3 += ETH_TAG_BYTES;
	}
	if (type == ETH_TYPE_IPV4) {
		proto = frame[l3 + IP4_PROTO];
		*start = l3 + (frame[l3] & 0xfU) * 4;
		if (wire_get16(frame + l3 + IP4_FRAGMENT) & IP4_FRAGMENTED)
			return false;
	} else {
		proto = frame[l3 + IP6_NEXT];
		*start = l3 + IP6_BYTES;
		if (type != ETH_TYPE_IPV6)
			return false;
	}
	*offset = proto == IPPROTO_TCP ? TCP_SUM : UDP_SUM;
	return (proto == IPPROTO_TCP || proto == IPPROTO_UDP) && *start + *offset + 2 <= have;
}

// virtio leaves out the sums of what never was on a wire: the card vouches for the packet, and the
// kernel, which would find the sum wrong, is told where it is to be made if it sends the packet on.
static void tell_sum(const struct rte_mbuf *m, uint32_t tag_bytes, struct virtio_net_hdr *hdr)
{
	uint32_t start, offset;

	if ((m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) != RTE_MBUF_F_RX_L4_CKSUM_NONE ||
		!find_sum(rte_pktmbuf_mtod(m, uint8_t *), m->data_len, &start, &offset))
		return;
	hdr->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	hdr->csum_start = (uint16_t)(start - tag_bytes);
	hdr->csum_offset = (uint16_t)offset;
}

static int write_frame(const struct exception *e, const struct rte_mbuf *m)
{
	struct virtio_net_hdr hdr = { 0 };
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
	uint32_t tag_bytes = e->vlan ? ETH_TAG_BYTES : 0;
	struct iovec parts[] = {
		{ &hdr, sizeof(hdr) },
		{ frame, MACS_BYTES },
		{ frame + MACS_BYTES + tag_bytes, 0 },
	};

	if (m->data_len < ETH_BYTES + tag_bytes)
		return -EINVAL;
	parts[2].iov_len = m->data_len - MACS_BYTES - tag_bytes;
	tell_sum(m, tag_bytes, &hdr);
	return writev(e->fd, parts, 3) < 0 ? -errno : 0;
}

unsigned int exception_flush(struct exception *e, uint64_t *n_full)
{
	unsigned int n = 0, taken = 0;

	while (n < EXCEPTION_BURST && e->head != e->tail) {
		struct rte_mbuf *m = e->queue[e->head++ % EXCEPTION_QUEUE];

		n++;
		if (write_frame(e, m) < 0)
			++*n_full;
		else
			taken++;
		rte_pktmbuf_free(m);
	}
	return taken;
}

// Return: bytes; 0 nothing there, or no frame that we could send.
static uint16_t read_frame(const struct exception *e, struct rte_mbuf *m)
{
	uint32_t tag_bytes = e->vlan ? ETH_TAG_BYTES : 0;
	struct virtio_net_hdr hdr;
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
	const struct iovec parts[] = {
		{ &hdr, sizeof(hdr) },
		{ frame + tag_bytes, rte_pktmbuf_tailroom(m) - tag_bytes },
	};
	ssize_t got = readv(e->fd, parts, 2);

	// What does not fit is cut, and then as long as the room.
	if (got < (ssize_t)(sizeof(hdr) + ETH_BYTES) ||
		(size_t)got >= sizeof(hdr) + parts[1].iov_len)
		return 0;
	if (e->vlan) {
		memmove(frame, frame + tag_bytes, MACS_BYTES);
		wire_put16(frame + MACS_BYTES, ETH_TYPE_VLAN);
		wire_put16(frame + MACS_BYTES + 2, e->vlan);
	}
	return (uint16_t)((size_t)got - sizeof(hdr) + tag_bytes);
}

unsigned int exception_fetch(struct exception *e, struct rte_mempool *pool, uint64_t now_ns,
	struct rte_mbuf *out[EXCEPTION_BURST])
{
	unsigned int n = 0;

	if (now_ns < e->look_ns)
		return 0;
	while (n < EXCEPTION_BURST) {
		struct rte_mbuf *m = e->spare ? e->spare : rte_pktmbuf_alloc(pool);
		uint16_t bytes = m ? read_frame(e, m) : 0;

		e->spare = NULL;
		if (bytes == 0) {
			e->spare = m;
			break;
		}
		m->data_len = bytes;
		m->pkt_len = bytes;
		out[n++] = m;
	}
	if (n < EXCEPTION_BURST)
		e->look_ns = now_ns + LOOK_NS;
	return n;
}
