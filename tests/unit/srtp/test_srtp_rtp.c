// Sealing RTP: the engines against each other and against what libsrtp2 takes as a receiver.
#include "tests/unit/srtp/srtp_kit.h"

#include <errno.h>
#include <string.h>

enum {
	BURST_MAX = 128,
	SSRC = 0x0badcafe,
	N_SESSIONS = 9,
};

// One packet, and its room with a canary behind the tag.
struct slot {
	uint8_t plain[KIT_PKT_BYTES]; // header and payload
	uint8_t pkt[KIT_PKT_BYTES];
	uint8_t *at; // pkt, as an op wants it
	struct srtp_text text;
	uint16_t hdr_bytes;
	uint16_t payload_bytes;
	uint64_t index;
	uint16_t tag_bytes;
};

static void slot_fill(struct slot *s, uint16_t profile, uint64_t index, uint16_t payload_bytes)
{
	s->hdr_bytes = kit_rtp_header_random(s->plain, SSRC, (uint16_t)index);
	s->payload_bytes = payload_bytes;
	s->index = index;
	s->tag_bytes = srtp_profile_sizes(profile).tag_bytes;
	kit_random_fill(s->plain + s->hdr_bytes, payload_bytes);
}

static struct srtp_seal_op slot_op(struct slot *s, struct srtp_session *session)
{
	memset(s->pkt, KIT_CANARY, sizeof(s->pkt));
	memcpy(s->pkt, s->plain, s->hdr_bytes);
	s->at = s->pkt;
	s->text = (struct srtp_text){
		.payload = s->plain + s->hdr_bytes,
		.seq = s->index,
		.payload_bytes = s->payload_bytes,
	};
	return (struct srtp_seal_op){
		.session = session,
		.texts = &s->text,
		.pkts = &s->at,
		.hdr_bytes = s->hdr_bytes,
		.n = 1,
	};
}

static uint32_t slot_plain_bytes(const struct slot *s)
{
	return (uint32_t)s->hdr_bytes + s->payload_bytes;
}

static void slot_check_canary(const struct slot *s)
{
	for (uint32_t i = 0; i < KIT_CANARY_BYTES; i++)
		assert_int_equal(s->pkt[slot_plain_bytes(s) + s->tag_bytes + i], KIT_CANARY);
}

static int seal_slot(enum srtp_engine_kind kind, struct srtp_session *session, struct slot *s)
{
	struct srtp_seal_op op = slot_op(s, session);
	int status = 1;
	unsigned int n = srtp_seal_rtp(kit_engines[kind], &op, 1, &status);

	assert_int_equal(n, status == 0);
	return status;
}

// Seal the slot with the portable engine and compare.
static void slot_check_portable(struct slot *s, struct srtp_session *portable)
{
	static struct slot other;

	other = *s;
	assert_int_equal(seal_slot(SRTP_ENGINE_LIBSRTP2, portable, &other), 0);
	assert_memory_equal(s->pkt, other.pkt, sizeof(s->pkt));
}

static void slot_check_oracle(const struct slot *s, srtp_t oracle)
{
	int bytes = (int)slot_plain_bytes(s) + s->tag_bytes;
	_Alignas(4) uint8_t pkt[KIT_PKT_BYTES];

	memcpy(pkt, s->pkt, (size_t)bytes);
	assert_int_equal(srtp_unprotect(oracle, pkt, &bytes), srtp_err_status_ok);
	assert_int_equal(bytes, slot_plain_bytes(s));
	assert_memory_equal(pkt, s->plain, (size_t)bytes);
}

static srtp_t oracle_rtp(uint16_t profile, uint8_t seed)
{
	return kit_oracle(profile, seed, (srtp_ssrc_t){ .type = ssrc_specific, .value = SSRC },
		sec_serv_conf_and_auth);
}

static void random_packets_of(uint16_t profile)
{
	static struct slot slots[BURST_MAX];
	struct srtp_session *fast = kit_session(SRTP_ENGINE_FAST, profile, 1, 2);
	struct srtp_session *portable = kit_session(SRTP_ENGINE_LIBSRTP2, profile, 1, 2);
	srtp_t oracle = oracle_rtp(profile, 1);
	uint64_t index = 100;

	for (int round = 0; round < 40; round++) {
		struct srtp_seal_op ops[BURST_MAX];
		int status[BURST_MAX];
		unsigned int n = 1 + kit_random(BURST_MAX);

		for (unsigned int i = 0; i < n; i++) {
			slot_fill(&slots[i], profile, index++,
				(uint16_t)kit_random(KIT_PAYLOAD_MAX_BYTES + 1));
			ops[i] = slot_op(&slots[i], fast);
		}
		assert_int_equal(srtp_seal_rtp(kit_engines[SRTP_ENGINE_FAST], ops, n, status), n);
		for (unsigned int i = 0; i < n; i++) {
			assert_int_equal(status[i], 0);
			slot_check_canary(&slots[i]);
			slot_check_portable(&slots[i], portable);
			slot_check_oracle(&slots[i], oracle);
		}
	}
	srtp_dealloc(oracle);
	srtp_session_destroy(portable);
	srtp_session_destroy(fast);
}

static void random_packets_agree(void **state)
{
	for (int i = 0; i < KIT_N_PROFILES; i++)
		random_packets_of(kit_profiles[i]);
}

// Every payload size: blocks of AES and SHA-1, steps of several of them, and none at all.
static void every_size_agrees(void **state)
{
	for (int i = 0; i < KIT_N_PROFILES; i++) {
		uint16_t profile = kit_profiles[i];
		struct srtp_session *fast = kit_session(SRTP_ENGINE_FAST, profile, 1, 2);
		struct srtp_session *portable = kit_session(SRTP_ENGINE_LIBSRTP2, profile, 1, 2);
		static struct slot s;

		for (uint16_t bytes = 0; bytes <= KIT_PAYLOAD_MAX_BYTES; bytes++) {
			slot_fill(&s, profile, 1u + bytes, bytes);
			assert_int_equal(seal_slot(SRTP_ENGINE_FAST, fast, &s), 0);
			slot_check_canary(&s);
			slot_check_portable(&s, portable);
		}
		srtp_session_destroy(portable);
		srtp_session_destroy(fast);
	}
}

// The ROC steps at each wrap (RFC 3711 3.3.1), as a receiver follows it.
static void wrap_of(uint16_t profile, uint32_t n_pkts)
{
	struct srtp_session *fast = kit_session(SRTP_ENGINE_FAST, profile, 3, 4);
	srtp_t oracle = oracle_rtp(profile, 3);
	static struct slot s;

	slot_fill(&s, profile, 0, 40);
	s.hdr_bytes = 12;
	s.plain[0] = 0x80;
	for (uint32_t i = 0; i < n_pkts; i++) {
		s.index = 65500u + i;
		s.plain[2] = (uint8_t)(s.index >> 8);
		s.plain[3] = (uint8_t)s.index;
		assert_int_equal(seal_slot(SRTP_ENGINE_FAST, fast, &s), 0);
		slot_check_oracle(&s, oracle);
	}
	srtp_dealloc(oracle);
	srtp_session_destroy(fast);
}

static void roc_steps_at_each_wrap(void **state)
{
	wrap_of(SRTP_PROFILE_GCM128, 200000);
	wrap_of(SRTP_PROFILE_GCM256, 70000);
	wrap_of(SRTP_PROFILE_CM80, 70000);
}

struct walk {
	const char *name;
	unsigned int n;
	uint64_t index[8];
};

#define AT(roc, seq) ((uint64_t)(roc) << 16 | (seq))

// Every one within reach of the portable engine.
static const struct walk walks[] = {
	{ "in the middle", 3, { AT(3, 100), AT(3, 101), AT(3, 99) } },
	{ "in the middle, upper half", 3, { AT(3, 60000), AT(4, 1), AT(3, 60001) } },
	{ "at a ROC's first", 3, { AT(7, 0), AT(6, 65535), AT(7, 1) } },
	{ "at the last of all", 3,
		{ AT(0xfffffffe, 65535), AT(0xffffffff, 0), AT(0xffffffff, 65535) } },
	{ "over the first wrap and back", 5,
		{ AT(0, 65534), AT(0, 65535), AT(1, 0), AT(0, 65534), AT(1, 1) } },
	{ "32767 ahead", 3, { AT(1, 5), AT(1, 32772), AT(1, 32773) } },
	{ "32768 ahead", 4, { AT(1, 5), AT(1, 32773), AT(1, 32774), AT(2, 1) } },
	{ "32768 ahead over a wrap", 5,
		{ AT(0, 40000), AT(1, 7232), AT(1, 7233), AT(1, 40001), AT(2, 7233) } },
	{ "32769 ahead", 4, { AT(1, 5), AT(1, 32774), AT(1, 32775), AT(2, 7) } },
	{ "far ahead in ROC 0", 4, { AT(0, 5), AT(0, 65535), AT(1, 0), AT(0, 65534) } },
	{ "far ahead, then wraps go on", 5,
		{ AT(0, 5), AT(9, 65000), AT(9, 65535), AT(10, 0), AT(9, 65000) } },
	{ "window's depth behind", 3, { AT(2, 100), AT(1, 32933), AT(2, 101) } },
};

static void any_index_can_be_named(void **state)
{
	for (size_t i = 0; i < sizeof(walks) / sizeof(walks[0]); i++) {
		uint16_t profile = kit_profiles[i % KIT_N_PROFILES];
		struct srtp_session *fast = kit_session(SRTP_ENGINE_FAST, profile, 5, 6);
		struct srtp_session *portable = kit_session(SRTP_ENGINE_LIBSRTP2, profile, 5, 6);
		static struct slot s;

		print_message("%s\n", walks[i].name);
		for (unsigned int at = 0; at < walks[i].n; at++) {
			slot_fill(&s, profile, walks[i].index[at], 50);
			assert_int_equal(seal_slot(SRTP_ENGINE_FAST, fast, &s), 0);
			slot_check_portable(&s, portable);
		}
		srtp_session_destroy(portable);
		srtp_session_destroy(fast);
	}
}

static void random_walk_agrees(void **state)
{
	for (int i = 0; i < KIT_N_PROFILES; i++) {
		uint16_t profile = kit_profiles[i];
		struct srtp_session *fast = kit_session(SRTP_ENGINE_FAST, profile, 5, 6);
		struct srtp_session *portable = kit_session(SRTP_ENGINE_LIBSRTP2, profile, 5, 6);
		static struct slot s;
		uint64_t highest = kit_random(1u << 20), index = highest;

		for (int step = 0; step < 2000; step++) {
			slot_fill(&s, profile, index, 30);
			assert_int_equal(seal_slot(SRTP_ENGINE_FAST, fast, &s), 0);
			slot_check_portable(&s, portable);
			highest = index > highest ? index : highest;
			index = highest + kit_random(kit_random(2) == 0 ? 3 : 140000);
			if (kit_random(2) == 0)
				index = highest - kit_random(highest < 32704 ? 1 : 32704);
		}
		srtp_session_destroy(portable);
		srtp_session_destroy(fast);
	}
}

// The first of a row of indices is sent, a wrap passes, and it is sent once more.
static void resend_is_identical_in(enum srtp_engine_kind kind, uint16_t profile)
{
	struct srtp_session *session = kit_session(kind, profile, 7, 8);
	static struct slot first, s;
	uint8_t sent[KIT_PKT_BYTES];

	slot_fill(&first, profile, AT(4, 65530), 700);
	assert_int_equal(seal_slot(kind, session, &first), 0);
	memcpy(sent, first.pkt, sizeof(sent));
	for (int i = 1; i < 20; i++) {
		slot_fill(&s, profile, first.index + (uint64_t)i, 100);
		assert_int_equal(seal_slot(kind, session, &s), 0);
	}
	assert_int_equal(seal_slot(kind, session, &first), 0);
	assert_memory_equal(first.pkt, sent, sizeof(sent));
	slot_fill(&s, profile, AT(5, 65530 & 0xff), 100);
	assert_int_equal(seal_slot(kind, session, &s), 0);
	srtp_session_destroy(session);
}

static void resend_across_a_wrap_is_identical(void **state)
{
	for (int i = 0; i < KIT_N_PROFILES; i++) {
		resend_is_identical_in(SRTP_ENGINE_FAST, kit_profiles[i]);
		resend_is_identical_in(SRTP_ENGINE_LIBSRTP2, kit_profiles[i]);
	}
}

static void portable_refuses_far_behind(void **state)
{
	struct srtp_session *fast = kit_session(SRTP_ENGINE_FAST, SRTP_PROFILE_GCM128, 5, 6);
	struct srtp_session *portable = kit_session(
		SRTP_ENGINE_LIBSRTP2, SRTP_PROFILE_GCM128, 5, 6);
	static struct slot s;

	slot_fill(&s, SRTP_PROFILE_GCM128, AT(2, 100), 50);
	assert_int_equal(seal_slot(SRTP_ENGINE_LIBSRTP2, portable, &s), 0);
	slot_fill(&s, SRTP_PROFILE_GCM128, AT(2, 100) - 32704, 50);
	assert_int_equal(seal_slot(SRTP_ENGINE_LIBSRTP2, portable, &s), -ESTALE);
	assert_int_equal(seal_slot(SRTP_ENGINE_FAST, fast, &s), 0);
	slot_fill(&s, SRTP_PROFILE_GCM128, AT(2, 101), 50);
	assert_int_equal(seal_slot(SRTP_ENGINE_FAST, fast, &s), 0);
	slot_check_portable(&s, portable);
	srtp_session_destroy(portable);
	srtp_session_destroy(fast);
}

static void portable_caps_the_ssrcs_it_sends(void **state)
{
	struct srtp_session *portable = kit_session(SRTP_ENGINE_LIBSRTP2, SRTP_PROFILE_CM80, 5, 6);
	static struct slot s;

	slot_fill(&s, SRTP_PROFILE_CM80, 1, 50);
	for (int i = 0; i < 9; i++) {
		s.plain[8] = (uint8_t)i;
		assert_int_equal(
			seal_slot(SRTP_ENGINE_LIBSRTP2, portable, &s), i < 8 ? 0 : -ENOBUFS);
	}
	srtp_session_destroy(portable);
}

static void portable_refuses_a_header_that_differs(void **state)
{
	struct srtp_session *portable = kit_session(SRTP_ENGINE_LIBSRTP2, SRTP_PROFILE_CM80, 5, 6);
	static struct slot s;

	slot_fill(&s, SRTP_PROFILE_CM80, 1, 50);
	s.hdr_bytes = 16;
	s.plain[0] = 0x80;
	assert_int_equal(seal_slot(SRTP_ENGINE_LIBSRTP2, portable, &s), -EINVAL);
	s.hdr_bytes = 12;
	s.plain[0] = 0x90;
	assert_int_equal(seal_slot(SRTP_ENGINE_LIBSRTP2, portable, &s), -EINVAL);
	s.plain[0] = 0x80;
	assert_int_equal(seal_slot(SRTP_ENGINE_LIBSRTP2, portable, &s), 0);
	srtp_session_destroy(portable);
}

struct fleet {
	uint16_t profile[N_SESSIONS];
	struct srtp_session *fast[N_SESSIONS];
	struct srtp_session *portable[N_SESSIONS];
	uint64_t next[N_SESSIONS];
};

static void fleet_init(struct fleet *f)
{
	for (int i = 0; i < N_SESSIONS; i++) {
		f->profile[i] = kit_profiles[i % KIT_N_PROFILES];
		f->fast[i] = kit_session(SRTP_ENGINE_FAST, f->profile[i], (uint8_t)(10 + i), 99);
		f->portable[i] = kit_session(
			SRTP_ENGINE_LIBSRTP2, f->profile[i], (uint8_t)(10 + i), 99);
		f->next[i] = 65400u + 10u * (unsigned int)i;
	}
}

static void fleet_fini(struct fleet *f)
{
	for (int i = 0; i < N_SESSIONS; i++) {
		srtp_session_destroy(f->fast[i]);
		srtp_session_destroy(f->portable[i]);
	}
}

// One burst of n ops over random sessions, one op in 16 of them refused for its header.
static void fleet_burst(struct fleet *f, unsigned int n)
{
	static struct slot slots[4 * BURST_MAX];
	static struct srtp_seal_op ops[4 * BURST_MAX];
	static int status[4 * BURST_MAX], who[4 * BURST_MAX];
	unsigned int n_good = 0;

	for (unsigned int i = 0; i < n; i++) {
		who[i] = (int)kit_random(N_SESSIONS);
		slot_fill(&slots[i], f->profile[who[i]], f->next[who[i]]++,
			(uint16_t)kit_random(KIT_PAYLOAD_MAX_BYTES + 1));
		ops[i] = slot_op(&slots[i], f->fast[who[i]]);
		if (kit_random(16) == 0)
			ops[i].hdr_bytes = 11;
		n_good += ops[i].hdr_bytes != 11;
		status[i] = 1;
	}
	assert_int_equal(srtp_seal_rtp(kit_engines[SRTP_ENGINE_FAST], ops, n, status), n_good);
	for (unsigned int i = 0; i < n; i++) {
		assert_int_equal(status[i], ops[i].hdr_bytes == 11 ? -EMSGSIZE : 0);
		if (status[i] < 0)
			continue;
		slot_check_canary(&slots[i]);
		slot_check_portable(&slots[i], f->portable[who[i]]);
	}
}

static void bursts_mix_sessions_and_profiles(void **state)
{
	struct fleet f;

	fleet_init(&f);
	for (unsigned int n = 0; n <= BURST_MAX; n++)
		fleet_burst(&f, n);
	fleet_burst(&f, BURST_MAX + 1);
	fleet_burst(&f, 4 * BURST_MAX);
	fleet_fini(&f);
}

// A stretch of a stream for one viewer, as one op: what as many ops of one packet make of it. Some
// are refused for their size, in the middle too; the op before and the one behind share the burst.
static void a_row_is_as_one_by_one_in(enum srtp_engine_kind kind, uint16_t profile, uint16_t n)
{
	enum { REFUSED = 5 };
	static struct slot slots[SRTP_OP_PACKETS_MAX], alone;
	struct srtp_text texts[SRTP_OP_PACKETS_MAX];
	uint8_t *pkts[SRTP_OP_PACKETS_MAX];
	struct srtp_session *row = kit_session(kind, profile, 1, 2);
	struct srtp_session *single = kit_session(kind, profile, 1, 2);
	bool refuses = kind == SRTP_ENGINE_FAST && n > REFUSED;
	int64_t shift = AT(1, 65520) - 1000; // over a wrap, for many of them
	struct srtp_seal_op ops[3];
	int status[SRTP_OP_PACKETS_MAX + 2];

	for (uint16_t i = 0; i < n; i++) {
		slot_fill(&slots[i], profile, (uint64_t)(1000 + i + shift),
			(uint16_t)kit_random(KIT_PAYLOAD_MAX_BYTES + 1));
		slots[i].plain[0] = 0x80;
		slots[i].hdr_bytes = 12;
		slot_op(&slots[i], row);
		texts[i] = slots[i].text;
		texts[i].seq = 1000u + i;
		pkts[i] = slots[i].pkt;
	}
	if (refuses)
		texts[REFUSED].payload_bytes = 65500;
	slot_fill(&alone, profile, AT(1, 65519), 10);
	ops[0] = slot_op(&alone, row);
	ops[1] = (struct srtp_seal_op){ .session = row,
		.texts = texts,
		.pkts = pkts,
		.index_shift = shift,
		.hdr_bytes = 12,
		.n = n };
	ops[2] = ops[0];
	memset(status, 1, sizeof(status));
	assert_int_equal(srtp_seal_rtp(kit_engines[kind], ops, 3, status), n + 2 - refuses);
	assert_int_equal(status[0] | status[n + 1], 0);
	for (uint16_t i = 0; i < n; i++) {
		alone = slots[i];
		assert_int_equal(status[1 + i], refuses && i == REFUSED ? -EMSGSIZE : 0);
		if (status[1 + i] < 0)
			continue;
		assert_int_equal(seal_slot(kind, single, &alone), 0);
		assert_memory_equal(slots[i].pkt, alone.pkt, sizeof(alone.pkt));
	}
	srtp_session_destroy(single);
	srtp_session_destroy(row);
}

static void a_row_is_as_one_by_one(void **state)
{
	for (int i = 0; i < KIT_N_PROFILES; i++) {
		for (uint16_t n = 1; n <= SRTP_OP_PACKETS_MAX; n++) {
			a_row_is_as_one_by_one_in(SRTP_ENGINE_FAST, kit_profiles[i], n);
			a_row_is_as_one_by_one_in(SRTP_ENGINE_LIBSRTP2, kit_profiles[i], n);
		}
	}
}

// One shared plaintext, many viewers: it must come out of the burst as it went in.
static void shared_plaintext_stays(void **state)
{
	static struct slot slots[BURST_MAX];
	struct srtp_seal_op ops[BURST_MAX];
	int status[BURST_MAX];
	uint8_t payload[1000], before[1000];
	struct fleet f;

	fleet_init(&f);
	kit_random_fill(payload, sizeof(payload));
	memcpy(before, payload, sizeof(before));
	for (int i = 0; i < BURST_MAX; i++) {
		int who = i % N_SESSIONS;

		slot_fill(&slots[i], f.profile[who], f.next[who]++, sizeof(payload));
		memcpy(slots[i].plain + slots[i].hdr_bytes, payload, sizeof(payload));
		ops[i] = slot_op(&slots[i], f.fast[who]);
		slots[i].text.payload = payload;
	}
	assert_int_equal(
		srtp_seal_rtp(kit_engines[SRTP_ENGINE_FAST], ops, BURST_MAX, status), BURST_MAX);
	assert_memory_equal(payload, before, sizeof(before));
	for (int i = 0; i < BURST_MAX; i++)
		slot_check_portable(&slots[i], f.portable[i % N_SESSIONS]);
	fleet_fini(&f);
}

// The largest packet of a datagram, and one byte more.
static void largest_packet_agrees(void **state)
{
	static uint8_t payload[65507], pkts[KIT_N_ENGINES][65507 + KIT_CANARY_BYTES];

	kit_random_fill(payload, sizeof(payload));
	for (int i = 0; i < KIT_N_PROFILES; i++) {
		for (int kind = 0; kind < KIT_N_ENGINES; kind++) {
			struct srtp_session *s = kit_session(
				(enum srtp_engine_kind)kind, kit_profiles[i], 1, 2);
			struct srtp_text text = {
				.payload = payload,
				.seq = 9,
				.payload_bytes = 65507 - 16 - 12,
			};
			uint8_t *at = pkts[kind];
			struct srtp_seal_op op = {
				.session = s,
				.texts = &text,
				.pkts = &at,
				.hdr_bytes = 12,
				.n = 1,
			};
			int status;

			memset(pkts[kind], KIT_CANARY, sizeof(pkts[kind]));
			kit_rtp_header(pkts[kind], SSRC, 9);
			assert_int_equal(srtp_seal_rtp(kit_engines[kind], &op, 1, &status), 1);
			text.payload_bytes++;
			if (kind == SRTP_ENGINE_FAST)
				assert_int_equal(
					srtp_seal_rtp(kit_engines[kind], &op, 1, &status), 0);
			srtp_session_destroy(s);
		}
		assert_memory_equal(pkts[0], pkts[1], sizeof(pkts[0]));
	}
}

static void bad_arguments_are_refused(void **state)
{
	static const uint16_t none[] = { SRTP_PROFILE_NONE, 2, 5, 6, 9, 0x100, 0xffff };
	struct srtp_master m = kit_master(SRTP_PROFILE_GCM256, 1);
	struct srtp_session *untouched = (struct srtp_session *)&m, *s = untouched;
	struct srtp_engine *engine = (struct srtp_engine *)&m;

	for (int kind = 0; kind < KIT_N_ENGINES; kind++)
		for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
			assert_int_equal(
				srtp_session_create(kit_engines[kind], none[i], &m, &m, &s),
				-EINVAL);
	assert_ptr_equal(s, untouched);
	assert_false(srtp_engine_usable((enum srtp_engine_kind)KIT_N_ENGINES));
	assert_int_equal(
		srtp_engine_create((enum srtp_engine_kind)KIT_N_ENGINES, &engine), -ENOTSUP);
	assert_ptr_equal(engine, &m);
	srtp_session_destroy(NULL);
	srtp_engine_destroy(NULL);
}

static void names_and_sizes_hold(void **state)
{
	assert_string_equal(srtp_engine_name(kit_engines[SRTP_ENGINE_FAST]), "fast");
	assert_string_equal(srtp_engine_name(kit_engines[SRTP_ENGINE_LIBSRTP2]), "libsrtp2");
	for (int i = 0; i < KIT_N_PROFILES; i++) {
		struct srtp_session *fast = kit_session(SRTP_ENGINE_FAST, kit_profiles[i], 1, 2);
		size_t gcm_most = kit_is_wide ? 896 : 1280;

		print_message("%s: %zu bytes\n", srtp_profile_name(kit_profiles[i]),
			srtp_session_bytes(fast));
		assert_true(srtp_session_bytes(fast) <=
			    (kit_profiles[i] == SRTP_PROFILE_CM80 ? 512 : gcm_most));
		srtp_session_destroy(fast);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_packets_agree),
		cmocka_unit_test(every_size_agrees),
		cmocka_unit_test(roc_steps_at_each_wrap),
		cmocka_unit_test(any_index_can_be_named),
		cmocka_unit_test(random_walk_agrees),
		cmocka_unit_test(resend_across_a_wrap_is_identical),
		cmocka_unit_test(portable_refuses_far_behind),
		cmocka_unit_test(portable_caps_the_ssrcs_it_sends),
		cmocka_unit_test(portable_refuses_a_header_that_differs),
		cmocka_unit_test(bursts_mix_sessions_and_profiles),
		cmocka_unit_test(a_row_is_as_one_by_one),
		cmocka_unit_test(shared_plaintext_stays),
		cmocka_unit_test(largest_packet_agrees),
		cmocka_unit_test(bad_arguments_are_refused),
		cmocka_unit_test(names_and_sizes_hold),
	};

	return kit_run(tests);
}
