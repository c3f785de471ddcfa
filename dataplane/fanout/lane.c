// Waiting in line: what came in is served sound first, then stream by stream, a bounded part of it
// each loop. When pictures come quicker than they can be sent, whole access units are dropped
// before anybody's copy is made, so that all viewers lose the same; key frames go last, sound never
// here.
#include <errno.h>
#include <stdlib.h>

#include "dataplane/fanout/worker.h"

enum {
	LANE_SLOTS = 1024, // a power of two
	// Packets times viewers of one run. More of one viewer's packets in a row cost less each;
	// but all else waits until the run is through: 40,000 are about 5 ms.
	RUN_SEALS = 40000,
	STEP_SEALS = 40000,
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
	}
}

// Return: for how long the next packet to be served has waited.
static uint64_t age_ns(const struct worker *w, const struct fan *fan)
{
	if (!waiting(fan))
		return 0;
	return w->now_ns - packet_of(fan->waiting[fan->head % LANE_SLOTS])->rx_ns;
}

// Judged where an access unit begins, by what is left for all of it; within one only when there is
// no place at all.
static bool shed_picture(const struct worker *w, struct fan *fan, const struct packet *p)
{
	uint64_t age_ms = age_ns(w, fan) / NS_PER_MS;
	bool full = waiting(fan) == LANE_SLOTS || w->n_waiting >= WORKER_WAITING_MAX ||
		    age_ms >= TOO_LATE_MS;
	bool scarce = waiting(fan) > LANE_SLOTS / 4 * 3 ||
		      w->n_waiting > WORKER_WAITING_MAX / 4 * 3 || age_ms >= LATE_MS;

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
			worker_drop(w, pkts[i], DROP_OVERLOAD);
			continue;
		}
		fan->waiting[fan->tail++ % LANE_SLOTS] = pkts[i];
		w->n_waiting++;
	}
	if (!fan->queued && waiting(fan)) {
		turns_push(w, leg, slot);
		fan->queued = true;
	}
}

// Return: packets times viewers.
static uint32_t serve_one(struct worker *w, enum leg_kind leg, unsigned int *n_served)
{
	uint16_t slot = turns_pop(w, leg);
	struct fan *fan = &w->streams[slot].fans[leg];
	uint32_t n_viewers = fan->n_viewers ? fan->n_viewers : 1;
	uint32_t most = RTE_MAX(RUN_SEALS / n_viewers, 1u);
	struct rte_mbuf *pkts[WORKER_BURST];
	uint16_t n = 0;

	while (n < WORKER_BURST && n < most && waiting(fan))
		pkts[n++] = fan->waiting[fan->head++ % LANE_SLOTS];
	w->n_waiting -= n;
	fan->queued = waiting(fan) != 0;
	if (fan->queued)
		turns_push(w, leg, slot);
	if (n)
		fan_out(w, fan, leg, pkts, n);
	*n_served += n;
	return n * n_viewers;
}

unsigned int lane_serve(struct worker *w)
{
	unsigned int n_served = 0;
	uint32_t seals = 0;

	while (w->turns[LEG_AUDIO].n)
		serve_one(w, LEG_AUDIO, &n_served);
	while (w->turns[LEG_VIDEO].n && seals < STEP_SEALS)
		seals += serve_one(w, LEG_VIDEO, &n_served);
	return n_served;
}
