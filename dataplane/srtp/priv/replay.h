// The replay window of incoming SRTCP, one per sender SSRC.
// Check first, authenticate, commit last: nothing here moves for a packet that proves forged.
// Source: RFC 3711 3.3.2.
#pragma once

#include <stdint.h>

#include "dataplane/abi/srtp_keys.h"

enum {
	SRTP_REPLAY_SSRC_MAX = SRTP_RTCP_SOURCES_MAX,
	SRTP_REPLAY_WINDOW = 128,
};

// Of a sender SSRC. The first that has seen nothing is free, and so are those behind it.
struct srtp_replay_window {
	uint64_t seen[2]; // bit d, counted from seen[0] bit 0: index highest - d was accepted
	uint32_t highest;
	uint32_t ssrc;
};

struct srtp_replay {
	struct srtp_replay_window windows[SRTP_REPLAY_SSRC_MAX];
};

// index:  31 bits.
// Return: 0; -ESTALE seen or behind the window, -ENOBUFS a new SSRC and no window left for it.
// State:  none moves.
int srtp_replay_check(const struct srtp_replay *, uint32_t ssrc, uint32_t index);

// Take in an index that srtp_replay_check accepted and whose packet proved authentic.
void srtp_replay_commit(struct srtp_replay *, uint32_t ssrc, uint32_t index);

// Begin with what an earlier one had taken: of each SSRC nothing up to the mark is taken any more.
void srtp_replay_resume(struct srtp_replay *, const struct srtp_rtcp_mark *, uint32_t n_marks);

// Return: how many marks were written.
uint32_t srtp_replay_marks(
	const struct srtp_replay *, struct srtp_rtcp_mark out[SRTP_RTCP_SOURCES_MAX]);
