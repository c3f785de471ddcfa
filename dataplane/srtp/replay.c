#include "dataplane/srtp/priv/replay.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

// What was seen last is bit 0.
static bool window_is_free(const struct srtp_replay_window *w)
{
	return !(w->seen[0] & 1);
}

// Return: the place of the SSRC's window, or of the free one that it would have;
// SRTP_REPLAY_SSRC_MAX:
//         there is none.
static uint32_t window_find(const struct srtp_replay *r, uint32_t ssrc)
{
	uint32_t i = 0;

	while (i < SRTP_REPLAY_SSRC_MAX && !window_is_free(&r->windows[i]) &&
		r->windows[i].ssrc != ssrc)
		i++;
	return i;
}

static bool window_has(const struct srtp_replay_window *w, uint32_t distance)
{
	return w->seen[distance / 64] >> (distance % 64) & 1;
}

int srtp_replay_check(const struct srtp_replay *r, uint32_t ssrc, uint32_t index)
{
	uint32_t at = window_find(r, ssrc);
	const struct srtp_replay_window *w;

	if (at == SRTP_REPLAY_SSRC_MAX)
		return -ENOBUFS;
	w = &r->windows[at];
	if (window_is_free(w) || index > w->highest)
		return 0;
	if (w->highest - index >= SRTP_REPLAY_WINDOW || window_has(w, w->highest - index))
		return -ESTALE;
	return 0;
}

static void window_slide(struct srtp_replay_window *w, uint32_t by)
{
	if (by >= SRTP_REPLAY_WINDOW) {
		w->seen[0] = 0;
		w->seen[1] = 0;
	} else if (by >= 64) {
		w->seen[1] = w->seen[0] << (by - 64);
		w->seen[0] = 0;
	} else if (by > 0) {
		w->seen[1] = w->seen[1] << by | w->seen[0] >> (64 - by);
		w->seen[0] <<= by;
	}
}

void srtp_replay_commit(struct srtp_replay *r, uint32_t ssrc, uint32_t index)
{
	uint32_t at = window_find(r, ssrc);
	struct srtp_replay_window *w;
	uint32_t distance;

	assert(at < SRTP_REPLAY_SSRC_MAX);
	w = &r->windows[at];
	if (window_is_free(w))
		*w = (struct srtp_replay_window){ .ssrc = ssrc, .highest = index };
	if (index > w->highest) {
		window_slide(w, index - w->highest);
		w->highest = index;
	}
	distance = w->highest - index;
	assert(distance < SRTP_REPLAY_WINDOW);
	w->seen[distance / 64] |= UINT64_C(1) << (distance % 64);
}

void srtp_replay_resume(struct srtp_replay *r, const struct srtp_rtcp_mark *marks, uint32_t n_marks)
{
	*r = (struct srtp_replay){ 0 };
	for (uint32_t i = 0; i < n_marks && i < SRTP_REPLAY_SSRC_MAX; i++)
		r->windows[i] = (struct srtp_replay_window){ .ssrc = marks[i].ssrc,
			.highest = marks[i].highest,
			.seen = { UINT64_MAX, UINT64_MAX } };
}

uint32_t srtp_replay_marks(
	const struct srtp_replay *r, struct srtp_rtcp_mark out[SRTP_RTCP_SOURCES_MAX])
{
	uint32_t n = 0;

	for (; n < SRTP_REPLAY_SSRC_MAX && !window_is_free(&r->windows[n]); n++)
		out[n] = (struct srtp_rtcp_mark){ r->windows[n].ssrc, r->windows[n].highest };
	return n;
}
