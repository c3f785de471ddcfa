// Opened RTCP compound packets: reading those of the edge, writing receiver reports.
// Source: RFC 3550 6.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rtcp_sender {
	uint32_t ssrc;
	uint64_t ntp;
	uint32_t rtp, packets, octets;
};

struct rtcp_events {
	void (*sender)(void *arg, const struct rtcp_sender *, uint64_t now_us);
	void (*bye)(void *arg, uint32_t ssrc);
	void *arg;
};

struct rtcp_block {
	uint32_t ssrc;
	int32_t lost;
	uint32_t highest_seq;
	uint64_t sr_ntp; // 0: none came
	uint64_t sr_age_us;
};

// Return: false: lengths or versions do not add up, it does not begin with a report, or it holds a
//         sender report and no CNAME.
bool rtcp_walk(const uint8_t *pkt, size_t bytes, uint64_t now_us, const struct rtcp_events *);

// A receiver report and a CNAME.
// Return: length, at most 8 + 24 n + 16.
size_t rtcp_write_report(uint32_t ssrc, const struct rtcp_block *, unsigned int n, uint8_t *out);
