#include "dataplane/abi/region.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	REGION_PAGE_BYTES = 4096,
	REGION_HUGE_BYTES = 2 << 20,
	REGION_SEALS = F_SEAL_SHRINK | F_SEAL_GROW,
};

uint64_t region_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t page_align(uint64_t bytes)
{
	return (bytes + REGION_PAGE_BYTES - 1) & ~(uint64_t)(REGION_PAGE_BYTES - 1);
}

// Whole huge pages, whatever pages it gets: what is not touched costs nothing.
static uint64_t huge_align(uint64_t bytes)
{
	return (bytes + REGION_HUGE_BYTES - 1) & ~(uint64_t)(REGION_HUGE_BYTES - 1);
}

static bool sizes_valid(const struct region_sizes *s)
{
	return s->n_workers > 0 && s->n_workers <= REGION_MAX_WORKERS && s->n_streams > 0 &&
	       s->n_streams <= REGION_MAX_STREAMS && s->n_peers > 0 &&
	       s->n_peers <= REGION_MAX_PEERS;
}

// The header that these sizes give; makes and checks regions alike.
static void header_lay_out(const struct region_sizes *s, struct region_header *h)
{
	memset(h, 0, sizeof(*h));
	h->magic = REGION_MAGIC;
	h->abi_version = REGION_ABI_VERSION;
	h->header_bytes = sizeof(*h);
	h->n_workers = s->n_workers;
	h->n_streams = s->n_streams;
	h->n_peers = s->n_peers;
	h->stream_bytes = sizeof(struct region_stream);
	h->peer_bytes = sizeof(struct region_peer);
	h->worker_bytes = sizeof(struct region_worker);
	h->command_bytes = page_align(
		ring_bytes(REGION_COMMAND_SLOTS, sizeof(struct ring_command)));
	h->event_bytes = page_align(ring_bytes(REGION_EVENT_SLOTS, sizeof(struct ring_event)));
	h->packet_bytes = page_align(ring_bytes(REGION_PACKET_SLOTS, sizeof(struct ring_packet)));
	h->streams_off = page_align(sizeof(*h));
	h->peers_off = h->streams_off + page_align((uint64_t)h->n_streams * h->stream_bytes);
	h->workers_off = h->peers_off + page_align((uint64_t)h->n_peers * h->peer_bytes);
	h->rings_off = h->workers_off + page_align((uint64_t)h->n_workers * h->worker_bytes);
	h->region_bytes = huge_align(
		h->rings_off +
		h->n_workers * (h->command_bytes + h->event_bytes + 2 * h->packet_bytes));
}

// h: our own copy; the one in the region can change under our hands.
static void parts_locate(struct region *r, const struct region_header *h)
{
	uint8_t *base = (uint8_t *)r->header;

	r->n_workers = (uint16_t)h->n_workers;
	r->n_streams = (uint16_t)h->n_streams;
	r->n_peers = h->n_peers;
	r->streams = (struct region_stream *)(base + h->streams_off);
	r->peers = (struct region_peer *)(base + h->peers_off);
	r->workers = (struct region_worker *)(base + h->workers_off);
}

enum ring_kind {
	RING_OF_COMMANDS,
	RING_OF_EVENTS,
	RING_OF_PUNTS,
	RING_OF_INJECTS,
	RING_KINDS,
};

static const struct {
	const char *name;
	uint32_t slots;
	uint32_t elem_bytes;
	bool down; // from control to a worker
} ring_kinds[RING_KINDS] = {
	[RING_OF_COMMANDS] = { "command", REGION_COMMAND_SLOTS, sizeof(struct ring_command), true },
	[RING_OF_EVENTS] = { "event", REGION_EVENT_SLOTS, sizeof(struct ring_event), false },
	[RING_OF_PUNTS] = { "punt", REGION_PACKET_SLOTS, sizeof(struct ring_packet), false },
	[RING_OF_INJECTS] = { "inject", REGION_PACKET_SLOTS, sizeof(struct ring_packet), true },
};

static int ring_open(struct ring *ring, enum ring_kind kind, void *at, bool make)
{
	const uint32_t slots = ring_kinds[kind].slots, elem_bytes = ring_kinds[kind].elem_bytes;
	int rc;

	if (make)
		return ring_make(ring, at, ring_kinds[kind].name, slots, elem_bytes);
	rc = ring_attach(ring, at, slots, elem_bytes);
	if (rc == 0 && ring_kinds[kind].down)
		ring_mend_producer(ring);
	else if (rc == 0)
		ring_mend_consumer(ring);
	return rc;
}

static int rings_open(struct region *r, const struct region_header *h, bool make)
{
	const uint64_t bytes[RING_KINDS] = { h->command_bytes, h->event_bytes, h->packet_bytes,
		h->packet_bytes };
	const size_t views_bytes = (size_t)r->n_workers * RING_KINDS * sizeof(struct ring);
	uint8_t *at = (uint8_t *)r->header + h->rings_off;
	struct ring *view = aligned_alloc(_Alignof(struct ring), views_bytes);
	int rc = 0;

	if (!view)
		return -ENOMEM;
	r->ring_views = view;
	for (uint16_t w = 0; w < r->n_workers; w++, view += RING_KINDS) {
		r->rings[w].command = view + RING_OF_COMMANDS;
		r->rings[w].event = view + RING_OF_EVENTS;
		r->rings[w].punt = view + RING_OF_PUNTS;
		r->rings[w].inject = view + RING_OF_INJECTS;
		for (int kind = 0; kind < RING_KINDS; kind++) {
			rc |= ring_open(&view[kind], kind, at, make);
			at += bytes[kind];
		}
	}
	if (rc == 0)
		return 0;
	free(r->ring_views);
	return -EINVAL;
}

static int map_fd(int fd, size_t bytes, struct region *out)
{
	void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (base == MAP_FAILED)
		return -errno;
	// Keys stand in it: keep them out of core files.
	madvise(base, bytes, MADV_DONTDUMP);
	out->fd = fd;
	out->bytes = bytes;
	out->header = base;
	return 0;
}

// Return: 0, fd and header in out; -errno.
static int file_create(uint64_t bytes, unsigned int flags, struct region *out)
{
	int fd = memfd_create("millrace", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);
	int rc;

	if (fd < 0)
		return -errno;
	rc = ftruncate(fd, (off_t)bytes) < 0 || fcntl(fd, F_ADD_SEALS, REGION_SEALS) < 0 ? -errno
											 : 0;
	if (rc == 0)
		rc = map_fd(fd, bytes, out);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	out->fd = fd;
	return 0;
}

int region_create(const struct region_sizes *sizes, struct region *out)
{
	struct region_header layout;
	struct region r = { .fd = -1 };
	int rc;

	if (!sizes_valid(sizes))
		return -EINVAL;
	header_lay_out(sizes, &layout);
	if (getrandom(&layout.instance, sizeof(layout.instance), 0) != sizeof(layout.instance))
		return -EIO;
	// Counters of every viewer are written for every picture: with small pages their addresses
	// alone overflow the TLB. Without huge pages to spare it works all the same.
	rc = file_create(layout.region_bytes, MFD_HUGETLB, &r);
	if (rc < 0)
		rc = file_create(layout.region_bytes, 0, &r);
	if (rc < 0)
		return rc;
	*r.header = layout;
	parts_locate(&r, &layout);
	rc = rings_open(&r, &layout, true);
	if (rc < 0) {
		munmap(r.header, r.bytes);
		close(r.fd);
		return rc;
	}
	*out = r;
	return 0;
}

// The header must be just the one that its three sizes lead to.
static int header_check(const struct region_header *h, uint64_t file_bytes)
{
	struct region_sizes sizes;
	struct region_header want;

	if (h->magic != REGION_MAGIC)
		return -EPROTO;
	if (h->abi_version != REGION_ABI_VERSION)
		return -EPROTONOSUPPORT;
	if (h->n_workers > REGION_MAX_WORKERS || h->n_streams > REGION_MAX_STREAMS)
		return -EINVAL;
	sizes = (struct region_sizes){ .n_workers = (uint16_t)h->n_workers,
		.n_streams = (uint16_t)h->n_streams,
		.n_peers = h->n_peers };
	if (!sizes_valid(&sizes))
		return -EINVAL;
	header_lay_out(&sizes, &want);
	if (h->header_bytes != want.header_bytes || h->region_bytes != want.region_bytes ||
		h->region_bytes != file_bytes || h->stream_bytes != want.stream_bytes ||
		h->peer_bytes != want.peer_bytes || h->worker_bytes != want.worker_bytes ||
		h->streams_off != want.streams_off || h->peers_off != want.peers_off ||
		h->workers_off != want.workers_off || h->rings_off != want.rings_off ||
		h->command_bytes != want.command_bytes || h->event_bytes != want.event_bytes ||
		h->packet_bytes != want.packet_bytes)
		return -EINVAL;
	return 0;
}

// Return: 0; -ERANGE other sizes than wanted, -ELOOP too many starts.
static int may_take_up(const struct region_header *h, const struct region_sizes *want)
{
	if (h->n_workers != want->n_workers || h->n_streams != want->n_streams ||
		h->n_peers != want->n_peers)
		return -ERANGE;
	return h->starts >= REGION_MAX_STARTS ? -ELOOP : 0;
}

// want: sizes to take it up with, and rings are made anew; NULL: to map it as it is.
static int open_region(int fd, const struct region_sizes *want, struct region *out)
{
	struct region r = { .fd = -1 };
	struct region_header header;
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);
	int rc;

	// Without the seals the other side could cut the file and so kill us with SIGBUS.
	if (seals < 0 || (seals & REGION_SEALS) != REGION_SEALS || fstat(fd, &st) < 0 ||
		st.st_size < (off_t)sizeof(struct region_header))
		return -EPROTO;
	rc = map_fd(fd, (size_t)st.st_size, &r);
	if (rc < 0)
		return rc;
	memcpy(&header, r.header, sizeof(header));
	rc = header_check(&header, (uint64_t)st.st_size);
	if (rc == 0 && want)
		rc = may_take_up(&header, want);
	if (rc < 0)
		goto err_unmap;
	parts_locate(&r, &header);
	// A control that has not noticed yet and puts once more makes its old index ours: what lies
	// before it must be nothing.
	if (want)
		memset((uint8_t *)r.header + header.rings_off, 0,
			header.region_bytes - header.rings_off);
	rc = rings_open(&r, &header, want != NULL);
	if (rc < 0)
		goto err_unmap;
	r.header->interface[sizeof(r.header->interface) - 1] = 0;
	r.header->engine[sizeof(r.header->engine) - 1] = 0;
	*out = r;
	return 0;

err_unmap:
	munmap(r.header, r.bytes);
	return rc;
}

int region_map(int fd, struct region *out)
{
	return open_region(fd, NULL, out);
}

int region_take_up(int fd, const struct region_sizes *sizes, struct region *out)
{
	int rc = open_region(fd, sizes, out);

	if (rc < 0)
		return rc;
	out->header->starts++;
	atomic_store(&out->header->control_waits, 0);
	atomic_store(&out->header->flow_steering, 0);
	atomic_store(&out->header->flow_rules, 0);
	atomic_store(&out->header->flow_waiting, 0);
	return 0;
}

void region_settled(struct region *r)
{
	r->header->starts = 0;
}

void region_fini(struct region *r)
{
	if (!r->header)
		return;
	free(r->ring_views);
	munmap(r->header, r->bytes);
	close(r->fd);
	memset(r, 0, sizeof(*r));
	r->fd = -1;
}
