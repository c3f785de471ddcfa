// The kernel's end, played by a socket that keeps messages apart as a TAP does.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_mempool.h>

#include "dataplane/host/exception.h"
#include "dataplane/host/wire.h"
#include "tests/unit/host/frames.h"

enum {
	POOL_MBUFS = 511,
	NEVER_NS = 1000000000,
};

static struct rte_mempool *pool;
static struct exception *e;
static int kernel;

static int group_setup(void **state)
{
	char *argv[] = { (char *)"test", (char *)"--no-huge", (char *)"--no-shconf",
		(char *)"--no-pci", (char *)"--no-telemetry", (char *)"--log-level=error",
		(char *)"-m64", (char *)"--lcores=0", NULL };

	if (rte_eal_init((int)(sizeof(argv) / sizeof(argv[0])) - 1, argv) < 0)
		return -1;
	pool = rte_pktmbuf_pool_create(
		"test", POOL_MBUFS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	return pool ? 0 : -1;
}

static int group_teardown(void **state)
{
	rte_mempool_free(pool);
	return rte_eal_cleanup();
}

static void begin(uint16_t vlan)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
	e = calloc(1, sizeof(*e));
	e->fd = ends[0];
	e->vlan = vlan;
	kernel = ends[1];
}

static void end(void)
{
	exception_close(e);
	close(kernel);
	assert_int_equal(rte_mempool_avail_count(pool), POOL_MBUFS);
}

static struct rte_mbuf *mbuf(const struct frame_sample *frame, uint64_t ol_flags)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	assert_non_null(m);
	memcpy(rte_pktmbuf_append(m, frame->n), frame->bytes, frame->n);
	m->ol_flags = ol_flags;
	return m;
}

// What the header says of a frame's sum: nothing, or from where to where.
static void up_one(struct frame_sample frame, uint64_t ol_flags, uint16_t start, uint16_t offset)
{
	const size_t tag_bytes = e->vlan ? ETH_TAG_BYTES : 0;
	struct virtio_net_hdr hdr = { .flags = start ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0,
		.csum_start = start,
		.csum_offset = offset };
	const size_t bytes = sizeof(hdr) + frame.n - tag_bytes;
	uint8_t got[256];
	uint64_t n_full = 0;

	assert_int_equal(exception_put(e, mbuf(&frame, ol_flags)), 0);
	assert_int_equal(exception_flush(e, &n_full), 1);
	assert_int_equal(read(kernel, got, sizeof(got)), bytes);
	assert_memory_equal(got, &hdr, sizeof(hdr));
	assert_memory_equal(got + sizeof(hdr), frame.bytes, 12);
	assert_memory_equal(
		got + sizeof(hdr) + 12, frame.bytes + 12 + tag_bytes, frame.n - 12 - tag_bytes);
	assert_int_equal(exception_flush(e, &n_full), 0);
	assert_int_equal(n_full, 0);
}

static struct frame_sample with(const struct frame_sample *frame, uint32_t at, uint8_t byte)
{
	struct frame_sample changed = *frame;

	changed.bytes[at] = byte;
	return changed;
}

// A sum that the card made out to be good, or wrong, stands in the frame: the kernel looks itself.
static void up(void **state)
{
	const uint64_t none = RTE_MBUF_F_RX_L4_CKSUM_NONE;
	struct frame_sample tcp4 = with(&ping_ask, 23, IPPROTO_TCP);
	struct frame_sample udp6 = with(&ping6_ask, 20, IPPROTO_UDP);
	struct frame_sample udp4_tagged = with(&ping_ask_vlan, 27, IPPROTO_UDP);
	struct frame_sample cut = tcp4;

	begin(0);
	up_one(tcp4, 0, 0, 0);
	up_one(tcp4, RTE_MBUF_F_RX_L4_CKSUM_GOOD, 0, 0);
	up_one(tcp4, RTE_MBUF_F_RX_L4_CKSUM_BAD, 0, 0);
	up_one(tcp4, none, 34, 16);
	up_one(with(&tcp4, 14, 0x46), none, 38, 16);
	up_one(udp6, none, 54, 6);
	up_one(udp4_tagged, none, 38, 6);
	up_one(ping_ask, none, 0, 0);		   // no port, no such sum
	up_one(with(&tcp4, 20, 0x20), none, 0, 0); // fragments
	up_one(with(&tcp4, 21, 1), none, 0, 0);
	up_one(with(&tcp4, 14, 0x4f), none, 0, 0); // the sum would stand behind the end
	up_one(with(&udp6, 20, IPPROTO_TCP), none, 0, 0);
	up_one(arp_ask, none, 0, 0);
	cut.n = 34 + 17;
	up_one(cut, none, 0, 0);
	cut.n = 34 + 18;
	up_one(cut, none, 34, 16);
	cut.n = ETH_BYTES;
	up_one(cut, none, 0, 0);
	end();
	begin(100);
	up_one(udp4_tagged, none, 34, 6);
	end();
}

// The kernel's interface is on our VLAN; it sees no tag.
static void tags(void **state)
{
	const size_t hdr_bytes = sizeof(struct virtio_net_hdr);
	struct rte_mbuf *out[EXCEPTION_BURST];
	uint8_t got[256] = { 0 };
	uint64_t n_full = 0;

	begin(100);
	assert_int_equal(exception_put(e, mbuf(&who4_it_vlan, 0)), 0);
	assert_int_equal(exception_flush(e, &n_full), 1);
	assert_int_equal(read(kernel, got, sizeof(got)), hdr_bytes + who4_it_vlan.n - 4);
	assert_memory_equal(got + hdr_bytes, who4_it_vlan.bytes, 12);
	assert_memory_equal(got + hdr_bytes + 12, who4_it_vlan.bytes + 16, who4_it_vlan.n - 16);

	assert_int_equal(
		write(kernel, got, hdr_bytes + who4_it_vlan.n - 4), hdr_bytes + who4_it_vlan.n - 4);
	assert_int_equal(exception_fetch(e, pool, 0, out), 1);
	assert_int_equal(out[0]->data_len, who4_it_vlan.n);
	assert_int_equal(out[0]->pkt_len, who4_it_vlan.n);
	assert_memory_equal(
		rte_pktmbuf_mtod(out[0], uint8_t *), who4_it_vlan.bytes, who4_it_vlan.n);
	rte_pktmbuf_free(out[0]);
	end();
}

static void no_more_than_a_burst(void **state)
{
	const size_t hdr_bytes = sizeof(struct virtio_net_hdr);
	struct rte_mbuf *out[EXCEPTION_BURST], *over;
	uint8_t got[256] = { 0 };
	uint64_t n_full = 0;

	begin(0);
	for (int i = 0; i < EXCEPTION_QUEUE; i++)
		assert_int_equal(exception_put(e, mbuf(&ping_ask, 0)), 0);
	over = mbuf(&ping_ask, 0);
	assert_int_equal(exception_put(e, over), -ENOBUFS);
	rte_pktmbuf_free(over);
	assert_int_equal(exception_flush(e, &n_full), EXCEPTION_BURST);
	for (int i = 0; i < EXCEPTION_BURST; i++)
		assert_true(read(kernel, got, sizeof(got)) > 0);
	assert_true(read(kernel, got, sizeof(got)) < 0);

	memset(got, 0, hdr_bytes);
	for (int i = 0; i < EXCEPTION_BURST + 1; i++)
		assert_int_equal(write(kernel, got, hdr_bytes + 60), hdr_bytes + 60);
	assert_int_equal(exception_fetch(e, pool, 0, out), EXCEPTION_BURST);
	rte_pktmbuf_free_bulk(out, EXCEPTION_BURST);
	assert_int_equal(exception_fetch(e, pool, 0, out), 1);
	rte_pktmbuf_free(out[0]);
	// Nothing was left: the next look waits.
	assert_int_equal(write(kernel, got, hdr_bytes + 60), hdr_bytes + 60);
	assert_int_equal(exception_fetch(e, pool, 1, out), 0);
	assert_int_equal(exception_fetch(e, pool, NEVER_NS, out), 1);
	rte_pktmbuf_free(out[0]);
	end(); // with frames in the queue
}

static void no_frames(void **state)
{
	static uint8_t big[9000];
	const size_t hdr_bytes = sizeof(struct virtio_net_hdr);
	struct rte_mbuf *out[EXCEPTION_BURST], *m = mbuf(&arp_ask, 0);
	uint64_t n_full = 0;

	begin(100);
	m->data_len = ETH_BYTES + 3; // half a tag
	assert_int_equal(exception_put(e, m), 0);
	assert_int_equal(exception_flush(e, &n_full), 0);
	assert_int_equal(n_full, 1);
	assert_int_equal(write(kernel, big, sizeof(big)), sizeof(big));
	assert_int_equal(exception_fetch(e, pool, 0, out), 0);
	assert_int_equal(write(kernel, big, hdr_bytes + ETH_BYTES - 1), hdr_bytes + ETH_BYTES - 1);
	assert_int_equal(exception_fetch(e, pool, NEVER_NS, out), 0);
	close(kernel);
	kernel = dup(e->fd);
	assert_int_equal(exception_put(e, mbuf(&arp_ask_vlan, 0)), 0);
	assert_int_equal(exception_flush(e, &n_full), 0); // the kernel does not take it
	assert_int_equal(n_full, 2);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(up),
		cmocka_unit_test(tags),
		cmocka_unit_test(no_more_than_a_burst),
		cmocka_unit_test(no_frames),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
