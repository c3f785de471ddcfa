// Waiting in line: what came in is served sound first, then stream by stream, a bounded part of it
// each loop. When pictures come quicker than they can be sent, whole access units are dropped
// before anybody's copy is made, so that all viewers lose the same; key frames go last, sound never
// here. Large pictures are paced (pace.h); sound is not.
#include <errno.h>
#include <stdlib.h>

#include <rte_cycles.h>

#include "dataplane/fanout/worker.h"

enum {
	LANE_SLOTS = 1024, // a power of two
	// More of one viewer's packets in a row cost less each, but all else waits until a run is
	// through: it is cut so that it takes about this time, and pictures are served no longer in
	// one loop.
	RUN_US = 4000,
	STEP_US = 2000,
	LEARN_SHIFT = 3, // of the measured cost of a seal, one part in eight is new
	// A picture that waited longer is of no use: from the first of these on new access units
	// are dropped, from the second on all of them.
	LATE_MS = 100,
	TOO_LATE_MS = 250,
	NS_PER_MS = 1000000,
};

static uint32_t waiting(const struct fan *fan)
{
	return fan->tail - fan->head;
}

static void turns_push(struct worker *w, enum leg_kind leg, uint16_t stream)
{
	struct turn_list *t = &w->turns[leg];

	t->slots[(t->head + t->n++) % w->edge->region->n_streams] = stream;
}

static uint16_t turns_pop(struct worker *w, enum leg_kind leg)
{
	struct turn_list *t = &w->turns[leg];
	uint16_t stream = t->slots[t->head];

	t->head = (t->head + 1) % w->edge->region->n_streams;
	t->n--;
	return stream;
}

int lane_open(struct worker *w, uint16_t stream)
{
	for (int leg = 0; leg < LEG_COUNT; leg++) {
		struct fan *fan = &w->streams[stream].fans[leg];

		if (!fan->waiting)
			fan->waiting = malloc(LANE_SLOTS * sizeof(struct rte_mbuf *));
		if (!fan->waiting)
			return -ENOMEM;
	}
	return 0;
}

// A stream that is gone may stand in the list of turns still; it is passed over there.
void lane_close(struct worker *w, uint16_t stream)
{
	for (int leg = 0; leg < LEG_COUNT; leg++) {
		struct fan *fan = &w->streams[stream].fans[leg];

		for (; fan->head != fan->tail; fan->head++, w->n_waiting--)
			rte_pktmbuf_free(fan->waiting[fan->head % LANE_SLOTS]);
		fan_forget_prefix(fan);
		free(fan->waiting);
		fan->waiting = NULL;
		fan->shedding = false;
		fan->pace = (struct pace){ 0 };
	}
}

// Another worker, who handed it over, may have begun its loop later than we ours.
static uint64_t waited_ns(const struct worker *w, struct rte_mbuf *m)
{
	uint64_t rx_ns = packet_of(m)->rx_ns;

	return rx_ns < w->now_ns ? w->now_ns - rx_ns : 0;
}

// Return: for how long the next packet to be served has waited.
static uint64_t age_ns(const struct worker *w, const struct fan *fan)
{
	return waiting(fan) ? waited_ns(w, fan->waiting[fan->head % LANE_SLOTS]) : 0;
}

// Whether the leg has its part of all places: one that floods does not shut out the others.
static bool has_share(const struct worker *w, const struct fan *fan, uint32_t of)
{
	uint32_t n_legs = w->turns[LEG_VIDEO].n + 1;

	return w->n_waiting >= of && waiting(fan) >= of / n_legs;
}

// Judged where an access unit begins, by what is left for all of it; within one only when there is
// no place at all.
static bool shed_picture(const struct worker *w, struct fan *fan, const struct packet *p)
{
	uint64_t age_ms = age_ns(w, fan) / NS_PER_MS;
	bool full = waiting(fan) == LANE_SLOTS || w->n_waiting >= WORKER_WAITING_HARD ||
		    has_share(w, fan, WORKER_WAITING_MAX) || age_ms >= TOO_LATE_MS;
	bool scarce = waiting(fan) > LANE_SLOTS / 4 * 3 ||
		      has_share(w, fan, WORKER_WAITING_MAX / 4 * 3) || age_ms >= LATE_MS;

	if (fan->shedding && p->ts == fan->shed_ts)
		return true;
	fan->shedding = full || (scarce && p->begins && !p->key && !p->params);
	fan->shed_ts = p->ts;
	return fan->shedding;
}

static bool must_shed(
	const struct worker *w, struct fan *fan, enum leg_kind leg, const struct packet *p)
{
	return leg == LEG_VIDEO ? shed_picture(w, fan, p) : waiting(fan) == LANE_SLOTS;
}

// Counted as the packets that viewers miss, as all drops of their media are.
static void shed(struct worker *w, const struct fan *fan, struct rte_mbuf *m)
{
	w->counters->drops[DROP_OVERLOAD] += fan->n_viewers ? fan->n_viewers : 1;
	rte_pktmbuf_free(m);
}

void lane_put(
	struct worker *w, uint16_t slot, enum leg_kind leg, struct rte_mbuf **pkts, uint16_t n)
{
	struct stream *s = &w->streams[slot];
	struct fan *fan = &s->fans[leg];

	if (!s->generation || packet_of(pkts[0])->generation != s->generation) {
		rte_pktmbuf_free_bulk(pkts, n);
		return;
	}
	for (uint16_t i = 0; i < n; i++) {
		if (must_shed(w, fan, leg, packet_of(pkts[i]))) {
			shed(w, fan, pkts[i]);
			continue;
		}
		fan->waiting[fan->tail++ % LANE_SLOTS] = pkts[i];
		w->n_waiting++;
		if (leg == LEG_VIDEO)
			pace_put(&fan->pace, packet_of(pkts[i])->ts, packet_of(pkts[i])->begins,
				packet_of(pkts[i])->rx_ns);
	}
	if (!fan->queued && waiting(fan)) {
		turns_push(w, leg, slot);
		fan->queued = true;
	}
}

// How many packets one run may have.
static uint32_t run_length(const struct worker *w, uint32_t n_viewers)
{
	uint64_t run_cycles = w->counters->tsc_mhz * (uint64_t)RUN_US;
	uint64_t n = run_cycles / ((uint64_t)n_viewers * (w->seal_cost ? w->seal_cost : 1));

	return (uint32_t)(n < 1 ? 1 : n > WORKER_BURST ? WORKER_BURST : n);
}

// The engine, the port and the machine decide what a packet for a viewer costs.
static void learn_cost(struct worker *w, uint64_t cycles, uint32_t n_seals)
{
	uint64_t cost = cycles / n_seals;

	if (w->seal_cost == 0)
		w->seal_cost = cost;
	w->seal_cost += (cost >> LEARN_SHIFT) - (w->seal_cost >> LEARN_SHIFT);
}

// What one run has waited here, from its receive on.
static void note_wait(
	struct worker *w, uint16_t slot, struct rte_mbuf *const *pkts, uint16_t n, bool paced)
{
	struct region_wait *wait = &w->edge->region->streams[slot].waits[w->id];
	uint64_t sum_ns = 0, max_ns = 0;

	for (uint16_t i = 0; i < n; i++) {
		uint64_t ns = waited_ns(w, pkts[i]);

		sum_ns += ns;
		max_ns = RTE_MAX(max_ns, ns);
	}
	if (w->now_ns - wait->since_ns >= REGION_WAIT_SPAN_MS * (uint64_t)NS_PER_MS) {
		wait->last_max_ns = wait->max_ns;
		wait->max_ns = 0;
		wait->since_ns = w->now_ns;
	}
	wait->packets += n;
	wait->paced += paced ? n : 0;
	wait->sum_ns += sum_ns;
	wait->max_ns = RTE_MAX(wait->max_ns, max_ns);
}

// How many of the leg's packets may leave now. Pacing gives way before a backlog could grow by it.
static uint32_t due(const struct worker *w, const struct fan *fan, enum leg_kind leg)
{
	uint32_t percent = w->edge->conf->media.pacing_percent;

	if (leg == LEG_AUDIO || percent == 0 || waiting(fan) > LANE_SLOTS / 2 ||
		w->n_waiting > WORKER_WAITING_MAX / 2)
		return waiting(fan);
	return pace_due(&fan->pace, waiting(fan), percent, w->now_ns);
}

// Return: how many packets; 0: nothing of it is due.
static uint16_t serve_one(struct worker *w, enum leg_kind leg)
{
	uint16_t slot = turns_pop(w, leg);
	struct fan *fan = &w->streams[slot].fans[leg];
	uint32_t n_viewers = fan->n_viewers ? fan->n_viewers : 1;
	uint32_t most = run_length(w, n_viewers);
	uint32_t n_waiting = waiting(fan), n_due = due(w, fan, leg);
	struct rte_mbuf *pkts[WORKER_BURST];
	uint64_t from = rte_rdtsc();
	uint16_t n = 0;

	while (n < most && n < n_due)
		pkts[n++] = fan->waiting[fan->head++ % LANE_SLOTS];
	w->n_waiting -= n;
	fan->queued = waiting(fan) != 0;
	if (fan->queued)
		turns_push(w, leg, slot);
	if (n == 0)
		return 0;
	if (leg == LEG_VIDEO) {
		note_wait(w, slot, pkts, n, fan->pace.n_put > PACE_FREE);
		pace_take(&fan->pace, n_waiting, n);
	}
	fan_out(w, fan, leg, pkts, n);
	if (fan->n_viewers)
		learn_cost(w, rte_rdtsc() - from, n * n_viewers);
	return n;
}

unsigned int lane_serve(struct worker *w)
{
	uint64_t until = rte_rdtsc() + w->counters->tsc_mhz * (uint64_t)STEP_US;
	unsigned int n = 0, n_idle = 0;

	while (w->turns[LEG_AUDIO].n)
		n += serve_one(w, LEG_AUDIO);
	// Once round those that are paced and not due, no further.
	while (w->turns[LEG_VIDEO].n > n_idle && (n == 0 || rte_rdtsc() < until)) {
		uint16_t served = serve_one(w, LEG_VIDEO);

		n_idle = served ? 0 : n_idle + 1;
		n += served;
	}
	return n;
}
