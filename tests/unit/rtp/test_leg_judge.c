// What a leg refuses and why, and what it learns from what it takes.
// Source: RFC 3550 5.1, 6.4.1; RFC 6716 3.1; checklist F8.
#include "tests/unit/rtp/leg_rig.h"

#include <string.h>

#define REFUSED(reason) (-((int)DROP_##reason + 1))

struct allowed {
	const char *ip;
	uint8_t prefix_bits;
	const char *from;
	bool passes;
};

static const struct allowed allowed[] = {
	{ "198.18.77.2", 32, "198.18.77.2", true }, { "198.18.77.2", 32, "198.18.77.3", false },
	{ "198.18.77.2", 31, "198.18.77.3", true }, { "198.18.77.2", 31, "198.18.77.4", false },
	{ "198.18.64.0", 18, "198.18.127.255", true }, { "198.18.64.0", 18, "198.18.128.0", false },
	{ "128.0.0.0", 1, "255.1.2.3", true }, { "128.0.0.0", 1, "127.1.2.3", false },
	{ "198.18.77.0", 24, "198.18.77.200", true }, { "0.0.0.0", 0, "203.0.113.9", true },
	{ "0.0.0.0", 0, "fd77::2", false }, { "fd77::", 64, "fd77::2", true },
	{ "fd77::", 64, "fd77:0:0:1::2", false }, { "fd77::2", 128, "fd77::2", true },
	{ "fd77::2", 128, "fd77::3", false }, { "fd77::2", 127, "fd77::3", true },
	{ "::", 0, "fd77::2", true }, { "::", 0, "198.18.77.2", false },
	{ "198.18.77.2", 200, "198.18.77.2", false }, // a slot that lies
};

static void sources_by_prefix(void **state)
{
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
		const struct allowed *a = &allowed[i];
		struct leg_rig r;
		int rc;

		leg_rig_init(&r, LEG_VIDEO);
		r.leg.conf.n_sources = 2;
		r.leg.conf.sources[0].addr = rig_addr("192.0.2.1", 0);
		r.leg.conf.sources[0].prefix_bits = 32;
		r.leg.conf.sources[1].addr = rig_addr(a->ip, 0);
		r.leg.conf.sources[1].prefix_bits = a->prefix_bits;
		r.from = rig_addr(a->from, 4000);
		rc = leg_rig_give(&r, 1, 1);
		if (rc != (a->passes ? 0 : REFUSED(INGEST_SOURCE)))
			fail_msg("%s of %s/%u: %d", a->from, a->ip, a->prefix_bits, rc);
		rc = leg_accept_rtcp(
			&r.leg, &r.clock, &r.from, (const uint8_t *)"\x80\xcb\0", 4, r.now_ns);
		assert_int_equal(rc, a->passes ? 0 : REFUSED(INGEST_SOURCE));
	}
}

// first, second: of the header; bytes: cut there.
static void refusals_are_counted_by_reason(void **state)
{
	static const struct {
		uint8_t first, second;
		uint16_t payload_bytes, cut;
		enum drop_reason reason;
	} bad[] = {
		{ 0x80, 96, 100, 0, DROP_INGEST_SHORT },
		{ 0x80, 96, 100, 11, DROP_INGEST_SHORT },
		{ 0x80, 96, 100, 12, DROP_INGEST_SHORT },
		{ 0x40, 96, 100, 112, DROP_INGEST_NOT_RTP },
		{ 0x8f, 96, 40, 52, DROP_INGEST_NOT_RTP },
		{ 0x80, 97, 100, 112, DROP_INGEST_PAYLOAD_TYPE },
		{ 0x80, 0x80 | 97, 100, 112, DROP_INGEST_PAYLOAD_TYPE },
		{ 0x80, 96, RIG_MAX_BYTES + 1, RIG_MAX_BYTES + 13, DROP_INGEST_LONG },
	};
	static const uint8_t zero[RIG_PKT_BYTES];
	struct leg_rig r;

	leg_rig_init(&r, LEG_VIDEO);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct leg_packet untouched = r.out;
		uint64_t before = r.state.drops[bad[i].reason];
		uint8_t pkt[RIG_PKT_BYTES];

		r.from.port_be = htons((uint16_t)(1000 + i));
		leg_rig_write(&r, 1, 1, zero, bad[i].payload_bytes, pkt);
		pkt[0] = bad[i].first;
		pkt[1] = bad[i].second;
		assert_int_equal(leg_accept(&r.leg, &r.clock, &r.from, pkt, bad[i].cut,
					 RIG_MAX_BYTES, r.now_ns, &r.out, &r.changes),
			-((int)bad[i].reason + 1));
		assert_int_equal(r.state.drops[bad[i].reason], before + 1);
		assert_true(net_addr_equal(&r.state.last_refused, &r.from));
		assert_memory_equal(&r.out, &untouched, sizeof(untouched));
		assert_int_equal(r.changes, 0);
	}
	assert_int_equal(r.state.packets, 0);
	assert_false(r.state.up || r.norm.has_source);
	assert_int_equal(leg_rig_give_payload(&r, 1, 1, zero, RIG_MAX_BYTES), 0);
}

static void key_frames_count_once(void **state)
{
	static const uint8_t sps[] = { 0x67, 0x42, 0xc0, 0x1f, 1 }, pps[] = { 0x68, 1 };
	static const uint8_t head[] = { 0x7c, 0x85, 1 }, tail[] = { 0x7c, 0x45, 1 };
	static const uint8_t other[] = { 0x67, 0x64, 0x00, 0x28, 1 };
	struct leg_rig r;

	leg_rig_init(&r, LEG_VIDEO);
	assert_int_equal(leg_rig_give_payload(&r, 1, 10, sps, sizeof(sps)), 0);
	assert_true(r.out.params && r.out.begins && !r.out.key);
	assert_true(r.changes & LEG_CHANGE_PARAMS);
	assert_memory_equal(r.state.profile_level_id, "\x42\xc0\x1f", 3);
	assert_int_equal(leg_rig_give_payload(&r, 2, 10, pps, sizeof(pps)), 0);
	assert_true(r.out.params && !r.out.begins);
	assert_int_equal(leg_rig_give_payload(&r, 3, 10, head, sizeof(head)), 0);
	assert_true(r.out.key && !r.out.params);
	assert_int_equal(leg_rig_give_payload(&r, 4, 10, tail, sizeof(tail)), 0);
	assert_false(r.out.key);
	assert_int_equal(leg_rig_give_payload(&r, 5, 10, head, sizeof(head)), 0); // second slice
	assert_int_equal(r.state.key_frames, 1);
	assert_int_equal(r.state.frames, 1);
	assert_int_equal(r.state.last_key_ns, r.now_ns);
	assert_int_equal(leg_rig_give_payload(&r, 6, 20, sps, sizeof(sps)), 0);
	assert_int_equal(r.changes, 0);
	assert_int_equal(leg_rig_give_payload(&r, 7, 20, head, sizeof(head)), 0);
	assert_int_equal(r.state.key_frames, 2);
	assert_int_equal(leg_rig_give_payload(&r, 8, 30, other, sizeof(other)), 0);
	assert_int_equal(r.changes, LEG_CHANGE_PARAMS);
	assert_memory_equal(r.state.profile_level_id, "\x64\x00\x28", 3);
}

static void key_frame_interval_is_of_one_source(void **state)
{
	static const uint8_t head[] = { 0x7c, 0x85, 1 };
	struct leg_rig r;

	leg_rig_init(&r, LEG_VIDEO);
	assert_int_equal(leg_rig_give_payload(&r, 1, 1000, head, sizeof(head)), 0);
	assert_int_equal(r.state.key_interval_ms, 0);
	assert_int_equal(leg_rig_give(&r, 2, 1000 + 90000), 0);
	assert_int_equal(leg_rig_give_payload(&r, 3, 1000 + 180000, head, sizeof(head)), 0);
	assert_int_equal(leg_rig_give_payload(&r, 4, 1000 + 180000, head, sizeof(head)), 0);
	assert_int_equal(r.state.key_interval_ms, 2000);
	// A pause and another encoder: the time between them is no interval.
	r.now_ns += 60000 * MS_NS;
	r.ssrc++;
	assert_int_equal(leg_rig_give_payload(&r, 900, 7, head, sizeof(head)), 0);
	assert_int_equal(r.state.key_interval_ms, 2000);
	assert_int_equal(leg_rig_give_payload(&r, 901, 7 + 45000, head, sizeof(head)), 0);
	assert_int_equal(r.state.key_interval_ms, 500);
}

// RFC 6716 3.1: the third lowest bit of the TOC byte says stereo.
static void stereo_is_noticed_once(void **state)
{
	static const uint8_t mono[] = { 0x78, 1 }, stereo[] = { 0x7c, 1 };
	struct leg_rig r;

	leg_rig_init(&r, LEG_AUDIO);
	assert_int_equal(leg_rig_give_payload(&r, 1, 960, mono, 2), 0);
	assert_int_equal(r.state.stereo, 0);
	assert_int_equal(leg_rig_give_payload(&r, 2, 1920, stereo, 2), 0);
	assert_int_equal(r.changes, LEG_CHANGE_PARAMS);
	assert_int_equal(leg_rig_give_payload(&r, 3, 2880, mono, 2), 0);
	assert_int_equal(leg_rig_give_payload(&r, 4, 3840, stereo, 2), 0);
	assert_int_equal(r.changes, 0);
	assert_int_equal(r.state.stereo, 1);
	assert_int_equal(r.state.key_frames, 0);
}

static void marker_passes(void **state)
{
	static const uint8_t slice[] = { 0x41, 1 };
	uint8_t pkt[RIG_PKT_BYTES];
	struct leg_rig r;
	uint16_t bytes;

	leg_rig_init(&r, LEG_VIDEO);
	bytes = leg_rig_write(&r, 1, 1, slice, sizeof(slice), pkt);
	pkt[1] |= 0x80;
	assert_int_equal(leg_accept(&r.leg, &r.clock, &r.from, pkt, bytes, 100, r.now_ns, &r.out,
				 &r.changes),
		0);
	assert_true(r.out.marker);
	assert_int_equal(leg_rig_give(&r, 2, 2), 0);
	assert_false(r.out.marker);
}

static void silence_is_told_once(void **state)
{
	struct leg_rig r;

	leg_rig_init(&r, LEG_AUDIO);
	assert_false(leg_check_silence(&r.leg, r.now_ns + 100000 * MS_NS));
	assert_int_equal(leg_rig_give(&r, 1, 1), 0);
	assert_true(r.state.up);
	assert_false(leg_check_silence(&r.leg, r.now_ns + (LEG_DOWN_MS - 1) * MS_NS));
	assert_true(leg_check_silence(&r.leg, r.now_ns + LEG_DOWN_MS * MS_NS));
	assert_false(r.state.up);
	assert_false(leg_check_silence(&r.leg, r.now_ns + LEG_DOWN_MS * MS_NS));
	r.now_ns += 3000 * MS_NS;
	assert_int_equal(leg_rig_give(&r, 2, 2), 0);
	assert_int_equal(r.changes, LEG_CHANGE_UP);
}

static int give_sr(struct leg_rig *r, uint32_t ssrc, uint64_t ntp, uint32_t ts)
{
	uint8_t sr[28] = { 0x80, 200, 0, 6 };
	const uint32_t words[] = { htonl(ssrc), htonl((uint32_t)(ntp >> 32)), htonl((uint32_t)ntp),
		htonl(ts) };

	memcpy(sr + 4, words, sizeof(words));
	return leg_accept_rtcp(&r->leg, &r->clock, &r->from, sr, sizeof(sr), r->now_ns);
}

// 6.4.1: a report counts only when it is the source's own and knows the time.
static void sender_reports_of_the_source_alone(void **state)
{
	const uint64_t ntp = 0xe5000000ULL << 32;
	struct leg_rig r;

	leg_rig_init(&r, LEG_VIDEO);
	assert_int_equal(leg_rig_give(&r, 1, 1000), 0);
	r.norm.ts_shift = 77;
	assert_int_equal(give_sr(&r, RIG_SSRC + 1, ntp, 5), 0);
	assert_int_equal(give_sr(&r, RIG_SSRC, 0, 5), 0);
	assert_int_equal(r.state.source_reports, 0);
	assert_false(r.clock.legs[LEG_VIDEO].has_report);
	assert_int_equal(give_sr(&r, RIG_SSRC, ntp, 5), 0);
	assert_int_equal(r.state.source_reports, 1);
	assert_int_equal(r.clock.legs[LEG_VIDEO].report_ts, 82); // of the output
}

// A report may overtake the first packet: it waits for its source, but not for ever.
static void report_before_the_first_packet(void **state)
{
	static const struct {
		uint32_t ssrc;
		uint64_t waited_ms;
		bool counts;
	} rows[] = {
		{ RIG_SSRC, 0, true },
		{ RIG_SSRC, LEG_EARLY_REPORT_MS, true },
		{ RIG_SSRC, LEG_EARLY_REPORT_MS + 1, false },
		{ RIG_SSRC + 1, 0, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct leg_rig r;
		uint64_t sent_ns;

		leg_rig_init(&r, LEG_VIDEO);
		assert_int_equal(give_sr(&r, rows[i].ssrc, 0xe5000000ULL << 32, 900), 0);
		assert_int_equal(r.state.source_reports, 0);
		sent_ns = r.now_ns;
		r.now_ns += rows[i].waited_ms * MS_NS;
		assert_int_equal(leg_rig_give(&r, 1, 1000), 0);
		assert_int_equal(r.state.source_reports, rows[i].counts);
		assert_int_equal(r.clock.legs[LEG_VIDEO].has_report, rows[i].counts);
		if (rows[i].counts) {
			assert_int_equal(r.clock.legs[LEG_VIDEO].report_ts, 900);
			assert_int_equal(r.clock.legs[LEG_VIDEO].report_rx_ns, sent_ns);
		}
		// Once is enough: another start of the same source needs another report.
		leg_rig_give(&r, 30000, 5);
		assert_int_equal(leg_rig_give_key(&r, 30001, 6), 0);
		assert_int_equal(r.state.source_reports, rows[i].counts);
	}
}

static void bad_rtcp_is_counted(void **state)
{
	static const uint8_t bad[] = { 0x80, 200, 0, 7, 0, 0, 0, 0 };
	struct leg_rig r;

	leg_rig_init(&r, LEG_VIDEO);
	assert_int_equal(leg_accept_rtcp(&r.leg, &r.clock, &r.from, bad, sizeof(bad), r.now_ns),
		REFUSED(INGEST_RTCP_BAD));
	assert_int_equal(r.state.drops[DROP_INGEST_RTCP_BAD], 1);
	assert_true(net_addr_equal(&r.state.last_refused, &r.from));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sources_by_prefix),
		cmocka_unit_test(refusals_are_counted_by_reason),
		cmocka_unit_test(key_frames_count_once),
		cmocka_unit_test(key_frame_interval_is_of_one_source),
		cmocka_unit_test(stereo_is_noticed_once),
		cmocka_unit_test(marker_passes),
		cmocka_unit_test(silence_is_told_once),
		cmocka_unit_test(sender_reports_of_the_source_alone),
		cmocka_unit_test(report_before_the_first_packet),
		cmocka_unit_test(bad_rtcp_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
