// The shared region: made by one process, mapped by another, and refused when anything about it is
// not as it must be.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_ring.h>

#include "dataplane/abi/region.h"

enum {
	MESSAGES = 100000,
	PACKETS = 20000,
	PAGE_BYTES = 4096,
	ALL_SEALS = F_SEAL_SHRINK | F_SEAL_GROW,
};

// One stream or peer more must take another page, or a header that lies by one lies about nothing.
enum {
	PAGE = 4096,
	STREAMS = 4 * PAGE / sizeof(struct region_stream),
	PEERS = 80 * PAGE / sizeof(struct region_peer),
};
#define PAGES(n, type) (((n) * sizeof(type) + PAGE - 1) / PAGE)
static_assert(PAGES(STREAMS, struct region_stream) != PAGES(STREAMS + 1, struct region_stream));
static_assert(PAGES(PEERS, struct region_peer) != PAGES(PEERS + 1, struct region_peer));
static const struct region_sizes sizes = { .n_workers = 2, .n_streams = STREAMS, .n_peers = PEERS };

static struct region make(void)
{
	struct region r;

	assert_int_equal(region_create(&sizes, &r), 0);
	return r;
}

static void sizes_are_bounded(void **state)
{
	static const struct {
		struct region_sizes sizes;
		int rc;
	} rows[] = {
		{ { 1, 1, 1 }, 0 },
		{ { 0, 1, 1 }, -EINVAL },
		{ { 1, 0, 1 }, -EINVAL },
		{ { 1, 1, 0 }, -EINVAL },
		{ { REGION_MAX_WORKERS, REGION_MAX_STREAMS, 5 }, 0 },
		{ { REGION_MAX_WORKERS + 1, 1, 1 }, -EINVAL },
		{ { 1, REGION_MAX_STREAMS + 1, 1 }, -EINVAL },
		{ { 1, 1, REGION_MAX_PEERS }, 0 },
		{ { 1, 1, REGION_MAX_PEERS + 1 }, -EINVAL },
		{ { 1, 1, UINT32_MAX }, -EINVAL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct region r = { .fd = -7 };
		int rc = region_create(&rows[i].sizes, &r);

		if (rc != rows[i].rc)
			fail_msg("row %zu: %d", i, rc);
		if (rc < 0)
			assert_int_equal(r.fd, -7);
		else
			region_fini(&r);
	}
}

static void parts_do_not_overlap(void **state)
{
	struct region r = make(), again = make();
	const struct region_header *h = r.header;
	const uint8_t *end = (uint8_t *)h + r.bytes;

	assert_int_equal(h->streams_off % PAGE_BYTES | h->peers_off % PAGE_BYTES |
				 h->workers_off % PAGE_BYTES | h->rings_off % PAGE_BYTES,
		0);
	assert_true((uint8_t *)r.streams >= (uint8_t *)(h + 1));
	assert_true((uint8_t *)r.peers >= (uint8_t *)(r.streams + sizes.n_streams));
	assert_true((uint8_t *)r.workers >= (uint8_t *)(r.peers + sizes.n_peers));
	assert_true(
		(uint8_t *)r.rings[0].command->shared >= (uint8_t *)(r.workers + sizes.n_workers));
	assert_in_range(
		end - (uint8_t *)r.rings[1].inject->shared - h->packet_bytes, 0, (2 << 20) - 1);
	assert_int_equal(r.bytes % (2 << 20), 0);
	assert_true(h->instance != again.header->instance);
	for (const uint8_t *at = (uint8_t *)r.streams; at < (uint8_t *)r.rings[0].command->shared;
		at++)
		assert_int_equal(*at, 0);
	assert_int_equal(fcntl(r.fd, F_GET_SEALS) & ALL_SEALS, ALL_SEALS);
	assert_int_equal(ftruncate(r.fd, 0), -1);
	assert_int_equal(fcntl(r.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	region_fini(&r);
	region_fini(&again);
}

static void fini_closes_once(void **state)
{
	struct region r = make(), zero = { 0 };
	int fd = r.fd;

	region_fini(&r);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	region_fini(&r);
	region_fini(&zero);
	assert_int_not_equal(fcntl(0, F_GETFD), -1); // a zeroed struct's fd is not its own
}

// ---- rings -------------------------------------------------------------------------------------

static void ring_is_full_and_empty(void **state)
{
	struct region r = make();
	struct ring_command in = { .kind = RING_FLUSH }, out = { 0 };
	uint32_t n = 0;

	assert_int_equal(ring_get(r.rings[1].command, &out, sizeof(out)), -ENOENT);
	for (in.seq = 0; ring_put(r.rings[1].command, &in, sizeof(in)) == 0; in.seq++)
		n++;
	assert_int_equal(n, REGION_COMMAND_SLOTS - 1);
	assert_int_equal(ring_put(r.rings[1].command, &in, sizeof(in)), -ENOBUFS);
	assert_int_equal(ring_get(r.rings[0].command, &out, sizeof(out)), -ENOENT);
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(ring_get(r.rings[1].command, &out, sizeof(out)), 0);
		assert_int_equal(out.seq, i);
	}
	assert_int_equal(ring_get(r.rings[1].command, &out, sizeof(out)), -ENOENT);
	region_fini(&r);
}

static void put_waiting(struct ring *ring, const void *elem, unsigned int bytes)
{
	while (ring_put(ring, elem, bytes) == -ENOBUFS)
		sched_yield();
}

static void get_waiting(struct ring *ring, void *elem, unsigned int bytes)
{
	while (ring_get(ring, elem, bytes) == -ENOENT)
		sched_yield();
}

static struct ring_packet packet_make(uint32_t i)
{
	struct ring_packet p = { .rx_ns = i,
		.pkt_bytes = (uint16_t)(1 + i % RING_PACKET_MAX_BYTES) };

	memset(p.pkt, (int)(i & 0xff), p.pkt_bytes);
	return p;
}

// The other process: what comes up goes down again, and nothing may be lost or out of order.
// Return: its exit status.
static int echo(const struct region *r)
{
	for (uint32_t i = 0; i < MESSAGES; i++) {
		struct ring_event up;
		struct ring_command down;

		get_waiting(r->rings[1].event, &up, sizeof(up));
		if (up.seq != i || up.status != -(int)i || up.slot != (uint16_t)i)
			return 2;
		down = (struct ring_command){ .seq = up.seq, .slot = up.slot, .kind = RING_FLUSH };
		put_waiting(r->rings[1].command, &down, sizeof(down));
	}
	for (uint32_t i = 0; i < PACKETS; i++) {
		struct ring_packet up, want = packet_make(i);

		get_waiting(r->rings[0].punt, &up, sizeof(up));
		if (memcmp(&up, &want, sizeof(up)) != 0)
			return 3;
		put_waiting(r->rings[0].inject, &up, sizeof(up));
	}
	return 0;
}

static void send_fd(int sock, int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { .iov_base = (char[]){ 'r' }, .iov_len = 1 };
	struct msghdr hdr = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&hdr);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	assert_int_equal(sendmsg(sock, &hdr, 0), 1);
}

// Return: -1 without one.
static int receive_fd(int sock)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr hdr = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control) };
	int fd = -1;

	if (recvmsg(sock, &hdr, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&hdr))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&hdr)), sizeof(fd));
	return fd;
}

static int child(int sock)
{
	struct region r;
	int status = 4;

	if (region_map(receive_fd(sock), &r) == 0) {
		status = echo(&r);
		region_fini(&r);
	}
	return status;
}

// Keeps as much under way as the rings hold.
static void drive(const struct region *r)
{
	uint32_t sent = 0, got = 0;

	while (got < MESSAGES) {
		struct ring_event up = {
			.kind = RING_ACK, .seq = sent, .status = -(int)sent, .slot = (uint16_t)sent
		};
		struct ring_command down;

		if (sent < MESSAGES && ring_put(r->rings[1].event, &up, sizeof(up)) == 0)
			sent++;
		while (ring_get(r->rings[1].command, &down, sizeof(down)) == 0) {
			assert_int_equal(down.seq, got);
			assert_int_equal(down.slot, (uint16_t)got);
			got++;
		}
		if (sent - got > 500)
			sched_yield();
	}
	for (sent = got = 0; got < PACKETS;) {
		struct ring_packet up = packet_make(sent), down, want = packet_make(got);

		if (sent < PACKETS && ring_put(r->rings[0].punt, &up, sizeof(up)) == 0)
			sent++;
		if (ring_get(r->rings[0].inject, &down, sizeof(down)) == 0) {
			assert_memory_equal(&down, &want, sizeof(down));
			got++;
		}
	}
}

static void two_processes_under_load(void **state)
{
	struct region r = make();
	int socks[2], status;
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(60);
		_exit(child(socks[1]));
	}
	send_fd(socks[0], r.fd);
	alarm(60); // a child that failed leaves us waiting
	drive(&r);
	alarm(0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(socks[0]);
	close(socks[1]);
	region_fini(&r);
}

// ---- what is refused ---------------------------------------------------------------------------

struct damage {
	const char *field;
	size_t off;
	size_t bytes;
	int rc;
};

#define DAMAGE(name, code)                                                      \
	{                                                                       \
		.field = #name, .off = offsetof(struct region_header, name),    \
		.bytes = sizeof(((struct region_header *)0)->name), .rc = code, \
	}

static const struct damage damages[] = {
	DAMAGE(magic, -EPROTO),
	DAMAGE(abi_version, -EPROTONOSUPPORT),
	DAMAGE(header_bytes, -EINVAL),
	DAMAGE(region_bytes, -EINVAL),
	DAMAGE(n_workers, -EINVAL),
	DAMAGE(n_streams, -EINVAL),
	DAMAGE(n_peers, -EINVAL),
	DAMAGE(stream_bytes, -EINVAL),
	DAMAGE(peer_bytes, -EINVAL),
	DAMAGE(worker_bytes, -EINVAL),
	DAMAGE(streams_off, -EINVAL),
	DAMAGE(peers_off, -EINVAL),
	DAMAGE(workers_off, -EINVAL),
	DAMAGE(rings_off, -EINVAL),
	DAMAGE(command_bytes, -EINVAL),
	DAMAGE(event_bytes, -EINVAL),
	DAMAGE(packet_bytes, -EINVAL),
};

static int map_again(int fd)
{
	struct region r = { .fd = -7 };
	int copy = dup(fd), rc = region_map(copy, &r);

	if (rc == 0) {
		region_fini(&r);
	} else {
		assert_int_equal(r.fd, -7);
		assert_int_equal(close(copy), 0); // it stayed ours
	}
	return rc;
}

// Each field one off, all ones, zero, and with each of its bytes changed.
static void damaged_header_is_refused(void **state)
{
	struct region r = make();

	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		const struct damage *d = &damages[i];
		uint8_t *field = (uint8_t *)r.header + d->off, good[8];

		memcpy(good, field, d->bytes);
		for (size_t how = 0; how < d->bytes + 4; how++) {
			int rc;

			if (how < d->bytes)
				field[how] ^= 0x41;
			else
				memset(field,
					how == d->bytes	      ? 0
					: how == d->bytes + 1 ? 0xff
							      : 0x7f,
					d->bytes);
			if (how == d->bytes + 3) {
				memcpy(field, good, d->bytes);
				field[0]++;
			}
			rc = map_again(r.fd);
			if (rc != d->rc)
				fail_msg("%s, way %zu: %d", d->field, how, rc);
			memcpy(field, good, d->bytes);
		}
		assert_int_equal(map_again(r.fd), 0);
	}
	region_fini(&r);
}

static void ring_must_be_refused(const struct region *r, uint32_t *field, uint32_t value)
{
	uint32_t good = *field;

	*field = value;
	assert_int_equal(map_again(r->fd), -EINVAL);
	*field = good;
	assert_int_equal(map_again(r->fd), 0);
}

static void damaged_ring_is_refused(void **state)
{
	struct region r = make();

	for (int w = 0; w < 2; w++) {
		struct rte_ring *rings[] = { r.rings[w].command->shared, r.rings[w].event->shared,
			r.rings[w].punt->shared, r.rings[w].inject->shared };

		for (int i = 0; i < 4; i++) {
			ring_must_be_refused(&r, &rings[i]->size, rings[i]->size * 2);
			ring_must_be_refused(&r, &rings[i]->mask, UINT32_MAX);
			ring_must_be_refused(&r, &rings[i]->capacity, rings[i]->size);
			ring_must_be_refused(
				&r, (uint32_t *)&rings[i]->prod.sync_type, RTE_RING_SYNC_MT);
			ring_must_be_refused(
				&r, (uint32_t *)&rings[i]->cons.sync_type, RTE_RING_SYNC_MT);
		}
	}
	region_fini(&r);
}

// A copy of a good region in another file.
static int copy_of(const struct region *r, size_t bytes, unsigned int seals)
{
	int fd = memfd_create("copy", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	assert_int_equal(write(fd, r->header, bytes < r->bytes ? bytes : r->bytes),
		(ssize_t)(bytes < r->bytes ? bytes : r->bytes));
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void wrong_files_are_refused(void **state)
{
	struct region r = make();
	const struct {
		size_t bytes;
		unsigned int seals;
		int rc;
	} rows[] = {
		{ r.bytes, ALL_SEALS, 0 },
		{ r.bytes, 0, -EPROTO },
		{ r.bytes, F_SEAL_SHRINK, -EPROTO },
		{ r.bytes, F_SEAL_GROW, -EPROTO },
		{ 0, ALL_SEALS, -EPROTO },
		{ sizeof(struct region_header) - 1, ALL_SEALS, -EPROTO },
		{ sizeof(struct region_header), ALL_SEALS, -EINVAL },
		{ r.bytes - PAGE_BYTES, ALL_SEALS, -EINVAL },
		{ r.bytes + PAGE_BYTES, ALL_SEALS, -EINVAL },
	};
	int pipe_fds[2], plain;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int fd = copy_of(&r, rows[i].bytes, rows[i].seals), rc = map_again(fd);

		if (rc != rows[i].rc)
			fail_msg("row %zu: %d", i, rc);
		close(fd);
	}
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(map_again(pipe_fds[0]), -EPROTO);
	plain = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_int_equal(map_again(plain), -EPROTO);
	close(plain);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	region_fini(&r);
}

static void names_end(void **state)
{
	struct region r = make(), mapped;

	memset(r.header->interface, 'i', sizeof(r.header->interface));
	memset(r.header->engine, 'e', sizeof(r.header->engine));
	assert_int_equal(region_map(dup(r.fd), &mapped), 0);
	assert_int_equal(strlen(mapped.header->interface), sizeof(r.header->interface) - 1);
	assert_int_equal(strlen(mapped.header->engine), sizeof(r.header->engine) - 1);
	region_fini(&mapped);
	region_fini(&r);
}

// Taken up by another data plane: what stands in it stays, what waited in its rings does not.
static void a_region_is_taken_up(void **state)
{
	const struct ring_command c = { .seq = 7 };
	struct ring_command got;
	struct region r = make(), next;

	r.peers[1].state.legs[0].sent.next_index = 77;
	assert_int_equal(ring_put(r.rings[0].command, &c, sizeof(c)), 0);
	atomic_store(&r.header->control_waits, 1);
	assert_int_equal(region_take_up(dup(r.fd), &sizes, &next), 0);
	assert_int_equal(next.header->instance, r.header->instance);
	assert_int_equal(next.peers[1].state.legs[0].sent.next_index, 77);
	assert_int_equal(ring_get(next.rings[0].command, &got, sizeof(got)), -ENOENT);
	assert_int_equal(atomic_load(&next.header->control_waits), 0);
	region_fini(&next);
	region_fini(&r);
}

// A control that has not noticed yet puts behind what it put before: that is not obeyed again.
static void old_commands_do_not_come_back(void **state)
{
	const struct ring_command drain = { .seq = 7, .kind = RING_DRAIN };
	const struct ring_command flush = { .seq = 8, .kind = RING_FLUSH };
	struct ring_command got;
	struct region r = make(), next;

	assert_int_equal(ring_put(r.rings[0].command, &drain, sizeof(drain)), 0);
	assert_int_equal(region_take_up(dup(r.fd), &sizes, &next), 0);
	assert_int_equal(ring_put(r.rings[0].command, &flush, sizeof(flush)), 0);
	while (ring_get(next.rings[0].command, &got, sizeof(got)) == 0)
		assert_int_not_equal(got.kind, RING_DRAIN);
	region_fini(&next);
	region_fini(&r);
}

static void what_does_not_fit_is_not_taken_up(void **state)
{
	struct region r = make(), next = { .fd = -7 };
	const struct region_sizes others[] = {
		{ sizes.n_workers + 1, sizes.n_streams, sizes.n_peers },
		{ sizes.n_workers, sizes.n_streams + 1, sizes.n_peers },
		{ sizes.n_workers, sizes.n_streams, sizes.n_peers - 1 },
	};
	int plain = memfd_create("plain", MFD_CLOEXEC);

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_int_equal(region_take_up(r.fd, &others[i], &next), -ERANGE);
	assert_int_equal(region_take_up(plain, &sizes, &next), -EPROTO);
	r.header->abi_version++;
	assert_int_equal(region_take_up(r.fd, &sizes, &next), -EPROTONOSUPPORT);
	r.header->abi_version--;
	r.header->peers_off++;
	assert_int_equal(region_take_up(r.fd, &sizes, &next), -EINVAL);
	r.header->peers_off--;
	assert_int_equal(next.fd, -7);
	// All of them left the descriptors to us.
	assert_int_not_equal(fcntl(plain, F_GETFD), -1);
	assert_int_not_equal(fcntl(r.fd, F_GETFD), -1);
	close(plain);
	region_fini(&r);
}

// What kills one data plane after the other must not do so for ever.
static void a_region_that_does_not_last_is_given_up(void **state)
{
	struct region r = make(), next;

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < REGION_MAX_STARTS; i++) {
			assert_int_equal(region_take_up(dup(r.fd), &sizes, &next), 0);
			region_fini(&next);
		}
		assert_int_equal(region_take_up(r.fd, &sizes, &next), -ELOOP);
		region_settled(&r);
	}
	region_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_bounded),
		cmocka_unit_test(parts_do_not_overlap),
		cmocka_unit_test(fini_closes_once),
		cmocka_unit_test(ring_is_full_and_empty),
		cmocka_unit_test(two_processes_under_load),
		cmocka_unit_test(damaged_header_is_refused),
		cmocka_unit_test(damaged_ring_is_refused),
		cmocka_unit_test(wrong_files_are_refused),
		cmocka_unit_test(names_end),
		cmocka_unit_test(a_region_is_taken_up),
		cmocka_unit_test(old_commands_do_not_come_back),
		cmocka_unit_test(what_does_not_fit_is_not_taken_up),
		cmocka_unit_test(a_region_that_does_not_last_is_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
