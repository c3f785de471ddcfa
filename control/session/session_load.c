// Which worker a viewer goes to: the one whose viewers cost it the fewest packets a second.
// Measured in packets, since sealing is nearly all of a worker's time. The share of a worker's
// loops that found work is no measure of it: a loop counts whole, whether it brought one packet or
// a burst.
#include "control/session/priv/session.h"

uint16_t session_choose_worker(const struct session_table *t)
{
	uint16_t best = 0;

	for (uint16_t w = 1; w < link_region(t->link)->n_workers; w++) {
		uint64_t load = t->worker_load[w], least = t->worker_load[best];

		if (load < least || (load == least && t->worker_peers[w] < t->worker_peers[best]))
			best = w;
	}
	return best;
}

void session_unweigh(struct session *s)
{
	s->table->worker_load[s->worker] -= s->load;
	s->load = 0;
}

// One that is connecting costs as much as it will.
void session_weigh(struct session *s)
{
	const struct region_peer_conf *conf = &session_slot(s)->conf;

	session_unweigh(s);
	for (int leg = 0; leg < LEG_COUNT; leg++)
		if (conf->legs[leg].enabled)
			s->load += stream_leg_load(s->stream, leg);
	s->table->worker_load[s->worker] += s->load;
}

void session_weigh_all(struct session_table *t, uint64_t now_ms)
{
	if (now_ms - t->weighed_ms < SESSION_WEIGH_MS)
		return;
	t->weighed_ms = now_ms;
	for (struct session *s = t->all; s; s = s->next)
		session_weigh(s);
}
