#include "control/link/link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/abi/channel.h"
#include "dataplane/abi/log.h"

enum {
	LINK_PENDING = 4096, // commands under way; a power of two
	LINK_BURST = 64,     // elements taken from one ring before the next has its turn
	NS_PER_MS = 1000000,
};

// A command under way, at seq modulo LINK_PENDING.
struct pending {
	uint64_t seq; // 0: free
	uint64_t due_ms;
	link_ack_cb cb;
	void *arg;
	uint16_t waits_for; // a bit for each worker that has not answered
	int16_t status;
};

static_assert(REGION_MAX_WORKERS <= 16, "a pending command has a bit for each worker");

struct link {
	struct region region;
	struct link_handlers handlers;
	struct steer_maps *steer;
	int socket_fd; // -1: lost
	int wake_fd;
	uint64_t next_seq;
	uint64_t oldest_seq; // none before it is under way
	struct link_overflows overflows[REGION_MAX_WORKERS];
	struct pending pending[LINK_PENDING];
};

static void explain(const char *socket, int rc, const char *reason)
{
	if (rc == -ENOENT || rc == -ECONNREFUSED)
		log_error("no data plane at %s; start millrace-dataplane first", socket);
	else if (rc == -EBUSY)
		log_error("the data plane at %s refuses: %s", socket, reason);
	else if (rc == -EPROTONOSUPPORT)
		log_error("the data plane at %s is of another version (%s); install both from one "
			  "build",
			socket, reason[0] ? reason : "its region says so");
	else
		log_error("cannot connect to the data plane at %s: %s", socket, strerror(-rc));
}

static int open_steer(struct link *l)
{
	const char *ifname = l->region.header->interface;
	int rc;

	if (!ifname[0])
		return 0;
	rc = steer_maps_open(ifname, &l->steer);
	if (rc < 0)
		log_error("cannot open the steering maps of %s under %s: %s", ifname,
			STEER_PIN_ROOT, strerror(-rc));
	return rc;
}

int link_open(const char *socket, const struct link_handlers *handlers, const struct link *lost,
	bool quiet, struct link **out)
{
	struct channel_offer offer = { .region_fd = -1, .wake_fd = -1 };
	char reason[CHANNEL_REASON_MAX] = "";
	struct link *l = calloc(1, sizeof(*l));
	int rc;

	if (!l)
		return -ENOMEM;
	l->handlers = *handlers;
	l->socket_fd = -1;
	l->wake_fd = -1;
	// Above all that a control before us used on the same rings: its late answers are not ours.
	l->next_seq = l->oldest_seq = region_now_ns();
	rc = channel_connect(socket, lost ? lost->region.fd : -1, &l->socket_fd, &offer, reason);
	if (rc == 0) {
		l->wake_fd = offer.wake_fd;
		rc = region_map(offer.region_fd, &l->region);
		if (rc < 0)
			close(offer.region_fd);
	}
	if (rc < 0 && !quiet)
		explain(socket, rc, reason);
	if (rc == 0)
		rc = open_steer(l);
	if (rc < 0) {
		link_close(l);
		return rc;
	}
	*out = l;
	return 0;
}

static void answer(struct pending *p)
{
	struct pending done = *p;

	p->seq = 0;
	if (done.cb)
		done.cb(done.arg, done.status);
}

bool link_lost(const struct link *l)
{
	return l->socket_fd < 0;
}

// A file of memory has a name of its own in the kernel; what stands in it says nothing.
bool link_same_region(const struct link *a, const struct link *b)
{
	struct stat sa, sb;

	return fstat(a->region.fd, &sa) == 0 && fstat(b->region.fd, &sb) == 0 &&
	       sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void link_lose(struct link *l)
{
	close_fd(&l->socket_fd);
	close_fd(&l->wake_fd);
	steer_maps_close(l->steer);
	l->steer = NULL;
	for (uint64_t seq = l->oldest_seq; seq < l->next_seq; seq++) {
		struct pending *p = &l->pending[seq % LINK_PENDING];

		if (p->seq != seq)
			continue;
		p->status = -ECONNRESET;
		answer(p);
	}
	l->oldest_seq = l->next_seq;
}

void link_close(struct link *l)
{
	if (!l)
		return;
	link_lose(l);
	region_fini(&l->region);
	free(l);
}

struct region *link_region(struct link *l)
{
	return &l->region;
}

struct steer_maps *link_steer(struct link *l)
{
	return l->steer;
}

const struct link_overflows *link_overflows(const struct link *l, uint16_t worker)
{
	return &l->overflows[worker];
}

int link_socket_fd(const struct link *l)
{
	return l->socket_fd;
}

int link_wake_fd(const struct link *l)
{
	return l->wake_fd;
}

// ---- up ----------------------------------------------------------------------------------------

static void take_ack(struct link *l, uint16_t worker, const struct ring_event *e)
{
	struct pending *p = &l->pending[e->seq % LINK_PENDING];
	uint16_t bit = (uint16_t)(1u << worker);

	// Answered as overdue already, said twice, or not this worker's to say.
	if (p->seq != e->seq || e->seq == 0 || !(p->waits_for & bit))
		return;
	// That one worker never had the thing must not hide that another cannot let go of it.
	if (e->status != 0 && (p->status == 0 || p->status == -ENOENT))
		p->status = (int16_t)(e->status > 0 || e->status < -4095 ? -EIO : e->status);
	p->waits_for &= (uint16_t)~bit;
	if (p->waits_for == 0)
		answer(p);
}

static bool poll_events(struct link *l, uint16_t worker)
{
	struct ring_event e;
	unsigned int n = 0;

	while (n < LINK_BURST && ring_get(l->region.rings[worker].event, &e, sizeof(e)) == 0) {
		n++;
		if (e.kind == RING_ACK)
			take_ack(l, worker, &e);
		else
			l->handlers.event(l->handlers.ctx, &e);
	}
	return n > 0;
}

static bool poll_punts(struct link *l, uint16_t worker)
{
	struct ring_packet p;
	unsigned int n = 0;

	while (n < LINK_BURST && ring_get(l->region.rings[worker].punt, &p, sizeof(p)) == 0) {
		n++;
		p.worker = worker; // the ring says so, whatever stands in the slot
		if (p.pkt_bytes > 0 && p.pkt_bytes <= RING_PACKET_MAX_BYTES)
			l->handlers.punt(l->handlers.ctx, &p);
	}
	return n > 0;
}

static void answer_overdue(struct link *l, uint64_t now_ms)
{
	while (l->oldest_seq < l->next_seq) {
		struct pending *p = &l->pending[l->oldest_seq % LINK_PENDING];

		if (p->seq == l->oldest_seq) {
			if (now_ms < p->due_ms)
				return;
			log_warn("command %llu was not answered in %d ms",
				(unsigned long long)p->seq, LINK_ACK_MS);
			p->status = -ETIMEDOUT;
			answer(p);
		}
		l->oldest_seq++;
	}
}

bool link_poll(struct link *l, uint64_t now_ms)
{
	uint64_t drain;
	bool any = false;

	if (read(l->wake_fd, &drain, sizeof(drain)) < 0 && errno != EAGAIN)
		log_warn("wake-up: %s", strerror(errno));
	atomic_store(&l->region.header->control_waits, 1);
	for (uint16_t w = 0; w < l->region.n_workers; w++) {
		any |= poll_events(l, w);
		any |= poll_punts(l, w);
	}
	answer_overdue(l, now_ms);
	return any;
}

// ---- down --------------------------------------------------------------------------------------

static int put_command(struct link *l, uint16_t worker, const struct ring_command *c)
{
	return ring_put(l->region.rings[worker].command, c, sizeof(*c));
}

// All rings must have room first: a command is never sent to some of the workers only.
static bool rings_have_room(struct link *l, uint16_t from, uint16_t to)
{
	for (uint16_t w = from; w < to; w++) {
		if (ring_free_count(l->region.rings[w].command) > 0)
			continue;
		l->overflows[w].command++;
		return false;
	}
	return true;
}

int link_command(struct link *l, uint16_t worker, enum ring_command_kind kind, uint16_t slot,
	uint32_t generation, link_ack_cb cb, void *arg)
{
	uint16_t from = worker == LINK_ALL_WORKERS ? 0 : worker;
	uint16_t to = worker == LINK_ALL_WORKERS ? l->region.n_workers : (uint16_t)(worker + 1);
	const struct ring_command c = {
		.seq = l->next_seq, .generation = generation, .slot = slot, .kind = (uint8_t)kind
	};
	struct pending *p = &l->pending[c.seq % LINK_PENDING];

	if (link_lost(l))
		return -ENOTCONN;
	if (to > l->region.n_workers || p->seq != 0 || !rings_have_room(l, from, to))
		return -ENOBUFS;
	*p = (struct pending){ .seq = c.seq,
		.due_ms = region_now_ns() / NS_PER_MS + LINK_ACK_MS,
		.cb = cb,
		.arg = arg };
	l->next_seq++;
	for (uint16_t w = from; w < to; w++) {
		p->waits_for |= (uint16_t)(1u << w);
		put_command(l, w, &c);
	}
	return 0;
}

int link_inject(struct link *l, uint16_t worker, const struct net_path *path, const uint8_t *pkt,
	size_t pkt_bytes)
{
	struct ring_packet down = { .path = *path, .worker = worker };
	int rc;

	if (pkt_bytes == 0 || pkt_bytes > RING_PACKET_MAX_BYTES)
		return -EMSGSIZE;
	if (link_lost(l))
		return -ENOTCONN;
	if (worker >= l->region.n_workers)
		return -EINVAL;
	down.rx_ns = 0;
	down.pkt_bytes = (uint16_t)pkt_bytes;
	memcpy(down.pkt, pkt, pkt_bytes);
	rc = ring_put(l->region.rings[worker].inject, &down, sizeof(down));
	if (rc < 0)
		l->overflows[worker].inject++;
	return rc;
}
