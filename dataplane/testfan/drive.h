// The part of control: fills the slots of streams and viewers, and commands the workers over the
// rings, by dataplane/abi alone. Main thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "dataplane/abi/region.h"
#include "dataplane/testfan/settings.h"

enum {
	DRIVE_VIDEO_PT = 102, // towards the viewers
	DRIVE_RTX_PT = 103,
	DRIVE_AUDIO_PT = 109,
	DRIVE_MID_ID = 4,
	// What the viewers' RTP headers take: the fixed part and a MID of one character.
	DRIVE_RTP_HDR_BYTES = 12 + 4 + 4,
};

struct drive {
	struct region *region;
	const struct settings *settings;
	uint8_t mac[6]; // ours
	uint16_t media_port;
	// Random: viewer i has this + 2 i for video, the next for sound; and behind all of these
	// one for what is sent again.
	uint32_t ssrc_base;
	uint64_t seq;
	uint32_t under_way[REGION_MAX_WORKERS];
	int status; // first that was not 0
	uint64_t punted;
};

// A sealed RTP packet, by what of it is in clear.
struct sent {
	uint32_t viewer;
	enum leg_kind leg;
	bool rtx; // sent again (RFC 4588); seq is that of the retransmissions
	uint16_t seq;
	uint16_t l3_off;
	uint16_t rtp_off;
};

void drive_init(struct drive *, struct region *, const struct settings *, const uint8_t mac[6],
	uint16_t media_port);

// Make streams and viewers; returns once every worker has them.
// Return: 0; -errno of the first command that was refused, -ETIMEDOUT; logged.
int drive_populate(struct drive *);

// Wait until each worker has done and sent what came before.
// Return: 0; -errno, logged.
int drive_flush(struct drive *);

// Read events and punted packets, so that no ring fills.
void drive_poll(struct drive *);

// Which viewer's packet it is. Any thread.
// Return: false: not media of ours, RTCP for one.
static inline bool drive_identify(const struct drive *d, const struct rte_mbuf *m, struct sent *out)
{
	const uint8_t *at = rte_pktmbuf_mtod(m, const uint8_t *);
	uint16_t l3 = 14, rtp;
	uint32_t ssrc, n = (uint32_t)d->settings->peers;
	uint8_t payload_type;

	if (at[12] == 0x81 && at[13] == 0)
		l3 += 4;
	rtp = (uint16_t)(l3 + (at[l3] >> 4 == 6 ? 40 : 20) + 8);
	if (m->data_len < rtp + 12)
		return false;
	payload_type = at[rtp + 1] & 0x7f;
	if (payload_type != DRIVE_VIDEO_PT && payload_type != DRIVE_AUDIO_PT &&
		payload_type != DRIVE_RTX_PT)
		return false;
	memcpy(&ssrc, at + rtp + 8, 4);
	ssrc = ntohl(ssrc) - d->ssrc_base;
	if (ssrc >= 3 * n)
		return false;
	*out = (struct sent){ .viewer = ssrc < 2 * n ? ssrc / 2 : ssrc - 2 * n,
		.leg = ssrc < 2 * n ? ssrc & 1 : LEG_VIDEO,
		.rtx = ssrc >= 2 * n,
		.seq = (uint16_t)(at[rtp + 2] << 8 | at[rtp + 3]),
		.l3_off = l3,
		.rtp_off = rtp };
	return true;
}
