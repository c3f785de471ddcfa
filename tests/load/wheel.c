// Timers of thousands of viewers: one each, in slots of some milliseconds.
#include "tests/load/viewer.h"

void wheel_take(struct viewer *v)
{
	struct load *load = v->load;

	if (v->due_us)
		TAILQ_REMOVE(&load->wheel[v->due_us / WHEEL_SLOT_US % WHEEL_SLOTS], v, wheel_link);
	v->due_us = 0;
}

void wheel_put(struct viewer *v, uint64_t due_us)
{
	struct load *load = v->load;
	uint64_t slot = due_us / WHEEL_SLOT_US;

	wheel_take(v);
	if (slot <= load->wheel_at)
		slot = load->wheel_at + 1;
	if (slot >= load->wheel_at + WHEEL_SLOTS)
		slot = load->wheel_at + WHEEL_SLOTS - 1;
	v->due_us = slot * WHEEL_SLOT_US;
	TAILQ_INSERT_TAIL(&load->wheel[slot % WHEEL_SLOTS], v, wheel_link);
}

void wheel_run(struct load *load, uint64_t now_us)
{
	uint64_t now = now_us / WHEEL_SLOT_US;

	while (load->wheel_at < now) {
		struct viewer_list *slot = &load->wheel[++load->wheel_at % WHEEL_SLOTS];
		struct viewer *v;

		while ((v = TAILQ_FIRST(slot))) {
			wheel_take(v);
			viewer_tick(v, now_us);
		}
	}
}
