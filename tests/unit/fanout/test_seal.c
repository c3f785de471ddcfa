// What the engine refuses never was: nothing is counted for it but the drop, and its neighbours in
// the batch leave as if it had not been there.
#include "tests/unit/fanout/edge_kit.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/fanout/seal.h"

enum {
	TOO_LONG = 65500, // no datagram holds it with header and tag
	N_PACKETS = 5,
	ROW = 24, // twice in a batch, and some left
};

static const uint8_t plain_bytes[1200] = "what all viewers see";

static struct worker *worker(void)
{
	return &kit.workers[0];
}

static struct region_peer_leg_state *video_state(void)
{
	return &kit.region.peers[0].state.legs[LEG_VIDEO];
}

// As all who send do.
static void count(struct sealing *s, struct peer_leg *l, uint16_t payload_bytes)
{
	l->sent->packets++;
	l->sent->bytes += payload_bytes;
	if (s->resends) {
		video_state()->resent++;
		video_state()->resent_bytes += payload_bytes;
	}
}

// Give one to the batch and count it.
static void add(struct sealing *s, struct peer_leg *l, uint16_t payload_bytes, uint64_t index)
{
	assert_true(sealing_has_room(worker(), s, 1));
	*sealing_texts(s) = (struct srtp_text){
		.payload = plain_bytes, .seq = index, .payload_bytes = payload_bytes
	};
	sealing_add(s, l, sealing_texts(s), 0, 1);
	count(s, l, payload_bytes);
}

// Of five the second and the last are refused; the two between are of one size.
static uint16_t bytes_of(uint64_t i)
{
	return i == 1 || i == 4 ? TOO_LONG : (uint16_t)(i == 0 ? 100 : 102);
}

static void send_five(struct sealing *s, struct peer_leg *l)
{
	for (uint64_t i = 0; i < N_PACKETS; i++)
		add(s, l, bytes_of(i), 1000 + i);
	sealing_end(worker(), s);
	tx_flush(worker());
}

// As the fan-out does.
static void send_five_in_a_row(struct sealing *s, struct peer_leg *l)
{
	struct srtp_text texts[N_PACKETS];

	assert_true(sealing_has_room(worker(), s, N_PACKETS));
	for (uint64_t i = 0; i < N_PACKETS; i++) {
		texts[i] = (struct srtp_text){
			.payload = plain_bytes, .seq = 70000 + i, .payload_bytes = bytes_of(i)
		};
		count(s, l, bytes_of(i));
	}
	sealing_add(s, l, texts, 1000 - 70000, N_PACKETS);
	assert_int_equal(s->n_ops, 4); // one for each change of size
	sealing_end(worker(), s);
	tx_flush(worker());
}

static void expect_three(const struct peer_leg *l)
{
	uint8_t pkt[KIT_PKT_BYTES];
	struct net_addr to;

	for (uint16_t i = 0; i < N_PACKETS; i++) {
		if (i == 1 || i == 4)
			continue;
		assert_int_equal(
			kit_sent(0, &to, pkt), l->rtp_hdr_bytes + bytes_of(i) + l->tag_bytes);
		assert_int_equal(pkt[2] << 8 | pkt[3], 1000 + i);
	}
	assert_int_equal(kit_sent_count(0), 0);
	assert_int_equal(l->sent->packets, 3);
	assert_int_equal(l->sent->bytes, 100 + 102 + 102);
	assert_int_equal(video_state()->sent.drops, 2);
	assert_int_equal(worker()->counters->drops[DROP_SEAL], 2);
	assert_int_equal(worker()->counters->sealed_packets, 3);
	assert_int_equal(worker()->counters->tx_packets, 3);
}

static struct peer *make_peer(uint16_t profile)
{
	kit_stream_fill(0, 0);
	assert_int_equal(kit_stream_set(0), 0);
	kit_peer_add(0, 0, 0, profile);
	return worker()->peers[0];
}

static void a_refused_packet_never_was(void **state)
{
	static const struct {
		uint16_t profile;
		void (*send)(struct sealing *, struct peer_leg *);
	} cases[] = {
		{ SRTP_PROFILE_GCM128, send_five },
		{ SRTP_PROFILE_CM80, send_five },
		{ SRTP_PROFILE_GCM128, send_five_in_a_row },
		{ SRTP_PROFILE_CM80, send_five_in_a_row },
	};

	for (size_t k = 0; k < RTE_DIM(cases); k++) {
		struct peer_leg *l;
		struct sealing s;

		if (k > 0) {
			kit_teardown(state);
			kit_setup(state);
		}
		l = &make_peer(cases[k].profile)->legs[LEG_VIDEO];
		sealing_begin(&s);
		cases[k].send(&s, l);
		expect_three(l);
	}
}

// The retransmission's SSRC counts what it sent, the leg what was asked for and missed.
static void a_refused_resend_is_missed_by_the_leg(void **state)
{
	struct peer *p = make_peer(SRTP_PROFILE_GCM128);
	struct sealing s;

	sealing_begin(&s);
	s.resends = true;
	send_five(&s, &p->legs[PEER_RTX]);
	expect_three(&p->legs[PEER_RTX]);
	assert_int_equal(p->legs[PEER_RTX].sent->drops, 0);
	assert_int_equal(video_state()->resent, 3);
	assert_int_equal(video_state()->resent_bytes, 100 + 102 + 102);
}

// Two copies of one packet are one run; neither comes to be.
static void refused_copies_never_were(void **state)
{
	struct peer_leg *l = &make_peer(SRTP_PROFILE_GCM128)->legs[PEER_RTX];
	struct srtp_text texts[2] = { { .payload = plain_bytes, .payload_bytes = TOO_LONG } };
	struct sealing s;

	texts[1] = texts[0];
	sealing_begin(&s);
	s.resends = true;
	assert_int_equal(sealing_take(worker(), &s, 2), 2);
	sealing_add(&s, l, texts, 1000, 2);
	assert_int_equal(s.n_ops, 1);
	for (int i = 0; i < 2; i++)
		count(&s, l, TOO_LONG);
	video_state()->copies = 1;
	sealing_end(worker(), &s);
	assert_int_equal(l->sent->packets, 0);
	assert_int_equal(l->sent->bytes, 0);
	assert_int_equal(video_state()->resent, 0);
	assert_int_equal(video_state()->resent_bytes, 0);
	assert_int_equal(video_state()->copies, 0);
	assert_int_equal(video_state()->sent.drops, 2);
}

// Nothing is lost and nothing leaks when the pool runs dry within a batch.
static void an_empty_pool_ends_a_batch(void **state)
{
	struct peer_leg *l = &make_peer(SRTP_PROFILE_GCM128)->legs[LEG_VIDEO];
	struct rte_mempool *pool = worker()->share->pool;
	struct rte_mbuf **all = calloc(pool->size, sizeof(*all));
	unsigned int n_all = 0;
	struct sealing s;

	assert_non_null(all);
	sealing_begin(&s);
	for (uint64_t i = 0; i < SEAL_BATCH; i++)
		add(&s, l, 100, 1000 + i);
	while (rte_mempool_get(pool, (void **)&all[n_all]) == 0)
		n_all++;
	assert_false(sealing_has_room(worker(), &s, 1)); // and what had gathered is on its way
	assert_int_equal(s.n, 0);
	assert_int_equal(sealing_take(worker(), &s, 1), 0);
	sealing_end(worker(), &s);
	tx_flush(worker());
	assert_int_equal(kit_sent_count(0), SEAL_BATCH);
	rte_mempool_put_bulk(pool, (void **)all, n_all);
	free(all);
	add(&s, l, 100, 1000 + SEAL_BATCH);
	sealing_end(worker(), &s);
	tx_flush(worker());
	assert_int_equal(kit_sent_count(0), SEAL_BATCH + 1);
	kit_forget_sent(0);
}

// A run of so many does not fill a batch: what is left of its mbufs is used by the next, whether or
// not more can be had.
static void add_row(struct sealing *s, struct peer_leg *l, uint64_t first)
{
	struct srtp_text *texts = sealing_texts(s);

	for (uint64_t i = 0; i < ROW; i++)
		texts[i] = (struct srtp_text){
			.payload = plain_bytes, .seq = first + i, .payload_bytes = 100
		};
	sealing_add(s, l, texts, 0, ROW);
}

static void expect_rows(const struct peer_leg *l, uint64_t n)
{
	uint8_t pkt[KIT_PKT_BYTES];
	struct net_addr to;

	for (uint64_t i = 0; i < n; i++) {
		assert_int_equal(kit_sent(0, &to, pkt), l->rtp_hdr_bytes + 100 + l->tag_bytes);
		assert_int_equal(pkt[2] << 8 | pkt[3], 1000 + i);
	}
	assert_int_equal(kit_sent_count(0), 0);
}

static void what_is_left_of_a_batch_is_used(void **state)
{
	struct peer_leg *l = &make_peer(SRTP_PROFILE_GCM128)->legs[LEG_VIDEO];
	struct rte_mempool *pool = worker()->share->pool;
	unsigned int n_before = rte_mempool_avail_count(pool), n_all = 0;
	struct rte_mbuf **all = calloc(pool->size, sizeof(*all));
	struct sealing s;

	assert_non_null(all);
	sealing_begin(&s);
	for (uint64_t i = 0; i < 3; i++) {
		assert_true(sealing_has_room(worker(), &s, ROW));
		add_row(&s, l, 1000 + i * ROW);
	}
	assert_int_equal(s.n, ROW); // the third began another batch
	assert_true(sealing_has_room(worker(), &s, ROW));
	add_row(&s, l, 1000 + 3 * ROW);
	while (rte_mempool_get(pool, (void **)&all[n_all]) == 0)
		n_all++;
	assert_false(sealing_has_room(worker(), &s, ROW));
	assert_true(sealing_has_room(worker(), &s, SEAL_BATCH - 2 * ROW));
	add(&s, l, 100, 1000 + 4 * ROW);
	sealing_end(worker(), &s);
	tx_flush(worker());
	expect_rows(l, 4 * ROW + 1);
	rte_mempool_put_bulk(pool, (void **)all, n_all);
	free(all);
	assert_int_equal(rte_mempool_avail_count(pool), n_before);
}

static void one_mbuf_at_a_time(void **state)
{
	struct peer_leg *l = &make_peer(SRTP_PROFILE_GCM128)->legs[LEG_VIDEO];
	struct sealing s;

	sealing_begin(&s);
	for (uint64_t i = 0; i < SEAL_BATCH - 1; i++) {
		assert_int_equal(sealing_take(worker(), &s, 1), 1);
		assert_int_equal(s.n_out, i + 1);
		add(&s, l, 100, 1000 + i);
	}
	assert_int_equal(sealing_take(worker(), &s, 2), 1);
	add(&s, l, 100, 1000 + SEAL_BATCH - 1);
	// Full: payloads are not taken from under it.
	assert_int_equal(sealing_take(worker(), &s, 1), 0);
	assert_int_equal(s.n, SEAL_BATCH);
	sealing_end(worker(), &s);
	tx_flush(worker());
	assert_int_equal(kit_sent_count(0), SEAL_BATCH);
	kit_forget_sent(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		kit_test(a_refused_packet_never_was),
		kit_test(a_refused_resend_is_missed_by_the_leg),
		kit_test(refused_copies_never_were),
		kit_test(an_empty_pool_ends_a_batch),
		kit_test(what_is_left_of_a_batch_is_used),
		kit_test(one_mbuf_at_a_time),
	};

	return cmocka_run_group_tests(tests, kit_group_setup, kit_group_teardown);
}
