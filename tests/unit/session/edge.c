#include "tests/unit/session/edge.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/abi/channel.h"

enum {
	CONNECT_WAIT_MS = 5000,
};

int edge_create(const struct region_sizes *sizes, struct edge *out)
{
	bool left;
	int rc;

	memset(out, 0, sizeof(*out));
	out->listen_fd = out->lock_fd = out->conn_fd = out->offered_fd = -1;
	out->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (out->wake_fd < 0)
		return -errno;
	strcpy(out->dir, "/tmp/millrace-edge-XXXXXX");
	if (!mkdtemp(out->dir))
		return -errno;
	snprintf(out->socket, sizeof(out->socket), "%s/dp.sock", out->dir);
	rc = region_create(sizes, &out->region);
	if (rc == 0)
		rc = channel_lock(out->socket, &out->lock_fd, &left);
	if (rc == 0)
		rc = channel_listen(out->socket, UINT32_MAX, &out->listen_fd);
	return rc;
}

void edge_destroy(struct edge *e)
{
	if (e->listen_fd >= 0)
		channel_unlisten(e->socket, e->listen_fd, e->lock_fd, false);
	if (e->conn_fd >= 0)
		close(e->conn_fd);
	if (e->offered_fd >= 0)
		close(e->offered_fd);
	close(e->wake_fd);
	rmdir(e->dir);
	region_fini(&e->region);
}

int edge_renew(struct edge *e)
{
	const struct region_sizes sizes = { e->region.n_workers, e->region.n_streams,
		e->region.n_peers };
	struct region fresh;
	int rc = region_create(&sizes, &fresh);

	if (rc < 0)
		return rc;
	region_fini(&e->region);
	e->region = fresh;
	return 0;
}

int edge_take_up(struct edge *e)
{
	const struct region_sizes sizes = { e->region.n_workers, e->region.n_streams,
		e->region.n_peers };
	struct region next;
	int fd = dup(e->region.fd), rc = region_take_up(fd, &sizes, &next);

	if (rc < 0) {
		close(fd);
		return rc;
	}
	region_fini(&e->region);
	e->region = next;
	return 0;
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, CONNECT_WAIT_MS) == 1;
}

int edge_accept(struct edge *e)
{
	const struct channel_offer offer = { .region_fd = e->region.fd, .wake_fd = e->wake_fd };
	struct channel_hello hello;
	int rc;

	if (e->conn_fd >= 0)
		close(e->conn_fd);
	e->conn_fd = -1;
	if (!readable(e->listen_fd))
		return -ETIMEDOUT;
	e->conn_fd = accept4(e->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (e->conn_fd < 0)
		return -errno;
	rc = readable(e->conn_fd) ? channel_hear(e->conn_fd, &hello) : -ETIMEDOUT;
	if (rc < 0)
		return rc;
	if (e->offered_fd >= 0)
		close(e->offered_fd);
	e->offered_fd = hello.region_fd;
	return channel_answer(e->conn_fd, &hello, &offer, NULL);
}

static void *accept_one(void *arg)
{
	edge_accept(arg);
	return NULL;
}

int edge_link(struct edge *e, const struct link_handlers *handlers, const struct link *lost,
	struct link **out)
{
	pthread_t thread;
	int rc = pthread_create(&thread, NULL, accept_one, e);

	if (rc != 0)
		return -rc;
	rc = link_open(e->socket, handlers, lost, true, out);
	pthread_join(thread, NULL);
	return rc;
}

int edge_event(struct edge *e, uint16_t worker, const struct ring_event *event)
{
	return ring_put(e->region.rings[worker].event, event, sizeof(*event));
}

static void acknowledge(struct edge *e, const struct edge_command *c, int status)
{
	const struct ring_event ack = { .kind = RING_ACK,
		.seq = c->command.seq,
		.slot = c->command.slot,
		.generation = c->command.generation,
		.status = status };

	edge_event(e, c->worker, &ack);
}

// As a worker does on PEER_ADD: what the viewer before left is none of the new one's.
static void reserve(struct edge *e, uint16_t slot)
{
	if (slot < e->region.n_peers)
		memset(&e->region.peers[slot].state, 0, sizeof(e->region.peers[slot].state));
}

static void obey(struct edge *e, struct edge_command *c)
{
	uint8_t kind = c->command.kind < EDGE_KINDS ? c->command.kind : 0;

	e->n_of[kind]++;
	switch (e->manners[kind]) {
	case EDGE_ACCEPT:
		if (kind == RING_PEER_ADD)
			reserve(e, c->command.slot);
		acknowledge(e, c, 0);
		break;
	case EDGE_REFUSE:
		acknowledge(e, c, e->status);
		break;
	case EDGE_HOLD:
		c->held = true;
		break;
	case EDGE_SILENT:
	case EDGE_ASLEEP:
		break;
	}
}

static bool asleep(const struct edge *e)
{
	for (int kind = 0; kind < EDGE_KINDS; kind++)
		if (e->manners[kind] == EDGE_ASLEEP)
			return true;
	return false;
}

static bool take_commands(struct edge *e, uint16_t worker)
{
	struct ring_command command;
	bool any = false;

	while (e->n_commands < EDGE_LOG_COMMANDS && !asleep(e) &&
		ring_get(e->region.rings[worker].command, &command, sizeof(command)) == 0) {
		struct edge_command *c = &e->commands[e->n_commands++];

		*c = (struct edge_command){ .command = command, .worker = worker };
		obey(e, c);
		any = true;
	}
	return any;
}

static bool take_packets(struct edge *e, uint16_t worker)
{
	struct ring_packet packet;
	bool any = false;

	while (ring_get(e->region.rings[worker].inject, &packet, sizeof(packet)) == 0) {
		if (e->sent)
			e->sent(e->ctx, &packet);
		any = true;
	}
	return any;
}

bool edge_step(struct edge *e)
{
	bool any = false;

	for (uint16_t worker = 0; worker < e->region.n_workers; worker++) {
		any |= take_commands(e, worker);
		any |= take_packets(e, worker);
	}
	return any;
}

void edge_forget(struct edge *e)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < e->n_commands; i++)
		if (e->commands[i].held)
			e->commands[n++] = e->commands[i];
	e->n_commands = n;
	memset(e->n_of, 0, sizeof(e->n_of));
}

const struct edge_command *edge_last(const struct edge *e, enum ring_command_kind kind)
{
	for (unsigned int i = e->n_commands; i-- > 0;)
		if (e->commands[i].command.kind == kind)
			return &e->commands[i];
	return NULL;
}

void edge_release(struct edge *e, int status)
{
	for (unsigned int i = 0; i < e->n_commands; i++) {
		if (!e->commands[i].held)
			continue;
		e->commands[i].held = false;
		acknowledge(e, &e->commands[i], status);
	}
}

int edge_punt(struct edge *e, uint16_t worker, const struct net_path *path, const void *pkt,
	size_t pkt_bytes)
{
	struct ring_packet up = { .rx_ns = region_now_ns(), .path = *path };

	if (pkt_bytes > RING_PACKET_MAX_BYTES)
		return -EMSGSIZE;
	up.pkt_bytes = (uint16_t)pkt_bytes;
	memcpy(up.pkt, pkt, pkt_bytes);
	return ring_put(e->region.rings[worker].punt, &up, sizeof(up));
}
