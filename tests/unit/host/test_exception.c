// The kernel's end, played by a socket that keeps messages apart as a TAP does.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/virtio_net.h>
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

static void up(void **state)
{
	static const struct {
		uint64_t ol_flags;
		uint8_t flags;
	} rows[] = {
		{ 0, 0 },
		{ RTE_MBUF_F_RX_L4_CKSUM_GOOD, VIRTIO_NET_HDR_F_DATA_VALID },
		{ RTE_MBUF_F_RX_L4_CKSUM_NONE, VIRTIO_NET_HDR_F_DATA_VALID },
	};
	uint8_t got[256];
	uint64_t n_full = 0;

	begin(0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(exception_put(e, mbuf(&ping_ask, rows[i].ol_flags)), 0);
		assert_int_equal(exception_flush(e, &n_full), 1);
		assert_int_equal(
			read(kernel, got, sizeof(got)), sizeof(struct virtio_net_hdr) + ping_ask.n);
		assert_int_equal(got[0], rows[i].flags);
		for (size_t b = 1; b < sizeof(struct virtio_net_hdr); b++)
			assert_int_equal(got[b], 0);
		assert_memory_equal(
			got + sizeof(struct virtio_net_hdr), ping_ask.bytes, ping_ask.n);
	}
	assert_int_equal(exception_flush(e, &n_full), 0);
	assert_int_equal(n_full, 0);
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
