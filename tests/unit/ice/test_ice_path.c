// The ICE-lite agent: where its checks send media, and where they do not.
// Checklist: C12, C14 to C20.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "tests/unit/ice/ice_kit.h"

static bool media_goes_to(const struct ice_agent *agent, const struct net_path *path)
{
	const struct net_path *selected = ice_agent_selected(agent);

	return selected && memcmp(selected, path, sizeof(*path)) == 0;
}

// C14, C18
static void test_nomination_starts_media(void **state)
{
	struct net_path a = path_from(2, 5000), b = path_from(3, 5000);
	struct ice_agent agent;
	struct taken t;

	agent_make(&agent);
	assert_null(ice_agent_selected(&agent));
	t = take(&agent, (struct recipe){ 0 }, &a, 10);
	assert_true(t.success && t.out.authenticated && !t.out.selected_changed);
	assert_null(ice_agent_selected(&agent));
	assert_true(ice_agent_knows(&agent, &a.remote)); // C15
	assert_false(ice_agent_knows(&agent, &b.remote));
	t = take(&agent, (struct recipe){ .use_candidate = true }, &a, 20);
	assert_true(t.success && t.out.selected_changed);
	assert_true(media_goes_to(&agent, &a));
	t = take(&agent, (struct recipe){ .priority = HIGH + 1 }, &b, 30);
	assert_true(t.success && t.out.authenticated && !t.out.selected_changed);
	assert_true(ice_agent_knows(&agent, &b.remote));
	assert_true(media_goes_to(&agent, &a));
	assert_int_equal(agent.n_validated, 2);
}

// Checks on the selected pair keep it fresh, and follow its next hop.
static void test_next_hop_changes(void **state)
{
	struct net_path a = path_from(2, 5000), moved = a;
	struct ice_agent agent;

	agent_make(&agent);
	take(&agent, (struct recipe){ .use_candidate = true }, &a, 10);
	assert_false(take(&agent, (struct recipe){ 0 }, &a, 2500).out.selected_changed);
	assert_int_equal(agent.validated[0].last_check_ms, 2500);
	moved.remote_mac[5] = 99;
	moved.vlan_tci = 7;
	moved.has_vlan = 1;
	assert_true(take(&agent, (struct recipe){ 0 }, &moved, 5000).out.selected_changed);
	assert_true(media_goes_to(&agent, &moved));
	assert_int_equal(agent.n_validated, 1);
}

// C12: a peer that checks two of our addresses gets media from the one it nominated.
static void test_two_local_addresses(void **state)
{
	struct net_path a = path_from(2, 5000), other = a;
	struct ice_agent agent;

	agent_make(&agent);
	other.local.ip[3] = 9;
	take(&agent, (struct recipe){ .use_candidate = true }, &a, 10);
	assert_false(take(&agent, (struct recipe){ 0 }, &other, 20).out.selected_changed);
	assert_true(media_goes_to(&agent, &a));
	assert_int_equal(agent.n_validated, 2);
}

// C16
static void test_priorities(void **state)
{
	static const struct {
		const char *what;
		uint32_t first, second;
		uint64_t gap_ms;
		bool moves;
	} rows[] = {
		{ "higher wins", LOW, HIGH, 1, true },
		{ "tie goes to the newest", HIGH, HIGH, 1, true },
		{ "lower loses", HIGH, LOW, 1, false },
		{ "lower loses up to 6 s", HIGH, LOW, 5999, false },
		{ "lower wins after 6 s", HIGH, LOW, 6000, true },
		{ "the top bit is not a sign", 0x7fffffff, 0xffffffff, 1, true },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct net_path a = path_from(2, 5000), b = path_from(3, 5000);
		struct recipe r = { .use_candidate = true, .priority = rows[i].first };
		struct ice_agent agent;
		struct taken t;

		agent_make(&agent);
		take(&agent, r, &a, 1000);
		r.priority = rows[i].second;
		t = take(&agent, r, &b, 1000 + rows[i].gap_ms);
		assert_true(t.success);
		if (t.out.selected_changed != rows[i].moves)
			fail_msg("%s: it does not", rows[i].what);
		assert_true(media_goes_to(&agent, rows[i].moves ? &b : &a));
	}
}

// C16: two sources that both keep nominating; media moves at most once.
static void test_no_flapping(void **state)
{
	static const uint32_t second[] = { LOW, HIGH, HIGH + 1 };

	for (size_t i = 0; i < 3; i++) {
		struct net_path a = path_from(2, 5000), b = path_from(3, 5000);
		struct recipe of_a = { .use_candidate = true, .priority = HIGH };
		struct recipe of_b = { .use_candidate = true, .priority = second[i] };
		struct ice_agent agent;
		int n_changes = 0;

		agent_make(&agent);
		for (uint64_t now_ms = 0; now_ms < 60000; now_ms += 1000) {
			n_changes += take(&agent, of_a, &a, now_ms).out.selected_changed;
			n_changes += take(&agent, of_b, &b, now_ms + 500).out.selected_changed;
		}
		assert_int_equal(n_changes, second[i] == LOW ? 1 : 2);
		assert_true(media_goes_to(&agent, second[i] == LOW ? &a : &b));
		// The loser takes over once the winner is silent, and not before.
		if (second[i] == LOW)
			continue;
		assert_false(take(&agent, of_a, &a, 65499).out.selected_changed);
		assert_true(take(&agent, of_a, &a, 65500).out.selected_changed);
		assert_true(media_goes_to(&agent, &a));
	}
}

// C17: the NAT gives the viewer another port.
static void test_nat_rebinding(void **state)
{
	struct net_path a = path_from(2, 5000), b = path_from(2, 6000);
	struct recipe r = { .use_candidate = true };
	struct ice_agent agent;

	agent_make(&agent);
	take(&agent, r, &a, 1000);
	assert_true(take(&agent, r, &b, 3500).out.selected_changed);
	assert_true(media_goes_to(&agent, &b));
	assert_true(ice_agent_knows(&agent, &a.remote));
}

// C17: a captured check, sent again from elsewhere, at any time while it is remembered.
static void test_replay(void **state)
{
	struct net_path a = path_from(2, 5000), thief = path_from(66, 5000);
	struct recipe r = { .use_candidate = true, .priority = HIGH };
	uint8_t pkt[BUF_BYTES];
	uint16_t pkt_bytes = cook(&r, pkt);
	struct ice_agent agent;
	struct taken t;

	agent_make(&agent);
	assert_true(take_bytes(&agent, pkt, pkt_bytes, &a, 1000).out.selected_changed);
	for (uint32_t i = 1; i < ICE_RECENT_TXIDS; i++) {
		take(&agent, r, &a, 1000 + i);
		t = take_bytes(&agent, pkt, pkt_bytes, &thief, 10000 + 10000 * i);
		assert_true(t.out.refused && !t.out.authenticated && !t.out.selected_changed);
		assert_string_equal(t.out.reason, "replay");
		assert_int_equal(t.out.reply_bytes, 0);
	}
	assert_true(media_goes_to(&agent, &a));
	assert_false(ice_agent_knows(&agent, &thief.remote));
}

// The same packet again from the same source: the same answer, and nothing new.
static void test_retransmission(void **state)
{
	struct net_path a = path_from(2, 5000), moved = a;
	struct recipe r = { .use_candidate = true };
	uint8_t pkt[BUF_BYTES];
	uint16_t pkt_bytes = cook(&r, pkt);
	struct ice_agent agent, before;
	struct taken first, again;

	agent_make(&agent);
	moved.remote_mac[0] = 0xaa;
	first = take_bytes(&agent, pkt, pkt_bytes, &a, 1000);
	before = agent;
	again = take_bytes(&agent, pkt, pkt_bytes, &moved, 1500);
	assert_true(again.success && !again.out.refused);
	assert_false(again.out.selected_changed || again.out.authenticated);
	assert_int_equal(again.out.reply_bytes, first.out.reply_bytes);
	assert_memory_equal(again.reply, first.reply, first.out.reply_bytes);
	assert_memory_equal(&agent, &before, sizeof(agent));
}

// C19
static void test_ninth_address(void **state)
{
	struct recipe r = { .use_candidate = true };
	struct net_path ninth = path_from(99, 5000);
	struct ice_agent agent;
	struct net_path path;
	struct taken t;

	agent_make(&agent);
	for (uint8_t i = 0; i < ICE_MAX_VALIDATED; i++) {
		path = path_from((uint8_t)(2 + i), 5000);
		assert_true(take(&agent, r, &path, 100).success);
		r.use_candidate = false;
	}
	for (int i = 0; i < 100; i++) {
		ninth.remote.ip[3] = (uint8_t)(100 + i);
		t = take(&agent, (struct recipe){ .use_candidate = true }, &ninth, 200);
		assert_true(t.out.refused && t.out.reply_bytes == 0 && !t.out.authenticated);
		assert_string_equal(t.out.reason, "addresses");
		assert_false(ice_agent_knows(&agent, &ninth.remote));
	}
	assert_true(take(&agent, r, &path, 300).success);
	assert_int_equal(agent.n_validated, ICE_MAX_VALIDATED);
}

// A viewer whose NAT rebinds for hours: stale addresses give way, the selected one never.
static void test_stale_address(void **state)
{
	struct net_path first = path_from(2, 5000), newer = path_from(3, 5000), path;
	struct ice_agent agent;

	agent_make(&agent);
	take(&agent, (struct recipe){ .use_candidate = true }, &first, 0);
	for (uint8_t i = 1; i < ICE_MAX_VALIDATED; i++) {
		path = path_from((uint8_t)(10 + i), 5000);
		take(&agent, (struct recipe){ .use_candidate = true, .priority = LOW }, &path, i);
	}
	assert_false(take(&agent, (struct recipe){ 0 }, &newer, ICE_STALE_MS).success);
	assert_true(take(&agent, (struct recipe){ 0 }, &newer, ICE_STALE_MS + 1).success);
	path = path_from(11, 5000);
	assert_false(ice_agent_knows(&agent, &path.remote));
	path = path_from(12, 5000);
	assert_true(ice_agent_knows(&agent, &path.remote));
	assert_true(media_goes_to(&agent, &first));
	// The slot's old nomination is not inherited: this is the newcomer's first, and wins the
	// tie.
	assert_true(take(&agent, (struct recipe){ .use_candidate = true }, &first, 31000).success);
	assert_true(take(&agent, (struct recipe){ .use_candidate = true }, &newer, 31001)
			    .out.selected_changed);
}

static const struct recipe with_new = {
	.username = NEW_UFRAG ":h6vY", .pwd = NEW_PWD, .use_candidate = true, .priority = LOW
};

static void restart_make(struct ice_agent *agent)
{
	assert_int_equal(ice_agent_restart(agent, &remote_peer), 0);
	assert_string_not_equal(agent->local.ufrag, LOCAL_UFRAG);
	assert_string_not_equal(agent->local.pwd, LOCAL_PWD);
	agent->local = (struct ice_credentials){ NEW_UFRAG, NEW_PWD };
}

// C20, step by step.
static void test_restart(void **state)
{
	struct net_path a = path_from(2, 5000), b = path_from(3, 5000);
	struct recipe with_old = { .use_candidate = true };
	struct recipe mixed = { .username = NEW_UFRAG ":h6vY", .pwd = LOCAL_PWD };
	struct recipe unfit = with_new, plain = with_new;
	struct ice_agent agent;
	struct taken t;

	agent_make(&agent);
	take(&agent, with_old, &a, 1000);
	restart_make(&agent);
	assert_true(media_goes_to(&agent, &a));
	// The old ones go on, and their replies are signed with the old password.
	t = take(&agent, with_old, &a, 1100);
	assert_true(t.success && t.signed_local && !t.signed_new && t.out.authenticated);
	// A user name goes with its own password only.
	assert_int_equal(take(&agent, mixed, &a, 1200).code, 401);
	// A check with the new ones that is no good does not end the old ones.
	unfit.no_priority = true;
	t = take(&agent, unfit, &b, 1250);
	assert_true(t.code == 400 && t.signed_new);
	assert_true(take(&agent, with_old, &a, 1300).success);
	// The first good one does; media stays until a nomination.
	plain.use_candidate = false;
	t = take(&agent, plain, &b, 1400);
	assert_true(t.success && t.signed_new && !t.signed_local && !t.out.selected_changed);
	assert_true(media_goes_to(&agent, &a));
	t = take(&agent, with_old, &a, 1500);
	assert_true(t.code == 401 && !t.is_signed);
	assert_string_equal(t.out.reason, "ufrag");
	// And that one wins at once, though its priority is lower and the old pair not silent.
	assert_true(take(&agent, with_new, &b, 1600).out.selected_changed);
	assert_true(media_goes_to(&agent, &b));
}

// The common restart: the same pair is nominated again, nothing moves.
static void test_restart_same_pair(void **state)
{
	struct net_path a = path_from(2, 5000), b = path_from(3, 5000);
	struct recipe weaker = with_new;
	struct ice_agent agent;
	struct taken t;

	agent_make(&agent);
	take(&agent, (struct recipe){ .use_candidate = true }, &a, 1000);
	restart_make(&agent);
	t = take(&agent, with_new, &a, 1100);
	assert_true(t.success && !t.out.selected_changed);
	// Renominated, it is defended by its priority again.
	weaker.priority = LOW - 1;
	assert_false(take(&agent, weaker, &b, 1200).out.selected_changed);
	assert_true(media_goes_to(&agent, &a));
}

// A second restart before the first took effect: the credentials in use stay good.
static void test_restart_twice(void **state)
{
	struct net_path a = path_from(2, 5000);
	struct ice_agent agent;

	agent_make(&agent);
	take(&agent, (struct recipe){ .use_candidate = true }, &a, 1000);
	assert_int_equal(ice_agent_restart(&agent, &remote_peer), 0);
	restart_make(&agent);
	assert_true(take(&agent, (struct recipe){ 0 }, &a, 1100).success);
	assert_true(take(&agent, with_new, &a, 1200).success);
	assert_int_equal(take(&agent, (struct recipe){ 0 }, &a, 1300).code, 401);
	// Nothing of the old password is left behind.
	assert_int_equal(agent.previous.pwd[0], '\0');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nomination_starts_media),
		cmocka_unit_test(test_next_hop_changes),
		cmocka_unit_test(test_two_local_addresses),
		cmocka_unit_test(test_priorities),
		cmocka_unit_test(test_no_flapping),
		cmocka_unit_test(test_nat_rebinding),
		cmocka_unit_test(test_replay),
		cmocka_unit_test(test_retransmission),
		cmocka_unit_test(test_ninth_address),
		cmocka_unit_test(test_stale_address),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_restart_same_pair),
		cmocka_unit_test(test_restart_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
