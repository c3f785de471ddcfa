#include "dataplane/fanout/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_pause.h>

#include "dataplane/abi/log.h"
#include "dataplane/fanout/host.h"

enum {
	HOUSE_MS = 10,
	STATS_MS = 1000,
	RX_A_LOOP = 2 * PORT_RX_DESCS, // packets of one queue at most
	IDLE_LOOPS = 64, // empty loops before the worker sleeps, in the idle mode that sleeps
	NS_PER_MS = 1000000,
};

uint64_t worker_ntp(uint64_t base, uint64_t mono_ns)
{
	uint64_t s = mono_ns / 1000000000, rest = mono_ns % 1000000000;

	return base + (s << 32) + ((rest << 32) / 1000000000);
}

void worker_drop(struct worker *w, struct rte_mbuf *m, enum drop_reason reason)
{
	w->counters->drops[reason]++;
	rte_pktmbuf_free(m);
}

static bool is_picture(struct rte_mbuf *m)
{
	return packet_of(m)->kind == PACKET_FAN && packet_of(m)->leg == LEG_VIDEO;
}

void worker_hand(struct worker *w, uint16_t to, struct rte_mbuf *m)
{
	struct rte_ring *inbox;

	if (to >= w->edge->n_workers || to == w->id) {
		worker_drop(w, m, DROP_HANDOFF_FULL);
		return;
	}
	inbox = w->edge->workers[to].inbox[w->id];
	if ((is_picture(m) && rte_ring_free_count(inbox) <= WORKER_INBOX_SOUND) ||
		rte_ring_sp_enqueue(inbox, m) < 0) {
		worker_drop(w, m, DROP_HANDOFF_FULL);
		return;
	}
	w->counters->handed_off++;
}

// ---- tables ------------------------------------------------------------------------------------

static int make_engine(struct worker *w)
{
	enum conf_engine want = w->edge->conf->dataplane.engine;
	bool fast = srtp_engine_usable(SRTP_ENGINE_FAST);
	int rc;

	if (want == CONF_ENGINE_FAST && !fast) {
		log_error("[dataplane] engine: this CPU lacks what the fast engine needs (AES-NI, "
			  "PCLMULQDQ); expected auto or libsrtp2");
		return -ENOTSUP;
	}
	rc = srtp_engine_create(
		want == CONF_ENGINE_LIBSRTP2 || !fast ? SRTP_ENGINE_LIBSRTP2 : SRTP_ENGINE_FAST,
		&w->engine);
	if (rc < 0)
		log_error("the SRTP engine does not start: %s", strerror(-rc));
	return rc;
}

static int make_inboxes(struct worker *w)
{
	for (uint16_t from = 0; from < w->edge->n_workers; from++) {
		char name[RTE_RING_NAMESIZE];

		if (from == w->id)
			continue;
		snprintf(name, sizeof(name), "inbox%u_%u", from, w->id);
		w->inbox[from] = rte_ring_create(
			name, WORKER_INBOX_SLOTS, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
		if (!w->inbox[from])
			return -ENOMEM;
	}
	return 0;
}

void *worker_table(size_t n, size_t elem_bytes)
{
	size_t bytes = RTE_ALIGN_CEIL(n * elem_bytes, (size_t)REGION_LINE_BYTES);
	void *table = aligned_alloc(REGION_LINE_BYTES, bytes);

	return table ? memset(table, 0, bytes) : NULL;
}

int worker_init(struct worker *w, struct edge *edge, uint16_t id)
{
	int rc;

	memset(w, 0, sizeof(*w));
	w->id = id;
	w->edge = edge;
	atomic_store(&w->state, WORKER_STARTING);
	w->share = &edge->ports->workers[id];
	w->counters = &edge->region->workers[id];
	w->counters->cpu = edge->conf->dataplane.cores[id];
	w->counters->tsc_mhz = (uint32_t)(rte_get_tsc_hz() / 1000000);
	w->streams = worker_table(edge->region->n_streams, sizeof(*w->streams));
	w->peers = worker_table(edge->region->n_peers, sizeof(*w->peers));
	w->ingest = worker_table(UINT16_MAX + 1, sizeof(*w->ingest));
	for (int leg = 0; leg < LEG_COUNT; leg++)
		w->turns[leg].slots = calloc(edge->region->n_streams, sizeof(uint16_t));
	if (!w->streams || !w->peers || !w->ingest || !w->turns[0].slots || !w->turns[1].slots)
		return -ENOMEM;
	for (uint32_t port = 0; port <= UINT16_MAX; port++)
		w->ingest[port] = (struct ingest_ref){ .stream = UINT16_MAX };
	slab_init(&w->peer_slab, sizeof(struct peer));
	rc = make_inboxes(w);
	if (rc == 0)
		rc = repair_open(w);
	return rc < 0 ? rc : make_engine(w);
}

static void empty_inboxes(struct worker *w)
{
	for (uint16_t from = 0; from < w->edge->n_workers; from++) {
		void *m;

		while (w->inbox[from] && rte_ring_sc_dequeue(w->inbox[from], &m) == 0)
			rte_pktmbuf_free(m);
		rte_ring_free(w->inbox[from]);
		w->inbox[from] = NULL;
	}
}

void worker_fini(struct worker *w)
{
	if (!w->edge)
		return;
	for (uint32_t slot = 0; w->peers && slot < w->edge->region->n_peers; slot++)
		peer_destroy(w->peers[slot]);
	for (uint16_t slot = 0; w->streams && slot < w->edge->region->n_streams; slot++) {
		backup_end(w, slot);
		lane_close(w, slot);
		for (int leg = 0; leg < LEG_COUNT; leg++)
			free(w->streams[slot].fans[leg].viewers);
	}
	for (int leg = 0; leg < LEG_COUNT; leg++)
		free(w->turns[leg].slots);
	start_fini(w);
	empty_inboxes(w);
	keep_fini(w);
	repair_close(w);
	rte_pktmbuf_free_bulk(w->tx, w->n_tx);
	srtp_engine_destroy(w->engine);
	slab_fini(&w->peer_slab);
	free(w->streams);
	free(w->peers);
	free(w->ingest);
	memset(w, 0, sizeof(*w));
}

// ---- the loop ----------------------------------------------------------------------------------

// What waits, waits where it can be told apart: the port's queue is emptied, as far as it goes.
static unsigned int receive_from(struct worker *w, const struct port_queue *q)
{
	struct rte_mbuf *pkts[WORKER_BURST];
	unsigned int got = 0;
	uint16_t n;

	do {
		n = rte_eth_rx_burst(q->port_id, q->queue, pkts, WORKER_BURST);
		if (n)
			demux_burst(w, pkts, n, (uint8_t)q->port_id);
		if (w->n_batches)
			intake_flush(w);
		got += n;
	} while (n == WORKER_BURST && got < RX_A_LOOP);
	return got;
}

static unsigned int receive(struct worker *w)
{
	unsigned int got = 0;

	for (uint16_t i = 0; i < w->share->n_rx; i++)
		got += receive_from(w, &w->share->rx[i]);
	return got;
}

static unsigned int inbox_count(const struct worker *w)
{
	unsigned int n = 0;

	for (uint16_t from = 0; from < w->edge->n_workers; from++)
		if (from != w->id)
			n += rte_ring_count(w->inbox[from]);
	return n;
}

// Control sets control_waits before it looks at the rings a last time and sleeps; we put first and
// look at the flag then. One of the two sees the other.
static void notify_control(struct worker *w)
{
	const uint64_t one = 1;

	w->notify = false;
	atomic_thread_fence(memory_order_seq_cst);
	if (!atomic_exchange(&w->edge->region->header->control_waits, 0))
		return;
	if (write(w->edge->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		w->counters->events_lost++;
}

// What the port itself had to drop, no buffer being free. A port's first queue speaks for all of
// it.
static void read_missed(struct worker *w)
{
	struct rte_eth_stats stats;
	uint64_t missed = 0;

	for (uint16_t i = 0; i < w->share->n_rx; i++)
		if (w->share->rx[i].queue == 0 &&
			rte_eth_stats_get(w->share->rx[i].port_id, &stats) == 0)
			missed += stats.imissed + stats.rx_nombuf;
	w->counters->rx_missed = missed;
	w->stats_ns = w->now_ns;
}

static void keep_house(struct worker *w)
{
	feedback_reports(w);
	if (w->now_ns - w->stats_ns >= STATS_MS * (uint64_t)NS_PER_MS)
		read_missed(w);
	if (w->now_ns - w->house_ns < HOUSE_MS * (uint64_t)NS_PER_MS)
		return;
	w->house_ns = w->now_ns;
	w->counters->heartbeat_ns = w->now_ns;
	feedback_house(w);
	intake_house(w);
	keep_tidy(w);
}

// In control's order: what it injected before a command leaves before that command is obeyed. Else
// a viewer would get media under its new keys before the Finished that gives it the keys.
static unsigned int obey_control(struct worker *w)
{
	unsigned int n_commands = command_count(w);
	unsigned int work = punt_inject(w);

	return work + command_poll(w, n_commands);
}

unsigned int worker_step(struct worker *w)
{
	unsigned int work;

	w->now_ns = region_now_ns();
	work = receive(w);
	if (w->edge->n_workers > 1 && inbox_count(w)) {
		demux_inbox(w);
		intake_flush(w);
		work++;
	}
	feedback_serve(w);
	repair_flush(w);
	// Before any packet of theirs that the lanes hold is sent.
	if (atomic_load_explicit(&w->edge->take_overs, memory_order_acquire) != w->take_overs)
		start_over(w);
	work += lane_serve(w);
	work += start_serve(w);
	work += obey_control(w);
	work += host_step(w);
	keep_house(w);
	work += w->n_tx;
	tx_flush(w);
	if (w->notify)
		notify_control(w);
	endpoints_quiesce(w->edge->endpoints, w->id);
	return work;
}

static void rest(struct worker *w, unsigned int *idle_loops)
{
	if (w->edge->conf->dataplane.idle == CONF_IDLE_POLL || ++*idle_loops < IDLE_LOOPS)
		rte_pause();
	else
		rte_delay_us_sleep(w->edge->conf->dataplane.idle_sleep_us);
}

int worker_run(void *arg)
{
	struct worker *w = arg;
	unsigned int idle_loops = 0;
	int rc = port_drop_rights();

	atomic_store(&w->state, rc);
	if (rc < 0)
		return rc;
	endpoints_online(w->edge->endpoints, w->id);
	while (!atomic_load_explicit(&w->edge->stop, memory_order_relaxed)) {
		uint64_t from = rte_rdtsc();

		if (worker_step(w)) {
			idle_loops = 0;
			w->counters->busy_cycles += rte_rdtsc() - from;
		} else {
			rest(w, &idle_loops);
			w->counters->idle_cycles += rte_rdtsc() - from;
		}
	}
	endpoints_offline(w->edge->endpoints, w->id);
	tx_flush(w);
	return 0;
}
