// A compound RTCP packet as it stands behind the seal, or comes bare from an encoder.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/rtcp/rtcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_bytes);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void nacks_must_hold(const struct rtcp_packet *p)
{
	struct rtcp_nack nack;
	unsigned int n = 0;

	while (rtcp_nack_get(p, n, &nack))
		n++;
	must(n == 0 || (p->type == RTCP_RTPFB && p->count == 1 && 8 + n * 4 == p->body_bytes));
	must(!rtcp_nack_get(p, n + 1, &nack));
}

static void packet_must_hold(const struct rtcp_packet *p, const uint8_t *data, size_t data_bytes)
{
	struct rtcp_report report;
	uint32_t ssrc, ts;
	uint64_t ntp;
	unsigned int n = 0;

	must(p->body >= data + RTCP_HEADER_BYTES);
	must(p->body + p->body_bytes <= data + data_bytes);
	must(p->count <= 31 && p->body_bytes % 4 == 0);
	for (unsigned int i = 0; i < 40; i++) {
		if (!rtcp_report_get(p, i, &report))
			continue;
		must(i == n++); // none behind one that is missing
		must(report.lost >= -(1 << 23) && report.lost < 1 << 23);
	}
	must(n <= p->count && n * 24 <= p->body_bytes);
	nacks_must_hold(p);
	if (rtcp_sender_get(p, &ssrc, &ntp, &ts))
		must(p->type == RTCP_SR && p->body_bytes >= 24);
}

// What we build of any numbers is what we would take.
static void built_must_hold(const uint8_t *data, size_t data_bytes)
{
	uint8_t out[RTCP_MAX_BYTES];
	struct rtcp_sender s = { 0 };
	struct rtcp_packet p;
	struct rtcp_walk walk;
	uint32_t ssrc, ts;
	uint64_t ntp;
	char cname[32] = { 0 };

	if (data_bytes < 20)
		return;
	memcpy(&s.ssrc, data, 4);
	memcpy(&s.ntp, data + 4, 8);
	memcpy(&s.ts, data + 12, 4);
	memcpy(cname, data + 16, data_bytes - 16 < 31 ? data_bytes - 16 : 31);
	s.cname = cname;
	must(rtcp_walk_begin(&walk, out, rtcp_build_bye(out, &s)) == 0);
	must(rtcp_walk_next(&walk, &p) && rtcp_sender_get(&p, &ssrc, &ntp, &ts));
	must(ssrc == s.ssrc && ntp == s.ntp && ts == s.ts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_bytes)
{
	struct rtcp_packet p;
	struct rtcp_walk walk;
	size_t walked = 0;

	if (data_bytes > UINT16_MAX)
		return -1;
	built_must_hold(data, data_bytes);
	if (rtcp_walk_begin(&walk, data, (uint16_t)data_bytes) < 0)
		return 0;
	while (rtcp_walk_next(&walk, &p)) {
		packet_must_hold(&p, data, data_bytes);
		walked++;
	}
	must(walked > 0 && walked <= data_bytes / 4 && walk.left == 0);
	return 0;
}
